import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from errdetect.features.reference_distribution import Reference, learn_reference, read_reference


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
    found = learn_reference(frame(), NUMERIC, ["category", "category_name", "shop"])
    assert found.alike == (("category", "category_name"), ("price", "discount", "price_usd"))


def test_names_of_few_rows_tell_nothing():
    assert learn_reference(frame(30), NUMERIC, ["category", "category_name"]).alike == ()
    assert learn_reference(frame(0), NUMERIC, ["category"]) == Reference()


def test_what_is_usual():
    found = learn_reference(frame(), NUMERIC, [])
    assert found.below("price", 0.0) == 0.0
    assert abs(found.below("price", float(np.exp(3))) - 0.5) < 0.1
    assert np.isnan(found.below("flag", 1.0))
    assert np.isnan(found.below("price", float("nan")))
    assert "empty" not in found.quantiles


def test_a_value_that_many_share_stands_in_their_middle():
    values = pd.DataFrame({"n": [0.0] * 60 + list(np.arange(1.0, 41.0))})
    assert 0.2 < learn_reference(values, ["n"], []).below("n", 0.0) < 0.4


def test_it_survives_json():
    found = learn_reference(frame(), NUMERIC, ["category", "category_name"])
    assert read_reference(json.loads(json.dumps(found.plain(), allow_nan=False))) == found


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=60),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
)
def test_more_is_never_below_less(values, at, more):
    found = learn_reference(pd.DataFrame({"n": values}), ["n"], [])
    low, high = found.below("n", at), found.below("n", at + more)
    assert np.isnan(low) or 0 <= low <= high <= 1
