"""Exporting the queue, with the context that reviewers need, in formats that other systems read.

Label Studio gets tasks, and the labelling config that shows them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.data.atomic_writing import (
    csv_text,
    parquet_bytes,
    to_arrow,
    to_json_value,
    write_files,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.data.provenance import Provenance
from errdetect.data.renamed_columns import (
    add_old_columns,
    complete_columns,
    schema_with_old_names,
    use_new_names,
)
from errdetect.data.sources import dataframe_name
from errdetect.errors import DataError, error_message, escape_hidden
from errdetect.integrations.precedents import PRECEDENTS
from errdetect.schemas import OVERTURNED, QUEUE, RELABELLED, UPHELD

__all__ = [
    "FACTS",
    "FORMATS",
    "RIGHT_POLICY",
    "VERDICT",
    "join_decision_context",
    "label_studio_tasks",
    "labelling_config",
    "queue_content",
    "read_queue",
    "write_queue",
]

#: The names of the two controls in the labelling config that errdetect writes.
VERDICT, RIGHT_POLICY = "verdict", "right_policy"

#: What a reviewer sees next to the text: the key in the task's data -> its heading.
FACTS: Final = {
    "policy": "Policy",
    "clause": "The rule",
    "action": "Automated action",
    "item_type": "Item type",
    "category": "Category",
    "market": "Market",
    "language": "Language",
    PRECEDENTS: "Earlier rulings on this rule",
}
_WHY = "why"
#: Hidden from reviewers: the model's output, and why the decision was drawn.
_META = (
    "rank", "p_error", "error_kind", "expected_harm", "arm", "inclusion_probability", "pool",
    "suggested_policy_id", "run_id",
)  # fmt: skip
#: What may be shown with the reasons, and what says nothing about the decision.
_VALUES, _NEUTRAL = ("p_error", "expected_harm"), ("pool", "run_id")
#: Earlier names of the queue's columns.
_FORMER = ("value", "p_reverse", "chance")
#: The machine's own view of a decision, which would anchor reviewers as the model's would.
_MACHINE = ("score", "threshold")
_ASKED = {
    UPHELD: "The decision is correct",
    OVERTURNED: "The action is wrong: the opposite action was correct",
    RELABELLED: "The action is correct, but another policy applies",
}
#: The file formats.
FORMATS = ("parquet", "csv", "jsonl", "label-studio")


def label_studio_tasks(
    queue: pd.DataFrame,
    policies: Mapping[str, Policy] | None = None,
    *,
    show_reasons: bool = False,
) -> list[dict[str, Any]]:
    """Convert queued decisions to tasks for Label Studio's import.

    A reviewer sees the content, the rule and the automated action. What the model thinks of the decision
    would anchor reviewers, so by default no part of a task holds it: neither P(error), its kind, the
    value, the rank and the reasons, nor whether the decision was drawn at random, nor the machine's score.

    Parameters
    ----------
    queue
        As `schemas.QUEUE`, with those of the decisions' columns that reviewers need (`text`,
        `action`, ...).
    policies
        The catalogue, for names and clauses.
    show_reasons
        Whether reviewers see the reasons, P(error) and the value; the rest is then in `meta`, and a
        prediction carries P(error) as its score, for sorting. It suggests no answer.

    Returns
    -------
    list of dict
        One task per decision, in the queue's order, ready for JSON. Missing values are empty text:
        Label Studio refuses a task that lacks a key of its labelling config.

    Examples
    --------
    >>> queue = pd.DataFrame({
    ...     "decision_id": ["d1"], "rank": [1], "p_error": [0.75], "policy_id": ["spam"],
    ...     "model_version": ["3"], "text": ["Buy <b>gold</b>"], "action": ["remove"]})
    >>> task = label_studio_tasks(queue)[0]
    >>> task["data"]["text"], task["data"]["policy"], task["predictions"]
    ('Buy <b>gold</b>', 'spam', [])
    """
    known = policies or {}
    return [_build_task(row, known, show_reasons) for row in queue.to_dict("records")]


def _build_task(
    row: Mapping[Any, Any], policies: Mapping[str, Policy], show_reasons: bool
) -> dict[str, Any]:
    rule = policies.get(row["policy_id"])
    content = {
        **row,
        "policy": row["policy_id"] if rule is None else rule.name,
        "clause": None if rule is None else rule.clause,
        _WHY: _format_reasons(row.get("reasons")) if show_reasons else "",
    }
    shown = ("decision_id", "policy_id", "text", *FACTS, _WHY)
    hidden = {*_META, *QUEUE.names, *_FORMER}
    hidden = hidden - set(_VALUES) if show_reasons else hidden | set(_MACHINE)
    further = [name for name in row if name not in {*shown, *hidden}]
    score = to_json_value(row.get("p_error"))
    version = to_json_value(row.get("model_version"))
    prediction = {"model_version": "" if version is None else str(version), "result": []}
    if score is not None:
        prediction = {"model_version": prediction["model_version"], "score": score, "result": []}
    return {
        "data": {
            str(name): "" if (value := to_json_value(content.get(name))) is None else value
            for name in (*shown, *further)
        },
        "meta": {
            name: to_json_value(row[name])
            for name in (_META if show_reasons else _NEUTRAL)
            if name in row
        },
        "predictions": [prediction] if show_reasons else [],
    }


def _format_reasons(reasons: Any) -> str:
    """Return the reasons' texts, one per line."""
    if reasons is None or isinstance(reasons, str | float):
        return "" if reasons is None or isinstance(reasons, float) else reasons
    return "\n".join(str(reason["text"]) for reason in reasons)


def labelling_config(
    policy_ids: Iterable[str], policies: Mapping[str, Policy] | None = None
) -> str:
    """Write the XML that a Label Studio project needs for these tasks.

    Parameters
    ----------
    policy_ids
        Policies that a reviewer may name as correct; the catalogue's are added.
    policies
        The catalogue, for names.

    Returns
    -------
    str
        XML. Content is shown as plain text, whatever it holds.

    Examples
    --------
    >>> [line.strip() for line in labelling_config(["spam", "a<b"]).splitlines()[-4:-2]]
    ['<Choice value="a&lt;b" alias="a&lt;b"/>', '<Choice value="spam" alias="spam"/>']
    """
    known = policies or {}
    lines = ["<View>", '  <Header value="Content"/>', _text_tag("text")]
    for name, heading in FACTS.items():
        lines += [
            f'  <Header value={quoteattr(heading)} size="5"/>',
            _text_tag(name),
        ]
    lines += ['  <Header value="Why it is in the queue" size="5"/>', _text_tag(_WHY)]
    lines += [
        '  <Header value="Is the decision correct?"/>',
        f'  <Choices name="{VERDICT}" toName="text" choice="single" required="true">',
        *(f'    <Choice value="{word}"/>' for word in _ASKED),
        "  </Choices>",
        *(
            f'  <Header value={quoteattr(f"{word}: {asked}")} size="6"/>'
            for word, asked in _ASKED.items()
        ),
        '  <Header value="Which policy applies? (only for relabelled)" size="5"/>',
        f'  <Choices name="{RIGHT_POLICY}" toName="text" choice="single" '
        f'visibleWhen="choice-selected" whenTagName="{VERDICT}" whenChoiceValue="{RELABELLED}">',
        *(
            f"    <Choice value={quoteattr(escape_hidden(_policy_label(one, known)))} "
            f"alias={quoteattr(escape_hidden(one))}/>"
            for one in sorted({*policy_ids, *known})
        ),
        "  </Choices>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def _policy_label(policy_id: str, policies: Mapping[str, Policy]) -> str:
    """Return a policy's label, unique among policies."""
    rule = policies.get(policy_id)
    return policy_id if rule is None else f"{rule.name} ({policy_id})"


def _text_tag(name: str) -> str:
    return f'  <Text name="{name}" value="${name}" valueType="text"/>'


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
    show_reasons: bool = False,
) -> None:
    """Write a queue to a file that only its owner may read, whole or not at all.

    Parameters
    ----------
    queue, form, policies, provenance, show_reasons
        See `queue_content`.
    path
        The file.

    Raises
    ------
    DataError
        If the file cannot be written.
    ValueError
        If `form` is unknown.
    """
    content = queue_content(
        queue, form, policies=policies, provenance=provenance, show_reasons=show_reasons
    )
    write_files({Path(path): content}, private=[Path(path)])


def queue_content(
    queue: pd.DataFrame,
    form: str,
    *,
    policies: Mapping[str, Policy] | None = None,
    provenance: Provenance | None = None,
    show_reasons: bool = False,
) -> bytes:
    r"""Return the content of the file that holds a queue.

    Parameters
    ----------
    queue
        From `join_decision_context`.
    form
        One of `FORMATS`. `csv` is safe in spreadsheets and holds the reasons as lines of text;
        `jsonl` is one object per line; `label-studio` is a list of tasks.
    policies
        The catalogue, for the names and clauses in tasks.
    provenance
        Written to a Parquet file's metadata.
    show_reasons
        See `label_studio_tasks`.

    Raises
    ------
    ValueError
        If `form` is unknown.

    Examples
    --------
    >>> queue_content(pd.DataFrame({"decision_id": ["d1"], "text": ["=1+1"]}), "csv").decode()
    "decision_id,text\r\nd1,'=1+1\r\n"
    """
    if form == "parquet":
        known = pa.schema([QUEUE.field(name) for name in QUEUE.names if name in queue])
        schema = schema_with_old_names("queue", known) or known
        table = to_arrow(add_old_columns(queue, "queue"), schema)
        further = [name for name in table.column_names if name not in schema.names]
        return parquet_bytes(table.select([*schema.names, *further]), None, provenance)
    if form == "csv":
        text = csv_text(_flatten_reasons(add_old_columns(queue, "queue")))
    elif form == "jsonl":
        records = add_old_columns(queue, "queue").to_dict("records")
        rows = (json.dumps(to_json_value(row), ensure_ascii=False) for row in records)
        text = "".join(f"{row}\n" for row in rows)
    elif form == "label-studio":
        tasks = label_studio_tasks(queue, policies, show_reasons=show_reasons)
        text = json.dumps(tasks, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    else:
        raise ValueError(f"unknown format {form!r}")
    return text.encode("utf-8")


def _flatten_reasons(queue: pd.DataFrame) -> pd.DataFrame:
    """Write reasons as text, one per line."""
    if "reasons" not in queue:
        return queue
    texts = [
        "\n".join(str(reason["text"]) for reason in reasons) if reasons is not None else None
        for reasons in queue["reasons"]
    ]
    return queue.assign(reasons=pd.Series(texts, index=queue.index, dtype=object))
