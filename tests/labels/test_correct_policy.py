import pandas as pd

from errdetect.snapshot import LabelRules, Snapshot

DAY = pd.to_datetime([f"2026-01-{d:02}" for d in range(1, 9)], utc=True)


def decisions(n: int, *, enforced: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": DAY[0],
            "policy_id": "scam",
            "enforced": enforced,
        },
        index=range(100, 100 + n),
    )


def reviews(*rows: tuple) -> pd.DataFrame:
    """Rows of decision, day, source, verdict, named policy, reviewer."""
    columns = ["decision_id", "day", "source", "verdict", "correct_policy_id", "reviewer_id"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(
        review_id=[f"r{i}" for i in range(len(frame))], reviewed_at=DAY[frame["day"]]
    )


def right(decided: pd.DataFrame, known: pd.DataFrame, as_of=None) -> list:
    found = Snapshot(decided, known, as_of=as_of, rules=LabelRules("votes")).correct_policies
    assert found.index.equals(decided.index)
    return [None if pd.isna(v) else v for v in found]


def test_upheld_keep_their_policy_and_relabelled_take_the_named_one():
    known = reviews(
        ("d0", 1, "audit", "upheld", None, "ann"),
        ("d1", 1, "audit", "relabelled", "spam", "ann"),
        ("d2", 1, "audit", "overturned", None, "ann"),
        ("d4", 1, "audit", "relabelled", None, "ann"),
        ("d5", 1, "audit", "relabelled", "scam", "ann"),
    )
    assert right(decisions(6), known) == ["scam", "spam", None, None, None, None]


def test_most_voices_name_the_policy_and_ties_are_unknown():
    known = reviews(
        ("d0", 1, "audit", "relabelled", "spam", "ann"),
        ("d0", 1, "audit", "relabelled", "fake", "bob"),
        ("d1", 1, "audit", "relabelled", "fake", "ann"),
        ("d1", 1, "audit", "relabelled", "spam", "bob"),
        ("d1", 1, "audit", "relabelled", "fake", "cem"),
    )
    assert right(decisions(2), known) == [None, "fake"]


def test_the_expert_s_policy_stands_and_later_words_do_not_count():
    known = reviews(
        ("d0", 1, "audit", "relabelled", "spam", "ann"),
        ("d0", 3, "adjudication", "relabelled", "fake", "eve"),
    )
    assert right(decisions(1), known) == ["fake"]
    assert right(decisions(1), known, as_of=DAY[2]) == ["spam"]


def test_golden_items_and_allowed_decisions_teach_no_policy():
    known = reviews(
        ("d0", 1, "golden", "relabelled", "spam", "ann"), ("d1", 1, "audit", "upheld", None, "ann")
    )
    assert right(decisions(1), known) == [None]
    assert right(decisions(2, enforced=False), known) == [None, None]


def test_reviews_without_the_column():
    known = reviews(("d0", 1, "audit", "relabelled", None, "ann"))
    assert right(decisions(1), known.drop(columns="correct_policy_id")) == [None]


def test_voices_agree_split_or_are_one():
    known = reviews(
        ("d0", 1, "audit", "upheld", None, "ann"),
        ("d1", 1, "audit", "overturned", None, "ann"),
        ("d1", 1, "audit", "relabelled", "spam", "bob"),
        ("d2", 1, "audit", "overturned", None, "ann"),
        ("d2", 1, "audit", "upheld", None, "bob"),
        ("d2", 3, "adjudication", "overturned", None, "eve"),
        ("d3", 1, "golden", "overturned", None, "ann"),
        ("d4", 1, "audit", "overturned", None, "ann"),
        ("d4", 2, "audit", "upheld", None, "ann"),
    )
    found = Snapshot(decisions(5), known).reviewer_consensus
    words = [None if pd.isna(v) else v for v in found]
    assert words == ["one voice", "unanimous", "split", None, "one voice"]
