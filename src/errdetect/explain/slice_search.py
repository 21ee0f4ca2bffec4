"""The search for rules where one policy errs more: every pair of conditions, the best pairs' thirds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errdetect.findings.conditions import Condition, Conditions
from errdetect.findings.evidence import KINDS

__all__ = ["Candidate", "search_rules"]

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_LEAST_ERRORS = 3  # known errors that a rule must hold
_PRICE = 3.0  # by how much (in log likelihood) a further condition must pay
_LEAST_SCORE = 5.0  # log likelihood gained by the rule, conditions paid for
_BEAM = 40  # pairs of each kind of error that are tried with every third condition


@dataclass(frozen=True)
class Candidate:
    """A rule of one policy with the kind of error that it is about, and the gain in likelihood."""

    rule: tuple[Condition, ...]
    kind: int
    score: float


@dataclass(frozen=True)
class _Counts:
    """Decisions, and known errors by kind (rows as `KINDS`), of k sets of rows."""

    decisions: Floats
    errors: Floats

    def minus(self, other: "_Counts") -> "_Counts":
        return _Counts(self.decisions - other.decisions, self.errors - other.errors)


def search_rules(conditions: Conditions, kind: Ints, *, most: int) -> list[Candidate]:
    """Find rules of up to three conditions where known errors are more frequent than elsewhere.

    The best rule is taken, its rows are set aside, and the search goes on among the rest, so that
    a rule whose excess is another's is not taken again. Of rules that tell the same the shorter one
    wins, as each condition has a price.

    Parameters
    ----------
    conditions
        The conditions that may be joined, on m rows of one policy: known errors, and decisions
        drawn evenly to compare them with.
    kind
        Shape (m,): 0 for a decision to compare with, else the error's kind, a place in `KINDS`.
    most
        Rules at most.

    Returns
    -------
    list of Candidate
        The strongest first; equal ones by kind, then by the conditions' order.

    Notes
    -----
    The score is the log likelihood ratio of Kulldorff's (1997, Communications in Statistics 26,
    1481-1496) scan statistic. Every known error counts alike, from whichever source, so a rule may
    also be where people looked more: it is a candidate, to be confirmed on a designed sample.

    Examples
    --------
    >>> import pandas as pd
    >>> from errdetect.findings.conditions import conditions_of
    >>> log = pd.DataFrame({"market": ["DE"] * 50 + ["FR"] * 50 + ["DE"] * 19 + ["FR"]})
    >>> kind = np.array([0] * 100 + [1] * 20)
    >>> [c.rule[0].value for c in search_rules(conditions_of(log, least=5), kind, most=3)]
    ['DE']
    """
    met, alive = conditions.met, _alive(conditions.met, kind)
    met = np.ascontiguousarray(met[:, alive])
    rows = np.arange(len(kind))
    pairs = _pair_counts(met, kind) if len(alive) else None
    found: list[Candidate] = []
    while pairs is not None and len(found) < most:
        best = _best(met[rows], kind[rows], pairs)
        if best is None:
            break
        score, of, at = best
        items = tuple(conditions.items[alive[i]] for i in at)
        found.append(Candidate(items, of, score))
        inside = met[rows][:, at].all(axis=1)
        pairs = pairs.minus(_pair_counts(met[rows[inside]], kind[rows[inside]]))
        rows = rows[~inside]
    return found


def _alive(met: Single, kind: Ints) -> Ints:
    """Keep conditions with enough errors: no rule has more errors than each of its conditions."""
    return np.flatnonzero(met[kind > 0].sum(axis=0) >= _LEAST_ERRORS)


def _best(met: Single, kind: Ints, pairs: _Counts) -> tuple[float, int, list[int]] | None:
    """Return the best rule among these rows: score, kind, conditions."""
    k = met.shape[1]
    whole = _counts(np.ones((len(kind), 1), np.float32), kind)
    options = _tops(_counts(met, kind), whole, [])
    beam: list[int] = []
    for of, scores in _scores(pairs, whole).items():
        scores = np.triu(scores.reshape(k, k), 1).ravel()
        top = _highest(scores, _BEAM)
        beam += top.tolist()
        options += [(scores[i] - _PRICE, of, [int(i // k), int(i % k)]) for i in top[:1]]
    for pair in np.unique(np.array(beam, dtype=np.int64)).tolist():
        a, b = pair // k, pair % k
        rows = np.flatnonzero(met[:, a] * met[:, b])
        options += _tops(_counts(met[rows], kind[rows]), whole, [a, b])
    good = [(s, of, sorted(at)) for s, of, at in options if s >= _LEAST_SCORE]
    return min(good, key=lambda o: (-round(o[0], 3), len(o[2]), o[1], o[2]), default=None)


def _tops(counts: _Counts, whole: _Counts, joined: list[int]) -> list[tuple[float, int, list[int]]]:
    """Return each kind's best condition to join to these: score, kind, conditions."""
    found = []
    for of, scores in _scores(counts, whole).items():
        scores[joined] = 0.0
        i = int(np.argmax(np.round(scores, 3)))
        found.append((float(scores[i]) - len(joined) * _PRICE, of, [*joined, i]))
    return found


def _highest(values: Floats, n: int) -> Ints:
    """Return the places of the n highest values above zero, the highest first; ties by place."""
    positive = np.flatnonzero(values > 0)
    return positive[np.argsort(-np.round(values[positive], 3), kind="stable")[:n]]


def _indicators(kind: Ints) -> Single:
    """Return the rows that count: decisions to compare with, any error, each kind; (1 + 4, m)."""
    kinds = [kind == 0, kind > 0, *(kind == k for k in range(1, len(KINDS)))]
    return np.array(kinds, dtype=np.float32)


def _counts(met: Single, kind: Ints) -> _Counts:
    counts = (_indicators(kind) @ met).astype(np.float64)
    return _Counts(counts[0], counts[1:])


def _pair_counts(met: Single, kind: Ints) -> _Counts:
    """Count the rows that meet both of two conditions, for all pairs: products of bitmaps."""

    def product(rows: Bools) -> Floats:
        part = met[rows]
        return (part.T @ part).ravel().astype(np.float64)

    by_kind = [product(kind == k) for k in range(1, len(KINDS))]
    return _Counts(product(kind == 0), np.array([sum(by_kind), *by_kind]))


def _scores(counts: _Counts, whole: _Counts) -> dict[int, Floats]:
    """Score every set of rows by kind of error; 0 where there is no excess or too little."""
    total_decisions = float(whole.decisions[0])
    # Half a decision more on either side, as those compared with are themselves a sample.
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
