"""DataFrames in place of files: written as Parquet for one run, and named as what they are."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.errors import DataError, error_message

__all__ = ["dataframe_name", "dataframes_as_files", "shown_path"]

#: Files that hold a DataFrame while a run reads them -> what messages and records call them.
_NAMES: dict[Path, str] = {}
#: What Arrow raises for a column of mixed or unknown objects.
_NO_COLUMN = (pa.ArrowException, TypeError, ValueError, OverflowError)


def dataframe_name(path: str | Path) -> str | None:
    """Return what to call the DataFrame that a file holds; None where the file is just a file."""
    return _NAMES.get(Path(path))


def shown_path(path: str | Path) -> str:
    """Return how to name a file in messages and records: its path, or the DataFrame it holds.

    Examples
    --------
    >>> shown_path("log/decisions.parquet")
    'log/decisions.parquet'
    """
    return dataframe_name(path) or str(path)


@contextmanager
def dataframes_as_files(frames: Mapping[str, pd.DataFrame]) -> Iterator[dict[str, str]]:
    """Write DataFrames to a temporary folder, which is removed with the block.

    Parameters
    ----------
    frames
        Parameter's name -> the frame given for it. Nothing of it is changed; its index is left out.

    Yields
    ------
    dict
        Parameter's name -> the file's path.

    Raises
    ------
    DataError
        If something is no DataFrame, or cannot be written as a table.

    Examples
    --------
    >>> with dataframes_as_files({"decisions": pd.DataFrame({"decision_id": ["d1", 7]})}) as files:
    ...     name, table = shown_path(files["decisions"]), pq.read_table(files["decisions"])
    >>> name, table.to_pylist()
    ('the DataFrame given as decisions', [{'decision_id': 'd1'}, {'decision_id': '7'}])
    """
    if not frames:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="errdetect-") as folder:
        files = {what: Path(folder).resolve() / f"{what}.parquet" for what in frames}
        _NAMES.update({path: f"the DataFrame given as {what}" for what, path in files.items()})
        try:
            for what, path in files.items():
                pq.write_table(_table(frames[what], _NAMES[path]), path)
            yield {what: str(path) for what, path in files.items()}
        finally:
            for path in files.values():
                del _NAMES[path]


def _table(frame: pd.DataFrame, name: str) -> pa.Table:
    """Return a DataFrame's columns as an Arrow table; the readers refuse names that stand twice."""
    if not isinstance(frame, pd.DataFrame):
        do = "Convert it, or name a file in the config."
        got = f"a {type(frame).__name__}"
        raise DataError(error_message(name, "be a pandas DataFrame", got, do))
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    names = [str(column) for column in frame.columns]
    try:
        return pa.Table.from_arrays([_array(column) for column in columns], names=names)
    except UnicodeEncodeError as error:
        do = "Clean it, for example with .str.encode('utf-8', 'replace').str.decode('utf-8')."
        got = f"a lone surrogate ({error.reason})"
        raise DataError(error_message(name, "hold text that UTF-8 can write", got, do)) from error


def _array(column: pd.Series) -> pa.Array:
    """Return a column as Arrow and Parquet hold it; one of mixed objects becomes text."""
    try:
        array = pa.array(column, from_pandas=True)
    except UnicodeEncodeError:
        raise
    except _NO_COLUMN:
        array = None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array is None or isinstance(array, pa.ExtensionArray):
        missing = column.isna().to_numpy(bool)
        values = zip(column.astype(object), missing, strict=True)
        return pa.array([None if gone else str(value) for value, gone in values], pa.string())
    return array
