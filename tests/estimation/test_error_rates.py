"""Error rates from designed samples, against simulated truth and a kept statistics library."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from errdetect.errors import ErrdetectError
from errdetect.estimation.error_rates import estimate_rates
from errdetect.snapshot import Snapshot

N = 20_000


def population(rng: np.random.Generator, rate: float) -> tuple[pd.DataFrame, np.ndarray]:
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(N)],
            "decided_at": pd.Timestamp("2026-01-01", tz="UTC"),
            "enforced": rng.random(N) < 0.3,
            "market": rng.choice(["DE", "FR"], N),
        }
    )
    return frame, rng.random(N) < rate


def audit(
    frame: pd.DataFrame, wrong: np.ndarray, pi: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    drawn = np.flatnonzero(rng.random(N) < pi)
    return pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in drawn],
            "decision_id": frame["decision_id"].iloc[drawn].to_numpy(),
            "reviewed_at": pd.Timestamp("2026-01-02", tz="UTC"),
            "source": "audit",
            "verdict": np.where(wrong[drawn], "overturned", "upheld"),
            "site": "s",
            "inclusion_probability": pi[drawn],
            "expected": None,
        }
    )


def rates(frame, reviews, **how):
    return estimate_rates(Snapshot(frame, reviews), **how).overall.set_index("measure")


@pytest.mark.parametrize("rate", [0.01, 0.1])
@pytest.mark.parametrize("design", ["uniform", "unequal"])
def test_intervals_cover(rate, design):
    hits, proxies = 0, []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        frame, wrong = population(rng, rate)
        lean = np.where(rng.random(N) < 0.5, 1.6, 0.4) if design == "unequal" else np.ones(N)
        table = rates(frame, audit(frame, wrong, 0.06 * lean, rng))
        row = table.loc["error_rate"]
        hits += int(row["low"] <= wrong.mean() <= row["high"])
        proxies.append(row["proxy"])
    assert hits >= 108  # 95 % of 120 is 114; five standard errors below would be 102


def test_agrees_with_a_kept_library_on_a_plain_sample():
    rng = np.random.default_rng(1)
    frame, wrong = population(rng, 0.1)
    reviews = audit(frame, wrong, np.full(N, 0.05), rng)
    row = rates(frame, reviews).loc["error_rate"]
    k, n = int((reviews["verdict"] == "overturned").sum()), len(reviews)
    low, high = proportion_confint(k, n, method="wilson")
    assert row["estimate"] == pytest.approx(k / n, abs=1e-6)
    assert row["low"] == pytest.approx(low, abs=0.004)
    assert row["high"] == pytest.approx(high, abs=0.004)


def test_only_the_designed_sample_counts():
    rng = np.random.default_rng(2)
    frame, wrong = population(rng, 0.1)
    reviews = audit(frame, wrong, np.full(N, 0.05), rng)
    ids = frame.loc[frame["enforced"], "decision_id"].iloc[:500]
    appeals = pd.DataFrame(
        {"review_id": [f"a{i}" for i in range(500)], "decision_id": ids.to_numpy(), "source": "appeal",
         "reviewed_at": pd.Timestamp("2026-01-03", tz="UTC"), "verdict": "overturned", "site": "s",
         "inclusion_probability": np.nan, "expected": None}
    )  # fmt: skip
    one, two = rates(frame, reviews), rates(frame, pd.concat([reviews, appeals], ignore_index=True))
    assert one.loc["error_rate", "estimate"] == pytest.approx(two.loc["error_rate", "estimate"])


def test_cells_without_a_sample_are_suppressed_never_zero():
    rng = np.random.default_rng(3)
    frame, wrong = population(rng, 0.1)
    reviews = audit(frame, wrong, np.where(frame["market"] == "DE", 0.05, 0), rng)
    table = estimate_rates(Snapshot(frame, reviews), [["market"]]).frame("market")
    france = table[table["market"] == "FR"]
    assert france["suppressed"].all()
    assert france[["estimate", "low", "high"]].isna().all(axis=None)
    assert (france.set_index("measure").loc["error_rate", "n_reviews"]) == 0


def test_no_errors_seen_still_has_an_upper_limit():
    rng = np.random.default_rng(4)
    frame, _ = population(rng, 0.0)
    row = rates(frame, audit(frame, np.zeros(N, bool), np.full(N, 0.02), rng)).loc["error_rate"]
    assert row["estimate"] == 0
    assert 0.001 < row["high"] < 0.02


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, np.nan])
def test_unusable_probabilities_are_refused(bad):
    rng = np.random.default_rng(5)
    frame, wrong = population(rng, 0.1)
    reviews = audit(frame, wrong, np.full(N, 0.02), rng)
    reviews.loc[3, "inclusion_probability"] = bad
    with pytest.raises(ErrdetectError, match="inclusion"):
        estimate_rates(Snapshot(frame, reviews))


def test_an_audit_that_stops_early_is_told():
    rng = np.random.default_rng(5)
    n = 2000
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": pd.date_range("2026-01-01", periods=n, freq="h", tz="UTC"),
            "enforced": rng.random(n) < 0.5,
        }
    )

    def method(last: int) -> str:
        rows = np.flatnonzero((rng.random(n) < 0.1) & (np.arange(n) < last))
        reviews = pd.DataFrame(
            {
                "review_id": [f"r{i}" for i in rows],
                "decision_id": decisions["decision_id"].iloc[rows].to_numpy(),
                "reviewed_at": decisions["decided_at"].iloc[rows].to_numpy() + pd.Timedelta("1h"),
                "source": "audit",
                "verdict": np.where(rng.random(len(rows)) < 0.1, "overturned", "upheld"),
                "inclusion_probability": 0.1,
                "site": None,
                "expected": None,
            }
        )
        return str(estimate_rates(Snapshot(decisions, reviews)).overall["method"].iloc[0])

    assert "nothing was audited" not in method(n)
    assert "leaves out the time after 2026-03" in method(int(0.75 * n))
