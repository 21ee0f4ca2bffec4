"""Which decisions are reviewed in this run: drawn once, and the same whenever it is scored again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.store.ledger import Run, find_ledger, open_ledger
from errdetect.estimation.queue_sample import QUEUED
from errdetect.jobs.past_scores import latest_scores
from errdetect.workflows.queueing import Staff, choose
from errdetect.queue.selection import EXPLORE, RANKED, Selection
from errdetect.schemas import QUEUE

__all__ = ["Drawn", "design", "draw", "record", "recorded"]

_ANY_POOL = "any"
_JUDGED = "judged"  # beside QUEUED: why a decision has no review in this run
_CHANCES = ("decision_id", "inclusion_probability", "p_error", "job_id", "arm")


@dataclass(frozen=True)
class Drawn:
    """A run's draw.

    Parameters
    ----------
    scores
        Every decision with its chance, arm, pool and job.
    queue
        Those to review, by rank, without reasons.
    notes
        What the reader must know.
    recorded
        Whether the ledger had it already.
    """

    scores: pd.DataFrame
    queue: pd.DataFrame
    notes: tuple[str, ...]
    recorded: bool


def design(config: Config, budget: int | None) -> dict[str, Any]:
    """Return what the draw depends on beside the scores."""
    settings = config.queue.model_dump(mode="json", exclude={"record", "scores"})
    return settings | ({} if budget is None else {"budget": budget})


def draw(config: Config, run: Run, terms: pd.DataFrame, staff: Staff, judged: pd.Index) -> Drawn:
    """Choose the reviews among what nobody judged and no earlier run queued.

    Parameters
    ----------
    config
        From `load_config`.
    run
        This one.
    terms, staff
        From `value_reviews` and `find_staff`.
    judged
        Decisions that are not queued, as people judged them.
    """
    before = latest_scores(config, leave_out=run.run_id)
    closed = _closed(terms["decision_id"], judged, before)
    chosen, told = choose(config, terms, staff, closed == "")
    names = [pool.name for pool in staff.pools] if config.queue.pools else None
    scores = _stamped(_scores(terms, chosen, closed, names), run)
    if before is not None:  # an earlier run's job still answers for all of its decisions
        earlier = scores["decision_id"].map(before.set_index("decision_id")["job_id"])
        scores["job_id"] = scores["job_id"].where(scores["arm"] != QUEUED, earlier)
    # A job is worth what its verdict remedies for all the decisions that it covers.
    open_ = scores["arm"].isin([RANKED, EXPLORE])
    worth = scores[open_].groupby("job_id")["value"].sum()
    queue = scores.iloc[chosen.order].reset_index(drop=True)
    queue = queue.assign(
        rank=np.arange(1, len(queue) + 1),
        value=queue["decision_id"].map(worth),
        covers=chosen.covers,
    )
    return Drawn(scores, queue, (*_about_closed(closed), *told), recorded=False)


def recorded(config: Config, run: Run, terms: pd.DataFrame) -> Drawn | None:
    """Return the run's draw where the ledger knows it: what is scored again is not drawn again."""
    ledger = find_ledger(config.ledger_url()) if config.queue.record else None
    if ledger is None:
        return None
    with ledger:
        if run.run_id not in set(ledger.runs()["run_id"]):
            return None
        queue = ledger.queued(terms["decision_id"].tolist())
        said = ledger.scored().set_index("decision_id")
    queue = queue[queue["run_id"] == run.run_id].reset_index(drop=True)
    place = terms["decision_id"]
    scores = terms.assign(
        inclusion_probability=place.map(said["inclusion_probability"]),
        job_id=place.map(said["job_id"]),
        arm=place.map(said["arm"]),
    )
    mine = queue.set_index("decision_id")
    for name in ("arm", "pool"):
        own = scores["job_id"].map(mine[name])
        scores[name] = own if name == "pool" else own.fillna(scores[name])
    note = "this batch was scored before with the same settings: its queue stands, nothing is added"
    return Drawn(_stamped(scores, run), queue.drop(columns="reasons"), (note,), recorded=True)


def record(config: Config, run: Run, queue: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Record the run; return the part of its queue that no other run queued in the meantime."""
    told = queue[QUEUE.names].drop(columns=["run_id", "scored_at"])
    with open_ledger(config.ledger_url()) as ledger:
        counts = ledger.record_run(run, told, scores[list(_CHANCES)])
        if not counts.already:
            return queue
        standing = ledger.queued(queue["decision_id"].tolist())
    own = standing.loc[standing["run_id"] == run.run_id, "decision_id"]
    return queue[queue["decision_id"].isin(own)].reset_index(drop=True)


def _stamped(scores: pd.DataFrame, run: Run) -> pd.DataFrame:
    return scores.assign(
        model_version=run.model_version,
        run_id=run.run_id,
        scored_at=pd.Timestamp(run.scored_at).as_unit("us"),
    )


def _closed(
    decision_id: pd.Series, judged: pd.Index, before: pd.DataFrame | None
) -> npt.NDArray[np.object_]:
    """Say why decisions are not queued: people judged them, or an earlier run queued them."""
    closed = np.where(decision_id.isin(judged), _JUDGED, "").astype(object)
    if before is not None:
        waiting = before.loc[before["arm"].isin([RANKED, EXPLORE, QUEUED]), "decision_id"]
        closed[decision_id.isin(waiting).to_numpy(bool) & (closed == "")] = QUEUED
    return closed


def _about_closed(closed: npt.NDArray[np.object_]) -> list[str]:
    said = {
        _JUDGED: "were already judged by people: scored, not queued",
        QUEUED: "are in an earlier run's queue: scored, not queued again",
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
