"""The policy report: one HTML page for people who own the rules and do not code."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from errdetect.data.policies import Policy
from errdetect.policy import vocabulary, words
from errdetect.policy.cases import SHOWN_CASES, cases
from errdetect.policy.drivers import driver_rows, drivers, policy_pages
from errdetect.policy.figures import read_said
from errdetect.policy.frames import records
from errdetect.policy.ranking import ranking
from errdetect.policy.ranking_groups import ranked_groups
from errdetect.policy.reliability import reliability
from errdetect.policy.reviewers import reviewers
from errdetect.policy.summary import summary, whole_figures
from errdetect.policy.trend import trends
from errdetect.policy.where import SHOWN, blocks
from errdetect.schemas import AUDIT, ESTIMATES

__all__ = ["ReportContent", "render_report", "report_tables"]

_MOST_BYTES = 2_000_000
_MOST_GROUPS, _MOST_PAGES = 250, 200


@dataclass(frozen=True)
class ReportContent:
    """Everything that a policy report says; what is missing is said to be missing, and why.

    Tables are data frames in the contract's columns. Text in them may be hostile: the report
    escapes it, shows hidden characters as their codes and bounds its length.

    Parameters
    ----------
    title
        The page's heading.
    generated_at
        When the report was made, in UTC.
    data_name
        What the data is called.
    period
        First and last moment of the decisions; None where there are none.
    n_decisions
        How many decisions were taken in the period.
    n_reviews
        Source of reviews -> how many.
    estimates
        `whole` and, for each column that is split by (`policy_id`, `market`, `language`,
        `moderator`, any other), its name -> a frame with the columns of
        `errdetect.schemas.ESTIMATES` and, but for `whole`, that column. Rows where it is missing
        are the whole. Suppressed rows are said in words, whatever numbers stand in them.
    policies
        policy_id -> catalogue entry.
    drivers
        `policy_id` (missing: all policies), `code`, `text` (a reason in plain words), `share` of
        the explained push towards error in [0, 1], `n_decisions` that were looked at, and perhaps
        `example_ids` (a list).
    queue_head
        The queue's first rows in the contract's columns, with `reasons` as lists of
        {code, text, contribution}; and, where known, `action`, `market`, `language`, `text`.
    n_queued
        How many decisions the whole queue holds.
    evaluation
        One row for each `method` (`model` is the ranking itself; `random`, `margin`,
        `segment_rate` or any other) and `metric` (`recall_at_0.5`, `recall_at_5`, ...,
        `average_precision`; `lead`: the ranking's average precision less this method's, resampled
        together) with `value`, `low` and `high`.
    evaluated_on
        One sentence: which decisions the evaluation was measured on.
    reliability, reliability_by
        Said and seen chance of error on those decisions: `said`, `seen`, `low`, `high`, `n`; and the
        same by segment, with `column`, `value` and `differs` (beyond chance).
    segments
        How the ranking does by group: `segment` (a column; `all` for the whole; `reviewers` for
        whether they agreed), `level`, `value`, `low`, `high` (share of the pairs of one wrong and
        one right decision in which the wrong one stands first), `n`, `n_errors`, `suppressed`.
    trend
        `period_start`, `measure`, `estimate`, `low`, `high`, `suppressed`.
    label_states
        State of a label (`matured`, `pending`, `censored`) -> how many decisions.
    reviewers
        Scorecards of sites and of reviewers, who must be pseudonyms already: `site`, `reviewer`
        (missing on rows about a site), `measure`, `value`, `low`, `high`, `n`, `suppressed`,
        `note` (why it is suppressed) and, where known, `basis` and `golden_needed`.
    agreement
        `policy_id` (missing: all decisions), `alpha`, `low`, `high`, `observed`, `n_decisions`,
        `note` (why there is no alpha).
    inspection
        The plan of each `site`'s latest week: `lot_from`, `lot_to`, `lot_size`, `n` (reviews to
        check), `accept`, `stage`, `lots`, `aql`, `note`.
    reviewer_notes
        Sentences on what is missing to say more of reviewers.
    notes
        Plain sentences on method and limits.
    model
        Facts about the model (`version`, `trained_at`, ...); None where none has scored.

    Examples
    --------
    >>> ReportContent("Report", datetime(2025, 4, 1), "shop", None, 0).estimates
    {}
    """

    title: str
    generated_at: datetime
    data_name: str
    period: tuple[datetime, datetime] | None
    n_decisions: int
    n_reviews: Mapping[str, int] = field(default_factory=dict)
    estimates: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    drivers: pd.DataFrame | None = None
    queue_head: pd.DataFrame | None = None
    n_queued: int | None = None
    evaluation: pd.DataFrame | None = None
    evaluated_on: str = ""
    reliability: pd.DataFrame | None = None
    reliability_by: pd.DataFrame | None = None
    segments: pd.DataFrame | None = None
    trend: pd.DataFrame | None = None
    label_states: Mapping[str, int] = field(default_factory=dict)
    reviewers: pd.DataFrame | None = None
    agreement: pd.DataFrame | None = None
    inspection: pd.DataFrame | None = None
    reviewer_notes: Sequence[str] = ()
    notes: Sequence[str] = ()
    model: Mapping[str, object] | None = None


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
        content gives an equal page. It holds up to 250 rows of each table and 200 policies,
        fewer where that would pass 2 MB, and says how many it leaves to the tables beside it.

    Raises
    ------
    DataError
        Where a table of the content lacks a column.

    Examples
    --------
    >>> page = render_report(ReportContent("April", datetime(2025, 5, 1), "shop", None, 0))
    >>> "An error rate cannot be said" in page
    True
    """
    for part in (1, 2, 4, 8, 16):
        page = _page().render(_view(content, _MOST_GROUPS // part, _MOST_PAGES // part))
        if len(page.encode()) <= _MOST_BYTES:
            break
    return page


def report_tables(content: ReportContent) -> dict[str, pd.DataFrame]:
    """Give the report's tables as data, whole: nothing is folded away or left out.

    Parameters
    ----------
    content
        What the report says.

    Returns
    -------
    dict
        Name -> table, of those that the content has: `reviewers`, `agreement`,
        `inspection` (of those who review), `estimates` (the whole and every block,
        the columns split by first; suppressed figures are missing), `drivers`, `queue_head`,
        `evaluation`, `segments`, `trend`. A table that the content lacks is absent, not empty.

    Examples
    --------
    >>> report_tables(ReportContent("April", datetime(2025, 5, 1), "shop", None, 0))
    {}
    """
    tables = {
        "estimates": _all_estimates(content.estimates),
        "drivers": content.drivers,
        "queue_head": content.queue_head,
        "evaluation": content.evaluation,
        "reliability": content.reliability,
        "reliability_by": content.reliability_by,
        "segments": content.segments,
        "trend": content.trend,
        "reviewers": content.reviewers,
        "agreement": content.agreement,
        "inspection": content.inspection,
    }
    return {name: t.reset_index(drop=True) for name, t in tables.items() if t is not None}


def _all_estimates(estimates: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Stack the blocks under one set of columns; a figure held back leaves no number behind."""
    if not estimates:
        return None
    by = [name for name in (*vocabulary.BY_WORDS, *sorted(estimates)) if name in estimates]
    columns = [name for name in dict.fromkeys(by) if name != "whole"]
    parts = [
        frame if name == "whole" or "whole" not in estimates else frame[frame[name].notna()]
        for name, frame in sorted(estimates.items(), key=lambda item: item[0] != "whole")
    ]
    table = pd.concat(parts, ignore_index=True).reindex(columns=[*columns, *ESTIMATES.names])
    held_back = pd.Series([read_said(row) is None for row in records(table)], dtype=bool)
    table.loc[held_back, ["estimate", "low", "high"]] = float("nan")
    return table


def _view(content: ReportContent, most_groups: int, most_pages: int) -> dict[str, Any]:
    """Work out every section, with at most so many rows of a table and so many policies."""
    whole = whole_figures(content.estimates)
    names = {policy_id: policy.name for policy_id, policy in content.policies.items()}
    split = blocks(content.estimates, whole, names)
    reasons = driver_rows(content.drivers)
    groups = next((b.groups for b in split if b.name == "policy_id"), ())
    pages = policy_pages(groups, reasons, content.policies, most_pages)
    by_key = {page.key: page for page in pages}
    return {
        "content": content,
        "words": words,
        "vocabulary": vocabulary,
        "summary": summary(whole),
        "n_audit": content.n_reviews.get(AUDIT, 0),
        "blocks": split,
        "shown": SHOWN,
        "most_groups": most_groups,
        "n_policies": len({g.key for g in groups} | {p for p in reasons if p is not None}),
        "drivers": drivers(reasons.get(None, ())),
        "pages": pages,
        "anchors": {key: page.anchor for key, page in by_key.items()},
        "cases": cases(content.queue_head, by_key),
        "shown_cases": SHOWN_CASES,
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
        "sources": [
            words.counted(n, said.one, said.many)
            for source, said in vocabulary.SOURCE_WORDS.items()
            if (n := content.n_reviews.get(source, 0))
        ],
        "facts": _facts(content.model or {}),
    }


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
        loader=PackageLoader("errdetect.policy"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2", globals={"script_hash": digest})


def _shown(value: Any) -> Any:
    """Take hidden characters out of every printed text: the last door, whatever came before."""
    text = isinstance(value, str) and not isinstance(value, Markup)
    return words.visible(value) if text else value
