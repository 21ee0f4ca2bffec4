import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from errdetect.explanations.contributions import MOST_BYTES, beeswarm_plot, dependence_plot

TITLES = {"text": "What the text says", "action": "What the machine did", "价格": "价格 <b>$x$"}


def make(n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    acted = (rng.random(n) < 0.4).astype(float)
    text = rng.random(n)
    pushes = pd.DataFrame(
        {"text": (text - 0.5) * (1 - 2 * acted), "action": acted / 9, "价格": rng.normal(0, 0.1, n)}
    )
    return pushes, pd.DataFrame({"text": text, "action": acted, "价格": np.nan})


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def test_a_beeswarm_is_small_and_said_in_words(recwarn):
    pushes, values = make(3000)
    plot = beeswarm_plot(pushes, values, TITLES, about="spam", rng=np.random.default_rng(0))
    assert len(plot.png) <= MOST_BYTES
    assert size(plot.png)[0] > 500
    assert plot.title == "What goes with errors: spam"
    assert "What the text says" in plot.alt
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning | UserWarning)]


def test_dependence_tells_the_sides_apart():
    pushes, values = make()
    plot = dependence_plot(
        "text", pushes, values, TITLES, about="spam", rng=np.random.default_rng(0)
    )
    assert len(plot.png) <= MOST_BYTES
    assert "-0.3" in plot.alt.split("where the machine let it pass")[0].split("the highest")[0]
    assert "where it acted" in plot.alt


def test_dependence_needs_numbers():
    pushes, values = make()
    with pytest.raises(ValueError, match="no decision has a number"):
        dependence_plot("价格", pushes, values, TITLES, about="spam", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one decision"):
        beeswarm_plot(
            pushes.head(0), values.head(0), TITLES, about="spam", rng=np.random.default_rng(0)
        )


def test_equal_input_gives_equal_bytes_and_nothing_else_moves():
    pushes, values = make()
    np.random.seed(7)  # noqa: NPY002 (what shap shuffles by)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    look = dict(mpl.rcParams)
    mine = plt.figure()
    plots = [
        beeswarm_plot(pushes, values, TITLES, about="a", rng=np.random.default_rng(1))
        for _ in range(2)
    ]
    assert plots[0] == plots[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert dict(mpl.rcParams) == look
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_one_decision_is_drawn():
    pushes, values = make(1)
    assert beeswarm_plot(pushes, values, TITLES, about="a", rng=np.random.default_rng(0)).png
    assert dependence_plot(
        "text", pushes, values, TITLES, about="a", rng=np.random.default_rng(0)
    ).png
