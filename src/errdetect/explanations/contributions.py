"""Contributions of each feature to the served log-odds: exact, and checked row by row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from errdetect.errors import ModelError, error_message
from errdetect.model.bundle import ModelBundle
from errdetect.model.calibration import Calibrator

__all__ = ["Contributions", "check_additivity", "log_odds_contributions"]

Floats = npt.NDArray[np.float64]

_MOST_GAP = 1e-6
_STEP = 1e-4  # step of the slope where a decision equals the base
_SAME = 1e-9


@dataclass(frozen=True)
class Contributions:
    """Decisions' log-odds of error, by feature.

    Parameters
    ----------
    names
        The k features, then the columns with a calibration offset of their own.
    values
        Shape (n, k), contribution of each to the served log-odds.
    base
        Shape (n,), the served log-odds of an average decision of the same side.
    served
        Shape (n,), the served log-odds: base and all values added up.
    """

    names: tuple[str, ...]
    values: Floats
    base: Floats
    served: Floats


def log_odds_contributions(
    bundle: ModelBundle, X: Floats, decisions: pd.DataFrame, threads: int = 1
) -> Contributions:
    """Decompose the served log-odds of error into contributions of the features.

    Parameters
    ----------
    bundle
        The served model.
    X
        Shape (n, k), the decisions' features.
    decisions
        Shape (n, any), with `enforced`.
    threads
        Processors used.

    Returns
    -------
    Contributions
        SHAP values of trees (TreeSHAP, Lundberg et al. 2020) and terms of linear members, averaged
        as the members are. The calibration is a rising curve of each side and, for some columns,
        an offset. Along the straight path from the base to the decision each feature's share of the
        model's log-odds is constant, so each gets that share of the calibrated difference
        (Aumann and Shapley 1974; the rescale rule of Shrikumar et al. 2017): the values are
        multiplied by the curve's mean slope on that path, and keep their signs and order. An offset
        belongs to its column.

    Raises
    ------
    ModelError
        Where base and values do not add up to the served log-odds.
    """
    offsets = [o for o in bundle.calibrator.offsets if o.column in decisions]
    names = (*bundle.detector.encoding.names, *(o.column for o in offsets))
    if not len(decisions):  # LightGBM cannot explain no rows
        return Contributions(names, np.empty((0, len(names))), np.empty(0), np.empty(0))
    parts = bundle.detector.contributions(X, threads)
    enforced = decisions["enforced"].to_numpy(bool)
    base_raw, raw = parts[:, -1], parts.sum(axis=1)
    base, slope = _mean_slope(bundle.calibrator, base_raw, raw, enforced)
    added = [o.of(decisions[o.column]) for o in offsets]
    values = np.column_stack([parts[:, :-1] * slope[:, None], *added])
    served = np.asarray(logit(bundle.probability(X, decisions, threads)), dtype=np.float64)
    check_additivity(base + values.sum(axis=1), served)
    return Contributions(names, values, base, served)


def check_additivity(total: Floats, served: Floats) -> None:
    """Refuse an explanation that does not add up to the served log-odds.

    Parameters
    ----------
    total, served
        Shape (n,), log-odds.

    Raises
    ------
    ModelError
        Where any row differs by more than 1e-6, and by more than a probability can hold.

    Examples
    --------
    >>> check_additivity(np.array([0.5]), np.array([0.5 + 1e-9]))
    """
    # Log-odds far from 0 are only as exact as a float probability near 0 or 1.
    fine = 4 * np.finfo(np.float64).eps * (2 + np.exp(np.abs(served)))
    gap = np.abs(total - served)
    wrong = ~(gap <= _MOST_GAP + fine)
    if wrong.any():
        got = f"{int(wrong.sum()):,} of {len(gap):,} that differ, by up to {gap.max():.3g}"
        what, must = "Every explained decision's reasons", "add up to its log-odds of error"
        do = "The model's files may be damaged: train again with `errdetect train`."
        raise ModelError(error_message(what, must, got, do))


def _mean_slope(
    calibrator: Calibrator, base: Floats, raw: Floats, enforced: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return the curve at the base, and its mean slope from there to the decision."""

    def curve(x: Floats) -> Floats:
        return np.asarray(logit(calibrator.probability(x, enforced)), dtype=np.float64)

    way = raw - base
    same = np.abs(way) < _SAME
    start = curve(base)
    near = (curve(base + _STEP) - curve(base - _STEP)) / (2 * _STEP)
    slope = np.where(same, near, (curve(raw) - start) / np.where(same, 1, way))
    return start, slope
