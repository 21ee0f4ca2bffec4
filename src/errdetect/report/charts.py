"""The charts' geometry: positions of marks, in percent; the templates draw them.

Nothing here creates markup, so content text cannot become markup.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from errdetect.report.reported_rates import IntervalEstimate

__all__ = [
    "Axis",
    "IntervalStrip",
    "Tick",
    "Waffle",
    "axis_position",
    "choose_axis",
    "full_axis",
    "interval_strip",
    "spread_labels",
    "waffle_squares",
]

#: No axis is shorter than this share, however small its values.
_LEAST = 0.001
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its text, and its position in percent of the axis."""

    text: str
    at: float


@dataclass(frozen=True)
class Axis:
    """An axis over the shares 0 to `top`, with its ticks."""

    top: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class IntervalStrip:
    """An interval on an axis: positions in percent; None where there is nothing to mark.

    Parameters
    ----------
    at, low, high
        The estimate and its limits.
    reference
        The reference line.
    claim
        What counting only successful appeals would claim.
    cut
        Whether the interval reaches past the axis' end.
    """

    at: float | None
    low: float | None
    high: float | None
    reference: float | None
    claim: float | None
    cut: bool


@dataclass(frozen=True)
class Waffle:
    """A hundred squares, ten a row: the filled width of each row, in squares.

    Parameters
    ----------
    sure
        Filled up to the interval's lower limit.
    likely
        From there to the upper limit: (start, width).
    """

    sure: tuple[float, ...]
    likely: tuple[tuple[float, float], ...]


def axis_position(share: float, top: float) -> float:
    """Return the position of a share on an axis that ends at `top`.

    Returns
    -------
    float
        Percent of the axis' length, within [0, 100], to a tenth.

    Examples
    --------
    >>> axis_position(0.05, 0.2), axis_position(0.9, 0.2)
    (25.0, 100.0)
    """
    return round(100 * min(max(share / top, 0.0), 1.0), 1)


def choose_axis(shares: Sequence[float], steps: int = 4) -> Axis:
    r"""Choose an axis from 0 that holds the shares, with a few round ticks.

    Parameters
    ----------
    shares
        Values that should fit, as shares of 1.
    steps
        About how many intervals between ticks.

    Returns
    -------
    Axis
        Ends at a round number, from 0.001 to 1.

    Examples
    --------
    >>> [t.text.replace("\xa0", " ") for t in choose_axis([0.03, 0.17]).ticks]
    ['0 %', '5 %', '10 %', '15 %', '20 %']
    """
    most = max(min(max(shares, default=1.0), 1.0), _LEAST)
    rough = most / steps
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in _STEPS if s * size >= rough * (1 - 1e-9))
    number = math.ceil(most / step - 1e-9)
    top = min(number * step, 1.0)
    marks = [k * step for k in range(number + 1) if k * step <= top * (1 + 1e-9)]
    return Axis(top, tuple(Tick(_tick_label(m), axis_position(m, top)) for m in marks))


def full_axis() -> Axis:
    """Return the axis from 0 to 100 %, for shares that are mostly large.

    Examples
    --------
    >>> full_axis().top
    1.0
    """
    return choose_axis([1.0])


def _tick_label(share: float) -> str:
    """Write a tick without needless decimals."""
    return f"{100 * share:.3g}\u00a0%"


def interval_strip(
    scale: Axis,
    said: IntervalEstimate | None,
    reference: float | None = None,
    claim: float | None = None,
) -> IntervalStrip:
    """Position an interval on an axis.

    Parameters
    ----------
    scale
        The axis.
    said
        The estimate with its interval; None draws no interval.
    reference, claim
        Further shares to mark.

    Returns
    -------
    Strip
        Positions in percent.

    Examples
    --------
    >>> interval_strip(choose_axis([0.2]), IntervalEstimate(0.1, 0.05, 0.3)).cut
    True
    """
    top = scale.top
    return IntervalStrip(
        at=axis_position(said.estimate, top) if said else None,
        low=axis_position(said.low, top) if said else None,
        high=axis_position(said.high, top) if said else None,
        reference=None if reference is None else axis_position(reference, top),
        claim=None if claim is None else axis_position(claim, top),
        cut=said is not None and said.high > top * (1 + 1e-9),
    )


def waffle_squares(low: float, high: float) -> Waffle:
    """Fill a hundred squares with an interval of shares.

    Parameters
    ----------
    low, high
        The interval's limits, as shares of 1.

    Returns
    -------
    Waffle
        Ten rows, the first on top.

    Examples
    --------
    >>> waffle_squares(0.12, 0.155).sure[:3], waffle_squares(0.12, 0.155).likely[1]
    ((10.0, 2.0, 0.0), (2.0, 3.5))
    """

    def filled(share: float, row: int) -> float:
        return round(min(max(100 * share - 10 * row, 0.0), 10.0), 2)

    sure = tuple(filled(low, row) for row in range(10))
    ends = tuple(filled(high, row) for row in range(10))
    return Waffle(sure, tuple((s, round(e - s, 2)) for s, e in zip(sure, ends, strict=True)))


def spread_labels(places: Sequence[float], gap: float) -> list[float]:
    """Move labels apart along an axis so that none covers another.

    Parameters
    ----------
    places
        Ideal positions of the labels, in percent.
    gap
        The least distance between two, in percent.

    Returns
    -------
    list of float
        Positions in the order given, each as near as the gap allows from above.

    Examples
    --------
    >>> spread_labels([50.0, 52.0, 10.0], 6)
    [50.0, 56.0, 10.0]
    """
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    moved = list(places)
    for before, this in pairwise(order):
        moved[this] = round(max(moved[this], moved[before] + gap), 1)
    return moved
