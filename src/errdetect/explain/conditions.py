"""Conditions over the log's own columns: which there may be, what they hold, how they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import visible

__all__ = ["Condition", "Conditions", "condition_columns", "conditions_of", "held", "rule_text"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: Columns that identify, that the decision itself made, or that only weigh harm.
_NEVER = {
    "decision_id", "item_id", "account_id", "policy_id", "decided_at", "action", "enforced",
    "text", "score", "threshold", "exposure",
}  # fmt: skip
_FEW = 12  # distinct numbers up to which each is a cut
_LEVELS = 60  # values of one column that are tried, the most frequent
_SHARES = (0.05, *(i / 10 for i in range(1, 10)), 0.95)
_DIGITS = 3
_SHOWN = 60


@dataclass(frozen=True)
class Condition:
    """One condition of a rule: a column, `==`, `>=` or `<`, and a value. Missing meets none."""

    column: str
    op: str
    value: Any

    def plain(self) -> dict[str, Any]:
        """Return it as the contract's {column, op, value}."""
        return {"column": self.column, "op": self.op, "value": self.value}


@dataclass(frozen=True)
class Conditions:
    """Conditions with the rows that meet them.

    Parameters
    ----------
    items
        k conditions.
    met
        Shape (m, k), which rows meet which, float32.
    """

    items: tuple[Condition, ...]
    met: npt.NDArray[np.float32]


def condition_columns(decisions: pd.DataFrame, leave_out: Sequence[str] = ()) -> list[str]:
    """Name the columns that conditions may be about.

    Identifiers, texts, what the decision itself made (`action`, scores and bars) and `exposure` are
    left out: a rule about them says nothing that could be changed. Bars have their own what-if.

    Parameters
    ----------
    decisions
        The decision log.
    leave_out
        Further columns to leave out.

    Examples
    --------
    >>> log = pd.DataFrame({"decision_id": ["d"], "score": [0.1], "market": ["DE"]})
    >>> condition_columns(log)
    ['market']
    """
    return [
        str(name)
        for name in decisions.columns
        if name not in _NEVER and name not in leave_out and not str(name).startswith("score_")
    ]


def conditions_of(frame: pd.DataFrame, *, least: int) -> Conditions:
    """List the conditions that at least so many rows meet, and as many do not.

    Numbers are cut where the data's own shares lie (5, 10, 20, ... 95 %), rounded to three digits;
    few distinct numbers at each. Of text the most frequent values are tried.

    Parameters
    ----------
    frame
        Shape (m, columns), only columns that conditions may be about.
    least
        Rows that a condition must hold.

    Examples
    --------
    >>> found = conditions_of(pd.DataFrame({"market": ["DE", "DE", "FR", "FR"]}), least=2)
    >>> [c.value for c in found.items], found.met.tolist()[0]
    (['DE', 'FR'], [1.0, 0.0])
    """
    items: list[Condition] = []
    met: list[Bools] = []
    for name in frame.columns:
        for condition, rows in _of_column(str(name), frame[name]):
            if least <= rows.sum() <= len(frame) - least:
                items.append(condition)
                met.append(rows)
    stacked = np.array(met, dtype=np.float32).T if met else np.zeros((len(frame), 0), np.float32)
    return Conditions(tuple(items), np.ascontiguousarray(stacked))


def _of_column(name: str, column: "pd.Series[Any]") -> list[tuple[Condition, Bools]]:
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if number:
        return _numbers(name, column.to_numpy(np.float64, na_value=np.nan))
    boolean, text = pd.api.types.is_bool_dtype(column), pd.api.types.is_string_dtype(column)
    if not (boolean or text or isinstance(column.dtype, pd.CategoricalDtype)):
        return []
    codes, values = pd.factorize(column, sort=True)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    top = np.sort(np.argsort(-counts, kind="stable")[:_LEVELS])
    return [(Condition(name, "==", _native(values[i])), codes == i) for i in top if counts[i] > 1]


def _numbers(name: str, values: Floats) -> list[tuple[Condition, Bools]]:
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) < 2:
        return []
    shares = np.unique([_rounded(v) for v in np.quantile(known, _SHARES)])
    cuts = distinct[1:] if len(distinct) <= _FEW else shares
    out = []
    for cut in cuts.tolist():
        out.append((Condition(name, ">=", cut), values >= cut))
        out.append((Condition(name, "<", cut), values < cut))
    return out


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _native(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def held(frame: pd.DataFrame, rule: Sequence[Condition]) -> Bools:
    """Say which rows meet every condition, shape (n,); a missing value meets none.

    Examples
    --------
    >>> log = pd.DataFrame({"price": [2.0, 9.0, float("nan")]})
    >>> held(log, [Condition("price", "<", 5.0)]).tolist()
    [True, False, False]
    """
    rows = np.ones(len(frame), dtype=bool)
    for condition in rule:
        column = frame[condition.column]
        if condition.op == "==":
            met = (column == condition.value).fillna(False).to_numpy(dtype=bool)
        else:
            values = column.to_numpy(np.float64, na_value=np.nan)
            met = values >= condition.value if condition.op == ">=" else values < condition.value
        rows &= met
    return rows


def rule_text(rule: Sequence[Condition]) -> str:
    """Say a rule in plain words.

    Examples
    --------
    >>> rule_text([Condition("category", "==", "toys"), Condition("price", ">=", 25.0)])
    'category is toys and price is at least 25'
    """
    words = {"==": "is", ">=": "is at least", "<": "is below"}
    return " and ".join(
        f"{_short(c.column.replace('_', ' '))} {words[c.op]} {_value(c.value)}" for c in rule
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.6g}" if isinstance(value, int | float) else _short(str(value))


def _short(text: str) -> str:
    shown = visible(text).replace("\n", " ")
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
