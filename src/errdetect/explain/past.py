"""Reasons from what was known before a decision: records, and how the same content was judged."""

from collections.abc import Mapping

import numpy as np

from errdetect.explain.quoting import Forms

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


def past_words(code: str, facts: Mapping[str, float], forms: Forms) -> tuple[str, dict[str, str]]:
    """Return which template says such a reason, and what to fill in.

    Parameters
    ----------
    code
        One of `PAST`.
    facts
        The decision's features by name; NaN or absent where unknown.
    forms
        How numbers are written.

    Returns
    -------
    tuple
        The template's name and its values.
    """
    if code == _SIMILAR:
        return _similar(facts, forms)
    if code == _CHANGES:
        days = {"version": facts.get(_VERSION, np.nan), "policy": facts.get(_POLICY, np.nan)}
        known = [name for name, value in days.items() if not np.isnan(value)]
        variant = "text" if len(known) == 2 else known[0] if known else "unknown"
        fill = {"version": days["version"], "policy_days": days["policy"]}
        return variant, {name: forms.count(v) for name, v in fill.items() if not np.isnan(v)}
    told = {what: facts.get(f"{code}_{what}_90d", np.nan)
            for what in ("decisions", "reviewed", "errors", "complaints")}  # fmt: skip
    return _variant(told), {n: forms.count(v) for n, v in told.items() if not np.isnan(v)}


def _variant(told: Mapping[str, float]) -> str:
    """Choose what a record says: the fairest evidence that there is."""
    if np.isnan(told["decisions"]):
        return "unknown"
    if told["reviewed"] > 0:
        return "text"
    if told["complaints"] > 0:
        return "complained"
    return "unreviewed" if told["decisions"] > 0 else "new"


def _similar(facts: Mapping[str, float], forms: Forms) -> tuple[str, dict[str, str]]:
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
                fill = {n: forms.count(told[n]) for n in ("reviewed", "decisions")}
                fill |= {n: forms.share(told[n]) for n in ("violates", "wrong")}
                fill["enforced"] = forms.share(told["enforced_rate"])
                return name if what == "reviewed" else "unreviewed", fill
    return "unknown", {}


def _is_days(name: str) -> bool:
    return name.startswith("similar_") and name.endswith("_days")
