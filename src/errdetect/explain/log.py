"""The decision log as findings need it: codes, what is known of each decision, what is searched."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.findings.evidence import earlier_part, kind_codes
from errdetect.schemas import CORRECT, ERROR
from errdetect.snapshot import Snapshot

__all__ = ["Log", "read_log"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Log:
    """The decisions with codes and knowledge, n entries each.

    Parameters
    ----------
    decisions
        The contract's decisions with `enforced`.
    policy, policy_ids
        Codes of the policies, and their names.
    account, account_ids
        Codes of the accounts (-1: unknown), and their names.
    known
        0 where no error is known, else its kind, a place in `judged.KINDS`; from any source.
    right
        Enforcements that people upheld.
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


def read_log(snapshot: Snapshot) -> Log:
    """Lay out the log.

    Parameters
    ----------
    snapshot
        The contract's decisions with `enforced`, and what reviews say of them.

    Returns
    -------
    Log

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "policy_id": ["spam", "adult"],
    ...                           "enforced": True, "decided_at": day})
    >>> reviews = pd.DataFrame({"review_id": ["1", "2"], "decision_id": ["a", "b"],
    ...     "source": "audit", "verdict": ["relabelled", "upheld"], "reviewed_at": day[1]})
    >>> log = read_log(Snapshot(decisions, reviews))
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
    return Log(
        decisions=decisions,
        policy=policy.astype(np.int64),
        policy_ids=tuple(str(name) for name in names),
        account=account.astype(np.int64),
        account_ids=tuple(str(name) for name in owners),
        known=np.where(wrong, kind_codes(decisions["enforced"], labels["error_kind"]), 0),
        right=upheld & decisions["enforced"].to_numpy(dtype=bool),
        early=earlier_part(decisions, policy),
        days=max(days, 1.0),
    )
