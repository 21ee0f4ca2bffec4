"""Rows of one table split over several Arrow files: written some at a time, each file read as a whole."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["SplitFiles"]


class SplitFiles:
    """A table of any length, split over files.

    Parameters
    ----------
    folder
        Where the files are; made if absent.
    schema
        The table's columns.
    n
        Number of files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = SplitFiles(Path(folder), pa.schema({"n": pa.int64()}), 2)
    ...     files.write(pa.table({"n": [1, 2, 3]}), np.array([0, 1, 0]))
    ...     files.close()
    ...     [files.read(i)["n"].to_pylist() for i in range(2)]
    [[1, 3], [2]]
    """

    def __init__(self, folder: Path, schema: pa.Schema, n: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._paths = [folder / f"{i}.arrow" for i in range(n)]
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writers = [
            pa.ipc.new_file(str(path), schema, options=options) for path in self._paths
        ]

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._paths)

    def write(self, table: pa.Table, number: npt.NDArray[np.integer]) -> None:
        """Add rows; those of each file keep their order.

        Parameters
        ----------
        table
            Shape (n, any), with the columns of the schema.
        number
            Shape (n,), the file of each.
        """
        order = np.argsort(number, kind="stable")
        ends = np.cumsum(np.bincount(number, minlength=len(self)))
        sorted_ = table.select(self._schema.names).take(pa.array(order))
        for i, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
            if end > start:
                self.add(i, sorted_.slice(int(start), int(end - start)))

    def add(self, number: int, table: pa.Table) -> None:
        """Add rows to one file; threads may add to different ones at the same time."""
        self._writers[number].write_table(table.combine_chunks())

    def close(self) -> None:
        """Finish writing."""
        for writer in self._writers:
            writer.close()

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one file, or some of its columns, in the schema's order."""
        names = self._schema.names
        kept = range(len(names)) if columns is None else sorted(map(names.index, columns))
        options = pa.ipc.IpcReadOptions(included_fields=list(kept))
        with pa.OSFile(str(self._paths[number])) as source:
            return pa.ipc.open_file(source, options=options).read_all()

    def remove(self) -> None:
        """Delete the files."""
        for path in self._paths:
            path.unlink(missing_ok=True)
