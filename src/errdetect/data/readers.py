"""Reading table files batch by batch, in bounded memory, whatever their format."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.data.delimited import read_delimited
from errdetect.data.json_lines import read_json_lines
from errdetect.data.opening import RawBatch, naming, one_name_each, seekable
from errdetect.data.sources import SourceFile
from errdetect.data.dsa_statements import as_decisions
from errdetect.ledger.query import read_rows

__all__ = ["parquet_columns", "read_batches"]


def read_batches(
    file: SourceFile, *, batch_rows: int, columns: Sequence[str] | None = None
) -> Iterator[RawBatch]:
    """Read a file batch by batch.

    Parameters
    ----------
    file
        What to read.
    batch_rows
        Most rows of a batch.
    columns
        Those wanted, where the format can skip the others; default all.

    Yields
    ------
    RawBatch
        In the file's order.

    Raises
    ------
    DataError
        If the file is damaged, is not UTF-8, or is no table.
    """
    with naming(file):
        if file.format == "parquet":
            batches = _read_parquet(file, batch_rows, columns)
        elif file.rows is not None:
            batches = _read_database(file, batch_rows)
        elif file.format == "jsonl":
            batches = read_json_lines(file, batch_rows)
        else:
            batches = read_delimited(file, batch_rows)
        for batch in batches:
            yield _with_partition(_preset(batch, file), file, columns)


def _preset(batch: RawBatch, file: SourceFile) -> RawBatch:
    """Turn another system's rows into ours."""
    if file.preset is None:
        return batch
    return RawBatch(batch.source, as_decisions(batch.table, batch.source), batch.rows, batch.broken)


def _with_partition(batch: RawBatch, file: SourceFile, wanted: Sequence[str] | None) -> RawBatch:
    """Add the columns that the folders' names give, where the file has none of that name."""
    table = batch.table
    for name, value in file.partition.items():
        if name not in table.column_names and (wanted is None or name in wanted):
            values = pa.array([value] * table.num_rows, pa.large_string())
            table = table.append_column(name, values)
    return RawBatch(batch.source, table, batch.rows, batch.broken)


def parquet_columns(file: SourceFile) -> tuple[pa.Schema, int, set[str]]:
    """Read from a Parquet file's footer its columns, its number of rows, and where gaps can be.

    Returns
    -------
    schema, n_rows, gapless
        `gapless` are the columns that say of themselves that no value is missing.
    """
    with naming(file), seekable(file) as place, pq.ParquetFile(place) as parquet:
        meta, schema = parquet.metadata, parquet.schema_arrow
        one_name_each(file.shown, schema.names)
        gaps: set[str] = set()
        for group in range(meta.num_row_groups):
            for index in range(meta.num_columns):
                column = meta.row_group(group).column(index)
                told = column.statistics
                if told is None or not told.has_null_count or told.null_count:
                    gaps.add(column.path_in_schema)
        for name, value in file.partition.items():
            if name not in schema.names:
                schema = schema.append(pa.field(name, pa.large_string()))
                gaps |= {name} if value is None else set()
    return schema, meta.num_rows, set(schema.names) - gaps


def _read_parquet(
    file: SourceFile, batch_rows: int, columns: Sequence[str] | None
) -> Iterator[RawBatch]:
    with seekable(file) as place, pq.ParquetFile(place) as parquet:
        there = parquet.schema_arrow.names
        wanted = None if columns is None else [name for name in columns if name in there]
        first = 1
        for batch in parquet.iter_batches(batch_size=batch_rows, columns=wanted):
            batch.validate(full=True)
            rows = np.arange(first, first + batch.num_rows)
            yield RawBatch(file.shown, pa.Table.from_batches([batch]), rows)
            first += batch.num_rows


def _read_database(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    assert file.rows is not None
    first = 1
    for table in read_rows(file.rows.url, file.rows.what, batch_rows=batch_rows):
        one_name_each(file.shown, table.column_names)
        rows = np.arange(first, first + table.num_rows)
        yield RawBatch(file.shown, table, rows)
        first += table.num_rows
