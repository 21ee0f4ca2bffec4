"""None"""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.features.feature_matrix import (
    ReferenceDistribution,
    build_features,
    fit_encoding,
    fit_reference_distribution,
    reference_from_jsonable,
)
from errdetect.features.text_models import TEXT_COLUMNS


@pytest.fixture
def decisions() -> pd.DataFrame:
    n = 200
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "item_id": [f"i{i}" for i in range(n)],
            "account_id": [f"a{i % 7}" for i in range(n)],
            "decided_at": pd.date_range("2026-01-01", periods=n, tz="UTC"),
            "policy_id": rng.choice(["p1", "p2"], n),
            "action": rng.choice(["approve", "remove"], n),
            "score": rng.random(n),
            "threshold": 0.5,
            "exposure": rng.random(n),
            "price": rng.random(n),
            "trusted": rng.random(n) < 0.5,
            "serial": [f"s{i}" for i in range(n)],
        }
    ).assign(enforced=lambda d: d["action"] == "remove")


def test_ids_times_and_exposure_are_no_features(decisions):
    encoding = fit_encoding(decisions)
    assert encoding.numeric == ("price", "trusted")
    assert set(encoding.categorical) == {"action", "policy_id"}
    assert encoding.left_out == {"serial": "its values hardly ever repeat"}
    assert not {"decision_id", "item_id", "account_id", "decided_at", "exposure", "serial"} & set(
        encoding.names
    )


def test_left_out_by_config(decisions):
    encoding = fit_encoding(decisions, leave_out=["price"])
    assert "price" not in encoding.names
    assert encoding.left_out["price"] == "left out by the configuration"


def test_confidence_is_the_margin_on_the_decision_s_side(decisions):
    encoding = fit_encoding(decisions)
    X = pd.DataFrame(build_features(decisions, encoding, None), columns=list(encoding.names))
    side = np.where(decisions["enforced"], 1, -1)
    np.testing.assert_allclose(X["margin"], decisions["score"] - 0.5)
    np.testing.assert_allclose(X["confidence"], (decisions["score"] - 0.5) * side)


def test_unseen_and_missing_levels_are_unknown(decisions):
    encoding = fit_encoding(decisions)
    later = decisions.head(3).assign(policy_id=["p1", "never seen", None])
    X = build_features(later, encoding, None)
    column = encoding.names.index("policy_id")
    assert X[0, column] == 0
    assert np.isnan(X[1:, column]).all()


def test_training_and_scoring_build_the_same_row(decisions):
    """Rows do not depend on their neighbours, on the order of columns, or on absent columns."""
    encoding = fit_encoding(decisions)
    whole = build_features(decisions, encoding, None)
    shuffled = decisions.sample(frac=1, random_state=1)[list(reversed(decisions.columns))]
    np.testing.assert_array_equal(build_features(shuffled, encoding, None), whole[shuffled.index])
    without = build_features(decisions.drop(columns="price"), encoding, None)
    assert np.isnan(without[:, encoding.names.index("price")]).all()


def test_float64_throughout(decisions):
    X = build_features(decisions, fit_encoding(decisions), None)
    assert X.dtype == np.float64
    assert X.shape == (200, len(fit_encoding(decisions).names))


def test_text_logits_are_turned_to_the_decision_s_side(decisions):
    texts = decisions.assign(text="some words")
    encoding = fit_encoding(texts)
    X = pd.DataFrame(
        build_features(texts, encoding, np.full((200, len(TEXT_COLUMNS)), 3.0)),
        columns=list(encoding.names),
    )
    assert set(X.loc[decisions["enforced"], "text_char_logit_against"]) == {-3.0}
    assert set(X.loc[~decisions["enforced"], "text_char_logit_against"]) == {3.0}
    assert encoding.input_columns[-1] == "text"


def test_lists_are_read_entry_by_entry(decisions):
    tagged = decisions.assign(tags=["new, sale", "sale", None, "gift|new"] * 50)
    encoding = fit_encoding(tagged)
    assert encoding.lists == {"tags": ("gift", "new", "sale")}
    X = pd.DataFrame(build_features(tagged, encoding, None), columns=list(encoding.names))
    assert X["tags=new"].head(4).fillna(-1).tolist() == [1, 0, -1, 1]
    assert X["tags=sale"].head(4).fillna(-1).tolist() == [1, 1, -1, 0]


def test_sentences_with_commas_are_no_lists(decisions):
    said = decisions.assign(remark=[f"seen {i}, by {i * 7}, at {i * 13}" for i in range(200)])
    assert fit_encoding(said).lists == {}


def test_disagreement_of_scores(decisions):
    scored = decisions.assign(score_a=0.2, score_b=np.where(decisions.index < 100, 0.8, np.nan))
    X = pd.DataFrame(
        build_features(scored, fit_encoding(scored), None),
        columns=list(fit_encoding(scored).names),
    )
    np.testing.assert_allclose(X.loc[0, ["scores_max", "scores_min"]].astype(float), [0.8, 0.2])
    np.testing.assert_allclose(X["scores_gap"][:100], 0.5 - decisions["score"][:100])
    np.testing.assert_allclose(X["scores_gap"][100:], 0.2 - decisions["score"][100:])


def test_the_segment_s_rate_is_a_feature_as_log_odds(decisions):
    encoding = fit_encoding(decisions, segment=True)
    X = build_features(decisions, encoding, None, np.full(200, 0.2))
    np.testing.assert_allclose(X[:, encoding.names.index("segment_logit")], np.log(0.25))
    with pytest.raises(ValueError, match="segment_rate must be given"):
        build_features(decisions, encoding, None)


def frame(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    price = rng.lognormal(3, 1, n)
    category = rng.choice(["toys", "shoes", "hats"], n)
    return pd.DataFrame(
        {
            "price": price,
            "price_usd": 1.1 * price + rng.normal(0, 0.1, n),
            "discount": -price,
            "age": rng.random(n),
            "flag": rng.random(n) < 0.5,
            "empty": np.nan,
            "category": category,
            "category_name": pd.Series(category).str.upper(),
            "shop": [f"s{i}" for i in range(n)],
        }
    )


NUMERIC = ["price", "price_usd", "discount", "age", "flag", "empty", "absent"]


def test_columns_that_say_the_same_are_found_either_way_round():
    found = fit_reference_distribution(frame(), NUMERIC, ["category", "category_name", "shop"])
    assert found.alike == (("category", "category_name"), ("price", "discount", "price_usd"))


def test_names_of_few_rows_tell_nothing():
    assert fit_reference_distribution(frame(30), NUMERIC, ["category", "category_name"]).alike == ()
    assert fit_reference_distribution(frame(0), NUMERIC, ["category"]) == ReferenceDistribution()


def test_what_is_usual():
    found = fit_reference_distribution(frame(), NUMERIC, [])
    assert found.percentile_rank("price", 0.0) == 0.0
    assert abs(found.percentile_rank("price", float(np.exp(3))) - 0.5) < 0.1
    assert np.isnan(found.percentile_rank("flag", 1.0))
    assert np.isnan(found.percentile_rank("price", float("nan")))
    assert "empty" not in found.quantiles


def test_a_value_that_many_share_stands_in_their_middle():
    values = pd.DataFrame({"n": [0.0] * 60 + list(np.arange(1.0, 41.0))})
    assert 0.2 < fit_reference_distribution(values, ["n"], []).percentile_rank("n", 0.0) < 0.4


def test_it_survives_json():
    found = fit_reference_distribution(frame(), NUMERIC, ["category", "category_name"])
    assert (
        reference_from_jsonable(json.loads(json.dumps(found.to_jsonable(), allow_nan=False)))
        == found
    )


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=60),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
)
def test_more_is_never_below_less(values, at, more):
    found = fit_reference_distribution(pd.DataFrame({"n": values}), ["n"], [])
    low, high = found.percentile_rank("n", at), found.percentile_rank("n", at + more)
    assert np.isnan(low) or 0 <= low <= high <= 1
