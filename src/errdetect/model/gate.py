"""The gate: may this model be registered? Yes, no, or nobody can tell yet."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.model.evaluation import MODEL, RANDOM

__all__ = ["Verdict", "judge"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """The gate's answer and why, in plain words."""

    answer: Literal["validated", "rejected", "unknown"]
    why: str


def judge(evaluation: pd.DataFrame, y: Floats, *, min_errors: int) -> Verdict:
    """Judge a model by its held-out evaluation.

    Parameters
    ----------
    evaluation
        From `evaluate`.
    y
        Shape (n,), the held-out labels, 1 for an error.
    min_errors
        Fewer held-out errors, or fewer correct decisions, cannot tell.

    Returns
    -------
    Verdict
        `rejected` where the model is no better than a random order, or where its average precision
        is below a ranking without a model beyond doubt (the interval of the lead lies below 0).

    Examples
    --------
    >>> judge(pd.DataFrame(), np.array([1.0, 0.0, 0.0]), min_errors=5).answer
    'unknown'
    """
    wrong, right = int(y.sum()), int((1 - y).sum())
    if min(wrong, right) < min_errors:
        why = (
            f"the held-out decisions hold {wrong} errors and {right} correct ones; "
            f"at least {min_errors} of each are needed to tell. Review more decisions"
        )
        return Verdict("unknown", why)
    leads = evaluation[evaluation["measure"] == "lead"].set_index("method")[["value", "high"]]
    if float(leads["value"][RANDOM]) <= 0:
        return Verdict("rejected", "its ranking is no better than a random order")
    for method, value, high in leads.drop(index=RANDOM).itertuples():
        if float(high) < 0:
            why = f"its average precision is below the '{method}' ranking's by {-value:.3f}"
            return Verdict("rejected", f"{why} (at least {-high:.3f})")
    table = evaluation.set_index(["method", "measure"])["value"].astype(float)
    ap = table[MODEL, "average_precision"]
    return Verdict(
        "validated",
        f"average precision {ap:.3f} on {len(y)} held-out decisions, {wrong} of them errors",
    )
