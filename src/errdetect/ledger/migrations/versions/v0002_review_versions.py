"""Reviews keep their history: one row for each moment at which a verdict became known."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REVIEWS, _OLD = "errdetect_reviews", "errdetect_reviews_0001"
_KEPT = (
    "review_id, decision_id, reviewed_at, source, verdict, correct_policy_id, reviewer_id, site, "
    "inclusion_probability, expected, minutes, ingested_at"
)


def upgrade() -> None:
    """Rebuild the reviews' table: SQLite cannot change a table's key."""
    op.drop_index("ix_errdetect_reviews_decision_id", _REVIEWS)
    op.rename_table(_REVIEWS, _OLD)
    op.create_table(
        _REVIEWS,
        sa.Column("review_id", sa.Text, primary_key=True),
        sa.Column("known_at", sa.DateTime(timezone=True), primary_key=True),
        *_texts("decision_id", "source", "verdict", required=True),
        *_texts("correct_policy_id", "reviewer_id", "site", "expected"),
        sa.Column("inclusion_probability", sa.Double),
        sa.Column("minutes", sa.Double),
        *_moments("reviewed_at", "ingested_at", required=True),
        *_moments("updated_at"),
    )
    op.execute(
        f"INSERT INTO {_REVIEWS} ({_KEPT}, known_at) SELECT {_KEPT}, reviewed_at FROM {_OLD}"  # noqa: S608 - names of our own
    )
    op.drop_table(_OLD)
    op.create_index("ix_errdetect_reviews_decision_id", _REVIEWS, ["decision_id"])


def _texts(*names: str, required: bool = False) -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.Text, nullable=not required) for name in names]


def _moments(*names: str, required: bool = False) -> "list[sa.Column[object]]":
    zoned = sa.DateTime(timezone=True)
    return [sa.Column(name, zoned, nullable=not required) for name in names]
