"""None"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.model.ensemble_members import fit_segment_rate, margin_ranking, propensity_weights
from errdetect.model.evaluation import Bootstrap, evaluate


def test_decisions_without_a_score_are_ranked_last():
    frame = pd.DataFrame({"score": [0.9, None, 0.51], "threshold": [0.5, 0.5, 0.5]})
    assert margin_ranking(frame).argsort()[::-1].tolist() == [2, 0, 1]


def test_small_cells_are_shrunk_towards_their_parent():
    frame = pd.DataFrame({"policy_id": ["a"] * 200 + ["b"], "enforced": True})
    y = np.append(np.repeat([1.0, 0.0], 100), 1.0)
    rates = fit_segment_rate(frame, y, np.ones(201))
    assert rates.rate(frame)[-1] < 0.65
    assert rates.rate(pd.DataFrame({"policy_id": ["never seen"], "enforced": [True]}))[
        0
    ] == pytest.approx(rates.overall)


@pytest.fixture
def held_out():
    rng = np.random.default_rng(0)
    p = rng.random(2000) ** 3
    return (rng.random(2000) < p).astype(float), p, rng


def test_evaluation_s_intervals_hold_the_value(held_out):
    y, p, rng = held_out
    table = evaluate(
        y, p, {"margin": -p}, np.ones(2000), budgets=[0.05, 0.2], bootstrap=Bootstrap(200, rng)
    )
    known = table.dropna()
    known = known[known["measure"] != "calibration_error"]
    assert (
        (known["low"] <= known["value"] + 1e-9) & (known["value"] <= known["high"] + 1e-9)
    ).all()
    assert table[table["method"] == "random"]["value"].head(2).tolist() == [0.05, 0.2]


@given(hnp.arrays(float, st.integers(1, 40), elements=st.just(0.0) | st.floats(1, 1e6)))
def test_weights_are_positive_have_mean_one_and_are_cut(design):
    weight = propensity_weights(design)
    assert (weight > 0).all()
    assert weight.mean() == pytest.approx(1)
    drawn = design > 0
    if drawn.any():
        assert weight.max() <= 10 * np.median(weight[drawn]) * (1 + 1e-9)
        order = np.argsort(design[drawn])
        assert (np.diff(weight[drawn][order]) >= 0).all()


def test_what_no_design_drew_stands_for_itself():
    weight = propensity_weights(np.array([4.0, 4.0, 0.0]))
    assert weight[2] * 4 == pytest.approx(weight[0])


def test_off_is_a_word_and_other_words_are_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("version: 1\ndata: {decisions: d.parquet, reviews: r.parquet}\n")
    assert load_config(path, []).train.propensity == "off"
    assert load_config(path, ["train.propensity=off"]).train.propensity == "off"
    assert load_config(path, ["train.propensity=audit"]).train.propensity == "audit"
    with pytest.raises(ConfigError, match="propensity"):
        load_config(path, ["train.propensity=always"])
