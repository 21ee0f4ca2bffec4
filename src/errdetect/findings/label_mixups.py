"""Which policies the machine cites instead of which: from the cited one to the correct one."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.model.policy_correction import PolicyCorrection
from errdetect.schemas import ERROR, WRONGFUL_ACTION
from errdetect.snapshot import Snapshot
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import wilson

__all__ = ["MIXUP_COLUMNS", "find_label_mixups"]

Floats = npt.NDArray[np.float64]

#: Columns of the table, in order.
MIXUP_COLUMNS: Final = (
    "policy_id", "correct_policy_id", "share", "low", "high", "n_reviews", "n_mixed",
    "n_decisions", "n_decisions_low", "n_decisions_high", "both_ways", "suppressed", "examples",
)  # fmt: skip

_MOST_EXAMPLES = 5
#: Relabelled decisions below which a pair may be a slip of one reviewer.
_LEAST = 2
#: Mixed-up draws from which the model of the correct policy may assist, and how many times as many
#: draws it may make of a pair's.
_LEAST_ASSISTED, _MOST_GAIN = 3, 4.0


def find_label_mixups(
    snapshot: Snapshot, *, minimum: int = 10, model: PolicyCorrection | None = None
) -> pd.DataFrame:
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
    model
        The model of the correct policy, which assists: what it predicts of every enforcement is
        corrected by the audit. None: the audit alone.

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
    11.7 (Korn and Graubard 1998, Survey Methodology 24, 193-201). With a model the regression
    estimate of Sarndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, section 6.4,
    whose predictions of a decision do not rest on reviews of its content; its slope is kept in
    [0, 1], and a pair of fewer than 3 draws is not assisted.

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
    decisions = machine.decisions
    labels = machine.labels
    wrongful = ((labels["label"] == ERROR) & (labels["error_kind"] == WRONGFUL_ACTION)).to_numpy(
        bool
    )
    drawn = (known | wrongful)[sample.position]
    at, weight = sample.position[drawn], sample.weight[drawn]
    one = decisions["account_id"] if "account_id" in decisions else decisions["decision_id"]
    account = one.fillna(decisions["decision_id"]).to_numpy(object)
    every = pd.DataFrame(
        {
            "from": cited.to_numpy()[at],
            "to": correct.to_numpy(object)[at],
            "w": weight,
            "cluster": pd.factorize(account[at])[0],
            "position": at,
        }
    )
    audited = every[known[at]]
    cited_total = audited.groupby("from").agg(w=("w", "sum"), n=("w", "size"))
    pairs = audited[audited["from"] != audited["to"]].groupby(["from", "to"])
    mixed = pairs.agg(w=("w", "sum"), n=("w", "size")).reset_index()
    if mixed.empty:
        return pd.DataFrame({name: [] for name in MIXUP_COLUMNS})
    base = cited_total.loc[mixed["from"]].reset_index(drop=True)
    worth = _independent_draws(audited, mixed)
    share, gain = _assisted_shares(every, mixed, base["w"].to_numpy(np.float64), decisions, model)
    limits = wilson(share, worth * gain)
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


def _assisted_shares(
    every: pd.DataFrame,
    mixed: pd.DataFrame,
    rightful: Floats,
    decisions: pd.DataFrame,
    model: PolicyCorrection | None,
) -> tuple[Floats, Floats]:
    """Return each pair's share of the rightful enforcements, and what the model's help multiplies draws by."""
    share = mixed["w"].to_numpy(np.float64) / rightful
    gain = np.ones(len(mixed))
    if model is None:
        return share, gain
    enforced = decisions["enforced"].to_numpy(bool)
    policy = decisions["policy_id"].astype("str").to_numpy(object)
    for name, group in every.groupby("from", sort=False):
        wanted = np.flatnonzero((mixed["from"] == name) & (mixed["n"] >= _LEAST_ASSISTED))
        rows = np.flatnonzero(enforced & (policy == name))
        if not len(wanted) or name not in model.policies:
            continue
        predicted = model.policy_posterior(decisions.iloc[rows])[0]
        own = np.searchsorted(rows, group["position"].to_numpy(np.int64))
        for i in wanted:
            other = mixed["to"].iloc[i]
            if other not in model.policies:
                continue
            z = predicted[:, model.policies.index(other)]
            change, gain[i] = _regression_gain(group, (group["to"] == other).to_numpy(), z, own)
            total = share[i] * rightful[i] + change * float(group["w"].sum())
            share[i] = np.clip(total / rightful[i], share[i] / _MOST_GAIN, 1.0)
    return share, gain


def _regression_gain(
    group: pd.DataFrame, wrong: npt.NDArray[np.bool_], z: Floats, own: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Return what the regression on a prediction adds to the mean, and how far it narrows."""
    weight, cluster = group["w"].to_numpy(np.float64), group["cluster"].to_numpy()
    y, x = wrong.astype(np.float64), z[own]
    y_mean, x_mean = np.average(y, weights=weight), np.average(x, weights=weight)
    spread = float(weight @ (x - x_mean) ** 2)
    if not spread > 0:
        return 0.0, 1.0
    slope = float(np.clip(weight @ ((x - x_mean) * (y - y_mean)) / spread, 0.0, 1.0))
    plain = weight * (y - y_mean)
    left = plain - slope * weight * (x - x_mean)
    before, after = (float((np.bincount(cluster, part) ** 2).sum()) for part in (plain, left))
    gain = before / after if after > 0 else _MOST_GAIN
    return slope * (float(z.mean()) - float(x_mean)), float(np.clip(gain, 1.0, _MOST_GAIN))


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
