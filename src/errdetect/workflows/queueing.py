"""From scores to the queue: what each review is worth, who can do it, and which ones are done."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.errors import ConfigError, sentence
from errdetect.workflows.scoring import Source
from errdetect.queue.allocation import Floor
from errdetect.queue.content import job_heads
from errdetect.queue.pools import LIMITS, Classes, Pool, check_pools, classify
from errdetect.queue.reversal import golden_finds, p_reverse, site_finds
from errdetect.queue.selection import AUTO, WIDER, Selection, budget_count, select
from errdetect.queue.review_value import age_weights, review_minutes, review_value
from errdetect.schemas import ERROR_KINDS
from errdetect.snapshot import Snapshot

__all__ = ["Staff", "choose", "find_staff", "value_reviews"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_SHOWN = 3  # examples in a note


@dataclass(frozen=True)
class Staff:
    """Who reviews, and what they can take.

    Parameters
    ----------
    pools
        One that takes anything where the config names none.
    classes
        Which pools can take which decision.
    capacity
        Minutes of each pool; reviews where `counted`.
    counted
        Whether the budget is a number of reviews.
    """

    pools: tuple[Pool, ...]
    classes: Classes
    capacity: Floats
    counted: bool


def find_staff(config: Config, source: Source, scored: pd.DataFrame, budget: int | None) -> Staff:
    """Read the config's budget or pools, and what each pool can take.

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

    Raises
    ------
    ConfigError
        Where budget and minutes are both given, or a pool or a minimum names what nobody knows.
    DataError
        Where no pool can take anything.
    """
    minutes = [pool.minutes for pool in config.queue.pools] or [config.queue.minutes or 0.0]
    if budget is not None and minutes[0]:
        key = "queue.pools" if config.queue.pools else "queue.minutes"
        do = f"Leave --budget out, or set {key} to nothing."
        raise ConfigError([sentence("--budget", f"be left out beside {key}", f"{budget}", do)])
    _check_names(config, source)
    if not minutes[0]:
        wanted = budget if budget is not None else config.queue.budget
        minutes = [float(budget_count(wanted, len(scored)))]
    pools = tuple(
        Pool(p.name, p.minutes, tuple(p.markets), tuple(p.languages), tuple(p.policies), p.site)
        for p in config.queue.pools
    )
    counted = not pools and config.queue.minutes is None
    pools = pools or (Pool("any", minutes[0]),)
    classes = classify(scored, pools)
    check_pools(classes, pools)
    return Staff(pools, classes, np.array(minutes), counted)


def _check_names(config: Config, source: Source) -> None:
    """Say all names of pools and minimum shares that occur nowhere in the log."""
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
            faults.append(sentence(what, must, f"'{value}'", f"Known: {some}."))
    if faults:
        raise ConfigError(faults)


def value_reviews(
    config: Config,
    scored: pd.DataFrame,
    staff: Staff,
    snapshot: Snapshot,
) -> tuple[pd.DataFrame, list[str]]:
    """Add to the scores what else a review's value is made of, and the value.

    Parameters
    ----------
    config, scored, staff
        As before.
    snapshot
        The decisions that people reviewed, their reviews, and the catalogue.

    Returns
    -------
    (terms, notes)
        `scored` with p_reverse (missing where unknown), age_weight, minutes and value.
    """
    notes = []
    chance, measured = np.full(len(scored), np.nan), None
    if len(snapshot.reviews):
        known, rows = snapshot.current_reviews, snapshot.decisions
        measured = known[["decision_id", "minutes"]].merge(
            rows[["decision_id", "policy_id"]], on="decision_id"
        )
        finds = golden_finds(known, rows)
        level = _levels(snapshot, scored, staff)
        chance = p_reverse(scored["error_kind"], scored["policy_id"], finds, level)
    unknown = int(np.isnan(chance).sum())
    if unknown:
        notes.append(
            f"how often reviewers would reverse an error is unknown for {unknown:,} decisions and counts as "
            "always: golden items, or an expert's look at a sample of all reviews, would tell"
        )
    terms = scored.assign(
        p_reverse=chance,
        age_weight=age_weights(scored["decided_at"], config.queue.half_life_days),
        minutes=review_minutes(scored["policy_id"], snapshot.policies, measured),
    )
    return terms.assign(value=review_value(terms)), notes


def _levels(snapshot: Snapshot, scored: pd.DataFrame, staff: Staff) -> pd.DataFrame | None:
    """Ask the reviewer model how often those who can take each decision find each kind of error."""
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
            of_class.append(site_finds(model.sites, kind, names))
        levels[kind] = np.array(of_class)[staff.classes.of]
    return pd.DataFrame(levels, index=scored.index)


def choose(
    config: Config, terms: pd.DataFrame, staff: Staff, open_: Bools
) -> tuple[Selection, list[str]]:
    """Choose the reviews.

    Parameters
    ----------
    config, staff
        As before.
    terms
        From `value_reviews`.
    open_
        Shape (n,), False for decisions that people judged or are about to.

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
    account = None
    if queue.account_cap is not None and "account_id" in terms:
        account = pd.factorize(terms["account_id"])[0].astype(np.int64)
    chosen = select(
        value,
        open_,
        p_error=terms["p_error"].to_numpy(np.float64),
        capacity=staff.capacity,
        explore_share=queue.explore_share,
        rng=np.random.default_rng(queue.seed),
        minutes=None if staff.counted else terms["minutes"].to_numpy(np.float64),
        classes=staff.classes,
        heads=job_heads(terms["content"], open_, value) if queue.one_job else np.arange(n),
        floors=floors,
        account=account,
        cap=queue.account_cap,
    )
    return chosen, _notes(config, terms, staff, open_, chosen)


def _notes(
    config: Config, terms: pd.DataFrame, staff: Staff, open_: Bools, chosen: Selection
) -> list[str]:
    said = []
    nobody = open_ & (chosen.inclusion_probability == 0)
    if nobody.any():
        shown = [name for name in ("market", "language", "policy_id") if name in terms]
        kinds = terms.loc[nobody, shown].astype("str").fillna("missing").value_counts()
        some = "; ".join(
            f"{', '.join(map(str, key))}: {count:,}" for key, count in kinds.head(_SHOWN).items()
        )
        said.append(
            f"no pool can take {int(nobody.sum()):,} of the open decisions ({some}); they have no chance of "
            "review, and nothing can be said of them"
        )
    covered = int(chosen.covers.sum()) - len(chosen.covers)
    if covered:
        said.append(
            f"{covered:,} decisions with identical content are answered by another one's review"
        )
    used = np.bincount(chosen.pool, minlength=len(staff.pools))
    idle = [pool.name for pool, count in zip(staff.pools, used, strict=True) if not count]
    if idle and len(chosen.order):
        said.append(f"pools without a review to do: {', '.join(idle)}")
    names = [f"{c} {v}" for c, shares in config.queue.minimum_shares.items() for v in shares]
    unit = "reviews" if staff.counted else "minutes"
    said += [
        f"the minimum share of {name} is missed by {short:.0f} {unit}: there are not enough such "
        "decisions, or people for them"
        for name, short in zip(names, chosen.short, strict=True)
        if short > 0
    ]
    if config.queue.explore_share == AUTO and chosen.explore_share:
        wide = f"the error rate's interval is expected to be {chosen.width_ratio:.2f} times as wide as a pure audit's"
        beyond = ", the best that was tried" if chosen.width_ratio > WIDER else ""
        said.append(f"{chosen.explore_share:.0%} of the queue is drawn at random; {wide}{beyond}")
    return said
