"""Quality targets: met, missed or inconclusive, from the intervals; and how many reviews would decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri

from errdetect.changes.pilot_design import POWER
from errdetect.data.policy_catalogue import Policy
from errdetect.errors import ConfigError, error_message
from errdetect.schemas import MEASURES
from errdetect.stats.intervals import critical_value, wilson_half_width

__all__ = [
    "AT_LEAST",
    "REVIEWER_ACCURACY",
    "SMALL_AUDIT",
    "STATUSES",
    "NextAudit",
    "check_reviewer_targets",
    "check_targets",
    "reviews_to_decide",
    "size_next_audit",
    "target_status",
]

#: Measures whose targets are lower limits; all others are upper limits.
AT_LEAST = frozenset({"precision", "recall", "accuracy", "reviewer_accuracy"})
REVIEWER_ACCURACY = "reviewer_accuracy"
STATUSES = ("met", "missed", "cannot_tell")

_COLUMNS = (
    "measure", "sense", "limit", "estimate", "low", "high", "status", "n_reviews", "reviews_needed",
)  # fmt: skip


def target_status(measure: str, limit: float, low: float, high: float) -> str:
    """Decide whether a target is met, from the interval alone.

    Parameters
    ----------
    measure
        The measure; it decides whether the limit is an upper or a lower one.
    limit
        The target.
    low, high
        The 95 % interval; NaN where there is none.

    Returns
    -------
    str
        `met` where the whole interval is within the limit, `missed` where all of it is beyond, else
        `cannot_tell`.

    Examples
    --------
    >>> [target_status("wrongful_rate", 0.03, *i) for i in ((0.01, 0.02), (0.04, 0.06), (0.02, 0.06))]
    ['met', 'missed', 'cannot_tell']
    >>> target_status("precision", 0.9, 0.92, 0.97), target_status("precision", 0.9, 0.8, 0.88)
    ('met', 'missed')
    """
    if measure in AT_LEAST:
        return "met" if low >= limit else "missed" if high < limit else "cannot_tell"
    return "met" if high <= limit else "missed" if low > limit else "cannot_tell"


def reviews_to_decide(
    estimate: float,
    low: float,
    high: float,
    limit: float,
    n_reviews: int,
    n_decisions: int | None,
    *,
    usual_rate: float = 0.05,
) -> int | None:
    """Count the further reviews that would distinguish a rate from a limit, if the estimate is true.

    Parameters
    ----------
    estimate, low, high
        The rate with its 95 % interval; NaN where there is none.
    limit
        The target.
    n_reviews
        Reviews so far, of the decisions that the rate is a share of.
    n_decisions
        How many of those decisions there are: with all reviewed, the rate is known. None: unlimited.
    usual_rate
        Rate to expect where there is no estimate.

    Returns
    -------
    int or None
        Further reviews, so that the interval excludes the limit with a probability of 80 %. None where
        the rate lies at the limit and decisions are unlimited.

    Notes
    -----
    The size of the score test of one rate, times the design's effect (how much wider the interval
    is than Wilson's at as many reviews), with the correction for a finite number of decisions.

    References
    ----------
    Fleiss, Levin and Paik (2003), Statistical methods for rates and proportions, chapter 2.

    Examples
    --------
    >>> reviews_to_decide(0.05, 0.02, 0.11, 0.03, 100, None)
    360
    >>> reviews_to_decide(0.05, 0.02, 0.11, 0.03, 100, 500)
    140
    """
    known = estimate == estimate and n_reviews > 0
    rate = (n_reviews * estimate + 0.5) / (n_reviews + 1) if known else usual_rate
    if known and (estimate < limit) != (rate < limit):
        rate = estimate  # half an error more must not change the side
    gap = abs(rate - limit)
    need = float("inf")
    if gap > 1e-9:
        z, z_power = critical_value(), float(ndtri(POWER))
        spread = z * np.sqrt(limit * (1 - limit)) + z_power * np.sqrt(rate * (1 - rate))
        effect = _design_effect(estimate, low, high, n_reviews) if known else 1.0
        need = max(effect * float(spread / gap) ** 2, 1.0)
    if n_decisions is not None:
        need = (
            n_decisions if need == float("inf") else need / (1 + (need - 1) / max(n_decisions, 1))
        )
    if need == float("inf"):
        return None
    return max(int(np.ceil(need - 1e-9)) - n_reviews, 1)


def _design_effect(estimate: float, low: float, high: float, n_reviews: int) -> float:
    """Return the reviews for each that Wilson's interval would need to be as wide; at least 0.2."""
    half = (high - low) / 2

    def wider(n: float) -> float:
        return float(wilson_half_width(np.array([estimate]), np.array([n]))[0]) - half

    if not half > 1e-9 or wider(1e-6) <= 0:
        return 1.0
    if wider(1e12) >= 0:
        return 1.0
    return max(n_reviews / float(brentq(wider, 1e-6, 1e12)), 0.2)


def check_targets(
    estimates: pd.DataFrame,
    *,
    policies: Mapping[str, Policy],
    limits: Mapping[str, float] | None = None,
    by: Sequence[str] = ("policy_id",),
    usual_rate: float = 0.05,
) -> pd.DataFrame:
    """Check estimated rates against the catalogue's and the config's targets.

    Parameters
    ----------
    estimates
        The contract's estimates with the `by` columns; overall rows are left out.
    policies
        The catalogue. Its policy targets override the config's.
    limits
        The config's targets for every policy: measure to limit.
    by
        Columns of the cells; `policy_id` and, where targets are per market, `market`.
    usual_rate
        Rate to expect where nothing is known.

    Returns
    -------
    DataFrame
        The `by` columns, measure, sense (`at most`, `at least`), limit, estimate, low, high,
        status (`STATUSES`), n_reviews, reviews_needed (further ones that would decide a
        `cannot_tell`, of decisions that the measure is a share of; missing otherwise). A policy
        with a target and without decisions has a row, `cannot_tell`.

    Raises
    ------
    ConfigError
        Where a target is set for an unknown measure, or outside [0, 1].

    Examples
    --------
    >>> estimates = pd.DataFrame({"policy_id": ["spam"], "measure": "wrongful_rate",
    ...     "estimate": 0.05, "low": 0.02, "high": 0.11, "n_reviews": 100, "n_decisions": 500})
    >>> spam = Policy("spam", "Spam", 2, targets={"wrongful_rate": 0.03})
    >>> check_targets(estimates, policies={"spam": spam})[["status", "reviews_needed"]].values.tolist()
    [['cannot_tell', 140]]
    """
    every = dict(limits or {})
    _check_limits(every)
    by = list(by)
    cells = estimates[estimates[by].notna().all(axis=1)]
    rows: list[dict[str, Any]] = []
    seen = set()
    for row in cells.to_dict("records"):
        policy = policies.get(str(row["policy_id"])) if "policy_id" in row else None
        targets = every | (policy.targets if policy else {})
        seen.add((row.get("policy_id"), row["measure"]))
        if row["measure"] in targets:
            place = {name: row[name] for name in by}
            rows.append(place | _target_row(row, targets[row["measure"]], usual_rate))
    if "policy_id" in by:
        for name, policy in policies.items():
            for measure, limit in (every | policy.targets).items():
                if (name, measure) not in seen:
                    nothing = {"measure": measure, "estimate": np.nan, "low": np.nan,
                               "high": np.nan, "n_reviews": 0, "n_decisions": None}  # fmt: skip
                    judged = _target_row(nothing, limit, usual_rate) | {"reviews_needed": None}
                    rows.append(dict.fromkeys(by) | {"policy_id": name} | judged)
    table = pd.DataFrame(rows, columns=[*by, *_COLUMNS])
    return _typed_table(table).sort_values([*by, "measure"], kind="stable", ignore_index=True)


def _typed_table(table: pd.DataFrame) -> pd.DataFrame:
    whole = {"n_reviews": "int64", "reviews_needed": "Int64"}
    return table.astype(dict.fromkeys(("limit", "estimate", "low", "high"), "float64") | whole)


def _check_limits(limits: Mapping[str, float]) -> None:
    faults = []
    for measure, limit in limits.items():
        if measure not in MEASURES:
            must = f"name measures ({', '.join(MEASURES)})"
            faults.append(
                error_message("targets.rates", must, repr(measure), "Choose one of these.")
            )
        elif not 0 <= limit <= 1:
            must = "be a share from 0 to 1"
            faults.append(error_message(f"targets.rates.{measure}", must, limit, "0.03 is 3 %."))
    if faults:
        raise ConfigError(faults)


def _target_row(row: Mapping[Any, Any], limit: float, usual_rate: float) -> dict[str, Any]:
    """Make the rest of a target's row."""
    measure = str(row["measure"])
    estimate, low, high = (float(row[name]) for name in ("estimate", "low", "high"))
    status = target_status(measure, limit, low, high)
    needed = None
    if status == "cannot_tell" and measure != "recall":  # recall is no share of reviewed decisions
        size = row.get("n_decisions")
        usual = 1 - usual_rate if measure in AT_LEAST else usual_rate
        needed = reviews_to_decide(
            estimate, low, high, limit, int(row["n_reviews"]),
            None if size is None else int(size), usual_rate=usual,
        )  # fmt: skip
    return {
        "measure": measure,
        "sense": "at least" if measure in AT_LEAST else "at most",
        "limit": limit,
        "estimate": estimate,
        "low": low,
        "high": high,
        "status": status,
        "n_reviews": int(row["n_reviews"]),
        "reviews_needed": needed,
    }


def check_reviewer_targets(
    cards: pd.DataFrame, limit: float, *, sites: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Check the accuracy of each review site against its target.

    Parameters
    ----------
    cards
        Scorecards: site, reviewer (missing: the site as a whole), measure, value, low, high, n.
    limit
        Least share of golden items answered correctly, for every site.
    sites
        Limits of single sites, which override it.

    Returns
    -------
    DataFrame
        site and the columns of `check_targets`; reviews_needed counts golden items.

    Examples
    --------
    >>> cards = pd.DataFrame({"site": ["alder"], "reviewer": None, "measure": "accuracy",
    ...                       "value": 0.97, "low": 0.955, "high": 0.985, "n": 600.0})
    >>> check_reviewer_targets(cards, 0.95)[["site", "status"]].values.tolist()
    [['alder', 'met']]
    """
    own = cards[(cards["measure"] == "accuracy") & cards["reviewer"].isna() & cards["site"].notna()]
    rows = []
    for card in own.to_dict("records"):
        row = {
            "measure": REVIEWER_ACCURACY,
            "estimate": card["value"],
            "low": card["low"],
            "high": card["high"],
            "n_reviews": int(np.floor(float(card["n"]))),
        }
        own_limit = (sites or {}).get(str(card["site"]), limit)
        rows.append({"site": card["site"]} | _target_row(row, own_limit, 0.05))
    table = pd.DataFrame(rows, columns=["site", *_COLUMNS])
    return _typed_table(table).sort_values("site", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class NextAudit:
    """The next audit that would decide the easier half of the inconclusive targets.

    Parameters
    ----------
    n_open, n_targets
        Open targets, and those among them that it would decide.
    minimum
        Least reviews of each cell.
    budget
        Reviews in all.
    command
        The command to run; CONFIG and DIR are placeholders.
    nearest
        The targets that `SMALL_AUDIT` further reviews would decide if they went there alone, the least first:
        (values of the `by` columns, measure, reviews). If none is that near, the nearest.
    """

    n_open: int
    n_targets: int
    minimum: int
    budget: int
    command: str
    nearest: tuple[tuple[str, str, int], ...] = ()


#: Reviews that a team can spend soon.
SMALL_AUDIT = 500


def _nearest_targets(needs: Sequence[tuple[int, str, str]]) -> tuple[tuple[str, str, int], ...]:
    """Choose the targets that a small audit would decide together."""
    ordered = sorted(needs)
    total = np.cumsum([need for need, _, _ in ordered])
    n = max(int((total <= SMALL_AUDIT).sum()), 1)
    return tuple((place, measure, need) for need, place, measure in ordered[:n])


def size_next_audit(
    targets: pd.DataFrame,
    estimates: pd.DataFrame,
    *,
    by: Sequence[str] = ("policy_id",),
    floor: float = 0.25,
) -> NextAudit | None:
    """Size the audit that would decide half of the inconclusive targets.

    The easier half: some rates lie so near their limit that only reviewing all decisions would decide.

    Parameters
    ----------
    targets
        From `check_targets`.
    estimates
        The decisions behind them: for the size of each cell.
    by
        The cells' columns.
    floor
        The audit's floor (`audit.floor`), which spends a part of the budget evenly.

    Returns
    -------
    SettlingAudit or None
        None where nothing is open, or no audit would decide.

    Notes
    -----
    `plan-audit` knows one minimum for all cells: the median need sets it.

    Examples
    --------
    >>> estimates = pd.DataFrame({"policy_id": ["spam"] * 2, "measure": ["error_rate", "wrongful_rate"],
    ...     "estimate": 0.05, "low": 0.02, "high": 0.11, "n_reviews": 100, "n_decisions": [9000, 4500]})
    >>> targets = check_targets(estimates, policies={}, limits={"wrongful_rate": 0.03})
    >>> size_next_audit(targets, estimates).command
    'errdetect plan-audit CONFIG --out DIR --by policy_id --budget 848 --set audit.min_per_segment=636'
    """
    by = list(by)
    cells = estimates[estimates[by].notna().all(axis=1)].drop_duplicates([*by, "measure"])
    sizes = cells.set_index([*by, "measure"])["n_decisions"].astype("float64")
    whole = cells[cells["measure"] == "error_rate"].set_index(by)["n_decisions"].astype("float64")
    if whole.empty:
        whole = cells.groupby(by)["n_decisions"].max().astype("float64")
    needs = []
    near = []
    for row in targets[targets["reviews_needed"].notna()].to_dict("records"):
        key = tuple(row[name] for name in by)
        every = float(whole.loc[key if len(by) > 1 else key[0]])
        side = float(sizes.loc[(*key, row["measure"])])
        # The audit draws from all decisions of the cell, of which the measure counts a part.
        needs.append(int(np.ceil(float(row["reviews_needed"]) * every / max(side, 1.0))))
        near.append((int(row["reviews_needed"]), ", ".join(map(str, key)), str(row["measure"])))
    if not needs:
        return None
    least = sorted(needs)[(len(needs) - 1) // 2]
    n_targets = sum(need <= least for need in needs)
    budget = int(np.ceil(float(np.minimum(whole, least).sum()) / (1 - floor))) if floor < 1 else 0
    budget = min(max(budget, least), int(whole.sum()))
    columns = ",".join(by)
    command = (
        f"errdetect plan-audit CONFIG --out DIR --by {columns} --budget {budget} "
        f"--set audit.min_per_segment={least}"
    )
    return NextAudit(len(needs), n_targets, least, budget, command, _nearest_targets(near))
