import numpy as np
import pandas as pd
import pytest

from errdetect.labels.review_history import build_review_history
from errdetect.reviewers.agreement import krippendorff_alpha, nominal_alpha, verdict_counts
from errdetect.schemas import VERDICTS


def counts_of(rows):
    return pd.DataFrame(rows, columns=list(VERDICTS))


def test_counts_are_of_designed_overlap_only(decisions_of, reviews_of):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1},
        {"decision_id": "d0", "day": 2, "verdict": "overturned"},
        {"decision_id": "d0", "day": 3, "source": "appeal", "verdict": "overturned"},
        {"decision_id": "d0", "day": 4, "source": "golden", "expected": "upheld"},
        {"decision_id": "d1", "day": 1},
        {"decision_id": "d1", "day": 2, "source": "re_review"},
        {"decision_id": "d2", "day": 1, "source": "re_review", "verdict": "relabelled"},
        {"decision_id": "d2", "day": 2, "source": "re_review", "verdict": "relabelled"},
        {"decision_id": "d2", "day": 3, "source": "adjudication"},
    )
    decisions = decisions_of(3)
    history = build_review_history(decisions, reviews)
    assert verdict_counts(decisions["decision_id"], history).values.tolist() == [
        ["d0", "audit", 1, 1, 0],
        ["d2", "re_review", 0, 0, 2],
    ]


#: Krippendorff (2011), Computing Krippendorff's alpha-reliability: sections A, B and C; "." is missing.
PUBLISHED = {
    0.095: ["0100000010", "1110010000"],
    0.692: ["aabbdcccedda", "babbbccceddd"],
    0.743: ["123321412...", "1233224125.3", ".3332342251.", "12332441251."],
}


def _unit_counts(observers):
    values = sorted({value for row in observers for value in row} - {"."})
    units = list(zip(*observers, strict=True))
    return np.array([[unit.count(value) for value in values] for unit in units])


@pytest.mark.parametrize("alpha", PUBLISHED)
def test_alpha_is_that_of_the_published_tables(alpha):
    assert nominal_alpha(_unit_counts(PUBLISHED[alpha])) == pytest.approx(alpha, abs=0.0005)


def test_alpha_is_undefined_where_nothing_can_be_compared():
    for counts in ([[2, 0], [3, 0]], [[1, 0], [0, 1]], [[0, 0]]):
        assert np.isnan(nominal_alpha(np.array(counts)))


def test_alpha_is_that_of_two_observers_and_lies_within_its_limits():
    rng = np.random.default_rng(3)
    clear = rng.random(400) < 0.7
    first = rng.choice(3, 400, p=[0.6, 0.3, 0.1])
    second = np.where(clear, first, rng.choice(3, 400, p=[0.6, 0.3, 0.1]))
    counts = np.eye(3, dtype=int)[first] + np.eye(3, dtype=int)[second]
    found = krippendorff_alpha(counts_of(counts), rng=np.random.default_rng(0))
    n, shares = 800, np.bincount(np.r_[first, second]) / 800
    expected = (1 - (shares**2).sum()) * n / (n - 1)
    want = 1 - (first != second).mean() / expected
    assert found.alpha == pytest.approx(want)
    assert found.low < found.alpha < found.high
    assert found.high - found.low == pytest.approx(0.14, abs=0.04)
    assert found.observed == pytest.approx((first == second).mean())
    assert (found.n_decisions, found.n_reviews, found.note) == (400, 800, "")


def test_the_limits_hold_what_new_samples_give():
    rng = np.random.default_rng(9)
    alphas, held = [], 0
    for _ in range(60):
        truth = rng.random(200) < 0.3
        votes = truth[:, None] ^ (rng.random((200, 2)) < 0.1)
        yes = votes.sum(axis=1)
        found = krippendorff_alpha(counts_of(np.c_[2 - yes, yes, 0 * yes]), rng=rng)
        alphas.append(found.alpha)
        held += found.low <= 0.5656 <= found.high  # of a very large sample
    assert np.mean(alphas) == pytest.approx(0.5656, abs=0.03)
    assert held >= 54


def test_equal_input_and_seed_give_equal_limits():
    counts = counts_of([[2, 0, 0], [1, 1, 0], [0, 2, 0]] * 20)
    assert krippendorff_alpha(counts, rng=np.random.default_rng(4)) == krippendorff_alpha(
        counts.iloc[::-1], rng=np.random.default_rng(4)
    )


def test_little_overlap_gives_no_figure():
    found = krippendorff_alpha(counts_of([[2, 0, 0]] * 29), rng=np.random.default_rng(0))
    assert np.isnan(found.alpha)
    assert found.note == "29 decisions were reviewed by two or more people; 30 are needed."


def test_one_verdict_only_gives_no_figure():
    found = krippendorff_alpha(counts_of([[2, 0, 0]] * 50), rng=np.random.default_rng(0))
    assert np.isnan(found.alpha)
    assert found.observed == 1.0
    assert found.note.startswith("All verdicts are the same")


def test_no_overlap_at_all(decisions_of, reviews_of):
    decisions = decisions_of(1)
    counts = verdict_counts(decisions["decision_id"], build_review_history(decisions, reviews_of()))
    found = krippendorff_alpha(counts, rng=np.random.default_rng(0))
    assert np.isnan(found.observed)
    assert found.n_decisions == 0
