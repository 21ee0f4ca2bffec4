from datetime import datetime

import pandas as pd
import pytest

from errdetect.data.policy_catalogue import Policy
from errdetect.errors import DataError
from errdetect.report.breakdown_section import build_breakdowns
from errdetect.report.policy_page import (
    PageLimits,
    policy_pages,
    rank_policies,
    select_policies,
)
from errdetect.report.report_content import ReportContent

ALL = PageLimits(groups=10, pages=10, full=10)


def content(**parts):
    return ReportContent("t", datetime(2025, 1, 1), "d", None, 1, **parts)


def table_of(make, rates):
    frame = make["by"]("policy_id", list(rates), list(rates.values())).assign(n_decisions=1000)
    return build_breakdowns({"policy_id": frame.assign(suppressed=False)}, {}, {})[0]


def test_severity_outweighs_a_higher_rate(make):
    table = table_of(make, {"rare": 0.05, "often": 0.1})
    policies = {"rare": Policy("rare", "Rare", 5), "often": Policy("often", "Often", 1)}
    assert rank_policies(content(policies=policies), table) == ["rare", "often"]
    assert rank_policies(content(), table) == ["often", "rare"]


def test_policies_without_a_rate_stand_last_by_decisions_and_all_tables_count(make):
    volumes = pd.DataFrame({"policy_id": ["small", "large"], "n_decisions": [1, 50]})
    parts = content(
        volumes=volumes, drivers=make["drivers"](["driven"]), slices=make["slices"](["sliced"])
    )
    order = rank_policies(parts, table_of(make, {"said": 0.001}))
    assert order == ["said", "large", "small", "driven", "sliced"]


def test_a_rule_of_the_catalogue_that_decided_nothing_has_no_page():
    assert rank_policies(content(policies={"idle": Policy("idle", "Idle", 3)}), None) == []


def test_only_rows_about_the_policies_shown_are_read(make):
    whole = content(drivers=make["drivers"](["a", "b"]), slices=make["slices"](["a", "b"]))
    part = select_policies(whole, ["a"])
    assert set(part.drivers["policy_id"].dropna()) == {"a"}
    assert part.drivers["policy_id"].isna().any()
    assert set(part.slices["policy_id"]) == {"a"}


def test_the_first_policies_have_all_evidence_and_the_others_less(make):
    ids = ["a", "b"]
    parts = content(drivers=make["drivers"](ids), findings=make["findings"](ids, 4))
    full, less = policy_pages(parts, None, ids, PageLimits(groups=10, pages=10, full=1))
    bars = [next(b["r"] for b in page.blocks if b["t"] == "b") for page in (full, less)]
    assert [len(found) for found in bars] == [7, 3]
    assert [len(page.findings) for page in (full, less)] == [5, 2]
    assert full.n_findings == less.n_findings == 4


def test_why_something_is_missing_is_said_in_its_place():
    parts = content(reasons_missing={"slices": "There is no audit."})
    (page,) = policy_pages(parts, None, ["a"], ALL)
    assert {"There is no audit."} <= {b["y"] for b in page.blocks if b["t"] == "a"}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("slices", "rule"),
        ("thresholds", "harm_low"),
        ("findings", "base_rate"),
        ("cases", "p_error"),
        ("proposals", "state"),
        ("volumes", "n_decisions"),
    ],
)
def test_a_table_without_a_column_is_named(make, name, column):
    parts = content(**{name: make[name](["a"]).drop(columns=column)})
    with pytest.raises(DataError, match=rf"table {name} must have .* got no {column}"):
        policy_pages(parts, None, ["a"], ALL)
