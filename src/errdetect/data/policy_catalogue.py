"""The policy catalogue: what each rule is called, how much its errors harm, who owns it."""

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any

from errdetect.errors import ConfigError, error_message
from errdetect.schemas import MEASURES, MISSED_VIOLATION, WRONGFUL_ACTION
from errdetect.yaml_files import YamlFault, read_yaml

__all__ = ["Policy", "read_policies"]


@dataclass(frozen=True)
class Policy:
    """One rule of the catalogue, under which decisions are taken.

    Parameters
    ----------
    policy_id, name
        The id that decisions carry, and the name people use.
    severity
        From 1 (a nuisance) to 5 (danger to people).
    review_minutes
        Minutes that one review takes.
    owner
        Who may change the rule.
    targets
        Measure (`wrongful_rate`, ...) -> its limit, as a share in [0, 1].
    clause
        The rule's text.
    parent
        The `policy_id` of the rule that this one refines.
    dsa_category
        The EU transparency database's statement category.
    effective_from
        The day from which this version of the rule holds.
    version
        The rule's version.
    harm_wrongful, harm_missed
        Cost of one wrongful action and of one missed violation; missing means the severity.

    Examples
    --------
    >>> spam = Policy("spam", "Spam", severity=2, harm_missed=5.0)
    >>> spam.harm("wrongful_action"), spam.harm("missed_violation")
    (2.0, 5.0)
    """

    policy_id: str
    name: str
    severity: int
    review_minutes: float | None = None
    owner: str | None = None
    targets: dict[str, float] = field(default_factory=dict)
    clause: str | None = None
    parent: str | None = None
    dsa_category: str | None = None
    effective_from: dt.date | None = None
    version: str | None = None
    harm_wrongful: float | None = None
    harm_missed: float | None = None

    def harm(self, error_kind: str) -> float:
        """Return the cost of one error of this kind: the stated one, or else the severity.

        Parameters
        ----------
        error_kind
            `wrongful_action`, `missed_violation` or `wrong_label`; the last has no cost of its
            own in the catalogue, so it costs the severity.
        """
        stated = {WRONGFUL_ACTION: self.harm_wrongful, MISSED_VIOLATION: self.harm_missed}
        cost = stated.get(error_kind)
        return float(self.severity) if cost is None else cost


_TEXTS = ("policy_id", "name", "owner", "clause", "parent", "dsa_category", "version")
_REQUIRED = ("policy_id", "name", "severity")
_KNOWN = tuple(f.name for f in fields(Policy))


def read_policies(path: str | Path) -> dict[str, Policy]:
    """Read a policy catalogue; report all of its faults at once.

    Parameters
    ----------
    path
        A YAML file with a list under `policies:`.

    Returns
    -------
    dict
        policy_id -> Policy, in the file's order.

    Raises
    ------
    ConfigError
        With one sentence for each fault of the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "policies.yaml"
    ...     _ = file.write_text("policies: [{policy_id: spam, name: Spam, severity: 2}]")
    ...     read_policies(file)["spam"].severity
    2
    """
    path = Path(path)
    entries = _load_entries(path)
    faults: list[str] = []
    policies: dict[str, Policy] = {}
    for number, entry in enumerate(entries, start=1):
        policy, found = _parse_policy(entry)
        place = f"{path.name}, policy {number}" + _entry_label(entry)
        if policy is not None and policy.policy_id in policies:
            found.append(
                f"policy_id {policy.policy_id!r} must be unique, got it a second time. "
                "Rename one of the two, or delete it."
            )
        elif policy is not None:
            policies[policy.policy_id] = policy
        faults += [f"{place}: {fault}" for fault in found]
    ids = {str(e["policy_id"]) for e in entries if isinstance(e, dict) and "policy_id" in e}
    faults += [f"{path.name}: {fault}" for fault in _hierarchy_faults(policies, ids)]
    if faults:
        raise ConfigError(faults)
    return policies


def _load_entries(path: Path) -> list[Any]:
    """Load the list under `policies:`; report why if there is none."""
    try:
        content = read_yaml(path)
    except YamlFault as error:
        line = f", line {error.line}" if error.line else ""
        raise ConfigError([f"{path.name}{line}: this is not YAML: {error.problem}."]) from error
    except UnicodeDecodeError as error:
        fault = error_message(str(path), "be UTF-8 text", "other bytes", "Save it as UTF-8.")
        raise ConfigError([fault]) from error
    except OSError as error:
        fault = f"The policy catalogue {path} cannot be read: {error.strerror}."
        raise ConfigError([fault]) from error
    listed = content.get("policies") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        got = "nothing" if content is None else _yaml_type(content if listed is None else listed)
        do = "Write `policies:` and below it one `- policy_id: ...` for each policy."
        raise ConfigError([error_message(path.name, "hold a list under `policies:`", got, do)])
    unknown = [key for key in content if key not in ("policies", "version")]
    if unknown:
        must = "have no keys but `policies` and `version`"
        do = "Indent what belongs to a policy under its `- policy_id`."
        raise ConfigError([error_message(path.name, must, ", ".join(map(repr, unknown)), do)])
    return listed


def _parse_policy(entry: object) -> tuple[Policy | None, list[str]]:
    """Parse one entry into a Policy, or into its faults."""
    if not isinstance(entry, dict):
        do = "Write its fields as `key: value`."
        return None, [error_message("a policy", "be a set of fields", _yaml_type(entry), do)]
    faults = [_unknown_key_fault(key) for key in entry if key not in _KNOWN]
    given = {k: v for k, v in entry.items() if k in _KNOWN and v is not None}
    faults += [
        error_message(name, "be given for every policy", "nothing", "Add it.")
        for name in _REQUIRED
        if name not in given
    ]
    values: dict[str, Any] = {}
    for key, value in given.items():
        try:
            values[key] = _parse_field(key, value)
        except ValueError as fault:
            faults.append(str(fault))
    return (None, faults) if faults else (Policy(**values), [])


def _parse_field(key: str, value: object) -> object:
    """Check one field; a ValueError carries the message."""
    if key in _TEXTS:
        return _parse_text(key, value)
    if key == "severity":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 5:
            must = "be a whole number from 1 to 5"
            raise ValueError(error_message(key, must, repr(value), "5 is the most severe."))
        return value
    if key == "effective_from":
        return _parse_date(key, value)
    if key == "targets":
        return _parse_targets(value)
    low_open = key == "review_minutes"
    must = "be a number above 0" if low_open else "be a number of at least 0"
    return _parse_number(key, value, must, low=0.0, low_open=low_open)


def _parse_text(key: str, value: object) -> str:
    if isinstance(value, bool):
        do = "Put the value in quotes: YAML reads yes, no, on and off as true and false."
        raise ValueError(error_message(key, "be text", repr(value), do))
    if not isinstance(value, str | int | float | dt.date) or not str(value).strip():
        raise ValueError(
            error_message(key, "be text that is not empty", _yaml_type(value), "Write it.")
        )
    return str(value)


def _parse_number(
    key: str,
    value: object,
    must: str,
    *,
    low: float,
    high: float = float("inf"),
    low_open: bool = False,
) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    number = float(value) if isinstance(value, int | float) and is_number else float("nan")
    if not isfinite(number) or not low <= number <= high or (low_open and number == low):
        raise ValueError(error_message(key, must, repr(value), "Correct it, or leave it out."))
    return number


def _parse_date(key: str, value: object) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        do = "Write it as 2026-03-01."
        raise ValueError(error_message(key, "be a day", repr(value), do)) from None


def _parse_targets(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping):
        do = "Write it as `targets: {wrongful_rate: 0.03}`."
        raise ValueError(error_message("targets", "map measures to limits", _yaml_type(value), do))
    limits: dict[str, float] = {}
    for measure, limit in value.items():
        if measure not in MEASURES:
            must = f"name measures ({', '.join(MEASURES)})"
            do = _closest_match(measure, MEASURES) or "Choose one of these."
            raise ValueError(error_message("targets", must, repr(measure), do))
        must = "be a share from 0 to 1"
        limits[measure] = _parse_number(f"targets.{measure}", limit, must, low=0.0, high=1.0)
    return limits


def _hierarchy_faults(policies: Mapping[str, Policy], ids: set[str]) -> list[str]:
    """Yield faults for parents that are unknown or are their own descendants."""
    faults = []
    for policy in policies.values():
        if policy.parent is not None and policy.parent not in ids:
            do = _closest_match(policy.parent, ids) or "Add that policy, or leave parent out."
            what = f"parent of policy {policy.policy_id!r}"
            faults.append(
                error_message(what, "be a policy_id of this file", repr(policy.parent), do)
            )
            continue
        line, parent = {policy.policy_id}, policy.parent
        while parent is not None and parent in policies and parent not in line:
            line.add(parent)
            parent = policies[parent].parent
        if parent == policy.policy_id:
            do = "Break the cycle of parents."
            what = f"parent of policy {policy.policy_id!r}"
            faults.append(error_message(what, "lead to a policy without parent", "itself", do))
    return faults


def _unknown_key_fault(key: object) -> str:
    do = _closest_match(key, _KNOWN) or f"Use one of: {', '.join(_KNOWN)}."
    return error_message("a policy's field", "be a known one", repr(key), do)


def _closest_match(word: object, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), sorted(words), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _entry_label(entry: object) -> str:
    known = isinstance(entry, dict) and isinstance(entry.get("policy_id"), str)
    return f" ({entry['policy_id']!r})" if isinstance(entry, dict) and known else ""


def _yaml_type(value: object) -> str:
    """Return a YAML value's type in plain words."""
    if isinstance(value, Mapping):
        return "a set of fields"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return repr(value)
