"""Which policies the machine cites instead of which: from the cited one to the correct one."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.snapshot import Snapshot
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import wilson

__all__ = ["MIXUP_COLUMNS", "find_label_mixups"]

#: Columns of the table, in order.
MIXUP_COLUMNS: Final = (
    "policy_id", "correct_policy_id", "share", "low", "high", "n_reviews", "n_mixed",
    "n_decisions", "n_decisions_low", "n_decisions_high", "both_ways", "suppressed", "examples",
)  # fmt: skip

_MOST_EXAMPLES = 5
#: Relabelled decisions below which a pair may be a slip of one reviewer.
_LEAST = 2


def find_label_mixups(snapshot: Snapshot, *, minimum: int = 10) -> pd.DataFrame:
    """Estimate how often an enforcement cites one policy where another is correct.

    Rests on audited automated enforcements whose action is right and whose correct policy is known:
    upheld, or relabelled with the policy that most reviews name. Reviewers' own slips are not taken
    out.

    Parameters
    ----------
    snapshot
        Decisions and reviews.
    minimum
        Audited decisions of a policy below which its figures are suppressed.

    Returns
    -------
    pandas.DataFrame
        A row for each pair that a reviewer named: policy_id (cited), correct_policy_id, share of the
        cited policy's rightful enforcements with its 95 % interval, n_reviews (audited decisions of
        the cited policy), n_mixed (those of the pair), n_decisions with limits (how many of the log,
        estimated), both_ways (whether the reverse occurs, too), suppressed, examples (decision ids,
        from any review). Most mixed-up decisions first, by the lower limit; pairs that one review
        alone supports come last.

    Notes
    -----
    Wilson's interval of the Hajek estimate, at the sample size that its linearised variance is worth,
    an account's decisions as one cluster, and at most that of Kish (1965), Survey Sampling, section
    11.7 (Korn and Graubard 1998, Survey Methodology 24, 193-201).

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> ids = [f"d{i}" for i in range(40)]
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ids, "decided_at": day[0], "policy_id": "scam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ids, "decision_id": ids, "reviewed_at": day[1], "source": "audit",
    ...     "verdict": ["relabelled"] * 10 + ["upheld"] * 30, "reviewer_id": "ann",
    ...     "correct_policy_id": ["spam"] * 10 + [None] * 30, "inclusion_probability": 0.5})
    >>> found = find_label_mixups(Snapshot(decisions, reviews))
    >>> found[["policy_id", "correct_policy_id", "share", "n_decisions"]].values.tolist()
    [['scam', 'spam', 0.25, 20.0]]
    """
    machine = snapshot.automated
    correct = machine.correct_policies.reset_index(drop=True)
    cited = machine.decisions["policy_id"].astype("str").reset_index(drop=True)
    known = correct.notna().to_numpy(bool)
    sample = machine.audit_sample
    drawn = known[sample.position]
    at, weight = sample.position[drawn], sample.weight[drawn]
    decisions = machine.decisions
    one = decisions["account_id"] if "account_id" in decisions else decisions["decision_id"]
    account = one.fillna(decisions["decision_id"]).to_numpy(object)
    audited = pd.DataFrame(
        {
            "from": cited.to_numpy()[at],
            "to": correct.to_numpy()[at],
            "w": weight,
            "cluster": pd.factorize(account[at])[0],
        }
    )
    cited_total = audited.groupby("from").agg(w=("w", "sum"), n=("w", "size"))
    pairs = audited[audited["from"] != audited["to"]].groupby(["from", "to"])
    mixed = pairs.agg(w=("w", "sum"), n=("w", "size")).reset_index()
    if mixed.empty:
        return pd.DataFrame({name: [] for name in MIXUP_COLUMNS})
    base = cited_total.loc[mixed["from"]].reset_index(drop=True)
    share = (mixed["w"] / base["w"]).to_numpy(np.float64)
    limits = wilson(share, _independent_draws(audited, mixed))
    few = (base["n"] < minimum).to_numpy(bool)
    total = base["w"].to_numpy(np.float64)
    names = set(zip(mixed["from"], mixed["to"], strict=True))
    wrong = known & (correct != cited).to_numpy(bool)
    examples = _examples(cited[wrong], correct[wrong], machine.decisions["decision_id"])
    table = pd.DataFrame(
        {
            "policy_id": mixed["from"],
            "correct_policy_id": mixed["to"],
            **_suppress(few, share=share, low=limits.low, high=limits.high),
            "n_reviews": base["n"],
            "n_mixed": mixed["n"],
            **_suppress(
                few,
                n_decisions=share * total,
                n_decisions_low=limits.low * total,
                n_decisions_high=limits.high * total,
            ),
            "both_ways": [(b, a) in names for a, b in zip(mixed["from"], mixed["to"], strict=True)],
            "suppressed": few,
            "examples": [examples[pair] for pair in zip(mixed["from"], mixed["to"], strict=True)],
        }
    )
    return _ordered(table)


def _independent_draws(audited: pd.DataFrame, mixed: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return how many equal, independent draws each pair's share is worth.

    Weights count as they meet the mix-ups: few heavy draws that are mixed up make a share uncertain.
    """
    sizes = []
    for one, group in audited.groupby("from", sort=False):
        weight, cluster = group["w"].to_numpy(np.float64), group["cluster"].to_numpy()
        kish = effective_size(weight)
        for other in mixed.loc[mixed["from"] == one, "to"]:
            wrong = (group["to"] == other).to_numpy(np.float64)
            share = float(weight @ wrong) / float(weight.sum())
            residual = np.bincount(cluster, weight * (wrong - share))
            variance = float(residual @ residual) / float(weight.sum()) ** 2
            worth = share * (1 - share) / variance if variance > 0 else kish
            sizes.append((one, other, min(kish, max(worth, 1.0))))
    table = pd.DataFrame(sizes, columns=["from", "to", "size"])
    ordered = mixed[["from", "to"]].merge(table, on=["from", "to"], how="left", validate="1:1")
    return ordered["size"].to_numpy(np.float64)


def _suppress(
    few: npt.NDArray[np.bool_], **figures: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.where(few, np.nan, value) for name, value in figures.items()}


def _examples(
    cited: "pd.Series[str]", correct: "pd.Series[str]", ids: "pd.Series[str]"
) -> dict[tuple[str, str], list[str]]:
    pairs: dict[tuple[str, str], list[str]] = {}
    for row, one, other in zip(cited.index, cited, correct, strict=True):
        found = pairs.setdefault((one, other), [])
        if len(found) < _MOST_EXAMPLES:
            found.append(str(ids.iloc[row]))
    return pairs


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Put the pairs with most decisions first, those of a single review last."""
    single = table["n_mixed"] < _LEAST
    order = ["single", "n_decisions_low", "policy_id", "correct_policy_id"]
    ranked = table.assign(single=single).sort_values(
        order, ascending=[True, False, True, True], kind="stable", ignore_index=True
    )
    return ranked[list(MIXUP_COLUMNS)]
