"""The report's pages: the next report follows the plan, rulings stand next to their clause."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.workflows.project_ledger import open_project_ledger
from errdetect.workflows.report import report

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path):
    n = 80
    start = pd.Timestamp("2026-01-01", tz="UTC")
    pd.DataFrame(
        {"decision_id": [f"d{i}" for i in range(n)], "decided_at": start + pd.to_timedelta(range(n), unit="h"),
         "item_id": [f"i{i}" for i in range(n)], "policy_id": "spam", "text": "secret <b>",
         "action": np.where(np.arange(n) % 2, "remove", "approve")}
    ).to_parquet(tmp_path / "decisions.parquet")  # fmt: skip
    pd.DataFrame(
        {"review_id": [f"r{i}" for i in range(n)], "decision_id": [f"d{i}" for i in range(n)],
         "reviewed_at": start + pd.Timedelta(days=9), "source": "audit", "inclusion_probability": 0.5,
         "verdict": np.where(np.arange(n) % 9, "upheld", "overturned"),
         "reviewer_id": [f"ana{i % 5}" for i in range(n)], "site": [["Riga", "Oslo"][i % 2] for i in range(n)]}
    ).to_parquet(tmp_path / "reviews.parquet")  # fmt: skip
    (tmp_path / "policies.yaml").write_text(
        "policies:\n  - {policy_id: spam, name: Spam, severity: 2, owner: Eva, clause: No bulk offers.}\n"
    )
    (tmp_path / "config.yaml").write_text(
        "version: 1\ndata: {decisions: decisions.parquet, reviews: reviews.parquet, policies: policies.yaml}\n"
    )
    return load_config(tmp_path / "config.yaml")


def test_the_next_report_follows_the_plan_and_shows_the_rulings(config, tmp_path):
    with open_project_ledger(config) as ledger:
        ledger.add_proposals(
            pd.DataFrame({"proposal_id": ["P-1"], "policy_id": "spam", "title": "Clarify <i>",
                          "owner": "Eva", "expected": "{}"}),
            at=NOW - timedelta(days=1),
        )  # fmt: skip
        ledger.add_precedents(
            pd.DataFrame({"session_id": "C-1", "policy_id": "spam", "decision_id": ["d1"], "ruling": "upheld",
                          "reason": "Ten of one kind <u>.", "clause": "No bulk offers.", "by": "Zoe"}),
            at=NOW - timedelta(days=1),
        )  # fmt: skip
    said = []
    for days in (0, 20):
        out = tmp_path / f"report{days}"
        result = report(config, out, generated_at=NOW + timedelta(days=days))
        assert result.files["pages"] == out / "pages"
        said.append((out / "pages/improvement-plan.html").read_text())
    assert "decide 14 Mar 2026" in said[0].replace("\u00a0", " ")
    assert "overdue" in said[1]
    assert "1 decision is overdue" in said[1].replace("\u00a0", " ")
    page = (out / "report.html").read_text()
    assert "Ten of one kind &lt;u&gt;." in page
    assert 'href="pages/index.html"' in page
    pages = {one.name: one.read_text() for one in (out / "pages").iterdir()}
    assert {"index.html", "projects.html", "quality-framework.html"} <= set(pages)
    for html in pages.values():
        assert "<i>" not in html.replace("</i>", "")
        for name in ("secret", "Zoe", "ana1"):
            assert name not in html
    earlier = report(config, tmp_path / "earlier", generated_at=NOW - timedelta(days=5))
    assert "Ten of one kind" not in earlier.files["report"].read_text()
