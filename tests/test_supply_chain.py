"""The bill of materials is made as documented, and lists what is installed."""

import importlib.metadata
import json
import re
import subprocess
import sys


def test_the_documented_command_writes_a_bill_of_materials(repo, tmp_path):
    recipe = re.search(r"^sbom:.*\n\t(.+)$", (repo / "Makefile").read_text(), re.M)[1]
    words = recipe.replace("$(BIN)/python", sys.executable).replace("sbom.json", "{out}").split()
    out = tmp_path / "sbom.json"
    subprocess.run([w.format(out=out) for w in words], cwd=repo, check=True, timeout=120)
    found = json.loads(out.read_text())
    assert found["bomFormat"] == "CycloneDX"
    parts = found["components"]
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (repo / "requirements/runtime.txt").read_text(), re.M)
    assert {(one["name"].lower(), one["version"]) for one in parts} == {
        (name.lower(), version) for name, version in pinned
    }
    for one in parts:
        assert one["licenses"], one["name"]
        digests = [held for link in one["externalReferences"] for held in link.get("hashes", [])]
        digests += one.get("hashes", [])
        assert all(re.fullmatch("[0-9a-f]{64}", held["content"]) for held in digests)
        assert digests, one["name"]


def test_what_is_installed_is_what_is_pinned(repo):
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (repo / "requirements/runtime.txt").read_text(), re.M)
    differing = {}
    for name, version in pinned:
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        if installed != version:
            differing[name] = (version, installed)
    assert differing == {}
    assert len(pinned) > 90


def test_the_documented_audit_reads_the_pinned_requirements(repo):
    text = (repo / "docs/security.md").read_text()
    file = re.search(r"`pip-audit -r (\S+?)[` ]", text)[1]
    assert (repo / file).read_text().count("--hash=sha256:") > 90
