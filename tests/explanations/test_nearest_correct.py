import numpy as np
import pandas as pd
import pytest

from errdetect.explanations.reason_facts import ReasonFacts
from errdetect.explanations.reason_templates import load_templates
from errdetect.explanations.reasons import (
    build_correct_pool,
    decision_reasons,
    find_contrasts,
    group_contributions,
    latest_per_policy,
)

NAMES = ("enforced", "price", "market")


def facts_of(*rows: tuple[str, str, str, float, str, str | None], words=None) -> ReasonFacts:
    """Decisions as (id, policy, action, price, market, text)."""
    columns = ["decision_id", "policy_id", "action", "price", "market", "text"]
    frame = pd.DataFrame(list(rows), columns=columns)
    frame["text"] = frame["text"].astype("str")
    frame["enforced"] = frame["action"] == "remove"
    markets = frame["market"].map({"DE": 0.0, "FR": 1.0}).to_numpy(float)
    X = np.column_stack([frame["enforced"].astype(float), frame["price"], markets])
    return ReasonFacts(frame, X, NAMES, words or load_templates())


def beside(facts: ReasonFacts, pool: ReasonFacts):
    pushes = np.tile([0.0, 0.5, 0.4], (len(facts), 1))
    told = decision_reasons(facts, group_contributions(pushes, NAMES))
    return find_contrasts(facts, told, build_correct_pool(pool, [2]))


QUEUED = facts_of(("q1", "spam", "remove", 10.0, "DE", "red shoe"))


def test_the_nearest_of_the_same_policy_and_action():
    pool = facts_of(
        ("a", "spam", "remove", 90.0, "FR", "blue hat"),
        ("b", "spam", "remove", 12.0, "DE", "red shoe"),
        ("c", "fake", "remove", 10.0, "DE", "red shoe"),
        ("d", "spam", "approve", 10.0, "DE", "red shoe"),
    )
    (found,) = beside(QUEUED, pool)
    assert found.decision_id == "b"
    assert found.text == "A similar decision, b, was upheld by reviewers. There: price is 12"


def test_what_differs_is_said_in_the_order_of_the_reasons():
    (found,) = beside(QUEUED, facts_of(("b", "spam", "remove", 90.0, "FR", None)))
    assert found.text.endswith("There: price is 90; The market is FR")


def test_no_difference_is_said():
    (found,) = beside(QUEUED, facts_of(("b", "spam", "remove", 10.0, "DE", "red shoe")))
    assert (
        found.text
        == "A similar decision, b, was upheld by reviewers; none of these reasons differs between the two"
    )


@pytest.mark.parametrize(
    "pool",
    [facts_of(("b", "fake", "remove", 10.0, "DE", None)), facts_of(("q1", "spam", "remove", 10.0, "DE", None))],
)  # fmt: skip
def test_none_is_said_to_be_none(pool):
    (found,) = beside(QUEUED, pool)
    assert found == (None, "Reviewers had not upheld any similar decision by then")


def test_ties_go_by_id_and_the_text_tells():
    same = [(name, "spam", "remove", 10.0, "DE", "hat") for name in ("a", "b")]
    assert beside(QUEUED, facts_of(*same))[0].decision_id == "a"
    closer = ("c", "spam", "remove", 10.0, "DE", "red shoe")
    assert beside(QUEUED, facts_of(*same, closer))[0].decision_id == "c"


def test_a_translation_says_it_its_own_way(here):
    queued = facts_of(
        ("q1", "spam", "remove", 10.0, "DE", None), words=load_templates(here / "reasons_de.yaml")
    )
    pool = facts_of(("b", "spam", "remove", 9.5, "DE", None), words=queued.words)
    assert beside(queued, pool)[0].text == (
        "Dort gilt: price ist 9,5. Diese ähnliche Entscheidung, b, haben Menschen bestätigt"
    )


def test_the_latest_of_each_are_kept():
    frame = facts_of(
        *[(f"d{i}", f"p{i % 2}", "remove", 1.0, "DE", None) for i in range(8)]
    ).decisions
    frame["decided_at"] = pd.date_range("2026-01-01", periods=8, tz="UTC")
    assert latest_per_policy(frame, 2)["decision_id"].tolist() == ["d4", "d5", "d6", "d7"]
