"""Why one decision looks wrong: the facts that its SHAP values point to, strongest first."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.explain.past import PAST, past_code, past_words
from errdetect.explain.words import Words

__all__ = ["Reason", "group_contributions", "reason_codes", "reasons"]

Floats = npt.NDArray[np.float64]

_MARGIN = ("score", "threshold", "margin", "confidence")
_NEAR = 0.1  # a score this close to its bar counts as close
_SHAPE = ("text_chars", "text_words", "text_upper_share", "text_digit_share", "text_sign_share",
          "text_latin_share", "text_links", "text_repeats")  # fmt: skip


class Reason(TypedDict):
    """One reason: a stable code, a sentence, and what it adds to the log-odds of error."""

    code: str
    text: str
    contribution: float


def reason_codes(names: Sequence[str]) -> list[str]:
    """Return each feature's reason code: features that say one thing share a reason.

    Examples
    --------
    >>> reason_codes(["score", "margin", "text_char_logit", "market", "score_ml"])
    ['margin', 'margin', 'text', 'market', 'other_scores']
    """
    return [_code(name) for name in names]


def group_contributions(contributions: Floats, names: Sequence[str]) -> pd.DataFrame:
    """Add up SHAP values by reason code.

    Parameters
    ----------
    contributions
        Shape (n, k + 1), log-odds; the last column is the base and is left out.
    names
        The k features' names.

    Returns
    -------
    pandas.DataFrame
        Shape (n, codes); a row adds up to the prediction less the base.
    """
    codes, uniques = pd.factorize(pd.Series(reason_codes(names), dtype="str"))
    grouped = np.zeros((len(contributions), len(uniques)))
    np.add.at(grouped.T, codes, contributions[:, :-1].T)
    return pd.DataFrame(grouped, columns=list(uniques))


def reasons(
    decisions: pd.DataFrame,
    X: Floats,
    contributions: Floats,
    names: Sequence[str],
    words: Words,
    *,
    limit: int = 5,
) -> list[list[Reason]]:
    """Say for each decision what is associated with its being an error.

    Parameters
    ----------
    decisions
        Shape (n, any).
    X
        Shape (n, k), their features.
    contributions
        Shape (n, k + 1), SHAP values in log-odds, base last.
    names
        The features' names.
    words
        From `load_words`.
    limit
        Reasons per decision at most.

    Returns
    -------
    list
        For each decision its reasons, strongest first; only what points towards error.
    """
    grouped = group_contributions(contributions, names)
    values, codes = grouped.to_numpy(), list(grouped.columns)
    place = {name: i for i, name in enumerate(names)}
    out: list[list[Reason]] = []
    for row, record in enumerate(decisions.to_dict("records")):
        order = np.argsort(-values[row], kind="stable")[:limit]
        facts = {name: X[row, i] for name, i in place.items()}
        out.append(
            [
                Reason(
                    code=codes[g],
                    text=_say(codes[g], record, facts, words),
                    contribution=float(values[row, g]),
                )
                for g in order
                if values[row, g] > 0
            ]
        )
    return out


def _code(name: str) -> str:
    if name in _MARGIN:
        return "margin"
    if name in _SHAPE:
        return "text_shape"
    if name.startswith("text_"):
        return "text"
    if name.startswith(("score_", "scores_")):
        return "other_scores"
    if name == "segment_logit":
        return "segment"
    if name.startswith("usual_"):
        return "usual"
    if name == "other_policy_logit":
        return "other_policy"
    if "=" in name:
        return name.split("=")[0]
    if name in ("action", "enforced"):
        return "action"
    if name in ("moderator", "moderator_version"):
        return "moderator"
    return past_code(name) or name


def _say(code: str, record: Mapping[Any, Any], facts: Mapping[str, float], words: Words) -> str:
    said = words.get(code, words["default"])
    fill: dict[str, object] = {"column": code, "value": _shown(record.get(code))}
    variant = "text"
    if code == "margin":
        gap = facts["margin"]
        variant = "unknown" if np.isnan(gap) else "near" if abs(gap) < _NEAR else "text"
        fill |= {"score": f"{facts['score']:.2f}", "threshold": f"{facts['threshold']:.2f}"}
        fill |= {"gap": f"{abs(gap):.2f}", "side": "above" if gap >= 0 else "below"}
    elif code == "text":
        logit = facts["text_logit_mean"]
        variant = "unknown" if np.isnan(logit) else "enforced" if facts["enforced"] else "allowed"
        fill |= {"share": f"{expit(logit):.0%}"}
    elif code == "text_shape":
        variant = "text" if not np.isnan(facts["text_chars"]) else "unknown"
        said = said if variant in said else words["text"]
        fill |= {"chars": _shown(facts["text_chars"]), "links": _shown(facts["text_links"])}
        fill |= {"upper": f"{np.nan_to_num(facts['text_upper_share']):.0%}"}
    elif code == "other_scores":
        others = {n: v for n, v in facts.items() if n.startswith("score_")}
        fill |= {
            "scores": ", ".join(
                f"{n.removeprefix('score_')} {_shown(v)}" for n, v in others.items()
            )
        }
    elif code == "usual":
        variant = "enforced" if facts["enforced"] else "allowed"
        fill |= {"share": f"{expit(facts['usual_logit']):.0%}"}
    elif code == "other_policy":
        variant = "unknown" if np.isnan(facts["other_policy_logit"]) else "text"
        fill |= {"share": f"{expit(facts['other_policy_logit']):.0%}"}
    elif code == "segment":
        fill |= {"share": f"{expit(facts['segment_logit']):.0%}"}
    elif code == "moderator":
        fill |= {
            "moderator": _shown(record.get("moderator")),
            "version": _shown(record.get("moderator_version")),
        }
    elif code in PAST:
        variant, more = past_words(code, facts)
        fill |= more
    elif code == "action":
        fill |= {"action": _shown(record.get("action"))}
    elif fill["value"] == "unknown":
        said, variant = words["default"], "unknown"
    return said[variant].format_map(fill)


def _shown(value: object) -> str:
    """Show a value to people: short, and 'unknown' where it is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return "unknown"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
