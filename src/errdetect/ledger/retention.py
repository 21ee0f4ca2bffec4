"""Removing what a ledger has kept for longer than the config wants."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, or_, select, update

from errdetect.data.database_tables import erase_traces, may_change, write_transaction
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import record_events, to_utc

__all__ = ["expire_rows"]

_APPEAL = "appeal"


def expire_rows(engine: Engine, days: Mapping[str, float], *, now: datetime) -> dict[str, int]:
    """Remove rows that are older than the days for which their kind is kept.

    Parameters
    ----------
    engine
        The ledger's.
    days
        `texts` (reasons of queued decisions, evidence of remediations), `appeals` (reviews of that source),
        `reviews` (all), `runs` (runs, queue and scores): days; kinds that are not named are kept.
    now
        The moment, with a zone.

    Returns
    -------
    dict
        Kind -> rows removed or emptied, without zeros. Empty too where this user may not remove rows.

    Notes
    -----
    Drawn audits, remediations, proposals and the history stay: they are the record of who decided what. A run
    that is removed takes its inclusion probabilities along: its queue can be no sample any more.
    """
    moment = to_utc(now)
    cut = {kind: moment - timedelta(days=n) for kind, n in days.items()}
    names = [one.name for one in (tables.REVIEWS, tables.SCORED, tables.QUEUED, tables.RUNS)]
    with write_transaction(engine) as connection:
        if not may_change(connection, names, "DELETE"):
            return {}
        found = {kind: _expire(connection, kind, cut[kind]) for kind in cut}
        done = {kind: n for kind, n in found.items() if n}
        events = [
            {"entity": "retention", "id": kind, "what": "removed", "to": str(n)}
            for kind, n in done.items()
        ]
        record_events(connection, tables.EVENTS, events, moment)
    if done:
        erase_traces(engine, names)
    return done


def _expire(connection: Connection, kind: str, before: datetime) -> int:
    reviews, queue, plans = tables.REVIEWS, tables.QUEUED, tables.REMEDIATIONS
    if kind == "texts":
        old = (queue.c.scored_at < before, or_(queue.c.reasons != "[]", queue.c.more != "{}"))
        emptied = connection.execute(update(queue).where(*old).values(reasons="[]", more="{}"))
        told = (plans.c.recorded_at < before, plans.c.evidence.is_not(None))
        further = connection.execute(update(plans).where(*told).values(evidence=None))
        return int(emptied.rowcount + further.rowcount)
    if kind in ("reviews", "appeals"):
        mine = delete(reviews).where(reviews.c.known_at < before)
        mine = mine.where(reviews.c.source == _APPEAL) if kind == "appeals" else mine
        return int(connection.execute(mine).rowcount)
    assert kind == "runs", kind
    rows = 0
    for table in (queue, tables.SCORED):
        rows += int(connection.execute(delete(table).where(table.c.scored_at < before)).rowcount)
    used = select(queue.c.run_id)
    empty = delete(tables.RUNS).where(tables.RUNS.c.scored_at < before)
    return rows + int(connection.execute(empty.where(tables.RUNS.c.run_id.not_in(used))).rowcount)
