"""A model on disk: JSON, LightGBM's own text and plain arrays, nothing that runs when read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.actions import action_meanings, action_word
from errdetect.errors import DataError, ModelError, sentence
from errdetect.features.matrix import Encoding
from errdetect.features.text_models import TextModel
from errdetect.model.additive import Additive
from errdetect.model.baselines import SegmentRate
from errdetect.model.calibration import Calibrator, read_calibrator
from errdetect.model.detector import Detector
from errdetect.model.ensemble_members import Line, Member
from errdetect.model.policy_correction import Relabelling, load_relabelling
from errdetect.model.surrogate import Usual
from errdetect.model.trees import load_trees

__all__ = ["Bundle", "ServedModel", "hash_ids", "load_bundle", "save_bundle"]


Floats = npt.NDArray[np.float64]

_FORMAT = 3
_LINEAR: Mapping[str, type[Additive] | type[Line]] = {"additive": Additive, "line": Line}


@dataclass(frozen=True)
class Bundle:
    """All that scoring needs.

    Parameters
    ----------
    detector, calibrator
        What scores.
    learnt_from
        Sorted 64-bit hashes of the decisions whose labels it learnt from, so that scoring can say
        which of its figures are in-sample.
    about
        Facts for people: when and on what it was trained, how it did.
    relabelling
        The model of the right label; None where nothing is known of it.
    """

    detector: Detector
    calibrator: Calibrator
    learnt_from: npt.NDArray[np.uint64]
    about: Mapping[str, Any] = field(default_factory=dict)
    relabelling: Relabelling | None = None

    def probability(self, X: Floats, decisions: pd.DataFrame, threads: int = 1) -> Floats:
        """Return calibrated P(error), shape (n,), from a feature matrix and its decisions."""
        raw = self.detector.raw(X, threads)
        return self.calibrator.probability(raw, decisions["enforced"].to_numpy(bool), decisions)

    def wrong_labels(self, decisions: pd.DataFrame, p_error: Floats) -> pd.DataFrame:
        """Return `p_wrong_label` and `suggested_policy_id`, as `Relabelling.predict` does.

        Both are missing everywhere where the bundle has no model of the right label.
        """
        if self.relabelling is not None:
            said = self.relabelling.predict(decisions, p_error)
            return said[["p_wrong_label", "suggested_policy_id"]]
        nobody = pd.array([None] * len(decisions), dtype="str")
        unknown = {"p_wrong_label": np.nan, "suggested_policy_id": nobody}
        return pd.DataFrame(unknown, index=decisions.index)

    def in_sample(self, decision_ids: pd.Series) -> npt.NDArray[np.bool_]:
        """Tell for each decision whether the model learnt from its label, shape (n,)."""
        return np.isin(hash_ids(decision_ids), self.learnt_from)


def hash_ids(decision_ids: pd.Series) -> npt.NDArray[np.uint64]:
    """Hash ids, shape (n,); equal ids have equal hashes on every machine."""
    return pd.util.hash_array(decision_ids.astype("object").to_numpy(), categorize=False)


def save_bundle(bundle: Bundle, folder: Path) -> None:
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
        },
        "doubt": None if bundle.detector.doubt is None else bundle.detector.doubt.facts(),
        "floor": bundle.detector.floor,
        "usual": None if bundle.detector.usual is None else list(bundle.detector.usual.columns),
        "segment": _segment_to_plain(bundle.detector.segment),
        "members": [
            {"name": m.name, "head": m.head, "weight": m.weight, "kind": _kind(m)}
            for m in bundle.detector.members
        ],
        "calibrator": bundle.calibrator.plain(),
        "about": dict(bundle.about),
        "relabelling": None if bundle.relabelling is None else bundle.relabelling.facts(),
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "bundle.json").write_text(text, encoding="utf-8")
    for member in bundle.detector.members:
        if isinstance(member.model, Additive | Line):
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
        _save_usual(bundle.detector.usual, folder)
    for name, model in (("doubt", bundle.detector.doubt), ("relabelling", bundle.relabelling)):
        if model is not None:
            np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **model.arrays())


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle back.

    Raises
    ------
    ModelError
        Where a file is missing or damaged, or was written by a later errdetect.
    """
    do = "Train again with `errdetect train`, or name another model."
    try:
        manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise ModelError(
                sentence("The model's format", f"be {_FORMAT}", manifest["format"], do)
            )
        e = manifest["encoding"]
        categorical = {name: tuple(levels) for name, levels in e["categorical"].items()}
        lists = {name: tuple(entries) for name, entries in e["lists"].items()}
        encoding = Encoding(
            tuple(e["numeric"]), categorical, e["text"], e["left_out"], lists, e["segment"],
            tuple(e["extra"]),
        )  # fmt: skip
        members = tuple(_load_member(folder, m) for m in manifest["members"])
        return Bundle(
            Detector(
                encoding,
                _load_text(folder / "text.npz") if encoding.text else None,
                _segment_from_plain(manifest["segment"]),
                members,
                _load_usual(folder, manifest["usual"]),
                _load_relabelling(folder / "doubt.npz", manifest["doubt"]),
                manifest["floor"],
            ),
            read_calibrator(manifest["calibrator"]),
            np.load(folder / "learnt_from.npy", allow_pickle=False),
            manifest["about"],
            _load_relabelling(folder / "relabelling.npz", manifest.get("relabelling")),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        raise ModelError(sentence("The model's files", "be whole", got, do)) from error


def _load_relabelling(path: Path, facts: Mapping[str, Any] | None) -> Relabelling | None:
    if facts is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return load_relabelling(facts, {name: arrays[name] for name in arrays.files})


def _load_text(path: Path) -> TextModel:
    with np.load(path, allow_pickle=False) as arrays:
        return TextModel.from_arrays(dict(arrays))


def _save_usual(usual: Usual, folder: Path) -> None:
    (folder / "usual.txt").write_text(usual.trees.model_to_string(), encoding="utf-8")
    if usual.text is not None:
        np.savez_compressed(folder / "usual.npz", allow_pickle=False, **usual.text.arrays())


def _load_usual(folder: Path, columns: list[int] | None) -> Usual | None:
    if columns is None:
        return None
    path = folder / "usual.npz"
    trees = load_trees((folder / "usual.txt").read_text(encoding="utf-8"))
    return Usual(tuple(columns), _load_text(path) if path.exists() else None, trees)


def _kind(member: Member) -> str:
    if isinstance(member.model, Additive):
        return "additive"
    return "line" if isinstance(member.model, Line) else "trees"


def _load_member(folder: Path, m: Mapping[str, Any]) -> Member:
    if m["kind"] == "trees":
        text = (folder / f"trees_{m['name']}.txt").read_text(encoding="utf-8")
        return Member(m["name"], m["head"], load_trees(text), m["weight"])
    with np.load(folder / f"member_{m['name']}.npz", allow_pickle=False) as arrays:
        return Member(
            m["name"], m["head"], _LINEAR[m["kind"]].from_arrays(dict(arrays)), m["weight"]
        )


def _segment_to_plain(segment: SegmentRate) -> dict[str, Any]:
    return {
        "edges": segment.edges.tolist(),
        "overall": segment.overall,
        "levels": [
            [[[_plain(k) for k in key], float(rate)] for key, rate in level.items()]
            for level in segment.levels
        ],
        "columns": list(segment.columns),
    }


def _segment_from_plain(value: Mapping[str, Any]) -> SegmentRate:
    levels = tuple({tuple(key): rate for key, rate in level} for level in value["levels"])
    return SegmentRate(np.array(value["edges"]), value["overall"], levels, tuple(value["columns"]))


def _plain(key: object) -> str | int:
    return int(key) if isinstance(key, int | np.integer) else str(key)


@dataclass(frozen=True)
class ServedModel:
    """A bundle behind MLflow's model interface."""

    bundle: Bundle

    def predict(self, decisions: pd.DataFrame) -> pd.DataFrame:
        """Score decisions.

        Parameters
        ----------
        decisions
            Shape (n, any), with `action` and the columns that the model learnt from; what is
            missing counts as unknown.

        Returns
        -------
        pandas.DataFrame
            Column p_error, shape (n, 1).

        Raises
        ------
        DataError
            Where the actions are missing, or one of them has no known meaning.
        """
        if "action" not in decisions:
            do = "Send each decision's action."
            raise DataError(
                sentence("The decisions", "have the column 'action'", list(decisions.columns), do)
            )
        meanings = action_meanings(self.bundle.about.get("actions", {}))
        words = decisions["action"].astype("str").map(action_word)
        unknown = decisions["action"][~words.isin(list(meanings)).to_numpy(bool)]
        if len(unknown):
            must = "be known action words, or mapped under data.actions when the model was trained"
            got = f"{len(unknown)} others (first: {str(unknown.iloc[0])[:40]!r})"
            raise DataError(sentence("The actions", must, got, "Map them and train again."))
        enforced = (words.map(meanings) == "enforce").to_numpy(bool)
        decided = decisions.assign(enforced=enforced)
        p = self.bundle.probability(self.bundle.detector.features(decided), decided)
        return pd.DataFrame({"p_error": p}, index=decisions.index)


def _load_pyfunc(path: str) -> ServedModel:
    """Load a bundle; the name is MLflow's."""
    return ServedModel(load_bundle(Path(path)))
