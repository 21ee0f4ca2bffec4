"""score: every decision's P(error) and review value, and the queue for reviewers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_parquet
from errdetect.data.file_readers import are_empty
from errdetect.data.id_lookup import release_memory
from errdetect.data.output_folders import hold_temporary_folder
from errdetect.data.policy_catalogue import read_policies
from errdetect.data.provenance import Provenance
from errdetect.data.renamed_columns import add_old_columns, schema_with_old_names
from errdetect.data.sources import find_files
from errdetect.features.point_in_time_features import PastColumns
from errdetect.labels.intake_account import Intake
from errdetect.model.bundle import ModelBundle
from errdetect.schemas import (
    EXPLANATIONS,
    INTAKE,
    LEVELS,
    QUEUE,
    REJECTS,
    SCORES,
    SHADOW_SCORES,
)
from errdetect.snapshot import ReadSummary, Snapshot, empty_reviews
from errdetect.spark.staging import staged_source
from errdetect.workflows.current_levels import CurrentLevels, follow_levels
from errdetect.workflows.decision_explainer import Explainer, build_explainer, load_reason_templates
from errdetect.workflows.load_data import Progress, check_losses, label_rules, load_reviews
from errdetect.workflows.log_state import open_log_state
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.queueing import record_draw
from errdetect.workflows.run_description import ResultTables, describe_run, open_registry
from errdetect.workflows.score_batches import (
    ScoredDecisions,
    ScoringSource,
    score_batches,
    scoring_threads,
)
from errdetect.workflows.score_draw import DrawInputs, RunDraw, write_scores
from errdetect.workflows.served_state import write_served_state
from errdetect.workflows.shadow_scores import resolve_version, shadow_scores
from errdetect.workflows.spark_queue import ScoredOnSpark
from errdetect.workflows.spark_scoring import (
    SparkSource,
    check_spark_run,
    score_on_spark,
    translated_failures,
)

__all__ = ["Engine", "ScoreResult", "score"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Where batches are scored.
Engine = Literal["local", "spark"]
_EXTRA = ("rejects", "levels", "shadow_scores")
_EXPLAINED = 2_000  # explained together


@dataclass(frozen=True)
class ScoreResult(ResultTables):
    """Result of a scoring run.

    Parameters
    ----------
    n_scored, n_queued, n_rejected
        Decisions scored, queued for review, and unusable.
    model_version, run_id
        The model version; the run's id, which depends on the model, its result and the draw's inputs.
    files
        Files written, by name.
    notes
        Notes for the reader.
    intake
        Rows read, used and left out.
    """

    n_scored: int
    n_queued: int
    n_rejected: int
    model_version: str
    run_id: str
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    intake: Intake

    @property
    def scores(self) -> pd.DataFrame:
        """Every scored decision; columns of `schemas.SCORES`."""
        return self.table("scores")

    @property
    def queue(self) -> pd.DataFrame:
        """The review queue by rank; columns of `schemas.QUEUE`."""
        return self.table("queue")

    @property
    def explanations(self) -> pd.DataFrame:
        """What goes with the queue's reasons; columns of `schemas.EXPLANATIONS`."""
        return self.table("explanations")


def score(
    config: Config,
    decisions: str | Path,
    out: str | Path,
    *,
    budget: int | None = None,
    also: str | None = None,
    scored_at: datetime | None = None,
    engine: Engine = "local",
    progress: Progress = lambda _: None,
) -> ScoreResult:
    """Score decisions with the champion, and queue the worst and some at random for review.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        A path, a glob, or a database's `URL::table`, scored in batches of bounded size; for Spark also
        a URL that it reads (`s3a://`), or a Delta table.
    out
        Folder for scores.parquet, queue.parquet, explanations.parquet, intake.parquet and, if any,
        rejects.parquet and levels.parquet (how far the level has moved since the training): all or
        none.
    budget
        Number of reviews; default: the config's.
    also
        A second version, or `challenger`, whose scores are written to shadow_scores.parquet; the
        queue does not depend on them.
    scored_at
        Timestamp of the queue's rows; default: now.
    engine
        `local`: this process; `spark`: Spark's workers, with the same result.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where there is no model yet, or the input cannot be used.
    """
    told = {"decisions": str(decisions), "budget": budget, "also": also, "scored_at": scored_at}
    if engine == "spark":
        check_spark_run(also)
        with staged_source(str(decisions)) as place:
            return _score_in(config, {**told, "decisions": place}, Path(out), None, progress)
    with hold_temporary_folder() as folder:
        return _score_in(config, told, Path(out), folder, progress)


def _score_in(
    config: Config, told: Mapping[str, Any], out: Path, folder: Path | None, progress: Progress
) -> ScoreResult:
    """Score with a folder for what is read; without one, on Spark."""
    load_reason_templates(config)
    refuse_own_inputs(config, folder=out, sources=(told["decisions"],))
    progress("loading the champion")
    registry = open_registry(config)
    bundle, version = registry.load()
    also = None if told["also"] is None else resolve_version(config, told["also"])
    if are_empty(find_files(told["decisions"], mapping=config.data.mapping("decisions"))):
        return _score_nothing(config, told, out, version)
    now = told["scored_at"] or datetime.now(UTC)
    source, past, snapshot = _read_inputs(config, {**told, "at": now}, folder, bundle, progress)
    budget: int | None = told["budget"]
    current = CurrentLevels(bundle)
    if config.score.follow_levels:
        current = follow_levels(bundle, past, snapshot, source.every())
    bundle = current.bundle
    inputs = DrawInputs(config, source, snapshot, version, now, budget)
    scored: ScoredDecisions | ScoredOnSpark
    drawn: RunDraw
    if isinstance(source, SparkSource):
        scored = score_on_spark(source, bundle, snapshot.policies, config, progress)
        progress("weighing reviews")
        with translated_failures():
            drawn = inputs.draw(scored)
    else:
        scored = score_batches(source, past, bundle, snapshot.policies, config, progress)
        release_memory()
        progress("weighing reviews")
        drawn = inputs.draw(scored.rows)
    run, staff = drawn.run, drawn.staff
    progress(f"explaining the {len(drawn.queue):,} queued decisions")
    explainer = build_explainer(
        config, bundle, past, known=source.decided(), snapshot=snapshot, as_of=now
    )
    queue = _explain_queue(source, explainer, drawn.queue, scoring_threads(config))
    if config.queue.record and not drawn.recorded:
        progress("recording the run in the ledger")
        queue = record_draw(config, run, queue, drawn.ledger_rows(), drawn.n)
    intake = snapshot.intake
    origin = describe_run(
        config, "score", {**told, "also": also}, decisions=drawn.period, reviews=snapshot.reviews,
        model_version=version, seed=config.queue.seed, at=now, intake=intake.to_jsonable(),
    )  # fmt: skip
    shadow = None
    if also is not None and isinstance(source, ScoringSource):
        shadow = shadow_scores(config, source, snapshot, also, progress)
    extra = {"rejects": scored.rejects, "levels": current.levels, "shadow_scores": shadow}
    files = _write_files(out, origin, drawn.write, queue, intake, extra)
    served = []
    digest = registry.digest(version)
    if isinstance(source, ScoringSource) and digest is not None:
        served = write_served_state(config, source, current, snapshot, (version, digest))
    elif config.state.keep:
        served = [
            "--engine spark keeps no state for serving: a served model goes on with that of the latest run on one "
            "machine until state.max_age_days, then answers nothing"
        ]
    notes = [
        *served,
        *scored.notes,
        *current.notes,
        *source.notes(),
        *intake.lines(),
        *drawn.notes,
    ]
    if staff.counted and not drawn.recorded and len(queue) < staff.capacity[0]:
        notes.append(
            f"the budget is {staff.capacity[0]:,.0f}, but only {len(queue):,} decisions are left to review"
        )
    return ScoreResult(
        drawn.n,
        len(queue),
        len(scored.rejects),
        version,
        run.run_id,
        files,
        tuple(notes),
        intake,
    )


def _score_nothing(config: Config, told: Mapping[str, Any], out: Path, version: str) -> ScoreResult:
    """Write empty tables for an empty batch; nothing is recorded in the ledger."""
    now = told["scored_at"] or datetime.now(UTC)
    origin = describe_run(
        config, "score", told, decisions=None, reviews=None, model_version=version,
        seed=config.queue.seed, at=now, intake=[],
    )  # fmt: skip
    scores, queue = (schema.empty_table().to_pandas() for schema in (SCORES, QUEUE))
    for name in EXPLANATIONS.names:
        if name not in queue:
            queue[name] = None
    files = _write_files(
        out,
        origin,
        lambda stage: write_scores(stage, scores),
        queue,
        Intake(),
        dict.fromkeys(_EXTRA),
    )
    note = "the batch holds no decision: empty tables are written, and nothing is recorded"
    return ScoreResult(0, 0, 0, version, "", files, (note,), Intake())


def _read_inputs(
    config: Config,
    told: Mapping[str, Any],
    folder: Path | None,
    bundle: ModelBundle,
    progress: Progress,
) -> tuple[ScoringSource | SparkSource, PastColumns, Snapshot]:
    """Read the log, the batch and the reviews: what was known before each decision."""
    policies = (
        read_policies(config.data_paths(config.data.policies)[0]) if config.data.policies else {}
    )
    read = load_reviews(config, progress=progress)
    reviews = empty_reviews() if read is None else read.frame
    ids = pd.Index(reviews["decision_id"].unique())
    encoding, decisions = bundle.detector.encoding, str(told["decisions"])
    source: ScoringSource | SparkSource
    if folder is None:
        source = SparkSource(config, decisions, ids, encoding)
    else:
        state = open_log_state(config, encoding)
        source = ScoringSource(config, decisions, ids, folder, encoding, state)
    progress("looking up what was known before each decision")
    past = source.index(encoding.names, reviews)
    source.walk()
    release_memory()
    reviewed = source.reviewed()
    snapshot = Snapshot(
        reviewed[["decision_id", "decided_at", "policy_id", "enforced"]],
        reviews,
        policies,
        config.labels.as_of,
        label_rules(config),
        ReadSummary.of(source.rejections, read),
    )
    check_losses(config, snapshot)
    if isinstance(source, SparkSource):
        source.look_up(bundle, snapshot, reviewed, told["at"])
    return source, past, snapshot


def _explain_queue(
    source: ScoringSource | SparkSource, explainer: Explainer, queue: pd.DataFrame, threads: int
) -> pd.DataFrame:
    """Read the queued decisions once more, and explain why each may be wrong."""
    parts: list[pd.DataFrame] = []
    waiting: list[pd.DataFrame] = []
    for frame in (*source.frames_of(pd.Index(queue["decision_id"])), None):
        if frame is not None:
            waiting.append(frame)
        if waiting and (frame is None or sum(map(len, waiting)) >= _EXPLAINED):
            own = pd.concat(waiting, ignore_index=True)
            waiting = []
            if len(own):
                parts.append(explainer.table(own, threads).assign(decision_id=own["decision_id"]))
    if not parts:
        columns = pa.schema([*QUEUE, *(c for c in EXPLANATIONS if c.name not in QUEUE.names)])
        nothing: pd.DataFrame = columns.empty_table().to_pandas()
        return nothing
    return queue.merge(pd.concat(parts), on="decision_id", how="left", validate="1:1")


def _write_files(
    out: Path,
    origin: Provenance,
    write: Callable[[Path], None],
    queue: pd.DataFrame,
    intake: Intake,
    extra: Mapping[str, pd.DataFrame | None],
) -> dict[str, Path]:
    """Write all tables; the extra ones where they have rows."""
    with stage_outputs(out, origin) as stage:
        write(stage)
        for name, schema in (("queue", QUEUE), ("explanations", EXPLANATIONS)):
            write_parquet(
                add_old_columns(queue[schema.names], name),
                stage / f"{name}.parquet",
                schema_with_old_names(name, schema),
            )
        write_parquet(intake.frame(), stage / "intake.parquet", INTAKE)
        schemas = {"rejects": REJECTS, "levels": LEVELS, "shadow_scores": SHADOW_SCORES}
        for name, schema in schemas.items():
            rows = extra[name]
            if rows is not None and len(rows):
                write_parquet(rows, stage / f"{name}.parquet", schema)
        names = sorted(path.name for path in stage.iterdir())
    return {name.removesuffix(".parquet"): out / name for name in names}
