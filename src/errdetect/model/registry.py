"""Runs and models in MLflow, opened by `mlflow_session`.

A registry is a folder: MLflow's database (SQLite) and its artifacts. Models are stored as bundles
(see `bundle`) with a loader module, so reading executes no code.
"""

import glob
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from errdetect.data.atomic_writing import csv_text
from errdetect.data.output_folders import hold_temporary_folder
from errdetect.errors import ModelError, error_message, mask_secrets
from errdetect.model.bundle import SERVING, ModelBundle, load_bundle, read_about, save_bundle
from errdetect.model.bundle_files import folder_digest
from errdetect.model.mlflow_session import (
    KIND,
    RUN_NAME,
    open_mlflow,
    open_server,
    read_database,
    refuse_damaged,
)
from errdetect.model.registry_server import download_model, latest_gate, read_versions, relocate
from errdetect.model.run_contents import RunContents
from errdetect.version import __version__

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["CHALLENGER", "CHAMPION", "ChampionChange", "ModelRegistry"]

CHAMPION, CHALLENGER = "champion", "challenger"
_FOLDER = "bundle"
#: Plain SQL, as importing MLflow takes two seconds, too long to look up a version.
_VERSIONS = "SELECT version, source FROM model_versions WHERE name = ?"
_ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
_TAGS = "SELECT key, value FROM registered_model_tags WHERE name = ? AND key LIKE ? ORDER BY key"
#: The gate's answer to the latest training, by the experiment's name in this folder or in one it moved from.
_GATES = """
SELECT tags.key, tags.value FROM tags WHERE tags.key IN ('gate', 'gate_why') AND tags.run_uuid = (
    SELECT runs.run_uuid FROM runs JOIN experiments USING (experiment_id) JOIN tags USING (run_uuid)
    WHERE (experiments.name = ? OR substr(experiments.name, 1, length(?)) = ?) AND tags.key = 'gate'
    ORDER BY runs.start_time DESC, runs.rowid DESC LIMIT 1)
"""
_CHANGE = "champion_"  # key of the tags with the champions' history, before their number
_LONGEST = 4000  # characters of a tag, which MLflow cuts


@dataclass(frozen=True)
class ChampionChange:
    """When a version became champion, and why.

    Parameters
    ----------
    version, before
        The new champion, and the one it replaced; None where there was none.
    at
        When (ISO 8601, UTC).
    by
        Who decided: a person, or the command.
    why
        The reason in words.
    """

    version: str
    before: str | None
    at: str
    by: str
    why: str


@dataclass(frozen=True)
class _Catalogue:
    """What a registry has of one model: versions with their MLflow ids, aliases, the history."""

    models: Mapping[str, str]
    aliases: Mapping[str, str]
    changes: tuple[ChampionChange, ...]


def _catalogue(
    sources: Mapping[str, str], aliases: Mapping[str, str], tags: Mapping[str, str]
) -> _Catalogue:
    changes = sorted((key, value) for key, value in tags.items() if key.startswith(_CHANGE))
    return _Catalogue(
        {str(version): str(source).rpartition("/")[2] for version, source in sources.items()},
        {str(alias): str(version) for alias, version in aliases.items()},
        tuple(ChampionChange(**json.loads(value)) for _, value in changes),
    )


@dataclass(frozen=True)
class ModelRegistry:
    """The store of a model's versions and training runs.

    Parameters
    ----------
    folder
        Holds MLflow's database and artifacts; created at the first record.
    name
        The model's name.
    uri
        MLflow's address of a registry elsewhere: a tracking server's, or a database's. None: the folder.
    """

    folder: Path
    name: str
    uri: str | None = None

    def record(
        self,
        bundle: ModelBundle,
        *,
        accept: bool,
        champion: str | None = None,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        tables: Mapping[str, pd.DataFrame],
        contents: RunContents | None = None,
    ) -> str | None:
        """Log a training run, and register its model if it was accepted.

        Parameters
        ----------
        bundle
            The model.
        accept
            Whether the gate accepted the model: it becomes the next version.
        champion
            Why an accepted model becomes the champion; None: it waits as challenger.
        params, metrics, tags, tables
            The run's data to log.
        contents
            What else the run holds.

        Returns
        -------
        str or None
            The model's version; None where it was not accepted.
        """
        contents = contents or RunContents()
        with (
            self._open() as (mlflow, client),
            hold_temporary_folder() as temporary,
        ):
            with mlflow.start_run(
                experiment_id=self._experiment_id(client),
                run_name=contents.name,
                tags={KIND: RUN_NAME},
            ) as run:
                mlflow.log_params(dict(params))
                mlflow.log_metrics({k: float(v) for k, v in metrics.items() if v == v})
                mlflow.set_tags({name: text[:_LONGEST] for name, text in tags.items()})
                for table, frame in tables.items():
                    mlflow.log_text(csv_text(frame), f"tables/{table}.csv")
                (temporary / "run").mkdir()
                contents.log(mlflow, client, run.info.run_id, temporary / "run")
                if not accept:
                    return None
                place = temporary / _FOLDER
                place.mkdir()
                save_bundle(bundle, place)
                info = mlflow.pyfunc.log_model(
                    name="model",
                    loader_module=SERVING,
                    data_path=str(place),
                    pip_requirements=[f"errdetect=={__version__}"],
                    model_config={"state": None, "max_age_days": None},
                    **contents.model_options(mlflow),
                )
            if not client.search_registered_models(f"name='{self.name}'"):
                client.create_registered_model(self.name)
            made = client.create_model_version(
                self.name,
                source=info.model_uri,
                run_id=info.run_id,
                model_id=info.model_id,
                description=contents.description[:_LONGEST] or None,
                tags={name: text[:_LONGEST] for name, text in tags.items()},
            )
            version = str(made.version)
            if champion is None:
                client.set_registered_model_alias(self.name, CHALLENGER, version)
            else:
                self._crown(client, version, by="errdetect train", why=champion)
            return version

    def promote(self, version: str, *, by: str, why: str) -> ChampionChange:
        """Make a registered version the champion, and note when, by whom and why.

        Raises
        ------
        ModelError
            Where there is no such version.
        """
        known = self._read()
        if known is None or version not in known.models:
            got = f"{version}; there are {', '.join(sorted(known.models, key=int)) if known else 'none'}"
            do = "Name a version of this registry."
            raise ModelError(error_message("The version", "be registered", got, do))
        with self._open() as (_, client):
            return self._crown(client, version, by=by, why=why)

    @contextmanager
    def _open(self) -> "Iterator[tuple[Any, MlflowClient]]":
        """Open the registry for changes; on this machine one process at a time."""
        if self.uri is None:
            relocate(self.folder)
        with open_mlflow(self.folder) if self.uri is None else open_server(self.uri) as opened:
            yield opened

    def _crown(self, client: "MlflowClient", version: str, *, by: str, why: str) -> ChampionChange:
        known = self._read()
        changes, aliases = ((), {}) if known is None else (known.changes, known.aliases)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        change = ChampionChange(version, aliases.get(CHAMPION), now, by, why[:_LONGEST])
        client.set_registered_model_tag(
            self.name,
            f"{_CHANGE}{len(changes) + 1:06}{self._mark()}",
            json.dumps(asdict(change), ensure_ascii=False),
        )
        client.set_registered_model_alias(self.name, CHAMPION, version)
        if aliases.get(CHALLENGER) == version:
            client.delete_registered_model_alias(self.name, CHALLENGER)
        return change

    def _mark(self) -> str:
        """Return what keeps two changes apart that two machines make at once."""
        return "" if self.uri is None else f"_{secrets.token_hex(4)}"

    def history(self) -> tuple[ChampionChange, ...]:
        """Return every change of the champion, the earliest first."""
        known = self._read()
        return () if known is None else known.changes

    def has(self, version: str) -> bool:
        """Return whether a version is registered."""
        known = self._read()
        return known is not None and version in known.models

    def digest(self, version: str) -> str | None:
        """Return SHA-256 over the names and bytes of a version's files; None without them."""
        known = self._read()
        return None if known is None else self._file_digest(known.models.get(version, ""))

    def challenger_version(self) -> str | None:
        """Return the version that waits as challenger; None where none does."""
        known = self._read()
        return None if known is None else known.aliases.get(CHALLENGER)

    def load(self, version: str | None = None) -> tuple[ModelBundle, str]:
        """Return a version's model, by default the champion's, and its version.

        Raises
        ------
        ModelError
            Where nothing was registered or promoted yet, or the model's files are damaged.
        """
        found = self.find(version)
        if found is not None:
            return found
        known = self._read()
        if version is None and known is not None:
            versions = ", ".join(sorted(known.models, key=int))
            got = f"none of '{self.name}' in '{self.shown}' (registered versions: {versions})"
            do = "Run `errdetect promote` with this config to name one."
            raise ModelError(error_message("The registry", "have a champion", got, do))
        raise ModelError(self._no_model_text(version))

    def _no_model_text(self, version: str | None) -> str:
        """Say that there is no model, and why the gate let none in if one was trained."""
        which = "" if version is None else f" of version {version}"
        got = f"none named '{self.name}'{which} in '{self.shown}'"
        answer = "" if version is not None else self.turned_down()
        if not answer:
            do = "Run `errdetect train` with this config first."
            return error_message("The registry", "hold a trained model", got, do)
        do = (
            "Until a model passes, review by margin or by an audit (`errdetect plan-audit` needs no model). Then "
            "train again: with more reviewed decisions, or with columns that tell more about errors."
        )
        return error_message(
            "The registry", "hold a model that passed the gate", f"{got}: {answer}", do
        )

    def turned_down(self) -> str:
        """Return why the gate did not let the latest training's model pass; empty where it did or none ran."""
        gate = self._latest_gate()
        answers = {
            "rejected": "the latest training's model was rejected by the gate",
            "unknown": "the gate could not tell whether the latest training's model is good enough",
        }
        answer = answers.get(gate.get("gate", ""))
        why = gate.get("gate_why", "no reason recorded").rstrip(".")
        return f"{answer} ({why})" if answer else ""

    def _latest_gate(self) -> dict[str, str]:
        """Return the gate's answer and reason of the latest training; empty where there was none."""
        if self.uri is not None:
            return dict(latest_gate(self.uri, self.name))
        place, moved = self.folder / "mlflow.db", f"{self.name} in "
        if not place.is_file():
            return {}
        with refuse_damaged(self.folder), closing(read_database(place)) as database:
            rows = database.execute(_GATES, (self.name, moved, moved)).fetchall()
        return {str(key): str(value) for key, value in rows}

    def find(self, version: str | None = None) -> tuple[ModelBundle, str] | None:
        """Return the same as `load`, or None where there is no champion, or no such version.

        Raises
        ------
        ModelError
            Where the model's files are damaged.
        """
        found = self._place(version)
        return None if found is None else (load_bundle(found[0]), found[1])

    def about(self, version: str) -> Mapping[str, Any]:
        """Return what a version says of itself (`ModelBundle.about`), without loading it.

        Raises
        ------
        ModelError
            Where there is no such version, or its files are damaged.
        """
        found = self._place(version)
        if found is None:
            raise ModelError(self._no_model_text(version))
        return read_about(found[0])

    def model_folder(self) -> Path:
        """Return the champion's folder as MLflow keeps it, for its `load_model`.

        Raises
        ------
        ModelError
            Where there is no champion, or its files are damaged.
        """
        self.load()
        found = self._place(None)
        place = None if found is None else found[0]
        kept = next(
            (one for one in (place.parents if place else ()) if (one / "MLmodel").is_file()), None
        )
        if kept is None:
            raise ModelError(self._no_model_text(None))
        return kept

    def _place(self, version: str | None) -> tuple[Path, str] | None:
        """Return where a version's files are, and its number."""
        if self.uri is None:
            relocate(self.folder)
        known = self._read()
        version = version or (None if known is None else known.aliases.get(CHAMPION))
        if known is None or version is None or version not in known.models:
            return None
        model = known.models[version]
        place = self._bundle_folder(model)
        if place is None:
            must = "hold the files of its models"
            got = f"no files of version {version} ({model or 'no model'}) below '{self.shown}'"
            do = "Copy the whole folder with its artifacts, or train again."
            raise ModelError(error_message("The registry", must, got, do))
        return place, version

    def champion_version(self) -> tuple[str, str | None] | None:
        """Return the champion's version and the digest of its files, without loading either.

        Returns
        -------
        (version, digest) or None
            SHA-256 over the names and bytes of the model's files; None where they are not below
            the registry's folder. None instead of the pair where there is no champion.
        """
        known = self._read()
        version = None if known is None else known.aliases.get(CHAMPION)
        if known is None or version is None:
            return None
        return version, self._file_digest(known.models.get(version, ""))

    def _read(self) -> _Catalogue | None:
        """Read versions, aliases and history; None where nothing was registered."""
        if self.uri is not None:
            found = read_versions(self.uri, self.name)
            return None if found is None else _catalogue(*found)
        place = self.folder / "mlflow.db"
        if not place.is_file():
            return None
        with refuse_damaged(self.folder), closing(read_database(place)) as database:
            sources = database.execute(_VERSIONS, (self.name,)).fetchall()
            aliases = database.execute(_ALIASES, (self.name,)).fetchall()
            tags = database.execute(_TAGS, (self.name, f"{_CHANGE}%")).fetchall()
        if not sources:
            return None
        return _catalogue(dict(sources), dict(aliases), dict(tags))

    def _bundle_folder(self, model: str) -> Path | None:
        """Find a model's files below the registry's folder, even if it was moved or copied.

        Those of a registry elsewhere are fetched once.
        """
        if model in ("", ".", ".."):
            return None
        pattern = f"artifacts/**/{glob.escape(model)}/**/{_FOLDER}"
        folders = sorted(self.folder.glob(pattern))
        if folders or self.uri is None:
            return folders[0] if folders else None
        place = self.folder / "fetched" / model
        if not place.is_dir():
            with refuse_damaged(self.folder):
                download_model(self.uri, model, place)
        return next(iter(sorted(place.rglob(_FOLDER))), None)

    def _file_digest(self, model: str) -> str | None:
        """Digest the files of a model."""
        folder = self._bundle_folder(model)
        return None if folder is None else folder_digest(folder)

    @property
    def tracking_uri(self) -> str:
        """MLflow's address of the registry, for `mlflow ui --backend-store-uri`."""
        return self.uri or f"sqlite:///{self.folder.resolve() / 'mlflow.db'}"

    @property
    def shown(self) -> str:
        """Where the registry is, for messages: without passwords."""
        return str(self.folder) if self.uri is None else mask_secrets(self.uri)

    def _experiment_id(self, client: "MlflowClient") -> str:
        """Return the experiment with files in this folder; a moved registry starts a new one.

        A tracking server keeps files where it was told to.
        """
        if self.uri is not None and self.uri.startswith("http"):
            known = client.get_experiment_by_name(self.name)
            return str(
                client.create_experiment(self.name) if known is None else known.experiment_id
            )
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
