"""Rule conditions on the log's columns: which are allowed, which rows meet them, their text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, error_message, escape_hidden

__all__ = [
    "ALTERED",
    "Condition",
    "ConditionMatrix",
    "condition_columns",
    "drop_altered",
    "finding_mask",
    "list_conditions",
    "parse_conditions",
    "proposal_mask",
    "rule_mask",
    "rule_text",
    "scope_mask",
]


Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: Columns that identify, that the decision itself sets, or that only weigh harm.
_NEVER = {
    "decision_id", "item_id", "account_id", "policy_id", "decided_at", "action", "enforced",
    "text", "score", "threshold", "exposure",
}  # fmt: skip
_FEW = 12  # distinct numbers up to which each is a cut
_LEVELS = 60  # values of one column that are tried, the most frequent
_SHARES = (0.05, *(i / 10 for i in range(1, 10)), 0.95)
_DIGITS = 3
_SHOWN = 60

_ORDER = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_EQUAL, _MISSING = ("==", "=", "is"), ("missing", "is missing")


@dataclass(frozen=True)
class Condition:
    """One condition of a rule: a column, an op and a value, as `rule_mask` reads them.

    Parameters
    ----------
    column
        Column of the decisions.
    op
        `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in` or `missing`; the search for rules makes
        only `==`, `>=` and `<`.
    value
        What the column is compared with: a list for `in` and `not in`, none for `missing`.
    """

    column: str
    op: str
    value: Any

    def to_jsonable(self) -> dict[str, Any]:
        """Return the contract's {column, op, value}."""
        return {"column": self.column, "op": self.op, "value": self.value}


@dataclass(frozen=True)
class ConditionMatrix:
    """Conditions with the rows that meet them.

    Parameters
    ----------
    items
        k conditions.
    met
        Shape (m, k), float32: which rows meet which condition.
    """

    items: tuple[Condition, ...]
    met: npt.NDArray[np.float32]


def condition_columns(decisions: pd.DataFrame, leave_out: Sequence[str] = ()) -> list[str]:
    """List the columns that conditions may use.

    Identifiers, texts, what the decision itself sets (`action`, scores, thresholds) and `exposure` are
    excluded: a rule on them gives nothing to change. Thresholds have their own what-if.

    Parameters
    ----------
    decisions
        The decision log.
    leave_out
        Further columns to exclude.

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


def list_conditions(frame: pd.DataFrame, *, least: int) -> ConditionMatrix:
    """List the conditions that at least `least` rows meet, and at least `least` do not.

    Numbers are cut at the data's quantiles (5, 10, 20, ... 95 %), rounded to three digits; few
    distinct numbers at each value. Of text, the most frequent values are tried.

    Parameters
    ----------
    frame
        Shape (m, columns), only columns that conditions may use.
    least
        Minimum rows of a condition.

    Examples
    --------
    >>> found = list_conditions(pd.DataFrame({"market": ["DE", "DE", "FR", "FR"]}), least=2)
    >>> [c.value for c in found.items], found.met.tolist()[0]
    (['DE', 'FR'], [1.0, 0.0])
    """
    items: list[Condition] = []
    met: list[Bools] = []
    for name in frame.columns:
        for condition, rows in _column_conditions(str(name), frame[name]):
            if least <= rows.sum() <= len(frame) - least:
                items.append(condition)
                met.append(rows)
    stacked = np.array(met, dtype=np.float32).T if met else np.zeros((len(frame), 0), np.float32)
    return ConditionMatrix(tuple(items), np.ascontiguousarray(stacked))


def _column_conditions(name: str, column: "pd.Series[Any]") -> list[tuple[Condition, Bools]]:
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if number:
        return _numeric_conditions(name, column.to_numpy(np.float64, na_value=np.nan))
    boolean, text = pd.api.types.is_bool_dtype(column), pd.api.types.is_string_dtype(column)
    if not (boolean or text or isinstance(column.dtype, pd.CategoricalDtype)):
        return []
    codes, values = pd.factorize(column, sort=True)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    top = np.sort(np.argsort(-counts, kind="stable")[:_LEVELS])
    return [
        (Condition(name, "==", _python_value(values[i])), codes == i) for i in top if counts[i] > 1
    ]


def _numeric_conditions(name: str, values: Floats) -> list[tuple[Condition, Bools]]:
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) < 2:
        return []
    shares = np.unique([_round_cut(v) for v in np.quantile(known, _SHARES)])
    cuts = distinct[1:] if len(distinct) <= _FEW else shares
    out = []
    for cut in cuts.tolist():
        out.append((Condition(name, ">=", cut), values >= cut))
        out.append((Condition(name, "<", cut), values < cut))
    return out


def _round_cut(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _python_value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def rule_mask(frame: pd.DataFrame, rule: Sequence[Condition]) -> Bools:
    """Return which rows meet every condition of a rule.

    Parameters
    ----------
    frame
        Shape (n, any), with the columns that the rule names.
    rule
        The conditions. A value that went through text (a table, the ledger) is read as the column's
        kind, and a column of text is read as numbers where the value is one.

    Returns
    -------
    numpy.ndarray
        Shape (n,). A missing value meets no comparison but `!=` and `not in`.

    Raises
    ------
    DataError
        Where a column or an op is unknown, or a value is not of its column's kind.

    Examples
    --------
    >>> log = pd.DataFrame({"price": [2.0, 9.0, float("nan")]})
    >>> rule_mask(log, [Condition("price", "<", 5.0)]).tolist()
    [True, False, False]
    >>> rule_mask(log, [Condition("price", "in", ["9", 4])]).tolist()
    [False, True, False]
    """
    rows = np.ones(len(frame), dtype=bool)
    for condition in rule:
        rows &= _condition_mask(frame, condition)
    return rows


def _condition_mask(frame: pd.DataFrame, condition: Condition) -> Bools:
    op, value = condition.op, condition.value
    if condition.column not in frame:
        do = "Keep the column in the decisions while a finding or proposal uses it."
        raise DataError(
            error_message("A condition", "name a column of the decisions", condition.column, do)
        )
    values = _category_values(frame[condition.column])
    if op in _ORDER:
        numbers = _as_numbers(values)
        with np.errstate(invalid="ignore"):
            return np.asarray(_ORDER[op](numbers, _parse_number(condition, value)), dtype=bool)
    if op in _MISSING:
        return np.asarray(values.isna().to_numpy(dtype=bool))
    if op in (*_EQUAL, "!="):
        equal = _equality_mask(values, condition, value)
        return ~equal if op == "!=" else equal
    if op in ("in", "not in"):
        members = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
        found = np.zeros(len(values), dtype=bool)
        for member in members:
            found |= _equality_mask(values, condition, member)
        return ~found if op == "not in" else found
    known = ", ".join([*_EQUAL[:1], "!=", *_ORDER, "in", "not in", _MISSING[0]])
    raise DataError(
        error_message("A condition's op", f"be one of {known}", op, "Correct the table.")
    )


def _category_values(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the values behind the categories."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype("object").infer_objects()
    return values


def _equality_mask(values: "pd.Series[Any]", condition: Condition, value: Any) -> Bools:
    if not values.notna().any():  # no type: nothing known to compare with
        return np.zeros(len(values), dtype=bool)
    if pd.api.types.is_bool_dtype(values) and isinstance(value, str):
        value = _parse_bool(condition, value)
    elif pd.api.types.is_numeric_dtype(values) and isinstance(value, str):
        value = _parse_number(condition, value)
    elif isinstance(value, bool | np.bool_) and not pd.api.types.is_numeric_dtype(values):
        values, value = values.astype("str").str.lower(), str(value).lower()
    elif isinstance(value, int | float | np.number) and not pd.api.types.is_numeric_dtype(values):
        return np.asarray(_as_numbers(values) == value, dtype=bool)
    return np.asarray((values == value).to_numpy(dtype=bool, na_value=False))


def _as_numbers(values: "pd.Series[Any]") -> Floats:
    """Read a column as numbers; NaN where a value is none."""
    numbers = pd.to_numeric(values, errors="coerce")
    return np.asarray(numbers.to_numpy(np.float64, na_value=np.nan))


def _parse_number(condition: Condition, value: Any) -> float:
    try:
        # A whole number stays one: large ids have more digits than a float.
        return int(value) if _WHOLE.fullmatch(str(value)) else float(value)
    except (TypeError, ValueError):
        what, do = f"The value of a condition on {condition.column}", "Correct the table."
        raise DataError(
            error_message(what, "be a number", escape_hidden(repr(value)), do)
        ) from None


def _parse_bool(condition: Condition, value: str) -> bool:
    word = value.strip().lower()
    if word not in ("true", "false"):
        what, do = f"The value of a condition on {condition.column}", "Correct the table."
        raise DataError(error_message(what, "be true or false", escape_hidden(repr(value)), do))
    return word == "true"


def rule_text(rule: Sequence[Condition]) -> str:
    """Return a rule as text.

    Examples
    --------
    >>> rule_text([Condition("category", "==", "toys"), Condition("price", ">=", 25.0)])
    'category is toys and price is at least 25'
    """
    words = {"==": "is", ">=": "is at least", "<": "is below"}
    return " and ".join(
        f"{_shorten_text(c.column.replace('_', ' '))} {words[c.op]} {_format_value(c.value)}"
        for c in rule
    )


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.6g}" if isinstance(value, int | float) else _shorten_text(str(value))


def _shorten_text(text: str) -> str:
    shown = escape_hidden(text).replace("\n", " ")
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"


#: Columns that a change of rule, threshold or model alters: its effect must not be measured on them.
ALTERED = frozenset({"action", "enforced", "threshold", "moderator_version", "model_version"})


def parse_conditions(value: object) -> tuple[dict[str, Any], ...]:
    """Return the conditions of a table's cell: a list of {column, op, value}, or nothing.

    Examples
    --------
    >>> parse_conditions([{"column": "market", "op": "==", "value": "DE"}])
    ({'column': 'market', 'op': '==', 'value': 'DE'},)
    >>> parse_conditions(None)
    ()
    """
    if not isinstance(value, list | tuple | np.ndarray):
        return ()
    return tuple({name: one.get(name) for name in ("column", "op", "value")} for one in value)


def drop_altered(conditions: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Leave out the conditions on what the change itself alters (`ALTERED`).

    Examples
    --------
    >>> drop_altered([{"column": "action", "op": "==", "value": "remove"}])
    ()
    """
    return tuple(c for c in conditions if c["column"] not in ALTERED)


def scope_mask(
    decisions: pd.DataFrame,
    *,
    policy_id: str | None = None,
    conditions: Sequence[Mapping[str, Any]] = (),
    account_ids: Sequence[str] = (),
) -> Bools:
    """Return which decisions are under the policy, meet all conditions and belong to the accounts.

    Parameters
    ----------
    decisions
        The contract's decisions, shape (n, any).
    policy_id
        The policy; None for all.
    conditions
        Each with column, op and value, as `errdetect.findings.conditions.rule_mask` reads them.
    account_ids
        Accounts; empty for all.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    DataError
        Where a column or an op is unknown, or a value is not of its column's kind.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "a", "b"], "market": ["DE", "FR", "DE"]})
    >>> scope_mask(frame, policy_id="a",
    ...        conditions=[{"column": "market", "op": "==", "value": "DE"}]).tolist()
    [True, False, False]
    """
    rows = np.ones(len(decisions), dtype=bool)
    if policy_id is not None:
        rows &= (decisions["policy_id"] == policy_id).to_numpy(dtype=bool, na_value=False)
    rows &= rule_mask(decisions, [Condition(c["column"], c["op"], c["value"]) for c in conditions])
    if len(account_ids):
        if "account_id" not in decisions:
            got = "none"
            raise DataError(
                error_message("account_id", "be a column of the decisions", got, "Add it.")
            )
        rows &= decisions["account_id"].isin(list(account_ids)).to_numpy(dtype=bool)
    return rows


def finding_mask(decisions: pd.DataFrame, finding: Mapping[Any, Any]) -> Bools:
    """Return which decisions a finding covers, by all of its conditions.

    Parameters
    ----------
    decisions
        The decisions that the finding was made on, shape (n, any).
    finding
        A row of `schemas.FINDINGS`: policy_id, conditions, account_ids.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": "a", "account_id": ["x", "y"]})
    >>> row = {"policy_id": "a", "conditions": None, "account_ids": ["y"]}
    >>> finding_mask(frame, row).tolist()
    [False, True]
    """
    accounts = finding["account_ids"]
    return scope_mask(
        decisions,
        policy_id=str(finding["policy_id"]),
        conditions=parse_conditions(finding["conditions"]),
        account_ids=list(accounts) if isinstance(accounts, list | tuple | np.ndarray) else (),
    )


def proposal_mask(
    decisions: pd.DataFrame, policy_id: str, parts: Iterable[Mapping[str, Any]] | None
) -> Bools:
    """Return which decisions under a policy are in any of a proposal's parts.

    Conditions on what the change itself alters are left out.

    Parameters
    ----------
    decisions
        The contract's decisions, shape (n, any).
    policy_id
        The policy.
    parts
        Each with `conditions` and `account_ids`; none: the whole policy.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "a", "b"], "account_id": ["x", "y", "x"]})
    >>> proposal_mask(frame, "a", [{"account_ids": ["x"]}]).tolist()
    [True, False, False]
    """
    listed = [] if parts is None else list(parts)
    if not listed:
        return scope_mask(decisions, policy_id=policy_id)
    rows = np.zeros(len(decisions), dtype=bool)
    for part in listed:
        accounts = part.get("account_ids")
        rows |= scope_mask(
            decisions,
            policy_id=policy_id,
            conditions=drop_altered(parse_conditions(part.get("conditions"))),
            account_ids=[] if accounts is None else list(accounts),
        )
    return rows
