"""Numbers for the combinations of values that a log holds, and for those of other decisions."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Groups", "Levels"]

Ints = npt.NDArray[np.int64]


class Levels:
    """The values of a log's columns, numbered.

    Parameters
    ----------
    log
        Decisions.
    columns
        Columns to number; those that the log lacks are passed over.
    """

    def __init__(self, log: pd.DataFrame, columns: Sequence[str]) -> None:
        self._log = log
        self.n = len(log)
        self.values: dict[str, pd.Index] = {}
        self.codes: dict[str, Ints] = {}
        for name in columns:
            if name in log:
                codes, values = pd.factorize(log[name])
                self.codes[name], self.values[name] = codes.astype(np.int64), pd.Index(values)

    def of(self, decisions: pd.DataFrame) -> dict[str, Ints]:
        """Return the number of each decision's value by column: -1 missing, one above all unseen."""
        if decisions is self._log:
            return self.codes
        out = {}
        for name, values in self.values.items():
            if name not in decisions:
                out[name] = np.full(len(decisions), -1)
                continue
            column = decisions[name]
            codes = values.get_indexer(pd.Index(column)).astype(np.int64)
            codes[codes < 0] = len(values)
            codes[column.isna().to_numpy(bool)] = -1
            out[name] = codes
        return out


class Groups:
    """Combinations of values, numbered.

    Parameters
    ----------
    levels
        The log's values.
    columns
        Those that together make a group, all among the levels; none puts every decision into one.

    Examples
    --------
    >>> log = pd.DataFrame({"account_id": ["a", "a", None], "policy_id": ["p", "q", "p"]})
    >>> levels = Levels(log, ["account_id", "policy_id"])
    >>> groups = Groups(levels, ["account_id", "policy_id"])
    >>> groups.codes.tolist(), len(groups)
    ([0, 1, -1], 2)
    >>> other = pd.DataFrame({"account_id": ["a", "z", None], "policy_id": ["q", "p", "p"]})
    >>> groups.of(levels.of(other)).tolist()
    [1, 2, -1]
    """

    def __init__(self, levels: Levels, columns: Sequence[str]) -> None:
        self._columns = columns
        self._sizes = [len(levels.values[name]) + 1 for name in columns]
        self._log = levels.codes
        codes, values = pd.factorize(self._pack(levels.codes, levels.n))
        missing = pd.Index(values).get_indexer(pd.Index([-1]))[0]
        self._values = pd.Index(values)
        self.codes: Ints = codes.astype(np.int64)
        if missing >= 0:
            self.codes[codes == missing] = -1
            self.codes[codes > missing] -= 1
            self._values = self._values.delete(missing)

    def __len__(self) -> int:
        return len(self._values)

    def of(self, codes: Mapping[str, Ints]) -> Ints:
        """Return the group of decisions by their levels: -1 missing, one above all unseen."""
        if codes is self._log:
            return self.codes
        packed = self._pack(codes, len(codes[self._columns[0]]))
        found = self._values.get_indexer(pd.Index(packed)).astype(np.int64)
        found[found < 0] = len(self)
        found[packed < 0] = -1
        return found

    def _pack(self, codes: Mapping[str, Ints], n: int) -> Ints:
        packed = np.zeros(n, np.int64)
        missing = np.zeros(n, bool)
        for name, size in zip(self._columns, self._sizes, strict=True):
            packed = packed * size + codes[name]
            missing |= codes[name] < 0
        packed[missing] = -1
        return packed
