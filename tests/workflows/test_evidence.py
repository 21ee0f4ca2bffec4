"""Evidence bundles: every figure is recomputed offline, nothing names a person, nothing is half-written."""

import hashlib
import json
import runpy
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaincinv, stdtrit

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.estimation import recompute_figures as script
from errdetect.estimation import recompute_intervals
from errdetect.ledger.ledger import open_ledger
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.workflows.estimate import estimate
from errdetect.workflows.evidence import evidence, parse_period
from errdetect.workflows.plan_audit import plan_audit

#: Runs a script where neither errdetect nor scipy can be imported.
ALONE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("errdetect", "scipy", "pyarrow", "sklearn", "socket", "urllib3"):
            raise ImportError("refused: " + name)
script, *words = sys.argv[1:]
import numpy, pandas
sys.meta_path.insert(0, Refuse())
sys.argv = [script, *words]
runpy.run_path(script, run_name="__main__")
"""


def market(place: Path, *, seed=1, decisions=4_000, drop=(), **design) -> Path:
    made = simulate(decisions, 90, seed, audit_share=0.15, **design)
    write_marketplace(made, place)
    reviews = made.reviews[~made.reviews["source"].isin(drop)]
    reviews.to_parquet(place / "reviews.parquet", index=False)
    return place / "config.yaml"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("project")
    market(place, golden_share=0.05)
    config = load_config(place / "config.yaml")
    drawn_at = datetime(2025, 4, 1, tzinfo=UTC)
    plan_audit(config, place / "audit", budget=60, seed=4, drawn_at=drawn_at, by=["policy_id"])
    with open_ledger(config.ledger_url()) as ledger:
        expected = json.dumps(
            {
                "parts": [
                    {
                        "conditions": [{"column": "market", "op": "==", "value": "DE"}],
                        "account_ids": [],
                    }
                ]
            }
        )
        named = json.dumps({"parts": [{"conditions": [], "account_ids": ["acc-secret"]}]})
        ledger.add_proposals(pd.DataFrame({
            "proposal_id": ["P-1", "P-2"], "policy_id": "scam", "kind": ["threshold", "whitelist"],
            "rule": ["market DE", "account acc-secret"], "expected": [expected, named],
        }), at=drawn_at)  # fmt: skip
        ledger.move_proposal("P-1", "accepted", by="Ana Muster", at=drawn_at,
                             effective_from=datetime(2025, 3, 1, tzinfo=UTC))  # fmt: skip
    evidence(config, place / "bundle", period="2025-Q1")
    return place


def check_alone(bundle: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ALONE, str(bundle / "recompute.py"), str(bundle)],
        capture_output=True, text=True, cwd="/",
    )  # fmt: skip


@pytest.fixture
def check(monkeypatch, capsys):
    """Run a bundle's script in this process; returns its exit status and what it printed."""

    def run(bundle: Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["recompute.py", str(bundle)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(bundle / "recompute.py"), run_name="__main__")
        return int(ended.value.code or 0), capsys.readouterr().out

    return run


def sign(bundle: Path) -> None:
    """Write the digests anew, as a forger would."""
    names = sorted(p for p in bundle.iterdir() if p.name != "SHA256SUMS")
    text = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in names)
    (bundle / "SHA256SUMS").write_text(text)


def test_the_script_recomputes_every_figure_with_numpy_and_pandas_alone(project):
    done = check_alone(project / "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal" in done.stdout
    figures = pd.read_csv(project / "bundle/figures.csv", keep_default_na=False, na_values=[""])
    assert {"overall", "policy_id", "market", "language", "moderator"} == set(figures["grouping"])
    n = int(done.stdout.split(" figures")[0].rsplit(" ", 1)[1].replace(",", ""))
    assert n == figures[list(script.FIGURES)].notna().sum().sum() > 1_000


def test_the_figures_are_those_of_estimate(project):
    config = load_config(project / "config.yaml")
    found = estimate(config, project / "estimates", by=["policy_id"], start=datetime(2025, 1, 1, tzinfo=UTC),
                     end=datetime(2025, 4, 1, tzinfo=UTC)).estimates  # fmt: skip
    ours = pd.read_csv(project / "bundle/figures.csv", keep_default_na=False, na_values=[""])
    ours = ours[ours["grouping"].isin(["overall", "policy_id"])].reset_index(drop=True)
    for name in ("estimate", "low", "high", "bound_low", "bound_high", "n_reviews"):
        np.testing.assert_allclose(ours[name].astype(float), found[name].astype(float), rtol=1e-9)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("figures", "estimate"),
        ("figures", "low"),
        ("figures", "bound_high"),
        ("figures", "n_decisions"),
        ("draws", "weight"),
        ("answers", "answer"),
        ("bins", "n_decisions"),
        ("volumes", "n_decisions"),
        ("response", "n_answered"),
        ("domains", "n_decisions"),
        ("domains", "n_wrong"),
        ("treatments", "found"),
    ],
)
def test_a_changed_number_is_found_though_its_digest_was_written_anew(
    project, tmp_path, check, table, column
):
    bundle = copy(project / "bundle", tmp_path)
    path = bundle / f"{table}.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    at = next(i for i, value in enumerate(rows[column]) if value not in ("", "nan"))
    rows.loc[at, column] = str(float(rows.loc[at, column]) * 1.5 + 0.1)
    rows.to_csv(path, index=False)
    code, unsigned = check(bundle)
    assert code == 1
    assert f"{table}.csv: changed since the bundle was written" in unsigned
    sign(bundle)
    code, told = check(bundle)
    assert code == 1, told
    assert "DIFFERS" in told


def test_a_change_of_any_table_is_found_by_its_digest(project, tmp_path):
    bundle = copy(project / "bundle", tmp_path)
    for path in sorted(bundle.glob("*.csv")):
        held = path.read_bytes()
        digits = [i for i, byte in enumerate(held) if chr(byte).isdigit()]
        if not digits:
            continue
        at = digits[-1]
        path.write_bytes(held[:at] + (b"7" if held[at : at + 1] != b"7" else b"3") + held[at + 1 :])
        counts, wrong = script.compare_digests(bundle)
        assert counts > 15
        assert wrong == [f"{path.name}: changed since the bundle was written"]
        path.write_bytes(held)


def test_receipts_and_effects_are_compared_with_what_they_rest_on(project, tmp_path):
    bundle = copy(project / "bundle", tmp_path)
    n, wrong = script.compare_records(bundle)
    assert (n > 5, wrong) == (True, [])
    receipts = json.loads((bundle / "receipts.json").read_text())
    receipts[0]["n_in_period"] += 1
    (bundle / "receipts.json").write_text(json.dumps(receipts))
    (bundle / "effects.csv").write_text(
        "proposal_id,measure,after,without,estimate,low,high\n"
        "P-1,error_rate,0.1,0.2,-0.1,-0.2,0.0\nP-2,error_rate,0.1,0.2,-0.3,-0.4,0.0\n"
        "P-3,error_rate,0.1,0.2,-0.1,-0.05,0.0\nP-4,error_rate,0.1,,,,\n"
    )
    versions = pd.read_csv(bundle / "machine_versions.csv", dtype=str)
    versions.loc[0, "n_decisions"] = "3"
    versions.to_csv(bundle / "machine_versions.csv", index=False)
    found = script.compare_records(bundle)[1]
    moderator, version = versions.loc[0, ["moderator", "moderator_version"]]
    assert [text.partition(":")[0] for text in found] == [
        f"decisions of {moderator} {version} at least",
        f"draws of receipt {receipts[0]['draw_id']}",
        "effect of P-2, error_rate",
        "effect of P-3, error_rate, within its limits",
    ]


def test_what_is_taken_as_given_is_told_with_its_reason(project, check):
    _, told = check(project / "bundle")
    for word in ("reviewers' error rates", "clustered_*", "effects.csv", "golden.csv"):
        assert f"{word}" in told.split("taken as given", 1)[1]


def copy(bundle: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


def test_nothing_in_the_bundle_names_a_person_a_site_an_item_or_a_text(project):
    decisions = pd.read_parquet(project / "decisions.parquet")
    reviews = pd.read_parquet(project / "reviews.parquet")
    words = {"Ana Muster", "acc-secret", str(project)}
    for table, columns in (
        (decisions, ["decision_id", "item_id", "account_id", "image_hash", "text"]),
        (reviews, ["review_id", "reviewer_id", "site"]),
    ):
        for column in columns:
            words |= {w for w in table[column].dropna().astype(str).unique() if len(w) >= 3}
    text = "\n".join(p.read_text(encoding="utf-8") for p in (project / "bundle").iterdir()
                     if p.suffix in (".csv", ".json"))  # fmt: skip
    tokens = set(pd.Series([text]).str.split(r"[,\n\"]").iloc[0])
    assert not sorted(w for w in words if w in tokens or (" " in w and w in text))
    assert not sorted(w for w in reviews["reviewer_id"].dropna().unique() if w in text)


def test_the_bundle_has_receipts_changes_versions_and_settings(project):
    bundle = project / "bundle"
    (receipt,) = json.loads((bundle / "receipts.json").read_text())
    assert receipt["receipt"]["seed"]["value"] == 4
    draws = pd.read_csv(bundle / "draws.csv", keep_default_na=False)
    assert (draws["draw_ids"] == receipt["draw_id"]).sum() == receipt["n_in_period"] == 60
    changes = pd.read_csv(bundle / "changes.csv", keep_default_na=False)
    rules = dict(zip(changes["proposal_id"], changes["rule"], strict=True))
    assert rules["P-1"] == "market DE"
    assert "left out" in rules["P-2"]
    accepted = changes[changes["state"] == "accepted"].iloc[0]
    assert accepted["by"].startswith("person-")
    assert pd.read_csv(bundle / "effects.csv")["proposal_id"].eq("P-1").all()
    assert set(pd.read_csv(bundle / "machine_versions.csv")["moderator"]) >= {"text-model"}
    about = json.loads((bundle / "evidence.json").read_text())
    assert about["period"]["name"] == "2025-Q1"
    assert about["data_digests"]["decisions"][0]["sha256"]


def test_equal_input_gives_equal_bytes_and_another_period_other_pseudonyms(project, tmp_path):
    config = load_config(project / "config.yaml")
    again = evidence(config, tmp_path / "again", period="2025-Q1")
    for name, path in again.files.items():
        assert path.read_bytes() == (project / "bundle" / name).read_bytes(), name
    other = evidence(config, tmp_path / "other", period="2025-01-01..2025-03-31")
    one, two = (
        pd.read_csv(p)["draw"] for p in (again.files["draws.csv"], other.files["draws.csv"])
    )
    assert len(one) == len(two)
    assert not set(one) & set(two)


#: Situations that estimates treat differently: each must be recomputed from its bundle.
SITUATIONS = {
    "no golden, no experts": ({"adjudication_share": 0.0, "golden_share": 0.0}, []),
    "golden alone": ({"adjudication_share": 0.0, "golden_share": 0.1}, []),
    "a sample of adjudications": ({"adjudication_share": 0.5, "golden_share": 0.02}, []),
    "flags that wait, with golden": ({"golden_share": 0.1}, ["wait"]),
    "no control variate": ({}, ["estimate.control=none"]),
    "no correction": ({}, ["estimate.correction=none"]),
    "correction required": ({"adjudication_share": 0.0, "golden_share": 0.0}, ["estimate.correction=require"]),
    "groups stand alone": ({}, ["estimate.borrow=false"]),
    "by cluster": ({}, ["estimate.cluster=account_id"]),
    "small groups are hidden": ({}, ["report.min_group=40"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_treatment_of_verdicts_is_recomputed(tmp_path, name):
    design, settings = SITUATIONS[name]
    path = market(tmp_path / "m", seed=2, decisions=2_500, **design)
    if "wait" in settings:
        reviews = pd.read_parquet(path.parent / "reviews.parquet")
        late = (reviews["source"] == "adjudication") & (np.arange(len(reviews)) % 3 > 0)
        reviews[~late].to_parquet(path.parent / "reviews.parquet")
        settings = []
    config = load_config(path, ["estimate.min_reviews=5", *settings])
    bundle = evidence(config, tmp_path / "bundle", period="2025").files["figures.csv"].parent
    counts, wrong = script.compare_bundle(bundle)
    assert wrong == []
    assert counts["figures"] > 150


def test_unequal_weights_a_census_and_unanswered_draws_are_recomputed(tmp_path):
    """Few heavy draws (Korn and Graubard), certain ones, and draws that nobody answered."""
    path = market(tmp_path / "m", seed=3, decisions=2_500)
    decisions = pd.read_parquet(path.parent / "decisions.parquet")
    reviews = pd.read_parquet(path.parent / "reviews.parquet")
    audit = reviews["source"] == "audit"
    sure = reviews["decision_id"].isin(decisions.loc[decisions["market"] == "DE", "decision_id"])
    reviews.loc[audit & sure, "inclusion_probability"] = 1.0
    few = audit & (pd.util.hash_pandas_object(reviews["decision_id"], index=False) % 40 == 0)
    reviews.loc[few & ~sure, "inclusion_probability"] = 0.004
    reviews.to_parquet(path.parent / "reviews.parquet")
    drawn = reviews[audit].drop_duplicates("decision_id")
    draws = drawn[["decision_id", "inclusion_probability"]].assign(
        draw_id="d1", drawn_at=decisions["decided_at"].max())  # fmt: skip
    open_ = decisions[~decisions["decision_id"].isin(drawn["decision_id"])].head(40)
    more = draws.head(40).assign(decision_id=open_["decision_id"].to_numpy())
    pd.concat([draws, more]).to_parquet(path.parent / "draws.parquet")
    config = load_config(path, ["data.draws=draws.parquet", "labels.as_of=2025-06-30"])
    evidence(config, tmp_path / "bundle", period="2025")
    treatments = pd.read_csv(tmp_path / "bundle/treatments.csv")
    assert treatments["how"].eq("korn_graubard").any()
    response = pd.read_csv(tmp_path / "bundle/response.csv")
    assert response["response"].lt(1).any()
    counts, wrong = script.compare_bundle(tmp_path / "bundle")
    assert wrong == []
    assert counts["counts"] > 100


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-Q1", "2026-01-01", "2026-04-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-03-05..2026-03-05", "2026-03-05", "2026-03-06"),
    ],
)
def test_periods(text, start, end):
    found = parse_period(text)
    assert (str(found.start.date()), str(found.end.date())) == (start, end)


@pytest.mark.parametrize(
    "text",
    ["", "2026-Q5", "2026-13", "26", "2026-03-05..2026-03-04", "2026-03-05..", "0000", "२०२६"],
)
def test_a_text_that_is_no_period_is_refused(text):
    with pytest.raises(ConfigError, match="quarter"):
        parse_period(text)


def test_a_period_without_decisions_writes_nothing(project, tmp_path, repo):
    done = subprocess.run(
        [sys.executable, "-m", "errdetect", "evidence", str(project / "config.yaml"), "--period", "2031",
         "--out", str(tmp_path / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "The period must hold decisions" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_scripts_quantiles_are_scipys():
    for df in (3.0, 4.7, 30.0, 5_000.0):
        for p in (0.004, 0.0075, 0.025, 0.0425):
            assert recompute_intervals.t_quantile(df, p) == pytest.approx(
                float(stdtrit(df, p)), rel=1e-9
            )
    for a, b, p in (
        (0.3, 8.0, 0.025),
        (12.5, 400.0, 0.975),
        (1.0, 1.0, 0.5),
        (900.0, 40_000.0, 0.025),
    ):
        assert recompute_intervals.beta_quantile(a, b, p) == pytest.approx(
            float(betaincinv(a, b, p)), rel=1e-9
        )


def test_the_script_runs_where_it_lies(project, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["recompute.py"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(project / "bundle/recompute.py"), run_name="__main__")
    assert ended.value.code == 0
    assert "all equal" in capsys.readouterr().out
