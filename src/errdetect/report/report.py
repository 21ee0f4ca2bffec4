"""The policy report: one HTML page for people who own the rules and do not code."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from errdetect.changes import formatting as words
from errdetect.changes import glossary as vocabulary
from errdetect.changes.formatting import has_rows, records
from errdetect.errors import visible
from errdetect.report.breakdown_section import SHOWN, blocks
from errdetect.report.drivers_section import driver_rows, drivers
from errdetect.report.figures import Figure
from errdetect.report.pages.action_items import accounts, first_things, steps
from errdetect.report.pages.example_decisions import SHOWN_CASES, cases
from errdetect.report.pages.page_blocks import share_columns
from errdetect.report.pages.policy_page import Limits, PolicyPage, about, matter_order, policy_pages
from errdetect.report.pages.targets import STATUS_WORDS, Target, targets
from errdetect.report.period_changes import changes
from errdetect.report.ranking_section import ranked_groups, ranking
from errdetect.report.reliability_section import reliability
from errdetect.report.report_content import ReportContent, report_tables
from errdetect.report.reviewers_section import reviewers
from errdetect.report.summary_section import summary, whole_figures
from errdetect.report.trend_section import trends
from errdetect.schemas import AUDIT

__all__ = ["ReportContent", "render_report", "report_tables"]

_MOST_BYTES = 2_000_000
#: From the fullest page to the leanest: less evidence on each policy's page, then fewer policies.
_LIMITS = (
    *(Limits(groups, 200, full) for groups, full in ((250, 200), (250, 60), (100, 20), (50, 0))),
    *(Limits(groups=60, pages=pages, full=5) for pages in (140, 100, 60, 30, 15)),
)
_COMPACT = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
_SHOWN_POLICIES, _MOST_PICTURES = 25, 3
_MAY_MISS = ("findings", "targets", "proposals")


def render_report(content: ReportContent) -> str:
    """Write the policy report.

    Parameters
    ----------
    content
        What it says.

    Returns
    -------
    str
        One HTML page that needs nothing else: no network, no font, no further file. Equal
        content gives an equal page. It holds up to 250 rows of each table and 200 policies; where
        that would pass 2 MB, less evidence on each policy's page, then fewer policies. It says
        how many it leaves to the tables beside it.

    Raises
    ------
    DataError
        Where a table of the content lacks a column.

    Examples
    --------
    >>> from datetime import datetime
    >>> page = render_report(ReportContent("April", datetime(2025, 5, 1), "shop", None, 0))
    >>> "An error rate cannot be said" in page
    True
    """
    whole = whole_figures(content.estimates)
    names = {policy_id: policy.name for policy_id, policy in content.policies.items()}
    split = blocks(content.estimates, whole, names)
    by_policy = next((b for b in split if b.name == "policy_id"), None)
    keys = matter_order(content, by_policy)
    shown = about(content, keys[: _LIMITS[0].pages])
    view = {
        **_whole(content, names, whole),
        "blocks": split,
        "by_policy": by_policy,
        "n_policies": len(keys),
        "n_held": _count_held(content.findings),
    }
    for limits in _LIMITS:
        pages = policy_pages(shown, by_policy, keys, limits)
        page = _page().render(
            {**view, **_policies(shown, pages, view["aims"]), "most_groups": limits.groups}
        )
        if len(page.encode()) <= _MOST_BYTES:
            break
    return page


def _whole(
    content: ReportContent, names: Mapping[str, str], whole: Mapping[str, Figure]
) -> dict[str, Any]:
    """Work out what does not hang on how many policies are shown."""
    reasons = driver_rows(content.drivers)
    return {
        "content": content,
        "words": words,
        "vocabulary": vocabulary,
        "names": names,
        "summary": summary(whole),
        "n_audit": content.n_reviews.get(AUDIT, 0),
        "changes": {change.measure: change for change in changes(content.trend)},
        "shown": SHOWN,
        "shown_policies": _SHOWN_POLICIES,
        "shown_cases": SHOWN_CASES,
        "drivers": drivers(reasons.get(None, ())),
        "has_drivers": bool(reasons),
        "ranking": ranking(content.evaluation),
        "reliability": reliability(content.reliability, content.reliability_by),
        "ranked_groups": ranked_groups(content.segments, names),
        "trends": trends(content.trend),
        "reviewers": reviewers(
            content.reviewers,
            content.agreement,
            content.inspection,
            names=names,
            notes=content.reviewer_notes,
        ),
        "pictures": [
            (words.clean(p.title, 200), words.clean(p.alt, 1000), base64.b64encode(p.png).decode())
            for p in content.pictures[:_MOST_PICTURES]
        ],
        "aims": targets(content.targets),
        "status_words": STATUS_WORDS,
        "accounts": accounts(content.whitelist, content.policies),
        "missing": {
            part: words.clean(why, 400) if (why := content.reasons_missing.get(part)) else ""
            for part in _MAY_MISS
        },
        "sources": [
            words.counted(n, said.one, said.many)
            for source, said in vocabulary.SOURCE_WORDS.items()
            if (n := content.n_reviews.get(source, 0))
        ],
        "facts": _facts(content.model or {}),
        "intake": [] if content.intake is None else records(content.intake),
    }


def _policies(
    content: ReportContent, pages: Sequence[PolicyPage], aims: Sequence[Target]
) -> dict[str, Any]:
    """Work out what is said of the policies shown: pages, findings, proposals, first things."""
    held = [(page, f) for page in pages for f in page.findings if f.confirmed]
    return {
        "pages": pages,
        "anchors": {page.key: page.anchor for page in pages},
        "labels": {page.key: page.name for page in pages},
        "evidence": share_columns([page.blocks for page in pages]),
        "held": sorted(held, key=lambda pair: (-pair[1].worth, pair[1].key)),
        "offers": [(page, proposal) for page in pages for proposal in page.proposals],
        "steps": steps(content.plan, pages),
        "cases": cases(content.queue_head, {page.key: page for page in pages}),
        "todo": first_things(
            pages,
            aims,
            n_audit=content.n_reviews.get(AUDIT, 0),
            n_queued=content.n_queued if has_rows(content.queue_head) else None,
            has_model=content.model is not None,
        ),
    }


def _count_held(findings: pd.DataFrame | None) -> int:
    """Count the findings that hold, of all policies."""
    if findings is None or "confirmed" not in findings:
        return 0
    return int(findings["confirmed"].fillna(value=False).astype(bool).sum())


def _facts(model: Mapping[str, object]) -> list[tuple[str, str]]:
    """Name the model's facts in order; what is a time becomes its day."""
    return [
        (
            words.clean(key, 40).replace("_", " ").capitalize(),
            words.day(value) if isinstance(value, date) else words.clean(value),
        )
        for key, value in model.items()
    ]


@cache
def _page() -> Template:
    """Load the page's template; whatever it prints is escaped."""
    environment = Environment(
        loader=PackageLoader("errdetect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.policies["json.dumps_kwargs"] = _COMPACT
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2", globals={"script_hash": digest})


def _shown(value: Any) -> Any:
    """Take hidden characters out of every printed text: the last door, whatever came before."""
    text = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value) if text else value
