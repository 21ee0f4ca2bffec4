"""Convert decisions to the models' feature matrix: float64, with categories as codes.

`fit_encoding` reads training decisions once; `build_features` serves training and scoring. The reference
distribution holds the log's typical values and equivalent columns, for explanations only.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.text_models import MEASURE_COLUMNS, TEXT_COLUMNS, text_statistics
from errdetect.features.typed_columns import read_levels, read_numbers

__all__ = [
    "SCORE_COLUMNS",
    "SEGMENT_COLUMN",
    "Encoding",
    "ReferenceDistribution",
    "build_features",
    "fit_encoding",
    "fit_reference_distribution",
    "keep_text_recipes",
    "reference_from_jsonable",
]

Floats = npt.NDArray[np.float64]

#: Identifiers, times and texts are not features themselves; exposure often grows after the
#: decision, so it would leak the future.
_NO_FEATURES = ("decision_id", "item_id", "account_id", "decided_at", "text", "exposure")
_MACHINE = ("score", "threshold", "enforced")
_MIN_LEVEL, _MAX_LEVELS, _MIN_COVER = 10, 500, 0.05

#: The log-odds of error of the decision's segment, and the summary of other moderators' scores.
SEGMENT_COLUMN = "segment_logit"
SCORE_COLUMNS = ("scores_max", "scores_min", "scores_gap")
_SEPARATORS = re.compile(r"\s*[,;|]\s*")
_MIN_LISTS, _MAX_ENTRIES = 0.05, 50
_MAX_RARE = 2_000  # rare values per column that are remembered

DERIVED_TEXT = (
    *tuple(f"{name}_against" for name in TEXT_COLUMNS),
    "text_logit_mean",
    "text_logit_spread",
)
_ROWS = 2_000  # sampled rows: enough to find equivalent columns
_PARTS = 20  # quantiles per column
_MIN_KNOWN = 50  # rows with both columns known; fewer are inconclusive
_ALIKE = 0.9  # rank correlation from which two numeric columns are equivalent
_SAME = 0.95  # share of rows in which one column's value determines the other's


@dataclass(frozen=True)
class Encoding:
    """The columns used as features, and the codes of categories.

    Parameters
    ----------
    numeric
        Names of the numeric columns.
    categorical
        Names of the categorical columns, with their known levels in the codes' order.
    text
        Whether text statistics and the text models' log-odds are features.
    left_out
        Columns that are not features, with the reason for users.
    lists
        Names of the columns that hold lists, "a, b", with the entries that become features.
    segment
        Whether the error rate of the decision's segment is a feature.
    extra
        Names of columns that other models append to those of `build_features`.
    flags
        Those of the numeric columns that were true/false; None where that is not known.
    rare
        Categorical column -> its values that were too rare for a code of their own; without those
        columns that have too many.
    """

    numeric: tuple[str, ...]
    categorical: Mapping[str, tuple[str, ...]]
    text: bool
    left_out: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    segment: bool = False
    extra: tuple[str, ...] = ()
    flags: tuple[str, ...] | None = None
    rare: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def numeric_kinds(self) -> dict[str, bool | None]:
        """Numeric columns -> whether they were true/false in training; None where not known."""
        return {n: None if self.flags is None else n in self.flags for n in self.numeric}

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """Columns of text -> the values or entries that are features."""
        return {**self.lists, **self.categorical}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the matrix's columns, in order."""
        text = (*MEASURE_COLUMNS, *TEXT_COLUMNS, *DERIVED_TEXT) if self.text else ()
        machine = ("score", "threshold", "margin", "confidence", "enforced")
        segment = (SEGMENT_COLUMN,) if self.segment else ()
        scores = SCORE_COLUMNS if self.scores else ()
        lists = tuple(
            f"{name}={entry}" for name, entries in self.lists.items() for entry in entries
        )
        own = (*machine, *segment, *self.numeric, *scores, *self.categorical, *lists, *text)
        return (*own, *self.extra)

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the columns that hold other moderators' scores."""
        return tuple(name for name in self.numeric if name.startswith("score_"))

    @property
    def categories(self) -> tuple[int, ...]:
        """Positions of the matrix's columns that hold category codes."""
        return tuple(i for i, name in enumerate(self.names) if name in self.categorical)

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Names of the decisions' columns that features use."""
        text = ("text",) if self.text else ()
        return (*_MACHINE, *self.numeric, *self.categorical, *self.lists, *text)


def fit_encoding(
    decisions: pd.DataFrame,
    *,
    leave_out: Sequence[str] = (),
    text: bool = True,
    segment: bool = False,
) -> Encoding:
    """Choose features and encode categories from training decisions.

    Parameters
    ----------
    decisions
        Training decisions, one row each, with the derived column `enforced`.
    leave_out
        Columns that must not be features.
    text
        Whether to use the content's text, if any.
    segment
        Whether the error rate of the decision's segment will be given.

    Returns
    -------
    Encoding
        Rare levels (seen fewer than 10 times) share a code with missing values; a text column whose
        values hardly ever repeat is left out, with the reason.

    Examples
    --------
    >>> frame = pd.DataFrame({"enforced": [True, False] * 10, "price": 2.0, "market": ["DE", "FR"] * 10})
    >>> encoding = fit_encoding(frame)
    >>> encoding.numeric, dict(encoding.categorical)
    (('price',), {'market': ('DE', 'FR')})
    """
    numeric: list[str] = []
    flags: list[str] = []
    rare: dict[str, tuple[str, ...]] = {}
    categorical: dict[str, tuple[str, ...]] = {}
    lists: dict[str, tuple[str, ...]] = {}
    left_out = {name: "left out by the configuration" for name in leave_out if name in decisions}
    for name in decisions.columns:
        if name in _NO_FEATURES or name in _MACHINE or name in left_out:
            continue
        values = decisions[name]
        if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
            numeric.append(name)
            if _is_flag(values):
                flags.append(name)
            continue
        levels, entries = _frequent_levels(values), _frequent_entries(values)
        if levels:
            categorical[name] = levels
            others = sorted(set(values.dropna().astype("str")) - set(levels))
            rare |= {name: tuple(others)} if len(others) <= _MAX_RARE else {}
        if entries:
            lists[name] = entries
        if not levels and not entries:
            left_out[name] = "its values hardly ever repeat"
    has_text = text and "text" in decisions and "text" not in left_out
    with_text = has_text and bool(decisions["text"].notna().any())
    return Encoding(
        tuple(sorted(numeric)),
        dict(sorted(categorical.items())),
        with_text,
        left_out,
        dict(sorted(lists.items())),
        segment,
        flags=tuple(sorted(flags)),
        rare=dict(sorted(rare.items())),
    )


def build_features(
    decisions: pd.DataFrame,
    encoding: Encoding,
    text_logits: Floats | None,
    segment_rate: Floats | None = None,
) -> Floats:
    """Build the feature matrix of decisions, for both training and scoring.

    Parameters
    ----------
    decisions
        Shape (n, any); columns of the encoding that the table lacks count as missing.
    encoding
        From `fit_encoding`.
    text_logits
        Shape (n, 8), from the text models (out of fold for training rows), NaN for recipes that are
        not used; None without text.
    segment_rate
        Shape (n,), error rate of each decision's segment (out of fold for training rows); None
        where the encoding has no such feature.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, k), the columns of `encoding.names` before the extra ones; NaN where
        unknown. An unseen level is unknown.
    """
    n = len(decisions)
    enforced = decisions["enforced"].to_numpy(np.float64)
    score, threshold = _numeric_values(decisions, "score"), _numeric_values(decisions, "threshold")
    margin = score - threshold
    side = 2 * enforced - 1
    columns = [score, threshold, margin, margin * side, enforced]
    if encoding.segment:
        if segment_rate is None:
            raise ValueError("the encoding has a segment feature, so segment_rate must be given")
        columns.append(np.log(segment_rate / (1 - segment_rate)))
    columns += [_numeric_values(decisions, name) for name in encoding.numeric]
    if encoding.scores:
        columns += _score_disagreement(
            np.column_stack([_numeric_values(decisions, name) for name in encoding.scores]), score
        )
    columns += [
        _category_codes(decisions, name, levels) for name, levels in encoding.categorical.items()
    ]
    for name, entries in encoding.lists.items():
        columns += _entry_indicators(decisions, name, entries)
    out = np.column_stack(columns) if n else np.empty((0, len(columns)))
    if not encoding.text:
        return out
    if text_logits is None:
        raise ValueError("the encoding has text features, so text_logits must be given")
    texts = decisions["text"] if "text" in decisions else pd.Series([None] * n, dtype="str")
    return np.hstack([out, text_statistics(texts), _text_block(text_logits, side)])


def keep_text_recipes(X: Floats, encoding: Encoding, columns: Sequence[str]) -> Floats:
    """Return a matrix as if only some text models had been fitted, same shape.

    Parameters
    ----------
    X
        Shape (n, k), from `build_features`, with any columns after it.
    encoding
        Its encoding, with text.
    columns
        The kept models' columns, some of `TEXT_COLUMNS`.
    """
    names = encoding.names
    start = names.index(TEXT_COLUMNS[0])
    stop = start + len(TEXT_COLUMNS) + len(DERIVED_TEXT)
    kept = np.array([name in columns for name in TEXT_COLUMNS])
    logits = np.where(kept, X[:, start : start + len(TEXT_COLUMNS)], np.nan)
    side = 2 * X[:, names.index("enforced")] - 1
    out = X.copy()
    out[:, start:stop] = _text_block(logits, side)
    return out


def _text_block(logits: Floats, side: Floats) -> Floats:
    """Return the text models' columns and `DERIVED_TEXT`, over the models that are used."""
    used = logits[:, ~np.isnan(logits).all(axis=0)]
    if not used.shape[1]:
        used = logits[:, :1]
    mean = used.mean(axis=1, keepdims=True)
    spread = used.max(axis=1, keepdims=True) - used.min(axis=1, keepdims=True)
    return np.hstack([logits, -logits * side[:, None], mean, spread])


def _is_flag(values: pd.Series) -> bool:
    """Return whether a numeric column holds nothing but true and false."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return True
    return bool(values.dropna().isin([0, 1]).all())


def _frequent_levels(values: pd.Series) -> tuple[str, ...]:
    counts = values.astype("str").value_counts()
    kept = counts[counts >= min(_MIN_LEVEL, max(1, len(values) // 50))]
    kept = kept.sort_index().sort_values(ascending=False, kind="stable").head(_MAX_LEVELS)
    known = int(counts.sum())
    if not known or int(kept.sum()) < _MIN_COVER * known:
        return ()
    return tuple(sorted(str(level) for level in kept.index))


def _frequent_entries(values: pd.Series) -> tuple[str, ...]:
    """Return the frequent entries of a column of lists; none if it holds no lists."""
    texts = values.dropna().astype("str")
    if not len(texts) or texts.str.contains(_SEPARATORS).mean() < _MIN_LISTS:
        return ()
    counts = texts.str.split(_SEPARATORS).explode().value_counts()
    covered = counts[counts >= max(_MIN_LEVEL, len(values) // 200)]
    if covered.sum() < counts.sum() / 2:  # sentences with commas are not lists
        return ()
    covered = covered.sort_index().sort_values(ascending=False, kind="stable")
    return tuple(sorted(str(entry) for entry in covered.head(_MAX_ENTRIES).index if entry))


def _entry_indicators(decisions: pd.DataFrame, name: str, entries: tuple[str, ...]) -> list[Floats]:
    if name not in decisions:
        return [np.full(len(decisions), np.nan)] * len(entries)
    held = [
        None if value is None or value is pd.NA or value != value else set(_SEPARATORS.split(value))
        for value in read_levels(decisions[name], entries).astype("object")
    ]
    return [
        np.array([np.nan if h is None else float(entry in h) for h in held], dtype=np.float64)
        for entry in entries
    ]


def _score_disagreement(scores: Floats, own: Floats) -> list[Floats]:
    """Return the other moderators' highest and lowest score, and their mean minus the own score."""
    known = np.isfinite(scores)
    some = known.any(axis=1)
    high = np.where(some, np.where(known, scores, -np.inf).max(axis=1), np.nan)
    low = np.where(some, np.where(known, scores, np.inf).min(axis=1), np.nan)
    mean = np.where(known, scores, 0).sum(axis=1) / np.where(some, known.sum(axis=1), np.nan)
    return [high, low, mean - own]


def _numeric_values(decisions: pd.DataFrame, name: str) -> Floats:
    if name not in decisions:
        return np.full(len(decisions), np.nan)
    return read_numbers(decisions[name])[0]


def _category_codes(decisions: pd.DataFrame, name: str, levels: tuple[str, ...]) -> Floats:
    if name not in decisions:
        return np.full(len(decisions), np.nan)
    own = read_levels(decisions[name], levels)
    codes = pd.Index(levels).get_indexer(pd.Index(own)).astype(np.float64)
    codes[codes < 0] = np.nan
    return codes


@dataclass(frozen=True)
class ReferenceDistribution:
    """Quantiles of numeric columns, and groups of equivalent columns.

    Parameters
    ----------
    quantiles
        Column -> its evenly spaced quantiles from minimum to maximum; columns with few distinct
        values have none.
    alike
        Groups of two or more equivalent columns, the shortest name first.

    Examples
    --------
    >>> ReferenceDistribution({"price": (0.0, 10.0, 20.0)}).percentile_rank("price", 15.0)
    0.75
    """

    quantiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    alike: tuple[tuple[str, ...], ...] = ()

    def percentile_rank(self, column: str, value: float) -> float:
        """Return the share of decisions below a value, plus half of those equal to it, in [0, 1].

        NaN where unknown.
        """
        known = self.quantiles.get(column)
        if known is None or np.isnan(value):
            return float("nan")
        places = np.linspace(0, 1, len(known))
        values, first = np.unique(known, return_index=True)
        last = len(known) - 1 - np.unique(known[::-1], return_index=True)[1]
        # A value shared by many decisions has the middle of its run as its rank.
        return float(np.interp(value, values, (places[first] + places[last]) / 2))

    def to_jsonable(self) -> dict[str, Any]:
        """Return JSON-compatible values for `reference_from_jsonable`."""
        quantiles = {name: list(values) for name, values in self.quantiles.items()}
        return {"quantiles": quantiles, "alike": [list(group) for group in self.alike]}


def reference_from_jsonable(plain: Mapping[str, Any] | None) -> ReferenceDistribution:
    """Build a reference from the result of `to_jsonable`; an empty input gives an empty reference.

    Examples
    --------
    >>> reference_from_jsonable({"quantiles": {}, "alike": [["price", "price_usd"]]}).alike
    (('price', 'price_usd'),)
    >>> reference_from_jsonable(None)
    ReferenceDistribution(quantiles={}, alike=())
    """
    if not plain:
        return ReferenceDistribution()
    quantiles = {str(name): tuple(values) for name, values in plain["quantiles"].items()}
    return ReferenceDistribution(quantiles, tuple(tuple(group) for group in plain["alike"]))


def fit_reference_distribution(
    decisions: pd.DataFrame, numeric: Sequence[str], categorical: Sequence[str]
) -> ReferenceDistribution:
    """Fit the columns' quantiles, and find equivalent columns.

    Parameters
    ----------
    decisions
        Shape (n, any), training decisions.
    numeric, categorical
        Columns to use; absent ones are skipped.

    Returns
    -------
    ReferenceDistribution
        Numeric columns are equivalent from an absolute rank correlation of 0.9 (Spearman 1904);
        categorical ones if each determines the other in 95 % of the rows. All columns of a group
        are pairwise equivalent.

    Examples
    --------
    >>> price = np.arange(100.0)
    >>> frame = pd.DataFrame({"price": price, "price_usd": 1.1 * price, "age": price % 7})
    >>> fit_reference_distribution(frame, ["price", "price_usd", "age"], []).alike
    (('price', 'price_usd'),)
    """
    step = max(1, len(decisions) // _ROWS)
    some = decisions.iloc[::step]
    numbers = {name: _finite_values(some[name]) for name in numeric if name in some}
    quantiles = {name: found for name, x in numbers.items() if (found := _column_quantiles(x))}
    table = pd.DataFrame(numbers)
    close = table.corr(method="spearman", min_periods=_MIN_KNOWN).abs().to_numpy(np.float64)
    place = {name: i for i, name in enumerate(table.columns)}
    groups = _equivalent_columns(
        sorted(numbers), lambda a, b: bool(close[place[a], place[b]] >= _ALIKE)
    )
    codes = {name: pd.factorize(some[name])[0] for name in categorical if name in some}
    groups += _equivalent_columns(sorted(codes), lambda a, b: _are_equivalent(codes[a], codes[b]))
    return ReferenceDistribution(quantiles, tuple(sorted(groups)))


def _finite_values(column: pd.Series) -> Floats:
    values = column.astype("float64").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _column_quantiles(values: Floats) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    if len(np.unique(known)) < _PARTS / 2:
        return ()
    found = np.quantile(known, np.linspace(0, 1, _PARTS + 1))
    return tuple(float(v) for v in found)


def _equivalent_columns(
    names: Sequence[str], alike: Callable[[str, str], bool]
) -> list[tuple[str, ...]]:
    """Assign each column, the shortest name first, to the first group with only equivalent ones."""
    groups: list[list[str]] = []
    for name in sorted(names, key=lambda n: (len(n), n)):
        home = next((g for g in groups if all(alike(other, name) for other in g)), None)
        if home is None:
            groups.append([name])
        else:
            home.append(name)
    return [tuple(group) for group in groups if len(group) > 1]


def _are_equivalent(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> bool:
    """Return whether the values of either column nearly always determine those of the other."""
    known = (a >= 0) & (b >= 0)
    a, b = a[known], b[known]
    if len(a) < _MIN_KNOWN or len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return False
    counts = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(counts, (a, b), 1)
    most = min(counts.max(axis=0).sum(), counts.max(axis=1).sum())
    # Values seen once always match, but are no evidence.
    repeated = len(a) >= 5 * max(len(np.unique(a)), len(np.unique(b)))
    return bool(repeated and most >= _SAME * len(a))
