"""What a review is worth: the harm that it is expected to remedy, for each minute that it takes."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.policies import Policy
from errdetect.schemas import MISSED_VIOLATION, WRONG_LABEL, WRONGFUL_ACTION

__all__ = [
    "TERMS",
    "Exposure",
    "age_weights",
    "error_kinds",
    "expected_harm",
    "harm_terms",
    "review_minutes",
    "review_value",
]

Floats = npt.NDArray[np.float64]
Exposure = Literal["none", "log", "linear"]

#: The factors of a review's value, as columns; `minutes` divides.
TERMS = ("p_error", "harm", "exposure_weight", "p_reverse", "age_weight", "minutes")

_MEASURED = 5  # reviews of a policy from which its minutes are measured
_DAY = pd.Timedelta(days=1)


def error_kinds(enforced: pd.Series, suggested_policy_id: pd.Series | None = None) -> pd.Series:
    """Return the kind of error each decision would be, shape (n,).

    Parameters
    ----------
    enforced
        Shape (n,), bool.
    suggested_policy_id
        Shape (n,), given where the label rather than the action looks wrong; missing elsewhere.

    Examples
    --------
    >>> error_kinds(pd.Series([True, False])).tolist()
    ['wrongful_action', 'missed_violation']
    >>> error_kinds(pd.Series([True, True]), pd.Series(["spam", None])).tolist()
    ['wrong_label', 'wrongful_action']
    """
    kinds = np.where(enforced.to_numpy(bool), WRONGFUL_ACTION, MISSED_VIOLATION)
    if suggested_policy_id is not None:
        kinds = np.where(suggested_policy_id.notna().to_numpy(bool), WRONG_LABEL, kinds)
    return pd.Series(kinds, index=enforced.index, dtype="str")


def expected_harm(
    decisions: pd.DataFrame,
    p_error: Floats,
    policies: Mapping[str, Policy],
    exposure: Exposure = "log",
    p_wrong_label: Floats | None = None,
) -> Floats:
    """Return P(error) x harm of that kind of error under the policy x weight of the exposure.

    Parameters
    ----------
    decisions, p_error, policies, exposure, p_wrong_label
        As for `harm_terms`.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in the catalogue's unit of harm.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "b"], "enforced": [True, False]})
    >>> catalogue = {"a": Policy("a", "A", severity=3)}
    >>> expected_harm(frame, np.array([0.5, 0.5]), catalogue).tolist()
    [1.5, 0.5]
    """
    harm, weight = harm_terms(decisions, p_error, policies, exposure, p_wrong_label)
    return p_error * harm * weight


def harm_terms(
    decisions: pd.DataFrame,
    p_error: Floats,
    policies: Mapping[str, Policy],
    exposure: Exposure = "log",
    p_wrong_label: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Return the harm of an error of each decision, and the weight of its exposure.

    Parameters
    ----------
    decisions
        Shape (n, any), with `policy_id`, `enforced` and perhaps `exposure`.
    p_error
        Shape (n,), calibrated.
    policies
        The catalogue; a policy that is not in it harms 1.
    exposure
        `none` ignores exposure, `log` weighs by 1 + ln(1 + exposure), `linear` by exposure itself.
        An unknown exposure weighs 1.
    p_wrong_label
        Shape (n,), the part of P(error) that is a wrong label, which harms in its own way; where
        it is unknown (NaN) or not given, the action is what would be wrong.

    Returns
    -------
    harm, exposure_weight
        Each of shape (n,); the harm is the mean over the kinds that the error may be of.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a"], "enforced": [True], "exposure": [np.e - 1]})
    >>> catalogue = {"a": Policy("a", "A", severity=3, harm_wrongful=9.0)}
    >>> harm, weight = harm_terms(frame, np.array([0.4]), catalogue, "log", np.array([0.2]))
    >>> harm.round(6).tolist(), weight.round(6).tolist()
    ([6.0], [2.0])
    """
    weight = _exposure_weight(decisions, exposure)
    action = _harms(decisions["policy_id"], error_kinds(decisions["enforced"]), policies)
    if p_wrong_label is None:
        return action, weight
    label = np.where(np.isfinite(p_wrong_label), p_wrong_label, 0.0)
    part = np.divide(label, p_error, out=np.zeros(len(label)), where=p_error > 0)
    relabel = pd.Series(WRONG_LABEL, index=decisions.index, dtype="str")
    return action + part * (_harms(decisions["policy_id"], relabel, policies) - action), weight


def review_minutes(
    policy_id: pd.Series,
    policies: Mapping[str, Policy],
    measured: pd.DataFrame | None = None,
) -> Floats:
    """Return how long a review of each decision is expected to take, in minutes.

    Parameters
    ----------
    policy_id
        Shape (n,), the decisions' policies.
    policies
        The catalogue, whose `review_minutes` come first.
    measured
        Finished reviews with `policy_id` and `minutes`. Their median counts for a policy of which
        five or more are known, and that of all for the others.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 1 where nothing tells.

    Examples
    --------
    >>> done = pd.DataFrame({"policy_id": ["b"] * 5, "minutes": [3.0, 4, 4, 5, 90]})
    >>> catalogue = {"a": Policy("a", "A", severity=3, review_minutes=2.5)}
    >>> review_minutes(pd.Series(["a", "b", "c"]), catalogue, done).tolist()
    [2.5, 4.0, 4.0]
    >>> review_minutes(pd.Series(["c"]), catalogue).tolist()
    [1.0]
    """
    known: dict[str, float] = {}
    usual = 1.0
    if measured is not None and (done := measured.dropna(subset="minutes")).shape[0] >= _MEASURED:
        usual = float(done["minutes"].median())
        told = done.groupby("policy_id")["minutes"].agg(["size", "median"])
        often = told.loc[told["size"] >= _MEASURED, "median"]
        known = {str(policy): float(m) for policy, m in often.items()}
    known |= {p: m for p, policy in policies.items() if (m := policy.review_minutes) is not None}
    return np.asarray(policy_id.map(known).fillna(usual), np.float64)


def age_weights(decided_at: pd.Series, half_life_days: float | None) -> Floats:
    """Return what is left of a decision's harm to remedy, by its age at the newest decision.

    Parameters
    ----------
    decided_at
        Shape (n,), timestamps.
    half_life_days
        Days after which half of the harm is done and cannot be remedied; None: age does not matter.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in (0, 1].

    Examples
    --------
    >>> days = pd.Series(pd.to_datetime(["2026-01-01", "2026-01-08"], utc=True))
    >>> age_weights(days, 7).tolist(), age_weights(days, None).tolist()
    ([0.5, 1.0], [1.0, 1.0])
    """
    if half_life_days is None or not len(decided_at):
        return np.ones(len(decided_at))
    age = ((decided_at.max() - decided_at) / _DAY).to_numpy(np.float64)
    # A weight of 0 would say that the decision does not exist.
    return np.asarray(np.maximum(0.5 ** (age / half_life_days), 1e-300))


def review_value(terms: pd.DataFrame) -> Floats:
    """Return the harm that a review of each decision is expected to remedy, for each minute.

    Parameters
    ----------
    terms
        Shape (n, any), with the columns `TERMS`. An unknown `p_reverse` (NaN) counts as 1.

    Returns
    -------
    numpy.ndarray
        Shape (n,): p_error x harm x exposure_weight x p_reverse x age_weight / minutes.

    Examples
    --------
    >>> terms = pd.DataFrame({"p_error": [0.5, 0.5], "harm": 4.0, "exposure_weight": 1.0,
    ...                       "p_reverse": [0.9, np.nan], "age_weight": 1.0, "minutes": 2.0})
    >>> review_value(terms).tolist()
    [0.9, 1.0]
    """
    value: Floats = np.ones(len(terms))
    for name in TERMS:
        factor = terms[name].to_numpy(np.float64)
        if name == "p_reverse":
            factor = np.where(np.isnan(factor), 1.0, factor)
        value = value / factor if name == "minutes" else value * factor
    return value


def _harms(policy_id: pd.Series, kinds: pd.Series, policies: Mapping[str, Policy]) -> Floats:
    codes, uniques = pd.factorize(pd.MultiIndex.from_arrays([policy_id, kinds]))
    harm = np.array(
        [policies[p].harm(k) if p in policies else 1.0 for p, k in uniques], dtype=np.float64
    )
    found: Floats = harm[codes]
    return found


def _exposure_weight(decisions: pd.DataFrame, exposure: Exposure) -> Floats:
    weight: Floats = np.ones(len(decisions))
    if exposure == "none" or "exposure" not in decisions:
        return weight
    values = np.asarray(decisions["exposure"].to_numpy(np.float64, na_value=np.nan))
    known = np.isfinite(values)
    weight[known] = values[known] if exposure == "linear" else 1 + np.log1p(values[known])
    return weight
