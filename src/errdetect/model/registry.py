"""Runs and models in MLflow: the only file that knows MLflow.

A registry is a folder: MLflow's database (SQLite) and its artifacts. Models are stored as bundles
(see `bundle`) with a loader module, so nothing that is read is executed.
"""

import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from errdetect import __version__
from errdetect.errors import ModelError, sentence
from errdetect.model.bundle import Bundle, load_bundle, save_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.tracking import MlflowClient

__all__ = ["CHAMPION", "Registry"]

CHAMPION = "champion"
_LOADER = "errdetect.model.serving"
_FOLDER = "bundle"


@dataclass(frozen=True)
class Registry:
    """Where a model's versions and the runs behind them are kept.

    Parameters
    ----------
    folder
        Holds MLflow's database and artifacts; created at the first record.
    name
        The model's name.
    """

    folder: Path
    name: str

    def record(
        self,
        bundle: Bundle,
        *,
        accept: bool,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        tables: Mapping[str, pd.DataFrame],
    ) -> str | None:
        """Log a training run, and register its model if it was accepted.

        Parameters
        ----------
        bundle
            The model.
        accept
            Whether the gate said yes: the model becomes the next version and the champion.
        params, metrics, tags, tables
            What to log of the run.

        Returns
        -------
        str or None
            The model's version; None where it was not accepted.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _mlflow(self._uri) as (mlflow, client), TemporaryDirectory() as temporary:
            with mlflow.start_run(experiment_id=self._experiment(client), run_name="train"):
                mlflow.log_params(dict(params))
                mlflow.log_metrics({k: float(v) for k, v in metrics.items() if v == v})
                mlflow.set_tags(dict(tags))
                for table, frame in tables.items():
                    mlflow.log_text(frame.to_csv(index=False), f"tables/{table}.csv")
                if not accept:
                    return None
                place = Path(temporary) / _FOLDER
                place.mkdir()
                save_bundle(bundle, place)
                info = mlflow.pyfunc.log_model(
                    name="model",
                    loader_module=_LOADER,
                    data_path=str(place),
                    pip_requirements=[f"errdetect=={__version__}"],
                )
            if not client.search_registered_models(f"name='{self.name}'"):
                client.create_registered_model(self.name)
            made = client.create_model_version(self.name, source=info.model_uri, run_id=info.run_id)
            version = str(made.version)
            client.set_registered_model_alias(self.name, CHAMPION, version)
            return version

    def load(self) -> tuple[Bundle, str]:
        """Return the champion, or where none was named the newest version, and its version.

        Raises
        ------
        ModelError
            Where nothing was registered yet, or the model's files are damaged.
        """
        found = self.find()
        if found is None:
            got = f"none named '{self.name}' in '{self.folder}'"
            do = "Run `errdetect train` with this config first."
            raise ModelError(sentence("The registry", "hold a trained model", got, do))
        return found

    def find(self) -> tuple[Bundle, str] | None:
        """Return what `load` does, or None where nothing was registered yet.

        Raises
        ------
        ModelError
            Where the model's files are damaged.
        """
        if not (self.folder / "mlflow.db").is_file():
            return None
        with _mlflow(self._uri) as (mlflow, client):
            versions = client.search_model_versions(f"name='{self.name}'")
            if not versions:
                return None
            aliases = client.get_registered_model(self.name).aliases
            newest = max(int(v.version) for v in versions)
            version = str(aliases.get(CHAMPION, newest))
            place = mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version}")
            return load_bundle(Path(place) / "data" / _FOLDER), version

    @property
    def uri(self) -> str:
        """MLflow's address of the registry, for `mlflow ui --backend-store-uri`."""
        return self._uri

    @property
    def _uri(self) -> str:
        return f"sqlite:///{self.folder.resolve() / 'mlflow.db'}"

    def _experiment(self, client: "MlflowClient") -> str:
        found = client.get_experiment_by_name(self.name)
        if found is not None:
            return str(found.experiment_id)
        place = (self.folder.resolve() / "artifacts" / self.name).as_uri()
        return str(client.create_experiment(self.name, artifact_location=place))


@contextmanager
def _mlflow(uri: str) -> "Iterator[tuple[Any, MlflowClient]]":
    """Point MLflow at a registry, quietly, and put its settings back afterwards."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }.items():
        os.environ.setdefault(name, value)
    import logging

    import mlflow  # two seconds that only training and scoring spend
    from mlflow.tracking import MlflowClient

    loggers = [
        logging.getLogger(n)
        for n in ("mlflow", "alembic", "mlflow.store.db.utils", "mlflow.tracking")
    ]
    levels = [logger.level for logger in loggers]
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield mlflow, MlflowClient(tracking_uri=uri, registry_uri=uri)
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
