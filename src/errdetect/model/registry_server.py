"""A registry behind an address: an MLflow tracking server, or MLflow's own database elsewhere."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from errdetect.data.output_folders import commit_stage, hold_stage
from errdetect.model.mlflow_session import DATABASE, open_server

__all__ = ["download_model", "latest_gate", "read_versions", "relocate"]

#: Where MLflow's database holds addresses of artifacts.
_ADDRESSES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("model_versions", "source"),
    ("model_versions", "storage_location"), ("logged_models", "artifact_location"),
)  # fmt: skip
_ARTIFACTS = "/artifacts/"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


def read_versions(
    uri: str, name: str
) -> tuple[dict[str, str], dict[str, str], dict[str, str]] | None:
    """Return a model's versions with their sources, its aliases and tags; None where there is none.

    Parameters
    ----------
    uri, name
        MLflow's address, and the model's name.

    Raises
    ------
    ModelError
        Where the registry cannot be reached or read.
    """
    with open_server(uri) as (mlflow, client):
        try:
            model = client.get_registered_model(name)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code in _NOT_THERE:
                return None
            raise
        sources = {str(one.version): str(one.source) for one in _versions(client, name)}
        aliases = {str(alias): str(version) for alias, version in model.aliases.items()}
        return (sources, aliases, dict(model.tags)) if sources else None


def _versions(client: Any, name: str) -> list[Any]:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return found


def latest_gate(uri: str, name: str) -> Mapping[str, str]:
    """Return the gate's answer and reason of the latest training; empty where there was none."""
    with open_server(uri) as (_, client):
        ours = [
            one.experiment_id
            for one in client.search_experiments()
            if one.name == name or one.name.startswith(f"{name} in ")
        ]
        query, newest = "tags.gate != ''", ["attributes.start_time DESC"]
        runs = client.search_runs(ours, query, max_results=1, order_by=newest) if ours else []
        return dict(runs[0].data.tags) if runs else {}


def download_model(uri: str, model: str, place: Path) -> None:
    """Fetch a model's files into a folder, by one atomic step.

    Parameters
    ----------
    uri, model
        MLflow's address, and its id of the model.
    place
        The folder to make.

    Raises
    ------
    ModelError
        Where the registry cannot be reached.
    OSError
        Where the folder cannot be written.
    """
    with hold_stage(place) as stage:
        with open_server(uri) as (mlflow, _):
            mlflow.artifacts.download_artifacts(f"models:/{model}", dst_path=str(stage.path))
        commit_stage(stage)


def relocate(folder: Path) -> None:
    """Let a moved or copied registry name its artifacts where they are now, for MLflow's own programs.

    Nothing happens where the database cannot be written: errdetect itself finds the files anyway.
    """
    database, here = folder / DATABASE, f"{folder.resolve().as_uri()}{_ARTIFACTS}"
    if not database.is_file():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=60)) as opened:
        places = opened.execute("SELECT name, artifact_location FROM experiments").fetchall()
        for name, place in places:
            root, mark, last = str(place).rpartition(_ARTIFACTS)
            old = root + mark
            moved = mark and old != here and str(name).partition(" in ")[0] == last
            if not moved or not (folder / "artifacts" / last).is_dir():
                continue
            for table, column in _ADDRESSES:
                change = (
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE substr({column}, 1, ?) = ?"
                )
                opened.execute(change, (here, len(old) + 1, len(old), old))
        opened.commit()
