"""What is lost between decisions and reviews is counted, widens what it may, and stops the rest."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from errdetect.cli.commands import app
from errdetect.config import load_config
from errdetect.errors import DataError, Refusal
from errdetect.workflows.estimate import estimate
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.train import train
from errdetect.workflows.validate import validate

START = pd.Timestamp("2026-03-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
N, AUDITED = 1200, 300


def log() -> pd.DataFrame:
    at = np.arange(N)
    return pd.DataFrame(
        {
            "decision_id": [f"D-{i:05d}" for i in at],
            "decided_at": START + at * HOUR,
            "item_id": [f"i{i}" for i in at],
            "policy_id": np.where(at % 10 == 0, "weapons", "spam"),
            "market": np.where(at % 3 == 0, "DE", "FR"),
            "action": np.where(at % 2 == 0, "remove", "approve"),
            "score": (at % 97) / 100,
        }
    )


def audit(decisions: pd.DataFrame) -> pd.DataFrame:
    drawn = decisions.iloc[:: N // AUDITED].reset_index(drop=True)
    return pd.DataFrame(
        {
            "review_id": "r-" + drawn["decision_id"],
            "decision_id": drawn["decision_id"],
            "reviewed_at": drawn["decided_at"] + 24 * HOUR,
            "source": "audit",
            "verdict": np.where(np.arange(len(drawn)) % 8 == 0, "overturned", "upheld"),
            "reviewer_id": [f"p{i % 7}" for i in range(len(drawn))],
            "site": "Riga",
            "inclusion_probability": AUDITED / N,
        }
    )


@pytest.fixture
def shop(tmp_path):
    """Write the tables after a change, and give their config."""

    def of(*settings, decisions=lambda d: d, reviews=lambda r: r, form="parquet"):
        whole = log()
        tables = {"decisions": decisions(whole), "reviews": reviews(audit(whole))}
        for name, table in tables.items():
            if form == "parquet":
                table.to_parquet(tmp_path / f"{name}.parquet")
            else:
                table.to_csv(tmp_path / f"{name}.csv", index=False)
        lines = f"version: 1\ndata: {{decisions: decisions.{form}, reviews: reviews.{form}}}\n"
        (tmp_path / "c.yaml").write_text(lines)
        return load_config(tmp_path / "c.yaml", list(settings))

    return of


def rows(result, reason, source="audit"):
    frame = result.intake.frame()
    found = frame[(frame["reason"] == reason) & (frame["source"] == source)]
    return int(found["n"].sum())


def whole(result):
    return result.estimates.set_index("measure").loc["error_rate"]


def changed(share, change):
    """Change the ids of this share of the reviews."""

    def of(reviews):
        lost = np.arange(len(reviews)) < round(share * len(reviews))
        return reviews.assign(decision_id=reviews["decision_id"].mask(lost, change))

    return of


COMMANDS = {
    "estimate": lambda c, out: estimate(c, out),
    "report": lambda c, out: report(c, out),
    "remediate": lambda c, out: remediate(c, out),
    "plan-audit": lambda c, out: plan_audit(c, out, budget=100),
    "train": lambda c, _: train(c),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_goes_on_with_a_broken_join(shop, tmp_path, command):
    config = shop(reviews=changed(0.5, audit(log())["decision_id"].str.lower() + "-v2"))
    with pytest.raises(
        Refusal, match=r"50\.0% lost \(no such decision 150; for example review r-D"
    ):
        COMMANDS[command](config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda i: i.str.lower(), "100% would match if case"),
        (lambda i: i.str.replace("D-0", "D-"), "100% would match if case, leading zeros"),
        (lambda i: i + ".0000", "would match"),
        (lambda i: "X" + i.str[::-1], "Common causes: ids in another case or format"),
    ],
)
def test_the_likely_cause_is_named(shop, tmp_path, change, cause):
    config = shop(reviews=lambda r: r.assign(decision_id=change(r["decision_id"])))
    with pytest.raises(Refusal) as refused:
        estimate(config, tmp_path / "out")
    assert cause in str(refused.value)
    assert "estimate.max_lost" in str(refused.value)


def test_a_new_id_after_a_reversal_is_suspected(shop, tmp_path):
    def renamed(reviews):
        turned = reviews["verdict"] == "overturned"
        return reviews.assign(
            decision_id=reviews["decision_id"].mask(turned, reviews["decision_id"] + "-v2")
        )

    with pytest.raises(
        Refusal, match=r"100% of the lost reviews overturn .* reversed decision get a new id"
    ):
        estimate(shop(reviews=renamed), tmp_path / "out")


def test_little_loss_widens_the_interval_by_its_worst_case_and_is_said(shop, tmp_path):
    sound = estimate(shop(), tmp_path / "a")
    lossy = estimate(
        shop(reviews=changed(0.01, "gone" + audit(log())["decision_id"])), tmp_path / "b"
    )
    assert rows(lossy, "no such decision") == 3
    assert rows(lossy, "used") == 297
    assert any("3 audit reviews left out: no such decision" in note for note in lossy.notes)
    plain = estimate(shop(reviews=lambda r: r.iloc[3:]), tmp_path / "c")
    one, other = whole(lossy), whole(plain)
    assert one["estimate"] == other["estimate"]
    assert one["low"] == pytest.approx(other["low"] * 0.99, abs=1e-6)
    assert one["high"] == pytest.approx(other["high"] * 0.99 + 0.01, abs=1e-6)
    assert pd.read_parquet(lossy.files["intake"])["n"].sum() == lossy.intake.frame()["n"].sum()
    assert not any("left out" in note for note in sound.notes)


def test_max_lost_one_says_i_know(shop, tmp_path):
    found = estimate(
        shop("estimate.max_lost=1", reviews=changed(0.5, "gone" + audit(log())["decision_id"])),
        tmp_path / "out",
    )
    assert rows(found, "no such decision") == 150
    assert whole(found)["high"] > 0.5, "what is lost may be wrong"


def test_a_segment_that_lost_too_much_has_no_figure_and_says_why(shop, tmp_path):
    early = START - HOUR

    def of_weapons(reviews):
        mine = reviews["decision_id"].isin(log().query("policy_id == 'weapons'")["decision_id"])
        lost = mine & (mine.cumsum() <= 4)
        return reviews.assign(reviewed_at=reviews["reviewed_at"].mask(lost, early))

    found = estimate(shop(reviews=of_weapons), tmp_path / "out", by=["policy_id"])
    table = found.estimates[found.estimates["measure"] == "error_rate"].set_index("policy_id")
    assert table.loc["weapons", "suppressed"]
    assert table.loc["weapons", "method"].startswith("reviews_lost: too many of its audit reviews")
    assert not table.loc["spam", "suppressed"]
    assert rows(found, "before its decision") == 4


def test_reviews_of_an_earlier_log_are_not_lost(shop, tmp_path):
    def with_older(reviews):
        old = reviews.head(100).assign(
            review_id=lambda r: "old" + r["review_id"], decision_id=lambda r: "old" + r["decision_id"],
            reviewed_at=START - 24 * HOUR,
        )  # fmt: skip
        return pd.concat([old, reviews], ignore_index=True)

    found = estimate(shop(reviews=with_older), tmp_path / "out")
    assert rows(found, "no such decision") == 100
    assert whole(found)["high"] == whole(estimate(shop(), tmp_path / "b"))["high"]


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("score", 98.7, "a 0 to 100 scale?"),
        ("score", -4.0, "log-odds"),
        ("decided_at", None, "decided_at must have a value"),
        ("action", "approvelink", "approvelink: ALLOW_OR_ENFORCE"),
    ],
)
def test_too_many_unusable_decisions_are_refused_with_the_cause(
    shop, tmp_path, column, value, cause
):
    def broken(decisions, share=0.1):
        bad = np.arange(N) % round(1 / share) == 1
        values = decisions[column].astype("str") if column == "decided_at" else decisions[column]
        return decisions.assign(**{column: values.mask(bad, value)})

    for command in COMMANDS.values():
        with pytest.raises(
            DataError, match="The decisions must have at most 5% unusable rows of 1,200, got 120 "
        ) as refused:
            command(shop(decisions=broken, form="csv"), tmp_path / "out")
        assert cause in str(refused.value)
    faults = validate(shop(decisions=broken, form="csv")).findings
    assert any(cause in fault.message for fault in faults if fault.code == "D020")


def test_few_unusable_decisions_are_said(shop, tmp_path):
    def broken(decisions):
        return decisions.assign(score=decisions["score"].mask(np.arange(N) % 100 == 1, 55.0))

    found = estimate(shop(decisions=broken), tmp_path / "out")
    assert any("12 of 1,200 rows (1.0%) cannot be used" in note for note in found.notes)
    assert any("a 0 to 100 scale" in note for note in found.notes)


def test_a_sample_lost_to_rejected_decisions_is_not_blamed_on_ids(shop, tmp_path):
    def broken(decisions):
        return decisions.assign(score=decisions["score"].mask(np.arange(N) % 25 == 0, 55.0))

    with pytest.raises(Refusal, match="decision rejected") as refused:
        estimate(shop(decisions=broken), tmp_path / "out")
    assert "those rows could not be used: `errdetect validate` lists the reasons" in str(
        refused.value
    )
    assert "Common causes" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_reviews_of_rejected_decisions_are_told_apart(shop, tmp_path):
    def broken(decisions):
        return decisions.assign(score=decisions["score"].mask(np.arange(N) % 400 == 0, 55.0))

    found = estimate(shop(decisions=broken), tmp_path / "out")
    assert rows(found, "decision rejected") == 3


def test_the_account_adds_up_and_is_machine_readable(shop, tmp_path):
    def several(reviews):
        again = reviews.iloc[[0]].assign(
            verdict="upheld", reviewed_at=reviews["reviewed_at"].iloc[[0]] + HOUR
        )
        return pd.concat(
            [
                reviews,
                reviews.iloc[[5]],
                again,
                reviews.iloc[[7]].assign(review_id="x", verdict="?"),
            ],
            ignore_index=True,
        )

    shop(reviews=several)
    done = CliRunner().invoke(
        app, ["estimate", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "o"), "--json", "-q"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["intake"]["rows"]
    counts = {r["reason"]: r["n"] for r in told if r["source"] == "audit"}
    assert counts["copy"] == counts["corrected by a later row"] == counts["rejected"] == 1
    assert counts["read"] == 303 == sum(n for reason, n in counts.items() if reason != "read")
