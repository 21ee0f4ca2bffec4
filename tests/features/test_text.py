import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from errdetect.features.measures import MEASURE_COLUMNS, text_measures
from errdetect.features.text import TEXT_COLUMNS, fit_text, text_groups


def corpus(n: int, rng: np.random.Generator) -> tuple[pd.Series, np.ndarray]:
    bad = rng.random(n) < 0.4
    words = np.array(["shoe", "lamp", "table", "red", "green", "big", "new", "cheap"])
    said = [" ".join(rng.choice(words, 4)) + (" fakebrand" if b else "") for b in bad]
    return pd.Series(said), bad.astype(float)


def test_out_of_fold_scores_say_what_new_texts_get():
    rng = np.random.default_rng(0)
    texts, y = corpus(600, rng)
    model, held = fit_text(texts, y, np.ones(600), folds=5, seed=0)
    later, truth = corpus(200, rng)
    assert roc_auc_score(truth, model.logits(later)[:, 0]) > 0.99
    assert roc_auc_score(y, held[:, 0]) > 0.99


def test_noise_is_not_learnt_out_of_fold():
    """A planted leak: each text has a word of its own, so in-sample scores know the label by heart."""
    rng = np.random.default_rng(1)
    texts = pd.Series([f"item w{i}x{i * 7919 % 10007}" for i in range(800)])
    y = (rng.random(800) < 0.5).astype(float)
    model, held = fit_text(texts, y, np.ones(800), folds=5, seed=0)
    assert roc_auc_score(y, model.logits(texts)[:, 0]) > 0.95
    assert abs(roc_auc_score(y, held[:, 0]) - 0.5) < 0.08


def test_identical_content_shares_a_fold():
    """Copies of a text with random labels: parted, each copy would tell the other's label."""
    rng = np.random.default_rng(2)
    kinds = [f"unique{i} word{i * 31} thing{i * 17}" for i in range(150)]
    label = (rng.random(150) < 0.5).astype(float)
    texts = pd.Series([t.upper() if k else t for t in kinds for k in range(4)])
    _, held = fit_text(texts, np.repeat(label, 4), np.ones(600), folds=5, seed=0)
    assert abs(roc_auc_score(np.repeat(label, 4), held[:, 1]) - 0.5) < 0.15


def test_missing_and_empty_texts_are_unknown():
    texts = pd.Series(["good", None, "", "bad"] * 10, dtype="str")
    model, held = fit_text(texts, np.tile([0.0, 1, 1, 1], 10), np.ones(40), folds=2, seed=0)
    assert np.isnan(held[1::4]).all()
    assert np.isnan(held[2::4]).all()
    assert np.isnan(model.logits(pd.Series([None, ""], dtype="str"))).all()
    assert held.shape == (40, len(TEXT_COLUMNS))


def test_one_class_gives_its_smoothed_log_odds():
    model, _ = fit_text(pd.Series(["a", "b", "c", "d"]), np.zeros(4), np.ones(4), folds=2, seed=0)
    assert model.logits(pd.Series(["zzz"]))[0, 0] == pytest.approx(np.log(0.1 / 0.9))


def test_equal_input_gives_equal_output():
    texts, y = corpus(200, np.random.default_rng(3))
    first, second = (fit_text(texts, y, np.ones(200), folds=5, seed=4) for _ in range(2))
    assert (first[0].coef == second[0].coef).all()
    assert (first[1] == second[1]).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_any_text_can_be_measured(values):
    texts = pd.Series(values, dtype="str")
    out = text_measures(texts)
    assert out.shape == (len(values), len(MEASURE_COLUMNS))
    shares = out[:, 2:6]
    assert ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all()
    assert len(text_groups(texts)) == len(values)
