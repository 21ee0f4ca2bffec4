"""Slices: rules where a policy errs more than elsewhere, confirmed on data not used to find them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from errdetect.findings.audit_evidence import KINDS, AuditEvidence
from errdetect.findings.conditions import (
    Condition,
    ConditionMatrix,
    condition_columns,
    list_conditions,
    rule_mask,
)
from errdetect.findings.rate_tests import (
    ControlVariate,
    ExcessTest,
    Rate,
    confirmed_rate,
    excess_p_value,
    excess_test,
    fit_assistance,
    weighted_rate,
)
from errdetect.schemas import WRONG_LABEL
from errdetect.stats.multiple_testing import adaptive_q_values, critical_shares

__all__ = [
    "AssistingModel",
    "RuleCandidate",
    "Slice",
    "find_slices",
    "rows_by_code",
    "search_rules",
]


Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_LEAST_ERRORS = 3  # known errors that a rule must hold
_PRICE = 2.0  # gain in log likelihood that a further condition must bring
_LEAST_SCORE = 3.0  # log likelihood gained by the rule, after the price of its conditions
_BEAM = 40  # pairs of each kind of error tried with every third condition


@dataclass(frozen=True)
class RuleCandidate:
    """A rule of one policy, its kind of error, and the gain in likelihood."""

    rule: tuple[Condition, ...]
    kind: int
    score: float


@dataclass(frozen=True)
class _ErrorCounts:
    """Decisions, and known errors by kind (rows as `KINDS`), of k sets of rows."""

    decisions: Floats
    errors: Floats

    def minus(self, other: "_ErrorCounts") -> "_ErrorCounts":
        return _ErrorCounts(self.decisions - other.decisions, self.errors - other.errors)


def search_rules(conditions: ConditionMatrix, kind: Ints, *, most: int) -> list[RuleCandidate]:
    """Find rules of up to three conditions where known errors are more frequent than elsewhere.

    The search takes the best rule, sets its rows aside, and continues on the rest, so that a rule
    whose excess is another's is not taken again. Of equivalent rules the shorter one wins, as each
    condition has a price.

    Parameters
    ----------
    conditions
        The conditions to combine, on m rows of one policy: known errors, and decisions
        drawn evenly to compare them with.
    kind
        Shape (m,): 0 for a decision to compare with, else the error's kind, an index in `KINDS`.
    most
        Maximum number of rules.

    Returns
    -------
    list of RuleCandidate
        The strongest first; ties by kind, then by the conditions' order.

    Notes
    -----
    The score is the log likelihood ratio of Kulldorff's (1997, Communications in Statistics 26,
    1481-1496) scan statistic. Every known error counts the same, from any source, so a rule may
    only show where more was reviewed: it is a candidate, to be confirmed on a designed sample.

    Examples
    --------
    >>> import pandas as pd
    >>> from errdetect.findings.conditions import list_conditions
    >>> log = pd.DataFrame({"market": ["DE"] * 50 + ["FR"] * 50 + ["DE"] * 19 + ["FR"]})
    >>> kind = np.array([0] * 100 + [1] * 20)
    >>> [c.rule[0].value for c in search_rules(list_conditions(log, least=5), kind, most=3)]
    ['DE']
    """
    met, alive = conditions.met, _viable_conditions(conditions.met, kind)
    met = np.ascontiguousarray(met[:, alive])
    rows = np.arange(len(kind))
    pairs = _pair_counts(met, kind) if len(alive) else None
    found: list[RuleCandidate] = []
    while pairs is not None and len(found) < most:
        best = _best_rule(met[rows], kind[rows], pairs)
        if best is None:
            break
        score, of, at = best
        items = tuple(conditions.items[alive[i]] for i in at)
        found.append(RuleCandidate(items, of, score))
        inside = met[rows][:, at].all(axis=1)
        pairs = pairs.minus(_pair_counts(met[rows[inside]], kind[rows[inside]]))
        rows = rows[~inside]
    return found


def _viable_conditions(met: Single, kind: Ints) -> Ints:
    """Keep conditions with enough errors: no rule has more errors than each of its conditions."""
    return np.flatnonzero(met[kind > 0].sum(axis=0) >= _LEAST_ERRORS)


def _best_rule(met: Single, kind: Ints, pairs: _ErrorCounts) -> tuple[float, int, list[int]] | None:
    """Return the best rule among these rows: score, kind, conditions."""
    k = met.shape[1]
    whole = _condition_counts(np.ones((len(kind), 1), np.float32), kind)
    options = _best_additions(_condition_counts(met, kind), whole, [])
    beam: list[int] = []
    for of, scores in _excess_scores(pairs, whole).items():
        scores = np.triu(scores.reshape(k, k), 1).ravel()
        top = _top_indices(scores, _BEAM)
        beam += top.tolist()
        options += [(scores[i] - _PRICE, of, [int(i // k), int(i % k)]) for i in top[:1]]
    for pair in np.unique(np.array(beam, dtype=np.int64)).tolist():
        a, b = pair // k, pair % k
        rows = np.flatnonzero(met[:, a] * met[:, b])
        options += _best_additions(_condition_counts(met[rows], kind[rows]), whole, [a, b])
    good = [(s, of, sorted(at)) for s, of, at in options if s >= _LEAST_SCORE]
    return min(good, key=lambda o: (-round(o[0], 3), len(o[2]), o[1], o[2]), default=None)


def _best_additions(
    counts: _ErrorCounts, whole: _ErrorCounts, joined: list[int]
) -> list[tuple[float, int, list[int]]]:
    """Return each kind's best condition to add to these: score, kind, conditions."""
    found = []
    for of, scores in _excess_scores(counts, whole).items():
        scores[joined] = 0.0
        i = int(np.argmax(np.round(scores, 3)))
        found.append((float(scores[i]) - len(joined) * _PRICE, of, [*joined, i]))
    return found


def _top_indices(values: Floats, n: int) -> Ints:
    """Return the indices of the n highest values above zero, the highest first; ties by index."""
    positive = np.flatnonzero(values > 0)
    return positive[np.argsort(-np.round(values[positive], 3), kind="stable")[:n]]


def _kind_indicators(kind: Ints) -> Single:
    """Return the rows that count: decisions to compare with, any error, each kind; (1 + 4, m)."""
    kinds = [kind == 0, kind > 0, *(kind == k for k in range(1, len(KINDS)))]
    return np.array(kinds, dtype=np.float32)


def _condition_counts(met: Single, kind: Ints) -> _ErrorCounts:
    counts = (_kind_indicators(kind) @ met).astype(np.float64)
    return _ErrorCounts(counts[0], counts[1:])


def _pair_counts(met: Single, kind: Ints) -> _ErrorCounts:
    """Count the rows that meet both of two conditions, for all pairs: products of bitmaps."""

    def product(rows: Bools) -> Floats:
        part = met[rows]
        return (part.T @ part).ravel().astype(np.float64)

    by_kind = [product(kind == k) for k in range(1, len(KINDS))]
    return _ErrorCounts(product(kind == 0), np.array([sum(by_kind), *by_kind]))


def _excess_scores(counts: _ErrorCounts, whole: _ErrorCounts) -> dict[int, Floats]:
    """Score every set of rows by kind of error; 0 where there is no excess or too few errors."""
    total_decisions = float(whole.decisions[0])
    # Half a decision more on either side, as the compared decisions are themselves a sample.
    share = (counts.decisions + 0.5) / (total_decisions + 1.0)
    found = {}
    for kind in range(len(KINDS)):
        total = float(whole.errors[kind, 0])
        x = counts.errors[kind]
        out = np.zeros(len(x))
        at = np.flatnonzero((x >= _LEAST_ERRORS) & (x > total * share))
        if len(at):
            mean, seen = total * share[at], x[at]
            rest = np.maximum(total - seen, 1e-9)
            out[at] = seen * np.log(seen / mean) + rest * np.log(
                rest / np.maximum(total - mean, 1e-9)
            )
            found[kind] = out
    return found


_MOST = 8  # rules of one policy that are tested
_LEAST_ROWS = 8  # audited decisions that a rule must hold in the confirming half
_SLICES_LEAST_ERRORS = 3  # known errors among those searched below which a policy is not searched
_COMPARED = 8_000  # decisions of one policy that its known errors are compared with
_SURE = 20.0  # search score beyond which a rule gets no more prior weight
_ALONE = 0.05  # level at which a rule must still show an excess outside of stronger ones


@dataclass(frozen=True)
class Slice:
    """A rule that was tested, with its results on the confirming half.

    Parameters
    ----------
    policy
        Code of its policy.
    rule
        Up to three conditions.
    kind
        Kind of error, a column of `AuditEvidence.errors`.
    rows
        Its rows among the audited decisions (both halves).
    inside, outside, base
        Rate within the rule, in the rest of the policy, and in the whole policy, each from the
        confirming half.
    p_value, q_value
        One-sided, and the false discovery rate over all tested rules.
    confirmed
        Whether the q-value is at most the requested level.
    """

    policy: int
    rule: tuple[Condition, ...]
    kind: int
    rows: Ints
    inside: Rate
    outside: Rate
    base: Rate
    p_value: float
    q_value: float
    confirmed: bool


@dataclass(frozen=True)
class AssistingModel:
    """P(error) of every decision, to assist the confirmation of slices.

    Parameters
    ----------
    p_error
        Cross-fitted P(error), shape (n,).
    kind
        The kind that an error of each decision would be, an index in `KINDS`, shape (n,).
    early
        From `earlier_part`, shape (n,).
    """

    p_error: Floats
    kind: Ints
    early: Bools

    def of_rule(
        self,
        frame: pd.DataFrame,
        rows: Ints,
        judged: AuditEvidence,
        candidate: RuleCandidate,
        inside: Bools,
        confirming: Bools,
    ) -> ControlVariate | None:
        """Return the control variate of a rule; None where the sample does not match the log.

        Parameters
        ----------
        frame
            Columns of the log, n rows.
        rows
            The policy's rows of the log.
        judged, candidate, inside, confirming
            Its audited decisions, the rule, which of them it holds, and which confirm.
        """
        if KINDS[candidate.kind] == WRONG_LABEL:
            return None
        if not confirming.all():
            rows = rows[self.early[rows] == judged.early[confirming][0]]
        weight = judged.weight[confirming]
        # Where the weights do not add up to the decisions, the sample is not of all of these.
        tolerance = _FRAME_SDS * np.sqrt(weight @ (weight - 1)) + 1.0
        if abs(weight.sum() - len(rows)) > tolerance:
            return None
        p = self.p_error
        if candidate.kind:
            p = np.where(self.kind == candidate.kind, p, 0.0)
        held = rule_mask(frame.iloc[rows], candidate.rule)
        if held.all() or not held.any():
            return None
        means = float(p[rows[held]].mean()), float(p[rows[~held]].mean())
        own = p[judged.position]
        return fit_assistance(judged, confirming, candidate.kind, own, inside, means)


_FRAME_SDS = 4.0


@dataclass(frozen=True)
class _TestedRule:
    """A candidate, its policy's audited decisions, and which of these are the confirming half."""

    policy: int
    candidate: RuleCandidate
    judged: AuditEvidence
    rows: Ints
    inside: Bools
    confirming: Bools
    assist: ControlVariate | None

    def test(self) -> ExcessTest | None:
        inside, outside = (rows & self.confirming for rows in (self.inside, ~self.inside))
        return excess_test(self.judged, inside, outside, self.candidate.kind, self.assist)

    def rate(self, rows: Bools, confidence: float = 0.95) -> Rate:
        own = rows & self.confirming
        return weighted_rate(
            self.judged, own, self.candidate.kind, confidence=confidence, assist=self.assist
        )


def rows_by_code(codes: Ints, n: int) -> list[Ints]:
    """Return the rows of each of n codes, ascending.

    Examples
    --------
    >>> [rows.tolist() for rows in rows_by_code(np.array([1, 0, 1]), 2)]
    [[1], [0, 2]]
    """
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=n))[:-1])


def find_slices(
    decisions: pd.DataFrame,
    judged: AuditEvidence,
    policy: Ints,
    known: Ints,
    *,
    rng: np.random.Generator,
    leave_out: Sequence[str] = (),
    level: float = 0.05,
    assist: AssistingModel | None = None,
) -> list[Slice]:
    """Find where each policy errs more than elsewhere, and test it on a fresh sample.

    Each half of the designed sample confirms in turn and is not searched: the search uses the other
    half, and every known error that was not sampled, from any source.

    Parameters
    ----------
    decisions
        The decision log, n rows.
    judged
        From `read_audit_evidence`.
    policy
        Code of each decision's policy, shape (n,).
    known
        0 where the decision has no known error, else its kind, an index in `KINDS`; shape (n,).
    rng
        Draws the decisions that known errors are compared with.
    leave_out
        Columns that no condition may use.
    level
        False discovery rate among the confirmed.
    assist
        P(error) as control variate of the confirmation.

    Returns
    -------
    list of Slice
        By policy, the strongest first; without rules whose excess is a stronger one's.
    """
    frame = decisions[condition_columns(decisions, leave_out)]
    # The products are small: BLAS threads would only slow them down on a busy processor.
    with threadpool_limits(1, user_api="blas"):
        tried = _search_policies(frame, judged, policy, known, rng, assist)
    return _drop_redundant(_test_candidates(tried, level))


def _search_policies(
    frame: pd.DataFrame,
    judged: AuditEvidence,
    policy: Ints,
    known: Ints,
    rng: np.random.Generator,
    assist: AssistingModel | None,
) -> list[_TestedRule]:
    """Search each policy without one half of its sample, the other, or both, which then confirm."""
    tried: list[_TestedRule] = []
    n_policies = int(policy.max(initial=-1)) + 1
    audited = rows_by_code(judged.policy, n_policies)
    for code, rows in enumerate(rows_by_code(policy, n_policies)):
        own = judged.select_rows(audited[code])
        part = frame.iloc[own.position]
        for confirming in (~own.early, own.early, np.ones(len(own), dtype=bool)):
            if confirming.sum() < _LEAST_ROWS:
                continue
            searched = np.setdiff1d(rows, own.position[confirming], assume_unique=True)
            for candidate in _search_candidates(frame, searched, known[searched], rng):
                inside = rule_mask(part, candidate.rule)
                if (inside & confirming).sum() >= _LEAST_ROWS:
                    variate = None
                    if assist is not None:
                        variate = assist.of_rule(frame, rows, own, candidate, inside, confirming)
                    tried.append(
                        _TestedRule(
                            code, candidate, own, audited[code], inside, confirming, variate
                        )
                    )
    return tried


def _search_candidates(
    frame: pd.DataFrame, searched: Ints, known: Ints, rng: np.random.Generator
) -> list[RuleCandidate]:
    """Search these rows of the log for rules."""
    cases = known > 0
    if cases.sum() < _SLICES_LEAST_ERRORS:
        return []
    others = rng.choice(searched, min(len(searched), _COMPARED), replace=False, shuffle=False)
    kind = np.concatenate([np.zeros(len(others), dtype=np.int64), known[cases]])
    both = frame.iloc[np.concatenate([others, searched[cases]])]
    return search_rules(list_conditions(both, least=_LEAST_ROWS), kind, most=_MOST)


def _test_candidates(tried: list[_TestedRule], level: float) -> list[tuple[Slice, _TestedRule]]:
    """Test every candidate on the half that was not used to find it."""
    tests = [t.test() for t in tried]
    p = np.array([1.0 if test is None else test.p_value for test in tests])
    prior = np.array([min(t.candidate.score, _SURE) for t in tried])
    q = adaptive_q_values(p, prior)
    confirmed = q <= level
    # q = p x factor / rank: the p-value up to which a confirmed rule would have been confirmed.
    ranks = max(int(confirmed.sum()), 1)
    critical = level * ranks * critical_shares(p, prior)
    out = []
    for i, (t, test) in enumerate(zip(tried, tests, strict=True)):
        outside = t.rate(~t.inside)
        inside = t.rate(t.inside)
        if confirmed[i] and test is not None:
            wide = t.rate(t.inside, 1 - 0.05 * ranks / len(tried))
            inside = confirmed_rate(wide, test, outside, float(critical[i]))
        found = Slice(
            policy=t.policy,
            rule=t.candidate.rule,
            kind=t.candidate.kind,
            rows=t.rows[t.inside],
            inside=inside,
            outside=outside,
            base=t.rate(np.ones_like(t.inside)),
            p_value=float(p[i]),
            q_value=float(q[i]),
            confirmed=bool(confirmed[i]),
        )
        out.append((found, t))
    return out


def _drop_redundant(tested: list[tuple[Slice, _TestedRule]]) -> list[Slice]:
    """Leave out rules whose excess is within stronger, confirmed ones of the same policy."""
    kept: list[Slice] = []
    taken: dict[int, Bools] = {}
    seen: set[tuple[int, tuple[Condition, ...], int]] = set()
    order = sorted(range(len(tested)), key=lambda i: (tested[i][0].policy, tested[i][0].p_value, i))
    for i in order:
        found, t = tested[i]
        key = (found.policy, found.rule, found.kind)
        if key in seen:
            continue
        seen.add(key)
        covered = taken.get(found.policy)
        if found.confirmed and covered is not None and (covered & t.inside).any():
            alone = excess_p_value(t.judged, t.inside & ~covered, ~t.inside & ~covered, found.kind)
            if alone > _ALONE:
                continue
        kept.append(found)
        if found.confirmed:
            taken[found.policy] = t.inside if covered is None else covered | t.inside
    return kept
