"""reviewer: whose pseudonym this is, for those who hold the key; and a new key after the old one was lost."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from errdetect.config import Config
from errdetect.data.pseudonyms import find_key, pseudonymise_ids, read_key
from errdetect.data.table_reading import read_reviews
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.workflows.load_data import Progress
from errdetect.workflows.project_ledger import (
    find_project_ledger,
    open_project_ledger,
    project_key,
)

__all__ = ["ReviewerResult", "accept_new_key", "find_reviewer"]


@dataclass(frozen=True)
class ReviewerResult:
    """A reviewer's id and pseudonym.

    Parameters
    ----------
    reviewer_id
        As the config's reviews have it; None where no table names the reviewer.
    pseudonym
        As ledger and reports have it; None where only a new key was accepted.
    n_reviews, n_recorded
        Rows of the config's reviews, and of the ledger, by this reviewer.
    notes
        Sentences for people.
    """

    reviewer_id: str | None
    pseudonym: str | None
    n_reviews: int = 0
    n_recorded: int = 0
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the summary lines."""
        if self.pseudonym is None:
            return [*self.notes]
        return [
            f"{self.reviewer_id or 'unknown here'} is {self.pseudonym}.",
            f"  reviews  {self.n_reviews:,} in data.reviews, {self.n_recorded:,} in the ledger",
            *self.notes,
        ]


def find_reviewer(
    config: Config, who: str, *, progress: Progress = lambda _: None
) -> ReviewerResult:
    """Return the pseudonym of a reviewer, or whose pseudonym this is.

    Parameters
    ----------
    config
        From `load_config`; its key must be readable.
    who
        A reviewer's id, or a pseudonym.
    progress
        Callback for progress messages.

    Raises
    ------
    DataError
        Where there is no key, or no review is by this reviewer.
    """
    recorded, key = pd.Series(dtype="str"), find_key(config.key_file())
    ledger = find_project_ledger(config)
    if ledger is not None:
        with ledger:
            recorded = ledger.reviews()["reviewer_id"]
            key = project_key(config, ledger) if ledger.fingerprint() is not None else key
    if key is None:
        do = f"No ledger and no report was written with one yet: '{config.key_file()}' is absent."
        raise DataError(error_message("The key of reviewers' pseudonyms", "be there", "none", do))
    own = pd.Series(dtype="str")
    if config.data.reviews is not None:
        progress("reading reviews")
        paths = config.data_paths(config.data.reviews)
        mapping = config.data.mapping("reviews")
        read = read_reviews(paths, columns=config.data.columns, mapping=mapping)
        own = read.frame["reviewer_id"]
    wanted = pseudonymise_ids(pd.Series([who], dtype="str"), salt=key.secret)[0]
    mine = own[pseudonymise_ids(own, salt=key.secret) == wanted]
    n_recorded = int((recorded == wanted).sum())
    if mine.empty and not n_recorded:
        do = "Give an id of data.reviews, or a pseudonym of a report."
        must = "have reviewed, by data.reviews or the ledger"
        raise DataError(error_message("The reviewer", must, "no review", do))
    name = str(mine.iloc[0]) if len(mine) else (who if who != wanted else None)
    return ReviewerResult(name, str(wanted), len(mine), n_recorded)


def accept_new_key(config: Config, *, at: datetime | None = None) -> ReviewerResult:
    """Accept the key at hand, or a new one, after the ledger's was lost.

    Parameters
    ----------
    config
        From `load_config`.
    at
        The moment, for the history; default: now.

    Raises
    ------
    ConfigError
        Where the key is damaged or cannot be kept.
    """
    key = read_key(config.key_file())
    if not key.saved:
        do = "Let this user write its folder, or name a file under reviewers.key."
        raise ConfigError([error_message("The new key", "be kept", key.place, do)])
    with open_project_ledger(config) as ledger:
        changed = ledger.accept_key(key, at=at or datetime.now(UTC))
    if not changed:
        return ReviewerResult(None, None, notes=("The ledger's key is at hand: nothing changed.",))
    told = (
        f"Accepted the key {key.place}. Reviewers recorded so far keep their pseudonyms and count as other "
        "people from now on. Back the key up."
    )
    return ReviewerResult(None, None, notes=(told,))
