"""What other bars would do: right about the truth, silent where nobody looked."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from errdetect.findings.audit_evidence import read_audit_evidence, read_decision_log
from errdetect.findings.thresholds import evaluate_thresholds
from errdetect.schemas import THRESHOLDS


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def run(snapshot, harms=lambda policy: (1.0, 1.0)):
    known = read_decision_log(snapshot)
    judged = read_audit_evidence(snapshot, known.policy, known.early)
    return evaluate_thresholds(snapshot.decisions, judged, harms)


@pytest.mark.parametrize("minimum", [10, 80])
def test_no_two_thresholds_differ_by_few_reviews(log_of, reviewed, rng, minimum):
    log = log_of(4_000, rng=rng, threshold=0.4)
    violates = violating(log, rng, at=0.65)
    snapshot = reviewed(log, violates != log["enforced"].to_numpy(), rng=rng)
    known = read_decision_log(snapshot)
    judged = read_audit_evidence(snapshot, known.policy, known.early)
    table, moves, _ = evaluate_thresholds(
        snapshot.decisions, judged, lambda _: (1.0, 1.0), minimum=minimum
    )
    free, _, _ = run(snapshot)
    assert table["supported"].sum() < free["supported"].sum()
    reviewed_log = snapshot.decisions.iloc[judged.position]
    for _, rows in table.fillna({"market": "-"}).groupby(["policy_id", "moderator", "market"]):
        market = rows["market"].iloc[0]
        own = reviewed_log if market == "-" else reviewed_log[reviewed_log["market"] == market]
        own = own[own["policy_id"] == rows["policy_id"].iloc[0]]
        shown = rows[rows["wrongful"].notna()]
        ends = np.sort([-np.inf, *shown["threshold"], np.inf])
        between = np.histogram(own["score"], bins=ends)[0]
        at_current = {float(rows.loc[rows["current"], "threshold"].iloc[0])}
        inner = [n for n, low, high in zip(between, ends, ends[1:], strict=False)
                 if not {low, high} & at_current]  # fmt: skip
        assert all(n >= minimum for n in inner), (market, between)
    assert all(move.n_reviews >= minimum for move in moves)


def violating(log, rng, at=0.6):
    """Content violates the more probably the higher its score; even at `at`."""
    return rng.random(len(log)) < 1 / (1 + np.exp(-14 * (log["score"].to_numpy() - at)))


def test_figures_hold_the_truth(log_of, reviewed):
    inside = total = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        log = log_of(4_000, rng=rng)
        violates = violating(log, rng)
        table, _, _ = run(reviewed(log, violates != log["enforced"].to_numpy(), rng=rng))
        for row in table[table["supported"] & table["market"].isna()].to_dict("records"):
            acted = log["score"].to_numpy() >= row["threshold"]
            truth = {"wrongful": (acted & ~violates).sum(), "missed": (~acted & violates).sum()}
            truth["harm"] = sum(truth.values())
            for name, value in truth.items():
                total += 1
                inside += row[f"{name}_low"] <= value <= row[f"{name}_high"]
    assert inside / total > 0.9


def test_a_bar_that_is_too_low_is_raised(log_of, reviewed, rng):
    log = log_of(rng=rng, threshold=0.4)
    violates = violating(log, rng, at=0.65)
    table, moves, _ = run(reviewed(log, violates != log["enforced"].to_numpy(), rng=rng))
    whole = [m for m in moves if m.market is None]
    assert len(whole) == 1
    assert whole[0].rises
    assert 0.55 <= whole[0].recommended <= 0.75
    turned = whole[0].turned
    truth = (~violates[turned]).sum() - violates[turned].sum()
    assert 0 < whole[0].low <= truth <= whole[0].high
    marked = table[table["recommended"] & table["market"].isna()]
    assert marked["threshold"].tolist() == [whole[0].recommended]


def test_a_good_bar_stays(log_of, reviewed):
    moved = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        log = log_of(3_000, rng=rng)
        wrong = violating(log, rng) != log["enforced"].to_numpy()
        _, moves, _ = run(reviewed(log, wrong, rng=rng))
        moved += any(m.market is None for m in moves)
    assert moved <= 1


def test_costs_move_the_bar(log_of, reviewed, rng):
    log = log_of(rng=rng)
    wrong = violating(log, rng) != log["enforced"].to_numpy()
    snapshot = reviewed(log, wrong, rng=rng)
    _, moves, _ = run(snapshot, lambda policy: (8.0, 1.0))
    assert moves
    assert all(m.rises for m in moves)


def test_where_nobody_looked_nothing_is_said(log_of, reviewed, rng):
    log = log_of(rng=rng)
    wrong = violating(log, rng) != log["enforced"].to_numpy()
    snapshot = reviewed(log, wrong, rng=rng)
    looked = log.set_index("decision_id")["score"].between(0.4, 0.8)
    seen = looked.reindex(snapshot.reviews["decision_id"]).to_numpy()
    table, _, _ = run(replace(snapshot, reviews=snapshot.reviews[seen]))
    whole = table[table["market"].isna()].set_index("threshold")
    assert whole.loc[0.6, "current"]
    assert whole.loc[0.6, "supported"]
    assert whole.loc[0.7, "supported"]
    for bar in (0.2, 0.95):
        assert not whole.loc[bar, "supported"]
        assert whole.loc[bar, ["wrongful", "missed_low", "harm_high"]].isna().all()
        assert whole.loc[bar, "n_enforced"] == (log["score"] >= bar).sum()


def test_scores_that_do_not_decide_are_left_alone(log_of, reviewed, rng):
    log = log_of(rng=rng)
    log = log.assign(enforced=rng.random(len(log)) < 0.4)
    table, moves, _ = run(reviewed(log, rng.random(len(log)) < 0.1, rng=rng))
    assert table.empty
    assert not moves
    assert list(table.columns) == THRESHOLDS.names


def test_too_few_reviews_are_counted(log_of, reviewed, rng):
    log = log_of(300, rng=rng)
    wrong = violating(log, rng) != log["enforced"].to_numpy()
    table, _, left_out = run(reviewed(log, wrong, rng=rng, share=0.05))
    assert table.empty
    assert left_out == 1


def test_no_scores_no_table(log_of, reviewed, rng):
    log = log_of(500, rng=rng)
    snapshot = reviewed(log, rng.random(500) < 0.1, rng=rng)
    table, moves, left_out = run(snapshot.with_columns(log.drop(columns="score")))
    assert (len(table), moves, left_out) == (0, [], 0)
    assert isinstance(table, pd.DataFrame)
