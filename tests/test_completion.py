"""Shell completion, in a real shell."""

import os
import shutil
import subprocess
import sys

import pytest


def complete(tmp_path, shell, words):
    """Complete the last of these words as bash does, with the script that errdetect prints."""
    console = tmp_path / "errdetect"
    console.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m errdetect "$@"\n')
    console.chmod(0o755)
    script = f"""
    eval "$(errdetect completion {shell})"
    COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
    _errdetect_completion errdetect
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [shell, "-c", script], capture_output=True, text=True, env=env, timeout=120, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [(["errdetect", "plan"], "plan-audit"), (["errdetect", "score", "--bud"], "--budget")],
)
def test_bash_completes_commands_and_options(tmp_path, words, found):
    assert complete(tmp_path, "bash", words) == [found]


@pytest.mark.parametrize(
    ("shell", "part"), [("zsh", "#compdef errdetect"), ("fish", "complete --command errdetect")]
)
def test_other_shells_have_a_script(shell, part):
    words = [sys.executable, "-m", "errdetect", "completion", shell]
    assert part in subprocess.run(words, capture_output=True, text=True, check=True).stdout
