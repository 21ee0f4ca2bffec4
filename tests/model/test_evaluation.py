"""None"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from errdetect.errors import DataError
from errdetect.model.detector import Examples
from errdetect.model.evaluation import (
    EVERYTHING,
    SEGMENT_COLUMNS,
    Bootstrap,
    HeldOut,
    evaluate_segments,
    reliability_by_segment,
    reliability_table,
    split_by_time,
)
from errdetect.simulation.marketplace import simulate
from errdetect.stats.ranking_metrics import average_precision

PARTS = (0.6, 0.2, 0.2)


def table_of(frame, y, p, weight=None, **kwargs):
    weight = np.ones(len(y)) if weight is None else weight
    held = HeldOut(Examples(frame, y, y, weight, weight), p, weight)
    columns = kwargs.pop("columns", ["market"])
    bootstrap = Bootstrap(60, np.random.default_rng(0))
    return evaluate_segments(held, columns, bootstrap, **kwargs)


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


def test_small_segments_show_neither_results_nor_counts_nor_what_reveals_them():
    n = np.array([300, 200, 60, 6])
    frame = pd.DataFrame({"market": np.repeat(["DE", "FR", "PL", None], n)})
    frame["site"] = np.repeat(["a", "b", "c"], [400, 160, 6])
    y = (np.arange(len(frame)) % 4 == 0).astype(float)
    p = np.linspace(0, 1, len(frame))
    examples = Examples(frame, y, y, np.ones(len(y)), np.ones(len(y)))
    found = evaluate_segments(
        HeldOut(examples, p, np.ones(len(y))), ["market", "site"],
        Bootstrap(50, np.random.default_rng(0)), min_each=1, minimum=12,
    )  # fmt: skip
    rows = found[found["measure"] == "error_rate"].set_index("level")
    hidden = rows["suppressed"] & rows["n_errors"].isna() & rows["value"].isna()
    assert sorted(rows.index[hidden]) == ["PL", "b", "c"]
    assert rows.loc[["DE", "FR", "a"], "n_errors"].tolist() == [75, 50, 100]
    assert rows["n_errors"].iloc[0] == y.sum()


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


@given(st.lists(st.integers(0, 50), min_size=5, max_size=200))
def test_no_part_begins_before_the_one_before_has_ended(days):
    times = pd.Series(pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(days, unit="D"))
    try:
        part = split_by_time(times, PARTS)
    except DataError as error:
        assert "must fall into three parts by time" in str(error)  # noqa: PT017
        return
    for earlier, later in ((0, 1), (1, 2)):
        assert times[part == earlier].max() < times[part == later].min()
    assert set(part) == {0, 1, 2}


def test_one_moment_cannot_be_split():
    times = pd.Series([pd.Timestamp("2026-01-01", tz="UTC")] * 9)
    with pytest.raises(DataError, match="got 9 decisions at 1 moments"):
        split_by_time(times, PARTS)


def test_order_of_rows_does_not_matter():
    times = pd.Series(pd.date_range("2026-01-01", periods=100, tz="UTC"))
    shuffled = times.sample(frac=1, random_state=0)
    assert (split_by_time(shuffled, PARTS) == split_by_time(times, PARTS)[shuffled.index]).all()
    assert np.bincount(split_by_time(times, PARTS)).tolist() == [60, 20, 20]


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n)
    return (rng.random(n) < p).astype(float), p, rng.choice([1.0, 3.0], n)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 900), st.integers(0, 1000))
def test_groups_are_ordered_and_hold_every_review(n, seed):
    y, p, w = draw(n, seed)
    w[::7] = 0
    table = reliability_table(y, p, w)
    assert len(table) <= 10
    assert table["n"].sum() == (0 if len(table) == 0 else (w > 0).sum())
    assert table["predicted"].is_monotonic_increasing
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()


def test_true_probabilities_hold_and_false_ones_do_not():
    y, p, w = draw(6000)
    table = reliability_table(y, p, w)
    assert ((table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])).sum() >= 8
    wrong = reliability_table(y, np.sqrt(p), w)
    assert (wrong["high"] < wrong["predicted"]).sum() >= 8


def test_fewer_than_thirty_reviews_are_no_figure():
    y, p, w = draw(29)
    assert reliability_table(y, p, w).empty
    assert reliability_by_segment(y, p, w, pd.DataFrame({"market": ["PL"] * 29})).empty


def test_weights_count_as_decisions_and_widen_the_interval():
    y, p = np.append(np.ones(30), np.zeros(30)), np.full(60, 0.5)
    w = np.append(np.full(30, 9.0), np.ones(30))
    row = reliability_table(y, p, w, bins=1).iloc[0]
    even = reliability_table(y, p, np.ones(60), bins=1).iloc[0]
    assert row["observed"] == 0.9
    assert row["n"] == 60
    narrow = even["high"] - even["low"]  # at a half; at .9 as many reviews would tell more
    assert row["high"] - row["low"] > 0.6 * narrow


def test_only_a_planted_segment_stands_out():
    y, p, _ = draw(8000)
    market = np.array([f"m{i % 20:02}" for i in range(8000)], dtype=object)
    planted = market == "m07"
    y[planted] = (np.random.default_rng(1).random(planted.sum()) < p[planted] * 2).astype(float)
    market[::50] = None
    found = reliability_by_segment(y, p, np.ones(8000), pd.DataFrame({"market": market}))
    assert found.loc[found["differs"], "value"].tolist() == ["m07"]
    assert len(found) == 20


def test_chance_seldom_makes_any_segment_stand_out():
    market = pd.DataFrame({"market": [f"m{i % 20}" for i in range(2000)]})
    any_ = [reliability_by_segment(*draw(2000, s), market)["differs"].any() for s in range(40)]
    assert sum(any_) <= 6


def test_a_column_with_one_value_has_no_segments():
    y, p, w = draw(200)
    segments = pd.DataFrame({"policy_id": ["spam"] * 200, "market": ["PL", "DE"] * 100})
    assert reliability_by_segment(y, p, w, segments)["column"].unique().tolist() == ["market"]


def test_false_alarms_of_reviewers_are_not_the_models():
    """True probabilities, one review each; the reviewers find errors in .08 of correct decisions."""
    rng = np.random.default_rng(0)
    p = expit(rng.normal(-3, 1, 20_000))
    flags = rng.random(len(p)) < np.where(rng.random(len(p)) < p, 0.85, 0.08)
    evidence = np.where(flags, np.log(0.85 / 0.08), np.log(0.15 / 0.92))
    by_verdict = reliability_table(flags.astype(float), p, np.ones(len(p)))
    assert (by_verdict["observed"] > by_verdict["predicted"] + 0.03).iloc[:5].all()
    fair = reliability_table(flags.astype(float), p, np.ones(len(p)), evidence=evidence)
    assert (fair["observed"] - fair["predicted"]).abs().max() < 0.025
    side = pd.DataFrame({"side": np.where(rng.random(len(p)) < 0.5, "a", "b")})
    found = reliability_by_segment(flags.astype(float), p, np.ones(len(p)), side, evidence=evidence)
    assert not found["differs"].any()
