import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.features.text_attribution import attribute_words
from errdetect.features.text_models import TextModel, count_texts, fit_text_models

WORDS = [
    "gun",
    "toy",
    "sell",
    "SELL",
    "don't",
    "a-b",
    "!",
    "😀",
    "نص",
    "шуба",
    "ΑΣ",
    "x_y",
    "12",
    "全新高仿手表",
    "ขายปืนจริง",
    "İ全新",
]


@pytest.fixture(scope="module")
def model() -> TextModel:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "text": [" ".join(rng.choice(WORDS, 6)) for _ in range(300)],
            "enforced": rng.random(300) < 0.5,
            "market": rng.choice(["DE", "FR"], 300),
        }
    )
    y = frame["text"].str.contains("gun").to_numpy(float)
    counts = count_texts(frame, ["market"])
    return fit_text_models(counts, y, np.ones(300), np.arange(300) % 3, tags=["market"], seed=0)[0]


def told(model: TextModel, texts: list[str | None], enforced: bool = False):
    frame = pd.DataFrame(
        {"text": pd.Series(texts, dtype="str"), "enforced": enforced, "market": "DE"}
    )
    return attribute_words(model, frame), model.logits(frame).mean(axis=1)


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(st.none(), st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)),
        max_size=6,
    ),
    st.booleans(),
)  # fmt: skip
def test_words_add_up_to_the_models_mean(model, texts, enforced):
    words, mean = told(model, texts, enforced)
    np.testing.assert_allclose(words.total_log_odds(), mean, atol=1e-9)
    assert (np.diff(words.row) >= 0).all()


def test_the_word_that_was_learnt_adds_most(model):
    words, _ = told(model, ["toy gun toy sell"])
    assert words.word[words.part.argmax()] == "gun"
    assert words.word.tolist() == ["toy", "gun", "sell"]


def test_without_texts_nothing_is_told(model):
    frame = pd.DataFrame({"enforced": [True, False]})
    words = attribute_words(model, frame)
    assert len(words.word) == 0
    assert np.isnan(words.start).all()
    assert len(attribute_words(model, frame.head(0)).start) == 0


def test_long_and_odd_texts_add_up(model):
    texts = ["gun " * 250_000, "\u202egun\u202c <b>toy</b>", "x" * 1_000_000, "👩‍👩‍👧 gun", "\x00"]
    words, mean = told(model, texts)
    np.testing.assert_allclose(words.total_log_odds(), mean, atol=1e-9)


def test_more_texts_than_a_block(model):
    words, mean = told(model, ["sell gun", None] * 400)
    np.testing.assert_allclose(words.total_log_odds(), mean, atol=1e-9)
    assert words.row.max() == 798


def test_scripts_without_spaces_are_told_by_character(model):
    words, mean = told(model, ["全新高仿手表 toy 全新高仿手表", "ขายปืนจริง"])
    np.testing.assert_allclose(words.total_log_odds(), mean, atol=1e-9)
    first = words.row == 0
    assert words.word[first].tolist() == [*"全新高仿手表", "toy"]
    assert words.run[first].tolist() == [0] * 6 + [1]
    assert "".join(words.word[~first]) == "ขายปืนจริง"
    assert "ปื" in words.word


def test_the_characters_that_were_learnt_push_most():
    rng = np.random.default_rng(1)
    names = ["手表", "衣服", "全新", "正品", "包邮", "红色"]
    texts = ["".join(rng.permutation(names)[:4]) for _ in range(300)]
    bad = rng.random(300) < 0.4
    texts = [t[:4] + "高仿" + t[4:] if b else t for t, b in zip(texts, bad, strict=True)]
    frame = pd.DataFrame({"text": texts, "enforced": False})
    fitted, _ = fit_text_models(
        count_texts(frame, []), bad.astype(float), np.ones(300), np.arange(300) % 3, seed=0
    )
    words = attribute_words(fitted, pd.DataFrame({"text": ["正品衣服高仿全新"], "enforced": False}))
    assert set(words.word[np.argsort(words.part)[-2:]]) == {"高", "仿"}
