import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.queue.reviewer_pools import Pool, check_pools, group_by_pools

POOLS = [
    Pool("a", 9, languages=("de", "en-GB"), policies=("spam",)),
    Pool("b", 9, markets=("DE",)),
    Pool("c", 9, languages=("en",), markets=("GB", "DE")),
]
_word = st.sampled_from


_rows = st.lists(
    st.tuples(
        _word(["DE", "GB", None]),
        _word(["de", "de-AT", "en", "en-GB", None]),
        _word(["spam", "scam"]),
    ),
    min_size=1,
)


@given(_rows)
def test_classes_say_who_can_take_each_decision(rows):
    frame = pd.DataFrame(rows, columns=["market", "language", "policy_id"])
    classes = group_by_pools(frame, POOLS)
    for i, (market, language, policy) in enumerate(rows):
        wanted = [
            pool.can_review(market, "market")
            and pool.can_review(language, "language")
            and pool.can_review(policy, "policy_id")
            for pool in POOLS
        ]  # fmt: skip
        assert classes.can[classes.of[i]].tolist() == wanted
    assert len(np.unique(classes.can, axis=0)) == len(classes.can)


def test_regions_of_a_language():
    assert Pool("x", 1, languages=("en",)).can_review("en-GB", "language")
    assert not Pool("x", 1, languages=("en-GB",)).can_review("en", "language")
    assert not Pool("x", 1, markets=("DE",)).can_review(None, "market")


def test_pools_that_can_take_nothing():
    with pytest.raises(
        DataError, match=r"queue\.pools must be able to review some of the decisions, got 1 pools"
    ):
        check_pools(group_by_pools(pd.DataFrame({"language": ["fr"]}), POOLS[:1]), POOLS[:1])
