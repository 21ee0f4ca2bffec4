"""Linear text models of P(the content violates), in any language.

Two views of a text, character n-grams and words, are hashed into a fixed number of columns, so the
fitted state is plain arrays. Training rows are scored out of fold, and folds never part identical
content: scored in-sample these features would look far better than they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

__all__ = ["TEXT_COLUMNS", "TextModel", "fit_text", "text_groups"]

Floats = npt.NDArray[np.float64]
View = Literal["char", "word"]

VIEWS: tuple[View, ...] = ("char", "word")
#: Names of the columns that `TextModel.logits` returns.
TEXT_COLUMNS = tuple(f"text_{view}_logit" for view in VIEWS)

_BITS = 18
_MAX_CHARS = 5_000  # a longer text adds time, hardly evidence; measured: no change in AUROC
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class TextModel:
    """Fitted linear models of P(violates), one a view.

    Parameters
    ----------
    idf
        Inverse document frequencies, shape (views, 2**18).
    coef
        Weights in log-odds, shape (views, 2**18).
    intercept
        Shape (views,).
    """

    idf: npt.NDArray[np.float32]
    coef: npt.NDArray[np.float32]
    intercept: Floats

    def logits(self, texts: pd.Series) -> Floats:
        """Return log-odds that the content violates; NaN where there is no text.

        Parameters
        ----------
        texts
            Shape (n,); missing values allowed.

        Returns
        -------
        numpy.ndarray
            Shape (n, 2), columns as in `TEXT_COLUMNS`.

        Examples
        --------
        >>> texts = pd.Series(["sell gun", "red shoe"] * 20)
        >>> model, _ = fit_text(texts, np.array([1.0, 0.0] * 20), np.ones(40), folds=2, seed=0)
        >>> logits = model.logits(pd.Series(["gun", "shoe", None]))
        >>> bool(logits[0, 0] > logits[1, 0]), bool(np.isnan(logits[2, 0]))
        (True, True)
        """
        clean = _clean(texts)
        out = np.full((len(clean), len(VIEWS)), np.nan)
        present = np.flatnonzero((clean != "").to_numpy())
        if len(present):
            chosen = clean.iloc[present]
            for j, view in enumerate(VIEWS):
                X = _weigh(_count(chosen, view), self.idf[j])
                out[present, j] = X @ self.coef[j].astype(np.float64) + self.intercept[j]
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted state as plain arrays, to be stored without pickle."""
        return {"idf": self.idf, "coef": self.coef, "intercept": self.intercept}


def fit_text(
    texts: pd.Series, violates: Floats, weight: Floats, *, folds: int, seed: int
) -> tuple[TextModel, Floats]:
    """Fit the text models, and score the training rows out of fold.

    Parameters
    ----------
    texts
        Shape (n,); rows without text are left out of the fit.
    violates
        Shape (n,), 1 where the content violates, else 0.
    weight
        Shape (n,), weight of each row's label, at least 0.
    folds
        Number of folds, at least 2. Identical content (case and white space aside) shares a fold.
    seed
        Seeds the folds.

    Returns
    -------
    tuple
        The model fitted on every row, and out-of-fold log-odds, shape (n, 2).
    """
    clean = _clean(texts)
    present = np.flatnonzero((clean != "").to_numpy())
    chosen, y, w = clean.iloc[present], violates[present] > 0.5, weight[present]
    fold = _folds(text_groups(chosen), folds, seed)
    idf, coef, intercept = [], [], []
    out = np.full((len(clean), len(VIEWS)), np.nan)
    for j, view in enumerate(VIEWS):
        counts = _count(chosen, view)
        idf.append(TfidfTransformer(sublinear_tf=True).fit(counts).idf_.astype(np.float32))
        X = _weigh(counts, idf[-1])
        for k in range(folds):
            train, held = fold != k, fold == k
            slope, start = _logistic(X[train], y[train], w[train], seed)
            out[present[held], j] = X[held] @ slope + start
        slope, start = _logistic(X, y, w, seed)
        coef.append(slope.astype(np.float32))
        intercept.append(start)
    return TextModel(np.stack(idf), np.stack(coef), np.array(intercept)), out


def text_groups(texts: pd.Series) -> npt.NDArray[np.int64]:
    """Give identical contents (case and white space aside) one number, in order of appearance.

    Examples
    --------
    >>> text_groups(pd.Series(["A b", "c", "a  B"])).tolist()
    [0, 1, 0]
    """
    return pd.factorize(_clean(texts).str.lower())[0].astype(np.int64)


def _clean(texts: pd.Series) -> pd.Series:
    return (
        texts.astype("str")
        .fillna("")
        .str.slice(0, _MAX_CHARS)
        .str.replace(_SPACE, " ", regex=True)
        .str.strip()
    )


def _count(texts: pd.Series, view: View) -> sparse.csr_matrix:
    shape: dict[str, Any] = (
        {"analyzer": "char_wb", "ngram_range": (2, 5)}
        if view == "char"
        else {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
    )
    hashing = HashingVectorizer(
        n_features=2**_BITS, norm=None, alternate_sign=False, dtype=np.float32, **shape
    )
    return hashing.transform(texts)


def _weigh(counts: sparse.csr_matrix, idf: npt.NDArray[np.float32]) -> sparse.csr_matrix:
    """TF-IDF with logarithmic counts and rows of length 1."""
    X = counts.copy()
    X.data = (np.log(X.data) + 1) * idf[X.indices]
    norm = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    return sparse.diags(1 / np.where(norm > 0, norm, 1)).astype(np.float32) @ X


def _logistic(
    X: sparse.csr_matrix, y: npt.NDArray[np.bool_], w: Floats, seed: int
) -> tuple[Floats, float]:
    """Fit logistic regression; with one class only, the smoothed log-odds and no slopes."""
    if len(y) == 0 or y.all() or not y.any():
        share = (float((w * y).sum()) + 0.5) / (float(w.sum()) + 1)
        return np.zeros(X.shape[1]), float(np.log(share / (1 - share)))
    model = LogisticRegression(solver="liblinear", dual=True, tol=1e-2, C=1.0, random_state=seed)
    model.fit(X, y, sample_weight=w)
    return model.coef_[0], float(model.intercept_[0])


def _folds(
    groups: Sequence[int] | npt.NDArray[np.int64], folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Deal groups to folds at random."""
    groups = np.asarray(groups)
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    dealt = np.random.default_rng(seed).permutation(n_groups) % folds
    return dealt[groups] if len(groups) else np.zeros(0, np.int64)
