"""How many processors a long job uses: those that are free now."""

import os

import pytest

from errdetect.workflows import load_data


@pytest.mark.parametrize(
    ("running", "threads"),
    [
        ("3.9 3.0 2.0 1/99 7", 4),  # what ended a minute ago counts no more
        ("0.1 0.1 0.1 3/99 7", 2),
        ("0.1 0.1 0.1 9/99 7", 1),
        ("no such file", 3),
        (None, 3),
    ],
)
def test_busy_processors_are_left_to_others(running, threads, tmp_path, monkeypatch):
    place = tmp_path / "loadavg"
    if running is not None:
        place.write_text(running)
    monkeypatch.setattr(load_data, "_RUNNING", place)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.7, 0.0, 0.0))
    assert load_data.free_threads(1_000_000) == threads
    assert load_data.free_threads(10) == 1
