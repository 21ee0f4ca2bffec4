"""Typical values of a log's columns, and equivalent columns: for explanations, not for scoring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["ReferenceDistribution", "fit_reference_distribution", "reference_from_jsonable"]

Floats = npt.NDArray[np.float64]

_ROWS = 2_000  # sampled rows: enough to find equivalent columns
_PARTS = 20  # quantiles per column
_MIN_KNOWN = 50  # rows with both columns known; fewer are inconclusive
_ALIKE = 0.9  # rank correlation from which two numeric columns are equivalent
_SAME = 0.95  # share of rows in which one column's value determines the other's


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
