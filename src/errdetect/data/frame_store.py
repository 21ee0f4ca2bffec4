"""Frames of one table in a compressed Arrow file: written once, read part by part."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import pandas as pd
import pyarrow as pa

from errdetect.data.id_lookup import IdSet

__all__ = ["FrameStore"]

_ROWS = 10_000  # of a part: enough for numpy, few enough for memory


class FrameStore:
    """A table of any length in a file of its own.

    Parameters
    ----------
    path
        The file; an existing one is replaced, unless `sizes` are given.
    sizes
        Rows of each part of a file that is finished.
    compress
        Whether to compress; without, parts are mapped into memory and not copied.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = FrameStore(Path(folder) / "some.arrow")
    ...     store.write(pd.DataFrame({"a": ["x", None]}))
    ...     store.close()
    ...     len(store), store.starts, store.part(0)["a"].tolist()
    (1, (0,), ['x', nan])
    """

    def __init__(self, path: Path, sizes: Sequence[int] = (), *, compress: bool = True) -> None:
        self._path = path
        self._compression = "lz4" if compress else None
        self._writer: pa.RecordBatchFileWriter | None = None
        self._schema: pa.Schema | None = None
        self._sizes = list(sizes)

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; every frame has the columns and types of the first."""
        table = pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False)
        if self._writer is None:
            self._schema = table.schema
            options = pa.ipc.IpcWriteOptions(compression=self._compression)
            self._writer = pa.ipc.new_file(str(self._path), self._schema, options=options)
        for batch in table.combine_chunks().to_batches(max_chunksize=_ROWS):
            self._writer.write_batch(batch)
            self._sizes.append(batch.num_rows)

    def close(self) -> None:
        """Finish writing."""
        if self._writer is not None:
            self._writer.close()

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self._sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Each part's rows."""
        return tuple(self._sizes)

    @property
    def starts(self) -> tuple[int, ...]:
        """Each part's first row."""
        return tuple(accumulate(self._sizes[:-1], initial=0)) if self._sizes else ()

    def part(self, number: int) -> pd.DataFrame:
        """Read one part; threads may do so at the same time."""
        with pa.memory_map(str(self._path)) as source:
            batch = pa.ipc.open_file(source).get_batch(number)
            frame: pd.DataFrame = pa.Table.from_batches([batch]).to_pandas()
            return frame

    def rows(self, number: int, ids: IdSet) -> pd.DataFrame:
        """Read those decisions of one part that are among some ids."""
        with pa.memory_map(str(self._path)) as source:
            table = pa.Table.from_batches([pa.ipc.open_file(source).get_batch(number)])
            frame: pd.DataFrame = table.filter(
                ids.among(table["decision_id"].to_pandas())
            ).to_pandas()
            return frame

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Read all parts in order."""
        return (self.part(number) for number in range(len(self)))
