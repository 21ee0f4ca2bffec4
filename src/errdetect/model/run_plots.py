"""Pictures of a training run: recall by budget, reliability, drivers, history of tuning."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["run_plots"]

_MOST_DRIVERS = 20
_RECALL = "recall_at_"


def run_plots(
    evaluation: pd.DataFrame,
    reliability: pd.DataFrame,
    gain_shares: Mapping[str, float],
    trials: pd.DataFrame,
) -> dict[str, bytes]:
    """Draw what a run can show; what there is no data for is left out.

    Parameters
    ----------
    evaluation
        Columns method, measure, value, low, high.
    reliability
        From `reliability_table`.
    gain_shares
        Input column -> its share of the gain of all splits, in [0, 1].
    trials
        The settings that tuning tried, in order; the last but one column is the objective.

    Returns
    -------
    dict
        File's name -> PNG.

    Examples
    --------
    >>> sorted(run_plots(pd.DataFrame({"measure": []}), pd.DataFrame(), {"score": 1.0}, pd.DataFrame()))
    ['drivers.png']
    """
    recall = evaluation[evaluation["measure"].astype(str).str.match(rf"{_RECALL}[0-9.]+$")]
    drawn: dict[str, tuple[bool, Callable[[Axes], None]]] = {
        "recall_by_budget.png": (len(recall) > 0, lambda axes: _draw_recall(axes, recall)),
        "reliability.png": (
            len(reliability) > 0,
            lambda axes: _draw_reliability(axes, reliability),
        ),
        "drivers.png": (bool(gain_shares), lambda axes: _draw_drivers(axes, gain_shares)),
        "tuning_history.png": (len(trials) > 1, lambda axes: _draw_tuning(axes, trials)),
    }
    return {name: _png(draw) for name, (there, draw) in drawn.items() if there}


def _png(draw: "Callable[[Axes], None]") -> bytes:
    from matplotlib.figure import Figure  # half a second that only training needs

    figure = Figure(figsize=(7, 4.5), dpi=110, layout="constrained")
    draw(figure.subplots())
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _draw_recall(axes: "Axes", recall: pd.DataFrame) -> None:
    for method, rows in recall.groupby("method", sort=False):
        x = rows["measure"].str.removeprefix(_RECALL).astype(float).to_numpy()
        y = rows["value"].astype(float).to_numpy()
        low, high = (rows[name].astype(float).to_numpy() for name in ("low", "high"))
        span = np.nan_to_num(np.clip(np.array([y - low, high - y]), 0, None))
        axes.errorbar(x, y, yerr=span, marker="o", capsize=3, label=str(method))
    axes.set(xlabel="reviewed (% of decisions)", ylabel="share of errors found", ylim=(0, 1))
    axes.legend(fontsize="small")


def _draw_reliability(axes: "Axes", table: pd.DataFrame) -> None:
    x, y = (table[name].astype(float).to_numpy() for name in ("predicted", "observed"))
    low, high = (table[name].astype(float).to_numpy() for name in ("low", "high"))
    axes.plot([0, x.max()], [0, x.max()], color="grey", linestyle="--", label="perfect")
    span = np.clip(np.array([y - low, high - y]), 0, None)
    axes.errorbar(x, y, yerr=span, marker="o", capsize=3, label="held-out decisions")
    axes.set(xlabel="predicted P(error)", ylabel="observed error rate")
    axes.legend(fontsize="small")


def _draw_drivers(axes: "Axes", gain_shares: Mapping[str, float]) -> None:
    top = sorted(gain_shares.items(), key=lambda one: (-one[1], one[0]))[:_MOST_DRIVERS][::-1]
    # A column's name is data: `$` would start a formula.
    axes.barh([name[:40].replace("$", r"\$") for name, _ in top], [share for _, share in top])
    axes.set(xlabel="share of the gain of all splits")


def _draw_tuning(axes: "Axes", trials: pd.DataFrame) -> None:
    name = str(trials.columns[-2])
    value = trials[name].astype(float).to_numpy()
    axes.plot(np.arange(len(value)), value, marker="o", linestyle="", label="setting")
    best = np.fmax.accumulate(value)
    axes.plot(np.arange(len(value)), best, drawstyle="steps-post", label="best so far")
    axes.set(xlabel="trial", ylabel=name.replace("_", " "))
    axes.legend(fontsize="small")
