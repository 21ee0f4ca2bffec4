"""Which policies matter most, and the part of the tables that is about those shown."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from errdetect.report.report_content import ReportContent
from errdetect.report.figures import Figure
from errdetect.report.formatting import has_rows, number
from errdetect.policy.pages.reading import rows_by_policy
from errdetect.report.breakdown_section import Block

__all__ = ["about", "matter_order"]

#: Tables of which a policy's page shows its own rows.
_OWN = (
    *("drivers", "slices", "thresholds", "findings", "cases", "proposals", "plan"),
    *("trend_by", "briefs", "volumes"),
)


def matter_order(content: ReportContent, table: Block | None) -> list[str]:
    """Order the policies: errors times severity, then decisions, then the id.

    A policy without a rate stands after those with one. A policy without catalogue entry counts
    with the least severity. A catalogue's rule under which nothing was decided is left out.

    Parameters
    ----------
    content
        What the report says.
    table
        The estimates by policy; None where there are none.

    Returns
    -------
    list of str
        Every policy that a table knows, the one that matters most first.

    Raises
    ------
    DataError
        Where a table lacks a column.

    Examples
    --------
    >>> from datetime import datetime
    >>> volumes = pd.DataFrame({"policy_id": ["a", "b"], "n_decisions": [5, 9]})
    >>> matter_order(ReportContent("t", datetime(2025, 5, 1), "d", None, 0, volumes=volumes), None)
    ['b', 'a']
    """
    errors = {group.key: group.error for group in table.groups} if table else {}
    volumes = {
        key: number(rows[0]["n_decisions"])
        for key, rows in rows_by_policy(content.volumes, ["n_decisions"], "volumes").items()
    }
    known = {*errors, *volumes}
    for name in ("drivers", "slices", "thresholds", "findings", "proposals"):
        known |= _policies(getattr(content, name))

    def place(key: str) -> tuple[bool, float, float, str]:
        policy, figure = content.policies.get(key), errors.get(key)
        harm = _errors(figure) * (policy.severity if policy else 1)
        n = volumes.get(key) or (figure.n_decisions if figure else 0)
        return (figure is None or figure.said is None, -harm, -n, key)

    return sorted(known, key=place)


def about(content: ReportContent, keys: Sequence[str]) -> ReportContent:
    """Keep the rows that are about these policies, or about all of them together.

    Parameters
    ----------
    content
        What the report says.
    keys
        The policies to show.

    Returns
    -------
    ReportContent
        The same, with shorter tables: a report of 5,000 policies reads those of 200.

    Examples
    --------
    >>> from datetime import datetime
    >>> volumes = pd.DataFrame({"policy_id": ["a", "b"], "n_decisions": [5, 9]})
    >>> whole = ReportContent("t", datetime(2025, 5, 1), "d", None, 0, volumes=volumes)
    >>> about(whole, ["b"]).volumes["n_decisions"].tolist()
    [9]
    """
    frames = {name: frame for name in _OWN if has_rows(frame := getattr(content, name))}
    return replace(
        content,
        **{
            name: frame[frame["policy_id"].isna() | frame["policy_id"].astype(str).isin(keys)]
            for name, frame in frames.items()
            if "policy_id" in frame
        },
    )


def _policies(frame: pd.DataFrame | None) -> set[str]:
    if frame is None or "policy_id" not in frame:
        return set()
    return {str(key) for key in frame["policy_id"].dropna().unique()}


def _errors(figure: Figure | None) -> float:
    """Estimate how many decisions are wrong; 0 where that cannot be said."""
    return figure.said.estimate * figure.n_decisions if figure and figure.said else 0.0
