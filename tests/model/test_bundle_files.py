"""Damaged bundles: one sentence with the file's name, and nothing of it reaches native code."""

import itertools
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from errdetect.errors import ModelError
from errdetect.model import bundle_files
from errdetect.model.bundle import ModelBundle, hash_ids, load_bundle, save_bundle
from errdetect.model.bundle_files import BundleFiles, checked_trees
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.gate import GateRules
from errdetect.model.training import TrainingPlan, train_detector


@pytest.fixture(scope="module")
def saved(examples, tmp_path_factory):
    trained = train_detector(
        examples.take(examples.decisions.index.to_numpy() < 700),
        TrainingPlan(budgets=[0.1], resamples=50, gate=GateRules(min_errors=1)),
        FitOptions(),
    )
    ids = hash_ids(examples.decisions["decision_id"])
    place = tmp_path_factory.mktemp("bundle")
    save_bundle(ModelBundle(trained.detector, trained.calibrator, ids, {}), place)
    return place


def _without_digests(folder):
    """The bundle as an errdetect wrote it that recorded none."""
    (folder / "parts.json").unlink()
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest["parts"], manifest["encoding"]["flags"], manifest["encoding"]["rare"]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "bundle")


def test_a_bundle_scores_as_before_with_and_without_digests(saved, copy, examples):
    head = examples.decisions.head(40)
    first = load_bundle(saved)
    scores = first.probability(first.detector.features(head), head)
    older = load_bundle(_without_digests(copy))
    assert np.array_equal(older.probability(older.detector.features(head), head), scores)


def test_every_damaged_file_is_named(saved, tmp_path):
    names = sorted(path.name for path in saved.iterdir())
    assert {"bundle.json", "parts.json", "learnt_from.npy", "text.npz"} < set(names)
    assert any(name.startswith("trees_") for name in names)
    damages = {
        "missing": lambda file: file.unlink(),
        "empty": lambda file: file.write_bytes(b""),
        "cut": lambda file: file.write_bytes(file.read_bytes()[:-100]),
        "longer": lambda file: file.write_bytes(file.read_bytes() + b" "),
        "noise": lambda file: file.write_bytes(b"\x93NUMPY\x01\x00\xff\xffPK{"),
        "folder": lambda file: (file.unlink(), file.mkdir()),
    }
    for name in names:
        for what, damage in damages.items():
            folder = shutil.copytree(saved, tmp_path / f"{name}-{what}")
            damage(folder / name)
            if name == "parts.json" and what == "longer":
                load_bundle(folder)
                continue
            with pytest.raises(ModelError) as caught:
                load_bundle(folder)
            message = str(caught.value)
            assert f"{folder / name} must be as errdetect wrote it, got" in message, what
            assert "\n" not in message


def test_swapped_files_are_told(saved, tmp_path):
    names = [p.name for p in sorted(saved.iterdir()) if p.suffix in (".npz", ".txt")]
    for one, other in itertools.pairwise(names):
        folder = shutil.copytree(saved, tmp_path / one)
        (folder / one).write_bytes((saved / other).read_bytes())
        with pytest.raises(ModelError, match=one.replace(".", r"\.")):
            load_bundle(folder)


@pytest.mark.parametrize(
    ("weight", "got"),
    [
        ("1e300", "a member's weight of 1e\\+300"),
        ("-1e6", "a member's weight of -1e\\+06"),
        ("NaN", "the number NaN"),
        ("1e999", "not finite"),
        ('"1"', "no number"),
        ("true", "no number"),
    ],
)
def test_absurd_weights_are_refused_with_or_without_digests(copy, weight, got):
    _without_digests(copy)
    text = (copy / "bundle.json").read_text()
    manifest = json.loads(text)
    manifest["members"][0]["weight"] = "PLACE"
    (copy / "bundle.json").write_text(json.dumps(manifest).replace('"PLACE"', weight))
    with pytest.raises(ModelError, match=f"bundle.json must be as errdetect wrote it, got .*{got}"):
        load_bundle(copy)


def test_a_surrogate_of_other_columns_is_damage(repo, tmp_path):
    with tarfile.open(repo / "tests" / "data_of_0_1" / "files.tar.xz") as archive:
        for one in archive.getmembers():
            if one.isfile() and one.name.startswith("bundle/"):
                (tmp_path / Path(one.name).name).write_bytes(archive.extractfile(one).read())
    load_bundle(tmp_path)
    manifest = json.loads((tmp_path / "bundle.json").read_text())
    manifest["usual"] = manifest["usual"][1:]
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="be as errdetect wrote it, got The number of features"):
        load_bundle(tmp_path)


def test_random_damage_never_raises_anything_else(saved, tmp_path):
    rng = np.random.default_rng(5)
    folder = _without_digests(shutil.copytree(saved, tmp_path / "b"))
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    refused = 0
    for _ in range(60):
        path = list(files)[rng.integers(len(files))]
        content = bytearray(files[path])
        start = int(rng.integers(len(content)))
        if rng.random() < 0.5:
            content[start] = rng.integers(256)
        else:
            del content[start : start + int(rng.integers(1, 4000))]
        path.write_bytes(bytes(content))
        try:
            load_bundle(folder)
        except ModelError:
            refused += 1
        path.write_bytes(files[path])
    assert refused > 30


def _trees(rounds=3):
    rng = np.random.default_rng(1)
    X = rng.random((400, 3))
    X[:, 2] = rng.integers(0, 40, 400)
    y = ((X[:, 0] > 0.5) ^ (X[:, 2] > 20)).astype(float)
    data = lgb.Dataset(X, y, categorical_feature=[2])
    settings = {"objective": "cross_entropy", "verbose": -1, "num_leaves": 6}
    return lgb.train(settings, data, rounds), X


def test_checked_trees_predict_the_same():
    booster, X = _trees()
    again = checked_trees(booster.model_to_string(), 3)
    assert np.array_equal(again.predict(X), booster.predict(X))
    assert np.allclose(again.predict(X, pred_contrib=True), booster.predict(X, pred_contrib=True))
    assert checked_trees(again.model_to_string(), 3).num_trees() == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("left_child=", "left_child=9 "),
        ("num_leaves=6", "num_leaves=2000000000"),
        ("num_leaves=6", "num_leaves=-1"),
        ("split_feature=", "split_feature=77 "),
        ("leaf_value=", "leaf_value=1e300 "),
        ("leaf_value=", "leaf_value=nan "),
        ("threshold=", "threshold=1_0 "),
        ("is_linear=0", "is_linear=1"),
        ("max_feature_idx=2", "max_feature_idx=1000000000"),
        ("objective=cross_entropy", "objective=unknown"),
        ("num_class=1", "num_class=3"),
        ("cat_boundaries=0", "cat_boundaries=5"),
        ("end of trees", "end of tre"),
        ("tree\n", "forest\n"),
    ],
)
def test_bad_trees_are_refused_before_they_are_loaded(monkeypatch, old, new):
    text = _trees()[0].model_to_string()
    assert old in text

    def never(**_):
        raise AssertionError("native code got it")

    monkeypatch.setattr(lgb, "Booster", never)
    with pytest.raises((ValueError, KeyError, TypeError)):
        checked_trees(text.replace(old, new, 1), 3)


def test_what_follows_the_trees_is_not_handed_on():
    booster, X = _trees()
    text = booster.model_to_string()
    cut = text[: text.index("end of parameters") - 700]
    assert np.array_equal(checked_trees(cut).predict(X), booster.predict(X))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_files, "_MOST_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(1 << 21))
    with pytest.raises(ModelError, match=r"a\.npz must be .*larger arrays"):
        BundleFiles(tmp_path).arrays("a.npz")
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    with (tmp_path / "b.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ModelError, match=r"b\.npy must be .*8,000,000,000,000 bytes in 0"):
        BundleFiles(tmp_path).arrays("b.npy")
