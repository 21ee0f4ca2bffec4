"""What holds for every plan, whatever decisions and reviews there are."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.remediation.confirmed_errors import KINDS
from errdetect.schemas import PLAN

EASY = settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
SAYS = {
    "reverse": "overturned", "revoke_penalty": "overturned", "relabel": "relabelled",
    "look_alike": "overturned",
}  # fmt: skip
WHITELISTING = {"whitelist": {"min_reviews": 1, "min_wrongful_rate": 0.01}}


@pytest.fixture
def check(markets):
    """Run a test on many marketplaces."""

    def run(test):
        given(markets, st.randoms(use_true_random=False))(EASY(test))()

    return run


def test_the_order_of_rows_does_not_matter(check, plan_of):
    def same(market, rng):
        decisions, reviews = market
        rows, votes = list(range(len(decisions))), list(range(len(reviews)))
        rng.shuffle(rows)
        rng.shuffle(votes)
        shuffled = plan_of(decisions.iloc[rows], reviews.iloc[votes], **WHITELISTING)
        pd.testing.assert_frame_equal(shuffled, plan_of(decisions, reviews, **WHITELISTING))

    check(same)


def test_every_step_has_a_review_that_says_so(check, plan_of):
    def traced(market, _):
        decisions, reviews = market
        plan = plan_of(decisions, reviews, **WHITELISTING)
        assert list(plan)[: len(PLAN.names)] == PLAN.names
        assert plan["remediation_id"].is_unique
        assert set(plan["kind"]) <= set(KINDS)
        said = reviews.set_index("review_id")
        for row in plan.to_dict("records"):
            trace = said.loc[row["review_ids"]]
            assert len(trace) > 0
            assert (trace["source"] != "golden").all()
            if row["kind"] in SAYS:
                assert (trace["verdict"] == SAYS[row["kind"]]).all()
            if row["kind"] in ("reverse", "revoke_penalty", "relabel"):
                assert set(trace["decision_id"]) == {row["decision_id"]}
            else:
                assert (trace["verdict"] == "overturned").any()

    check(traced)


def test_what_was_applied_is_not_planned_again(check, plan_of):
    def settled(market, _):
        decisions, reviews = market
        first = plan_of(decisions, reviews, **WHITELISTING)
        done = first[first["status"] == "planned"].assign(status="applied")
        again = plan_of(decisions, reviews, recorded=done, **WHITELISTING)
        assert not (again["status"] == "planned").any()
        assert not (again["status"] == "withdrawn").any()
        assert set(again.loc[again["status"] == "applied", "remediation_id"]) == set(
            done["remediation_id"]
        )
        pd.testing.assert_frame_equal(again.drop(columns="status"), first.drop(columns="status"))

    check(settled)


def test_an_expert_who_upholds_takes_everything_back(check, plan_of):
    def upheld(market, _):
        decisions, reviews = market
        first = plan_of(decisions, reviews)
        done = first[first["status"] == "planned"].assign(status="applied")
        last = decisions.assign(
            review_id="x" + decisions["decision_id"], source="adjudication", verdict="upheld",
            reviewed_at=pd.Timestamp("2026-02-01", tz="UTC"),
        )  # fmt: skip
        columns = ["review_id", "decision_id", "source", "verdict", "reviewed_at"]
        later = pd.concat([reviews, last[columns]], ignore_index=True)
        plan = plan_of(decisions, later, recorded=done)
        assert set(plan["status"]) <= {"withdrawn"}
        assert set(plan["remediation_id"]) == set(done["remediation_id"])
        assert plan["reason"].str.contains("See review x").all()

    check(upheld)


def test_look_alikes_are_never_reversed_by_themselves(check, plan_of):
    def asked(market, _):
        decisions, reviews = market
        plan = plan_of(decisions, reviews)
        alike = plan[plan["kind"] == "look_alike"]
        assert (alike["status"] == "review").all()
        assert not set(alike["decision_id"]) & set(reviews["decision_id"])

    check(asked)
