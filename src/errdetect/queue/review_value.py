"""Value of a review: the harm it is expected to remedy, per minute; equal content shares one."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.policy_catalogue import Policy
from errdetect.data.review_versions import latest_versions
from errdetect.schemas import (
    GOLDEN,
    MISSED_VIOLATION,
    OVERTURNED,
    RELABELLED,
    UPHELD,
    WRONG_LABEL,
    WRONGFUL_ACTION,
    hash_columns,
)

__all__ = [
    "TERMS",
    "Exposure",
    "age_weights",
    "content_digests",
    "error_kinds",
    "expected_harm",
    "golden_detections",
    "harm_terms",
    "job_heads",
    "p_overturn",
    "review_minutes",
    "review_value",
    "site_sensitivity",
]


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What must be equal besides the content, so that one verdict covers all.
_QUESTION = ("policy_id", "enforced", "market", "language")


def content_digests(decisions: pd.DataFrame) -> pd.Series:
    """Return a digest, equal for decisions with equal content and question to the reviewer.

    Content is the exact text, and every column whose name ends in `hash` (such as an image hash).
    The question is the policy, whether the decision enforced, market and language.

    Parameters
    ----------
    decisions
        Shape (n, any), cleaned.

    Returns
    -------
    pandas.Series
        Shape (n,), bytes of 128 bits; None where there is neither text nor hash: content that
        cannot be compared is not equal.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": "spam", "enforced": [True, True, False, True],
    ...                       "text": ["Buy 50", "Buy 50", "Buy 50", None]})
    >>> digest = content_digests(frame)
    >>> digest[0] == digest[1], digest[0] == digest[2], digest[3] is None
    (True, False, True)
    """
    hashes = hash_columns(decisions)
    content = [n for n in decisions if n == "text" or n in hashes]
    columns = [*content, *(n for n in _QUESTION if n in decisions)]
    known = decisions[content].notna().any(axis=1).to_numpy(bool)
    compared = decisions.loc[known, columns]
    digests = np.full(len(decisions), None, dtype=object)
    digests[known] = [
        hashlib.blake2b(row, digest_size=16).digest() for row in _joined_columns(compared)
    ]
    return pd.Series(digests, index=decisions.index, dtype=object)


def _joined_columns(frame: pd.DataFrame) -> list[bytes]:
    """Join each row's values after their lengths, so that no text can pass for another column."""
    texts = [pa.array(frame[name].astype("str"), pa.large_string()) for name in frame]
    flat = [t.combine_chunks() if isinstance(t, pa.ChunkedArray) else t for t in texts]
    sizes = [pc.utf8_length(text).cast(pa.large_string()) for text in flat]
    joined = pc.binary_join_element_wise(
        *sizes,
        *flat,
        pa.scalar("\0", pa.large_string()),
        null_handling="replace",
        null_replacement="-",
    )
    rows: list[bytes] = joined.cast(pa.large_binary()).to_pylist()
    return rows


def job_heads(content: pd.Series, open_: npt.NDArray[np.bool_], value: Floats) -> Ints:
    """Group decisions of equal content into one job, and return the decision to review.

    Parameters
    ----------
    content
        Shape (n,), from `content_digests`; a missing one is a job of its own.
    open_
        Shape (n,), False for decisions that are not queued: each is its own job.
    value
        Shape (n,). The most valuable member is reviewed; ties go to the first.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,): the position of the member that is reviewed for each decision.

    Examples
    --------
    >>> content = pd.Series([b"x", b"x", None, b"x"])
    >>> job_heads(content, np.array([True, True, True, False]), np.array([1.0, 2, 3, 9])).tolist()
    [1, 1, 2, 3]
    """
    heads = np.arange(len(content), dtype=np.int64)
    member = open_ & content.notna().to_numpy(bool)
    rows = np.flatnonzero(member)
    if not len(rows):
        return heads
    rows = rows[np.argsort(-value[rows], kind="stable")]
    digests = pa.array(content, from_pandas=True)
    if isinstance(digests, pa.ChunkedArray):
        digests = digests.combine_chunks()
    codes = digests.dictionary_encode().indices.fill_null(0).to_numpy()
    _, first, group = np.unique(codes[rows], return_index=True, return_inverse=True)
    heads[rows] = rows[first[group]]
    return heads


_LENT = 20.0  # golden items that the kind's level counts for against a policy's
_LEAST = 10.0  # items of known truth below which a level is no evidence

#: A site's detection of each kind: the column (an error rate) and the side.
_RATES = {
    WRONGFUL_ACTION: ("wrongful_call", "enforced"),
    MISSED_VIOLATION: ("missed_violation", "allowed"),
}


def golden_detections(reviews: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Count, by kind of error and policy, the known errors that reviewers found.

    Parameters
    ----------
    reviews
        The contract's reviews; only `golden` ones that expect an error count.
    decisions
        With `decision_id`, `policy_id` and `enforced`; of the golden items at least.

    Returns
    -------
    pandas.DataFrame
        error_kind, policy_id, n (reviews), found.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["1", "2"], "decision_id": ["a", "b"],
    ...                         "source": "golden", "expected": "overturned", "verdict": ["upheld", "overturned"]})
    >>> golden_detections(reviews, decisions).values.tolist()
    [['wrongful_action', 'spam', 2, 1]]
    """
    reviews = latest_versions(reviews)
    known = reviews[
        (reviews["source"] == GOLDEN) & reviews["expected"].isin([OVERTURNED, RELABELLED])
    ]
    items = known[["decision_id", "expected", "verdict"]].merge(
        decisions[["decision_id", "policy_id", "enforced"]], on="decision_id"
    )
    action = np.where(items["enforced"].to_numpy(bool), WRONGFUL_ACTION, MISSED_VIOLATION)
    kind = np.where(items["expected"] == RELABELLED, WRONG_LABEL, action)
    items = items.assign(error_kind=kind, found=(items["verdict"] != UPHELD).astype(np.int64))
    counts = items.groupby(["error_kind", "policy_id"], as_index=False)["found"].agg(
        ["size", "sum"]
    )
    return counts.rename(columns={"size": "n", "sum": "found"})


def site_sensitivity(sites: pd.DataFrame, kind: str, names: Sequence[str] = ()) -> float:
    """Return the share of errors of a kind that sites find, from the reviewer model.

    Parameters
    ----------
    sites
        `ReviewerModel.sites`.
    kind
        The kind of error; the model does not cover wrong labels.
    names
        The sites that would review; none means all.

    Returns
    -------
    float
        The mean, weighted by each site's items; NaN where the model has fewer than ten items.

    Examples
    --------
    >>> sites = pd.DataFrame({"site": ["x", "y"], "side": "both", "wrongful_call": [0.1, 0.3],
    ...                       "wrongful_call_n": [30.0, 10.0], "missed_violation": np.nan,
    ...                       "missed_violation_n": 0.0})
    >>> site_sensitivity(sites, "wrongful_action"), site_sensitivity(sites, "wrongful_action", ["y"])
    (0.85, 0.7)
    >>> site_sensitivity(sites, "missed_violation")
    nan
    """
    if kind not in _RATES:
        return float("nan")
    column, side = _RATES[kind]
    own = sites[sites["side"] == (side if (sites["side"] == side).any() else "both")]
    if names:
        own = own[own["site"].isin(list(names))]
    worth = own[f"{column}_n"].to_numpy(np.float64)
    known = own[column].notna().to_numpy(bool) & (worth > 0)
    if worth[known].sum() < _LEAST:
        return float("nan")
    missed = own[column].to_numpy(np.float64)[known]
    return float(np.average(1 - missed, weights=worth[known]))


def p_overturn(
    error_kind: pd.Series,
    policy_id: pd.Series,
    finds: pd.DataFrame,
    level: pd.DataFrame | None = None,
) -> Floats:
    """Return the probability that reviewers would overturn each decision if it is wrong.

    Parameters
    ----------
    error_kind, policy_id
        Shape (n,), the kind that the error would be, and the decision's policy.
    finds
        Known errors and how many of them reviewers found, from `golden_detections`.
    level
        From the reviewer model: columns named by kind, one row per decision, shape (n, any); NaN
        where unknown; the golden items of all policies together are used instead.

    Returns
    -------
    numpy.ndarray
        Shape (n,): each policy's own share, shrunk towards the level of its kind by 20 golden items;
        NaN where fewer than ten items of known truth give the level.

    Examples
    --------
    >>> finds = pd.DataFrame({"error_kind": "wrongful_action", "policy_id": ["a", "b"],
    ...                       "n": [60, 20], "found": [60, 10]})
    >>> kinds = pd.Series(["wrongful_action", "wrongful_action", "missed_violation"])
    >>> p_overturn(kinds, pd.Series(["a", "b", "a"]), finds).round(3).tolist()
    [0.969, 0.688, nan]
    """
    chance = np.full(len(error_kind), np.nan)
    for kind in (WRONGFUL_ACTION, MISSED_VIOLATION, WRONG_LABEL):
        rows = (error_kind == kind).to_numpy(bool)
        own = finds[finds["error_kind"] == kind].set_index("policy_id")[["n", "found"]]
        total = own.sum()
        pooled = float(total["found"] / total["n"]) if total["n"] >= _LEAST else float("nan")
        base = np.full(int(rows.sum()), pooled)
        if level is not None and kind in level:
            modelled = level.loc[rows, kind].to_numpy(np.float64)
            base = np.where(np.isnan(modelled), base, modelled)
        n, found = (
            policy_id[rows].map(own[name]).fillna(0).to_numpy(np.float64) for name in ("n", "found")
        )
        chance[rows] = (found + _LENT * base) / (n + _LENT)
    return chance


Exposure = Literal["none", "log", "linear"]

#: The factors of a review's value, as columns; `minutes` divides.
TERMS = ("p_error", "harm", "exposure_weight", "p_overturn", "age_weight", "minutes")

_MEASURED = 5  # reviews of a policy from which its minutes are measured
_DAY = pd.Timedelta(days=1)


def error_kinds(enforced: pd.Series, suggested_policy_id: pd.Series | None = None) -> pd.Series:
    """Return the kind of error each decision would be, shape (n,).

    Parameters
    ----------
    enforced
        Shape (n,), bool.
    suggested_policy_id
        Shape (n,), given where the label rather than the action is likely wrong; missing elsewhere.

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
        The catalogue; a policy that is not in it has harm 1.
    exposure
        `none` ignores exposure, `log` weighs by 1 + ln(1 + exposure), `linear` by exposure itself.
        An unknown exposure weighs 1.
    p_wrong_label
        Shape (n,), the part of P(error) that is a wrong label, with a harm of its own; where it
        is unknown (NaN) or not given, the error is in the action.

    Returns
    -------
    harm, exposure_weight
        Each of shape (n,); the harm is the mean over the possible kinds of error.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a"], "enforced": [True], "exposure": [np.e - 1]})
    >>> catalogue = {"a": Policy("a", "A", severity=3, harm_wrongful=9.0)}
    >>> harm, weight = harm_terms(frame, np.array([0.4]), catalogue, "log", np.array([0.2]))
    >>> harm.round(6).tolist(), weight.round(6).tolist()
    ([6.0], [2.0])
    """
    weight = _exposure_weight(decisions, exposure)
    action = _harm_by_kind(decisions["policy_id"], error_kinds(decisions["enforced"]), policies)
    if p_wrong_label is None:
        return action, weight
    label = np.where(np.isfinite(p_wrong_label), p_wrong_label, 0.0)
    part = np.divide(label, p_error, out=np.zeros(len(label)), where=p_error > 0)
    relabel = pd.Series(WRONG_LABEL, index=decisions.index, dtype="str")
    return action + part * (
        _harm_by_kind(decisions["policy_id"], relabel, policies) - action
    ), weight


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
        Shape (n,); 1 where unknown.

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
    typical = 1.0
    if measured is not None and (done := measured.dropna(subset="minutes")).shape[0] >= _MEASURED:
        typical = float(done["minutes"].median())
        by_policy = done.groupby("policy_id")["minutes"].agg(["size", "median"])
        often = by_policy.loc[by_policy["size"] >= _MEASURED, "median"]
        known = {str(policy): float(m) for policy, m in often.items()}
    known |= {p: m for p, policy in policies.items() if (m := policy.review_minutes) is not None}
    return np.asarray(policy_id.map(known).fillna(typical), np.float64)


def age_weights(
    decided_at: pd.Series, half_life_days: float | None, latest: pd.Timestamp | None = None
) -> Floats:
    """Return the share of a decision's harm that can still be remedied, by its age at the newest decision.

    Parameters
    ----------
    decided_at
        Shape (n,), timestamps.
    half_life_days
        Days after which half of the harm can no longer be remedied; None: age does not matter.
    latest
        The newest decision's timestamp; default: that of these decisions.

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
    newest = pd.Timestamp(decided_at.max() if latest is None else latest)
    age = -((decided_at - newest) / _DAY).to_numpy(np.float64)
    # A weight of 0 would drop the decision.
    return np.asarray(np.maximum(0.5 ** (age / half_life_days), 1e-300))


def review_value(terms: pd.DataFrame) -> Floats:
    """Return the harm that a review of each decision is expected to remedy, per minute.

    Parameters
    ----------
    terms
        Shape (n, any), with the columns `TERMS`. An unknown `p_overturn` (NaN) counts as 1.

    Returns
    -------
    numpy.ndarray
        Shape (n,): p_error x harm x exposure_weight x p_overturn x age_weight / minutes.

    Examples
    --------
    >>> terms = pd.DataFrame({"p_error": [0.5, 0.5], "harm": 4.0, "exposure_weight": 1.0,
    ...                       "p_overturn": [0.9, np.nan], "age_weight": 1.0, "minutes": 2.0})
    >>> review_value(terms).tolist()
    [0.9, 1.0]
    """
    value: Floats = np.ones(len(terms))
    for name in TERMS:
        factor = terms[name].to_numpy(np.float64)
        if name == "p_overturn":
            factor = np.where(np.isnan(factor), 1.0, factor)
        value = value / factor if name == "minutes" else value * factor
    return value


def _harm_by_kind(policy_id: pd.Series, kinds: pd.Series, policies: Mapping[str, Policy]) -> Floats:
    policy, names = pd.factorize(policy_id)
    kind, each = pd.factorize(kinds)
    harm = np.ones((len(names) + 1, len(each)))  # the last for a missing policy
    for row, name in enumerate(names):
        if name in policies:
            harm[row] = [policies[name].harm(k) for k in each]
    found: Floats = harm[policy, kind]
    return found


def _exposure_weight(decisions: pd.DataFrame, exposure: Exposure) -> Floats:
    weight: Floats = np.ones(len(decisions))
    if exposure == "none" or "exposure" not in decisions:
        return weight
    values = np.asarray(decisions["exposure"].to_numpy(np.float64, na_value=np.nan))
    known = np.isfinite(values)
    weight[known] = values[known] if exposure == "linear" else 1 + np.log1p(values[known])
    return weight
