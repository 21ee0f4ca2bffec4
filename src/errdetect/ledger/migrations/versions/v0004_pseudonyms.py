"""Reviewers get pseudonyms: no table changes, only the ids that earlier versions wrote."""

from alembic import context

from errdetect.ledger.pseudonym_records import pseudonymise_reviews

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Replace the ids; without any there is no need of a key, and none is made."""
    source = context.config.attributes.get("key")
    if source is not None:
        pseudonymise_reviews(context.config.attributes["connection"], source())
