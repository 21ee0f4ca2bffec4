"""From scores to the queue: the value of each review, who can do it, and which are chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.id_lookup import IdSet
from errdetect.errors import ConfigError, error_message
from errdetect.estimation.queue_sample import QUEUED
from errdetect.ledger.run_records import ScoringRun
from errdetect.queue.allocation import AccountLimit, Floor
from errdetect.queue.random_arm import id_hashes, random_keys
from errdetect.queue.review_value import (
    age_weights,
    golden_detections,
    job_heads,
    p_overturn,
    review_minutes,
    review_value,
    site_sensitivity,
)
from errdetect.queue.reviewer_pools import LIMITS, Pool, PoolClasses, check_pools, group_by_pools
from errdetect.queue.selection import (
    AUTO,
    EXPLORE,
    RANKED,
    WIDER,
    ReviewCandidates,
    Selection,
    budget_count,
    select_reviews,
)
from errdetect.schemas import ERROR_KINDS, QUEUE
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import latest_scores
from errdetect.workflows.project_ledger import find_project_ledger, open_project_ledger

__all__ = [
    "WAITING",
    "KnownPlaces",
    "QueueDraw",
    "ReviewerCapacity",
    "choose_reviews",
    "count_kinds",
    "draw_queue",
    "draw_settings",
    "exclusion_notes",
    "exclusion_reasons",
    "is_recorded",
    "record_draw",
    "recorded_draw",
    "reviewer_capacity",
    "row_sums",
    "selection_notes",
    "value_reviews",
    "waiting_reviews",
]


Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHOWN = 3  # examples in a note


@dataclass(frozen=True)
class ReviewerCapacity:
    """Reviewer pools and their capacity.

    Parameters
    ----------
    pools
        One that takes all decisions where the config names none.
    classes
        Which pools can take which decision.
    capacity
        Minutes of each pool; or reviews where `counted`.
    counted
        Whether the budget is a number of reviews.
    """

    pools: tuple[Pool, ...]
    classes: PoolClasses
    capacity: Floats
    counted: bool


class KnownPlaces(Protocol):
    """A log whose places are known."""

    def places(self) -> Mapping[str, set[str]]:
        """Return the markets, languages and policies that occur in the log, by column."""


def reviewer_capacity(
    config: Config,
    source: KnownPlaces,
    scored: pd.DataFrame,
    budget: int | None,
    n: int | None = None,
) -> ReviewerCapacity:
    """Read the config's budget or pools, and which decisions each pool can take.

    Parameters
    ----------
    config
        From `load_config`.
    source
        The log, whose markets, languages and policies are the known ones.
    scored
        From `scoring.score_all`.
    budget
        Reviews, from the command line.
    n
        Number of decisions; default: those of `scored`.

    Raises
    ------
    ConfigError
        Where budget and minutes are both given, or a pool or a minimum names an unknown value.
    DataError
        Where no pool can take anything.
    """
    minutes = [pool.minutes for pool in config.queue.pools] or [config.queue.minutes or 0.0]
    if budget is not None and minutes[0]:
        key = "queue.pools" if config.queue.pools else "queue.minutes"
        do = f"Leave --budget out, or set {key} to nothing."
        raise ConfigError([error_message("--budget", f"be left out with {key}", f"{budget}", do)])
    _check_names(config, source)
    if not minutes[0]:
        wanted = budget if budget is not None else config.queue.budget
        minutes = [float(budget_count(wanted, len(scored) if n is None else n))]
    pools = tuple(
        Pool(p.name, p.minutes, tuple(p.markets), tuple(p.languages), tuple(p.policies), p.site)
        for p in config.queue.pools
    )
    counted = not pools and config.queue.minutes is None
    pools = pools or (Pool("any", minutes[0]),)
    classes = group_by_pools(scored, pools)
    check_pools(classes, pools)
    return ReviewerCapacity(pools, classes, np.array(minutes), counted)


def _check_names(config: Config, source: KnownPlaces) -> None:
    """List the names in pools and minimum shares that do not occur in the log."""
    told = [
        (f"queue.pools '{pool.name}' {key}", column, value)
        for pool in config.queue.pools
        for column, key in LIMITS.items()
        for value in getattr(pool, key)
    ]
    told += [
        (f"queue.minimum_shares {column}", column, value)
        for column, shares in config.queue.minimum_shares.items()
        for value in shares
    ]
    faults = []
    for what, column, value in told:
        known = source.places()[column]
        main = {name.split("-")[0] for name in known} if column == "language" else set()
        if value not in known | main:
            some = ", ".join(sorted(known)[:8]) or "none at all"
            must = f"name values of {column} that some decision has"
            faults.append(error_message(what, must, f"'{value}'", f"Known: {some}."))
    if faults:
        raise ConfigError(faults)


def value_reviews(
    config: Config,
    scored: pd.DataFrame,
    staff: ReviewerCapacity,
    snapshot: Snapshot,
    count: Ints | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Add the other factors of a review's value, and the value, to the scores.

    Parameters
    ----------
    config, scored, staff
        As before.
    snapshot
        The decisions that people reviewed, their reviews, and the catalogue.
    count
        Shape (n,), number of decisions that each row stands for; default 1.

    Returns
    -------
    (terms, notes)
        `scored` with p_overturn (missing where unknown), age_weight, minutes and value.
    """
    notes = []
    chance, measured = np.full(len(scored), np.nan), None
    if len(snapshot.reviews):
        known, rows = snapshot.current_reviews, snapshot.decisions
        measured = known[["decision_id", "minutes"]].merge(
            rows[["decision_id", "policy_id"]], on="decision_id"
        )
        finds = golden_detections(known, rows)
        level = _detection_rates(snapshot, scored, staff)
        chance = p_overturn(scored["error_kind"], scored["policy_id"], finds, level)
    each = np.ones(len(scored), np.int64) if count is None else count
    unknown = int(each[np.isnan(chance)].sum())
    if unknown:
        notes.append(
            f"the probability that reviewers overturn an error is unknown for {unknown:,} decisions; it counts as "
            "1. Golden items, or an expert's check of a sample of all reviews, would measure it"
        )
    terms = scored.assign(
        p_overturn=chance,
        age_weight=age_weights(scored["decided_at"], config.queue.half_life_days),
        minutes=review_minutes(scored["policy_id"], snapshot.policies, measured),
    )
    return terms.assign(value=review_value(terms)), notes


def _detection_rates(
    snapshot: Snapshot, scored: pd.DataFrame, staff: ReviewerCapacity
) -> pd.DataFrame | None:
    """Ask the reviewer model how often the eligible reviewers of each decision find each kind of error."""
    model = snapshot.reviewer_model
    if model is None:
        return None
    levels = {}
    for kind in ERROR_KINDS:
        of_class = []
        for can in staff.classes.can:
            able = [pool.site for pool, yes in zip(staff.pools, can, strict=True) if yes]
            sites = [site for site in able if site is not None]
            names = sites if len(sites) == len(able) else []
            of_class.append(site_sensitivity(model.sites, kind, names))
        levels[kind] = np.array(of_class)[staff.classes.of]
    return pd.DataFrame(levels, index=scored.index)


def choose_reviews(
    config: Config, run: ScoringRun, terms: pd.DataFrame, staff: ReviewerCapacity, open_: Bools
) -> tuple[Selection, list[str]]:
    """Choose the reviews.

    Parameters
    ----------
    config, staff
        As before.
    run
        Its id and the config's seed decide, with a decision's id, whether it is drawn.
    terms
        From `value_reviews`.
    open_
        Shape (n,), False for decisions already reviewed or queued.

    Returns
    -------
    (selection, notes)
    """
    queue = config.queue
    value, n = terms["value"].to_numpy(np.float64), len(terms)
    floors = [
        Floor((terms[column] == name).to_numpy(bool), share * float(staff.capacity.sum()))
        for column, shares in queue.minimum_shares.items()
        for name, share in shares.items()
    ]
    limit = None
    if queue.account_cap is not None and "account_id" in terms:
        account = pd.factorize(terms["account_id"])[0].astype(np.int64)
        limit = AccountLimit(account, queue.account_cap)
    candidates = ReviewCandidates(
        value,
        open_,
        terms["p_error"].to_numpy(np.float64),
        None if staff.counted else terms["minutes"].to_numpy(np.float64),
        staff.classes,
        job_heads(terms["content"], open_, value) if queue.one_job else np.arange(n),
        id_hashes(terms["decision_id"]),
    )
    chosen = select_reviews(
        candidates,
        staff.capacity,
        explore_share=queue.explore_share,
        seed=f"{queue.seed} {run.run_id}",
        floors=floors,
        limit=limit,
    )
    out_of_reach = terms[open_ & (chosen.inclusion_probability == 0)]
    kinds = count_kinds(out_of_reach, np.ones(len(out_of_reach), np.int64))
    return chosen, selection_notes(config, staff, chosen, kinds)


def count_kinds(decisions: pd.DataFrame, count: Ints) -> "pd.Series[int]":
    """Count decisions by market, language and policy, the most first.

    Parameters
    ----------
    decisions
        Shape (n, any).
    count
        Shape (n,), number of decisions that each row stands for.
    """
    shown = [name for name in ("market", "language", "policy_id") if name in decisions]
    names = decisions[shown].astype("str").fillna("missing").assign(_count=count)
    return names.groupby(shown)["_count"].sum().sort_values(ascending=False, kind="stable")


def selection_notes(
    config: Config, staff: ReviewerCapacity, chosen: Selection, out_of_reach: "pd.Series[int]"
) -> list[str]:
    """Return notes on a selection.

    Parameters
    ----------
    config, staff
        As before.
    chosen
        From `select_reviews`.
    out_of_reach
        From `count_kinds`: the open decisions that no pool can take.
    """
    said = []
    if len(out_of_reach):
        some = "; ".join(
            f"{', '.join(map(str, key)) if isinstance(key, tuple) else key}: {count:,}"
            for key, count in out_of_reach.head(_SHOWN).items()
        )
        said.append(
            f"no pool can take {int(out_of_reach.sum()):,} of the open decisions ({some}); they cannot be "
            "reviewed, and no estimate covers them"
        )
    covered = int(chosen.covers.sum()) - len(chosen.covers)
    if covered:
        said.append(f"{covered:,} decisions with identical content share the review of another one")
    used = np.bincount(chosen.pool, minlength=len(staff.pools))
    idle = [pool.name for pool, count in zip(staff.pools, used, strict=True) if not count]
    if idle and len(chosen.order):
        said.append(f"pools without reviews: {', '.join(idle)}")
    names = [f"{c} {v}" for c, shares in config.queue.minimum_shares.items() for v in shares]
    unit = "reviews" if staff.counted else "minutes"
    said += [
        f"the minimum share of {name} is short by {short:.0f} {unit}: there are not enough such "
        "decisions, or reviewers for them"
        for name, short in zip(names, chosen.short, strict=True)
        if short > 0
    ]
    if config.queue.explore_share == AUTO and chosen.explore_share:
        ratio = f"{chosen.width_ratio:.2f} times as wide as a uniform audit's"
        wide = f"the error rate's interval is expected to be {ratio}"
        beyond = ", the best of the shares tried" if chosen.width_ratio > WIDER else ""
        said.append(f"{chosen.explore_share:.0%} of the queue is drawn at random; {wide}{beyond}")
    return said


_ANY_POOL = "any"
_JUDGED = "judged"  # like QUEUED: why a decision has no review in this run
#: Arms of decisions that wait for a review, or for that of another one.
WAITING = (RANKED, EXPLORE, QUEUED)
_EXCLUDED = {
    _JUDGED: "were already reviewed: scored, not queued",
    QUEUED: "are in an earlier run's queue: scored, not queued again",
}
_CHANCES = ("decision_id", "inclusion_probability", "p_error", "job_id", "arm")


@dataclass(frozen=True)
class QueueDraw:
    """A run's draw.

    Parameters
    ----------
    scores
        Every decision with its inclusion probability, arm, pool and job.
    queue
        The decisions to review, by rank, without reasons.
    notes
        Notes for the reader.
    recorded
        Whether the ledger already had it.
    """

    scores: pd.DataFrame
    queue: pd.DataFrame
    notes: tuple[str, ...]
    recorded: bool


def draw_settings(config: Config, budget: int | None) -> dict[str, Any]:
    """Return the inputs of the draw other than the scores."""
    settings = config.queue.model_dump(mode="json", exclude={"record", "scores"})
    return settings | ({} if budget is None else {"budget": budget})


def row_sums(terms: pd.DataFrame, reviewed: pd.Index) -> npt.NDArray[np.uint64]:
    """Return 128 bits that stand for scored decisions: sums of digests of each, in whatever order.

    Parameters
    ----------
    terms
        From `value_reviews`.
    reviewed
        Decisions that are not queued, since they were reviewed.

    Returns
    -------
    numpy.ndarray
        Shape (2,); those of parts of a batch add up to those of the batch.
    """
    rows = id_hashes(terms["decision_id"])
    for name in ("p_error", "value"):
        rows = random_keys(rows ^ terms[name].to_numpy(np.float64).round(9).view(np.uint64), name)
    rows = rows ^ terms["decision_id"].isin(reviewed).to_numpy(bool).astype(np.uint64)
    return np.array([random_keys(rows, lane).sum(dtype=np.uint64) for lane in "ab"], np.uint64)


def draw_queue(
    config: Config, run: ScoringRun, terms: pd.DataFrame, staff: ReviewerCapacity, judged: pd.Index
) -> QueueDraw:
    """Choose the reviews among decisions not yet reviewed or queued.

    Parameters
    ----------
    config
        From `load_config`.
    run
        This one.
    terms, staff
        From `value_reviews` and `reviewer_capacity`.
    judged
        Decisions that are not queued, since they were reviewed.
    """
    before = latest_scores(config, leave_out=run.run_id, arms=WAITING)
    closed = exclusion_reasons(terms["decision_id"], judged, waiting_reviews(before))
    chosen, told = choose_reviews(config, run, terms, staff, closed == "")
    names = [pool.name for pool in staff.pools] if config.queue.pools else None
    scores = _with_run_id(_score_rows(terms, chosen, closed, names), run)
    if before is not None:  # an earlier run's job still covers all of its decisions
        earlier = scores["decision_id"].map(before.set_index("decision_id")["job_id"])
        scores["job_id"] = scores["job_id"].where(scores["arm"] != QUEUED, earlier)
    # A job's value is the sum over all the decisions that it covers.
    open_ = scores["arm"].isin([RANKED, EXPLORE])
    queue = scores.iloc[chosen.order].reset_index(drop=True)
    jobs = open_.to_numpy(bool) & IdSet(queue["job_id"]).among(scores["job_id"])
    worth = scores[jobs].groupby("job_id")["value"].sum()
    queue = queue.assign(
        rank=np.arange(1, len(queue) + 1),
        value=queue["decision_id"].map(worth),
        covers=chosen.covers,
    )
    counts = {why: int((closed == why).sum()) for why in _EXCLUDED}
    return QueueDraw(scores, queue, (*exclusion_notes(counts), *told), recorded=False)


def is_recorded(config: Config, run_id: str) -> bool:
    """Return whether the ledger has a run."""
    ledger = find_project_ledger(config) if config.queue.record else None
    if ledger is None:
        return False
    with ledger:
        return run_id in set(ledger.runs()["run_id"])


def recorded_draw(config: Config, run: ScoringRun, terms: pd.DataFrame) -> QueueDraw | None:
    """Return the run's draw where the ledger has it: a repeated run is not drawn again."""
    if not is_recorded(config, run.run_id):
        return None
    with open_project_ledger(config) as ledger:
        queue = ledger.queued_decisions(run_id=run.run_id)
        place = terms["decision_id"]
        latest = ledger.scored(run_id=run.run_id)
        again = place[~IdSet(latest["decision_id"]).among(place)].tolist()  # by a later run
        said = pd.concat([latest, ledger.scored(again)]).set_index("decision_id")
    scores = terms.assign(
        inclusion_probability=place.map(said["inclusion_probability"]),
        job_id=place.map(said["job_id"]),
        arm=place.map(said["arm"]),
    )
    mine = queue.set_index("decision_id")
    for name in ("arm", "pool"):
        own = scores["job_id"].map(mine[name])
        scores[name] = own if name == "pool" else own.fillna(scores[name])
    note = (
        "this batch was scored before with the same settings: its queue is kept, nothing is added"
    )
    return QueueDraw(
        _with_run_id(scores, run), queue.drop(columns="reasons"), (note,), recorded=True
    )


def record_draw(
    config: Config,
    run: ScoringRun,
    queue: pd.DataFrame,
    scores: Iterable[pd.DataFrame],
    n_scored: int,
) -> pd.DataFrame:
    """Record the run; return the part of its queue that no other run queued in the meantime."""
    told = queue[QUEUE.names].drop(columns=["run_id", "scored_at"])
    with open_project_ledger(config) as ledger:
        parts = (part[list(_CHANCES)] for part in scores)
        counts = ledger.record_run(run, told, parts, n_scored)
        if not counts.already:
            return queue
        standing = ledger.queued_decisions(queue["decision_id"].tolist())
    own = standing.loc[standing["run_id"] == run.run_id, "decision_id"]
    return queue[queue["decision_id"].isin(own)].reset_index(drop=True)


def _with_run_id(scores: pd.DataFrame, run: ScoringRun) -> pd.DataFrame:
    return scores.assign(
        model_version=run.model_version,
        run_id=run.run_id,
        scored_at=pd.Timestamp(run.scored_at).as_unit("us"),
    )


def waiting_reviews(before: pd.DataFrame | None) -> pd.Series:
    """Return the job of each decision that waits in an earlier run's queue, by decision_id.

    Parameters
    ----------
    before
        From `latest_scores`.
    """
    if before is None:
        return pd.Series([], index=pd.Index([], dtype="str"), dtype="str")
    waiting = before[before["arm"].isin(WAITING)]
    return waiting.set_index("decision_id")["job_id"]


def exclusion_reasons(
    decision_id: pd.Series, reviewed: pd.Index, waiting: pd.Series
) -> npt.NDArray[np.object_]:
    """Return why decisions are not queued, shape (n,); empty where they may be.

    Parameters
    ----------
    decision_id
        Shape (n,).
    reviewed
        Decisions that were reviewed.
    waiting
        From `waiting_reviews`.
    """
    closed = np.where(decision_id.isin(reviewed), _JUDGED, "").astype(object)
    closed[decision_id.isin(waiting.index).to_numpy(bool) & (closed == "")] = QUEUED
    return closed


def exclusion_notes(counts: Mapping[str, int]) -> list[str]:
    """Return notes on the decisions that are not queued, from their number by reason."""
    return [
        f"{counts[why]:,} decisions {text}" for why, text in _EXCLUDED.items() if counts.get(why)
    ]


def _score_rows(
    terms: pd.DataFrame,
    chosen: Selection,
    closed: npt.NDArray[np.object_],
    names: list[str] | None,
) -> pd.DataFrame:
    """Return every decision with its inclusion probability; decisions of one job share arm and pool."""
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
    job_id = terms["decision_id"].iloc[chosen.heads].set_axis(terms.index)
    return terms.assign(
        inclusion_probability=chosen.inclusion_probability,
        job_id=job_id,
        arm=pd.Series(np.where(closed != "", closed, arm), index=terms.index, dtype="str"),
        pool=pd.Series(pool, index=terms.index, dtype="str"),
    )
