"""What probabilities are to be true of, where several judges disagree."""

import numpy as np
import numpy.typing as npt

__all__ = ["calibration_target"]

Floats = npt.NDArray[np.float64]


def calibration_target(p_label: Floats, basis: str) -> Floats:
    """Return what P(error) is calibrated to.

    Where the reviewers' error rates are known, a judgement is evidence of the truth, and the target
    is P(error) given the judgements. Where they are not, the truth is what most judges say. The
    share of votes is never the target: it is the chance that one more judge objects, which lies
    nearer to a half than the chance that most do, so that rare errors would be overstated.

    Parameters
    ----------
    p_label
        Shape (n,), from `labels_as_of` with `ReviewerModel.p_error`.
    basis
        `ReviewerModel.basis`.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in [0, 1]; a tie stays a half, unknown stays NaN.

    Examples
    --------
    >>> calibration_target(np.array([0.33, 0.5, 1.0]), "votes").tolist()
    [0.0, 0.5, 1.0]
    >>> calibration_target(np.array([0.33, 0.5, 1.0]), "dawid_skene").tolist()
    [0.33, 0.5, 1.0]
    """
    if basis != "votes":
        return p_label
    return np.where(np.isnan(p_label), p_label, 0.5 + 0.5 * np.sign(p_label - 0.5))
