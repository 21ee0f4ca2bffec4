"""The report's whitelist is the remediation plan's."""

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.dsa_statements import BY_PEOPLE
from errdetect.schemas import WHITELIST
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.report_changes import planned_whitelist
from errdetect.workflows.simulate import simulate

LOOSE = ["remediation.whitelist.min_reviews=4", "remediation.whitelist.min_wrongful_rate=0.2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    out = tmp_path_factory.mktemp("whitelist")
    simulate(out, decisions=12_000, days=60, seed=5)
    return out


def pairs(frame):
    return sorted(zip(frame["account_id"], frame["policy_id"], frame["evidence"], strict=True))


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_the_reports_whitelist_is_the_plans(place, tmp_path, share):
    decided = pd.read_parquet(place / "decisions.parquet")["decided_at"]
    words = [f"labels.as_of={decided.quantile(share):%Y-%m-%dT%H:%M:%SZ}"] if share < 1 else []
    config = load_config(place / "config.yaml", [*LOOSE, *words])
    plan = pd.read_parquet(remediate(config, tmp_path / "plan").files["plan.parquet"])
    planned = plan[plan["kind"] == "whitelist"]
    report(config, tmp_path / "report")
    shown = pd.read_parquet(tmp_path / "report/tables/whitelist.parquet")
    assert list(shown.columns) == WHITELIST.names
    assert len(shown), "without wronged accounts this test would say nothing"
    assert pairs(shown) == pairs(planned)
    assert (shown["low"] >= config.remediation.whitelist.min_wrongful_rate).all()
    assert shown["low"].is_monotonic_decreasing


def test_the_settings_of_the_plan_are_the_reports(place):
    names = []
    for words in (LOOSE, []):
        config = load_config(place / "config.yaml", words)
        found = planned_whitelist(config, load_snapshot(config, progress=lambda _: None).snapshot)
        names.append(set(zip(found["account_id"], found["policy_id"], strict=True)))
    assert names[1] < names[0]


def test_what_people_decided_is_not_automated_enforcement(place):
    config = load_config(place / "config.yaml", LOOSE)
    snapshot = load_snapshot(config, progress=lambda _: None).snapshot
    assert len(planned_whitelist(config, snapshot))
    people = snapshot.with_columns(snapshot.decisions.assign(moderator=BY_PEOPLE))
    assert planned_whitelist(config, people).empty
