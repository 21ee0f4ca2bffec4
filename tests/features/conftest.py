"""Small logs with ties in time, for anything that counts what was known before."""

import pandas as pd
import pytest
from hypothesis import strategies as st

START = pd.Timestamp("2026-01-01", tz="UTC")
SOURCES = ["audit", "re_review", "appeal", "report", "adjudication", "golden"]


@st.composite
def marketplaces(draw):
    """A log of up to 9 decisions over 100 days and up to 10 reviews, with ties in time.

    A review may have several rows: corrections of its verdict, its source, even of its decision.
    """
    times = st.sampled_from([0, 1, 2, 5, 7, 8, 29, 30, 31, 60, 89, 90, 91, 100])
    n = draw(st.integers(1, 9))

    def column(values):
        return draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))

    log = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": [START + pd.Timedelta(days=d) for d in column([0, 1, 2, 7, 30, 90, 100])],
            "enforced": column([True, False]),
            "item_id": column(["i", "j", "k"]),
            "account_id": column(["a", "b", None]),
            "policy_id": column(["p", "q"]),
            "market": column(["DE", "FR", None]),
            "moderator": column(["m", "n"]),
            "moderator_version": column(["1", "2", None]),
            "image_hash": column(["x", "y", None]),
            "text": column(["Buy this fine gold ring now", "buy this fine gold ring, now!!",
                            "buy this fine gold ring today", "something else", "?", None]),
        }
    ).astype(dict.fromkeys(("account_id", "market", "moderator_version", "image_hash", "text"), "str"))  # fmt: skip
    m = draw(st.integers(0, 10))
    rows = [
        {
            "review_id": f"r{draw(st.integers(0, i))}",
            "decision_id": f"d{draw(st.integers(0, n))}",  # one that the log may lack
            "reviewed_at": START + pd.Timedelta(days=draw(times)),
            "updated_at": draw(st.none() | times.map(lambda d: START + pd.Timedelta(days=d))),
            "source": draw(st.sampled_from(SOURCES)),
            "verdict": draw(st.sampled_from(["upheld", "overturned", "relabelled"])),
            "reviewer_id": draw(st.sampled_from(["ann", "bob", None])),
        }
        for i in range(m)
    ]
    texts = ["review_id", "decision_id", "source", "verdict", "reviewer_id"]
    reviews = pd.DataFrame(rows, columns=[*texts, "reviewed_at", "updated_at"])
    for name in ("reviewed_at", "updated_at"):
        reviews[name] = pd.to_datetime(reviews[name], utc=True)
    known = reviews[["reviewed_at", "updated_at"]].max(axis=1)
    reviews = reviews[~reviews.assign(known=known).duplicated(["review_id", "known"])]
    return log, reviews.reset_index(drop=True).astype(dict.fromkeys(texts, "str"))


def known_at(review):
    """Say when a row became known."""
    given, updated = review["reviewed_at"], review["updated_at"]
    return given if pd.isna(updated) else max(given, updated)


def verdict(reviews, decision, moment, sources):
    """Say how one decision's verdict stands just before a moment, in plain loops.

    Reviews and the decision are plain records. Returns when the verdict was last changed, its share
    of errors and of overturned; or None.
    """

    def superseded_at(r):
        own = [known_at(o) for o in reviews if o["review_id"] == r["review_id"]]
        return min((at for at in own if at > known_at(r)), default=moment)

    ever = [
        r
        for r in reviews
        if r["decision_id"] == decision["decision_id"]
        and decision["decided_at"] <= r["reviewed_at"]
        and known_at(r) < moment
        and (r["source"] in sources or r["source"] == "adjudication")
    ]
    changes = [at for r in ever for at in (known_at(r), superseded_at(r)) if at < moment]
    known = [r for r in ever if superseded_at(r) >= moment]
    known.sort(key=lambda r: (known_at(r), r["review_id"]))
    experts = [r["verdict"] for r in known if r["source"] == "adjudication"]
    others = [r for r in known if r["source"] != "adjudication"]
    if not others and not (experts and "adjudication" in sources):
        return None
    voices = {}
    for i, r in enumerate(others):
        voices[i if pd.isna(r["reviewer_id"]) else r["reviewer_id"]] = r["verdict"]
    said = experts[-1:] or list(voices.values())
    wrong = sum(v != "upheld" for v in said) / len(said)
    turned = sum(v == "overturned" for v in said) / len(said)
    return max(changes), wrong, turned


@pytest.fixture(scope="session")
def brute_verdict():
    return verdict


@pytest.fixture(scope="session")
def logs():
    return marketplaces()
