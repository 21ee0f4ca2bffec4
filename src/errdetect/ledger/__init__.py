"""The ledger and other databases; SQLAlchemy and Alembic are known here only."""
