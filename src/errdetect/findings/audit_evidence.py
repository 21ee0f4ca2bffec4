"""Verdicts on the decisions that a designed audit drew: the evidence for every finding."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.schemas import CORRECT, ERROR, ERROR_KINDS, WRONG_LABEL
from errdetect.snapshot import Snapshot

__all__ = [
    "ANY",
    "KINDS",
    "AuditEvidence",
    "DecisionLog",
    "earlier_part",
    "error_kind_codes",
    "read_audit_evidence",
    "read_decision_log",
]


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ANY = "any"
#: Kinds of error that a finding may be about, in the order of the columns of `AuditEvidence.errors`.
KINDS = (ANY, *ERROR_KINDS)
_EDGES = (0.2, 0.4, 0.6, 0.8)
_PRIOR = 5.0
_SEARCHED = 0.5


@dataclass(frozen=True)
class AuditEvidence:
    """One entry for each of m audited decisions.

    Parameters
    ----------
    position
        Row among the decisions, ascending, shape (m,).
    policy
        Code of the policy, shape (m,).
    weight
        1/inclusion probability, shape (m,).
    errors
        P(error) given the reviews, by kind (see `KINDS`), shape (m, 4).
    spread
        Factor of the variance of a weighted count of errors over that of a plain one where decisions
        like this one are drawn: weight times the relative error rate at that weight, by
        kind, shape (m, 4).
    settled
        Whether an expert has answered.
    early
        Whether the decision belongs to the part that is searched; the rest confirms.
    """

    position: Ints
    policy: Ints
    weight: Floats
    errors: Floats
    spread: Floats
    settled: Bools
    early: Bools

    def __len__(self) -> int:
        return len(self.position)

    def select_rows(self, rows: Bools | Ints) -> "AuditEvidence":
        """Return these rows."""
        names = ("position", "policy", "weight", "errors", "spread", "settled", "early")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def read_audit_evidence(snapshot: Snapshot, policy: Ints, early: Bools) -> AuditEvidence:
    """Gather the audited decisions with the P(error) of each.

    Only designed samples count: other reviews were not drawn, so they are no evidence of a rate.
    Decisions that no reviewer flagged count as correct, an expert's verdict is final, and other
    flags count by how reliable the reviewers are (`p_label`).

    Parameters
    ----------
    snapshot
        n decisions and their reviews.
    policy
        Code of each decision's policy, shape (n,).
    early
        Which decisions are searched, from `earlier_part`, shape (n,).

    Returns
    -------
    AuditEvidence

    Raises
    ------
    Refusal, DataError
        Where the audit's inclusion probabilities or times cannot be used.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day,
    ...                           "policy_id": "spam", "enforced": [True, False]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["1"], "decision_id": ["a"], "source": "audit", "verdict": "overturned",
    ...     "inclusion_probability": 0.5, "site": "x", "reviewed_at": day[1:]})
    >>> judged = read_audit_evidence(
    ...     Snapshot(decisions, reviews), np.zeros(2, dtype=np.int64), np.zeros(2, dtype=bool))
    >>> judged.weight.tolist(), judged.errors.tolist()
    ([2.0], [[1.0, 1.0, 0.0, 0.0]])
    """
    audit, labels = snapshot.audit_sample, snapshot.labels
    at = audit.position
    believed = labels["p_label"].to_numpy(np.float64, na_value=np.nan)[at]
    believed = np.where(np.isnan(believed), audit.error, believed)
    flagged = np.where(audit.flagged, believed, 0.0)
    p = np.where(audit.adjudicated, audit.expert_error, flagged)
    kind = error_kind_codes(snapshot.decisions["enforced"].iloc[at], labels["error_kind"].iloc[at])
    errors = np.column_stack([p, *(p * (kind == k) for k in range(1, len(KINDS)))])
    return AuditEvidence(
        position=at,
        policy=policy[at],
        weight=audit.weight,
        errors=errors,
        spread=_relative_error_rates(policy[at], audit.weight, errors),
        settled=audit.adjudicated,
        early=early[at],
    )


def error_kind_codes(enforced: "pd.Series[bool]", error_kind: "pd.Series[str]") -> Ints:
    """Return the kind that an error of each decision is or would be, as its index in `KINDS`.

    Examples
    --------
    >>> error_kind_codes(pd.Series([True, False]), pd.Series(["wrong_label", None])).tolist()
    [3, 2]
    """
    relabel = (error_kind == WRONG_LABEL).to_numpy(dtype=bool)
    codes = np.where(enforced.to_numpy(dtype=bool), 1, 2)
    return np.where(relabel, KINDS.index(WRONG_LABEL), codes)


def earlier_part(decisions: pd.DataFrame, policy: Ints, *, share: float = _SEARCHED) -> Bools:
    """Return which decisions are searched: the earliest of each policy and moderator version.

    A version that was released late or retired early can so be both found and confirmed; no decision
    is used for both.

    Parameters
    ----------
    decisions
        With `decided_at` and perhaps `moderator`, `moderator_version`, shape (n, any).
    policy
        Code of each decision's policy, shape (n,).
    share
        Share that is searched.

    Returns
    -------
    numpy.ndarray
        Shape (n,), bool; equal times by row.

    Examples
    --------
    >>> log = pd.DataFrame({"decided_at": pd.date_range("2026-01-01", periods=4)})
    >>> earlier_part(log, np.zeros(4, dtype=np.int64), share=0.5).tolist()
    [True, True, False, False]
    """
    group = policy.astype(np.int64)
    for name in ("moderator", "moderator_version"):
        if name in decisions:
            codes = pd.factorize(decisions[name])[0]
            group = group * (codes.max(initial=0) + 2) + codes + 1
    times = decisions["decided_at"].to_numpy()
    order = np.lexsort((times, group))
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    size = np.diff(np.r_[starts, len(ordered)])
    nth = np.arange(len(ordered)) - np.repeat(starts, size)
    early = np.empty(len(ordered), dtype=bool)
    early[order] = nth < np.repeat(np.ceil(size * share), size)
    return early


def _relative_error_rates(policy: Ints, weight: Floats, errors: Floats) -> Floats:
    """Return weight x (error rate at this weight / the policy's), the rates by fifths of weight."""
    out = np.empty(errors.shape)
    order = np.argsort(policy, kind="stable")
    ends = np.cumsum(np.unique(policy, return_counts=True)[1])
    for rows in np.split(order, ends[:-1]) if len(order) else []:
        w, e = weight[rows], errors[rows]
        bins = np.searchsorted(np.unique(np.quantile(w, _EDGES)), w, "right")
        rate = np.maximum(w @ e / w.sum(), 1e-9)
        count = np.bincount(bins)
        for kind in range(errors.shape[1]):
            mass = np.bincount(bins, e[:, kind]) + _PRIOR * rate[kind]
            out[rows, kind] = w * (mass / (count + _PRIOR) / rate[kind])[bins]
    return out


@dataclass(frozen=True)
class DecisionLog:
    """The decisions with codes and known errors, n entries each.

    Parameters
    ----------
    decisions
        The contract's decisions with `enforced`.
    policy, policy_ids
        Codes of the policies, and their names.
    account, account_ids
        Codes of the accounts (-1: unknown), and their names.
    known
        0 where no error is known, else its kind, an index in `KINDS`; from any source.
    right
        Enforcements that reviewers upheld.
    early
        Which decisions are searched; the others confirm.
    days
        From the first to the last decision, at least 1.
    """

    decisions: pd.DataFrame
    policy: Ints
    policy_ids: tuple[str, ...]
    account: Ints
    account_ids: tuple[str, ...]
    known: Ints
    right: Bools
    early: Bools
    days: float


def read_decision_log(snapshot: Snapshot) -> DecisionLog:
    """Read the log into arrays.

    Parameters
    ----------
    snapshot
        The contract's decisions with `enforced`, and their reviews.

    Returns
    -------
    DecisionLog

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "policy_id": ["spam", "adult"],
    ...                           "enforced": True, "decided_at": day})
    >>> reviews = pd.DataFrame({"review_id": ["1", "2"], "decision_id": ["a", "b"],
    ...     "source": "audit", "verdict": ["relabelled", "upheld"], "reviewed_at": day[1]})
    >>> log = read_decision_log(Snapshot(decisions, reviews))
    >>> log.policy.tolist(), log.known.tolist(), log.days
    ([1, 0], [3, 0], 2.0)
    """
    decisions, labels = snapshot.decisions, snapshot.labels
    policy, names = pd.factorize(decisions["policy_id"], sort=True)
    account, owners = np.full(len(decisions), -1), pd.Index([])
    if "account_id" in decisions:
        account, owners = pd.factorize(decisions["account_id"], sort=True)
    wrong = (labels["label"] == ERROR).to_numpy(dtype=bool)
    upheld = (labels["label"] == CORRECT).to_numpy(dtype=bool)
    span = decisions["decided_at"].max() - decisions["decided_at"].min()
    days = span.total_seconds() / 86_400 if len(decisions) else 0.0
    return DecisionLog(
        decisions=decisions,
        policy=policy.astype(np.int64),
        policy_ids=tuple(str(name) for name in names),
        account=account.astype(np.int64),
        account_ids=tuple(str(name) for name in owners),
        known=np.where(wrong, error_kind_codes(decisions["enforced"], labels["error_kind"]), 0),
        right=upheld & decisions["enforced"].to_numpy(dtype=bool),
        early=earlier_part(decisions, policy),
        days=max(days, 1.0),
    )
