"""Several draws as one sample: every combination is unbiased."""

import numpy as np
import pandas as pd
import pytest

from errdetect.labels.audit_draws import combine_recorded_draws

N = 4000


def log(rng: np.random.Generator) -> pd.DataFrame:
    day = np.sort(rng.uniform(0, 60, N))
    return pd.DataFrame(
        {
            "decided_at": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(day, unit="D"),
            "market": rng.choice(["DE", "FR"], N),
            "enforced": rng.random(N) < 0.5,
        }
    )


def one_draw(name: str, pi: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    at = np.flatnonzero(rng.random(len(pi)) < pi)
    moment = pd.Timestamp("2026-03-10", tz="UTC") + pd.Timedelta(days=ord(name))
    return pd.DataFrame(
        {"position": at, "draw_id": name, "inclusion_probability": pi[at], "drawn_at": moment}
    )


@pytest.mark.parametrize("second", ["same", "later half", "one market", "unequal"])
def test_the_weights_of_two_draws_add_up_to_the_log(second):
    totals = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        decisions = log(rng)
        pi = {
            "same": np.full(N, 0.1),
            "later half": np.where(np.arange(N) >= N / 2, 0.2, 0.0),
            "one market": np.where(decisions["market"] == "DE", 0.2, 0.0),
            "unequal": np.where(decisions["enforced"], 0.25, 0.05),
        }[second]
        draws = pd.concat([one_draw("a", np.full(N, 0.1), rng), one_draw("b", pi, rng)])
        design = combine_recorded_draws(decisions, draws)
        part = decisions["market"].to_numpy()[design.position] == "DE"
        of_part = (decisions["market"] == "DE").sum()
        totals.append([design.weight.sum() / N, design.weight[part].sum() / of_part])
    assert np.mean(totals, axis=0) == pytest.approx([1, 1], abs=0.02)


def test_decisions_that_a_later_draw_left_out_stay_represented():
    totals, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        decisions = log(rng)
        wrong = rng.random(N) < 0.2
        first = one_draw("a", np.where(decisions["enforced"], 0.3, 0.05), rng)
        pi = np.full(N, 0.1)
        pi[first["position"]] = 0.0
        design = combine_recorded_draws(decisions, pd.concat([first, one_draw("b", pi, rng)]))
        totals.append(design.weight.sum() / N)
        errors.append(design.weight @ wrong[design.position] / N - wrong.mean())
    assert np.mean(totals) == pytest.approx(1, abs=0.01)
    assert abs(np.mean(errors)) < 0.01


def test_a_small_second_draw_does_not_spoil_a_large_first():
    rng = np.random.default_rng(0)
    decisions = log(rng)
    draws = pd.concat([one_draw("a", np.full(N, 0.25), rng), one_draw("b", np.full(N, 0.01), rng)])
    design = combine_recorded_draws(decisions, draws)
    alone = 1000 * 4 * 3
    assert design.variance.sum() < 1.05 * alone
