"""Sentences name the population, the period and the source of a figure."""

import pytest

from errdetect.estimation.method_text import JUDGING, MEANINGS, MEASURED_TO_ERR, estimate_sentence
from errdetect.schemas import MEASURES

ROW = {
    "measure": "wrongful_rate", "estimate": 0.1, "low": 0.08, "high": 0.13, "n_reviews": 400,
    "n_decisions": 9000, "proxy": None, "suppressed": False,
    "method": "score_t+as_judged: weighted audit",
}  # fmt: skip


def test_the_period_is_named_where_the_row_has_it():
    dated = ROW | {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-03-31T00:00:00Z"}
    said = estimate_sentence(dated, where="market DE")
    assert said.startswith(
        "In market DE from 2026-01-01 to 2026-03-31, 10.0 % of enforced decisions"
    )
    assert estimate_sentence(ROW).startswith("Overall, 10.0 % of enforced decisions are wrong")
    assert "from 400 audited of 9,000" in said
    assert "uncorrected" in said
    assert estimate_sentence(
        ROW | {"period_from": None, "period_to": float("nan")}
    ) == estimate_sentence(ROW)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_names_its_denominator(measure):
    whole, _ = MEANINGS[measure]
    said = estimate_sentence(ROW | {"measure": measure})
    assert f"% of {whole} are" in said
    assert whole.split()[0] in ("all", "enforced", "allowed")
    unsaid = estimate_sentence(ROW | {"measure": measure, "suppressed": True})
    assert f"what share of {whole} is" in unsaid
    assert ", in their" not in unsaid


def test_reviewers_that_were_measured_are_known_ways_of_judging():
    assert set(MEASURED_TO_ERR) < set(JUDGING)
