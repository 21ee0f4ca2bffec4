"""The policy report: one HTML page for policy owners who do not code."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from errdetect.changes import text_formatting as vocabulary
from errdetect.changes import text_formatting as words
from errdetect.changes.text_formatting import has_rows, to_records
from errdetect.errors import escape_hidden
from errdetect.report.action_items import (
    SHOWN_CASES,
    read_accounts,
    read_cases,
    read_remedies,
    read_steps,
    top_action_items,
)
from errdetect.report.breakdown_section import SHOWN, build_breakdowns
from errdetect.report.drivers_section import driver_rows, read_drivers
from errdetect.report.effects_section import read_effects
from errdetect.report.heatmap import build_heatmap
from errdetect.report.model_section import ranked_groups, read_ranking, read_reliability
from errdetect.report.page_blocks import share_columns
from errdetect.report.policy_page import (
    PageLimits,
    PolicyPage,
    policy_pages,
    rank_policies,
    select_policies,
)
from errdetect.report.policy_tables import STATUS_WORDS, Target, read_targets
from errdetect.report.report_content import ReportContent, report_tables
from errdetect.report.reported_rates import IntervalEstimate, ReportedRate
from errdetect.report.reviewers_section import read_reviewers
from errdetect.report.summary_section import build_summary, overall_rates
from errdetect.report.training_section import read_mixups, read_training
from errdetect.report.trend_section import build_trends, latest_changes
from errdetect.report.work_section import read_appeals, read_work
from errdetect.schemas import AUDIT

__all__ = ["ReportContent", "render_report", "report_tables"]

_MOST_BYTES = 2_000_000
#: From the fullest page to the leanest: less evidence on each policy's page, then fewer policies.
_LIMITS = (
    *(
        PageLimits(groups, 200, full)
        for groups, full in ((250, 200), (250, 60), (100, 20), (50, 0))
    ),
    PageLimits(groups=50, pages=200, full=10, lean=True),
    PageLimits(groups=40, pages=200, full=3, lean=True),
    *(PageLimits(groups=60, pages=pages, full=5) for pages in (140, 100, 60, 30, 15)),
)
_COMPACT = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
_SHOWN_POLICIES, _MOST_PICTURES = 25, 3
_MAY_MISS = ("findings", "targets", "proposals", "training", "mixups")


def render_report(content: ReportContent) -> str:
    """Write the policy report.

    Parameters
    ----------
    content
        The report's content.

    Returns
    -------
    str
        One HTML page that needs nothing else: no network, no font, no further file. Equal
        content gives an equal page. It holds up to 250 rows of each table and 200 policies; where
        that would pass 2 MB, less evidence on each policy's page, then fewer policies. It says
        how many are only in the tables next to it.

    Raises
    ------
    DataError
        Where a table of the content lacks a column.

    Examples
    --------
    >>> from datetime import datetime
    >>> page = render_report(ReportContent("April", datetime(2025, 5, 1), "shop", None, 0))
    >>> "The error rate is unknown" in page
    True
    """
    whole = overall_rates(content.estimates)
    names = {policy_id: policy.name for policy_id, policy in content.policies.items()}
    split = build_breakdowns(content.estimates, whole, names)
    by_policy = next((b for b in split if b.name == "policy_id"), None)
    keys = rank_policies(content, by_policy)
    shown = select_policies(content, keys[: _LIMITS[0].pages])
    view = {
        **_overall_sections(content, names, whole),
        "blocks": split,
        "by_policy": by_policy,
        "n_policies": len(keys),
        "n_held": _count_confirmed(content.findings),
    }
    for limits in _LIMITS:
        pages = policy_pages(shown, by_policy, keys, limits)
        page = _page_template().render(
            {**view, **_policy_sections(shown, pages, view["aims"]), "most_groups": limits.groups}
        )
        if len(page.encode()) <= _MOST_BYTES:
            break
    return page


def _overall_sections(
    content: ReportContent, names: Mapping[str, str], whole: Mapping[str, ReportedRate]
) -> dict[str, Any]:
    """Compute the parts that do not depend on how many policies are shown."""
    reasons = driver_rows(content.drivers)
    return {
        "content": content,
        "words": words,
        "vocabulary": vocabulary,
        "names": names,
        "summary": build_summary(whole),
        "n_audit": content.n_reviews.get(AUDIT, 0),
        "changes": {change.measure: change for change in latest_changes(content.trend)},
        "shown": SHOWN,
        "shown_policies": _SHOWN_POLICIES,
        "shown_cases": SHOWN_CASES,
        "drivers": read_drivers(reasons.get(None, ())),
        "has_drivers": bool(reasons),
        "ranking": read_ranking(content.evaluation),
        "reliability": read_reliability(content.reliability, content.reliability_by),
        "ranked_groups": ranked_groups(content.segments, names),
        "trends": build_trends(content.trend),
        "reviewers": read_reviewers(
            content.reviewers,
            content.agreement,
            content.inspection,
            names=names,
            notes=content.reviewer_notes,
        ),
        "training": read_training(content.training_needs, names),
        "mixups": read_mixups(content.label_mixups, names),
        "work": read_work(
            content.review_work,
            content.audit_draws,
            content.label_states,
            read_appeals(content.open_appeals, names),
        ),
        "heatmap": build_heatmap(content.policy_markets, names, _overall_error(whole)),
        "pictures": [
            (
                words.clean_text(p.title, 200),
                words.clean_text(p.alt, 1000),
                base64.b64encode(p.png).decode(),
            )
            for p in content.pictures[:_MOST_PICTURES]
        ],
        "aims": read_targets(content.targets),
        "status_words": STATUS_WORDS,
        "remedies": read_remedies(content.remedies, content.policies),
        "effects": read_effects(content.effects, names),
        "accounts": read_accounts(content.whitelist, content.policies),
        "missing": {
            part: words.clean_text(why, 400) if (why := content.reasons_missing.get(part)) else ""
            for part in _MAY_MISS
        },
        "sources": [
            words.count_with_noun(n, said.one, said.many)
            for source, said in vocabulary.SOURCE_WORDS.items()
            if (n := content.n_reviews.get(source, 0))
        ],
        "facts": _model_facts(content.model or {}),
        "intake": [] if content.intake is None else to_records(content.intake),
    }


def _overall_error(whole: Mapping[str, ReportedRate]) -> IntervalEstimate | None:
    rate = whole.get("error_rate")
    return rate.said if rate else None


def _policy_sections(
    content: ReportContent, pages: Sequence[PolicyPage], aims: Sequence[Target]
) -> dict[str, Any]:
    """Build the parts on the policies shown: pages, findings, proposals, first things to do."""
    held = [(page, f) for page in pages for f in page.findings if f.confirmed]
    return {
        "pages": pages,
        "anchors": {page.key: page.anchor for page in pages},
        "labels": {page.key: page.name for page in pages},
        "evidence": share_columns([page.blocks for page in pages]),
        "held": sorted(held, key=lambda pair: (-pair[1].worth, pair[1].key)),
        "offers": [(page, proposal) for page in pages for proposal in page.proposals],
        "steps": read_steps(content.plan, pages),
        "cases": read_cases(content.queue_head, {page.key: page for page in pages}),
        "todo": top_action_items(
            pages,
            aims,
            n_audit=content.n_reviews.get(AUDIT, 0),
            n_queued=content.n_queued if has_rows(content.queue_head) else None,
            has_model=content.model is not None,
            no_model=content.reasons_missing.get("model", ""),
        ),
    }


def _count_confirmed(findings: pd.DataFrame | None) -> int:
    """Count the confirmed findings of all policies."""
    if findings is None or "confirmed" not in findings:
        return 0
    return int(findings["confirmed"].fillna(value=False).astype(bool).sum())


def _model_facts(model: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the model's facts in order; times become days."""
    return [
        (
            words.clean_text(key, 40).replace("_", " ").capitalize(),
            words.format_day(value) if isinstance(value, date) else words.clean_text(value),
        )
        for key, value in model.items()
    ]


@cache
def _page_template() -> Template:
    """Load the page's template; whatever it prints is escaped."""
    environment = Environment(
        loader=PackageLoader("errdetect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible_text,
    )
    environment.policies["json.dumps_kwargs"] = _COMPACT
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2", globals={"script_hash": digest})


def _visible_text(value: Any) -> Any:
    """Replace hidden characters in every printed text: the last safeguard."""
    text = isinstance(value, str) and not isinstance(value, Markup)
    return escape_hidden(value) if text else value
