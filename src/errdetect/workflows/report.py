"""report: the policy report, each of its tables, and the briefs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.changes.briefs import Brief
from errdetect.changes.decision_volumes import policy_volumes
from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_csv, write_parquet, write_text
from errdetect.data.provenance import Provenance
from errdetect.data.renamed_columns import add_old_columns, schema_with_old_names, use_new_names
from errdetect.data.sources import dataset_name
from errdetect.data.table_reading import read_open_appeals
from errdetect.errors import ContradictionError, DataError, ModelError, Refusal
from errdetect.estimation.error_rates import RateEstimates
from errdetect.estimation.small_groups import suppress_figures
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.findings.findings import Findings, find_findings, no_findings
from errdetect.findings.label_mixups import find_label_mixups
from errdetect.labels.review_progress import draw_progress, open_appeals, weekly_reviews
from errdetect.model.bundle import ModelBundle
from errdetect.model.evaluation import MODEL
from errdetect.model.policy_correction import PolicyCorrection, fit_policy_correction
from errdetect.queue.review_value import error_kinds
from errdetect.queue.selection import RANKED, budget_count
from errdetect.remediation.remediation_plan import direct_remedies
from errdetect.report.report import ReportContent, render_report, report_tables
from errdetect.report.report_content import Picture as Shown
from errdetect.reviewers.deviations import Deviations
from errdetect.reviewers.training_needs import find_training_needs
from errdetect.schemas import AUDIT, FINDINGS, INTAKE, SLICES, THRESHOLDS, UNKNOWN, WHITELIST
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import (
    EstimationSample,
    estimation_sample,
    queue_sample,
    refuse_broken_design,
)
from errdetect.workflows.current_levels import follow_log
from errdetect.workflows.decision_explainer import (
    Explainer,
    Picture,
    build_explainer,
    find_drivers,
    load_reason_templates,
    write_pictures,
)
from errdetect.workflows.load_data import Progress, free_threads, load_snapshot
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.report_changes import (
    confirmed_briefs,
    discovery_level,
    finding_parts,
    ledger_problem,
    outcome_parts,
    planned_whitelist,
    proposal_rows,
    record_briefs,
    record_discoveries,
    target_groupings,
    write_briefs,
)
from errdetect.workflows.reviewer_quality import (
    check_reviewers,
    deviation_cards,
    deviation_notes,
    one_reviewer_sites,
    reviewer_quality,
)
from errdetect.workflows.run_description import champion_version, describe_run, open_registry
from errdetect.workflows.score_batches import BatchScorer
from errdetect.workflows.scored_files import in_threads
from errdetect.workflows.team_pages import (
    PAGES,
    clause_rulings,
    team_pages,
    write_team_pages,
)

__all__ = [
    "HALF",
    "PERIOD",
    "ReportResult",
    "deviation_parts",
    "estimate_report_rates",
    "find_error_slices",
    "model_facts",
    "rate_tables",
    "report",
    "report_sample",
    "review_parts",
    "training_parts",
    "unreviewed_parts",
]

Floats = npt.NDArray[np.float64]

_CHUNK = 50_000
_SHOWN_TEXT = 400
_CASES, _POLICIES_WITH_CASES = 3, 200
_SHOWN = ("decision_id", "policy_id", "action", "market", "language", "text")
_SCHEMAS: Mapping[str, pa.Schema] = {
    "slices": SLICES,
    "findings": FINDINGS,
    "thresholds": THRESHOLDS,
    "whitelist": WHITELIST,
    "intake": INTAKE,
}


def find_error_slices(
    config: Config,
    snapshot: Snapshot,
    *,
    level: float = 0.05,
    p_error: "pd.Series[float] | None" = None,
    progress: Progress = lambda _: None,
) -> Findings:
    """Find where policies err more than elsewhere, as of the snapshot's moment.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Decisions and reviews.
    level
        False discovery rate among the confirmed.
    p_error
        Cross-fitted P(error) by decision_id, to assist the confirmation; None for none.
    progress
        Callback for progress messages.

    Returns
    -------
    Findings
        Empty tables with the reason in `notes` where there are no reviewed decisions.

    Raises
    ------
    Refusal, DataError
        Where the audit's inclusion probabilities are invalid.
    """
    machine = snapshot.automated
    if not len(machine.reviewed_ids):
        return no_findings("No decision was reviewed by then, so there are no findings.")
    progress("searching for where policies err")
    known: Floats | None = None
    if p_error is not None:
        rows = machine.decisions["decision_id"]
        aligned: Floats = np.asarray(p_error.reindex(rows), np.float64)
        known = aligned if np.isfinite(aligned).all() else None
    return find_findings(
        machine,
        rng=np.random.default_rng(config.train.seed),
        leave_out=tuple(config.features.leave_out),
        level=level,
        p_error=known,
        minimum=config.report.min_group,
    )


_MONTHS_FROM = 84  # days from which a trend is monthly instead of weekly
#: Columns to group by that the report adds: the month or week, and the half of the log's time.
PERIOD, HALF = "period_start", "half_start"
#: The two columns whose combinations the report shows.
_MARKETS = ("policy_id", "market")


def review_parts(config: Config, snapshot: Snapshot) -> dict[str, Any]:
    """Return review counts, label states, and reviewer quality."""
    quality = reviewer_quality(config, snapshot)
    return {
        "n_reviews": snapshot.current_reviews["source"].value_counts().to_dict(),
        "label_states": snapshot.labels["state"].value_counts().to_dict(),
        "reviewers": quality.cards,
        "agreement": quality.agreement,
        "inspection": quality.inspection,
        "reviewer_notes": quality.notes,
        "review_work": weekly_reviews(
            snapshot.decisions, snapshot.review_history, as_of=snapshot.moment
        ),
        "audit_draws": draw_progress(
            snapshot.draws, snapshot.review_history, as_of=snapshot.moment
        ),
        **_waiting_appeals(config, snapshot),
    }


def _correct_policies(config: Config, snapshot: Snapshot) -> PolicyCorrection | None:
    machine = snapshot.automated
    reviewed = (machine.labels["label"] != UNKNOWN).to_numpy(bool)
    return fit_policy_correction(
        machine.decisions,
        machine.correct_policies,
        reviewed,
        leave_out=config.features.leave_out,
        text=config.features.text,
    )


def _waiting_appeals(config: Config, snapshot: Snapshot) -> dict[str, Any]:
    if config.report.open_appeals is None:
        return {}
    appeals = read_open_appeals(config.path(config.report.open_appeals)).frame
    history, moment = snapshot.review_history, snapshot.moment
    return {"open_appeals": open_appeals(appeals, snapshot.decisions, history, as_of=moment)}


def training_parts(
    config: Config, snapshot: Snapshot, p_error: "pd.Series[float] | None"
) -> dict[str, Any]:
    """Return which site misreads which policy, and which policies the machine mixes up.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Decisions and reviews.
    p_error
        Cross-fitted P(error) by decision_id; None for none.
    """
    known = None if p_error is None else p_error.reindex(snapshot.decisions["decision_id"])
    needs = find_training_needs(
        snapshot.verdicts,
        snapshot.decisions,
        None if known is None else np.asarray(known, np.float64),
        minimum=config.report.min_group,
    )
    alone = needs["site"].isin(one_reviewer_sites(snapshot)).to_numpy(bool)
    mixups = find_label_mixups(
        snapshot, minimum=config.report.min_group, model=_correct_policies(config, snapshot)
    )
    return {"training_needs": needs[~alone].reset_index(drop=True), "label_mixups": mixups}


def deviation_parts(
    config: Config, content: Mapping[str, Any], deviations: Deviations
) -> dict[str, Any]:
    """Add those whose verdicts depart from the others' to the table and the notes on reviewers."""
    rows, cards = deviation_cards(config, deviations), content.get("reviewers")
    if not len(rows):
        return {}
    table = rows if cards is None else pd.concat([cards, rows], ignore_index=True)
    return {"reviewers": table, "deviating": deviation_notes(config, deviations)}


def report_sample(
    config: Config, snapshot: Snapshot, progress: Progress
) -> EstimationSample | None:
    """Gather the input of the error-rate estimates; None without a designed sample.

    Raises
    ------
    Refusal, DataError
        Where the sample's design cannot be trusted.
    """
    covered, scores = queue_sample(config, snapshot)
    if scores is None and not (snapshot.known_reviews["source"] == AUDIT).any():
        return None
    return estimation_sample(config, covered, scores, progress=progress)


def estimate_report_rates(
    config: Config, sample: EstimationSample, more: Sequence[Sequence[str]] = ()
) -> RateEstimates:
    """Estimate the error rates by every grouping that the report shows, in one pass.

    Parameters
    ----------
    config
        From `load_config`; `report.by` names columns.
    sample
        From `report_sample`.
    more
        Further groupings.
    """
    decisions = sample.snapshot.decisions
    known = [[c] for c in config.report.by if c in decisions and decisions[c].nunique() > 0]
    days = (decisions["decided_at"].max() - decisions["decided_at"].min()).days
    starts = _period_starts(decisions["decided_at"], "M" if days >= _MONTHS_FROM else "W")
    dated = sample.with_columns(
        {PERIOD: starts, HALF: _half_period_starts(decisions["decided_at"])}
    )
    wanted = [*known, [PERIOD], ["policy_id", HALF], *(list(columns) for columns in more)]
    if all([name] in known for name in _MARKETS):
        wanted.append(list(_MARKETS))
    each = {tuple(columns): columns for columns in wanted}
    return dated.rates(*each.values())


def rate_tables(
    config: Config, found: RateEstimates
) -> dict[str, pd.DataFrame | dict[str, pd.DataFrame]]:
    """Return audited error rates, equal to `estimate`, by group and over time.

    Parameters
    ----------
    config
        From `load_config`.
    found
        From `estimate_report_rates`.
    """
    estimates = {"whole": found.frame()}
    for name in config.report.by:
        if (name,) in found.by_group:
            estimates[name] = found.by_group[(name,)]
    halves = found.by_group[("policy_id", HALF)]
    tables: dict[str, pd.DataFrame | dict[str, pd.DataFrame]] = {
        "estimates": estimates,
        "trend": found.by_group[(PERIOD,)],
        "trend_by": halves.rename(columns={HALF: PERIOD}),
    }
    if _MARKETS in found.by_group:
        tables["policy_markets"] = found.by_group[_MARKETS]
    return tables


def _period_starts(moments: pd.Series, period: str) -> pd.Series:
    """Return the first day of each moment's period."""
    first = moments.dt.tz_localize(None).dt.to_period(period).dt.start_time
    starts: pd.Series = first.dt.strftime("%Y-%m-%d")
    return starts


def _half_period_starts(moments: pd.Series) -> npt.NDArray[np.str_]:
    """Return the first day of the half of the time that each moment lies in.

    Months of one policy hold too few reviews to show a change; halves hold the most.
    """
    first, last = moments.min(), moments.max()
    middle = (first + (last - first) / 2).floor("D")
    days = (middle.strftime("%Y-%m-%d"), first.strftime("%Y-%m-%d"))
    halves: npt.NDArray[np.str_] = np.where((moments >= middle).to_numpy(bool), *days)
    return halves


def model_facts(bundle: ModelBundle, version: str) -> dict[str, Any]:
    """Return the training record of the model."""
    about = bundle.about
    facts = {k: about[k] for k in ("trained_at", "labels", "errors") if k in about}
    return {
        "model": {"version": version, **facts},
        "evaluation": _evaluation_table(about),
        "evaluated_on": _evaluated_on(about),
        **{
            name: _training_table(about, name)
            for name in ("reliability", "reliability_by", "segments")
        },
    }


def unreviewed_parts(
    config: Config, snapshot: Snapshot, bundle: ModelBundle, now: datetime
) -> tuple[dict[str, Any], tuple[Picture, ...]]:
    """Return champion results for unreviewed decisions: head of the queue, cases, drivers."""
    decisions = snapshot.decisions
    unseen = ~decisions["decision_id"].isin(snapshot.reviewed_ids).to_numpy(bool)
    unseen &= ~bundle.in_sample(decisions["decision_id"])
    rows = np.flatnonzero(unseen)
    open_ = decisions.iloc[rows].reset_index(drop=True)
    if open_.empty:
        return {}, ()
    threads = config.train.threads or free_threads(len(open_))
    past = PointInTimeFeatures.for_model_columns(
        bundle.detector.encoding.names, [decisions], snapshot.reviews
    )
    starts = range(0, len(open_), _CHUNK)
    workers = min(threads, len(starts))
    scorer = BatchScorer(bundle, snapshot.policies, config.queue, max(1, threads // workers))

    def score_part(start: int) -> pd.DataFrame:
        part = open_.iloc[start : start + _CHUNK]
        found = scorer.answers(part, past.add(part, rows[start : start + _CHUNK]))
        return found[["p_error", "expected_harm", "suggested_policy_id"]]

    answers = pd.concat(in_threads(score_part, starts, workers))
    scored = open_.assign(**answers)
    p, harm = (answers[name].to_numpy(np.float64) for name in ("p_error", "expected_harm"))
    explainer = build_explainer(
        config, bundle, past, known=[decisions], snapshot=snapshot,
        as_of=config.labels.as_of or now,
    )  # fmt: skip
    found, pictures = find_drivers(
        explainer, open_, p, most=config.report.explained, threads=threads,
        rng=np.random.default_rng(config.queue.seed),
    )  # fmt: skip
    order = np.argsort(-harm, kind="stable")
    return {
        "drivers": found,
        "n_queued": budget_count(config.queue.budget, len(open_)),
        "queue_head": _explained_decisions(
            scored.iloc[order[: config.report.queue_rows]], explainer, config.report.texts
        ),
        "cases": _explained_decisions(
            scored.iloc[_top_per_policy(open_["policy_id"], order)], explainer, config.report.texts
        ),
    }, pictures


def _top_per_policy(policy: pd.Series, order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the first decisions of each of the first policies in a given order."""
    ordered = policy.iloc[order]
    nth = ordered.groupby(ordered.to_numpy()).cumcount().to_numpy()
    first = ordered.isin(ordered.unique()[:_POLICIES_WITH_CASES]).to_numpy()
    return order[(nth < _CASES) & first]


def _explained_decisions(scored: pd.DataFrame, explainer: Explainer, texts: bool) -> pd.DataFrame:
    """Return decisions as the report shows them, each with its reasons and a contrast."""
    decisions = scored.reset_index(drop=True)
    shown = _SHOWN if texts else tuple(c for c in _SHOWN if c != "text")
    head = decisions[[c for c in shown if c in decisions]]
    if "text" in head:
        head = head.assign(text=head["text"].str.slice(0, _SHOWN_TEXT))
    suggested = decisions["suggested_policy_id"]
    head = head.assign(
        rank=np.arange(1, len(head) + 1),
        p_error=decisions["p_error"],
        error_kind=error_kinds(decisions["enforced"], suggested).to_numpy(),
        suggested_policy_id=suggested,
        expected_harm=decisions["expected_harm"],
        arm=RANKED,
    )
    return pd.concat([head, explainer.table(decisions)], axis=1)


def _evaluated_on(about: Mapping[str, Any]) -> str:
    """Describe the decisions that the ranking was measured on, from the training record."""
    latest = f"The {about['counts']['test_decisions']:,} latest decisions reviewed by then"
    said = [note for note in about.get("notes", ()) if "measured on" in note or "held-out" in note]
    return f"{latest}: {said[0]}." if said else f"{latest}."


def _training_table(about: Mapping[str, Any], name: str) -> pd.DataFrame | None:
    """Return a table of the training run; None where there was too little data."""
    if not about.get(name):
        return None
    return use_new_names(pd.DataFrame(about[name]), name)  # models of earlier versions too


def _evaluation_table(about: Mapping[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(about["evaluation"]).rename(columns={"measure": "metric"})
    return frame.assign(
        method=frame["method"].replace({MODEL: "model", "segment rate": "segment_rate"})
    )


@dataclass(frozen=True)
class ReportResult:
    """The files written, and notes for the reader."""

    files: Mapping[str, Path]
    notes: tuple[str, ...]
    n_confirmed: int = 0
    n_proposed: int = 0

    def lines(self) -> list[str]:
        """Return the summary lines."""
        held = "1 finding was" if self.n_confirmed == 1 else f"{self.n_confirmed:,} findings were"
        return [
            f"{held} confirmed; {self.n_proposed:,} new in the proposals.",
            *(f"Note: {note.rstrip('.')}." for note in self.notes),
            *(f"  {name}  {path}" for name, path in self.files.items()),
        ]


def report(
    config: Config,
    out: str | Path,
    *,
    generated_at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> ReportResult:
    """Write the policy report of the config's data.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for report.html, tables/, briefs/, pages/ and plots/: all or none.
    generated_at
        The report's date; default: now.
    progress
        Callback for progress messages.

    Returns
    -------
    ReportResult
        New briefs are recorded in the ledger as proposals once the report is written.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used. Without a model or reviews, the report states what is missing.
    """
    check_reviewers(config)
    load_reason_templates(config)
    refuse_own_inputs(config, folder=out)
    loaded = load_snapshot(config, progress=progress)
    refuse_broken_design(loaded.snapshot)
    snapshot = loaded.snapshot
    decisions = snapshot.decisions
    now = generated_at or datetime.now(UTC)
    name = dataset_name(config.data_paths(config.data.decisions)[0])
    content: dict[str, Any] = {
        "title": config.report.title or f"Policy report: {name}",
        "generated_at": now,
        "data_name": name,
        "period": (decisions["decided_at"].min(), decisions["decided_at"].max()),
        "n_decisions": len(decisions),
        "policies": snapshot.policies,
        "intake": snapshot.intake.frame(),
        "volumes": policy_volumes(decisions, snapshot.reviews),
    }
    said, briefs, notes = _review_sections(config, snapshot, now, progress)
    level = said.pop("discovery_level", None)
    content |= said
    notes = [*loaded.notes, *notes]
    pictures: tuple[Picture, ...] = ()
    registry = open_registry(config)
    try:
        bundle, version = registry.load()
    except ModelError as error:
        notes.append(str(error))
        if why := registry.turned_down():
            known = content.get("reasons_missing", {})
            content["reasons_missing"] = {**known, "model": f"{why[0].upper()}{why[1:]}"}
    else:
        progress("scoring unreviewed decisions")
        content |= model_facts(bundle, version)
        if config.score.follow_levels:  # as `score` does
            current = follow_log(bundle, snapshot)
            bundle = current.bundle
            notes += current.notes
            content["reliability_level"] = current.sentence()
        unseen, pictures = unreviewed_parts(config, snapshot, bundle, now)
        content |= unseen
        content["pictures"] = [Shown(p.title, p.alt, p.png) for p in pictures]
    found = content.get("findings")
    confirmed = 0 if found is None else int(found["confirmed"].sum())
    content |= _without_small_groups(content, config.report.min_group)
    recorded = level is not None or bool(briefs)
    if recorded and (problem := ledger_problem(config)):
        recorded = False
        notes.append(f"{_NOT_RECORDED}: {problem}")
    progress("writing the report")
    content |= {"rulings": clause_rulings(config, snapshot, now=now), "has_pages": True}
    pages = team_pages(config, snapshot, content, briefs, now=now)
    run = describe_run(
        config, "report", {"generated_at": generated_at}, decisions=decisions, seed=config.train.seed,
        reviews=snapshot.reviews, at=now, model_version=champion_version(config),
        intake=snapshot.intake.to_jsonable(),
    )  # fmt: skip
    files = _write_files(
        Path(out), run, ReportContent(**content, notes=tuple(notes)), briefs, pictures, pages
    )
    new = record_briefs(config, briefs, at=now) if recorded else 0
    if recorded and level is not None:
        record_discoveries(config, snapshot, level, confirmed, at=now)
    return ReportResult(files, tuple(notes), confirmed, new)


_OF_SLICES = (
    "error_rate",
    "low",
    "high",
    "q_value",
    "harm_saved",
    "harm_saved_low",
    "harm_saved_high",
)
#: Table -> the column that counts its reviews, and the figures that rest on them.
_FIGURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "findings": ("n_reviews", _OF_SLICES),
    "slices": ("n_reviews", _OF_SLICES),
    "volumes": ("n_reviews", ("n_overturned",)),
    "review_work": ("n_reviews", ("median_days", "median_minutes")),
    "targets": ("n_reviews", ("estimate", "low", "high")),
    "reliability": ("n", ("observed", "low", "high")),
    "reliability_by": ("n", ("observed", "low", "high")),
    "segments": ("n", ("value", "low", "high")),
}


def _without_small_groups(content: Mapping[str, Any], minimum: int) -> dict[str, Any]:
    """Return the tables in which figures of too few reviews are missing; the rates have none any more."""
    return {
        name: suppress_figures(content[name], figures, minimum, n)
        for name, (n, figures) in _FIGURES.items()
        if content.get(name) is not None
    }


_NOT_RECORDED = (
    "The ledger could not be extended: neither this report's discoveries, which later reports' level of "
    "false findings counts on, nor its proposals are recorded"
)


def _review_sections(
    config: Config, snapshot: Snapshot, now: datetime, progress: Progress
) -> tuple[dict[str, Any], tuple[Brief, ...], list[str]]:
    """Return all results from reviews: rates, reviewers, findings, changes; briefs; notes."""
    if not len(snapshot.reviews):
        return {}, (), []
    progress("measuring reviewers")
    content = review_parts(config, snapshot)
    content["whitelist"] = planned_whitelist(config, snapshot)
    content["remedies"] = direct_remedies(
        snapshot.decided, min_p_error=config.remediation.min_p_error
    )
    notes: list[str] = []
    estimates: RateEstimates | None = None
    briefs: tuple[Brief, ...] = ()
    try:
        sample = report_sample(config, snapshot, progress)
        if sample is not None:
            progress("estimating error rates")
            goals = target_groupings(config, sample.snapshot)
            estimates = estimate_report_rates(config, sample, goals)
            content |= rate_tables(config, estimates)
            notes += sample.notes
            content |= deviation_parts(config, content, sample.deviations)
        known = None if sample is None else sample.p_error
        content |= training_parts(config, snapshot, known)
        level = discovery_level(config, snapshot)
        found = find_error_slices(config, snapshot, level=level, p_error=known, progress=progress)
        if found.searched:
            content["discovery_level"] = level
            notes.append(
                f"The findings were tested at a false discovery rate of {level:.1%}, so that it stays "
                "within 5 % over this and all earlier reports in the ledger"
            )
        content |= finding_parts(found)
        notes += found.notes
        until = config.labels.as_of or now
        briefs, content["briefs"] = confirmed_briefs(config, snapshot, found, until=until)
        if sample is not None and estimates is not None:
            progress("measuring effects of changes, and targets")
            cards = content.get("reviewers")
            outcome, more = outcome_parts(config, sample.snapshot, estimates, found, cards=cards)
            content |= outcome
            notes += more
    except (ContradictionError, DataError, Refusal) as error:
        notes.append(f"No error rate can be estimated: {error}")
    content["proposals"] = proposal_rows(config, briefs, content.get("effects"))
    return content, briefs, notes


def _write_files(
    out: Path,
    run: Provenance,
    content: ReportContent,
    briefs: tuple[Brief, ...],
    pictures: tuple[Picture, ...],
    pages: Mapping[str, str],
) -> dict[str, Path]:
    with stage_outputs(out, run) as stage:
        write_text(stage / "report.html", render_report(content))
        (stage / "tables").mkdir()
        for name, frame in report_tables(content).items():
            schema = schema_with_old_names(name, _SCHEMAS.get(name), frame)
            both = add_old_columns(frame, name)
            write_parquet(both, stage / "tables" / f"{name}.parquet", schema)
            write_csv(both, stage / "tables" / f"{name}.csv")
        write_briefs(briefs, stage / "briefs")
        write_team_pages(pages, stage)
        if pictures:
            write_pictures(pictures, stage / "plots")
    files = {"report": out / "report.html", "tables": out / "tables", "pages": out / PAGES}
    files |= {"briefs": out / "briefs"} if briefs else {}
    return files | ({"plots": out / "plots"} if pictures else {})
