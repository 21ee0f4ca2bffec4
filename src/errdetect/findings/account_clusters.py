"""Clusters of accounts with many wrongful actions, and whether these continue."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from errdetect.findings.audit_evidence import KINDS, AuditEvidence
from errdetect.findings.error_slices import rows_by_code
from errdetect.findings.rate_tests import (
    ExcessTest,
    Rate,
    confirmed_rate,
    excess_test,
    weighted_rate,
)
from errdetect.schemas import WRONGFUL_ACTION
from errdetect.stats.multiple_testing import benjamini_hochberg

__all__ = ["AccountCluster", "find_account_clusters"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_WRONGFUL = KINDS.index(WRONGFUL_ACTION)
_LEAST = 2  # known wrongful actions that put an account in the cluster
_SHARE = 0.5  # share of its reviewed enforcements that must be wrongful
_LEAST_LATER = 8


@dataclass(frozen=True)
class AccountCluster:
    """Accounts of one policy with many wrongful actions earlier, and their rate later.

    Parameters
    ----------
    policy
        Code of the policy.
    accounts
        Codes of the accounts.
    rows
        Rows among the audited decisions (both parts).
    inside, outside, base
        Wrongful actions among the group's, the other, and all decisions of the later part.
    p_value, q_value
        One-sided, from the later part, and the false discovery rate over all policies' clusters.
    confirmed
        Whether the q-value is at most the requested level.
    """

    policy: int
    accounts: Ints
    rows: Ints
    inside: Rate
    outside: Rate
    base: Rate
    p_value: float
    q_value: float = 1.0
    confirmed: bool = False


def find_account_clusters(
    account: Ints,
    policy: Ints,
    known: Ints,
    right: Bools,
    early: Bools,
    evidence: AuditEvidence,
    *,
    level: float = 0.05,
) -> list[AccountCluster]:
    """Find accounts with many earlier wrongful actions under a policy; test whether these continue.

    Parameters
    ----------
    account, policy
        Codes of each decision's account (-1: unknown) and policy, shape (n,).
    known
        0, or the kind of the known error, shape (n,).
    right
        Enforcements that reviewers upheld, shape (n,).
    early
        From `earlier_part`.
    evidence
        From `read_audit_evidence`.
    level
        False discovery rate among the confirmed.

    Returns
    -------
    list of AccountCluster
        At most one per policy.
    """
    picked = _wronged_accounts(account, policy, known, right, early)
    if not len(picked):
        return []
    member = _is_member(account, policy, picked)
    found, tests = [], []
    for code, rows in enumerate(rows_by_code(evidence.policy, int(policy.max(initial=0)) + 1)):
        inside = member[evidence.position[rows]]
        late = ~evidence.early[rows]
        if (inside & late).sum() < _LEAST_LATER:
            continue
        own = evidence.select_rows(rows)
        test = excess_test(own, inside & late, ~inside & late, _WRONGFUL)
        tests.append((own, inside & late, test))
        found.append(
            AccountCluster(
                policy=code,
                accounts=picked[picked[:, 0] == code, 1],
                rows=rows[inside],
                inside=weighted_rate(own, inside & late, _WRONGFUL),
                outside=weighted_rate(own, ~inside & late, _WRONGFUL),
                base=weighted_rate(own, late, _WRONGFUL),
                p_value=1.0 if test is None else test.p_value,
            )
        )
    return _confirm_clusters(found, tests, level)


def _confirm_clusters(
    found: list[AccountCluster],
    tests: list[tuple[AuditEvidence, Bools, ExcessTest | None]],
    level: float,
) -> list[AccountCluster]:
    """Hold the false discovery rate over all clusters; rates leave out what the selection added."""
    q = benjamini_hochberg(np.array([g.p_value for g in found]))
    share = float((q <= level).sum()) / max(len(found), 1)
    out = []
    for group, (own, rows, test), q_value in zip(found, tests, q.tolist(), strict=True):
        confirmed, inside = q_value <= level and test is not None, group.inside
        if confirmed and test is not None:
            wide = weighted_rate(own, rows, _WRONGFUL, confidence=1 - 0.05 * share)
            inside = confirmed_rate(wide, test, group.outside, level * share)
        out.append(replace(group, inside=inside, q_value=q_value, confirmed=confirmed))
    return out


def _wronged_accounts(account: Ints, policy: Ints, known: Ints, right: Bools, early: Bools) -> Ints:
    """Return (policy, account) of accounts with mostly wrongful actions, ascending, shape (k, 2)."""
    wronged = early & (known == _WRONGFUL) & (account >= 0)
    upheld = early & right & (account >= 0)
    pairs = np.column_stack([policy, account])
    keys, counts = np.unique(pairs[wronged], axis=0, return_counts=True)
    keys, counts = keys[counts >= _LEAST], counts[counts >= _LEAST]
    against = np.zeros(len(keys), dtype=np.int64)
    if len(keys):
        width = int(account.max()) + 1
        at = np.searchsorted(keys @ [width, 1], pairs[upheld] @ [width, 1])
        at = np.minimum(at, len(keys) - 1)
        same = (keys[at] == pairs[upheld]).all(axis=1)
        against = np.bincount(at[same], minlength=len(keys))
    picked: Ints = keys[counts / (counts + against) > _SHARE]
    return picked


def _is_member(account: Ints, policy: Ints, picked: Ints) -> Bools:
    width = int(account.max(initial=0)) + 2
    return np.isin(policy * width + account + 1, picked @ [width, 1] + 1)
