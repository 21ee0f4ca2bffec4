"""Contradictions among estimates are found, and sound estimates hold none."""

import numpy as np
import pandas as pd
import pytest

from errdetect.config_schema import EstimateSettings
from errdetect.errors import ContradictionError
from errdetect.estimation.consistency_checks import check_estimates, label_share_limit
from errdetect.estimation.error_rates import estimate_rates
from errdetect.estimation.manski_bounds import recall_bounds
from errdetect.estimation.queue_sample import QueueDesign
from errdetect.snapshot import Snapshot

DAY = pd.Timestamp("2026-01-01", tz="UTC")
LATER = DAY + pd.Timedelta(days=90)
ADJUDICATIONS = {"flags": (1.0, 0.0), "some": (0.6, 0.1), "both": (1.0, 0.2), "waiting": (0.9, 0.0)}


def market(rng):
    """Decisions and what is true of them; some sides and markets are small, empty or all wrong."""
    n = int(rng.choice([40, 300, 1500, 4000]))
    frame = pd.DataFrame({
        "decision_id": [f"d{i}" for i in range(n)],
        "decided_at": DAY + pd.to_timedelta(rng.uniform(0, 60, n), unit="D"),
        "enforced": rng.random(n) < rng.choice([0, 0.05, 0.3, 0.9, 1], p=[0.05, 0.25, 0.4, 0.25, 0.05]),
        "market": rng.choice(["DE", "FR", "PL", None], n, p=[0.5, 0.3, 0.15, 0.05]),
    })  # fmt: skip
    rate = np.where(
        frame["enforced"], rng.choice([0, 0.02, 0.2, 0.7, 1]), rng.choice([0, 0.05, 0.3])
    )
    rate = rate * np.where(frame["market"] == "FR", rng.choice([0.2, 1.0]), 1)
    action, label = rng.random(n) < rate, rng.random(n) < rng.choice([0, 0, 0.05, 0.2])
    return frame, np.where(action, "overturned", np.where(label, "relabelled", "upheld"))


def verdicts(rng, truth, enforced, site, how):
    """Give verdicts of people who miss errors and raise false alarms; site z may uphold always."""
    wrong = truth != "upheld"
    alarm = np.where(enforced, how["alarm"], how["alarm_allowed"])
    slip = rng.random(len(truth)) < np.where(wrong, 1 - how["found"], alarm)
    given = np.where(slip, np.where(wrong, "upheld", "overturned"), truth)
    return np.where((site == "z") & how["lazy"], "upheld", given)


def reviewed(rng, frame, truth, how):
    """Audit, second reviews, golden items, adjudications and appeals, as `how` says."""
    n, enforced = len(frame), frame["enforced"].to_numpy()
    lean = np.where(rng.random(n) < 0.5, 1.6, 0.4) if how["unequal"] else np.ones(n)
    chance = np.clip(how["share"] * lean, 0, 1)
    drawn = np.flatnonzero(rng.random(n) < chance)

    def rows(name, at, verdict, site, source, **more):
        ids = frame["decision_id"].to_numpy()[at]
        return pd.DataFrame({
            "review_id": [f"{name}{i}" for i in at], "decision_id": ids, "reviewed_at": LATER,
            "source": source, "verdict": verdict, "site": site, "inclusion_probability": np.nan,
            "expected": None,
        }).assign(**more)  # fmt: skip

    def judged(name, at, true, source, **more):
        site = rng.choice(["x", "y", "z"], len(at))
        given = verdicts(rng, true, enforced[at], site, how)
        return rows(name, at, given, site, source, **more)

    parts = [judged("r", drawn, truth[drawn], "audit", inclusion_probability=chance[drawn])]
    if how["second"]:
        again = drawn[rng.random(len(drawn)) < 0.3]
        parts.append(judged("s", again, truth[again], "audit", inclusion_probability=chance[again]))
    if how["golden"]:
        at = rng.choice(n, min(n, how["golden"]), replace=False)
        true = np.where(rng.random(len(at)) < 0.5, truth[at], "overturned")
        parts.append(judged("g", at, true, "golden", expected=true))
    if how["experts"]:
        flagged = parts[0]["verdict"].to_numpy() != "upheld"
        sent = np.where(flagged, *ADJUDICATIONS[how["experts"]])
        chosen = rng.random(len(drawn)) < sent
        stated = 1.0 if how["experts"] == "waiting" else sent[chosen]
        at = drawn[chosen]
        parts.append(rows("a", at, truth[at], "e", "adjudication", inclusion_probability=stated))
    if how["appeals"]:
        at = np.flatnonzero(enforced & (rng.random(n) < np.where(truth == "overturned", 0.5, 0.05)))
        parts.append(judged("p", at, truth[at], "appeal"))
    return pd.concat(parts, ignore_index=True)


def simulated(seed):
    rng = np.random.default_rng(seed)
    frame, truth = market(rng)
    how = {
        "found": rng.choice([1, 0.9, 0.6]), "alarm": rng.choice([0, 0.02, 0.1]),
        "alarm_allowed": rng.choice([0, 0.02, 0.1]), "lazy": rng.random() < 0.2,
        "unequal": rng.random() < 0.5, "share": rng.choice([0.1, 0.3, 0.6, 1.0]),
        "second": rng.random() < 0.3, "golden": int(rng.choice([0, 60, 200, 600])),
        "experts": rng.choice([None, *ADJUDICATIONS]), "appeals": rng.random() < 0.5,
    }  # fmt: skip
    reviews = reviewed(rng, frame, truth, how)
    p = None
    if rng.random() < 0.3:
        p = np.clip(rng.beta(1, 9, len(frame)) + 0.3 * (truth != "upheld"), 0, 1)
    snapshot = Snapshot(frame, reviews)
    settings = EstimateSettings(correction=str(rng.choice(["auto", "none", "require"])))
    found = estimate_rates(snapshot, [["market"]], settings=settings, p_error=p)
    return found.frame("market"), label_share_limit(snapshot.audit_sample)


@pytest.mark.parametrize("block", range(4))
def test_sound_estimates_hold_no_contradiction(block):
    said = 0
    for seed in range(40 * block, 40 * block + 40):
        table, most = simulated([11, seed])
        check_estimates(table, ["market"], most_labels=most)
        said += int((~table["suppressed"]).sum())
    assert said > 400, "suppressed figures cannot contradict each other"


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    frame, truth = market(np.random.default_rng(99))
    assert len(frame) == 4000
    how = {
        "found": 1, "alarm": 0, "alarm_allowed": 0, "lazy": False, "unequal": False, "share": 0.5,
        "second": False, "golden": 0, "experts": None, "appeals": True,
    }  # fmt: skip
    snapshot = Snapshot(frame, reviewed(rng, frame, truth, how))
    return estimate_rates(snapshot, [["market"]]).frame("market")


def changed(table, measure, market=None, **values):
    own = table["market"].isna() if market is None else table["market"] == market
    at = (table["measure"] == measure) & own
    assert at.sum() == 1
    out = table.copy()
    for name, value in values.items():
        out.loc[at, name] = value
    return out


@pytest.mark.parametrize(
    ("measure", "market", "values", "says"),
    [
        ("recall", None, {"low": 0.999}, "the whole, recall: low 0.999 <= estimate"),
        ("recall", "DE", {"high": 1.2}, "market DE, recall: low"),
        ("missed_rate", "FR", {"bound_low": 0.9, "bound_high": 0.8}, "bounds 0.9 to 0.8 are not in"),
        ("recall", "FR", {"bound_low": np.nan}, "market FR, recall: bounds nan to"),
        ("error_rate", None, {"proxy": 1.3}, "proxy 1.3 is outside"),
        ("accuracy", None, {"high": 1.0}, "accuracy's high 1 must be 1 - error_rate's low"),
        ("precision", "PL", {"estimate": 0.5}, "market PL: precision's estimate 0.5 must be"),
        ("recall", "DE", {"estimate": 0.01, "low": 0.0}, "market DE: recall 0.01 does not follow"),
        ("error_rate", "DE", {"n_decisions": 7}, "n_decisions of error_rate is 7, those of its sides"),
        ("error_rate", None, {"bound_low": 0.0}, "error_rate's bound_low 0 must reach"),
        ("missed_rate", None, {"n_decisions": 9}, "the whole, missed_rate: 9 decisions, its segments"),
        ("missed_rate", "DE", {"bound_low": 0.0}, "the whole, missed_rate: bound_low"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(table, measure, market, values, says):
    check_estimates(table, ["market"])
    with pytest.raises(ContradictionError) as raised:
        check_estimates(changed(table, measure, market, **values), ["market"])
    assert says in "\n".join(raised.value.faults)
    assert raised.value.exit_code == 1


def both(table, low, high, market=None):
    """The whole's error rate put elsewhere, its accuracy with it."""
    at = (low + high) / 2
    out = changed(table, "error_rate", market, estimate=at, low=low, high=high)
    return changed(out, "accuracy", market, estimate=1 - at, low=1 - high, high=1 - low)


def test_the_whole_is_held_against_its_sides(table):
    sides = table[table["measure"].isin(["wrongful_rate", "missed_rate"]) & table["market"].isna()]
    most = float(sides["high"].max())
    far = both(table, most + 0.2, min(most + 0.3, 1.0))
    with pytest.raises(ContradictionError, match="contradicts its sides"):
        check_estimates(far, ["market"], most_labels=0.0)
    # Wrong labels count as errors of the whole alone: as many as that would explain it.
    alone = far[far["market"].isna()]
    check_estimates(alone, ["market"], most_labels=1.0)
    with pytest.raises(ContradictionError, match="the whole: error_rate, 0 to 0, contradicts"):
        check_estimates(both(table, 0.0, 0.0)[table["market"].isna()], ["market"])


def test_the_whole_is_held_against_its_segments(table):
    with pytest.raises(ContradictionError, match="contradicts its segments"):
        check_estimates(both(table, 0.9, 0.95), ["market"])


def test_corrected_and_uncorrected_figures_are_about_different_things(table):
    alone = both(table, 0.0, 0.0)[table["market"].isna()]
    at = alone["measure"].isin(["error_rate", "accuracy"])
    other = alone["method"].str.replace("as_judged", "golden")
    check_estimates(alone.assign(method=alone["method"].where(at, other)), ["market"])


def test_a_row_that_stands_twice_is_a_contradiction(table):
    with pytest.raises(ContradictionError, match="the whole, error_rate: more than one row"):
        check_estimates(pd.concat([table, table.iloc[:1]]), ["market"])


def test_a_long_list_is_cut_and_counted(table):
    with pytest.raises(ContradictionError, match=r"and \d+ more") as raised:
        check_estimates(table.assign(low=2.0), ["market"])
    assert str(raised.value).count("\n  - ") == 6


def test_part_of_a_table_is_checked_as_far_as_it_goes(table):
    check_estimates(table[table["market"].notna()], ["market"])
    check_estimates(table[table["measure"] == "recall"], ["market"])
    check_estimates(table.iloc[:0], ["market"])


def test_certain_draws_leave_the_others_open():
    """Two of ten strata-of-one were certain; of the other decisions nothing is known."""
    ids = [f"d{i}" for i in range(20)]
    decisions = pd.DataFrame({"decision_id": ids, "decided_at": DAY, "enforced": True})
    reviews = pd.DataFrame({
        "review_id": range(8), "decision_id": [f"d{i}" for i in range(8)], "source": "audit",
        "site": "x", "verdict": ["overturned"] * 4 + ["upheld"] * 4, "inclusion_probability": 1.0,
        "expected": None, "reviewed_at": DAY,
    })  # fmt: skip
    found = estimate_rates(Snapshot(decisions, reviews)).overall
    row = found.set_index("measure").loc["error_rate"]
    assert (row["low"], row["high"]) == pytest.approx((4 / 20, 16 / 20))
    assert (row["bound_low"], row["bound_high"]) == pytest.approx((4 / 20, 16 / 20))


def test_what_waits_in_the_queue_is_open_in_the_bounds_too():
    ids = [f"d{i}" for i in range(100)]
    sides = [True, False] * 50
    decisions = pd.DataFrame({"decision_id": ids, "decided_at": DAY, "enforced": sides})
    reviews = pd.DataFrame({
        "review_id": range(80), "decision_id": ids[:80], "source": "re_review", "site": "x",
        "verdict": ["overturned"] * 8 + ["upheld"] * 72, "inclusion_probability": np.nan,
        "expected": None, "reviewed_at": DAY,
    })  # fmt: skip
    queue = pd.DataFrame({
        "decision_id": ids, "drawn": [True] * 80 + [False] * 20, "weight": 1.0, "variance": 0.0,
        "missing": [False] * 80 + [True] * 20,
    })  # fmt: skip
    table = estimate_rates(Snapshot(decisions, reviews), queue=QueueDesign(queue, 0.0)).overall
    check_estimates(table)
    row = table.set_index("measure").loc["error_rate"]
    assert (row["bound_low"], row["bound_high"]) == pytest.approx((0.08, 0.28))
    assert (row["low"], row["high"]) == pytest.approx((0.08, 0.28))


def test_recall_is_bounded_where_one_end_has_no_violation():
    def ends(wrongful, missed, n=(5.0, 5.0)):
        (w, m), (e, a) = (tuple(np.array([v]) for v in pair) for pair in (wrongful, missed)), n
        low, high = recall_bounds(w, m, np.array([e]), np.array([a]))
        return float(low[0]), float(high[0])

    assert ends((0.0, 1.0), (0.0, 0.0)) == (1.0, 1.0)  # nothing was missed
    assert ends((1.0, 1.0), (0.0, 0.4)) == (0.0, 0.0)  # nothing was caught
    assert np.isnan(ends((1.0, 1.0), (0.0, 0.0))).all()  # there is no violation
    assert ends((np.nan, np.nan), (0.0, 0.4), (0.0, 5.0)) == (0.0, 0.0)
    assert ends((0.0, 0.5), (np.nan, np.nan), (5.0, 0.0)) == (1.0, 1.0)
