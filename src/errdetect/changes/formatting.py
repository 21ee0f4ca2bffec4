"""Reading the report's tables: their columns checked, their missing values as None."""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pandas as pd

from errdetect.errors import DataError, sentence, visible_pieces

__all__ = [
    "clean",
    "count",
    "counted",
    "day",
    "day_of",
    "has_rows",
    "number",
    "per_base",
    "percent",
    "records",
    "require",
    "slug",
    "span",
]


_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"

# Direction marks around a quotation, which keep its own order from reaching out.
_OPEN, _CLOSE = "\u2068", "\u2069"


def clean(value: object, limit: int = 120, missing: str = "not given") -> str:
    r"""Make foreign text fit to be shown: one line, nothing hidden, bounded in length.

    Escaping for HTML is the template's part.

    Parameters
    ----------
    value
        The text, or a missing value.
    limit
        The most characters to show.
    missing
        What to say where there is no value.

    Returns
    -------
    str
        At most `limit` characters and, where it was cut, an ellipsis.

    Examples
    --------
    >>> clean("two\n\nlines")
    'two lines'
    >>> clean("x" * 1_000_000, limit=5)
    'xxxxx…'
    >>> clean(float("nan"))
    'not given'
    """
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return missing
    whole = str(value)
    head = whole[: 4 * limit]  # a text of 1 MB is not read to its end
    line = " ".join(head.split())
    shown: list[str] = []
    length = 0
    for piece in line if line.isprintable() else visible_pieces(line):
        length += len(piece)
        if length > limit:
            cut = "".join(shown)
            return cut + _CLOSE * (cut.count(_OPEN) - cut.count(_CLOSE)) + "…"
        shown.append(piece)
    text = "".join(shown)
    return text + "…" if len(whole) > len(head) else text or "empty"


def slug(prefix: str, text: str) -> str:
    """Name a place in the page after foreign text, in characters that are safe anywhere.

    Parameters
    ----------
    prefix
        What kind of place it is.
    text
        What it is named after.

    Returns
    -------
    str
        ASCII letters, digits, hyphens and underscores; where that loses something, a short hash of the
        text keeps two names apart.

    Examples
    --------
    >>> slug("policy", "unsafe_products")
    'policy-unsafe_products'
    >>> slug("policy", "Söldner <b>")
    'policy--s-ldner-b-6e0e8ef8b4'
    """
    plain = re.sub(r"[^a-z0-9_]+", "-", text[:200].lower()).strip("-")[:40]
    if plain and plain == text:
        return f"{prefix}-{plain}"
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    # Two hyphens stand in no plain name, so no id can be written to look like another's hash.
    return "-".join(part for part in (f"{prefix}-", plain, mark) if part)


def count(n: int) -> str:
    """Write a whole number with commas.

    Examples
    --------
    >>> count(1234567)
    '1,234,567'
    """
    return f"{n:,}"


def counted(n: int, one: str, many: str) -> str:
    """Write how many there are of something.

    Examples
    --------
    >>> counted(1, "policy", "policies"), counted(0, "policy", "policies")
    ('1 policy', 'no policies')
    """
    return f"{count(n) if n else 'no'} {one if n == 1 else many}"


def percent(share: float) -> str:
    r"""Write a share of 1 as a percentage; near 0 and near 1 with two decimals.

    Examples
    --------
    >>> percent(0.057), percent(0.0034), percent(0.00001), percent(0.0)
    ('5.7\xa0%', '0.34\xa0%', '<\xa00.01\xa0%', '0.0\xa0%')
    """
    if 0 < share < 0.00005:
        return "<\u00a00.01\u00a0%"
    if 0.99995 < share < 1:
        return ">\u00a099.99\u00a0%"
    fine = 0 < share < 0.01 or 0.99 < share < 1
    return f"{100 * share:.{2 if fine else 1}f}\u00a0%"


def span(low: float, high: float) -> str:
    r"""Write an interval of shares.

    Examples
    --------
    >>> span(0.051, 0.063)
    '5.1 to 6.3\xa0%'
    """
    decimals = 2 if high < 0.01 or low > 0.99 else 1
    return f"{100 * low:.{decimals}f} to {100 * high:.{decimals}f}\u00a0%"


def per_base(shares: Sequence[float]) -> tuple[list[str], str]:
    """Say shares as numbers "of 100", or of more where 100 would hide them.

    Parameters
    ----------
    shares
        Shares of 1 that are said in one sentence.

    Returns
    -------
    tuple
        The numbers, and what they are counted out of ("100", "1,000" or "100,000").

    Examples
    --------
    >>> per_base([0.051, 0.063])
    (['5.1', '6.3'], '100')
    >>> per_base([0.0004, 0.0021])
    (['0.4', '2.1'], '1,000')
    """
    top = max(shares)
    base = 100 if top >= 0.01 or top == 0 else 1_000 if top >= 0.0005 else 100_000
    ends = {f"{base * s:.1f}" for s in shares}
    decimals = 2 if len(ends) < len(set(shares)) else 1
    return [f"{base * s:.{decimals}f}" for s in shares], count(base)


def day(moment: date) -> str:
    """Write a day in the same way wherever the report is made.

    Examples
    --------
    >>> day(date(2025, 3, 9))
    '9 Mar 2025'
    """
    return f"{moment.day} {_MONTHS[3 * moment.month - 3 : 3 * moment.month]} {moment.year}"


def day_of(value: object) -> str:
    """Write the day of a timestamp that may be missing.

    Examples
    --------
    >>> day_of("2025-03-09T10:00:00Z"), day_of(None)
    ('9 Mar 2025', 'not given')
    """
    moment = pd.Timestamp(value) if isinstance(value, str | date) else pd.NaT
    return "not given" if pd.isna(moment) else day(moment)


def require(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a table without the columns that the report reads.

    Parameters
    ----------
    frame
        A table of the report's content.
    columns
        The names it must have.
    what
        What the table is called in the message.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> require(pd.DataFrame({"text": ["a"]}), ["text"], "drivers")
    """
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise DataError(
            sentence(
                f"The report's table {what}",
                f"have the columns {', '.join(columns)}",
                f"no {', '.join(missing)}",
                "Fill ReportContent as its docstring says.",
            )
        )


def has_rows(frame: pd.DataFrame | None) -> bool:
    """Tell whether there is a table with something in it.

    Examples
    --------
    >>> has_rows(None), has_rows(pd.DataFrame({"a": []})), has_rows(pd.DataFrame({"a": [1]}))
    (False, False, True)
    """
    return frame is not None and len(frame) > 0


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows as dicts, in the table's order.

    Examples
    --------
    >>> records(pd.DataFrame({"n": [1, 2]}))
    [{'n': 1}, {'n': 2}]
    """
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def number(value: Any) -> float | None:
    """Read a number that may be missing; what is not finite is missing.

    Examples
    --------
    >>> number(0.5), number(None), number(float("nan")), number(pd.NA)
    (0.5, None, None, None)
    """
    if value is None or value is pd.NA:
        return None
    read = float(value)
    return read if math.isfinite(read) else None
