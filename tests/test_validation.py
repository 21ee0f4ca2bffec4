"""Checks across the tables: each fault is found, told in its own words, and nothing else is."""

import datetime as dt
import time

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.policy_catalogue import Policy
from errdetect.data.table_reading import TableRead, read_decisions, read_reviews
from errdetect.schemas import REJECTS, REVIEWS
from errdetect.validation import (
    Issue,
    check_draws,
    check_leakage,
    check_tables,
    count_noun,
    sort_issues,
)

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
START = pd.Timestamp("2026-03-01", tz="UTC").as_unit("us")
POLICIES = {name: Policy(name, name.title(), severity=2) for name in ("spam", "fraud")}
NO_REJECTS = REJECTS.empty_table().to_pandas()
N = 400
FIRST_DAY = pd.Timestamp("2026-01-01", tz="UTC")


def _read(frame, rejects=NO_REJECTS, copies=0):
    n_rows = len(frame) + len(rejects) + copies
    return TableRead(frame.reset_index(drop=True), rejects, (), n_rows, copies)


def _decisions(n=200):
    rng = np.random.default_rng(7)
    enforced = rng.random(n) < 0.5
    return pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": START + pd.to_timedelta(np.arange(n), "h"),
            "item_id": [f"i{i}" for i in range(n)],
            "policy_id": rng.choice(["spam", "fraud"], n),
            "action": np.where(enforced, "remove", "approve"),
            "score": np.where(enforced, 0.9, 0.1) - rng.random(n) / 20,
            "threshold": np.where(rng.random(n) < 0.5, 0.5, 0.6),
            "words": rng.integers(0, 50, n).astype(float),
            "device": rng.choice(["ios", "web"], n),
            "enforced": enforced,
        }
    )


def _reviews(decisions, n=120):
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({column.name: pd.Series([None] * n, dtype="str") for column in REVIEWS})
    return frame.assign(
        review_id=[f"r{i}" for i in range(n)],
        decision_id=decisions["decision_id"].head(n),
        reviewed_at=START + pd.Timedelta(days=30),
        source="audit",
        verdict=rng.choice(["upheld", "overturned"], n),
        reviewer_id=rng.choice(["w1", "w2", "w3"], n),
        inclusion_probability=0.25,
        minutes=np.nan,
    )


def _check(decisions=None, reviews=None, policies=POLICIES):
    decisions = _decisions() if decisions is None else decisions
    reviews = _reviews(decisions) if reviews is None else reviews
    return check_tables(_read(decisions), _read(reviews), policies, now=NOW)


def _codes(findings):
    return sorted({finding.code for finding in findings})


def _only(findings, code):
    found = [finding for finding in findings if finding.code == code]
    assert len(found) == 1, found
    return found[0]


CLEAN = ["D004", "D010", "R004", "R018"]


def test_clean_tables_give_facts_only():
    findings = _check()
    assert _codes(findings) == CLEAN
    assert {finding.severity for finding in findings} == {"info"}
    assert _only(findings, "D004") == Issue(
        "D004",
        "info",
        "decisions",
        "decided_at runs from 2026-03-01 00:00 to 2026-03-09 07:00 UTC.",
        200,
    )
    assert _only(findings, "R018").message == "Reviews by source: audit (120)."


def _changed(table, column, values, rows=slice(None)):
    frame = table.copy()
    values = pd.Series(values, index=frame.index[rows]) if np.ndim(values) else values
    frame.loc[frame.index[rows], column] = values
    return frame


DECISION_FAULTS = [
    (
        "D003",
        lambda d: _changed(d, "decided_at", START - pd.Timedelta(days=366 * 30), slice(0, 2)),
        "Rows with a decided_at before 2000 or in the future: 2.",
        ("d0", "d1"),
    ),
    (
        "D003",
        lambda d: _changed(d, "decided_at", pd.Timestamp(NOW) + pd.Timedelta(days=2), [199]),
        "Rows with a decided_at before 2000 or in the future: 1.",
        ("d199",),
    ),
    (
        "D006",
        lambda d: _changed(d, "score", np.nan, slice(10)),
        "score is missing for 5.0% of the decisions: their distance from the threshold is unknown.",
        ("d0", "d1", "d2", "d3", "d4"),
    ),
    (
        "D007",
        lambda d: d.drop(columns="threshold"),
        "threshold is missing for 100.0% of the decisions: their distance from it is unknown.",
        ("d0", "d1", "d2", "d3", "d4"),
    ),
    (
        "D008",
        lambda d: pd.concat([d, d.tail(1).assign(decision_id="again")]),
        "Decisions with an earlier one's item_id, decided_at, policy_id under another id: 1. "
        "Were they logged twice?",
        ("again",),
    ),
    (
        "D009",
        lambda d: d.assign(text=["a"] * 150 + [None] * 50),
        "text is missing for 25.0% of the decisions: text features are missing for them.",
        ("d150", "d151", "d152", "d153", "d154"),
    ),
    (
        "D014",
        lambda d: d.assign(country="DE", nothing=np.nan),
        "Columns with one value only, which carry no information: 2.",
        ("country", "nothing"),
    ),
    (
        "D015",
        lambda d: d.assign(
            appealOutcome=d["words"],
            price_after=d["words"],
            preview=d["words"],
            was_reversed=d["words"],
        ),
        "Columns whose names suggest that they are known only after the decision: 3. If so, drop them: "
        "a model that learns from them fails on new decisions.",
        ("appealOutcome", "price_after", "was_reversed"),
    ),
    (
        "D018",
        lambda d: d.assign(listing_id=d["words"], url=d["item_id"]),
        "Columns that are ids, or hold nearly as many values as rows: 2. They identify rows and "
        "explain nothing.",
        ("listing_id", "url"),
    ),
]


@pytest.mark.parametrize(("code", "change", "message", "examples"), DECISION_FAULTS)
def test_faults_of_decisions(code, change, message, examples):
    findings = _check(change(_decisions()), _reviews(_decisions()))
    finding = _only(findings, code)
    assert finding.message == message
    assert finding.examples == examples
    assert finding.table == "decisions"
    assert set(_codes(findings)) - {code} <= {*CLEAN, "R007"}


def test_the_farthest_times_are_told_too():
    decisions = _decisions()
    times = pd.Series(
        pd.to_datetime(["0001-01-01", "9999-12-31"], format="ISO8601", utc=True)
    ).astype(decisions["decided_at"].dtype)
    decisions.loc[[0, 1], "decided_at"] = times
    message = _only(_check(decisions), "D004").message
    assert message == "decided_at runs from 0001-01-01 00:00 to 9999-12-31 00:00 UTC."


def test_missing_scores_everywhere_are_a_warning():
    findings = _check(_decisions().drop(columns=["score"]))
    assert _only(findings, "D006").severity == "warning"


def test_one_side_only():
    decisions = _changed(_decisions(), "enforced", False).assign(action="keep", score=0.1)
    findings = _check(decisions)
    assert _only(findings, "D012").message == (
        "No decision's action means enforce: errors of one kind cannot be found."
    )
    assert _only(findings, "R017").message == (
        "No enforced decision was reviewed: errors among them stay unknown."
    )


@pytest.mark.parametrize(("rows", "severity"), [(2, "info"), (20, "warning")])
def test_score_against_action(rows, severity):
    decisions = _decisions()
    decisions.loc[: rows - 1, "score"] = 1 - decisions["score"]
    decisions.loc[50, "score"] = decisions.loc[50, "threshold"]
    finding = _only(_check(decisions), "D013")
    assert (finding.count, finding.severity) == (rows, severity)
    assert finding.message.startswith(f"{rows} decisions ({rows / 200:.1%} of those with score")


def test_many_actions_and_hostile_ones_are_shortened():
    decisions = _decisions()
    decisions["action"] = [f"remove {i % 12} " + "x" * 99 for i in range(200)]
    decisions["enforced"] = True
    message = _only(_check(decisions), "D010").message
    assert message.endswith(", ....")
    assert "x" * 40 not in message


REVIEW_FAULTS = [
    (
        "R003",
        "warning",
        lambda r: _changed(r, "reviewed_at", pd.Timestamp("2026-06-05", tz="UTC"), [0]),
        "Rows with a reviewed_at before 2000 or in the future: 1.",
        ("r0",),
    ),
    (
        "R006",
        "warning",
        lambda r: _changed(r, "decision_id", ["x1", "x2"], [0, 1]),
        "Reviews of decisions that are missing: 2.",
        ("x1", "x2"),
    ),
    (
        "R007",
        "error",
        lambda r: _changed(r, "reviewed_at", START, [3, 4]),
        "Reviews dated before the decision: 2.",
        ("r3", "r4"),
    ),
    (
        "R008",
        "error",
        lambda r: _changed(r, "inclusion_probability", np.nan, [5]),
        "Audit reviews without inclusion_probability: 1.",
        ("r5",),
    ),
    (
        "R009",
        "warning",
        lambda r: pd.concat([r, r.head(1).assign(review_id="again", inclusion_probability=0.5)]),
        "Audited decisions with two different inclusion probabilities: 1. They count as drawn by two audits.",
        ("d0",),
    ),
    (
        "R010",
        "error",
        lambda r: _changed(r, "source", "golden", [1]),
        "Golden reviews without the expected verdict, which measure no reviewer: 1.",
        ("r1",),
    ),
    (
        "R011",
        "warning",
        lambda r: _changed(r, "verdict", "relabelled", [2]),
        "Reviews that relabel without correct_policy_id: 1.",
        ("r2",),
    ),
    (
        "R014",
        "warning",
        lambda r: _changed(r, "expected", "upheld", [1]),
        "Reviews with an expected verdict that are not golden: 1.",
        ("r1",),
    ),
    (
        "R015",
        "warning",
        lambda r: r.assign(reviewer_id="w1"),
        "One reviewer gave all reviews: their error rate cannot be estimated.",
        ("w1",),
    ),
    (
        "R015",
        "info",
        lambda r: r.assign(reviewer_id=pd.Series([None] * len(r), dtype="str")),
        "No review names its reviewer: reviewers' error rates cannot be estimated.",
        (),
    ),
    (
        "R016",
        "warning",
        lambda r: r.assign(source="appeal"),
        "No review comes from an audit: error rates cannot be estimated from the others.",
        (),
    ),
    (
        "R019",
        "warning",
        lambda r: _changed(r, "source", "adjudication", [7]),
        "Adjudications of decisions without any other review: 1.",
        ("r7",),
    ),
]


@pytest.mark.parametrize(("code", "severity", "change", "message", "examples"), REVIEW_FAULTS)
def test_faults_of_reviews(code, severity, change, message, examples):
    decisions = _decisions()
    findings = _check(decisions, change(_reviews(decisions)).reset_index(drop=True))
    finding = _only(findings, code)
    assert (finding.severity, finding.table) == (severity, "reviews")
    assert finding.message == message
    assert finding.examples == examples
    assert set(_codes(findings)) - {code} <= set(CLEAN)


@pytest.mark.parametrize(
    ("verdict", "only"),
    [("upheld", "upholds the decision"), ("overturned", "finds the decision wrong")],
)
def test_one_class_of_verdicts(verdict, only):
    decisions = _decisions()
    reviews = _reviews(decisions).assign(verdict=verdict)
    message = _only(_check(decisions, reviews), "R013").message
    assert message == f"Every review {only}: a model cannot learn from one class."


def test_the_same_policy_as_the_right_one():
    decisions = _decisions()
    reviews = _reviews(decisions)
    reviews["correct_policy_id"] = reviews["correct_policy_id"].astype("str")
    reviews.loc[0, "correct_policy_id"] = decisions.loc[0, "policy_id"]
    finding = _only(_check(decisions, reviews), "R012")
    assert finding.message == "Reviews whose correct_policy_id is the decision's own policy: 1."


def test_no_review_fits():
    decisions = _decisions()
    reviews = _reviews(decisions).assign(decision_id=[f"D-{i}" for i in range(120)])
    finding = _only(_check(decisions, reviews), "R006")
    assert finding.severity == "error"
    assert finding.message == (
        "Reviews of decisions that are missing: 120. "
        "No review matches any decision: are the ids written differently?"
    )


def test_no_reviews_at_all():
    findings = check_tables(_read(_decisions()), None, POLICIES, now=NOW)
    assert _only(findings, "R000").message == (
        "There are no reviews, so it is unknown which decisions are wrong."
    )


def test_policies_and_catalogue():
    decisions = _decisions()
    decisions.loc[0, "policy_id"] = "odd"
    reviews = _reviews(decisions)
    reviews.loc[1, ["verdict", "correct_policy_id"]] = ["relabelled", "strange"]
    catalogue = POLICIES | {"unused": Policy("unused", "Unused", severity=1)}
    findings = _check(decisions, reviews, catalogue)
    assert _only(findings, "P001").message == (
        "Policies of decisions that are missing from the catalogue: 1 (1 decision). Their severity is unknown."
    )
    assert _only(findings, "P002").examples == ("unused",)
    assert _only(findings, "P003").examples == ("strange",)
    assert not {"P001", "P002", "P003"} & set(_codes(_check(decisions, reviews, None)))


# --- leaks -------------------------------------------------------------------------------------


def _verdicts(decisions, reviews):
    wrong = reviews.set_index("decision_id")["verdict"] == "overturned"
    return decisions["decision_id"].map(wrong)


@pytest.mark.parametrize("form", ["number", "bool", "text", "presence", "reversed"])
def test_a_planted_leak_is_found(form):
    decisions = _decisions()
    reviews = _reviews(decisions)
    wrong = _verdicts(decisions, reviews).fillna(False).astype(bool).to_numpy()
    rng = np.random.default_rng(1)
    leak = {
        "number": wrong + rng.random(200) / 2,
        "reversed": -(wrong + rng.random(200) / 2),
        "bool": wrong,
        "text": np.where(wrong, "yes", "no"),
        "presence": pd.array(np.where(wrong, [f"note {i % 150}" for i in range(200)], None), "str"),
    }[form]
    findings = _check(decisions.assign(plain=leak), reviews)
    finding = _only(findings, "D016")
    assert finding.severity == "warning"
    assert finding.examples == ("plain",)
    assert finding.message == (
        "The column plain alone separates overturned from upheld decisions (AUROC 1.000). "
        "Possible leak: drop it if the review sets it."
    )


def test_a_feature_that_only_reviewed_decisions_have():
    decisions = _decisions()
    decisions["handled"] = np.where(np.arange(200) < 110, np.arange(200) % 7, np.nan)
    finding = _only(_check(decisions), "D017")
    assert finding.examples == ("handled",)
    assert "Columns with values for reviewed decisions only: 1. Possible leak" in finding.message


def test_too_few_verdicts_or_a_fair_feature_are_no_leak():
    decisions = _decisions()
    reviews = _reviews(decisions)
    wrong = _verdicts(decisions, reviews).fillna(False).astype(float)
    noisy = wrong + np.random.default_rng(2).normal(size=200)
    assert "D016" not in _codes(_check(decisions.assign(plain=noisy), reviews))
    assert "D016" not in _codes(_check(decisions.assign(plain=wrong), reviews.head(40)))
    many = pd.Series([f"level {i % 100}" for i in range(200)])
    assert "D016" not in _codes(_check(decisions.assign(plain=many), reviews))


# --- rejects, order, size ----------------------------------------------------------------------


def test_rejects_are_grouped_by_reason_with_examples():
    rejects = pd.DataFrame(
        {
            "source": "log.csv",
            "row": [1, 2, 3],
            "id": ["a", None, "c"],
            "reason": [
                "score must lie in [0, 1], got 2.0",
                "the row must have 5 fields, got 4",
                "score must lie in [0, 1], got 3.0; action must have a value, got nothing",
            ],
        }
    )
    findings = check_tables(_read(_decisions(), rejects, copies=2), None, None, now=NOW)
    told = [(f.message, f.count, f.examples) for f in findings if f.code == "D001"]
    assert told == [
        ("2 rows of the decisions cannot be used: score must lie in [0, 1].", 2, ("a", "c")),
        ("1 row of the decisions cannot be used: action must have a value.", 1, ("c",)),
        ("1 row of the decisions cannot be used: the row must have 5 fields.", 1, ("row 2",)),
    ]
    assert (
        _only(findings, "D002").message == "2 rows of the decisions left out as copies of another."
    )


def test_reviews_of_rejected_decisions_are_told_apart():
    decisions = _decisions()
    rejects = pd.DataFrame({"source": "a", "row": [1], "id": ["d0"], "reason": ["x must y, got z"]})
    findings = check_tables(
        _read(decisions.iloc[1:], rejects), _read(_reviews(decisions)), None, now=NOW
    )
    assert _only(findings, "R006").message == (
        "Reviews of decisions that are missing: 1, 1 of them of rejected decisions."
    )


def test_errors_come_first_then_codes():
    order = [("R001", "error"), ("D015", "warning"), ("P001", "warning"), ("D004", "info")]
    findings = [Issue.of(code, severity, "m", 1) for code, severity in reversed(order)]
    assert [(f.code, f.severity) for f in sort_issues(findings)] == order


def test_plural():
    assert [count_noun(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


@pytest.mark.slow
def test_a_million_decisions_are_checked_in_time():
    n, reviewed = 1_000_000, 100_000
    rng = np.random.default_rng(3)
    decisions = pd.concat([_decisions(1000)] * (n // 1000), ignore_index=True)
    decisions["decision_id"] = [f"d{i}" for i in range(n)]
    decisions["item_id"] = [f"i{i}" for i in range(n)]
    for i in range(14):
        decisions[f"f{i}"] = rng.random(n)
    reviews = _reviews(decisions, reviewed)
    start = time.process_time()  # the machine may have other work
    findings = _check(decisions, reviews)
    assert time.process_time() - start < 20
    assert "D004" in _codes(findings)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["civil_comments", "wiki_edits", "multi_market"])
def test_real_sets_have_no_fault_but_their_own(shared_data, name):
    folder = shared_data / name
    decisions = read_decisions(folder / "decisions.parquet")
    findings = check_tables(decisions, read_reviews(folder / "reviews_partial.parquet"), None)
    faults = {finding.code for finding in findings if finding.severity != "info"}
    assert faults <= {"multi_market": {"D001", "R006", "R015"}}.get(name, {"R015"})


def test_a_corrected_review_is_checked_by_the_row_that_counts():
    decisions = _decisions()
    reviews = _reviews(decisions)
    wrong = reviews.head(3).assign(inclusion_probability=np.nan, verdict="relabelled")
    later = {"reviewed_at": reviews["reviewed_at"].iloc[0] - pd.Timedelta(days=1)}
    findings = _check(decisions, pd.concat([wrong.assign(**later), reviews], ignore_index=True))
    assert _codes(findings) == [*CLEAN, "R020"]
    assert _only(findings, "R020").count == 3
    assert _only(findings, "R018").message == "Reviews by source: audit (120)."


@pytest.fixture
def decisions() -> pd.DataFrame:
    at = FIRST_DAY + pd.to_timedelta(np.arange(N), unit="h")
    return pd.DataFrame({"decision_id": [f"d{i}" for i in range(N)], "decided_at": at})


@pytest.fixture
def reviews() -> pd.DataFrame:
    """Every fourth decision was reviewed; a third of these overturned."""
    rows = np.arange(0, N, 4)
    verdict = np.where(rows % 3 == 0, "overturned", "upheld")
    return pd.DataFrame(
        {"decision_id": [f"d{i}" for i in rows], "source": "audit", "verdict": verdict}
    )


def found(decisions, reviews) -> list[str]:
    return [f.code for f in check_leakage(decisions, reviews)]


def forms(at: pd.Series) -> dict[str, object]:
    seconds = at.dt.as_unit("us").astype("int64") / 1e6
    return {
        "text": at.dt.strftime("%Y-%m-%dT%H:%M:%SZ").astype("str"),
        "offset": (at + pd.Timedelta(hours=2)).dt.strftime("%Y-%m-%d %H:%M:%S+02:00").astype("str"),
        "seconds": seconds,
        "milliseconds": seconds * 1e3,
    }


@pytest.mark.parametrize("form", ["text", "offset", "seconds", "milliseconds"])
def test_times_after_the_decision_are_warned_of(decisions, reviews, form):
    later = decisions["decided_at"].where(decisions.index % 40 > 0) + pd.Timedelta(minutes=5)
    (finding,) = [
        f
        for f in check_leakage(decisions.assign(touched=forms(later)[form]), reviews)
        if f.code == "D019"
    ]
    assert finding.count == N - 10
    assert finding.severity == "warning"
    assert finding.examples[0] == "d1"
    assert finding.message.startswith("The column touched holds times later than decided_at: 390.")
    early = decisions["decided_at"] - pd.Timedelta(minutes=5)
    assert "D019" not in found(decisions.assign(listed=forms(early)[form]), reviews)


@pytest.mark.parametrize(
    "values", [np.arange(N) * 1.0, np.full(N, 1e11), ["2026-13-99"] * N, ["soon"] * N]
)
def test_what_is_no_time_is_left_alone(decisions, reviews, values):
    values = pd.Series(values) if not isinstance(values, list) else pd.Series(values, dtype="str")
    assert "D019" not in found(decisions.assign(plain=values), reviews)


def test_a_noisy_sign_of_the_review_is_found(decisions, reviews):
    """A planted leak: a number that follows the verdict loosely, and is 0 where nobody looked."""
    rng = np.random.default_rng(0)
    wrong = (
        decisions["decision_id"].map(reviews.set_index("decision_id")["verdict"]) == "overturned"
    )
    reviewed = decisions["decision_id"].isin(reviews["decision_id"])
    sign = np.where(reviewed, wrong + rng.normal(0, 1.5, N), 0.0)
    assert found(decisions.assign(plain=sign), reviews) == ["D017"]
    assert found(decisions.assign(plain=np.where(reviewed, sign, np.nan)), reviews) == ["D017"]
    assert found(decisions.assign(plain=wrong + rng.normal(0, 1.5, N)), reviews) == []
    rare = np.where(np.arange(N) % 97 == 0, 1.0, 0.0)
    assert found(decisions.assign(plain=rare), reviews) == []


DRAWN = pd.Timestamp("2026-03-20", tz="UTC").as_unit("us")


def _draws(decisions, n=150):
    return pd.DataFrame(
        {
            "draw_id": "audit-1",
            "decision_id": decisions["decision_id"].head(n),
            "inclusion_probability": 0.25,
            "drawn_at": DRAWN,
            "due_at": pd.Series(DRAWN + pd.Timedelta(days=14), range(n)),
        }
    )


def found_in_draws(draws=lambda d: d, reviews=lambda r: r, rejected=()):
    decisions = _decisions()
    answers = reviews(_reviews(decisions))
    given = draws(_draws(decisions)).reset_index(drop=True)
    issues = check_draws(decisions, given, answers, pd.Series(rejected, dtype="str"))
    return {issue.code: issue for issue in issues}


def test_a_sound_audit_has_no_fault():
    assert set(found_in_draws()) == {"A010"}
    assert found_in_draws()["A010"].message == "Decisions drawn: 150, in draws: 1."
    assert set(found_in_draws(reviews=lambda _: None)) == {"A010"}


@pytest.mark.parametrize(
    ("code", "severity", "count", "draws"),
    [
        ("A005", "error", 150, lambda d: d.assign(drawn_at=START - pd.Timedelta(days=1))),
        ("A006", "error", 150, lambda d: d.assign(decision_id="D" + d["decision_id"])),
        ("A006", "warning", 10, lambda d: d.assign(decision_id=d["decision_id"] + np.where(d.index > 139, "x", ""))),
        ("A007", "warning", 20, lambda d: d.iloc[20:]),
        ("A008", "error", 30, lambda d: d.assign(inclusion_probability=np.where(d.index < 30, 0.5, 0.25))),
        ("A009", "warning", 1, lambda d: d.assign(drawn_at=d["drawn_at"] + pd.to_timedelta(d.index // 99, "D"))),
        ("A009", "error", 150, lambda d: d.assign(due_at=DRAWN - pd.Timedelta(days=1))),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_count(code, severity, count, draws):
    issue = found_in_draws(draws)[code]
    assert (issue.severity, issue.count, issue.table) == (severity, count, "draws")
    assert issue.examples


def test_rounding_is_no_other_probability_and_any_draw_may_match():
    def twice(draws):
        other = draws.assign(draw_id="audit-2", inclusion_probability=0.5)
        return pd.concat([draws.assign(inclusion_probability=1 / 3), other])

    assert "A008" not in found_in_draws(twice, lambda r: r.assign(inclusion_probability=0.33333333))
    assert "A008" not in found_in_draws(twice, lambda r: r.assign(inclusion_probability=0.5))
    assert "A008" not in found_in_draws(twice, lambda r: r.assign(inclusion_probability=np.nan))
    assert (
        found_in_draws(twice, lambda r: r.assign(inclusion_probability=0.25))["A008"].count == 120
    )
    assert "drawn more than once: 150" in found_in_draws(twice)["A010"].message


def test_earlier_audits_and_rejected_decisions_are_told_apart():
    early = found_in_draws(
        lambda d: d.iloc[20:], lambda r: r.assign(reviewed_at=DRAWN - pd.Timedelta(days=9))
    )
    assert early["A007"].message.endswith("20, 20 of them from before the first draw.")
    gone = found_in_draws(
        lambda d: d.assign(decision_id=d["decision_id"].replace("d3", "bad")), rejected=["bad"]
    )
    assert (
        gone["A006"].message
        == "Draws of decisions that are missing: 1, 1 of them of rejected decisions."
    )


def test_all_tables_are_checked_together():
    decisions = _decisions()
    reads = [_read(frame) for frame in (decisions, _reviews(decisions), _draws(decisions))]
    issues = check_tables(reads[0], reads[1], draws=reads[2], now=NOW)
    own = [issue for issue in issues if issue.table == "draws"]
    assert [issue.code for issue in own] == ["A004", "A010"]
    late = _read(_draws(decisions).assign(drawn_at=pd.Timestamp("2030-01-01", tz="UTC")))
    odd = [i for i in check_tables(reads[0], None, draws=late, now=NOW) if i.code == "A003"]
    assert odd[0].examples[0] == "d0"


def _project(tmp_path, log, reviews="", data=""):
    (tmp_path / "log.csv").write_text(log)
    if reviews:
        (tmp_path / "r.csv").write_text(reviews)
        data = "reviews: {path: r.csv}, " + data
    (tmp_path / "c.yaml").write_text(
        f"version: 1\ndata: {{decisions: {{path: log.csv}}, {data}}}\n"
    )
    return load_config(tmp_path / "c.yaml")


_LOG = "decision_id,decided_at,policy_id,action\nd1,{},p,remove\nd2,{},p,approve\n"
_DAYS = ("2026-03-01T10:00Z", "2026-03-02T10:00Z")


def test_faults_of_both_tables_are_told_at_once_with_the_line_that_mends_them(tmp_path):
    from errdetect.workflows.validate import validate

    config = _project(
        tmp_path,
        _LOG.format("03/04/2026", "05/04/2026"),
        "case,when,result\nd1,2026-03-03,Correct\n",
    )
    result = validate(config)
    assert not result.usable
    found = {one.code: one for one in result.findings}
    assert "dates: day_first" in found["D021"].advice
    assert found["D021"].table == "decisions"
    assert "must have the columns" in found["R023"].message
    assert "columns: {YOUR_COLUMN: OURS}" in found["R023"].advice


@pytest.mark.parametrize(
    ("row", "code", "advice"),
    [
        ("r1,d1,2026-03-03,audit,upheld,", "R008", "constants: {inclusion_probability: 0.1}"),
        ("r1,d1,2026-03-03,audit,upheld,", "R008", "constants: {source: re_review}"),
        ("r1,d1,03/04/2026,audit,upheld,0.1", "R001", "dates: day_first"),
        ("r1,d1,2026-03-03,audit,Correct,0.1", "R001", "values: {verdict: {YOUR_WORD: OURS}}"),
        ("r1,d1,2026-03-03,audit,upheld,10", "R001", "scale: {inclusion_probability: 100}"),
        ("r1,x1,2026-03-03,audit,upheld,0.1", "R006", "columns: {YOUR_COLUMN: decision_id}"),
    ],
)
def test_a_finding_comes_with_the_line_that_mends_it(tmp_path, row, code, advice):
    from errdetect.workflows.validate import validate

    head = "review_id,decision_id,reviewed_at,source,verdict,inclusion_probability\n"
    good = "r2,d2,2026-03-04,re_review,upheld,\n"
    result = validate(_project(tmp_path, _LOG.format(*_DAYS), f"{head}{row}\n{good}"))
    assert advice in next(one for one in result.findings if one.code == code).advice


def test_words_without_a_meaning_are_named_with_their_counts(tmp_path):
    from errdetect.workflows.validate import validate

    head = "decision_id,reviewed_at,source,verdict\n"
    rows = "d1,2026-03-03,re_review,Correct\nd2,2026-03-03,re_review,Dunno\nd1,2026-03-04,re_review,upheld\n"
    result = validate(_project(tmp_path, _LOG.format(*_DAYS), head + rows))
    told = next(one for one in result.findings if one.code == "R022")
    assert "Correct (1), Dunno (1)" in told.message
