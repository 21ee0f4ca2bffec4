import numpy as np
import pandas as pd
import pytest

from errdetect.errors import DataError
from errdetect.labels.audit import flag_rates, resolve_audit
from errdetect.labels.reviewers import fit_reviewers

AUDIT = {"day": 1, "inclusion_probability": 0.2}


def test_several_judges_are_one_draw(decisions_of, reviews_of):
    reviews = reviews_of(
        AUDIT | {"decision_id": "d2", "verdict": "overturned"},
        AUDIT | {"decision_id": "d2", "verdict": "relabelled"},
        AUDIT | {"decision_id": "d2"},
        AUDIT | {"decision_id": "d0", "inclusion_probability": 0.5},
        AUDIT | {"decision_id": "d1", "verdict": "overturned"},
        AUDIT | {"decision_id": "d1"},
        {"decision_id": "d3", "day": 1, "source": "appeal", "verdict": "overturned"},
    )
    draws = resolve_audit(decisions_of(4, enforced=[True, False, False, True]), reviews)
    assert draws["decision_id"].tolist() == ["d0", "d1", "d2"]
    assert draws["inclusion_probability"].tolist() == [0.5, 0.2, 0.2]
    assert draws["n_judges"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(draws["share"], [0, 0.5, 2 / 3])
    assert draws["verdict"].fillna("tie").tolist() == ["upheld", "tie", "overturned"]
    assert draws["error_kind"].fillna("").tolist() == ["", "", "missed_violation"]
    assert draws["y"].equals(draws["share"])
    assert draws["p_error"].isna().all()


def test_an_expert_settles_a_draw_and_keeps_the_first_answer(decisions_of, reviews_of, at):
    reviews = reviews_of(
        AUDIT | {"decision_id": "d0", "verdict": "overturned"},
        {
            "decision_id": "d0",
            "day": 3,
            "source": "adjudication",
            "verdict": "relabelled",
            "inclusion_probability": 0.25,
        },
        AUDIT | {"decision_id": "d1", "verdict": "overturned"},
        {"decision_id": "d1", "day": 3, "source": "adjudication", "verdict": "upheld"},
    )
    draws = resolve_audit(decisions_of(2), reviews)
    assert draws["adjudicated"].tolist() == [True, True]
    assert draws["share"].tolist() == [1.0, 1.0]
    assert draws["y"].tolist() == [1.0, 0.0]
    assert draws["error_kind"].fillna("").tolist() == ["wrong_label", ""]
    assert draws["adjudication_probability"].tolist()[0] == 0.25
    before = resolve_audit(decisions_of(2), reviews, as_of=at(2))
    assert before["adjudicated"].tolist() == [False, False]
    assert before["y"].tolist() == [1.0, 1.0]


def test_an_appeal_of_an_audited_decision_leaves_the_audit_alone(decisions_of, reviews_of):
    reviews = reviews_of(
        AUDIT | {"decision_id": "d0", "reviewer_id": "ann"},
        {
            "decision_id": "d0",
            "day": 5,
            "source": "appeal",
            "verdict": "overturned",
            "reviewer_id": "ann",
        },
    )
    draws = resolve_audit(decisions_of(1), reviews)
    assert draws[["n_judges", "y"]].values.tolist() == [[1, 0.0]]


def test_two_probabilities_of_one_draw_are_refused(decisions_of, reviews_of):
    reviews = reviews_of(
        AUDIT | {"decision_id": "d0"},
        AUDIT | {"decision_id": "d0", "inclusion_probability": 0.3},
    )
    text = r"one figure for each audited decision, got 0\.2 and 0\.3 for 'd0' \(1 such decisions\)"
    with pytest.raises(DataError, match=text):
        resolve_audit(decisions_of(1), reviews)


def test_a_missing_probability_stays_missing(decisions_of, reviews_of):
    draws = resolve_audit(decisions_of(1), reviews_of({"decision_id": "d0", "day": 1}))
    assert draws["inclusion_probability"].isna().tolist() == [True]


def test_no_audit_is_no_rows_with_all_columns(decisions_of, reviews_of):
    draws = resolve_audit(decisions_of(2), reviews_of())
    assert len(draws) == 0
    assert list(draws) == [
        "decision_id",
        "inclusion_probability",
        "n_judges",
        "share",
        "verdict",
        "p_error",
        "adjudicated",
        "adjudication_probability",
        "y",
        "error_kind",
    ]


def test_the_models_p_error_comes_along(operation):
    world = operation(1, n_sites=2)
    model = fit_reviewers(world.reviews, world.decisions)
    draws = resolve_audit(world.decisions, world.reviews, model=model)
    want = model.p_error.loc[draws["decision_id"]].to_numpy()
    np.testing.assert_array_equal(draws["p_error"], want)


def test_rates_of_flags_meet_their_truth(operation):
    world = operation(3, golden_per_site=4_000, spread=0.0, overlap_per_site=0)
    people = world.sites.set_index("site")
    for enforced, caught, alarmed in (
        (True, 1 - people["wrongful_call"], people["missed_violation"]),
        (False, 1 - people["missed_violation"], people["wrongful_call"]),
    ):
        found = flag_rates(world.decisions, world.reviews, enforced=enforced)
        assert found.sensitivity == pytest.approx(caught.mean(), abs=0.012)
        assert found.false_positive_rate == pytest.approx(alarmed.mean(), abs=0.012)
        assert found.covered == 1.0


def test_sites_count_by_their_share_of_the_audit(decisions_of, reviews_of):
    golden = {"source": "golden", "expected": "overturned", "day": 1}
    rows = [golden | {"decision_id": f"d{i}", "site": "a"} for i in range(10)]
    rows += [
        golden | {"decision_id": f"d{i}", "site": "b", "verdict": "overturned"} for i in range(10)
    ]
    rows += [AUDIT | {"decision_id": f"d{i}", "site": "ab"[i % 4 == 0]} for i in range(20)]
    found = flag_rates(decisions_of(20), reviews_of(*rows))
    assert found.sensitivity == pytest.approx(0.25)  # b flags all, and does a quarter of the audit
    assert np.isnan(found.false_positive_rate)
    assert (found.n_right, found.covered) == (0.0, 0.0)


def test_one_item_judged_often_is_worth_less_than_many(decisions_of, reviews_of):
    golden = {"source": "golden", "expected": "overturned", "day": 1}
    rows = [
        golden
        | {"decision_id": f"d{i % 2}", "verdict": ["upheld", "overturned"][i % 2], "site": "a"}
        for i in range(40)
    ]
    found = flag_rates(decisions_of(2), reviews_of(*rows))
    assert found.sensitivity == pytest.approx(0.5)
    assert found.n_errors == pytest.approx(2)
    alike = flag_rates(decisions_of(2), reviews_of(*(r | {"verdict": "upheld"} for r in rows)))
    assert (alike.sensitivity, alike.n_errors) == (0.0, 2.0)


def test_a_site_without_golden_items_is_not_covered(operation):
    world = operation(2, n_sites=4, golden_per_site=200)
    dropped = (world.reviews["site"] == "site 0") & (world.reviews["source"] == "golden")
    found = flag_rates(world.decisions, world.reviews[~dropped])
    assert found.covered == pytest.approx(0.75, abs=0.01)
    assert not np.isnan(found.sensitivity)


def test_what_was_not_known_does_not_measure(decisions_of, reviews_of, at):
    golden = {"source": "golden", "expected": "overturned", "day": 9, "decision_id": "d0"}
    found = flag_rates(decisions_of(1), reviews_of(golden), as_of=at(5))
    assert pd.isna(found.sensitivity)
    assert found.n_errors == 0
