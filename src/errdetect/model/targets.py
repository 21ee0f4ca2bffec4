"""What probabilities are to be true of, where judges may err or disagree."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from errdetect.model.curves import fit_curve

__all__ = ["calibration_target"]

Floats = npt.NDArray[np.float64]

_TURNS, _SETTLED = 100, 1e-5
_SURE = 1e-6


def calibration_target(
    p_label: Floats,
    basis: str,
    *,
    raw: Floats,
    weight: Floats,
    enforced: npt.NDArray[np.bool_],
) -> Floats:
    """Return what P(error) is calibrated to.

    Where the reviewers' error rates are unknown, what most judges say is the truth. The share of
    votes never is: it is the chance that one more judge objects, which lies nearer to a half than
    the chance that most do, so that rare errors would be overstated.

    Where the rates are known, judgements are evidence. `p_label` weighs it against how often
    decisions are wrong on the whole, and so takes the same doubt to decisions that look right and
    to those that look wrong, which flattens any calibration to it. Here each decision's evidence is
    weighed against what its score says, in turns with the calibration that follows from it.

    Parameters
    ----------
    p_label
        Shape (n,), P(error) given the judgements alone, in [0, 1].
    basis
        `ReviewerModel.basis`: where the error rates come from, `votes` where they are unknown.
    raw
        Shape (n,), held-out log-odds.
    weight
        Shape (n,), decisions that each row stands for; rows of weight 0 teach nothing.
    enforced
        Shape (n,): the decision enforced.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in [0, 1]: `y` for `choose_calibrator`. What is certain stays; a tie of votes
        is a half.

    Notes
    -----
    Expectation maximisation of a logistic curve seen through judgements of known likelihood ratio
    (Raykar et al. 2010, JMLR 11, 1297-1322, with the raters' rates held fixed).

    Examples
    --------
    >>> rows = {"raw": np.array([-3.0, 0.0, 3.0]), "weight": np.ones(3), "enforced": np.ones(3) > 0}
    >>> calibration_target(np.array([0.33, 0.5, 1.0]), "votes", **rows).tolist()
    [0.0, 0.5, 1.0]
    >>> calibration_target(np.array([0.3, 0.3, 1.0]), "dawid_skene", **rows).round(2).tolist()
    [0.01, 0.24, 1.0]
    """
    if basis == "votes":
        return 0.5 + 0.5 * np.sign(p_label - 0.5)
    counted = weight > 0
    known = (p_label > _SURE) & (p_label < 1 - _SURE)
    evidence = logit(np.clip(p_label, _SURE, 1 - _SURE)) - _usual(p_label, weight, enforced)
    target = p_label
    for _ in range(_TURNS if counted.any() else 0):
        curve = fit_curve("platt", raw[counted], target[counted], weight[counted])
        said = logit(curve.probability(raw))
        new = np.where(known, expit(evidence + said), p_label)
        moved, target = np.abs(new - target).max(), new
        if moved < _SETTLED:
            break
    return target


def _usual(p_label: Floats, weight: Floats, enforced: npt.NDArray[np.bool_]) -> Floats:
    """Return the log-odds of error on each decision's side, that `p_label` started from."""
    out = np.zeros(len(p_label))
    for side in (enforced, ~enforced):
        total = weight[side].sum()
        if total > 0:
            mean = float(weight[side] @ p_label[side]) / total
            out[side] = logit(np.clip(mean, _SURE, 1 - _SURE))
    return out
