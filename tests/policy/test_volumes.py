import pandas as pd

from errdetect.policy.volumes import policy_volumes

DECISIONS = pd.DataFrame(
    {
        "decision_id": ["a", "b", "c", "d"],
        "policy_id": ["spam", "spam", "spam", "adult"],
        "enforced": [True, False, True, False],
    }
)


def review(decision_id, verdict="upheld", source="audit"):
    return {"decision_id": decision_id, "verdict": verdict, "source": source}


def test_decisions_are_counted_once_and_golden_reviews_never():
    reviews = pd.DataFrame(
        [
            review("a"),
            review("a", "overturned", "appeal"),
            review("b", "relabelled"),
            review("c", "overturned", "golden"),
        ]
    )
    found = policy_volumes(DECISIONS, reviews).set_index("policy_id")
    assert found.loc["spam"].to_list() == [3, 2, 2, 2]
    assert found.loc["adult"].to_list() == [1, 0, 0, 0]


def test_without_reviews_nothing_is_judged():
    assert policy_volumes(DECISIONS, None)["n_reviews"].to_list() == [0, 0]
