"""Wheel and source archive: complete, and an installed errdetect runs outside of its checkout."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def _run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
    return done.stdout


def _build(project, out, kind):
    _run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", out, cwd=project)
    return next(out.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(repo, tmp_path_factory):
    return _build(repo, tmp_path_factory.mktemp("wheel"), "wheel")


def _tracked(repo, folder):
    done = subprocess.run(["git", "ls-files", folder], cwd=repo, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a checkout")
    return {name for name in done.stdout.splitlines() if (repo / name).exists()}


def test_the_wheel_holds_every_file_of_the_package(repo, wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.split("/")[0].endswith("info")}
        wanted = {name.removeprefix("src/") for name in _tracked(repo, "src")}
        assert held >= wanted
        assert not [n for n in held if n.endswith((".pyc", ".db"))]
        licence = [n for n in archive.namelist() if n.endswith("licenses/LICENSE")]
        assert len(licence) == 1
        notes = next(n for n in archive.namelist() if n.endswith("METADATA"))
        assert "License-Expression: Apache-2.0" in archive.read(notes).decode()


def test_a_wheel_built_from_the_source_archive_is_the_same(repo, wheel, tmp_path):
    with tarfile.open(_build(repo, tmp_path, "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    left = {n for n in _tracked(repo, ".") if not (source / n).exists()}
    assert left <= {".ci/run", ".gitignore"}
    again = _build(source, tmp_path / "again", "wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        kept = [n for n in one.namelist() if not n.endswith("RECORD")]
        assert {n: one.getinfo(n).CRC for n in kept} == {n: other.getinfo(n).CRC for n in kept}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run what is installed in an environment that holds the wheel, and of this one only the requirements."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=True)
    paths = {"base": str(place), "platbase": str(place)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    _run(
        *(sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "--quiet"),
        *("--no-index", "--no-deps", "--disable-pip-version-check", wheel),
    )
    # A path of a .pth file brings packages, but not this environment's own .pth with the checkout.
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MLFLOW"))}

    def run(*words):
        return _run(
            place / "bin" / words[0],
            *words[1:],
            cwd=place,
            env=env | {"OMP_NUM_THREADS": "1"},
            timeout=900,
        )

    found = Path(run("python", "-c", "import errdetect; print(errdetect.__file__)").strip())
    assert place.resolve() in found.resolve().parents
    return run


@pytest.mark.skipif(os.name != "posix", reason="paths of POSIX environments")
def test_an_installed_errdetect_runs_its_demo(installed, tmp_path):
    assert "plan-audit" in installed("errdetect", "--help")
    shown = installed("errdetect", "demo", tmp_path / "demo", "-q")
    assert "Version 1 is now the champion" in shown
    last = shown[shown.index("Open these:") :]
    for name in ("report/report.html", "queue/queue.parquet", "data/config.yaml"):
        assert name in last
        assert (tmp_path / "demo" / name).stat().st_size > 0
    assert (tmp_path / "demo" / "report" / "report.html").stat().st_size > 50_000
