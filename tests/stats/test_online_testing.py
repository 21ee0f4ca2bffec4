"""Levels of a series of reports: spent once, earned back by discoveries."""

import numpy as np
import pytest

from errdetect.stats.multiple_testing import online_level


def test_without_discoveries_all_reports_spend_the_level_once():
    levels = [online_level([0] * k) for k in range(400)]
    assert 0.0498 < sum(levels) < 0.05
    assert levels == sorted(levels, reverse=True)


def test_discoveries_restore_the_level():
    assert online_level([0, 0, 5]) == pytest.approx(0.05)
    assert online_level([5] + [0] * 20) < 0.01


def test_twelve_reports_without_any_effect_keep_the_rate():
    years = 0
    for seed in range(2_000):
        rng = np.random.default_rng(seed)
        history: list[int] = []
        for _ in range(12):
            p = np.sort(rng.random(20))
            passed = p <= online_level(history) * np.arange(1, 21) / 20
            history.append(int(np.flatnonzero(passed)[-1] + 1) if passed.any() else 0)
        years += any(history)
    assert years / 2_000 < 0.06
