"""The features that every peer gets: scores, margin, side, metadata, one text model out of fold."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from .problems import Problem

__all__ = ["Features", "build_features", "describe", "text_logits"]

#: Never a feature: ids, times, the text itself, and exposure, which errdetect does not learn from.
LEFT_OUT = {"decision_id", "decided_at", "item_id", "text", "exposure", "enforced"}
#: A text column with more values than so is given to CatBoost only, and one with fewer than five
#: rows a value to nobody.
MANY = 1000
ROWS_A_VALUE = 5
FOLDS = 5
CHARS = 2000


@dataclass(frozen=True)
class Features:
    """
    Parameters
    ----------
    learn, test
        Same columns: float64, or categories; `learn` has the labelled decisions only, by time.
    error
        Label of each row of `learn`.
    many
        Categories with more than `MANY` values.
    seconds
        What it took to make them.
    """

    learn: pd.DataFrame
    test: pd.DataFrame
    error: np.ndarray
    many: tuple[str, ...]
    seconds: float

    @property
    def violates(self) -> np.ndarray:
        """Whether the content violates, by the label: the side, turned where it is wrong."""
        return np.abs(self.learn["enforced"].to_numpy() - self.error)

    @property
    def categories(self) -> list[str]:
        return [c for c, kind in self.learn.dtypes.items() if kind == "category"]

    def plain(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return learn and test without the categories of many values."""
        return self.learn.drop(columns=list(self.many)), self.test.drop(columns=list(self.many))


def build_features(problem: Problem, seed: int = 0) -> Features:
    began = time.perf_counter()
    known = np.isfinite(problem.error)
    learn, error = problem.learn[known], problem.error[known]
    both = pd.concat([learn, problem.test], ignore_index=True)
    columns, many = describe(both, len(learn))
    columns["enforced"] = both["enforced"].astype(float)
    if "score" in both and "threshold" in both:
        columns["margin"] = both["score"] - both["threshold"]
        columns["distance"] = columns["margin"].abs()
    if "text" in both:
        violates = np.abs(learn["enforced"].to_numpy(float) - error)
        logit = np.concatenate(text_logits(learn["text"], violates, problem.test["text"], seed))
        columns["text"] = logit
        columns["text_disagrees"] = np.where(both["enforced"], -logit, logit)
    frame = pd.DataFrame(columns)
    seconds = time.perf_counter() - began
    return Features(frame[: len(learn)], frame[len(learn) :], error, tuple(many), seconds)


def describe(both: pd.DataFrame, n_learn: int) -> tuple[dict[str, pd.Series], list[str]]:
    """Turn columns into numbers and categories; values that only the test has are missing."""
    columns: dict[str, pd.Series] = {}
    many = []
    for name in sorted(set(both) - LEFT_OUT):
        column = both[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            columns[name] = column.astype(float)
        elif not pd.api.types.is_datetime64_any_dtype(column):
            seen = pd.Index(sorted(column[:n_learn].dropna().astype(str).unique()))
            if len(seen) == 0 or len(seen) > max(n_learn / ROWS_A_VALUE, 50):
                continue
            codes = seen.get_indexer(column.astype(str))
            columns[name] = pd.Series(pd.Categorical.from_codes(codes, categories=seen))
            if len(seen) > MANY:
                many.append(name)
    return columns, many


def text_logits(
    texts: pd.Series, y: np.ndarray, later: pd.Series, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds of y from the text: out of fold for `texts`, then for later texts.

    Character TF-IDF and logistic regression; equal texts share a fold. NaN without a text.
    """
    clean = [t.astype(object).where(t.notna(), "").str.slice(0, CHARS) for t in (texts, later)]
    there = [(c.str.strip() != "").to_numpy(bool) for c in clean]
    out = [np.full(len(c), np.nan) for c in clean]
    known, groups = there[0], pd.factorize(clean[0][there[0]].str.lower())[0]
    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2 or len(np.unique(y[known])) < 2:
        return out[0], out[1]
    count = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), n_features=2**18, norm=None, alternate_sign=False,
        dtype=np.float32,
    )  # fmt: skip
    weigh = TfidfTransformer(sublinear_tf=True)
    X = weigh.fit_transform(count.transform(clean[0][known]))
    label = y[known] > 0.5
    held_out = np.empty(len(label))
    split = GroupKFold(folds, shuffle=True, random_state=seed)
    for train, held in split.split(X, groups=groups):
        held_out[held] = _logits(X[train], label[train], X[held], seed)
    out[0][known] = held_out
    if there[1].any():
        Z = weigh.transform(count.transform(clean[1][there[1]]))
        out[1][there[1]] = _logits(X, label, Z, seed)
    return out[0], out[1]


def _logits(X: sparse.csr_matrix, y: np.ndarray, Z: sparse.csr_matrix, seed: int) -> np.ndarray:
    if y.all() or not y.any():
        share = (y.sum() + 0.5) / (len(y) + 1)
        return np.full(Z.shape[0], np.log(share / (1 - share)))
    model = LogisticRegression(solver="liblinear", dual=True, tol=1e-2, C=1.0, random_state=seed)
    return model.fit(X, y).decision_function(Z)
