"""Which decisions are alike: the same content, or the same account and moderator."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.minhash import near_groups
from errdetect.schemas import hash_columns

__all__ = ["ACCOUNT", "CONTENT", "Likeness", "likeness"]

Ints = npt.NDArray[np.int64]

CONTENT, ACCOUNT = "content", "account"
_MODERATOR = ("moderator", "moderator_version")


class Likeness:
    """One way of being alike, and how the decisions of each group were judged.

    Parameters
    ----------
    group
        Shape (n,): decisions that share a number are alike; -1 is alike to none.
    overturned, stood
        Shape (n,), bool: reviews found the action wrong, or right.

    Examples
    --------
    >>> overturned, stood = np.array([True, False, False]), np.array([False, True, False])
    >>> alike = Likeness(np.array([0, 0, 0]), overturned, stood)
    >>> [counts.tolist() for counts in alike.others()]
    [[0, 1, 1], [1, 0, 1]]
    """

    def __init__(
        self, group: Ints, overturned: npt.NDArray[np.bool_], stood: npt.NDArray[np.bool_]
    ) -> None:
        self.group = group
        self._seen = (overturned.astype(np.int64), stood.astype(np.int64))

    def others(self) -> tuple[Ints, Ints]:
        """Count each decision's alike ones, itself left out, that were overturned and that stood."""
        known = self.group >= 0
        code = np.where(known, self.group, 0)
        counts = []
        for seen in self._seen:
            total = np.zeros(int(code.max(initial=0)) + 1, dtype=np.int64)
            np.add.at(total, code[known], seen[known])
            counts.append(np.where(known, total[code] - seen, 0))
        return counts[0], counts[1]


def likeness(
    decisions: pd.DataFrame, overturned: npt.NDArray[np.bool_], stood: npt.NDArray[np.bool_]
) -> Mapping[str, list[Likeness]]:
    """Find who is alike, within one policy and one side (enforced or allowed).

    Alike by content are decisions on the same item, on equal or nearly equal texts, or with the
    same hash of a picture (columns whose name ends in `hash`). Alike by account are decisions on
    the same account by the same version of the same moderator.

    Parameters
    ----------
    decisions
        n decisions with `policy_id` and `enforced`, and those of `text`, `item_id`, hash columns,
        `account_id`, `moderator` and `moderator_version` that there are.
    overturned, stood
        Shape (n,): what reviews said of each decision's action; both False where unknown.

    Returns
    -------
    Mapping
        `content` and `account` to the ways in which decisions are alike.

    Examples
    --------
    >>> decisions = pd.DataFrame({
    ...     "policy_id": "spam", "enforced": True, "account_id": ["a", "a", "b"],
    ...     "text": ["Buy gold rings now!", "other words here", "buy gold rings NOW"]})
    >>> found = likeness(decisions, np.array([True, False, False]), np.zeros(3, bool))
    >>> [alike.others()[0].tolist() for alike in (found["content"][0], found["account"][0])]
    [[0, 0, 1], [0, 1, 0]]
    """
    side: Ints = decisions.groupby(["policy_id", "enforced"]).ngroup().to_numpy().astype(np.int64)
    # Where nothing was overturned nothing is alike: the texts there need not be compared.
    live = np.isin(side, np.unique(side[overturned]))
    keys: dict[str, list[list[Ints]]] = {CONTENT: [], ACCOUNT: []}
    if "text" in decisions:
        group = np.full(len(decisions), -1, dtype=np.int64)
        group[live] = near_groups(decisions["text"].iloc[np.flatnonzero(live)])
        keys[CONTENT].append([group])
    hashes = sorted(hash_columns(decisions))
    keys[CONTENT] += [[_codes(decisions[n])] for n in ["item_id", *hashes] if n in decisions]
    if "account_id" in decisions:
        names = ["account_id", *(name for name in _MODERATOR if name in decisions)]
        keys[ACCOUNT].append([_codes(decisions[name]) for name in names])
    return {
        kind: [Likeness(_joined([*codes, side], live), overturned, stood) for codes in ways]
        for kind, ways in keys.items()
    }


def _codes(values: pd.Series) -> Ints:
    codes: Ints = pd.factorize(values)[0].astype(np.int64)
    return codes


def _joined(codes: list[Ints], live: npt.NDArray[np.bool_]) -> Ints:
    """Give each combination a number; -1 where any part is missing."""
    known = live & np.all([code >= 0 for code in codes], axis=0)
    whole = np.zeros(len(known), dtype=np.int64)
    for code in codes:
        whole = pd.factorize(whole * (int(code.max(initial=0)) + 2) + code + 1)[0].astype(np.int64)
    return np.where(known, whole, -1)
