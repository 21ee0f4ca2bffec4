"""Reviewers: error rates by site, agreement, and how much to check."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    format_interval,
    format_optional_day,
    format_percent,
    has_rows,
    natural_frequencies,
    require_columns,
    to_records,
)
from errdetect.report.charts import Axis, IntervalStrip, choose_axis, interval_strip
from errdetect.report.reported_rates import IntervalEstimate
from errdetect.reviewers.acceptance_sampling import TIGHTENED
from errdetect.reviewers.identifiability import DAWID_SKENE, GOLDEN_AND_EXPERTS, GOLDEN_ONLY

__all__ = ["Agreement", "CardRate", "Reviewers", "Scorecard", "SiteSummary", "read_reviewers"]

_CARDS = ("site", "reviewer", "measure", "value", "low", "high", "n", "suppressed", "note")
_AGREEMENT = ("policy_id", "alpha", "low", "high", "observed", "n_decisions", "note")
_PLANS = ("site", "lot_from", "lot_to", "lot_size", "n", "accept", "stage", "lots", "aql", "note")

_MISSED, _WRONGFUL = "missed_violation", "wrongful_call"
_SHOWN = ("accuracy", "flags_confirmed", "peer_agreement")
_NO_SITE = "no site named"

#: Krippendorff (2019), chapter 12: thresholds for firm and for tentative conclusions.
_SURE, _CAREFUL = 0.8, 2 / 3

_BASIS = {
    DAWID_SKENE: "The rates come from decisions with several reviewers, with golden items and "
    "expert adjudications where there are enough.",
    GOLDEN_AND_EXPERTS: "The rates come from golden items and expert adjudications.",
    GOLDEN_ONLY: "The rates come from golden items alone.",
}


@dataclass(frozen=True)
class CardRate:
    """One figure of a card.

    Parameters
    ----------
    said
        With its interval; None where suppressed.
    n
        Number of own items behind it.
    unsaid
        Reason for suppression; empty where there is none.
    unit
        `share` of 1, or `minutes`.
    """

    said: IntervalEstimate | None
    n: int
    unsaid: str
    unit: str = "share"

    @property
    def value(self) -> str:
        """The figure as text."""
        if self.said is None:
            return self.unsaid
        return (
            format_percent(self.said.estimate)
            if self.unit == "share"
            else f"{self.said.estimate:.1f}"
        )

    @property
    def span(self) -> str:
        """Its interval as text."""
        if self.said is None:
            return ""
        low, high = self.said.low, self.said.high
        return format_interval(low, high) if self.unit == "share" else f"{low:.1f} to {high:.1f}"


@dataclass(frozen=True)
class Scorecard:
    """Figures of a site (`reviewer` empty) or of a reviewer, shown under a pseudonym."""

    site: str
    reviewer: str
    missed: CardRate
    wrongful: CardRate
    others: tuple[CardRate, ...]
    minutes: CardRate

    @property
    def unsaid(self) -> bool:
        """Whether every figure is suppressed."""
        cells = (self.missed, self.wrongful, *self.others, self.minutes)
        return all(cell.said is None for cell in cells)


@dataclass(frozen=True)
class SiteSummary:
    """A site's card, in sentences.

    Parameters
    ----------
    card
        Its figures.
    sentences
        Its missed violations and wrongful calls.
    needed
        What it takes to estimate both rates within two points.
    plan
        How much of its latest week to check; empty where it did not review.
    strips
        Places of its missed violations and of its wrongful calls on the section's axis.
    """

    card: Scorecard
    sentences: tuple[str, ...]
    needed: str
    plan: str
    strips: tuple[IntervalStrip, IntervalStrip]


@dataclass(frozen=True)
class Agreement:
    """How far reviewers agree, over all decisions or a policy's.

    Parameters
    ----------
    key, label
        The policy, and its name.
    said
        Krippendorff's alpha with its interval; None where suppressed.
    observed
        Share of the pairs of answers that are equal; None where there is no pair.
    n_decisions
        Decisions with two or more reviewers.
    verdict
        Interpretation, or the reason for suppression.
    """

    key: str
    label: str
    said: IntervalEstimate | None
    observed: float | None
    n_decisions: int
    verdict: str


@dataclass(frozen=True)
class Reviewers:
    """The section: sites and people by name, lowest agreement first.

    Parameters
    ----------
    sites, people
        Cards of sites, and of reviewers under pseudonyms; those without any figure are counted in
        `n_silent` instead.
    n_silent
        Reviewers without any figure.
    axis
        The axis of the sites' plots.
    basis
        Where the rates come from; empty where there are none.
    agree, policies
        Agreement over all decisions (None where it was not measured), and by policy.
    aql
        What the inspection plans allow, as text; empty without a plan.
    untold
        Whether a site's plan is normal for lack of usable earlier weeks.
    notes
        What is missing.
    """

    sites: tuple[SiteSummary, ...]
    people: tuple[Scorecard, ...]
    n_silent: int
    axis: Axis
    basis: str
    agree: Agreement | None
    policies: tuple[Agreement, ...]
    aql: str
    untold: bool
    notes: tuple[str, ...]


def read_reviewers(
    cards: pd.DataFrame | None,
    agreement: pd.DataFrame | None,
    inspection: pd.DataFrame | None,
    *,
    names: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Reviewers | None:
    """Lay out the section on reviewers.

    Parameters
    ----------
    cards
        `scorecards` with `note` and optionally `golden_needed`; reviewers are pseudonyms already.
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
        None without reviews.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_reviewers(None, None, None, names={}) is None
    True
    """
    plans = _read_rows(inspection, _PLANS, "inspection")
    found = _measures_by_card(cards)
    if not found and not plans:
        return None
    by_site = {str(row["site"]): row for row in plans}
    sites = [key for key in found if key[1] is None]
    people = [_build_card(key, found[key]) for key in found if key[1] is not None]
    left = [site for site in by_site if (site, None) not in found]
    axis = _choose_axis([_build_card(key, found[key]) for key in sites])
    accords = [
        _read_agreement(row, names) for row in _read_rows(agreement, _AGREEMENT, "agreement")
    ]
    return Reviewers(
        sites=tuple(
            _site_card(key, found.get(key, {}), by_site.get(str(key[0])), axis)
            for key in sorted([*sites, *((site, None) for site in left)], key=_card_sort_key)
        ),
        people=tuple(sorted((p for p in people if not p.unsaid), key=_name_sort_key)),
        n_silent=sum(p.unsaid for p in people),
        axis=axis,
        basis=_basis_sentence(cards),
        agree=next((a for a in accords if a.key == ""), None),
        policies=tuple(sorted((a for a in accords if a.key), key=_agreement_sort_key)),
        aql=_aql_sentence(plans),
        untold=any(not row["lots"] for row in plans),
        notes=tuple(notes),
    )


_Key = tuple[str, str | None]
_Measures = Mapping[str, Mapping[str, Any]]


def _read_rows(
    frame: pd.DataFrame | None, columns: tuple[str, ...], what: str
) -> list[dict[str, Any]]:
    """Read a table's rows, missing sites and policies as empty text."""
    if frame is None or not has_rows(frame):
        return []
    require_columns(frame, columns, what)
    first = columns[0]
    return to_records(frame.assign(**{first: frame[first].astype("object").fillna("")}))


def _measures_by_card(frame: pd.DataFrame | None) -> dict[_Key, dict[str, dict[str, Any]]]:
    """Gather the measures of each site, and of each reviewer."""
    found: dict[_Key, dict[str, dict[str, Any]]] = {}
    for row in _read_rows(frame, _CARDS, "reviewers"):
        who = row["reviewer"]
        key = (str(row["site"]), who if isinstance(who, str) else None)
        found.setdefault(key, {})[str(row["measure"])] = row
    return found


def _card_sort_key(key: _Key) -> tuple[bool, str]:
    return key[0] == "", key[0]


def _name_sort_key(card: Scorecard) -> tuple[str, str]:
    return card.site, card.reviewer


def _build_card(key: _Key, measures: _Measures) -> Scorecard:
    return Scorecard(
        site=clean_text(key[0]) if key[0] else _NO_SITE,
        reviewer=clean_text(key[1]) if key[1] is not None else "",
        missed=_read_cell(measures.get(_MISSED)),
        wrongful=_read_cell(measures.get(_WRONGFUL)),
        others=tuple(_read_cell(measures.get(name)) for name in _SHOWN),
        minutes=_read_cell(measures.get("minutes"), "minutes"),
    )


def _read_cell(row: Mapping[str, Any] | None, unit: str = "share") -> CardRate:
    if row is None:
        return CardRate(None, 0, "not measured", unit)
    value, low, high = (finite_or_none(row[name]) for name in ("value", "low", "high"))
    n = math.floor(finite_or_none(row["n"]) or 0)
    if row["suppressed"] or value is None or low is None or high is None:
        note = row["note"] if isinstance(row["note"], str) else ""
        return CardRate(
            None, n, clean_text(note, 60) if note else f"too few: {format_count(n)}", unit
        )
    return CardRate(IntervalEstimate(value, low, high), n, "", unit)


def _choose_axis(cards: Sequence[Scorecard]) -> Axis:
    """Choose one axis for both mistakes of all sites."""
    rates = [rate.said for card in cards for rate in (card.missed, card.wrongful)]
    return choose_axis([said.high for said in rates if said])


def _site_card(
    key: _Key, measures: _Measures, plan: Mapping[str, Any] | None, axis: Axis
) -> SiteSummary:
    card = _build_card(key, measures)
    sentences = (
        (_missed_violations_sentence(card.missed), _false_positives_sentence(card.wrongful))
        if measures
        else ()
    )
    return SiteSummary(
        card,
        sentences,
        _golden_items_sentence(measures),
        _acceptance_sentence(plan),
        (interval_strip(axis, card.missed.said), interval_strip(axis, card.wrongful.said)),
    )


def _missed_violations_sentence(cell: CardRate) -> str:
    if cell.said is None:
        return f"How many violations it misses is not known yet ({cell.unsaid})."
    base, value, how = _rate_parts(cell.said, cell.n)
    return f"Of {base} violating items, it misses {value} {how}."


def _false_positives_sentence(cell: CardRate) -> str:
    if cell.said is None:
        return f"How often it calls compliant content violating is not known yet ({cell.unsaid})."
    base, value, how = _rate_parts(cell.said, cell.n)
    return f"Of {base} compliant items, it calls {value} violating {how}."


def _rate_parts(said: IntervalEstimate, n: int) -> tuple[str, str, str]:
    """Write a rate as a number per base, and its uncertainty."""
    (value, low, high), base = natural_frequencies([said.estimate, said.low, said.high])
    return (
        base,
        value,
        f"(between {low} and {high}; worth {count_with_noun(n, 'reviewed item', 'reviewed items')})",
    )


def _golden_items_sentence(measures: _Measures) -> str:
    """State how many golden items would bring both rates within two points."""
    parts: list[str] = []
    known = 0
    for name, kind in ((_MISSED, "that violate a rule"), (_WRONGFUL, "that comply")):
        more = finite_or_none(measures.get(name, {}).get("golden_needed"))
        known += more is not None
        if more:
            parts.append(f"{format_count(int(more))} more{'' if parts else ' golden items'} {kind}")
    if not parts:
        enough = "There are enough golden items: its rates are known to about ±2 points."
        return enough if known == 2 else ""
    return f"For rates within ±2 points, it needs about {' and '.join(parts)}."


def _acceptance_sentence(row: Mapping[str, Any] | None) -> str:
    """State how many of the latest week's reviews to check, and when to accept them."""
    if row is None:
        return ""
    size, n = int(row["lot_size"]), finite_or_none(row["n"])
    days = f"{format_optional_day(row['lot_from'])} to {format_optional_day(row['lot_to'])}"
    work = f"{count_with_noun(size, 'review', 'reviews')} of {days}"
    if n is None:
        note = clean_text(row["note"], 200, "no reason is given")
        return f"{work}: no plan; {note}."
    most = int(row["accept"])
    wrong = "none is wrong" if most == 0 else f"at most {most} {'is' if most == 1 else 'are'} wrong"
    part = f"Of the {work}, check {format_count(int(n))} drawn at random"
    check = f"{work}: check all of them" if n >= size else part
    lots = int(row["lots"])
    past = (
        f", after {count_with_noun(lots, 'earlier week', 'earlier weeks')} in a row" if lots else ""
    )
    stage = "tightened" if row["stage"] == TIGHTENED else "normal"
    return f"{check}; accept the week if {wrong} ({stage} inspection{past})."


def _aql_sentence(plans: Sequence[Mapping[str, Any]]) -> str:
    aql = next(
        (finite_or_none(row["aql"]) for row in plans if finite_or_none(row["n"]) is not None), None
    )
    return "" if aql is None else f"{aql:g}\u00a0%"


def _basis_sentence(cards: pd.DataFrame | None) -> str:
    """Describe where the rates come from, if known."""
    for row in _read_rows(cards, _CARDS, "reviewers"):
        if row["measure"] in (_MISSED, _WRONGFUL) and not row["suppressed"]:
            return _BASIS.get(str(row.get("basis")), "")
    return ""


def _read_agreement(row: Mapping[str, Any], names: Mapping[str, str]) -> Agreement:
    key = str(row["policy_id"])
    alpha, low, high = (finite_or_none(row[name]) for name in ("alpha", "low", "high"))
    said = (
        None if alpha is None or low is None or high is None else IntervalEstimate(alpha, low, high)
    )
    note = row["note"] if isinstance(row["note"], str) else ""
    return Agreement(
        key=key,
        label=clean_text(names.get(key, key)),
        said=said,
        observed=finite_or_none(row["observed"]),
        n_decisions=int(row["n_decisions"]),
        verdict=_agreement_verdict(said) if said else clean_text(note, 200, "It was not measured."),
    )


def _agreement_verdict(said: IntervalEstimate) -> str:
    """State the conclusion that the whole interval supports."""
    if said.low >= _SURE:
        return "reviewers agree well"
    if said.low >= _CAREFUL:
        return "reviewers agree fairly: enough for tentative conclusions"
    if said.high < _CAREFUL:
        return (
            "reviewers agree too little for conclusions: check the policy’s text and the training"
        )
    return "inconclusive: more decisions with two reviewers would show whether that is enough"


def _agreement_sort_key(accord: Agreement) -> tuple[bool, float, str]:
    if accord.said is None:
        return True, -accord.n_decisions, accord.key
    return False, accord.said.estimate, accord.key
