"""What a served model needs besides itself, as of the latest scoring run: log, reviews, level, catalogue.

The folder `served` within the kept state holds the columns of histories and similar content of every
decision known, the reviews' columns that histories use (reviewers numbered, no names), the calibration
with its level, and the config's catalogue and templates; `served.json` names them with their digests.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.config_schema import QueueSettings
from errdetect.data.frame_store import FrameStore
from errdetect.data.output_folders import commit_stage, hold_stage
from errdetect.data.policy_catalogue import Policy, read_policies
from errdetect.errors import ModelError, error_message
from errdetect.explanations.reason_templates import Words, load_templates
from errdetect.features.kept_log import file_digest
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.model.calibration import Calibrator, calibrator_from_jsonable
from errdetect.snapshot import Snapshot
from errdetect.table_settings import TableMapping
from errdetect.version import __version__
from errdetect.workflows.current_levels import CurrentLevels
from errdetect.workflows.score_batches import ScoringSource

__all__ = ["ServedState", "read_served_state", "served_stamp", "write_served_state"]

_FOLDER, _MANIFEST, _FORMAT = "served", "served.json", 1
_REVIEWS, _POLICIES, _WORDS = "reviews.arrow", "policies.yaml", "words.yaml"
#: The reviews' columns that histories and similar content use.
_USED = (
    "review_id",
    "decision_id",
    "reviewed_at",
    "updated_at",
    "source",
    "verdict",
    "reviewer_id",
)


@dataclass(frozen=True)
class ServedState:
    """What was known at the latest scoring run, ready to answer from.

    Parameters
    ----------
    written_at
        When the run wrote it (UTC).
    known_until
        The latest decision's time.
    model_version, model_digest
        The model that scored, and the SHA-256 over its files.
    max_age_days
        Age from which nothing is answered.
    calibrator
        The model's, at the level of that run.
    past
        What was known before any decision.
    policies, words, queue
        The catalogue, the templates of reasons, and the config's section.
    reading
        How decisions are read: columns, actions, drop, mapping.
    """

    written_at: datetime
    known_until: datetime
    model_version: str
    model_digest: str
    max_age_days: float
    calibrator: Calibrator
    past: PointInTimeFeatures
    policies: Mapping[str, Policy]
    words: Words
    queue: QueueSettings
    reading: Mapping[str, Any]


def write_served_state(
    config: Config,
    source: ScoringSource,
    levels: CurrentLevels,
    snapshot: Snapshot,
    model: tuple[str, str],
) -> list[str]:
    """Write what a served model needs, by one atomic step; return a note where that fails.

    Parameters
    ----------
    config
        From `load_config`; nothing is written where `state.keep` is false.
    source
        The log and the batch, after `index`.
    levels
        The champion at its current level.
    snapshot
        For the reviews.
    model
        The champion's version, and the SHA-256 over its files.
    """
    files = source.slim_files() if config.state.keep else None
    if files is None:
        return []
    place = config.path(config.state.folder) / _FOLDER
    try:
        with hold_stage(place) as stage:
            parts = [_bring(path, rows, stage.path, i) for i, (path, rows) in enumerate(files)]
            manifest = {
                **_facts(config, source, levels, model),
                "parts": parts,
                "reviews": _write_reviews(snapshot.reviews, stage.path / _REVIEWS),
            }
            policies, words = config.data.policies, config.report.words
            if policies is not None:
                shutil.copyfile(config.data_paths(policies)[0], stage.path / _POLICIES)
            if words is not None:
                shutil.copyfile(config.path(words), stage.path / _WORDS)
            held = sorted(path for path in stage.path.iterdir() if path.is_file())
            manifest["digests"] = {path.name: file_digest(path) for path in held}
            (stage.path / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            for path in stage.path.iterdir():
                path.chmod(0o600)
            commit_stage(
                stage, [p.name for p in place.iterdir() if not (stage.path / p.name).exists()]
            )
        place.chmod(0o700)
        place.parent.chmod(0o700)
    except OSError as error:
        return [f"what a served model needs could not be kept in {place}: {error.strerror}"]
    return []


def _facts(
    config: Config, source: ScoringSource, levels: CurrentLevels, model: tuple[str, str]
) -> dict[str, Any]:
    data, mapping = config.data, config.data.mapping("decisions")
    until = source.known_until
    return {
        "format": _FORMAT,
        "errdetect": __version__,
        "written_at": datetime.now(UTC).isoformat(),
        "known_until": None if until is None else until.isoformat(),
        "max_age_days": config.state.max_age_days,
        "model_version": model[0],
        "model_digest": model[1],
        "calibrator": levels.bundle.calibrator.to_jsonable(),
        "queue": config.queue.model_dump(mode="json"),
        "reading": {
            "columns": dict(data.columns), "actions": dict(data.actions), "drop": sorted(data.drop),
            "mapping": None if mapping is None else mapping.model_dump(mode="json"),
        },
    }  # fmt: skip


def _bring(source: Path, rows: Sequence[int], folder: Path, number: int) -> dict[str, Any]:
    """Link or copy a file of slim columns."""
    name = f"{number}.keys.arrow"
    try:
        os.link(source, folder / name)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, folder / name)
    return {"name": name, "rows": list(rows)}


def _write_reviews(reviews: pd.DataFrame, path: Path) -> list[int]:
    used = reviews[[name for name in _USED if name in reviews]]
    if "reviewer_id" in used:
        code = pd.Series(pd.factorize(used["reviewer_id"])[0], index=used.index).astype("str")
        used = used.assign(reviewer_id=code.where(used["reviewer_id"].notna()))
    store = FrameStore(path)
    if len(used):
        store.write(used)
    store.close()
    return list(store.sizes)


def served_stamp(folder: Path) -> tuple[int, int] | None:
    """Return what changes whenever a run writes another state; None where there is none.

    Examples
    --------
    >>> served_stamp(Path("no such folder")) is None
    True
    """
    try:
        found = (folder / _FOLDER / _MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def read_served_state(folder: Path, names: Sequence[str]) -> ServedState:
    """Read and index the state for a model's features.

    Parameters
    ----------
    folder
        The config's `state.folder`, or a copy of it.
    names
        The model's features.

    Raises
    ------
    ModelError
        Where there is none, or it is damaged.
    """
    place = folder / _FOLDER
    try:
        told = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        if told["format"] != _FORMAT or told["errdetect"] != __version__:
            raise _unusable(folder, f"one that errdetect {told['errdetect']} wrote")
        damaged = [
            name
            for name, digest in told["digests"].items()
            if Path(name).name != name or file_digest(place / name) != digest
        ]
        if damaged:
            raise _unusable(folder, f"a damaged file, {damaged[0]}")
        return _state_from(told, place, names)
    except FileNotFoundError as error:
        raise _unusable(folder, "none") from error
    except (KeyError, TypeError, ValueError, AttributeError, OSError, pa.ArrowInvalid) as error:
        raise _unusable(folder, f"a damaged file, {_MANIFEST}") from error


def _state_from(told: Mapping[str, Any], place: Path, names: Sequence[str]) -> ServedState:
    slim = (
        frame
        for part in told["parts"]
        if Path(part["name"]).name == part["name"]
        for frame in FrameStore(place / part["name"], [int(n) for n in part["rows"]])
    )
    held = list(FrameStore(place / _REVIEWS, [int(n) for n in told["reviews"]]))
    reviews = pd.concat(held, ignore_index=True) if held else None
    policies, words = place / _POLICIES, place / _WORDS
    mapping = told["reading"]["mapping"]
    written = datetime.fromisoformat(told["written_at"])
    return ServedState(
        written,
        written if told["known_until"] is None else datetime.fromisoformat(told["known_until"]),
        str(told["model_version"]),
        str(told["model_digest"]),
        float(told["max_age_days"]),
        calibrator_from_jsonable(told["calibrator"]),
        PointInTimeFeatures.for_model_columns(names, [], reviews, slim=slim),
        read_policies(policies) if policies.exists() else {},
        load_templates(words if words.exists() else None),
        QueueSettings.model_validate(told["queue"]),
        {
            **told["reading"],
            "mapping": None if mapping is None else TableMapping.model_validate(mapping),
        },
    )


def _unusable(folder: Path, got: str) -> ModelError:
    must = "hold what a served model needs: the log, reviews and level of the latest scoring run"
    do = (
        "Run `errdetect score` with this model as champion and state.keep on, then name its state folder: "
        "model_config={'state': FOLDER}, or the environment's ERRDETECT_STATE."
    )
    return ModelError(error_message(f"The state in '{folder}'", must, got, do))
