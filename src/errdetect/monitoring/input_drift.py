"""Drift of inputs and scores: distributions, new values, missing values and volume."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtri
from scipy.stats import wasserstein_distance

from errdetect.config_schema import MonitorSettings
from errdetect.monitoring.audit_stream import Periods
from errdetect.monitoring.checks import Check, compare_with_limit
from errdetect.stats.drift import population_stability

__all__ = ["input_checks"]

Floats = npt.NDArray[np.float64]

#: Columns that name one thing each, or say when: their values are new by nature.
_NOT_COMPARED = {
    "decision_id", "item_id", "account_id", "decided_at", "text", "enforced", "moderator_version",
}  # fmt: skip
_BINS, _MOST_VALUES = 10, 50
#: Rows of a period that a distribution is computed from.
_SAMPLE = 50_000
_MIN_ROWS = 200
#: How seldom an index may pass its limit without any change.
_ACCIDENT = 1e-3


def input_checks(
    decisions: pd.DataFrame, periods: Periods, settings: MonitorSettings
) -> tuple[Check, ...]:
    """Compare the window's decisions with the reference's, column by column.

    Parameters
    ----------
    decisions
        With decided_at and any columns.
    periods, settings
        The periods to compare; `monitor` of the config.

    Returns
    -------
    tuple of Check
        `volume`; for each column `missing_feature`, then `feature_drift` (population stability
        index; `score_drift` for the score), `feature_shift` (Wasserstein distance in standard
        deviations of the reference, for numbers) or `new_values` (share of values that the
        reference did not have).
    """
    old = decisions[periods.in_reference(decisions["decided_at"])]
    new = decisions[periods.in_window(decisions["decided_at"])]
    checks = [_volume(decisions, periods, settings, len(old), len(new))]
    for column in decisions.columns:
        if column not in _NOT_COMPARED and not str(column).lower().endswith("hash"):
            checks.extend(_column_checks(str(column), old[column], new[column], settings))
    return tuple(checks)


def _volume(
    decisions: pd.DataFrame, periods: Periods, settings: MonitorSettings, old: int, new: int
) -> Check:
    """Compare decisions a day; a log without the reference period is unknown."""
    day = pd.Timedelta(days=1)
    first = decisions["decided_at"].min()
    begin = max(periods.reference_from, first.floor("D")) if len(decisions) else first
    days_old = (periods.reference_to - begin) / day if old else 0.0
    days_new = (periods.now - max(periods.window_from, periods.reference_to)) / day
    if days_old < 1 or days_new < 1:
        return Check("volume", "all", "unknown", note="the log does not reach into both periods")
    value, reference = new / days_new, old / days_old
    limit = settings.volume * reference
    status = compare_with_limit(value, limit, most=False)
    return Check(
        "volume", "all", status, value, limit=limit, reference=reference, note="decisions a day"
    )


def _column_checks(
    column: str, old: "pd.Series[Any]", new: "pd.Series[Any]", settings: MonitorSettings
) -> Iterator[Check]:
    """Compare a column's values, its missing ones and its new words with the reference's."""
    missing_old, missing_new = float(old.isna().mean()), float(new.isna().mean())
    if min(len(old), len(new)) < _MIN_ROWS:
        note = f"fewer than {_MIN_ROWS} decisions in a period"
        yield Check("missing_feature", column, "unknown", note=note)
        return
    limit = missing_old + settings.missing
    status = compare_with_limit(missing_new, limit)
    yield Check(
        "missing_feature", column, status, missing_new, limit=limit, reference=missing_old,
        note="share of decisions without a value",
    )  # fmt: skip
    old, new = _some(old.dropna()), _some(new.dropna())
    if min(len(old), len(new)) < _MIN_ROWS:
        return
    name = "score_drift" if column == "score" else "feature_drift"
    if pd.api.types.is_numeric_dtype(old) and not pd.api.types.is_bool_dtype(old):
        before, after = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
        yield _drift(name, column, _binned(before, after), (len(old), len(new)), settings)
        spread = float(before.std())
        if spread > 0:
            moved = float(wasserstein_distance(before, after)) / spread
            yield Check(
                "feature_shift", column, compare_with_limit(moved, settings.shift), moved,
                limit=settings.shift, note="Wasserstein distance in standard deviations",
            )  # fmt: skip
        return
    values = old.astype("str").value_counts(normalize=True)
    later = new.astype("str").value_counts(normalize=True)
    if len(values) > _MOST_VALUES:
        return
    known = later.index.isin(values.index)
    fresh = float(later[~known].sum())
    some = ", ".join(sorted(later.index[~known])[:3])
    yield Check(
        "new_values", column, compare_with_limit(fresh, settings.missing), fresh,
        limit=settings.missing, note=f"new: {some}" if some else "no new value",
    )  # fmt: skip
    index = values.index.union(later.index)
    was, now = (
        np.asarray(part.reindex(index, fill_value=0.0), dtype=np.float64)
        for part in (values, later)
    )
    yield _drift(name, column, (was, now), (len(old), len(new)), settings)


def _some(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Take evenly spaced values where there are many."""
    step = -(-len(values) // _SAMPLE)
    return values.iloc[::step] if step > 1 else values


def _binned(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Return the shares of the reference's tenths in both."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))

    def shares(values: Floats) -> Floats:
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        return np.asarray(counts / len(values))

    return shares(before), shares(after)


def _drift(
    name: str,
    column: str,
    shares: tuple[Floats, Floats],
    sizes: tuple[int, int],
    settings: MonitorSettings,
) -> Check:
    """Hold the index against its limit, or what it reaches by accident in one of a thousand samples.

    Without any change it is about (1/n + 1/m) times chi-squared with one degree fewer than classes.
    """
    value = population_stability(*shares)
    degrees = max(int(((shares[0] > 0) | (shares[1] > 0)).sum()) - 1, 1)
    accident = float(chdtri(degrees, _ACCIDENT)) * (1 / sizes[0] + 1 / sizes[1])
    limit = max(settings.drift, accident)
    note = "population stability index"
    return Check(name, column, compare_with_limit(value, limit), value, limit=limit, note=note)
