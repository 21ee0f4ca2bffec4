"""The first screen: how often the machine errs, and what appeals alone would claim."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from errdetect.changes.text_formatting import MEASURE_WORDS, clean_text
from errdetect.report.charts import (
    Axis,
    IntervalStrip,
    Waffle,
    choose_axis,
    full_axis,
    interval_strip,
    waffle_squares,
)
from errdetect.report.reported_rates import ReportedRate, reported_rates

__all__ = ["RatePanel", "Summary", "build_summary", "overall_rates"]


@dataclass(frozen=True)
class RatePanel:
    """Measures that share one axis.

    Parameters
    ----------
    title
        What they have in common.
    axis
        Their axis.
    rows
        Each measure's figure and its position on the axis.
    """

    title: str
    axis: Axis
    rows: tuple[tuple[ReportedRate, IntervalStrip], ...]


@dataclass(frozen=True)
class Summary:
    """The first screen.

    Parameters
    ----------
    lead
        The error rate; None where nothing was estimated.
    audited, claimed
        The error rate in squares, as the audit finds it and as appeals alone would claim it.
    panels
        The other measures.
    figures
        Every overall measure, for the table of details.
    how
        (measures, how they were estimated), for the section on method.
    warnings
        Warnings of the overall estimates, each once.
    """

    lead: ReportedRate | None
    audited: Waffle | None
    claimed: Waffle | None
    panels: tuple[RatePanel, ...]
    figures: tuple[ReportedRate, ...]
    how: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def overall_rates(estimates: Mapping[str, pd.DataFrame]) -> dict[str, ReportedRate]:
    """Find the overall measures: its own table, or a block's row without a value.

    Parameters
    ----------
    estimates
        Name of a block (`whole`, or the column it is split by) -> its estimates.

    Returns
    -------
    dict
        measure -> figure; empty where nothing was estimated.

    Examples
    --------
    >>> overall_rates({})
    {}
    """
    if "whole" in estimates:
        return reported_rates(estimates["whole"], "estimates of the whole")
    for name in sorted(estimates):
        frame = estimates[name]
        if name in frame.columns and frame[name].isna().any():
            return reported_rates(frame[frame[name].isna()], f"estimates by {name}")
    return {}


def build_summary(whole: Mapping[str, ReportedRate]) -> Summary:
    """Lay out the first screen.

    Parameters
    ----------
    whole
        measure -> overall figure.

    Returns
    -------
    Summary
        The content of the first screen.

    Examples
    --------
    >>> build_summary({}).lead is None
    True
    """
    lead = whole.get("error_rate")
    panels = (
        _build_panel("Two ways to be wrong", whole, ("wrongful_rate", "missed_rate"), None),
        _build_panel("How much it catches", whole, ("recall",), full_axis()),
    )
    claimed = lead.proxy if lead else None
    every = tuple(whole[m] for m in MEASURE_WORDS if m in whole)
    how: dict[str, list[str]] = {}
    for figure in every:
        if figure.said and figure.how:
            how.setdefault(figure.how, []).append(figure.words.name)
    return Summary(
        lead=lead,
        audited=waffle_squares(lead.said.low, lead.said.high) if lead and lead.said else None,
        claimed=None if claimed is None else waffle_squares(claimed, claimed),
        panels=tuple(p for p in panels if p.rows),
        figures=every,
        how=tuple((", ".join(names), clean_text(text, 400)) for text, names in how.items()),
        warnings=tuple(dict.fromkeys(clean_text(w, 300) for f in every for w in f.warnings)),
    )


def _build_panel(
    title: str, whole: Mapping[str, ReportedRate], measures: tuple[str, ...], scale: Axis | None
) -> RatePanel:
    """Put the available measures on one axis."""
    found = [whole[m] for m in measures if m in whole]
    if scale is None:
        tops = [s for f in found for s in ((f.said.high if f.said else None), f.proxy) if s]
        scale = choose_axis(tops)
    return RatePanel(
        title, scale, tuple((f, interval_strip(scale, f.said, claim=f.proxy)) for f in found)
    )
