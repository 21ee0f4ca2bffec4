"""CSV that a spreadsheet shows and never runs: cells that would be formulas become plain text."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from errdetect.data.plain import plain_value
from errdetect.data.writing import write_text

__all__ = ["RISKY", "inert", "restored", "write_csv"]

#: What a spreadsheet may take for the beginning of a formula, also in full width, and the
#: apostrophe itself, so that nothing is lost: taking one apostrophe away gives every text back.
RISKY: Final = tuple("=+-@\t\r\n\x00'＝＋－＠")


def inert(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    Parameters
    ----------
    text
        A cell or a column's name.

    Returns
    -------
    str
        The text, with an apostrophe before it where it begins with one of `RISKY`, also after
        spaces, which some programs drop.

    Notes
    -----
    OWASP, CSV Injection; ASVS 5.0, requirement 1.2.10.

    Examples
    --------
    >>> inert("=HYPERLINK(1)"), inert("plain"), inert("'quoted'")
    ("'=HYPERLINK(1)", 'plain', "''quoted'")
    """
    return f"'{text}" if text.lstrip(" ").startswith(RISKY) else text


def restored(cell: str) -> str:
    """Give back the text that `inert` was given.

    Examples
    --------
    >>> [restored(inert(text)) for text in ("=1", "'=1", " -1", "fine")]
    ['=1', "'=1", ' -1', 'fine']
    """
    return cell.removeprefix("'")


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    r"""Write a table as CSV in UTF-8, every text inert, whole or not at all.

    Numbers stay numbers, also negative ones. Missing values are empty. Times are ISO 8601 in UTC. A
    list becomes JSON.

    Parameters
    ----------
    frame
        The table; its index is not written.
    path
        Where to; missing folders are made.

    Raises
    ------
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> write_csv(pd.DataFrame({"=x": ["@SUM(1)", None], "n": [-1.5, 2.0]}), path)
    >>> path.read_text()
    "'=x,n\n'@SUM(1),-1.5\n,2.0\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(inert(str(name)) for name in frame.columns)
    columns = [map(_cell, frame[name].tolist()) for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    write_text(path, out.getvalue())


def _cell(value: Any) -> Any:
    """Write one value: text inert, numbers as they are, nothing for a missing one."""
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, dict) or (isinstance(value, Iterable) and not np.isscalar(value)):
        return inert(json.dumps(plain_value(value), ensure_ascii=False))
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return ""
    return value.isoformat() if isinstance(value, datetime) else value
