import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.model.baselines import propensity_weights


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
