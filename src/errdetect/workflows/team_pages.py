"""Pages beside the report for people who work with it: briefs, plan, projects, framework, training packs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from errdetect.changes.brief_pages import brief_page, plan_page, projects_page
from errdetect.changes.briefs import Brief
from errdetect.changes.quality_framework import FrameworkSettings, framework_page
from errdetect.changes.team_pages import Block, Page, Section, render_page
from errdetect.changes.training_packs import TrainingMaterial, training_pages
from errdetect.config import Config
from errdetect.data.atomic_writing import write_text
from errdetect.integrations.precedents import precedent_sentence
from errdetect.snapshot import Snapshot
from errdetect.workflows.project_ledger import find_project_ledger, known_precedents

__all__ = ["PAGES", "clause_rulings", "team_pages", "write_team_pages"]

#: The folder beside report.html.
PAGES = "pages"
_INDEX = "index.html"


def team_pages(
    config: Config,
    snapshot: Snapshot,
    content: Mapping[str, Any],
    briefs: Sequence[Brief],
    *,
    now: datetime,
) -> dict[str, str]:
    """Make the pages of a report.

    Parameters
    ----------
    config, snapshot
        The report's.
    content
        The report's content so far: training_needs, plan, proposals and rulings, where there are any.
    briefs
        The report's.
    now
        The report's moment.

    Returns
    -------
    dict
        File name -> HTML: index, improvement-plan, projects, quality-framework, a page for each
        brief and each site's training pack.
    """
    moment = pd.Timestamp(now)
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    held = known_precedents(config, before=now)
    rulings: Mapping[str, Sequence[str]] = content.get("rulings", {})
    proposals = _dated(config, content.get("proposals"))
    of_finding = {name: b.recorded[0][0] for b in briefs for name in b.finding_ids if b.recorded}
    pages: dict[str, Page] = {
        "improvement-plan.html": plan_page(
            content.get("plan"), proposals, of_finding, snapshot.policies, now=moment
        ),
        "projects.html": projects_page(proposals, briefs, now=moment),
        "quality-framework.html": framework_page(snapshot.policies, _settings(config)),
    }
    for brief in briefs:
        name = f"brief-{Path(brief.file).stem}.html"
        pages[name] = brief_page(brief, rulings.get(brief.policy_id, ()))
    needs = content.get("training_needs")
    if needs is not None:
        material = TrainingMaterial(needs, snapshot, held, rulings, config.report.texts)
        pages |= training_pages(material)
    links = [("../report.html", "Report"), (_INDEX, "All pages")]
    linked = {
        name: render_page(Page(page.title, page.facts, page.sections, links))
        for name, page in pages.items()
    }
    return {_INDEX: render_page(_index(pages)), **linked}


def clause_rulings(config: Config, snapshot: Snapshot, *, now: datetime) -> dict[str, list[str]]:
    """Return sentences on the rulings recorded before a moment: policy_id -> the newest first.

    Parameters
    ----------
    config, snapshot
        The report's.
    now
        The report's moment.
    """
    rulings: dict[str, list[str]] = {}
    for row in known_precedents(config, before=now).to_dict("records"):
        text = precedent_sentence({str(k): v for k, v in row.items()}, snapshot.policies)
        rulings.setdefault(str(row["policy_id"]), []).append(text)
    return rulings


def write_team_pages(pages: Mapping[str, str], stage: Path) -> None:
    """Write the pages into the folder `pages` of a report's staged folder."""
    (stage / PAGES).mkdir()
    for name, html in pages.items():
        write_text(stage / PAGES / name, html)


def _dated(config: Config, proposals: pd.DataFrame | None) -> pd.DataFrame | None:
    """Add to the report's proposals when the ledger first had each; missing for new ones."""
    if proposals is None:
        return None
    ledger = find_project_ledger(config)
    times: dict[str, pd.Timestamp] = {}
    if ledger is not None:
        with ledger:
            known = ledger.proposals()
        times = dict(zip(known["proposal_id"], known["created_at"], strict=True))
    created = [times.get(str(one)) for one in proposals["proposal_id"]]
    return proposals.assign(created_at=pd.to_datetime(pd.Series(created, dtype="object"), utc=True).array)  # fmt: skip


def _settings(config: Config) -> FrameworkSettings:
    return FrameworkSettings(
        config.targets, config.audit, config.queue, config.reviewers, config.remediation, config.monitor,
        {str(k): v for k, v in config.labels.maturity_days.items()}, config.report.min_group,
    )  # fmt: skip


def _index(pages: Mapping[str, Page]) -> Page:
    """List the pages by what they are for; many of a kind stay easy to scan."""
    kinds = (
        ("Plans and rules", ""),
        ("Briefs, one for each proposed change", "brief-"),
        ("Training packs, one for each site", "training-"),
    )
    known = tuple(start for _, start in kinds if start)
    sections = []
    for heading, start in kinds:
        rows = tuple(
            (name, page.title)
            for name, page in pages.items()
            if (name.startswith(start) if start else not name.startswith(known))
        )
        if rows:
            sections.append(Section(heading, [Block("links", rows=rows)]))
    return Page("Pages of this report", [], sections, [("../report.html", "Report")])
