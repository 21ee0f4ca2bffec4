"""Findings from config to tables: schema, notes, what cannot be told."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.atomic_writing import write_parquet
from errdetect.errors import Refusal
from errdetect.schemas import FINDINGS, SLICES, THRESHOLDS
from errdetect.snapshot import Snapshot
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.report import find_error_slices

SCHEMAS = {"slices": SLICES, "thresholds": THRESHOLDS, "findings": FINDINGS}


@pytest.fixture(scope="module")
def snapshot(config):
    return load_snapshot(config, progress=lambda _: None).snapshot


@pytest.fixture(scope="module")
def found(config, snapshot):
    return find_error_slices(config, snapshot)


def of(config, snapshot, decisions=None, reviews=None):
    """Findings of changed tables."""
    own = Snapshot(
        snapshot.decisions if decisions is None else decisions,
        snapshot.reviews if reviews is None else reviews,
        snapshot.policies,
        config.labels.as_of,
        snapshot.rules,
    )
    return find_error_slices(config, own)


def test_every_table_has_its_schema(found, tmp_path):
    for name, schema in SCHEMAS.items():
        frame = getattr(found, name)
        assert list(frame.columns) == schema.names
        write_parquet(frame, tmp_path / f"{name}.parquet", schema)
        assert len(pd.read_parquet(tmp_path / f"{name}.parquet")) == len(frame)


def test_findings_are_unique_sorted_and_within_limits(found):
    frame = found.findings
    assert frame["finding_id"].is_unique
    assert (np.diff(frame["confirmed"].to_numpy(dtype=int)) <= 0).all()
    assert set(frame["kind"]) <= {"slice", "threshold", "accounts"}
    assert (frame["low"] <= frame["error_rate"]).all()
    assert (frame["error_rate"] <= frame["high"]).all()
    assert (frame["harm_saved_low"] <= frame["harm_saved"]).all()
    assert (frame["n_reviews"] <= frame["n"]).all()


def test_slices_are_findings(found):
    of_kind = found.findings[found.findings["kind"] == "slice"]
    assert set(found.slices["finding_id"]) == set(of_kind["finding_id"])


def test_equal_input_equal_output(config, snapshot, found):
    again = find_error_slices(config, snapshot)
    for name in SCHEMAS:
        one, other = (
            json.dumps(getattr(f, name).to_dict("records"), default=str) for f in (found, again)
        )
        assert one == other


def test_the_order_of_reviews_plays_no_part(config, snapshot, found):
    shuffled = snapshot.reviews.sample(frac=1, random_state=1)
    again = of(config, snapshot, reviews=shuffled)
    assert again.slices["finding_id"].tolist() == found.slices["finding_id"].tolist()
    assert again.slices["error_rate"].tolist() == pytest.approx(found.slices["error_rate"].tolist())


def test_reviews_of_the_future_play_no_part(config, market, snapshot):
    as_of = snapshot.decisions["decided_at"].quantile(0.7)
    then = load_config(market / "config.yaml", [f"labels.as_of={as_of:%Y-%m-%dT%H:%M:%SZ}"])
    late = snapshot.reviews["reviewed_at"] > as_of.floor("s")
    tampered = snapshot.reviews.copy()
    tampered.loc[late, "verdict"] = "overturned"
    one, other = (of(then, snapshot, reviews=r) for r in (snapshot.reviews, tampered))
    assert one.slices.equals(other.slices) or (
        json.dumps(one.slices.to_dict("records")) == json.dumps(other.slices.to_dict("records"))
    )


def test_without_reviews_it_says_so(config, snapshot):
    found = find_error_slices(config, Snapshot(snapshot.decisions, policies=snapshot.policies))
    assert found.notes == ("No decision was reviewed by then, so there are no findings.",)
    assert found.findings.empty
    assert list(found.findings.columns) == FINDINGS.names


def test_without_an_audit_no_rate_is_compared(config, snapshot):
    reviews = snapshot.reviews
    found = of(config, snapshot, reviews=reviews[reviews["source"] == "appeal"])
    assert found.slices.empty
    assert found.notes == (
        "No decision was audited by a designed sample, so no rate can be compared.",
    )


def test_chances_that_make_no_sense_are_refused(config, snapshot):
    reviews = snapshot.reviews.copy()
    audit = reviews["source"] == "audit"
    reviews.loc[audit, "inclusion_probability"] = np.nan
    with pytest.raises(
        Refusal, match=r"inclusion_probability of audit reviews must lie in \(0, 1\]"
    ):
        of(config, snapshot, reviews=reviews)


def test_one_decision_and_no_error(config, snapshot):
    one = snapshot.decisions.iloc[:1]
    found = of(config, snapshot, decisions=one)
    assert found.findings.empty
    reviews = snapshot.reviews
    upheld = reviews[(reviews["source"] == "audit")].assign(verdict="upheld")
    quiet = of(config, snapshot, reviews=upheld)
    assert quiet.slices.empty
    assert any("had no error in the audit" in note for note in quiet.notes)


def test_only_errors_leave_nothing_to_compare(config, snapshot):
    reviews = snapshot.reviews
    wrong = reviews[reviews["source"] == "audit"].assign(verdict="overturned")
    found = of(config, snapshot, reviews=wrong)
    assert not found.slices["confirmed"].any()
    assert any("had only errors in the audit" in note for note in found.notes)


def test_without_accounts_moderators_or_scores(config, snapshot):
    dropped = ["account_id", "moderator", "moderator_version", "score", "threshold", "market"]
    found = of(config, snapshot, decisions=snapshot.decisions.drop(columns=dropped))
    assert found.thresholds.empty
    assert any("no score and threshold" in note for note in found.notes)
    assert (found.findings["n_accounts"] == 0).all()


def test_the_benchmark_runs(repo, tmp_path):
    command = [sys.executable, str(repo / "benchmarks/findings.py"), "planted"]
    options = ["--seeds", "4", "--decisions", "6000", "--out", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert "false_share" in done.stdout
    table = pd.read_csv(tmp_path / "findings_planted_6000.csv", index_col=0)["value"]
    assert table["planted"] == 11
    assert table["bar_harm_covered"] > 0.5
