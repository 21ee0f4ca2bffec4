"""Point-in-time counts of earlier events: sorted once, then looked up by bisection.

Shares are summed as integers (`UNIT` represents 1), so that sums are exact: later events cannot
change the last digit of an earlier row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.review_versions import known_at, superseded_at
from errdetect.labels.review_history import to_datetime64
from errdetect.schemas import ADJUDICATION, GOLDEN, OVERTURNED, UPHELD

__all__ = [
    "DAY",
    "NEVER",
    "UNIT",
    "ColumnLevels",
    "EventClock",
    "EventTally",
    "KeyGroups",
    "MatchedReviews",
    "VerdictPeriods",
    "match_reviews",
    "sort_by_group",
    "to_arrow",
    "to_microseconds",
    "verdict_periods",
]


Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]


class ColumnLevels:
    """The values of a log's columns, numbered.

    Parameters
    ----------
    log
        Decisions.
    columns
        Columns to number; those that the log lacks are skipped.
    """

    def __init__(self, log: pd.DataFrame, columns: Sequence[str]) -> None:
        self._log: pd.DataFrame | None = log
        self.n = len(log)
        self.values: dict[str, pa.Array] = {}
        self.codes: dict[str, Codes] = {}
        for name in columns:
            if name in log:
                coded = to_arrow(log[name]).dictionary_encode()
                self.values[name] = coded.dictionary
                self.codes[name] = _filled_codes(coded.indices, -1)

    def take(self, rows: npt.NDArray[Any]) -> "ColumnLevels":
        """Return the levels with only some of the log's rows."""
        part = ColumnLevels(pd.DataFrame(), []).bare()
        part.values = self.values
        part.codes = self.codes_of(rows)
        part.n = len(self._first(part.codes, rows))
        return part

    def bare(self) -> "ColumnLevels":
        """Let the log itself go, and return the levels."""
        self._log = None
        return self

    def codes_of(self, rows: npt.NDArray[Any]) -> dict[str, Codes]:
        """Return the value codes of rows of the log, given by mask or position."""
        return {name: codes[rows] for name, codes in self.codes.items()}

    @staticmethod
    def _first(codes: Mapping[str, Codes], rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return next(iter(codes.values()), rows[rows] if rows.dtype == bool else rows)

    def of(self, decisions: pd.DataFrame) -> dict[str, Codes]:
        """Return each decision's value codes by column: -1 missing, one above the maximum unseen."""
        if decisions is self._log:
            return self.codes
        out = {}
        for name, values in self.values.items():
            if name not in decisions:
                out[name] = np.full(len(decisions), -1, np.int32)
                continue
            column = to_arrow(decisions[name], values.type)
            known = values.cast(column.type) if column.type != values.type else values
            codes = _filled_codes(pc.index_in(column, value_set=known), len(values))
            codes[np.asarray(column.is_null().to_numpy(zero_copy_only=False), bool)] = -1
            out[name] = codes
        return out


def to_arrow(column: pd.Series, kind: pa.DataType | None = None) -> pa.Array:
    """Convert a column to text or numbers, of a kind if given; mixed values become marked text."""
    if column.dtype == object:
        column = pd.Series([_marked_text(value) for value in column], dtype="str")
    values = pa.array(column, from_pandas=True)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if kind is None or text == pa.types.is_large_string(kind):
        return values.cast(pa.large_string() if text else kind or values.type)
    if text:  # no text equals a number
        numbers = np.where(values.is_valid().to_numpy(zero_copy_only=False), np.inf, np.nan)
        return pa.array(numbers, pa.float64(), from_pandas=True)
    return pa.array([_marked_text(value) for value in column], pa.large_string())


def _marked_text(value: object) -> str | None:
    """Return text as it is, and anything else such that it equals no text."""
    if isinstance(value, str):
        return value
    return None if value is None or value is pd.NA or value != value else f"\0{value!r}"


def _filled_codes(indices: pa.Array, missing: int) -> Codes:
    return np.array(pc.fill_null(indices, missing).to_numpy(zero_copy_only=False), np.int32)


class KeyGroups:
    """Combinations of values, numbered.

    Parameters
    ----------
    levels
        The log's values.
    columns
        Those that together define a group, all among the levels; without any, all decisions are one.

    Examples
    --------
    >>> log = pd.DataFrame({"account_id": ["a", "a", None], "policy_id": ["p", "q", "p"]})
    >>> levels = ColumnLevels(log, ["account_id", "policy_id"])
    >>> groups = KeyGroups(levels, ["account_id", "policy_id"])
    >>> groups.codes.tolist(), len(groups)
    ([0, 1, -1], 2)
    >>> other = pd.DataFrame({"account_id": ["a", "z", None], "policy_id": ["q", "p", "p"]})
    >>> groups.of(levels.of(other)).tolist()
    [1, 2, -1]
    """

    def __init__(self, levels: ColumnLevels, columns: Sequence[str]) -> None:
        self._columns = columns
        self._sizes = [len(levels.values[name]) + 1 for name in columns]
        self._log = levels.codes
        self._values: pd.Index | None = None
        if len(columns) == 1:  # the values' own numbers
            self._size = self._sizes[0] - 1
            self._codes = levels.codes[columns[0]]
            return
        codes, values = pd.factorize(self._pack_codes(levels.codes, levels.n))
        missing = pd.Index(values).get_indexer(pd.Index([-1]))[0]
        self._values = pd.Index(values)
        self._codes = codes.astype(np.int32)
        if missing >= 0:
            self._codes[codes == missing] = -1
            self._codes[codes > missing] -= 1
            self._values = self._values.delete(missing)
        self._size = len(self._values)

    def __len__(self) -> int:
        return self._size

    @property
    def codes(self) -> Ints:
        """Each decision's group, shape (n,): -1 missing."""
        return self._codes.astype(np.int64)

    def of(self, codes: Mapping[str, Codes]) -> Ints:
        """Return decisions' groups by their levels: -1 missing, one above the maximum unseen."""
        if codes is self._log:
            return self.codes
        if self._values is None:
            return codes[self._columns[0]].astype(np.int64)
        packed = self._pack_codes(codes, len(codes[self._columns[0]]))
        found = self._values.get_indexer(pd.Index(packed)).astype(np.int64)
        found[found < 0] = len(self)
        found[packed < 0] = -1
        return found

    def _pack_codes(self, codes: Mapping[str, Codes], n: int) -> Ints:
        packed = np.zeros(n, np.int64)
        missing = np.zeros(n, bool)
        for name, size in zip(self._columns, self._sizes, strict=True):
            packed = packed * size + codes[name]
            missing |= codes[name] < 0
        packed[missing] = -1
        return packed


Bools = npt.NDArray[np.bool_]

#: A share of 1; every share of up to 16 votes is a multiple of 1 / `UNIT`.
UNIT = 720_720
#: One day in microseconds.
DAY = 86_400_000_000
#: A moment after all others.
NEVER = np.iinfo(np.int64).max


def to_microseconds(times: "pd.Series[pd.Timestamp]") -> Ints:
    """Return UTC times as microseconds since 1970, shape (n,).

    Examples
    --------
    >>> to_microseconds(pd.Series(pd.to_datetime(["1970-01-02"], utc=True))).tolist() == [DAY]
    True
    """
    return to_datetime64(times).view(np.int64)


class EventClock:
    """Event times as ranks, so that a group and a time fit into one integer.

    Examples
    --------
    >>> EventClock(np.array([50, 20, 20])).ticks(np.array([20, 21, 99])).tolist()
    [0, 1, 2]
    """

    def __init__(self, *at: Ints) -> None:
        times = np.sort(at[0] if len(at) == 1 else np.concatenate(at))
        self._times: Ints = times[np.append(True, np.diff(times) != 0)[: len(times)]]

    def __len__(self) -> int:
        return len(self._times)

    def ticks(self, at: Ints) -> Ints:
        """Return how many distinct moments of the clock are before each of `at`, shape (n,)."""
        return np.searchsorted(self._times, at).astype(np.int64)


def sort_by_group(group: Ints) -> Ints:
    """Order rows stably by group, -1 first, shape (n,).

    Examples
    --------
    >>> sort_by_group(np.array([1, 0, -1, 0])).tolist()
    [2, 1, 3, 0]
    """
    # numpy sorts short integers in one pass
    small = group.max(initial=0) <= np.iinfo(np.int16).max
    return np.argsort(group.astype(np.int16) if small else group, kind="stable")


class EventTally:
    """Events of groups, to be summed up to any moment.

    Parameters
    ----------
    group
        Shape (m,), 0 to `groups` - 1; events of group -1 are left out.
    tick
        Shape (m,), each event's moment on a clock of `ticks` moments.
    values
        Shape (m, k), integers to sum.
    ticks
        Number of the clock's moments.

    Examples
    --------
    >>> tally = EventTally(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([[5], [6], [7]]), 2)
    >>> group, start = np.array([0, 0, 1, 2]), np.zeros(4, np.int64)
    >>> (tally.sums_before(group, np.array([1, 2, 2, 2])) - tally.sums_before(group, start)).tolist()
    [[1, 5], [2, 11], [1, 7], [0, 0]]
    """

    def __init__(self, group: Ints, tick: Ints, values: Ints, ticks: int) -> None:
        self._span = ticks + 1
        if (tick[1:] < tick[:-1]).any():
            by_time = np.argsort(tick, kind="stable")
            rows = by_time[sort_by_group(group[by_time])]
        else:
            rows = sort_by_group(group)
        self._rows = rows[int((group < 0).sum()) :].astype(np.int32)
        self._key = group[self._rows] * self._span + tick[self._rows]
        sums = np.zeros((len(self._rows) + 1, values.shape[1]), np.int64)
        np.cumsum(values[self._rows], axis=0, out=sums[1:])
        small = np.abs(sums).max(initial=0) <= np.iinfo(np.int32).max
        self._sums = sums.astype(np.int32) if small else sums

    def sums_before(self, group: Ints, tick: Ints) -> Ints:
        """Return count and sums of a group's events before a tick and of all lower groups' events.

        Shape (n, k + 1). Subtract one from another: between two ticks, or between two tallies
        of the same events, one by start and one by end.
        """
        place = np.searchsorted(self._key, group * self._span + tick)
        out = np.empty((len(place), self._sums.shape[1] + 1), np.int64)
        out[:, 0] = place
        out[:, 1:] = self._sums.take(place, axis=0)
        return out

    def latest_before(self, group: Ints, tick: Ints, end: Ints | None = None) -> Ints:
        """Return the row of each group's latest event before a tick, shape (n,); -1 without one.

        Among simultaneous events, any. `end`, shape (m,), is each event's last tick: events that
        ended before `tick` are passed over.
        """
        first = np.searchsorted(self._key, group * self._span)
        place = np.searchsorted(self._key, group * self._span + tick)
        place[group < 0] = first[group < 0]
        ended = np.flatnonzero(place > first)
        while end is not None and len(ended):
            ended = ended[end[self._rows[place[ended] - 1]] < tick[ended]]
            place[ended] -= 1
            ended = ended[place[ended] > first[ended]]
        return np.where(place > first, np.append(self._rows, -1)[place - 1], -1).astype(np.int64)


@dataclass(frozen=True)
class VerdictPeriods:
    """Periods of decisions' verdicts, one entry per change.

    Parameters
    ----------
    position
        Shape (m,), the decision's row in the log.
    start, end
        Shape (m,), microseconds: the verdict became known at `start`, and a newer one at `end`
        (`NEVER` if none did).
    errors, overturned
        Shape (m,), in `UNIT`s: the share of reviewers who find any error, and of those who overturn
        the action.
    """

    position: Ints
    start: Ints
    end: Ints
    errors: Ints
    overturned: Ints


@dataclass(frozen=True)
class MatchedReviews:
    """Eligible reviews, by decision and time; equal times by id, as in the ledger.

    Parameters
    ----------
    reviews
        Shape (m, any).
    position, moment, until
        Shape (m,), the decision's row in the log; when the review became known, and when a later
        row of its review_id corrected it (`NEVER` if none did), in microseconds.
    """

    reviews: pd.DataFrame
    position: Ints
    moment: Ints
    until: Ints


def match_reviews(log: pd.DataFrame, reviews: pd.DataFrame | None) -> MatchedReviews:
    """Match reviews to the decisions of a log.

    Golden reviews, reviews dated before their decision and reviews of decisions that the log
    lacks are left out.

    Parameters
    ----------
    log
        Decisions with `decision_id` (unique) and `decided_at`.
    reviews
        With the contract's columns, in any order; None for none.
    """
    if reviews is None:
        names = ("review_id", "decision_id", "source", "verdict")
        reviews = pd.DataFrame({name: pd.Series(dtype="str") for name in names})
        nothing = np.empty(0, np.int64)
        return MatchedReviews(reviews, nothing, nothing, nothing)
    position = _rows_of_ids(log["decision_id"], reviews["decision_id"])
    at, given = to_microseconds(known_at(reviews)), to_microseconds(reviews["reviewed_at"])
    later = superseded_at(reviews)
    until = np.where(np.isnat(later), NEVER, later.view(np.int64))
    usable = (position >= 0) & (reviews["source"] != GOLDEN).to_numpy(bool) & (until > at)
    usable[usable] = given[usable] >= to_microseconds(log["decided_at"])[position[usable]]
    reviews, position, at = reviews[usable], position[usable].astype(np.int64), at[usable]
    order = _sort_reviews(reviews["review_id"], position, at)
    return MatchedReviews(reviews.iloc[order], position[order], at[order], until[usable][order])


def _rows_of_ids(known: "pd.Series[str]", ids: "pd.Series[str]") -> Ints:
    """Return each id's row among the unique known ones, shape (n,); -1 without one."""
    code, distinct = pd.factorize(ids)
    wanted = pa.array(distinct, pa.large_string(), from_pandas=True)
    found = _filled_codes(pc.index_in(to_arrow(known), value_set=wanted), -1)
    rows = np.flatnonzero(found >= 0)
    place = np.full(len(distinct) + 1, -1)  # the last for missing ids
    place[found[rows]] = rows
    return place[code]


def verdict_periods(placed: MatchedReviews, sources: Collection[str]) -> VerdictPeriods:
    """Return the periods of each decision's verdict over time.

    A decision has a verdict once a review from `sources` is known: the share of those reviewers'
    latest verdicts, one vote each. From the first adjudication on, the expert's verdict replaces
    it. Apart from adjudications, only the named sources count. A review counts until a later row
    of its review_id corrects it.

    Parameters
    ----------
    placed
        From `match_reviews`.
    sources
        Sources of verdicts. An adjudication alone makes a verdict only if it is named.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"], utc=True)
    >>> log = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": "d", "reviewed_at": day[1:],
    ...     "source": "audit", "verdict": ["upheld", "overturned"]})
    >>> steps = verdict_periods(match_reviews(log, reviews), ["audit"])
    >>> (steps.errors / UNIT).tolist(), (steps.end - steps.start == DAY).tolist()
    ([0.0, 0.5], [True, False])
    """
    counted = placed.reviews["source"].isin({*sources, ADJUDICATION}).to_numpy(bool)
    return _periods_from_votes(
        _vote_events(placed, np.flatnonzero(counted)), ADJUDICATION in sources
    )


def _sort_reviews(review_id: "pd.Series[str]", position: Ints, at: Ints) -> Ints:
    """Order reviews by decision, then time; equal times by id, as in the ledger."""
    order = np.lexsort((at, position))
    same = (np.diff(position[order]) == 0) & (np.diff(at[order]) == 0)
    if not same.any():
        return order
    tied = order[np.append(same, False) | np.append(False, same)]
    rank = np.zeros(len(order), np.int64)
    rank[tied] = np.argsort(np.argsort(review_id.to_numpy(object)[tied], kind="stable"))
    return np.lexsort((rank, at, position))


@dataclass(frozen=True)
class _VoteEvents:
    """Each reviewer's votes and when they begin, by decision, then time.

    Parameters
    ----------
    position, since
        Shape (m,), the decision, and the moment in microseconds.
    reviewer
        Shape (m,): 0 for experts, -1 for an unnamed review, others for reviewers.
    says
        Shape (m, 3), 0 or 1: has a verdict, finds an error, overturns the action. All are 0 once a
        correction has left the reviewer without a verdict on this decision.
    """

    position: Ints
    since: Ints
    reviewer: Ints
    says: Ints

    def take(self, rows: Ints) -> "_VoteEvents":
        """Pick rows."""
        return _VoteEvents(
            self.position[rows], self.since[rows], self.reviewer[rows], self.says[rows]
        )

    def add(self, other: "_VoteEvents") -> "_VoteEvents":
        """Combine and sort."""
        both = _VoteEvents(
            np.concatenate([self.position, other.position]),
            np.concatenate([self.since, other.since]),
            np.concatenate([self.reviewer, other.reviewer]),
            np.concatenate([self.says, other.says]),
        )
        return both.take(np.lexsort((both.since, both.position)))


def _vote_events(placed: MatchedReviews, rows: Ints) -> _VoteEvents:
    """Return these reviews' verdicts by reviewer, with corrections applied."""
    given, until = placed.reviews.iloc[rows], placed.until[rows]
    verdict = given["verdict"]
    says = np.column_stack([np.ones(len(given)), verdict != UPHELD, verdict == OVERTURNED])
    corrected = bool((until < NEVER).any())
    events = _VoteEvents(
        placed.position[rows],
        placed.moment[rows],
        _reviewer_codes(given, corrected),
        says.astype(np.int64),
    )
    if not corrected:
        return events
    # A correction is mostly the reviewer's next verdict on the decision and so replaces the
    # earlier one. Otherwise the reviewer's verdicts are replayed moment by moment.
    pair = pd.DataFrame({"position": events.position, "reviewer": events.reviewer})
    key = pair.assign(id=given["review_id"].to_numpy(object), at=events.since)
    ended = np.flatnonzero(until < NEVER)
    starts = pd.MultiIndex.from_frame(key[key["id"].duplicated(keep=False)])
    ends = pd.MultiIndex.from_frame(key.iloc[ended].assign(at=until[ended]))
    moved = ended[~ends.isin(starts)]
    if not len(moved):
        return events
    group = pair.groupby(["position", "reviewer"], sort=False).ngroup().to_numpy()
    touched = np.isin(group, group[moved])
    again = np.flatnonzero(touched)
    again = again[np.argsort(group[again], kind="stable")]
    parts = np.split(again, np.flatnonzero(np.diff(group[again])) + 1)
    untouched = events.take(np.flatnonzero(~touched))
    return untouched.add(_replay_votes(events, until, parts))


def _reviewer_codes(given: pd.DataFrame, corrected: bool) -> Ints:
    """Return reviewer codes; unnamed reviews have their own, shared by versions of one review."""
    expert = (given["source"] == ADJUDICATION).to_numpy(bool)
    reviewer = np.full(len(given), -1, dtype=np.int64)
    if "reviewer_id" in given:
        reviewer = pd.factorize(given["reviewer_id"])[0].astype(np.int64)
    reviewer[reviewer >= 0] += 1
    if corrected:
        alone = np.flatnonzero(reviewer < 0)
        ids = pd.factorize(given["review_id"].iloc[alone])[0].astype(np.int64)
        reviewer[alone] = reviewer.max(initial=0) + 1 + ids
    reviewer[expert] = 0
    return reviewer


def _replay_votes(events: _VoteEvents, until: Ints, parts: Sequence[Ints]) -> _VoteEvents:
    """Return each reviewer's latest uncorrected review at every moment."""
    position, at, reviewer, says = [], [], [], []
    for rows in parts:
        for moment in np.unique(np.concatenate([events.since[rows], until[rows]])).tolist():
            if moment == NEVER:
                continue
            valid = rows[(events.since[rows] <= moment) & (until[rows] > moment)]
            position.append(events.position[rows[0]])
            at.append(moment)
            reviewer.append(events.reviewer[rows[0]])
            says.append(events.says[valid[-1]] if len(valid) else np.zeros(3, np.int64))
    return _VoteEvents(
        np.array(position, np.int64),
        np.array(at, np.int64),
        np.array(reviewer, np.int64),
        np.array(says, np.int64).reshape(-1, 3),
    )


def _periods_from_votes(events: _VoteEvents, expert_alone: bool) -> VerdictPeriods:
    position, at, says = events.position, events.since, events.says
    expert = events.reviewer == 0
    change = says - _previous_votes(events)
    change[expert] = 0
    first = np.append(True, np.diff(position) != 0)[: len(position)]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(position)), 0))
    total = np.vstack([np.zeros((1, 3), np.int64), np.cumsum(change, axis=0)])
    votes = total[1:] - total[begin]
    by_expert = np.maximum.accumulate(np.where(expert, np.arange(len(position)), -1))
    settled = (by_expert >= begin) & (says[by_expert, 0] > 0)
    has_verdict = (votes[:, 0] > 0) | (settled & expert_alone)
    state = np.where(settled[:, None], says[by_expert], votes)
    share = np.rint(state[:, 1:] * UNIT / np.maximum(state[:, :1], 1)).astype(np.int64)
    last = np.append((np.diff(position) != 0) | (np.diff(at) != 0), True)[: len(position)]
    row = np.flatnonzero(last)
    end = np.full(len(row), NEVER)
    again = np.flatnonzero(np.diff(position[row]) == 0)
    end[again] = at[row[again + 1]]
    kept = has_verdict[row]
    row = row[kept]
    return VerdictPeriods(position[row], at[row], end[kept], share[row, 0], share[row, 1])


def _previous_votes(events: _VoteEvents) -> Ints:
    """Return the same reviewer's previous verdict on the same decision, zeros if none."""
    out = np.zeros_like(events.says)
    rows = np.flatnonzero(events.reviewer > 0)
    pair = events.position[rows] * (events.reviewer.max(initial=0) + 1) + events.reviewer[rows]
    order = np.argsort(pair, kind="stable")
    again = np.flatnonzero(np.diff(pair[order]) == 0)
    out[rows[order[again + 1]]] = events.says[rows[order[again]]]
    return out
