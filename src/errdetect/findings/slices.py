"""Slices: rules where a policy errs more than elsewhere, confirmed on what had no say in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from errdetect.findings.conditions import Condition, condition_columns, conditions_of, held
from errdetect.findings.evidence import Judged
from errdetect.findings.rate_tests import Rate, excess_p, rate_of
from errdetect.explain.slice_search import Candidate, search_rules
from errdetect.stats.multiple_testing import adaptive_q_values

__all__ = ["Slice", "find_slices", "rows_by_code"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_MOST = 8  # rules of one policy that are taken to confirmation
_LEAST_ROWS = 8  # audited decisions that a rule must hold in the half that confirms
_LEAST_ERRORS = 3  # known errors among those searched below which a policy is not searched
_COMPARED = 8_000  # decisions of one policy that its known errors are compared with
_SURE = 20.0  # score of the search beyond which a rule is favoured no further
_ALONE = 0.05  # level at which a rule must still exceed outside of stronger ones


@dataclass(frozen=True)
class Slice:
    """A rule that was taken to confirmation, with what the half that confirms says of it.

    Parameters
    ----------
    policy
        Code of its policy.
    rule
        Up to three conditions.
    kind
        Kind of error, a column of `Judged.errors`.
    rows
        Rows among the audited decisions (both halves) that it holds.
    inside, outside, base
        Rate within the rule, in the rest of the policy, and in the whole policy, each from the half
        that confirms.
    p_value, q_value
        One-sided, and the false discovery rate over all that was taken to confirmation.
    confirmed
        Whether the q-value is at most the level asked for.
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
class _Tried:
    """A candidate with its policy's audited decisions, and which of these confirm it."""

    policy: int
    candidate: Candidate
    judged: Judged
    rows: Ints
    inside: Bools
    confirming: Bools

    def p_value(self) -> float:
        inside, outside = (rows & self.confirming for rows in (self.inside, ~self.inside))
        return excess_p(self.judged, inside, outside, self.candidate.kind)

    def rate(self, rows: Bools) -> Rate:
        return rate_of(self.judged, rows & self.confirming, self.candidate.kind)


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
    judged: Judged,
    policy: Ints,
    known: Ints,
    *,
    rng: np.random.Generator,
    leave_out: Sequence[str] = (),
    level: float = 0.05,
) -> list[Slice]:
    """Find where each policy errs more than elsewhere, and say which of it a fresh sample confirms.

    Each half of the designed sample in turn confirms, and takes no part in the search: that takes
    the other half, and every known error that was not sampled, from whichever source.

    Parameters
    ----------
    decisions
        The decision log, n rows.
    judged
        From `read_judged`.
    policy
        Code of each decision's policy, shape (n,).
    known
        0 where no error is known of a decision, else its kind, a place in `KINDS`; shape (n,).
    rng
        Draws the decisions that known errors are compared with.
    leave_out
        Columns that no condition may be about.
    level
        False discovery rate among the confirmed.

    Returns
    -------
    list of Slice
        By policy, the strongest first; rules whose excess is that of a stronger one left out.
    """
    frame = decisions[condition_columns(decisions, leave_out)]
    # The products are small: threads of BLAS that wait for a busy processor only slow them down.
    with threadpool_limits(1, user_api="blas"):
        tried = _tried(frame, judged, policy, known, rng)
    return _merged(_confirmed(tried, level))


def _tried(
    frame: pd.DataFrame, judged: Judged, policy: Ints, known: Ints, rng: np.random.Generator
) -> list[_Tried]:
    """Search each policy twice, and keep what the other half of its sample can confirm."""
    tried: list[_Tried] = []
    n_policies = int(policy.max(initial=-1)) + 1
    audited = rows_by_code(judged.policy, n_policies)
    for code, rows in enumerate(rows_by_code(policy, n_policies)):
        own = judged.only(audited[code])
        part = frame.iloc[own.position]
        for confirming in (~own.early, own.early):
            if confirming.sum() < _LEAST_ROWS:
                continue
            searched = np.setdiff1d(rows, own.position[confirming], assume_unique=True)
            for candidate in _candidates(frame, searched, known[searched], rng):
                inside = held(part, candidate.rule)
                if (inside & confirming).sum() >= _LEAST_ROWS:
                    tried.append(_Tried(code, candidate, own, audited[code], inside, confirming))
    return tried


def _candidates(
    frame: pd.DataFrame, searched: Ints, known: Ints, rng: np.random.Generator
) -> list[Candidate]:
    """Search these rows of the log for rules."""
    cases = known > 0
    if cases.sum() < _LEAST_ERRORS:
        return []
    others = rng.choice(searched, min(len(searched), _COMPARED), replace=False, shuffle=False)
    kind = np.concatenate([np.zeros(len(others), dtype=np.int64), known[cases]])
    both = frame.iloc[np.concatenate([others, searched[cases]])]
    return search_rules(conditions_of(both, least=_LEAST_ROWS), kind, most=_MOST)


def _confirmed(tried: list[_Tried], level: float) -> list[tuple[Slice, _Tried]]:
    """Test every candidate on the part that had no say in its choice."""
    p = np.array([t.p_value() for t in tried])
    prior = np.array([min(t.candidate.score, _SURE) for t in tried])
    q = adaptive_q_values(p, prior)
    out = []
    for i, t in enumerate(tried):
        found = Slice(
            policy=t.policy,
            rule=t.candidate.rule,
            kind=t.candidate.kind,
            rows=t.rows[t.inside],
            inside=t.rate(t.inside),
            outside=t.rate(~t.inside),
            base=t.rate(np.ones_like(t.inside)),
            p_value=float(p[i]),
            q_value=float(q[i]),
            confirmed=bool(q[i] <= level),
        )
        out.append((found, t))
    return out


def _merged(tested: list[tuple[Slice, _Tried]]) -> list[Slice]:
    """Leave out rules whose excess lies within stronger, confirmed ones of the same policy."""
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
            alone = excess_p(t.judged, t.inside & ~covered, ~t.inside & ~covered, found.kind)
            if alone > _ALONE:
                continue
        kept.append(found)
        if found.confirmed:
            taken[found.policy] = t.inside if covered is None else covered | t.inside
    return kept
