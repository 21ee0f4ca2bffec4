"""Renamed columns: written under both names for one release, and read under either."""

import pandas as pd
import pyarrow as pa

from errdetect.data.atomic_writing import to_arrow
from errdetect.schemas import RENAMED_COLUMNS, RENAMED_MEASURES

__all__ = [
    "add_old_columns",
    "add_old_measures",
    "complete_columns",
    "schema_with_old_names",
    "use_new_names",
]


def add_old_columns(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Repeat renamed columns under their old names, after all others.

    Parameters
    ----------
    frame
        Shape (n, any), with the new names.
    table
        Its name in `schemas.RENAMED_COLUMNS`; other tables are returned unchanged.

    Examples
    --------
    >>> add_old_columns(pd.DataFrame({"predicted": [0.2]}), "reliability").columns.tolist()
    ['predicted', 'said']
    """
    pairs = RENAMED_COLUMNS.get(table, {})
    return frame.assign(**{old: frame[new] for new, old in pairs.items() if new in frame})


def add_old_measures(frame: pd.DataFrame) -> pd.DataFrame:
    """Repeat the rows of renamed measures under their old names, after all others.

    Examples
    --------
    >>> add_old_measures(pd.DataFrame({"measure": ["calibration_gap"], "value": 0.1})).values.tolist()
    [['calibration_gap', 0.1], ['said_less_seen', 0.1]]
    """
    old = frame[frame["measure"].isin(list(RENAMED_MEASURES)).to_numpy(bool)]
    renamed = old.assign(measure=old["measure"].map(dict(RENAMED_MEASURES)))
    return pd.concat([frame, renamed], ignore_index=True)


def schema_with_old_names(
    table: str, schema: pa.Schema | None = None, frame: pd.DataFrame | None = None
) -> pa.Schema | None:
    """Return a schema with the old names at its end; each of them is marked in its metadata.

    Parameters
    ----------
    table
        As for `add_old_columns`.
    schema
        The table's schema, with the new names; None to infer it from `frame`.
    frame
        The rows, for tables without a schema.

    Returns
    -------
    pyarrow.Schema or None
        `schema` itself for a table without renamed columns.

    Examples
    --------
    >>> schema = schema_with_old_names("reliability", pa.schema([("predicted", pa.float64())]))
    >>> schema.names, schema.field("said").metadata
    (['predicted', 'said'], {b'renamed_to': b'predicted'})
    """
    pairs = RENAMED_COLUMNS.get(table, {})
    if schema is None:
        if not pairs or frame is None:
            return None
        kept = frame.drop(columns=[old for old in pairs.values() if old in frame])
        schema = to_arrow(kept).schema
    old = [
        pa.field(before, schema.field(now).type, metadata={"renamed_to": now})
        for now, before in pairs.items()
        if now in schema.names
    ]
    return pa.schema([*schema, *old])


def use_new_names(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Give a table read from a file or a record the new names only, whichever version wrote it.

    Parameters
    ----------
    frame, table
        As for `add_old_columns`, with old names, new names or both.

    Examples
    --------
    >>> use_new_names(pd.DataFrame({"said": [0.2], "n": [40]}), "reliability").columns.tolist()
    ['predicted', 'n']
    >>> use_new_names(pd.DataFrame({"predicted": [0.2], "said": [0.2]}), "reliability").shape
    (1, 1)
    """
    pairs = RENAMED_COLUMNS.get(table, {})
    both = [old for new, old in pairs.items() if new in frame and old in frame]
    return frame.drop(columns=both).rename(columns={old: new for new, old in pairs.items()})


def complete_columns(table: pa.Table, name: str) -> pa.Table:
    """Add to a table of an older version the new names of its renamed columns.

    Parameters
    ----------
    table
        As read.
    name
        As for `add_old_columns`.

    Examples
    --------
    >>> complete_columns(pa.table({"said": [0.2]}), "reliability").column_names
    ['said', 'predicted']
    """
    for new, old in RENAMED_COLUMNS.get(name, {}).items():
        if old in table.column_names and new not in table.column_names:
            table = table.append_column(new, table[old])
    return table
