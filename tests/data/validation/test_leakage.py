import numpy as np
import pandas as pd
import pytest

from errdetect.validation import check_leakage

N = 400
START = pd.Timestamp("2026-01-01", tz="UTC")


@pytest.fixture
def decisions() -> pd.DataFrame:
    at = START + pd.to_timedelta(np.arange(N), unit="h")
    return pd.DataFrame({"decision_id": [f"d{i}" for i in range(N)], "decided_at": at})


@pytest.fixture
def reviews() -> pd.DataFrame:
    """Every fourth decision was reviewed; a third of these overturned."""
    rows = np.arange(0, N, 4)
    verdict = np.where(rows % 3 == 0, "overturned", "upheld")
    return pd.DataFrame(
        {"decision_id": [f"d{i}" for i in rows], "source": "audit", "verdict": verdict}
    )


def found(decisions, reviews) -> list[str]:
    return [f.code for f in check_leakage(decisions, reviews)]


def forms(at: pd.Series) -> dict[str, object]:
    seconds = at.dt.as_unit("us").astype("int64") / 1e6
    return {
        "text": at.dt.strftime("%Y-%m-%dT%H:%M:%SZ").astype("str"),
        "offset": (at + pd.Timedelta(hours=2)).dt.strftime("%Y-%m-%d %H:%M:%S+02:00").astype("str"),
        "seconds": seconds,
        "milliseconds": seconds * 1e3,
    }


@pytest.mark.parametrize("form", ["text", "offset", "seconds", "milliseconds"])
def test_times_after_the_decision_are_warned_of(decisions, reviews, form):
    later = decisions["decided_at"].where(decisions.index % 40 > 0) + pd.Timedelta(minutes=5)
    (finding,) = [
        f
        for f in check_leakage(decisions.assign(touched=forms(later)[form]), reviews)
        if f.code == "D019"
    ]
    assert finding.count == N - 10
    assert finding.severity == "warning"
    assert finding.examples[0] == "d1"
    assert finding.message.startswith("The column touched holds times later than decided_at: 390.")
    early = decisions["decided_at"] - pd.Timedelta(minutes=5)
    assert "D019" not in found(decisions.assign(listed=forms(early)[form]), reviews)


@pytest.mark.parametrize(
    "values", [np.arange(N) * 1.0, np.full(N, 1e11), ["2026-13-99"] * N, ["soon"] * N]
)
def test_what_is_no_time_is_left_alone(decisions, reviews, values):
    values = pd.Series(values) if not isinstance(values, list) else pd.Series(values, dtype="str")
    assert "D019" not in found(decisions.assign(plain=values), reviews)


def test_a_noisy_sign_of_the_review_is_found(decisions, reviews):
    """A planted leak: a number that follows the verdict loosely, and is 0 where nobody looked."""
    rng = np.random.default_rng(0)
    wrong = (
        decisions["decision_id"].map(reviews.set_index("decision_id")["verdict"]) == "overturned"
    )
    reviewed = decisions["decision_id"].isin(reviews["decision_id"])
    sign = np.where(reviewed, wrong + rng.normal(0, 1.5, N), 0.0)
    assert found(decisions.assign(plain=sign), reviews) == ["D017"]
    assert found(decisions.assign(plain=np.where(reviewed, sign, np.nan)), reviews) == ["D017"]
    assert found(decisions.assign(plain=wrong + rng.normal(0, 1.5, N)), reviews) == []
    rare = np.where(np.arange(N) % 97 == 0, 1.0, 0.0)
    assert found(decisions.assign(plain=rare), reviews) == []
