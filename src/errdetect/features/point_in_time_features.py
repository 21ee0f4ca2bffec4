"""Point-in-time features: columns of what was known before each decision.

Histories are of each account, policy, account under a policy, market under a policy and moderator's version:
volumes, enforcement rates, error rates. Only events strictly before a decision's `decided_at` count for it:
other decisions from when they were decided, verdicts from when they were given. So training and scoring see
the same.
"""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.review_versions import latest_versions
from errdetect.features.point_in_time import (
    DAY,
    UNIT,
    ColumnLevels,
    EventClock,
    EventTally,
    KeyGroups,
    VerdictPeriods,
    match_reviews,
    sort_by_group,
    to_microseconds,
    verdict_periods,
)
from errdetect.features.similar_content import (
    SIMILAR,
    SIMILAR_COLUMNS,
    SimilarContentIndex,
    similarity_columns,
    with_content_keys,
)
from errdetect.features.version_changes import VersionChanges
from errdetect.labels.review_history import known_at
from errdetect.schemas import APPEAL, AUDIT, GOLDEN, RE_REVIEW, REPORT, hash_columns

__all__ = [
    "HISTORY",
    "HISTORY_KEYS",
    "WINDOWS",
    "EarlierDecisions",
    "HistoryIndex",
    "PastColumns",
    "PointInTimeFeatures",
    "add_columns",
    "add_point_in_time_features",
    "history_features",
    "history_key_columns",
    "needed_windows",
    "slim_frames",
    "version_change_days",
    "window_counts",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

#: The prefix of this module's columns.
HISTORY = "history_"
#: The histories' windows, in days.
WINDOWS = (7, 30, 90)
#: The keys that have histories, and the columns that identify them.
HISTORY_KEYS: Mapping[str, tuple[str, ...]] = {
    "account": ("account_id",),
    "policy": ("policy_id",),
    "account_policy": ("account_id", "policy_id"),
    "market_policy": ("market", "policy_id"),
    "moderator": ("moderator", "moderator_version"),
}

_KEY_COLUMNS = sorted({name for key in HISTORY_KEYS.values() for name in key})

_DRAWN, _COMPLAINTS = (AUDIT, RE_REVIEW), (APPEAL, REPORT)
_PRIOR = 5.0  # prior weight of the overall rate, in decisions
_LONGEST = WINDOWS[-1]
_CHUNK = 65_536  # rows at a time, to fit into the processor's cache
_THREADS = 2  # numpy looks up and copies without Python's lock; every thread fills its own rows
#: Reviewed decisions that support all histories; with a tenth of it, only those of accounts.
_MANY = 10_000
_FEW = re.compile(rf"{HISTORY}account_.*_{WINDOWS[-1]}d$")
#: Share of the reviewed decisions that must have an earlier similar one.
_SHARED, _ALIKE = 0.02, "_decisions"
_ALWAYS = ("decision_id", "decided_at", "enforced", "item_id", "text")


def history_features(
    targets: pd.DataFrame, log: pd.DataFrame, reviews: pd.DataFrame | None
) -> pd.DataFrame:
    """Compute decisions' history features as known when each was taken.

    Parameters
    ----------
    targets
        Shape (n, any), decisions with `decided_at`.
    log
        Shape (m, any), all known decisions, which may include the targets; with `decision_id`
        (unique), `decided_at`, `enforced`, and any of account_id, policy_id, market, moderator,
        moderator_version.
    reviews
        With the contract's columns; None for none.

    Returns
    -------
    pandas.DataFrame
        float64, shape (n, columns), in the targets' order and with their index. For each key KEY
        of `HISTORY_KEYS` whose columns the log has, with two groups or more, and each window W of
        `WINDOWS`: `history_KEY_decisions_Wd`; `history_KEY_enforced_rate_Wd`;
        `history_KEY_reviewed_Wd`, decisions with a verdict by an audit or re-review (adjudications
        overrule it) that is at most W days old;
        `history_KEY_error_rate_Wd` among these. For the longest window also
        `history_KEY_errors_90d`, and separately, from appeals and reports, which are not a random
        sample, `history_KEY_complaints_90d`, `history_KEY_complaint_error_rate_90d`. Rates shrink
        towards those of all decisions in the same window, as known then, by the weight of five
        decisions; NaN without data. Then `history_moderator_version_days` since the moderator's
        version was first seen, NaN for the first version seen; and `history_policy_change_days`
        since a moderator last changed its version under the policy, NaN before any change.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "decision_id": ["d1", "d2", "d3"], "account_id": ["a", "b", "a"],
    ...     "decided_at": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-05"], utc=True),
    ...     "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1"], "decision_id": ["d1"], "source": ["audit"],
    ...     "reviewed_at": pd.to_datetime(["2026-01-03"], utc=True), "verdict": ["overturned"]})
    >>> told = history_features(log, log, reviews)
    >>> told[["history_account_decisions_7d", "history_account_errors_90d"]].values.tolist()
    [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    """
    return HistoryIndex(log, reviews).columns(targets)


@dataclass(frozen=True)
class _KeyTallies:
    """One key's events: decisions; verdicts and complaints by when they start and end."""

    groups: KeyGroups
    decisions: EventTally
    starts: EventTally
    ends: Mapping[int, EventTally]
    complaints: EventTally
    complaints_end: EventTally


@dataclass(frozen=True)
class EarlierDecisions:
    """What a log holds before each of n decisions, if it was counted elsewhere.

    Parameters
    ----------
    overall
        Shape (n, twice the windows): decisions and enforced ones in each of `needed_windows`, of all keys.
    by_key
        Key of `HISTORY_KEYS` -> the same of the decision's own key; every key that has two groups or more.
    days
        From `version_change_days`.
    """

    overall: Ints
    by_key: Mapping[str, Ints]
    days: Mapping[str, Floats]


class HistoryIndex:
    """A log and its reviews, sorted once, to compute any decisions' histories.

    Parameters
    ----------
    log, reviews
        As for `history_features`.
    levels
        The log's values, if they were numbered already.
    keys
        The keys to compute; default: those that split the log's decisions.
    keep
        Returns whether a column is needed, by name; keys and windows without any are left out.
    """

    def __init__(
        self,
        log: pd.DataFrame,
        reviews: pd.DataFrame | None,
        levels: ColumnLevels | None = None,
        keys: Collection[str] | None = None,
        keep: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._windows = needed_windows(keep)
        at = to_microseconds(log["decided_at"])
        placed = match_reviews(log, reviews)
        drawn, complaints = (verdict_periods(placed, names) for names in (_DRAWN, _COMPLAINTS))
        ends = {w: np.minimum(drawn.start + w * DAY, drawn.end) for w in self._windows}
        complaints_end = np.minimum(complaints.start + _LONGEST * DAY, complaints.end)
        self._clock = EventClock(at)
        self._drawn_clock = EventClock(drawn.start, *ends.values())
        self._complaint_clock = EventClock(complaints.start, complaints_end)
        self._levels = levels or ColumnLevels(log, _KEY_COLUMNS)
        tick = self._clock.ticks(at)
        enforced = log["enforced"].to_numpy(bool).astype(np.int64)[:, None]
        by_time = np.argsort(tick, kind="stable")
        tick, enforced = tick[by_time], enforced[by_time]

        start = self._drawn_clock.ticks(drawn.start)
        end = {w: self._drawn_clock.ticks(ends[w]) for w in self._windows}
        upset, settled = map(self._complaint_clock.ticks, (complaints.start, complaints_end))

        def tallies(groups: KeyGroups) -> _KeyTallies:
            return _KeyTallies(
                groups,
                EventTally(groups.codes[by_time], tick, enforced, len(self._clock)),
                _tally_verdicts(groups, drawn, start, self._drawn_clock),
                {w: _tally_verdicts(groups, drawn, at, self._drawn_clock) for w, at in end.items()},
                _tally_verdicts(groups, complaints, upset, self._complaint_clock),
                _tally_verdicts(groups, complaints, settled, self._complaint_clock),
            )

        self._whole = tallies(KeyGroups(self._levels, []))
        found = dict(_key_groups(self._levels, keys, keep))
        with ThreadPoolExecutor(_THREADS) as pool:
            self._keys = dict(zip(found, pool.map(tallies, found.values()), strict=True))
        changes = map(keep, VersionChanges.NAMES)
        self._changes = VersionChanges(self._levels, at) if any(changes) else None

    def columns(
        self,
        targets: pd.DataFrame,
        codes: Mapping[str, Codes] | None = None,
        earlier: EarlierDecisions | None = None,
    ) -> pd.DataFrame:
        """Compute decisions' histories; see `history_features`.

        Parameters
        ----------
        targets
            Shape (n, any).
        codes
            Their value codes in the levels, if known already; then only `decided_at` is needed.
        earlier
            The decisions before each, if they were counted elsewhere; then the index's log need only
            hold the reviewed decisions.

        Returns
        -------
        pandas.DataFrame
            float64, shape (n, columns).
        """
        at = to_microseconds(targets["decided_at"])
        codes = self._levels.of(targets) if codes is None else codes
        by_time = np.argsort(at, kind="stable")
        moments = self._moments(at.take(by_time))
        counted = None if earlier is None else earlier.overall[by_time]
        overall = self._overall_rates(moments, counted)
        own = _feature_names(self._windows)
        names = [f"{HISTORY}{key}_{name}" for key in self._keys for name in own]
        changes: Mapping[str, Floats] = {} if earlier is None else earlier.days
        if earlier is None and self._changes is not None:
            changes = self._changes.days(codes, at)
        out = np.empty((len(at), len(names) + len(changes)), order="F")
        width = len(own)

        def fill(i: int, key: str, group: Ints, rows: Ints) -> None:
            whose, own = group.take(rows), None
            if earlier is not None:
                own = earlier.by_key[key][by_time.take(rows)]
            counts = _window_counts(self._keys[key], whose, moments.take(rows, axis=0), own)
            block = _counts_and_rates(counts, overall.take(rows, axis=1), whose < 0)
            places = by_time.take(rows)
            for column, values in enumerate(block, start=i * width):
                out[:, column][places] = values

        with ThreadPoolExecutor(_THREADS) as pool:
            parts = []
            for i, (key, tallies) in enumerate(self._keys.items()):
                group = tallies.groups.of(codes)[by_time]
                for start in range(0, len(group), _CHUNK):
                    # neighbours in the log are looked up together
                    rows = start + sort_by_group(group[start : start + _CHUNK])
                    parts.append(pool.submit(fill, i, key, group, rows))
            for part in parts:
                part.result()
        for i, days in enumerate(changes.values(), start=len(names)):
            out[:, i] = days
        columns = pd.Index([*names, *changes], dtype="str")
        return pd.DataFrame(out, index=targets.index, columns=columns, copy=False)

    def _overall_rates(self, moments: Ints, counted: Ints | None) -> Floats:
        """Return the overall rates at each moment, shape (twice the windows + 1, n)."""
        n = len(moments)
        out = np.empty((2 * len(self._windows) + 1, n))
        for start in range(0, n, _CHUNK):
            part = slice(start, start + _CHUNK)
            now = moments[part]
            own = None if counted is None else counted[part]
            counts = _window_counts(self._whole, np.zeros(len(now), np.int64), now, own)
            with np.errstate(invalid="ignore", divide="ignore"):
                out[:, part] = counts[1::2] / _units(counts) / counts[::2]
        return out

    def _moments(self, at: Ints) -> Ints:
        """Return the ticks that `_window_counts` needs, shape (n, 3 + windows)."""
        now = [clock.ticks(at) for clock in (self._clock, self._drawn_clock, self._complaint_clock)]
        return np.column_stack([*now, *(self._clock.ticks(at - w * DAY) for w in self._windows)])


def needed_windows(keep: Callable[[str], bool] = lambda _: True) -> tuple[int, ...]:
    """Return those of `WINDOWS` that some needed column counts in, and the longest.

    Examples
    --------
    >>> needed_windows(), needed_windows(lambda name: name == "history_account_decisions_7d")
    ((7, 30, 90), (7, 90))
    """
    return tuple(w for w in WINDOWS if w == _LONGEST or _needs(keep, [w]))


def _needs(
    keep: Callable[[str], bool], windows: Sequence[int], keys: Iterable[str] = HISTORY_KEYS
) -> bool:
    """Return whether any column of these keys over these windows is needed."""
    names = [name for name in _feature_names(WINDOWS) if name.endswith(tuple(map(_days, windows)))]
    return any(keep(f"{HISTORY}{key}_{name}") for key in keys for name in names)


def _days(window: int) -> str:
    return f"_{window}d"


def history_key_columns(names: Collection[str]) -> dict[str, list[str]]:
    """Return the columns of each key of `HISTORY_KEYS` that a log with these columns has.

    Examples
    --------
    >>> history_key_columns(["account_id", "moderator_version"])
    {'account': ['account_id'], 'moderator': ['moderator_version']}
    """
    found = {key: [n for n in columns if n in names] for key, columns in HISTORY_KEYS.items()}
    return {
        key: own
        for key, own in found.items()
        if own == list(HISTORY_KEYS[key]) or own == ["moderator_version"]
    }


def _key_groups(
    levels: ColumnLevels, keys: Collection[str] | None, keep: Callable[[str], bool]
) -> Iterator[tuple[str, KeyGroups]]:
    """Group the log by every needed key whose columns it has and that splits its decisions, or by some."""
    for key, names in history_key_columns(levels.values).items():
        if not _needs(keep, WINDOWS, [key]) or (keys is not None and key not in keys):
            continue
        groups = KeyGroups(levels, names)
        if keys is not None or len(groups) > 1:
            yield key, groups


def window_counts(decisions: EventTally, group: Ints, now: Ints, since: Sequence[Ints]) -> Ints:
    """Count a group's decisions, and the enforced ones, in each of `WINDOWS`.

    Parameters
    ----------
    decisions
        The log's, with one value: whether it was enforced.
    group, now
        Shape (n,), whose decisions to count, and up to which tick.
    since
        The windows' first ticks, shape (n,) each.

    Returns
    -------
    numpy.ndarray
        int64, shape (n, 6).

    Examples
    --------
    >>> tally = EventTally(np.array([0, 0]), np.array([0, 1]), np.array([[1], [0]]), 2)
    >>> start = np.zeros(1, np.int64)
    >>> window_counts(tally, start, np.array([2]), [start, start, np.array([1])]).tolist()
    [[2, 1, 2, 1, 1, 0]]
    """
    decided = decisions.sums_before(group, now)
    return np.hstack([decided - decisions.sums_before(group, then) for then in since])


def _tally_verdicts(
    groups: KeyGroups, steps: VerdictPeriods, tick: Ints, clock: EventClock
) -> EventTally:
    """Tally the errors of verdicts by when these start or end."""
    return EventTally(groups.codes[steps.position], tick, steps.errors[:, None], len(clock))


def _units(counts: Ints) -> Floats:
    """Return the units in the pairs of `_window_counts`: enforced decisions and shares of verdicts."""
    return np.array([1, UNIT] * (len(counts) // 4) + [UNIT], dtype=np.float64)[:, None]


def _feature_names(windows: Sequence[int]) -> list[str]:
    names = [
        f"{what}_{w}d"
        for w in windows
        for what in ("decisions", "enforced_rate", "reviewed", "error_rate")
    ]
    last = f"{_LONGEST}d"
    return [*names, f"complaints_{last}", f"complaint_error_rate_{last}", f"errors_{last}"]


def _window_counts(
    tallies: _KeyTallies, group: Ints, moments: Ints, counted: Ints | None = None
) -> Ints:
    """Return pairs of a count and its enforced or wrong part, shape (2 + 4 times the windows, n)."""
    now, drawn, complained, *since = moments.T
    decided = window_counts(tallies.decisions, group, now, since) if counted is None else counted
    given = tallies.starts.sums_before(group, drawn)
    pairs = []
    for i, ends in enumerate(tallies.ends.values()):
        pairs.append(decided[:, 2 * i : 2 * i + 2].T)
        pairs.append((given - ends.sums_before(group, drawn)).T)
    complaints = tallies.complaints.sums_before(group, complained)
    pairs.append((complaints - tallies.complaints_end.sums_before(group, complained)).T)
    return np.vstack(pairs)


def _counts_and_rates(counts: Ints, overall: Floats, missing: npt.NDArray[np.bool_]) -> Floats:
    """Turn pairs of counts into counts and rates, one row for each of `_feature_names`."""
    out = np.empty((len(counts) + 1, counts.shape[1]))
    n = counts[::2].astype(np.float64)
    hits = counts[1::2] / _units(counts)
    out[:-1:2] = n
    out[-1] = hits[-2]  # the longest window's
    hits += _PRIOR * overall
    hits /= n + _PRIOR
    hits[n == 0] = np.nan
    out[1::2] = hits
    out[:, missing] = np.nan
    return out


def version_change_days(versions: pd.DataFrame, targets: pd.DataFrame) -> dict[str, Floats]:
    """Return days since versions changed, as in `history_features`, from when each was first seen.

    Parameters
    ----------
    versions
        `decided_at` of the first decision of each combination of those of policy_id, moderator and
        moderator_version that the log has.
    targets
        Shape (n, any), decisions.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> log = pd.DataFrame({"decided_at": day, "policy_id": "p", "moderator_version": ["1", "2"]})
    >>> version_change_days(log, log.assign(decided_at=day[1] + pd.Timedelta(days=2)))["history_policy_change_days"]
    array([2., 2.])
    """
    levels = ColumnLevels(versions, _KEY_COLUMNS)
    changes = VersionChanges(levels, to_microseconds(versions["decided_at"]))
    return changes.days(levels.of(targets), to_microseconds(targets["decided_at"]))


class PastColumns(Protocol):
    """Adds the columns of what was known before decisions."""

    def add(self, decisions: pd.DataFrame, rows: Ints | None = None) -> pd.DataFrame:
        """Return a copy of decisions with the columns added; `rows` are their positions in the log, if known."""


class PointInTimeFeatures:
    """All known decisions and reviews, indexed for what was known before any decision.

    Only events strictly before a decision's `decided_at` count, whenever the columns are computed,
    so training and scoring see the same.

    Parameters
    ----------
    frames
        Decisions, one frame or many; of duplicates, the first counts. Only the needed columns are
        kept, texts as hashes.
    reviews
        With the contract's columns; None for none.
    history, similar
        Which blocks of columns to compute.
    keep
        Returns whether to keep a column, by name; default all.
    slim
        Earlier decisions with the needed columns only, texts hashed; they come first.
    sink
        Called with the needed columns of each of `frames`, in order.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "item_id": ["i", "i"], "enforced": True,
    ...     "decided_at": pd.to_datetime(["2026-01-01", "2026-01-05"], utc=True)})
    >>> PointInTimeFeatures([log], None, history=True, similar=True).add(log)["similar_item_decisions"].tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        frames: Iterable[pd.DataFrame],
        reviews: pd.DataFrame | None,
        *,
        history: bool,
        similar: bool,
        keep: Callable[[str], bool] = lambda _: True,
        slim: Iterable[pd.DataFrame] = (),
        sink: Callable[[pd.DataFrame], None] = lambda _: None,
    ) -> None:
        self._keep = keep
        self._similar: SimilarContentIndex | None = None
        self._history: HistoryIndex | None = None
        if not (history or similar):
            return
        every = _combine_frames(chain(slim, slim_frames(frames, similar, sink)))
        first = ~every["decision_id"].duplicated().to_numpy(bool)
        kinds = similarity_columns(every) if similar else {}
        kinds = {kind: names for kind, names in kinds.items() if any(map(keep, _columns_of(kind)))}
        wanted = {*(_KEY_COLUMNS if history else ()), *(n for some in kinds.values() for n in some)}
        log = every.loc[first, list(_ALWAYS[:3])].reset_index(drop=True)
        self._levels = ColumnLevels(every, [str(name) for name in every if name in wanted]).bare()
        del every
        levels = self._levels if first.all() else self._levels.take(first)
        self._history = HistoryIndex(log, reviews, levels, keep=keep) if history else None
        self._similar = SimilarContentIndex(log, reviews, (levels, kinds)) if similar else None

    @classmethod
    def for_model_columns(
        cls,
        names: Sequence[str],
        frames: Iterable[pd.DataFrame],
        reviews: pd.DataFrame | None,
        *,
        slim: Iterable[pd.DataFrame] = (),
        sink: Callable[[pd.DataFrame], None] = lambda _: None,
    ) -> Self:
        """Compute the columns that a model uses; if none, the frames are not read.

        Parameters
        ----------
        names
            The model's features.
        frames, reviews, slim, sink
            As for the class.
        """
        history, similar = (any(n.startswith(p) for n in names) for p in (HISTORY, SIMILAR))
        keep = set(names).__contains__
        return cls(
            frames, reviews, history=history, similar=similar, keep=keep, slim=slim, sink=sink
        )

    def add(self, decisions: pd.DataFrame, rows: Ints | None = None) -> pd.DataFrame:
        """Return a copy of decisions with the columns added; existing ones are replaced.

        `rows` are their positions among the decisions of all frames, where they are some of these:
        that saves looking up their values.
        """
        if self._history is None and self._similar is None:
            return decisions
        if rows is None:
            codes = self._levels.of(_needed_columns(decisions, self._similar is not None))
        else:
            codes = self._levels.codes_of(rows)
        blocks = [
            past.columns(decisions, codes)
            for past in (self._history, self._similar)
            if past is not None
        ]
        return add_columns(decisions, blocks, self._keep)


def add_columns(
    decisions: pd.DataFrame, blocks: Sequence[pd.DataFrame], keep: Callable[[str], bool]
) -> pd.DataFrame:
    """Return a copy of decisions with the columns to keep of some blocks; existing ones are replaced.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": [1], "b": [2]})
    >>> add_columns(frame, [pd.DataFrame({"b": [3], "c": [4]})], lambda name: name == "b").to_dict("records")
    [{'a': 1, 'b': 3}]
    """
    parts = [part[[name for name in part if keep(str(name))]] for part in blocks]
    made = {str(name) for part in parts for name in part}
    own = decisions[[name for name in decisions if name not in made]]
    return pd.concat([own, *parts], axis=1)


def add_point_in_time_features(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    history: bool,
    similar: bool,
    as_of: datetime | None,
) -> pd.DataFrame:
    """Add the point-in-time columns with enough data to learn from.

    With fewer than 10,000 reviewed decisions, only account histories over the longest window are
    kept. A kind of similarity is kept only where a fiftieth of the reviewed decisions have an
    earlier similar one: every further column is another chance to overfit.

    Parameters
    ----------
    decisions
        All that are known, labelled or not.
    reviews
        With the contract's columns.
    history, similar
        Which blocks of columns to compute.
    as_of
        Only reviews known by then count; None for all.
    """
    known = reviews if as_of is None else reviews[known_at(reviews) <= as_of]
    table = PointInTimeFeatures([decisions], known, history=history, similar=similar).add(decisions)
    current = latest_versions(known)
    people = current.loc[current["source"] != GOLDEN, "decision_id"]
    judged = decisions["decision_id"].isin(people).to_numpy(bool)
    names, idle = [str(name) for name in table], set[str]()
    if judged.sum() < _MANY:
        idle = {name for name in names if name.startswith(HISTORY) and not _FEW.match(name)}
    for name in names:
        if not (name.startswith(SIMILAR) and name.endswith(_ALIKE)):
            continue
        found = table[name].to_numpy()[judged] > 0
        if found.sum() < _SHARED * len(found) or not len(found):
            kind = name.removesuffix(_ALIKE)
            idle |= _columns_of(kind.removeprefix(SIMILAR))
    return table[[name for name in names if name in decisions or name not in idle]]


def _columns_of(kind: str) -> set[str]:
    """Return the columns of a kind of similarity."""
    return {f"{SIMILAR}{kind}_{what}" for what in SIMILAR_COLUMNS}


def slim_frames(
    frames: Iterable[pd.DataFrame], similar: bool, sink: Callable[[pd.DataFrame], None]
) -> Iterator[pd.DataFrame]:
    """Keep the needed columns, hashing some frames' texts while the next ones are read.

    Parameters
    ----------
    frames
        Decisions.
    similar
        Whether the columns of `similar_content` are needed.
    sink
        Called with each result, in order.
    """

    def handed(slim: pd.DataFrame) -> pd.DataFrame:
        sink(slim)
        return slim

    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = deque[Future[pd.DataFrame]]()
        for frame in frames:
            waiting.append(pool.submit(_needed_columns, frame, similar))
            if len(waiting) >= _THREADS:
                yield handed(waiting.popleft().result())
        while waiting:
            yield handed(waiting.popleft().result())


def _combine_frames(frames: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Put frames one below the other, column by column: each part is let go at once."""
    parts = list(frames)
    names = [str(name) for name in parts[0]] if parts else []
    if any(list(part) != names for part in parts):
        return pd.concat(parts, ignore_index=True)
    columns: dict[str, pd.Series] = {}
    for name in names:
        own: list[pd.Series] = [part[name] for part in parts]
        columns[name] = pd.concat(own, ignore_index=True)
        for part in parts:
            del part[name]
    return pd.DataFrame(columns, copy=False)


def _needed_columns(frame: pd.DataFrame, similar: bool) -> pd.DataFrame:
    """Keep the columns that histories need."""
    needed = {*_ALWAYS, *(name for key in HISTORY_KEYS.values() for name in key)}
    if not similar:
        needed -= {"text", "item_id"}
    hashes = hash_columns(frame) if similar else []
    names = [n for n in frame if n in needed or n in hashes]
    return with_content_keys(frame[names])
