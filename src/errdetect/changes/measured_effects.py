"""Effects of accepted proposals: before and after, compared with untouched policies.

Only reviews that were not yet known when the finding was made count for the time before. A slice is
found because its rate was high, partly by chance: compared with the reviews that found it, the next
rate is lower even without any change.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.changes.diff_in_diff import (
    Contrast,
    difference_in_differences,
    look_confidence,
    reviews_to_detect,
)
from errdetect.config_schema import EstimateSettings
from errdetect.data.review_versions import known_at
from errdetect.errors import DataError, error_message
from errdetect.estimation.error_rates import estimate_rates
from errdetect.findings.conditions import proposal_mask
from errdetect.schemas import AUDIT
from errdetect.snapshot import Snapshot
from errdetect.stats.intervals import Interval, critical_value

__all__ = ["EFFECT_MEASURES", "VERDICTS", "measure_effects"]

Bools = NDArray[np.bool_]

#: What is measured: errors of any kind, and the two kinds, each as a share of all decisions.
EFFECT_MEASURES = ("error_rate", "wrongful_actions", "missed_violations")
#: improved, worsened: over all looks so far. no_effect: the intended effect is ruled out.
VERDICTS = ("improved", "worsened", "no_effect", "unknown", "confounded")

#: Reviews, before and after, from which an untouched policy is its own unit.
OWN_UNIT = 30
#: Share of a slice's decisions that another change must touch to confound it.
OVERLAP = 0.05
#: The intended effect where the proposal states none: half of the errors.
HOPED = 0.5
#: The check of the trends before counts as this look (99 %), so that chance rarely stops a verdict.
CHECKED_AS = 2
_SIDE = {"wrongful_actions": "wrongful_rate", "missed_violations": "missed_rate"}


@dataclass(frozen=True)
class _UnitPeriods:
    """The decisions that one proposal's effect is measured on."""

    decisions: pd.DataFrame
    confounded_by: tuple[str, ...]


def measure_effects(
    snapshot: Snapshot,
    proposals: pd.DataFrame,
    *,
    settings: EstimateSettings | None = None,
    days_before: int = 90,
) -> pd.DataFrame:
    """Measure the effect of each proposal in effect, by difference-in-differences of audited rates.

    Parameters
    ----------
    snapshot
        Automated decisions and what was known of them. Anything decided or known after its
        moment does not count.
    proposals
        proposal_id, policy_id, state, effective_from, and optionally parts (as in `proposal_mask`),
        evidence_until (when the finding was made: reviews known by then do not count), expected
        (intended change of the error rate in the slice, below 0), look (1 for the first time that
        it is measured), closed_at (measured up to then). Others than `accepted` and `closed`, and
        those that are not yet in effect, are left out.
    settings
        As in `estimate_rates`.
    days_before
        Maximum days of the period before the change.

    Returns
    -------
    DataFrame
        One row for each proposal and measure of `EFFECT_MEASURES`: proposal_id, policy_id,
        measure, effective_from, until, look, n_before, n_after (audited decisions of the slice),
        before, after (rates), without (the rate expected without the change), estimate, low, high
        (95 % at this look), all_low, all_high (95 % over all looks), common (how the untouched
        moved), wander, n_untouched, early, early_low, early_high (the same contrast within the
        time before), trend (`alike`, `apart` where 99 % say so, `unknown`), hoped, verdict (`VERDICTS`),
        confounded_by, need_before, need_after (further audited decisions that would settle it;
        missing where it is settled or no number would do).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n, day = 8000, pd.Timedelta(days=1)
    >>> decided = pd.Timestamp("2026-01-01", tz="UTC") + day * rng.uniform(0, 100, n)
    >>> policy = rng.choice(["spam", "weapons", "drugs"], n)
    >>> fixed = (policy == "spam") & (decided >= pd.Timestamp("2026-02-20", tz="UTC"))
    >>> wrong = rng.random(n) < np.where(policy != "spam", 0.1, np.where(fixed, 0.1, 0.3))
    >>> ids = [f"d{i}" for i in range(n)]
    >>> decisions = pd.DataFrame({"decision_id": ids, "decided_at": decided, "policy_id": policy,
    ...                           "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ids, "decision_id": ids, "source": "audit",
    ...     "reviewed_at": decided + day, "inclusion_probability": 0.5, "site": "x",
    ...     "verdict": np.where(wrong, "overturned", "upheld")})[::2]
    >>> proposals = pd.DataFrame({"proposal_id": ["p1"], "policy_id": "spam", "state": "accepted",
    ...                           "effective_from": pd.Timestamp("2026-02-20", tz="UTC")})
    >>> found = measure_effects(Snapshot(decisions, reviews), proposals).iloc[0]
    >>> found["verdict"], round(float(found["estimate"]), 2)
    ('improved', -0.18)
    """
    decisions, as_of = snapshot.decisions, snapshot.as_of
    live = _effective_proposals(
        proposals, decisions, None if as_of is None else pd.Timestamp(as_of)
    )
    if as_of is not None:
        decisions = decisions[decisions["decided_at"] <= pd.Timestamp(as_of)]
    rows: list[dict[str, Any]] = []
    for row in live.to_dict("records"):
        own = {str(name): value for name, value in row.items()}
        clean = snapshot.with_reviews(_drop_finding_reviews(snapshot.known_reviews, own))
        frame = _unit_periods(decisions, clean.reviews, own, live, days_before)
        rows += _effect_rows(frame, clean, own, settings or EstimateSettings())
    return pd.DataFrame(rows, columns=_COLUMNS).astype(
        {"need_before": "Int64", "need_after": "Int64"}
    )


_COLUMNS = [
    "proposal_id", "policy_id", "measure", "effective_from", "until", "look", "n_before", "n_after",
    "before", "after", "without", "estimate", "low", "high", "all_low", "all_high", "common",
    "wander", "n_untouched", "early", "early_low", "early_high", "trend", "hoped", "verdict",
    "confounded_by", "need_before", "need_after",
]  # fmt: skip


def _effective_proposals(
    proposals: pd.DataFrame, decisions: pd.DataFrame, as_of: pd.Timestamp | None
) -> pd.DataFrame:
    """Proposals that were in effect, with all columns in use."""
    wanted = ["proposal_id", "policy_id", "state", "effective_from"]
    lacking = [name for name in wanted if name not in proposals]
    if lacking:
        got = f"none named {', '.join(lacking)}"
        raise DataError(
            error_message("proposals", f"have the columns {', '.join(wanted)}", got, "Add it.")
        )
    live = proposals.reindex(
        columns=[*wanted, "parts", "evidence_until", "expected", "look", "closed_at"]
    )  # fmt: skip
    for name in ("effective_from", "evidence_until", "closed_at"):
        live[name] = pd.to_datetime(live[name], utc=True).astype("datetime64[us, UTC]")
    last = (decisions["decided_at"].max() if as_of is None else as_of).as_unit("us")
    until = live["closed_at"].fillna(last)
    keep = live["state"].isin(["accepted", "closed"]) & live["effective_from"].notna()
    until = until.where(until < last, last)
    keep &= live["effective_from"] < until
    live = live.assign(until=until)
    return live[keep].sort_values(["effective_from", "proposal_id"], kind="stable")


def _in_slice(decisions: pd.DataFrame, own: dict[str, Any]) -> Bools:
    parts = own["parts"]
    return proposal_mask(decisions, own["policy_id"], parts if isinstance(parts, list) else None)


def _unit_periods(
    decisions: pd.DataFrame, reviews: pd.DataFrame, own: dict[str, Any], live: pd.DataFrame,
    days_before: int,
) -> _UnitPeriods:  # fmt: skip
    """Name the unit (the slice, or an untouched policy) and the time of each decision."""
    start = own["effective_from"] - pd.Timedelta(days=days_before)
    near = decisions["decided_at"].between(start, own["until"]).to_numpy(dtype=bool)
    part = decisions[near].reset_index(drop=True)
    mine = _in_slice(part, own)
    changed = mine.copy()
    others, touched = [], {own["policy_id"]}
    for other in live.to_dict("records"):
        at_once = start < other["effective_from"] <= own["until"] and other["until"] > start
        if other["proposal_id"] == own["proposal_id"] or not at_once:
            continue
        touched.add(other["policy_id"])
        theirs = _in_slice(part, {str(k): v for k, v in other.items()})
        changed |= theirs
        if (mine & theirs).sum() > OVERLAP * max(int(mine.sum()), 1):
            others.append(str(other["proposal_id"]))
    after = (part["decided_at"] >= own["effective_from"]).to_numpy(dtype=bool)
    audited = part["decision_id"].isin(reviews.loc[reviews["source"] == AUDIT, "decision_id"])
    untouched = ~part["policy_id"].isin(touched).to_numpy(dtype=bool)
    if not untouched.any():  # only one policy, or all of them changed: what was left alone in it
        untouched = (part["policy_id"] == own["policy_id"]).to_numpy(dtype=bool) & ~changed
    counts = pd.crosstab(part["policy_id"], after, values=audited, aggfunc="sum").fillna(0)
    enough = counts.index[(counts.reindex(columns=[False, True]).fillna(0) >= OWN_UNIT).all(axis=1)]
    single = part["policy_id"].isin(enough)
    unit = ("=" + part["policy_id"].astype("str")).where(single, "others")
    unit = unit.where(untouched, None).where(~mine, "")
    # Split the time before for the trend check: half of the slice's reviews each.
    early = part.loc[mine & ~after & audited.to_numpy(dtype=bool), "decided_at"]
    middle = early.median() if len(early) else own["effective_from"]
    when = np.where(after, "after", np.where(part["decided_at"] < middle, "early", "late"))
    part = part.assign(
        _unit=unit.astype("str"), _when=when, _half=np.where(after, "after", "before")
    )
    return _UnitPeriods(part[part["_unit"].notna()], tuple(others))


def _drop_finding_reviews(reviews: pd.DataFrame, own: dict[str, Any]) -> pd.DataFrame:
    """Leave out the audit reviews that the finding was made on."""
    if pd.isna(own["evidence_until"]):
        return reviews
    known = (reviews["source"] == AUDIT) & (known_at(reviews) <= own["evidence_until"])
    # A later correction of such a review is no fresh evidence either.
    seen = reviews["review_id"].isin(reviews.loc[known, "review_id"])
    kept: pd.DataFrame = reviews[~seen.to_numpy(dtype=bool)]
    return kept


def _effect_rows(
    frame: _UnitPeriods, snapshot: Snapshot, own: dict[str, Any], settings: EstimateSettings
) -> list[dict[str, Any]]:
    """Make the rows of one proposal."""
    part = snapshot.of(frame.decisions)
    halves = _unit_rates(part, "_half", settings)
    clusters = _cluster_effects(part)
    before = frame.decisions[frame.decisions["_half"] == "before"]
    parts = _unit_rates(snapshot.of(before), "_when", settings)
    look = int(own["look"]) if pd.notna(own["look"]) else 1
    rows = []
    for measure in EFFECT_MEASURES:
        table = _rates_per_decision(halves, measure, "_half")
        found = _slice_contrast(table, ("before", "after"), look, clusters)
        early = None
        if parts is not None:
            early = _slice_contrast(
                _rates_per_decision(parts, measure, "_when"), ("early", "late"), CHECKED_AS
            )
        rows.append(_effect_row(own, measure, table, found, early, frame, look))
    return rows


def _unit_rates(part: Snapshot, when: str, settings: EstimateSettings) -> pd.DataFrame:
    """Estimate each unit's rates at each time; no rows where nothing was audited."""
    if not part.has_audit:
        names = ("estimate", "low", "high", "n_reviews", "n_decisions")
        nothing = pd.DataFrame(columns=["_unit", when, "measure"], dtype="str")
        return nothing.assign(**dict.fromkeys(names, pd.Series(dtype="float64")))
    # Contrasts take the units as independent, so no unit leans on another.
    apart = settings.model_copy(update={"borrow": False})
    return estimate_rates(part, [["_unit", when]], settings=apart).by_group[("_unit", when)]


_LEAST_PAIRS = 30  # pairs of audited decisions of one account that show a shared fate


def _cluster_effects(part: Snapshot) -> "pd.Series[float] | None":
    """Return by how much shared fate of accounts multiplies each unit's variance, by unit and half.

    The design effect of clusters of unequal size, 1 + (mean size, weighted by size, - 1) x
    correlation (Kish 1965). The correlation within accounts comes from the pairs of audited
    decisions of one account; None without accounts or with too few pairs.
    """
    decisions = part.decisions
    if "account_id" not in decisions:
        return None
    keys = [decisions["_unit"], decisions["_half"], decisions["account_id"]]
    if not part.has_audit:
        return None
    audit = part.audit_sample
    audited = pd.DataFrame(
        {
            "error": audit.error,
            "group": decisions.groupby(["_unit", "_half"]).ngroup().to_numpy()[audit.position],
            "account": decisions["account_id"].to_numpy()[audit.position],
        }
    ).dropna()
    rate = audited.groupby("group")["error"].transform("mean")
    off = (audited["error"] - rate).rename("off")
    by = off.groupby([audited["group"], audited["account"]])
    sums, squares = by.sum(), (off**2).groupby([audited["group"], audited["account"]]).sum()
    pairs = float((by.size() * (by.size() - 1)).sum())
    variance = float((off**2).mean()) if len(off) else 0.0
    if pairs < 2 * _LEAST_PAIRS or not variance > 0:
        return None
    correlation = float((sums**2 - squares).sum()) / pairs / variance
    sizes = decisions.groupby(keys).size().rename("size").reset_index()
    total = sizes.groupby(["_unit", "_half"])["size"].sum()
    weighted = (sizes["size"] ** 2).groupby([sizes["_unit"], sizes["_half"]]).sum() / total
    effects: pd.Series[float] = 1 + (weighted - 1) * float(np.clip(correlation, 0.0, 1.0))
    return effects


def _rates_per_decision(table: pd.DataFrame, measure: str, when: str) -> pd.DataFrame:
    """Return rates per decision, one row a unit and time."""
    table = table[table["_unit"].notna()].rename(columns={when: "_time"})
    key, figures = ["_unit", "_time"], ["estimate", "low", "high"]
    every = table[table["measure"] == "error_rate"].set_index(key)
    counts = ["n_reviews", "n_decisions"]
    if measure == "error_rate":
        return every[[*figures, *counts]].reset_index()
    rate = table[table["measure"] == _SIDE[measure]].set_index(key).reindex(every.index)
    share = (rate["n_decisions"] / every["n_decisions"]).fillna(0.0)
    # Nothing enforced: no wrongful action, for certain.
    scaled = rate[figures].mul(share, axis=0).where(share > 0, 0.0)
    return scaled.assign(**{name: every[name] for name in counts}).reset_index()


@dataclass(frozen=True)
class _ContrastResult:
    now: Contrast
    over_all: Contrast
    other_half: float


def _slice_contrast(
    table: pd.DataFrame,
    times: tuple[str, str],
    look: int,
    clusters: "pd.Series[float] | None" = None,
) -> _ContrastResult | None:
    """Contrast the slice with the untouched units that have a rate at both times."""
    worth: NDArray[np.float64] = np.ones(len(table))
    if clusters is not None:
        keys = pd.MultiIndex.from_frame(table[["_unit", "_time"]])
        worth = np.asarray(clusters.reindex(keys).fillna(1.0), dtype=np.float64)
    table = table.assign(_worth=worth)
    one, two = (table[table["_time"] == time].set_index("_unit") for time in times)
    both = one.index[one["estimate"].notna()].intersection(two.index[two["estimate"].notna()])
    if "" not in both:
        return None
    units = ["", *sorted(set(both) - {""})]
    one, two = one.loc[units], two.loc[units]
    sides = [_superpopulation_interval(one), _superpopulation_interval(two)]
    reviewed = np.stack([side["n_reviews"].to_numpy(np.float64)[1:] for side in (one, two)], axis=1)
    weight = 1 / (1 / np.maximum(reviewed, 1)).sum(axis=1)
    z = critical_value(look_confidence(look))
    now = difference_in_differences(sides[0], sides[1], weight)
    half = (now.high - now.low) / 2
    own = [float(side.high[0] - side.low[0]) / 2 for side in sides]
    rest = max(half**2 - own[0] ** 2 - own[1] ** 2, 0.0) ** 0.5 if half == half else 0.0
    return _ContrastResult(
        now, difference_in_differences(sides[0], sides[1], weight, widen=z / critical_value()), rest
    )


def _superpopulation_interval(side: pd.DataFrame) -> Interval:
    """Widen limits of the observed rate to limits of the expected rate.

    Even with every decision reviewed, the share of errors varies from month to month by chance; a
    change must show beyond that. Where an account's decisions are right or wrong together, chance
    is larger by the design effect `_worth`.
    """
    rate, low, high = (side[name].to_numpy(np.float64) for name in ("estimate", "low", "high"))
    n = side["n_decisions"].to_numpy(np.float64)
    p = (rate * n + 0.5) / (n + 1)
    chance = critical_value() ** 2 * p * (1 - p) / n * side["_worth"].to_numpy(np.float64)
    return Interval(
        rate, rate - np.hypot(rate - low, chance**0.5), rate + np.hypot(high - rate, chance**0.5)
    )


def _effect_row(
    own: dict[str, Any], measure: str, table: pd.DataFrame, found: _ContrastResult | None,
    early: _ContrastResult | None, frame: _UnitPeriods, look: int,
) -> dict[str, Any]:  # fmt: skip
    nan = float("nan")
    cells = {time: _rate_columns(table, time) for time in ("before", "after")}
    start = cells["before"]["estimate"]
    stated = measure == "error_rate" and pd.notna(own["expected"])
    hoped = own["expected"] if stated else -HOPED * start
    now = found.now if found else Contrast(nan, nan, nan, nan, nan, nan, 0)
    whole = found.over_all if found else now
    placebo = early.now if early else Contrast(nan, nan, nan, nan, nan, nan, 0)
    trend = _trend_status(early.over_all if early else placebo)
    verdict = _effect_verdict(whole, hoped, trend, confounded=bool(frame.confounded_by))
    need = None
    alone = found is not None and now.n_untouched == 0
    if trend != "apart" and not alone and verdict == "unknown" and hoped == hoped and hoped != 0:
        sides = [
            (c["estimate"], (c["high"] - c["low"]) / 2, int(c["n_reviews"])) for c in cells.values()
        ]
        need = reviews_to_detect(hoped, sides[0], sides[1], found.other_half if found else 0.0)
    return {
        "proposal_id": own["proposal_id"], "policy_id": own["policy_id"], "measure": measure,
        "effective_from": own["effective_from"], "until": own["until"], "look": look,
        "n_before": int(cells["before"]["n_reviews"]), "n_after": int(cells["after"]["n_reviews"]),
        "before": start, "after": cells["after"]["estimate"], "without": now.without,
        "estimate": now.estimate, "low": now.low, "high": now.high,
        "all_low": whole.low, "all_high": whole.high, "common": now.common, "wander": now.wander,
        "n_untouched": now.n_untouched, "early": placebo.estimate, "early_low": placebo.low,
        "early_high": placebo.high,
        "trend": trend, "hoped": hoped, "verdict": verdict, "confounded_by": list(frame.confounded_by),
        "need_before": need[0] if need else None, "need_after": need[1] if need else None,
    }  # fmt: skip


def _rate_columns(table: pd.DataFrame, time: str) -> dict[str, float]:
    own = table[(table["_unit"] == "") & (table["_time"] == time)]
    names = ("estimate", "low", "high", "n_reviews")
    if own.empty:
        return dict.fromkeys(names, float("nan")) | {"n_reviews": 0.0}
    return {name: float(own[name].iloc[0]) for name in names}


def _trend_status(placebo: Contrast) -> str:
    if placebo.estimate != placebo.estimate:
        return "unknown"
    return "alike" if placebo.low <= 0 <= placebo.high else "apart"


def _effect_verdict(whole: Contrast, hoped: float, trend: str, *, confounded: bool) -> str:
    if confounded:
        return "confounded"
    if trend == "apart":  # the slice moved differently before the change
        return "unknown"
    if whole.high < 0:
        return "improved"
    if whole.low > 0:
        return "worsened"
    return "no_effect" if hoped == hoped and hoped < 0 and whole.low > hoped else "unknown"
