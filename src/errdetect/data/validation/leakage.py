"""A screen for features that may be known only after the decision, or that are ids."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.validation.issues import Issue
from errdetect.schemas import DECISIONS, GOLDEN, OVERTURNED, UPHELD
from errdetect.stats.ranking_metrics import auroc

__all__ = ["check_leakage"]

_LATER = r"(?:appeal|overturn|revers|reinstat|restor|refund|outcome|verdict|review|resolved)"
_LATER_NAME = re.compile(rf"(?:^|[^a-z]){_LATER}|(?:_after|_later|_post)$")
_ID_NAME = re.compile(r"(?:^|_)(?:id|uuid|guid)$")
_SEPARATES = 0.995
_ENOUGH = 30
_PER_LEVEL = 5
_HARDLY, _OFTEN = 0.001, 0.05
_MOSTLY = 0.95  # share of values that parse as times above which a column holds times
_ISO_DAY = r"^\d{4}-\d{2}-\d{2}"
#: 2000-01-01 and 2100-01-01 in epoch seconds, and the units of epoch numbers in seconds.
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
_UNITS = (1, 10**3, 10**6, 10**9)


def check_leakage(decisions: pd.DataFrame, reviews: pd.DataFrame | None) -> Iterator[Issue]:
    """Screen the features.

    Parameters
    ----------
    decisions
        Clean frame; every column that is not the contract's is a feature.
    reviews
        Clean frame, or None.

    Yields
    ------
    Issue
        D015 names that suggest facts from after the decision; D016 features that alone separate
        overturned from upheld; D017 features that only reviewed decisions have, or that vary for
        these only; D018 ids; D019 times later than the decision.
    """
    contract = {column.name for column in DECISIONS}
    features = [str(name) for name in decisions if name not in contract and name != "enforced"]
    late = [name for name in features if _LATER_NAME.search(_to_snake_case(name))]
    if late:
        message = (
            f"Columns whose names suggest that they are known only after the decision: {len(late)}. "
            "If so, drop them: a model that learns from them fails on new decisions."
        )
        yield Issue.of("D015", "warning", message, len(late), late)
    yield from _check_ids(decisions, features)
    yield from _check_later_times(decisions, features)
    if reviews is not None:
        labels = _review_labels(decisions, reviews)
        for name in features:
            yield from _check_separation(name, decisions[name], labels)
        reviewed = decisions["decision_id"].isin(reviews["decision_id"]).to_numpy()
        yield from _check_review_only_values(decisions, features, reviewed)


def _to_snake_case(name: object) -> str:
    """Write `appealOutcome` as `appeal_outcome`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower()


def _check_ids(decisions: pd.DataFrame, features: list[str]) -> Iterator[Issue]:
    ids = []
    for name in features:
        values = decisions[name]
        text = isinstance(values.dtype, pd.StringDtype)
        known = int(values.notna().sum())
        many = text and known >= 100 and values.nunique() > known / 2
        if many or _ID_NAME.search(_to_snake_case(name)):
            ids.append(name)
    if ids:
        message = (
            f"Columns that are ids, or hold nearly as many values as rows: {len(ids)}. "
            "They identify rows and explain nothing."
        )
        yield Issue.of("D018", "warning", message, len(ids), ids)


def _review_labels(decisions: pd.DataFrame, reviews: pd.DataFrame) -> npt.NDArray[Any]:
    """Label decisions whose reviews agree: 1 overturned, 0 upheld, NaN everything else."""
    counted = reviews[(reviews["source"] != GOLDEN) & reviews["verdict"].isin([OVERTURNED, UPHELD])]
    wrong = (counted["verdict"] == OVERTURNED).astype(float)
    share = wrong.groupby(counted["decision_id"]).mean()
    share = share[(share == 0) | (share == 1)]
    return decisions["decision_id"].map(share).to_numpy(dtype=np.float64)


def _check_separation(
    name: str, values: "pd.Series[float]", labels: npt.NDArray[Any]
) -> Iterator[Issue]:
    known = ~np.isnan(labels)
    wrong = labels[known] == 1
    if min(wrong.sum(), (~wrong).sum()) < _ENOUGH:
        return
    column = values[known]
    orders: list[npt.NDArray[Any]] = [column.isna().to_numpy(dtype=np.float64)]
    if not isinstance(column.dtype, pd.StringDtype):
        orders.append(column.astype(np.float64).fillna(-np.inf).to_numpy())
    elif column.nunique() * _PER_LEVEL <= len(column):
        levels = column.fillna("")
        orders.append(pd.Series(wrong, levels.index).groupby(levels).transform("mean").to_numpy())
    best = max(_best_auroc(order, wrong) for order in orders)
    if best > _SEPARATES:
        message = (
            f"The column {name} alone separates overturned from upheld decisions "
            f"(AUROC {best:.3f}). Possible leak: drop it if the review sets it."
        )
        yield Issue.of("D016", "warning", message, int(known.sum()), [name])


def _best_auroc(values: npt.NDArray[Any], wrong: npt.NDArray[Any]) -> float:
    """Return the AUROC of the better direction, ties counted half (Mann-Whitney)."""
    share = auroc(wrong.astype(np.float64), values)
    return max(share, 1 - share)


def _check_review_only_values(
    decisions: pd.DataFrame, features: list[str], reviewed: npt.NDArray[np.bool_]
) -> Iterator[Issue]:
    if (~reviewed).sum() < _ENOUGH:
        return
    only, vary = [], []
    for name in features:
        known = decisions[name].notna().to_numpy()
        if known[reviewed].sum() >= _ENOUGH and not known[~reviewed].any():
            only.append(name)
        elif _varies_only_if_reviewed(decisions[name], reviewed):
            vary.append(name)
    for found, what in (
        (only, "with values for reviewed decisions only"),
        (
            vary,
            "that hardly vary among unreviewed decisions, but do among reviewed ones",
        ),
    ):
        if found:
            message = f"Columns {what}: {len(found)}. Possible leak: drop what the review sets."
            yield Issue.of("D017", "warning", message, len(found), found)


def _varies_only_if_reviewed(values: "pd.Series[Any]", reviewed: npt.NDArray[np.bool_]) -> bool:
    """Return whether a column has one value, perhaps missing, except for reviewed decisions."""
    codes = pd.factorize(values)[0] + 1
    usual = np.bincount(codes[~reviewed]).argmax()
    other = codes != usual
    often = other[reviewed].sum() >= _ENOUGH and other[reviewed].mean() >= _OFTEN
    return bool(often and other[~reviewed].mean() <= _HARDLY)


def _check_later_times(decisions: pd.DataFrame, features: list[str]) -> Iterator[Issue]:
    decided = decisions["decided_at"].dt.as_unit("us")
    for name in features:
        times = _parse_times(decisions[name])
        if times is None:
            continue
        later = decisions["decision_id"][times > decided]
        if len(later):
            message = (
                f"The column {name} holds times later than decided_at: {len(later):,}. Possible leak: "
                "drop it and what was recorded with it, unless it was planned before the decision."
            )
            yield Issue.of("D019", "warning", message, len(later), later)


def _parse_times(values: "pd.Series[Any]") -> "pd.Series[pd.Timestamp] | None":
    """Read a column of times, as text or epoch numbers; None if it is not one."""
    known = values.dropna()
    if known.empty or pd.api.types.is_bool_dtype(values.dtype):
        return None
    if isinstance(values.dtype, pd.StringDtype):
        if known.str.contains(_ISO_DAY).mean() < _MOSTLY:
            return None
        times = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
        return times if times[known.index].notna().mean() >= _MOSTLY else None
    for unit in _UNITS:
        seconds = known.astype(np.float64) / unit
        if seconds.between(_FIRST_SECOND, _LAST_SECOND).mean() >= _MOSTLY:
            inside = (values / unit).where((values / unit).between(_FIRST_SECOND, _LAST_SECOND))
            return pd.to_datetime(inside, unit="s", utc=True)
    return None
