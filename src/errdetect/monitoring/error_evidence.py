"""Has the audited error risen? Evidence valid at every look, overall and by segment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config_schema import MonitorSettings
from errdetect.monitoring.audit_stream import AuditStream, Periods
from errdetect.stats.sequential import (
    ReferenceRate,
    e_benjamini_hochberg,
    reference_rate,
    rise_evidence,
)

__all__ = ["OVERALL", "SegmentEvidence", "audited_evidence"]

OVERALL = "all"
#: How the share of quiet years that may bring an alarm is spent: reference and evidence of the
#: overall rate, then reference and evidence of all segments together.
_SPENT = (0.4, 0.3, 0.15, 0.15)


@dataclass(frozen=True)
class SegmentEvidence:
    """The audited error of one segment against its reference.

    Parameters
    ----------
    segment
        `all`, or column=value.
    reference
        The rate in the reference period, with its upper limit.
    limit
        What the rate is held against: the configured limit, or the reference's upper limit; NaN
        where unknown.
    rate, low, high
        The rate in the window, with its 95 % interval; NaN without answers.
    n
        Answers in the window.
    e_value
        Latest evidence that the rate has risen above the limit; NaN where unknown.
    needed
        Evidence that calls an alarm by itself.
    since
        First day with enough evidence; None without.
    changed
        About when the rate rose; None unless there is enough evidence.
    n_watched
        Answers that the evidence rests on.
    """

    segment: str
    reference: ReferenceRate
    limit: float
    rate: float
    low: float
    high: float
    n: int
    e_value: float
    needed: float
    since: pd.Timestamp | None = None
    changed: pd.Timestamp | None = None
    n_watched: int = 0

    @property
    def risen(self) -> bool:
        """Whether the evidence suffices."""
        return self.since is not None


@dataclass(frozen=True)
class _Path:
    """A segment with its evidence by day."""

    result: SegmentEvidence
    e_value: npt.NDArray[np.float64]
    start: npt.NDArray[np.int64]


def audited_evidence(
    stream: AuditStream, periods: Periods, settings: MonitorSettings
) -> tuple[SegmentEvidence, ...]:
    """Test whether the audited error has risen, overall and in each segment.

    At most `settings.yearly_level` of quiet years bring any alarm, however often one looks: the budget
    pays for reference rates that are too low by accident and for the evidence, overall and, by
    Benjamini-Hochberg on e-values, over all segments of `settings.by` together. An alarm stays
    until `settings.since` is set to a later day.

    Parameters
    ----------
    stream, periods
        From `audit_stream` and `choose_periods`.
    settings
        `monitor` of the config.

    Returns
    -------
    tuple of SegmentEvidence
        The overall one first; segments with too few answers in the reference have no e-value.
    """
    stream = _by_first_answer(stream)
    spent = [settings.yearly_level * share for share in _SPENT]
    overall = _follow(OVERALL, stream, periods, settings, spent[0], 1 / spent[1])
    parts = list(_segments(stream, settings.by))
    known = [
        part
        for part in parts
        if _count_in_reference(part[1], periods) >= settings.min_reviews
        or _given_limit(settings, part[0]) is not None
    ]
    miss = spent[2] / max(len(known), 1)
    needed = len(known) / spent[3]
    paths = {name: _follow(name, part, periods, settings, miss, needed) for name, part in known}
    first = overall.e_value >= overall.result.needed
    results = [_with_moments(overall, first, periods)]
    risen = _find_risen(list(paths.values()), spent[3])
    found = dict(zip(paths, risen, strict=True))
    for name, part in parts:
        if name in paths:
            results.append(_with_moments(paths[name], found[name], periods))
        else:
            results.append(_unknown(name, part, periods, settings))
    return tuple(results)


def _segments(stream: AuditStream, by: Sequence[str]) -> Iterator[tuple[str, AuditStream]]:
    """Yield the stream's part of each value of these columns."""
    for column in by:
        if column not in stream.frame:
            continue
        for value in sorted(stream.frame[column].dropna().unique(), key=str):
            rows = (stream.frame[column] == value).to_numpy(dtype=bool, na_value=False)
            yield f"{column}={value}", stream.select(rows)


def _count_in_reference(stream: AuditStream, periods: Periods) -> int:
    return int(periods.in_reference(stream.frame["known_at"]).sum())


def _given_limit(settings: MonitorSettings, segment: str) -> float | None:
    limit = settings.max_error_rate.get(segment)
    return limit if limit is None else float(limit)


def _follow(
    name: str,
    stream: AuditStream,
    periods: Periods,
    settings: MonitorSettings,
    miss: float,
    needed: float,
) -> _Path:
    """Compute the evidence of one segment by day."""
    result = _unknown(name, stream, periods, settings)
    frame = stream.frame
    rows = periods.in_reference(frame["known_at"])
    reference = _reference(frame[rows], miss)
    given = _given_limit(settings, name)
    limit = given if given is not None else reference.upper
    watched = (frame["known_at"] >= periods.watched_from) & (frame["known_at"] < periods.now)
    own = frame[watched.to_numpy(bool)]
    nothing = np.ones(periods.n_days), np.zeros(periods.n_days, np.int64)
    few = given is None and reference.n < settings.min_reviews
    if few or not 0 < limit < 1 or not periods.n_days:
        return _Path(result, *nothing)
    days = (own["known_at"] - periods.watched_from) // pd.Timedelta(days=1)
    day = np.asarray(days, dtype=np.int64)
    if not reference.mean_weight > 0:  # a configured limit without a reference: scale by the draws
        reference = _reference(own, miss) if len(own) else reference
    found = rise_evidence(
        own["error"].to_numpy(float),
        own["weight"].to_numpy(float),
        day,
        own["cluster"].to_numpy(np.int64),
        limit=limit,
        reference=reference,
        n_days=periods.n_days,
    )
    latest = float(found.e_value[-1]) if len(own) else float("nan")
    result = replace(
        result, limit=limit, e_value=latest, needed=needed, n_watched=len(own),
        reference=reference,
    )  # fmt: skip
    return _Path(result, found.e_value, found.start)


def _find_risen(paths: list[_Path], level: float) -> list[npt.NDArray[np.bool_]]:
    """Return, by segment and day, whether Benjamini-Hochberg on that day's e-values finds it."""
    if not paths:
        return []
    values = np.stack([path.e_value for path in paths])
    found = np.zeros(values.shape, dtype=bool)
    k = len(paths)
    for day in np.flatnonzero(values.max(axis=0, initial=0.0) * k >= k / level):
        found[:, day] = e_benjamini_hochberg(values[:, day], level)
    return list(found)


def _by_first_answer(stream: AuditStream) -> AuditStream:
    """Date each answer by the first reviewer's: experts who settle many flags at once are no rise."""
    if "first_at" not in stream.frame:
        return stream
    frame = stream.frame.assign(known_at=stream.frame["first_at"].fillna(stream.frame["known_at"]))
    frame = frame.sort_values(["known_at", "position"], kind="stable", ignore_index=True)
    return replace(stream, frame=frame)


def _with_moments(path: _Path, risen: npt.NDArray[np.bool_], periods: Periods) -> SegmentEvidence:
    """Add since when there is enough evidence, and about when the rate rose."""
    days = np.flatnonzero(risen)
    if not len(days) or np.isnan(path.result.e_value):
        return path.result
    day = pd.Timedelta(days=1)
    since = periods.watched_from + int(days[0]) * day
    changed = periods.watched_from + int(path.start[days[0]]) * day
    return replace(path.result, since=since, changed=changed)


def _unknown(
    name: str, stream: AuditStream, periods: Periods, settings: MonitorSettings
) -> SegmentEvidence:
    """Return a segment's rates without evidence."""
    frame = stream.frame
    reference = _reference(frame[periods.in_reference(frame["known_at"])], 0.025)
    latest = frame[periods.in_window(frame["known_at"])]
    rate, low, high = _rate_with_interval(latest)
    if len(latest) < settings.min_reviews:
        rate, low, high = np.nan, np.nan, np.nan
    nan = float("nan")
    return SegmentEvidence(name, reference, nan, rate, low, high, len(latest), nan, float("inf"))


def _reference(frame: pd.DataFrame, miss: float) -> ReferenceRate:
    return reference_rate(
        frame["error"].to_numpy(float),
        frame["weight"].to_numpy(float),
        frame["cluster"].to_numpy(np.int64),
        miss=miss,
    )


def _rate_with_interval(frame: pd.DataFrame) -> tuple[float, float, float]:
    """Return a rate with its 95 % interval, each side as the upper limit of its reverse."""
    high = _reference(frame, 0.025)
    low = _reference(frame.assign(error=1 - frame["error"]), 0.025)
    return high.rate, 1 - low.upper, high.upper
