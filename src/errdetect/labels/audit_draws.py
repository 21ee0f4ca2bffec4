"""Several audit draws as one sample: a weight for every decision that any of them drew."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "EXPECTED_DRAWS",
    "FRAME_COLUMNS",
    "DrawDesign",
    "combine_draw_records",
    "combine_recorded_draws",
    "heavy_weight",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Columns by which the frame of a draw may be limited.
FRAME_COLUMNS = ("market", "policy_id", "language", "moderator", "moderator_version", "enforced")
#: Expected draws at which drawing none has a probability of 1 in 160,000.
EXPECTED_DRAWS = 12


@dataclass(frozen=True)
class DrawDesign:
    """The combined design of one or more draws; arrays of shape (n_drawn,).

    Parameters
    ----------
    position
        Row of each drawn decision, ascending.
    weight
        Its weight: 1/inclusion probability where one draw reached it.
    variance
        Its part of the variance of a sum, per squared residual; 0 if it was certain.
    n_shared
        How many decisions were drawn more than once.
    """

    position: Ints
    weight: Floats
    variance: Floats
    n_shared: int = 0


def heavy_weight(weight: Floats) -> float:
    """Return the weight that all but a hundredth of the represented decisions have at most.

    By decisions and not by draws: where a design rarely draws from a large part of the log, few draws
    have that part's weight.

    Parameters
    ----------
    weight
        1/inclusion probability of each draw, shape (n_draws,).

    Examples
    --------
    >>> heavy_weight(np.append(np.full(95, 2.0), np.full(5, 200.0)))
    200.0
    """
    order = np.sort(weight)
    share = np.cumsum(order) / order.sum()
    return float(order[np.searchsorted(share, 0.99)])


def combine_draw_records(position: Ints, probability: Floats, n_decisions: int) -> DrawDesign:
    """Combine draws of which only the drawn decisions' probabilities are known.

    Every record of a decision and a probability counts by its own weight, scaled so that the weights
    add up to the decisions: each draw's sum is unbiased, so their mean is, too.

    Parameters
    ----------
    position, probability
        One entry for each distinct pair of a decision and an inclusion probability, shape (n,).
    n_decisions
        Number of decisions that the draws could reach.

    References
    ----------
    Mecatti (2007), A single frame multiplicity estimator for multiple frame surveys.

    Examples
    --------
    >>> design = combine_draw_records(np.array([0, 0, 1]), np.array([0.5, 0.25, 0.5]), 4)
    >>> design.position.tolist(), design.weight.tolist()
    ([0, 1], [3.0, 1.0])
    """
    weight = 1 / probability
    repeated = len(np.unique(position)) < len(position)
    share = n_decisions / float(weight.sum()) if repeated else 1.0
    return _sum_records(position, share * weight, share**2 * weight * (weight - 1))


def combine_recorded_draws(decisions: pd.DataFrame, draws: pd.DataFrame) -> DrawDesign:
    """Combine recorded draws, whose frames may overlap.

    Where several draws could reach a decision, each has a share of it in proportion to its sampling
    rate. A draw's frame is the span of its decisions' times, without the values of `FRAME_COLUMNS`
    of which it drew none although a dozen were to be expected. A draw that took none of an earlier
    draw's decisions, although a random draw would have, left them out: they count as certain.

    Parameters
    ----------
    decisions
        The population, n rows.
    draws
        position (row of the decision), draw_id, inclusion_probability, drawn_at; each decision
        once in each draw.

    References
    ----------
    Hartley (1962), Multiple frame surveys; Kalton and Anderson (1986), Sampling rare populations.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decided_at": pd.Timestamp("2026-01-01", tz="UTC")},
    ...                          index=range(4))
    >>> draws = pd.DataFrame({"position": [0, 1, 1, 2], "draw_id": ["a", "a", "b", "b"],
    ...                       "inclusion_probability": 0.5, "drawn_at": decisions["decided_at"]})
    >>> combine_recorded_draws(decisions, draws).weight.tolist()
    [1.0, 2.0, 1.0]
    """
    parts = [part for _, part in draws.sort_values("drawn_at").groupby("draw_id", sort=False)]
    if len(parts) == 1:
        at = parts[0]["position"].to_numpy(np.int64)
        weight = 1 / parts[0]["inclusion_probability"].to_numpy(np.float64)
        return _sum_records(at, weight, weight * (weight - 1))
    rate = np.zeros((len(parts), len(decisions)))
    records: list[tuple[Ints, Floats, Floats]] = []
    for number, part in enumerate(parts):
        at = part["position"].to_numpy(np.int64)
        weight = 1 / part["inclusion_probability"].to_numpy(np.float64)
        frame = _frame_of(decisions, at, weight)
        rate[number, frame] = len(at) / max(int(frame.sum()), 1)
        known = _left_out(records, at, weight, frame)
        nothing = np.zeros(len(known))
        records.append(
            (
                np.concatenate([at, known]),
                np.concatenate([weight, nothing + 1]),
                np.concatenate([weight * (weight - 1), nothing]),
            )
        )
    total = rate.sum(axis=0)
    at, own, spread = (np.concatenate(column) for column in zip(*records, strict=True))
    draw = np.repeat(np.arange(len(records)), [len(rows) for rows, _, _ in records])
    share = rate[draw, at] / np.where(total[at] > 0, total[at], 1)
    return _sum_records(at, share * own, share**2 * spread)


def _sum_records(position: Ints, weight: Floats, variance: Floats) -> DrawDesign:
    drawn, record = np.unique(position, return_inverse=True)
    total, spread = (np.bincount(record, v, len(drawn)) for v in (weight, variance))
    n_shared = int((np.bincount(record) > 1).sum())
    return DrawDesign(
        drawn, np.asarray(total, np.float64), np.asarray(spread, np.float64), n_shared
    )


def _frame_of(decisions: pd.DataFrame, at: Ints, weight: Floats) -> Bools:
    """Return which decisions one draw could reach, as far as what it drew shows."""
    times = decisions["decided_at"].to_numpy()
    inside = np.asarray((times >= times[at].min()) & (times <= times[at].max()))
    heavy = heavy_weight(weight)
    for column in FRAME_COLUMNS:
        if column not in decisions:
            continue
        code, levels = pd.factorize(decisions[column], use_na_sentinel=False)
        size = np.bincount(code[inside], minlength=len(levels))
        held = np.bincount(code[at], minlength=len(levels))
        inside &= ~((held == 0) & (size > EXPECTED_DRAWS * heavy))[code]
    return inside


def _left_out(
    earlier: list[tuple[Ints, Floats, Floats]], at: Ints, weight: Floats, frame: Bools
) -> Ints:
    """Return the earlier draws' decisions, where this draw evidently left them out."""
    if not earlier:
        return np.zeros(0, np.int64)
    held = np.unique(np.concatenate([rows for rows, _, _ in earlier]))
    held = held[frame[held]]
    expected = len(held) / heavy_weight(weight)
    if expected < EXPECTED_DRAWS or np.isin(at, held).any():
        return np.zeros(0, np.int64)
    return np.asarray(held, np.int64)
