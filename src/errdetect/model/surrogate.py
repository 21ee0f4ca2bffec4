"""A surrogate model of the machines' decisions; disagreement with it flags unusual ones.

Reviewed or not, every decision shows how the machines decide. The surrogate predicts the decision
(enforced or allowed) from content and context, without any machine's score; it is trained on the
log's decisions, not on reviews. A decision that it finds unlikely is unusual for such content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.feature_matrix import (
    SCORE_COLUMNS,
    SEGMENT_COLUMN,
    Encoding,
    build_features,
)
from errdetect.features.text_models import (
    RIDGE,
    TEXT_COLUMNS,
    TextCounts,
    TextModel,
    count_texts,
    fit_text_models,
)
from errdetect.model.ensemble_members import FitOptions, bin_dataset, fit_trees, raw_scores
from errdetect.stats.ranking_metrics import auroc

__all__ = ["USUAL_COLUMNS", "LogSample", "Surrogate", "fit_surrogate", "sample_log"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Predicted log-odds of an enforcement, and the decision's deviation from them.
USUAL_COLUMNS = ("usual_logit", "usual_against")

_MAX_ROWS = 20_000  # more decisions hardly improve predictions
_MIN_EACH = 100  # enforced, and allowed decisions
_FORETOLD = 0.98  # from this AUROC on, deviations are the surrogate's own errors
_ROUNDS = 60
_PARAMS: Mapping[str, Any] = {
    "learning_rate": 0.12,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.6,
    "lambda_l2": 5.0,
}
_MACHINE = ("score", "threshold", "margin", "confidence", "enforced", "action", SEGMENT_COLUMN)


@dataclass(frozen=True)
class LogSample:
    """Decisions, reviewed or not, in order of time.

    Parameters
    ----------
    whole
        Shape (m, any).
    decisions
        Shape (n, any), a sample of them.
    texts
        The sample's texts counted; None without text.
    """

    whole: pd.DataFrame
    decisions: pd.DataFrame
    texts: TextCounts | None

    def before(self, moment: pd.Timestamp) -> "LogSample":
        """Return the decisions taken before a moment."""
        early = (self.decisions["decided_at"] < moment).to_numpy(bool)
        whole = self.whole[(self.whole["decided_at"] < moment).to_numpy(bool)]
        texts = None if self.texts is None else self.texts.take(early)
        return LogSample(whole, self.decisions[early], texts)


def sample_log(decisions: pd.DataFrame, *, text: bool, seed: int) -> LogSample:
    """Draw at most 20,000 decisions for training, and count their texts once.

    Parameters
    ----------
    decisions
        Shape (n, any), in order of time.
    text
        Whether to use texts.
    seed
        Seeds the draw.

    Examples
    --------
    >>> frame = pd.DataFrame({"enforced": [True] * 3, "text": "a b"})
    >>> len(sample_log(frame, text=True, seed=0).decisions)
    3
    """
    n, some = len(decisions), decisions
    if n > _MAX_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(n, _MAX_ROWS, replace=False))
        some = decisions.iloc[rows]
    return LogSample(decisions, some, count_texts(some, (), (RIDGE.view,)) if text else None)


@dataclass(frozen=True)
class Surrogate:
    """A model of the machines' decisions.

    Parameters
    ----------
    columns
        Positions of its features in the matrix of `build_features`.
    text
        Log-odds of an enforcement from the text; None without text.
    trees
        Log-odds from those columns and the text's.
    """

    columns: tuple[int, ...]
    text: TextModel | None
    trees: lgb.Booster

    def logits(self, X: Floats, counts: TextCounts | None) -> Floats:
        """Return log-odds of an enforcement, shape (n,).

        Parameters
        ----------
        X
            Shape (n, k), from `build_features`.
        counts
            The decisions' text counts; needed if the model uses texts.
        """
        texts = None
        if self.text is not None:
            assert counts is not None
            texts = self.text.read(counts)
        return raw_scores(self.trees, _surrogate_inputs(X, self.columns, texts), 1)

    @staticmethod
    def beside(X: Floats, logits: Floats, enforced: npt.NDArray[np.bool_]) -> Floats:
        """Return a matrix with `USUAL_COLUMNS` put after it, shape (n, k + 2)."""
        against = np.where(enforced, -logits, logits)
        return np.column_stack([X, logits, against])


def fit_surrogate(
    log: LogSample, encoding: Encoding, fold: Ints, *, seed: int
) -> tuple[Surrogate, Floats] | None:
    """Fit the surrogate, and predict the log's own decisions out of fold.

    Parameters
    ----------
    log
        From `sample_log`.
    encoding
        The encoding of the columns.
    fold
        Shape (n,), each decision's fold; equal content must share one.
    seed
        Seeds text model and trees.

    Returns
    -------
    tuple or None
        The model fitted on every decision, and out-of-fold log-odds, shape (n,). None where
        enforced or allowed decisions are too few, or where the columns nearly determine the decision
        (AUROC of .98 or more): deviations from a known rule are the surrogate's errors.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"size": rng.random(2000)})
    >>> frame["enforced"] = rng.random(2000) < frame["size"]
    >>> from errdetect.features.feature_matrix import fit_encoding
    >>> usual, out = fit_surrogate(LogSample(frame, frame, None), fit_encoding(frame), np.arange(2000) % 5, seed=0)
    >>> bool(out[frame["size"] > .9].mean() > 1 > -1 > out[frame["size"] < .1].mean())
    True
    """
    y = log.decisions["enforced"].to_numpy(np.float64)
    if min(y.sum(), len(y) - y.sum()) < _MIN_EACH:
        return None
    weight = np.ones(len(y))
    model, texts = None, None
    if log.texts is not None and encoding.text:
        model, texts = fit_text_models(log.texts, y, weight, fold, recipes=(RIDGE,), seed=seed)
    columns = _context_columns(encoding)
    nothing = np.full((len(y), len(TEXT_COLUMNS)), np.nan)
    X = build_features(log.decisions, encoding, nothing, np.full(len(y), 0.5))
    seen = _surrogate_inputs(X, columns, texts)
    categories = [columns.index(i) for i in encoding.categories if i in columns]

    def fit(rows: npt.NDArray[np.bool_]) -> lgb.Booster:
        data = bin_dataset(seen[rows], y[rows], weight[rows], categories)
        return fit_trees(data, _PARAMS, FitOptions(seed), rounds=_ROUNDS)

    out = np.zeros(len(y))
    for k in np.unique(fold):
        out[fold == k] = raw_scores(fit(fold != k), seen[fold == k], 1)
    if auroc(y, out) >= _FORETOLD:
        return None
    return Surrogate(columns, model, fit(np.ones(len(y), bool))), out


def _context_columns(encoding: Encoding) -> tuple[int, ...]:
    """Choose features that neither come from a machine's score nor depend on labels."""
    return tuple(
        i
        for i, name in enumerate(encoding.names)
        if name not in (*_MACHINE, *SCORE_COLUMNS, *encoding.extra)
        and not name.startswith("score_")
        and not (name.startswith("text_") and "_logit" in name)
    )


def _surrogate_inputs(X: Floats, columns: Sequence[int], texts: Floats | None) -> Floats:
    some = X[:, list(columns)]
    return some if texts is None else np.hstack([some, texts])
