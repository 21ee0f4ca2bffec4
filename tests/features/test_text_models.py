from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from errdetect.features.ngram_counts import text_groups
from errdetect.features.text_models import (
    MEASURE_COLUMNS,
    TEXT_COLUMNS,
    TextModel,
    count_texts,
    fit_text_models,
    text_statistics,
)


def frame(texts: pd.Series, enforced: object = False) -> pd.DataFrame:
    return pd.DataFrame({"text": texts, "enforced": enforced})


def fit(decisions: pd.DataFrame, y: np.ndarray, folds: int = 5, seed: int = 0, **how: object):
    """Fit with folds dealt as training does: near-identical content together."""
    group = text_groups(decisions["text"])
    dealt = np.random.default_rng(seed).permutation(group.max() + 1) % folds
    tags = how.pop("tags", [])
    counts = count_texts(decisions, tags)
    return fit_text_models(counts, y, np.ones(len(y)), dealt[group], tags=tags, seed=seed, **how)


def corpus(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    bad = rng.random(n) < 0.4
    words = np.array(["shoe", "lamp", "table", "red", "green", "big", "new", "cheap"])
    said = [" ".join(rng.choice(words, 4)) + (" fakebrand" if b else "") for b in bad]
    return frame(pd.Series(said), rng.random(n) < 0.5), bad.astype(float)


def test_out_of_fold_scores_say_what_new_texts_get():
    rng = np.random.default_rng(0)
    texts, y = corpus(600, rng)
    model, held = fit(texts, y)
    later, truth = corpus(200, rng)
    for column in range(len(TEXT_COLUMNS)):
        assert roc_auc_score(truth, model.logits(later)[:, column]) > 0.98
        assert roc_auc_score(y, held[:, column]) > 0.98


def test_noise_is_not_learnt_out_of_fold():
    """A planted leak: pairs of texts share a word of their own, which in-sample tells the label."""
    rng = np.random.default_rng(1)
    word = [
        f"w{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}{'uvwxyzabcd'[i // 100]}"
        for i in range(800)
    ]
    texts = frame(pd.Series([f"item {w} {w}" for w in word]))
    y = (rng.random(800) < 0.5).astype(float)
    _, held = fit(texts, y)
    for column in range(len(TEXT_COLUMNS)):
        assert abs(roc_auc_score(y, held[:, column]) - 0.5) < 0.1


def test_nearly_identical_content_shares_a_fold():
    """Copies of a text with random labels: parted, each copy would tell the other's label."""
    rng = np.random.default_rng(2)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    kinds = ["".join(rng.choice(letters, 12)) + " offer" for _ in range(150)]
    label = np.repeat((rng.random(150) < 0.5).astype(float), 4)
    texts = frame(
        pd.Series(
            [f"{t.upper() if k else t}!! {k} https://x.io/{k}" for t in kinds for k in range(4)]
        )
    )
    assert len(set(text_groups(texts["text"]))) == 150
    _, held = fit(texts, label)
    for column in range(len(TEXT_COLUMNS)):
        assert abs(roc_auc_score(label, held[:, column]) - 0.5) < 0.15


def test_missing_and_empty_texts_are_unknown():
    texts = frame(pd.Series(["good", None, "", "bad"] * 10, dtype="str"))
    counts = count_texts(texts, [])
    fold = np.arange(40) // 4 % 2
    model, held = fit_text_models(counts, np.tile([0.0, 1, 1, 1], 10), np.ones(40), fold, seed=0)
    assert np.isnan(held[1::4]).all()
    assert np.isnan(held[2::4]).all()
    assert np.isfinite(held[0::4]).all()
    assert np.isnan(model.logits(frame(pd.Series([None, ""], dtype="str")))).all()
    assert np.isnan(model.logits(pd.DataFrame({"enforced": [True]}))).all()
    assert held.shape == (40, len(TEXT_COLUMNS))


def test_one_class_gives_its_smoothed_log_odds():
    texts = frame(pd.Series(["a", "b", "c", "d"]))
    model, _ = fit_text_models(
        count_texts(texts, []), np.zeros(4), np.ones(4), np.arange(4) % 2, seed=0
    )
    assert model.logits(frame(pd.Series(["zzz"])))[0, 0] == pytest.approx(np.log(0.1 / 0.9))


def test_each_side_has_a_model_of_its_own():
    """On enforced decisions a word means the opposite: only the sides' model can tell."""
    rng = np.random.default_rng(5)
    word, enforced = rng.random(600) < 0.5, rng.random(600) < 0.5
    texts = frame(pd.Series(np.where(word, "some trap here", "some other here")), enforced)
    y = (word ^ enforced).astype(float)
    model, _ = fit(texts, y)
    logits = pd.DataFrame(model.logits(texts), columns=list(TEXT_COLUMNS))
    assert roc_auc_score(y, logits["text_side_logit"]) == 1
    assert roc_auc_score(y, logits["text_word_logit"]) < 0.7


def test_words_beside_tags():
    """A word violates in one market only: only the model of words beside tags can tell."""
    rng = np.random.default_rng(6)
    word, market = rng.random(600) < 0.5, rng.random(600) < 0.5
    texts = frame(pd.Series(np.where(word, "some trap here", "some other here")))
    texts["market"] = np.where(market, "DE", "FR")
    y = (word ^ market).astype(float)
    model, _ = fit(texts, y, tags=["market"])
    logits = pd.DataFrame(model.logits(texts), columns=list(TEXT_COLUMNS))
    assert roc_auc_score(y, logits["text_tagged_logit"]) == 1
    assert roc_auc_score(y, logits["text_char_logit"]) < 0.7


def test_unsure_labels_pull_less():
    texts, y = corpus(300, np.random.default_rng(8))
    sure, _ = fit(texts, y)
    unsure, _ = fit(texts, 0.5 + 0.2 * (y - 0.5))
    assert (np.abs(unsure.logits(texts)).mean(0) < np.abs(sure.logits(texts)).mean(0)).all()


def test_equal_input_gives_equal_output_even_from_two_threads():
    """The solver has one random generator for the whole process."""
    texts, y = corpus(200, np.random.default_rng(3))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: fit(texts, y, seed=4), range(2))
    for name, value in first[0].arrays().items():
        np.testing.assert_array_equal(value, second[0].arrays()[name])
    np.testing.assert_array_equal(first[1], second[1])


def test_arrays_bring_the_model_back():
    texts, y = corpus(100, np.random.default_rng(7))
    model, _ = fit(texts, y, folds=2, tags=["market"])
    back = TextModel.from_arrays(model.arrays())
    np.testing.assert_array_equal(back.logits(texts), model.logits(texts))
    assert back.tags == ("market",)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_any_text_can_be_measured(values):
    texts = pd.Series(values, dtype="str")
    out = text_statistics(texts)
    assert out.shape == (len(values), len(MEASURE_COLUMNS))
    shares = out[:, 2:6]
    assert ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all()
    assert len(text_groups(texts)) == len(values)
