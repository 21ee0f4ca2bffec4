"""SOP and training packs for sites: their most confusing cases with the ruling and the clause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.team_pages import Block, Page, Section, numbered, paragraph, table
from errdetect.changes.text_formatting import clean_text, format_percent, slug, to_records
from errdetect.data.policy_catalogue import Policy
from errdetect.labels.review_history import COUNTS, MEASURES_REVIEWER, OVERRULED
from errdetect.schemas import ADJUDICATION, GOLDEN, OVERTURNED, RELABELLED, UPHELD
from errdetect.snapshot import Snapshot

__all__ = ["TrainingMaterial", "training_pages"]

_MOST_SITES, _MOST_NEEDS, _MOST_CASES, _MOST_RULINGS = 50, 6, 10, 10
_TEXT = 600
_MISTAKES = {
    "missed_violation": ("misses", "violating items"),
    "wrongful_call": ("calls violating", "compliant items"),
}
_ANSWERS = {
    UPHELD: "the decision is correct",
    OVERTURNED: "the action is wrong",
    RELABELLED: "the action is correct, the policy is wrong",
}
#: The standard procedure of a review, in order.
_PROCEDURE = (
    "Read the clause below before the case. Read the content before the automated action.",
    "Decide first whether the content falls under the clause. Then compare with the action.",
    "Look for a ruling on a similar case below. A ruling stands until the policy's owner changes it.",
    "Answer upheld, overturned or relabelled. For relabelled, name the policy that applies.",
    "If the clause does not decide the case, send it to the policy's owner for the next calibration session.",
)


@dataclass(frozen=True)
class TrainingMaterial:
    """What the packs are made from.

    Parameters
    ----------
    needs
        From `find_training_needs`, without sites of a single reviewer.
    snapshot
        Decisions, reviews and catalogue.
    precedents
        The ledger's precedents.
    rulings
        policy_id -> sentences on its precedents.
    texts
        Whether the content's texts may be shown.
    """

    needs: pd.DataFrame
    snapshot: Snapshot
    precedents: pd.DataFrame
    rulings: Mapping[str, Sequence[str]]
    texts: bool


def training_pages(material: TrainingMaterial) -> dict[str, Page]:
    """Lay out a pack for each site that a comparison with the other sites says to train.

    Parameters
    ----------
    material
        See `TrainingMaterial`.

    Returns
    -------
    dict
        File name -> page: the needs with their figures; for each policy the procedure, the clause,
        the rulings, and the site's most confusing cases, with their answers apart, so that they can be
        worked through first. No page names a reviewer. Sites without clear needs get their
        clearest cases, and the page says so.
    """
    needs = material.needs
    if needs.empty:
        return {}
    shown = needs[~needs["suppressed"].astype(bool) & (needs["cases"].map(len) > 0)]
    answers = _CaseAnswers(material)
    pages = {}
    for site in shown["site"].drop_duplicates().tolist()[:_MOST_SITES]:
        own = shown[shown["site"] == site]
        needed = own[own["needed"].astype(bool)]
        above = own[(own["value"] > own["others"]).to_numpy(bool)]
        rows = to_records(
            (needed if len(needed) else above if len(above) else own).head(_MOST_NEEDS)
        )
        pages[f"{slug('training', str(site))}.html"] = _site_page(
            str(site), rows, material, answers, sure=bool(len(needed))
        )
    return pages


def _site_page(
    site: str,
    rows: Sequence[Mapping[str, Any]],
    material: TrainingMaterial,
    answers: "_CaseAnswers",
    *,
    sure: bool,
) -> Page:
    policies = material.snapshot.policies
    lead = (
        "Where this site makes more mistakes than the other sites on comparable decisions:"
        if sure
        else "No policy stands out against the other sites beyond chance. The clearest cases, for practice:"
    )
    sections = [
        Section("What to train", [paragraph(lead), Block("bullets", tuple(_need(r, policies) for r in rows))]),
        Section("Procedure", [numbered(_PROCEDURE, "S")]),
    ]  # fmt: skip
    for policy_id in dict.fromkeys(str(row["policy_id"]) for row in rows):
        cases = list(
            dict.fromkeys(c for r in rows if r["policy_id"] == policy_id for c in r["cases"])
        )
        sections.append(_policy_section(site, policy_id, cases[:_MOST_CASES], material, answers))
    return Page(f"Training pack: {clean_text(site, 80)}", [], sections)


def _need(row: Mapping[str, Any], policies: Mapping[str, Policy]) -> str:
    verb, items = _MISTAKES[str(row["measure"])]
    rule = policies.get(str(row["policy_id"]))
    name = clean_text(rule.name if rule else row["policy_id"], 100)
    value, low, high, others = (
        format_percent(float(row[key])) for key in ("value", "low", "high", "others")
    )
    return f"{name}: {verb} {value} of {items} (95 %: {low} to {high}); the other sites: {others}."


def _policy_section(
    site: str,
    policy_id: str,
    cases: Sequence[str],
    material: TrainingMaterial,
    answers: "_CaseAnswers",
) -> Section:
    rule = material.snapshot.policies.get(policy_id)
    name = clean_text(rule.name if rule else policy_id, 100)
    clause = rule.clause if rule else None
    blocks = [paragraph("The clause:"), Block("quote", (clean_text(clause, 4000),))] if clause else [
        paragraph("The policy catalogue holds no clause of this policy: ask its owner for it.")]  # fmt: skip
    rulings = tuple(material.rulings.get(policy_id, ()))[:_MOST_RULINGS]
    if rulings:
        blocks += [paragraph("Rulings:"), Block("bullets", rulings)]
    numbers = [str(n) for n in range(1, len(cases) + 1)]
    facts = [(n, *answers.facts(case)) for n, case in zip(numbers, cases, strict=True)]
    blocks.append(table("Cases: answer them before you read on", ("No.", *answers.columns), facts))
    keys = [
        f"{n}: {answers.ruling(case)} This site answered: {answers.given(site, case)}."
        for n, case in zip(numbers, cases, strict=True)
    ]
    blocks.append(Block("folded", tuple(keys), title="The answers"))
    used = [n for n, case in zip(numbers, cases, strict=True) if answers.is_golden(case)]
    if used:
        one = len(used) == 1
        which = f"{'Case' if one else 'Cases'} {', '.join(used)}"
        after = "it measures no reviewer any more: replace it." if one else (
            "they measure no reviewer any more: replace them.")  # fmt: skip
        blocks.append(paragraph(f"{which}: golden. After this training {after}"))
    return Section(name, blocks)


class _CaseAnswers:
    """The facts of cases, how they were ruled, and what a site answered."""

    def __init__(self, material: TrainingMaterial) -> None:
        decisions = material.snapshot.decisions
        shown = ["action", "market", "category", *(["text"] if material.texts else [])]
        self._names = [name for name in shown if name in decisions]
        self.columns = ("Decision", *(name.capitalize() for name in self._names))
        wanted = {str(case) for cases in material.needs["cases"] for case in cases}
        own = decisions[decisions["decision_id"].isin(wanted)]
        self._facts = {
            str(row["decision_id"]): row for row in to_records(own[["decision_id", *self._names]])
        }
        history = material.snapshot.review_history
        known = history["standing"].isin([COUNTS, OVERRULED, MEASURES_REVIEWER])
        rows = history[(known & history["decision_id"].isin(wanted)).to_numpy(bool)]
        self._reviews: dict[str, list[dict[str, Any]]] = {}
        for row in to_records(rows):
            self._reviews.setdefault(str(row["decision_id"]), []).append(row)
        held = material.precedents
        self._ruled = dict(zip(held["decision_id"], held["ruling"], strict=True))

    def facts(self, case: str) -> tuple[str, ...]:
        row = self._facts.get(case, {})
        lengths = {"text": _TEXT}
        return (
            clean_text(case, 60),
            *(clean_text(row.get(name), lengths.get(name, 60), "") for name in self._names),
        )

    def ruling(self, case: str) -> str:
        """Return the right answer and who says so; the strongest source first."""
        if case in self._ruled:
            return f"{_words(self._ruled[case])} (ruling of a calibration session)."
        reviews = self._reviews.get(case, [])
        for source, who in ((ADJUDICATION, "an expert"), ("", "known answer")):
            for row in reviews:
                if source and row["source"] == source:
                    return f"{_words(row['verdict'])} ({who})."
                if not source and isinstance(row.get("expected"), str):
                    return f"{_words(row['expected'])} ({who})."
        return "by the other sites' answers and the model, not by an expert: discuss it."

    def is_golden(self, case: str) -> bool:
        return any(row["source"] == GOLDEN for row in self._reviews.get(case, []))

    def given(self, site: str, case: str) -> str:
        """Return the site's answers, without names."""
        found = [r["verdict"] for r in self._reviews.get(case, []) if r.get("site") == site]
        return "; ".join(dict.fromkeys(_words(one) for one in found)) or "not recorded"


def _words(verdict: object) -> str:
    return _ANSWERS.get(str(verdict), clean_text(verdict, 40))
