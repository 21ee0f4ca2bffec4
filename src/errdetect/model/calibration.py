"""From a model's log-odds to probabilities that hold, kept only where held-out data says so."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from errdetect.model.metrics import log_loss

__all__ = ["Calibrator", "choose_calibrator"]

Floats = npt.NDArray[np.float64]
Method = Literal["none", "platt", "beta", "isotonic"]

_BLOCKS = 5
_MIN_ERRORS = 10  # fewer held-out errors cannot tell a better calibration from luck
_MIN_ISOTONIC = 500  # labels; steps fitted on fewer follow the noise


@dataclass(frozen=True)
class Calibrator:
    """A rising map from log-odds to probability.

    Parameters
    ----------
    method
        `none` keeps the model's own; `platt` a x + b; `beta` a log p - b log(1-p) + c (Kull et al.
        2017); `isotonic` straight lines between the means of isotonic steps.
    values
        The method's parameters: (a, b), (a, b, c), or knots x then knots y.

    Examples
    --------
    >>> Calibrator("platt", (1.0, 0.0)).probability(np.array([0.0])).tolist()
    [0.5]
    """

    method: Method
    values: tuple[float, ...] = ()

    def probability(self, raw: Floats) -> Floats:
        """Return P(error), shape (n,), in (0, 1), never falling as `raw` rises."""
        v = np.array(self.values)
        if self.method == "platt":
            out = expit(v[0] * raw + v[1])
        elif self.method == "beta":
            out = expit(v[0] * -np.logaddexp(0, -raw) + v[1] * np.logaddexp(0, raw) + v[2])
        elif self.method == "isotonic":
            half = len(v) // 2
            out = np.interp(raw, v[:half], v[half:])
        else:
            out = expit(raw)
        return np.asarray(np.clip(out, 1e-6, 1 - 1e-6), dtype=np.float64)


def choose_calibrator(raw: Floats, y: Floats, weight: Floats) -> Calibrator:
    """Choose the calibration that predicts held-out blocks of time best.

    Parameters
    ----------
    raw
        Shape (n,), held-out log-odds in order of time.
    y
        Shape (n,), 1 for an error, else 0.
    weight
        Shape (n,), decisions that each row stands for.

    Returns
    -------
    Calibrator
        Fitted on all rows. `none` unless another's log loss, predicted block by block, is lower by
        more than one standard error of the difference; the simplest of those that qualify.
    """
    counted = weight > 0
    raw, y, weight = raw[counted], y[counted], weight[counted]
    if min(y.sum(), (1 - y).sum()) < _MIN_ERRORS:
        return Calibrator("none")
    block = np.arange(len(raw)) * _BLOCKS // len(raw)
    methods: list[Method] = ["platt", "beta"]
    if len(raw) >= _MIN_ISOTONIC:
        methods.append("isotonic")
    best, best_loss = Calibrator("none"), _losses(Calibrator("none").probability(raw), y)
    for method in methods:
        out = np.empty(len(raw))
        for k in range(_BLOCKS):
            train, held = block != k, block == k
            out[held] = _fit(method, raw[train], y[train], weight[train]).probability(raw[held])
        loss = _losses(out, y)
        gain = weight * (best_loss - loss)
        if gain.sum() > np.sqrt(len(gain)) * gain.std():
            best, best_loss = _fit(method, raw, y, weight), loss
    return best


def _losses(p: Floats, y: Floats) -> Floats:
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def _fit(method: Method, raw: Floats, y: Floats, weight: Floats) -> Calibrator:
    if method == "isotonic":
        return Calibrator(method, _isotonic(raw, y, weight))
    columns = (
        np.column_stack([raw, np.ones_like(raw)])
        if method == "platt"
        else np.column_stack([-np.logaddexp(0, -raw), np.logaddexp(0, raw), np.ones_like(raw)])
    )
    start = np.array([1.0, 0.0]) if method == "platt" else np.array([1.0, 1.0, 0.0])
    scale = weight.sum()

    def loss(v: Floats) -> tuple[float, Floats]:
        p = expit(columns @ v)
        slope = columns.T @ (weight * (p - y)) / scale
        ridge = 1e-4 * (v - start)  # keeps separable data finite
        return log_loss(y, p, weight) + float(ridge @ (v - start)) / 2, slope + ridge

    bounds = [(1e-3, None)] * (len(start) - 1) + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return Calibrator(method, tuple(float(x) for x in found.x))


def _isotonic(raw: Floats, y: Floats, weight: Floats) -> tuple[float, ...]:
    """Knots at the means of the isotonic steps, so that a ranking keeps its order within them."""
    steps = IsotonicRegression(out_of_bounds="clip").fit_transform(raw, y, sample_weight=weight)
    _, group = np.unique(steps, return_inverse=True)
    total = np.bincount(group, weight)
    x = np.bincount(group, weight * raw) / total
    prior = weight.sum() / len(weight)  # one review's weight, half an error: no step says 0 or 1
    rate = (np.bincount(group, weight * y) + prior / 2) / (total + prior)
    p = IsotonicRegression().fit_transform(x, rate, sample_weight=total)
    return (*(float(v) for v in x), *(float(v) for v in p))
