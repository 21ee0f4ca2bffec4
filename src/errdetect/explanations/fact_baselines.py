"""How often decisions with a fact are wrong, and how often all are: what a reason is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.stats.effective_size import effective_size

__all__ = [
    "Baseline",
    "FactBaselines",
    "FactSignal",
    "baselines_from_jsonable",
    "fact_signal",
    "fit_fact_baselines",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SIDES = ("allowed", "enforced")
#: The feature that holds a reason's fact, where it is not the column of that name.
_NUMBERS = {
    "text": "text_logit_mean",
    "text_shape": "text_chars",
    "segment": "segment_logit",
    "usual": "usual_logit",
    "other_policy": "other_policy_logit",
    "other_scores": "scores_max",
    "history_changes": "history_moderator_version_days",
}
_CATEGORIES = {"moderator": ("moderator", "moderator_version")}
_MOST_PARTS = 8  # of a number's range, with about equally many decisions each
_MOST_VALUES = 200  # of a category
_LEAST = 15  # labelled decisions with a fact
_LEAST_AUDITED = 200  # of a side, so that the designed audit alone is used
_PRIOR = 20.0  # decisions that the side's rate is worth in that of a fact
_BEYOND, _RATIO = 1.0, 1.2  # standard errors, and times the side's rate, from which it differs


@dataclass(frozen=True)
class FactSignal:
    """The fact behind a reason, as a number or as a category.

    Parameters
    ----------
    number
        Shape (n,); NaN where the fact is no number or unknown.
    category
        Shape (n,), text; None where the fact is a number or unknown.
    """

    number: Floats
    category: npt.NDArray[np.object_]


def fact_signal(code: str, decisions: pd.DataFrame, X: Floats, names: Sequence[str]) -> FactSignal:
    """Return the fact that a reason's sentence states, for n decisions.

    Parameters
    ----------
    code
        The reason.
    decisions
        Shape (n, any).
    X, names
        Shape (n, k), their features, and the features' names.

    Examples
    --------
    >>> frame = pd.DataFrame({"decision_id": ["a"], "market": ["DE"]})
    >>> fact_signal("market", frame, np.empty((1, 0)), []).category.tolist()
    ['DE']
    """
    columns = {name: X[:, i] for i, name in enumerate(names)}
    unknown = np.full(len(decisions), np.nan)
    nothing = np.full(len(decisions), None, dtype=object)
    if code.startswith("history_") and code not in _NUMBERS:
        return _record_signal(code, columns, unknown)
    if code == "similar":
        return _similar_signal(columns, unknown)
    name = _NUMBERS.get(code, code)
    if name in columns and (code in _NUMBERS or _is_number(decisions, code)):
        return FactSignal(columns[name], nothing)
    parts = [c for c in _CATEGORIES.get(code, (code,)) if c in decisions]
    if not parts:
        return FactSignal(unknown, nothing)
    known = decisions[parts].notna().all(axis=1).to_numpy(bool)
    words = decisions[parts].astype("str").fillna("")
    text = words[parts[0]]
    for other in parts[1:]:
        text = text + ", " + words[other]
    nothing[known] = text.to_numpy(object)[known]
    return FactSignal(unknown, nothing)


def _is_number(decisions: pd.DataFrame, code: str) -> bool:
    if code not in decisions:
        return True  # a feature of ours
    column = decisions[code]
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _record_signal(code: str, columns: Mapping[str, Floats], unknown: Floats) -> FactSignal:
    """Return the share of reviewed decisions that were wrong, or why there is none."""
    made, reviewed, errors, complaints = (
        columns.get(f"{code}_{what}_90d", unknown)
        for what in ("decisions", "reviewed", "errors", "complaints")
    )
    share = np.where(reviewed > 0, errors / np.where(reviewed > 0, reviewed, 1.0), np.nan)
    why = np.select(
        [np.isnan(made), reviewed > 0, complaints > 0, made > 0],
        ["", "", "complained", "unreviewed"],
        "new",
    ).astype(object)
    why[why == ""] = None
    return FactSignal(np.where(np.isnan(made), np.nan, share), why)


def _similar_signal(columns: Mapping[str, Floats], unknown: Floats) -> FactSignal:
    """Return the share decided wrongly of the closest content that was reviewed."""
    kinds = [
        name.removeprefix("similar_").removesuffix("_reviewed")
        for name in columns
        if name.startswith("similar_") and name.endswith("_reviewed")
    ]
    share, seen = unknown.copy(), np.zeros(len(unknown), dtype=bool)
    order = {"item": 0, "text": 1, "near": 3}
    for kind in sorted(kinds, key=lambda k: (order.get(k, 2), k)):
        reviewed = columns[f"similar_{kind}_reviewed"] > 0
        wrong = columns.get(f"similar_{kind}_wrong", unknown)
        share = np.where(reviewed & np.isnan(share), wrong, share)
        seen |= columns.get(f"similar_{kind}_decisions", unknown) > 0
    why = np.where(seen, "unreviewed", "new").astype(object)
    why[~np.isnan(share)] = None
    return FactSignal(share, why)


@dataclass(frozen=True)
class Baseline:
    """What is known of n decisions with a fact.

    Parameters
    ----------
    rate
        Shape (n,), how many decisions of the same side with such a fact were wrong; NaN where too
        few were reviewed.
    overall
        Shape (n,), how many of all decisions of the side were wrong; NaN where unknown.
    direction
        Shape (n,), 1 where the rate is clearly above the side's, -1 below, else 0.
    """

    rate: Floats
    overall: Floats
    direction: Ints


@dataclass(frozen=True)
class FactBaselines:
    """Error rates by fact, from labels of training, by side.

    Parameters
    ----------
    overall
        Side (`enforced`, `allowed`) -> the error rate of its decisions.
    reviewed
        The share of all labelled decisions that are wrong, audited or not; NaN where unknown.
    edges
        Side -> reason -> inner edges of the parts of a number's range.
    rates
        Side -> reason -> part or category -> (error rate, decisions that it is worth).
    """

    overall: Mapping[str, float] = field(default_factory=dict)
    reviewed: float = float("nan")
    edges: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    rates: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]] = field(
        default_factory=dict
    )

    def compare(self, code: str, signal: FactSignal, enforced: Mask) -> Baseline:
        """Return the baseline of n decisions for one reason."""
        n = len(enforced)
        rate, overall, size = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n)
        for side, rows in zip(_SIDES, (~enforced, enforced), strict=True):
            overall[rows] = self.overall.get(side, np.nan)
            known = self.rates.get(side, {}).get(code)
            if known is None:
                continue
            keys = _keys(signal, self.edges.get(side, {}).get(code, ()))
            for key in set(keys[rows]) & set(known):
                at = rows & (keys == key)
                rate[at], size[at] = known[key]
        error = np.sqrt(overall * (1 - overall) / np.maximum(size, 1.0))
        gap = rate - overall
        clear = np.abs(gap) >= _BEYOND * error
        up = clear & (gap > 0) & (rate >= _RATIO * overall)
        down = clear & (gap < 0) & (rate <= overall / _RATIO)
        return Baseline(rate, overall, up.astype(np.int64) - down.astype(np.int64))

    def joined(self, other: "FactBaselines") -> "FactBaselines":
        """Add the facts of other decisions, their rates in proportion to each side's own here."""
        edges = {side: {**self.edges.get(side, {}), **other.edges.get(side, {})} for side in _SIDES}
        rates = {side: dict(self.rates.get(side, {})) for side in _SIDES}
        for side, codes in other.rates.items():
            scale = self.overall.get(side, np.nan) / max(other.overall[side], 1e-9)
            if np.isfinite(scale):
                rates[side] |= {
                    code: {key: (min(rate * scale, 1.0), n) for key, (rate, n) in found.items()}
                    for code, found in codes.items()
                }
        return FactBaselines(self.overall, self.reviewed, edges, rates)

    def to_jsonable(self) -> dict[str, Any]:
        """Return JSON-compatible values for `baselines_from_jsonable`."""
        return {
            "overall": dict(self.overall),
            "reviewed": None if np.isnan(self.reviewed) else self.reviewed,
            "edges": {
                side: {code: list(edges) for code, edges in codes.items()}
                for side, codes in self.edges.items()
            },
            "rates": {
                side: {
                    code: {k: list(v) for k, v in found.items()} for code, found in codes.items()
                }
                for side, codes in self.rates.items()
            },
        }


def baselines_from_jsonable(plain: Mapping[str, Any] | None) -> FactBaselines | None:
    """Build baselines from the result of `to_jsonable`; None for models trained without.

    Examples
    --------
    >>> baselines_from_jsonable({"overall": {"enforced": 0.1}, "edges": {}, "rates": {}}).overall
    {'enforced': 0.1}
    >>> baselines_from_jsonable(None) is None
    True
    """
    if not plain:
        return None
    rates = {
        side: {code: {k: (float(r), float(n)) for k, (r, n) in found.items()}
               for code, found in codes.items()}
        for side, codes in plain["rates"].items()
    }  # fmt: skip
    reviewed = plain.get("reviewed")
    share = float("nan") if reviewed is None else float(reviewed)
    return FactBaselines(dict(plain["overall"]), share, dict(plain["edges"]), rates)


def fit_fact_baselines(
    signals: Mapping[str, FactSignal], enforced: Mask, p_error: Floats, design: Floats
) -> FactBaselines:
    """Measure how often labelled decisions with each fact are wrong.

    Parameters
    ----------
    signals
        Reason -> its fact, of the n labelled decisions.
    enforced
        Shape (n,), whether the machine acted.
    p_error
        Shape (n,), P(error) by their reviews.
    design
        Shape (n,), decisions that each stands for in the audit; 0 where no design drew it. A side
        with 200 audited decisions rests on these alone, any other on every label alike.

    Returns
    -------
    FactBaselines
        Rates lean on the side's with 20 decisions' weight; facts of fewer than 15 have none.

    Examples
    --------
    >>> market = np.array(["DE", "FR"] * 200, dtype=object)
    >>> signals = {"market": FactSignal(np.full(400, np.nan), market)}
    >>> wrong = np.where(market == "DE", 0.3, 0.1)
    >>> found = fit_fact_baselines(signals, np.ones(400, bool), wrong, np.ones(400))
    >>> found.compare("market", signals["market"], np.ones(400, bool)).direction[:2].tolist()
    [1, -1]
    """
    overall: dict[str, float] = {}
    edges: dict[str, dict[str, list[float]]] = {}
    rates: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for side, on in zip(_SIDES, (~enforced, enforced), strict=True):
        audited = on & (design > 0)
        rows = audited if audited.sum() >= _LEAST_AUDITED else on
        if rows.sum() < _LEAST:
            continue
        weight = design[rows] if rows is audited else np.ones(int(rows.sum()))
        overall[side] = float(np.average(p_error[rows], weights=weight))
        edges[side], rates[side] = {}, {}
        for code, signal in signals.items():
            part = FactSignal(signal.number[rows], signal.category[rows])
            inner = _inner_edges(part.number)
            keys = _keys(part, inner)
            found = _rates(keys, p_error[rows], weight, overall[side])
            if found:
                rates[side][code] = found
                if inner:
                    edges[side][code] = inner
    reviewed = float(p_error.mean()) if len(p_error) else float("nan")
    return FactBaselines(overall, reviewed, edges, rates)


def _inner_edges(number: Floats) -> list[float]:
    known = number[np.isfinite(number)]
    parts = min(_MOST_PARTS, len(known) // (2 * _LEAST))
    if parts < 2:
        return []
    found = np.unique(np.quantile(known, np.linspace(0, 1, parts + 1)[1:-1]))
    return [float(edge) for edge in found]


def _keys(signal: FactSignal, edges: Sequence[float]) -> npt.NDArray[np.object_]:
    """Return each decision's part or category; numbers equal to an edge are in the lower part."""
    part = np.searchsorted(np.asarray(edges, np.float64), signal.number, side="left")
    number = np.array([f"#{i}" for i in range(len(edges) + 1)], dtype=object)[
        np.minimum(part, len(edges))
    ]
    number[~np.isfinite(signal.number)] = "?"
    pairs = zip(signal.category, number, strict=True)
    return np.array([n if c is None else f"={c}" for c, n in pairs], dtype=object)


def _rates(
    keys: npt.NDArray[np.object_], p_error: Floats, weight: Floats, overall: float
) -> dict[str, tuple[float, float]]:
    code, values = pd.factorize(keys)
    counts = np.bincount(code)
    found = {}
    for i in np.argsort(-counts, kind="stable")[:_MOST_VALUES]:
        rows = code == i
        size = effective_size(weight[rows])
        if counts[i] < _LEAST:
            continue
        rate = float(np.average(p_error[rows], weights=weight[rows]))
        leaning = (size * rate + _PRIOR * overall) / (size + _PRIOR)
        found[str(values[i])] = (round(leaning, 5), round(float(size), 1))
    return found
