"""The snapshot: nothing of later counts, a part stays part of its whole, all is worked out once."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import errdetect.snapshot as module
from errdetect.data.rejected_rows import Rejections
from errdetect.data.table_reading import read_decisions, read_reviews
from errdetect.schemas import SOURCES, VERDICTS
from errdetect.snapshot import LabelRules, ReadSummary, Snapshot

START = pd.Timestamp("2026-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)
IDS = ["d0", "d1", "d2", "d3"]
CHANCES = {"d0": 0.5, "d1": 0.1, "d2": 1.0, "d3": 0.25, "elsewhere": 0.2, "gone": 0.4}
DECISIONS = pd.DataFrame(
    {
        "decision_id": IDS,
        "decided_at": START + pd.to_timedelta([0, 1, 2, 3], unit="h"),
        "policy_id": ["spam", "spam", "scam", "spam"],
        "enforced": [True, False, True, True],
    }
)
#: Few ids and many rows: most examples hold corrected reviews, some that name another decision.
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "review_id": st.sampled_from([f"r{i}" for i in range(8)]),
            "decision_id": st.sampled_from(list(CHANCES)),
            "day": st.integers(-1, 6),
            "edited": st.sampled_from([None, None, 1, 3]),
            "source": st.sampled_from(SOURCES),
            "verdict": st.sampled_from(VERDICTS),
            "reviewer_id": st.sampled_from(["ann", "bob", None]),
            "expected": st.sampled_from([*VERDICTS, None]),
            "named": st.sampled_from(["spam", "fake", None]),
        }
    ),
    max_size=14,
)


def reviews_of(rows):
    """Reviews with the contract's columns; of one review no two rows are known at one moment."""
    kept, taken = [], set()
    for row in rows:
        key = row["review_id"], row["day"] + (row["edited"] or 0)
        if key not in taken:
            taken.add(key)
            kept.append(row)
    frame = pd.DataFrame(kept, columns=list(ROWS_COLUMNS))
    day, edited = frame.pop("day").astype(float), frame.pop("edited").astype(float)
    audit = (frame["source"] == "audit").to_numpy()
    frame = frame.rename(columns={"named": "correct_policy_id"}).astype("str")
    return frame.assign(
        reviewed_at=(START + pd.to_timedelta(day, unit="D")).astype("datetime64[us, UTC]"),
        updated_at=(START + pd.to_timedelta(day + edited, unit="D")).astype("datetime64[us, UTC]"),
        site="Riga",
        minutes=1.0,
        inclusion_probability=frame["decision_id"].map(CHANCES).astype(float).where(audit),
    )


ROWS_COLUMNS = (
    "review_id", "decision_id", "day", "edited", "source", "verdict", "reviewer_id", "expected", "named",
)  # fmt: skip


def known_at(reviews):
    return reviews["updated_at"].fillna(reviews["reviewed_at"])


def facts(snapshot):
    """All that a snapshot says of what was known, by ids, in an order that is not the rows'."""
    ids = snapshot.decisions["decision_id"]
    sample, lost, golden = snapshot.audit_sample, snapshot.lost_draws, snapshot.golden_items(("x",))
    model = snapshot.reviewer_model
    by_decision = pd.DataFrame(
        {
            "right": snapshot.correct_policies.to_numpy(object),
            "agreed": snapshot.reviewer_consensus.to_numpy(object),
            "chance": snapshot.inclusion_probability,
        },
        index=ids.to_numpy(object),
    ).join(snapshot.labels.set_index("decision_id"))
    drawn = ids.to_numpy(object)[sample.position]
    draws = {
        name: dict(zip(drawn, getattr(sample, name).tolist(), strict=True))
        for name in ("weight", "error", "overturned", "expert_error", "expert_probability")
    }
    return {
        "decisions": by_decision.sort_index().astype(object).fillna("none").to_dict("index"),
        "draws": {name: {k: repr(v) for k, v in own.items()} for name, own in draws.items()},
        "lost": sorted(zip(lost.decision_id, lost.weight.tolist(), strict=True)),
        "golden": sorted(
            zip(golden.enforced, golden.expected_error, golden.said_error, strict=True)
        ),
        "p_error": None if model is None else model.p_error.sort_index().to_dict(),
        "sites": None if model is None else model.sites.to_csv(),
        "upheld": sorted(snapshot.upheld_ids),
        "reviewed": sorted(snapshot.reviewed_ids),
        "known": sorted(snapshot.known_reviews["review_id"]),
        "current": sorted(snapshot.current_reviews["review_id"]),
        "verdicts": sorted(
            map(repr, snapshot.verdicts[["position", "violates", "true_error"]].to_numpy().tolist())
        ),
        "has_audit": snapshot.has_audit,
        "audit_weight": snapshot.audit_weight,
        "moment": snapshot.moment,
    }


@given(ROWS, st.integers(-1, 7), st.sampled_from(["model", "votes"]))
@settings(max_examples=80)
def test_before_never_sees_later_reviews_or_corrections(rows, day, rule):
    reviews, moment, rules = reviews_of(rows), START + day * DAY, LabelRules(rule)
    known = reviews[(known_at(reviews) <= moment).to_numpy(bool)]
    then = Snapshot(DECISIONS, reviews, rules=rules).before(moment)
    assert facts(then) == facts(Snapshot(DECISIONS, known, as_of=moment, rules=rules))


@given(ROWS, st.integers(-1, 7), st.sets(st.sampled_from(IDS), min_size=1))
@settings(max_examples=60)
def test_a_part_before_a_moment_is_the_part_of_what_was_known_then(rows, day, some):
    snapshot, moment = Snapshot(DECISIONS, reviews_of(rows)), START + day * DAY
    part = DECISIONS[DECISIONS["decision_id"].isin(some)]
    assert facts(snapshot.of(part).before(moment)) == facts(snapshot.before(moment).of(part))


def test_a_correction_counts_from_its_own_moment():
    row = {"review_id": "r", "decision_id": "d0", "source": "audit", "reviewer_id": "ann"}
    row |= {"edited": None, "expected": None, "named": None}
    reviews = reviews_of(
        [row | {"day": 1, "verdict": "overturned"}, row | {"day": 3, "verdict": "upheld"}]
    )
    snapshot = Snapshot(DECISIONS, reviews)
    found = [snapshot.before(START + day * DAY).labels["label"][0] for day in (0, 1, 2, 3)]
    assert found == ["unknown", "error", "error", "correct"]
    assert snapshot.labels["label"][0] == "correct"
    assert snapshot.before(START + 2 * DAY).current_reviews["verdict"].tolist() == ["overturned"]
    assert snapshot.current_reviews["verdict"].tolist() == ["upheld"]


def test_a_later_review_of_an_unknown_decision_is_not_lost_yet():
    row = {"review_id": "r", "decision_id": "elsewhere", "day": 5, "source": "audit"}
    row |= {
        "verdict": "upheld",
        "reviewer_id": "ann",
        "edited": None,
        "expected": None,
        "named": None,
    }
    snapshot = Snapshot(DECISIONS, reviews_of([row]))
    assert len(snapshot.lost_draws) == 1
    assert len(snapshot.before(START + 2 * DAY).lost_draws) == 0
    (read, left_out) = snapshot.before(START + 2 * DAY).intake.rows
    assert (read.n, left_out.reason) == (1, "not known by then")


@given(ROWS, st.sets(st.sampled_from(IDS)))
@settings(max_examples=60)
def test_a_part_keeps_golden_items_reviewers_labels_and_moment(rows, some):
    whole = Snapshot(DECISIONS, reviews_of(rows))
    part = whole.of(DECISIONS[DECISIONS["decision_id"].isin(some)])
    assert part.decisions["decision_id"].tolist() == [name for name in IDS if name in some]
    assert part.reviewer_model is whole.reviewer_model
    assert part.of(part.decisions).reviewer_model is whole.reviewer_model
    assert part.moment == whole.moment
    kept = [name in some for name in IDS]
    pd.testing.assert_frame_equal(part.labels, whole.labels[kept].reset_index(drop=True))
    ours, theirs = part.golden_items(("Riga",)), whole.golden_items(("Riga",))
    for name in ("item", "site", "expected_error", "said_error", "expected_overturned"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    again = part.reviews["review_id"].duplicated(keep=False)  # a version may name another decision
    others = part.reviews[(part.reviews["source"] != "golden") & ~again]
    assert set(others["decision_id"]) <= some
    gone = {"elsewhere", "gone"}
    assert set(part.lost_draws.decision_id) <= some | gone
    assert all(
        part.lost_draws.position[i] == part.decisions["decision_id"].tolist().index(name)
        for i, name in enumerate(part.lost_draws.decision_id)
        if name in some
    )


def test_lost_draws_keep_their_decisions_in_another_order():
    row = {"review_id": "r", "decision_id": "d3", "day": -1, "edited": None, "source": "audit"}
    row |= {"verdict": "upheld", "reviewer_id": "ann", "expected": None, "named": None}
    snapshot = Snapshot(DECISIONS, reviews_of([row]))
    for known in (snapshot, snapshot.with_reviews(snapshot.reviews.head(0))):
        turned = known.with_columns(DECISIONS.iloc[::-1])
        assert known.lost_draws.position.tolist() == [3]
        assert turned.lost_draws.position.tolist() == [0]


@given(ROWS, st.data())
@settings(max_examples=80)
def test_the_order_of_rows_changes_nothing(rows, data):
    reviews = reviews_of(rows)
    mixed = reviews.iloc[data.draw(st.permutations(range(len(reviews))))]
    turned = DECISIONS.iloc[data.draw(st.permutations(range(4)))]
    one, other = facts(Snapshot(DECISIONS, reviews)), facts(Snapshot(turned, mixed))
    assert len(one.pop("verdicts")) == len(other.pop("verdicts"))  # positions are the rows'
    assert one == other


@pytest.fixture
def calls(monkeypatch):
    """Count what a snapshot works out."""
    counted: Counter[str] = Counter()

    def counting(name):
        work = getattr(module, name)

        def count(*args, **how):
            counted[name] += 1
            return work(*args, **how)

        monkeypatch.setattr(module, name, count)

    for name in WORK:
        counting(name)
    return counted


WORK = (
    "build_review_history", "content_verdicts", "fit_reviewer_model", "label_decisions",
    "gather_audit_sample", "find_lost_draws", "inclusion_probabilities", "find_correct_policies",
    "find_reviewer_consensus",
)  # fmt: skip


def some_reviews():
    row = {"edited": None, "source": "audit", "expected": None, "named": None}
    return reviews_of(
        [
            row | {"review_id": f"r{i}", "decision_id": f"d{i % 4}", "day": 1 + i // 4, "verdict": verdict,
                   "reviewer_id": f"p{i // 4}"}
            for i, verdict in enumerate(["upheld", "overturned", "relabelled"] * 4)
        ]
    )  # fmt: skip


def test_everything_is_worked_out_once(calls):
    snapshot = Snapshot(DECISIONS, some_reviews())
    once = facts(snapshot)
    assert snapshot.intake.rows
    assert facts(snapshot) == once
    assert calls == dict.fromkeys(WORK, 1)


def test_reviewers_are_measured_once_a_moment_whatever_the_part(calls):
    snapshot = Snapshot(DECISIONS, some_reviews())
    for part in (snapshot.of(DECISIONS[:2]), snapshot.of(DECISIONS[1:]), snapshot):
        assert len(part.labels) == len(part.decisions)
        assert part.before(START + 2 * DAY) is part.before(START + 2 * DAY)
        assert len(part.before(START + 2 * DAY).labels) == len(part.decisions)
    then = snapshot.before(pd.Timestamp("2026-01-03T01:00+01:00"))
    assert then is snapshot.before(START + 2 * DAY), "one moment, whatever its zone"
    assert calls["fit_reviewer_model"] == 2


def test_votes_need_no_reviewer_model(calls):
    snapshot = Snapshot(DECISIONS, some_reviews(), rules=LabelRules("votes"))
    assert snapshot.reviewer_model is None
    assert snapshot.of(DECISIONS[:2]).reviewer_model is None
    assert len(snapshot.labels) == 4
    assert calls["fit_reviewer_model"] == 0


def test_upheld_is_what_every_reviewer_or_the_expert_upheld_by_then():
    told = [
        ("a", "audit", "upheld", 1), ("b", "audit", "upheld", 30), ("c", "golden", "upheld", 1),
        ("d", "audit", "upheld", 1), ("d", "appeal", "relabelled", 1),
        ("e", "audit", "overturned", 1), ("e", "adjudication", "upheld", 2),
        ("f", "audit", "upheld", 1), ("f", "adjudication", "overturned", 2),
    ]  # fmt: skip
    reviews = pd.DataFrame(told, columns=["decision_id", "source", "verdict", "day"])
    reviews = reviews.assign(
        review_id=[f"r{i}" for i in range(len(told))],
        reviewed_at=START + pd.to_timedelta(reviews.pop("day"), unit="D"),
    )
    decisions = pd.DataFrame({"decision_id": list("abcdef"), "decided_at": START})
    snapshot = Snapshot(decisions, reviews)
    assert snapshot.before(START + 14 * DAY).upheld_ids.tolist() == ["a", "e"]
    assert snapshot.upheld_ids.tolist() == ["a", "b", "e"]
    assert len(Snapshot(decisions, reviews.head(0)).upheld_ids) == 0


def test_a_reviewer_s_latest_verdict_says_what_is_upheld():
    told = [("a", "overturned", 1), ("a", "upheld", 3), ("b", "upheld", 1), ("b", "overturned", 3)]
    reviews = pd.DataFrame(told, columns=["decision_id", "verdict", "day"]).assign(source="audit")
    reviews["reviewed_at"] = START + pd.to_timedelta(reviews.pop("day"), unit="D")
    decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": START})
    corrected = reviews.assign(review_id=["r1", "r1", "r2", "r2"])
    revised = reviews.assign(review_id=["r1", "r2", "r3", "r4"], reviewer_id="ann")
    for table in (corrected, revised):
        snapshot = Snapshot(decisions, table)
        assert snapshot.before(START + 2 * DAY).upheld_ids.tolist() == ["b"]
        assert snapshot.before(START + 3 * DAY).upheld_ids.tolist() == ["a"]


def test_optional_columns_that_are_absent_count_as_missing():
    reviews = some_reviews()
    bare = reviews[["review_id", "decision_id", "reviewed_at", "source", "verdict"]]
    bare = bare.assign(source="appeal")
    full = reviews.assign(source="appeal", reviewer_id=None, site=None, minutes=np.nan)
    full = full.assign(inclusion_probability=np.nan, updated_at=pd.NaT, correct_policy_id=None)
    assert facts(Snapshot(DECISIONS, bare)) == facts(Snapshot(DECISIONS, full))


FILE_ROWS = st.lists(
    st.tuples(
        st.sampled_from([f"r{i}" for i in range(8)]),
        st.sampled_from(["d0", "d1", "d9", "rejected"]),
        st.integers(1, 4),  # the decisions are of days 2 and 3
        st.sampled_from([*SOURCES, "gossip", ""]),
        st.sampled_from([*VERDICTS, "perhaps"]),
        st.sampled_from(["ann", "bob", ""]),
        st.sampled_from([0.5, 7]),
    ),
    max_size=16,
)
DECISION_LINES = [
    "decision_id,decided_at,item_id,policy_id,action",
    "d0,2026-01-02T00:00:00Z,i,spam,remove", "d1,2026-01-03T00:00:00Z,i,spam,approve",
    "d1,2026-01-03T00:00:00Z,i,spam,approve", "rejected,2026-01-02T00:00:00Z,i,spam,frobnicate",
    "timeless,never,i,spam,remove",
]  # fmt: skip
SOUND = ("sound", "d0", 4, "report", "upheld", "cem", 0.5)


@given(FILE_ROWS, st.sampled_from([None, START + 2 * DAY]))
@settings(max_examples=60)
def test_the_intake_adds_up_for_every_source(tmp_path_factory, rows, as_of):
    rows = [SOUND, *rows]
    place = tmp_path_factory.mktemp("tables")
    (place / "d.csv").write_text("\n".join(DECISION_LINES) + "\n")
    lines = ["review_id,decision_id,reviewed_at,source,verdict,reviewer_id,inclusion_probability"]
    for review_id, decision, day, source, verdict, who, chance in rows:
        chance = chance if source == "audit" else ""
        lines.append(
            f"{review_id},{decision},2026-01-0{day}T12:00:00Z,{source},{verdict},{who},{chance}"
        )
    (place / "r.csv").write_text("\n".join(lines) + "\n")
    decisions, reviews = read_decisions(place / "d.csv"), read_reviews(place / "r.csv")
    log = Rejections("The decisions")
    log.add(decisions)
    reading = ReadSummary.of({"decisions": log}, reviews)
    snapshot = Snapshot(decisions.frame, reviews.frame, as_of=as_of, reading=reading)
    account = snapshot.intake.frame().set_index(["table", "source", "reason"])["n"]
    assert account["decisions", ""].to_dict() == {
        "read": 5, "used": 2, "action not understood": 1, "rejected": 1, "copy": 1,
    }  # fmt: skip
    read = Counter(source if source in SOURCES else "unreadable" for *_, source, _, _, _ in rows)
    for source, n in read.items():
        own = account["reviews", source]
        assert own["read"] == n
        assert own["read"] == own.drop("read").sum()
    assert account["reviews"].xs("read", level="reason").sum() == len(rows) == reviews.n_rows
    # What is used is what counts, is overruled, or measures reviewers.
    standing = snapshot.review_history["standing"]
    golden = (snapshot.reviews["source"] == "golden") & (standing == "unknown decision")
    used = standing.isin(["counts", "overruled", "measures reviewer"]) | golden
    said = account["reviews"].reset_index().query("reason == 'used'")["n"].sum()
    assert said == used.sum()
    # A review of a decision that was itself rejected is no mistake of the review's.
    lost = snapshot.reviews["decision_id"].eq("rejected") & (standing == "unknown decision")
    lost &= snapshot.reviews["source"] != "golden"
    about = account["reviews"].reset_index().query("reason == 'decision rejected'")["n"].sum()
    assert about == lost.sum()


def test_a_reviewer_s_latest_verdict_says_what_was_upheld():
    day = pd.to_datetime([f"2026-01-0{d}" for d in (1, 3, 1, 3)], utc=True)
    decisions = pd.DataFrame(
        {"decision_id": ["a", "b"], "decided_at": day[0], "policy_id": "spam", "enforced": True}
    )
    told = pd.DataFrame(
        {
            "review_id": ["r0", "r1", "r2", "r3"], "decision_id": list("aabb"), "reviewed_at": day,
            "source": "audit", "verdict": ["overturned", "upheld", "upheld", "overturned"],
        }
    )  # fmt: skip
    corrected = told.assign(review_id=["r1", "r1", "r2", "r2"])
    revised = told.assign(reviewer_id="ann")
    for table in (corrected, revised):
        snapshot = Snapshot(decisions, table)
        assert snapshot.before(day[1] - pd.Timedelta(hours=1)).upheld_ids.tolist() == ["b"]
        assert snapshot.before(day[1]).upheld_ids.tolist() == ["a"]


def drawn(*given):
    """Draws: (decision_id, day)."""
    frame = pd.DataFrame(given, columns=["decision_id", "day"])
    at = START + pd.to_timedelta(frame.pop("day"), unit="D")
    return frame.assign(draw_id="a", inclusion_probability=0.5, drawn_at=at, due_at=pd.NaT)


def test_draws_follow_part_and_moment():
    draws = drawn(("d0", 1), ("d1", 1), ("d1", 4), ("gone", 1))
    snapshot = Snapshot(DECISIONS, some_reviews(), draws=draws)
    assert len(snapshot.draws) == 4
    part = snapshot.of(DECISIONS[1:])
    assert part.draws["decision_id"].tolist() == ["d1", "d1"]
    assert snapshot.of(DECISIONS[2:]).draws.empty
    then = snapshot.before(START + 2 * DAY)
    assert then.draws["decision_id"].tolist() == ["d0", "d1", "gone"]
    assert (
        then.before(START + 4 * DAY).draws["decision_id"].tolist() == draws["decision_id"].tolist()
    )
    assert snapshot.before(START).draws.empty
    one = (part.before(START + 2 * DAY).draws, then.of(DECISIONS[1:]).draws)
    pd.testing.assert_frame_equal(*one)
    assert len(one[0]) == 1
    fixed = Snapshot(DECISIONS, some_reviews(), as_of=START + 2 * DAY, draws=draws)
    assert len(fixed.draws) == 3
    assert len(fixed.before(START + 5 * DAY).of(DECISIONS).draws) == 3
    assert Snapshot(DECISIONS, some_reviews()).before(START).of(DECISIONS).draws is None


def test_the_intake_accounts_for_draws():
    draws = drawn(("d0", 1), ("d1", 4), ("gone", 1))

    def account(snapshot):
        return {
            row.reason: (row.n, row.weight) for row in snapshot.intake.rows if row.table == "draws"
        }

    snapshot = Snapshot(DECISIONS, draws=draws)
    assert account(snapshot) == {"read": (3, 6.0), "used": (2, 4.0), "no such decision": (1, 2.0)}
    then = account(snapshot.before(START + 2 * DAY))
    assert then["not known by then"] == (1, 2.0)
    assert "1 draw left out: no such decision (e.g. gone)" in snapshot.intake.lines()
    assert account(Snapshot(DECISIONS)) == {}
