"""Each policy's page: the text in the file, and the evidence shown on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    has_rows,
    slug,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.report.breakdown_section import Breakdown as Table
from errdetect.report.breakdown_section import BreakdownGroup
from errdetect.report.charts import Axis, IntervalStrip, choose_axis, full_axis, interval_strip
from errdetect.report.drivers_section import driver_rows
from errdetect.report.evidence_blocks import (
    BRIEF_COLUMNS,
    CASE_COLUMNS,
    SLICE_COLUMNS,
    THRESHOLD_COLUMNS,
    brief_blocks,
    case_block,
    driver_block,
    slice_block,
    threshold_blocks,
)
from errdetect.report.page_blocks import Block, heading_block, rows_by_policy
from errdetect.report.policy_tables import (
    MISSED,
    Finding,
    Proposal,
    Target,
    read_findings,
    read_proposals,
    read_targets,
)
from errdetect.report.report_content import ReportContent
from errdetect.report.reported_rates import ReportedRate
from errdetect.report.trend_section import PeriodChange, latest_changes_by_policy

__all__ = ["PageLimits", "PolicyPage", "policy_pages", "rank_policies", "select_policies"]


#: Tables of which a policy's page shows its own rows.
_OWN = (
    *("drivers", "slices", "thresholds", "findings", "cases", "proposals", "plan"),
    *("trend_by", "briefs", "volumes"),
)


def rank_policies(content: ReportContent, table: Table | None) -> list[str]:
    """Order the policies: errors times severity, then decisions, then the id.

    Policies without a rate come last. A policy without catalogue entry counts
    with the least severity. Catalogue rules without decisions are left out.

    Parameters
    ----------
    content
        The report's content.
    table
        The estimates by policy; None where there are none.

    Returns
    -------
    list of str
        Every policy that a table knows, the most important first.

    Raises
    ------
    DataError
        Where a table lacks a column.

    Examples
    --------
    >>> from datetime import datetime
    >>> volumes = pd.DataFrame({"policy_id": ["a", "b"], "n_decisions": [5, 9]})
    >>> rank_policies(ReportContent("t", datetime(2025, 5, 1), "d", None, 0, volumes=volumes), None)
    ['b', 'a']
    """
    errors = {group.key: group.error for group in table.groups} if table else {}
    volumes = {
        key: finite_or_none(rows[0]["n_decisions"])
        for key, rows in rows_by_policy(content.volumes, ["n_decisions"], "volumes").items()
    }
    known = {*errors, *volumes}
    for name in ("drivers", "slices", "thresholds", "findings", "proposals"):
        known |= _policy_ids(getattr(content, name))

    def place(key: str) -> tuple[bool, float, float, str]:
        policy, figure = content.policies.get(key), errors.get(key)
        harm = _expected_errors(figure) * (policy.severity if policy else 1)
        n = volumes.get(key) or (figure.n_decisions if figure else 0)
        return (figure is None or figure.said is None, -harm, -n, key)

    return sorted(known, key=place)


def select_policies(content: ReportContent, keys: Sequence[str]) -> ReportContent:
    """Keep the rows that are about these policies, or about all of them together.

    Parameters
    ----------
    content
        The report's content.
    keys
        The policies to show.

    Returns
    -------
    ReportContent
        The same, with shorter tables: a report of 5,000 policies reads those of 200.

    Examples
    --------
    >>> from datetime import datetime
    >>> volumes = pd.DataFrame({"policy_id": ["a", "b"], "n_decisions": [5, 9]})
    >>> whole = ReportContent("t", datetime(2025, 5, 1), "d", None, 0, volumes=volumes)
    >>> select_policies(whole, ["b"]).volumes["n_decisions"].tolist()
    [9]
    """
    frames = {name: frame for name in _OWN if has_rows(frame := getattr(content, name))}
    return replace(
        content,
        **{
            name: frame[frame["policy_id"].isna() | frame["policy_id"].astype(str).isin(keys)]
            for name, frame in frames.items()
            if "policy_id" in frame
        },
    )


def _policy_ids(frame: pd.DataFrame | None) -> set[str]:
    if frame is None or "policy_id" not in frame:
        return set()
    return {str(key) for key in frame["policy_id"].dropna().unique()}


def _expected_errors(figure: ReportedRate | None) -> float:
    """Estimate how many decisions are wrong; 0 where unknown."""
    return figure.said.estimate * figure.n_decisions if figure and figure.said else 0.0


_VOLUMES = ("n_decisions",)


@dataclass(frozen=True)
class PageLimits:
    """Limits on the size of the page.

    Parameters
    ----------
    groups
        Rows of a table of groups.
    pages
        Policies with a page of their own.
    full
        How many of them, from the first, with all their evidence; the others get less.
    lean
        Whether the others get their rates, first finding and main reasons alone.
    """

    groups: int
    pages: int
    full: int
    lean: bool = False


@dataclass(frozen=True)
class _EvidenceShare:
    """Limits on the evidence of one policy's page."""

    rows: int
    findings: int
    cases: int
    charts: int
    bars: int
    briefs: int


_FULL = _EvidenceShare(rows=8, findings=6, cases=3, charts=2, bars=9, briefs=2)
_LESS = _EvidenceShare(rows=3, findings=2, cases=1, charts=1, bars=3, briefs=0)
_LEAST = _EvidenceShare(rows=1, findings=1, cases=0, charts=0, bars=3, briefs=0)


@dataclass(frozen=True)
class PolicyPage:
    """One policy's page.

    Parameters
    ----------
    key, anchor
        Its id in the data, and its anchor in the page: the target of deep links.
    policy_id, name
        Display name.
    severity, owner, clause
        From the catalogue; None where it has no entry or does not state it.
    known
        Whether the catalogue has it.
    group
        Its row in the table of policies; None where nothing was estimated.
    scale, rates
        Its error rate, wrongful and missed rate, and their positions on an axis of their own.
    volume
        Sentences on the number of decisions and reviews, and the verdicts.
    n_decisions
        The same as a number; None where unknown.
    changes
        Changes since the previous period.
    targets, findings, proposals
        Its own.
    n_findings
        How many of its findings are confirmed, shown or not.
    blocks
        The evidence: drivers, slices, thresholds, cases.
    """

    key: str
    anchor: str
    policy_id: str
    name: str
    severity: int | None
    owner: str | None
    clause: str | None
    known: bool
    group: BreakdownGroup | None
    scale: Axis
    rates: tuple[tuple[ReportedRate, IntervalStrip], ...]
    volume: tuple[str, ...]
    n_decisions: int | None
    changes: tuple[PeriodChange, ...]
    targets: tuple[Target, ...]
    findings: tuple[Finding, ...]
    proposals: tuple[Proposal, ...]
    n_findings: int
    blocks: tuple[Block, ...]

    @property
    def beside(self) -> tuple[ReportedRate | None, ...]:
        """Its wrongful and its missed rate; None for one that was not estimated."""
        found = {figure.measure: figure for figure, _ in self.rates}
        return tuple(found.get(measure) for measure in ("wrongful_rate", "missed_rate"))

    @property
    def n_missed(self) -> int:
        """How many of its targets are missed."""
        return sum(target.status == MISSED for target in self.targets)


def policy_pages(
    content: ReportContent, table: Table | None, keys: Sequence[str], limits: PageLimits
) -> tuple[PolicyPage, ...]:
    """Lay out the policies' pages.

    Parameters
    ----------
    content
        The report's content.
    table
        The estimates by policy; None where there are none.
    keys
        The policies, the most important first.
    limits
        How many policies, and how much of each.

    Returns
    -------
    tuple of PolicyPage
        In the order of `keys`.

    Raises
    ------
    DataError
        Where a table of the content lacks a column.

    Examples
    --------
    >>> from datetime import datetime
    >>> content = ReportContent("April", datetime(2025, 5, 1), "shop", None, 0)
    >>> policy_pages(content, None, ["spam"], PageLimits(10, 10, 10))[0].anchor
    'policy-spam'
    """
    parts = _PolicyTables.of(content, table)
    return tuple(
        parts.page(
            key,
            content.reasons_missing,
            _FULL if i < limits.full else _LEAST if limits.lean else _LESS,
        )
        for i, key in enumerate(keys[: limits.pages])
    )


@dataclass(frozen=True)
class _PolicyTables:
    """The content's tables by policy."""

    policies: Mapping[str, Policy]
    groups: Mapping[str, BreakdownGroup]
    volumes: Mapping[str, Mapping[str, Any]]
    drivers: Mapping[str, Sequence[Mapping[str, Any]]]
    looked: bool
    slices: Mapping[str, Sequence[Mapping[str, Any]]]
    thresholds: Mapping[str, Sequence[Mapping[str, Any]]]
    cases: Mapping[str, Sequence[Mapping[str, Any]]]
    briefs: Mapping[str, Sequence[Mapping[str, Any]]]
    findings: Mapping[str, tuple[Finding, ...]]
    proposals: Mapping[str, tuple[Proposal, ...]]
    changes: Mapping[str, tuple[PeriodChange, ...]]
    targets: Mapping[str, tuple[Target, ...]]

    @classmethod
    def of(cls, content: ReportContent, table: Table | None) -> "_PolicyTables":
        volumes = rows_by_policy(content.volumes, _VOLUMES, "volumes")
        aims: dict[str, tuple[Target, ...]] = {}
        for target in read_targets(content.targets):
            aims[target.policy_id] = (*aims.get(target.policy_id, ()), target)
        head = content.cases if content.cases is not None else content.queue_head
        return cls(
            policies=content.policies,
            groups={group.key: group for group in table.groups} if table else {},
            volumes={key: rows[0] for key, rows in volumes.items()},
            drivers={k: v for k, v in driver_rows(content.drivers).items() if k is not None},
            looked=content.slices is not None,
            slices=rows_by_policy(content.slices, SLICE_COLUMNS, "slices"),
            thresholds=rows_by_policy(content.thresholds, THRESHOLD_COLUMNS, "thresholds"),
            cases=rows_by_policy(head, CASE_COLUMNS, "cases"),
            briefs=rows_by_policy(content.briefs, BRIEF_COLUMNS, "briefs"),
            findings=read_findings(content.findings),
            proposals=read_proposals(content.proposals),
            changes=latest_changes_by_policy(content.trend_by),
            targets=aims,
        )

    def decisions(self, key: str) -> int | None:
        if key in self.volumes:
            return int(finite_or_none(self.volumes[key]["n_decisions"]) or 0)
        return self.groups[key].error.n_decisions if key in self.groups else None

    def page(self, key: str, why: Mapping[str, str], share: _EvidenceShare) -> PolicyPage:
        policy = self.policies.get(key)
        found = self.findings.get(key, ())
        scale, rates = _rate_strips(self.groups.get(key))
        return PolicyPage(
            key=key,
            anchor=slug("policy", key),
            policy_id=clean_text(key, 80),
            name=clean_text(policy.name if policy else key),
            severity=policy.severity if policy else None,
            owner=clean_text(policy.owner) if policy and policy.owner else None,
            clause=clean_text(policy.clause, 400) if policy and policy.clause else None,
            known=policy is not None,
            group=self.groups.get(key),
            scale=scale,
            rates=rates,
            volume=_volume_lines(self.volumes.get(key)),
            n_decisions=self.decisions(key),
            changes=self.changes.get(key, ()),
            targets=self.targets.get(key, ())[: share.rows],
            findings=found[: share.findings],
            proposals=self.proposals.get(key, ())[: share.rows],
            n_findings=sum(finding.confirmed for finding in found),
            blocks=tuple(self._blocks(key, why, share)),
        )

    def _blocks(self, key: str, why: Mapping[str, str], share: _EvidenceShare) -> list[Block]:
        return [
            heading_block("Reasons associated with its errors"),
            *driver_block(self.drivers.get(key, ()), share.rows, why.get("drivers", "")),
            heading_block("Where it errs more"),
            *slice_block(
                self.slices.get(key, ()),
                share.rows,
                why.get("slices", ""),
                looked=self.looked,
            ),
            heading_block("If the threshold were moved"),
            *threshold_blocks(
                self.thresholds.get(key, ()), share.charts, share.bars, why.get("thresholds", "")
            ),
            heading_block("Cases"),
            *case_block(self.cases.get(key, ()), share.cases, why.get("cases", "")),
            *brief_blocks(self.briefs.get(key, ()), share.briefs),
        ]


def _rate_strips(
    group: BreakdownGroup | None,
) -> tuple[Axis, tuple[tuple[ReportedRate, IntervalStrip], ...]]:
    """Position a policy's rates on an axis that holds them all."""
    if group is None:
        return full_axis(), ()
    found = [group.error, *(figure for figure in group.beside if figure)]
    scale = choose_axis([figure.said.high for figure in found if figure.said])
    return scale, tuple((figure, interval_strip(scale, figure.said)) for figure in found)


def _volume_lines(row: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Describe what is known without an estimate: decision counts and verdicts."""
    if row is None:
        return ()
    n, enforced = finite_or_none(row["n_decisions"]) or 0, finite_or_none(row.get("n_enforced"))
    acted = "" if enforced is None else f", {format_count(int(enforced))} of them enforced"
    lines = [f"{count_with_noun(int(n), 'decision', 'decisions')}{acted}."]
    reviews, wrong = finite_or_none(row.get("n_reviews")), finite_or_none(row.get("n_overturned"))
    if reviews == 0:
        lines.append("None of them was reviewed: whether they are right is unknown.")
    elif reviews is not None:
        lines.append(
            f"People reviewed {count_with_noun(int(reviews), 'decision', 'decisions')} of this policy."
        )
        if wrong == 0:
            lines.append("They found none wrong. With few reviews, that does not mean no errors.")
        elif wrong is not None and wrong == reviews:
            lines.append("They found every one wrong. Perhaps only suspect ones were reviewed.")
    return tuple(lines)
