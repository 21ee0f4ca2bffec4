"""The detector: text models and members that together say how likely a decision is wrong."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.matrix import Encoding, build_features
from errdetect.features.text import TextCounts, TextModel, count_texts
from errdetect.model.baselines import SegmentRate
from errdetect.model.members import Head, Member
from errdetect.model.usual import Usual

__all__ = ["Detector", "Examples"]

Floats = npt.NDArray[np.float64]


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
    p_error, p_violates
        Shape (n,), the same two as probabilities, where reviews leave doubt: what models learn.
        Default: the labels themselves.
    harm
        Shape (n,), what each decision would harm if it were wrong; default: 1 each.
    """

    decisions: pd.DataFrame
    error: Floats
    violates: Floats
    weight: Floats
    design: Floats
    p_error: Floats = field(default_factory=lambda: np.empty(0))
    p_violates: Floats = field(default_factory=lambda: np.empty(0))
    harm: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if len(self.p_error) != len(self.decisions):
            object.__setattr__(self, "p_error", self.error)
        if len(self.p_violates) != len(self.decisions):
            object.__setattr__(self, "p_violates", self.violates)
        if len(self.harm) != len(self.decisions):
            object.__setattr__(self, "harm", np.ones(len(self.decisions)))

    def __len__(self) -> int:
        return len(self.decisions)

    def take(self, rows: npt.NDArray[Any]) -> "Examples":
        """Return the rows that a mask or positions choose."""
        values = (
            self.error,
            self.violates,
            self.weight,
            self.design,
            self.p_error,
            self.p_violates,
            self.harm,
        )
        return Examples(
            self.decisions[rows] if rows.dtype == bool else self.decisions.iloc[rows],
            *(v[rows] for v in values),
        )

    def target(self, head: Head) -> Floats:
        """Return what a head learns, shape (n,), in [0, 1]."""
        return self.p_error if head == "error" else self.p_violates


@dataclass(frozen=True)
class Detector:
    """Fitted text models and members.

    Parameters
    ----------
    encoding
        Which columns are features.
    text
        Fitted text models; None without text.
    segment
        Error rates by segment: a feature.
    members
        The models that are averaged, with their weights.
    usual
        What machines usually decide: two features; None where that is no help.
    """

    encoding: Encoding
    text: TextModel | None
    segment: SegmentRate
    members: tuple[Member, ...]
    usual: Usual | None = None

    def features(self, decisions: pd.DataFrame) -> Floats:
        """Return the feature matrix of decisions never trained on, shape (n, k)."""
        counts = None if self.text is None else count_texts(decisions, self.text.tags)
        return self.see(decisions, counts)

    def see(self, decisions: pd.DataFrame, counts: TextCounts | None) -> Floats:
        """Return the same for decisions whose texts are counted already."""
        logits = self.text.read(counts) if self.text is not None and counts is not None else None
        X = build_features(decisions, self.encoding, logits, self.segment.rate(decisions))
        if self.usual is None:
            return X
        enforced = decisions["enforced"].to_numpy(bool)
        return self.usual.beside(X, self.usual.logits(X, counts), enforced)

    def raw(self, X: Floats, threads: int) -> Floats:
        """Return log-odds of error, shape (n,), from a feature matrix."""
        side = _side(X, self.encoding)
        total = sum(member.weight for member in self.members)
        parts = [m.weight / total * m.raw(X, side, threads) for m in self.members]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def contributions(self, X: Floats, threads: int) -> Floats:
        """Return what each feature adds to the log-odds of error, shape (n, k + 1), base last.

        They add up to `raw`: SHAP values of trees and the terms of linear members average as
        their predictions do.
        """
        side = _side(X, self.encoding)
        total = sum(member.weight for member in self.members)
        parts = [m.weight / total * m.contributions(X, side, threads) for m in self.members]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _side(X: Floats, encoding: Encoding) -> Floats:
    """Return 1 for enforced decisions, -1 for others."""
    return 2 * X[:, encoding.names.index("enforced")] - 1
