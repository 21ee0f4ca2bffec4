"""The config's ledger, opened with the key of reviewers' pseudonyms."""

import logging
from datetime import UTC, datetime
from functools import partial

import pandas as pd

from errdetect.config import Config
from errdetect.data.pseudonyms import (
    PseudonymKey,
    find_key,
    is_pseudonym,
    pseudonymise_ids,
    read_key,
)
from errdetect.ledger.ledger import Ledger, find_ledger, open_ledger
from errdetect.ledger.pseudonym_records import require_key
from errdetect.ledger.retention import expire_rows

_LOG = logging.getLogger(__name__)

__all__ = [
    "find_project_ledger",
    "known_precedents",
    "link_reviewers",
    "open_project_ledger",
    "project_key",
    "written_by",
]


def find_project_ledger(config: Config) -> Ledger | None:
    """Open the config's ledger if there is one; never create it. See `find_ledger`."""
    return find_ledger(config.ledger_url(), partial(read_key, config.key_file()))


def open_project_ledger(config: Config) -> Ledger:
    """Open the config's ledger to write; create or upgrade it if needed. See `open_ledger`.

    Rows older than `retention` allows are removed first, which is logged.
    """
    ledger = open_ledger(config.ledger_url(), partial(read_key, config.key_file()))
    days = config.retention.days()
    removed = expire_rows(ledger.engine, days, now=datetime.now(UTC)) if days else {}
    for kind, n in removed.items():
        _LOG.warning("retention.%s: removed %d rows from the ledger", kind, n)
    return ledger


def known_precedents(config: Config, *, before: datetime | None = None) -> pd.DataFrame:
    """Return the rulings in the config's ledger that hold; empty without a ledger.

    Parameters
    ----------
    config
        From `load_config`.
    before
        Only rulings recorded before this moment; None for all.
    """
    ledger = find_project_ledger(config)
    if ledger is None:
        return pd.DataFrame(columns=["policy_id", "decision_id", "ruling", "reason", "facts"])
    with ledger:
        return ledger.precedents(before=before)


def project_key(config: Config, ledger: Ledger) -> PseudonymKey:
    """Return the key that the ledger's pseudonyms were made with; it is never created.

    Raises
    ------
    DataError
        Where there is none, or another one.
    """
    return require_key(ledger.fingerprint(), find_key(config.key_file()), ledger.place)


def link_reviewers(
    config: Config, ledger: Ledger, own: pd.DataFrame, recorded: pd.DataFrame
) -> pd.DataFrame:
    """Give the ledger's reviews the ids of the same reviewers in the config's own table.

    Parameters
    ----------
    config
        From `load_config`.
    ledger
        Where the recorded reviews come from.
    own, recorded
        Reviews of the config's table, and of the ledger, with reviewer_id.

    Returns
    -------
    pandas.DataFrame
        The recorded ones; reviewers whom the table does not have keep their pseudonyms.

    Raises
    ------
    DataError
        Where both name reviewers, and the key is not the one that made the pseudonyms.
    """
    names = own["reviewer_id"].dropna().drop_duplicates().astype("str")
    names = names[~is_pseudonym(names)]
    if names.empty or ledger.fingerprint() is None:
        return recorded
    key = project_key(config, ledger)
    known = dict(zip(pseudonymise_ids(names, salt=key.secret), names, strict=True))
    column = recorded["reviewer_id"]
    return recorded.assign(reviewer_id=column.map(known).where(column.isin(known), column))


def written_by(config: Config, reviewer_id: "pd.Series[str]", name: str) -> "pd.Series[bool]":
    """Return which of the ids are this reviewer's, who may be named by id or by pseudonym."""
    found = (reviewer_id == name).fillna(False).astype(bool)
    key = None if found.any() else find_key(config.key_file())
    if key is None:
        return found
    wanted = pseudonymise_ids(pd.Series([name], dtype="str"), salt=key.secret)[0]
    return (pseudonymise_ids(reviewer_id, salt=key.secret) == wanted).fillna(False).astype(bool)
