"""The detector: text models and trees that together say how likely a decision is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.matrix import Encoding, build_features, learn_encoding
from errdetect.features.text import TextModel, fit_text
from errdetect.model.trees import contributions, dataset, fit_trees, raw_scores

__all__ = ["Detector", "Examples", "Head", "Prepared", "fit_heads", "prepare"]

Floats = npt.NDArray[np.float64]
#: What a model learns: that the decision is wrong, or that the content violates. The second is
#: turned into the first by the decision's side; the two err differently, so they are averaged.
Head = Literal["error", "violates"]

HEADS: tuple[Head, ...] = ("error", "violates")
_FOLDS = 5


@dataclass(frozen=True)
class Examples:
    """Labelled decisions.

    Parameters
    ----------
    decisions
        Shape (n, any), in order of time, with the derived column `enforced`.
    error
        Shape (n,), 1 where the decision is an error of any kind, else 0.
    violates
        Shape (n,), 1 where the content should have been enforced, else 0.
    weight
        Shape (n,), trust in each label, in (0, 1].
    design
        Shape (n,), decisions that each row stands for when measuring; 0 where a row was not drawn
        by design, so that it says nothing about the rest.
    """

    decisions: pd.DataFrame
    error: Floats
    violates: Floats
    weight: Floats
    design: Floats

    def __len__(self) -> int:
        return len(self.decisions)

    def take(self, rows: npt.NDArray[Any]) -> "Examples":
        """Return the rows that a mask or positions choose."""
        return Examples(
            self.decisions[rows] if rows.dtype == bool else self.decisions.iloc[rows],
            *(v[rows] for v in (self.error, self.violates, self.weight, self.design)),
        )

    def target(self, head: Head) -> Floats:
        """Return what a head learns, shape (n,)."""
        return self.error if head == "error" else self.violates


@dataclass(frozen=True)
class Detector:
    """Fitted text models and trees.

    Parameters
    ----------
    encoding
        Which columns are features.
    text
        Fitted text models; None without text.
    trees
        One ensemble a head.
    """

    encoding: Encoding
    text: TextModel | None
    trees: Mapping[Head, lgb.Booster]

    def features(self, decisions: pd.DataFrame) -> Floats:
        """Return the feature matrix of decisions never trained on, shape (n, k)."""
        logits = None
        if self.text is not None:
            texts = (
                decisions["text"]
                if "text" in decisions
                else pd.Series([None] * len(decisions), dtype="str")
            )
            logits = self.text.logits(texts)
        return build_features(decisions, self.encoding, logits)

    def raw(self, X: Floats, threads: int) -> Floats:
        """Return log-odds of error, shape (n,), from a feature matrix."""
        parts = [
            raw_scores(t, X, threads) * _side(h, X, self.encoding) for h, t in self.trees.items()
        ]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)

    def contributions(self, X: Floats, threads: int) -> Floats:
        """Return what each feature adds to the log-odds of error, shape (n, k + 1), base last."""
        parts = [
            contributions(t, X, threads) * _side(h, X, self.encoding)[:, None]
            for h, t in self.trees.items()
        ]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)


@dataclass(frozen=True)
class Prepared:
    """Examples turned into features, the text scored out of fold, ready for any number of fits."""

    encoding: Encoding
    text: TextModel | None
    X: Floats
    examples: Examples

    def data(self, head: Head) -> lgb.Dataset:
        """Return the binned data that a head is fitted on."""
        e = self.encoding
        return dataset(
            self.X, self.examples.target(head), self.examples.weight, e.names, e.categories
        )


def prepare(examples: Examples, *, leave_out: tuple[str, ...], text: bool, seed: int) -> Prepared:
    """Learn the encoding and the text models, and build the training matrix.

    Parameters
    ----------
    examples
        Labelled decisions.
    leave_out, text
        As for `learn_encoding`.
    seed
        Seeds the text models' folds.
    """
    encoding = learn_encoding(examples.decisions, leave_out=leave_out, text=text)
    model, logits = None, None
    if encoding.text:
        model, logits = fit_text(
            examples.decisions["text"], examples.violates, examples.weight, folds=_FOLDS, seed=seed
        )
    return Prepared(encoding, model, build_features(examples.decisions, encoding, logits), examples)


def fit_heads(
    prepared: Prepared,
    params: Mapping[str, Any],
    rounds: Mapping[Head, int],
    *,
    seed: int,
    threads: int,
) -> Detector:
    """Fit both heads for so many rounds each."""
    trees = {
        head: fit_trees(
            prepared.data(head), params, seed=seed, threads=threads, rounds=rounds[head]
        )
        for head in HEADS
    }
    return Detector(prepared.encoding, prepared.text, trees)


def _side(head: Head, X: Floats, encoding: Encoding) -> Floats:
    """Return the sign that turns a head's log-odds into those of error."""
    if head == "error":
        return np.ones(len(X))
    enforced = X[:, encoding.names.index("enforced")]
    return 1 - 2 * enforced
