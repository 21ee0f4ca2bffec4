import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.features.similar_content import BANDS, content_keys, near_duplicate_groups

words = st.lists(st.text(max_size=30), max_size=6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Genuine  BAG, 50 % off!", "genuine bag -- 7% OFF"),
        ("STRASSE 12", "straße"),
        ("Продаю СУМКУ!", "продаю сумку"),
        ("  padded\ttext\n", "padded text"),
        ("a\0b", "a b"),
    ],
)
def test_equal_but_for_case_digits_and_signs(one, other):
    keys = content_keys(pd.Series([one, other]))
    assert keys[0, 0] != 0
    assert (keys[0] == keys[1]).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ab", "ba"),
        ("a b", "ab"),
        ("कि", "की"),
        ("😀 ok", "😡 ok"),
        ("aa", "aaa"),
        ("中国", "国中"),
    ],
)
def test_other_texts_have_other_numbers(one, other):
    keys = content_keys(pd.Series([one, other]))
    assert keys[0, 0] != keys[1, 0]


def test_without_letters_there_is_no_text():
    assert not content_keys(pd.Series(["", " ", "12:30", "?!", None], dtype="str")).any()


@settings(max_examples=60, deadline=None)
@given(words, words)
def test_a_text_s_numbers_are_its_own(some, others):
    """Whatever stands beside a text, its numbers are the same, and any text has them."""
    keys = content_keys(pd.Series([*some, *others], dtype="str"))
    assert keys.shape == (len(some) + len(others), 1 + BANDS)
    assert (keys[: len(some)] == content_keys(pd.Series(some, dtype="str"))).all()
    assert (keys[len(some) :] == content_keys(pd.Series(others, dtype="str"))).all()


def test_the_chance_of_a_shared_number_is_as_stated():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    pairs, shares = [], []
    for _ in range(600):
        text = "".join(rng.choice(letters, 120))
        other = text[: 120 - 18] + "".join(rng.choice(letters, 18))
        runs = [{(t + "\0" + t)[i : i + 4] for i in range(121)} for t in (text, other)]
        shares.append(len(runs[0] & runs[1]) / len(runs[0] | runs[1]))
        pairs += [text, other]
    keys = content_keys(pd.Series(pairs))[:, 1:]
    found = (keys[::2] == keys[1::2]).any(axis=1).mean()
    stated = np.mean(1 - (1 - np.array(shares) ** 5) ** BANDS)
    assert 0.5 < np.mean(shares) < 0.8
    assert found == pytest.approx(stated, abs=0.07)


def test_groups_hold_copies_and_near_copies_and_part_strangers():
    texts = pd.Series(
        [
            "For sale: my old oak table, collection from the north of the town only",
            "Handmade woollen socks in many colours, sent within two days",
            "for sale - my old OAK table; collection from the north of the town only!!",
            "For sale: my old oak table, collection from the north of the town only, thanks",
            "12345",
            None,
            "12345",
        ]
    )
    assert near_duplicate_groups(texts).tolist() == [0, 1, 0, 0, 2, 3, 4]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a b c d", "a b c d e", "A B C D", "x", "xy", "xyz", "?"]), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_who_shares_a_group_does_not_hang_on_the_order(texts, random):
    order = list(range(len(texts)))
    random.shuffle(order)
    groups = near_duplicate_groups(pd.Series(texts, dtype="str"))
    mixed = near_duplicate_groups(pd.Series([texts[i] for i in order], dtype="str"))
    assert (mixed[:, None] == mixed).tolist() == (groups[order][:, None] == groups[order]).tolist()
    assert sorted(set(groups)) == list(range(len(set(groups))))


def test_many_copies_are_no_trouble():
    texts = pd.Series([f"the same old offer {i}" for i in range(20_000)])
    assert set(near_duplicate_groups(texts)) == {0}
