"""Golden items are planned for what narrows most."""

from dataclasses import replace

import numpy as np
import pytest

from errdetect.estimation.audit_plan import ReviewAssumptions, split_golden_items

REVIEWERS = ReviewAssumptions(found=0.85, alarm=0.06, adjudicate_flags=False)


def left_variance(errors, n, rate, reviewing):
    known = np.array(reviewing.golden_answered)
    items = np.array([errors, n - errors]) + known
    binomial = np.array([rate**2 * 0.85 * 0.15, (1 - rate) ** 2 * 0.06 * 0.94])
    return (binomial / items).sum()


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("answered", [(0, 0), (40, 10), (10, 200)])
def test_no_other_split_leaves_less_variance(rate, answered):
    reviewing = replace(REVIEWERS, golden_answered=answered)
    planned = split_golden_items(400, rate, reviewing)
    within = range(40, 361)  # at least a tenth of each kind
    best = min(within, key=lambda errors: left_variance(errors, 400, rate, reviewing))
    assert abs(planned - best) <= 1


def test_where_experts_settle_flags_only_misses_need_items():
    assert split_golden_items(400, 0.05, replace(REVIEWERS, adjudicate_flags=True)) == 360


def test_perfect_reviewers_are_not_taken_at_their_word():
    perfect = ReviewAssumptions(adjudicate_flags=False)
    assert 40 <= split_golden_items(400, 0.1, perfect) < 200
