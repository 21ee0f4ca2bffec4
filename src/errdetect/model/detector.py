"""The detector: text models and ensemble members that predict P(error) of a decision."""

from dataclasses import dataclass, field, fields
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.feature_matrix import Encoding, build_features
from errdetect.features.text_models import TextCounts, TextModel, count_texts
from errdetect.model.ensemble_members import Head, Member, SegmentRate
from errdetect.model.policy_correction import PolicyContent, PolicyCorrection
from errdetect.model.surrogate import Surrogate
from errdetect.stats.log_odds import clipped_logit

__all__ = ["DOUBT_COLUMN", "Detector", "Examples", "apply_policy_floor", "policy_correction_logit"]

Floats = npt.NDArray[np.float64]

#: Log-odds that an enforcement's policy is wrong, given a correct action.
DOUBT_COLUMN = "other_policy_logit"
#: Microseconds: for everything else, for a tree and each binary digit of its leaves, and for each character
#: of a text to count n-grams of characters, or of words.
_FIXED, _TREE, _CHARS, _WORDS = 10.0, 0.0085, 0.64, 0.2
_BELIEVED = 0.8  # scales P(wrong policy) down, as few relabelled decisions overstate it


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
        Shape (n,), training weight of each label, in (0, 1].
    design
        Shape (n,), decisions that each row represents in the evaluation; 0 where no design drew it,
        so that it represents no others.
    p_error, p_violates
        Shape (n,), the same two as probabilities where reviews disagree; the training targets.
        Default: the labels themselves.
    evidence
        Shape (n,), the reviews' log-likelihood ratio of an error, the calibration's target. Default:
        the labels are certain.
    harm
        Shape (n,), the harm of each decision if it is wrong; default: 1 each.
    right_policy
        Shape (n,), the correct policy according to reviews; None where unknown (default).
    """

    decisions: pd.DataFrame
    error: Floats
    violates: Floats
    weight: Floats
    design: Floats
    p_error: Floats = field(default_factory=lambda: np.empty(0))
    p_violates: Floats = field(default_factory=lambda: np.empty(0))
    evidence: Floats = field(default_factory=lambda: np.empty(0))
    harm: Floats = field(default_factory=lambda: np.empty(0))
    right_policy: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))

    def __post_init__(self) -> None:
        if len(self.p_error) != len(self.decisions):
            object.__setattr__(self, "p_error", self.error)
        if len(self.p_violates) != len(self.decisions):
            object.__setattr__(self, "p_violates", self.violates)
        if len(self.evidence) != len(self.decisions):
            object.__setattr__(self, "evidence", clipped_logit(self.error))
        if len(self.harm) != len(self.decisions):
            object.__setattr__(self, "harm", np.ones(len(self.decisions)))
        if len(self.right_policy) != len(self.decisions):
            object.__setattr__(self, "right_policy", np.full(len(self.decisions), None))

    def __len__(self) -> int:
        return len(self.decisions)

    def take(self, rows: npt.NDArray[Any]) -> "Examples":
        """Return the rows that a mask or positions choose."""
        decisions = self.decisions[rows] if rows.dtype == bool else self.decisions.iloc[rows]
        kept = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "decisions"}
        return Examples(decisions, **kept)

    def head_target(self, head: Head) -> Floats:
        """Return a head's training target, shape (n,), in [0, 1]."""
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
        Error rates by segment, used as a feature.
    members
        The averaged models, with their weights.
    usual
        The surrogate model, giving two features; None where it does not help.
    doubt
        The policy correction model: a feature and, with `floor`, a lower bound; None where not fitted.
    floor
        Whether P(wrong policy) is a lower bound on P(error).
    """

    encoding: Encoding
    text: TextModel | None
    segment: SegmentRate
    members: tuple[Member, ...]
    usual: Surrogate | None = None
    doubt: PolicyCorrection | None = None
    floor: bool = False

    def price(self, chars: float) -> float:
        """Return the cost to score a decision in microseconds, on one processor.

        A formula rather than a measurement, so that training again gives the same model to the byte.
        Its constants were measured on one machine; prices of models compare, whatever the machine.

        Parameters
        ----------
        chars
            Mean length of the texts.
        """
        trees = [m.model for m in self.members if isinstance(m.model, lgb.Booster)]
        trees += [] if self.usual is None else [self.usual.trees]
        leaves = [(t.num_trees(), t.params.get("num_leaves", 31)) for t in trees]
        cost = sum(n * _TREE * np.log2(max(2, size)) for n, size in leaves)
        views = set() if self.text is None else set(self.text.views)
        views |= set() if self.usual is None or self.usual.text is None else {"char"}
        cost += sum(chars * (_CHARS if view == "char" else _WORDS) for view in views)
        cost += chars * _WORDS if self.doubt is not None else 0.0
        return float(_FIXED + cost)

    def features(self, decisions: pd.DataFrame, content: PolicyContent | None = None) -> Floats:
        """Return the feature matrix of decisions not used in training, shape (n, k).

        `content` is that of the enforced ones, if it was hashed already.
        """
        text = self.text
        counts = None if text is None else count_texts(decisions, text.tags, text.views)
        return self.features_from_counts(decisions, counts, content)

    def features_from_counts(
        self,
        decisions: pd.DataFrame,
        counts: TextCounts | None,
        content: PolicyContent | None = None,
    ) -> Floats:
        """Return the same for decisions with counted texts."""
        logits = None
        if self.text is not None and counts is not None:
            logits = self.text.read_every(counts)
        X = build_features(decisions, self.encoding, logits, self.segment.rate(decisions))
        if self.usual is not None:
            enforced = decisions["enforced"].to_numpy(bool)
            X = self.usual.beside(X, self.usual.logits(X, counts), enforced)
        if self.doubt is not None:
            X = np.column_stack([X, policy_correction_logit(self.doubt, decisions, content)])
        return X

    def raw(self, X: Floats, threads: int) -> Floats:
        """Return log-odds of error, shape (n,), from a feature matrix."""
        side = _side_sign(X, self.encoding)
        total = sum(member.weight for member in self.members)
        parts = [m.weight / total * m.raw(X, side, threads) for m in self.members]
        raw = np.asarray(np.sum(parts, axis=0), dtype=np.float64)
        return apply_policy_floor(raw, X, self.encoding) if self.floor else raw

    def contributions(self, X: Floats, threads: int) -> Floats:
        """Return each feature's contribution to the log-odds of error, shape (n, k + 1), base last.

        They sum to `raw`: SHAP values of trees and the terms of linear members average as their
        predictions do; the lower bound's increase is attributed to the policy feature.
        """
        side = _side_sign(X, self.encoding)
        total = sum(member.weight for member in self.members)
        parts = [m.weight / total * m.contributions(X, side, threads) for m in self.members]
        out = np.asarray(np.sum(parts, axis=0), dtype=np.float64)
        if self.floor:
            raw = out.sum(axis=1)
            out[:, self.encoding.names.index(DOUBT_COLUMN)] += (
                apply_policy_floor(raw, X, self.encoding) - raw
            )
        return out


def policy_correction_logit(
    model: PolicyCorrection, decisions: pd.DataFrame, content: PolicyContent | None = None
) -> Floats:
    """Return log-odds that an enforcement's policy is wrong, shape (n,); NaN where unknown."""
    out = np.full(len(decisions), np.nan)
    rows = np.flatnonzero(decisions["enforced"].to_numpy(bool))
    q, own = model.policy_posterior(decisions.iloc[rows], content)
    doubt = np.clip(_BELIEVED * (1 - q[np.arange(len(own)), own]), 1e-6, 1 - 1e-6)
    out[rows] = np.where(own >= 0, np.log(doubt / (1 - doubt)), np.nan)
    return out


def apply_policy_floor(raw: Floats, X: Floats, encoding: Encoding) -> Floats:
    """Raise log-odds of error to at least those of a wrong policy, shape (n,)."""
    if DOUBT_COLUMN not in encoding.names:
        return raw
    return np.fmax(raw, X[:, encoding.names.index(DOUBT_COLUMN)])


def _side_sign(X: Floats, encoding: Encoding) -> Floats:
    """Return 1 for enforced decisions, -1 for others."""
    return 2 * X[:, encoding.names.index("enforced")] - 1
