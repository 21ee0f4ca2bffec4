"""retention: removes what the ledger and the outputs have kept for longer than the config says."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from errdetect.config import Config
from errdetect.data.erasing import erase_texts
from errdetect.ledger.retention import expire_rows
from errdetect.workflows.load_data import Progress
from errdetect.workflows.project_ledger import find_project_ledger

__all__ = ["RetentionResult", "retention"]


@dataclass(frozen=True)
class RetentionResult:
    """What was removed.

    Parameters
    ----------
    days
        Days for which each kind is kept, from the config.
    rows
        Kind -> rows of the ledger that were removed or emptied.
    n_files
        Outputs whose texts were removed.
    state_removed
        Whether the kept state of the log, which holds texts, was removed; the next `score` rebuilds it.
    """

    days: Mapping[str, float]
    rows: Mapping[str, int]
    n_files: int
    state_removed: bool = False

    def lines(self) -> list[str]:
        """Return the summary lines."""
        if not self.days:
            return ["The config keeps everything: it names no days under retention."]
        kept = ", ".join(f"{kind} for {days:g} days" for kind, days in self.days.items())
        rows = ", ".join(f"{n:,} rows of {kind}" for kind, n in self.rows.items()) or "nothing"
        return [
            f"Kept: {kept}.",
            f"Removed from the ledger: {rows}.",
            f"Texts removed from {self.n_files:,} files of outputs.",
            *(
                ["The kept state of the log was removed; the next score rebuilds it."]
                if self.state_removed
                else []
            ),
            "Note: your own tables, exports to other systems, backups and trained models are not touched.",
        ]


def retention(
    config: Config, *, at: datetime | None = None, progress: Progress = lambda _: None
) -> RetentionResult:
    """Remove what is older than `retention` allows, from the ledger and from outputs beneath the project.

    Parameters
    ----------
    config
        From `load_config`.
    at
        The moment from which days are counted; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the ledger cannot be used.
    """
    days, now = config.retention.days(), at or datetime.now(UTC)
    rows: dict[str, int] = {}
    ledger = find_project_ledger(config) if days else None
    if ledger is not None:
        progress("removing old rows of the ledger")
        with ledger:
            rows = expire_rows(ledger.engine, days, now=now)
    n_files, dropped = 0, False
    if "texts" in days:
        progress("removing old texts of outputs")
        n_files = erase_texts(config.base, now - timedelta(days=days["texts"]))
        state = config.path(config.state.folder)
        dropped = state.exists()
        shutil.rmtree(state, ignore_errors=True)
    return RetentionResult(days, rows, n_files, dropped)
