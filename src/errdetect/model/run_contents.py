"""What a training run holds in MLflow besides parameters and metrics: files, data, signature, trials."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["LoggedData", "RunContents", "code_digest", "model_signature"]

#: The answers of a served model and their types, as in `errdetect.workflows.serving.ANSWER`.
_ANSWERS = {
    "decision_id": "string", "p_error": "double", "error_kind": "string", "expected_harm": "double",
    "suggested_policy_id": "string", "reasons": "string", "model_version": "string",
    "state_as_of": "string", "state_age_hours": "double", "refused": "string",
}  # fmt: skip
_LONGEST_DIGEST = 36  # of a data set in MLflow


@dataclass(frozen=True)
class LoggedData:
    """One input of a training.

    Parameters
    ----------
    name, source
        What it is, and where.
    sha256
        Digest of its content; None where it has none.
    """

    name: str
    source: str
    sha256: str | None


@dataclass(frozen=True)
class RunContents:
    """What a run holds besides parameters, metrics, tags and the model.

    Parameters
    ----------
    name, description
        The run's name; the version's description (Markdown).
    files
        Path within the run -> content.
    data
        The inputs.
    trials
        One row for each setting that tuning tried: its values, the objective and `state`.
    example
        One decision as the log holds it, without ids and texts; its names are the signature's. None:
        neither is logged.
    """

    name: str = "train"
    description: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    data: Sequence[LoggedData] = ()
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    example: Mapping[str, Any] | None = None

    def log(self, mlflow: Any, client: Any, run_id: str, folder: Path) -> None:
        """Log files, data and trials with a run; `folder` is empty and for its own use."""
        for name, content in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        if self.files:
            client.log_artifacts(run_id, str(folder))
        if self.data:
            client.log_inputs(run_id, [_dataset_input(mlflow, one) for one in self.data])
        for number, trial in enumerate(self.trials.to_dict("records")):
            _log_trial(mlflow, client, run_id, number, {str(k): v for k, v in trial.items()})

    def model_options(self, mlflow: Any) -> dict[str, Any]:
        """Return signature and example, for MLflow's `log_model`."""
        if self.example is None:
            return {}
        row = pd.DataFrame([dict(self.example)])
        return {"signature": model_signature(mlflow, list(self.example)), "input_example": row}


def _dataset_input(mlflow: Any, data: LoggedData) -> Any:
    entities = mlflow.entities
    digest = (data.sha256 or "none")[:_LONGEST_DIGEST]
    profile = json.dumps({"sha256": data.sha256})
    source = json.dumps({"uri": data.source})
    found = entities.Dataset(data.name, digest, "local", source, profile=profile)
    return entities.DatasetInput(found, [entities.InputTag("mlflow.data.context", "training")])


def _log_trial(
    mlflow: Any, client: Any, parent: str, number: int, trial: Mapping[str, Any]
) -> None:
    """Log one setting that tuning tried as a run below the training's."""
    entities, now = mlflow.entities, int(time.time() * 1000)
    run = client.create_run(
        client.get_run(parent).info.experiment_id,
        tags={"mlflow.parentRunId": parent, "state": str(trial.get("state"))},
        run_name=f"trial {number}",
    )
    values = {name: value for name, value in trial.items() if name != "state" and value == value}
    objective = list(trial)[-2]
    client.log_batch(
        run.info.run_id,
        metrics=[
            entities.Metric(name, float(value), now, 0)
            for name, value in values.items()
            if name == objective and value is not None
        ],
        params=[
            entities.Param(name, str(value)) for name, value in values.items() if name != objective
        ],
    )
    client.set_terminated(run.info.run_id)


def model_signature(mlflow: Any, columns: Sequence[str]) -> Any:
    """Return MLflow's signature: a log's columns, each optional and of any type, and the answers.

    What a decision lacks counts as missing, or refuses it; so the model itself decides on types.
    """
    types = mlflow.types
    anything = types.schema.AnyType()
    return mlflow.models.ModelSignature(
        types.Schema([types.ColSpec(anything, name, required=False) for name in columns]),
        types.Schema(
            [types.ColSpec(kind, name, required=False) for name, kind in _ANSWERS.items()]
        ),
        types.ParamSchema([types.ParamSpec("reasons", "boolean", True)]),
    )


def code_digest() -> str:
    """Return SHA-256 over errdetect's own source files.

    Examples
    --------
    >>> len(code_digest())
    64
    """
    home = Path(str(files("errdetect")))
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()
