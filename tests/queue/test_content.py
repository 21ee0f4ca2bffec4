import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from errdetect.queue.review_value import content_digests, job_heads

BASE = {
    "policy_id": "p",
    "enforced": True,
    "market": "DE",
    "language": "de",
    "text": "x",
    "image_hash": "h",
}


def test_content_and_question_must_both_be_equal():
    other = {
        "policy_id": "q",
        "enforced": False,
        "market": "FR",
        "language": "en",
        "text": "x ",
        "image_hash": "i",
    }
    rows = [BASE, BASE, *({**BASE, name: value} for name, value in other.items())]
    assert content_digests(pd.DataFrame(rows)).nunique() == 1 + len(other)


def test_what_cannot_be_compared_is_not_the_same():
    rows = [{**BASE, "text": None, "image_hash": None}] * 2
    assert content_digests(pd.DataFrame(rows)).isna().all()
    assert content_digests(pd.DataFrame({"policy_id": ["p", "p"], "enforced": True})).isna().all()


def test_text_cannot_be_made_to_look_like_other_columns():
    rows = [
        {**BASE, "text": "a', 'b", "image_hash": "c"},
        {**BASE, "text": "a", "image_hash": "b', 'c"},
    ]
    assert content_digests(pd.DataFrame(rows)).nunique() == 2
    rows = [{**BASE, "image_hash": None}, {**BASE, "image_hash": ""}]
    assert content_digests(pd.DataFrame(rows)).nunique() == 2


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.booleans(), st.floats(0, 9)), min_size=1, max_size=30)
)
def test_heads_are_open_members_of_the_same_content_and_worth_most(rows):
    content = pd.Series([None if c < 0 else bytes([c]) for c, _, _ in rows], dtype=object)
    open_, value = np.array([o for _, o, _ in rows]), np.array([v for _, _, v in rows])
    heads = job_heads(content, open_, value)
    for i, head in enumerate(heads):
        if open_[i] and content[i] is not None:
            alike = open_ & (content == content[i]).to_numpy()
            assert value[head] == value[alike].max()
            assert head == heads[head]
            assert alike[head]
        else:
            assert head == i
