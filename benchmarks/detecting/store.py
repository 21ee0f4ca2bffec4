"""Finished methods in one file, so that a run that was ended goes on."""

import sqlite3
from pathlib import Path

import numpy as np

from .work import Outcome

__all__ = ["Store"]

_TABLE = (
    "CREATE TABLE IF NOT EXISTS finished (settings TEXT, name TEXT, variant TEXT, method TEXT, "
    "scores BLOB, seconds REAL, remark TEXT, PRIMARY KEY (settings, name, variant, method))"
)


class Store:
    """What is finished, in memory and, given a path, in an SQLite file.

    `settings` names what the results depend on besides set, reviews and method: other settings'
    rows stay unread. The code is not among them; begin a new file where it changed.
    """

    def __init__(self, path: Path | None, settings: str) -> None:
        self.settings = settings
        self.known: dict[tuple[str, str, str], Outcome] = {}
        self.base = sqlite3.connect(path) if path else None
        if self.base is not None:
            self.base.execute(_TABLE)
            rows = self.base.execute(
                "SELECT name, variant, method, scores, seconds, remark FROM finished "
                "WHERE settings = ?", (settings,),
            )  # fmt: skip
            for name, variant, method, scores, seconds, remark in rows:
                outcome = Outcome(np.frombuffer(scores, dtype="<f8"), seconds, remark)
                self.known[name, variant, method] = outcome

    def put(self, key: tuple[str, str, str], outcome: Outcome) -> None:
        self.known[key] = outcome
        if self.base is not None:
            with self.base:
                self.base.execute(
                    "INSERT OR REPLACE INTO finished VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (self.settings, *key, outcome.scores.astype("<f8").tobytes(), outcome.seconds,
                     outcome.remark),
                )  # fmt: skip
