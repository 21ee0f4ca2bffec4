"""Where the ranking works well or badly: its held-out order within policies, markets and so on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.report.figures import Said
from errdetect.report.formatting import has_rows, number, records, require
from errdetect.report.glossary import BY_WORDS
from errdetect.policy.words import clean

__all__ = ["RankedGroup", "RankedGroups", "ranked_groups"]

_COLUMNS = ("segment", "level", "value", "low", "high", "n", "n_errors", "suppressed")
_WHOLE, _REVIEWERS = "all", "reviewers"
_MOST = 40


@dataclass(frozen=True)
class RankedGroup:
    """How well errors stand before right decisions within one group.

    Parameters
    ----------
    column, label
        What the group is of, and its name.
    said
        Share of the pairs of one wrong and one right decision in which the wrong one stands first.
    n_errors, n
        Held-out errors and decisions behind it.
    against
        `better` or `worse` where the interval lies on that side of the whole's figure, else
        `no clear difference`.
    """

    column: str
    label: str
    said: Said
    n_errors: int
    n: int
    against: str


@dataclass(frozen=True)
class RankedGroups:
    """The groups that can be said, worst first, and how many others there are.

    Parameters
    ----------
    whole
        The same share over all held-out decisions.
    groups
        At most 40.
    n_unsaid, n_left
        Groups with too few errors or right decisions to say; groups left to the table.
    """

    whole: Said
    groups: tuple[RankedGroup, ...]
    n_unsaid: int
    n_left: int


def ranked_groups(frame: pd.DataFrame | None, names: Mapping[str, str]) -> RankedGroups | None:
    """Read how the ranking does by group.

    Parameters
    ----------
    frame
        One row a group with `segment` (a column's name, or `all`), `level`, `value`, `low`, `high`
        (shares of pairs in the right order), `n`, `n_errors`, `suppressed`; or None.
    names
        policy_id -> the policy's name.

    Returns
    -------
    RankedGroups or None
        None where the whole or every group is missing or suppressed.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> rows = [["all", None, 0.8, 0.7, 0.9, 900, 90, False],
    ...         ["market", "DE", 0.6, 0.5, 0.65, 90, 12, False],
    ...         ["market", "FR", None, None, None, 20, 1, True]]
    >>> columns = ["segment", "level", "value", "low", "high", "n", "n_errors", "suppressed"]
    >>> found = ranked_groups(pd.DataFrame(rows, columns=columns), {})
    >>> (found.groups[0].label, found.groups[0].against, found.n_unsaid) if found else None
    ('DE', 'worse', 1)
    """
    if frame is None or not has_rows(frame):
        return None
    require(frame, _COLUMNS, "segments")
    rows = [(row, _said(row)) for row in records(frame)]
    whole = next((said for row, said in rows if row["segment"] == _WHOLE), None)
    parts = [(row, said) for row, said in rows if row["segment"] != _WHOLE]
    groups = [_group(row, said, whole, names) for row, said in parts if said and whole]
    if whole is None or not groups:
        return None
    groups.sort(key=lambda g: (g.said.estimate, g.column, g.label))
    return RankedGroups(
        whole, tuple(groups[:_MOST]), len(parts) - len(groups), max(len(groups) - _MOST, 0)
    )


def _said(row: Mapping[str, Any]) -> Said | None:
    value, low, high = (number(row[c]) for c in ("value", "low", "high"))
    if bool(row["suppressed"]) or value is None or low is None or high is None:
        return None
    return Said(value, low, high)


def _group(
    row: Mapping[str, Any], said: Said, whole: Said, names: Mapping[str, str]
) -> RankedGroup:
    column, level = str(row["segment"]), str(row["level"])
    against = "no clear difference"
    if said.low > whole.estimate:
        against = "better"
    elif said.high < whole.estimate:
        against = "worse"
    title = BY_WORDS[column].one if column in BY_WORDS else clean(column, 40)
    label = names.get(level, level) if column == "policy_id" else level
    return RankedGroup(
        "people's answers" if column == _REVIEWERS else title,
        clean(label),
        said,
        int(row["n_errors"]),
        int(row["n"]),
        against,
    )
