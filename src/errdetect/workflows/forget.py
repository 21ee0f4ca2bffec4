"""forget: removes a person from the ledger, and says where else the person stands."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

from errdetect.config import Config
from errdetect.data.table_reading import iter_decisions
from errdetect.errors import ConfigError, ModelError, error_message
from errdetect.ledger.forgetting import forget_account, forget_reviewer
from errdetect.ledger.ledger import find_ledger
from errdetect.model.registry import ModelRegistry
from errdetect.workflows.load_data import Progress

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
    """

    who: str
    n_reviews: int
    n_remediations: int
    n_queued: int
    remains: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the summary lines."""
        done = {
            "reviews": self.n_reviews,
            "remediations": self.n_remediations,
            "queued decisions": self.n_queued,
        }
        told = ", ".join(f"{n:,} {what}" for what, n in done.items() if n) or "nothing there"
        return [
            f"Removed the {self.who} from the ledger: {told}.",
            *(f"Note: {one}." for one in self.remains),
        ]


def forget(
    config: Config,
    *,
    account: str | None = None,
    reviewer: str | None = None,
    at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> ForgetResult:
    """Remove a person from the ledger.

    Parameters
    ----------
    config
        From `load_config`.
    account, reviewer
        Whom: one of the two, as the tables name them.
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
    moment = at or datetime.now(UTC)
    ledger = find_ledger(config.ledger_url())
    counts = (0, 0, 0)
    if ledger is not None:
        with ledger:
            if reviewer is not None:
                counts = (forget_reviewer(ledger.engine, reviewer, at=moment), 0, 0)
            else:
                progress("looking up the account's decisions")
                own = _decisions_of(config, str(account))
                counts = (0, *forget_account(ledger.engine, str(account), own, at=moment))
    shutil.rmtree(
        config.path(config.state.folder), ignore_errors=True
    )  # the next run reads the log
    who = "account" if reviewer is None else "reviewer"
    return ForgetResult(who, *counts, remains=_remains(config, who))


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


def _remains(config: Config, who: str) -> tuple[str, ...]:
    tables = "decisions" if who == "account" else "reviews"
    notes = [f"the tables under data.{tables} are yours: remove the {who} there, or it comes back"]
    notes.append("queues, reports and exports that were already written stay until written again")
    try:
        champion = ModelRegistry(
            config.path(config.registry.path), config.registry.name
        ).champion_version()
    except ModelError:
        champion = None
    if champion is not None:
        notes.append(
            f"model version {champion[0]} and older learned from the {who}'s rows, and cannot forget them; "
            "they are in use until the next training is accepted"
        )
    return tuple(notes)
