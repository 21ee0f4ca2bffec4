"""Audits with gaps, late and missing answers, wrong weights, clusters, several draws."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from errdetect.config_schema import EstimateSettings
from errdetect.errors import ErrdetectError
from errdetect.estimation.audit_response import (
    answer_completeness,
    completeness_variance,
    response_table,
)
from errdetect.estimation.error_rates import estimate_rates
from errdetect.snapshot import Snapshot

N, DAYS = 10_000, 100
START = pd.Timestamp("2026-01-01", tz="UTC")
END = START + pd.Timedelta(days=DAYS)
Bools = np.ndarray


class World:
    """A log of 10,000 decisions, a tenth of it audited by people who do not err."""

    def __init__(self, seed: int, rate: float = 0.08, share: float = 0.1) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.decisions = pd.DataFrame(
            {
                "decision_id": [f"d{i}" for i in range(N)],
                "decided_at": START + pd.to_timedelta(np.sort(rng.uniform(0, DAYS, N)), unit="D"),
                "policy_id": rng.choice([f"P{i}" for i in range(8)], N),
                "market": rng.choice([f"M{i}" for i in range(10)], N),
                "enforced": rng.random(N) < 0.3,
                "account_id": [f"a{i}" for i in rng.integers(0, N // 4, N)],
            }
        )
        self.error = rng.random(N) < rate
        self.pi = np.full(N, share)
        self.drawn = rng.random(N) < self.pi
        self.delay = rng.gamma(2, 0.5, N)
        self.answered = np.ones(N, bool)

    def reviews(self, audit: str = "audit") -> pd.DataFrame:
        day = (self.decisions["decided_at"] - START) / pd.Timedelta(days=1)
        known = day.to_numpy() + self.delay
        rows = np.flatnonzero(self.drawn & self.answered & (known <= DAYS))
        return pd.DataFrame(
            {
                "review_id": [f"{audit}-{i}" for i in rows],
                "decision_id": self.decisions["decision_id"].to_numpy()[rows],
                "reviewed_at": START + pd.to_timedelta(known[rows], unit="D"),
                "source": "audit",
                "verdict": np.where(self.error[rows], "overturned", "upheld"),
                "inclusion_probability": self.pi[rows],
            }
        )

    def draws(self, draw_id: str = "a") -> pd.DataFrame:
        rows = np.flatnonzero(self.drawn)
        return pd.DataFrame(
            {
                "draw_id": draw_id,
                "decision_id": self.decisions["decision_id"].to_numpy()[rows],
                "inclusion_probability": self.pi[rows],
                "drawn_at": self.decisions["decided_at"].iloc[rows].to_numpy(),
                "due_at": pd.NaT,
            }
        ).assign(drawn_at=lambda f: pd.to_datetime(f["drawn_at"], utc=True))

    def snapshot(self, *, recorded: bool = False) -> Snapshot:
        draws = self.draws() if recorded else None
        return Snapshot(self.decisions, self.reviews(), as_of=END, draws=draws)


def whole(snapshot: Snapshot, **how) -> pd.Series:
    return estimate_rates(snapshot, **how).overall.set_index("measure").loc["error_rate"]


def holds(row: pd.Series, world: World) -> bool:
    at = world.decisions["decided_at"]
    inside = (at >= row["period_from"]) & (at <= row["period_to"])
    return row["low"] <= world.error[inside].mean() <= row["high"]


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_audit_keeps_its_weights_and_has_no_warning(seed):
    world = World(seed)
    world.delay[:] = 0.01
    row = whole(world.snapshot(recorded=True))
    reviews = world.reviews()
    assert row["estimate"] == pytest.approx((reviews["verdict"] == "overturned").mean(), abs=1e-4)
    assert "warning" not in row["method"]
    assert "calibrated" not in row["method"]
    assert row["response"] == pytest.approx(1, abs=0.01)
    assert row["period_from"] == world.decisions["decided_at"].min()


@pytest.mark.parametrize("column", ["market", "policy_id"])
def test_a_value_that_was_never_audited_widens_the_interval(column):
    world = World(1)
    gap = world.rng.random(N) < 0.07
    world.decisions.loc[gap, column] = "never"
    world.error[gap] = world.rng.random(gap.sum()) < 0.9
    world.drawn &= ~gap
    found = estimate_rates(world.snapshot(), [[column]])
    row = found.overall.set_index("measure").loc["error_rate"]
    assert f"warning: no decision of {column} never was audited" in row["method"]
    assert holds(row, world)
    assert row["high"] - row["low"] > 0.07
    group = found.by_group[(column,)]
    other = group[(group[column] != "never") & (group["measure"] == "error_rate")]
    assert (other["high"] - other["low"]).max() < 0.3  # the gap widens no other's interval
    assert group[group[column] == "never"]["suppressed"].all()


@pytest.mark.parametrize("seed", range(5))
def test_a_part_that_the_design_rarely_draws_is_no_gap(seed):
    world = World(400 + seed)
    world.delay[:] = 0.01
    rare = world.decisions["market"].isin([f"M{i}" for i in range(7)]).to_numpy()
    world.pi = np.where(rare, 0.004, 0.3)
    world.drawn = world.rng.random(N) < world.pi
    row = whole(world.snapshot())
    assert "warning" not in row["method"]
    assert row["low"] <= world.error.mean() <= row["high"]


def test_a_pair_of_values_that_was_never_audited_widens_the_interval():
    world = World(2)
    gap = ((world.decisions["market"] == "M1") & world.decisions["enforced"]).to_numpy()
    world.drawn &= ~gap
    world.error[gap] = True
    row = whole(world.snapshot())
    assert "no decision of enforced True and market M1 was audited" in row["method"]
    assert holds(row, world)


def test_lost_answers_of_a_recorded_draw_widen_the_interval():
    world = World(3)
    world.delay[:] = 0.01
    world.answered = ~(world.error & (world.rng.random(N) < 0.5))
    assert not holds(whole(world.snapshot()), world)
    row = whole(world.snapshot(recorded=True))
    assert holds(row, world)
    assert row["response"] == pytest.approx(0.96, abs=0.015)


def test_one_missing_answer_of_many_changes_nothing():
    world = World(4)
    world.delay[:] = 0.01
    before = whole(world.snapshot(recorded=True))
    world.answered[np.flatnonzero(world.drawn)[100]] = False
    after = whole(world.snapshot(recorded=True))
    half = (before["high"] - before["low"]) / 2
    assert abs(after["estimate"] - before["estimate"]) < 0.25 * half
    assert (after["high"] - after["low"]) < 1.1 * 2 * half


@pytest.mark.parametrize("recorded", [False, True])
def test_errors_that_take_longer_to_find_are_weighed_in(recorded):
    naive, ours, hits = [], [], 0
    for seed in range(8):
        world = World(10 + seed)
        world.delay = world.rng.gamma(1, np.where(world.error, 25.0, 2.0))
        row = whole(world.snapshot(recorded=recorded))
        seen = world.reviews()["verdict"] == "overturned"
        naive.append(seen.mean() / world.error.mean())
        ours.append(row["estimate"] / world.error.mean())
        hits += holds(row, world)
    assert np.mean(naive) < 0.85
    assert abs(np.mean(ours) - 1) < 0.1
    assert hits >= 7


def test_answers_in_one_go_long_after_are_not_taken_for_missing_ones():
    world = World(5)
    day = (world.decisions["decided_at"] - START) / pd.Timedelta(days=1)
    world.delay = DAYS - 3 - day.to_numpy() + world.rng.uniform(0, 3, N)
    world.delay[day.to_numpy() > DAYS - 3] = 0.01
    row = whole(world.snapshot())
    assert "still to come" not in row["method"]
    assert row["period_to"] == world.decisions["decided_at"].max()


@pytest.mark.parametrize("share", [0.01, 0.1])
@pytest.mark.parametrize("recorded", [False, True])
def test_monthly_audits_of_the_past_lack_no_answers(share, recorded):
    for seed in range(4):
        world = World(300 + seed, share=share)
        day = ((world.decisions["decided_at"] - START) / pd.Timedelta(days=1)).to_numpy()
        drawn = np.ceil(day / 25) * 25 - 4
        world.delay = np.maximum(drawn - day, 0) + world.rng.uniform(0.1, 3, N)
        world.drawn &= day < drawn
        draws = world.draws()
        rows = np.flatnonzero(world.drawn)
        draws["drawn_at"] = START + pd.to_timedelta(drawn[rows], unit="D")
        snapshot = replace(world.snapshot(), draws=draws if recorded else None)
        row = whole(snapshot)
        assert "still to come" not in row["method"]
        assert row["period_to"] > END - pd.Timedelta(days=6)


def test_the_period_ends_where_nothing_was_audited():
    world = World(201)
    late = (world.decisions["decided_at"] > END - pd.Timedelta(days=30)).to_numpy()
    world.drawn &= ~late
    world.error[late] = True
    row = whole(world.snapshot())
    assert row["period_to"] < END - pd.Timedelta(days=29)
    assert row["n_decisions"] == pytest.approx(7000, abs=200)
    assert "of which nothing was audited" in row["method"]
    assert holds(row, world)


@pytest.mark.parametrize("where", ["enforced", "market", "week"])
def test_weights_that_miss_the_logs_totals_are_calibrated(where):
    hits, off, plain = 0, [], []
    for seed in range(8):
        world = World(100 + seed)
        part = world.decisions["enforced"].to_numpy()
        if where == "market":
            part = world.decisions["market"].isin(["M1", "M2", "M3"]).to_numpy()
        if where == "week":
            part = (world.decisions["decided_at"] < START + pd.Timedelta(days=30)).to_numpy()
        world.error = world.rng.random(N) < np.where(part, 0.3, 0.03)
        world.drawn &= ~(part & (world.rng.random(N) < 0.5))  # half of the logged probability
        row = whole(world.snapshot())
        assert "were calibrated" in row["method"]
        hits += holds(row, world)
        off.append(row["estimate"] - world.error.mean())
        plain.append(world.reviews()["verdict"].eq("overturned").mean() - world.error.mean())
    assert hits >= 7
    assert abs(np.mean(off)) < 0.012
    assert np.mean(plain) < -0.02


def accounts_whole(seed: int) -> World:
    world = World(seed)
    account = world.rng.integers(0, N // 8, N)
    world.decisions["account_id"] = [f"a{i}" for i in account]
    world.error = world.rng.random(N) < world.rng.beta(0.5, 5.5, N // 8)[account]
    world.drawn = (world.rng.random(N // 8) < 0.1)[account]
    world.delay[:] = 0.01
    return world


def test_accounts_drawn_together_are_seen_and_widen_the_interval():
    hits = 0
    for seed in range(12):
        world = accounts_whole(seed)
        row = whole(world.snapshot())
        assert row["method"].startswith("clusters+")
        assert "drawn account_id were drawn together" in row["method"]
        hits += holds(row, world)
    single = whole(world.snapshot(), settings=EstimateSettings(cluster="none"))
    assert (row["high"] - row["low"]) > 1.15 * (single["high"] - single["low"])
    assert hits >= 10


def test_a_named_cluster_column_counts_and_a_wrong_one_is_refused():
    world = World(8)
    row = whole(world.snapshot(), settings=EstimateSettings(cluster="account_id"))
    assert "intervals count by account_id" in row["method"]
    assert not whole(world.snapshot())["method"].startswith("clusters")
    with pytest.raises(ErrdetectError, match=r"estimate\.cluster must name a column"):
        whole(world.snapshot(), settings=EstimateSettings(cluster="seller"))


@pytest.mark.parametrize("recorded", [False, True])
def test_a_second_audit_narrows_the_interval(recorded):
    hits, widths = 0, []
    for seed in range(8):
        world = World(20 + seed)
        world.delay[:] = 0.01
        first, draws = world.reviews("one"), world.draws("one")
        alone = whole(Snapshot(world.decisions, first, as_of=END))
        lean = np.where(world.rng.random(N) < 0.5, 0.05, 0.13)
        world.pi, world.drawn = lean, world.rng.random(N) < lean
        both = pd.concat([first, world.reviews("two")], ignore_index=True)
        draws = pd.concat([draws, world.draws("two")], ignore_index=True) if recorded else None
        row = whole(Snapshot(world.decisions, both, as_of=END, draws=draws))
        hits += holds(row, world)
        widths.append((row["high"] - row["low"]) / (alone["high"] - alone["low"]))
        assert "warning" not in row["method"]
    assert hits >= 7
    assert np.mean(widths) < 0.85


def test_completeness_needs_no_correction_where_answers_are_quick():
    age = np.linspace(1, 100, 500)
    assert answer_completeness(np.full(500, 0.5), age).min() == 1.0


def test_the_variance_of_the_completeness_is_that_of_repeated_audits():
    rng = np.random.default_rng(12)
    age = np.linspace(0.5, 60, 300)  # decisions of the same ages, answered anew each time
    totals, expected, known = [], [], []
    for _ in range(400):
        delay = rng.exponential(15, len(age))
        come = delay <= age
        weight = 1 / np.maximum(answer_completeness(delay[come], age[come]), 0.25)
        totals.append(weight.sum())
        expected.append(completeness_variance(delay[come], age[come], weight).sum())
        known.append((weight**2 - weight).sum())  # if the completeness were known
    assert np.var(totals) > 1.3 * np.mean(known)
    assert 0.8 < np.var(totals) / np.mean(np.add(expected, known)) < 1.1


def test_quick_answers_add_no_variance():
    age = np.linspace(1, 100, 500)
    assert completeness_variance(np.full(500, 0.5), age, np.ones(500)).max() == 0.0


def test_the_response_table_counts_every_draw_once():
    world = World(9)
    world.answered = world.rng.random(N) < 0.7
    snapshot = world.snapshot(recorded=True)
    table = response_table(world.decisions, snapshot.audit_sample, ["market", "absent"])
    for column in ("week", "market"):
        rows = table[table["column"] == column]
        assert rows["n_drawn"].sum() == world.drawn.sum()
        assert rows["n_answered"].sum() == len(snapshot.audit_sample.position)
    assert set(table["column"]) == {"week", "market"}


def test_draws_of_later_moments_and_other_logs_do_not_count():
    world = World(11)
    draws = world.draws()
    other = draws.assign(decision_id="x" + draws["decision_id"])
    late = draws.assign(drawn_at=END + pd.Timedelta(days=1))
    snapshot = replace(world.snapshot(), draws=pd.concat([other, late]))
    assert len(snapshot.audit_sample.unanswered.position) == 0
