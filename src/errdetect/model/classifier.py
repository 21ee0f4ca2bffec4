"""A scikit-learn classifier of wrong decisions: the project's encoding, ensemble and calibration."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from errdetect.data.action_meanings import action_meanings, canonical_action
from errdetect.errors import error_message
from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.detector import Detector, Examples
from errdetect.model.ensemble import Ensemble, choose_ensemble, fit_ensemble
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions
from errdetect.model.training_data import (
    CountedTexts,
    PreparedExamples,
    count_texts_once,
    prepare_examples,
)
from errdetect.model.tuning import Objective

__all__ = ["ErrorClassifier"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HELD_OUT = 0.25  # latest part of the rows, which chooses members, rounds and calibration
_BUDGET = 0.1


class ErrorClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """Predict which decisions are wrong, as a scikit-learn estimator.

    It learns from decisions and labels alone: the trees, additive model and segment rates that
    `errdetect train` averages, chosen and calibrated on the latest quarter of the rows, then refitted
    on all. What `train` adds needs the reviews and the full log: point-in-time features, weights of
    reviewers, the surrogate of the machines, the right policy, the gate.

    Parameters
    ----------
    actions
        Action -> `allow` or `enforce`, beside the words that are known without; for frames with a
        column `action` and none named `enforced`.
    leave_out
        Columns that must not be features.
    text
        Whether to learn from a column `text`.
    learning_rate, num_leaves
        Of the boosted trees.
    random_state
        Seeds all randomness; the default, 0, gives equal models for equal input.
    n_jobs
        Processors for the trees; None is 1.

    Attributes
    ----------
    classes_
        The two labels, shape (2,); the second means "the decision is wrong".
    n_features_in_, feature_names_in_
        Columns seen by `fit`; names only where all of them are strings.
    detector_, calibrator_
        What scores.

    Notes
    -----
    A DataFrame's columns are those of a decision log (see docs/tables.md): numbers, booleans, strings
    and categories, with missing values; ids, `decided_at` and `exposure` are no features. Rows are
    ordered by `decided_at` where there is one. An array's columns are numbers named x0, x1, ...
    Without `enforced` and `action` all decisions count as of one side.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"score": rng.random(400), "market": rng.choice(["DE", "FR"], 400)})
    >>> y = ((X["market"] == "DE") & (X["score"] > 0.4)).astype(int)
    >>> model = ErrorClassifier().fit(X, y)
    >>> model.predict_proba(X[:3]).shape, bool((model.predict(X) == y).mean() > 0.9)
    ((3, 2), True)
    """

    def __init__(
        self,
        *,
        actions: Mapping[str, Literal["allow", "enforce"]] | None = None,
        leave_out: Sequence[str] = (),
        text: bool = True,
        learning_rate: float = 0.05,
        num_leaves: int = 15,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.actions = actions
        self.leave_out = leave_out
        self.text = text
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: pd.DataFrame | npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn from decisions and their labels.

        Parameters
        ----------
        X
            Shape (n, k), decisions: a DataFrame, or an array of numbers; NaN where unknown.
        y
            Shape (n,), two labels; the greater one (1 of 0 and 1) means that the decision is wrong.
        sample_weight
            Shape (n,), at least 0: what each row counts; rows of weight 0 are left out.

        Raises
        ------
        ValueError
            Where X, y or the weights cannot be used.
        ConfigError
            Where `actions` maps to another word than `allow` or `enforce`.
        """
        frame = self._frame(X, reset=True)
        error = self._labels(y)
        check_consistent_length(frame, error)
        weight = np.ones(len(frame))
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, frame, dtype=np.float64, ensure_non_negative=True
            )
        _check_both(error[weight > 0])
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        examples = _in_order(_examples(frame, error, weight), np.flatnonzero(weight > 0))
        earlier, later = _parts(examples, seed)
        leave_out = tuple(self.leave_out)
        counted = count_texts_once(examples.decisions, earlier, leave_out=leave_out, text=self.text)

        def ready(part: Examples) -> PreparedExamples:
            return prepare_examples(part, counted, leave_out=leave_out, text=self.text, seed=seed)

        first = ready(earlier)
        ensemble, self.calibrator_ = self._choose(first, later, counted, seed)
        prepared = ready(examples)
        fitted = fit_ensemble(prepared, ensemble, self._params(), FitOptions(seed, self._threads()))
        self.detector_: Detector = prepared.detector(fitted, ensemble.floor)
        return self

    def predict_proba(self, X: pd.DataFrame | npt.ArrayLike) -> Floats:
        """Return the probability of each class, shape (n, 2); the second column is P(error)."""
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        raw = self.detector_.raw(self.detector_.features(frame), self._threads())
        enforced = frame["enforced"].to_numpy(bool)
        p = self.calibrator_.probability(raw, enforced)
        return np.column_stack([1 - p, p])

    def decision_function(self, X: pd.DataFrame | npt.ArrayLike) -> Floats:
        """Return the log-odds of error, shape (n,); above 0 the decision is likelier wrong than not."""
        p = self.predict_proba(X)[:, 1]
        return np.asarray(logit(np.clip(p, 1e-12, 1 - 1e-12)), dtype=np.float64)

    def predict(self, X: pd.DataFrame | npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the likelier class of each row, shape (n,)."""
        wrong = self.decision_function(X) > 0
        predicted: npt.NDArray[Any] = self.classes_[wrong.astype(np.int64)]
        return predicted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _choose(
        self, first: PreparedExamples, later: Examples, counted: CountedTexts, seed: int
    ) -> tuple[Ensemble, Calibrator]:
        """Choose the ensemble, its rounds and the calibration on rows that it did not see."""
        held = first.prepare_later(
            later, None if first.text is None else counted.of(later.decisions)
        )
        ensemble = choose_ensemble(
            first,
            held,
            self._params(),
            later.weight,
            Objective("average_precision", _BUDGET),
            FitOptions(seed, self._threads()),
        )
        enforced = later.decisions["enforced"].to_numpy(bool)
        sides = enforced if 0 < enforced.sum() < len(enforced) else None
        return ensemble, choose_calibrator(ensemble.raw, later.error, later.weight, enforced=sides)

    def _params(self) -> dict[str, Any]:
        own = {"learning_rate": self.learning_rate, "num_leaves": self.num_leaves}
        return {**DEFAULT_PARAMS, **own}

    def _threads(self) -> int:
        return self.n_jobs or 1

    def _labels(self, y: npt.ArrayLike) -> Floats:
        """Note the classes, and return 1 for a wrong decision, else 0."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        kind = type_of_target(labels, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        self.classes_, codes = np.unique(labels, return_inverse=True)
        return np.asarray(codes, dtype=np.float64)

    def _frame(self, X: pd.DataFrame | npt.ArrayLike, *, reset: bool) -> pd.DataFrame:
        """Return the rows as decisions, with the columns' names that `fit` saw."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True, reset=reset)
            frame = X.reset_index(drop=True)
            _check_frame(frame)
            names = [str(name) for name in frame.columns]
        else:
            array = validate_data(
                self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset
            )
            frame = pd.DataFrame(array)
            names = [f"x{i}" for i in range(array.shape[1])]
        if reset:
            self._columns = names
        frame = frame.set_axis(self._columns, axis=1)
        if "text" in frame and self.text:
            frame = frame.assign(text=frame["text"].astype("str"))
        ids = np.arange(len(frame)).astype(str)
        return frame.assign(enforced=self._enforced(frame), decision_id=ids)

    def _enforced(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which decisions enforced, shape (n,); all where nothing tells."""
        if "enforced" in frame:
            given = frame["enforced"]
            if given.isna().any() or not given.isin([0, 1]).all():
                do = "Leave rows out where it is unknown."
                got = given[~given.isin([0, 1])].iloc[0]
                raise ValueError(error_message("enforced", "be true or false", got, do))
            return given.astype("bool").to_numpy(bool)
        if "action" not in frame:
            return np.ones(len(frame), dtype=bool)
        meanings = action_meanings(self.actions or {})
        words = frame["action"].astype("object").where(frame["action"].notna(), "").map(str)
        meant = words.map(canonical_action).map(meanings)
        if meant.isna().any():
            do = "Say what it means with `actions`, or leave such rows out."
            got = repr(words[meant.isna()].iloc[0])
            raise ValueError(error_message("action", "be a known word", got, do))
        return (meant == "enforce").to_numpy(bool)


def _check_frame(frame: pd.DataFrame) -> None:
    """Refuse what arrays are refused for, too."""
    rows, columns = frame.shape
    if not rows or not columns:
        what = "sample(s)" if not rows else "feature(s)"
        shape = f"(shape={frame.shape}) while a minimum of 1 is required"
        raise ValueError(f"Found array with 0 {what} {shape}.")
    names = frame.columns.map(str)
    if names.has_duplicates:
        got = repr(names[names.duplicated()][0])
        raise ValueError(error_message("Columns", "have one name each", got, "Rename one."))
    for name in frame.columns.intersection(["score", "threshold"]):
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            got = f"values of type {frame[name].dtype}"
            do = "Convert it, for example with pandas.to_numeric."
            raise ValueError(error_message(f"Column {name!r}", "hold numbers", got, do))
    for column, values in frame.items():
        if pd.api.types.is_float_dtype(values.dtype) and np.isinf(values.to_numpy(float)).any():
            do = "Write NaN where the value is unknown."
            raise ValueError(
                error_message(f"Column {column!r}", "be finite or NaN", "infinity", do)
            )


def _check_both(error: Floats) -> None:
    """Refuse labels of a single class."""
    if len(np.unique(error)) < 2:
        do = "Label more decisions, or give them weights above 0."
        raise ValueError(error_message("y", "hold two classes", "one class", do))


def _examples(frame: pd.DataFrame, error: Floats, weight: Floats) -> Examples:
    """Return labelled decisions; an error of a decision that enforced is one that should not have."""
    enforced = frame["enforced"].to_numpy(bool)
    violates = np.where(error == 1, ~enforced, enforced).astype(np.float64)
    return Examples(frame, error, violates, weight, np.ones(len(frame)))


def _in_order(examples: Examples, kept: Ints) -> Examples:
    """Return the kept rows, in order of time where it is known."""
    times = _times(examples.decisions)
    if times is not None:
        order = times.iloc[kept].reset_index(drop=True).sort_values(kind="stable").index
        kept = kept[order.to_numpy()]
    ordered = examples.take(kept)
    return Examples(
        ordered.decisions.reset_index(drop=True),
        ordered.error,
        ordered.violates,
        ordered.weight,
        ordered.design,
    )


def _times(decisions: pd.DataFrame) -> pd.Series | None:
    """Return when decisions were taken, in whatever unit; None where it is not known."""
    if "decided_at" not in decisions:
        return None
    given = decisions["decided_at"]
    if not pd.api.types.is_datetime64_any_dtype(given) and not pd.api.types.is_numeric_dtype(given):
        given = pd.to_datetime(given, format="ISO8601", utc=True, errors="coerce")
    return given if given.notna().any() else None


def _parts(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Return earlier and later rows, both with both classes; the same where a class has one row.

    Without times, or where an earlier or later part is of one class, a quarter of each class is drawn.
    """
    n = len(examples)
    held = np.arange(n) >= n - max(1, round(n * _HELD_OUT))
    timed = _times(examples.decisions) is not None
    if not timed or any(len(np.unique(examples.error[part])) < 2 for part in (held, ~held)):
        held = np.zeros(n, dtype=bool)
        rng = np.random.default_rng(seed)
        for label in (0.0, 1.0):
            own = np.flatnonzero(examples.error == label)
            if len(own) < 2:
                return examples, examples
            held[rng.permutation(own)[: max(1, round(len(own) * _HELD_OUT))]] = True
    return examples.take(~held), examples.take(held)
