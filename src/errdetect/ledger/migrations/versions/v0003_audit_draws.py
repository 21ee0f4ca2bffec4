"""Audit draws: one row for each draw with its receipt, and one for each drawn decision."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AUDITS, _DRAWS = "errdetect_audits", "errdetect_draws"


def upgrade() -> None:
    """Create both tables; nothing that was there changes."""
    op.create_table(
        _AUDITS,
        sa.Column("draw_id", sa.Text, primary_key=True),
        _moment("drawn_at", required=True),
        _moment("due_at"),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
    )
    op.create_table(
        _DRAWS,
        sa.Column("draw_id", sa.Text, sa.ForeignKey(f"{_AUDITS}.draw_id"), primary_key=True),
        sa.Column("decision_id", sa.Text, primary_key=True),
        sa.Column("inclusion_probability", sa.Double, nullable=False),
        _moment("drawn_at", required=True),
        _moment("due_at"),
    )
    op.create_index("ix_errdetect_draws_decision_id", _DRAWS, ["decision_id"])


def _moment(name: str, *, required: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not required)
