"""Whose word stands: experts, golden items, a sample of second looks, or reviewers as they are."""

import numpy as np
import pandas as pd
import pytest

from errdetect.config_schema import EstimateSettings
from errdetect.estimation.error_rates import estimate_rates
from errdetect.estimation.misclassification import golden_misclassification
from errdetect.labels.verdicts import GoldenItems
from errdetect.snapshot import Snapshot

N = 60_000
T = pd.Timestamp("2026-01-01", tz="UTC")
FOUND, ALARM, RATE = 0.85, 0.04, 0.06


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(21)
    ids = np.array([f"d{i}" for i in range(N)])
    decisions = pd.DataFrame({"decision_id": ids, "decided_at": T, "enforced": rng.random(N) < 0.5})
    wrong = rng.random(N) < RATE
    draw = np.sort(rng.choice(N, 4000, replace=False))
    said = np.where(wrong[draw], rng.random(4000) < FOUND, rng.random(4000) < ALARM)
    return decisions, wrong, draw, said, rng


def table(ids, source, error, probability=np.nan, site="x", expected=None, day=1):
    return pd.DataFrame(
        {
            "review_id": [f"{source}{day}{i}" for i in ids],
            "decision_id": ids,
            "reviewed_at": T + pd.Timedelta(days=day),
            "source": source,
            "verdict": np.where(error, "overturned", "upheld"),
            "inclusion_probability": probability,
            "site": site,
            "expected": expected,
        }
    )


def audit(world, site="x"):
    decisions, _, draw, said, _ = world
    return table(decisions["decision_id"].to_numpy()[draw], "audit", said, len(draw) / N, site)


def golden(world, n=2000, ids="g"):
    rng = np.random.default_rng(5)
    truth = np.arange(n) < n // 2
    said = np.where(truth, rng.random(n) < FOUND, rng.random(n) < ALARM)
    expected = np.where(truth, "overturned", "upheld")
    return table([f"{ids}{i}" for i in range(n)], "golden", said, expected=expected)


def error_rate(world, *reviews, **how):
    snapshot = Snapshot(world[0], pd.concat(reviews, ignore_index=True))
    row = (
        estimate_rates(snapshot, settings=EstimateSettings(**how))
        .overall.set_index("measure")
        .loc["error_rate"]
    )
    return row, row["method"].split(":")[0]


def test_without_golden_items_or_experts_it_says_uncorrected(world):
    row, code = error_rate(world, audit(world))
    assert code == "score_el+as_judged"
    assert "uncorrected: reviewers' verdicts as they are" in row["method"]
    assert row["estimate"] == pytest.approx(FOUND * RATE + ALARM * (1 - RATE), abs=0.01)


def test_required_correction_that_cannot_be_made_is_suppressed(world):
    row, code = error_rate(world, audit(world), correction="require")
    assert code == "not_corrected"
    assert row["suppressed"]
    assert np.isnan(row["estimate"])


def test_golden_items_take_reviewers_error_out(world):
    row, code = error_rate(world, audit(world), golden(world))
    assert code == "score_t+golden"
    assert row["low"] < world[1].mean() < row["high"]
    assert row["estimate"] == pytest.approx(world[1].mean(), abs=0.02)


def test_golden_items_never_count_as_labels(world):
    ids = world[0]["decision_id"].to_numpy()[:2000]
    items = golden(world).assign(decision_id=ids)
    row, _ = error_rate(world, audit(world), items, correction="none")
    alone, _ = error_rate(world, audit(world), correction="none")
    same = ["estimate", "n_reviews", "bound_low", "bound_high"]
    assert row[same].tolist() == alone[same].tolist()


def test_too_few_golden_items_correct_nothing(world):
    _, code = error_rate(world, audit(world), golden(world, n=30))
    assert code == "score_el+as_judged"


def test_reviewers_no_better_than_chance_are_refused(world):
    rng = np.random.default_rng(0)
    n = 400
    coin = table(
        [f"g{i}" for i in range(n)], "golden", rng.random(n) < 0.5,
        expected=np.where(np.arange(n) < n // 2, "overturned", "upheld"),
    )  # fmt: skip
    row, code = error_rate(world, audit(world), coin)
    assert code == "reviewers_at_chance"
    assert row["suppressed"]


def test_settled_flags_are_exact_and_leave_misses(world):
    decisions, wrong, draw, said, _ = world
    flagged = draw[said]
    ids = decisions["decision_id"].to_numpy()[flagged]
    experts = table(ids, "adjudication", wrong[flagged], 1.0, day=2)
    row, code = error_rate(world, audit(world), experts)
    assert code == "score_el+flags_adjudicated"
    assert row["estimate"] == pytest.approx(FOUND * RATE, abs=0.01)
    both, code = error_rate(world, audit(world), experts, golden(world))
    assert code == "score_el+flags_adjudicated_golden"
    assert both["low"] < wrong.mean() < both["high"]
    only_golden, _ = error_rate(world, audit(world), golden(world))
    assert both["high"] - both["low"] < only_golden["high"] - only_golden["low"]


def test_a_second_look_at_what_was_passed_measures_the_misses(world):
    decisions, wrong, draw, said, rng = world
    looked = np.where(said, True, rng.random(len(draw)) < 0.25)
    ids = decisions["decision_id"].to_numpy()[draw[looked]]
    chance = np.where(said[looked], 1.0, 0.25)
    experts = table(ids, "adjudication", wrong[draw[looked]], chance, day=2)
    row, code = error_rate(world, audit(world), experts)
    assert code == "score_el+flags_adjudicated_second_look"
    assert row["low"] < wrong.mean() < row["high"]
    assert row["estimate"] == pytest.approx(wrong.mean(), abs=0.012)


def test_flags_sampled_for_experts_put_both_errors_right(world):
    decisions, wrong, draw, said, rng = world
    chance = np.where(said, 0.6, 0.2)
    looked = rng.random(len(draw)) < chance
    ids = decisions["decision_id"].to_numpy()[draw[looked]]
    experts = table(ids, "adjudication", wrong[draw[looked]], chance[looked], day=2)
    row, code = error_rate(world, audit(world), experts)
    assert code == "score_t+second_look"
    assert row["low"] < wrong.mean() < row["high"]


def expert_answers(world, waiting, probability=1.0):
    """Experts' answers on the flags, without those at these places."""
    decisions, wrong, draw, said, _ = world
    flagged = np.delete(draw[said], waiting)
    ids = decisions["decision_id"].to_numpy()[flagged]
    return table(ids, "adjudication", wrong[flagged], probability, day=2)


def test_flags_that_wait_are_told(world):
    row, code = error_rate(world, audit(world), expert_answers(world, np.arange(5)))
    n = int(world[3].sum())
    assert code == "score_el+flags_adjudicated"
    assert f"5 of {n} flags still await an expert" in row["method"]


@pytest.mark.parametrize("with_golden", [True, False])
def test_one_answer_moves_a_figure_little_however_many_have_come(world, with_golden):
    more = [golden(world)] if with_golden else []
    n = int(world[3].sum())
    order = np.random.default_rng(2).permutation(n)
    for waiting in (0, 1, 20, n // 3, n // 2, n - 40, n - 20, n - 2, n - 1):
        (one, _), (other, _) = (
            error_rate(world, audit(world), expert_answers(world, order[:k]), *more)
            for k in (waiting, waiting + 1)
        )
        width, wider = (r["high"] - r["low"] for r in (one, other))
        assert abs(one["estimate"] - other["estimate"]) <= 0.25 * min(width, wider) / 2, waiting
        assert 1 / 1.1 <= wider / width <= 1.1, waiting


def test_flags_waiting_by_chance_leave_the_interval_honest_and_narrower_than_golden_items(world):
    n = int(world[3].sum())
    waiting = np.random.default_rng(4).permutation(n)[: n // 20]
    row, code = error_rate(world, audit(world), expert_answers(world, waiting), golden(world))
    full, _ = error_rate(world, audit(world), expert_answers(world, []), golden(world))
    only, _ = error_rate(world, audit(world), golden(world))
    assert code.endswith("flags_adjudicated_golden")
    assert row["low"] < world[1].mean() < row["high"]
    assert row["estimate"] == pytest.approx(full["estimate"], abs=0.003)
    assert full["high"] - full["low"] < row["high"] - row["low"] < only["high"] - only["low"]


@pytest.mark.parametrize("with_golden", [True, False])
def test_experts_who_settle_easy_flags_first_do_not_bias_the_interval(world, with_golden):
    """The waiting flags are mostly false alarms: imputed from the settled ones they would mislead."""
    _, wrong, draw, said, _ = world
    right = ~wrong[draw[said]]
    waiting = np.flatnonzero(right)[: int(0.8 * right.sum())]
    more = [golden(world)] if with_golden else []
    row, _ = error_rate(world, audit(world), expert_answers(world, waiting), *more)
    target = wrong.mean() if with_golden else FOUND * RATE
    assert row["low"] < target < row["high"]


def test_few_golden_items_of_a_site_count_by_how_many_they_are(world):
    """One more golden item never flips a site from the pooled rate to its own."""
    rng = np.random.default_rng(8)
    places = np.where(rng.random(len(world[2])) < 0.5, "a", "b")
    work = audit(world, places)
    estimates = []
    for n in (0, 18, 19, 20, 21, 22):
        truth = np.arange(2 * n) < n
        mine = table([f"b{i}" for i in range(2 * n)], "golden", truth & (np.arange(2 * n) % 4 > 0),
                     site="b", expected=np.where(truth, "overturned", "upheld"))  # fmt: skip
        items = golden(world, n=600).assign(site="a")
        row, _ = error_rate(world, work, items, mine)
        estimates.append((row["estimate"], row["high"] - row["low"]))
    rate, width = np.array(estimates).T
    assert (np.abs(np.diff(rate))[1:] < 0.1 * width[2:] / 2).all()
    assert (np.abs(np.diff(np.log(width)))[1:] < 0.05).all()


def test_every_draw_settled_by_experts_is_exact(world):
    decisions, wrong, draw, _, _ = world
    ids = decisions["decision_id"].to_numpy()[draw]
    row, code = error_rate(
        world,
        audit(world),
        table(ids, "adjudication", wrong[draw], 1.0, day=2),
        correction="require",
    )
    assert code == "score_el+adjudicated"
    assert row["estimate"] == pytest.approx(wrong[draw].mean(), abs=1e-9)


def test_sites_are_weighted_by_their_share_of_the_work():
    """A careful and a careless site: the pooled rates would be wrong, the mix is right."""
    rng = np.random.default_rng(3)
    ids = np.array([f"d{i}" for i in range(N)])
    decisions = pd.DataFrame({"decision_id": ids, "decided_at": T, "enforced": True})
    wrong = rng.random(N) < 0.1
    draw = rng.choice(N, 5000, replace=False)
    careless = rng.random(5000) < 0.8
    alarm = np.where(careless, 0.15, 0.01)
    said = np.where(wrong[draw], rng.random(5000) < 0.9, rng.random(5000) < alarm)
    work = table(ids[draw], "audit", said, 5000 / N, np.where(careless, "b", "a"))
    items = []
    for site, n, rate in (("a", 3000, 0.01), ("b", 600, 0.15)):  # golden items the other way round
        truth = np.arange(n) < n // 2
        verdict = np.where(truth, rng.random(n) < 0.9, rng.random(n) < rate)
        expected = np.where(truth, "overturned", "upheld")
        items.append(table([f"{site}{i}" for i in range(n)], "golden", verdict, site=site,
                           expected=expected))  # fmt: skip
    result = estimate_rates(Snapshot(decisions, pd.concat([work, *items], ignore_index=True)))
    row = result.overall.set_index("measure").loc["error_rate"]
    assert row["low"] < wrong.mean() < row["high"]
    assert row["estimate"] == pytest.approx(wrong.mean(), abs=0.025)


def test_false_positives_of_one_side_hold_where_the_sides_differ():
    rng, held = np.random.default_rng(4), 0
    n = np.arange(700)
    enforced = (n < 150).astype(np.int64)
    wrong = (n >= 100) & (n < 200)  # both sides have errors among them
    for _ in range(200):
        rate = np.where(wrong, 0.9, np.where(enforced == 1, 0.07, 0.02))
        flag = rng.random(700) < rate
        golden = GoldenItems(n, n * 0, enforced, wrong, flag, wrong, flag)
        found = golden_misclassification(golden, np.ones((1, 1)), action_only=True, enforced=True)
        held += found.alarm.low[0] <= 0.07 <= found.alarm.high[0]
    assert held / 200 > 0.93
