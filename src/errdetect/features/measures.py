"""Simple measures of a text: what any language has."""

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MEASURE_COLUMNS", "text_measures"]

_SHARES = {
    "text_upper_share": r"[A-ZÀ-ÖØ-ÞĀ-Ž\u0391-\u03a9\u0410-\u042f]",
    "text_digit_share": r"\d",
    "text_sign_share": r"[^\w\s]",
    "text_latin_share": r"[A-Za-z]",
}
#: Names of the columns that `text_measures` returns.
MEASURE_COLUMNS = ("text_chars", "text_words", *_SHARES, "text_links", "text_repeats")


def text_measures(texts: pd.Series) -> npt.NDArray[np.float64]:
    """Measure texts; NaN where there is none.

    Parameters
    ----------
    texts
        Shape (n,); missing values allowed.

    Returns
    -------
    numpy.ndarray
        Shape (n, 8), columns as in `MEASURE_COLUMNS`: characters, words, shares of characters in
        [0, 1], and counts of links and of characters standing four or more times in a row.

    Examples
    --------
    >>> text_measures(pd.Series(["Buy 1!", None]))[:, :4].round(2).tolist()
    [[6.0, 2.0, 0.17, 0.17], [nan, nan, nan, nan]]
    """
    clean = texts.astype("str")
    chars = clean.str.len().to_numpy(np.float64, na_value=np.nan)
    columns = [chars, _count(clean, r"\S+")]
    with np.errstate(invalid="ignore", divide="ignore"):
        columns += [_count(clean, pattern) / chars for pattern in _SHARES.values()]
    columns += [_count(clean, r"https?://|www\."), _count(clean, r"(.)\1{3,}")]
    return np.column_stack(columns)


def _count(texts: pd.Series, pattern: str) -> npt.NDArray[np.float64]:
    return np.asarray(
        texts.str.count(pattern).to_numpy(np.float64, na_value=np.nan), dtype=np.float64
    )
