"""The EU's Transparency Database: its statements of reasons (CSV) read as decisions.

Every statement reports a measure under the Digital Services Act, Art. 17. Column names and
values are those of the database's public documentation and daily dumps.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from errdetect.errors import DataError, error_message

__all__ = ["BY_PEOPLE", "FULLY", "PARTIALLY", "statements_to_decisions"]

FULLY = "AUTOMATED_DECISION_FULLY"
PARTIALLY = "AUTOMATED_DECISION_PARTIALLY"
BY_PEOPLE = "AUTOMATED_DECISION_NOT_AUTOMATED"

_NEEDED = ("application_date", "category", "automated_decision")
#: The measure itself: the first of these columns that is filled in.
_MEASURES = ("decision_visibility", "decision_account", "decision_provision", "decision_monetary")
#: Known when the decision was taken, so they may be features.
_KEPT = (
    "automated_detection",
    "source_type",
    "decision_ground",
    "incompatible_content_illegal",
    "category_specification",
    "account_type",
    "platform_name",
)


def statements_to_decisions(table: pa.Table, source: str) -> pa.Table:
    """Convert statements of reasons to the contract's decisions.

    Parameters
    ----------
    table
        Rows of a dump, all text.
    source
        Their source, for messages.

    Returns
    -------
    pyarrow.Table
        decision_id (uuid), decided_at (application_date), item_id (content_id, else puid, else
        uuid), policy_id (category), action (what was done to the content, else to the account, the
        service or the money), moderator (automated_decision), language, market (where the
        territory is one country), item_type (content_type), and what else was known at that time.

    Raises
    ------
    DataError
        Where the columns are not those of the database.

    Examples
    --------
    >>> row = {"uuid": "u1", "application_date": "2026-03-01", "category": "STATEMENT_CATEGORY_VIOLENCE",
    ...        "automated_decision": FULLY, "territorial_scope": '["DE"]', "content_language": "DE",
    ...        "decision_visibility": '["DECISION_VISIBILITY_CONTENT_REMOVED"]'}
    >>> statements_to_decisions(pa.Table.from_pylist([row]), "dump.csv").select(
    ...     ["action", "market", "language"]).to_pylist()
    [{'action': 'DECISION_VISIBILITY_CONTENT_REMOVED', 'market': 'DE', 'language': 'de'}]
    """
    _check_columns(table, source)
    territory = _join_json_list(_text_column(table, "territorial_scope"))
    one_country = pc.match_substring_regex(territory, r"^[A-Z]{2}$")
    out = {
        "decision_id": _first_present(table, ("uuid", "puid")),
        "decided_at": _text_column(table, "application_date"),
        "item_id": _first_present(table, ("content_id", "puid", "uuid")),
        "policy_id": _text_column(table, "category"),
        "action": _join_json_list(_first_present(table, _MEASURES)),
        "moderator": _text_column(table, "automated_decision"),
        "language": pc.utf8_lower(_text_column(table, "content_language")),
        "market": pc.if_else(one_country, territory, None),
        "item_type": _join_json_list(_text_column(table, "content_type")),
    }
    kept = {
        name: _join_json_list(_text_column(table, name))
        for name in _KEPT
        if name in table.column_names
    }
    return pa.table(out | kept)


def _check_columns(table: pa.Table, source: str) -> None:
    wanted = [*_NEEDED, " or ".join(("uuid", "puid"))]
    absent = [name for name in _NEEDED if name not in table.column_names]
    absent += [wanted[-1]] if not {"uuid", "puid"} & set(table.column_names) else []
    if absent:
        do = "Give the database's own CSV, or leave data.preset out and map columns yourself."
        must = f"have the columns of statements of reasons ({', '.join(wanted)})"
        raise DataError(error_message(source, must, f"none named {', '.join(absent)}", do))


def _text_column(table: pa.Table, name: str) -> pa.Array:
    """Return a column as text, missing where it is absent or empty."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.large_string())
    values = pc.utf8_trim_whitespace(table[name].combine_chunks().cast(pa.large_string()))
    return pc.if_else(pc.is_in(values, value_set=pa.array(["", "[]"], values.type)), None, values)


def _first_present(table: pa.Table, names: Sequence[str]) -> pa.Array:
    return pc.coalesce(*(_text_column(table, name) for name in names))


def _join_json_list(values: pa.Array) -> pa.Array:
    """Write `["A","B"]` as `A, B`."""
    bare = pc.replace_substring_regex(values, r'^\[|\]$|"', "")
    return pc.replace_substring_regex(bare, r",\s*", ", ")
