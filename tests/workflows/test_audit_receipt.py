"""The receipt of a draw: whoever has it and the frame draws the same decisions again."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.estimation.audit_plan import plan_audit
from errdetect.workflows import audit_receipt
from errdetect.workflows.audit_receipt import (
    Seed,
    digest_columns,
    draw_again,
    draw_id_of,
    draw_receipt,
    login_name,
    sort_frame,
)

START = pd.Timestamp("2026-03-01T00:00:00.000001", tz="UTC").as_unit("us")
IDS = st.lists(st.text(min_size=1, max_size=6), min_size=4, max_size=60, unique=True)


def frame_of(ids, probability, stratum=0):
    at = START + pd.to_timedelta(np.arange(len(ids)), "h")
    return pd.DataFrame({"decision_id": pd.Series(ids, dtype=object), "decided_at": at,
                         "inclusion_probability": probability, "stratum": stratum})  # fmt: skip


@given(ids=IDS, seed=st.integers(0, 2**53), method=st.sampled_from(["unequal", "neyman"]),
       by=st.sampled_from([(), ("market",)]), data=st.data())  # fmt: skip
def test_any_plan_is_drawn_again_from_seed_and_frame(tmp_path_factory, ids, seed, method, by, data):
    rng = np.random.default_rng(seed)
    log = pd.DataFrame({"decision_id": ids, "market": rng.choice(["DE", "FR"], len(ids))})
    log = log.iloc[sort_frame(log)].reset_index(drop=True)
    plan = plan_audit(
        log, rng=np.random.default_rng(seed), p_error=rng.random(len(ids)), by=by, method=method,
        budget=data.draw(st.integers(min(4, len(ids)), len(ids))) if method == "unequal" else len(ids),
    )  # fmt: skip
    frame = frame_of(log["decision_id"], plan.probability, plan.stratum)
    shuffled = frame.sample(frac=1.0, random_state=seed % 2**32)
    again = shuffled.iloc[draw_again(shuffled, seed)]
    assert again["decision_id"].tolist() == plan.draws["decision_id"].tolist()
    assert again["inclusion_probability"].tolist() == plan.draws["inclusion_probability"].tolist()


def test_a_digest_can_be_computed_with_other_tools():
    frame = frame_of(["b", "ü", "a"], [0.5, 1.0, 1 / 3], [1, 0, 0])
    first = 1772323200000001
    rows = [["a", first + 7_200_000_000], ["b", first], ["ü", first + 3_600_000_000]]
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    assert digest_columns(frame, "decided_at") == hashlib.sha256(lines.encode()).hexdigest()
    assert digest_columns(frame[::-1], "decided_at") == digest_columns(frame, "decided_at")
    lines = '["a",0.3333333333333333,0]\n["b",0.5,1]\n["\\u00fc",1.0,0]\n'
    found = digest_columns(frame, "inclusion_probability", "stratum")
    assert found == hashlib.sha256(lines.encode()).hexdigest()


def test_a_digest_of_many_rows_is_that_of_all(monkeypatch):
    frame = frame_of([f"d{i}" for i in range(50)], 0.5)
    whole = digest_columns(frame, "decided_at")
    monkeypatch.setattr(audit_receipt, "_ROWS", 7)
    assert digest_columns(frame, "decided_at") == whole
    assert digest_columns(frame[:49], "decided_at") != whole


def test_a_draw_id_is_the_draw_s_own():
    frame = frame_of(list("abcd"), 0.5)
    nothing = pd.DataFrame(
        {"decision_id": [], "decided_at": frame["decided_at"][:0], "draw_id": []}
    )

    given = Seed(3, "given")

    def receipt(seed=given, drawn=(0, 2), probability=0.5, left_out=nothing):
        own = frame.assign(inclusion_probability=probability)
        return draw_receipt(
            own, own.iloc[list(drawn)], seed, design={"n": np.int64(3)}, left_out=left_out
        )

    one = receipt()
    assert json.loads(json.dumps(one, allow_nan=False)) == one
    assert one["draw_id"] == draw_id_of(one) == receipt(Seed(3, "drawn"))["draw_id"]
    out = pd.DataFrame({"decision_id": ["z"], "decided_at": [START], "draw_id": ["early"]})
    others = [receipt(Seed(4, "given")), receipt(drawn=(0, 1)), receipt(probability=0.25),
              receipt(left_out=out)]  # fmt: skip
    assert len({one["draw_id"], *(other["draw_id"] for other in others)}) == 5
    assert others[-1]["left_out"]["draws"] == ["early"]


def test_seeds():
    assert Seed.of(0) == Seed(0, "given")
    drawn = [Seed.of(None) for _ in range(9)]
    assert len({seed.value for seed in drawn}) == 9
    assert all(0 <= seed.value < 2**53 for seed in drawn)
    with pytest.raises(DataError, match="seed must be at least 0, got -1"):
        Seed.of(-1)


@pytest.mark.parametrize("error", [KeyError, OSError, ImportError])
def test_who_draws_may_be_unknown(monkeypatch, error):
    def nobody():
        raise error("no name")

    monkeypatch.setattr(audit_receipt.getpass, "getuser", nobody)
    assert login_name() == "unknown"
