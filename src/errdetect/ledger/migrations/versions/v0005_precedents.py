"""Precedents: the rulings of calibration sessions on a policy's clause."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PRECEDENTS = "errdetect_precedents"


def upgrade() -> None:
    """Create the table; nothing that was there changes."""
    op.create_table(
        _PRECEDENTS,
        sa.Column("precedent_id", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text),
        sa.Column("clause", sa.Text),
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("ruling", sa.Text, nullable=False),
        sa.Column("correct_policy_id", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("by", sa.Text),
        sa.Column("ruled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_errdetect_precedents_policy_id", _PRECEDENTS, ["policy_id"])
