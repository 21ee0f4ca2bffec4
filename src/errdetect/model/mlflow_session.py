"""Opening MLflow on a registry's folder; only this file imports it."""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errdetect.data.database_tables import DATABASE_ERRORS
from errdetect.data.output_folders import (
    hold_lock,
    hold_temporary_folder,
    sweep_litter,
    take_turns,
    temporary_name,
)
from errdetect.errors import ModelError, error_message, escape_hidden, mask_secrets

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = [
    "DATABASE",
    "KIND",
    "RUN_NAME",
    "find_registry",
    "mlflow_error",
    "open_mlflow",
    "open_server",
    "read_database",
    "refuse_damaged",
    "scoring_server",
]

DATABASE = "mlflow.db"
RUN_NAME = "train"
KIND = "errdetect"  # a tag of every run of ours, whatever its name
#: Seconds to wait for another training that records its model.
_PATIENCE = 900.0
_OURS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
#: Prefixes of settings that a server's address needs: credentials, certificates, patience.
_SHARED = (
    "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_S3_", "MLFLOW_HTTP_",
)  # fmt: skip
#: A server that does not answer is reported within a minute, not after MLflow's ten.
_HASTE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
#: Characters that MLflow's database address gives a meaning of their own.
_SPECIAL = frozenset("?#%")


def find_registry(place: Path) -> Path | None:
    """Return the registry's folder that a file or folder is in; None outside of any."""
    found = (folder for folder in place.resolve().parents if (folder / DATABASE).is_file())
    return next(found, None)


def mlflow_error(text: str, code: str) -> Exception:
    """Return MLflow's own exception: its server answers with the text, and no traceback."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    error: Exception = MlflowException(text, error_code=ErrorCode.Value(code))
    return error


def scoring_server(folder: Path, options: dict[str, Any]) -> tuple[Any, Any, frozenset[str]]:
    """Load a model as MLflow loads it, and return its scoring server.

    Parameters
    ----------
    folder
        The model's, as MLflow keeps it.
    options
        Its `model_config`.

    Returns
    -------
    (ASGI application, model, names of the signature's columns)
        The model is what its own loader returned.
    """
    from mlflow.pyfunc import load_model, scoring_server

    model = load_model(str(folder), model_config=options)
    names = frozenset(model.metadata.get_input_schema().input_names())
    logging.getLogger("mlflow").setLevel(
        logging.ERROR
    )  # it warns of each column not in the signature
    return scoring_server.init(model), model.get_raw_model(), names


_FULL = "disk is full"


@contextmanager
def refuse_damaged(folder: Path) -> Iterator[None]:
    """Say in one sentence that a registry's database cannot be used.

    Raises
    ------
    ModelError
        For every error of the database.
    """
    try:
        yield
    except (*DATABASE_ERRORS, OSError, ValueError, TypeError) as error:
        raise _cannot_be_used(folder, error) from error


def _cannot_be_used(folder: Path | str, error: Exception) -> ModelError:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [""]
    full = next((line for line in lines if _FULL in line), None)
    if full is not None:
        what, got = (
            f"The registry '{mask_secrets(str(folder))}'",
            mask_secrets(escape_hidden(full[:200])),
        )
        do = "Free some room on its disk, and run the same command again."
        return ModelError(error_message(what, "have room to write", got, do))
    got = mask_secrets(escape_hidden(f"{lines[0][:200] or type(error).__name__}"))
    do = "Use the registry that `errdetect train` wrote, or restore it from a copy."
    if isinstance(folder, str):
        folder, do = mask_secrets(folder), "Check registry.uri, and that its server answers."
    return ModelError(error_message(f"The registry '{folder}'", "be MLflow's", got, do))


@contextmanager
def open_server(uri: str) -> "Iterator[tuple[Any, MlflowClient]]":
    """Open the registry behind an address, with no setting of anybody else's but credentials.

    Parameters
    ----------
    uri
        A tracking server's, or a database's.

    Yields
    ------
    (module, MlflowClient)

    Raises
    ------
    ModelError
        If it cannot be reached or used.
    """
    driver = "postgresql+psycopg://"  # the one that errdetect brings
    uri = uri.replace("postgresql://", driver, 1) if uri.startswith("postgresql://") else uri
    with ExitStack() as held:
        held.enter_context(_own_environment(_SHARED))
        for name, value in _HASTE.items():
            os.environ.setdefault(name, value)

        import mlflow
        from mlflow.exceptions import MlflowException

        held.enter_context(_silenced(mlflow))
        try:
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            yield mlflow, mlflow.tracking.MlflowClient(tracking_uri=uri, registry_uri=uri)
        except (MlflowException, *DATABASE_ERRORS, OSError, ImportError) as error:
            raise _cannot_be_used(uri, error) from error


@contextmanager
def open_mlflow(folder: Path) -> "Iterator[tuple[Any, MlflowClient]]":
    """Open a registry for a training run: alone, with no setting of anybody else's.

    Runs that a dead process left as running are closed as killed. A new database appears complete or
    not at all. The environment and MLflow's own settings are restored at the end.

    Parameters
    ----------
    folder
        The registry's; created if missing.

    Yields
    ------
    (module, MlflowClient)

    Raises
    ------
    ModelError
        If the registry cannot be written, or its database is damaged.
    """
    with ExitStack() as held:
        with refuse_damaged(folder):
            folder.mkdir(parents=True, exist_ok=True)
            sweep_litter(folder)
            _refuse_corrupt(folder / DATABASE)
            alone = held.enter_context(take_turns(folder, _PATIENCE))
        held.enter_context(_own_environment())

        import mlflow  # takes two seconds, needed only by training
        from mlflow.exceptions import MlflowException

        held.enter_context(_silenced(mlflow))
        try:
            _create_database(folder, mlflow)
            uri = f"sqlite:///{held.enter_context(_plain_path(folder.resolve())) / DATABASE}"
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            client = mlflow.tracking.MlflowClient(tracking_uri=uri, registry_uri=uri)
            if alone:
                _close_dead_runs(client)
            yield mlflow, client
        except (MlflowException, *DATABASE_ERRORS, OSError) as error:
            raise _cannot_be_used(folder, error) from error


def read_database(file: Path) -> sqlite3.Connection:
    """Open a registry's database for reading alone.

    What a killed process, or one without room, left half-written is rolled back, where the file may be written: opened
    as read-only, SQLite would refuse to read it.
    """
    opened = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=60)
    opened.execute("PRAGMA query_only = ON")
    return opened


def _refuse_corrupt(database: Path) -> None:
    """Raise what SQLite says about a file that is not, or no longer, a database."""
    if not database.exists():
        return
    with closing(read_database(database)) as opened:
        answer = opened.execute("PRAGMA quick_check(1)").fetchone()[0]
    if answer != "ok":
        raise sqlite3.DatabaseError(answer)


@contextmanager
def _own_environment(shared: tuple[str, ...] = ()) -> Iterator[None]:
    """Hide MLflow's settings of others: a scheduler may have a server and an active run of its own.

    Its temporary files go where those of a killed process are swept.
    """
    theirs = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("MLFLOW_")}
    os.environ.update({name: value for name, value in theirs.items() if name.startswith(shared)})
    os.environ.update(_OURS)
    before = tempfile.tempdir
    try:
        with hold_temporary_folder() as folder:
            tempfile.tempdir = str(folder)
            yield
    finally:
        tempfile.tempdir = before
        for name in [one for one in os.environ if one.startswith("MLFLOW_")]:
            del os.environ[name]
        os.environ.update(theirs)


@contextmanager
def _silenced(mlflow: Any) -> Iterator[None]:
    names = ("mlflow", "alembic", "mlflow.store.db.utils", "mlflow.tracking")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)  # errors come as exceptions, which we put into words
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _plain_path(folder: Path) -> Iterator[Path]:
    """Yield a path that names the folder and holds no character special in a database's address."""
    if not _SPECIAL & set(str(folder)):
        yield folder
        return
    with hold_temporary_folder() as place:
        link = place / "registry"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def _create_database(folder: Path, mlflow: Any) -> None:
    """Create MLflow's tables under a temporary name first: a killed first training leaves none."""
    if (folder / DATABASE).exists():
        return
    temporary = temporary_name(folder.resolve())
    temporary.touch()
    try:
        with hold_lock(temporary), _plain_path(temporary.parent) as place:
            uri = f"sqlite:///{place / temporary.name}"
            mlflow.tracking.MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments()
            temporary.rename(folder / DATABASE)
    finally:
        temporary.unlink(missing_ok=True)


def _close_dead_runs(client: "MlflowClient") -> None:
    """Close runs left as running: whoever trains holds the registry's lock, so they are dead."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    for ours in (f"attributes.run_name = '{RUN_NAME}'", f"tags.{KIND} = '{RUN_NAME}'"):
        query = f"attributes.status = 'RUNNING' and {ours}"
        for run in client.search_runs(experiments, query) if experiments else []:
            client.set_terminated(run.info.run_id, "KILLED")
