"""The people who review: what their sites miss, how far they agree, how much to check."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.formatting import (
    clean,
    count,
    counted,
    day_of,
    has_rows,
    number,
    per_base,
    percent,
    records,
    require,
    span,
)
from errdetect.report.figures import Said
from errdetect.reviewers.acceptance_sampling import TIGHTENED
from errdetect.reviewers.identifiability import DAWID_SKENE, GOLDEN_AND_EXPERTS, GOLDEN_ONLY

__all__ = ["Accord", "Card", "Cell", "Reviewers", "Site", "reviewers"]

_CARDS = ("site", "reviewer", "measure", "value", "low", "high", "n", "suppressed", "note")
_AGREEMENT = ("policy_id", "alpha", "low", "high", "observed", "n_decisions", "note")
_PLANS = ("site", "lot_from", "lot_to", "lot_size", "n", "accept", "stage", "lots", "aql", "note")

_MISSED, _WRONGFUL = "missed_violation", "wrongful_call"
_SHOWN = ("accuracy", "flags_confirmed", "peer_agreement")
_NO_SITE = "no site named"

#: Krippendorff (2019), chapter 12: from here on conclusions are sure, or may be drawn with care.
_SURE, _CAREFUL = 0.8, 2 / 3

_BASIS = {
    DAWID_SKENE: "The rates come from decisions that several people judged, with golden items and "
    "expert adjudications where there are enough.",
    GOLDEN_AND_EXPERTS: "The rates come from golden items and expert adjudications.",
    GOLDEN_ONLY: "The rates come from golden items alone.",
}


@dataclass(frozen=True)
class Cell:
    """One figure of a card.

    Parameters
    ----------
    said
        With its interval; None where it cannot be said.
    n
        How many items of their own it rests on.
    unsaid
        Why it cannot be said; empty where it can.
    unit
        `share` of 1, or `minutes`.
    """

    said: Said | None
    n: int
    unsaid: str
    unit: str = "share"

    @property
    def value(self) -> str:
        """The figure in words."""
        if self.said is None:
            return self.unsaid
        return percent(self.said.estimate) if self.unit == "share" else f"{self.said.estimate:.1f}"

    @property
    def span(self) -> str:
        """Its interval in words."""
        if self.said is None:
            return ""
        low, high = self.said.low, self.said.high
        return span(low, high) if self.unit == "share" else f"{low:.1f} to {high:.1f}"


@dataclass(frozen=True)
class Card:
    """What is known of a site (`reviewer` empty) or of a reviewer, who stands under a pseudonym."""

    site: str
    reviewer: str
    missed: Cell
    wrongful: Cell
    others: tuple[Cell, ...]
    minutes: Cell

    @property
    def unsaid(self) -> bool:
        """Whether nothing can be said at all."""
        cells = (self.missed, self.wrongful, *self.others, self.minutes)
        return all(cell.said is None for cell in cells)


@dataclass(frozen=True)
class Site:
    """A site's card, in sentences.

    Parameters
    ----------
    card
        Its figures.
    sentences
        What it misses, and what it calls wrong.
    needed
        What it takes to know both rates within two points.
    plan
        How much of its latest week to check; empty where it did not review.
    """

    card: Card
    sentences: tuple[str, ...]
    needed: str
    plan: str


@dataclass(frozen=True)
class Accord:
    """How far people agree, over all decisions or a policy's.

    Parameters
    ----------
    key, label
        The policy, and its name.
    said
        Krippendorff's alpha with its interval; None where it cannot be said.
    observed
        Share of the pairs of answers that are equal; None where there is no pair.
    n_decisions
        Decisions that two or more people judged.
    verdict
        What that is good for, or why it cannot be said.
    """

    key: str
    label: str
    said: Said | None
    observed: float | None
    n_decisions: int
    verdict: str


@dataclass(frozen=True)
class Reviewers:
    """The section: sites and people by name, agreement the least first.

    Parameters
    ----------
    sites, people
        Cards of sites, and of reviewers under pseudonyms; those without any figure are counted in
        `n_silent` instead.
    n_silent
        Reviewers of whom nothing can be said.
    basis
        Where the rates come from; empty where there are none.
    agree, policies
        Agreement over all decisions (None where it was not measured), and by policy.
    aql
        What the inspection plans allow, in words; empty without a plan.
    untold
        Whether a site's plan is normal for want of earlier weeks that tell.
    notes
        What is missing to say more.
    """

    sites: tuple[Site, ...]
    people: tuple[Card, ...]
    n_silent: int
    basis: str
    agree: Accord | None
    policies: tuple[Accord, ...]
    aql: str
    untold: bool
    notes: tuple[str, ...]


def reviewers(
    cards: pd.DataFrame | None,
    agreement: pd.DataFrame | None,
    inspection: pd.DataFrame | None,
    *,
    names: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Reviewers | None:
    """Lay out what is known of the people who review.

    Parameters
    ----------
    cards
        `scorecards` with `note` and perhaps `golden_needed`; reviewers are pseudonyms already.
    agreement
        A row for all decisions (`policy_id` missing) and for each policy.
    inspection
        The sites' inspection plans.
    names
        policy_id -> the policy's name.
    notes
        Sentences on what is missing.

    Returns
    -------
    Reviewers or None
        None where nobody reviewed.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> reviewers(None, None, None, names={}) is None
    True
    """
    plans = _rows(inspection, _PLANS, "inspection")
    found = _cards(cards)
    if not found and not plans:
        return None
    by_site = {str(row["site"]): row for row in plans}
    sites = [key for key in found if key[1] is None]
    people = [_card(key, found[key]) for key in found if key[1] is not None]
    left = [site for site in by_site if (site, None) not in found]
    accords = [_accord(row, names) for row in _rows(agreement, _AGREEMENT, "agreement")]
    return Reviewers(
        sites=tuple(
            _site(key, found.get(key, {}), by_site.get(str(key[0])))
            for key in sorted([*sites, *((site, None) for site in left)], key=_order)
        ),
        people=tuple(sorted((p for p in people if not p.unsaid), key=_by_name)),
        n_silent=sum(p.unsaid for p in people),
        basis=_basis(cards),
        agree=next((a for a in accords if a.key == ""), None),
        policies=tuple(sorted((a for a in accords if a.key), key=_least_first)),
        aql=_aql(plans),
        untold=any(not row["lots"] for row in plans),
        notes=tuple(notes),
    )


_Key = tuple[str, str | None]
_Measures = Mapping[str, Mapping[str, Any]]


def _rows(frame: pd.DataFrame | None, columns: tuple[str, ...], what: str) -> list[dict[str, Any]]:
    """Read a table's rows, sites and policies that are missing as the empty text."""
    if frame is None or not has_rows(frame):
        return []
    require(frame, columns, what)
    first = columns[0]
    return records(frame.assign(**{first: frame[first].astype("object").fillna("")}))


def _cards(frame: pd.DataFrame | None) -> dict[_Key, dict[str, dict[str, Any]]]:
    """Gather the measures of each site, and of each reviewer."""
    found: dict[_Key, dict[str, dict[str, Any]]] = {}
    for row in _rows(frame, _CARDS, "reviewers"):
        who = row["reviewer"]
        key = (str(row["site"]), who if isinstance(who, str) else None)
        found.setdefault(key, {})[str(row["measure"])] = row
    return found


def _order(key: _Key) -> tuple[bool, str]:
    return key[0] == "", key[0]


def _by_name(card: Card) -> tuple[str, str]:
    return card.site, card.reviewer


def _card(key: _Key, measures: _Measures) -> Card:
    return Card(
        site=clean(key[0]) if key[0] else _NO_SITE,
        reviewer=clean(key[1]) if key[1] is not None else "",
        missed=_cell(measures.get(_MISSED)),
        wrongful=_cell(measures.get(_WRONGFUL)),
        others=tuple(_cell(measures.get(name)) for name in _SHOWN),
        minutes=_cell(measures.get("minutes"), "minutes"),
    )


def _cell(row: Mapping[str, Any] | None, unit: str = "share") -> Cell:
    if row is None:
        return Cell(None, 0, "not measured", unit)
    value, low, high = (number(row[name]) for name in ("value", "low", "high"))
    n = math.floor(number(row["n"]) or 0)
    if row["suppressed"] or value is None or low is None or high is None:
        note = row["note"] if isinstance(row["note"], str) else ""
        return Cell(None, n, clean(note, 60) if note else f"too few: {count(n)}", unit)
    return Cell(Said(value, low, high), n, "", unit)


def _site(key: _Key, measures: _Measures, plan: Mapping[str, Any] | None) -> Site:
    card = _card(key, measures)
    sentences = (_let_pass(card.missed), _called_wrong(card.wrongful)) if measures else ()
    return Site(card, sentences, _needed(measures), _plan(plan))


def _let_pass(cell: Cell) -> str:
    if cell.said is None:
        return f"How many violations it lets pass cannot be said yet ({cell.unsaid})."
    base, value, how = _of(cell.said, cell.n)
    return f"Of {base} items that break a rule it lets {value} pass {how}."


def _called_wrong(cell: Cell) -> str:
    if cell.said is None:
        return f"How often it calls right content wrong cannot be said yet ({cell.unsaid})."
    base, value, how = _of(cell.said, cell.n)
    return f"Of {base} items that are fine it calls {value} wrong {how}."


def _of(said: Said, n: int) -> tuple[str, str, str]:
    """Say a rate as a number of so many, and how sure it is."""
    (value, low, high), base = per_base([said.estimate, said.low, said.high])
    return (
        base,
        value,
        f"(between {low} and {high}; worth {counted(n, 'judged item', 'judged items')})",
    )


def _needed(measures: _Measures) -> str:
    """Say how many golden items bring both rates within two points."""
    parts: list[str] = []
    known = 0
    for name, kind in ((_MISSED, "that break a rule"), (_WRONGFUL, "that are fine")):
        more = number(measures.get(name, {}).get("golden_needed"))
        known += more is not None
        if more:
            parts.append(f"{count(int(more))} more{'' if parts else ' golden items'} {kind}")
    if not parts:
        enough = "Golden items are enough: its rates are known within about 2 points either way."
        return enough if known == 2 else ""
    return f"For its rates within 2 points either way it needs about {' and '.join(parts)}."


def _plan(row: Mapping[str, Any] | None) -> str:
    """Say how many of the latest week's reviews to check, and when to accept them."""
    if row is None:
        return ""
    size, n = int(row["lot_size"]), number(row["n"])
    days = f"{day_of(row['lot_from'])} to {day_of(row['lot_to'])}"
    work = f"{counted(size, 'review', 'reviews')} of {days}"
    if n is None:
        note = clean(row["note"], 200, "nothing tells why")
        return f"{work}: no plan; {note}."
    most = int(row["accept"])
    wrong = "none is wrong" if most == 0 else f"at most {most} {'is' if most == 1 else 'are'} wrong"
    part = f"Of the {work}, check {count(int(n))} drawn at random"
    check = f"{work}: check all of them" if n >= size else part
    lots = int(row["lots"])
    past = f", after {counted(lots, 'earlier week', 'earlier weeks')} in a row" if lots else ""
    stage = "tightened" if row["stage"] == TIGHTENED else "normal"
    return f"{check}; accept the week if {wrong} ({stage} inspection{past})."


def _aql(plans: Sequence[Mapping[str, Any]]) -> str:
    aql = next((number(row["aql"]) for row in plans if number(row["n"]) is not None), None)
    return "" if aql is None else f"{aql:g}\u00a0%"


def _basis(cards: pd.DataFrame | None) -> str:
    """Say where the rates come from, if one is told."""
    for row in _rows(cards, _CARDS, "reviewers"):
        if row["measure"] in (_MISSED, _WRONGFUL) and not row["suppressed"]:
            return _BASIS.get(str(row.get("basis")), "")
    return ""


def _accord(row: Mapping[str, Any], names: Mapping[str, str]) -> Accord:
    key = str(row["policy_id"])
    alpha, low, high = (number(row[name]) for name in ("alpha", "low", "high"))
    said = None if alpha is None or low is None or high is None else Said(alpha, low, high)
    note = row["note"] if isinstance(row["note"], str) else ""
    return Accord(
        key=key,
        label=clean(names.get(key, key)),
        said=said,
        observed=number(row["observed"]),
        n_decisions=int(row["n_decisions"]),
        verdict=_verdict(said) if said else clean(note, 200, "It was not measured."),
    )


def _verdict(said: Said) -> str:
    """Say what the whole interval allows."""
    if said.low >= _SURE:
        return "people agree well"
    if said.low >= _CAREFUL:
        return "people agree fairly: enough for careful conclusions"
    if said.high < _CAREFUL:
        return "people agree too little to build on: look at the policy’s text and the training"
    return "not settled: more decisions judged by two people would tell whether that is enough"


def _least_first(accord: Accord) -> tuple[bool, float, str]:
    if accord.said is None:
        return True, -accord.n_decisions, accord.key
    return False, accord.said.estimate, accord.key
