"""The gate: a new model passes only if it surely ranks better than doing without, and than the champion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, stdtrit

from errdetect.model.evaluation import MIN_EACH, RANDOM, HeldOut, recall_name
from errdetect.stats.effective_size import effective_size
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.log_odds import clipped_logit
from errdetect.stats.ranking_metrics import (
    average_precision_influence,
    calibration_error,
    permuted_metrics,
    recall_influence,
)

__all__ = [
    "CHAMPION",
    "Champion",
    "GateCheck",
    "GateResult",
    "GateRules",
    "ModelFacts",
    "apply_gate",
    "compare_with_champion",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CHAMPION = "champion"
_AP = "average_precision"
_CALIBRATION = "calibration_error"
_LEVEL, _REVIEWS = "level", "reviews"
_ALPHA = 0.05  # each test's; a model must pass all, so that none needs a correction
_PERMUTATIONS = 300
_RESAMPLES = 200
_FEWEST_ROWS = 20  # decisions within the budget, below which recall there says nothing
_GROUPS = ("market", "language")


@dataclass(frozen=True)
class GateRules:
    """What a model must show.

    Parameters
    ----------
    min_errors
        With fewer held-out errors, or fewer correct decisions, the answer is `unknown`; also where their weights
        are so unequal that they tell no more than fewer would (effective sample size), and no limit decides.
    budget
        Share of the decisions that is reviewed, at which recall is compared.
    margin
        Average precision by which a cheaper or fresher model may rank below the champion, and by
        which its calibration error may exceed the champion's.
    cheaper
        Share of the champion's price, at or below which a model counts as cheaper.
    fresher_days
        Days by which a model's labels must reach beyond the champion's to count as fresher.
    """

    min_errors: int = 20
    budget: float = 0.05
    margin: float = 0.01
    cheaper: float = 0.9
    fresher_days: float = 30


@dataclass(frozen=True)
class ModelFacts:
    """What may speak for a model that ranks no better.

    Parameters
    ----------
    price
        Cost to score a decision, in microseconds; None where not measured.
    learned_until
        When the latest decision was taken that it learned from; None where not recorded.
    """

    price: float | None = None
    learned_until: pd.Timestamp | None = None


@dataclass(frozen=True)
class Champion:
    """The model to beat, on the same held-out decisions.

    Parameters
    ----------
    version
        Its version in the registry.
    p
        Shape (n,), its P(error) of the held-out decisions.
    unseen
        Shape (n,), where `p` is of a model that did not learn from the decision's label.
    facts
        Its price and age.
    """

    version: str
    p: Floats
    unseen: Bools
    facts: ModelFacts = ModelFacts()


@dataclass(frozen=True)
class GateCheck:
    """One comparison of the gate.

    Parameters
    ----------
    against
        The other ranking: `random`, a baseline's name, or `champion`; `reviews` for the level.
    measure
        `average_precision`, `recall_at_<percent>`, `calibration_error`, or `level` (mean P(error)
        against the observed error rate: a warning only).
    group
        `<column>=<value>` of a part of the decisions; empty for all.
    value, other
        The measure of the model, and of the other.
    lead, low, high
        Their difference with its 90 % interval: `low` is the one-sided 95 % lower limit.
    n, n_errors
        Held-out decisions compared, and errors among them.
    passed
        None where it cannot be told.
    why
        The outcome in words.
    """

    against: str
    measure: str
    group: str
    value: float
    other: float
    lead: float
    low: float
    high: float
    n: int
    n_errors: int
    passed: bool | None
    why: str


@dataclass(frozen=True)
class GateResult:
    """The gate's answer, the reason for users, and the comparisons behind it."""

    answer: Literal["validated", "rejected", "unknown"]
    why: str
    checks: tuple[GateCheck, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return the comparisons, one row each; columns as `GateCheck`."""
        names = list(GateCheck.__dataclass_fields__)
        return pd.DataFrame([[getattr(c, n) for n in names] for c in self.checks], columns=names)


def apply_gate(
    held: HeldOut,
    rankings: Mapping[str, Floats],
    rules: GateRules,
    *,
    champion: Champion | None = None,
    facts: ModelFacts | None = None,
    seed: int = 0,
) -> GateResult:
    """Decide whether a model passes, by the latest labelled decisions.

    Parameters
    ----------
    held
        n held-out decisions, P(error) of a model that did not learn from them, and their weights.
        Decisions of one account are resampled and averaged together.
    rankings
        Baselines by name, each of shape (n,), highest reviewed first.
    rules
        What it must show.
    champion
        The model that scores now; None for none.
    facts
        The model's price and age.
    seed
        For permutations and resamples.

    Returns
    -------
    GateResult
        `validated` where the lower limit of the lead in average precision is above 0 over a random
        order, every baseline and the champion (above minus the margin if cheaper or fresher than the
        champion); that in recall at the budget above 0 over a random order, and not clearly below the
        others; and where calibration error is not clearly above the champion's, nor the ranking within
        any market or language clearly worse. `unknown` with too few errors, or where the champion
        learned from too many of the decisions to be compared; `rejected` otherwise.

    Notes
    -----
    A model must pass every test at 5 %, so that one with any fault passes in at most 5 %
    (Berger 1982, intersection-union tests), and the choice of the best baseline needs no correction.
    Limits: t with the influence function's standard error, summed by account, degrees of freedom
    by the contributions' kurtosis (Satterthwaite 1946); over a random order, also by permutation.

    Examples
    --------
    >>> from errdetect.model.detector import Examples
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(800) ** 3
    >>> y = (rng.random(800) < p).astype(float)
    >>> frame = pd.DataFrame({"decision_id": np.arange(800).astype(str)})
    >>> held = HeldOut(Examples(frame, y, y, np.ones(800), np.ones(800)), p, np.ones(800))
    >>> apply_gate(held, {"margin": rng.random(800)}, GateRules()).answer
    'validated'
    >>> apply_gate(held, {"margin": p}, GateRules()).answer
    'rejected'
    """
    rng = np.random.default_rng(seed)
    counted = held.weight > 0
    sample = _Sample.of(held, counted)
    if not sample.has(rules.min_errors):
        return _too_few(sample, rules)
    p, others = held.p[counted], {name: s[counted] for name, s in rankings.items()}
    checks = _lead_over_random(sample, p, rules, rng)
    for name, other in others.items():
        checks += _lead_over_baseline(sample, p, other, name, rules)
    checks.append(_note_level(sample, p))
    compared = others
    if champion is not None:
        now = replace(champion, p=champion.p[counted], unseen=champion.unseen[counted])
        checks += _compare_with_champion(sample, p, now, rules, facts or ModelFacts(), rng)
        if sample.take(now.unseen).has(rules.min_errors):
            sample, p = sample.take(now.unseen), p[now.unseen]
            compared = {CHAMPION: now.p[now.unseen]}
    checks += _check_groups(sample, p, compared)
    return _allow_for_weights(_conclude(checks), held, rules)


def compare_with_champion(
    held: HeldOut,
    champion: Champion,
    rules: GateRules,
    *,
    facts: ModelFacts | None = None,
    seed: int = 0,
) -> GateResult:
    """Compare a model with the champion only, on the same held-out decisions.

    Parameters
    ----------
    held, champion, rules, facts, seed
        As for `apply_gate`.

    Returns
    -------
    GateResult
        As of `apply_gate`, for the comparisons with the champion.

    Examples
    --------
    >>> from errdetect.model.detector import Examples
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(800) ** 3
    >>> y = (rng.random(800) < p).astype(float)
    >>> frame = pd.DataFrame({"decision_id": np.arange(800).astype(str)})
    >>> held = HeldOut(Examples(frame, y, y, np.ones(800), np.ones(800)), p, np.ones(800))
    >>> now = Champion("1", rng.random(800), np.ones(800, dtype=bool))
    >>> compare_with_champion(held, now, GateRules()).answer
    'validated'
    """
    counted = held.weight > 0
    sample = _Sample.of(held, counted)
    if not sample.has(rules.min_errors):
        return _too_few(sample, rules)
    now = replace(champion, p=champion.p[counted], unseen=champion.unseen[counted])
    checks = _compare_with_champion(
        sample, held.p[counted], now, rules, facts or ModelFacts(), np.random.default_rng(seed)
    )
    if sample.take(now.unseen).has(rules.min_errors):
        p, other = held.p[counted][now.unseen], {CHAMPION: now.p[now.unseen]}
        checks += _check_groups(sample.take(now.unseen), p, other)
    return _conclude(checks)


def _compare_with_champion(
    sample: "_Sample",
    p: Floats,
    champion: Champion,
    rules: GateRules,
    facts: ModelFacts,
    rng: np.random.Generator,
) -> list[GateCheck]:
    """Compare a model with the champion, on decisions that neither learned from.

    Where there are too few of these, on all: the champion's advantage then makes the comparison
    conservative, and a lead that is not sure leaves the answer unknown.
    """
    fair = sample.take(champion.unseen)
    if fair.has(rules.min_errors):
        one, other = p[champion.unseen], champion.p[champion.unseen]
        return _compare_fairly(fair, one, other, champion, _advantage(facts, champion, rules), rules, rng)  # fmt: skip
    check = _lead(sample, p, champion.p, sample.measures(rules.budget)[0], CHAMPION)
    known = (
        f"the champion (version {champion.version}) learned from all but {fair.n} of the {sample.n} held-out "
        f"decisions ({fair.n_errors} errors)"
    )
    if check.low > 0:
        return [replace(check, passed=True, why=f"{check.why}, although {known}")]
    why = (
        f"{known}, which is too few to compare them fairly: at least {rules.min_errors} errors and correct "
        "decisions are needed. Train again when more reviews have come in"
    )
    return [replace(check, passed=None, why=why)]


def _compare_fairly(
    sample: "_Sample",
    p: Floats,
    other: Floats,
    champion: Champion,
    advantage: str,
    rules: GateRules,
    rng: np.random.Generator,
) -> list[GateCheck]:
    precision, recall = sample.measures(rules.budget)
    lead = _lead(sample, p, other, precision, CHAMPION)
    on = f"the champion's (version {champion.version}, {sample.n} decisions that it did not learn from)"
    checks = [replace(lead, passed=lead.low > 0, why=_lead_text(lead, on, sure=lead.low > 0))]
    if lead.low <= 0 and advantage:
        near = lead.low > -rules.margin
        least = (
            f"{_signed(lead.lead)}, at least {_signed(lead.low)}; the margin is {rules.margin:g}"
        )
        text = f"average precision is {'' if near else 'not surely '}no worse than {on}: {least}"
        checks = [replace(lead, passed=near, why=f"{text}; {advantage}")]
    checks.append(_not_below(_lead(sample, p, other, recall, CHAMPION), on))
    return [*checks, _check_calibration(sample, p, other, on, rules, rng)]


def _advantage(facts: ModelFacts, champion: Champion, rules: GateRules) -> str:
    """Say in words why a model that is no worse is preferred; empty if it is neither cheaper nor fresher."""
    said = []
    if facts.price and champion.facts.price and facts.price <= rules.cheaper * champion.facts.price:
        said.append(
            f"it is cheaper ({facts.price / champion.facts.price:.2f} of the champion's price)"
        )
    mine, other = facts.learned_until, champion.facts.learned_until
    if mine is not None and other is not None:
        days = (mine - other).total_seconds() / 86_400
        if days >= rules.fresher_days:
            said.append(f"it is fresher (its labels reach {days:.0f} days further)")
    return " and ".join(said)


def _check_calibration(
    sample: "_Sample",
    p: Floats,
    other: Floats,
    on: str,
    rules: GateRules,
    rng: np.random.Generator,
) -> GateCheck:
    """Check that calibration error is not clearly worse than the champion's, resampling accounts."""
    sides = [
        (s[k], sample.y[k], k) for s in (p, other) for k in [np.argsort(s)]
    ]  # sorts fast again

    def gap(w: Floats) -> float:
        mine, theirs = (calibration_error(y, s, w[k]) for s, y, k in sides)
        return mine - theirs

    drawn = [gap(sample.resample(rng)) for _ in range(_RESAMPLES)]
    low, high = (float(v) for v in np.quantile(drawn, [_ALPHA, 1 - _ALPHA]))
    mine, theirs = (calibration_error(sample.y, s, sample.weight) for s in (p, other))
    worse = low > 0 and mine - theirs > rules.margin
    why = f"calibration error {mine:.3f} is {'' if worse else 'not '}clearly above {on} ({theirs:.3f})"
    return GateCheck(
        CHAMPION, _CALIBRATION, "", mine, theirs, theirs - mine, -high, -low, sample.n,
        sample.n_errors, not worse, why,
    )  # fmt: skip


def _note_level(sample: "_Sample", p: Floats) -> GateCheck:
    """Say whether P(error) is clearly too high or too low overall: a warning that stops no model.

    Reviewers err, so P(error) is compared with P(error) given the reviews, with itself as prior.
    """
    given = np.asarray(expit(sample.evidence + clipped_logit(p)), dtype=np.float64)
    mine, theirs = (float(np.average(v, weights=sample.weight)) for v in (p, given))
    half = sample.interval((p - given) - (mine - theirs), _ALPHA)
    check = _as_check(sample, _REVIEWS, _LEVEL, (mine, theirs), half)
    off = check.low > 0 or check.high < 0
    side = (
        "not clearly off"
        if not off
        else "clearly too high"
        if check.lead > 0
        else "clearly too low"
    )
    why = f"mean P(error) {mine:.3f} is {side} on the held-out decisions ({theirs:.3f} given the reviews)"
    return replace(check, passed=True, why=why)


def _check_groups(sample: "_Sample", p: Floats, rankings: Mapping[str, Floats]) -> list[GateCheck]:
    """Check that no market's or language's ranking is clearly worse (5 % over all, Bonferroni)."""
    groups = [g for g in sample.groups() if g[1].has(MIN_EACH)]
    alpha = _ALPHA / max(len(groups) * len(rankings), 1)
    checks = []
    for name, part, rows in groups:
        for against, other in rankings.items():
            lead = _lead(part, p[rows], other[rows], part.measures(1.0)[0], against, alpha)
            worse = lead.high < 0
            why = (
                f"average precision in {name} is {'' if worse else 'not '}clearly below {_possessive(against)}: "
                f"{_span(lead)}"
            )
            checks.append(replace(lead, group=name, passed=not worse, why=why))
    return checks


def _too_few(sample: "_Sample", rules: GateRules) -> GateResult:
    wrong, right = sample.n_errors, sample.n - sample.n_errors
    why = (
        f"the held-out decisions include {wrong} errors and {right} correct ones; "
        f"at least {rules.min_errors} of each are needed. Review more decisions"
    )
    return GateResult("unknown", why)


def _allow_for_weights(result: GateResult, held: HeldOut, rules: GateRules) -> GateResult:
    """Answer `unknown` where a model failed only because a few errors of great weight decide everything."""
    failed = [check for check in result.checks if check.passed is False]
    y, weight = held.examples.error, held.weight
    told = round(min(effective_size(weight * y), effective_size(weight * (1 - y))))
    if not failed or told >= rules.min_errors or any(check.high < 0 for check in failed):
        return result
    why = (
        f"weights are so unequal that the held-out errors tell no more than {told} of equal weight, and at least "
        f"{rules.min_errors} are needed. Review more decisions, with less unequal inclusion probabilities"
    )
    return replace(result, answer="unknown", why=f"{result.why}; {why}")


def _conclude(checks: list[GateCheck]) -> GateResult:
    failed = [c.why for c in checks if c.passed is False]
    if failed:
        return GateResult("rejected", "; ".join(failed), tuple(checks))
    open_ = [c.why for c in checks if c.passed is None]
    if open_:
        return GateResult("unknown", "; ".join(open_), tuple(checks))
    leads = [c for c in checks if c.measure == _AP and not c.group]
    others = [c for c in leads if c.against != CHAMPION]
    said = [c.why for c in leads if c.against == CHAMPION]
    if others:
        over = ", ".join(
            f"{_signed(c.lead)} on {_possessive(c.against)} (at least {_signed(c.low)})"
            for c in others
        )
        on = f"{others[0].n} held-out decisions, {others[0].n_errors} of them errors"
        said.insert(0, f"average precision {others[0].value:.3f} on {on}: {over}")
    said += [c.why for c in checks if c.measure == _LEVEL and (c.low > 0 or c.high < 0)]
    return GateResult("validated", "; ".join(said), tuple(checks))


_Influence = Callable[[Floats, Floats, Floats], tuple[float, Floats]]


@dataclass(frozen=True)
class _Measure:
    name: str
    budget: float
    influence: _Influence


@dataclass(frozen=True)
class _Sample:
    """Held-out decisions of positive weight, by account."""

    y: Floats
    evidence: Floats
    weight: Floats
    account: Ints
    decisions: pd.DataFrame

    @classmethod
    def of(cls, held: HeldOut, rows: Bools) -> "_Sample":
        decisions = held.examples.decisions[rows]
        names = [n for n in ("account_id", "item_id") if n in decisions]
        code = pd.factorize(decisions[names[0]])[0] if names else np.full(len(decisions), -1)
        alone = np.arange(len(code)) + code.max(initial=0) + 1
        account = np.unique(np.where(code >= 0, code, alone), return_inverse=True)[1]
        examples = held.examples
        return cls(
            examples.error[rows], examples.evidence[rows], held.weight[rows],
            account.astype(np.int64), decisions,
        )  # fmt: skip

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def n_errors(self) -> int:
        return int(self.y.sum())

    def has(self, least: int) -> bool:
        return min(self.n_errors, self.n - self.n_errors) >= least

    def take(self, rows: Bools) -> "_Sample":
        return _Sample(
            self.y[rows], self.evidence[rows], self.weight[rows], self.account[rows],
            self.decisions[rows],
        )  # fmt: skip

    def groups(self) -> list[tuple[str, "_Sample", Bools]]:
        """List the parts by market and language, each with its rows."""
        out = []
        for name in _GROUPS:
            if name not in self.decisions:
                continue
            values = self.decisions[name].astype("str")
            levels = sorted(values.dropna().unique())
            for level in levels if len(levels) > 1 else []:
                rows = (values == level).fillna(False).to_numpy(bool)
                out.append((f"{name}={level}", self.take(rows), rows))
        return out

    def resample(self, rng: np.random.Generator) -> Floats:
        """Return weights of a sample of accounts drawn with replacement."""
        k = int(self.account.max()) + 1
        return self.weight * np.bincount(rng.integers(0, k, k), minlength=k)[self.account]

    def measures(self, budget: float) -> tuple[_Measure, _Measure]:
        """Return average precision, and recall at a budget of at least 20 decisions."""
        share = min(1.0, max(budget, _FEWEST_ROWS / self.n))

        def recall(y: Floats, score: Floats, w: Floats) -> tuple[float, Floats]:
            return recall_influence(y, score, share, w)

        return (
            _Measure(_AP, 1.0, average_precision_influence),
            _Measure(recall_name(round(share, 4)), share, recall),
        )

    def interval(self, influence: Floats, alpha: float) -> float:
        """Return half the width of a two-sided interval at 1 - 2 alpha, by account."""
        moved = influence * self.weight / self.weight.sum()
        k = int(self.account.max()) + 1
        each = sum_by_group(self.account, moved, k)
        square = float((each**2).sum())
        present = len(np.unique(self.account))
        if present < 2:
            return 2.0  # wider than any lead: one account says nothing of others
        if square <= 0:
            return 0.0
        freedom = min(max(square**2 / float((each**4).sum()), 2.0), present - 1.0)
        spread = float(np.sqrt(square * present / (present - 1)))
        return min(float(stdtrit(freedom, 1 - alpha)) * spread, 2.0)


def _lead(
    sample: _Sample, p: Floats, other: Floats, measure: _Measure, name: str, alpha: float = _ALPHA
) -> GateCheck:
    """Compare two rankings of the same decisions."""
    mine, moves = measure.influence(sample.y, p, sample.weight)
    theirs, others = measure.influence(sample.y, other, sample.weight)
    return _as_check(
        sample, name, measure.name, (mine, theirs), sample.interval(moves - others, alpha)
    )


def _lead_over_random(
    sample: _Sample, p: Floats, rules: GateRules, rng: np.random.Generator
) -> list[GateCheck]:
    """Require sure leads over a random order, also by permutation: with few errors it exceeds the error rate."""
    rate = float(np.average(sample.y, weights=sample.weight))
    measures = sample.measures(rules.budget)
    permuted = permuted_metrics(
        sample.y, p, measures[1].budget, sample.weight, permutations=_PERMUTATIONS, rng=rng
    )
    checks = []
    for measure, constant, drawn in zip(
        measures, (sample.y - rate, np.zeros(sample.n)), permuted, strict=True
    ):
        mine, moves = measure.influence(sample.y, p, sample.weight)
        least, most = (float(v) for v in np.quantile(drawn, [_ALPHA, 1 - _ALPHA]))
        theirs = float(drawn.mean())
        half = max(sample.interval(moves - constant, _ALPHA), most - theirs, theirs - least)
        check = _as_check(sample, RANDOM, measure.name, (mine, theirs), half)
        checks.append(replace(check, passed=check.low > 0))
    return checks


def _lead_over_baseline(
    sample: _Sample, p: Floats, other: Floats, name: str, rules: GateRules
) -> list[GateCheck]:
    """Require a sure lead in average precision, and recall that is not clearly below."""
    precision, recall = sample.measures(rules.budget)
    lead = _lead(sample, p, other, precision, name)
    return [
        replace(lead, passed=lead.low > 0),
        _not_below(_lead(sample, p, other, recall, name), _possessive(name)),
    ]


def _not_below(check: GateCheck, whose: str) -> GateCheck:
    clearly = "clearly below" if check.high < 0 else "not clearly below"
    why = f"{_measure_text(check.measure)} is {clearly} {whose}: {_span(check)}"
    return replace(check, passed=check.high >= 0, why=why)


def _as_check(
    sample: _Sample, against: str, measure: str, values: tuple[float, float], half: float
) -> GateCheck:
    lead = values[0] - values[1]
    check = GateCheck(
        against, measure, "", *values, lead, lead - half, lead + half, sample.n, sample.n_errors,
        None, "",
    )  # fmt: skip
    return replace(check, why=_lead_text(check, _possessive(against), sure=check.low > 0))


def _possessive(against: str) -> str:
    names: dict[str, Any] = {RANDOM: "a random order's", CHAMPION: "the champion's"}
    return str(names.get(against, f"the {against} ranking's"))


def _measure_text(measure: str) -> str:
    name, at, share = measure.partition("_at_")
    return f"{name} at {share} %" if at else measure.replace("_", " ")


def _lead_text(check: GateCheck, whose: str, *, sure: bool) -> str:
    above = "surely above" if sure else "not surely above"
    return f"{_measure_text(check.measure)} {check.value:.3f} is {above} {whose} {check.other:.3f}: {_span(check)}"


def _span(check: GateCheck) -> str:
    return f"{_signed(check.lead)} ({_signed(check.low)} to {_signed(check.high)})"


def _signed(value: float) -> str:
    return f"{value:+.3f}"
