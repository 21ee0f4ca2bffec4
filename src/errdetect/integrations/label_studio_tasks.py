"""The queue as Label Studio tasks, and the labelling config that shows them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import pandas as pd

from errdetect.data.atomic_writing import to_json_value
from errdetect.data.policy_catalogue import Policy
from errdetect.errors import escape_hidden
from errdetect.schemas import (
    OVERTURNED,
    RELABELLED,
    UPHELD,
)

__all__ = ["FACTS", "RIGHT_POLICY", "VERDICT", "label_studio_tasks", "labelling_config"]


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
}
_WHY = "why"
#: Hidden from reviewers: the model's output, and why the decision was drawn.
_META = (
    "rank", "p_error", "error_kind", "expected_harm", "arm", "inclusion_probability", "pool",
    "suggested_policy_id", "run_id",
)  # fmt: skip
_ASKED = {
    UPHELD: "The decision is correct",
    OVERTURNED: "The action is wrong: the opposite action was correct",
    RELABELLED: "The action is correct, but another policy applies",
}


def label_studio_tasks(
    queue: pd.DataFrame, policies: Mapping[str, Policy] | None = None
) -> list[dict[str, Any]]:
    """Convert queued decisions to tasks for Label Studio's import.

    A reviewer sees the content, the rule, the automated action and the queue's reasons. P(error),
    its kind, the rank and whether the decision was drawn at random stay in `meta`, as they would
    bias reviewers. The prediction carries the model's version and P(error) as its score, for
    sorting; it suggests no answer.

    Parameters
    ----------
    queue
        As `schemas.QUEUE`, with those of the decisions' columns that reviewers need (`text`,
        `action`, ...).
    policies
        The catalogue, for names and clauses.

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
    ('Buy <b>gold</b>', 'spam', [{'model_version': '3', 'score': 0.75, 'result': []}])
    """
    known = policies or {}
    return [_build_task(row, known) for row in queue.to_dict("records")]


def _build_task(row: Mapping[Any, Any], policies: Mapping[str, Policy]) -> dict[str, Any]:
    rule = policies.get(row["policy_id"])
    content = {
        **row,
        "policy": row["policy_id"] if rule is None else rule.name,
        "clause": None if rule is None else rule.clause,
        _WHY: _format_reasons(row.get("reasons")),
    }
    shown = ("decision_id", "policy_id", "text", *FACTS, _WHY)
    further = [name for name in row if name not in (*shown, *_META, "reasons", "model_version")]
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
        "meta": {name: to_json_value(row[name]) for name in _META if name in row},
        "predictions": [prediction],
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
