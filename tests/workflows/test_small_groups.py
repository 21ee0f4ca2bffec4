"""No published figure rests on fewer reviews than report.min_group, or lets such a one be worked out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.workflows.estimate import estimate
from errdetect.workflows.monitor import monitor
from errdetect.workflows.report import report
from errdetect.workflows.simulate import simulate

MINIMUM = 12
#: What counts the reviews behind a row's figures, by table where it is not n_reviews.
COUNTS = {"reviewers": "n", "training_needs": "n", "agreement": "n_decisions"}
FIGURES = {
    "estimate", "low", "high", "bound_low", "bound_high", "error_rate", "harm_saved", "harm_saved_low",
    "harm_saved_high", "alpha", "observed", "value", "share", "n_overturned", "wrongful_rate",
    "median_days", "median_minutes", "excess", "q_value",
}  # fmt: skip
#: Rows of plans and records: one decision or one step each, for those who carry them out.
RECORDS = {
    "whitelist",
    "intake",
    "labels",
    "remedies",
    "inspection",
    "proposals",
    "briefs",
    "rejects",
    "queue",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("small")
    simulate(out, decisions=4_000, days=90, seed=8)
    config = load_config(
        out / "config.yaml", [f"report.min_group={MINIMUM}", "dsa.by=market", "dsa.service=Shop"]
    )
    estimate(config, out / "one", by=["market"], dsa=out / "dsa.csv")
    estimate(config, out / "two", by=["policy_id", "market"])
    report(config, out / "report")
    return out


def _tables(place):
    for folder in ("one", "two", "report"):
        for file in sorted((place / folder).rglob("*.parquet")):
            yield file, pd.read_parquet(file)


def test_no_figure_rests_on_fewer_reviews(written):
    checked, few = 0, 0
    for file, table in _tables(written):
        count = COUNTS.get(file.stem, "n_reviews")
        names = sorted(FIGURES & set(table))
        if file.stem in RECORDS or count not in table or not names:
            continue
        checked += 1
        # Bounds of groups without any audit hold without one: they are 0 and 1, or what appeals proved.
        small = (table[count].fillna(0) < MINIMUM) & (table[count] > 0)
        few += int(small.sum())
        figures = table.loc[small, names]
        if "measure" in table:  # a deviation's evidence is an e-value, its n of many verdicts
            figures = figures[table.loc[small, "measure"] != "deviation"]
        assert figures.isna().all(axis=None), (file, figures.dropna(how="all").head())
    assert checked >= 9
    assert few > 200


def _hidden(rows):
    return (rows["n_reviews"] > 0) & rows["bound_low"].isna() & rows["estimate"].isna()


@pytest.mark.parametrize("column", ["market", "policy_id"])
def test_no_total_reveals_a_hidden_group(written, column):
    """Bounds add up to the total's, so what is hidden of a total must be two groups with enough reviews."""
    table = pd.read_parquet(written / "report/tables/estimates.parquet")
    others = {"market", "policy_id", "language", "moderator"} - {column}
    groups = table[table[column].notna() & table[list(others)].isna().all(axis=1)]
    found = 0
    for _, rows in groups.groupby("measure"):
        hidden = _hidden(rows)
        if hidden.any() and not hidden[rows["n_reviews"] > 0].all():
            found += 1
            assert hidden.sum() >= 2
            assert rows.loc[hidden, "n_reviews"].sum() >= MINIMUM
    assert found


def test_no_total_reveals_a_hidden_cell(written):
    table = pd.read_parquet(written / "two/estimates.parquet")
    table = table[table["policy_id"].notna() & table["market"].notna()]
    for column in ("policy_id", "market"):
        for _, rows in table.groupby(["measure", column]):
            hidden = _hidden(rows)
            if hidden.any() and not hidden[rows["n_reviews"] > 0].all():
                assert hidden.sum() >= 2
                assert rows.loc[hidden, "n_reviews"].sum() >= MINIMUM


def test_bounds_of_both_sides_do_not_reveal_a_hidden_side(written):
    table = pd.read_parquet(written / "one/estimates.parquet").set_index(["market", "measure"])
    sides = 0
    for market in table.index.get_level_values("market").dropna().unique():
        rows = table.loc[market]
        side = rows.loc[["wrongful_rate", "missed_rate"]]
        if (side["bound_low"].isna() & (side["n_reviews"] > 0)).any():
            sides += 1
            assert (
                rows.loc[["error_rate", "accuracy"], ["bound_low", "bound_high"]]
                .isna()
                .all(axis=None)
            )
    assert sides


def test_rows_stay_and_say_why(written):
    table = pd.read_parquet(written / "one/estimates.parquet")
    small = table[(table["n_reviews"] > 0) & (table["n_reviews"] < MINIMUM)]
    assert len(small)
    assert small["suppressed"].all()
    assert small["method"].str.contains("^[a-z_]+: ").all()
    assert small["method"].str.startswith("too_few_reviews: fewer than 12 reviews").any()
    page = (written / "report/report.html").read_text(encoding="utf-8")
    assert "not known yet: only" in page


def test_the_transparency_draft_shows_no_more_than_the_estimates(written):
    rows = pd.read_csv(written / "dsa.csv", dtype="str", keep_default_na=False)
    table = pd.read_parquet(written / "one/estimates.parquet")
    hidden = table[table["estimate"].isna() & table["market"].notna()]["market"].unique()
    assert len(hidden)
    assert Path(written / "dsa.csv").stat().st_size
    assert np.isin(rows.to_numpy(), hidden).any()


def test_the_monitor_shows_nothing_of_few_answers(written, tmp_path):
    def run(few):
        settings = [
            f"report.min_group={few}",
            "monitor.min_reviews=5",
            "monitor.reference_days=45",
        ]
        found = monitor(load_config(written / "config.yaml", settings), tmp_path / f"m{few}")
        checks = found.checks[found.checks["check"] == "audited_error"].set_index("segment")
        n = checks["note"].str.extract(r"^(\d+) answers")[0].astype(float)
        return found.history, checks[n.notna()], n.dropna()

    history, checks, n = run(1)
    few = int(max(n.max(), history["n_reviews"].median()))
    small = n.index[n < few]
    assert checks.loc[small, "value"].notna().any()
    months, hidden, _ = run(few)
    assert hidden.reindex(small)[["value", "low", "high"]].isna().all(axis=None)
    short = months["n_reviews"] < few
    assert months.loc[short, ["estimate", "low", "high"]].isna().all(axis=None)
    assert history.loc[short.to_numpy(bool), "estimate"].notna().any()


def test_a_limit_of_one_hides_nothing_more(written, tmp_path):
    config = load_config(written / "config.yaml", ["report.min_group=1"])
    free = estimate(config, tmp_path / "e", by=["market"]).estimates
    kept = pd.read_parquet(written / "one/estimates.parquet")
    assert free["bound_low"].notna().sum() > kept["bound_low"].notna().sum()
    shown = kept["estimate"].notna()
    pd.testing.assert_series_equal(free.loc[shown, "estimate"], kept.loc[shown, "estimate"])
