"""Compare a ranking with baselines on held-out decisions, overall, by segment, and for the policy correction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from errdetect.errors import DataError, error_message
from errdetect.model.detector import Examples
from errdetect.stats.effective_size import effective_size, effective_sizes
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import bootstrap_interval, critical_value, wilson
from errdetect.stats.ranking_metrics import (
    auroc,
    auroc_interval,
    average_precision,
    calibration_error,
    recall_at,
)
from errdetect.stats.suppression import hidden_groups

__all__ = [
    "EVERYTHING",
    "FIT",
    "LEAD",
    "MIN_EACH",
    "MIN_HELD_OUT",
    "MODEL",
    "RANDOM",
    "SEGMENT_COLUMNS",
    "SEGMENT_RATE",
    "SUGGESTED",
    "TEST",
    "TUNE",
    "Bootstrap",
    "HeldOut",
    "evaluate",
    "evaluate_policy_correction",
    "evaluate_segments",
    "evaluation_weights",
    "is_beaten_by_baseline",
    "recall_name",
    "reliability_by_segment",
    "reliability_table",
    "split_by_time",
]

Floats = npt.NDArray[np.float64]

MODEL, RANDOM = "errdetect", "random"
#: Held-out wrong labels, and other enforcements, needed for an evaluation.
MIN_HELD_OUT = 5
SEGMENT_RATE = "segment rate"
SUGGESTED, LEAD = "suggested_policy_accuracy", "wrong_label_lead"


def recall_name(budget: float) -> str:
    """Return the name of the measure 'recall at a budget'.

    >>> recall_name(0.05), recall_name(0.005)
    ('recall_at_5', 'recall_at_0.5')
    """
    return f"recall_at_{budget * 100:g}"


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are resampled: the number of resamples, and what draws them."""

    resamples: int
    rng: np.random.Generator


def evaluate(
    y: Floats,
    p: Floats,
    rankings: Mapping[str, Floats],
    weight: Floats,
    *,
    budgets: Sequence[float],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Evaluate a model and other rankings on the same held-out decisions.

    Parameters
    ----------
    y
        Shape (n,), 1 for an error, else 0.
    p
        Shape (n,), the model's calibrated P(error).
    rankings
        Other rankings by name, each of shape (n,), highest reviewed first.
    weight
        Shape (n,), decisions that each row represents.
    budgets
        Shares of the decisions that are reviewed, each in (0, 1].
    bootstrap
        For the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns method, measure, value, low, high (95 %). Measures: `recall_at_<percent>`,
        `average_precision`, `calibration_error` (the model only), and `lead` (average precision of
        the model minus the other's, resampled together). Random is computed exactly.
    """
    methods = {MODEL: p, **rankings}
    names = [*(recall_name(b) for b in budgets), "average_precision"]

    def measure(w: Floats) -> Floats:
        share = float((w * y).sum() / w.sum()) if w.sum() > 0 else float("nan")
        per = [
            np.append(recall_at(y, s, budgets, w), average_precision(y, s, w))
            for s in methods.values()
        ]
        per.append(np.append(np.asarray(budgets), share))
        leads = [per[0][-1] - other[-1] for other in per[1:]]
        return np.concatenate([*per, [calibration_error(y, p, w)], leads])

    value = measure(weight)
    low, high = bootstrap_interval(
        measure, weight, resamples=bootstrap.resamples, rng=bootstrap.rng
    )
    who = [*methods, RANDOM]
    rows = (
        [(m, n) for m in who for n in names]
        + [(MODEL, "calibration_error")]
        + [(m, "lead") for m in who[1:]]
    )
    frame = pd.DataFrame(rows, columns=["method", "measure"])
    return frame.assign(value=value, low=low, high=high)


@dataclass(frozen=True)
class HeldOut:
    """The latest labelled decisions, with predictions of a model trained on earlier ones.

    Parameters
    ----------
    examples
        n decisions with their labels.
    p
        Shape (n,), calibrated P(error).
    weight
        Shape (n,), decisions that each row represents in the evaluation; 0 where it represents no
        others.
    """

    examples: Examples
    p: Floats
    weight: Floats


def evaluation_weights(examples: Examples) -> Floats:
    """Return the decisions that each example represents, shape (n,): the design's, where it suffices.

    One each where the audit drew fewer than 5 errors or 5 correct decisions.
    """
    drawn = examples.design > 0
    wrong = int(examples.error[drawn].sum())
    if drawn.all() or min(wrong, int(drawn.sum()) - wrong) >= MIN_HELD_OUT:
        return examples.design
    return np.ones(len(examples))


_FEWEST = 30  # reviews that an estimate needs
_EM_STEPS = 30
_COLUMNS = ["predicted", "observed", "low", "high", "n"]


def reliability_table(
    y: Floats, p: Floats, weight: Floats, bins: int = 10, *, evidence: Floats | None = None
) -> pd.DataFrame:
    """Compare predicted with observed error rates, from the least to the most suspect decisions.

    Parameters
    ----------
    y
        Shape (n,), in [0, 1]: 1 for an error.
    p
        Shape (n,), the predicted P(error).
    weight
        Shape (n,), decisions that each row represents; rows of weight 0 do not count.
    bins
        Largest number of groups, of about equal weight; fewer without 30 reviews for each. Equal
        probabilities share a group.
    evidence
        Shape (n,), the reviews' log-likelihood ratio of an error: the observed rate is then the one
        under which a group's reviews are likeliest, so that reviewers' errors do not count as the
        model's. None where `y` is the truth.

    Returns
    -------
    pandas.DataFrame
        One row per group, by rising `predicted` (mean): `observed` (rate), `low`, `high`
        (95 %, Wilson, for the effective number of reviews), and `n` reviews. Empty below 30 reviews.

    Examples
    --------
    >>> y = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 20)
    >>> reliability_table(y, np.full(100, 0.3), np.ones(100)).round(2).values.tolist()
    [[0.3, 0.2, 0.13, 0.29, 100.0]]
    """
    counted = weight > 0
    y, p, weight = y[counted], p[counted], weight[counted]
    evidence = None if evidence is None else evidence[counted]
    groups = min(bins, len(p) // _FEWEST)
    if groups == 0:
        return pd.DataFrame(columns=_COLUMNS, dtype=np.float64)
    values, place = np.unique(p, return_inverse=True)
    each = sum_by_group(place, weight, len(values))
    middle = (np.cumsum(each) - each / 2) / each.sum()
    group = np.minimum((middle * groups).astype(np.int64), groups - 1)[place]
    place = np.unique(group, return_inverse=True)[1]
    return _average_by_group(place, y, p, weight, evidence)[_COLUMNS]


def reliability_by_segment(
    y: Floats,
    p: Floats,
    weight: Floats,
    segments: pd.DataFrame,
    *,
    evidence: Floats | None = None,
) -> pd.DataFrame:
    """Compare predicted with observed error rates in every segment with at least 30 reviews.

    Parameters
    ----------
    y, p, weight, evidence
        As for `reliability_table`.
    segments
        Shape (n, any): columns such as `policy_id`; missing values belong to no segment, and columns
        with a single value are skipped.

    Returns
    -------
    pandas.DataFrame
        Columns column, value, predicted, observed, low, high, n, and `differs`: whether the gap is significant
        (score test, 5 % over all rows, Bonferroni).

    Examples
    --------
    >>> y = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 40)
    >>> market = pd.DataFrame({"market": ["PL"] * 100 + ["DE"] * 100})
    >>> found = reliability_by_segment(y, np.repeat([0.2, 0.4], 100), np.ones(200), market)
    >>> found[["value", "differs"]].values.tolist()
    [['DE', True], ['PL', False]]
    """
    parts = [pd.DataFrame(columns=["column", "value", *_COLUMNS, "z"])]
    for name in segments.columns:
        code, values = pd.factorize(segments[name].astype("str"), sort=True)
        rows = (weight > 0) & (code >= 0)
        present, place = np.unique(code[rows], return_inverse=True)
        if len(present) < 2:  # a single value equals the overall result
            continue
        own = None if evidence is None else evidence[rows]
        table = _average_by_group(place, y[rows], p[rows], weight[rows], own)
        table.insert(0, "column", str(name))
        table.insert(1, "value", [str(v) for v in np.asarray(values, dtype=object)[present]])
        parts.append(table[table["n"] >= _FEWEST])
    found = pd.concat(parts[1:], ignore_index=True) if len(parts) > 1 else parts[0]
    limit = critical_value(0.95, max(len(found), 1))
    return found.assign(differs=found["z"].abs() > limit).drop(columns="z")


def _expected_by_group(
    group: npt.NDArray[Any], y: Floats, weight: Floats, evidence: Floats | None
) -> Floats:
    """Return P(error) of each row given its reviews, with its group's likeliest rate as prior (EM)."""
    if evidence is None:
        return y
    k = int(group.max()) + 1
    total = sum_by_group(group, weight, k)
    for _ in range(_EM_STEPS):
        rate = np.clip(sum_by_group(group, weight * y, k) / total, 1e-6, 1 - 1e-6)
        y = np.asarray(expit(evidence + logit(rate)[group]), dtype=np.float64)
    return y


def _average_by_group(
    group: npt.NDArray[Any], y: Floats, p: Floats, weight: Floats, evidence: Floats | None
) -> pd.DataFrame:
    """Average by group; `z` is the gap in standard errors under the predicted probabilities.

    Reviews that err tell less: the score's variance at the predicted probabilities shows what share of
    the information they carry, and intervals widen accordingly (Louis 1982).
    """
    k = int(group.max()) + 1
    total = sum_by_group(group, weight, k)
    predicted = sum_by_group(group, weight * p, k) / total
    observed = (
        sum_by_group(group, weight * _expected_by_group(group, y, weight, evidence), k) / total
    )
    given = y if evidence is None else expit(evidence + logit(np.clip(p, 1e-6, 1 - 1e-6)))
    spread = sum_by_group(group, weight**2 * p * (1 - p), k)
    carried: Floats = np.ones(k)
    if evidence is not None:
        carried = np.clip(sum_by_group(group, (weight * (given - p)) ** 2, k) / spread, 0.05, 1.0)
    _, low, high = wilson(observed, carried * effective_sizes(weight, group, k))
    z = sum_by_group(group, weight * (given - p), k) / np.sqrt(spread)
    n = sum_by_group(group, np.ones(len(y)), k).astype(np.int64)
    table = pd.DataFrame({"predicted": predicted, "observed": observed})
    return table.assign(low=low, high=high, n=n, z=z)


FIT, TUNE, TEST = 0, 1, 2


def split_by_time(decided_at: pd.Series, parts: tuple[float, float, float]) -> npt.NDArray[np.int8]:
    """Split decisions by time into fit, tune and test.

    Parameters
    ----------
    decided_at
        Shape (n,), when each decision was taken.
    parts
        Shares of fit, tune and test, summing to 1.

    Returns
    -------
    numpy.ndarray
        Shape (n,), values `FIT`, `TUNE` or `TEST`. Decisions at one moment share a part, so parts do
        not overlap in time.

    Raises
    ------
    DataError
        Where the decisions have too few distinct moments for three parts.

    Examples
    --------
    >>> times = pd.Series(pd.date_range("2026-01-01", periods=10, tz="UTC"))
    >>> split_by_time(times, (0.6, 0.2, 0.2)).tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 2, 2]
    """
    times = pd.DatetimeIndex(decided_at).as_unit("us").asi8
    ordered = np.sort(times)
    n = len(ordered)
    out = np.full(n, FIT, np.int8)
    for code, share in ((TUNE, parts[0]), (TEST, parts[0] + parts[1])):
        place = min(round(share * n), n - 1)
        if n:
            out[times >= ordered[place]] = code
    if n == 0 or len(np.unique(out)) < 3:
        do = "Add decisions from a longer period, or at more distinct moments."
        got = f"{n} decisions at {len(np.unique(times))} moments"
        raise DataError(
            error_message("Labelled decisions", "fall into three parts by time", got, do)
        )
    return out


def evaluate_policy_correction(
    y: Floats,
    rankings: tuple[Floats, Floats],
    policies: pd.DataFrame,
    weight: Floats,
    *,
    budgets: Sequence[float],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Compare the policy correction model with its baselines.

    Parameters
    ----------
    y
        Shape (n,), 1 where the held-out enforcement is a wrong label, else 0.
    rankings
        P(wrong label) by the model, and by the segment rate, shape (n,) each.
    policies
        Shape (n, 3): `correct`, according to reviews, missing where unknown; `suggested`, the model's
        most probable other policy; `usual`, the decided policy's most frequent correction.
    weight
        Shape (n,), decisions that each row represents.
    budgets
        Shares of the enforcements that are reviewed, each in (0, 1].
    bootstrap
        For the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns method, measure, value, low, high (95 %); empty with fewer than 5 wrong labels or
        other enforcements. Measures: `wrong_label_average_precision`,
        `wrong_label_recall_at_<percent>`, `suggested_policy_accuracy` (share of the wrong labels
        whose correct policy is the named one; Wilson's interval with the effective number of rows),
        and `wrong_label_lead` (average precision of the model minus the segment rate's).

    Examples
    --------
    >>> y = np.array([1.0, 0] * 10)
    >>> policies = pd.DataFrame({name: ["spam", "scam"] * 10 for name in ("correct", "suggested", "usual")})
    >>> table = evaluate_policy_correction(y, (y, 1 - y), policies, np.ones(20), budgets=[0.5],
    ...                                    bootstrap=Bootstrap(50, np.random.default_rng(0)))
    >>> table["value"].round(2).tolist()
    [1.0, 1.0, 0.5, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0]
    """
    wrong = int((y[weight > 0] > 0).sum())
    if min(wrong, int((weight > 0).sum()) - wrong) < MIN_HELD_OUT:
        return pd.DataFrame(columns=["method", "measure", "value", "low", "high"])

    def measure(w: Floats) -> Floats:
        per = [np.append(average_precision(y, s, w), recall_at(y, s, budgets, w)) for s in rankings]
        share = float((w * y).sum() / w.sum())
        return np.concatenate([*per, [share], budgets, [per[0][0] - per[1][0]]])

    low, high = bootstrap_interval(
        measure, weight, resamples=bootstrap.resamples, rng=bootstrap.rng
    )
    names = ["average_precision", *(recall_name(b) for b in budgets)]
    rows = [(who, f"wrong_label_{n}") for who in (MODEL, SEGMENT_RATE, RANDOM) for n in names]
    frame = pd.DataFrame([*rows, (SEGMENT_RATE, LEAD)], columns=["method", "measure"])
    table = frame.assign(value=measure(weight), low=low, high=high)
    known = (y > 0) & policies["correct"].notna().to_numpy(bool) & (weight > 0)
    if not known.any():
        return table
    truth, w = policies["correct"].to_numpy(object)[known], weight[known]
    hits = [
        _weighted_share(policies[name].to_numpy(object)[known] == truth, w)
        for name in ("suggested", "usual")
    ]
    accuracy = [
        (who, SUGGESTED, *hit) for who, hit in zip((MODEL, SEGMENT_RATE), hits, strict=True)
    ]
    return pd.concat([table, pd.DataFrame(accuracy, columns=table.columns)], ignore_index=True)


def is_beaten_by_baseline(table: pd.DataFrame) -> bool:
    """Return whether the baseline is significantly better than the model.

    Examples
    --------
    >>> is_beaten_by_baseline(pd.DataFrame({"measure": ["wrong_label_lead"], "high": [-0.1]}))
    True
    """
    return bool((table.loc[table["measure"] == LEAD, "high"].astype(float) < 0).any())


def _weighted_share(hit: npt.NDArray[np.bool_], w: Floats) -> tuple[float, float, float]:
    """Return a weighted share with Wilson's interval for the effective number of rows."""
    share = float((w * hit).sum() / w.sum())
    _, low, high = wilson(np.array([share]), np.array([effective_size(w)]))
    return share, float(low[0]), float(high[0])


#: Held-out errors, and correct decisions, below which a segment's results are suppressed.
MIN_EACH = 10
#: The `segment` of the row for all held-out decisions.
EVERYTHING = "all"
SEGMENT_COLUMNS = (
    "segment", "level", "measure", "value", "low", "high", "n", "n_errors", "suppressed",
)  # fmt: skip
_MOST_LEVELS = 50
_MOST_RESAMPLES = 200


def evaluate_segments(
    held: HeldOut,
    columns: Sequence[str],
    bootstrap: Bootstrap,
    *,
    budget: float = 0.1,
    min_each: int = MIN_EACH,
    minimum: int = 1,
) -> pd.DataFrame:
    """Measure a ranking on all held-out decisions and within each value of some columns.

    Parameters
    ----------
    held
        The held-out decisions; missing columns are skipped, missing values belong to no segment, and
        rows of weight 0 are left out.
    columns
        Columns to split by. Each is evaluated on its 50 most frequent values.
    bootstrap
        For the 95 % intervals; at most 200 resamples are drawn. The interval of `auroc` is
        `auroc_interval`: resampling intervals are too narrow where errors are few.
    budget
        Share of a segment's decisions that is reviewed, in (0, 1].
    min_each
        Errors, and correct decisions, below which a segment's results are suppressed.
    minimum
        Decisions below which a segment has neither results nor a count of errors, nor has the next smallest
        segment that would reveal them.

    Returns
    -------
    pandas.DataFrame
        Columns as `SEGMENT_COLUMNS`: the column split by (`all` for the whole), its value, and for
        each measure its value and interval, NaN where suppressed (by `minimum`: n_errors is missing, too).
        Measures: `error_rate`, `auroc`
        (see `auroc`; the one to compare segments by, as it does not rise with the error
        rate), `average_precision`, `recall_at_<percent>` (within the segment), and
        `calibration_gap` (mean P(error) minus the error rate: above 0 means overestimated). n and
        n_errors count rows, unweighted.

    Examples
    --------
    >>> frame = pd.DataFrame({"market": ["DE"] * 40 + ["FR"] * 5})
    >>> y = np.array([1.0, 0] * 22 + [1])
    >>> held = HeldOut(Examples(frame, y, y, np.ones(45), np.ones(45)), y, np.ones(45))
    >>> table = evaluate_segments(held, ["market"], Bootstrap(50, np.random.default_rng(0)))
    >>> table[table["measure"] == "auroc"][["level", "value", "suppressed"]].values.tolist()
    [[nan, 1.0, False], ['DE', 1.0, False], ['FR', nan, True]]
    """
    # Sorted once, so that the resamples' sorts are fast.
    order = np.argsort(-held.p, kind="stable")
    order = order[held.weight[order] > 0]
    decisions, y = held.examples.decisions.iloc[order], held.examples.error[order]
    p, weight = held.p[order], held.weight[order]
    names = ["error_rate", "auroc", "average_precision", recall_name(budget), "calibration_gap"]
    rows: list[list[Any]] = []
    segments = _list_segments(decisions, columns)
    hidden = _hidden_segments(segments, minimum)
    for (segment, level, inside), hide in zip(segments, hidden, strict=True):
        ys, ps, ws = y[inside], p[inside], weight[inside]
        n, wrong = len(ys), int(ys.sum())
        suppressed = hide or min(wrong, n - wrong) < min_each
        blank = np.full(len(names), np.nan)
        values, low, high = blank, blank, blank
        if not suppressed:
            measure = _segment_measures(ys, ps, budget)
            values = measure(ws)
            low, high = bootstrap_interval(
                measure, ws, resamples=min(bootstrap.resamples, _MOST_RESAMPLES), rng=bootstrap.rng
            )
            at = names.index("auroc")
            low[at], high[at] = auroc_interval(
                values[at], effective_size(ws[ys > 0]), effective_size(ws[ys <= 0])
            )
        rows += [
            [segment, level, *row, n, None if hide else wrong, suppressed]
            for row in zip(names, values, low, high, strict=True)
        ]
    table = pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS))
    return table.astype({"level": "str", "n": "int64", "n_errors": "Int64", "suppressed": bool})


def _hidden_segments(
    segments: Sequence[tuple[str, str | None, npt.NDArray[np.bool_]]], minimum: int
) -> list[bool]:
    """Return which segments are too small to show, or would reveal those, by the shown total.

    Rows without a value, or with a rare one, are a further segment of their column, never shown.
    """
    sizes = [int(inside.sum()) for _, _, inside in segments]
    hidden = [0 < size < minimum for size in sizes]
    for name in {segment for segment, level, _ in segments if level is not None}:
        own = [
            i
            for i, (segment, level, _) in enumerate(segments)
            if (segment, level is None) == (name, False)
        ]
        rest = len(segments[0][2]) - sum(sizes[i] for i in own)
        n = np.array([*(sizes[i] for i in own), rest], dtype=np.int64)
        marked = hidden_groups(n, minimum, [np.zeros(len(n), np.int64)])
        for i, one in zip(own, marked[:-1], strict=True):
            hidden[i] = bool(one)
    return hidden


def _segment_measures(y: Floats, p: Floats, budget: float) -> Callable[[Floats], Floats]:
    def measure(w: Floats) -> Floats:
        total = float(w.sum())
        rate = float((w * y).sum() / total) if total > 0 else float("nan")
        predicted = float((w * p).sum() / total) if total > 0 else float("nan")
        found = recall_at(y, p, [budget], w)[0]
        order = [auroc(y, p, w), average_precision(y, p, w), found]
        return np.array([rate, *order, predicted - rate])

    return measure


def _list_segments(
    decisions: pd.DataFrame, columns: Sequence[str]
) -> list[tuple[str, str | None, npt.NDArray[np.bool_]]]:
    """List all decisions, then each column's values: most rows first, ties by name."""
    out: list[tuple[str, str | None, npt.NDArray[np.bool_]]] = [
        (EVERYTHING, None, np.ones(len(decisions), dtype=bool))
    ]
    for name in columns:
        if name not in decisions:
            continue
        values = decisions[name].astype("str")
        counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        out += [
            (name, str(level), (values == level).fillna(False).to_numpy(bool))
            for level in counts.head(_MOST_LEVELS).index
        ]
    return out
