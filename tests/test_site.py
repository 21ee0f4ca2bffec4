"""The site's pages: all are in its navigation, and it builds without a broken link or anchor."""

import shutil
import subprocess
import sys

import pytest
import yaml


@pytest.fixture
def hooks(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / "tools"))
    import site_hooks

    return site_hooks


def test_every_page_is_in_the_navigation(repo, hooks):
    nav = yaml.safe_load((repo / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = hooks.pages(nav)
    assert len(named) == len(set(named))
    assert all((repo / "docs" / page).exists() for page in named)
    short = [entry for entry in nav if "Tutorial" not in entry]
    assert "tutorial.md" in hooks.pages(hooks.on_config({"nav": short})["nav"])


def test_links_out_of_the_docs_lead_to_the_sites_copies(hooks):
    assert hooks.place("docs/index.md", "../README.md") == "README.md"
    assert hooks.in_site("README.md") == "repository/README.md"
    assert hooks.place("docs/index.md", "https://example.org") is None
    assert hooks.place("docs/index.md", "nowhere.md") is None


def test_the_pins_of_the_site_fit_those_of_development(repo):
    def pins(name):
        lines = (repo / "requirements" / name).read_text(encoding="utf-8").splitlines()
        return dict(line.split(" ")[0].split("==") for line in lines if line[:1].isalnum())

    site, dev = pins("docs.txt"), pins("dev.txt")
    assert {"mkdocs", "mkdocs-material"} <= set(site)
    assert {
        name: version for name, version in site.items() if dev.get(name, version) != version
    } == {}


@pytest.mark.slow
def test_the_site_builds_and_a_broken_link_is_found(repo, tmp_path):
    pytest.importorskip("material", reason="installed by `make docs`")
    copy = tmp_path / "copy"
    ignore = shutil.ignore_patterns(".git", ".venv", "src", "*_cache", "site")
    shutil.copytree(repo, copy, ignore=ignore)

    def build():
        words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"]
        return subprocess.run(map(str, words), cwd=copy, capture_output=True, text=True)

    done = build()
    assert done.returncode == 0, done.stderr[-3000:]
    html = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in html
    # MkDocs makes a README the first page of its folder.
    assert (tmp_path / "site" / "repository" / "index.html").exists()
    page = copy / "docs" / "queue.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[gone](tables.md#nowhere)\n")
    assert build().returncode == 1
