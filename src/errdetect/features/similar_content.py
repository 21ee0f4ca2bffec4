"""Earlier verdicts on similar content: equal and near-duplicate texts, items and images.

Decisions are similar if they share a key: that of the folded text, a near-duplicate key, the item,
or an image hash. Similarity depends only on the two decisions, never on the rest of the log, and
only events strictly before a decision's `decided_at` count for it.

Texts are folded first: case is dropped, and anything but letters and pictograms becomes one space,
in any script. Near-duplicates are found by MinHash (Broder, "On the resemblance and containment of
documents", 1997) over character n-grams, banded so that two texts share a key with probability
1 - (1 - J**5)**6, where J is the share of n-grams in common: 17 % at J = .5, 67 % at .7, 91 % at .8.
All steps are integer arithmetic on arrays, identical on every machine.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

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
    "BANDS",
    "SIMILAR",
    "SIMILAR_COLUMNS",
    "SimilarContentIndex",
    "content_keys",
    "counts_before",
    "mix_bits",
    "near_duplicate_groups",
    "similar_features",
    "similarity_columns",
    "with_content_keys",
]

Hashes = npt.NDArray[np.uint64]

#: Near-duplicate keys per text.
BANDS = 6
_ROWS = 5  # MinHash values per key
_RUN = 4  # characters per n-gram
_MAX_CHARS = 2_000
_BLOCK_CHARS = 400_000
_CACHED = 16_384  # characters whose hashes fit into the processor's cache
_SAME = 0.7  # estimated share of common n-grams from which texts are near-duplicates
_SPACE, _END = 32, 0
_KEPT = {"L", "M", "So"}  # letters, their marks, pictograms
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The prefix of this module's columns.
SIMILAR = "similar_"

_ANYONE = (AUDIT, RE_REVIEW, APPEAL, REPORT, ADJUDICATION)
_TEXT, _NEAR = "text_key", "near_key_"
#: The suffixes of each kind's columns.
SIMILAR_COLUMNS = ("reviewed", "violates", "wrong", "days", "decisions", "enforced_rate")
_CHUNK = 16_384


def content_keys(texts: pd.Series) -> Ints:
    """Return the keys that equal and near-duplicate texts share.

    Parameters
    ----------
    texts
        Shape (n,); missing values allowed.

    Returns
    -------
    numpy.ndarray
        int64, shape (n, 1 + `BANDS`): first the key of the whole folded text, then the
        near-duplicate keys. 0 without text, or with only digits and signs.

    Examples
    --------
    >>> keys = content_keys(pd.Series(["Buy  gold, 50% off!", "buy gold -- 70 % OFF", "?", None]))
    >>> bool((keys[0] == keys[1]).all()), keys[2:].any()
    (True, np.False_)
    """
    return _minhash_texts(texts, keep=False)[0]


def near_duplicate_groups(texts: pd.Series) -> Ints:
    """Group equal and near-duplicate texts.

    Groups depend on all given texts, so use them for folds, not for features.

    Parameters
    ----------
    texts
        Shape (n,); missing values allowed.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,), in order of appearance. A text without letters is its own group.
        The texts' order does not affect the grouping.

    Examples
    --------
    >>> near_duplicate_groups(pd.Series(["One gold ring, as new", "other", "one gold ring as new!", None])).tolist()
    [0, 1, 0, 2]
    """
    keys, minima = _minhash_texts(texts, keep=True)
    n = len(keys)
    present = np.flatnonzero(keys[:, 0])
    by_content = present[np.argsort(keys[present, 0], kind="stable")]
    pairs = []
    for column in range(1 + BANDS):
        # Each bucket's members are compared with the one whose content has the lowest key.
        order = by_content[np.argsort(keys[by_content, column], kind="stable")]
        bucket = keys[order, column]
        start = np.append(True, bucket[1:] != bucket[:-1])[: len(order)]
        first = order[np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))]
        alike = (minima[order] == minima[first]).mean(axis=1) >= _SAME
        pairs.append(np.stack([order[alike], first[alike]]))
    left, right = np.hstack(pairs)
    graph = sparse.coo_matrix((np.ones(len(left), bool), (left, right)), shape=(n, n))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    numbered: Ints = pd.factorize(group)[0].astype(np.int64)
    return numbered


def _minhash_texts(texts: pd.Series, *, keep: bool) -> tuple[Ints, Hashes]:
    """Return `content_keys` and the MinHash values behind them, shape (n, BANDS * _ROWS) or none."""
    clean = texts.astype("str").fillna("").str.slice(0, _MAX_CHARS)
    keys = np.zeros((len(clean), 1 + BANDS), np.int64)
    minima = np.zeros((len(clean) if keep else 0, BANDS * _ROWS), np.uint64)
    sizes = clean.str.len().to_numpy(np.int64) + 1
    block = np.cumsum(sizes) // _BLOCK_CHARS
    edges = np.append(np.flatnonzero(np.diff(block, prepend=-1)), len(clean))
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        whole, low = _minhash_block(_normalise_texts(clean.iloc[part].tolist()))
        bands = _mixed_columns(low.reshape(len(low), BANDS, _ROWS))
        bands = mix_bits(bands ^ np.arange(1, BANDS + 1, dtype=np.uint64))
        some = whole != 0
        keys[part, 0] = whole.view(np.int64)
        keys[part, 1:] = np.where(some[:, None], bands.view(np.int64), 0)
        if keep:
            minima[part] = low
    return keys, minima


def _normalise_texts(texts: list[str]) -> npt.NDArray[np.uint32]:
    """Fold texts, and concatenate their code points, each followed by `_END`."""
    whole = "\0".join(texts)
    if whole.count("\0") != len(texts) - 1:
        whole = "\0".join(text.replace("\0", " ") for text in texts)
    raw = (whole + "\0").casefold().encode("utf-32-le", "surrogatepass")
    chars = np.frombuffer(raw, np.uint32)
    letter = np.zeros(0x110000, bool)
    for code in np.flatnonzero(np.bincount(chars, minlength=1)):
        kind = unicodedata.category(chr(code))
        letter[code] = kind in _KEPT or kind[0] in _KEPT
    end, kept = chars == _END, letter[chars]
    before = np.append(True, ~kept[:-1])  # a space only after a letter, and not at the end
    chars = np.where(kept | end, chars, np.uint32(_SPACE))[kept | end | ~before]
    trailing = np.append((chars[:-1] == _SPACE) & (chars[1:] == _END), False)
    folded: npt.NDArray[np.uint32] = chars[~trailing]
    return folded


def _minhash_block(chars: npt.NDArray[np.uint32]) -> tuple[Hashes, Hashes]:
    """Return each whole text's key (0 for none) and its MinHash values."""
    ends = np.flatnonzero(chars == _END)
    starts = np.append(0, ends[:-1] + 1)
    sizes = ends - starts
    place = np.arange(len(chars)) - np.repeat(starts, sizes + 1)
    wide = chars.astype(np.uint64)
    whole = np.add.reduceat(mix_bits(wide ^ (place.astype(np.uint64) << np.uint64(32))), starts)
    # Texts wrap around at their end, so that short ones have n-grams too.
    runs = np.zeros(len(chars), np.uint64)
    follow = np.repeat(starts, sizes + 1)
    around = np.repeat(sizes + 1, sizes + 1)
    for step in range(_RUN):
        at = follow + (place + step) % around
        runs = mix_bits(runs ^ wide[at])
    low = np.empty((len(starts), BANDS * _ROWS), np.uint64)
    salts = mix_bits(np.arange(1, BANDS * _ROWS + 1, dtype=np.uint64))
    edges = np.append(np.flatnonzero(np.diff(starts // _CACHED, prepend=-1)), len(starts))
    for first, last in pairwise(edges):
        begin, end = starts[first], ends[last - 1] + 1
        some, own = runs[begin:end], starts[first:last] - begin
        mixed = np.empty_like(some)
        for j, salt in enumerate(salts):
            np.bitwise_xor(some, salt, out=mixed)
            np.multiply(mixed, salt | np.uint64(1), out=mixed)
            np.minimum.reduceat(mixed, own, out=low[first:last, j])
    return np.where(sizes > 0, whole | np.uint64(1), np.uint64(0)), low


def mix_bits(x: Hashes) -> Hashes:
    """Hash numbers to 64 bits (SplitMix64; Steele, Lea and Flood, 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mixed_columns(x: Hashes) -> Hashes:
    """Hash the last axis into one number."""
    out = np.zeros(x.shape[:-1], np.uint64)
    for j in range(x.shape[-1]):
        out = mix_bits(out ^ x[..., j])
    return out


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
    keys
        The log's values and `similarity_columns`, if they were numbered already.
    shared
        The kinds of similarity to compute; default: those that decisions of the log share.
    """

    def __init__(
        self,
        log: pd.DataFrame,
        reviews: pd.DataFrame | None,
        keys: tuple[ColumnLevels, Mapping[str, list[str]]] | None = None,
        shared: Collection[str] | None = None,
    ) -> None:
        at = to_microseconds(log["decided_at"])
        steps = verdict_periods(match_reviews(log, reviews), _ANYONE)
        if keys is None:
            kinds = similarity_columns(log)
            keys = ColumnLevels(log, [name for names in kinds.values() for name in names]), kinds
        self._levels, kinds = keys
        self._clock, self._review_clock = EventClock(at), EventClock(steps.start, steps.end)
        self._given = steps.start
        tick = self._clock.ticks(at)
        enforced = log["enforced"].to_numpy(bool)
        self._columns = kinds
        self._kinds: dict[str, list[_SimilarGroups]] = {}
        for kind, names in kinds.items():
            if shared is not None and kind not in shared:
                continue
            groups = [KeyGroups(self._levels, [name]) for name in names]
            if shared is not None or any(
                len(group) < int((group.codes >= 0).sum()) for group in groups
            ):
                self._kinds[kind] = [
                    _SimilarGroups(
                        group, tick, enforced, steps, len(self._clock), self._review_clock
                    )
                    for group in groups
                ]

    def columns(
        self,
        targets: pd.DataFrame,
        codes: Mapping[str, npt.NDArray[np.int32]] | None = None,
        earlier: Mapping[str, Ints] | None = None,
    ) -> pd.DataFrame:
        """Look up verdicts on similar content; see `similar_features`.

        Parameters
        ----------
        targets
            Shape (n, any), from `with_content_keys`.
        codes
            Their value codes in the levels, if known already; then only `decided_at` is needed.
        earlier
            Column of `similarity_columns` -> earlier decisions with the same value and how many of them
            were enforced, shape (n, 2), if they were counted elsewhere; then the index's log need only
            hold the reviewed decisions.

        Returns
        -------
        pandas.DataFrame
            float64, shape (n, columns).
        """
        at = to_microseconds(targets["decided_at"])
        codes = self._levels.of(targets) if codes is None else codes
        now, reviewed = self._clock.ticks(at), self._review_clock.ticks(at)
        out = np.empty((len(at), len(self._kinds) * len(SIMILAR_COLUMNS)))
        for i, (kind, alikes) in enumerate(self._kinds.items()):
            counted = None
            if earlier is not None:
                counted = np.stack([earlier[name] for name in self._columns[kind]])
            groups = np.stack([alike.groups.of(codes) for alike in alikes])
            for start in range(0, len(at), _CHUNK):
                part = slice(start, start + _CHUNK)
                own = None if counted is None else counted[:, part]
                moments = (now[part], reviewed[part], at[part])
                found = self._best_match_columns(alikes, groups[:, part], moments, own)
                out[part, i * len(SIMILAR_COLUMNS) : (i + 1) * len(SIMILAR_COLUMNS)] = found
        names = [f"{SIMILAR}{kind}_{name}" for kind in self._kinds for name in SIMILAR_COLUMNS]
        return pd.DataFrame(
            out, index=targets.index, columns=pd.Index(names, dtype="str"), copy=False
        )

    def _best_match_columns(
        self,
        alikes: list["_SimilarGroups"],
        groups: Ints,
        moments: tuple[Ints, Ints, Ints],
        counted: Ints | None,
    ) -> Floats:
        """Return the columns of one kind, shape (n, 6), from the key with most evidence."""
        now, reviewed, at = moments
        own: Sequence[Ints | None] = [None] * len(alikes) if counted is None else list(counted)
        counts = np.stack(
            [a.counts(g, now, reviewed, n) for a, g, n in zip(alikes, groups, own, strict=True)]
        )
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
        codes = groups.codes
        self.decisions = EventTally(codes, tick, enforced.astype(np.int64)[:, None], ticks)
        code, acted = codes[steps.position], enforced[steps.position]
        # Content of an overturned enforcement does not violate; of an overturned approval it does.
        violates = np.where(acted, UNIT - steps.overturned, steps.overturned)
        values = np.column_stack([steps.errors, violates])
        self._end = clock.ticks(steps.end)
        self.verdicts = EventTally(code, clock.ticks(steps.start), values, len(clock))
        self.revised = EventTally(code, self._end, values, len(clock))

    def latest_verdict(self, group: Ints, reviewed: Ints) -> Ints:
        """Return the row of each group's latest verdict that still stands; -1 without one."""
        return self.verdicts.latest_before(group, reviewed, self._end)

    def counts(self, group: Ints, now: Ints, reviewed: Ints, decided: Ints | None = None) -> Ints:
        """Return reviewed, wrong, violating, decisions, enforced; shape (n, 5)."""
        verdicts = self.verdicts.sums_before(group, reviewed) - self.revised.sums_before(
            group, reviewed
        )
        return np.hstack(
            [verdicts, counts_before(self.decisions, group, now) if decided is None else decided]
        )


def counts_before(decisions: EventTally, group: Ints, now: Ints) -> Ints:
    """Count a group's decisions, and the enforced ones, before a tick.

    Parameters
    ----------
    decisions
        The log's, with one value: whether it was enforced.
    group, now
        Shape (n,).

    Returns
    -------
    numpy.ndarray
        int64, shape (n, 2).

    Examples
    --------
    >>> tally = EventTally(np.array([0, 0]), np.array([0, 1]), np.array([[1], [0]]), 2)
    >>> counts_before(tally, np.zeros(2, np.int64), np.array([1, 2])).tolist()
    [[1, 1], [2, 1]]
    """
    start = np.zeros(len(group), np.int64)
    return decisions.sums_before(group, now) - decisions.sums_before(group, start)


def similarity_columns(log: pd.DataFrame) -> Mapping[str, list[str]]:
    """Return the columns of each kind of similarity that a log has."""
    kinds: dict[str, list[str]] = {}
    if _TEXT in log:
        kinds["text"] = [_TEXT]
        kinds["near"] = [f"{_NEAR}{band}" for band in range(BANDS)]
    if "item_id" in log:
        kinds["item"] = ["item_id"]
    kinds |= {name: [name] for name in sorted(hash_columns(log))}
    return kinds
