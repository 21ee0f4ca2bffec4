"""Doubt about the right label: an enforcement is wrong at least as likely as its policy is.

Source: the model of the right policy (see `relabelling`), which weighs every decision by what it
learnt from other content, in training and in scoring alike.
"""

import numpy as np
import pandas as pd

from errdetect.features.matrix import Encoding
from errdetect.model.detector import Examples
from errdetect.model.policy_correction import (
    MIN_RELABELLED,
    Relabelling,
    count_relabelled,
    fit_relabelling,
)
from errdetect.model.surrogate import Log

__all__ = ["fit_doubt"]


def fit_doubt(
    examples: Examples, log: Log, encoding: Encoding, *, leave_out: tuple[str, ...]
) -> Relabelling | None:
    """Learn the right policy from judged enforcements, and from the log's others as far as that helps.

    Parameters
    ----------
    examples
        Labelled decisions, with the right policies that reviews name.
    log
        All decisions of the same time.
    encoding
        Says whether texts are looked at.
    leave_out
        As for `learn_encoding`.

    Returns
    -------
    Relabelling or None
        None where fewer than 20 decisions were relabelled.
    """
    own = examples.decisions
    right = pd.Series(examples.right_policy, index=own.index, dtype="str")
    if "policy_id" not in own or count_relabelled(own, right) < MIN_RELABELLED:
        return None
    free = log.whole[log.whole["enforced"].to_numpy(bool)]
    free = free[~free["decision_id"].isin(own["decision_id"]).to_numpy(bool)]
    frame = pd.concat([own, free], ignore_index=True)
    judged = np.arange(len(frame)) < len(own)
    named = pd.Series(np.append(examples.right_policy, np.full(len(free), None)), dtype="str")
    order = frame.sort_values(["decided_at", "decision_id"], kind="stable").index.to_numpy()
    return fit_relabelling(
        frame.iloc[order].reset_index(drop=True),
        named.iloc[order].reset_index(drop=True),
        judged[order],
        leave_out=leave_out,
        text=encoding.text,
    )
