"""The ledger of runs, queue, reviews, remediations and proposals; Alembic is used here only."""
