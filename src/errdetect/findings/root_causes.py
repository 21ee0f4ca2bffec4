"""Evidence for each root cause of a slice: numbers, one plain sentence, and its strength."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import bdtrc

from errdetect.findings.audit_evidence import AuditEvidence
from errdetect.findings.conditions import Condition, rule_mask
from errdetect.findings.rate_tests import excess_p_value, weighted_rate
from errdetect.schemas import AUDIT, GOLDEN
from errdetect.snapshot import Snapshot

__all__ = [
    "CAUSES",
    "EVIDENCE",
    "UNKNOWN_CAUSE",
    "AnswerComparisons",
    "Cause",
    "CauseEvidence",
    "SliceContext",
    "compare_answers",
    "name_cause",
    "weigh_causes",
]


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


_GOLDEN_ERROR, _GOLDEN_RIGHT, _EXPERT, _PAIR = range(4)


@dataclass(frozen=True)
class AnswerComparisons:
    """Comparisons of reviewers' verdicts, and the audit's individual verdicts.

    Parameters
    ----------
    position
        Decision of each of c comparisons, shape (c,).
    differs
        Whether the verdicts differ, shape (c,).
    sort
        What is compared: 0 with a golden error, 1 with a golden correct decision, 2 a flagged
        decision with the expert, 3 the reviewers of a flagged decision; shape (c,).
    vote_position, vote_flags, vote_site, vote_reviewer
        The audit's individual verdicts: decision, whether it is called an error, codes (-1: unknown).
    sites
        Names of the sites.
    """

    position: Ints
    differs: Bools
    sort: Ints
    vote_position: Ints
    vote_flags: Bools
    vote_site: Ints
    vote_reviewer: Ints
    sites: tuple[str, ...]


def compare_answers(snapshot: Snapshot) -> AnswerComparisons:
    """Compare the verdicts on the same decision.

    Parameters
    ----------
    snapshot
        Decisions with `enforced`, and their reviews.

    Returns
    -------
    AnswerComparisons

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1],
    ...                           "policy_id": ["spam"], "enforced": [True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r"], "decision_id": ["d"], "reviewed_at": day[1:], "source": ["golden"],
    ...     "verdict": ["upheld"], "expected": ["overturned"], "reviewer_id": ["ann"],
    ...     "site": ["Riga"], "minutes": [2.0], "inclusion_probability": [float("nan")]})
    >>> compare_answers(Snapshot(decisions, reviews)).differs.tolist()
    [True]
    """
    judged, n_decisions = snapshot.verdicts, len(snapshot.decisions)
    at, flags = judged["position"].to_numpy(), judged["flags"].to_numpy(dtype=bool)
    truth = judged["true_error"].to_numpy(dtype=np.float64)
    golden = (judged["source"] == GOLDEN).to_numpy(dtype=bool)
    audit = (judged["source"] == AUDIT).to_numpy(dtype=bool)
    sort = np.select(
        [golden & (truth == 1), golden & (truth == 0), ~golden & ~np.isnan(truth)],
        [_GOLDEN_ERROR, _GOLDEN_RIGHT, _EXPERT],
        -1,
    )
    known = sort >= 0
    seats = np.bincount(at[audit], minlength=n_decisions)
    flagged = np.bincount(at[audit], flags[audit], minlength=n_decisions)
    several = np.flatnonzero((seats >= 2) & (flagged > 0))
    differs = np.concatenate([(flags != (truth > 0.5))[known], flagged[several] < seats[several]])
    sorts = np.concatenate([sort[known], np.full(len(several), _PAIR)])
    site, names = pd.factorize(judged["site"][audit], sort=True)
    return AnswerComparisons(
        position=np.concatenate([at[known], several]),
        differs=differs,
        sort=sorts.astype(np.int64),
        vote_position=at[audit],
        vote_flags=flags[audit],
        vote_site=site.astype(np.int64),
        vote_reviewer=pd.factorize(judged["reviewer_id"][audit], sort=True)[0].astype(np.int64),
        sites=tuple(str(name) for name in names),
    )


_VERSION = ("moderator", "moderator_version")
#: Contract columns that describe the content or its market, even if an account has only one.
_OF_CONTENT = {"market", "language", "category", "item_type", *_VERSION}
_NEAR = 0.05  # distance from the threshold, in score
_FEW = 10  # comparisons or errors below which there is no evidence
_LEAST_KNOWN = 5  # known errors of an account cluster
_MOST = 0.8  # share of the earlier errors that few accounts must have
_FEW_ACCOUNTS = 0.15  # share of the slice's accounts that are few
_PRIOR = 5.0  # comparisons that the overall rate counts for
_Z_SURE = 3.0
_P_SURE = 0.01
_P_CHANCE = 0.001


@dataclass(frozen=True)
class SliceContext:
    """A slice with all the evidence of its cause.

    Parameters
    ----------
    rule, kind
        Its conditions and kind of error.
    frame
        The log's rows of the policy's audited decisions, shape (m, any), in the order of `judged`.
    judged
        The policy's audited decisions, both halves.
    inside
        Shape (m,), which of them meet the rule.
    known
        The slice's rows of the log with a known error of the kind, from any source.
    known_early
        Shape of `known`, which of these are of the earlier part.
    account
        Code of each row's account in the log, -1 where unknown.
    votes
        From `compare_answers`.
    rows
        The slice's rows of the log.
    effective_from
        When the policy's current text came into force, if known.
    """

    rule: tuple[Condition, ...]
    kind: int
    frame: pd.DataFrame
    judged: AuditEvidence
    inside: Bools
    known: Ints
    known_early: Bools
    account: Ints
    votes: AnswerComparisons
    rows: Ints
    effective_from: pd.Timestamp | None


@dataclass(frozen=True)
class CauseEvidence:
    """Evidence for a cause: its strength from 0 to 1, a sentence and numbers."""

    cause: str
    strength: float
    words: str
    numbers: dict[str, float]


def _disagreement_test(case: SliceContext) -> tuple[int, float, float, float]:
    """Return comparisons within the slice, share that differs, expected share, standard score."""
    at = np.isin(case.votes.position, case.rows)
    n = int(at.sum())
    if not n:
        return 0, np.nan, np.nan, 0.0
    usual = _expected_disagreement(case.votes, at)
    spread = float((usual * (1 - usual)).sum())
    gap = float(case.votes.differs[at].sum() - usual.sum())
    z = gap / spread**0.5 if spread > 0 else 0.0
    return n, float(case.votes.differs[at].mean()), float(usual.mean()), z


def _expected_disagreement(votes: AnswerComparisons, at: Bools) -> Floats:
    """Return how often comparisons of these kinds differ elsewhere."""
    sorts, differs = votes.sort, votes.differs.astype(np.float64)
    k = int(sorts.max(initial=0)) + 1
    everywhere = np.bincount(sorts, differs, k) / np.maximum(np.bincount(sorts, minlength=k), 1)
    n = np.bincount(sorts[~at], minlength=k)
    rate = (np.bincount(sorts[~at], differs[~at], k) + _PRIOR * everywhere) / (n + _PRIOR)
    return rate[sorts[at]]


def _policy_ambiguity(case: SliceContext) -> CauseEvidence:
    """Test whether reviewers disagree in the slice more than elsewhere."""
    n, share, usual, z = _disagreement_test(case)
    strength = min(z / (2 * _Z_SURE), 1.0) if n >= _FEW and share >= 1.25 * usual else 0.0
    words = (
        f"Reviewers' verdicts differ in {share:.0%} of {n} comparisons here, against {usual:.0%} "
        "elsewhere: the policy's text leaves the case open."
    )
    numbers = {"comparisons": float(n), "differ": share, "usual": usual, "z": z}
    return CauseEvidence("policy_ambiguity", max(strength, 0.0), words, numbers)


def _machine_fault(case: SliceContext) -> CauseEvidence:
    """Test whether reviewers agree in the slice, so that the machine is at fault."""
    n, share, usual, z = _disagreement_test(case)
    agree = n >= _FEW and z < 1.0
    strength = (0.45 if z < -1.0 else 0.4) if agree else 0.2 * (n >= _FEW)
    words = (
        f"Reviewers agree with each other here (verdicts differ in {share:.0%} of {n} comparisons, "
        f"against {usual:.0%} elsewhere); the machine decides differently."
    )
    numbers = {"comparisons": float(n), "differ": share, "usual": usual, "z": z}
    return CauseEvidence("machine_fault", strength, words, numbers)


def _reviewer_inconsistency(case: SliceContext) -> CauseEvidence:
    """Test whether the excess disappears without the verdicts of one site or one reviewer."""
    votes, judged = case.votes, case.judged
    place = np.full(int(case.judged.position.max(initial=-1)) + 1, -1)
    place[judged.position] = np.arange(len(judged))
    own = votes.vote_position < len(place)
    row = np.where(own, place[np.where(own, votes.vote_position, 0)], -1)
    best = CauseEvidence(
        "reviewer_inconsistency", 0.0, "No single site or reviewer stands out.", {}
    )
    for what, who in (("site", votes.vote_site), ("reviewer", votes.vote_reviewer)):
        flagged = (row >= 0) & votes.vote_flags & (who >= 0)
        flagged &= (case.inside & ~judged.settled)[np.maximum(row, 0)]
        if flagged.sum() < 3:
            continue
        code = int(np.bincount(who[flagged]).argmax())
        share = float((who[flagged] == code).mean())
        work = (row >= 0) & case.inside[np.maximum(row, 0)] & (who >= 0)
        expected = float((who[work] == code).mean())
        gone = np.zeros(len(judged), dtype=bool)
        gone[row[(row >= 0) & (who == code)]] = True
        left = excess_p_value(judged, case.inside & ~gone, ~case.inside & ~gone, case.kind)
        by_chance = float(bdtrc(round(share * flagged.sum()) - 1, int(flagged.sum()), expected))
        if by_chance < _P_CHANCE and left > _P_SURE:
            name = votes.sites[code] if what == "site" else "one reviewer"
            words = (
                f"{share:.0%} of the flags that no expert settled come from {name}, with "
                f"{expected:.0%} of the work here; without these verdicts there is no clear excess."
            )
            numbers = {"share_of_flags": share, "share_of_work": expected, "p_without": left}
            return CauseEvidence("reviewer_inconsistency", 0.9, words, numbers)
    return best


def _threshold_shift(case: SliceContext) -> CauseEvidence:
    """Test whether errors lie between the threshold here and elsewhere, or cluster at the threshold."""
    nothing = CauseEvidence("threshold", 0.0, "The threshold does not explain it.", {})
    if not {"score", "threshold"} <= set(case.frame.columns) or not case.inside.any():
        return nothing
    score, level = (
        case.frame[c].to_numpy(np.float64, na_value=np.nan) for c in ("score", "threshold")
    )
    weight, errors = case.judged.weight, case.judged.errors[:, case.kind]
    finite = np.isfinite(score) & np.isfinite(level)
    here, there = case.inside & finite, ~case.inside & finite
    wrong = float((weight * errors)[here].sum())
    if wrong <= 0 or not there.any():
        return nothing
    here_bar, usual_bar = float(np.median(level[here])), float(np.median(level[there]))
    turned = here & ((score >= level) != (score >= usual_bar))
    avoided = float((weight * errors)[turned].sum()) / wrong
    broken = float((weight * (1 - case.judged.errors[:, 0]))[turned].sum()) / wrong
    if abs(here_bar - usual_bar) >= _NEAR and avoided - broken > 0.25 and turned.sum() >= 3:
        words = (
            f"The threshold is {here_bar:.2f} here and {usual_bar:.2f} elsewhere; the latter would have "
            f"avoided {avoided:.0%} of these errors."
        )
        numbers = {"bar": here_bar, "usual_bar": usual_bar, "mended": avoided, "broken": broken}
        return CauseEvidence("threshold", min(0.5 + avoided, 1.0), words, numbers)
    near = finite & (np.abs(score - level) < _NEAR)
    share = float((weight * errors)[here & near].sum()) / wrong
    away = excess_p_value(case.judged, here & ~near, there & ~near, case.kind)
    if share < 0.6 or away < 0.2 or errors[here & near].sum() < 3:
        return nothing
    words = (
        f"{share:.0%} of these errors lie within {_NEAR:g} of the threshold; further away "
        "there is no excess."
    )
    return CauseEvidence("threshold", 0.5, words, {"near_bar": share, "p_away": away})


def _change_in_time(case: SliceContext) -> CauseEvidence:
    """Test whether the excess began with a version of the moderator or of the policy's text."""
    best = CauseEvidence(
        "change_in_time", 0.0, "No change of version or text coincides with it.", {}
    )
    rest = tuple(c for c in case.rule if c.column not in _VERSION)
    wider = rule_mask(case.frame, rest)
    tries: list[tuple[str, Bools]] = []
    if "moderator_version" in case.frame:
        versions = case.frame["moderator_version"]
        for name in sorted(versions[wider].dropna().unique()):
            tries.append((f"version {name}", (versions == name).fillna(False).to_numpy(dtype=bool)))
    if case.effective_from is not None:
        since = (case.frame["decided_at"] >= case.effective_from).to_numpy(dtype=bool)
        tries.append((f"the policy's text of {case.effective_from:%Y-%m-%d}", since))
    for name, during in tries:
        inside, before = wider & during, wider & ~during
        if min(inside.sum(), before.sum()) < 5:
            continue
        p = min(excess_p_value(case.judged, inside, before, case.kind) * len(tries), 1.0)
        one, other = (weighted_rate(case.judged, rows, case.kind) for rows in (inside, before))
        # A rise in the whole policy is no change of this slice.
        elsewhere = excess_p_value(case.judged, ~wider & during, ~wider & ~during, case.kind)
        if p > _P_SURE * 5 or one.estimate < 2 * other.estimate or elsewhere < p:
            continue
        named = any(c.column in _VERSION for c in case.rule)
        strength = min(0.5 + 0.1 * -np.log10(max(p, 1e-6)) + 0.1 * named, 1.0)
        if strength > best.strength:
            words = (
                f"These decisions are wrong {one.estimate:.0%} of the time under {name}, "
                f"against {other.estimate:.0%} otherwise."
            )
            numbers = {"rate_during": one.estimate, "rate_otherwise": other.estimate, "p": p}
            best = CauseEvidence("change_in_time", float(strength), words, numbers)
    return best


def _account_cluster(case: SliceContext) -> CauseEvidence:
    """Test whether few accounts carry the errors, or the rule describes accounts, not content."""
    nothing = CauseEvidence("account_cluster", 0.0, "The errors are spread over many accounts.", {})
    n_accounts = len(np.unique(case.account[case.rows]))
    carrying = _concentrated_accounts(case)
    if carrying is not None:
        return carrying
    if (case.account[case.known] >= 0).sum() < _LEAST_KNOWN:
        return nothing
    numbers = {"accounts": float(n_accounts)}
    personal = [c for c in case.rule if _is_account_trait(case, c.column)]
    others = rule_mask(case.frame, [c for c in case.rule if c not in personal])
    p = (
        excess_p_value(case.judged, case.inside, others & ~case.inside, case.kind)
        if personal
        else 1.0
    )
    if p > _P_SURE:
        return nothing
    words = (
        f"What sets these decisions apart is the account ({personal[0].column.replace('_', ' ')}), "
        f"not the content; {n_accounts} accounts are affected."
    )
    return CauseEvidence("account_cluster", 0.6, words, {**numbers, "p_without": p})


def _concentrated_accounts(case: SliceContext) -> CauseEvidence | None:
    """Test whether few accounts, picked on the earlier part, carry the excess of the later part."""
    who = case.account[case.known[case.known_early]]
    who = who[who >= 0]
    if len(who) < _LEAST_KNOWN:
        return None
    codes, counts = np.unique(who, return_counts=True)
    top = np.argsort(-counts, kind="stable")
    most = int(np.searchsorted(np.cumsum(counts[top]), _MOST * len(who)) + 1)
    if most > _FEW_ACCOUNTS * len(np.unique(case.account[case.rows])):
        return None
    member = np.isin(case.account[case.judged.position], codes[top[:most]])
    late = case.inside & ~case.judged.early
    outside = ~case.inside & ~case.judged.early
    p = excess_p_value(case.judged, late & member, late & ~member, case.kind)
    theirs, others = (weighted_rate(case.judged, late & m, case.kind) for m in (member, ~member))
    rest = weighted_rate(case.judged, outside, case.kind)
    if p > _P_SURE or not others.estimate <= 2 * rest.estimate:
        return None
    words = (
        f"{most} accounts had {_MOST:.0%} of the earlier errors; later {theirs.estimate:.0%} of their "
        f"decisions here were wrong, against {others.estimate:.0%} for other accounts here and "
        f"{rest.estimate:.0%} in the rest of the policy."
    )
    numbers = {"accounts": float(most), "p_theirs": p, "others": others.estimate}
    return CauseEvidence("account_cluster", 0.7, words, numbers)


def _is_account_trait(case: SliceContext, column: str) -> bool:
    """Return whether a column varies between accounts but hardly within one."""
    if column in _OF_CONTENT or "account_id" not in case.frame:
        return False
    values = case.frame[column]
    codes = (
        values.rank().to_numpy(np.float64, na_value=np.nan)
        if pd.api.types.is_numeric_dtype(values)
        else pd.factorize(values, sort=True)[0].astype(np.float64)
    )
    frame = pd.DataFrame({"account": case.frame["account_id"].to_numpy(), "value": codes}).dropna()
    several = frame[frame.groupby("account")["value"].transform("size") > 1]
    if len(several) < _FEW or several["value"].var() == 0:
        return False
    within = several["value"] - several.groupby("account")["value"].transform("mean")
    return bool(within.var() < 0.2 * several["value"].var())


#: The order breaks ties in strength.
EVIDENCE: Sequence[Callable[[SliceContext], CauseEvidence]] = (
    _reviewer_inconsistency, _policy_ambiguity, _threshold_shift, _change_in_time, _account_cluster, _machine_fault,
)  # fmt: skip


UNKNOWN_CAUSE = "unknown"
#: The root causes.
CAUSES = (
    "machine_fault",
    "policy_ambiguity",
    "reviewer_inconsistency",
    "change_in_time",
    "threshold",
    "account_cluster",
    UNKNOWN_CAUSE,
)
_ENOUGH = 0.4
_CLEAR = 0.2


@dataclass(frozen=True)
class Cause:
    """The likeliest cause of a finding.

    Parameters
    ----------
    cause
        One of `CAUSES`.
    words
        Its evidence in one sentence.
    runner_up
        The second likeliest cause, or None where there is no evidence for another.
    sure
        `clear` or `likely`, by the distance to the runner-up; `open` where inconclusive.
    evidence
        All evidence, strongest first.
    """

    cause: str
    words: str
    runner_up: str | None
    sure: str
    evidence: tuple[CauseEvidence, ...]


def name_cause(case: SliceContext) -> Cause:
    """Weigh the evidence for each cause of a slice and name the strongest.

    Parameters
    ----------
    case
        The slice with all the evidence of its cause.

    Returns
    -------
    Cause
        `unknown` where no evidence is strong enough.
    """
    return weigh_causes([weigh(case) for weigh in EVIDENCE])


def weigh_causes(evidence: list[CauseEvidence]) -> Cause:
    """Name the cause with the strongest evidence; ties by order.

    Examples
    --------
    >>> cause = weigh_causes([CauseEvidence("threshold", 0.9, "The threshold is low.", {}),
    ...                       CauseEvidence("machine_fault", 0.4, "Reviewers agree.", {})])
    >>> cause.cause, cause.runner_up, cause.sure
    ('threshold', 'machine_fault', 'clear')
    """
    ranked = sorted(evidence, key=lambda e: -e.strength)
    best = ranked[0]
    if best.strength < _ENOUGH:
        words = "The cause is unknown: the reviews here are inconclusive."
        guess = best.cause if best.strength > 0 else None
        return Cause(UNKNOWN_CAUSE, words, guess, "open", tuple(ranked))
    second = ranked[1] if len(ranked) > 1 and ranked[1].strength > 0 else None
    gap = best.strength - (second.strength if second else 0.0)
    sure = "clear" if gap >= _CLEAR else "likely"
    return Cause(best.cause, best.words, second.cause if second else None, sure, tuple(ranked))
