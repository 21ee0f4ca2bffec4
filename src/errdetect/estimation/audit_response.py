"""What became of an audit: decisions that it never reached, answers that are late or missing.

An interval assumes that the drawn decisions were drawn with the logged probabilities and that all
were answered. This module compares the sample with the log it was drawn from and repairs what the
comparison shows, or marks it as unknown:

- The period: ends without draws, or whose answers have hardly begun to come in, are left out.
- Late answers: if errors take longer to be found, recent answers lean towards "correct". Answers are
  weighted by the probability that one of their kind has come by now.
- Gaps: parts of the log that the audit never reached stay unknown and widen the interval.
- Weights: where they do not add up to the log's known totals, they are calibrated to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.labels.audit_draws import EXPECTED_DRAWS, heavy_weight
from errdetect.labels.audit_sample import AuditSample, UnansweredDraws
from errdetect.labels.review_history import COUNTS, OVERRULED, REVISED, to_datetime64
from errdetect.schemas import AUDIT
from errdetect.snapshot import Snapshot

__all__ = [
    "AuditedLog",
    "answer_completeness",
    "audited_log",
    "calibrated_weights",
    "compare_with_log",
    "completeness_variance",
    "response_table",
    "unaudited_decisions",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Times = NDArray[np.datetime64]

#: Expected draws of a value at which drawing none has a probability of about 1 in 1,000; more for many values.
EXPECTED_IN_ONE = 6.9
#: Columns whose values may never have been audited, and those whose pairs may.
GAP_COLUMNS = ("enforced", "policy_id", "market", "language", "moderator", "moderator_version",
               "category", "item_type")  # fmt: skip
PAIRED_COLUMNS = ("enforced", "policy_id", "market", "moderator")
#: Columns to whose totals weights are calibrated; the week and P(error) come on top.
CALIBRATION_COLUMNS = ("enforced", "policy_id", "market", "language", "moderator")
#: Draws below which a value has no total of its own in the calibration.
MIN_DRAWS = 20
#: Standard errors by which weights must miss a total before they are calibrated.
TRIGGER = 3.5
#: Range of the factor by which a weight may change.
MAX_FACTOR = 10.0
#: Answers of a kind (error, no error) below which its delays are not estimated apart.
MIN_ANSWERS = 10
#: Completeness of the answers at which the period ends.
MIN_COMPLETE = 0.25
#: Share of the decisions below which such an end stays in the period.
SHORT_END = 0.05
#: Share of answers still to come, and their bias in standard errors, below which delays are ignored.
FEW_LATE, SMALL_BIAS = 0.02, 0.1
#: Factor by which late answers may raise the weight of a part of the log that lacks none.
MUCH_MORE = 1.3
#: Levels of P(error) to whose totals weights are calibrated.
P_LEVELS = 5


@dataclass(frozen=True)
class AuditedLog:
    """The part of the log that the audit speaks for, and its sample.

    Parameters
    ----------
    audit
        The draws of the period, with repaired weights.
    inside
        Which decisions are of the period, shape (n_decisions,).
    unaudited
        Which of them the audit could not reach, shape (n_decisions,).
    drawn
        The draws of the period, with the design's own weights.
    weighed
        The same, weighed for answers still to come.
    unanswered
        Draws of the period that should have been answered by now, with weights scaled to the share
        that delays do not explain; None where draws are not recorded.
    notes
        What was found, each a part of a sentence; warnings say so.
    """

    audit: AuditSample
    inside: Bools
    unaudited: Bools
    unanswered: UnansweredDraws | None
    notes: tuple[str, ...]
    drawn: AuditSample
    weighed: AuditSample


def audited_log(
    decisions: pd.DataFrame,
    audit: AuditSample,
    *,
    answered_at: Times,
    moment: np.datetime64,
    bins: Ints | None = None,
    asked_at: Times | None = None,
) -> AuditedLog:
    """Compare a sample with the log it was drawn from, and repair what the comparison shows.

    Parameters
    ----------
    decisions
        The population, n rows with `decided_at`.
    audit
        Its draws.
    answered_at
        When each draw's first review was known, shape (n_draws,), UTC.
    moment
        The latest moment at which a review could be known.
    bins
        An ordered level of P(error) of each decision, shape (n,); None where there is none.
    asked_at
        When each draw was drawn, shape (n_draws,); None where only its decision's time is known.

    Returns
    -------
    AuditedLog

    Examples
    --------
    >>> n = np.arange(2000)
    >>> day = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(n // 40, unit="D")
    >>> decisions = pd.DataFrame({"decided_at": day, "market": np.where(n % 10 == 0, "XX", "DE")})
    >>> at = n[n % 10 == 3]
    >>> nothing = at * np.nan
    >>> audit = AuditSample(at, at * 0 + 10.0, at % 3 == 0, at % 3 == 0, nothing, nothing, nothing,
    ...                     np.arange(len(at)), at * 0, ("x",))
    >>> answered = decisions["decided_at"].to_numpy("datetime64[us]")[at]
    >>> log = audited_log(decisions, audit, answered_at=answered, moment=np.datetime64("2026-03-01"))
    >>> int(log.unaudited.sum()), log.notes[0][:50]
    (200, 'warning: no decision of market XX was audited (10.')
    """
    n = len(decisions)
    unchanged = AuditedLog(
        audit, np.ones(n, bool), np.zeros(n, bool), audit.unanswered, (), audit, audit
    )
    random = audit.variance > 0
    if random.sum() < MIN_DRAWS:
        return unchanged
    times = decisions["decided_at"].to_numpy(dtype="datetime64[us]")
    log = _within_period(times, unchanged)
    if len(log.audit.position) < MIN_DRAWS:
        return unchanged
    asked, answered = times.copy(), times.copy()
    answered[audit.position] = answered_at
    if asked_at is not None:
        asked[audit.position] = np.clip(asked_at, times[audit.position], answered_at)
    log = _weigh_late_answers(times, log, (asked, answered), moment)
    unaudited, gaps = unaudited_decisions(decisions, log.audit, log.inside)
    log = replace(log, unaudited=unaudited, notes=(*log.notes, *gaps))
    weight, note = calibrated_weights(decisions, log.audit, log.inside & ~unaudited, bins)
    factor = weight / log.audit.weight
    audit = replace(log.audit, weight=weight, own_variance=log.audit.variance * factor**2)
    notes = (*log.notes, *([note] if note else []))
    return replace(log, audit=audit, weighed=log.audit, notes=notes)


def _select_draws(audit: AuditSample, kept: Bools) -> AuditSample:
    """Return the sample of these draws, shape (n_draws,)."""
    votes = kept[audit.vote_draw]
    number = np.cumsum(kept) - 1
    spread = audit.variance[kept]
    return AuditSample(
        audit.position[kept], audit.weight[kept], audit.error[kept], audit.overturned[kept],
        audit.expert_error[kept], audit.expert_overturned[kept], audit.expert_probability[kept],
        number[audit.vote_draw[votes]], audit.vote_site[votes], audit.sites, spread,
        audit.unanswered, audit.n_shared,
    )  # fmt: skip


def _select_unanswered(unanswered: UnansweredDraws | None, inside: Bools) -> UnansweredDraws | None:
    if unanswered is None:
        return None
    kept = inside[unanswered.position]
    return UnansweredDraws(unanswered.position[kept], unanswered.weight[kept])


def _restrict(log: AuditedLog, inside: Bools, note: str) -> AuditedLog:
    """Return the log without the decisions that are not `inside`."""
    audit = _select_draws(log.audit, inside[log.audit.position])
    unanswered = _select_unanswered(log.unanswered, inside)
    return replace(
        log,
        audit=replace(audit, unanswered=unanswered),
        drawn=_select_draws(log.drawn, inside[log.drawn.position]),
        inside=inside,
        unanswered=unanswered,
        notes=(*log.notes, note),
    )


def _within_period(times: Times, log: AuditedLog) -> AuditedLog:
    """Leave out the ends of the log in which nothing was audited, by full days."""
    audit = log.audit
    drawn = times[audit.position]
    heavy = heavy_weight(audit.weight)
    first, last = drawn.min().astype("datetime64[D]"), drawn.max().astype("datetime64[D]")
    before, after = times < first, times >= last + np.timedelta64(1, "D")
    ends = []
    inside = log.inside.copy()
    for bare, where in ((before, f"before {first}"), (after, f"after {last}")):
        if bare.sum() > EXPECTED_DRAWS * heavy:
            inside &= ~bare
            ends.append(f"{where} ({bare.mean():.0%} of the decisions)")
    if not ends:
        return log
    note = f"the period leaves out the time {' and '.join(ends)}, of which nothing was audited"
    return _restrict(log, inside, note)


def answer_completeness(delay: Floats, age: Floats, at: Floats | None = None) -> Floats:
    """Return the probability that an answer as delayed as these has come by an age.

    An answer is only observed if its delay is at most its decision's age (right truncation), so slow
    answers to recent decisions are missing. The reverse-time product-limit estimate corrects for it.

    Parameters
    ----------
    delay
        Time from decision to answer, shape (n,).
    age
        Time from decision to now, at least the delay, shape (n,).
    at
        The ages asked for, shape (m,); None for `age`.

    Returns
    -------
    numpy.ndarray
        Shape (m,), relative to the longest age; 0 below the shortest delay.

    References
    ----------
    Lagakos, Barraj and De Gruttola (1988), Nonparametric analysis of truncated survival data.

    Examples
    --------
    >>> delay, age = np.array([1.0, 1.0, 9.0]), np.array([2.0, 10.0, 10.0])
    >>> answer_completeness(delay, age).tolist()
    [0.5, 1.0, 1.0]
    >>> answer_completeness(delay, age, np.array([0.5])).tolist()
    [0.0]
    """
    at = age if at is None else at
    step, count, at_risk = _reverse_time_risk(delay, age)
    later = np.append(np.cumprod((1 - count / at_risk)[::-1])[::-1], 1.0)
    found = later[np.searchsorted(step, at, side="right")]
    return np.where(at < step[0], 0.0, found) if len(step) else np.ones(len(at))


def _reverse_time_risk(delay: Floats, age: Floats) -> tuple[Floats, Ints, Ints]:
    """Return each distinct delay, its answers, and those whose delay could have been this long."""
    step, count = np.unique(delay, return_counts=True)
    at_risk = np.searchsorted(np.sort(delay), step, side="right") - np.searchsorted(
        np.sort(age), step, side="left"
    )
    return step, count, np.maximum(at_risk, count)


def completeness_variance(delay: Floats, age: Floats, weight: Floats) -> Floats:
    """Return what the estimated completeness adds to the variance of a sum of weights, by answer.

    The weights are divided by `answer_completeness`, whose logarithm is a sum over delays of independent
    estimates with Greenwood's variance d / (r (r - d)), for d of r answers: every one moves
    the weights of all younger decisions together.

    Parameters
    ----------
    delay, age
        As for `answer_completeness`, shape (n,).
    weight
        Divided by the completeness, shape (n,).

    Returns
    -------
    numpy.ndarray
        Shape (n,); adds up to the variance of the sum of the weights.

    Examples
    --------
    >>> delay, age = np.array([1.0, 1.0, 9.0]), np.array([2.0, 10.0, 10.0])
    >>> completeness_variance(delay, age, np.array([2.0, 1.0, 1.0])).tolist()
    [2.0, 0.0, 0.0]
    """
    step, count, at_risk = _reverse_time_risk(delay, age)
    order = np.argsort(age)
    younger = np.append(0.0, np.cumsum(weight[order]))
    total = younger[np.searchsorted(age[order], step, side="left")]
    # Where all at risk are of this delay, younger answers have completeness 0 and are not weighed.
    moved = total * count / (at_risk * np.maximum(at_risk - count, 1))
    later = np.append(np.cumsum(moved[::-1])[::-1], 0.0)
    return np.asarray(weight * later[np.searchsorted(step, age, side="right")])


def _weigh_late_answers(
    times: Times, log: AuditedLog, asked_and_answered: tuple[Times, Times], moment: np.datetime64
) -> AuditedLog:
    """Weigh answers by the probability that one of their kind has come; end the period where few have."""
    audit, day = log.audit, np.timedelta64(1, "D")
    asked, answered = (moments[audit.position] for moments in asked_and_answered)
    delay, age = (answered - asked) / day, (moment - asked) / day
    complete, least = _completeness_by_kind(delay, age, audit.flagged)
    if _is_negligible(audit, complete) or not _is_plausible(times, log, complete):
        return log
    flagged, stays = audit.flagged, np.ones(len(age), bool)
    young = least < MIN_COMPLETE
    oldest = float(age[young].max(initial=0.0))
    end = moment - np.timedelta64(int(oldest * 86_400_000_000), "us")
    inside = log.inside & (times < end)
    at_once = np.median((asked - times[audit.position]) / day) < 1
    if at_once and young.any() and inside.sum() < (1 - SHORT_END) * log.inside.sum():
        if inside.sum() < 0.5 * log.inside.sum() or (times[audit.position] < end).sum() < MIN_DRAWS:
            return log
        note = (
            f"the period ends on {end.astype('datetime64[D]')}: fewer than a quarter of the answers "
            "on later decisions have come"
        )
        stays = times[audit.position] < end
        log, complete = _restrict(log, inside, note), complete[stays]
        audit = log.audit
    complete = np.maximum(complete, MIN_COMPLETE)
    weight = np.zeros(len(age))
    weight[stays] = audit.weight / complete
    unsure = _completeness_variance_by_kind(delay, age, flagged, weight)[stays]
    missing = _late_share(audit, complete)
    unanswered = log.unanswered
    if unanswered is not None and len(unanswered.weight):
        gone = float(unanswered.weight.sum())
        late = missing / max(1 - missing, 1e-9) * float(audit.weight.sum())
        unexplained = max(gone - late, 0.0) / gone
        unanswered = replace(unanswered, weight=unanswered.weight * unexplained)
    note = (
        f"answers still to come ({missing:.1%} by past delays) are made up for by the weights of "
        "those that came"
    )
    audit = replace(
        audit,
        weight=audit.weight / complete,
        own_variance=audit.variance / complete**2
        + (audit.weight / complete) ** 2 * (1 - complete)
        + unsure,
    )
    return replace(log, audit=audit, unanswered=unanswered, notes=(*log.notes, note))


def _late_share(audit: AuditSample, complete: Floats) -> float:
    """Return the share of the answers that is still to come."""
    return 1 - float(audit.weight.sum() / (audit.weight / complete).sum())


def _is_negligible(audit: AuditSample, complete: Floats) -> bool:
    """Whether answers still to come are few, and hardly more for errors than for others."""
    if _late_share(audit, complete) > FEW_LATE:
        return False
    flagged, weight = audit.flagged, audit.weight
    if flagged.all() or not flagged.any():
        return True
    rate = float(weight[flagged].sum() / weight.sum())
    late = [
        1 - weight[kind].sum() / (weight / complete)[kind].sum() for kind in (flagged, ~flagged)
    ]
    spread = np.sqrt(rate * (1 - rate))
    return bool(spread * abs(late[0] - late[1]) < SMALL_BIAS / np.sqrt(len(weight)))


def _completeness_by_kind(delay: Floats, age: Floats, flagged: Bools) -> tuple[Floats, Floats]:
    """Return the completeness of each answer's kind, and of the least complete kind, at its age.

    Errors and others are kinds of their own where there are enough of both.
    """
    if min(flagged.sum(), (~flagged).sum()) < MIN_ANSWERS:
        complete = np.maximum(answer_completeness(delay, age), 1e-3)
        return complete, complete
    errors, others = (answer_completeness(delay[k], age[k], age) for k in (flagged, ~flagged))
    complete = np.maximum(np.where(flagged, errors, others), 1e-3)
    return complete, np.minimum(errors, others)


def _completeness_variance_by_kind(
    delay: Floats, age: Floats, flagged: Bools, weight: Floats
) -> Floats:
    """Return `completeness_variance` of each kind; 0 where both share one, which moves no rate."""
    unsure = np.zeros(len(age))
    if min(flagged.sum(), (~flagged).sum()) >= MIN_ANSWERS:
        for kind in (flagged, ~flagged):
            unsure[kind] = completeness_variance(delay[kind], age[kind], weight[kind])
    return unsure


def _is_plausible(times: Times, log: AuditedLog, complete: Floats) -> bool:
    """Whether the answers still to come, by their delays, fit into the log.

    Where an audit draws from the past at one time, delays grow with age and suggest answers that
    are not missing: the weights would then add up to more than the log holds, or a part of the log
    would gain much although nothing of it is missing.
    """
    audit = log.audit
    n_parts = 5
    edges = np.quantile(times[log.inside].astype(np.int64), np.arange(1, n_parts) / n_parts)
    part = np.searchsorted(edges, times.astype(np.int64), side="right")
    size = np.bincount(part[log.inside], minlength=n_parts)
    weight = audit.weight / np.maximum(complete, MIN_COMPLETE)  # as they would be weighed
    at = part[audit.position]
    before, total = np.bincount(at, audit.weight, n_parts), np.bincount(at, weight, n_parts)
    sd = np.sqrt(np.bincount(at, weight**2, n_parts))
    much = total > MUCH_MORE * before
    closer = np.abs(total - size) < np.abs(before - size)
    return bool((total <= size + 3 * sd).all() and (closer | ~much).all())


def unaudited_decisions(
    decisions: pd.DataFrame, audit: AuditSample, inside: Bools
) -> tuple[Bools, list[str]]:
    """Find parts of the log that the audit evidently could not reach.

    A value of a column, or a pair of values, counts as never audited where none of its decisions was
    drawn although some ten were to be expected: in fewer than 1 of 1,000 fully audited columns.

    Parameters
    ----------
    decisions
        The population, n rows.
    audit
        Its draws.
    inside
        Decisions to look at, shape (n,).

    Returns
    -------
    (unaudited, notes)
        Shape (n,); a warning for each part.
    """
    heavy = heavy_weight(audit.weight)
    drawn = np.zeros(len(decisions), bool)
    drawn[audit.position] = True
    codes: dict[str, Ints] = {}
    levels: dict[str, Sequence[object]] = {}
    for column in GAP_COLUMNS:
        if column in decisions:
            code, names = pd.factorize(decisions[column], use_na_sentinel=False)
            if 1 < len(names) <= len(decisions) // 10:
                codes[column], levels[column] = code.astype(np.int64), list(names)
    codes["week"], levels["week"] = _weeks(decisions)
    unaudited = np.zeros(len(decisions), bool)
    notes: list[str] = []
    paired = [column for column in PAIRED_COLUMNS if column in codes]
    for key in [*((column,) for column in codes), *combinations(paired, 2)]:
        code = codes[key[0]]
        for other in key[1:]:
            code = code * len(levels[other]) + codes[other]
        observed = inside & ~unaudited
        size = np.bincount(code[observed])
        hit = np.bincount(code[observed & drawn], minlength=len(size))
        expected = np.log((size > 0).sum()) + EXPECTED_IN_ONE
        for gap in np.flatnonzero((hit == 0) & (size > expected * heavy)):
            part = observed & (code == gap)
            first = int(np.argmax(part))
            where = " and ".join(f"{c} {_level_text(levels[c][codes[c][first]])}" for c in key)
            share = float(part.sum() / inside.sum())
            notes.append(
                f"warning: no decision of {where} was audited ({share:.1%} of the decisions), so its "
                "errors are unknown and widen the interval"
            )
            unaudited |= part
    return unaudited, notes


def _level_text(value: object) -> str:
    return str(value)[:60] if not isinstance(value, float) else f"{value:g}"


def calibrated_weights(
    decisions: pd.DataFrame, audit: AuditSample, inside: Bools, bins: Ints | None = None
) -> tuple[Floats, str]:
    """Calibrate the weights to the log's totals where they miss one significantly.

    Parameters
    ----------
    decisions
        The population, n rows.
    audit
        Its draws.
    inside
        The decisions that the audit could reach, shape (n,).
    bins
        An ordered level of P(error) of each decision, shape (n,).

    Returns
    -------
    (weight, note)
        Shape (n_draws,); the note is empty where the weights are unchanged.

    References
    ----------
    Deming and Stephan (1940), iterative proportional fitting; Deville and Särndal (1992),
    Calibration estimators in survey sampling.
    """
    margins = _margins(decisions, audit, inside, bins)
    free = audit.variance > 0
    total = audit.weight[free].sum()
    worst, where = 0.0, ""
    ready = []
    for name, code, text in margins:
        n = int(code.max()) + 1
        size = np.bincount(code[inside], minlength=n).astype(np.float64)
        at = code[audit.position]
        size -= np.bincount(at[~free], minlength=n)  # certain draws represent themselves
        observed = np.bincount(at[free], audit.weight[free], n)
        draws = np.bincount(at[free], minlength=n)
        spread = np.bincount(at[free], audit.variance[free], n)
        ratio = size.sum() / max(total, 1e-12)
        heavy = total / max(free.sum(), 1)
        sd = ratio * np.sqrt(np.maximum(spread, heavy**2))
        miss = np.abs(observed * ratio - size) / sd
        if miss.max() > worst:
            worst, where = float(miss.max()), f"{name} {text[int(miss.argmax())]}".strip()
        ready.append(_merge_small(at, size, draws, miss))
    if worst < TRIGGER:
        return audit.weight, ""
    factor = _rake(audit.weight, free, ready)
    note = f"the weights did not match the log's totals (most clearly: {where}) and were calibrated to them"
    return audit.weight * factor, note


def _margins(
    decisions: pd.DataFrame, audit: AuditSample, inside: Bools, bins: Ints | None
) -> list[tuple[str, Ints, Sequence[str]]]:
    """Return name, code of every decision, and level names of each margin."""
    found: list[tuple[str, Ints, Sequence[str]]] = []
    for column in CALIBRATION_COLUMNS:
        if column in decisions:
            code, names = pd.factorize(decisions[column], use_na_sentinel=False)
            found.append((column, code.astype(np.int64), [str(name)[:60] for name in names]))
    found.append(("week of", *_weeks(decisions)))
    levels = max(min(P_LEVELS, len(audit.position) // (2 * MIN_DRAWS)), 1)
    for label, values in (("P(error)", bins), ("score", _score_ranks(decisions))):
        if values is None or levels < 2:
            continue
        edges = np.quantile(values[audit.position], np.arange(1, levels) / levels)
        code = np.searchsorted(np.unique(edges), values, side="left").astype(np.int64)
        found.append(
            (label, code, [f"level {i + 1} of {code.max() + 1}" for i in range(code.max() + 1)])
        )
    return [margin for margin in found if margin[1][inside].max(initial=0) > 0]


def _weeks(decisions: pd.DataFrame) -> tuple[Ints, list[str]]:
    """Return the number of each decision's week, and the weeks' first days."""
    code, weeks = pd.factorize(decisions["decided_at"].to_numpy(dtype="datetime64[W]"), sort=True)
    return code.astype(np.int64), [str(week) for week in weeks]


def _score_ranks(decisions: pd.DataFrame) -> Floats | None:
    """Return the machine's score, within its side; None where the log has none."""
    if "score" not in decisions or decisions["score"].isna().any():
        return None
    side = decisions["enforced"].to_numpy(np.float64) if "enforced" in decisions else 0.0
    return np.asarray(decisions["score"].to_numpy(np.float64) + 2 * side)


def _merge_small(at: Ints, size: Floats, draws: Ints, miss: Floats) -> tuple[Ints, Floats]:
    """Merge levels of few draws, but for those that clearly miss their total."""
    own = (draws >= MIN_DRAWS) | ((draws >= MIN_DRAWS // 4) & (miss > TRIGGER))
    number = np.where(own, np.cumsum(own), 0)
    total = np.bincount(number, size, int(own.sum()) + 1)
    return np.asarray(number[at], np.int64), np.asarray(total, np.float64)


def _rake(weight: Floats, free: Bools, margins: Sequence[tuple[Ints, Floats]]) -> Floats:
    """Return the factors that make weights add up to every margin's totals."""
    factor = np.ones(len(weight))
    for _ in range(100):
        before = factor.copy()
        for at, size in margins:
            observed = np.bincount(at[free], (weight * factor)[free], len(size))
            step = np.where(
                (observed > 0) & (size > 0), size / np.where(observed > 0, observed, 1), 1.0
            )
            factor = np.where(free, factor * step[at], 1.0)
        if np.abs(factor - before).max() < 1e-8:
            break
    return np.clip(factor, 1 / MAX_FACTOR, MAX_FACTOR)


def response_table(
    decisions: pd.DataFrame, audit: AuditSample, columns: Sequence[str]
) -> pd.DataFrame:
    """Return who was drawn and who was answered, by week and by columns.

    Parameters
    ----------
    decisions
        The population, n rows with `decided_at`.
    audit
        Its draws, with those unanswered.
    columns
        Columns to count by; those that are absent are left out.

    Returns
    -------
    pandas.DataFrame
        column (`week` or one of the columns), value, n_drawn, n_answered, response (a share); empty
        where draws are not recorded.

    Examples
    --------
    >>> at, nothing = np.array([0, 1]), np.full(2, np.nan)
    >>> audit = AuditSample(at, at + 1.0, at * 0.0, at * 0.0, nothing, nothing, nothing, at, at * 0,
    ...                     ("x",), None, UnansweredDraws(np.array([2]), np.array([1.0])))
    >>> decisions = pd.DataFrame({"decided_at": pd.Timestamp("2026-01-05", tz="UTC"),
    ...                           "market": ["DE", "FR", "FR"]})
    >>> response_table(decisions, audit, ["market"])["response"].round(2).tolist()
    [0.67, 1.0, 0.5]
    """
    names = ["column", "value", "n_drawn", "n_answered", "response"]
    if audit.unanswered is None:
        return pd.DataFrame(columns=names)
    drawn = np.concatenate([audit.position, audit.unanswered.position])
    answered = np.arange(len(drawn)) < len(audit.position)
    days = decisions["decided_at"].dt.tz_convert(None).dt.normalize()
    monday = (days - pd.to_timedelta(days.dt.day_of_week, unit="D")).dt.strftime("%Y-%m-%d")
    parts = []
    for column in ("week", *(name for name in columns if name in decisions)):
        values = monday if column == "week" else decisions[column]
        frame = pd.DataFrame({"value": values.iloc[drawn].astype("str"), "answered": answered})
        found = frame.groupby("value", dropna=False)["answered"].agg(["size", "sum"])
        found = found.reset_index().set_axis(["value", "n_drawn", "n_answered"], axis=1)
        parts.append(found.assign(column=column, response=found["n_answered"] / found["n_drawn"]))
    return pd.concat(parts, ignore_index=True)[names]


def compare_with_log(snapshot: Snapshot, audit: AuditSample, bins: Ints | None) -> AuditedLog:
    """Compare a snapshot's sample with its log; see `audited_log`.

    Parameters
    ----------
    snapshot
        Decisions, reviews and recorded draws.
    audit
        Its draws.
    bins
        An ordered level of P(error) of each decision, shape (n,); None where there is none.
    """
    history = snapshot.review_history
    answers = history["source"].isin([AUDIT]) & history["standing"].isin(
        [COUNTS, OVERRULED, REVISED]
    )
    rows = np.flatnonzero(answers.to_numpy(dtype=bool))
    first = np.full(len(snapshot.decisions), np.iinfo(np.int64).max)
    known = to_datetime64(history["known_at"].iloc[rows]).astype(np.int64)
    np.minimum.at(first, history["position"].to_numpy()[rows], known)
    return audited_log(
        snapshot.decisions,
        audit,
        answered_at=first[audit.position].astype("datetime64[us]"),
        moment=np.datetime64(snapshot.moment.tz_convert(None).as_unit("us").to_numpy()),
        bins=bins,
        asked_at=_drawn_at(snapshot, audit),
    )


def _drawn_at(snapshot: Snapshot, audit: AuditSample) -> Times | None:
    """Return when each draw was first drawn; None where draws are not recorded."""
    if snapshot.draws is None:
        return None
    drawn = snapshot.draws.groupby("decision_id")["drawn_at"].min()
    decisions = snapshot.decisions.iloc[audit.position]
    at = drawn.reindex(decisions["decision_id"])
    return to_datetime64(at.fillna(decisions["decided_at"].set_axis(at.index)))
