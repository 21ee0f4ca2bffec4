"""The quality framework as a page: measures, targets, sampling, and who answers for what."""

from collections.abc import Mapping
from dataclasses import dataclass

from errdetect.changes.quality_targets import AT_LEAST
from errdetect.changes.team_pages import Block, Page, Section, paragraph, table
from errdetect.changes.text_formatting import (
    GLOSSARY,
    MEASURE_WORDS,
    clean_text,
    format_percent,
)
from errdetect.config_schema import (
    AuditSettings,
    MonitorSettings,
    QueueSettings,
    RemediationSettings,
    ReviewersSettings,
    TargetsSettings,
)
from errdetect.data.policy_catalogue import Policy

__all__ = ["FrameworkSettings", "framework_page"]

_REVIEWER_MEASURES = {
    "missed_violation": ("Missed violations of a reviewer", "How many are called compliant?", "of violating items"),
    "wrongful_call": ("Wrongful calls of a reviewer", "How many are called violating?", "of compliant items"),
    "accuracy": ("Reviewer accuracy", "How many are answered correctly?", "of golden items"),
    "alpha": ("Agreement (Krippendorff's alpha)",
              "How far do reviewers agree beyond chance? 1 is perfect", "of decisions with two reviews"),
}  # fmt: skip
_TERMS = ("Decision", "Error", "Review", "Audit", "Appeal", "95 % interval", "Not known yet")
_UNNAMED = "not named: name one"


@dataclass(frozen=True)
class FrameworkSettings:
    """The config's sections that the framework is made from."""

    targets: TargetsSettings
    audit: AuditSettings
    queue: QueueSettings
    reviewers: ReviewersSettings
    remediation: RemediationSettings
    monitor: MonitorSettings
    maturity_days: Mapping[str, float]
    min_group: int


def framework_page(policies: Mapping[str, Policy], settings: FrameworkSettings) -> Page:
    """Lay out how quality is measured, against which targets, on which samples, and by whom.

    Parameters
    ----------
    policies
        The catalogue.
    settings
        The config's sections.

    Examples
    --------
    >>> from errdetect.config_schema import *
    >>> settings = FrameworkSettings(TargetsSettings(rates={"error_rate": 0.02}), AuditSettings(),
    ...     QueueSettings(), ReviewersSettings(), RemediationSettings(), MonitorSettings(), {}, 10)
    >>> page = framework_page({"spam": Policy("spam", "Spam", 2, owner="Ana")}, settings)
    >>> [section.heading for section in page.sections][:3]
    ['Measures', 'Targets', 'Samples']
    """
    sections = [
        Section("Measures", [_measures(), _terms()]),
        Section("Targets", _targets(policies, settings.targets)),
        Section("Samples", [Block("bullets", tuple(_samples(settings)))]),
        Section("Who answers for what", [_owners(policies), _roles()]),
        Section("When something is done", [Block("bullets", tuple(_rules(settings)))]),
    ]
    return Page("Quality framework", [("Made from", "the config and the policy catalogue")], sections)  # fmt: skip


def _measures() -> Block:
    rows = [(one.name, one.question, f"of {one.of}") for one in MEASURE_WORDS.values()]
    rows += list(_REVIEWER_MEASURES.values())
    return table("What is measured", ("Measure", "The question", "Out of what"), rows)


def _terms() -> Block:
    rows = [(name, GLOSSARY[name]) for name in _TERMS if name in GLOSSARY]
    return table("What the words mean", ("Word", "Meaning"), rows)


def _targets(policies: Mapping[str, Policy], targets: TargetsSettings) -> list[Block]:
    """List every target; a policy's own come before those for all."""
    rows = [
        ("every policy", _name(str(measure)), _limit(str(measure), limit), "the config")
        for measure, limit in targets.rates.items()
    ]
    rows += [
        (clean_text(one.name, 100), _name(measure), _limit(measure, limit), "the policy catalogue")
        for one in policies.values()
        for measure, limit in one.targets.items()
    ]
    accuracy = targets.reviewer_accuracy
    if accuracy is not None:
        sites = {"every site": accuracy}
        sites |= {f"site {clean_text(name, 60)}": limit for name, limit in targets.sites.items()}
        rows += [
            (site, "Reviewer accuracy", _limit("reviewer_accuracy", limit), "the config")
            for site, limit in sites.items()
        ]
    if not rows:
        return [
            paragraph(
                "No target is set. Set `targets` for a policy in the catalogue, or for all in the config."
            )
        ]
    met = "A target is met or missed only where the 95 % interval lies on one side of it; else reviews are missing."
    market = "They hold in each market as well." if targets.per_market else ""
    return [table("Targets", ("For", "Measure", "Limit", "Set in"), rows), paragraph(met, market)]


def _name(measure: str) -> str:
    known = MEASURE_WORDS.get(measure)
    return known.name if known else measure.replace("_", " ")


def _limit(measure: str, limit: float) -> str:
    return f"{'at least' if measure in AT_LEAST else 'at most'} {format_percent(limit)}"


def _samples(settings: FrameworkSettings) -> list[str]:
    """Say how each kind of review is sampled, and what it is good for."""
    audit, queue = settings.audit, settings.queue
    how = (
        "likely errors more often"
        if audit.method == "unequal"
        else "by strata (Neyman's allocation)"
    )
    lines = [
        f"Audit: a designed sample, drawn {how}; every decision keeps at least {format_percent(audit.floor)} of the "
        "uniform inclusion probability. Error rates rest on it alone.",
    ]  # fmt: skip
    if audit.min_per_segment:
        lines.append(f"Each segment gets at least {audit.min_per_segment:,} audit reviews.")
    if audit.adjudicate_flags:
        lines.append("An expert adjudicates every decision that an audit review flags as wrong.")
    lines.append(
        f"Golden items, with known answers: {audit.golden_per_site:,} for each site. They measure reviewers and "
        "make no labels."
    )
    counted = isinstance(queue.budget, int)
    budget = f"{queue.budget:,}" if counted else format_percent(float(queue.budget))
    share = "as much as keeps the error rate's interval narrow"
    if queue.explore_share != "auto":
        share = format_percent(float(queue.explore_share))
    where = "" if counted else " of the decisions scored"
    lines.append(
        f"Queue: {budget}{where}, ranked by expected harm; drawn at random: {share}. It finds errors; only its random "
        "part counts for rates."
    )
    lines.append(
        f"Checks of reviews: acceptance sampling by ISO 2859-1 with an AQL of {settings.reviewers.aql:g} %."
    )
    waits = [f"{source} {days:g} days" for source, days in settings.maturity_days.items()]
    if waits:
        lines.append(f"A decision is settled after: {', '.join(waits)}.")
    lines.append(
        f"No figure on fewer than {settings.min_group:,} reviews is published, none of a reviewer on fewer than "
        f"{settings.reviewers.minimum:,} items."
    )
    return lines


def _owners(policies: Mapping[str, Policy]) -> Block:
    rows = [
        (
            clean_text(one.name, 100),
            clean_text(one.owner, 100, _UNNAMED),
            f"{one.severity} of 5",
            clean_text(one.version, 40, ""),
            "yes" if one.clause else "no",
        )
        for one in policies.values()
    ]
    columns = ("Policy", "Owner: answers for rule and targets", "Severity", "Version", "Has a clause")  # fmt: skip
    return table("Owners", columns, rows)


def _roles() -> Block:
    return Block(
        "bullets",
        (
            "The policy's owner decides on proposals, rules in calibration sessions, and answers for the targets.",
            "Each site answers for its reviewers' accuracy, and for the training that its pack asks for.",
            "Experts answer for adjudications: an expert's verdict stands.",
            "A second person approves every applied remediation.",
        ),
    )


def _rules(settings: FrameworkSettings) -> list[str]:
    monitor, white = settings.monitor, settings.remediation.whitelist
    lines = [
        "A missed target gets a step in the improvement plan, with an owner and a date.",
        "A confirmed finding becomes a brief and a proposal; an accepted one is measured against unchanged policies.",
        f"Monitoring is set so that a year without any change brings a warning in "
        f"{format_percent(monitor.yearly_level)} of cases, looking daily.",
        f"An error counts as confirmed by an expert, a granted appeal, or a P(error) of at least "
        f"{format_percent(settings.remediation.min_p_error)} given its reviews.",
    ]  # fmt: skip
    return [*lines, f"A whitelist entry ends after {white.days:g} days."]
