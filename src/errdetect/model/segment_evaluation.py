"""The held-out evaluation by segment, and that of the policy correction."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.model.evaluation import MODEL, RANDOM, recall_name
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import bootstrap_interval, wilson
from errdetect.stats.ranking_metrics import auroc, auroc_interval, average_precision, recall_at

__all__ = [
    "EVERYTHING",
    "LEAD",
    "MIN_EACH",
    "MIN_HELD_OUT",
    "SEGMENT_COLUMNS",
    "SEGMENT_RATE",
    "SUGGESTED",
    "evaluate_policy_correction",
    "evaluate_segments",
    "is_beaten_by_baseline",
]


Floats = npt.NDArray[np.float64]

#: Held-out wrong labels, and other enforcements, needed for an evaluation.
MIN_HELD_OUT = 5
SEGMENT_RATE = "segment rate"
SUGGESTED, LEAD = "suggested_policy_accuracy", "wrong_label_lead"


def evaluate_policy_correction(
    y: Floats,
    rankings: tuple[Floats, Floats],
    right: "pd.Series[Any]",
    named: "tuple[pd.Series[Any], pd.Series[Any]]",
    weight: Floats,
    *,
    budgets: Sequence[float],
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare the policy correction model with its baselines.

    Parameters
    ----------
    y
        Shape (n,), 1 where the held-out enforcement is a wrong label, else 0.
    rankings
        P(wrong label) by the model, and by the segment rate, shape (n,) each.
    right
        Shape (n,), the correct policy according to reviews; missing where unknown.
    named
        The model's most probable other policy, and the decided policy's most frequent correction,
        shape (n,) each.
    weight
        Shape (n,), decisions that each row represents.
    budgets
        Shares of the enforcements that are reviewed, each in (0, 1].
    resamples, rng
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
    >>> right = pd.Series(["spam", "scam"] * 10)
    >>> table = evaluate_policy_correction(y, (y, 1 - y), right, (right, right), np.ones(20),
    ...                              budgets=[0.5], resamples=50, rng=np.random.default_rng(0))
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

    low, high = bootstrap_interval(measure, weight, resamples=resamples, rng=rng)
    names = ["average_precision", *(recall_name(b) for b in budgets)]
    rows = [(who, f"wrong_label_{n}") for who in (MODEL, SEGMENT_RATE, RANDOM) for n in names]
    frame = pd.DataFrame([*rows, (SEGMENT_RATE, LEAD)], columns=["method", "measure"])
    table = frame.assign(value=measure(weight), low=low, high=high)
    known = (y > 0) & right.notna().to_numpy(bool) & (weight > 0)
    if not known.any():
        return table
    truth, w = right.to_numpy(object)[known], weight[known]
    hits = [_weighted_share(guess.to_numpy(object)[known] == truth, w) for guess in named]
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
    decisions: pd.DataFrame,
    y: Floats,
    p: Floats,
    weight: Floats,
    *,
    columns: Sequence[str],
    budget: float = 0.1,
    min_each: int = MIN_EACH,
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Measure a ranking on all held-out decisions and within each value of some columns.

    Parameters
    ----------
    decisions
        n held-out decisions; missing columns are skipped, missing values belong to no segment.
    y
        Shape (n,), 1 for an error, else 0.
    p
        Shape (n,), the model's calibrated P(error).
    weight
        Shape (n,), decisions that each row represents; rows of weight 0 are left out.
    columns
        Columns to split by. Each is evaluated on its 50 most frequent values.
    budget
        Share of a segment's decisions that is reviewed, in (0, 1].
    min_each
        Errors, and correct decisions, below which a segment's results are suppressed.
    resamples, rng
        For the 95 % intervals; at most 200 resamples are drawn. The interval of `auroc` is
        `auroc_interval`: resampling intervals are too narrow where errors are few.

    Returns
    -------
    pandas.DataFrame
        Columns as `SEGMENT_COLUMNS`: the column split by (`all` for the whole), its value, and for
        each measure its value and interval, NaN where suppressed. Measures: `error_rate`, `auroc`
        (see `auroc`; the one to compare segments by, as it does not rise with the error
        rate), `average_precision`, `recall_at_<percent>` (within the segment), and
        `calibration_gap` (mean P(error) minus the error rate: above 0 means overestimated). n and
        n_errors count rows, unweighted.

    Examples
    --------
    >>> frame = pd.DataFrame({"market": ["DE"] * 40 + ["FR"] * 5})
    >>> y = np.array([1.0, 0] * 22 + [1])
    >>> table = evaluate_segments(frame, y, y, np.ones(45), columns=["market"], resamples=50,
    ...                           rng=np.random.default_rng(0))
    >>> table[table["measure"] == "auroc"][["level", "value", "suppressed"]].values.tolist()
    [[nan, 1.0, False], ['DE', 1.0, False], ['FR', nan, True]]
    """
    # Sorted once, so that the resamples' sorts are fast.
    order = np.argsort(-p, kind="stable")
    order = order[weight[order] > 0]
    decisions, y, p, weight = decisions.iloc[order], y[order], p[order], weight[order]
    names = ["error_rate", "auroc", "average_precision", recall_name(budget), "calibration_gap"]
    rows: list[list[Any]] = []
    for segment, level, inside in _list_segments(decisions, columns):
        ys, ps, ws = y[inside], p[inside], weight[inside]
        n, wrong = len(ys), int(ys.sum())
        suppressed = min(wrong, n - wrong) < min_each
        blank = np.full(len(names), np.nan)
        values, low, high = blank, blank, blank
        if not suppressed:
            measure = _segment_measures(ys, ps, budget)
            values = measure(ws)
            low, high = bootstrap_interval(
                measure, ws, resamples=min(resamples, _MOST_RESAMPLES), rng=rng
            )
            at = names.index("auroc")
            low[at], high[at] = auroc_interval(
                values[at], effective_size(ws[ys > 0]), effective_size(ws[ys <= 0])
            )
        rows += [
            [segment, level, *row, n, wrong, suppressed]
            for row in zip(names, values, low, high, strict=True)
        ]
    table = pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS))
    return table.astype({"level": "str", "n": "int64", "n_errors": "int64", "suppressed": bool})


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
