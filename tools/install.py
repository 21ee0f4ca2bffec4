"""Install pinned requirements into this environment and say how far it is; or this checkout itself.

python tools/install.py requirements/runtime.txt
python tools/install.py --own
"""

import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

PIP = [
    sys.executable,
    "-m",
    "pip",
    "install",
    "--disable-pip-version-check",
    "--no-deps",
    "--progress-bar",
    "off",
]
SCRIPT = "#!{python}\nfrom errdetect.cli import main\n\nmain()\n"


def install(requirements: Path) -> int:
    """Install with checked hashes; print one line that counts packages."""
    total = len(re.findall(r"^\w", requirements.read_text(encoding="utf-8"), re.M))
    command = [*PIP, "--require-hashes", "-r", str(requirements)]
    began, done, lines = time.monotonic(), 0, []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(line)
            found = re.match(r"(?:Collecting|Requirement already satisfied:) (\S+?)==", line)
            done += found is not None
            if found and (sys.stdout.isatty() or done % 20 == 0 or done == total):
                show(f"fetched {done} of {total} packages: {found[1]}", last=False)
            elif line.startswith("Installing"):
                show(
                    f"fetched {total} of {total} packages; unpacking them, about a minute",
                    last=True,
                )
    if pip.returncode:
        print("".join(lines[-15:]))
        return pip.returncode
    show(f"installed {total} packages in {time.monotonic() - began:,.0f} s", last=True)
    return 0


def show(text: str, *, last: bool) -> None:
    """Print progress: on a terminal in one line."""
    if sys.stdout.isatty():
        print(f"\r{text[:100]:100}", end="\n" if last else "", flush=True)
    else:
        print(text, flush=True)


def install_own() -> int:
    """Make this checkout importable, and its command runnable, without a build."""
    source = Path(__file__).resolve().parents[1] / "src"
    Path(sysconfig.get_path("purelib"), "errdetect.pth").write_text(f"{source}\n", encoding="utf-8")
    script = Path(sysconfig.get_path("scripts"), "errdetect")
    script.write_text(SCRIPT.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(install_own() if sys.argv[1] == "--own" else install(Path(sys.argv[1])))
