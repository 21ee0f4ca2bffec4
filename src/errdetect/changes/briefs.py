"""Briefs: what a policy team needs to decide on a change, from confirmed findings only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from errdetect.changes import brief_text as text
from errdetect.changes.decision_volumes import combine_slices
from errdetect.changes.pilot_design import Pilot, plan_pilot
from errdetect.changes.proposals import CHANGES, findings_in_use, proposal_id
from errdetect.changes.text_formatting import ERROR_KIND_WORDS, KIND_RATE_WORDS, clean_text, slug
from errdetect.data.policy_catalogue import Policy
from errdetect.findings.conditions import finding_mask, parse_conditions

__all__ = [
    "Brief",
    "FindingEvidence",
    "brief_table",
    "build_briefs",
    "escape_markdown",
    "markdown_template",
    "render_briefs",
]


_MARKS = re.compile(r"([\\`*_{}\[\]|~#!^$])")
_LINKS = re.compile(r"(?i)(?<=[a-z])(:)(?=//)|(?<=www)(\.)|(@)")
_START = re.compile(r"^([-+=:])")
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](\s|$))")
_LONGEST = 4000


def escape_markdown(value: object) -> str:
    r"""Write a value so that Markdown shows it literally, on one line.

    Parameters
    ----------
    value
        Any text, also untrusted, or a number.

    Returns
    -------
    str
        Markup characters escaped, `<`, `>` and `&` as entities, hidden characters as codes.

    Examples
    --------
    >>> escape_markdown("<img src=x> [a](https://b.c) *x*")
    '&lt;img src=x&gt; \\[a\\](https\\://b.c) \\*x\\*'
    >>> escape_markdown("# no\nheading")
    '\\# no heading'
    """
    if value == "":
        return ""
    text = clean_text(value, limit=_LONGEST, missing="")
    text = _MARKS.sub(r"\\\1", text)
    text = _LINKS.sub(lambda found: "\\" + found[0], text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Digits cannot be escaped; the mark after them can.
    return _NUMBERED.sub(r"\1\\", _START.sub(r"\\\1", text))


@cache
def markdown_template(name: str) -> Template:
    """Load a template of this package that escapes every value.

    Parameters
    ----------
    name
        The file's name.

    Returns
    -------
    jinja2.Template

    Examples
    --------
    >>> markdown_template("brief.md.j2").name
    'brief.md.j2'
    """
    environment = Environment(
        loader=PackageLoader("errdetect.changes"),
        autoescape=False,  # noqa: S701 (Markdown, not HTML: `finalize` escapes all)
        finalize=escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


#: Kinds of finding that imply a cause where none is given.
_BY_KIND = {"threshold": "threshold", "accounts": "account_cluster"}


@dataclass(frozen=True)
class FindingEvidence:
    """One finding, as a brief shows it; as display texts."""

    rule: str
    n: str
    accounts: str
    reviews: str
    rate: str
    interval: str
    base: str
    q: str


@dataclass(frozen=True)
class Brief:
    """One proposed change.

    Parameters
    ----------
    file
        Name of its Markdown file: stable between reports.
    title, policy_id, policy_name, owner, clause
        What it is about; owner and clause None where the catalogue says none.
    cause, kind, change_title, change, effort
        The cause, the matching kind of change, its name, its steps in one text, and its
        rough effort in person-days.
    rule, error_kind, error_words, share_words
        The rule as text, the kind of error, and the name of its share.
    finding_ids, parts
        The findings, and the slice of each: conditions and account_ids.
    recorded
        (proposal_id, state) of each proposal that its findings belong to; state `new` where the
        ledger has none yet.
    evidence
        One line for each finding, the largest saving first.
    n, n_accounts, rate, base, expected
        Decisions and accounts of all slices together, each once, their share wrong (see
        `volumes.combine_slices`), the policy's, and the intended change of the rate
        (below 0; NaN unknown).
    evidence_until
        The moment up to which the findings know the log.
    pilot
        None where no pilot is possible.
    problem, volume, cause_lines, steps, effect, risk, pilot_lines, acceptance
        The sections' sentences.
    """

    file: str
    title: str
    policy_id: str
    policy_name: str
    owner: str | None
    clause: str | None
    cause: str
    kind: str
    change_title: str
    change: str
    effort: float
    rule: str
    error_kind: str
    error_words: str
    share_words: str
    finding_ids: tuple[str, ...]
    parts: tuple[Mapping[str, Any], ...]
    recorded: tuple[tuple[str, str], ...]
    evidence: tuple[FindingEvidence, ...]
    n: int
    n_accounts: int | None
    rate: float
    base: float
    expected: float
    evidence_until: pd.Timestamp | None
    pilot: Pilot | None
    problem: str = ""
    volume: tuple[str, ...] = ()
    cause_lines: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    effect: tuple[str, ...] = ()
    risk: tuple[str, ...] = ()
    pilot_lines: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()


def build_briefs(
    findings: pd.DataFrame,
    *,
    policies: Mapping[str, Policy],
    decisions: pd.DataFrame | None = None,
    thresholds: pd.DataFrame | None = None,
    known: pd.DataFrame | None = None,
    evidence_until: pd.Timestamp | None = None,
) -> tuple[Brief, ...]:
    """Make one brief for each policy, cause and kind of error among confirmed findings.

    Findings about thresholds get one brief each: each has its own threshold to move.

    Parameters
    ----------
    findings
        finding_id, policy_id, kind, rule, error_kind, n, error_rate, low, high, base_rate,
        confirmed; optionally conditions, account_ids, n_reviews, n_accounts, q_value, cause,
        cause_text, runner_up, confidence (`clear`, `likely`), harm_saved, harm_saved_low,
        harm_saved_high. Rates are shares of the slice's decisions, enforced or not.
    policies
        The catalogue; a policy that is not in it has no owner.
    decisions
        The decisions that the findings were made on: for volume and accounts over merged slices.
    thresholds
        Effects of other thresholds: policy_id, moderator, market, threshold, current, recommended,
        wrongful and missed (counts) with _low and _high.
    known
        The ledger's proposals.
    evidence_until
        When the findings were made.

    Returns
    -------
    tuple of Brief
        The largest harm saved first; ties by file name.

    Examples
    --------
    >>> findings = pd.DataFrame({"finding_id": ["f1"], "policy_id": "spam", "kind": "slice",
    ...     "rule": "market is DE", "error_kind": "wrongful_action", "n": 900, "error_rate": 0.3,
    ...     "low": 0.25, "high": 0.35, "base_rate": 0.1, "confirmed": True,
    ...     "cause": "policy_ambiguity"})
    >>> [(b.file, b.kind, b.pilot.reviews) for b in build_briefs(findings, policies={})]
    [('policy-spam-rule-text-wrongful-action.md', 'rule_text', 294)]
    """
    table = _confirmed_findings(findings)
    taken = findings_in_use(known) if known is not None else {}
    built = [
        _build_brief(group, policies, decisions, thresholds, taken, evidence_until)
        for _, group in table.groupby("_group", sort=True)
    ]
    return tuple(brief for _, brief in sorted(built, key=lambda b: (-b[0], b[1].file)))


def _confirmed_findings(findings: pd.DataFrame) -> pd.DataFrame:
    """Return confirmed findings with every optional column, each with its cause and group."""
    optional = (
        "conditions", "account_ids", "n_reviews", "n_accounts", "q_value", "cause", "cause_text",
        "runner_up", "confidence", "harm_saved", "harm_saved_low", "harm_saved_high", "turned",
    )  # fmt: skip
    table = findings.reindex(columns=[*dict.fromkeys([*findings.columns, *optional])])
    table = table[table["confirmed"].fillna(False).astype(bool)]
    harms = ["harm_saved", "harm_saved_low", "harm_saved_high"]
    table = table.assign(**{name: pd.to_numeric(table[name]).astype("float64") for name in harms})
    named = table["cause"].where(table["cause"].isin(list(CHANGES)))
    table = table.assign(cause=named.fillna(table["kind"].map(_BY_KIND)).fillna("unknown"))
    table = table.sort_values(
        ["harm_saved", "finding_id"], ascending=[False, True], kind="stable", na_position="last"
    )
    alone = table["finding_id"].astype("str").where(table["cause"] == "threshold", "")
    keys = [table[name].astype("str") for name in ("policy_id", "cause", "error_kind")]
    group = alone
    for key in reversed(keys):
        group = key + "\0" + group
    return table.assign(_group=group)


def _build_brief(
    group: pd.DataFrame,
    policies: Mapping[str, Policy],
    decisions: pd.DataFrame | None,
    thresholds: pd.DataFrame | None,
    taken: Mapping[str, tuple[str, str]],
    evidence_until: pd.Timestamp | None,
) -> tuple[float, Brief]:
    rows = group.to_dict("records")
    lead = rows[0]
    policy = policies.get(str(lead["policy_id"]))
    change = CHANGES[lead["cause"]]
    parts = tuple(
        {
            "conditions": list(parse_conditions(r["conditions"])),
            "account_ids": _as_list(r["account_ids"]),
        }
        for r in rows
    )
    ids = tuple(str(r["finding_id"]) for r in rows)
    new = [name for name in ids if name not in taken]
    recorded = dict.fromkeys(taken[name] for name in ids if name in taken)
    if new:
        recorded[(proposal_id(str(lead["policy_id"]), change.kind, new[0]), "new")] = None
    if lead["kind"] == "threshold" and decisions is not None:
        # Its n counts the decisions that the new threshold changes; its rates cover all below the threshold.
        under = finding_mask(decisions, lead)
        lead |= {"turned": lead["n"], "n": int(under.sum())}
    total = combine_slices(rows, decisions)
    name = clean_text(policy.name if policy else lead["policy_id"], limit=100)
    words = ERROR_KIND_WORDS.get(lead["error_kind"], "error")
    share = KIND_RATE_WORDS.get(lead["error_kind"], KIND_RATE_WORDS["any"])
    per_day = total.n / total.days if total.days else float("nan")
    split = change.kind in ("whitelist", "threshold", "version")
    accounts = total.n_accounts if split else None
    rate, base = total.rate, float(lead["base_rate"])
    brief = Brief(
        file=_brief_file(lead, change.kind),
        title=f"{name}: {change.title.lower()}",
        policy_id=str(lead["policy_id"]),
        policy_name=name,
        owner=policy.owner if policy else None,
        clause=policy.clause if policy else None,
        cause=lead["cause"],
        kind=change.kind,
        change_title=change.title,
        change="",
        effort=change.effort,
        rule="; or ".join(clean_text(r["rule"], limit=300) for r in rows[:5])
        + (f"; and {len(rows) - 5} more" if len(rows) > 5 else ""),
        error_kind=str(lead["error_kind"]),
        error_words=words,
        share_words=share[0].upper() + share[1:],
        finding_ids=ids,
        parts=parts,
        recorded=tuple(recorded),
        evidence=tuple(FindingEvidence(**text.evidence_row(r)) for r in rows),
        n=total.n,
        n_accounts=total.n_accounts,
        rate=rate,
        base=base,
        expected=base - rate if rate > base else float("nan"),
        evidence_until=evidence_until,
        pilot=plan_pilot(rate, base, per_day=per_day, n_accounts=accounts, shared=not split)
        if rate > base
        else None,
    )
    bars = None
    if change.kind == "threshold" and thresholds is not None:
        bars = text.find_threshold_change(thresholds, lead)
    steps = (
        (*change.steps, *text.new_threshold_lines(bars))
        if change.kind == "threshold"
        else change.steps
    )
    said = replace(
        brief,
        change=" ".join(steps),
        problem=text.problem_sentence(brief),
        volume=text.volume_lines(brief, rows, total),
        cause_lines=text.cause_lines(rows),
        steps=steps,
        effect=text.effect_lines(brief, total, bars),
        risk=text.risk_lines(brief),
        pilot_lines=text.pilot_lines(brief.pilot, change.pilot),
        acceptance=text.acceptance_lines(brief, policy),
    )
    return total.harm if total.harm == total.harm else 0.0, said


def _as_list(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple | np.ndarray) else []


def _brief_file(lead: Mapping[Any, Any], kind: str) -> str:
    policy = slug("policy", str(lead["policy_id"]))
    tail = ""
    if lead["cause"] == "threshold":
        tail = "-" + proposal_id(str(lead["policy_id"]), kind, str(lead["finding_id"]))[2:8]
    error = slug("e", str(lead["error_kind"]).replace("_", "-")).removeprefix("e-")
    return f"{policy}-{kind.replace('_', '-')}-{error}{tail}.md"


def render_briefs(briefs: tuple[Brief, ...]) -> dict[str, str]:
    """Write each brief as Markdown with untrusted text escaped.

    Parameters
    ----------
    briefs
        From `build_briefs`.

    Returns
    -------
    dict
        File name to text.

    Examples
    --------
    >>> render_briefs(())
    {}
    """
    template = markdown_template("brief.md.j2")
    return {brief.file: template.render(b=brief) for brief in briefs}


def brief_table(briefs: tuple[Brief, ...]) -> pd.DataFrame:
    """List the briefs, one row each, for the report's tables.

    Parameters
    ----------
    briefs
        From `build_briefs`.

    Returns
    -------
    DataFrame
        file, policy_id, kind, cause, title, rule, error_kind, n, n_accounts, error_rate,
        base_rate, pilot_reviews (of each half), owner, proposal_id, state.

    Examples
    --------
    >>> len(brief_table(()))
    0
    """
    columns = [
        "file", "policy_id", "kind", "cause", "title", "rule", "error_kind", "n", "n_accounts",
        "error_rate", "base_rate", "pilot_reviews", "owner", "proposal_id", "state",
    ]  # fmt: skip
    rows = [
        (
            b.file, b.policy_id, b.kind, b.cause, b.title, b.rule, b.error_kind, b.n, b.n_accounts,
            b.rate, b.base, b.pilot.reviews if b.pilot else None, b.owner, *b.recorded[0],
        )
        for b in briefs
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype(
        {"n_accounts": "Int64", "pilot_reviews": "Int64", "owner": "str"}
    )
