"""Exporting the queue, with the context that reviewers need, in formats that other systems read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.data.atomic_writing import (
    to_arrow,
    to_json_value,
    write_csv,
    write_parquet,
    write_text,
)
from errdetect.data.dataframes import dataframe_name
from errdetect.data.policy_catalogue import Policy
from errdetect.data.provenance import Provenance
from errdetect.data.renamed_columns import (
    add_old_columns,
    complete_columns,
    schema_with_old_names,
    use_new_names,
)
from errdetect.errors import DataError, error_message
from errdetect.integrations.label_studio_tasks import label_studio_tasks
from errdetect.schemas import QUEUE

__all__ = ["FORMATS", "join_decision_context", "read_queue", "write_queue"]

#: The file formats.
FORMATS = ("parquet", "csv", "jsonl", "label-studio")


def read_queue(path: str | Path) -> pd.DataFrame:
    """Read a queue written by scoring.

    Parameters
    ----------
    path
        A Parquet file with at least `decision_id`.

    Returns
    -------
    pandas.DataFrame
        In the file's order, with all columns of `schemas.QUEUE`; absent columns are missing values.

    Raises
    ------
    DataError
        If it cannot be read, has no decision_id, or holds a decision twice.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "queue.parquet"
    >>> pq.write_table(pa.table({"decision_id": ["d1"], "rank": [1]}), path)
    >>> read_queue(path)[["decision_id", "rank", "arm"]].values.tolist()
    [['d1', 1, nan]]
    """
    do = "Give the queue.parquet that `errdetect score` wrote."
    what = f"The queue '{path}'" if dataframe_name(path) is None else str(dataframe_name(path))
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        problem = str(error).splitlines()[0]
        raise DataError(error_message(what, "be a Parquet file", problem, do)) from None
    if "decision_id" not in table.column_names:
        got = ", ".join(table.column_names) or "no columns"
        raise DataError(error_message(what, "have the column decision_id", got, do))
    table = complete_columns(table, "queue")
    for name in (name for name in QUEUE.names if name not in table.column_names):
        kind = QUEUE.field(name).type
        table = table.append_column(name, pa.nulls(table.num_rows, kind))
    try:
        frame = use_new_names(to_arrow(table, QUEUE).to_pandas(), "queue")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        problem = str(error).splitlines()[0]
        raise DataError(error_message(what, "have a queue's columns", problem, do)) from None
    twice = frame["decision_id"][frame["decision_id"].duplicated()]
    if len(twice):
        got = f"{twice.iloc[0]!r} twice"
        raise DataError(error_message(what, "hold each decision once", got, do))
    return frame


def join_decision_context(
    queue: pd.DataFrame, batches: Iterable[pd.DataFrame], columns: Sequence[str]
) -> tuple[pd.DataFrame, int]:
    """Add to queued decisions the columns that reviewers need.

    Parameters
    ----------
    queue
        With `decision_id`.
    batches
        Decisions, one batch at a time; decisions that are not queued are ignored.
    columns
        Columns of the decisions to add; the queue's own columns stay.

    Returns
    -------
    tuple
        The queue in its order with the available columns, and how many of its decisions were
        not found: their columns are missing.

    Examples
    --------
    >>> queue = pd.DataFrame({"decision_id": ["d2", "d9"], "rank": [1, 2]})
    >>> decisions = pd.DataFrame({"decision_id": ["d1", "d2"], "text": ["a", "b"], "x": 1})
    >>> joined, absent = join_decision_context(queue, [decisions], ["text", "market"])
    >>> joined.values.tolist(), absent
    ([['d2', 1, 'b'], ['d9', 2, nan]], 1)
    """
    parts = []
    for batch in batches:
        names = [name for name in columns if name in batch and name not in queue]
        parts.append(
            batch.loc[batch["decision_id"].isin(queue["decision_id"]), ["decision_id", *names]]
        )
    if not parts:
        return queue, len(queue)
    found = pd.concat(parts, ignore_index=True).drop_duplicates("decision_id")
    absent = int((~queue["decision_id"].isin(found["decision_id"])).sum())
    joined = queue.merge(found, on="decision_id", how="left", validate="one_to_one")
    return joined, absent


def write_queue(
    queue: pd.DataFrame,
    path: str | Path,
    form: str,
    *,
    policies: Mapping[str, Policy] | None = None,
    provenance: Provenance | None = None,
) -> None:
    r"""Write a queue to a file, whole or not at all.

    Parameters
    ----------
    queue
        From `join_decision_context`.
    path
        The file.
    form
        One of `FORMATS`. `csv` is safe in spreadsheets and holds the reasons as lines of text;
        `jsonl` is one object per line; `label-studio` is a list of tasks.
    policies
        The catalogue, for the names and clauses in tasks.
    provenance
        Written to a Parquet file's metadata.

    Raises
    ------
    DataError
        If the file cannot be written.
    ValueError
        If `form` is unknown.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "queue.csv"
    >>> write_queue(pd.DataFrame({"decision_id": ["d1"], "text": ["=1+1"]}), path, "csv")
    >>> path.read_bytes().decode()
    "decision_id,text\r\nd1,'=1+1\r\n"
    """
    if form == "parquet":
        known = pa.schema([QUEUE.field(name) for name in QUEUE.names if name in queue])
        schema = schema_with_old_names("queue", known) or known
        table = to_arrow(add_old_columns(queue, "queue"), schema)
        further = [name for name in table.column_names if name not in schema.names]
        write_parquet(table.select([*schema.names, *further]), path, provenance=provenance)
    elif form == "csv":
        write_csv(_flatten_reasons(add_old_columns(queue, "queue")), path)
    elif form == "jsonl":
        records = add_old_columns(queue, "queue").to_dict("records")
        rows = (json.dumps(to_json_value(row), ensure_ascii=False) for row in records)
        write_text(path, "".join(f"{row}\n" for row in rows))
    elif form == "label-studio":
        tasks = label_studio_tasks(add_old_columns(queue, "queue"), policies)
        write_text(path, json.dumps(tasks, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    else:
        raise ValueError(f"unknown format {form!r}")


def _flatten_reasons(queue: pd.DataFrame) -> pd.DataFrame:
    """Write reasons as text, one per line."""
    if "reasons" not in queue:
        return queue
    texts = [
        "\n".join(str(reason["text"]) for reason in reasons) if reasons is not None else None
        for reasons in queue["reasons"]
    ]
    return queue.assign(reasons=pd.Series(texts, index=queue.index, dtype=object))
