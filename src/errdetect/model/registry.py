"""Runs and models in MLflow, opened by `mlflow_session`.

A registry is a folder: MLflow's database (SQLite) and its artifacts. Models are stored as bundles
(see `bundle`) with a loader module, so reading executes no code.
"""

import glob
import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from errdetect.data.atomic_writing import csv_text
from errdetect.errors import ModelError, error_message
from errdetect.model.bundle import ModelBundle, load_bundle, save_bundle
from errdetect.model.mlflow_session import RUN_NAME, open_mlflow, refuse_damaged
from errdetect.version import __version__

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["CHAMPION", "ModelRegistry"]

CHAMPION = "champion"
_LOADER = "errdetect.model.bundle"
_FOLDER = "bundle"
#: Plain SQL, as importing MLflow takes two seconds, too long to look up a version.
_VERSIONS = "SELECT version, source FROM model_versions WHERE name = ?"
_ALIAS = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"


@dataclass(frozen=True)
class ModelRegistry:
    """The store of a model's versions and training runs.

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
        bundle: ModelBundle,
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
            Whether the gate accepted the model: it becomes the next version and the champion.
        params, metrics, tags, tables
            The run's data to log.

        Returns
        -------
        str or None
            The model's version; None where it was not accepted.
        """
        with (
            open_mlflow(self.folder) as (mlflow, client),
            TemporaryDirectory() as temporary,
        ):
            with mlflow.start_run(experiment_id=self._experiment_id(client), run_name=RUN_NAME):
                mlflow.log_params(dict(params))
                mlflow.log_metrics({k: float(v) for k, v in metrics.items() if v == v})
                mlflow.set_tags(dict(tags))
                for table, frame in tables.items():
                    mlflow.log_text(csv_text(frame), f"tables/{table}.csv")
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

    def load(self) -> tuple[ModelBundle, str]:
        """Return the champion, or else the newest version, and its version.

        Raises
        ------
        ModelError
            Where nothing was registered yet, or the model's files are damaged.
        """
        found = self.find()
        if found is None:
            got = f"none named '{self.name}' in '{self.folder}'"
            do = "Run `errdetect train` with this config first."
            raise ModelError(error_message("The registry", "hold a trained model", got, do))
        return found

    def find(self) -> tuple[ModelBundle, str] | None:
        """Return the same as `load`, or None where nothing was registered yet.

        Raises
        ------
        ModelError
            Where the model's files are damaged.
        """
        found = self._find_champion()
        if found is None:
            return None
        version, model = found
        place = self._bundle_folder(model)
        if place is None:
            must = "hold the files of its models"
            got = f"no files of version {version} ({model or 'no model'}) below '{self.folder}'"
            do = "Copy the whole folder with its artifacts, or train again."
            raise ModelError(error_message("The registry", must, got, do))
        return load_bundle(place), version

    def champion_version(self) -> tuple[str, str | None] | None:
        """Return the champion's version and the digest of its files, without loading either.

        Returns
        -------
        (version, digest) or None
            SHA-256 over the names and bytes of the model's files; None where they are not below
            the registry's folder. None instead of the pair where nothing was registered yet.
        """
        found = self._find_champion()
        if found is None:
            return None
        version, model = found
        return version, self._file_digest(model)

    def _find_champion(self) -> tuple[str, str] | None:
        """Look up the champion's version, or else the newest, and its model's id, without MLflow."""
        place = self.folder / "mlflow.db"
        if not place.is_file():
            return None
        with refuse_damaged(self.folder):
            uri = f"{place.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=60)) as database:
                sources = dict(database.execute(_VERSIONS, (self.name,)).fetchall())
                named = database.execute(_ALIAS, (self.name, CHAMPION)).fetchone()
            if not sources:
                return None
            version = int(named[0]) if named else max(map(int, sources))
        return str(version), str(sources.get(version, "")).rpartition("/")[2]

    def _bundle_folder(self, model: str) -> Path | None:
        """Find a model's files below the registry's folder, even if it was moved or copied."""
        pattern = f"artifacts/**/{glob.escape(model)}/**/{_FOLDER}"
        folders = sorted(self.folder.glob(pattern)) if model not in ("", ".", "..") else []
        return folders[0] if folders else None

    def _file_digest(self, model: str) -> str | None:
        """Digest the files of a model."""
        folder = self._bundle_folder(model)
        if folder is None:
            return None
        digest = hashlib.sha256()
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    @property
    def tracking_uri(self) -> str:
        """MLflow's address of the registry, for `mlflow ui --backend-store-uri`."""
        return self._tracking_uri

    @property
    def _tracking_uri(self) -> str:
        return f"sqlite:///{self.folder.resolve() / 'mlflow.db'}"

    def _experiment_id(self, client: "MlflowClient") -> str:
        """Return the experiment with files in this folder; a moved registry starts a new one."""
        place = (self.folder.resolve() / "artifacts" / self.name).as_uri()
        found = client.get_experiment_by_name(self.name)
        if found is not None and found.artifact_location != place:
            name = f"{self.name} in {self.folder.resolve()}"
            found = client.get_experiment_by_name(name)
        else:
            name = self.name
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(name, artifact_location=place))
