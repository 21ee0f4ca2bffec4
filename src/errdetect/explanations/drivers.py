"""Drivers of a policy's errors: reasons summed over a bounded sample, with intervals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.explanations.reason_facts import reason_title
from errdetect.explanations.reason_templates import Words
from errdetect.features.feature_matrix import ReferenceDistribution
from errdetect.stats.intervals import critical_value

__all__ = ["DRIVERS", "MIN_DECISIONS", "ExplainedSample", "error_drivers"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: The columns of `error_drivers`.
DRIVERS = (
    "policy_id", "code", "text", "share", "low", "high", "rank", "rank_low", "rank_high", "stable",
    "share_before", "share_after", "change_low", "change_high", "moved", "n_decisions", "example_ids",
)  # fmt: skip
#: Decisions below which a policy's drivers are unknown.
MIN_DECISIONS = 30
_RESAMPLES = 400
_MOST_PLACES = 2  # width of a stable reason's rank interval
_BLOCK = 20_000  # decisions resampled at a time, which bounds memory


@dataclass(frozen=True)
class ExplainedSample:
    """A sample of the decisions of interest, with the contributions of each reason.

    Parameters
    ----------
    decisions
        Shape (n, any), with `decision_id` and `policy_id`.
    grouped
        Shape (n, codes), each reason's contribution to the log-odds of error.
    p_error
        Shape (n,): a decision counts by how likely it is an error.
    stands_for
        Shape (n,), decisions that each represents; default: 1.
    later
        Shape (n,), whether a decision belongs to the later period; default: no periods.
    """

    decisions: pd.DataFrame
    grouped: pd.DataFrame
    p_error: Floats
    stands_for: Floats | None = None
    later: Bools | None = None


def error_drivers(
    sample: ExplainedSample,
    words: Words,
    reference: ReferenceDistribution,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Sum each reason's push towards error, by policy and overall.

    Parameters
    ----------
    sample
        n decisions.
    words
        From `load_templates`.
    reference
        Which columns carry the same information.
    rng
        For the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns as `DRIVERS`, the overall rows first (policy_id missing), then policies by id; in each the
        largest share first, ties by code. share (of all pushes towards error, in [0, 1]) with its
        95 % limits low and high; rank by share, from 1, with limits; stable: whether the rank's
        limits lie within two places and the share's within the share itself, missing with fewer
        than 30 decisions; share_before and share_after in the two periods, the 95 %
        limits of after less before, and moved: whether that is beyond chance after correction for
        the number of reasons (Bonferroni), missing where either period has fewer than 30; example_ids, up to
        three. The text names the reason.

    Notes
    -----
    Percentile intervals of a bootstrap of decisions (Efron and Tibshirani 1993), drawn within each
    policy, so that each keeps its number.

    Examples
    --------
    >>> from errdetect.explanations.reason_templates import load_templates
    >>> frame = pd.DataFrame({"decision_id": [f"d{i}" for i in range(60)], "policy_id": "a"})
    >>> pushes = pd.DataFrame({"market": [3.0] * 60, "margin": [-1.0, 1.0] * 30})
    >>> sample = ExplainedSample(frame, pushes, np.full(60, 0.5))
    >>> rng = np.random.default_rng(0)
    >>> table = error_drivers(sample, load_templates(), ReferenceDistribution(), rng)
    >>> whole = table[table["policy_id"].isna()]
    >>> whole[["text", "share", "rank", "stable"]].values.tolist()[0]
    ['The market', 0.8571428571428571, 1, True]
    """
    decisions, grouped, p_error = sample.decisions, sample.grouped, sample.p_error
    weight = np.ones(len(decisions)) if sample.stands_for is None else sample.stands_for
    codes = np.array(sorted(str(c) for c in grouped.columns), dtype=object)
    push = np.maximum(grouped[list(codes)].to_numpy(np.float64), 0)
    pushed = push * (p_error * weight)[:, None]
    policy = decisions["policy_id"].astype("str").to_numpy(object)
    ids = decisions["decision_id"].to_numpy(object)
    totals = _ResampledTotals(pushed, policy, sample.later, rng)
    titles = {code: reason_title(code, words, reference) for code in codes}
    rows: list[tuple[object, ...]] = []
    for name, chosen in totals.parts():
        found = totals.measure(name)
        if found is None:
            continue
        for g in np.lexsort((codes, -found.share)):
            if found.share[g] <= 0:
                continue
            strength = (push[chosen, g] * p_error[chosen], ids[chosen])
            top = chosen[np.lexsort((strength[1].astype(str), -strength[0]))[:3]]
            examples = [str(ids[i]) for i in top if push[i, g] > 0]
            rows.append((name, codes[g], titles[codes[g]], *found.row(g), len(chosen), examples))
    table = pd.DataFrame(rows, columns=list(DRIVERS))
    kinds = {
        "policy_id": "str",
        "code": "str",
        "text": "str",
        "stable": "boolean",
        "moved": "boolean",
    }
    numbers = [name for name in DRIVERS[3:15] if name not in kinds]
    whole = dict.fromkeys(("rank", "rank_low", "rank_high", "n_decisions"), "int64")
    return table.astype({**dict.fromkeys(numbers, "float64"), **kinds, **whole})


@dataclass(frozen=True)
class _DriverShares:
    """One policy's shares, with their limits, by reason."""

    share: Floats
    limits: Floats
    rank: Ints
    rank_limits: Floats
    stable: Bools | None
    periods: Floats
    change: Floats
    moved: Bools | None

    def row(self, g: int) -> tuple[object, ...]:
        low, high = self.rank_limits[:, g]
        return (
            self.share[g], *self.limits[:, g], self.rank[g], low, high,
            None if self.stable is None else bool(self.stable[g]),
            *self.periods[:, g], *self.change[:, g],
            None if self.moved is None else bool(self.moved[g]),
        )  # fmt: skip


class _ResampledTotals:
    """Pushes summed by policy and period, observed and resampled."""

    def __init__(
        self,
        pushed: Floats,
        policy: npt.NDArray[np.object_],
        later: Bools | None,
        rng: np.random.Generator,
    ) -> None:
        self._pushed, self._policy = pushed, policy
        names = sorted(set(policy.tolist()))
        self._rows = {name: np.flatnonzero(policy == name) for name in names}
        self._later = later
        size = (_RESAMPLES, pushed.shape[1])
        self._sizes: dict[str | None, Ints] = {None: np.zeros(2, np.int64)}
        self._sums: dict[str | None, Floats] = {None: np.zeros((2, *size))}
        for name, rows in self._rows.items():
            sums, sizes = np.zeros((2, *size)), np.zeros(2, np.int64)
            for period, part in enumerate(self._split_periods(rows)):
                sizes[period] = len(part)
                sums[period] = _bootstrap_sums(pushed[part], rng)
            self._sums[name], self._sizes[name] = sums, sizes
            self._sums[None] = self._sums[None] + sums
            self._sizes[None] = self._sizes[None] + sizes

    def parts(self) -> Iterator[tuple[str | None, Ints]]:
        """Return all rows, then each policy's."""
        yield None, np.arange(len(self._policy))
        yield from self._rows.items()

    def measure(self, name: str | None) -> _DriverShares | None:
        """Return the shares overall or of a policy; None where nothing pushes towards error."""
        rows = np.arange(len(self._policy)) if name is None else self._rows[name]
        total = self._pushed[rows].sum(axis=0)
        if total.sum() <= 0:
            return None
        share = total / total.sum()
        drawn = _normalize_sums(self._sums[name].sum(axis=0))
        limits = np.nanquantile(drawn, [0.025, 0.975], axis=0)
        # Bounded by the estimate: a percentile interval of a skewed share may miss it.
        limits = np.array([np.minimum(limits[0], share), np.maximum(limits[1], share)])
        places = _share_ranks(drawn)
        rank = _share_ranks(share[None, :])[0]
        ends = np.quantile(places, [0.025, 0.975], axis=0, method="nearest")
        ends = np.array([np.minimum(ends[0], rank), np.maximum(ends[1], rank)])
        enough = len(rows) >= MIN_DECISIONS
        close = (ends[1] - ends[0] <= _MOST_PLACES) & (limits[1] - limits[0] <= share)
        periods, change, moved = self._share_changes(name, rows)
        stable = np.asarray(close, dtype=np.bool_) if enough else None
        if not enough:  # resamples of a few decisions tell nothing about the others
            limits = np.full_like(limits, np.nan)
        return _DriverShares(share, limits, rank, ends, stable, periods, change, moved)

    def _share_changes(self, name: str | None, rows: Ints) -> tuple[Floats, Floats, Bools | None]:
        unknown = np.full((2, self._pushed.shape[1]), np.nan)
        if self._later is None or (self._sizes[name] < MIN_DECISIONS).any():
            return unknown, unknown, None
        sums = [self._pushed[part].sum(axis=0) for part in self._split_periods(rows)]
        if min(total.sum() for total in sums) <= 0:
            return unknown, unknown, None
        before, after = (total / total.sum() for total in sums)
        drawn = _normalize_sums(self._sums[name][1]) - _normalize_sums(self._sums[name][0])
        low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
        change = np.array([np.minimum(low, after - before), np.maximum(high, after - before)])
        beyond = critical_value(0.95, max(int((before + after > 0).sum()), 1))
        clearly = np.abs(after - before) > beyond * np.nanstd(drawn, axis=0)
        moved = np.asarray(clearly & ((change[0] > 0) | (change[1] < 0)), dtype=np.bool_)
        return np.array([before, after]), change, moved

    def _split_periods(self, rows: Ints) -> tuple[Ints, Ints]:
        if self._later is None:
            return rows, rows[:0]
        return rows[~self._later[rows]], rows[self._later[rows]]


def _bootstrap_sums(pushed: Floats, rng: np.random.Generator) -> Floats:
    """Return the sums of bootstrap resamples of rows, shape (resamples, codes)."""
    n = len(pushed)
    out = np.zeros((_RESAMPLES, pushed.shape[1]))
    if n == 0:
        return out
    step = max(1, _BLOCK * 50 // n)
    even = np.full(n, 1 / n)
    for start in range(0, _RESAMPLES, step):
        counts = rng.multinomial(n, even, size=min(step, _RESAMPLES - start))
        out[start : start + step] = counts @ pushed
    return out


def _normalize_sums(sums: Floats) -> Floats:
    total = sums.sum(axis=1, keepdims=True)
    return np.asarray(sums / np.where(total > 0, total, np.nan), dtype=np.float64)


def _share_ranks(shares: Floats) -> Ints:
    """Return each code's place, from 1 for the largest share; ties in the codes' order."""
    order = np.argsort(-np.nan_to_num(shares), axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(1, shares.shape[1] + 1)[None, :], axis=1)
    return places
