"""Contributions of each feature to the served log-odds, exact and checked row by row, and their plots.

Beeswarm and dependence plots have a text alternative.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from errdetect.errors import ModelError, error_message
from errdetect.model.bundle import ModelBundle
from errdetect.model.calibration import Calibrator

if TYPE_CHECKING:
    import shap
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MOST_BYTES",
    "Contributions",
    "Plot",
    "beeswarm_plot",
    "check_additivity",
    "dependence_plot",
    "log_odds_contributions",
]

Floats = npt.NDArray[np.float64]

_MOST_GAP = 1e-6
_STEP = 1e-4  # step of the slope where a decision equals the base
_SAME = 1e-9
#: Maximum size of a plot.
MOST_BYTES = 60_000
_MOST_SHOWN, _MOST_POINTS = 10, 2_000
_SIZE, _DPI = (8.0, 4.6), (110, 90, 70, 50)
_COLOURS = 64
_SIDE = "action"  # the machine's action: a fact often supports one side and opposes the other
_LOOK = {
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


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
    enforced = decisions["enforced"].to_numpy(bool)
    offsets = bundle.calibrator.offset_terms(decisions, enforced)
    names = (*bundle.detector.encoding.names, *(name for name, _ in offsets))
    if not len(decisions):  # LightGBM cannot explain no rows
        return Contributions(names, np.empty((0, len(names))), np.empty(0), np.empty(0))
    parts = bundle.detector.contributions(X, threads)
    base_raw, raw = parts[:, -1], parts.sum(axis=1)
    base, slope = _mean_slope(bundle.calibrator, base_raw, raw, enforced)
    values = np.column_stack([parts[:, :-1] * slope[:, None], *(added for _, added in offsets)])
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


@dataclass(frozen=True)
class Plot:
    """One plot.

    Parameters
    ----------
    title
        What it shows.
    alt
        Text alternative.
    png
        The image.
    """

    title: str
    alt: str
    png: bytes


def beeswarm_plot(
    grouped: pd.DataFrame,
    values: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    about: str,
    rng: np.random.Generator,
) -> Plot:
    """Plot each reason's contribution, one point per decision.

    Parameters
    ----------
    grouped
        Shape (n, codes), each reason's contribution to the log-odds of error.
    values
        Shape (n, codes), a number that stands for each reason's fact and colours its point; NaN
        where there is none.
    titles
        Code -> the reason's name.
    about
        Description of the decisions.
    rng
        Scatters overlapping points.

    Returns
    -------
    Plot
        At most 60 KB; the strongest reasons, at most ten.

    Raises
    ------
    ValueError
        Where there is no decision.

    Examples
    --------
    >>> pushes = pd.DataFrame({"market": [0.5, -0.25], "price": [0.125, 0.0]})
    >>> titles = {"market": "The market", "price": "price"}
    >>> plot = beeswarm_plot(pushes, pushes, titles, about="two decisions", rng=np.random.default_rng(0))
    >>> plot.png[1:4], len(plot.png) <= MOST_BYTES
    (b'PNG', True)
    """
    import shap  # with matplotlib, most of a second that only plots need

    if not len(grouped):
        raise ValueError("there must be at least one decision to show")
    rows = _sample_points(len(grouped), rng)
    mean = grouped.abs().mean().to_numpy(np.float64)
    codes = [str(grouped.columns[i]) for i in np.lexsort((grouped.columns, -mean))][:_MOST_SHOWN]
    explained = _shap_explanation(grouped.iloc[rows], values.iloc[rows], codes, titles)
    title = f"What goes with errors: {about}"
    with _isolated_figure(rng) as (figure, axes):
        shap.plots.beeswarm(
            explained, ax=axes, max_display=_MOST_SHOWN, show=False, plot_size=None,
            color_bar_label="Value of the fact", group_remaining_features=False,
        )  # fmt: skip
        axes.set_xlabel("Away from error  ←  log-odds of error  →  towards error")
        axes.set_title(_shorten_label(title, 80), loc="left", fontsize=11)
        png = _render_png(figure)
    summary = ", ".join(
        f"{titles[c]} {float(grouped[c].mean()):+.2f} on average, from {float(grouped[c].min()):+.2f} "
        f"to {float(grouped[c].max()):+.2f}"
        for c in codes[:3]
    )
    return Plot(
        title, f"{title}. Strongest of {len(codes)} shown, in log-odds of error: {summary}.", png
    )


def dependence_plot(
    code: str,
    grouped: pd.DataFrame,
    values: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    about: str,
    rng: np.random.Generator,
) -> Plot:
    """Plot one reason's contribution against its fact, one point per decision.

    Parameters
    ----------
    code
        The reason.
    grouped, values, titles, about, rng
        As for `beeswarm_plot`.

    Raises
    ------
    ValueError
        Where no decision has a number for the fact.

    Examples
    --------
    >>> pushes = pd.DataFrame({"price": [0.5, -0.25]})
    >>> plot = dependence_plot("price", pushes, pushes, {"price": "price"}, about="two decisions",
    ...                   rng=np.random.default_rng(0))
    >>> plot.title
    'price and errors: two decisions'
    """
    import shap

    x, y = values[code].to_numpy(np.float64), grouped[code].to_numpy(np.float64)
    known = np.flatnonzero(np.isfinite(x))
    if not len(known):
        raise ValueError(f"no decision has a number for {code!r}")
    rows = known[_sample_points(len(known), rng)]
    both = code != _SIDE and _SIDE in titles and values[_SIDE].iloc[rows].nunique() == 2
    side = [_SIDE] if both else []
    explained = _shap_explanation(grouped.iloc[rows], values.iloc[rows], [code, *side], titles)
    title = f"{titles[code]} and errors: {about}"
    with _isolated_figure(rng) as (figure, axes):
        by_side = {"color": explained[:, 1]} if side else {}
        shap.plots.scatter(
            explained[:, 0], ax=axes, show=False, hist=True, x_jitter=0, alpha=0.5, **by_side
        )
        # shap does not always draw a colour bar.
        name = _shorten_label(titles[_SIDE], 40) if side else None
        for bar in (a for a in figure.axes if a.get_ylabel() == name):
            bar.set_yticks([0.25, 0.75], ["let it pass", "acted"])
        axes.set_ylabel("Adds to the log-odds of error")
        axes.set_xlabel(_shorten_label(titles[code], 60))
        axes.set_title(_shorten_label(title, 80), loc="left", fontsize=11)
        png = _render_png(figure)
    sides = {"": known}
    if side:
        acted = values[_SIDE].to_numpy(np.float64)[known] > 0
        sides = {" where the machine let it pass": known[~acted], " where it acted": known[acted]}
    summary = "; ".join(f"{_quartile_text(x[some], y[some])}{name}" for name, some in sides.items())
    return Plot(title, f"{title}. On average {summary}.", png)


def _quartile_text(x: Floats, y: Floats) -> str:
    """Return the mean contribution of the lowest and the highest quarter of a fact."""
    low, high = np.quantile(x, [0.25, 0.75])
    few, many = y[x <= low].mean(), y[x >= high].mean()
    return (
        f"the lowest quarter (up to {low:.3g}) adds {few:+.2f} to the log-odds of error, "
        f"the highest (from {high:.3g}) {many:+.2f}"
    )


def _shap_explanation(
    grouped: pd.DataFrame, values: pd.DataFrame, codes: list[str], titles: Mapping[str, str]
) -> "shap.Explanation":
    import shap

    return shap.Explanation(
        values=grouped[codes].to_numpy(np.float64),
        data=values[codes].to_numpy(np.float64),
        feature_names=[_shorten_label(titles[c], 40) for c in codes],
    )


def _sample_points(n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Choose the points to draw: more would hide each other."""
    if n <= _MOST_POINTS:
        return np.arange(n)
    return np.sort(rng.choice(n, _MOST_POINTS, replace=False))


def _shorten_label(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@contextmanager
def _isolated_figure(rng: np.random.Generator) -> "Iterator[tuple[Figure, Axes]]":
    """Draw off screen, with the same style on every machine and no output in a notebook."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    kept = np.random.get_state()  # noqa: NPY002 (shap shuffles points by the global state)
    np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
    try:
        with mpl.rc_context(_LOOK), plt.ioff(), warnings.catch_warnings():
            # A fact without numbers is grey; a letter that the font lacks is in the alt text.
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            figure, axes = plt.subplots(figsize=_SIZE)
            try:
                yield figure, axes
            finally:
                plt.close(figure)
    finally:
        np.random.set_state(kept)  # noqa: NPY002


def _render_png(figure: "Figure") -> bytes:
    """Return the image in few colours, at lower resolution until it is small enough."""
    from PIL import Image

    for dpi in _DPI:
        whole, small = io.BytesIO(), io.BytesIO()
        figure.savefig(whole, format="png", dpi=dpi, bbox_inches="tight")
        picture = Image.open(whole).convert("RGB").quantize(_COLOURS)
        picture.save(small, format="png", optimize=True)
        if small.tell() <= MOST_BYTES:
            break
    return small.getvalue()
