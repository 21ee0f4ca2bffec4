"""A model on disk: JSON, LightGBM's text format and plain arrays; reading executes no code."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.action_meanings import action_meanings, canonical_action
from errdetect.errors import DataError, ModelError, error_message
from errdetect.features.feature_matrix import DERIVED_TEXT, SCORE_COLUMNS, Encoding
from errdetect.features.text_models import MEASURE_COLUMNS, TEXT_COLUMNS, TextModel
from errdetect.features.typed_columns import typed_columns
from errdetect.model.calibration import Calibrator, calibrator_from_jsonable
from errdetect.model.detector import Detector
from errdetect.model.ensemble_members import (
    AdditiveModel,
    LinearMember,
    Member,
    SegmentRate,
    load_trees,
)
from errdetect.model.policy_correction import PolicyCorrection, load_policy_correction
from errdetect.model.surrogate import Surrogate

__all__ = ["ModelBundle", "ServedModel", "hash_ids", "load_bundle", "save_bundle"]


Floats = npt.NDArray[np.float64]

_FORMAT = 3
_LINEAR: Mapping[str, type[AdditiveModel] | type[LinearMember]] = {
    "additive": AdditiveModel,
    "line": LinearMember,
}


@dataclass(frozen=True)
class ModelBundle:
    """Everything that scoring needs.

    Parameters
    ----------
    detector, calibrator
        The fitted models.
    learnt_from
        Sorted 64-bit hashes of the training decisions, so that scoring can flag in-sample scores.
    about
        Metadata for users: training time, data and results.
    relabelling
        The policy correction model; None where not fitted.
    """

    detector: Detector
    calibrator: Calibrator
    learnt_from: npt.NDArray[np.uint64]
    about: Mapping[str, Any] = field(default_factory=dict)
    relabelling: PolicyCorrection | None = None

    def probability(self, X: Floats, decisions: pd.DataFrame, threads: int = 1) -> Floats:
        """Return calibrated P(error), shape (n,), from a feature matrix and its decisions."""
        raw = self.detector.raw(X, threads)
        return self.calibrator.probability(raw, decisions["enforced"].to_numpy(bool), decisions)

    def wrong_labels(self, decisions: pd.DataFrame, p_error: Floats) -> pd.DataFrame:
        """Return `p_wrong_label` and `suggested_policy_id`, as `PolicyCorrection.predict` does.

        Both are missing everywhere without a policy correction model.
        """
        if self.relabelling is not None:
            predicted = self.relabelling.predict(decisions, p_error)
            return predicted[["p_wrong_label", "suggested_policy_id"]]
        no_policy = pd.array([None] * len(decisions), dtype="str")
        unknown = {"p_wrong_label": np.nan, "suggested_policy_id": no_policy}
        return pd.DataFrame(unknown, index=decisions.index)

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Names of the decisions' columns that features use."""
        encoding = self.detector.encoding
        names = (*encoding.numeric, *encoding.categorical, *encoding.lists)
        return ("score", "threshold", *dict.fromkeys(names), *(("text",) if encoding.text else ()))

    def known_values(self) -> dict[str, frozenset[str]]:
        """Return the values of categorical columns in training; without columns of too many."""
        encoding = self.detector.encoding
        return {n: frozenset((*encoding.categorical[n], *v)) for n, v in encoding.rare.items()}

    def gain_shares(self) -> dict[str, float]:
        """Return each input column's share of the gain of all splits; empty without trees."""
        encoding = self.detector.encoding
        total: Counter[str] = Counter()
        for member in self.detector.members:
            if isinstance(member.model, AdditiveModel | LinearMember) or member.weight <= 0:
                continue
            gain = member.model.feature_importance("gain")
            for name, own in zip(
                encoding.names, gain / max(float(gain.sum()), 1e-300), strict=True
            ):
                total[_input_column(name, encoding)] += member.weight * float(own)
        whole = sum(total.values())
        return {name: own / whole for name, own in total.items()} if whole > 0 else {}

    def in_sample(self, decision_ids: pd.Series) -> npt.NDArray[np.bool_]:
        """Return whether the model was trained on each decision's label, shape (n,)."""
        return np.isin(hash_ids(decision_ids), self.learnt_from)


def _input_column(name: str, encoding: Encoding) -> str:
    """Return the input column that a feature comes from."""
    if name in (*MEASURE_COLUMNS, *TEXT_COLUMNS, *DERIVED_TEXT):
        return "text"
    if name in ("margin", "confidence", *SCORE_COLUMNS):
        return "score"
    column = name.partition("=")[0]
    return column if column in encoding.lists else name


def hash_ids(decision_ids: pd.Series) -> npt.NDArray[np.uint64]:
    """Hash ids, shape (n,); equal ids have equal hashes on every machine."""
    return pd.util.hash_array(decision_ids.astype("object").to_numpy(), categorize=False)


def save_bundle(bundle: ModelBundle, folder: Path) -> None:
    """Write a bundle into an existing, empty folder."""
    e = bundle.detector.encoding
    manifest = {
        "format": _FORMAT,
        "encoding": {
            "numeric": e.numeric,
            "categorical": dict(e.categorical),
            "text": e.text,
            "left_out": dict(e.left_out),
            "lists": dict(e.lists),
            "segment": e.segment,
            "extra": e.extra,
            "flags": e.flags,
            "rare": dict(e.rare),
        },
        "doubt": None if bundle.detector.doubt is None else bundle.detector.doubt.facts(),
        "floor": bundle.detector.floor,
        "usual": None if bundle.detector.usual is None else list(bundle.detector.usual.columns),
        "segment": _segment_to_jsonable(bundle.detector.segment),
        "members": [
            {"name": m.name, "head": m.head, "weight": m.weight, "kind": _member_kind(m)}
            for m in bundle.detector.members
        ],
        "calibrator": bundle.calibrator.to_jsonable(),
        "about": dict(bundle.about),
        "relabelling": None if bundle.relabelling is None else bundle.relabelling.facts(),
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "bundle.json").write_text(text, encoding="utf-8")
    for member in bundle.detector.members:
        if isinstance(member.model, AdditiveModel | LinearMember):
            place = folder / f"member_{member.name}.npz"
            np.savez_compressed(place, allow_pickle=False, **member.model.arrays())
        else:
            trees = member.model.model_to_string()
            (folder / f"trees_{member.name}.txt").write_text(trees, encoding="utf-8")
    np.save(folder / "learnt_from.npy", bundle.learnt_from, allow_pickle=False)
    if bundle.detector.text is not None:
        np.savez_compressed(
            folder / "text.npz", allow_pickle=False, **bundle.detector.text.arrays()
        )
    if bundle.detector.usual is not None:
        _save_surrogate(bundle.detector.usual, folder)
    for name, model in (("doubt", bundle.detector.doubt), ("relabelling", bundle.relabelling)):
        if model is not None:
            np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **model.arrays())


def load_bundle(folder: Path) -> ModelBundle:
    """Load a bundle.

    Raises
    ------
    ModelError
        Where a file is missing or damaged, or was written by a later errdetect.
    """
    do = "Train again with `errdetect train`, or use another model."
    try:
        manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise ModelError(
                error_message("The model's format", f"be {_FORMAT}", manifest["format"], do)
            )
        e = manifest["encoding"]
        categorical = {name: tuple(levels) for name, levels in e["categorical"].items()}
        lists = {name: tuple(entries) for name, entries in e["lists"].items()}
        encoding = Encoding(
            tuple(e["numeric"]), categorical, e["text"], e["left_out"], lists, e["segment"],
            tuple(e["extra"]),
            None if e.get("flags") is None else tuple(e["flags"]),
            {name: tuple(levels) for name, levels in e.get("rare", {}).items()},
        )  # fmt: skip
        members = tuple(_load_member(folder, m) for m in manifest["members"])
        return ModelBundle(
            Detector(
                encoding,
                _load_text_models(folder / "text.npz") if encoding.text else None,
                _segment_from_jsonable(manifest["segment"]),
                members,
                _load_surrogate(folder, manifest["usual"]),
                _load_policy_correction(folder / "doubt.npz", manifest["doubt"]),
                manifest["floor"],
            ),
            calibrator_from_jsonable(manifest["calibrator"]),
            np.load(folder / "learnt_from.npy", allow_pickle=False),
            manifest["about"],
            _load_policy_correction(folder / "relabelling.npz", manifest.get("relabelling")),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        raise ModelError(error_message("The model's files", "be whole", got, do)) from error


def _load_policy_correction(path: Path, facts: Mapping[str, Any] | None) -> PolicyCorrection | None:
    if facts is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return load_policy_correction(facts, {name: arrays[name] for name in arrays.files})


def _load_text_models(path: Path) -> TextModel:
    with np.load(path, allow_pickle=False) as arrays:
        return TextModel.from_arrays(dict(arrays))


def _save_surrogate(usual: Surrogate, folder: Path) -> None:
    (folder / "usual.txt").write_text(usual.trees.model_to_string(), encoding="utf-8")
    if usual.text is not None:
        np.savez_compressed(folder / "usual.npz", allow_pickle=False, **usual.text.arrays())


def _load_surrogate(folder: Path, columns: list[int] | None) -> Surrogate | None:
    if columns is None:
        return None
    path = folder / "usual.npz"
    trees = load_trees((folder / "usual.txt").read_text(encoding="utf-8"))
    return Surrogate(tuple(columns), _load_text_models(path) if path.exists() else None, trees)


def _member_kind(member: Member) -> str:
    if isinstance(member.model, AdditiveModel):
        return "additive"
    return "line" if isinstance(member.model, LinearMember) else "trees"


def _load_member(folder: Path, m: Mapping[str, Any]) -> Member:
    if m["kind"] == "trees":
        text = (folder / f"trees_{m['name']}.txt").read_text(encoding="utf-8")
        return Member(m["name"], m["head"], load_trees(text), m["weight"])
    with np.load(folder / f"member_{m['name']}.npz", allow_pickle=False) as arrays:
        return Member(
            m["name"], m["head"], _LINEAR[m["kind"]].from_arrays(dict(arrays)), m["weight"]
        )


def _segment_to_jsonable(segment: SegmentRate) -> dict[str, Any]:
    return {
        "edges": segment.edges.tolist(),
        "overall": segment.overall,
        "levels": [
            [[[_key_to_jsonable(k) for k in key], float(rate)] for key, rate in level.items()]
            for level in segment.levels
        ],
        "columns": list(segment.columns),
    }


def _segment_from_jsonable(value: Mapping[str, Any]) -> SegmentRate:
    levels = tuple({tuple(key): rate for key, rate in level} for level in value["levels"])
    return SegmentRate(np.array(value["edges"]), value["overall"], levels, tuple(value["columns"]))


def _key_to_jsonable(key: object) -> str | int:
    return int(key) if isinstance(key, int | np.integer) else str(key)


@dataclass(frozen=True)
class ServedModel:
    """A bundle behind MLflow's model interface."""

    bundle: ModelBundle

    def predict(self, decisions: pd.DataFrame) -> pd.DataFrame:
        """Score decisions.

        Parameters
        ----------
        decisions
            Shape (n, any), with `action` and the columns that the model was trained on; missing
            ones count as unknown.

        Returns
        -------
        pandas.DataFrame
            Column p_error, shape (n, 1).

        Raises
        ------
        DataError
            Where actions are missing, or one has no known meaning.
        """
        if "action" not in decisions:
            do = "Provide each decision's action."
            raise DataError(
                error_message(
                    "The decisions", "have the column 'action'", list(decisions.columns), do
                )
            )
        meanings = action_meanings(self.bundle.about.get("actions", {}))
        words = decisions["action"].astype("str").map(canonical_action)
        unknown = decisions["action"][~words.isin(list(meanings)).to_numpy(bool)]
        if len(unknown):
            must = "be known actions, or mapped under data.actions when the model was trained"
            got = f"{len(unknown)} others (first: {str(unknown.iloc[0])[:40]!r})"
            raise DataError(error_message("The actions", must, got, "Map them and train again."))
        enforced = (words.map(meanings) == "enforce").to_numpy(bool)
        encoding = self.bundle.detector.encoding
        decided = typed_columns(decisions, encoding.numeric_kinds, encoding.levels)[0]
        decided = decided.assign(enforced=enforced)
        p = self.bundle.probability(self.bundle.detector.features(decided), decided)
        return pd.DataFrame({"p_error": p}, index=decisions.index)


def _load_pyfunc(path: str) -> ServedModel:
    """Load a bundle; MLflow requires this name."""
    return ServedModel(load_bundle(Path(path)))
