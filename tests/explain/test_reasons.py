import numpy as np
import pandas as pd
import pytest

from errdetect.errors import ConfigError
from errdetect.explain.drivers import drivers
from errdetect.explain.reasons import group_contributions, reason_codes, reasons
from errdetect.explain.words import load_words

NAMES = ("score", "threshold", "margin", "confidence", "enforced", "price", "market", "text_char_logit",
         "text_word_logit", "text_logit_mean", "score_ml")  # fmt: skip


def row(**facts: float) -> np.ndarray:
    return np.array([[facts.get(name, np.nan) for name in NAMES]])


def pushes(**parts: float) -> np.ndarray:
    return np.array([[parts.get(name, 0.0) for name in NAMES] + [-2.0]])


def decision(**columns: object) -> pd.DataFrame:
    return pd.DataFrame([{"decision_id": "d1", "policy_id": "p", "action": "remove", **columns}])


def said(frame: pd.DataFrame, X: np.ndarray, parts: np.ndarray, limit: int = 5) -> list[str]:
    return [r["text"] for r in reasons(frame, X, parts, NAMES, load_words(), limit=limit)[0]]


def test_groups_add_up():
    parts = np.random.default_rng(0).normal(size=(20, len(NAMES) + 1))
    grouped = group_contributions(parts, NAMES)
    np.testing.assert_allclose(grouped.sum(axis=1), parts[:, :-1].sum(axis=1))
    assert list(grouped.columns) == ["margin", "action", "price", "market", "text", "other_scores"]


def test_strongest_first_and_only_towards_error():
    X = row(score=0.63, threshold=0.6, margin=0.03, enforced=1, price=12, score_ml=0.1)
    parts = pushes(margin=0.4, score=0.2, price=0.9, market=-3.0, score_ml=0.1)
    assert said(decision(price=12.0, market="DE"), X, parts) == [
        "price is 12",
        "The machine's score 0.63 is only 0.03 above the bar 0.60",
        "Other scores for it: ml 0.1",
    ]
    assert len(said(decision(price=12.0), X, parts, limit=1)) == 1


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (
            {"margin": -0.3, "score": 0.2, "threshold": 0.5},
            "The machine's score 0.20 is 0.30 below the bar 0.50",
        ),
        ({}, "The machine left no score"),
    ],
)
def test_margin_words(facts, says):
    assert said(decision(), row(enforced=0, **facts), pushes(margin=1.0)) == [says]


def test_text_words_follow_the_side():
    enforced = row(enforced=1, text_logit_mean=0.0)
    assert said(decision(), enforced, pushes(text_char_logit=1)) == [
        "Going by its text alone, 50% of such content violates; the machine acted on it"
    ]
    assert said(decision(), row(enforced=0), pushes(text_char_logit=1)) == [
        "There is no text to go by"
    ]


def test_words_of_segments_and_lists():
    names = ("enforced", "segment_logit", "scores_gap", "tags=new")
    X = np.array([[1.0, np.log(0.25), 0.3, 1.0]])
    found = reasons(
        decision(tags="new, sale"), X, np.array([[0, 0.5, 0.4, 0.3, -1.0]]), names, load_words()
    )[0]
    assert [r["code"] for r in found] == ["segment", "other_scores", "tags"]
    assert found[0]["text"] == "Of earlier reviewed decisions of this kind, 20% were wrong"
    assert found[2]["text"] == "tags is new, sale"


def test_words_of_the_usual_and_of_another_policy():
    names = ("enforced", "usual_logit", "usual_against", "other_policy_logit")
    pushed = np.array([[0, 0.2, 0.3, 0.4, -1.0]])
    for enforced, doubt, expected in (
        (
            1.0,
            0.0,
            [
                "Machines usually act on 20% of such content; here the machine acted",
                "Going by its content, the chance that another policy fits better is about 50%",
            ],
        ),
        (
            0.0,
            np.nan,
            [
                "Machines usually act on 20% of such content; here the machine let it pass",
                "Nothing is known of other policies",
            ],
        ),
    ):
        X = np.array([[enforced, np.log(0.25), 0.0, doubt]])
        found = reasons(decision(), X, pushed, names, load_words())[0]
        assert [r["code"] for r in found] == ["usual", "other_policy"]
        assert [r["text"] for r in found] == expected


def test_missing_values_are_said_to_be_unknown():
    assert said(decision(market=None), row(), pushes(market=1.0)) == ["market is not known"]


def test_content_is_data_in_templates():
    hostile = "{decision.__class__} {score} <script>"
    assert said(decision(market=hostile), row(), pushes(market=1.0)) == [f"The market is {hostile}"]


RECORD = ("history_account_decisions_90d", "history_account_reviewed_90d", "history_account_errors_90d",
          "history_account_error_rate_7d", "history_account_policy_errors_90d", "history_policy_reviewed_30d",
          "history_moderator_version_days", "history_policy_change_days", "similar_text_reviewed",
          "similar_text_violates", "similar_text_wrong", "similar_text_days", "similar_item_days",
          "similar_near_reviewed", "similar_near_days", "similar_near_decisions",
          "similar_near_enforced_rate", "similar_image_hash_days", "similar_image_hash_reviewed")  # fmt: skip


def past(code: str, **facts: float) -> str:
    """Say the one reason to which all of a decision's contributions belong."""
    X = np.array([[facts.get(name, np.nan) for name in RECORD]])
    parts = np.array([[float(c == code) for c in reason_codes(RECORD)] + [0.0]])
    (found,) = reasons(decision(), X, parts, RECORD, load_words())[0]
    assert found["code"] == code
    return found["text"]


def test_the_past_is_one_reason_for_each_record():
    parts = np.ones((1, len(RECORD) + 1))
    grouped = group_contributions(parts, RECORD)
    assert grouped.iloc[0].to_dict() == {
        "history_account": 4, "history_account_policy": 1, "history_policy": 1, "history_changes": 2, "similar": 11,
    }  # fmt: skip
    assert set(grouped) <= set(load_words())


def test_records_in_words():
    known = {
        "history_account_decisions_90d": 20,
        "history_account_reviewed_90d": 9,
        "history_account_errors_90d": 6,
    }
    assert past("history_account", **known) == (
        "6 of this account's 9 reviewed decisions in the 90 days before were wrong"
    )
    known["history_account_reviewed_90d"] = 0
    assert past("history_account", **known) == (
        "None of this account's 20 decisions in the 90 days before was reviewed"
    )
    assert past("history_account") == "The account is not known"


def test_changes_in_words():
    assert past("history_changes", history_moderator_version_days=3.25) == (
        "The moderator's version came 3.2 days before"
    )
    both = {"history_moderator_version_days": 3.0, "history_policy_change_days": 1.0}
    assert past("history_changes", **both).endswith("the latest one for this policy 1 days before")
    assert past("history_changes") == "No change of the moderator's version is known"


def test_the_same_content_in_words():
    text = {"similar_text_reviewed": 4, "similar_text_violates": 0.75, "similar_text_wrong": 0.25}
    near = {
        "similar_near_reviewed": 9,
        "similar_near_decisions": 12,
        "similar_near_enforced_rate": 0.5,
    }
    assert past("similar", **near, **text) == (
        "The same text stood in 4 reviewed decisions before: 75% found to violate, 25% decided wrongly"
    )
    assert past("similar", **near).startswith("Nearly the same text stood in 9 reviewed decisions")
    assert past("similar", similar_image_hash_reviewed=1.0, **near).startswith("The same picture")
    near["similar_near_reviewed"] = 0
    assert past("similar", **near) == (
        "The same or nearly the same content was decided on 12 times before, 50% of them against it"
    )
    assert past("similar") == "No such content was decided on before"


def test_own_words(tmp_path):
    place = tmp_path / "de.yaml"
    place.write_text("market: {title: Der Markt, text: 'Der Markt ist {value}'}", encoding="utf-8")
    words = load_words(place)
    assert (
        reasons(decision(market="DE"), row(), pushes(market=1.0), NAMES, words)[0][0]["text"]
        == "Der Markt ist DE"
    )
    assert words["margin"] == load_words()["margin"]
    place.write_text("market: Markt", encoding="utf-8")
    with pytest.raises(ConfigError, match="must map each reason to its templates"):
        load_words(place)


def test_words_never_claim_a_cause():
    texts = [t.lower() for templates in load_words().values() for t in templates.values()]
    assert not any(word in text for text in texts for word in ("because", "caused", "due to"))


def test_drivers_shares_add_up_by_policy():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"decision_id": [f"d{i}" for i in range(60)], "policy_id": ["a", "b", "c"] * 20}
    )
    grouped = pd.DataFrame(rng.normal(size=(60, 4)), columns=["margin", "market", "price", "text"])
    table = drivers(frame, grouped, rng.random(60), load_words())
    assert table.groupby(table["policy_id"].fillna("all"))["share"].sum().tolist() == pytest.approx(
        [1] * 4
    )
    assert set(table.loc[table["policy_id"] == "a", "n_decisions"]) == {20}
    shares = table.loc[table["policy_id"].isna(), "share"]
    assert shares.is_monotonic_decreasing
