"""Removing a person from a ledger: its figures stay, who it was does not."""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Engine, update

from errdetect.data.database_tables import write_transaction
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import id_condition, record_events

__all__ = ["forget_account", "forget_precedents", "forget_reviewer"]

_MANY = 10_000  # ids per statement


def forget_reviewer(engine: Engine, names: Collection[str], *, at: datetime) -> int:
    """Give a reviewer's reviews a random name that nobody can lead back, the same for all.

    Parameters
    ----------
    engine
        The ledger's.
    names
        The reviewer's pseudonym, and any other name in the ledger.
    at
        The moment, for the history, which does not name the person.

    Returns
    -------
    int
        Number of versions of reviews that named the reviewer.
    """
    reviews = tables.REVIEWS
    other = f"forgotten-{secrets.token_hex(8)}"
    with write_transaction(engine) as connection:
        found = connection.execute(
            update(reviews)
            .where(reviews.c.reviewer_id.in_(sorted(names)))
            .values(reviewer_id=other)
        )
        if found.rowcount:
            record_events(connection, tables.EVENTS, [_event(other, found.rowcount)], at)
        return int(found.rowcount)


def forget_account(
    engine: Engine, account_id: str, decision_ids: Sequence[str], *, at: datetime
) -> tuple[int, int]:
    """Take an account out of remediations, and what queued decisions of it said about its content.

    Inclusion probabilities and the ids of decisions stay: without them earlier audits have no weights.

    Parameters
    ----------
    engine, at
        As for `forget_reviewer`.
    account_id
        As the ledger has it.
    decision_ids
        The account's decisions.

    Returns
    -------
    remediations, queued
        Number of rows that named it, and of queued decisions whose reasons were removed.
    """
    plans, queue = tables.REMEDIATIONS, tables.QUEUED
    bare = {"account_id": None, "reason": None, "evidence": None}
    n_queued = 0
    with write_transaction(engine) as connection:
        named = connection.execute(
            update(plans).where(plans.c.account_id == account_id).values(**bare)
        )
        for start in range(0, len(decision_ids), _MANY):
            ids = list(decision_ids[start : start + _MANY])
            own = id_condition(connection, queue.c.decision_id, ids)
            changed = connection.execute(update(queue).where(own).values(reasons="[]", more="{}"))
            n_queued += int(changed.rowcount)
        total = int(named.rowcount) + n_queued
        if total:
            event = _event(f"forgotten-{secrets.token_hex(8)}", total)
            record_events(connection, tables.EVENTS, [event], at)
        return int(named.rowcount), n_queued


def forget_precedents(
    engine: Engine,
    *,
    names: Collection[str] = (),
    decision_ids: Sequence[str] = (),
    at: datetime,
) -> int:
    """Take a person out of the rulings of calibration sessions; the rulings stay.

    Parameters
    ----------
    engine, at
        As for `forget_reviewer`.
    names
        The names of one who ruled.
    decision_ids
        An account's decisions, whose rulings lose the reason and the facts, which quote its content.

    Returns
    -------
    int
        Number of rulings that were changed.
    """
    rulings, other, total = tables.PRECEDENTS, f"forgotten-{secrets.token_hex(8)}", 0
    bare = {"reason": None, "facts": "{}"}
    with write_transaction(engine) as connection:
        if names:
            own = update(rulings).where(rulings.c.by.in_(sorted(names))).values(by=other)
            total += int(connection.execute(own).rowcount)
        for start in range(0, len(decision_ids), _MANY):
            ids = list(decision_ids[start : start + _MANY])
            about = id_condition(connection, rulings.c.decision_id, ids)
            changed = connection.execute(update(rulings).where(about).values(**bare))
            total += int(changed.rowcount)
        if total:
            record_events(connection, tables.EVENTS, [_event(other, total)], at)
    return total


def _event(name: str, rows: int) -> dict[str, str]:
    return {"entity": "person", "id": name, "what": "forgotten", "to": str(rows)}
