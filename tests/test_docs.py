"""What the docs show must be so."""

import json
import re
import subprocess
import sys

import pytest

FENCE = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
COMMAND = re.compile(r"^errdetect ([a-z-]+)(.*)$", re.M)


def pages(repo):
    return [repo / "README.md", repo / "CONTRIBUTING.md", *sorted((repo / "docs").rglob("*.md"))]


def test_links_lead_somewhere(repo):
    for page in pages(repo):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_and_options_exist(repo, command):
    shown: dict[str, str] = {}
    for page in pages(repo):
        shell = "\n".join(FENCE.findall(page.read_text(encoding="utf-8")))
        for verb, rest in COMMAND.findall(shell):
            if verb not in shown:
                done = command(verb, "--help")
                assert done.returncode == 0, (
                    f"{page.name} shows `errdetect {verb}`, which does not exist"
                )
                shown[verb] = done.stdout
            for option in re.findall(r"--[a-z-]+", rest.partition("#")[0]):
                assert option in shown[verb], f"{page.name}: errdetect {verb} has no {option}"


def test_notebooks_show_what_they_do(repo):
    """All are committed as run from a clean start: outputs, a picture, no error, no path of a machine."""
    found = sorted((repo / "notebooks").glob("*.ipynb"))
    assert found
    for file in found:
        text = file.read_text(encoding="utf-8")
        cells = [one for one in json.loads(text)["cells"] if one["cell_type"] == "code"]
        assert [one["execution_count"] for one in cells] == list(range(1, len(cells) + 1)), (
            file.name
        )
        shown = [output for one in cells for output in one["outputs"]]
        assert not [one for one in shown if one["output_type"] == "error"], file.name
        assert any("image/png" in one.get("data", {}) for one in shown), file.name
        kept = json.dumps([one for one in shown if "image/png" not in one.get("data", {})])
        assert not re.search(r"/(tmp|home|root|work|Users|var)/|[A-Z]:\\\\", kept), file.name


def test_every_make_target_that_is_named_exists(repo):
    targets = set(re.findall(r"^([a-z]+):", (repo / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in pages(repo):
        for name in re.findall(r"`make ([a-z]+)`", page.read_text(encoding="utf-8")):
            assert name in targets, f"{page.name}: make {name}"


@pytest.mark.parametrize(
    "name",
    [
        "nightly_score",
        "spark_score",
        "weekly_retrain",
        "monthly_policy_report",
        "reviews_back",
        "daily_monitor",
    ],
)
def test_pipelines_end_clearly_on_a_bad_config(repo, name, tmp_path):
    words = [str(tmp_path / "none.yaml"), str(tmp_path / "a"), str(tmp_path / "b")]
    if name == "weekly_retrain":
        words = words[:1]
    if name in ("monthly_policy_report", "daily_monitor"):
        words = words[:2]
    done = subprocess.run(
        [sys.executable, str(repo / f"pipelines/{name}.py"), *words], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "The config must be a file" in done.stderr
    assert "Traceback" not in done.stderr
