"""score: every decision's P(error) and expected harm, and the queue for human reviewers."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.policies import Policy, read_policies
from errdetect.data.tables import TableRead, iter_decisions
from errdetect.data.writing import ParquetSink, staged, write_parquet
from errdetect.explain.reasons import reasons
from errdetect.explain.words import load_words
from errdetect.jobs.columns import Past
from errdetect.jobs.tables import Progress, free_threads, load_reviews, reviewed_ids
from errdetect.model.bundle import Bundle
from errdetect.model.registry import Registry
from errdetect.queue.selection import EXPLORE, RANKED, Selection, budget_count, select
from errdetect.queue.value import error_kinds, expected_harm
from errdetect.schemas import QUEUE, REJECTS, SCORES

__all__ = ["ScoreResult", "score"]

Floats = npt.NDArray[np.float64]

_CHUNK = 200_000
_MANY = 1_000_000  # batches are predicted as part of something large
_EXPLAINED = 2_000  # rows explained at a time
_POOL_COLUMN, _ANY_POOL = "language", "any"


@dataclass(frozen=True)
class ScoreResult:
    """What scoring came to.

    Parameters
    ----------
    n_scored, n_queued, n_rejected
        Decisions scored, queued for review, and unusable.
    model_version, run_id
        Which model scored; the run's id, which depends on nothing but the model and its result.
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


@dataclass(frozen=True)
class _Scores:
    """All decisions' scores, in the input's order."""

    decision_id: npt.NDArray[np.object_]
    p_error: Floats
    harm: Floats
    open_: npt.NDArray[np.bool_]
    suggested: npt.NDArray[np.object_]


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
        Folder for scores.parquet, queue.parquet and, if any, rejects.parquet: all or none.
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
    progress("loading the champion")
    bundle, version = Registry(config.path(config.registry.path), config.registry.name).load()
    policies = (
        read_policies(config.data_paths(config.data.policies)[0]) if config.data.policies else {}
    )
    reviews = load_reviews(config, progress=progress)
    judged = reviewed_ids(
        None if reviews is None or config.queue.requeue_reviewed else reviews.frame
    )
    source = _Source(config, str(decisions))
    progress("looking up what was known before each decision")
    known = None if reviews is None else reviews.frame
    past = Past.wanted_by(bundle.detector.encoding.names, source.log(), known)

    scores, rejects, notes = _score_all(source, past, bundle, policies, judged, config, progress)
    limit = budget_count(budget if budget is not None else config.queue.budget, len(scores.p_error))
    chosen = select(
        scores.harm,
        scores.open_,
        budget=limit,
        explore_share=config.queue.explore_share,
        rng=np.random.default_rng(config.queue.seed),
    )
    run_id = _run_id(version, scores)
    progress(f"explaining the {len(chosen.ranked) + len(chosen.explored)} queued decisions")
    queue = _queue(source, past, bundle, scores, chosen).assign(
        model_version=version,
        run_id=run_id,
        scored_at=pd.Timestamp(scored_at or datetime.now(UTC)).as_unit("us"),
    )
    files = _write(Path(out), scores, chosen, queue, rejects, version)
    closed = int((~scores.open_).sum())
    if closed:
        notes.append(f"{closed:,} decisions were already judged by people: scored, not queued")
    if len(queue) < limit:
        notes.append(
            f"the budget is {limit:,}, but only {len(queue):,} decisions are left to review"
        )
    return ScoreResult(
        len(scores.p_error), len(queue), len(rejects), version, run_id, files, tuple(notes)
    )


class _Source:
    """The decisions to score, which are read twice: to score all, then to explain the queued."""

    def __init__(self, config: Config, decisions: str) -> None:
        self.data = config.data
        self.decisions = decisions
        self.known = config.data_paths(config.data.decisions)

    def log(self) -> Iterator[pd.DataFrame]:
        """Read the config's decisions, then those to score: all that histories are made of."""
        for place in (self.known, self.decisions):
            yield from (batch.frame for batch in self.batches(place))

    def batches(self, place: str | list[str] | None = None) -> Iterator[TableRead]:
        return iter_decisions(
            place or self.decisions,
            columns=self.data.columns,
            actions=self.data.actions,
            drop=self.data.drop,
            preset=self.data.preset,
        )


def _score_all(
    source: _Source,
    past: Past,
    bundle: Bundle,
    policies: Mapping[str, Policy],
    judged: pd.Index,
    config: Config,
    progress: Progress,
) -> tuple[_Scores, pd.DataFrame, list[str]]:
    parts: list[_Scores] = []
    rejects: list[pd.DataFrame] = []
    notes: list[str] = []
    done = learnt = 0
    threads = config.train.threads or free_threads(_MANY)
    for batch in source.batches():
        frame = batch.frame
        p = bundle.probability(bundle.detector.features(past.add(frame)), frame, threads)
        ids = frame["decision_id"]
        open_ = ~ids.isin(judged).to_numpy(bool)
        label = bundle.wrong_labels(frame, p)
        wrong_label = label["p_wrong_label"].to_numpy(np.float64)
        harm = expected_harm(frame, p, policies, config.queue.exposure, wrong_label)
        suggested = label["suggested_policy_id"].to_numpy(object)
        parts.append(_Scores(ids.to_numpy(object), p, harm, open_, suggested))
        rejects.append(batch.rejects)
        notes += [note for note in batch.notes if note not in notes]
        learnt += int(bundle.in_sample(ids).sum())
        done += len(frame)
        progress(f"scored {done:,} decisions")
    if learnt:
        notes.append(
            f"{learnt:,} of the decisions are among those the model learnt from; their scores know the answer"
        )
    whole = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(_Scores)
    }
    return _Scores(**whole), pd.concat(rejects, ignore_index=True), notes


def _queue(
    source: _Source, past: Past, bundle: Bundle, scores: _Scores, chosen: Selection
) -> pd.DataFrame:
    """Read the queued decisions once more, explain them, and put them in order."""
    order = np.concatenate([chosen.ranked, chosen.explored])
    place = pd.Series(np.arange(len(order)), index=pd.Index(scores.decision_id[order]))
    names, words = bundle.detector.encoding.names, load_words()
    rows: list[pd.DataFrame] = []
    for batch in source.batches():
        wanted = batch.frame[batch.frame["decision_id"].isin(place.index)]
        for start in range(0, len(wanted), _EXPLAINED):
            frame = past.add(wanted.iloc[start : start + _EXPLAINED])
            X = bundle.detector.features(frame)
            parts = bundle.detector.contributions(X, threads=1)
            rows.append(
                _rows(frame).assign(
                    reasons=pd.Series(reasons(frame, X, parts, names, words), index=frame.index)
                )
            )
    if not rows:
        nothing: pd.DataFrame = QUEUE.empty_table().to_pandas()
        return nothing
    queue = pd.concat(rows, ignore_index=True)
    at = queue["decision_id"].map(place).to_numpy(int)
    suggested = pd.Series(scores.suggested[order][at], index=queue.index, dtype="str")
    queue = queue.assign(
        error_kind=error_kinds(queue["enforced"], suggested),
        suggested_policy_id=suggested,
        rank=at + 1,
        p_error=scores.p_error[order][at],
        expected_harm=scores.harm[order][at],
        arm=np.where(at < len(chosen.ranked), RANKED, EXPLORE),
        inclusion_probability=chosen.inclusion_probability[order][at],
    )
    return queue.drop(columns="enforced").sort_values("rank", ignore_index=True)


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    pool = frame[_POOL_COLUMN].fillna(_ANY_POOL) if _POOL_COLUMN in frame else _ANY_POOL
    return pd.DataFrame(
        {
            "decision_id": frame["decision_id"],
            "enforced": frame["enforced"],
            "pool": pool,
            "policy_id": frame["policy_id"],
        }
    )


def _write(
    out: Path,
    scores: _Scores,
    chosen: Selection,
    queue: pd.DataFrame,
    rejects: pd.DataFrame,
    version: str,
) -> dict[str, Path]:
    with staged(out) as stage:
        with ParquetSink(stage / "scores.parquet", SCORES) as sink:
            for start in range(0, len(scores.p_error), _CHUNK):
                rows = slice(start, start + _CHUNK)
                part = {
                    "decision_id": scores.decision_id[rows],
                    "p_error": scores.p_error[rows],
                    "expected_harm": scores.harm[rows],
                    "inclusion_probability": chosen.inclusion_probability[rows],
                }
                suggested = pd.Series(scores.suggested[rows], dtype="str")
                frame = pd.DataFrame(part).assign(suggested_policy_id=suggested)
                sink.write(frame.assign(model_version=version))
        write_parquet(queue, stage / "queue.parquet", QUEUE)
        if len(rejects):
            write_parquet(rejects, stage / "rejects.parquet", REJECTS)
        names = sorted(path.name for path in stage.iterdir())
    return {name.removesuffix(".parquet"): out / name for name in names}


def _run_id(version: str, scores: _Scores) -> str:
    """Name the run by the model and its result: scoring the same again gives the same id."""
    digest = hashlib.sha256(version.encode())
    digest.update(pd.util.hash_array(scores.decision_id, categorize=False).tobytes())
    digest.update(scores.p_error.round(9).tobytes())
    return digest.hexdigest()[:16]
