"""The ledger's tables. They must equal what the migrations build; a test compares them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
)

from errdetect.data.database_tables import UtcDateTime

__all__ = [
    "AUDITS",
    "DRAWS",
    "EVENTS",
    "METADATA",
    "PRECEDENTS",
    "PROPOSALS",
    "QUEUED",
    "REMEDIATIONS",
    "REVIEWS",
    "RUNS",
    "SCORED",
    "VERSION_TABLE",
]

#: The prefix lets a ledger share a database with others (MLflow also has a table `runs`).
_PREFIX = "errdetect_"
VERSION_TABLE = _PREFIX + "version"
METADATA = MetaData()


def _define_table(name: str, *columns: Column[Any]) -> Table:
    return Table(_PREFIX + name, METADATA, *columns)


def _text_column(name: str, *, required: bool = False, index: bool = False) -> Column[str]:
    return Column(name, Text, nullable=not required, index=index)


#: One row per scoring run. `design` is JSON: the settings of the draw.
RUNS = _define_table(
    "runs",
    Column("run_id", Text, primary_key=True),
    _text_column("model_version"),
    Column("scored_at", UtcDateTime, nullable=False),
    Column("n_scored", BigInteger, nullable=False),
    Column("n_queued", BigInteger, nullable=False),
    _text_column("design", required=True),
)

#: Every decision ever scored, with its inclusion probability in the latest run. Its run_id is
#: no foreign key: checking a million of them costs as much as writing them.
SCORED = _define_table(
    "scored",
    Column("decision_id", Text, primary_key=True),
    _text_column("run_id", required=True),
    Column("inclusion_probability", Double),
    Column("p_error", Double),
    _text_column("job_id"),
    _text_column("arm"),
    Column("scored_at", UtcDateTime, nullable=False),
)

#: The queue; a decision is in it once. `reasons` and `more` (further columns) are JSON.
QUEUED = _define_table(
    "queued",
    Column("decision_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey(f"{_PREFIX}runs.run_id"), nullable=False, index=True),
    Column("rank", BigInteger),
    Column("p_error", Double),
    _text_column("error_kind"),
    Column("expected_harm", Double),
    _text_column("arm"),
    Column("inclusion_probability", Double),
    _text_column("pool"),
    _text_column("reasons", required=True),
    _text_column("policy_id"),
    _text_column("suggested_policy_id"),
    _text_column("model_version"),
    Column("scored_at", UtcDateTime, nullable=False),
    _text_column("more", required=True),
)

#: One row for each moment at which a review's verdict became known; the latest one counts.
REVIEWS = _define_table(
    "reviews",
    Column("review_id", Text, primary_key=True),
    Column("known_at", UtcDateTime, primary_key=True),
    _text_column("decision_id", required=True, index=True),
    Column("reviewed_at", UtcDateTime, nullable=False),
    _text_column("source", required=True),
    _text_column("verdict", required=True),
    _text_column("correct_policy_id"),
    _text_column("reviewer_id"),
    _text_column("site"),
    Column("inclusion_probability", Double),
    _text_column("expected"),
    Column("minutes", Double),
    Column("updated_at", UtcDateTime),
    Column("ingested_at", UtcDateTime, nullable=False),
)

#: One row per audit draw. `receipt` is JSON: what it takes to draw it again.
AUDITS = _define_table(
    "audits",
    Column("draw_id", Text, primary_key=True),
    Column("drawn_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    _text_column("by", required=True),
    _text_column("receipt", required=True),
)

#: The drawn decisions, reviewed or not; a decision may stand in several draws.
DRAWS = _define_table(
    "draws",
    Column("draw_id", Text, ForeignKey(f"{_PREFIX}audits.draw_id"), primary_key=True),
    Column("decision_id", Text, primary_key=True, index=True),
    Column("inclusion_probability", Double, nullable=False),
    Column("drawn_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
)

#: `review_ids` is a JSON list.
REMEDIATIONS = _define_table(
    "remediations",
    Column("remediation_id", Text, primary_key=True),
    _text_column("decision_id", index=True),
    _text_column("kind", required=True),
    _text_column("account_id"),
    _text_column("policy_id"),
    _text_column("reason"),
    _text_column("evidence"),
    Column("expires_at", UtcDateTime),
    _text_column("status", required=True),
    _text_column("review_ids", required=True),
    _text_column("right_policy_id"),
    _text_column("by", required=True),
    _text_column("approved_by", required=True),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    _text_column("withdrawn_reason"),
)

#: `expected` is JSON.
PROPOSALS = _define_table(
    "proposals",
    Column("proposal_id", Text, primary_key=True),
    _text_column("policy_id"),
    _text_column("kind"),
    _text_column("title"),
    _text_column("rule"),
    _text_column("change"),
    _text_column("owner"),
    _text_column("expected"),
    _text_column("finding_id"),
    _text_column("state", required=True),
    Column("effective_from", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

#: Rulings of calibration sessions. `facts` is JSON: the decision's action, category, market and the like.
PRECEDENTS = _define_table(
    "precedents",
    Column("precedent_id", Text, primary_key=True),
    _text_column("session_id", required=True),
    _text_column("policy_id", required=True, index=True),
    _text_column("policy_version"),
    _text_column("clause"),
    _text_column("decision_id", required=True),
    _text_column("ruling", required=True),
    _text_column("correct_policy_id"),
    _text_column("reason"),
    _text_column("facts", required=True),
    _text_column("by"),
    Column("ruled_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)

#: The events, in order. Rows are only added.
EVENTS = _define_table(
    "events",
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _text_column("entity", required=True),
    _text_column("id", required=True, index=True),
    _text_column("what", required=True),
    _text_column("from"),
    _text_column("to"),
    _text_column("by"),
    Column("at", UtcDateTime, nullable=False),
    _text_column("note"),
)
