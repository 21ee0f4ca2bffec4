"""The audit's answers in the order in which they became known, and the periods to compare."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config_schema import MonitorSettings
from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.schemas import ADJUDICATION, AUDIT
from errdetect.snapshot import Snapshot

__all__ = ["AuditStream", "Periods", "audit_stream", "choose_periods"]

#: Share of the flagged draws that experts settled, from which the others count as still open.
_SETTLED = 0.5
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Periods:
    """The reference, the days watched since, and the window of latest days; ends are excluded.

    Parameters
    ----------
    reference_from, reference_to
        The reference period.
    watched_from
        First day on which evidence counts.
    window_from, now
        The latest days, which are compared with the reference.
    """

    reference_from: pd.Timestamp
    reference_to: pd.Timestamp
    watched_from: pd.Timestamp
    window_from: pd.Timestamp
    now: pd.Timestamp

    @property
    def n_days(self) -> int:
        """Days watched; 0 where the reference is not over yet."""
        return max(0, int((self.now - self.watched_from) / _DAY))

    def in_reference(self, moments: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.bool_]:
        """Which moments lie in the reference period."""
        inside = (moments >= self.reference_from) & (moments < self.reference_to)
        return inside.to_numpy(dtype=bool, na_value=False)

    def in_window(self, moments: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.bool_]:
        """Which moments lie in the window, and after the reference."""
        inside = (moments >= max(self.window_from, self.reference_to)) & (moments < self.now)
        return inside.to_numpy(dtype=bool, na_value=False)


@dataclass(frozen=True)
class AuditStream:
    """One row for each answered draw of the audit, in the order of the answers.

    Parameters
    ----------
    frame
        position (row of the decision), known_at, first_at (of the first reviewer's answer), error (in
        [0, 1]), weight (1/inclusion probability), cluster (draws that share their fate), then the
        decision's decided_at, policy_id, market, moderator, moderator_version; missing where the log
        has none.
    n_open
        Flagged draws that wait for an expert, and are left out until then.
    settled
        Whether experts settle most flags, so that reviewers' unfounded flags do not count.
    """

    frame: pd.DataFrame
    n_open: int = 0
    settled: bool = False

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Return these rows."""
        return replace(self, frame=self.frame[rows].reset_index(drop=True))


#: Columns of the decisions that the stream carries.
CARRIED = ("decided_at", "policy_id", "market", "moderator", "moderator_version")


def audit_stream(snapshot: Snapshot) -> AuditStream:
    """Collect the answered draws of automated decisions, dated by when each answer became known.

    An answer is the expert's where there is one. Where experts settle most flags, a flagged draw
    waits for its expert: counted at once, every reviewer's mistake would look like an error.

    Parameters
    ----------
    snapshot
        Decisions and reviews as of a moment.

    Returns
    -------
    AuditStream

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0],
    ...                           "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["1"], "decision_id": ["a"], "reviewed_at": day[1:],
    ...                         "source": "audit", "verdict": "overturned",
    ...                         "inclusion_probability": 0.5})
    >>> found = audit_stream(Snapshot(decisions, reviews)).frame
    >>> found[["position", "error", "weight"]].values.tolist(), str(found["known_at"][0].date())
    ([[0.0, 1.0, 2.0]], '2026-01-03')
    """
    snapshot = snapshot.automated
    audit, decisions = snapshot.audit_sample, snapshot.decisions
    first = _answer_moments(snapshot, AUDIT, earliest=True)
    expert = _answer_moments(snapshot, ADJUDICATION, earliest=False)
    flagged = audit.flagged
    settled = bool(flagged.any()) and float(audit.adjudicated[flagged].mean()) > _SETTLED
    waits = flagged & ~audit.adjudicated & settled
    known = pd.Series(np.where(audit.adjudicated, expert[audit.position], first[audit.position]))
    carried = {
        name: decisions[name].iloc[audit.position].reset_index(drop=True)
        if name in decisions
        else pd.Series([None] * len(audit.position), dtype="object")
        for name in CARRIED
    }
    own = decisions["account_id"] if "account_id" in decisions else decisions["decision_id"]
    accounts = own.where(own.notna(), decisions["decision_id"]).iloc[audit.position]
    frame = pd.DataFrame(
        {
            "position": audit.position,
            "known_at": pd.to_datetime(known, utc=True),
            "first_at": pd.to_datetime(pd.Series(first[audit.position]), utc=True),
            "error": audit.answer,
            "weight": audit.weight,
            "cluster": pd.factorize(accounts)[0],
            **carried,
        }
    )
    frame = frame[~waits & frame["known_at"].notna().to_numpy(bool)]
    frame = frame.sort_values(["known_at", "position"], kind="stable", ignore_index=True)
    return AuditStream(frame, int(waits.sum()), settled)


def _answer_moments(
    snapshot: Snapshot, source: str, *, earliest: bool
) -> npt.NDArray[np.datetime64]:
    """Return when each decision got its first, or last, verdict of a source; NaT without one."""
    history = snapshot.review_history
    counts = history["standing"].isin([COUNTS, OVERRULED]) & (history["source"] == source)
    rows = history[counts.to_numpy(bool) & (history["position"] >= 0).to_numpy(bool)]
    moments = rows.groupby("position")["known_at"].agg("min" if earliest else "max")
    found = np.full(len(snapshot.decisions), np.datetime64("NaT"), dtype="datetime64[us]")
    found[moments.index.to_numpy(np.int64)] = (
        moments.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        if len(moments)
        else np.array([], dtype="datetime64[us]")
    )
    return found


def choose_periods(
    stream: AuditStream, moment: pd.Timestamp, settings: MonitorSettings
) -> Periods | None:
    """Choose the periods to compare; None where no audit answer is known.

    Unless set, the reference begins with the first answer and takes `reference_days`. It never
    moves from day to day: what moves with the data would hide a slow drift.

    Parameters
    ----------
    stream
        From `audit_stream`.
    moment
        The snapshot's moment.
    settings
        `monitor` of the config.

    Examples
    --------
    >>> stream = AuditStream(pd.DataFrame({"known_at": pd.to_datetime(["2026-01-05 10:00"], utc=True)}))
    >>> found = choose_periods(stream, pd.Timestamp("2026-05-01", tz="UTC"), MonitorSettings())
    >>> str(found.reference_to.date()), found.n_days
    ('2026-04-06', 26)
    """
    begin = settings.reference_from
    if begin is None and not len(stream):
        return None
    start = pd.Timestamp(begin or stream.frame["known_at"].iloc[0]).floor("D")
    end = (
        pd.Timestamp(settings.reference_to)
        if settings.reference_to is not None
        else start + pd.Timedelta(days=settings.reference_days)
    )
    watched = end if settings.since is None else max(end, pd.Timestamp(settings.since).floor("D"))
    now = moment.floor("D") + _DAY
    return Periods(start, end, watched, now - pd.Timedelta(days=settings.window_days), now)
