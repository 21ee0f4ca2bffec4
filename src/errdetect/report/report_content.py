"""The content of a policy report, as tables: the report's only input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from errdetect.changes import text_formatting as vocabulary
from errdetect.changes.text_formatting import to_records
from errdetect.data.policy_catalogue import Policy
from errdetect.report.reported_rates import read_interval_estimate
from errdetect.schemas import ESTIMATES

__all__ = ["Picture", "ReportContent", "report_tables"]


@dataclass(frozen=True)
class Picture:
    """A picture for the report: its title, alternative text, and PNG."""

    title: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class ReportContent:
    """The whole content of a policy report; missing parts are reported as missing, with the reason.

    Tables are data frames in the contract's columns. Text in them may be hostile: the report
    escapes it, shows hidden characters as their codes and bounds its length.

    Parameters
    ----------
    title
        The page's heading.
    generated_at
        When the report was made, in UTC.
    data_name
        Name of the data.
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
        are the whole. Suppressed rows are shown as text; their numbers are ignored.
    policies
        policy_id -> catalogue entry.
    drivers
        `policy_id` (missing: all policies), `code`, `text` (a reason in plain language), `share` of
        the explained push towards error in [0, 1], `n_decisions` examined, and optionally
        `example_ids` (a list).
    queue_head
        The queue's first rows in the contract's columns, with `reasons` as lists of
        {code, text, contribution}; and, where known, `action`, `market`, `language`, `text`.
    n_queued
        How many decisions the whole queue holds.
    evaluation
        One row for each `method` (`model` is the ranking itself; `random`, `margin`,
        `segment_rate` or any other) and `metric` (`recall_at_0.5`, `recall_at_5`, ...,
        `average_precision`; `lead`: the ranking's average precision minus this method's, resampled
        together) with `value`, `low` and `high`.
    evaluated_on
        One sentence: which decisions the evaluation was measured on.
    reliability, reliability_by
        Predicted and observed share of errors on those decisions: `predicted`, `observed`, `low`, `high`, `n`; and the
        same by segment, with `column`, `value` and `differs` (beyond chance).
    reliability_level
        One sentence: that these are at the trained level, and at which one scores stand now.
    segments
        Ranking quality by group: `segment` (a column; `all` for the whole; `reviewers` for
        whether they agreed), `level`, `value`, `low`, `high` (share of the pairs of one wrong and
        one correct decision in which the wrong one ranks first), `n`, `n_errors`, `suppressed`.
    trend
        `period_start`, `measure`, `estimate`, `low`, `high`, `suppressed`.
    label_states
        State of a label (`matured`, `pending`, `censored`) -> how many decisions.
    reviewers
        Scorecards of sites and of reviewers, who must be pseudonyms already: `site`, `reviewer`
        (missing on rows about a site), `measure`, `value`, `low`, `high`, `n`, `suppressed`,
        `note` (why it is suppressed) and, where known, `basis` and `golden_needed`. The measure
        `deviation` names those whose verdicts depart from the others', and `note` says how.
    agreement
        `policy_id` (missing: all decisions), `alpha`, `low`, `high`, `observed`, `n_decisions`,
        `note` (why there is no alpha).
    inspection
        The plan of each `site`'s latest week: `lot_from`, `lot_to`, `lot_size`, `n` (reviews to
        check), `accept`, `stage`, `lots`, `aql`, `note`.
    reviewer_notes
        Sentences on what is missing about reviewers.
    deviating
        A sentence on each reviewer (under a pseudonym) or site whose verdicts depart from the
        others'.
    training_needs
        Mistakes by site and policy against the other sites; see `find_training_needs`.
    label_mixups
        Policies cited where another is correct; see `find_label_mixups`.
    review_work
        Reviews by week and site; see `weekly_reviews`.
    audit_draws
        How much of each recorded draw is reviewed; see `draw_progress`.
    open_appeals
        Appeals that wait, by policy; see `review_progress.open_appeals`.
    policy_markets
        The error rates by `policy_id` and `market`, in the columns of `errdetect.schemas.ESTIMATES`.
    volumes
        Counts of each policy: `policy_id`, `n_decisions` and, where
        known, `n_enforced`, `n_reviews` (reviewed decisions), `n_overturned`.
    trend_by
        The trend of each policy: `policy_id` and the columns of `trend`.
    slices
        Rules under which a policy errs more than elsewhere: `policy_id`, `rule`, `n`,
        `error_rate`, `low`, `high`, `base_rate`, `confirmed` (on decisions not used to find it) and, where
        known, `error_kind`, `n_reviews`, `harm_saved` with `harm_saved_low` and
        `harm_saved_high`.
    thresholds
        Effects of other thresholds: `policy_id`, `threshold`, `harm`, `harm_low`, `harm_high`,
        `current`, `supported`, `recommended` and, where known, `moderator`, `market`,
        `wrongful`, `missed` (numbers of decisions, each with `_low`, `_high`), `n_enforced`,
        `n_near_threshold` (decisions near the threshold).
    findings
        Findings: `finding_id`, `policy_id`, `rule`, `n`, `error_rate`, `low`, `high`,
        `base_rate`, `confirmed` and, where known, `kind`, `error_kind`, `harm_saved` with its
        limits, `cause`, `cause_text`, `confidence`, `runner_up`, `n_reviews`, `n_accounts`.
    cases
        Decisions of each policy that show its errors: the queue's columns and, where there is a
        similar decision that was right, `contrast_id`, `contrast` (a sentence),
        `contrast_text`; `against`, where known, lists reasons that support the decision.
    proposals
        Changes: `proposal_id`, `policy_id`, `change`, `state` and, where known, `title`,
        `effective_from`, `effect`, `effect_low`, `effect_high`, `effect_words`, `brief` (the
        file).
    briefs
        `policy_id`, `file`, `title`, `text` (Markdown).
    targets
        `policy_id`, `measure`, `limit`, `estimate`, `low`, `high`, `status` (`met`, `missed`,
        `cannot_tell`) and, where known, `market`, `site`, `n_reviews`, `reviews_needed`.
    plan
        Improvement plans for missed targets, in order: `policy_id`, `step`, `words`.
    effects
        Effects of accepted changes, in full: a table only; the page shows it with the proposals.
    whitelist
        Accounts that the remediation plan whitelists, by the same rule: `account_id`, `policy_id`, `n`,
        `wrongful_rate`, `low`, `high`, `evidence`.
    remedies
        What reviews say should be reversed or corrected, as `schemas.PLAN`; see `direct_remedies`.
    pictures
        Pictures of reasons associated with errors; the page holds the first three.
    reasons_missing
        Name of a part (`slices`, `thresholds`, `findings`, `model`, ...) -> one sentence on why it is
        missing, where a specific reason is known.
    notes
        Plain sentences on method and limits.
    intake
        What was read, used and left out: columns as `schemas.INTAKE`.
    model
        Facts about the model (`version`, `trained_at`, ...); None where none has scored.
    rulings
        policy_id -> sentences on the rulings of calibration sessions on its clause.
    has_pages
        Whether a folder `pages` lies next to the report.

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
    reliability_level: str = ""
    segments: pd.DataFrame | None = None
    trend: pd.DataFrame | None = None
    label_states: Mapping[str, int] = field(default_factory=dict)
    reviewers: pd.DataFrame | None = None
    agreement: pd.DataFrame | None = None
    inspection: pd.DataFrame | None = None
    reviewer_notes: Sequence[str] = ()
    deviating: Sequence[str] = ()
    training_needs: pd.DataFrame | None = None
    label_mixups: pd.DataFrame | None = None
    review_work: pd.DataFrame | None = None
    audit_draws: pd.DataFrame | None = None
    open_appeals: pd.DataFrame | None = None
    policy_markets: pd.DataFrame | None = None
    volumes: pd.DataFrame | None = None
    trend_by: pd.DataFrame | None = None
    slices: pd.DataFrame | None = None
    thresholds: pd.DataFrame | None = None
    findings: pd.DataFrame | None = None
    cases: pd.DataFrame | None = None
    proposals: pd.DataFrame | None = None
    briefs: pd.DataFrame | None = None
    targets: pd.DataFrame | None = None
    plan: pd.DataFrame | None = None
    effects: pd.DataFrame | None = None
    whitelist: pd.DataFrame | None = None
    remedies: pd.DataFrame | None = None
    pictures: Sequence[Picture] = ()
    reasons_missing: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    intake: pd.DataFrame | None = None
    model: Mapping[str, object] | None = None
    rulings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_pages: bool = False


_TABLES = (
    *("drivers", "queue_head", "evaluation", "reliability", "reliability_by", "segments"),
    *("trend", "trend_by", "volumes", "reviewers", "agreement", "inspection"),
    *("slices", "thresholds", "findings", "cases", "briefs", "proposals"),
    *("effects", "targets", "plan", "whitelist", "remedies", "intake"),
    *("training_needs", "label_mixups", "review_work", "audit_draws", "policy_markets"),
    "open_appeals",
)


def report_tables(content: ReportContent) -> dict[str, pd.DataFrame]:
    """Return the report's tables in full: nothing is collapsed or left out.

    Parameters
    ----------
    content
        The report's content.

    Returns
    -------
    dict
        Name -> table, of those that the content has: `estimates` (the whole and every block, the
        columns split by first; suppressed figures are missing), and those of `ReportContent`
        under their own names. A table that the content lacks is absent, not empty.

    Examples
    --------
    >>> from datetime import datetime
    >>> report_tables(ReportContent("April", datetime(2025, 5, 1), "shop", None, 0))
    {}
    """
    tables = {"estimates": _all_estimates(content.estimates)}
    tables |= {name: getattr(content, name) for name in _TABLES}
    return {name: t.reset_index(drop=True) for name, t in tables.items() if t is not None}


def _all_estimates(estimates: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Stack the blocks under one set of columns; suppressed figures become missing."""
    if not estimates:
        return None
    by = [name for name in (*vocabulary.BY_WORDS, *sorted(estimates)) if name in estimates]
    columns = [name for name in dict.fromkeys(by) if name != "whole"]
    parts = [
        frame if name == "whole" or "whole" not in estimates else frame[frame[name].notna()]
        for name, frame in sorted(estimates.items(), key=lambda item: item[0] != "whole")
    ]
    table = pd.concat(parts, ignore_index=True).reindex(columns=[*columns, *ESTIMATES.names])
    held_back = pd.Series(
        [read_interval_estimate(row) is None for row in to_records(table)], dtype=bool
    )
    table.loc[held_back, ["estimate", "low", "high"]] = float("nan")
    return table
