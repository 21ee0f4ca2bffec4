"""Reasons from what was known before a decision: records, and how the same content was judged."""

from collections.abc import Mapping

import numpy as np

__all__ = ["PAST", "past_code", "past_words"]

_RECORDS = (
    "history_account_policy",  # before history_account, which it begins with
    "history_account",
    "history_market_policy",
    "history_policy",
    "history_moderator",
)
_CHANGES, _SIMILAR = "history_changes", "similar"
_VERSION, _POLICY = "history_moderator_version_days", "history_policy_change_days"
#: The codes of these reasons.
PAST = (*_RECORDS, _CHANGES, _SIMILAR)


def past_code(name: str) -> str | None:
    """Return the reason that a feature belongs to; None where it is none of these.

    Examples
    --------
    >>> past_code("history_account_policy_errors_90d"), past_code("similar_text_days")
    ('history_account_policy', 'similar')
    >>> past_code("history_policy_change_days"), past_code("price")
    ('history_changes', None)
    """
    if name in (_VERSION, _POLICY):
        return _CHANGES
    if name.startswith(f"{_SIMILAR}_"):
        return _SIMILAR
    return next((code for code in _RECORDS if name.startswith(f"{code}_")), None)


def past_words(code: str, facts: Mapping[str, float]) -> tuple[str, dict[str, str]]:
    """Return which template says such a reason, and what to fill in.

    Parameters
    ----------
    code
        One of `PAST`.
    facts
        The decision's features by name; NaN or absent where unknown.

    Returns
    -------
    tuple
        The template's name and its values.
    """
    if code == _SIMILAR:
        return _similar(facts)
    if code == _CHANGES:
        days = {"version": facts.get(_VERSION, np.nan), "policy": facts.get(_POLICY, np.nan)}
        known = [name for name, value in days.items() if not np.isnan(value)]
        variant = "text" if len(known) == 2 else known[0] if known else "unknown"
        return variant, {name: _number(days[name]) for name in known}
    decisions, reviewed, errors = (
        facts.get(f"{code}_{what}_90d", np.nan) for what in ("decisions", "reviewed", "errors")
    )
    variant = "unknown" if np.isnan(decisions) else "text" if reviewed > 0 else "unreviewed"
    fill = {"decisions": decisions, "reviewed": reviewed, "errors": errors}
    return variant, {name: _number(value) for name, value in fill.items()}


def _similar(facts: Mapping[str, float]) -> tuple[str, dict[str, str]]:
    """Tell of the surest likeness with a verdict, or else with a decision."""
    kinds = [n.removeprefix("similar_").removesuffix("_days") for n in facts if _is_days(n)]
    order = sorted(kinds, key=lambda k: (("item", "text").index(k) if k in ("item", "text")
                                         else 3 if k == "near" else 2, k))  # fmt: skip
    for what in ("reviewed", "decisions"):
        for kind in order:
            told = {n: facts.get(f"similar_{kind}_{n}", np.nan)
                    for n in ("reviewed", "decisions", "violates", "wrong", "enforced_rate")}  # fmt: skip
            if told[what] > 0:
                name = kind if kind in ("item", "text", "near") else "picture"
                fill = {n: _number(told[n]) for n in ("reviewed", "decisions")}
                fill |= {n: f"{np.nan_to_num(told[n]):.0%}" for n in ("violates", "wrong")}
                fill["enforced"] = f"{np.nan_to_num(told['enforced_rate']):.0%}"
                return name if what == "reviewed" else "unreviewed", fill
    return "unknown", {}


def _is_days(name: str) -> bool:
    return name.startswith("similar_") and name.endswith("_days")


def _number(value: float) -> str:
    """Write a count without, and what is no whole number with one digit after the point."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
