"""A project on storage where nothing can be written: reports go elsewhere and say what is not recorded."""

import os
import shutil
import subprocess
import sys

import pytest

from errdetect.config import load_config
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.simulate import simulate


def _unprivileged(command, **more):
    """Run a command whose file permissions count, also for root."""
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root needs setpriv to heed file permissions")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.fixture(params=["no ledger", "a ledger"])
def read_only(request, tmp_path):
    shop = tmp_path / "shop"
    simulate(shop, decisions=3_000, days=60, seed=5)
    if request.param == "a ledger":
        open_ledger(load_config(shop / "config.yaml").ledger_url()).engine.dispose()
    places = [shop, *shop.rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    yield shop
    for place in places:
        place.chmod(0o755)


def test_a_report_of_a_read_only_project_is_written_elsewhere(read_only, tmp_path):
    before = {place: place.read_bytes() for place in read_only.iterdir() if place.is_file()}
    out = tmp_path / "out"
    command = [sys.executable, "-m", "errdetect", "report", str(read_only / "config.yaml")]
    done = _unprivileged([*command, "--out", str(out), "-q"])
    assert done.returncode == 0, done.stderr
    page = (out / "report.html").read_text(encoding="utf-8")
    for told in (done.stdout, page):
        assert "ledger could not be extended" in told
    assert "pseudonyms of this report only" in page
    assert before == {place: place.read_bytes() for place in read_only.iterdir() if place.is_file()}
