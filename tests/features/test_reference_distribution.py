import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from errdetect.features.feature_matrix import (
    ReferenceDistribution,
    fit_reference_distribution,
    reference_from_jsonable,
)


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
