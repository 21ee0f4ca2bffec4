"""Why one decision looks wrong: the facts that its contributions point to, strongest first."""

from typing import TypedDict

import numpy as np
import pandas as pd

from errdetect.explanations.reason_facts import Facts

__all__ = ["MOST_REASONS", "Reason", "reasons"]

_TEXT, _SHAPE, _CHARS = "text", "text_shape", "text_chars"
#: Reasons that the contract lets a decision have.
MOST_REASONS = 5


class Reason(TypedDict):
    """One reason: a stable code, a sentence, and what it adds to the served log-odds of error."""

    code: str
    text: str
    contribution: float


def reasons(
    facts: Facts, grouped: pd.DataFrame, *, limit: int = MOST_REASONS, towards: bool = True
) -> list[list[Reason]]:
    """Say for each decision what is associated with its being an error.

    Parameters
    ----------
    facts
        The n decisions.
    grouped
        Shape (n, codes), from `group_contributions`.
    limit
        Reasons per decision at most.
    towards
        Whether to say what points towards error, or what points the other way.

    Returns
    -------
    list
        For each decision its reasons, the strongest first; ties by code.

    Examples
    --------
    >>> from errdetect.explanations.reason_templates import load_words
    >>> frame = pd.DataFrame({"decision_id": ["d1"], "market": ["DE"], "category": ["toys"]})
    >>> facts = Facts(frame, np.empty((1, 0)), [], load_words())
    >>> pushes = pd.DataFrame({"market": [0.5], "category": [-0.25]})
    >>> reasons(facts, pushes)
    [[{'code': 'market', 'text': 'The market is DE', 'contribution': 0.5}]]
    >>> reasons(facts, pushes, towards=False)[0][0]["text"]
    'The category is toys'
    """
    codes = sorted(grouped.columns)
    values = _said_once(facts, grouped[codes]).to_numpy(np.float64)
    sign = 1.0 if towards else -1.0
    order = np.argsort(-sign * values, axis=1, kind="stable")[:, :limit]
    return [
        [
            Reason(
                code=codes[g],
                text=facts.say(codes[g], row, towards),
                contribution=float(values[row, g]),
            )
            for g in order[row]
            if sign * values[row, g] > 0
        ]
        for row in range(len(facts))
    ]


def _said_once(facts: Facts, grouped: pd.DataFrame) -> pd.DataFrame:
    """Where there is no text, what it says and how it is written are one fact: there is none."""
    if _SHAPE not in grouped or _TEXT not in grouped or _CHARS not in facts.names:
        return grouped
    shape = grouped[_SHAPE].to_numpy(np.float64)
    silent = np.isnan(facts.X[:, list(facts.names).index(_CHARS)])
    moved = np.where(silent, shape, 0.0)
    merged = grouped.copy()
    merged[_TEXT], merged[_SHAPE] = grouped[_TEXT].to_numpy(np.float64) + moved, shape - moved
    return merged
