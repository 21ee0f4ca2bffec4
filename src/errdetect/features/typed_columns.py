"""Columns in the types that the model was trained on: what cannot be read so is missing, and counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.type_coercion import to_number, to_text
from errdetect.errors import DataError, error_message, escape_hidden

__all__ = ["ColumnCounts", "read_levels", "read_numbers", "typed_columns"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_TRUTH = {"true": 1.0, "false": 0.0}
_SHOWN = 6


def read_numbers(values: pd.Series, *, flag: bool | None = None) -> tuple[Floats, Mask]:
    """Read a column as numbers, as the reader of files does; no value of it is an error.

    Parameters
    ----------
    values
        Shape (n,), of any type.
    flag
        Whether the training column was true/false; None where that is not known. Of other columns true
        and false cannot be read.

    Returns
    -------
    numbers, bad
        Shape (n,) each: the numbers, NaN where missing or unreadable; and which were unreadable.

    Examples
    --------
    >>> numbers, bad = read_numbers(pd.Series(["12,50", "old", "n/a", "2026-01-01"]))
    >>> numbers.tolist(), bad.tolist()
    ([12.5, nan, nan, nan], [False, True, False, True])
    """
    n = len(values)
    if pd.api.types.is_bool_dtype(values.dtype):
        known = values.notna().to_numpy(bool)
        numbers = values.astype("float64").to_numpy(np.float64, na_value=np.nan, copy=True)
        bad = known if flag is False else np.zeros(n, bool)
    elif pd.api.types.is_numeric_dtype(values.dtype):
        plain = values.astype("float64").to_numpy(np.float64, na_value=np.nan)
        return np.asarray(plain, dtype=np.float64), np.zeros(n, bool)
    else:
        numbers, bad = _parse(values, flag)
    return np.where(bad, np.nan, numbers), bad


def _parse(values: pd.Series, flag: bool | None) -> tuple[Floats, Mask]:
    known = values.notna().to_numpy(bool)
    texts = values.astype("str").to_numpy(object, copy=True)
    texts[~known] = None
    read = to_number(str(values.name), pa.array(texts, pa.large_string()), typed=False)
    numbers = read.values.to_numpy(zero_copy_only=False).astype(np.float64)
    bad = read.bad.copy()
    if flag is not False and bad.any():
        words = pd.Series(texts[bad]).str.strip().str.lower().map(_TRUTH).to_numpy(np.float64)
        numbers[bad] = words
        bad[bad] = np.isnan(words)
    infinite = np.isinf(numbers)
    return np.where(infinite, np.nan, numbers), bad | infinite


def read_levels(values: pd.Series, levels: Sequence[str] = ()) -> pd.Series:
    """Read a column as text, as the reader of files writes numbers and true/false as text.

    Parameters
    ----------
    values
        Shape (n,), of any type.
    levels
        The training column's values: they decide how true and false are written.

    Examples
    --------
    >>> read_levels(pd.Series([12.0, None])).tolist(), read_levels(pd.Series([True]), ["true"]).tolist()
    (['12', nan], ['true'])
    """
    if pd.api.types.is_bool_dtype(values.dtype):
        written = {level.lower(): level for level in levels}
        words = {flag: written.get(word, word) for word, flag in _TRUTH.items()}
        return values.astype("float64").map(words).astype("str")
    if pd.api.types.is_float_dtype(values.dtype):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        read = to_text(str(values.name), pa.array(numbers, from_pandas=True)).values
        return pd.Series(read.to_pylist(), index=values.index, dtype="str", name=values.name)
    return values.astype("str")


def typed_columns(
    decisions: pd.DataFrame, numeric: Mapping[str, bool | None], levels: Mapping[str, Sequence[str]]
) -> tuple[pd.DataFrame, Counter[str]]:
    """Give the model's columns the types they had in training.

    Parameters
    ----------
    decisions
        Shape (n, any).
    numeric
        Numeric column -> whether it was true/false, see `read_numbers`.
    levels
        Columns of text -> their training values.

    Returns
    -------
    decisions, unreadable
        The same rows; and for each numeric column with values that are no numbers their count.
    """
    unreadable = Counter[str]()
    typed: dict[str, Any] = {}
    for name, flag in numeric.items():
        if name not in decisions:
            continue
        held = decisions[name].dtype
        plain = pd.api.types.is_numeric_dtype(held) and not pd.api.types.is_bool_dtype(held)
        if not plain and not (pd.api.types.is_bool_dtype(held) and flag is not False):
            typed[name], bad = read_numbers(decisions[name], flag=flag)
            if bad.any():
                unreadable[name] = int(bad.sum())
    for name, known in levels.items():
        if name in decisions and pd.api.types.is_numeric_dtype(decisions[name].dtype):
            typed[name] = read_levels(decisions[name], known)
    return (decisions.assign(**typed) if typed else decisions), unreadable


@dataclass
class ColumnCounts:
    """What a batch, or many, holds of the model's columns.

    Parameters
    ----------
    known
        Column -> the values known in training, with those too rare to be features; empty where unknown.
    gain
        Input column -> its share of the model's gain, in [0, 1]; empty where the model has no trees.
    rows, unreadable, unseen, given
        Counts: decisions; by column, values that are no numbers, values never seen in training, and
        values that are there.
    """

    known: Mapping[str, frozenset[str]]
    gain: Mapping[str, float]
    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)

    def add(
        self, decisions: pd.DataFrame, columns: Sequence[str], unreadable: Mapping[str, int]
    ) -> None:
        """Count a batch, its columns typed.

        Parameters
        ----------
        decisions
            Shape (n, any).
        columns
            The model's input columns.
        unreadable
            From `typed_columns`.
        """
        self.rows += len(decisions)
        self.unreadable.update(unreadable)
        for name in columns:
            if name not in decisions:
                continue
            values = decisions[name].dropna()
            self.given[name] += len(values)
            if self.known.get(name):
                counts = values.astype("str").value_counts()
                others = counts[~counts.index.isin(self.known[name])]
                self.unseen[name] += int(others.sum())

    def refuse_unreadable(self, most: float) -> None:
        """Refuse the decisions if too many values of a column cannot be read.

        Parameters
        ----------
        most
            Largest share of the decisions.

        Raises
        ------
        DataError
            Naming every such column with its count.
        """
        over = {n: k for n, k in self.unreadable.items() if k > most * self.rows}
        if over:
            got = ", ".join(
                f"{k:,} of {self.rows:,} in {_show(n)}" for n, k in sorted(over.items())
            )
            do = "Correct these columns, or raise score.max_unreadable."
            must = f"hold numbers where the model learned numbers (at most {most:.2%} may not)"
            raise DataError(error_message("The decisions to score", must, f"none for {got}", do))

    def notes(self, columns: Sequence[str]) -> list[str]:
        """Return notes on what the model does not know here, with counts.

        Parameters
        ----------
        columns
            The model's input columns.
        """
        notes = [
            f"{_show(name)}: {_count(k, 'value')} could not be read as {'a number' if k == 1 else 'numbers'}"
            f" and {'counts' if k == 1 else 'count'} as missing"
            for name, k in sorted(self.unreadable.items())
        ]
        notes += [
            f"{_count(k, 'decision')} of a {_show(name)} never seen in training"
            for name, k in sorted(self.unseen.items())
            if k
        ]
        absent = [name for name in columns if self.rows and not self.given[name]]
        absent = [name for name in absent if self.gain.get(name, 0.0) > 0 or not self.gain]
        if absent:
            notes.append(self._absence(sorted(absent, key=lambda n: (-self.gain.get(n, 0), n))))
        return notes

    def _absence(self, absent: Sequence[str]) -> str:
        shown = ", ".join(_show(name) for name in absent[:_SHOWN])
        if len(absent) > _SHOWN:
            shown += f" and {len(absent) - _SHOWN} more columns"
        verb = "is" if len(absent) == 1 else "are"
        if not self.gain:
            return (
                f"{shown} {verb} absent, though the model uses {'it' if verb == 'is' else 'them'}"
            )
        share = sum(self.gain[name] for name in absent)
        rests = f"{share:.0%}" if share >= 0.005 else "less than 1 %"
        rests = rests.replace("%", " %").replace("  ", " ")
        return f"{shown} {verb} absent: {rests} of the model's gain rests on {'it' if verb == 'is' else 'them'}"


def _show(name: str) -> str:
    return escape_hidden(name)[:60]


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
