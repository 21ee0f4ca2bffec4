"""The ledger's tables. What stands here must be what the migrations build; a test compares them."""

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

from errdetect.data.database_rows import Moment

__all__ = [
    "EVENTS",
    "METADATA",
    "PROPOSALS",
    "QUEUED",
    "REMEDIATIONS",
    "REVIEWS",
    "RUNS",
    "SCORED",
    "VERSION_TABLE",
]

#: The prefix lets a ledger share a database with others (MLflow, too, has a table `runs`).
_PREFIX = "errdetect_"
VERSION_TABLE = _PREFIX + "version"
METADATA = MetaData()


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(_PREFIX + name, METADATA, *columns)


def _text(name: str, *, required: bool = False, index: bool = False) -> Column[str]:
    return Column(name, Text, nullable=not required, index=index)


#: One row a scoring run. `design` is JSON: what the draw depended on.
RUNS = _table(
    "runs",
    Column("run_id", Text, primary_key=True),
    _text("model_version"),
    Column("scored_at", Moment, nullable=False),
    Column("n_scored", BigInteger, nullable=False),
    Column("n_queued", BigInteger, nullable=False),
    _text("design", required=True),
)

#: Every decision ever scored, with the chance that the latest run's design gave it. Its run_id is
#: no foreign key: checking a million of them costs as much as writing them.
SCORED = _table(
    "scored",
    Column("decision_id", Text, primary_key=True),
    _text("run_id", required=True),
    Column("inclusion_probability", Double),
    Column("p_error", Double),
    _text("job_id"),
    _text("arm"),
    Column("scored_at", Moment, nullable=False),
)

#: The queue; a decision stands in it once. `reasons` and `more` (further columns) are JSON.
QUEUED = _table(
    "queued",
    Column("decision_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey(f"{_PREFIX}runs.run_id"), nullable=False, index=True),
    Column("rank", BigInteger),
    Column("p_error", Double),
    _text("error_kind"),
    Column("expected_harm", Double),
    _text("arm"),
    Column("inclusion_probability", Double),
    _text("pool"),
    _text("reasons", required=True),
    _text("policy_id"),
    _text("suggested_policy_id"),
    _text("model_version"),
    Column("scored_at", Moment, nullable=False),
    _text("more", required=True),
)

#: One row for each moment at which a review's answer became known; the last one counts.
REVIEWS = _table(
    "reviews",
    Column("review_id", Text, primary_key=True),
    Column("known_at", Moment, primary_key=True),
    _text("decision_id", required=True, index=True),
    Column("reviewed_at", Moment, nullable=False),
    _text("source", required=True),
    _text("verdict", required=True),
    _text("correct_policy_id"),
    _text("reviewer_id"),
    _text("site"),
    Column("inclusion_probability", Double),
    _text("expected"),
    Column("minutes", Double),
    Column("updated_at", Moment),
    Column("ingested_at", Moment, nullable=False),
)

#: `review_ids` is a JSON list.
REMEDIATIONS = _table(
    "remediations",
    Column("remediation_id", Text, primary_key=True),
    _text("decision_id", index=True),
    _text("kind", required=True),
    _text("account_id"),
    _text("policy_id"),
    _text("reason"),
    _text("evidence"),
    Column("expires_at", Moment),
    _text("status", required=True),
    _text("review_ids", required=True),
    _text("right_policy_id"),
    _text("by", required=True),
    _text("approved_by", required=True),
    Column("recorded_at", Moment, nullable=False),
    Column("withdrawn_at", Moment),
    _text("withdrawn_reason"),
)

#: `expected` is JSON.
PROPOSALS = _table(
    "proposals",
    Column("proposal_id", Text, primary_key=True),
    _text("policy_id"),
    _text("kind"),
    _text("title"),
    _text("rule"),
    _text("change"),
    _text("owner"),
    _text("expected"),
    _text("finding_id"),
    _text("state", required=True),
    Column("effective_from", Moment),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

#: What happened, in order. Rows are only ever added.
EVENTS = _table(
    "events",
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _text("entity", required=True),
    _text("id", required=True, index=True),
    _text("what", required=True),
    _text("from"),
    _text("to"),
    _text("by"),
    Column("at", Moment, nullable=False),
    _text("note"),
)
