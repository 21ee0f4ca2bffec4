"""Pseudonyms in a ledger: which key made them, and the ids of earlier versions replaced."""

from datetime import UTC, datetime

import pandas as pd
from sqlalchemy import Connection, bindparam, select, update

from errdetect.data.pseudonyms import PseudonymKey, is_pseudonym, pseudonymise_ids
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import record_events

__all__ = [
    "current_fingerprint",
    "has_plain_ids",
    "pseudonymise_reviews",
    "record_key",
    "require_key",
]

_ENTITY = "key"
_LOST = (
    "Restore the key from your backup. If it is lost, `errdetect reviewer CONFIG --new-key` accepts the new one: "
    "reviewers in the ledger then keep their old pseudonyms and count as other people from now on."
)


def current_fingerprint(connection: Connection) -> str | None:
    """Return the fingerprint of the key that the ledger's pseudonyms are made with; None without any."""
    event = tables.EVENTS.c
    wanted = select(event.id).where(event.entity == _ENTITY).order_by(event.seq.desc()).limit(1)
    found: str | None = connection.execute(wanted).scalar()
    return found


def require_key(fingerprint: str | None, key: PseudonymKey | None, place: str) -> PseudonymKey:
    """Refuse another key than the ledger's pseudonyms were made with.

    Parameters
    ----------
    fingerprint
        `current_fingerprint`; None for a ledger without pseudonyms.
    key
        The key at hand; None where there is none.
    place
        The ledger's name.

    Raises
    ------
    DataError
        For another key, none, or one that is not kept.
    """
    what = f"The key of reviewers' pseudonyms in the ledger {place}"
    if key is None:
        raise DataError(error_message(what, "be there", "none", _LOST))
    if not key.saved:
        do = "Let this user write its folder, name a file under reviewers.key, or set ERRDETECT_REVIEWER_KEY."
        raise DataError(error_message(what, "be kept", f"no place to keep it: {key.place}", do))
    if fingerprint is not None and fingerprint != key.fingerprint:
        got = f"another one: {key.place}"
        raise DataError(error_message(what, "be the one that made them", got, _LOST))
    return key


def record_key(connection: Connection, key: PseudonymKey, at: datetime, note: str = "") -> bool:
    """Record the key's fingerprint, never the key; recording it again adds nothing."""
    if current_fingerprint(connection) == key.fingerprint:
        return False
    event = {"entity": _ENTITY, "id": key.fingerprint, "what": "used", "note": note or None}
    record_events(connection, tables.EVENTS, [event], at)
    return True


def has_plain_ids(connection: Connection) -> bool:
    """Return whether reviews name reviewers by other ids than pseudonyms."""
    return len(_plain_ids(connection)) > 0


def pseudonymise_reviews(
    connection: Connection, key: PseudonymKey, at: datetime | None = None
) -> int:
    """Replace reviewers' ids of earlier versions by pseudonyms; return how many reviewers there were."""
    plain = _plain_ids(connection)
    if plain.empty:
        return 0
    column = tables.REVIEWS.c.reviewer_id
    put = update(tables.REVIEWS).where(column == bindparam("was"))
    names = pseudonymise_ids(plain, salt=key.secret)
    rows = [{"was": a, "becomes": b} for a, b in zip(plain, names, strict=True)]
    connection.execute(put.values(reviewer_id=bindparam("becomes")), rows)
    note = f"{len(rows):,} reviewers of an earlier version got pseudonyms"
    record_key(connection, key, at or datetime.now(UTC), note)
    return len(rows)


def _plain_ids(connection: Connection) -> "pd.Series[str]":
    column = tables.REVIEWS.c.reviewer_id
    found = connection.execute(select(column).where(column.is_not(None)).distinct()).scalars().all()
    ids = pd.Series(list(found), dtype="str")
    return ids[~is_pseudonym(ids)]
