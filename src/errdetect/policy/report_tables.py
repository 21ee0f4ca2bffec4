"""The report's tables as data: whole, where the page shows the first rows."""

from collections.abc import Mapping

import pandas as pd

from errdetect.report import glossary as vocabulary
from errdetect.report.report_content import ReportContent
from errdetect.report.figures import read_said
from errdetect.report.formatting import records
from errdetect.schemas import ESTIMATES

__all__ = ["report_tables"]

_TABLES = (
    *("drivers", "queue_head", "evaluation", "reliability", "reliability_by", "segments"),
    *("trend", "trend_by", "volumes", "reviewers", "agreement", "inspection"),
    *("slices", "thresholds", "findings", "cases", "briefs", "proposals"),
    *("effects", "targets", "plan", "whitelist", "intake"),
)


def report_tables(content: ReportContent) -> dict[str, pd.DataFrame]:
    """Give the report's tables as data, whole: nothing is folded away or left out.

    Parameters
    ----------
    content
        What the report says.

    Returns
    -------
    dict
        Name -> table, of those that the content has: `estimates` (the whole and every block, the
        columns split by first; suppressed figures are missing), and those of `ReportContent`
        under their own names. A table that the content lacks is absent, not empty.

    Examples
    --------
    >>> from datetime import datetime
    >>> report_tables(ReportContent("April", datetime(2025, 5, 1), "shop", None, 0))
    {}
    """
    tables = {"estimates": _all_estimates(content.estimates)}
    tables |= {name: getattr(content, name) for name in _TABLES}
    return {name: t.reset_index(drop=True) for name, t in tables.items() if t is not None}


def _all_estimates(estimates: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Stack the blocks under one set of columns; a figure held back leaves no number behind."""
    if not estimates:
        return None
    by = [name for name in (*vocabulary.BY_WORDS, *sorted(estimates)) if name in estimates]
    columns = [name for name in dict.fromkeys(by) if name != "whole"]
    parts = [
        frame if name == "whole" or "whole" not in estimates else frame[frame[name].notna()]
        for name, frame in sorted(estimates.items(), key=lambda item: item[0] != "whole")
    ]
    table = pd.concat(parts, ignore_index=True).reindex(columns=[*columns, *ESTIMATES.names])
    held_back = pd.Series([read_said(row) is None for row in records(table)], dtype=bool)
    table.loc[held_back, ["estimate", "low", "high"]] = float("nan")
    return table
