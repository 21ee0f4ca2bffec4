"""What an action means: `allow` or `enforce`; unknown words are never guessed."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from errdetect.errors import ConfigError, error_message, escape_hidden

__all__ = [
    "ALLOW_ACTIONS",
    "ENFORCE_ACTIONS",
    "action_meanings",
    "canonical_action",
    "canonical_action_column",
    "unknown_actions_hint",
]

Meaning = Literal["allow", "enforce"]

#: Actions that allow, in any system.
ALLOW_ACTIONS: Final = (
    "accept", "accepted", "allow", "allowed", "approve", "approved", "keep", "kept", "leave_up",
    "no_action", "no_violation", "publish", "published",
)  # fmt: skip

#: Actions that enforce, and the measures of the EU's statements of reasons, which are all restrictions.
ENFORCE_ACTIONS: Final = (
    "age_restrict", "age_restricted", "ban", "banned", "block", "blocked", "delete", "deleted",
    "delist", "delisted", "demonetise", "demonetised", "demonetize", "demonetized", "demote",
    "demoted", "deny", "denied", "disable", "disabled", "downrank", "downranked", "geo_block",
    "geo_blocked", "geoblock", "geoblocked", "hide", "hidden", "label", "labeled", "labelled",
    "quarantine", "quarantined", "reject", "rejected", "remove", "removed", "restrict",
    "restricted", "shadow_ban", "shadow_banned", "shadowban", "shadowbanned", "suppress",
    "suppressed", "suspend", "suspended", "take_down", "takedown", "taken_down", "terminate",
    "terminated", "unlist", "unlisted",
    "decision_visibility_content_removed", "decision_visibility_content_disabled",
    "decision_visibility_content_demoted", "decision_visibility_content_age_restricted",
    "decision_visibility_content_interaction_restricted", "decision_visibility_content_labelled",
    "decision_visibility_other", "decision_monetary_suspension", "decision_monetary_termination",
    "decision_monetary_other", "decision_provision_partial_suspension",
    "decision_provision_total_suspension", "decision_provision_partial_termination",
    "decision_provision_total_termination", "decision_account_suspended",
    "decision_account_terminated",
)  # fmt: skip

_SHOWN_WORDS = 10
_SHOWN_LETTERS = 60
_BARE = re.compile(r"[A-Za-z][\w.-]*\Z")
_YAML_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def action_meanings(actions: Mapping[str, str]) -> dict[str, Meaning]:
    """Return the meaning of every known action, the config's included.

    Parameters
    ----------
    actions
        `data.actions` of the config: action -> `allow` or `enforce`. Case, outer spaces, and
        whether words are joined by spaces, hyphens or underscores do not matter.

    Returns
    -------
    dict
        Word, as `canonical_action` writes it, -> `allow` or `enforce`.

    Raises
    ------
    ConfigError
        If an action maps to anything else, or to both.

    Examples
    --------
    >>> meanings = action_meanings({"Approve Link": "allow"})
    >>> meanings["approve_link"], meanings["remove"], meanings.get("removelink")
    ('allow', 'enforce', None)
    """
    faults = []
    own: dict[str, Meaning] = {}
    for action, meaning in actions.items():
        word = canonical_action(str(action))
        if meaning not in ("allow", "enforce"):
            must = "map to `allow` or `enforce`"
            faults.append(error_message(f"actions: {action!r}", must, repr(meaning), "Choose one."))
            continue
        known: Meaning = "allow" if meaning == "allow" else "enforce"
        if own.setdefault(word, known) != known:
            must = "have one meaning (case does not matter)"
            faults.append(error_message(f"actions: {word!r}", must, "both", "Keep one of them."))
    if faults:
        raise ConfigError(faults)
    meanings: dict[str, Meaning] = dict.fromkeys(ALLOW_ACTIONS, "allow")
    meanings |= dict.fromkeys(ENFORCE_ACTIONS, "enforce")
    return meanings | own


def canonical_action(action: str) -> str:
    """Return the form of an action under which its meaning is looked up.

    Examples
    --------
    >>> canonical_action(" Take-Down ")
    'take_down'
    """
    return re.sub(r"[\s-]+", "_", action.strip().lower())


def canonical_action_column(actions: pa.Array) -> pa.Array:
    """Return a column of actions in lookup form, shape (n,); null stays null."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(actions))
    return pc.replace_substring_regex(text, r"[\s-]+", "_")


def unknown_actions_hint(words: Counter[str]) -> str:
    """Return unknown actions with their counts, and the config lines that map them.

    Parameters
    ----------
    words
        Unknown action -> number of decisions.

    Returns
    -------
    str
        Several lines; at most ten words are shown.

    Examples
    --------
    >>> print(unknown_actions_hint(Counter({"approvelink": 2432, "true": 1})))
    Unknown action words: 'approvelink' (2,432), 'true' (1). Add under `data`, each with `allow` or `enforce`:
      actions:
        approvelink: ALLOW_OR_ENFORCE
        'true': ALLOW_OR_ENFORCE
    """
    shown = words.most_common(_SHOWN_WORDS)
    named = ", ".join(f"{_quote_action(word)} ({n:,})" for word, n in shown)
    more = f" and {len(words) - len(shown):,} more" if len(words) > len(shown) else ""
    lines = [f"    {_yaml_key(word)}: ALLOW_OR_ENFORCE" for word, _ in shown]
    head = f"Unknown action words: {named}{more}. Add under `data`, each with `allow` or `enforce`:"
    return "\n".join([head, "  actions:", *lines])


def _shorten_action(word: str) -> str:
    shown = escape_hidden(word)
    return shown if len(shown) <= _SHOWN_LETTERS else shown[: _SHOWN_LETTERS - 1] + "…"


def _quote_action(word: str) -> str:
    return "'" + _shorten_action(word).replace("'", "''") + "'"


def _yaml_key(word: str) -> str:
    plain = _BARE.match(word) and word.lower() not in _YAML_WORDS
    return _shorten_action(word) if plain else _quote_action(word)
