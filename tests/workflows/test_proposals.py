"""From a report's findings to the ledger, a decision, and what it did; and quality targets."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.errors import ConfigError, DataError
from errdetect.estimation.error_rates import estimate_rates
from errdetect.snapshot import Snapshot
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.proposals import proposals
from errdetect.workflows.report_changes import (
    measured_effects,
    policy_briefs,
    quality_targets,
    record_briefs,
    target_groupings,
    write_briefs,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(name="own")
def _own(market, tmp_path):
    """The market's config, with a ledger and a registry of the test's own."""
    return load_config(
        market / "config.yaml",
        [f"ledger.url=sqlite:///{tmp_path}/ledger.db", f"registry.path={tmp_path}/models"],
    )


@pytest.fixture(name="snapshot", scope="module")
def _snapshot(config):
    return load_snapshot(config, progress=lambda _: None, need_reviews=True).snapshot


def findings(decisions, n=2):
    policy = decisions["policy_id"].value_counts().index
    return pd.DataFrame([{
        "finding_id": f"f{i}", "policy_id": policy[i], "kind": "slice", "rule": "market is set",
        "conditions": None, "account_ids": None, "error_kind": "wrongful_action", "n": 500,
        "n_reviews": 60, "n_accounts": 90, "error_rate": 0.3, "low": 0.2, "high": 0.4,
        "base_rate": 0.1, "q_value": 0.01, "confirmed": True, "harm_saved": 100.0,
        "cause": "policy_ambiguity", "cause_text": None, "runner_up": None,
    } for i in range(n)])  # fmt: skip


def recorded(own, snapshot, n=2):
    frame = snapshot.decisions
    briefs = policy_briefs(own, findings(frame, n), policies=snapshot.policies, decisions=frame,
                           thresholds=None, found_at=NOW)  # fmt: skip
    return briefs, record_briefs(own, briefs, at=NOW)


def test_a_report_records_its_briefs_once(own, snapshot, tmp_path):
    briefs, added = recorded(own, snapshot)
    assert added == 2
    assert recorded(own, snapshot)[1] == 0
    assert [state for b in recorded(own, snapshot)[0] for _, state in b.recorded] == [
        "proposed"
    ] * 2
    write_briefs(briefs, tmp_path / "briefs")
    assert sorted(p.name for p in (tmp_path / "briefs").iterdir()) == sorted(b.file for b in briefs)
    listed = proposals(own)
    assert listed.proposals["proposal_id"].tolist() == sorted(b.recorded[0][0] for b in briefs)
    assert listed.lines()[0] == "Proposals: 2 proposed."


def test_looking_makes_no_ledger(own, tmp_path):
    assert proposals(own).lines() == [
        "No proposals yet. `errdetect report` records those of its briefs."
    ]
    assert record_briefs(own, (), at=NOW) == 0
    assert not (tmp_path / "ledger.db").exists()


def test_a_proposal_is_accepted_measured_and_closed(own, snapshot):
    briefs, _ = recorded(own, snapshot, 1)
    name = briefs[0].recorded[0][0]
    assert measured_effects(own, snapshot) is None
    middle = snapshot.decisions["decided_at"].quantile(0.5)
    done = proposals(own, accept=name, by="Ana", effective=middle.to_pydatetime(), now=NOW)
    assert done.moved == (name, "accepted")
    assert done.lines()[0] == f"{name} is accepted now."
    # The findings' reviews would all be known by NOW: nothing clean is left from before.
    found = measured_effects(own, snapshot)
    assert found["proposal_id"].unique().tolist() == [name]
    assert found["words"].str.len().gt(20).all()
    closed = proposals(own, close=name, by="Ana", note="done <b>", now=NOW)
    assert closed.history["to"].tolist() == ["proposed", "accepted", "closed"]
    assert proposals(own, history=name).lines()[-1] == "  1 Mar 2026  closed by Ana: done <b>"


def test_what_does_not_go_together_is_refused(own, snapshot):
    briefs, _ = recorded(own, snapshot, 1)
    name = briefs[0].recorded[0][0]
    with pytest.raises(
        ConfigError, match=r"get one of --accept, --reject.* got --accept and --close"
    ):
        proposals(own, accept=name, close=name, by="Ana")
    with pytest.raises(ConfigError, match="must name who makes it, got no name"):
        proposals(own, reject=name)
    with pytest.raises(ConfigError, match="--accept must come with a date, got none"):
        proposals(own, accept=name, by="Ana")
    with pytest.raises(ConfigError, match="--effective must come with --accept"):
        proposals(own, reject=name, by="Ana", effective=NOW)
    with pytest.raises(DataError, match="must be in the ledger, got no such proposal"):
        proposals(own, reject="P-none", by="Ana")
    with pytest.raises(DataError, match="must be in the ledger, got no such proposal"):
        proposals(own, history="P-none")
    proposals(own, reject=name, by="Ana")
    with pytest.raises(DataError, match="which is rejected, must be moved to closed"):
        proposals(own, accept=name, by="Ana", effective=NOW)


def test_the_command(own, snapshot, market, tmp_path):
    briefs, _ = recorded(own, snapshot, 1)
    name = briefs[0].recorded[0][0]
    common = ["proposals", str(market / "config.yaml"),
              "--set", f"ledger.url=sqlite:///{tmp_path}/ledger.db"]  # fmt: skip
    cli = CliRunner()
    moved = cli.invoke(app, [*common, "--accept", name, "--by", "Ana", "--effective", "2026-04-01"])
    assert moved.stdout.startswith(f"{name} is accepted now.")
    listed = cli.invoke(app, [*common, "--json"])
    (row,) = json.loads(listed.stdout)["proposals"]
    assert (row["state"], row["effective_from"][:10]) == ("accepted", "2026-04-01")
    wrong = cli.invoke(app, [*common, "--accept", name])
    assert isinstance(wrong.exception, ConfigError)
    day = cli.invoke(app, [*common, "--accept", name, "--by", "Ana", "--effective", "tomorrow"])
    assert day.exit_code == 2


# Quality targets


def targets(config, snapshot, **found):
    rates = estimate_rates(snapshot, target_groupings(config, snapshot), settings=config.estimate)
    return quality_targets(config, snapshot, rates, **found)


def test_targets_of_policies_markets_and_sites(config, snapshot):
    own = config.model_copy(update={"targets": config.targets.model_copy(update={
        "rates": {"error_rate": 0.001, "recall": 0.99}, "per_market": True,
        "reviewer_accuracy": 0.9})})  # fmt: skip
    frame = snapshot.decisions
    cards = pd.DataFrame({"site": ["alder"], "reviewer": [None], "measure": "accuracy",
                          "value": 0.95, "low": 0.92, "high": 0.97, "n": 300.0})  # fmt: skip
    made = targets(own, snapshot, findings=findings(frame), cards=cards)
    table = made.table
    assert set(table["status"]) <= {"met", "missed", "cannot_tell"}
    assert table[table["site"].notna()]["status"].tolist() == ["met"]
    assert table["market"].notna().any()
    assert table["words"].str.startswith(("Met.", "Missed.", "Inconclusive.")).all()
    whole = table[table["market"].isna() & table["site"].isna()]
    assert set(frame["policy_id"]) <= set(whole["policy_id"])
    missed = table[(table["status"] == "missed") & (table["measure"] == "error_rate")]
    assert len(made.plan.groupby(["policy_id", "market"], dropna=False)) == len(missed)
    assert len(made.notes) == 2
    assert all("The next 500 reviews would likely settle" in note for note in made.notes)
    assert all("errdetect plan-audit" in note for note in made.notes)
    assert len(made.audits) == 2


def test_no_target_is_no_table(config, snapshot):
    made = targets(config, Snapshot(snapshot.decisions, snapshot.reviews))
    assert made.table.empty
    assert "words" in made.table
    assert made.notes == ()


def test_markets_and_reviewers_that_are_not_known_are_said(config, snapshot):
    own = config.model_copy(update={"targets": config.targets.model_copy(update={
        "rates": {"error_rate": 0.05}, "per_market": True, "reviewer_accuracy": 0.9})})  # fmt: skip
    frame = snapshot.decisions.assign(market=np.nan)
    made = targets(own, Snapshot(frame, snapshot.reviews))
    assert "Targets per market cannot be checked: no decision names its market." in made.notes
    assert "Targets for reviewers cannot be checked: reviewers are not measured." in made.notes


@pytest.mark.parametrize(
    ("key", "words"),
    [("targets.rates.eror_rate=0.1", "eror_rate"), ("targets.rates.recall=3", "targets.rates.recall"),
     ("targets.sites.x=0.9", "reviewer_accuracy")],
)  # fmt: skip
def test_targets_of_the_config_are_checked(market, key, words):
    with pytest.raises(ConfigError, match=words):
        load_config(market / "config.yaml", [key])
