"""Earlier verdicts on similar content: equal and near-duplicate texts, items and images.

Decisions are similar if they share a key: that of the folded text, a near-duplicate key, the item,
or an image hash. Similarity depends only on the two decisions, never on the rest of the log, and
only events strictly before a decision's `decided_at` count for it.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.minhash import BANDS, content_keys
from errdetect.features.point_in_time import (
    DAY,
    UNIT,
    ColumnLevels,
    EventClock,
    EventTally,
    KeyGroups,
    VerdictPeriods,
    match_reviews,
    to_microseconds,
    verdict_periods,
)
from errdetect.schemas import ADJUDICATION, APPEAL, AUDIT, RE_REVIEW, REPORT, hash_columns

__all__ = [
    "SIMILAR",
    "SIMILAR_COLUMNS",
    "SimilarContentIndex",
    "similar_features",
    "with_content_keys",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The prefix of this module's columns.
SIMILAR = "similar_"

_ANYONE = (AUDIT, RE_REVIEW, APPEAL, REPORT, ADJUDICATION)
_TEXT, _NEAR = "text_key", "near_key_"
#: The suffixes of each kind's columns.
SIMILAR_COLUMNS = ("reviewed", "violates", "wrong", "days", "decisions", "enforced_rate")
_CHUNK = 16_384


def similar_features(
    targets: pd.DataFrame, log: pd.DataFrame, reviews: pd.DataFrame | None
) -> pd.DataFrame:
    """Compute features from verdicts on similar content before each decision.

    Parameters
    ----------
    targets
        Shape (n, any), decisions with `decided_at`.
    log
        Shape (m, any), all known decisions, which may include the targets; with `decision_id`
        (unique), `decided_at`, `enforced`, and any of text, item_id and columns whose name ends in
        `hash`.
    reviews
        With the contract's columns; None for none.

    Returns
    -------
    pandas.DataFrame
        float64, shape (n, columns), in the targets' order and with their index. For each KIND of
        similarity (`text`, `near`, `item`, and each hash column) that at least two decisions of the
        log share: `similar_KIND_reviewed`, similar decisions with a verdict by then, from any
        source; `similar_KIND_violates` and `similar_KIND_wrong`, the share of these whose content
        violates and that are errors (NaN without any); `similar_KIND_days` since the latest verdict
        (NaN without any); `similar_KIND_decisions`, earlier similar decisions; and
        `similar_KIND_enforced_rate` among them (NaN without any). `near` uses the near-duplicate
        key that most reviewed decisions share, then most decisions. All are NaN where the decision
        has no such content.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "text": ["Fake bag!", "fake BAG"], "item_id": ["i", "j"],
    ...     "decided_at": pd.to_datetime(["2026-01-01", "2026-01-05"], utc=True), "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1"], "decision_id": ["d1"], "source": ["audit"],
    ...     "reviewed_at": pd.to_datetime(["2026-01-03"], utc=True), "verdict": ["upheld"]})
    >>> told = similar_features(log, log, reviews)
    >>> told[["similar_text_reviewed", "similar_text_violates", "similar_text_days"]].values.tolist()
    [[0.0, nan, nan], [1.0, 1.0, 2.0]]
    """
    keyed = with_content_keys(log)
    return SimilarContentIndex(keyed, reviews).columns(
        keyed if targets is log else with_content_keys(targets)
    )


def with_content_keys(decisions: pd.DataFrame) -> pd.DataFrame:
    """Replace texts by their keys, which is all that `SimilarContentIndex` needs.

    Parameters
    ----------
    decisions
        Shape (n, any).

    Returns
    -------
    pandas.DataFrame
        Without `text`; if there was one, with nullable integers `text_key` and `near_key_0`
        onwards.
    """
    if "text" not in decisions:
        return decisions
    keys = content_keys(decisions["text"])
    names = [_TEXT, *(f"{_NEAR}{band}" for band in range(BANDS))]
    columns = {
        name: pd.arrays.IntegerArray(keys[:, i].copy(), keys[:, 0] == 0)
        for i, name in enumerate(names)
    }
    return decisions.drop(columns="text").assign(**columns)


class SimilarContentIndex:
    """A log and its reviews, sorted once, to look up verdicts on similar content.

    Parameters
    ----------
    log
        From `with_content_keys`; otherwise as for `similar_features`.
    reviews
        As for `similar_features`.
    """

    def __init__(self, log: pd.DataFrame, reviews: pd.DataFrame | None) -> None:
        at = to_microseconds(log["decided_at"])
        steps = verdict_periods(match_reviews(log, reviews), _ANYONE)
        kinds = _similarity_keys(log)
        self._levels = ColumnLevels(log, [name for names in kinds.values() for name in names])
        self._clock, self._review_clock = EventClock(at), EventClock(steps.start, steps.end)
        self._given = steps.start
        tick = self._clock.ticks(at)
        enforced = log["enforced"].to_numpy(bool)
        self._kinds: dict[str, list[_SimilarGroups]] = {}
        for kind, names in kinds.items():
            groups = [KeyGroups(self._levels, [name]) for name in names]
            if any(len(group) < int((group.codes >= 0).sum()) for group in groups):
                self._kinds[kind] = [
                    _SimilarGroups(
                        group, tick, enforced, steps, len(self._clock), self._review_clock
                    )
                    for group in groups
                ]

    def columns(self, targets: pd.DataFrame) -> pd.DataFrame:
        """Look up verdicts on similar content; see `similar_features`.

        Parameters
        ----------
        targets
            Shape (n, any), from `with_content_keys`.

        Returns
        -------
        pandas.DataFrame
            float64, shape (n, columns).
        """
        at = to_microseconds(targets["decided_at"])
        codes = self._levels.of(targets)
        now, reviewed = self._clock.ticks(at), self._review_clock.ticks(at)
        out = np.empty((len(at), len(self._kinds) * len(SIMILAR_COLUMNS)))
        for i, alikes in enumerate(self._kinds.values()):
            groups = np.stack([alike.groups.of(codes) for alike in alikes])
            for start in range(0, len(at), _CHUNK):
                part = slice(start, start + _CHUNK)
                found = self._best_match_columns(
                    alikes, groups[:, part], now[part], reviewed[part], at[part]
                )
                out[part, i * len(SIMILAR_COLUMNS) : (i + 1) * len(SIMILAR_COLUMNS)] = found
        names = [f"{SIMILAR}{kind}_{name}" for kind in self._kinds for name in SIMILAR_COLUMNS]
        return pd.DataFrame(
            out, index=targets.index, columns=pd.Index(names, dtype="str"), copy=False
        )

    def _best_match_columns(
        self, alikes: list["_SimilarGroups"], groups: Ints, now: Ints, reviewed: Ints, at: Ints
    ) -> Floats:
        """Return the columns of one kind, shape (n, 6), from the key with most evidence."""
        counts = np.stack([a.counts(g, now, reviewed) for a, g in zip(alikes, groups, strict=True)])
        latest = np.stack(
            [a.latest_verdict(g, reviewed) for a, g in zip(alikes, groups, strict=True)]
        )
        rows = np.arange(len(at))
        # The first key with most reviewed decisions, and among those with most decisions.
        best = np.lexsort((-counts[..., 3], -counts[..., 0]), axis=0)[0]
        n, wrong, violates, decisions, enforced = counts[best, rows].T
        last = latest[best, rows]
        days = np.full(len(at), np.nan)
        known = last >= 0
        days[known] = (at[known] - self._given[last[known]]) / DAY
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = [violates / UNIT / n, wrong / UNIT / n, days, decisions, enforced / decisions]
        out = np.column_stack([n, *shares])
        out[groups[0] < 0] = np.nan
        return out


class _SimilarGroups:
    """Decisions and verdicts by one similarity key."""

    def __init__(
        self,
        groups: KeyGroups,
        tick: Ints,
        enforced: npt.NDArray[np.bool_],
        steps: VerdictPeriods,
        ticks: int,
        clock: EventClock,
    ) -> None:
        self.groups = groups
        self.decisions = EventTally(groups.codes, tick, enforced.astype(np.int64)[:, None], ticks)
        code, acted = groups.codes[steps.position], enforced[steps.position]
        # Content of an overturned enforcement does not violate; of an overturned approval it does.
        violates = np.where(acted, UNIT - steps.overturned, steps.overturned)
        values = np.column_stack([steps.errors, violates])
        self._end = clock.ticks(steps.end)
        self.verdicts = EventTally(code, clock.ticks(steps.start), values, len(clock))
        self.revised = EventTally(code, self._end, values, len(clock))

    def latest_verdict(self, group: Ints, reviewed: Ints) -> Ints:
        """Return the row of each group's latest verdict that still stands; -1 without one."""
        return self.verdicts.latest_before(group, reviewed, self._end)

    def counts(self, group: Ints, now: Ints, reviewed: Ints) -> Ints:
        """Return reviewed, wrong, violating, decisions, enforced; shape (n, 5)."""
        nothing = np.zeros(len(group), np.int64)
        verdicts = self.verdicts.sums_before(group, reviewed) - self.revised.sums_before(
            group, reviewed
        )
        decided = self.decisions.sums_before(group, now) - self.decisions.sums_before(
            group, nothing
        )
        return np.hstack([verdicts, decided])


def _similarity_keys(log: pd.DataFrame) -> Mapping[str, list[str]]:
    """Return the columns of each kind of similarity that a log has."""
    kinds: dict[str, list[str]] = {}
    if _TEXT in log:
        kinds["text"] = [_TEXT]
        kinds["near"] = [f"{_NEAR}{band}" for band in range(BANDS)]
    if "item_id" in log:
        kinds["item"] = ["item_id"]
    kinds |= {name: [name] for name in sorted(hash_columns(log))}
    return kinds
