import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from errdetect.errors import DataError
from errdetect.reviewers.scorecards import golden_items_needed


@given(st.floats(0, 1), st.floats(0.005, 0.2))
def test_it_is_the_smallest_number_that_does(rate, within):
    n = golden_items_needed(rate, within=within)
    low, high = proportion_confint(rate * n, n, method="wilson")
    assert high - low <= 2 * within * (1 + 1e-9)
    if n > 1:
        low, high = proportion_confint(rate * (n - 1), n - 1, method="wilson")
        assert high - low > 2 * within * (1 - 1e-9)


@pytest.mark.parametrize(
    ("rate", "within", "text"),
    [
        (5, 0.02, r"error_rate must lie in \[0, 1\], got 5\. Divide percentages by 100"),
        (0.1, 2, r"within must lie in \(0, 0.5\), got 2"),
    ],
)
def test_percentages_are_refused(rate, within, text):
    with pytest.raises(DataError, match=text):
        golden_items_needed(rate, within=within)
