"""A model on disk: JSON, LightGBM's text format and plain arrays; reading executes no code."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import ModelError, error_message
from errdetect.features.feature_matrix import DERIVED_TEXT, SCORE_COLUMNS, Encoding
from errdetect.features.text_models import MEASURE_COLUMNS, TEXT_COLUMNS, TextModel
from errdetect.model.bundle_files import PARTS_FILE, BundleFiles, checked_weight, write_parts
from errdetect.model.calibration import Calibrator, calibrator_from_jsonable
from errdetect.model.detector import Detector
from errdetect.model.ensemble_members import (
    AdditiveModel,
    Head,
    LinearMember,
    Member,
    SegmentRate,
)
from errdetect.model.policy_correction import (
    PolicyContent,
    PolicyCorrection,
    load_policy_correction,
)
from errdetect.model.surrogate import Surrogate

__all__ = [
    "SERVING",
    "HeldOutScores",
    "ModelBundle",
    "hash_ids",
    "load_bundle",
    "read_about",
    "save_bundle",
]


Floats = npt.NDArray[np.float64]

#: The module that MLflow loads to serve a bundle.
SERVING = "errdetect.workflows.serving"
_FORMAT, _MANIFEST, _ABOUT = 3, "bundle.json", "about.json"
_LINEAR: Mapping[str, type[AdditiveModel] | type[LinearMember]] = {
    "additive": AdditiveModel,
    "line": LinearMember,
}


_KINDS = frozenset({"trees", *_LINEAR})


@dataclass(frozen=True)
class HeldOutScores:
    """P(error) of the held-out decisions, by the evaluated model, which did not learn from them.

    Parameters
    ----------
    ids
        64-bit hashes of the decisions, sorted, shape (n,).
    p
        P(error), shape (n,).
    start
        When the first of them was taken (ISO 8601).
    """

    ids: npt.NDArray[np.uint64]
    p: Floats
    start: str

    @classmethod
    def of(cls, decisions: pd.DataFrame, p: Floats) -> "HeldOutScores":
        """Keep the scores of n decisions in order of time."""
        ids = hash_ids(decisions["decision_id"])
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], p[order], decisions["decided_at"].iloc[0].isoformat())

    def find(self, decision_ids: pd.Series) -> Floats:
        """Return the decisions' scores, shape (n,); NaN where they were not held out."""
        wanted = hash_ids(decision_ids)
        place = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[place] == wanted, self.p[place], np.nan)


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
    held_out
        What the evaluated model said of the held-out decisions; None in bundles without it.
    """

    detector: Detector
    calibrator: Calibrator
    learnt_from: npt.NDArray[np.uint64]
    about: Mapping[str, Any] = field(default_factory=dict)
    relabelling: PolicyCorrection | None = None
    held_out: HeldOutScores | None = None

    def probability(self, X: Floats, decisions: pd.DataFrame, threads: int = 1) -> Floats:
        """Return calibrated P(error), shape (n,), from a feature matrix and its decisions."""
        raw = self.detector.raw(X, threads)
        return self.calibrator.probability(raw, decisions["enforced"].to_numpy(bool), decisions)

    def policy_content(self, decisions: pd.DataFrame) -> PolicyContent | None:
        """Hash the enforced decisions' content, for the models of policies; None without these."""
        if self.relabelling is None and self.detector.doubt is None:
            return None
        return PolicyContent.of(decisions[decisions["enforced"].to_numpy(bool)])

    def wrong_labels(
        self, decisions: pd.DataFrame, p_error: Floats, content: PolicyContent | None = None
    ) -> pd.DataFrame:
        """Return `p_wrong_label` and `suggested_policy_id`, as `PolicyCorrection.predict` does.

        Both are missing everywhere without a policy correction model.
        """
        if self.relabelling is not None:
            predicted = self.relabelling.predict(decisions, p_error, content)
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
        total: defaultdict[str, float] = defaultdict(float)
        for member in self.detector.members:
            if isinstance(member.model, AdditiveModel | LinearMember) or member.weight <= 0:
                continue
            gain = member.model.feature_importance("gain")
            for name, own in zip(
                encoding.names, gain / max(float(gain.sum()), 1e-300), strict=True
            ):
                total[_input_column(name, encoding)] += member.weight * float(own)
        every = sum(total.values())
        return {name: own / every for name, own in total.items()} if every > 0 else {}

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
        "parts": True,
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
        "relabelling": None if bundle.relabelling is None else bundle.relabelling.facts(),
        "held_out_from": None if bundle.held_out is None else bundle.held_out.start,
    }
    # Apart, as it holds times and measured prices: equal trainings differ in nothing else.
    for name, content in ((_MANIFEST, manifest), (_ABOUT, dict(bundle.about))):
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / name).write_text(text, encoding="utf-8")
    for member in bundle.detector.members:
        if isinstance(member.model, AdditiveModel | LinearMember):
            place = folder / f"member_{member.name}.npz"
            np.savez_compressed(place, allow_pickle=False, **member.model.arrays())
        else:
            trees = member.model.model_to_string()
            (folder / f"trees_{member.name}.txt").write_text(trees, encoding="utf-8")
    np.save(folder / "learnt_from.npy", bundle.learnt_from, allow_pickle=False)
    if bundle.held_out is not None:
        arrays = {"ids": bundle.held_out.ids, "p": bundle.held_out.p}
        np.savez_compressed(folder / "held_out.npz", allow_pickle=False, **arrays)
    if bundle.detector.text is not None:
        np.savez_compressed(
            folder / "text.npz", allow_pickle=False, **bundle.detector.text.arrays()
        )
    if bundle.detector.usual is not None:
        _save_surrogate(bundle.detector.usual, folder)
    for name, model in (("doubt", bundle.detector.doubt), ("relabelling", bundle.relabelling)):
        if model is not None:
            np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **model.arrays())
    write_parts(folder)


def read_about(folder: Path) -> Mapping[str, Any]:
    """Return what a bundle says of itself (`ModelBundle.about`): its files are compared with their digests, not loaded.

    Raises
    ------
    ModelError
        As for `load_bundle`.
    """
    files, manifest = _open_bundle(folder)
    files.check()
    return dict(_about(files, manifest))


def _open_bundle(folder: Path) -> tuple[BundleFiles, Mapping[str, Any]]:
    """Return a bundle's files and its manifest, of a format that is known."""
    files = BundleFiles(folder)
    manifest = files.json(_MANIFEST)
    with files.part(_MANIFEST):
        if manifest["format"] != _FORMAT:
            do = "Train again with `errdetect train`, or use another model."
            raise ModelError(
                error_message("The model's format", f"be {_FORMAT}", manifest["format"], do)
            )
    return files, manifest


def _about(files: BundleFiles, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = manifest["about"] if "about" in manifest else files.json(_ABOUT)
    return found


def load_bundle(folder: Path) -> ModelBundle:
    """Load a bundle: every file has the digest that was recorded, and fits the others.

    Raises
    ------
    ModelError
        Where a file is missing or damaged (it is named), or was written by a later errdetect.
    """
    files, manifest = _open_bundle(folder)
    with files.part(_MANIFEST):
        encoding = _encoding_from_jsonable(manifest["encoding"])
        has_parts = bool(manifest.get("parts", False))
        members = [dict(m) | {"weight": checked_weight(m["weight"])} for m in manifest["members"]]
        if not members or not sum(m["weight"] for m in members) > 0:
            raise ValueError("no member with a weight above 0")
    files.check([PARTS_FILE] if has_parts and files.parts is None else [])
    loaded = tuple(_load_member(files, m, len(encoding.names)) for m in members)
    surrogate = _load_surrogate(files, manifest["usual"])
    text = _load_text_models(files, "text.npz") if encoding.text else None
    doubt = _load_policy_correction(files, "doubt", manifest["doubt"])
    correction = _load_policy_correction(files, "relabelling", manifest.get("relabelling"))
    held_out = _load_held_out(files, manifest.get("held_out_from"))
    learnt_from = files.arrays("learnt_from.npy")["array"]
    about = _about(files, manifest)
    with files.part(_MANIFEST):
        segment = _segment_from_jsonable(manifest["segment"])
        detector = Detector(encoding, text, segment, loaded, surrogate, doubt, manifest["floor"])
        calibrator = calibrator_from_jsonable(manifest["calibrator"])
        bundle = ModelBundle(detector, calibrator, learnt_from, dict(about), correction, held_out)
        _try_out(bundle)
    return bundle


def _encoding_from_jsonable(e: Mapping[str, Any]) -> Encoding:
    categorical = {name: tuple(levels) for name, levels in e["categorical"].items()}
    lists = {name: tuple(entries) for name, entries in e["lists"].items()}
    return Encoding(
        tuple(e["numeric"]), categorical, e["text"], e["left_out"], lists, e["segment"],
        tuple(e["extra"]),
        None if e.get("flags") is None else tuple(e["flags"]),
        {name: tuple(levels) for name, levels in e.get("rare", {}).items()},
    )  # fmt: skip


def _try_out(bundle: ModelBundle) -> None:
    """Score two decisions of which nothing is known: parts that do not fit each other fail here."""
    probe = pd.DataFrame({"decision_id": ["a", "b"], "enforced": [True, False]}).assign(
        policy_id=pd.array([None, None], dtype="str"), text=pd.array(["a", None], dtype="str")
    )
    p = bundle.probability(bundle.detector.features(probe), probe)
    bundle.wrong_labels(probe, p)
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        raise ValueError("parts that give no probability")
    if bundle.learnt_from.dtype != np.uint64 or bundle.learnt_from.ndim != 1:
        raise ValueError("hashes of another type")


def _load_policy_correction(
    files: BundleFiles, name: str, facts: Mapping[str, Any] | None
) -> PolicyCorrection | None:
    if facts is None:
        return None
    arrays = files.arrays(f"{name}.npz")
    with files.part(f"{name}.npz"):
        return load_policy_correction(facts, arrays)
    raise AssertionError("unreachable")


def _load_held_out(files: BundleFiles, start: str | None) -> HeldOutScores | None:
    if start is None:
        return None
    arrays = files.arrays("held_out.npz")
    with files.part("held_out.npz"):
        return HeldOutScores(arrays["ids"], arrays["p"], start)
    raise AssertionError("unreachable")


def _load_text_models(files: BundleFiles, name: str) -> TextModel:
    arrays = files.arrays(name)
    with files.part(name):
        return TextModel.from_arrays(arrays)
    raise AssertionError("unreachable")


def _save_surrogate(usual: Surrogate, folder: Path) -> None:
    (folder / "usual.txt").write_text(usual.trees.model_to_string(), encoding="utf-8")
    if usual.text is not None:
        np.savez_compressed(folder / "usual.npz", allow_pickle=False, **usual.text.arrays())


def _load_surrogate(files: BundleFiles, columns: list[int] | None) -> Surrogate | None:
    if columns is None:
        return None
    has_text = (files.folder / "usual.npz").exists() or "usual.npz" in (files.parts or ())
    text = _load_text_models(files, "usual.npz") if has_text else None
    return Surrogate(tuple(columns), text, files.trees("usual.txt"))


def _member_kind(member: Member) -> str:
    if isinstance(member.model, AdditiveModel):
        return "additive"
    return "line" if isinstance(member.model, LinearMember) else "trees"


def _load_member(files: BundleFiles, m: Mapping[str, Any], n_features: int) -> Member:
    with files.part(_MANIFEST):
        name, head, kind, weight = (m[key] for key in ("name", "head", "kind", "weight"))
        if Path(name).name != name or head not in get_args(Head) or kind not in _KINDS:
            raise ValueError(f"a member of another form ({name!r:.40})")
    if kind == "trees":
        trees = files.trees(f"trees_{name}.txt", n_features)
        return Member(name, head, trees, weight)
    file = f"member_{name}.npz"
    arrays = files.arrays(file)
    with files.part(file):
        return Member(name, head, _LINEAR[kind].from_arrays(arrays), weight)
    raise AssertionError("unreachable")


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


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> object:
    """Serve a version that an earlier errdetect registered under this module's name."""
    return import_module(SERVING)._load_pyfunc(path, model_config)
