"""The tables that a run wrote, as DataFrames on its result."""

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

import pandas as pd
import pyarrow.parquet as pq

from errdetect.schemas import REJECTS

__all__ = ["ResultTables"]


class ResultTables:
    """Base of results that name their files: reads their Parquet tables when asked."""

    files: Mapping[str, Path]

    def table(self, name: str) -> pd.DataFrame:
        """Return an output table, read from its file at the first call.

        Parameters
        ----------
        name
            The file's name without `.parquet`.

        Raises
        ------
        KeyError
            If the run wrote no such table.
        """
        if name not in self._read:
            self._read[name] = pq.read_table(self._parquet()[name]).to_pandas()
        return self._read[name]

    @property
    def rejects(self) -> pd.DataFrame:
        """Rows that could not be used, each with its reason: source, row, id, reason."""
        if "rejects" in self._read or "rejects" in self._parquet():
            return self.table("rejects")
        nothing: pd.DataFrame = REJECTS.empty_table().to_pandas()
        return nothing

    def without_folder(self, folder: Path) -> Self:
        """Return the result with its tables in memory and without the files below `folder`."""
        kept = copy.copy(self)
        kept._read.update({name: self.table(name) for name in self._parquet()})
        files = {name: path for name, path in self.files.items() if folder not in path.parents}
        object.__setattr__(kept, "files", files)  # results are frozen for everybody else
        return kept

    @cached_property
    def _read(self) -> dict[str, pd.DataFrame]:
        return {}

    def _parquet(self) -> dict[str, Path]:
        return {path.stem: path for path in self.files.values() if path.suffix == ".parquet"}
