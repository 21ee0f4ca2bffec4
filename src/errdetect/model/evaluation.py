"""How much better a ranking is than doing without it, measured on decisions it never saw."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.stats.intervals import bootstrap
from errdetect.stats.ranking_metrics import average_precision, calibration_error, recall_at

__all__ = ["MODEL", "RANDOM", "evaluate", "recall_name"]

Floats = npt.NDArray[np.float64]

MODEL, RANDOM = "errdetect", "random"


def recall_name(budget: float) -> str:
    """Name the measure 'recall at a budget'.

    >>> recall_name(0.05), recall_name(0.005)
    ('recall_at_5', 'recall_at_0.5')
    """
    return f"recall_at_{budget * 100:g}"


def evaluate(
    y: Floats,
    p: Floats,
    rankings: Mapping[str, Floats],
    weight: Floats,
    *,
    budgets: Sequence[float],
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Measure a model beside other rankings of the same held-out decisions.

    Parameters
    ----------
    y
        Shape (n,), 1 for an error, else 0.
    p
        Shape (n,), the model's calibrated P(error).
    rankings
        Other rankings by name, each of shape (n,), higher is reviewed first.
    weight
        Shape (n,), decisions that each row stands for.
    budgets
        Shares of the decisions that are reviewed, each in (0, 1].
    resamples, rng
        For the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns method, measure, value, low, high (95 %). Measures: `recall_at_<percent>`,
        `average_precision`, `calibration_error` (the model only), and `lead` (average precision of
        the model less the other's, resampled together). Random is known without a draw.
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
    low, high = bootstrap(measure, weight, resamples=resamples, rng=rng)
    who = [*methods, RANDOM]
    rows = (
        [(m, n) for m in who for n in names]
        + [(MODEL, "calibration_error")]
        + [(m, "lead") for m in who[1:]]
    )
    frame = pd.DataFrame(rows, columns=["method", "measure"])
    return frame.assign(value=value, low=low, high=high)
