"""forget: removes a person from ledger and outputs, and says where else the person stands."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from errdetect.config import Config
from errdetect.data.database_tables import erase_traces
from errdetect.data.erasing import erase_from_outputs, files_naming, returned_workbooks
from errdetect.data.pseudonyms import is_pseudonym, pseudonymise_ids
from errdetect.data.table_reading import iter_decisions
from errdetect.errors import ConfigError, ModelError, error_message
from errdetect.ledger.forgetting import (
    forget_account,
    forget_precedents,
    forget_reviewer,
)
from errdetect.ledger.ledger import Ledger
from errdetect.ledger.table_definitions import METADATA
from errdetect.schemas import DECISIONS
from errdetect.workflows.load_data import Progress
from errdetect.workflows.project_ledger import find_project_ledger, project_key
from errdetect.workflows.run_description import open_registry

__all__ = ["ForgetResult", "forget"]


@dataclass(frozen=True)
class ForgetResult:
    """Result of forgetting a person.

    Parameters
    ----------
    who
        `account` or `reviewer`; the result does not name the person.
    n_reviews, n_remediations, n_queued
        Rows of the ledger that were changed.
    remains
        Where else the person may stand, and until when.
    n_files
        Outputs from which the person was removed.
    files
        Files beneath the project that still name the person, or are workbooks with the account's decisions.
    n_precedents
        Rulings of calibration sessions that named the reviewer, or quoted the account's content.
    """

    who: str
    n_reviews: int
    n_remediations: int
    n_queued: int
    remains: tuple[str, ...]
    n_files: int = 0
    files: tuple[Path, ...] = ()
    n_precedents: int = 0

    def lines(self) -> list[str]:
        """Return the summary lines."""
        done = {
            "reviews": self.n_reviews,
            "remediations": self.n_remediations,
            "queued decisions": self.n_queued,
            "rulings": self.n_precedents,
        }
        told = ", ".join(f"{n:,} {what}" for what, n in done.items() if n) or "nothing there"
        return [
            f"Removed the {self.who} from the ledger: {told}.",
            f"Removed the {self.who} from {self.n_files:,} files of outputs.",
            *(f"Note: {one}." for one in self.remains),
            *(f"  still named in  {file}" for file in self.files),
        ]


def forget(
    config: Config,
    *,
    account: str | None = None,
    reviewer: str | None = None,
    at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> ForgetResult:
    """Remove a person from the ledger, and from outputs beneath the project's folder.

    Parameters
    ----------
    config
        From `load_config`.
    account, reviewer
        Whom: one of the two, as the tables name them; a reviewer also by pseudonym.
    at
        The moment, for the history; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where not exactly one is named, or the ledger or the decisions cannot be read.
    """
    if (account is None) == (reviewer is None) or not (account or reviewer):
        got = "both" if account and reviewer else "neither"
        do = "Give --account ID or --reviewer ID."
        raise ConfigError([error_message("forget", "name an account or a reviewer", got, do)])
    who = "account" if reviewer is None else "reviewer"
    own: list[str] = []
    if account is not None:
        progress("looking up the account's decisions")
        own = _decisions_of(config, account)
    names, counts, clean = {str(account or reviewer)}, (0, 0, 0), True
    rulings = 0
    ledger = find_project_ledger(config)
    if ledger is not None:
        with ledger:
            moment = at or datetime.now(UTC)
            if reviewer is not None:
                names = _reviewer_names(config, ledger, reviewer)
                counts = (forget_reviewer(ledger.engine, names, at=moment), 0, 0)
            else:
                counts = (0, *forget_account(ledger.engine, str(account), own, at=moment))
            ruled_by = names if reviewer is not None else ()
            rulings = forget_precedents(ledger.engine, names=ruled_by, decision_ids=own, at=moment)
            clean = not (rulings or any(counts)) or erase_traces(
                ledger.engine, list(METADATA.tables)
            )
    shutil.rmtree(
        config.path(config.state.folder), ignore_errors=True
    )  # the next run reads the log
    progress("removing from outputs")
    plain = {column.name for column in DECISIONS} - {"text"}
    shown = set(config.export.columns) - plain
    n_files = erase_from_outputs(config.base, names, own, shown)
    progress("looking for what remains")
    left = [*files_naming(config.base, names), *returned_workbooks(config.base, own)]
    files = tuple(dict.fromkeys(left))
    return ForgetResult(who, *counts, _remains(config, who, clean=clean), n_files, files, rulings)


def _reviewer_names(config: Config, ledger: Ledger, reviewer: str) -> set[str]:
    """Return the names that the ledger may have of a reviewer."""
    given = pd.Series([reviewer], dtype="str")
    if ledger.fingerprint() is None or is_pseudonym(given).all():
        return {reviewer}  # without pseudonyms in the ledger, a report's are of no further use
    key = project_key(config, ledger)
    return {reviewer, str(pseudonymise_ids(given, salt=key.secret)[0])}


def _decisions_of(config: Config, account: str) -> list[str]:
    """Return the ids of an account's decisions."""
    data, found = config.data, list[str]()
    place = config.data_paths(data.decisions)
    for batch in iter_decisions(
        place,
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
        mapping=data.mapping("decisions"),
    ):
        if "account_id" in batch.frame:
            frame = batch.frame
            found += frame.loc[frame["account_id"] == account, "decision_id"].tolist()
    return found


def _remains(config: Config, who: str, *, clean: bool) -> tuple[str, ...]:
    tables = "decisions" if who == "account" else "reviews"
    notes = [f"the tables under data.{tables} are yours: remove the {who} there, or it comes back"]
    notes.append(
        "outputs outside of the config's folder, exports to other systems and backups stay"
    )
    if not clean:
        notes.append(
            "another process uses the ledger, so its file may hold removed rows until the command is run again "
            "(PostgreSQL: until its next vacuum)"
        )
    try:
        champion = open_registry(config).champion_version()
    except ModelError:
        champion = None
    if champion is not None:
        notes.append(
            f"model version {champion[0]} and older learned from the {who}'s rows, and cannot forget them; "
            "they are in use until the next training is accepted"
        )
    return tuple(notes)
