"""None"""

import unicodedata

import numpy as np
import pandas as pd
import pytest

from errdetect.explanations.reason_facts import ReasonFacts, reason_title
from errdetect.explanations.reason_templates import load_templates
from errdetect.explanations.reasons import (
    build_correct_pool,
    decision_reasons,
    display_values,
    find_contrasts,
    group_contributions,
    latest_per_policy,
    reason_codes,
)
from errdetect.features.feature_matrix import ReferenceDistribution
from errdetect.features.text_attribution import WordContributions

NAMES = ("score", "threshold", "margin", "confidence", "enforced", "price", "market", "text_char_logit",
         "text_word_logit", "text_logit_mean", "score_ml")  # fmt: skip
CONTRAST_NAMES = ("enforced", "price", "market")


def row(**facts: float) -> np.ndarray:
    return np.array([[facts.get(name, np.nan) for name in NAMES]])


def pushes(**parts: float) -> np.ndarray:
    return np.array([[parts.get(name, 0.0) for name in NAMES]])


def decision(**columns: object) -> pd.DataFrame:
    return pd.DataFrame([{"decision_id": "d1", "policy_id": "p", "action": "remove", **columns}])


def said(frame, X, parts, limit: int = 5, **more) -> list[str]:
    towards = more.pop("towards", True)
    facts = ReasonFacts(frame, X, NAMES, more.pop("words", load_templates()), **more)
    grouped = group_contributions(parts, NAMES, facts.reference.alike)
    return [r["text"] for r in decision_reasons(facts, grouped, limit=limit, towards=towards)[0]]


def sentence(code: str, frame, X, names=NAMES, **more) -> str:
    """Word a fact, whichever way it points."""
    return ReasonFacts(frame, X, names, load_templates(), **more).describe_fact(code, 0)


def words_of(*pairs: tuple[str, float]) -> WordContributions:
    word, part = zip(*pairs, strict=True)
    zero = np.zeros(len(word), np.int64)
    run = np.arange(len(word))
    return WordContributions(
        zero, np.array(word, dtype=object), np.array(part), run, np.zeros(1), np.zeros(1)
    )


def test_groups_add_up():
    parts = np.random.default_rng(0).normal(size=(20, len(NAMES)))
    grouped = group_contributions(parts, NAMES)
    np.testing.assert_allclose(grouped.sum(axis=1), parts.sum(axis=1))
    assert list(grouped.columns) == ["margin", "action", "price", "market", "text", "other_scores"]


def test_own_columns_that_begin_like_ours_stay_their_own():
    names = ["text_source", "text_chars", "text_logit_spread", "scorecard", "price_usd"]
    assert reason_codes(names, [("price", "price_usd")]) == [
        "text_source", "text_shape", "text", "scorecard", "price",
    ]  # fmt: skip


def test_columns_that_say_the_same_are_one_reason():
    names = ("price", "price_usd", "market")
    facts = ReasonFacts(
        decision(price=12.0, price_usd=13.5), np.array([[12.0, 13.5, np.nan]]), names, load_templates(),
        reference=ReferenceDistribution(alike=(("price", "price_usd"),)),
    )  # fmt: skip
    grouped = group_contributions(np.array([[0.3, 0.4, 0.5]]), names, facts.reference.alike)
    first = decision_reasons(facts, grouped)[0][0]
    assert first["text"] == "price is 12; price_usd is 13.5"
    assert first["contribution"] == pytest.approx(0.7)
    assert reason_title("price", facts.words, facts.reference) == "price, price_usd"


def test_strongest_first_and_only_towards_error():
    X = row(score=0.63, threshold=0.6, margin=0.03, enforced=1, price=12, score_ml=0.1)
    parts = pushes(margin=0.4, score=0.2, price=0.9, market=-3.0, score_ml=0.1)
    assert said(decision(price=12.0, market="DE"), X, parts) == [
        "price is 12",
        "The machine's score 0.63 is only 0.03 above the threshold 0.60",
    ]
    assert len(said(decision(price=12.0), X, parts, limit=1)) == 1
    assert said(decision(market="DE"), X, parts, towards=False) == ["The market is DE"]


def test_ties_go_by_code():
    facts = ReasonFacts(decision(a=1.0, b=1.0), np.empty((1, 0)), [], load_templates())
    grouped = pd.DataFrame({"b": [0.5], "a": [0.5]})
    assert [r["code"] for r in decision_reasons(facts, grouped)[0]] == ["a", "b"]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"margin": -0.3, "score": 0.2, "threshold": 0.5}, "The machine's score 0.20 is 0.30 below the threshold 0.50"),
        ({"margin": -0.03, "score": 0.47, "threshold": 0.5},
         "The machine's score 0.47 is only 0.03 below the threshold 0.50"),
        ({"margin": 0.3, "score": 0.8, "threshold": 0.5}, "The machine's score 0.80 is 0.30 above the threshold 0.50"),
        ({"margin": 0.0, "score": 0.5, "threshold": 0.5}, "The machine's score 0.50 is at the threshold"),
        ({"score": 0.5}, "The machine's score is 0.50; its threshold is unknown"),
        ({}, "The machine logged no score"),
    ],
)  # fmt: skip
def test_margin_words(facts, says):
    assert sentence("margin", decision(), row(enforced=0, **facts)) == says


def test_text_words_follow_the_side():
    text = words_of(
        ("Replica,", 1.0), ("original", -2.0), ("ORIGINAL!", -0.5), ("new", -0.3), ("a", 0.01)
    )
    start = "From its text alone, the models give a 50% probability that it violates; "
    acted = row(enforced=1, text_logit_mean=0.0)
    assert said(decision(), acted, pushes(text_char_logit=1), text=text) == [
        f"{start}the machine acted on it. Words that speak against that: “\u2068original\u2069”, “\u2068new\u2069”"
    ]
    assert said(decision(), acted, pushes(text_char_logit=-1), text=text, towards=False) == [
        f"{start}the machine acted on it. Words that support that: “\u2068Replica\u2069”"
    ]
    passed = row(enforced=0, text_logit_mean=0.0)
    assert said(decision(), passed, pushes(text_char_logit=1), text=text) == [
        f"{start}the machine let it pass. Words that speak against that: “\u2068Replica\u2069”"
    ]
    assert said(decision(), passed, pushes(text_char_logit=1)) == [
        f"{start}the machine let it pass"
    ]
    assert said(decision(), row(enforced=0), pushes(text_char_logit=1)) == ["There is no text"]


@pytest.mark.parametrize(
    "word",
    ["x" * 1_000_000, "\u202egnihton", "<script>alert(1)</script>", "👩‍👩‍👧", "नमस्ते", "שלום,"],
)
def test_hostile_words_are_quoted_inert_and_short(word):
    (text,) = said(
        decision(), row(enforced=0, text_logit_mean=0.0), pushes(text_char_logit=1), text=words_of((word, 1.0))
    )  # fmt: skip
    assert len(text) < 200
    assert text.count("\u2068") == text.count("\u2069") == 1
    left = {c for c in text if unicodedata.category(c) == "Cf"}
    assert left <= {"\u2068", "\u2069", "\u200d"}
    if word == "नमस्ते":
        assert "“\u2068नमस्ते\u2069”" in text


def test_characters_of_a_script_without_spaces_are_quoted_together():
    chars, parts = "正品高仿包邮", [-0.2, 0.1, 0.9, 1.0, 0.1, 0.5]
    text = WordContributions(
        np.zeros(6, np.int64), np.array(list(chars), dtype=object), np.array(parts), np.zeros(6, np.int64),
        np.zeros(1), np.zeros(1),
    )  # fmt: skip
    (told,) = said(
        decision(), row(enforced=0, text_logit_mean=0.0), pushes(text_char_logit=1), text=text
    )
    assert told.endswith("Words that speak against that: “\u2068高仿\u2069”, “\u2068邮\u2069”")


def test_no_text_is_one_reason():
    names = ("enforced", "text_chars", "text_upper_share", "text_links", "text_logit_mean")
    X = np.array([[1.0, np.nan, np.nan, np.nan, np.nan], [1.0, 12.0, 0.25, 1.0, 0.0]])
    parts = np.array([[0.0, 0.25, 0.0, 0.0, 0.5]] * 2)
    facts = ReasonFacts(pd.concat([decision()] * 2), X, names, load_templates())
    silent, spoken = decision_reasons(facts, group_contributions(parts, names))
    assert silent == [{"code": "text", "text": "There is no text", "contribution": 0.75}]
    assert [r["contribution"] for r in spoken] == [0.5]
    assert facts.describe_fact("text_shape", 1) == (
        "The text has 12 characters, 25% of them capitals, and 1 links"
    )


def test_words_of_segments_and_lists():
    names = ("enforced", "segment_logit", "scores_gap", "tags=new")
    X = np.array([[1.0, np.log(0.25), 0.3, 1.0]])
    facts = ReasonFacts(decision(tags="new, sale"), X, names, load_templates())
    found = decision_reasons(facts, group_contributions(np.array([[0, 0.5, 0.4, 0.3]]), names))[0]
    assert [r["code"] for r in found] == ["segment", "tags"]
    assert found[0]["text"] == "Of earlier reviewed decisions of this kind, 20% were wrong"
    assert found[1]["text"] == "tags is new, sale"
    assert facts.describe_fact("other_scores", 0) == "No other moderator's score is known"


def test_words_of_the_usual_and_of_another_policy():
    names = ("enforced", "usual_logit", "usual_against", "other_policy_logit")
    for enforced, doubt, expected in (
        (
            1.0,
            0.0,
            [
                "Machines act on 20% of such content; this time the machine acted",
                "From its content, the probability that another policy fits better is 50%",
            ],
        ),
        (
            0.0,
            np.nan,
            [
                "Machines act on 20% of such content; this time the machine let it pass",
                "It is unknown whether another policy fits better",
            ],
        ),
    ):
        X = np.array([[enforced, np.log(0.25), 0.0, doubt]])
        facts = ReasonFacts(decision(), X, names, load_templates())
        assert [facts.describe_fact(c, 0) for c in ("usual", "other_policy")] == expected


def test_missing_values_are_said_to_be_unknown():
    assert said(decision(market=None), row(), pushes(market=1.0)) == ["The market is not known"]
    assert said(decision(price=np.nan), row(), pushes(price=1.0)) == ["price is not known"]


def test_high_and_low_are_said():
    usual = ReferenceDistribution({"price": tuple(np.linspace(0, 100, 21))})
    for value, says in (
        (95.0, ", more than in 95% of decisions"),
        (1.0, ", less than in 99% of decisions"),
        (50.0, ""),
    ):
        text = f"price is {value:.0f}{says}"
        assert said(
            decision(price=value), row(price=value), pushes(price=1.0), reference=usual
        ) == [text]


def test_policies_go_by_the_catalogues_names():
    names = ("policy_id",)
    facts = ReasonFacts(
        decision(), np.array([[0.0]]), names, load_templates(), policies={"p": "Fake goods"}
    )
    assert facts.describe_fact("policy_id", 0) == "Decided under the policy Fake goods"
    nameless = ReasonFacts(decision(), np.array([[0.0]]), names, load_templates())
    assert nameless.describe_fact("policy_id", 0) == "Decided under the policy p"


def test_content_is_data_in_templates():
    hostile = "{decision.__class__} {score} <script>"
    assert said(decision(market=hostile), row(), pushes(market=1.0)) == [f"The market is {hostile}"]


@pytest.mark.parametrize("name", ["forms", "default", "contrast"])
def test_a_column_named_like_a_part_of_the_words_file(name):
    facts = ReasonFacts(decision(**{name: 3.0}), np.empty((1, 0)), [], load_templates())
    assert facts.describe_fact(name, 0) == f"{name} is 3"


RECORD = ("history_account_decisions_90d", "history_account_reviewed_90d", "history_account_errors_90d",
          "history_account_complaints_90d", "history_account_policy_decisions_90d",
          "history_account_policy_reviewed_90d",
          "history_account_error_rate_7d", "history_account_policy_errors_90d", "history_policy_reviewed_30d",
          "history_moderator_version_days", "history_policy_change_days", "similar_text_reviewed",
          "similar_text_violates", "similar_text_wrong", "similar_text_days", "similar_item_days",
          "similar_near_reviewed", "similar_near_days", "similar_near_decisions",
          "similar_near_enforced_rate", "similar_image_hash_days", "similar_image_hash_reviewed")  # fmt: skip


def past(code: str, words=None, **told: float) -> str:
    """Say the one reason to which all of a decision's contributions belong."""
    X = np.array([[told.get(name, np.nan) for name in RECORD]])
    parts = np.array([[float(c == code) for c in reason_codes(RECORD)]])
    facts = ReasonFacts(
        decision(), X, RECORD, words or load_templates(), policies={"p": "Fake goods"}
    )
    assert (group_contributions(parts, RECORD)[code] > 0).all()
    return facts.describe_fact(code, 0)


def test_the_past_is_one_reason_for_each_record():
    grouped = group_contributions(np.ones((1, len(RECORD))), RECORD)
    assert grouped.iloc[0].to_dict() == {
        "history_account": 5, "history_account_policy": 3, "history_policy": 1, "history_changes": 2, "similar": 11,
    }  # fmt: skip
    assert set(grouped) <= set(load_templates())


ACCOUNT = {
    "history_account_decisions_90d": 20,
    "history_account_reviewed_90d": 9,
    "history_account_errors_90d": 6,
}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "6 of this account's 9 reviewed decisions in the 90 days before were wrong"),
        ({"history_account_reviewed_90d": 0}, "None of this account's 20 decisions in the 90 days before was reviewed"),
        ({"history_account_reviewed_90d": 0, "history_account_complaints_90d": 2},
         "None of this account's 20 decisions in the 90 days before was audited; 2 were reviewed on appeal or report"),
        ({"history_account_reviewed_90d": 0, "history_account_decisions_90d": 0},
         "This account had no decisions in the 90 days before"),
        ({"history_account_decisions_90d": np.nan}, "The account is not known"),
    ],
)  # fmt: skip
def test_records_in_words(more, says):
    assert past("history_account", **(ACCOUNT | more)) == says


def test_a_record_under_a_policy_names_it():
    told = {"history_account_policy_decisions_90d": 11, "history_account_policy_reviewed_90d": 9,
            "history_account_policy_errors_90d": 6.5}  # fmt: skip
    assert past("history_account_policy", **told) == (
        "6.5 of this account's 9 reviewed decisions under the policy Fake goods in the 90 days before were wrong"
    )


def test_a_translation_changes_the_order(here):
    german = load_templates(here / "reasons_de.yaml")
    assert past("history_account", german, **ACCOUNT) == (
        "Von 9 geprüften Entscheidungen über dieses Konto in den 90 Tagen davor waren 6 falsch"
    )
    X = row(score=0.63, threshold=0.6, margin=0.03)
    assert said(decision(), X, pushes(margin=1.0), words=german) == [
        "Nur 0,03 über der Schwelle 0,60 liegt der Wert 0,63 der Maschine"
    ]
    X = row(enforced=1, text_logit_mean=0.0)
    text = words_of(("neu", -1.0))
    assert said(decision(), X, pushes(text_char_logit=1), words=german, text=text) == [
        "„\u2068neu\u2069“ sprechen dagegen: allein nach dem Text 50 % Aussicht auf einen Verstoß; "
        "die Maschine griff ein"
    ]
    assert said(decision(price=1234.5), row(), pushes(price=1.0), words=german) == [
        "price ist 1.234,5"
    ]


def test_changes_in_words():
    assert past("history_changes", history_moderator_version_days=3.25) == (
        "The moderator's version was released 3.2 days before"
    )
    assert past("history_changes", history_policy_change_days=2.0) == (
        "A moderator's version last changed for the policy Fake goods 2 days before"
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
        "The same text was in 4 earlier reviewed decisions: 75% found to violate, 25% decided wrongly"
    )
    assert past("similar", **near).startswith(
        "Nearly the same text was in 9 earlier reviewed decisions"
    )
    assert past("similar", similar_image_hash_reviewed=1.0, **near).startswith("The same picture")
    near["similar_near_reviewed"] = 0
    assert past("similar", **near) == (
        "There were 12 earlier decisions on the same or nearly the same content, 50% of them enforcements"
    )
    assert past("similar") == "There was no earlier decision on such content"


def test_own_words_for_a_column(tmp_path):
    place = tmp_path / "own.yaml"
    place.write_text("price: {title: The price, text: 'It costs {value}'}", encoding="utf-8")
    words, usual = (
        load_templates(place),
        ReferenceDistribution({"price": tuple(np.linspace(0, 100, 21))}),
    )
    X = row(price=99.0)
    assert said(decision(price=99.0), X, pushes(price=1.0), words=words, reference=usual) == [
        "It costs 99"
    ]
    assert said(decision(price=None), row(), pushes(price=1.0), words=words) == [
        "price is not known"
    ]


def test_numbers_for_pictures():
    X = np.array([[0.5, 0.0, 2.0, 1.0]])
    names = ("margin", "text_logit_mean", "market", "price")
    shown = display_values(X, names, ["margin", "text", "market", "price", "similar"], [2])
    np.testing.assert_array_equal(shown.to_numpy(), [[0.5, 0.5, np.nan, 1.0, np.nan]])


def facts_of(*rows: tuple[str, str, str, float, str, str | None], words=None) -> ReasonFacts:
    """Decisions as (id, policy, action, price, market, text)."""
    columns = ["decision_id", "policy_id", "action", "price", "market", "text"]
    frame = pd.DataFrame(list(rows), columns=columns)
    frame["text"] = frame["text"].astype("str")
    frame["enforced"] = frame["action"] == "remove"
    markets = frame["market"].map({"DE": 0.0, "FR": 1.0}).to_numpy(float)
    X = np.column_stack([frame["enforced"].astype(float), frame["price"], markets])
    return ReasonFacts(frame, X, CONTRAST_NAMES, words or load_templates())


def beside(facts: ReasonFacts, pool: ReasonFacts):
    pushes = np.tile([0.0, 0.5, 0.4], (len(facts), 1))
    told = decision_reasons(facts, group_contributions(pushes, CONTRAST_NAMES))
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
