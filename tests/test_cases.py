"""Inputs of real people that once went wrong: right, refused in one message, or counted."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.shared


@pytest.fixture
def case(tmp_path, repo, command):
    """Copy the cases, and run a command on the config of one."""
    place = Path(os.environ.get("ERRDETECT_SHARED", repo.parent / "shared")) / "cases"
    if not place.is_dir():
        pytest.skip(f"the cases are not beside this checkout ({place}); set ERRDETECT_SHARED")

    def run(number, verb, config, *more, code=0):
        (folder,) = place.glob(f"{number}-*")
        mine = tmp_path / folder.name
        if not mine.exists():
            shutil.copytree(folder, mine, copy_function=shutil.copyfile)
            for one in (mine, *mine.rglob("*")):
                one.chmod(0o755)
            shutil.copyfile(place / "policies.yaml", tmp_path / "policies.yaml")
        done = command(verb, mine / config, *more)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        assert "Warning" not in said
        return said

    run.out = tmp_path / "out"
    return run


def rate(folder, measure="error_rate"):
    table = pd.read_parquet(folder / "estimates.parquet").set_index("measure")
    return float(table.loc[measure, "estimate"])


def reversals(folder):
    plan = pd.read_parquet(folder / "plan.parquet")
    return int(((plan["kind"] == "reverse") & (plan["status"] == "planned")).sum())


def test_01_a_review_that_has_only_a_day_counts_on_its_decision_s_day(case):
    for config in ("days.yaml", "full.yaml"):
        text = case("01", "remediate", config, "--out", str(case.out / config))
        assert ("that day's end" in text) == (config == "days.yaml")
    assert reversals(case.out / "days.yaml") == reversals(case.out / "full.yaml") == 27


@pytest.mark.parametrize("config", ["spark_oracle.yaml", "snowflake.yaml"])
def test_03_decimal_ids_join(case, config):
    case("03", "estimate", config, "--out", str(case.out))
    table = pd.read_parquet(case.out / "estimates.parquet").set_index("measure")
    assert table.loc["error_rate", "n_reviews"] > 150


@pytest.mark.parametrize("config", ["semi_comma", "percent", "sep_line", "features_comma"])
def test_04_european_spreadsheets_are_read(case, config):
    case("04", "estimate", f"{config}.yaml", "--out", str(case.out))
    table = pd.read_parquet(case.out / "estimates.parquet").set_index("measure")
    assert table.loc["error_rate", "n_decisions"] == 3000


@pytest.mark.parametrize("config", ["reddit", "ozone", "openai"])
def test_06_action_words_of_other_systems_are_refused_with_the_lines_to_add(case, config):
    for command in ("estimate", "remediate", "report"):
        text = case("06", command, f"{config}.yaml", "--out", str(case.out), code=2)
        assert "ALLOW_OR_ENFORCE" in text
        assert "(2,432)" in text
        assert "(568)" in text


def test_06_with_the_lines_the_figure_is_right(case):
    lines = '{"false": allow, "true": enforce}'
    case("06", "estimate", "openai.yaml", "--out", str(case.out), "--set", f"data.actions={lines}")
    assert 0.02 < rate(case.out, "wrongful_rate") < 0.35


def test_08_unambiguous_times_are_read(case):
    text = case("08", "validate", "config.yaml", code=2)
    assert "sentinel" in text.lower() or "stands for" in text


def test_19_reversed_decisions_under_a_new_id_are_refused(case):
    for command in ("estimate", "report", "remediate"):
        text = case("19", command, "config.yaml", "--out", str(case.out), code=2)
        assert "no such decision" in text
        assert "reversed decision get a new id" in text


def test_20_a_reviewer_s_later_verdict_replaces_the_earlier(case):
    for config in ("both.yaml", "newest.yaml"):
        case("20", "estimate", config, "--out", str(case.out / config))
        assert rate(case.out / config) == 1.0
