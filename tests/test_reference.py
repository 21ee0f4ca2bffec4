"""The reference is made from the code, and up to date."""

import re
import subprocess
import sys

import pytest

from errdetect.workflows.validate_advice import ISSUE_MEANINGS


@pytest.fixture(scope="module")
def make(repo):
    sys.path.insert(0, str(repo / "tools"))
    try:
        import make_reference
    finally:
        sys.path.remove(str(repo / "tools"))
    return make_reference


def test_the_reference_says_what_the_code_says(repo, make):
    done = subprocess.run(
        [sys.executable, str(repo / "tools/make_reference.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_finding_has_a_code_and_a_meaning(make):
    assert set(make.issues()) == set(ISSUE_MEANINGS)
    assert all(make.issues().values())


def test_every_setting_and_command_is_there(repo, make):
    config = make.config()
    for key in ("data.decisions", "train.trials", "ledger.url", "monitor.shift"):
        assert f"| `{key}` |" in config
    named = set(re.findall(r"^## ([a-z-]+)$", make.commands(), re.M))
    assert {"init", "run", "plan-audit", "completion"} <= named
    assert all(text for _, text in make.checks())
