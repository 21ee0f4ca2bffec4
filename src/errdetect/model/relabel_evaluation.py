"""How well wrong labels are found, and the right policy named, on decisions held out by time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.model.evaluation import MODEL, RANDOM, recall_name
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import bootstrap, wilson
from errdetect.stats.ranking_metrics import average_precision, recall_at

__all__ = ["LEAD", "MIN_HELD_OUT", "SEGMENT_RATE", "SUGGESTED", "evaluate_relabelling", "loses"]

Floats = npt.NDArray[np.float64]

#: Held-out wrong labels, and other enforcements, below which nothing is measured.
MIN_HELD_OUT = 5
SEGMENT_RATE = "segment rate"
SUGGESTED, LEAD = "suggested_policy_accuracy", "wrong_label_lead"


def evaluate_relabelling(
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
    """Measure the model of the right label beside doing without one.

    Parameters
    ----------
    y
        Shape (n,), 1 where the held-out enforcement is a wrong label, else 0.
    rankings
        P(wrong label) by the model, and by the segment rate, shape (n,) each.
    right
        Shape (n,), the right policy by the reviews; missing where unknown.
    named
        The likeliest other policy by the model, and the usual correction of the decided policy,
        shape (n,) each.
    weight
        Shape (n,), decisions that each row stands for.
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
        whose right policy is the one named; Wilson's interval with the effective number of rows),
        and `wrong_label_lead` (average precision of the model less the segment rate's).

    Examples
    --------
    >>> y = np.array([1.0, 0] * 10)
    >>> right = pd.Series(["spam", "scam"] * 10)
    >>> table = evaluate_relabelling(y, (y, 1 - y), right, (right, right), np.ones(20),
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

    low, high = bootstrap(measure, weight, resamples=resamples, rng=rng)
    names = ["average_precision", *(recall_name(b) for b in budgets)]
    rows = [(who, f"wrong_label_{n}") for who in (MODEL, SEGMENT_RATE, RANDOM) for n in names]
    frame = pd.DataFrame([*rows, (SEGMENT_RATE, LEAD)], columns=["method", "measure"])
    table = frame.assign(value=measure(weight), low=low, high=high)
    known = (y > 0) & right.notna().to_numpy(bool) & (weight > 0)
    if not known.any():
        return table
    truth, w = right.to_numpy(object)[known], weight[known]
    hits = [_share(guess.to_numpy(object)[known] == truth, w) for guess in named]
    said = [(who, SUGGESTED, *hit) for who, hit in zip((MODEL, SEGMENT_RATE), hits, strict=True)]
    return pd.concat([table, pd.DataFrame(said, columns=table.columns)], ignore_index=True)


def loses(table: pd.DataFrame) -> bool:
    """Say whether doing without a model is better beyond doubt.

    Examples
    --------
    >>> loses(pd.DataFrame({"measure": ["wrong_label_lead"], "high": [-0.1]}))
    True
    """
    return bool((table.loc[table["measure"] == LEAD, "high"].astype(float) < 0).any())


def _share(hit: npt.NDArray[np.bool_], w: Floats) -> tuple[float, float, float]:
    """Return a weighted share with Wilson's limits for the effective number of rows."""
    share = float((w * hit).sum() / w.sum())
    _, low, high = wilson(np.array([share]), np.array([effective_size(w)]))
    return share, float(low[0]), float(high[0])
