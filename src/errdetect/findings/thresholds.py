"""What-if of thresholds: errors, harm and load at each, and the recommended one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr

from errdetect.findings.audit_evidence import AuditEvidence
from errdetect.findings.error_slices import rows_by_code
from errdetect.findings.rate_tests import selected_gain
from errdetect.schemas import THRESHOLDS
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import critical_value, wilson
from errdetect.stats.multiple_testing import benjamini_hochberg

__all__ = ["Harms", "ThresholdChange", "evaluate_thresholds"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Harms = Callable[[str], tuple[float, float]]

_STEP = 0.05
_LEAST = 40  # reviewed decisions below which a group is left out
_LEAST_ERRORS = 5.0
_LEAST_BETWEEN = 5  # reviewed decisions that each step of a supported range must hold
_LEAST_TURNED = 12  # reviewed decisions whose action changes, in either half, for a recommendation
_OBEYS = 0.98  # share of decisions that must follow score >= threshold
_WRONGFUL, _MISSED = 1, 2


@dataclass(frozen=True)
class ThresholdChange:
    """A threshold that was better on earlier decisions, tested on later ones.

    Parameters
    ----------
    policy_id, moderator, market
        The group; market None for all markets.
    current, recommended
        The thresholds; `current` is the median where they differ.
    saved, low, high
        Harm saved over the log's period, with 95 % limits, from the later half only; where
        confirmed, without what the selection added, and with limits that allow for it.
    n, n_turned, n_reviews
        Decisions, those whose action would change, and the reviewed ones among these in the later half.
    turned
        The rows of the log that would change.
    rises
        Whether the threshold would rise (fewer enforcements).
    p_value, q_value
        Two-sided, of a gain, and the false discovery rate over all thresholds that were tested.
    confirmed
        Whether the gain is positive and the q-value at most the requested level.
    """

    policy_id: str
    moderator: str
    market: str | None
    current: float
    recommended: float
    saved: float
    low: float
    high: float
    n: int
    n_turned: int
    n_reviews: int
    turned: Ints
    rises: bool
    p_value: float = 1.0
    q_value: float = 1.0
    confirmed: bool = False


@dataclass(frozen=True)
class _ThresholdGroup:
    """Decisions of one policy and moderator (and market), with their reviews."""

    names: tuple[str, str, str | None]
    rows: Ints
    score: Floats
    bar: Floats
    enforced: Bools
    at: Ints
    weight: Floats
    violates: Floats
    early: Bools
    harm: tuple[float, float]


def evaluate_thresholds(
    decisions: pd.DataFrame,
    evidence: AuditEvidence,
    harms: Harms,
    *,
    level: float = 0.05,
    minimum: int = 1,
) -> tuple[pd.DataFrame, list[ThresholdChange], int]:
    """Estimate the effect of other thresholds, by policy, moderator and, where counts allow, market.

    Whether content violates does not depend on the threshold, so reviewed decisions show the effect
    of other thresholds, within the range of reviewed scores; outside of it nothing is estimated.

    Parameters
    ----------
    decisions
        With `policy_id`, `enforced`, `score`, `threshold`, perhaps `moderator`, `market`.
    evidence
        From `read_audit_evidence`.
    harms
        policy_id -> harm of one wrongful action and of one missed violation.
    level
        False discovery rate among the confirmed, over all thresholds that the later half tests.
    minimum
        Reviewed decisions that every published figure must rest on, and every difference between two of them.

    Returns
    -------
    (table, moves, left_out)
        As `schemas.THRESHOLDS`; the thresholds that were tested, of which the confirmed ones are
        recommended; how many groups had too few reviews.
    """
    groups: list[_ThresholdGroup] = []
    tables, chosen, left_out = [], [], 0
    for group in _threshold_groups(decisions, evidence, harms):
        errors = np.abs(group.violates - group.enforced[group.at])
        if len(group.at) < max(_LEAST, minimum) or errors.sum() < _LEAST_ERRORS:
            left_out += group.names[2] is None
            continue
        groups.append(group)
        supported, best = _choose_threshold(group, max(_LEAST_TURNED, minimum))
        tables.append(supported)
        chosen.append(best)
    moves = _confirm_thresholds(list(zip(groups, chosen, strict=True)), level)
    out = [
        _threshold_table(group, _distinct_thresholds(group, supported, move, minimum), move)
        for group, supported, move in zip(groups, tables, moves, strict=True)
    ]
    columns = [field.name for field in THRESHOLDS]
    tested = [move for move in moves if move is not None]
    if not out:
        return pd.DataFrame(columns=columns), [], left_out
    return pd.concat(out, ignore_index=True)[columns], tested, left_out


def _threshold_groups(
    decisions: pd.DataFrame, evidence: AuditEvidence, harms: Harms
) -> Iterator[_ThresholdGroup]:
    """List the groups whose action follows the score: policy x moderator, then markets."""
    if not {"score", "threshold"} <= set(decisions.columns):
        return
    score, bar = (
        decisions[c].to_numpy(np.float64, na_value=np.nan) for c in ("score", "threshold")
    )
    enforced = decisions["enforced"].to_numpy(dtype=bool)
    finite = np.isfinite(score) & np.isfinite(bar)
    wrong = evidence.errors[:, _WRONGFUL] + evidence.errors[:, _MISSED]
    violates = np.where(enforced[evidence.position], 1 - wrong, wrong)
    place = np.full(len(decisions), -1)
    place[evidence.position] = np.arange(len(evidence))
    for names in (["policy_id", "moderator"], ["policy_id", "moderator", "market"]):
        if len(names) == 3 and "market" not in decisions:
            return
        keys = [n for n in names if n in decisions]
        by = decisions.groupby(keys, sort=True, observed=True)
        nth, labels = by.ngroup().to_numpy(np.int64), list(by.size().index)
        code: Ints = np.where(finite & (nth >= 0), nth, np.int64(len(labels)))
        # Only groups with reviews are evaluated: there may be thousands.
        judged_in = np.bincount(code[evidence.position], minlength=len(labels) + 1)
        for i, rows in enumerate(rows_by_code(code, len(labels) + 1)[:-1]):
            if not len(rows) or (len(names) == 3 and judged_in[i] < _LEAST):
                continue
            if ((score[rows] >= bar[rows]) == enforced[rows]).mean() < _OBEYS:
                continue
            which = dict(zip(keys, labels[i] if len(keys) > 1 else [labels[i]], strict=True))
            at = np.flatnonzero(place[rows] >= 0)
            own = place[rows[at]]
            market = None if len(names) < 3 else str(which["market"])
            policy_id = str(which["policy_id"])
            yield _ThresholdGroup(
                (policy_id, str(which.get("moderator", "")), market),
                rows, score[rows], bar[rows], enforced[rows], at,
                evidence.weight[own], violates[own], evidence.early[own], harms(policy_id),
            )  # fmt: skip


def _choose_threshold(
    group: _ThresholdGroup, least_turned: int
) -> tuple[dict[float, bool], float | None]:
    """Return which thresholds are supported, and the one to test, if any."""
    current = float(np.median(group.bar))
    bars = np.round(np.arange(_STEP, 1.0, _STEP), 2)
    bars = np.unique(np.append(bars[np.abs(bars - current) > 1e-9], current))
    supported = _supported_thresholds(group, bars, current)
    best = _best_earlier(group, bars[supported & (bars != current)], least_turned)
    return dict(zip(bars.tolist(), supported.tolist(), strict=True)), best


def _threshold_table(
    group: _ThresholdGroup, supported: dict[float, bool], move: ThresholdChange | None
) -> pd.DataFrame:
    """Return one group's table."""
    current = float(np.median(group.bar))
    better = move.recommended if move is not None and move.confirmed else None
    rows: list[dict[str, Any]] = []
    for bar, known in supported.items():
        now = bar == current
        acted = group.enforced if now else group.score >= bar
        row: dict[str, Any] = {
            "policy_id": group.names[0],
            "moderator": group.names[1],
            "market": group.names[2],
            "threshold": bar,
            "current": now,
            "n_enforced": int(acted.sum()),
            "n_near_threshold": int((np.abs(group.score - bar) < _STEP).sum()),
            "supported": known,
            "recommended": bar == better,
        }
        rows.append({**row, **(_error_totals(group, acted) if known else _EMPTY)})
    return pd.DataFrame(rows)


_MEASURES = ("wrongful", "missed", "harm")
_EMPTY = {f"{m}{end}": np.nan for m in _MEASURES for end in ("", "_low", "_high")}


def _supported_thresholds(group: _ThresholdGroup, bars: Floats, current: float) -> Bools:
    """Return which thresholds the reviewed scores support: each step from the current one must hold some."""
    evidence = np.sort(group.score[group.at])
    everything = np.sort(group.score)
    supported: Bools = bars == current
    here = int(np.flatnonzero(supported)[0])
    for side in (range(here - 1, -1, -1), range(here + 1, len(bars))):
        for i in side:
            nearer = i + 1 if i < here else i - 1
            low, high = sorted((bars[i], bars[nearer]))
            seen = np.diff(np.searchsorted(evidence, [low, high]))[0]
            there = np.diff(np.searchsorted(everything, [low, high]))[0]
            if seen < min(_LEAST_BETWEEN, there):
                break
            supported[i] = True
    return supported


def _distinct_thresholds(
    group: _ThresholdGroup,
    supported: dict[float, bool],
    move: ThresholdChange | None,
    minimum: int,
) -> dict[float, bool]:
    """Support only thresholds with enough reviewed decisions between each two, and beyond the outermost.

    The figures of two thresholds differ by the decisions between them: by those of few, they would tell
    these decisions' verdicts. The current and the tested threshold are kept first.
    """
    scores = np.sort(group.score[group.at])
    current = float(np.median(group.bar))
    first = [current, *([] if move is None else [move.recommended])]
    order = [*first, *sorted(set(supported) - set(first), key=lambda one: abs(one - current))]
    kept = [-np.inf, np.inf]
    for threshold in order:
        near = min(abs(int(np.diff(np.searchsorted(scores, [threshold, one]))[0])) for one in kept)
        if supported[threshold] and (near >= minimum or threshold == current):
            kept.append(threshold)
    return {one: one in kept for one in supported}


def _weighted_share(
    values: Floats, weight: Floats, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the weighted mean of values in [0, 1] with its limits."""
    total = weight.sum()
    rate = float(weight @ values / total)
    worth = effective_size(weight)
    if 0 < rate < 1:
        seen = float(weight**2 @ (values * (1 - rate) ** 2 + (1 - values) * rate**2))
        # As if one more of the rarer kind had been seen: with few of them the variance is understated.
        hidden = float((weight**2).mean()) * min(rate, 1 - rate)
        worth = min(rate * (1 - rate) * total**2 / (seen + hidden), float(len(weight)))
    _, low, high = wilson(np.array([rate]), np.array([worth]), confidence)
    return rate, float(low[0]), float(high[0])


def _error_totals(group: _ThresholdGroup, acted: Bools) -> dict[str, float]:
    """Estimate wrongful actions, missed violations and their harm over the log's period."""
    at, n = group.at, len(group.rows)
    sides = {
        "wrongful": (1 - group.violates) * acted[at],
        "missed": group.violates * ~acted[at],
    }
    out: dict[str, float] = {}
    down = up = total = 0.0
    for (name, values), harm in zip(sides.items(), group.harm, strict=True):
        rate, low, high = _weighted_share(values, group.weight)
        out |= {name: rate * n, f"{name}_low": low * n, f"{name}_high": high * n}
        total += harm * rate * n
        down = float(np.hypot(down, harm * (rate - low) * n))
        up = float(np.hypot(up, harm * (high - rate) * n))
    return {**out, "harm": total, "harm_low": max(total - down, 0.0), "harm_high": total + up}


def _harm_saved(
    group: _ThresholdGroup, bar: float, part: Bools, confidence: float = 0.95
) -> tuple[float, float, float, int]:
    """Return the harm a threshold saves, its limits, and the reviewed decisions used."""
    wrongful, missed = group.harm
    total = down = up = 0.0
    n_judged = 0
    acts = group.score >= bar
    for turned, sign in ((group.enforced & ~acts, 1.0), (~group.enforced & acts, -1.0)):
        n = int(turned.sum())
        if not n:
            continue
        own = turned[group.at] & part
        n_judged += int(own.sum())
        if not own.any():
            return np.nan, -np.inf, np.inf, n_judged
        # No longer enforced: saves a wrongful action, or misses a violation where it violates.
        rate, low, high = _weighted_share(group.violates[own], group.weight[own], confidence)
        ends = [sign * n * (wrongful - (wrongful + missed) * v) for v in (rate, low, high)]
        total += ends[0]
        down = float(np.hypot(down, ends[0] - min(ends)))
        up = float(np.hypot(up, max(ends) - ends[0]))
    return total, total - down, total + up, n_judged


def _best_earlier(group: _ThresholdGroup, thresholds: Floats, least_turned: int) -> float | None:
    """Choose the threshold that saves most on the earlier part, if the later part can test it."""
    best: tuple[float, float] | None = None
    for threshold in thresholds.tolist():
        saved, low, _, n = _harm_saved(group, threshold, group.early)
        if n >= least_turned and low > 0 and (best is None or saved > best[0]):
            best = (saved, threshold)
    if best is None or _harm_saved(group, best[1], ~group.early)[3] < least_turned:
        return None
    return best[1]


_MOST_SDS = 8.0  # a gain beyond so many standard errors is certain


def _gain_p_value(group: _ThresholdGroup, threshold: float) -> float:
    """Return the two-sided p-value of a gain on the later part: where its limits reach zero."""

    def low(sds: float) -> float:
        return _harm_saved(group, threshold, ~group.early, 1 - 2 * float(ndtr(-sds)))[1]

    if not low(1e-6) > 0:
        return 1.0
    sds = _MOST_SDS if low(_MOST_SDS) > 0 else float(brentq(low, 1e-6, _MOST_SDS))
    return 2 * float(ndtr(-sds))


def _confirm_thresholds(
    chosen: list[tuple[_ThresholdGroup, float | None]], level: float
) -> list[ThresholdChange | None]:
    """Test the chosen thresholds on the later part, all of them as one family."""
    tested = [i for i, (_, threshold) in enumerate(chosen) if threshold is not None]
    p = np.array(
        [_gain_p_value(group, threshold) for group, threshold in chosen if threshold is not None]
    )
    q = benjamini_hochberg(p)
    share = float((q <= level).sum()) / max(len(tested), 1)
    out: list[ThresholdChange | None] = [None] * len(chosen)
    for i, p_value, q_value in zip(tested, p.tolist(), q.tolist(), strict=True):
        group, threshold = chosen[i]
        assert threshold is not None
        move = _threshold_change(group, threshold, 1 - level * share if q_value <= level else 0.95)
        move = replace(move, p_value=p_value, q_value=q_value, confirmed=q_value <= level)
        out[i] = _without_selection(move, level * share) if move.confirmed else move
    return out


def _threshold_change(
    group: _ThresholdGroup, threshold: float, confidence: float
) -> ThresholdChange:
    """Measure a threshold on the later part."""
    current = float(np.median(group.bar))
    saved, low, high, n = _harm_saved(group, threshold, ~group.early, confidence)
    turned = group.rows[(group.score >= threshold) != group.enforced]
    return ThresholdChange(
        *group.names, current, threshold, saved, low, high, len(group.rows), len(turned), n, turned,
        threshold > current,
    )  # fmt: skip


def _without_selection(move: ThresholdChange, limit: float) -> ThresholdChange:
    """Take off the gain what its selection added; `limit` is the highest p-value confirmed."""
    z = critical_value(1 - limit)
    sd = (move.saved - move.low) / z
    if not sd > 0:
        return move
    saved = selected_gain(move.saved, sd, z * sd)
    return replace(move, saved=saved, low=min(move.low, saved))
