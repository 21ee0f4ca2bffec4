"""P(error) as control variate: it narrows the estimates' intervals; its source is recorded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.config import Config
from errdetect.config_schema import EstimateSettings
from errdetect.errors import DataError, Refusal, error_message
from errdetect.estimation.error_rates import RateEstimates, estimate_rates
from errdetect.estimation.queue_sample import (
    QUEUED,
    QueueDesign,
    extend_to_duplicates,
    read_queue_design,
)
from errdetect.estimation.small_groups import suppress_small_rates
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.labels.intake_account import IntakeRow, excluded_rows
from errdetect.model.bundle import ModelBundle
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.training import cross_fit
from errdetect.reviewers.deviations import Deviations
from errdetect.schemas import AUDIT, GOLDEN, RE_REVIEW, SCORES
from errdetect.snapshot import Snapshot
from errdetect.workflows.load_data import AUTO, Progress, free_threads
from errdetect.workflows.project_ledger import find_project_ledger
from errdetect.workflows.reviewer_quality import (
    deviation_notes,
    note_leaning_rates,
    reviewer_deviations,
)
from errdetect.workflows.run_description import open_registry

__all__ = [
    "EstimationSample",
    "champion_probability",
    "control_variate",
    "estimation_sample",
    "find_champion",
    "latest_scores",
    "queue_sample",
    "refuse_broken_design",
]


_COLUMNS = (
    "decision_id",
    "p_error",
    "inclusion_probability",
    "job_id",
    "arm",
    "run_id",
    "scored_at",
)


def latest_scores(
    config: Config, *, leave_out: str | None = None, arms: Collection[str] | None = None
) -> pd.DataFrame | None:
    """Read the latest scores of every scored decision.

    Parameters
    ----------
    config
        From `load_config`; `queue.scores` names files, default: the ledger.
    leave_out
        A run to leave out: scoring the same again is the same run. Entries queued
        by earlier runs still count.
    arms
        Only decisions in these arms; the ledger reads no others.

    Returns
    -------
    pandas.DataFrame or None
        decision_id (unique), p_error, inclusion_probability, job_id, arm, run_id, scored_at; None
        where nothing was scored.

    Raises
    ------
    DataError
        Where a source holds no scores, or scores without their sampling design.
    """
    rows = (
        _scores_in_ledger(config, arms)
        if config.queue.scores is None
        else _scores_in_files(config, leave_out)
    )
    if rows is None:
        return None
    if leave_out is not None:
        rows = rows[(rows["run_id"] != leave_out) | (rows["arm"] == QUEUED)]
    if rows.empty:
        return None
    rows = rows.sort_values(["scored_at", "run_id"], kind="stable")
    rows = rows.drop_duplicates("decision_id", keep="last")
    rows = rows if arms is None else rows[rows["arm"].isin(arms)]
    return rows.reset_index(drop=True)


def queue_sample(config: Config, snapshot: Snapshot) -> tuple[Snapshot, pd.DataFrame | None]:
    """Return the queue's scores where its reviews can be used as a sample.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Known decisions and reviews.

    Returns
    -------
    (snapshot, scores)
        With the queue's verdicts repeated for duplicate content, and the latest
        scores; None where nothing of a queue was reviewed.
    """
    known = (snapshot.known_reviews["source"] == RE_REVIEW).any()
    scores = latest_scores(config) if config.queue.scores is not None or known else None
    if scores is None:
        return snapshot, None
    return snapshot.with_reviews(extend_to_duplicates(snapshot.reviews, scores)), scores


def _scores_in_ledger(config: Config, arms: Collection[str] | None) -> pd.DataFrame | None:
    ledger = find_project_ledger(config)
    if ledger is None:
        return None
    with ledger:
        return ledger.scored(arms=arms)


def _scores_in_files(config: Config, leave_out: str | None) -> pd.DataFrame | None:
    named = config.queue.scores
    places = [named] if isinstance(named, str) else named or []
    files = [file for place in places for file in _list_files(config.path(place))]
    if not files and leave_out is None:
        do = "Run `errdetect score` first, or set queue.scores to null."
        raise DataError(
            error_message("queue.scores", "name scores.parquet files", "none there", do)
        )
    parts = [_read_scores(file) for file in files]
    return pd.concat(parts, ignore_index=True) if parts else None


def _list_files(place: Path) -> list[Path]:
    """Return the files that a path or glob names; of a folder of parts, each part."""
    found = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
    parts = (sorted(one.glob("*.parquet")) if one.is_dir() else [one] for one in found)
    return [file for each in parts for file in each]


def _read_scores(file: Path) -> pd.DataFrame:
    missing = sorted(set(_COLUMNS) - set(pq.read_schema(file).names))
    if missing:
        do = "Score again with this version: the older files do not record what was drawn."
        what = f"'{file}'"
        raise DataError(
            error_message(what, f"have the columns {', '.join(_COLUMNS)}", f"no {missing[0]}", do)
        )
    schema = pa.schema([SCORES.field(name) for name in _COLUMNS])
    frame: pd.DataFrame = pq.read_table(file, columns=list(_COLUMNS)).cast(schema).to_pandas()
    return frame


Floats = npt.NDArray[np.float64]
ColumnValues = pd.Series | npt.NDArray[np.str_]

_CHUNK = 50_000
#: Decisions above which the champion, which reads texts, takes minutes and a small model is used.
_MANY = 200_000
#: Share of the audit and golden reviews that may be set aside.
_MOST_ASIDE = 1 / 3
#: Decisions above which `auto` fits no P(error); such logs have large enough audits.
_TOO_MANY = 300_000


@dataclass(frozen=True)
class EstimationSample:
    """Input of the error-rate estimates, so that every command prints equal figures.

    Parameters
    ----------
    snapshot
        Automated decisions and their reviews, with the queue's verdicts repeated for the content
        of duplicate content.
    p_error
        P(error) by decision_id as control variate; None for none.
    queue
        The review queue as a further sample; None where it is not used.
    settings
        The config's section `estimate`.
    notes
        Where P(error) comes from, which part of the queue was used, and whose verdicts were set
        aside.
    deviations
        Whose verdicts depart from the others', with all reviews.
    set_aside
        The reviews that were set aside, by source.
    minimum
        Fewest reviews that a published figure may rest on.
    """

    snapshot: Snapshot
    p_error: "pd.Series[float] | None"
    queue: QueueDesign | None
    settings: EstimateSettings
    notes: tuple[str, ...]
    deviations: Deviations = field(default_factory=Deviations)
    set_aside: tuple[IntakeRow, ...] = ()
    minimum: int = 1

    def rates(self, *by: Sequence[str]) -> RateEstimates:
        """Estimate the error rates overall and by groupings, each a list of columns."""
        found = estimate_rates(
            self.snapshot, by, settings=self.settings, p_error=self.p_error, queue=self.queue
        )
        noted = note_leaning_rates(self.snapshot, self.deviations, found)
        return suppress_small_rates(noted, self.minimum)

    def of(self, decisions: pd.DataFrame) -> Self:
        """Return the sample of a subset of the decisions."""
        return replace(self, snapshot=self.snapshot.of(decisions))

    def with_columns(self, columns: Mapping[str, ColumnValues]) -> Self:
        """Return the same sample with further columns of the decisions, to group by."""
        decisions = self.snapshot.decisions.assign(**columns)
        return replace(self, snapshot=self.snapshot.with_columns(decisions))


def control_variate(
    config: Config, snapshot: Snapshot, *, progress: Progress = lambda _: None
) -> tuple[Floats | None, str]:
    """Return cross-fitted P(error) for every decision.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        The sample of the estimates.
    progress
        Callback for progress messages.

    Returns
    -------
    (p_error, note)
        Shape (n_decisions,) or None, and a note on its source; the note is empty
        without one.
    """
    decisions = snapshot.decisions
    wanted = config.estimate.control
    if wanted == "none":
        return None, ""
    if wanted == "auto" and len(decisions) > _TOO_MANY:
        note = (
            "with so many decisions no P(error) is fitted; estimate.control=cross_fitted fits it "
            "and narrows the intervals"
        )
        return None, note
    audit = snapshot.audit_sample
    champion = find_champion(config) if wanted == "auto" and len(decisions) <= _MANY else None
    if champion is not None:
        bundle, version = champion
        drawn = decisions["decision_id"].iloc[audit.position]
        if not bundle.in_sample(drawn).any():
            progress("scoring decisions")
            # The sample's own reviews are left out of the history features, too.
            known = snapshot.known_reviews
            other = known[~known["decision_id"].isin(drawn).to_numpy(bool)]
            p = champion_probability(config, bundle, decisions, other)
            return (
                p,
                f"P(error) of model {version}, which has not seen these reviews, narrows the intervals",
            )
    progress("cross-fitting P(error)")
    fitted = cross_fit(
        decisions,
        audit.position,
        audit.answer,
        audit.weight,
        FitOptions(config.train.seed, config.train.threads or free_threads(len(decisions))),
        leave_out=tuple(config.features.leave_out),
    )
    if fitted is None:
        return None, ""
    return (
        fitted.p_error,
        "P(error) of a small model, cross-fitted so that it never saw the review it is compared "
        "with, narrows the intervals",
    )


def estimation_sample(
    config: Config,
    snapshot: Snapshot,
    scores: pd.DataFrame | None,
    *,
    progress: Progress = lambda _: None,
) -> EstimationSample:
    """Gather the input of the error-rate estimates.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot, scores
        The decisions of the period, from `queue_sample`.
    progress
        Callback for progress messages.

    Raises
    ------
    Refusal, DataError
        Where the sample's design cannot be trusted.
    """
    notes = []
    machine = snapshot.automated
    people = len(snapshot.decisions) - len(machine.decisions)
    if people:
        notes.append(
            f"{people:,} decisions made by people are left out: they are not the machine's"
        )
    queue, told = (None, "") if scores is None else read_queue_design(machine, scores)
    p_error: pd.Series | None
    if queue is not None and scores is not None and not queue.audit_part:
        # The run that drew the sample scored before any of its reviews was known.
        said = scores.set_index("decision_id")["p_error"].reindex(machine.decisions["decision_id"])
        p_error = None if config.estimate.control == "none" else said.fillna(said.mean())
        note = "" if p_error is None else "P(error) of the queue's own scores narrows the intervals"
    else:
        fitted, note = control_variate(config, machine, progress=progress)
        ids = machine.decisions["decision_id"]
        p_error = None if fitted is None else pd.Series(fitted, ids)
    notes += [part for part in (told, note) if part]
    few = config.report.min_group
    sample = EstimationSample(machine, p_error, queue, config.estimate, tuple(notes), minimum=few)
    return _without_useless_verdicts(config, sample, progress)


def _without_useless_verdicts(
    config: Config, sample: EstimationSample, progress: Progress
) -> EstimationSample:
    """Name whose verdicts depart from the others', and set aside those no better than chance.

    Decisions are given to reviewers without regard to their content, so the draws that only they
    reviewed are missing at random.
    """
    machine, p = sample.snapshot, sample.p_error
    if p is not None:
        p = p.reindex(machine.decisions["decision_id"])
    progress("comparing reviewers")
    values = None if p is None else np.asarray(p.to_numpy(), dtype=np.float64)
    found = reviewer_deviations(machine, values)
    notes = (*sample.notes, *deviation_notes(config, found))
    measured = machine.reviews["source"].isin([AUDIT, GOLDEN]).to_numpy(dtype=bool)
    aside = found.covers(machine.reviews, useless=True) & measured
    many = aside.sum() > _MOST_ASIDE * measured.sum()  # then it is unclear who goes wrong
    if AUTO not in config.labels.exclude_reviewers or not aside.any() or many:
        return replace(sample, notes=notes, deviations=found)
    kept = machine.with_reviews(machine.reviews[~aside].reset_index(drop=True))
    if sample.queue is None:
        fitted, _ = control_variate(config, kept, progress=progress)
        p = None if fitted is None else pd.Series(fitted, kept.decisions["decision_id"])
    rates = sample.rates().overall.set_index("measure")["estimate"]
    with_them = (
        "" if pd.isna(rates["error_rate"]) else f"; with them it would be {rates['error_rate']:.1%}"
    )
    count = int(aside.sum())
    note = (
        f"the error rate leaves out {count:,} audit and golden reviews of those who are surely no better "
        f"than chance{with_them} (labels.exclude_reviewers: auto)"
    )
    return replace(
        sample, snapshot=kept, p_error=p, notes=(*notes, note), deviations=found,
        set_aside=tuple(excluded_rows(machine.reviews[aside])),
    )  # fmt: skip


def refuse_broken_design(snapshot: Snapshot) -> None:
    """Refuse where reviews could not be used because their inclusion probability is invalid.

    Without them, the remaining sample no longer follows the design.

    Raises
    ------
    Refusal
        Naming the first of them.
    """
    reading = snapshot.reading
    if reading is None or reading.reviews is None:
        return
    rejects = reading.reviews.rejects
    reasons = rejects["reason"].astype("str")
    broken = rejects[reasons.str.contains("inclusion_probability must").to_numpy(dtype=bool)]
    if len(broken):
        got = f"{len(broken)} others (first: {broken['reason'].iloc[0]}, in review {broken['id'].iloc[0]})"
        do = "Log each decision's inclusion probability, or leave these reviews' source out."
        raise Refusal(
            error_message("inclusion_probability of every review", "lie in (0, 1]", got, do)
        )


def find_champion(config: Config) -> tuple[ModelBundle, str] | None:
    """Return the registered model and its version, or None where there is none yet.

    Raises
    ------
    ModelError
        Where its files are damaged.
    """
    return open_registry(config).find()


def champion_probability(
    config: Config, bundle: ModelBundle, decisions: pd.DataFrame, reviews: pd.DataFrame | None
) -> Floats:
    """Score decisions with a model, chunk by chunk.

    Parameters
    ----------
    config
        From `load_config`.
    bundle
        The model.
    decisions
        Shape (n, any).
    reviews
        Reviews usable as history of later decisions; None for none.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    past = PointInTimeFeatures.for_model_columns(
        bundle.detector.encoding.names, [decisions], reviews
    )
    threads = config.train.threads or free_threads(len(decisions))
    parts = [
        bundle.probability(bundle.detector.features(past.add(part)), part, threads)
        for i in range(0, len(decisions), _CHUNK)
        for part in [decisions.iloc[i : i + _CHUNK]]
    ]
    return np.concatenate(parts) if parts else np.empty(0)
