"""Comparing a table with its expected content: which rows and columns differ, and where first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.types as pat

__all__ = ["FirstDifference", "TableComparison", "compare_tables"]

#: Columns that identify a row on their own, if no value repeats.
_IDS = ("decision_id", "remediation_id", "review_id", "finding_id", "proposal_id", "id")
_MOST_KEYS = 8
_DIGITS = 9
_RTOL, _ATOL = 1e-9, 1e-12  # tolerance for another order of summation
_SHOWN = 80


@dataclass(frozen=True)
class FirstDifference:
    """The first row that differs.

    Parameters
    ----------
    key
        Column -> value that identifies the row; `row` -> its number from 1 if nothing does.
    column
        Which column.
    found, expected
        The two values, shortened.
    """

    key: Mapping[str, Any]
    column: str
    found: Any
    expected: Any


@dataclass(frozen=True)
class TableComparison:
    """How a table compares with its expected content.

    Parameters
    ----------
    rows
        Of the table found.
    columns
        Column -> number of rows in which its value differs.
    first
        The first difference among them.
    missing, further
        Rows that only the expected table has, and that only the found one has.
    first_missing, first_further
        The key of the first of each.
    columns_missing, columns_further, columns_retyped
        Columns that only the expected, only the found table has, or that have another type.
    reordered
        Whether the same rows are in another order.
    """

    rows: int
    columns: Mapping[str, int]
    first: FirstDifference | None = None
    missing: int = 0
    further: int = 0
    first_missing: Mapping[str, Any] | None = None
    first_further: Mapping[str, Any] | None = None
    columns_missing: tuple[str, ...] = ()
    columns_further: tuple[str, ...] = ()
    columns_retyped: tuple[str, ...] = ()
    reordered: bool = False

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        shape = self.columns_missing or self.columns_further or self.columns_retyped
        return not (self.columns or self.missing or self.further or shape or self.reordered)


def compare_tables(found: pa.Table, expected: pa.Table) -> TableComparison:
    """Compare two tables row by row; rows are matched by their keys, not by position.

    Parameters
    ----------
    found
        Shape (n, any).
    expected
        The expected table.

    Returns
    -------
    TableComparison
        Numbers are equal to nine significant digits.

    Examples
    --------
    >>> expected = pa.table({"policy_id": ["a", "b"], "estimate": [0.1, 0.2]})
    >>> found = pa.table({"policy_id": ["a", "b"], "estimate": [0.1, 0.3]})
    >>> compare_tables(found, expected).first
    FirstDifference(key={'policy_id': 'b'}, column='estimate', found=0.3, expected=0.2)
    """
    shared = [name for name in found.column_names if name in expected.column_names]
    ours = {name: _comparable_values(found[name]) for name in shared}
    theirs = {name: _comparable_values(expected[name]) for name in shared}
    retyped = [n for n in shared if found.schema.field(n).type != expected.schema.field(n).type]
    keys, left, right = _match_rows(found, expected, shared, ours, theirs)
    counts, first_row, first_column = _count_unequal(shared, ours, theirs, left, right)
    first = None
    if first_column:
        row, other = int(left[first_row]), int(right[first_row])
        first = FirstDifference(
            _row_key(found, keys, row),
            first_column,
            _shorten_value(found[first_column][row].as_py()),
            _shorten_value(expected[first_column][other].as_py()),
        )
    further = np.setdiff1d(np.arange(found.num_rows), left)
    missing = np.setdiff1d(np.arange(expected.num_rows), right)
    return TableComparison(
        found.num_rows,
        counts,
        first,
        len(missing),
        len(further),
        _row_key(expected, keys, int(missing[0])) if len(missing) else None,
        _row_key(found, keys, int(further[0])) if len(further) else None,
        tuple(name for name in expected.column_names if name not in shared),
        tuple(name for name in found.column_names if name not in shared),
        tuple(retyped),
        bool((np.diff(right) < 0).any()),
    )


Array = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]


def _comparable_values(column: pa.ChunkedArray) -> Array:
    """Return comparable values: floats as such, all else as objects, missing as None."""
    kind = column.type
    if pat.is_dictionary(kind):
        return _comparable_values(column.cast(kind.value_type))
    if pat.is_floating(kind):
        floats: Array = column.cast(pa.float64()).to_numpy()
        return floats
    if pat.is_nested(kind):
        texts = [
            json.dumps(_round_nested(one), sort_keys=True, default=str)
            for one in column.to_pylist()
        ]
        return np.array(texts, dtype=object)
    if pat.is_timestamp(kind) or pat.is_date(kind) or pat.is_duration(kind) or pat.is_time(kind):
        column = column.cast(pa.string())
    values: Array = column.to_pandas(integer_object_nulls=True).to_numpy(object, na_value=None)
    return values


def _round_nested(value: Any) -> Any:
    """Round the floats inside of lists and structs."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {str(key): _round_nested(one) for key, one in value.items()}
    return [_round_nested(one) for one in value] if isinstance(value, list) else value


def _match_rows(
    found: pa.Table,
    expected: pa.Table,
    shared: Sequence[str],
    ours: Mapping[str, Array],
    theirs: Mapping[str, Array],
) -> tuple[list[str], Rows, Rows]:
    """Return the key columns, and the matching rows, in the found order."""
    names = [name for name in shared if ours[name].dtype == object]
    names = [n for n in names if not pat.is_nested(found.schema.field(n).type)]
    choices = [[name] for name in _IDS if name in names]
    choices += [names[:count] for count in range(1, min(len(names), _MOST_KEYS) + 1)]
    for keys in choices:
        one, other = _join_keys(ours, keys), _join_keys(theirs, keys)
        if one.is_unique and other.is_unique:
            at = other.get_indexer(one)
            left = np.flatnonzero(at >= 0)
            return keys, left, at[left]
    rows = np.arange(min(found.num_rows, expected.num_rows))
    return [], rows, rows


def _join_keys(values: Mapping[str, Array], keys: Sequence[str]) -> "pd.Index[str]":
    if len(keys) == 1:
        return pd.Index([f"{one!r}" for one in values[keys[0]]], dtype="str")
    rows = zip(*(values[name] for name in keys), strict=True)
    return pd.Index([repr(row) for row in rows], dtype="str")


def _count_unequal(
    shared: Sequence[str],
    ours: Mapping[str, Array],
    theirs: Mapping[str, Array],
    left: Rows,
    right: Rows,
) -> tuple[dict[str, int], int, str]:
    """Count unequal values by column; the first row that has one, and the first such column in it."""
    counts: dict[str, int] = {}
    first_row, first_column = len(left), ""
    for name in shared:
        one, other = ours[name][left], theirs[name][right]
        if one.dtype != object and other.dtype != object:
            differs = ~np.isclose(one, other, rtol=_RTOL, atol=_ATOL, equal_nan=True)
        else:
            pairs = zip(one.tolist(), other.tolist(), strict=True)
            differs = np.array([a != b and not (a != a and b != b) for a, b in pairs], dtype=bool)
        if differs.any():
            counts[name] = int(differs.sum())
            at = int(np.argmax(differs))
            if at < first_row:
                first_row, first_column = at, name
    return counts, first_row, first_column


def _row_key(table: pa.Table, keys: Sequence[str], row: int) -> dict[str, Any]:
    if not keys:
        return {"row": row + 1}
    return {name: _shorten_value(table[name][row].as_py()) for name in keys}


def _shorten_value(value: Any) -> Any:
    """Shorten long values."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
