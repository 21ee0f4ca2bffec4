"""Scorecards of sites and reviewers: estimates with intervals, suppressed where data are few."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.pseudonyms import pseudonymise_ids
from errdetect.errors import DataError, error_message
from errdetect.reviewers.error_rates import RATES
from errdetect.reviewers.reviewer_model import ReviewerModel
from errdetect.schemas import AUDIT, GOLDEN, RE_REVIEW
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import clustered_rates, critical_value, wilson

__all__ = ["MEASURES", "build_scorecards", "golden_items_needed", "pseudonymise_ids"]


_MOST = 10_000_000


def golden_items_needed(error_rate: float, *, within: float = 0.02) -> int:
    """Compute how many golden items of one class an error rate needs for a given precision.

    One class is the violating items (for missed violations) or the others (for wrongful calls);
    each rate needs its own. Items count, not reviews: several reviews of one item count once.

    Parameters
    ----------
    error_rate
        The expected rate, in [0, 1].
    within
        Largest half-width of the 95 % interval, in (0, 0.5).

    Returns
    -------
    int
        Items of that class.

    Raises
    ------
    DataError
        If a rate is out of range.

    Notes
    -----
    From the half-width of Wilson's interval at the expected rate.

    Examples
    --------
    >>> golden_items_needed(0.08), golden_items_needed(0.03), golden_items_needed(0.08, within=0.05)
    (713, 303, 118)
    """
    if not 0 <= error_rate <= 1:
        raise DataError(
            error_message("error_rate", "lie in [0, 1]", error_rate, "Divide percentages by 100.")
        )
    if not 0 < within < 0.5:
        raise DataError(
            error_message("within", "lie in (0, 0.5)", within, "0.02 means two points either way.")
        )
    low, high = 0, _MOST  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        _, lower, upper = wilson(np.array([error_rate]), np.array([float(middle)]))
        if (upper[0] - lower[0]) / 2 <= within:
            high = middle
        else:
            low = middle
    return high


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The measures of a scorecard, in order.
MEASURES = (
    "accuracy",
    "missed_violation",
    "wrongful_call",
    "flags_confirmed",
    "peer_agreement",
    "minutes",
)


@dataclass(frozen=True)
class _MeasureIntervals:
    """One measure of all sites or all reviewers; arrays of shape (n,)."""

    value: Floats
    low: Floats
    high: Floats
    n: Floats


def build_scorecards(
    verdicts: pd.DataFrame,
    model: ReviewerModel,
    *,
    salt: bytes,
    minimum: int = 30,
) -> pd.DataFrame:
    """Score every site and reviewer as of the moment when the model was fitted.

    `accuracy`: share of correct verdicts on golden items. `missed_violation` and `wrongful_call`:
    the model's error rates. `flags_confirmed`: share of flags that the expert confirmed, among
    those sent to one. `peer_agreement`: share of verdicts that equal others' on the same decision.
    `minutes`: the median. Sites are named, reviewers are pseudonymous.

    Parameters
    ----------
    verdicts
        From `content_verdicts`.
    model
        From `fit_reviewer_model` on the same verdicts.
    salt
        The secret of the pseudonyms, at least 16 bytes.
    minimum
        Estimates from fewer independent items than this are suppressed.

    Returns
    -------
    pandas.DataFrame
        One row per site or reviewer and measure: site, reviewer (missing on rows about a site),
        measure, value, low, high (95 %; all three NaN where suppressed), n (their own
        independent items), suppressed, basis (where the estimate comes from).

    Raises
    ------
    DataError
        If the salt is too short.

    Examples
    --------
    >>> from errdetect.snapshot import Snapshot
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": [f"d{i}" for i in range(40)], "decided_at": day[0],
    ...     "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": [f"r{i}" for i in range(40)], "decision_id": decisions["decision_id"],
    ...     "reviewed_at": day[1], "source": "golden", "verdict": "upheld", "expected": "upheld",
    ...     "reviewer_id": "ann", "site": "Riga", "minutes": 2.0, "inclusion_probability": None})
    >>> known = Snapshot(decisions, reviews)
    >>> cards = build_scorecards(known.verdicts, known.reviewer_model, salt=b"sixteen bytes or more")
    >>> cards[["site", "measure", "value", "low", "suppressed"]].round(3).values.tolist()[0]
    ['Riga', 'accuracy', 1.0, 0.912, False]
    """
    judged = verdicts.assign(agrees=_peer_agreement(verdicts))
    named = judged[judged["reviewer_id"].notna()]
    sites = _build_cards(judged, ["site"], model.sites, model.basis, minimum)
    people = _build_cards(named, ["site", "reviewer_id"], model.reviewers, model.basis, minimum)
    sites["reviewer"] = pd.array([None] * len(sites), dtype="str")
    people["reviewer"] = pseudonymise_ids(people["reviewer_id"], salt=salt)
    people = people.sort_values(["site", "reviewer"], kind="stable", na_position="first")
    columns = ["site", "reviewer", "measure", "value", "low", "high", "n", "suppressed", "basis"]
    return pd.concat([sites[columns], people[columns]], ignore_index=True)


def _build_cards(
    judged: pd.DataFrame, keys: list[str], rates: pd.DataFrame, basis: str, minimum: int
) -> pd.DataFrame:
    """Return all measures of every site or reviewer in `keys`, one row each."""
    who: Ints = np.asarray(judged.groupby(keys, dropna=False).ngroup(), dtype=np.int64)
    names = judged[keys].iloc[np.unique(who, return_index=True)[1]].reset_index(drop=True)
    golden = judged["source"] == GOLDEN
    sent = judged["designed"] & ~golden & judged["flags"]
    whole = rates[rates["side"] == "both"]
    modelled = names.merge(whole, on=keys, how="left", validate="one_to_one")
    figures = {
        "accuracy": (_clustered_share(judged, who, "right", golden, len(names)), "golden items"),
        RATES[0]: (_model_figures(modelled, RATES[0]), basis),
        RATES[1]: (_model_figures(modelled, RATES[1]), basis),
        "flags_confirmed": (
            _clustered_share(judged, who, "true_error", sent, len(names)),
            "adjudication",
        ),
        "peer_agreement": (_clustered_share(judged, who, "agrees", True, len(names)), "overlap"),
        "minutes": (_median_intervals(judged["minutes"].to_numpy(), who, len(names)), "reviews"),
    }
    parts = []
    for measure in MEASURES:
        figure, source = figures[measure]
        few = figure.n < minimum
        shown = {
            "value": np.where(few, np.nan, figure.value),
            "low": np.where(few, np.nan, figure.low),
            "high": np.where(few, np.nan, figure.high),
        }
        part = names.assign(measure=measure, **shown, n=figure.n, suppressed=few, basis=source)
        parts.append(part.assign(order=np.arange(len(names))))
    cards = pd.concat(parts).sort_values("order", kind="stable", ignore_index=True)
    return cards.drop(columns="order")


def _clustered_share(
    judged: pd.DataFrame, who: Ints, column: str, rows: "pd.Series[bool] | bool", n: int
) -> _MeasureIntervals:
    kept = (judged[column].notna() & rows).to_numpy(dtype=bool)
    values = judged[column].to_numpy(dtype=np.float64)[kept]
    mean, worth = clustered_rates(values, who[kept], judged["position"].to_numpy()[kept], n)
    return _MeasureIntervals(*wilson(mean, worth), worth)


def _model_figures(rates: pd.DataFrame, measure: str) -> _MeasureIntervals:
    columns = [f"{measure}{suffix}" for suffix in ("", "_low", "_high")]
    value, low, high = (rates[column].to_numpy(dtype=np.float64) for column in columns)
    own = f"{measure}_own" if f"{measure}_own" in rates else f"{measure}_n"
    return _MeasureIntervals(value, low, high, rates[own].fillna(0).to_numpy(dtype=np.float64))


def _median_intervals(values: Floats, who: Ints, n: int) -> _MeasureIntervals:
    """Return medians with intervals from binomial ranks."""
    known = ~np.isnan(values)
    order = np.lexsort((values[known], who[known]))
    ranked, owner = values[known][order], who[known][order]
    size = sum_by_group(owner, np.ones(len(owner)), n)
    start = np.cumsum(size) - size
    reach = critical_value() * np.sqrt(size) / 2

    def at(rank: Floats) -> Floats:
        inside = np.clip(np.floor(rank), 0, np.maximum(size - 1, 0)) + start
        taken = np.append(ranked, np.nan)[np.minimum(inside, len(ranked)).astype(np.int64)]
        return np.where(size > 0, taken, np.nan)

    middle = (at((size - 1) / 2) + at(size / 2)) / 2
    return _MeasureIntervals(middle, at(size / 2 - reach - 0.5), at(size / 2 + reach + 0.5), size)


def _peer_agreement(judged: pd.DataFrame) -> Floats:
    """Return the share of others with the same verdict on the decision; NaN without others."""
    kept = judged["source"].isin([AUDIT, RE_REVIEW]).to_numpy(dtype=bool)
    source = (judged["source"] == AUDIT).to_numpy()
    unit = np.unique((judged["position"].to_numpy() * 2 + source)[kept], return_inverse=True)[1]
    says = (judged["flags"].astype(np.int64) + judged["relabels"]).to_numpy()[kept]
    counts = np.bincount(unit * 3 + says, minlength=3 * (unit.max(initial=-1) + 1)).reshape(-1, 3)
    others = counts.sum(axis=1)[unit] - 1
    same = counts[unit, says] - 1
    share = np.full(len(judged), np.nan)
    share[kept] = np.where(others > 0, same / np.maximum(others, 1), np.nan)
    return share
