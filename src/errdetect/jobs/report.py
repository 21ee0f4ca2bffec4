"""report: the policy report, and each of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.writing import staged, write_parquet, write_text
from errdetect.errors import DataError, ModelError, Refusal
from errdetect.estimate.audit import locate
from errdetect.estimate.queue_sample import covering_reviews
from errdetect.estimate.rates import estimate_rates
from errdetect.explain.drivers import drivers
from errdetect.explain.reasons import group_contributions, reasons
from errdetect.explain.words import load_words
from errdetect.jobs.columns import Past
from errdetect.jobs.control import estimation_terms
from errdetect.jobs.dsa import automated_only
from errdetect.jobs.estimate import refuse_broken_design
from errdetect.jobs.labels import known_reviews, label_decisions, measure_reviewers
from errdetect.jobs.past_scores import latest_scores
from errdetect.jobs.reviewers import check_reviewers, reviewer_quality
from errdetect.jobs.tables import Progress, Tables, free_threads, load_tables, reviewed_ids
from errdetect.model.bundle import Bundle
from errdetect.model.evaluation import MODEL
from errdetect.model.registry import Registry
from errdetect.policy.report import ReportContent, render_report, report_tables
from errdetect.queue.selection import RANKED, budget_count
from errdetect.queue.value import error_kinds, expected_harm
from errdetect.schemas import AUDIT

__all__ = ["ReportResult", "report"]

Floats = npt.NDArray[np.float64]

_CHUNK = 50_000
_MONTHS_FROM = 84  # days from which a trend goes by months instead of weeks
_SHOWN_TEXT = 400


@dataclass(frozen=True)
class ReportResult:
    """The files written, and what the reader must know."""

    files: Mapping[str, Path]
    notes: tuple[str, ...]


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
        Folder for report.html and tables/: all or none.
    generated_at
        The report's date; default: now.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used. Without a model or reviews the report says what is missing.
    """
    check_reviewers(config)
    tables = load_tables(config, progress=progress)
    decisions = tables.decisions.frame
    notes = list(tables.notes)
    content: dict[str, Any] = {
        "title": config.report.title or "Policy report",
        "generated_at": generated_at or datetime.now(UTC),
        "data_name": Path(config.data_paths(config.data.decisions)[0]).parent.name,
        "period": (decisions["decided_at"].min(), decisions["decided_at"].max()),
        "n_decisions": len(decisions),
        "policies": tables.policies,
    }
    if tables.reviews is not None:
        progress("measuring reviewers")
        content |= _reviewed(config, tables)
        try:
            found, said = _estimates(config, tables, progress)
            content |= found
            notes += said
        except (DataError, Refusal) as error:
            notes.append(f"No error rate can be said: {error}")
    try:
        bundle, version = Registry(config.path(config.registry.path), config.registry.name).load()
    except ModelError as error:
        notes.append(str(error))
    else:
        progress("scoring decisions that nobody reviewed")
        content |= _model_parts(config, tables, bundle, version)
    rendered = ReportContent(**content, notes=tuple(notes))
    progress("writing the report")
    with staged(out) as stage:
        write_text(stage / "report.html", render_report(rendered))
        (stage / "tables").mkdir()
        for name, frame in report_tables(rendered).items():
            write_parquet(frame, stage / "tables" / f"{name}.parquet")
    files = {"report": Path(out) / "report.html", "tables": Path(out) / "tables"}
    return ReportResult(files, tuple(notes))


def _reviewed(config: Config, tables: Tables) -> dict[str, Any]:
    """Return how many reviews there are, what they settled, and what is known of the reviewers."""
    assert tables.reviews is not None
    decisions, reviews = tables.decisions.frame, tables.reviews.frame
    model = measure_reviewers(config, decisions, reviews)
    labels = label_decisions(config, decisions, reviews, model=model)
    quality = reviewer_quality(config, decisions, reviews, model)
    return {
        "n_reviews": reviews["source"].value_counts().to_dict(),
        "label_states": labels["state"].value_counts().to_dict(),
        "reviewers": quality.cards,
        "agreement": quality.agreement,
        "inspection": quality.inspection,
        "reviewer_notes": quality.notes,
    }


def _estimates(
    config: Config, tables: Tables, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Return what the audit says of error rates, as `estimate` says it, and how."""
    assert tables.reviews is not None
    refuse_broken_design(tables.reviews.rejects)
    everything = tables.decisions.frame
    decisions, people = automated_only(everything)
    reviews, scores = known_reviews(config, tables.reviews.frame), latest_scores(config)
    if scores is not None:
        reviews = covering_reviews(reviews, scores)
    reviews = reviews[locate(everything, reviews["decision_id"]) >= 0]
    if scores is None and not (reviews["source"] == AUDIT).any():
        return {}, []
    how, control = estimation_terms(config, decisions, reviews, scores=scores, progress=progress)
    progress("estimating error rates")
    estimates = {"whole": estimate_rates(decisions, reviews, **how)}
    for name in config.report.by:
        if name in decisions and decisions[name].nunique() > 0:
            frame = estimate_rates(decisions, reviews, by=[name], **how)
            estimates[name] = frame[frame[name].notna()]
    days = (decisions["decided_at"].max() - decisions["decided_at"].min()).days
    period = (
        decisions["decided_at"]
        .dt.tz_localize(None)
        .dt.to_period("M" if days >= _MONTHS_FROM else "W")
    )
    dated = decisions.assign(period_start=period.dt.start_time.dt.strftime("%Y-%m-%d"))
    trend = estimate_rates(dated, reviews, by=["period_start"], **how)
    found = {"estimates": estimates, "trend": trend[trend["period_start"].notna()]}
    return found, [note for note in (people, control) if note]


def _model_parts(config: Config, tables: Tables, bundle: Bundle, version: str) -> dict[str, Any]:
    """Return what the champion says of decisions that nobody reviewed: head of the queue, drivers."""
    decisions = tables.decisions.frame
    judged = reviewed_ids(tables.reviews.frame if tables.reviews else None)
    ids = decisions["decision_id"]
    unseen = ~ids.isin(judged).to_numpy(bool) & ~bundle.in_sample(ids)
    about = bundle.about
    out: dict[str, Any] = {
        "model": {
            "version": version,
            **{k: about[k] for k in ("trained_at", "labels", "errors") if k in about},
        },
        "evaluation": _evaluation(about),
        "evaluated_on": _evaluated_on(about),
        **{name: _rows(about, name) for name in ("reliability", "reliability_by")},
        "segments": _segments(about),
    }
    open_ = decisions[unseen].reset_index(drop=True)
    if open_.empty:
        return out
    threads = config.train.threads or free_threads(len(open_))
    known = tables.reviews.frame if tables.reviews else None
    past = Past.wanted_by(bundle.detector.encoding.names, [decisions], known)
    parts = (past.add(open_.iloc[i : i + _CHUNK]) for i in range(0, len(open_), _CHUNK))
    p = np.concatenate(
        [bundle.probability(bundle.detector.features(part), part, threads) for part in parts]
    )
    label = bundle.wrong_labels(open_, p)
    wrong_label = label["p_wrong_label"].to_numpy(np.float64)
    harm = expected_harm(open_, p, tables.policies, config.queue.exposure, wrong_label)
    suggested = label["suggested_policy_id"]
    sample = _sample(
        open_["policy_id"], config.report.explained, np.random.default_rng(config.queue.seed)
    )
    grouped, _, _ = _explained(past.add(open_.iloc[sample]), bundle, threads)
    head = np.argsort(-harm, kind="stable")[: config.report.queue_rows]
    return out | {
        "drivers": drivers(open_.iloc[sample], grouped, p[sample], load_words()),
        "n_queued": budget_count(config.queue.budget, len(open_)),
        "queue_head": _head(
            past.add(open_.iloc[head]), bundle, p[head], harm[head], suggested.iloc[head]
        ),
    }


def _explained(
    decisions: pd.DataFrame, bundle: Bundle, threads: int = 1
) -> tuple[pd.DataFrame, Floats, Floats]:
    X = bundle.detector.features(decisions)
    parts = bundle.detector.contributions(X, threads=threads)
    return group_contributions(parts, bundle.detector.encoding.names), X, parts


def _head(
    decisions: pd.DataFrame, bundle: Bundle, p: Floats, harm: Floats, suggested: "pd.Series[Any]"
) -> pd.DataFrame:
    _, X, parts = _explained(decisions, bundle)
    shown = [
        c
        for c in ("decision_id", "policy_id", "action", "market", "language", "text")
        if c in decisions
    ]
    head = decisions[shown].reset_index(drop=True)
    if "text" in head:
        head["text"] = head["text"].str.slice(0, _SHOWN_TEXT)
    return head.assign(
        rank=np.arange(1, len(head) + 1),
        p_error=p,
        error_kind=error_kinds(decisions["enforced"], suggested).to_numpy(),
        suggested_policy_id=suggested.to_numpy(),
        expected_harm=harm,
        arm=RANKED,
        reasons=pd.Series(
            reasons(decisions, X, parts, bundle.detector.encoding.names, load_words())
        ),
    )


def _sample(policy: pd.Series, limit: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw at most so many decisions of each policy, in the input's order."""
    order = rng.permutation(len(policy))
    nth = policy.iloc[order].groupby(policy.iloc[order].to_numpy()).cumcount().to_numpy()
    return np.sort(order[nth < limit])


def _evaluated_on(about: Mapping[str, Any]) -> str:
    """Say on which decisions the ranking was measured, as the training said it."""
    latest = (
        f"The {about['counts']['test_decisions']:,} latest decisions that people had judged by then"
    )
    said = [note for note in about.get("notes", ()) if "measured on" in note or "held-out" in note]
    return f"{latest}: {said[0]}." if said else f"{latest}."


def _rows(about: Mapping[str, Any], name: str) -> pd.DataFrame | None:
    """Return a table that training kept; None where it had too little to fill it."""
    return pd.DataFrame(about[name]) if about.get(name) else None


def _evaluation(about: Mapping[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(about["evaluation"]).rename(columns={"measure": "metric"})
    return frame.assign(
        method=frame["method"].replace({MODEL: "model", "segment rate": "segment_rate"})
    )


def _segments(about: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return how the ranking did by group; models of earlier versions do not know."""
    return pd.DataFrame(about["segments"]) if about.get("segments") else None
