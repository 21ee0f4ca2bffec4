import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.errors import ConfigError, DataError, Refusal
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import control_variate
from errdetect.workflows.estimate import estimate
from errdetect.workflows.load_data import load_snapshot


@pytest.fixture
def bare(market, tmp_path):
    """The marketplace without a model."""

    def of(*settings):
        return load_config(
            market / "config.yaml", [f"registry.path={tmp_path / 'none'}", *settings]
        )

    return of


def test_a_fitted_p_error_narrows_the_interval_and_says_so(bare, tmp_path):
    plain = estimate(bare("estimate.control=none"), tmp_path / "a")
    narrow = estimate(bare(), tmp_path / "b")
    width = [
        r.estimates.set_index("measure").eval("high - low")["error_rate"] for r in (plain, narrow)
    ]
    assert width[1] < 0.95 * width[0]
    assert "P(error) as control variate" in narrow.estimates["method"].iloc[0]
    assert any("cross-fitted" in note for note in narrow.notes)
    assert not any("P(error)" in note for note in plain.notes)


def test_a_champion_that_saw_the_audit_is_not_leant_on(config, trained, market):
    """The registered model learnt from this very audit: using its scores would be a leak."""
    snapshot = load_snapshot(config, progress=lambda _: None).snapshot
    _, note = control_variate(config, snapshot)
    assert "cross-fitted" in note


def test_a_champion_that_did_not_is(config, trained, market):
    snapshot = load_snapshot(config, progress=lambda _: None).snapshot
    fresh, later = (
        frame.assign(decision_id="n" + frame["decision_id"])
        for frame in (snapshot.decisions, snapshot.reviews)
    )
    p, note = control_variate(config, Snapshot(fresh, later))
    assert "which has not seen these reviews" in note
    assert p.shape == (len(fresh),)


def test_reviews_after_as_of_are_not_known(bare, market, tmp_path):
    middle = pd.read_parquet(market / "decisions.parquet")["decided_at"].quantile(0.5)
    told = estimate(
        bare(f"labels.as_of={middle.isoformat()}"), tmp_path / "a", end=middle.to_pydatetime()
    )
    reviews = pd.read_parquet(market / "reviews.parquet")
    known = reviews[reviews["reviewed_at"] <= middle].to_parquet(tmp_path / "known.parquet")
    assert known is None
    same = estimate(bare(f"data.reviews={tmp_path / 'known.parquet'}", f"labels.as_of={middle.isoformat()}"),
                    tmp_path / "b", end=middle.to_pydatetime())  # fmt: skip
    pd.testing.assert_frame_equal(told.estimates, same.estimates)


def test_the_transparency_report_is_drafted(bare, market, tmp_path):
    file = tmp_path / "dsa.csv"
    result = estimate(bare("dsa.service=Market"), tmp_path / "out", dsa=file)
    rows = pd.read_csv(file, keep_default_na=False, dtype=str)
    assert list(rows.columns) == ["Applicability", "Service", "Reporting period", "Section", "Indicator", "Scope",
                                  "Value", "Contextual Information"]  # fmt: skip
    total = rows[rows["Scope"] == "Total number"].set_index("Indicator")["Value"]
    whole = result.estimates.set_index("measure")["estimate"]
    assert float(total["Accuracy of the automated means - Precision"]) == pytest.approx(
        whole["precision"], abs=1e-4
    )
    enforced = ~pd.read_parquet(market / "decisions.parquet")["action"].isin(
        ["approve", "allow", "keep"]
    )
    assert int(total["Number of measures solely taken by automated means"]) == enforced.sum()
    assert total["Number of measures not taken by automated means"] == "n/a"
    own = rows[rows["Scope"] == "Own-initiative"]
    assert (own["Value"] == "n/a").all()
    assert {"de", "fr", "pl"} <= set(rows["Scope"])
    assert "ar" not in set(rows["Scope"])  # no official language of the Union
    assert rows["Contextual Information"].str.startswith("DRAFT").all()
    figures = rows[rows["Value"].str.contains(".", regex=False)]
    assert figures["Contextual Information"].str.contains("interval").all()


def test_people_s_decisions_count_as_measures_only(bare, market, tmp_path):
    decisions = pd.read_parquet(market / "decisions.parquet")
    people = np.arange(len(decisions)) % 3 == 0
    decisions["moderator"] = np.where(
        people, "AUTOMATED_DECISION_NOT_AUTOMATED", "AUTOMATED_DECISION_FULLY"
    )
    decisions["source_type"] = np.where(
        np.arange(len(decisions)) % 2 == 0, "SOURCE_VOLUNTARY", "SOURCE_ARTICLE_16"
    )
    decisions.to_parquet(tmp_path / "d.parquet")
    config = bare("dsa.service=Market", "dsa.by=market", f"data.decisions={tmp_path / 'd.parquet'}")
    result = estimate(config, tmp_path / "out", dsa=tmp_path / "dsa.csv")
    assert result.estimates["n_decisions"].max() == (~people).sum()
    assert any("made by people are left out" in note for note in result.notes)
    rows = pd.read_csv(tmp_path / "dsa.csv", keep_default_na=False, dtype=str)
    counts = rows[rows["Indicator"].str.startswith("Number")].set_index(["Scope", "Indicator"])[
        "Value"
    ]
    enforced = ~decisions["action"].isin(["approve", "allow", "keep"]).to_numpy()
    assert (
        int(counts["Total number", "Number of measures not taken by automated means"])
        == (enforced & people).sum()
    )
    own = enforced & (decisions["source_type"] == "SOURCE_VOLUNTARY").to_numpy()
    assert (
        int(counts["Own-initiative", "Number of measures solely taken by automated means"])
        == (own & ~people).sum()
    )


@pytest.mark.parametrize(
    ("settings", "file", "said"),
    [
        ((), "x.csv", "dsa.service must name the service for --dsa"),
        (("dsa.service=M",), "x.xlsx", "--dsa must name a .csv file"),
    ],
)
def test_what_stops_the_draft_is_said_before_any_work(bare, tmp_path, settings, file, said):
    with pytest.raises(ConfigError, match=said):
        estimate(bare(*settings), tmp_path / "out", dsa=tmp_path / file)
    assert not (tmp_path / "out").exists()


BAD = {
    "zero": lambda r: r.assign(inclusion_probability=r["inclusion_probability"].mask(r.index == first(r), 0.0)),
    "missing": lambda r: r.assign(inclusion_probability=r["inclusion_probability"].mask(r.index == first(r))),
    "above one": lambda r: r.assign(inclusion_probability=r["inclusion_probability"].mask(r.index == first(r), 1.5)),
}  # fmt: skip


def test_a_decision_drawn_by_two_audits_counts_with_both(bare, market, tmp_path):
    reviews = pd.read_parquet(market / "reviews.parquet")
    again = reviews.loc[[first(reviews)]].assign(
        review_id="again", reviewer_id="other", inclusion_probability=0.123
    )
    pd.concat([reviews, again]).to_parquet(tmp_path / "r.parquet")
    found = estimate(bare(f"data.reviews={tmp_path / 'r.parquet'}"), tmp_path / "out").estimates
    assert found["method"].str.contains("1 decisions were drawn more than once").any()


def first(reviews):
    return reviews.index[(reviews["source"] == "audit").to_numpy()][0]


@pytest.mark.parametrize("fault", BAD)
def test_a_faulty_audit_never_becomes_a_figure(bare, market, tmp_path, fault):
    reviews = BAD[fault](pd.read_parquet(market / "reviews.parquet"))
    reviews.to_parquet(tmp_path / "r.parquet")
    with pytest.raises((Refusal, DataError), match="inclusion_probability"):
        estimate(bare(f"data.reviews={tmp_path / 'r.parquet'}"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
