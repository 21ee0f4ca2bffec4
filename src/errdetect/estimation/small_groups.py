"""Figures that rest on few reviews are not published: they may be one person's, or lead to a decision's verdict."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.estimation.error_rates import RateEstimates
from errdetect.stats.suppression import hidden_groups

__all__ = ["suppress_figures", "suppress_small_rates"]

_FIGURES = ("estimate", "low", "high", "bound_low", "bound_high")
_BOUNDS = ("bound_low", "bound_high")
_SIDES, _SUMS = ("wrongful_rate", "missed_rate"), ("error_rate", "accuracy")


def suppress_small_rates(rates: RateEstimates, minimum: int) -> RateEstimates:
    """Remove estimates and bounds that rest on fewer reviews than the minimum, or would reveal such.

    Rows stay, with the reason as their method. Estimates of groups do not add up to those of the total, as each is
    corrected and narrowed by itself; but bounds do, to the last decision. So of each measure the hidden groups of a
    total are two at least and have the minimum together, and where a side (enforced or allowed) is hidden, so are
    the bounds of both sides together.

    Parameters
    ----------
    rates
        Overall and by groupings.
    minimum
        Fewest reviews.
    """
    overall = _hide(rates.overall, _small(rates.overall, (), minimum), minimum)
    groups = {
        columns: _hide(frame, _small(frame, columns, minimum), minimum)
        for columns, frame in rates.by_group.items()
    }
    return RateEstimates(
        _hide_sums(overall, ()), {c: _hide_sums(f, c) for c, f in groups.items()}, rates.notes
    )


def suppress_figures(
    frame: pd.DataFrame, figures: Sequence[str], minimum: int, n: str = "n_reviews"
) -> pd.DataFrame:
    """Make figures missing in rows that rest on fewer reviews than the minimum; rows stay.

    Parameters
    ----------
    frame
        Rows that stand for themselves, with the column `n`.
    figures
        Columns of figures; those that are absent are ignored.
    minimum
        Fewest reviews.
    n
        The column that counts the reviews.

    Examples
    --------
    >>> frame = pd.DataFrame({"n_reviews": [3, 30], "error_rate": [0.5, 0.1]})
    >>> suppress_figures(frame, ["error_rate"], 10)["error_rate"].tolist()
    [nan, 0.1]
    """
    if n not in frame or frame.empty:
        return frame
    few = (frame[n].fillna(0) < minimum).to_numpy(bool)
    names = [name for name in figures if name in frame]
    return frame.assign(**{name: frame[name].astype("float64").mask(few) for name in names})


def _small(frame: pd.DataFrame, columns: Sequence[str], minimum: int) -> npt.NDArray[np.bool_]:
    """Return which rows are hidden: each measure by itself, with all totals that its columns have."""
    hidden = np.zeros(len(frame), dtype=bool)
    for _, rows in frame.reset_index(drop=True).groupby("measure", sort=False):
        at = rows.index.to_numpy()
        ranks = [rows.groupby(c, sort=False, dropna=False).ngroup() for c in columns]
        margins: list[npt.NDArray[np.int64]] = [np.asarray(one, dtype=np.int64) for one in ranks]
        if len(columns) == 1:  # the total is the overall row
            margins = [np.zeros(len(rows), np.int64)]
        hidden[at] = hidden_groups(rows["n_reviews"].to_numpy(np.int64), minimum, margins)
    return hidden


def _hide(frame: pd.DataFrame, hidden: npt.NDArray[np.bool_], minimum: int) -> pd.DataFrame:
    few = hidden & (frame["n_reviews"] < minimum).to_numpy(bool)
    told = pd.Series(
        np.where(
            few,
            f"too_few_reviews: fewer than {minimum} reviews (report.min_group)",
            "too_few_reviews: hidden, as the total would reveal a group of fewer reviews",
        ),
        index=frame.index,
        dtype="str",
    )
    bare = {name: frame[name].mask(hidden) for name in _FIGURES}
    return frame.assign(
        **bare,
        suppressed=frame["suppressed"] | hidden,
        method=frame["method"].where(~(hidden & ~frame["suppressed"].to_numpy(bool)), told),
    )


def _hide_sums(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Hide the bounds of a group's sides together where one of them is hidden."""
    side = frame["measure"].isin(_SIDES) & (frame["n_reviews"] > 0) & frame["bound_low"].isna()
    if not side.any():
        return frame
    if not columns:
        partly = pd.Series(True, index=frame.index)
    else:
        keys = frame.groupby(list(columns), sort=False, dropna=False).ngroup()
        partly = keys.isin(keys[side])
    hide = partly & frame["measure"].isin(_SUMS)
    return frame.assign(**{name: frame[name].mask(hide) for name in _BOUNDS})
