"""How well the model ranks and how well its probabilities are calibrated.

Ranking: the share of all errors that a review budget finds. Calibration: of decisions with a predicted error
probability of 30 %, how many were wrong.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    BY_WORDS,
    METHOD_WORDS,
    clean_text,
    finite_or_none,
    format_count,
    format_interval,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.charts import Axis, axis_position, choose_axis, spread_labels
from errdetect.report.reported_rates import IntervalEstimate

__all__ = [
    "CurvePoint",
    "MethodCurve",
    "RankedGroup",
    "RankedGroups",
    "Ranking",
    "RankingMethod",
    "Reliability",
    "ReliabilityBin",
    "ranked_groups",
    "read_ranking",
    "read_reliability",
]

_COLUMNS = ("segment", "level", "value", "low", "high", "n", "n_errors", "suppressed")
_WHOLE, _REVIEWERS = "all", "reviewers"
_MOST = 40
_BIN_COLUMNS = ("predicted", "observed", "low", "high", "n")
_NAMED = 8  # segments; more are counted


@dataclass(frozen=True)
class RankedGroup:
    """How well errors rank before correct decisions within one group.

    Parameters
    ----------
    column, label
        The column of the group, and its name.
    said
        Share of the pairs of one wrong and one correct decision in which the wrong one ranks first.
    n_errors, n
        Held-out errors and decisions behind it.
    against
        `better` or `worse` where the interval lies on that side of the overall figure, else
        `no clear difference`.
    """

    column: str
    label: str
    said: IntervalEstimate
    n_errors: int
    n: int
    against: str


@dataclass(frozen=True)
class RankedGroups:
    """The groups with a figure, worst first, and the number of others.

    Parameters
    ----------
    whole
        The same share over all held-out decisions.
    groups
        At most 40.
    n_unsaid, n_left
        Groups with too few errors or correct decisions; groups left to the table.
    """

    whole: IntervalEstimate
    groups: tuple[RankedGroup, ...]
    n_unsaid: int
    n_left: int


def ranked_groups(frame: pd.DataFrame | None, names: Mapping[str, str]) -> RankedGroups | None:
    """Read the ranking quality by group.

    Parameters
    ----------
    frame
        One row a group with `segment` (a column's name, or `all`), `level`, `value`, `low`, `high`
        (shares of pairs in the correct order), `n`, `n_errors`, `suppressed`; or None.
    names
        policy_id -> the policy's name.

    Returns
    -------
    RankedGroups or None
        None where the whole or every group is missing or suppressed.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> rows = [["all", None, 0.8, 0.7, 0.9, 900, 90, False],
    ...         ["market", "DE", 0.6, 0.5, 0.65, 90, 12, False],
    ...         ["market", "FR", None, None, None, 20, 1, True]]
    >>> columns = ["segment", "level", "value", "low", "high", "n", "n_errors", "suppressed"]
    >>> found = ranked_groups(pd.DataFrame(rows, columns=columns), {})
    >>> (found.groups[0].label, found.groups[0].against, found.n_unsaid) if found else None
    ('DE', 'worse', 1)
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, _COLUMNS, "segments")
    rows = [(row, _auroc_estimate(row)) for row in to_records(frame)]
    whole = next((said for row, said in rows if row["segment"] == _WHOLE), None)
    parts = [(row, said) for row, said in rows if row["segment"] != _WHOLE]
    groups = [_build_ranked_group(row, said, whole, names) for row, said in parts if said and whole]
    if whole is None or not groups:
        return None
    groups.sort(key=lambda g: (g.said.estimate, g.column, g.label))
    return RankedGroups(
        whole, tuple(groups[:_MOST]), len(parts) - len(groups), max(len(groups) - _MOST, 0)
    )


def _auroc_estimate(row: Mapping[str, Any]) -> IntervalEstimate | None:
    value, low, high = (finite_or_none(row[c]) for c in ("value", "low", "high"))
    if bool(row["suppressed"]) or value is None or low is None or high is None:
        return None
    return IntervalEstimate(value, low, high)


def _build_ranked_group(
    row: Mapping[str, Any],
    said: IntervalEstimate,
    whole: IntervalEstimate,
    names: Mapping[str, str],
) -> RankedGroup:
    column, level = str(row["segment"]), str(row["level"])
    against = "no clear difference"
    if said.low > whole.estimate:
        against = "better"
    elif said.high < whole.estimate:
        against = "worse"
    title = BY_WORDS[column].one if column in BY_WORDS else clean_text(column, 40)
    label = names.get(level, level) if column == "policy_id" else level
    return RankedGroup(
        "people's answers" if column == _REVIEWERS else title,
        clean_text(label),
        said,
        int(row["n_errors"]),
        int(row["n"]),
        against,
    )


_RANKING_SECTION_COLUMNS = ("method", "metric", "value", "low", "high")
_OURS, _CHANCE, _BUDGET = "model", "random", 5


@dataclass(frozen=True)
class RankingMethod:
    """One ranking method, with its results.

    Parameters
    ----------
    key, name
        Its code in the data, and its display name.
    recall
        Budget in percent of the decisions -> (share of errors found, interval or None).
    precision
        Average precision and its interval; None where not measured.
    lead
        How much the ranking's average precision exceeds this one's, resampled together;
        None where not measured.
    """

    key: str
    name: str
    recall: Mapping[float, tuple[float, IntervalEstimate | None]]
    precision: tuple[float, IntervalEstimate | None] | None
    lead: IntervalEstimate | None


@dataclass(frozen=True)
class CurvePoint:
    """A measured point of a curve, in percent of the chart; limits None where unknown."""

    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MethodCurve:
    """One method's line in the chart: its points from (0, 0), and the position of its name."""

    key: str
    name: str
    dots: tuple[CurvePoint, ...]
    label_y: float


@dataclass(frozen=True)
class Ranking:
    """The evaluation as text, chart and table.

    Parameters
    ----------
    sentence
        What reviewing a small share finds, compared with picking at random.
    rivals
        Each other method's name and result: whether the ranking is shown to beat it.
    budgets
        The budgets measured, in percent.
    methods
        The model first, then the others by name.
    x_axis, y_axis
        The chart's axes.
    curves
        The chart's lines.
    """

    sentence: str
    rivals: tuple[tuple[str, str], ...]
    budgets: tuple[float, ...]
    methods: tuple[RankingMethod, ...]
    x_axis: Axis
    y_axis: Axis
    curves: tuple[MethodCurve, ...]


def read_ranking(frame: pd.DataFrame | None) -> Ranking | None:
    """Read the evaluation of the ranking.

    Parameters
    ----------
    frame
        One row for each `method` (`model` is the ranking itself) and `metric`
        (`recall_at_5`: the share of errors in the first 5 %; `average_precision`; optionally `lead`:
        the ranking's average precision minus this method's, resampled together) with `value`,
        `low` and `high` as shares of 1; or None.

    Returns
    -------
    Ranking or None
        None where there is no evaluation of `model`.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> rows = [["model", "recall_at_5", 0.38, 0.33, 0.43]]
    >>> frame = pd.DataFrame(rows, columns=["method", "metric", "value", "low", "high"])
    >>> found = read_ranking(frame)
    >>> found.methods[0].recall[5][0] if found else None
    0.38
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, _RANKING_SECTION_COLUMNS, "evaluation")
    methods = _read_methods(frame)
    ours = next((m for m in methods if m.key == _OURS and m.recall), None)
    if ours is None:
        return None
    budgets = tuple(sorted({b for m in methods for b in m.recall}))
    budget = min(ours.recall, key=lambda b: (abs(b - _BUDGET), b))
    x_axis = choose_axis([budgets[-1] / 100])
    y_axis = choose_axis([s.high if s else v for m in methods for v, s in m.recall.values()])
    return Ranking(
        sentence=_budget_sentence(ours, budget),
        rivals=tuple(
            (m.name, _comparison_sentence(ours, m, budget))
            for m in methods
            if m.key not in (_OURS, _CHANCE) and budget in m.recall
        ),
        budgets=budgets,
        methods=methods,
        x_axis=x_axis,
        y_axis=y_axis,
        curves=_method_curves(methods, x_axis, y_axis),
    )


def _read_methods(frame: pd.DataFrame) -> tuple[RankingMethod, ...]:
    """Gather each method's results: the known ones in fixed order, then the others."""
    recall: dict[str, dict[float, tuple[float, IntervalEstimate | None]]] = {}
    precision: dict[str, tuple[float, IntervalEstimate | None]] = {}
    lead: dict[str, IntervalEstimate | None] = {}
    for row in to_records(frame):
        value, key = finite_or_none(row["value"]), str(row["method"])
        if value is None:
            continue
        recall.setdefault(key, {})
        at = re.fullmatch(r"recall_at_(\d+(?:\.\d+)?)", str(row["metric"]))
        if at:
            recall[key][float(at[1])] = (value, _result_estimate(value, row))
        elif row["metric"] == "average_precision":
            precision[key] = (value, _result_estimate(value, row))
        elif row["metric"] == "lead":
            lead[key] = _result_estimate(value, row)
    known = list(METHOD_WORDS)
    keys = sorted(recall, key=lambda k: (known.index(k) if k in known else len(known), k))
    return tuple(
        RankingMethod(
            k, METHOD_WORDS.get(k) or clean_text(k, 40), recall[k], precision.get(k), lead.get(k)
        )
        for k in keys
    )


def _result_estimate(value: float, row: Mapping[str, Any]) -> IntervalEstimate | None:
    """Read the interval, if there is one; values known without sampling have none."""
    low, high = finite_or_none(row["low"]), finite_or_none(row["high"])
    return (
        None if low is None or high is None or low == high else IntervalEstimate(value, low, high)
    )


def _whole_percent(share: float) -> str:
    """Write a share without decimals: precise enough for a sentence."""
    return f"{100 * share:.0f}\u00a0%"


def _budget_sentence(ours: RankingMethod, budget: float) -> str:
    """State what the budget finds."""
    value, said = ours.recall[budget]
    between = (
        f" (between {_whole_percent(said.low)} and {_whole_percent(said.high)})" if said else ""
    )
    return (
        f"Reviewing the {budget:g}\u00a0% ranked first finds {_whole_percent(value)} of all errors"
        f"{between}; picking at random would find {budget:g}\u00a0%."
    )


def _comparison_sentence(ours: RankingMethod, other: RankingMethod, budget: float) -> str:
    """State whether the ranking beats another: by the paired lead, or else by the intervals."""
    value, said = ours.recall[budget]
    theirs, their = other.recall[budget]
    finds = f"finds {_whole_percent(theirs)}"
    if other.lead and other.lead.low > 0:
        return f"{finds}; over the whole order this ranking is clearly better"
    if other.lead and other.lead.high < 0:
        return f"{finds}; over the whole order this ranking is clearly worse"
    if other.lead:
        return f"{finds}; over the whole order there is no clear difference"
    if said is None or their is None:
        return f"{finds}; without intervals the difference is inconclusive"
    if said.low > their.high or said.high < their.low:
        return f"{finds}: this ranking finds clearly {'more' if value > theirs else 'fewer'}"
    return f"{finds}; the two intervals overlap, so there is no clear difference"


def _method_curves(
    methods: tuple[RankingMethod, ...], x_axis: Axis, y_axis: Axis
) -> tuple[MethodCurve, ...]:
    """Position the lines and their names."""
    drawn = [m for m in methods if m.recall]
    ends = [100 - axis_position(m.recall[max(m.recall)][0], y_axis.top) for m in drawn]
    return tuple(
        MethodCurve(
            key=m.key if m.key in METHOD_WORDS else "other",
            name=m.name,
            dots=tuple(
                _curve_point(budget, *m.recall[budget], x_axis, y_axis)
                for budget in sorted(m.recall)
            ),
            label_y=label,
        )
        for m, label in zip(drawn, spread_labels(ends, 7.0), strict=True)
    )


def _curve_point(
    budget: float, value: float, said: IntervalEstimate | None, x_axis: Axis, y_axis: Axis
) -> CurvePoint:
    """Position one measured point; y runs downwards."""
    return CurvePoint(
        x=axis_position(budget / 100, x_axis.top),
        y=round(100 - axis_position(value, y_axis.top), 1),
        low=round(100 - axis_position(said.low, y_axis.top), 1) if said else None,
        high=round(100 - axis_position(said.high, y_axis.top), 1) if said else None,
    )


@dataclass(frozen=True)
class ReliabilityBin:
    """Decisions with about the same predicted probability of error.

    Parameters
    ----------
    predicted
        The mean predicted probability.
    observed
        The share that was wrong, with its interval.
    n
        Reviews behind it.
    x, y, low, high
        The point and its interval's ends in the chart, in percent; y runs downwards.
    apart
        Whether the interval excludes the prediction.
    """

    predicted: float
    observed: IntervalEstimate
    n: int
    x: float
    y: float
    low: float
    high: float
    apart: bool


@dataclass(frozen=True)
class Reliability:
    """Predicted and observed shares, as text, chart and table.

    Parameters
    ----------
    sentence
        Observed share among the most suspect decisions, and how many groups are calibrated.
    groups
        From the least to the most suspect decisions.
    scale
        The axis of both directions.
    checked
        How many segments differ from the prediction beyond chance; None where no segment
        had enough reviews to be checked.
    segments
        Those segments: name, predicted and observed share.
    """

    sentence: str
    groups: tuple[ReliabilityBin, ...]
    scale: Axis
    checked: str | None
    segments: tuple[tuple[str, str], ...]


def read_reliability(
    frame: pd.DataFrame | None, by: pd.DataFrame | None = None
) -> Reliability | None:
    r"""Read the calibration on decisions that the model had not observed.

    Parameters
    ----------
    frame
        One row a group of decisions: `predicted`, `observed`, `low`, `high` as shares of 1, and `n`
        reviews; or None.
    by
        One row a segment: `column`, `value`, `differs` and the same columns; or None.

    Returns
    -------
    Reliability or None
        None where there is nothing to show.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> rows = [[0.05, 0.06, 0.04, 0.09, 400], [0.31, 0.22, 0.18, 0.27, 400]]
    >>> found = read_reliability(pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"]))
    >>> found.sentence.replace("\xa0", " ")[:83] if found else None
    'Of decisions with a predicted error probability of 31.0 %, 22.0 % were wrong (18.0 '
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, _BIN_COLUMNS, "reliability")
    rows = sorted(
        (r for r in map(_read_bin, to_records(frame)) if r),
        key=lambda r: (r[0], r[1].estimate, r[2]),
    )
    if not rows:
        return None
    scale = choose_axis(
        [most for predicted, observed, _ in rows for most in (predicted, observed.high)]
    )
    groups = tuple(_reliability_bin(*row, scale) for row in rows)
    return Reliability(_calibration_sentence(groups), groups, scale, *_miscalibrated_segments(by))


def _read_bin(row: dict[str, object]) -> tuple[float, IntervalEstimate, int] | None:
    predicted, observed, low, high, n = (finite_or_none(row[c]) for c in _BIN_COLUMNS)
    if predicted is None or observed is None or low is None or high is None or n is None:
        return None
    return predicted, IntervalEstimate(observed, low, high), int(n)


def _reliability_bin(
    predicted: float, observed: IntervalEstimate, n: int, scale: Axis
) -> ReliabilityBin:
    return ReliabilityBin(
        predicted=predicted,
        observed=observed,
        n=n,
        x=axis_position(predicted, scale.top),
        y=round(100 - axis_position(observed.estimate, scale.top), 1),
        low=round(100 - axis_position(observed.low, scale.top), 1),
        high=round(100 - axis_position(observed.high, scale.top), 1),
        apart=not observed.low <= predicted <= observed.high,
    )


def _calibration_sentence(groups: tuple[ReliabilityBin, ...]) -> str:
    top = groups[-1]
    held = sum(not g.apart for g in groups)
    return (
        f"Of decisions with a predicted error probability of {format_percent(top.predicted)}, "
        f"{format_percent(top.observed.estimate)} were wrong ({format_interval(top.observed.low, top.observed.high)}). "
        f"In {held} of {len(groups)} groups the interval includes the prediction."
    )


def _miscalibrated_segments(
    by: pd.DataFrame | None,
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """State how many segments differ from the prediction, and name the largest gaps first."""
    if by is None or not has_rows(by):
        return None, ()
    require_columns(by, ("column", "value", "differs", *_BIN_COLUMNS), "reliability by segment")
    apart = [
        (_segment_name(row), *found)
        for row in to_records(by)
        if row["differs"] is True and (found := _read_bin(row))
    ]
    checked = f"Of {format_count(len(by))} segments with enough reviews to check"
    if not apart:
        return f"{checked}, none differs from the prediction beyond chance.", ()
    apart.sort(key=lambda one: (-abs(one[1] - one[2].estimate), one[0]))
    named = tuple(
        (
            name,
            f"predicted {format_percent(predicted)}, observed {format_percent(observed.estimate)}",
        )
        for name, predicted, observed, _ in apart[:_NAMED]
    )
    first = "" if len(apart) <= _NAMED else f"; the {_NAMED} largest gaps"
    verb = "differs" if len(apart) == 1 else "differ"
    why = f"{checked}, {format_count(len(apart))} {verb} from the prediction beyond chance"
    return f"{why}{first}:", named


def _segment_name(row: dict[str, object]) -> str:
    column = str(row["column"])
    word = BY_WORDS[column].one if column in BY_WORDS else clean_text(column, 40)
    return f"{word} {clean_text(row['value'], 60)}"
