"""None"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.features.similar_content import (
    BANDS,
    content_keys,
    near_duplicate_groups,
    similar_features,
    with_content_keys,
)

START = pd.Timestamp("2026-01-01", tz="UTC")
ANYONE = ["audit", "re_review", "appeal", "report", "adjudication"]
NAMES = ("reviewed", "violates", "wrong", "days", "decisions", "enforced_rate")
checked = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
words = st.lists(st.text(max_size=30), max_size=6)


def evidence(rows, words, row, column, verdict):
    """What one number says about one decision, in plain loops."""
    t = row["decided_at"]
    alike = [other for other in rows if other[column] == row[column]]
    before = [other["enforced"] for other in alike if other["decided_at"] < t]
    stands = [(verdict(words, other, t, ANYONE), other["enforced"]) for other in alike]
    found = [(*v, acted) for v, acted in stands if v is not None]
    violates = [1 - turned if acted else turned for _, _, turned, acted in found]
    newest = max((f[0] for f in found), default=None)
    return [
        len(found),
        np.mean(violates) if found else np.nan,
        np.mean([f[1] for f in found]) if found else np.nan,
        (t - newest).total_seconds() / 86400 if found else np.nan,
        len(before),
        np.mean(before) if before else np.nan,
    ]


@checked
@given(data=st.data())
def test_equal_to_plain_loops(data, logs, brute_verdict):
    log, reviews = data.draw(logs)
    told = similar_features(log, log, reviews)
    keyed = with_content_keys(log)
    rows, words = keyed.to_dict("records"), reviews.to_dict("records")
    kinds = {"text": ["text_key"], "near": [c for c in keyed if c.startswith("near_key_")],
             "item": ["item_id"], "image_hash": ["image_hash"]}  # fmt: skip
    for kind, columns in kinds.items():
        shared = any(keyed[c].dropna().duplicated().any() for c in columns)
        assert (f"similar_{kind}_days" in told) == shared
        if not shared:
            continue
        mine = told[[f"similar_{kind}_{name}" for name in NAMES]].to_numpy()
        for i, row in enumerate(rows):
            if pd.isna(row[columns[0]]):
                assert np.isnan(mine[i]).all()
                continue
            each = [evidence(rows, words, row, c, brute_verdict) for c in columns]
            np.testing.assert_allclose(mine[i], max(each, key=lambda e: (e[0], e[4])), rtol=1e-9)


@checked
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(data, seed, logs):
    log, reviews = data.draw(logs)
    told = similar_features(log, log, reviews)
    mixed = log.sample(frac=1, random_state=seed)
    again = similar_features(mixed, log, reviews.sample(frac=1, random_state=seed))
    pd.testing.assert_frame_equal(again, told.loc[mixed.index])
    pd.testing.assert_frame_equal(similar_features(log, mixed, reviews), told)


@checked
@given(data=st.data())
def test_what_comes_later_changes_nothing_before_it(data, logs):
    log, reviews = data.draw(logs)
    cut = data.draw(st.sampled_from(sorted(set(log["decided_at"]))))
    early = log[log["decided_at"] <= cut]
    before = similar_features(early, early, reviews[reviews["reviewed_at"] < cut])
    after = similar_features(early, log, reviews)
    known = [name for name in before if name in after]
    assert set(known) == set(before)
    pd.testing.assert_frame_equal(before, after[known])
    new = after.drop(columns=known)  # kinds that nothing shared by then
    assert not (new.filter(regex="_(reviewed|decisions)$") > 0).any(axis=None)


def planted(day: float) -> pd.DataFrame:
    log = pd.DataFrame(
        {
            "decision_id": ["d0", "d1", "d2"],
            "decided_at": [START, START + pd.Timedelta(days=5), START + pd.Timedelta(days=5)],
            "enforced": [False, True, False],
            "item_id": ["i", "j", "k"],
            "text": ["Replica watch, box and papers", "replica WATCH (box and papers)", "A lamp"],
        }
    )
    reviews = pd.DataFrame(
        {"review_id": ["r"], "decision_id": "d0", "reviewed_at": [START + pd.Timedelta(days=day)],
         "source": "appeal", "verdict": "overturned"}
    )  # fmt: skip
    return similar_features(log, log, reviews)


def test_a_planted_verdict_from_after_the_decision_does_not_move_it():
    assert planted(4.9).loc[1, "similar_text_violates"] == 1
    assert planted(4.9).loc[1, "similar_near_violates"] == 1
    for day in (5, 5.1):
        told = planted(day).loc[1]
        assert told["similar_text_reviewed"] == told["similar_near_reviewed"] == 0
        assert np.isnan(told["similar_text_violates"])
        assert told["similar_text_decisions"] == 1
        assert told["similar_text_enforced_rate"] == 0
    assert planted(1).loc[2, "similar_text_decisions"] == 0


def test_what_nothing_shares_is_left_out():
    assert not any("item" in name for name in planted(1))


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
