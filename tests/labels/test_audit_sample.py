"""From reviews to draws: what is refused, in words, and what counts once."""

import numpy as np
import pandas as pd
import pytest

from errdetect.errors import DataError, Refusal
from errdetect.labels.audit_sample import gather_audit_sample
from errdetect.snapshot import Snapshot

T = pd.Timestamp("2026-01-01", tz="UTC")


@pytest.fixture
def decisions():
    return pd.DataFrame({"decision_id": list("abcdef"), "decided_at": T, "enforced": True})


def review(decision, verdict="upheld", source="audit", probability=0.5, day=1, **more):
    return {
        "review_id": f"{source}-{decision}-{day}",
        "decision_id": decision,
        "reviewed_at": T + pd.Timedelta(days=day),
        "source": source,
        "verdict": verdict,
        "inclusion_probability": probability,
        "site": "x",
        "expected": None,
        "reviewer_id": None,
        **more,
    }


def frame(*rows):
    return pd.DataFrame(list(rows))


def test_several_judges_are_one_draw(decisions):
    reviews = frame(
        review("b", "overturned", day=1), review("b", "upheld", day=2), review("d", day=1)
    )
    audit = gather_audit_sample(decisions, reviews)
    assert audit.position.tolist() == [1, 3]
    assert audit.weight.tolist() == [2, 2]
    assert audit.error.tolist() == [0.5, 0]
    assert audit.flagged.tolist() == [True, False]


def test_the_last_adjudication_stands(decisions):
    reviews = frame(
        review("b", "overturned"),
        review("b", "relabelled", "adjudication", 1.0, day=4),
        review("b", "upheld", "adjudication", 1.0, day=3),
    )
    audit = gather_audit_sample(decisions, reviews)
    assert audit.expert_error.tolist() == [1]
    assert audit.expert_overturned.tolist() == [0]


def test_reviews_of_other_decisions_are_left_out(decisions):
    audit = gather_audit_sample(decisions, frame(review("b"), review("zzz")))
    assert len(audit.position) == 1


@pytest.mark.parametrize("bad", [0.0, -0.2, 1.01, np.nan])
def test_a_probability_that_is_none_is_refused(decisions, bad):
    with pytest.raises(
        Refusal, match=r"must lie in \(0, 1\], got 1 of 2 that are missing or outside"
    ):
        gather_audit_sample(decisions, frame(review("a"), review("b", probability=bad)))


def test_a_bad_chance_of_adjudication_is_refused(decisions):
    reviews = frame(review("a"), review("a", source="adjudication", probability=1.5, day=2))
    with pytest.raises(Refusal, match="inclusion_probability of adjudications"):
        gather_audit_sample(decisions, reviews)


def test_two_probabilities_of_one_decision_are_two_draws(decisions):
    reviews = frame(review("a", day=1), review("a", probability=0.4, day=2), review("b", day=1))
    audit = gather_audit_sample(decisions, reviews)
    assert audit.n_shared == 1
    first, second = audit.weight
    one, other = 1 / reviews["inclusion_probability"].iloc[0], 1 / 0.4
    assert first / second == pytest.approx((one + other) / one)
    assert audit.weight.sum() == pytest.approx(len(decisions))


def test_a_review_before_its_decision_is_lost_and_counted(decisions):
    reviews = frame(review("a", day=-1, probability=0.25), review("b"))
    audit = gather_audit_sample(decisions, reviews)
    assert audit.position.tolist() == [1]
    lost = Snapshot(decisions, reviews).lost_draws
    assert lost.weight.tolist() == [4.0]
    assert lost.position.tolist() == [0]


def test_one_reviewer_s_later_verdict_replaces_the_earlier(decisions):
    reviews = frame(
        review("a", "upheld", day=1, reviewer_id="ann"),
        review("a", "overturned", day=3, reviewer_id="ann"),
        review("a", "upheld", day=2, reviewer_id="bob"),
    )
    assert gather_audit_sample(decisions, reviews).error.tolist() == [0.5]
    then = T + pd.Timedelta(days=2)
    assert gather_audit_sample(decisions, reviews, as_of=then).error.tolist() == [0.0]


def test_a_draw_is_lost_only_where_no_review_of_it_can_be_used(decisions):
    reviews = frame(
        review("a"),
        review("zz", probability=0.1),
        review("zz", probability=0.1, day=2),
        review("b", day=-3),
    )
    reviews = pd.concat([reviews, frame(review("b", day=4))], ignore_index=True)
    lost = Snapshot(decisions, reviews).lost_draws
    assert lost.decision_id.tolist() == ["zz"]
    assert lost.weight.tolist() == [10.0]


def test_reviews_older_than_the_log_belong_to_another_one(decisions):
    reviews = frame(review("a"), review("zz", day=-5))
    assert len(Snapshot(decisions, reviews).lost_draws) == 0


def test_a_decision_log_with_one_id_twice_is_refused(decisions):
    twice = pd.concat([decisions, decisions.head(1)])
    with pytest.raises(DataError, match="decision_id must be unique, got 'a' twice"):
        gather_audit_sample(twice, frame(review("a")))


def test_an_input_without_a_designed_sample_is_empty(decisions):
    audit = gather_audit_sample(decisions, frame(review("a", source="appeal", probability=np.nan)))
    assert len(audit.position) == 0


def _half_answered(decisions, due):
    ids = decisions["decision_id"].tolist()
    draws = pd.DataFrame(
        {
            "draw_id": "new",
            "decision_id": ids,
            "inclusion_probability": 1.0,
            "drawn_at": T + pd.Timedelta(days=5),
            "due_at": pd.to_datetime(pd.Series([due] * len(ids)), utc=True),
        }
    )
    return draws, frame(*(review(one, day=6, probability=1.0) for one in ids[:1]))


def test_a_draw_whose_answers_are_not_due_is_left_out(decisions):
    draws, answers = _half_answered(decisions, None)
    last = decisions["decision_id"].iloc[-1]
    earlier = frame(review(last, day=1, probability=0.5))
    draws = draws[draws["decision_id"] != last]
    audit = gather_audit_sample(decisions, pd.concat([earlier, answers]), draws=draws)
    assert decisions["decision_id"].iloc[audit.position].tolist() == [last]
    assert len(audit.unanswered.position) == 0
    assert audit.pending[0].startswith("1 of ")
    later = T + pd.Timedelta(days=60)
    audit = gather_audit_sample(
        decisions, pd.concat([earlier, answers]), draws=draws, as_of=later.to_pydatetime()
    )
    assert len(audit.position) == 2
    assert audit.pending == ()


def test_the_only_draw_counts_before_its_answers_are_due(decisions):
    draws, answers = _half_answered(decisions, "2030-01-01")
    audit = gather_audit_sample(decisions, answers, draws=draws)
    assert (len(audit.position), audit.pending) == (1, ())
    assert len(audit.unanswered.position) == len(decisions) - 1
