"""Runs the ledger's migrations in the transaction passed to Alembic."""

from alembic import context

from errdetect.ledger.table_definitions import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
