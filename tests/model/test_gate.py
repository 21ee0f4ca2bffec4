"""The gate lets nothing pass that is not surely better, and lets what is pass."""

import numpy as np
import pandas as pd
import pytest

from errdetect.model.detector import Examples
from errdetect.model.evaluation import HeldOut
from errdetect.model.gate import Champion, GateRules, ModelFacts, apply_gate

N = 1200
UNTIL = pd.Timestamp("2026-03-01", tz="UTC")


class Market:
    """Held-out decisions, with rankings that see the cause of errors through noise."""

    def __init__(self, seed: int, n: int = N) -> None:
        self.rng = np.random.default_rng(seed)
        self.z = self.rng.normal(size=n)
        self.y = (self.rng.random(n) < 1 / (1 + np.exp(3.0 - 1.8 * self.z))).astype(float)
        self.frame = pd.DataFrame({"account_id": np.arange(n).astype(str), "market": "DE"})
        self.weight = np.ones(n)

    def view(self, noise: float) -> np.ndarray:
        seen = self.z + noise * self.rng.normal(size=len(self.z))
        return 1 / (1 + np.exp(3.0 - 1.8 * seen / (1 + noise**2)))

    def noise(self) -> np.ndarray:
        return self.rng.permutation(self.view(0.3))

    def held(self, p: np.ndarray) -> HeldOut:
        n = len(self.y)
        return HeldOut(
            Examples(self.frame, self.y, self.y, np.ones(n), self.weight), p, self.weight
        )

    def gate(self, p, margin=None, **more):
        rankings = {"margin": self.noise() if margin is None else margin}
        return apply_gate(self.held(p), rankings, GateRules(), **more)

    def champion(self, p, unseen=True, **facts) -> Champion:
        mask = np.broadcast_to(unseen, len(self.y)).copy()
        return Champion("7", p, mask, ModelFacts(**facts))


@pytest.fixture
def market() -> Market:
    return Market(0)


@pytest.mark.parametrize(
    ("kind", "most"),
    [("noise", 0.05), ("equal to the margin", 0.05), ("worse than the margin", 0.02)],
)
def test_what_is_no_better_than_doing_without_hardly_ever_passes(kind, most):
    passed = 0
    for seed in range(120):
        m = Market(seed, n=300)
        margin = m.view(1.0)
        p = {"noise": m.noise, "equal to the margin": lambda m=m: m.view(1.0)}.get(
            kind, lambda m=m: m.view(3.0)
        )()
        passed += m.gate(p, margin).answer == "validated"
    assert passed <= 120 * most + 2  # 2 for the simulation's own error


def test_an_equal_challenger_hardly_ever_passes_and_a_better_one_nearly_always():
    equal = better = 0
    for seed in range(60):
        m = Market(seed)
        now = m.champion(m.view(0.8))
        equal += m.gate(m.view(0.8), champion=now).answer == "validated"
        better += m.gate(m.view(0.1), champion=now).answer == "validated"
    assert equal <= 6
    assert better >= 54


def test_copies_of_an_account_s_decisions_are_no_further_evidence():
    """Every decision four times: the interval is as wide as with one."""
    m = Market(1, n=400)
    margin, p = m.view(1.5), m.view(0.5)
    once = m.gate(p, margin).checks
    m.frame, m.y, m.weight = pd.concat([m.frame] * 4), np.tile(m.y, 4), np.ones(1600)
    often = m.gate(np.tile(p, 4), np.tile(margin, 4)).checks
    lead = (
        next(c for c in once if c.against == "margin"),
        next(c for c in often if c.against == "margin"),
    )
    assert lead[1].lead == pytest.approx(lead[0].lead)
    assert lead[1].low == pytest.approx(lead[0].low, abs=1e-6)


def test_one_account_says_nothing_of_others(market):
    assert market.gate(market.view(0.1)).answer == "validated"
    market.frame["account_id"] = "the only one"
    result = market.gate(market.view(0.1))
    assert result.answer == "rejected"
    assert np.isfinite(result.frame()[["low", "high"]]).all(axis=None)


def test_errors_of_very_unequal_weight_leave_it_open_unless_something_is_sure(market):
    p = margin = market.view(0.3)
    assert market.gate(p, margin).answer == "rejected"
    one = int(np.argmax(market.y))
    market.weight[one] = 2 * (market.weight * market.y).sum()  # two thirds of all errors
    result = market.gate(p, margin)
    assert result.answer == "unknown"
    assert "of equal weight, and at least 20 are needed" in result.why
    market.weight *= 1000  # the unit of weights says nothing
    assert market.gate(p, margin).why == result.why
    market.weight[one] = 0.0
    assert market.gate(p, margin).answer == "rejected"


def test_too_few_errors_is_unknown(market):
    market.weight = np.where(np.cumsum(market.y) <= 19, 1.0, 0.0)
    result = market.gate(market.view(0.1))
    assert result.answer == "unknown"
    assert "at least 20 of each are needed" in result.why


def test_every_reason_is_given_in_words(market):
    result = market.gate(market.noise(), margin=market.view(0.5))
    assert result.answer == "rejected"
    assert "is not surely above the margin ranking's" in result.why
    assert "is not surely above a random order's" in result.why
    table = result.frame()
    assert set(table["against"]) == {"random", "margin", "reviews"}
    assert set(table["measure"]) == {"average_precision", "recall_at_5", "level"}
    assert (table["low"] <= table["lead"]).all()
    assert (table["lead"] <= table["high"]).all()


def test_an_equal_model_passes_only_if_cheaper_or_fresher(market):
    p = market.view(0.3)
    until = {"learned_until": UNTIL, "price": 10.0}
    now = market.champion(p, **until)

    def answer(**facts):
        return market.gate(p, champion=now, facts=ModelFacts(**(until | facts)))

    assert answer().answer == "rejected"
    cheaper = answer(price=5.0)
    assert cheaper.answer == "validated"
    assert "it is cheaper (0.50 of the champion's price)" in cheaper.why
    assert answer(price=9.5).answer == "rejected"
    fresher = answer(learned_until=UNTIL + pd.Timedelta(days=31))
    assert fresher.answer == "validated"
    assert "its labels reach 31 days further" in fresher.why
    assert answer(learned_until=UNTIL + pd.Timedelta(days=7)).answer == "rejected"
    worse = market.gate(market.view(0.8), champion=now, facts=ModelFacts(price=1.0))
    assert worse.answer == "rejected"
    assert "not surely no worse" in worse.why


def test_a_champion_is_compared_where_it_did_not_learn(market):
    """It knows the first half by heart; only the second counts."""
    first = np.arange(N) < N // 2
    leaked = np.where(first, market.y, market.view(1.5))
    honest = market.gate(market.view(0.1), champion=market.champion(leaked, ~first))
    assert honest.answer == "validated"
    checks = [c for c in honest.checks if c.against == "champion"]
    assert {c.n for c in checks} == {N // 2}


def test_a_champion_that_learned_from_nearly_all_leaves_it_unknown(market):
    leaked = market.champion(np.clip(market.y, 0.1, 0.9), np.arange(N) > N - 10)
    result = market.gate(market.view(0.1), champion=leaked)
    assert result.answer == "unknown"
    assert "learned from all but 9 of the 1200 held-out decisions" in result.why
    beaten = market.champion(market.view(3.0), False)
    assert market.gate(market.view(0.1), champion=beaten).answer == "validated"


def test_clearly_worse_levels_are_rejected(market):
    now = market.champion(market.view(0.5))
    better = market.view(0.1)
    assert market.gate(better, champion=now).answer == "validated"
    wrong_level = market.gate(better**0.4, champion=now)
    assert wrong_level.answer == "rejected"
    assert wrong_level.why.startswith("calibration error")


def test_a_level_that_is_clearly_off_is_said(market):
    p = market.view(0.3)
    assert "mean P(error)" not in market.gate(p).why
    said = market.gate(p**0.5)
    assert said.answer == "validated"
    assert "is clearly too high on the held-out decisions" in said.why


def test_a_market_that_is_ranked_clearly_worse_is_rejected():
    m = Market(3, n=4000)
    first = np.arange(4000) < 800
    m.frame["market"] = np.where(first, "FR", "DE")
    now, better = m.view(0.5), m.view(0.0)
    assert m.gate(better, champion=m.champion(now)).answer == "validated"
    spoilt = m.gate(np.where(first, m.view(2.0), better), champion=m.champion(now))
    assert spoilt.answer == "rejected"
    assert "average precision in market=FR is clearly below the champion's" in spoilt.why


def test_the_same_input_gives_the_same_answer(market):
    p, margin = market.view(0.3), market.view(1.0)
    assert market.gate(p, margin) == market.gate(p, margin)
