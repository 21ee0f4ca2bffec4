"""The first ledger: runs, scores, the queue, reviews, remediations, proposals, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_P = "errdetect_"


def _moment(name: str, *, required: bool = False) -> "sa.Column[object]":
    zoned = sa.DateTime(timezone=True)
    return sa.Column(name, zoned, nullable=not required)


def _texts(*names: str, required: bool = False) -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.Text, nullable=not required) for name in names]


def _key(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, primary_key=True)


def _numbers(*names: str) -> "list[sa.Column[float]]":
    return [sa.Column(name, sa.Double) for name in names]


def upgrade() -> None:
    """Create the tables."""
    _scoring()
    _loop()
    for table, column in (
        ("queued", "run_id"),
        ("reviews", "decision_id"),
        ("remediations", "decision_id"),
        ("events", "id"),
    ):
        op.create_index(f"ix_{_P}{table}_{column}", _P + table, [column])


def _scoring() -> None:
    op.create_table(
        f"{_P}runs",
        _key("run_id"),
        *_texts("model_version"),
        _moment("scored_at", required=True),
        sa.Column("n_scored", sa.BigInteger, nullable=False),
        sa.Column("n_queued", sa.BigInteger, nullable=False),
        *_texts("design", required=True),
    )
    op.create_table(
        f"{_P}scored",
        _key("decision_id"),
        *_texts("run_id", required=True),
        *_numbers("inclusion_probability", "p_error"),
        *_texts("job_id", "arm"),
        _moment("scored_at", required=True),
    )
    op.create_table(
        f"{_P}queued",
        _key("decision_id"),
        sa.Column("run_id", sa.Text, sa.ForeignKey(f"{_P}runs.run_id"), nullable=False),
        sa.Column("rank", sa.BigInteger),
        *_numbers("p_error", "expected_harm", "inclusion_probability"),
        *_texts("error_kind", "arm", "pool"),
        *_texts("reasons", "more", required=True),
        *_texts("policy_id", "suggested_policy_id", "model_version"),
        _moment("scored_at", required=True),
    )


def _loop() -> None:
    op.create_table(
        f"{_P}reviews",
        _key("review_id"),
        *_texts("decision_id", "source", "verdict", required=True),
        *_texts("correct_policy_id", "reviewer_id", "site", "expected"),
        *_numbers("inclusion_probability", "minutes"),
        _moment("reviewed_at", required=True),
        _moment("ingested_at", required=True),
    )
    op.create_table(
        f"{_P}remediations",
        _key("remediation_id"),
        *_texts("kind", "status", "review_ids", "by", "approved_by", required=True),
        *_texts("decision_id", "account_id", "policy_id", "reason", "evidence"),
        *_texts("right_policy_id", "withdrawn_reason"),
        _moment("recorded_at", required=True),
        _moment("expires_at"),
        _moment("withdrawn_at"),
    )
    op.create_table(
        f"{_P}proposals",
        _key("proposal_id"),
        *_texts("policy_id", "kind", "title", "rule", "change", "owner"),
        *_texts("expected", "finding_id"),
        *_texts("state", required=True),
        _moment("effective_from"),
        _moment("created_at", required=True),
        _moment("updated_at", required=True),
    )
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        f"{_P}events",
        sa.Column("seq", number, primary_key=True),
        *_texts("entity", "id", "what", required=True),
        *_texts("from", "to", "by", "note"),
        _moment("at", required=True),
    )
