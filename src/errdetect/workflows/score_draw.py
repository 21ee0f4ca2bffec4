"""The draw of a scoring run: from totals, or among all decisions in memory where totals are not enough."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import ParquetSink
from errdetect.data.renamed_columns import add_old_columns, schema_with_old_names
from errdetect.ledger.run_records import ScoringRun
from errdetect.schemas import SCORES
from errdetect.snapshot import Snapshot
from errdetect.workflows.grouped_draw import ScoredRows, draw_grouped
from errdetect.workflows.queueing import (
    KnownPlaces,
    ReviewerCapacity,
    draw_queue,
    draw_settings,
    is_recorded,
    recorded_draw,
    reviewer_capacity,
    row_sums,
    value_reviews,
)

__all__ = ["DrawInputs", "FrameDraw", "RunDraw", "write_scores"]

_CHUNK = 200_000


class RunDraw(Protocol):
    """A run's draw."""

    @property
    def run(self) -> ScoringRun:
        """The run."""

    @property
    def staff(self) -> ReviewerCapacity:
        """The reviewers."""

    @property
    def queue(self) -> pd.DataFrame:
        """As `QueueDraw.queue`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader."""

    @property
    def recorded(self) -> bool:
        """Whether the ledger already had it."""

    @property
    def n(self) -> int:
        """Number of decisions scored."""

    @property
    def period(self) -> pd.DataFrame:
        """Decisions with the earliest and the latest decided_at of all."""

    def ledger_rows(self) -> Iterable[pd.DataFrame]:
        """Return what the ledger keeps of each decision, part by part."""

    def write(self, folder: Path) -> None:
        """Write the scores into a stage."""


@dataclass(frozen=True)
class FrameDraw:
    """A run's draw in memory: see `RunDraw`.

    Parameters
    ----------
    run, staff, queue, notes, recorded
        As for `RunDraw`.
    scores
        Every decision, with the columns of `schemas.SCORES`.
    """

    run: ScoringRun
    staff: ReviewerCapacity
    queue: pd.DataFrame
    notes: tuple[str, ...]
    recorded: bool
    scores: pd.DataFrame

    @property
    def n(self) -> int:
        """Number of decisions scored."""
        return len(self.scores)

    @property
    def period(self) -> pd.DataFrame:
        """All decisions."""
        return self.scores

    def ledger_rows(self) -> Iterable[pd.DataFrame]:
        """Return all decisions."""
        return [self.scores]

    def write(self, folder: Path) -> None:
        """Write scores.parquet."""
        write_scores(folder, self.scores)


def write_scores(folder: Path, scores: pd.DataFrame) -> None:
    """Write scores.parquet, chunk by chunk.

    Parameters
    ----------
    folder
        The stage.
    scores
        Columns of `schemas.SCORES`.
    """
    with ParquetSink(folder / "scores.parquet", schema_with_old_names("scores", SCORES)) as sink:
        for start in range(0, len(scores), _CHUNK):
            chunk = scores.iloc[start : start + _CHUNK][SCORES.names]
            sink.write(add_old_columns(chunk, "scores"))


@dataclass(frozen=True)
class DrawInputs:
    """What decides a draw besides the scores.

    Parameters
    ----------
    config
        From `load_config`.
    source
        The log, whose markets, languages and policies are the known ones.
    snapshot
        The decisions that people reviewed, their reviews, and the catalogue.
    version, at
        The model's version; when the run scores.
    budget
        Reviews, from the command line.
    """

    config: Config
    source: KnownPlaces
    snapshot: Snapshot
    version: str
    at: datetime
    budget: int | None

    @property
    def reviewed(self) -> pd.Index:
        """Decisions that are not queued, since they were reviewed."""
        ids = self.snapshot.reviewed_ids
        return ids[:0] if self.config.queue.requeue_reviewed else ids

    def draw(self, scored: ScoredRows) -> RunDraw:
        """Draw.

        Parameters
        ----------
        scored
            All decisions.
        """
        drawn = draw_grouped(
            self.config, self.source, scored, self.snapshot, self._run, reviewed=self.reviewed,
            budget=self.budget, is_recorded=lambda run_id: is_recorded(self.config, run_id),
        )  # fmt: skip
        return drawn or self._draw_in_memory(scored.frame())

    def _draw_in_memory(self, scored: pd.DataFrame) -> FrameDraw:
        config = self.config
        staff = reviewer_capacity(config, self.source, scored, self.budget)
        terms, unknown = value_reviews(config, scored, staff, self.snapshot)
        run = self._run(row_sums(terms, self.reviewed))
        drawn = recorded_draw(config, run, terms)
        drawn = drawn or draw_queue(config, run, terms, staff, self.reviewed)
        notes = (*unknown, *drawn.notes)
        return FrameDraw(run, staff, drawn.queue, notes, drawn.recorded, drawn.scores)

    def _run(self, sums: npt.NDArray[np.uint64]) -> ScoringRun:
        """Return the run, whose id comes from all inputs of the queue: scoring the same again is the same run."""
        settings = draw_settings(self.config, self.budget)
        digest = hashlib.sha256(self.version.encode())
        digest.update(sums.tobytes())
        digest.update(json.dumps(settings, sort_keys=True).encode())
        return ScoringRun(digest.hexdigest()[:16], self.version, self.at, settings)
