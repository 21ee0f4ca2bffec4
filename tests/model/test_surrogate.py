import numpy as np
import pandas as pd
import pytest

from errdetect.features.feature_matrix import build_features, fit_encoding
from errdetect.features.text_models import count_texts
from errdetect.model.surrogate import USUAL_COLUMNS, LogSample, fit_surrogate, sample_log
from errdetect.model.training_data import count_texts_once, prepare_examples


def machine(n: int = 1500, seed: int = 0, *, follows: bool = True) -> pd.DataFrame:
    """Decisions that mostly follow the text's word, or nothing at all."""
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < 0.4
    enforced = np.where(rng.random(n) < 0.85, bad, ~bad) if follows else rng.random(n) < 0.4
    return pd.DataFrame(
        {
            "decision_id": [f"d{i:05}" for i in range(n)],
            "item_id": [f"i{i:05}" for i in range(n)],
            "decided_at": pd.date_range("2026-01-01", periods=n, freq="h", tz="UTC"),
            "action": np.where(enforced, "remove", "approve"),
            "score": np.where(enforced, 0.9, 0.1),
            "score_other": np.where(enforced, 0.8, 0.3),
            "threshold": 0.5,
            "price": rng.random(n),
            "enforced": enforced,
            "text": [f"{'gun' if b else 'shoe'} number {i}" for i, b in enumerate(bad)],
        }
    )


def learn(frame: pd.DataFrame):
    fold = np.arange(len(frame)) % 5
    log = sample_log(frame, text=True, seed=0)
    return fit_surrogate(log, fit_encoding(frame, segment=True), fold, seed=0)


def test_decisions_against_the_usual_stand_out():
    frame = machine()
    _, out = learn(frame)
    against = np.where(frame["enforced"], -out, out)
    odd = frame["enforced"] != frame["text"].str.startswith("gun")
    assert against[odd].min() > against[~odd].mean()
    assert against[odd].mean() > 1


def test_no_decision_foretells_itself():
    """Where nothing can be foretold, nothing is: in-sample log-odds would follow the decision."""
    frame = machine(follows=False)
    _, out = learn(frame)
    assert abs(np.corrcoef(out, frame["enforced"])[0, 1]) < 0.1


def test_no_word_of_a_machine_is_looked_at():
    frame = machine()
    usual, _ = learn(frame)
    encoding = fit_encoding(frame, segment=True)
    turned = frame.assign(score=0.5, score_other=0.5, threshold=0.7, action="remove", enforced=True)
    said = [
        usual.logits(
            build_features(f, encoding, np.zeros((len(f), 8)), np.full(len(f), rate)),
            count_texts(f, ()),
        )
        for f, rate in ((frame, 0.5), (turned, 0.1))
    ]
    np.testing.assert_array_equal(*said)


def test_what_is_always_foretold_or_too_rare_is_no_feature():
    frame = machine()
    known = frame.assign(price=frame["enforced"].astype(float))
    assert learn(known) is None
    rare = frame.assign(enforced=np.arange(len(frame)) < 99)
    assert learn(rare) is None


def test_only_earlier_decisions_are_learnt_from():
    frame = machine(60)
    log = sample_log(frame, text=True, seed=0)
    before = log.before(frame["decided_at"].iloc[20])
    assert list(before.decisions["decision_id"]) == list(frame["decision_id"][:20])
    assert len(before.whole) == 20
    again = sample_log(frame[:20], text=True, seed=0)
    assert (before.texts.counts["char"] != again.texts.counts["char"]).nnz == 0


def test_without_text_columns_alone_are_read():
    frame = machine().drop(columns="text")
    frame["price"] += frame["enforced"] * 0.3
    found = fit_surrogate(
        LogSample(frame, frame, None), fit_encoding(frame), np.arange(len(frame)) % 5, seed=0
    )
    assert found is not None
    assert found[0].text is None


def test_prepared_rows_are_out_of_fold_and_later_ones_are_not_in_it(examples):
    part = examples.take(np.arange(900))
    counted = count_texts_once(part.decisions, part, leave_out=(), text=True)
    log = sample_log(examples.decisions, text=True, seed=0)
    prepared = prepare_examples(part, counted, leave_out=(), text=True, seed=0, log=log)
    assert prepared.encoding.extra == USUAL_COLUMNS
    assert prepared.X.shape[1] == len(prepared.encoding.names)
    seen = prepared.detector([]).features(part.decisions)
    place = prepared.encoding.names.index(USUAL_COLUMNS[0])
    y = part.decisions["enforced"].to_numpy(float)
    own, inside = prepared.X[:, place], seen[:, place]
    assert np.corrcoef(own, y)[0, 1] < np.corrcoef(inside, y)[0, 1]
    against = prepared.X[:, place + 1]
    np.testing.assert_array_equal(against, np.where(y > 0, -own, own))
    rest = examples.take(np.arange(900, 1000))
    later = prepared.prepare_later(rest, counted.of(rest.decisions))
    np.testing.assert_allclose(later.X, prepared.detector([]).features(rest.decisions))


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_input_gives_equal_bytes(seed):
    frame = machine(600, seed)
    first, second = learn(frame), learn(frame)
    np.testing.assert_array_equal(first[1], second[1])
    assert first[0].trees.model_to_string() == second[0].trees.model_to_string()
