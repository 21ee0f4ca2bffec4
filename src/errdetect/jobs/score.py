"""score: every decision's P(error) and what a review of it is worth, and the queue for reviewers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.policies import read_policies
from errdetect.data.store.ledger import Run, open_ledger
from errdetect.data.writing import ParquetSink, staged, write_parquet
from errdetect.jobs.columns import Past
from errdetect.jobs.explaining import Explainer, make_explainer, reason_words
from errdetect.jobs.past_scores import latest_scores
from errdetect.jobs.queueing import choose, find_staff, value_reviews
from errdetect.jobs.scoring import Source, score_all
from errdetect.jobs.tables import Progress, load_reviews, reviewed_ids
from errdetect.model.registry import Registry
from errdetect.queue.selection import EXPLORE, RANKED, Selection
from errdetect.schemas import EXPLANATIONS, QUEUE, REJECTS, SCORES

__all__ = ["ScoreResult", "score"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_CHUNK = 200_000
_ANY_POOL = "any"
#: Why a decision has no review in this run although it is certain to have one.
_JUDGED, _QUEUED = "judged", "queued"


@dataclass(frozen=True)
class ScoreResult:
    """What scoring came to.

    Parameters
    ----------
    n_scored, n_queued, n_rejected
        Decisions scored, queued for review, and unusable.
    model_version, run_id
        Which model scored; the run's id, which depends on the model, its result and what the draw rests on.
    files
        What was written, by name.
    notes
        What the reader must know, in plain words.
    """

    n_scored: int
    n_queued: int
    n_rejected: int
    model_version: str
    run_id: str
    files: Mapping[str, Path]
    notes: tuple[str, ...]


def score(
    config: Config,
    decisions: str | Path,
    out: str | Path,
    *,
    budget: int | None = None,
    scored_at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> ScoreResult:
    """Score decisions with the champion, and queue the worst and some at random for review.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        A path, a glob, or a database's `URL::table`, scored in batches of bounded size.
    out
        Folder for scores.parquet, queue.parquet, explanations.parquet and, if any,
        rejects.parquet: all or none.
    budget
        Number of reviews; default: the config's.
    scored_at
        When, for the queue's rows; default: now.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where there is no model yet, or the input cannot be used.
    """
    reason_words(config)
    progress("loading the champion")
    bundle, version = Registry(config.path(config.registry.path), config.registry.name).load()
    policies = (
        read_policies(config.data_paths(config.data.policies)[0]) if config.data.policies else {}
    )
    returned = load_reviews(config, progress=progress)
    reviews = None if returned is None else returned.frame
    everyone = pd.Index([] if reviews is None else reviews["decision_id"].unique(), dtype="str")
    source = Source(config, str(decisions), everyone)
    progress("looking up what was known before each decision")
    past = Past.wanted_by(bundle.detector.encoding.names, source.log(), reviews)
    scored = score_all(source, past, bundle, policies, config, progress)

    judged = reviewed_ids(None if config.queue.requeue_reviewed else reviews)
    run_id = _run_id(version, scored.frame, judged, config, budget)
    before = latest_scores(config, leave_out=run_id)
    closed = _closed(scored.frame["decision_id"], judged, before)
    progress("weighing reviews")
    staff = find_staff(config, source, scored.frame, budget)
    terms, unknown = value_reviews(config, source, scored.frame, staff, policies, reviews)
    chosen, told = choose(config, terms, staff, closed == "")
    progress(f"explaining the {len(chosen.order)} queued decisions")
    now = scored_at or datetime.now(UTC)
    run: dict[str, Any] = {
        "model_version": version,
        "run_id": run_id,
        "scored_at": pd.Timestamp(now).as_unit("us"),
    }
    names = [pool.name for pool in staff.pools] if config.queue.pools else None
    scores = _scores(terms, chosen, closed, names).assign(**run)
    if before is not None:  # an earlier run's job still answers for all of its decisions
        earlier = scores["decision_id"].map(before.set_index("decision_id")["job_id"])
        scores["job_id"] = scores["job_id"].where(scores["arm"] != _QUEUED, earlier)
    explainer = make_explainer(
        config, bundle, policies, past, known=source.decided(), reviews=reviews, as_of=now
    )
    queue = _queue(source, explainer, scores, chosen).assign(**run)
    notes = [*scored.notes, *unknown, *_about_closed(closed), *told]
    if config.queue.record:
        progress("recording the run in the ledger")
        queue = _record(config, Run(run_id, version, now, _design(config, budget)), queue, scores)
    files = _write(Path(out), scores, queue, scored.rejects)
    if staff.counted and len(queue) < staff.capacity[0]:
        notes.append(
            f"the budget is {staff.capacity[0]:,.0f}, but only {len(queue):,} decisions are left to review"
        )
    return ScoreResult(
        len(scores), len(queue), len(scored.rejects), version, run_id, files, tuple(notes)
    )


def _record(config: Config, run: Run, queue: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Record the run; return the part of its queue that no other run queued in the meantime."""
    chances = ["decision_id", "inclusion_probability", "p_error", "job_id", "arm"]
    told = queue[QUEUE.names].drop(columns=["run_id", "scored_at"])
    with open_ledger(config.ledger_url()) as ledger:
        counts = ledger.record_run(run, told, scores[chances])
        if not counts.already:
            return queue
        standing = ledger.queued(queue["decision_id"].tolist())
    own = standing.loc[standing["run_id"] == run.run_id, "decision_id"]
    return queue[queue["decision_id"].isin(own)].reset_index(drop=True)


def _design(config: Config, budget: int | None) -> dict[str, Any]:
    """Return what the draw depends on beside the scores."""
    settings = config.queue.model_dump(mode="json", exclude={"record", "scores"})
    return settings | ({} if budget is None else {"budget": budget})


def _closed(
    decision_id: pd.Series, judged: pd.Index, before: pd.DataFrame | None
) -> npt.NDArray[np.object_]:
    """Say why decisions are not queued: people judged them, or an earlier run queued them."""
    closed = np.where(decision_id.isin(judged), _JUDGED, "").astype(object)
    if before is not None:
        waiting = before.loc[before["arm"].isin([RANKED, EXPLORE, _QUEUED]), "decision_id"]
        closed[decision_id.isin(waiting).to_numpy(bool) & (closed == "")] = _QUEUED
    return closed


def _about_closed(closed: npt.NDArray[np.object_]) -> list[str]:
    said = {
        _JUDGED: "were already judged by people: scored, not queued",
        _QUEUED: "are in an earlier run's queue: scored, not queued again",
    }
    counts = {why: int((closed == why).sum()) for why in said}
    return [f"{count:,} decisions {said[why]}" for why, count in counts.items() if count]


def _scores(
    terms: pd.DataFrame,
    chosen: Selection,
    closed: npt.NDArray[np.object_],
    names: list[str] | None,
) -> pd.DataFrame:
    """Every decision with its chance; whoever shares a job shares its arm and pool."""
    arm, pool = (np.full(len(terms), None, dtype=object) for _ in range(2))
    arm[chosen.order] = np.where(chosen.explored, EXPLORE, RANKED)
    if names is not None:
        pool[chosen.order] = np.array(names, dtype=object)[chosen.pool]
    elif "language" in terms:
        language = terms["language"].fillna(_ANY_POOL).to_numpy(object)
        pool[chosen.order] = language[chosen.order]
    else:
        pool[chosen.order] = _ANY_POOL
    arm, pool = arm[chosen.heads], pool[chosen.heads]
    ids = terms["decision_id"].to_numpy(object)
    return terms.assign(
        inclusion_probability=chosen.inclusion_probability,
        job_id=pd.Series(ids[chosen.heads], index=terms.index, dtype="str"),
        arm=pd.Series(np.where(closed != "", closed, arm), index=terms.index, dtype="str"),
        pool=pd.Series(pool, index=terms.index, dtype="str"),
    )


def _queue(
    source: Source, explainer: Explainer, scores: pd.DataFrame, chosen: Selection
) -> pd.DataFrame:
    """Read the queued decisions once more, explain them, and put them in order."""
    queue = scores.iloc[chosen.order].reset_index(drop=True)
    parts = []
    for batch in source.batches():
        own = batch.frame[batch.frame["decision_id"].isin(queue["decision_id"])]
        if len(own):
            parts.append(explainer.table(own).assign(decision_id=own["decision_id"]))
    if not parts:
        columns = pa.schema([*QUEUE, *(c for c in EXPLANATIONS if c.name not in QUEUE.names)])
        nothing: pd.DataFrame = columns.empty_table().to_pandas()
        return nothing
    # A job is worth what its verdict remedies for all the decisions that it covers.
    open_ = scores["arm"].isin([RANKED, EXPLORE])
    worth = scores[open_].groupby("job_id")["value"].sum()
    queue = queue.assign(
        rank=np.arange(1, len(queue) + 1),
        value=queue["decision_id"].map(worth),
        covers=chosen.covers,
    )
    return queue.merge(pd.concat(parts), on="decision_id", how="left", validate="1:1")


def _write(
    out: Path, scores: pd.DataFrame, queue: pd.DataFrame, rejects: pd.DataFrame
) -> dict[str, Path]:
    with staged(out) as stage:
        with ParquetSink(stage / "scores.parquet", SCORES) as sink:
            for start in range(0, len(scores), _CHUNK):
                sink.write(scores.iloc[start : start + _CHUNK][SCORES.names])
        write_parquet(queue[QUEUE.names], stage / "queue.parquet", QUEUE)
        told = queue[EXPLANATIONS.names]
        write_parquet(told, stage / "explanations.parquet", EXPLANATIONS)
        if len(rejects):
            write_parquet(rejects, stage / "rejects.parquet", REJECTS)
        names = sorted(path.name for path in stage.iterdir())
    return {name.removesuffix(".parquet"): out / name for name in names}


def _run_id(
    version: str, scored: pd.DataFrame, judged: pd.Index, config: Config, budget: int | None
) -> str:
    """Name the run by all that its queue depends on: scoring the same again is the same run."""
    digest = hashlib.sha256(version.encode())
    ids = scored["decision_id"].to_numpy(object)
    digest.update(pd.util.hash_array(ids, categorize=False).tobytes())
    digest.update(scored["p_error"].to_numpy(np.float64).round(9).tobytes())
    digest.update(scored["decision_id"].isin(judged).to_numpy(bool).tobytes())
    digest.update(json.dumps(_design(config, budget), sort_keys=True).encode())
    return digest.hexdigest()[:16]
