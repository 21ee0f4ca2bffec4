"""Requirements are pinned with hashes, their licences are compatible, and the archive is complete."""

import importlib.util
import json
import re
import subprocess
import tomllib

import pytest

#: Compatible with distributing errdetect under Apache-2.0.
PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "HPND", "ISC", "MIT",
    "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Python-2.0.1", "Unlicense", "Zlib", "ZPL-2.1",
}  # fmt: skip
#: Exceptions that only concern runtime libraries which a binary wheel brings along.
EXCEPTIONS = {"GCC-exception-3.1", "LLVM-exception", "Bison-exception-2.2"}


@pytest.fixture(scope="module")
def sbom(repo_path):
    spec = importlib.util.spec_from_file_location("sbom", repo_path / "tools" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["sbom"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def repo_path():
    from pathlib import Path

    return Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_every_requirement_has_a_version_and_hashes(sbom, repo_path, name):
    text = (repo_path / "requirements" / f"{name}.txt").read_text()
    pins = list(sbom.read_requirements(repo_path / "requirements" / f"{name}.txt"))
    assert len(pins) == len(re.findall(r"^\w", text, re.M)) > 90
    assert [one.name for one in pins if not one.hashes] == []
    assert "://" not in text, "no registry's address"


def test_runtime_pins_are_those_that_tests_run_with(sbom, repo_path):
    pins = {
        name: {one.name: one for one in sbom.read_requirements(repo_path / "requirements" / name)}
        for name in ("runtime.txt", "dev.txt")
    }
    assert pins["runtime.txt"].items() <= pins["dev.txt"].items()
    project = tomllib.loads((repo_path / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[\w.-]+", one)[0].lower() for one in project["dependencies"]}
    assert needed <= {name.lower() for name in pins["runtime.txt"]}


def _alternatives(expression):
    """The sets of licences that satisfy an SPDX expression without inner OR in brackets of AND."""
    words = re.sub(
        r" WITH (\S+)", lambda m: "" if m[1].strip("()") in EXCEPTIONS else m[0], expression
    )
    for choice in re.split(r" OR ", words):
        yield {part.strip("() ") for part in re.split(r" AND ", choice)}


def test_every_licence_is_compatible(sbom, repo_path):
    unknown, refused = [], []
    for one in sbom.read_requirements(repo_path / "requirements" / "runtime.txt"):
        licence = sbom.licence_of(one.name)
        if licence is None:
            unknown.append(one.name)
        elif not any(_compatible(parts) for parts in _alternatives(licence)):
            refused.append((one.name, licence))
    assert refused == []
    assert unknown == []


def _compatible(parts):
    # A wheel may bring libgfortran and libgomp, whose GPL has the runtime library exception.
    return all(
        part in PERMISSIVE or part == "GPL-3.0-or-later WITH GCC-exception-3.1" for part in parts
    )


def test_incompatible_licences_would_be_found():
    assert not any(_compatible(p) for p in _alternatives("GPL-3.0-or-later"))
    assert not any(_compatible(p) for p in _alternatives("MIT AND AGPL-3.0-only"))
    assert any(_compatible(p) for p in _alternatives("GPL-2.0-only OR MIT"))


def test_the_bill_of_materials_names_every_requirement(sbom, repo_path):
    pins = list(sbom.read_requirements(repo_path / "requirements" / "runtime.txt"))
    found = sbom.bill(pins)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert [c["purl"] for c in found["components"]] == [
        f"pkg:pypi/{one.name.lower()}@{one.version}" for one in pins
    ]
    assert all(c["licenses"] and c["externalReferences"] for c in found["components"])
    assert json.dumps(found) == json.dumps(sbom.bill(pins))


def test_the_source_archive_holds_every_file_that_tests_need(repo_path):
    project = tomllib.loads((repo_path / "pyproject.toml").read_text())
    included = tuple(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    done = subprocess.run(["git", "ls-files"], cwd=repo_path, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a checkout")
    left = [f for f in done.stdout.splitlines() if not f.startswith(included)]
    assert left == [".ci/run", ".gitignore", "pyproject.toml"]  # the last is always in it
