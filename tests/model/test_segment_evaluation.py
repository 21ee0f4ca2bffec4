import numpy as np
import pandas as pd
import pytest

from errdetect.model.segment_evaluation import EVERYTHING, SEGMENT_COLUMNS, evaluate_segments
from errdetect.simulation.marketplace import simulate
from errdetect.stats.ranking_metrics import average_precision


def table_of(frame, y, p, weight=None, **kwargs):
    how = {"columns": ["market"], "resamples": 60, "rng": np.random.default_rng(0), **kwargs}
    return evaluate_segments(frame, y, p, np.ones(len(y)) if weight is None else weight, **how)


@pytest.fixture(scope="module")
def held():
    rng = np.random.default_rng(0)
    n = 900
    frame = pd.DataFrame({"market": rng.choice(["DE", "FR", None], n, p=[0.6, 0.3, 0.1])})
    y = (rng.random(n) < 0.2).astype(float)
    good = frame["market"].eq("DE").to_numpy()
    p = np.where(good, 0.2 + 0.4 * y + rng.normal(0, 0.1, n), rng.random(n))
    return frame, y, np.clip(p, 0, 1)


def test_every_segment_is_measured_by_itself(held):
    frame, y, p = held
    table = table_of(frame, y, p)
    assert tuple(table.columns) == SEGMENT_COLUMNS
    assert table["segment"].unique().tolist() == [EVERYTHING, "market"]
    assert table["level"].dropna().unique().tolist() == ["DE", "FR"]
    rows = table.set_index(["level", "measure"])
    inside = frame["market"].eq("DE").to_numpy()
    row = rows.loc[("DE", "average_precision")]
    assert row["value"] == pytest.approx(average_precision(y[inside], p[inside]))
    assert row["low"] < row["value"] < row["high"]
    assert rows.loc[("DE", "auroc"), "low"] > rows.loc[("FR", "auroc"), "high"]
    gap = p[inside].mean() - y[inside].mean()
    assert rows.loc[("DE", "calibration_gap"), "value"] == pytest.approx(gap)
    assert rows.loc[("DE", "auroc"), "n_errors"] == y[inside].sum()


def test_weights_stand_for_decisions(held):
    """A row of weight 3 measures as three rows do."""
    frame, y, p = held
    w = np.random.default_rng(1).integers(1, 4, len(y))
    weighted = table_of(frame, y, p, w.astype(float))
    rows = np.repeat(np.arange(len(y)), w)
    repeated = table_of(frame.iloc[rows], y[rows], p[rows])
    np.testing.assert_allclose(weighted["value"], repeated["value"])
    assert (weighted["n"] < repeated["n"]).all()


def test_rows_not_drawn_say_nothing(held):
    frame, y, p = held
    drawn = np.arange(len(y)) % 2 == 0
    there = table_of(frame, y, p, drawn.astype(float))
    alone = table_of(frame[drawn], y[drawn], p[drawn])
    pd.testing.assert_frame_equal(there, alone)


def test_too_few_are_suppressed():
    frame = pd.DataFrame({"market": ["A"] * 30 + ["B"] * 30 + ["C"] * 30})
    y = np.concatenate([np.arange(30) < k for k in (9, 10, 21)]).astype(float)
    table = table_of(frame, y, np.linspace(0, 1, 90))
    said = table[table["segment"] == "market"].groupby("level")["suppressed"].first()
    assert said.to_dict() == {"A": True, "B": False, "C": True}
    hidden = table[table["suppressed"]]
    assert hidden[["value", "low", "high"]].isna().all(axis=None)


def test_missing_columns_are_passed_over(held):
    frame, y, p = held
    assert set(table_of(frame, y, p, columns=["moderator"])["segment"]) == {EVERYTHING}


def test_the_audit_s_weights_tell_the_truth():
    """On the simulator, whose truth is known: a ranking by the margin, measured from the audit."""
    off = []
    for seed in range(5):
        market = simulate(12_000, 60, seed, audit_share=0.15)
        decisions, truth = market.decisions, market.truth["is_error"].to_numpy(float)
        p = np.exp(-(decisions["score"] - decisions["threshold"]).abs().fillna(1).to_numpy())
        audit = market.reviews[market.reviews["source"] == "audit"]
        drawn = audit.groupby("decision_id")["inclusion_probability"].min()
        chance = decisions["decision_id"].map(drawn).to_numpy(float)
        seen = np.isfinite(chance)
        ways = [
            (truth, p, np.ones(len(p))),
            (truth[seen], p[seen], 1 / chance[seen]),
            (truth[seen], p[seen], np.ones(seen.sum())),
        ]
        frames = [decisions, decisions[seen], decisions[seen]]
        said = [
            table_of(f, *way, columns=[]).set_index("measure")["value"]
            for f, way in zip(frames, ways, strict=True)
        ]
        off.append([(s - said[0])[["error_rate", "auroc", "average_precision"]] for s in said[1:]])
    weighted, plain = (pd.DataFrame([row[i] for row in off]).mean().abs() for i in (0, 1))
    for measure in ("error_rate", "average_precision"):  # the order of pairs hardly moves
        assert weighted[measure] < plain[measure] / 3
    assert weighted["error_rate"] < 0.01
    assert weighted["auroc"] < 0.02
