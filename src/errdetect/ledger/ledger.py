"""Remediations, proposals and their history in the ledger."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, Table, select, update

from errdetect import schemas
from errdetect.data.database_connection import (
    open_engine,
    read_transaction,
    redacted_url,
    sqlite_path,
    write_transaction,
)
from errdetect.data.database_rows import dump_json, upsert_rows
from errdetect.errors import DataError, error_message
from errdetect.ledger import ledger as loop
from errdetect.ledger import run_records as reviews
from errdetect.ledger import run_records as runs
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    id_condition,
    record_events,
    require_columns,
    rows_to_frame,
    to_utc,
)
from errdetect.ledger.run_records import IngestCounts, QueueCounts, ScoringRun
from errdetect.ledger.schema_upgrade import schema_version, upgrade_ledger
from errdetect.ledger.two_person_rule import require_two_people

__all__ = [
    "IngestCounts",
    "Ledger",
    "QueueCounts",
    "add_proposals",
    "entity_history",
    "find_ledger",
    "move_proposal",
    "open_ledger",
    "record_remediations",
    "recorded_proposals",
    "recorded_remediations",
    "withdraw_remediations",
]


_TIME = pa.timestamp("us", tz="UTC")
_REMEDIATIONS = pa.schema(
    [
        *schemas.PLAN,
        ("by", pa.string()),
        ("approved_by", pa.string()),
        ("recorded_at", _TIME),
        ("withdrawn_at", _TIME),
        ("withdrawn_reason", pa.string()),
    ]
)
_TIMES = ("effective_from", "created_at", "updated_at")
_PROPOSALS = pa.schema(
    [(c.name, _TIME if c.name in _TIMES else pa.string()) for c in tables.PROPOSALS.columns]
)
_GIVEN = ("policy_id", "kind", "title", "rule", "change", "owner", "expected", "finding_id")
_EVENTS = pa.schema(
    [
        (c.name, _TIME if c.name == "at" else pa.string())
        for c in tables.EVENTS.columns
        if c.name != "seq"
    ]
)
#: The states that a proposal may move to from each state.
_MOVES = {
    "proposed": ("accepted", "rejected"),
    "accepted": ("closed",),
    "rejected": ("closed",),
    "closed": (),
}


def record_remediations(
    engine: Engine, plan: pd.DataFrame, *, by: str, approved_by: str, at: datetime
) -> int:
    """Record the steps of a plan that are new; see `Ledger.record_remediations`."""
    require_columns(plan, schemas.PLAN.names, "The plan")
    require_two_people(by, approved_by)
    ids = plan["review_ids"].map(lambda one: dump_json([] if one is None else list(one)))
    status = plan["status"].where(plan["status"] != "planned", "applied")
    known = plan.assign(review_ids=ids, status=status, by=by, approved_by=approved_by)
    rows = frame_to_rows(known.assign(recorded_at=pd.Timestamp(to_utc(at))), tables.REMEDIATIONS)
    with write_transaction(engine) as connection:
        states = _known_states(connection, tables.REMEDIATIONS, "status", rows)
        new = [row for row in rows if row["remediation_id"] not in states]
        again = [
            row
            for row in rows
            if states.get(row["remediation_id"]) == "withdrawn" and row["status"] != "withdrawn"
        ]
        upsert_rows(connection, tables.REMEDIATIONS, new)
        for row in again:
            key = tables.REMEDIATIONS.c.remediation_id == row["remediation_id"]
            connection.execute(update(tables.REMEDIATIONS).where(key).values(**row))
        events = [
            {
                "entity": "remediation",
                "id": row["remediation_id"],
                "what": "recorded",
                "from": states.get(row["remediation_id"]),
                "to": row["status"],
                "by": by,
                "note": f"approved by {approved_by}",
            }
            for row in (*new, *again)
        ]
        record_events(connection, tables.EVENTS, events, at)
    return len(events)


def withdraw_remediations(
    engine: Engine, ids: Sequence[str], *, reason: str, at: datetime, by: str | None = None
) -> int:
    """Withdraw steps; see `Ledger.withdraw_remediations`."""
    table = tables.REMEDIATIONS
    with write_transaction(engine) as connection:
        found = connection.execute(
            select(table.c.remediation_id, table.c.status)
            .where(id_condition(connection, table.c.remediation_id, list(ids)))
            .where(table.c.status != "withdrawn")
            .order_by(table.c.remediation_id)
        ).all()
        standing = [row.remediation_id for row in found]
        connection.execute(
            update(table)
            .where(id_condition(connection, table.c.remediation_id, standing))
            .values(
                status="withdrawn", withdrawn_at=to_utc(at), withdrawn_reason=_replace_nul(reason)
            )
        )
        events = [
            {
                "entity": "remediation",
                "id": row.remediation_id,
                "what": "withdrawn",
                "from": row.status,
                "to": "withdrawn",
                "by": by,
                "note": _replace_nul(reason),
            }
            for row in found
        ]
        record_events(connection, tables.EVENTS, events, at)
    return len(standing)


def recorded_remediations(engine: Engine) -> pd.DataFrame:
    """Return every recorded step, in the order of recording, then by id."""
    table = tables.REMEDIATIONS.c
    columns = [table[name] for name in _REMEDIATIONS.names]
    at = _REMEDIATIONS.names.index("review_ids")
    with read_transaction(engine) as connection:
        found = connection.execute(
            select(*columns).order_by(table.recorded_at, table.remediation_id)
        )
        rows = [[*row[:at], json.loads(row[at]), *row[at + 1 :]] for row in found]
    return rows_to_frame(rows, _REMEDIATIONS)


def add_proposals(engine: Engine, frame: pd.DataFrame, *, at: datetime | None = None) -> int:
    """Add proposals whose proposal_id is new; see `Ledger.add_proposals`."""
    require_columns(frame, ["proposal_id"], "The proposals")
    moment = to_utc(at or datetime.now(UTC))
    given = frame[[name for name in ("proposal_id", *_GIVEN) if name in frame]]
    if "expected" in given:
        texts = [one if isinstance(one, str) else dump_json(one) for one in given["expected"]]
        given = given.assign(expected=pd.Series(texts, given.index, dtype="str"))
    stamped = given.assign(state="proposed", created_at=moment, updated_at=moment)
    rows = frame_to_rows(stamped, tables.PROPOSALS)
    with write_transaction(engine) as connection:
        states = _known_states(connection, tables.PROPOSALS, "state", rows)
        unique = {row["proposal_id"]: row for row in reversed(rows)}
        new = [row for key, row in reversed(unique.items()) if key not in states]
        upsert_rows(connection, tables.PROPOSALS, new)
        events = [
            {
                "entity": "proposal",
                "id": row["proposal_id"],
                "what": "added",
                "to": "proposed",
            }
            for row in new
        ]
        record_events(connection, tables.EVENTS, events, moment)
    return len(new)


def recorded_proposals(engine: Engine) -> pd.DataFrame:
    """Return every proposal, oldest first, then by id."""
    table = tables.PROPOSALS.c
    columns = [table[name] for name in _PROPOSALS.names]
    with read_transaction(engine) as connection:
        found = connection.execute(select(*columns).order_by(table.created_at, table.proposal_id))
        return rows_to_frame(found, _PROPOSALS)


def move_proposal(
    engine: Engine,
    proposal_id: str,
    to: str,
    *,
    by: str,
    at: datetime,
    effective_from: datetime | None = None,
    note: str = "",
) -> None:
    """Move a proposal to a new state; see `Ledger.move_proposal`."""
    table = tables.PROPOSALS
    if not by.strip():
        do = "Name the person who decides."
        raise DataError(error_message("A proposal's change of state", "name a person", "none", do))
    with write_transaction(engine) as connection:
        row = {"proposal_id": proposal_id}
        state = _known_states(connection, table, "state", [row]).get(proposal_id)
        _refuse_state_change(proposal_id, state, to, effective_from)
        values: dict[str, Any] = {"state": to, "updated_at": to_utc(at)}
        if effective_from is not None:
            values["effective_from"] = to_utc(effective_from)
        connection.execute(update(table).where(table.c.proposal_id == proposal_id).values(**values))
        event = {"entity": "proposal", "id": proposal_id, "what": "moved", "from": state, "to": to}
        event |= {"by": _replace_nul(by), "note": _replace_nul(note) or None}
        record_events(connection, tables.EVENTS, [event], at)


def entity_history(
    engine: Engine, entity: str | None = None, id: str | None = None
) -> pd.DataFrame:
    """Return the events in order; see `Ledger.history`."""
    table = tables.EVENTS.c
    wanted = select(*(table[name] for name in _EVENTS.names)).order_by(table.seq)
    if entity is not None:
        wanted = wanted.where(table.entity == entity)
    if id is not None:
        wanted = wanted.where(table.id == id)
    with read_transaction(engine) as connection:
        return rows_to_frame(connection.execute(wanted), _EVENTS)


def _known_states(
    connection: Connection, table: Table, column: str, rows: Iterable[dict[str, Any]]
) -> dict[str, str]:
    """Return the state of each known one."""
    (key,) = table.primary_key
    ids = [row[key.name] for row in rows]
    found = connection.execute(
        select(key, table.c[column]).where(id_condition(connection, key, ids))
    )
    return {row[0]: row[1] for row in found}


def _refuse_state_change(
    proposal_id: str, state: str | None, to: str, effective_from: datetime | None
) -> None:
    what = f"The proposal {proposal_id!r}"
    if state is None:
        do = "List proposals with: errdetect proposals CONFIG."
        raise DataError(error_message(what, "be in the ledger", "no such proposal", do))
    if to not in _MOVES[state]:
        then = " or ".join(_MOVES[state])
        must = f"be moved to {then}" if then else "stay closed"
        do = "The order is: proposed, then accepted or rejected, then closed."
        raise DataError(error_message(f"{what}, which is {state},", must, repr(to), do))
    if to == "accepted" and effective_from is None:
        do = "Give the date: the effect is measured from then on."
        raise DataError(
            error_message(f"{what}, to be accepted,", "state when it takes effect", "no date", do)
        )


def _replace_nul(words: str) -> str:
    return words.replace("\0", "\ufffd")


@dataclass(frozen=True)
class Ledger:
    """An open ledger, from `open_ledger`. Use it in a `with` block.

    Every method is one transaction, applied whole or not at all. Writers take turns.

    Parameters
    ----------
    engine
        Its database, with the tables up to date.
    """

    engine: Engine

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self.engine.dispose()

    @property
    def place(self) -> str:
        """Its location, without user or password."""
        return redacted_url(self.engine.url)

    def record_run(self, run: ScoringRun, queue: pd.DataFrame, scored: pd.DataFrame) -> QueueCounts:
        """Record a scoring run and add its queue; a decision is queued once only.

        Parameters
        ----------
        run
            The run. A known run_id changes nothing.
        queue
            One row a decision to review, with the columns of `schemas.QUEUE`, and any others.
            Decisions that an earlier run queued are skipped.
        scored
            decision_id and inclusion_probability of every decision scored, and, where known,
            p_error, job_id (whose review also covers it) and arm. The latest run (by
            `scored_at`) sets a decision's inclusion probability; where another run queued it, it is
            1, as its review is then certain.

        Returns
        -------
        QueueCounts
            How many decisions are new in the queue, and how many were already queued.

        Raises
        ------
        DataError
            If the run is recorded with another queue, a column is missing, or a queued decision was
            not scored.

        Examples
        --------
        >>> import tempfile
        >>> from datetime import UTC
        >>> queue = pd.DataFrame({"decision_id": ["d1"], "rank": [1], "inclusion_probability": [1.0]})
        >>> scored = pd.DataFrame(
        ...     {"decision_id": ["d1", "d2"], "inclusion_probability": [1.0, 0.05]}
        ... )
        >>> run = ScoringRun("r1", "3", datetime(2026, 3, 1, tzinfo=UTC), {"budget": 1})
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ... ):
        ...     [ledger.record_run(run, queue, scored) for _ in range(2)]
        ...     ledger.inclusion_probabilities(["d2", "d9"]).tolist()
        [QueueCounts(new=1, already=0), QueueCounts(new=0, already=1)]
        [0.05, nan]
        """
        return runs.record_run(self.engine, run, queue, scored)

    def runs(self) -> pd.DataFrame:
        """Return every run: run_id, model_version, scored_at, n_scored, n_queued, design (JSON)."""
        return runs.recorded_runs(self.engine)

    def queued_decisions(
        self, ids: Sequence[str] | None = None, *, open_only: bool = False
    ) -> pd.DataFrame:
        """Return the queue by run, oldest first, then rank.

        Parameters
        ----------
        ids
            Only these decisions.
        open_only
            Only decisions without a review (golden ones do not count) in the ledger since they
            were queued.

        Returns
        -------
        DataFrame
            The columns of `schemas.QUEUE`, then further columns of the runs.
        """
        return runs.queued_decisions(self.engine, ids, open_only=open_only)

    def scored(self) -> pd.DataFrame:
        """Return the latest run's scores of every decision ever scored, by decision_id.

        Returns
        -------
        DataFrame
            decision_id, p_error, inclusion_probability, job_id, arm, run_id, scored_at. The arm is
            `queued` if another run had queued the decision.
        """
        return runs.scored_decisions(self.engine)

    def inclusion_probabilities(self, ids: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return each decision's inclusion probability in the latest run.

        Parameters
        ----------
        ids
            n decisions.

        Returns
        -------
        ndarray of shape (n,)
            In (0, 1]; NaN where no run scored it.
        """
        return runs.inclusion_probabilities(self.engine, ids)

    def ingest(self, frame: pd.DataFrame, at: datetime) -> IngestCounts:
        """Add finished reviews, and corrections of known ones.

        Every version of a review_id is kept, one for each moment at which its verdict became known
        (`updated_at` if given and later, else `reviewed_at`). The latest one counts, the earlier
        ones are its history.

        Parameters
        ----------
        frame
            The columns of `schemas.REVIEWS`, from `read_reviews`.
        at
            When, with a zone.

        Returns
        -------
        IngestCounts
            A review_id recorded with other values at the same moment is a conflict: the recorded
            one stays.

        Examples
        --------
        >>> import tempfile
        >>> from datetime import UTC
        >>> now = datetime(2026, 3, 2, tzinfo=UTC)
        >>> one = pd.DataFrame(
        ...     {
        ...         "review_id": ["r1"],
        ...         "decision_id": ["d1"],
        ...         "reviewed_at": [pd.Timestamp(now)],
        ...         "source": ["re_review"],
        ...         "verdict": ["upheld"],
        ...     }
        ... )
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ... ):
        ...     ledger.ingest(one, now).new
        ...     ledger.ingest(one, now).repeated
        ...     ledger.ingest(one.assign(verdict="overturned"), now).conflicts
        ...     later = one["reviewed_at"] + pd.Timedelta(days=1)
        ...     ledger.ingest(one.assign(verdict="overturned", updated_at=later), now).corrected
        1
        1
        ('r1',)
        1
        """
        return reviews.ingest_reviews(self.engine, frame, at)

    def reviews(self, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return every version of the reviews by moment, then id, in the form of `read_reviews`.

        Parameters
        ----------
        ids
            Only reviews with these ids; None for all.
        """
        return reviews.recorded_reviews(self.engine, ids)

    def record_remediations(
        self, plan: pd.DataFrame, *, by: str, approved_by: str, at: datetime
    ) -> int:
        """Record the steps of a plan; `planned` steps become `applied`.

        Parameters
        ----------
        plan
            The columns of `schemas.PLAN`.
        by, approved_by
            Who applies it, and a second person who approves.
        at
            When, with a zone.

        Returns
        -------
        int
            Steps recorded: those whose remediation_id is new, or was withdrawn before. Recording
            the same plan again returns 0.

        Raises
        ------
        Refusal
            If both are the same person.
        """
        return loop.record_remediations(self.engine, plan, by=by, approved_by=approved_by, at=at)

    def withdraw_remediations(
        self, ids: Sequence[str], *, reason: str, at: datetime, by: str | None = None
    ) -> int:
        """Withdraw recorded steps, and return how many; unknown ids are ignored."""
        return loop.withdraw_remediations(self.engine, ids, reason=reason, at=at, by=by)

    def remediations(self) -> pd.DataFrame:
        """Return every recorded step: the columns of `schemas.PLAN`, people, times and withdrawals."""
        return loop.recorded_remediations(self.engine)

    def add_proposals(self, frame: pd.DataFrame, *, at: datetime | None = None) -> int:
        """Add proposals whose proposal_id is new, as `proposed`, and return how many.

        Parameters
        ----------
        frame
            proposal_id, and where known policy_id, kind, title, rule, change, owner, expected,
            finding_id; `expected` is JSON text, or a value that JSON can hold.
        at
            When, with a zone; default now.
        """
        return loop.add_proposals(self.engine, frame, at=at)

    def proposals(self) -> pd.DataFrame:
        """Return every proposal with its state; `expected` is JSON text."""
        return loop.recorded_proposals(self.engine)

    def move_proposal(
        self,
        proposal_id: str,
        to: str,
        *,
        by: str,
        at: datetime,
        effective_from: datetime | None = None,
        note: str = "",
    ) -> None:
        """Move a proposal to a new state: proposed, then accepted or rejected, then closed.

        Parameters
        ----------
        proposal_id
            Its id.
        to
            The new state.
        by, at
            The person who decides, and the time (with a zone).
        effective_from
            When an accepted proposal takes effect; required to accept.
        note
            The reason.

        Raises
        ------
        DataError
            If the proposal is unknown, or the state is not allowed.

        Examples
        --------
        >>> import tempfile
        >>> from datetime import UTC
        >>> now = datetime(2026, 3, 2, tzinfo=UTC)
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ... ):
        ...     ledger.add_proposals(pd.DataFrame({"proposal_id": ["p1"], "rule": ["x"]}), at=now)
        ...     ledger.move_proposal("p1", "rejected", by="Ana", at=now, note="too broad")
        ...     ledger.history("proposal", "p1")["to"].tolist()
        1
        ['proposed', 'rejected']
        """
        loop.move_proposal(
            self.engine,
            proposal_id,
            to,
            by=by,
            at=at,
            effective_from=effective_from,
            note=note,
        )

    def history(self, entity: str | None = None, id: str | None = None) -> pd.DataFrame:
        """Return the events in order: entity, id, what, from, to, by, at, note.

        Parameters
        ----------
        entity
            Only `run`, `reviews`, `remediation`, `proposal` or `discovery`.
        id
            Only this one.
        """
        return loop.entity_history(self.engine, entity, id)

    def record_discoveries(
        self, period: str, level: float, confirmed: int, *, at: datetime
    ) -> bool:
        """Record at which level a report tested its findings; repeating it adds nothing.

        Parameters
        ----------
        period
            The decisions' first and last day; each period has one level.
        level
            False discovery rate of this report, from `errdetect.stats.online_testing`.
        confirmed
            How many findings it confirmed.
        at
            The report's moment.

        Returns
        -------
        bool
            Whether anything was added.
        """
        known = self.history("discovery", period)
        row = {"from": repr(float(level)), "to": str(confirmed)}
        if len(known) and known.iloc[-1][["from", "to"]].to_dict() == row:
            return False
        event = {"entity": "discovery", "id": period, "what": "tested", **row}
        with write_transaction(self.engine) as connection:
            record_events(connection, tables.EVENTS, [event], at)
        return True


def open_ledger(url: str) -> Ledger:
    """Open a ledger; create it or upgrade its tables if needed.

    Parameters
    ----------
    url
        `sqlite:///file.db` or `postgresql://user:password@host/name`.

    Raises
    ------
    DataError
        If it cannot be reached or written, or a newer errdetect created it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_ledger(f"sqlite:///{folder}/ledger.db") as ledger:
    ...         len(ledger.queued_decisions())
    0
    """
    engine = open_engine(url)
    upgrade_ledger(engine)
    return Ledger(engine)


def find_ledger(url: str) -> Ledger | None:
    """Open a ledger if there is one; never create it.

    Returns
    -------
    Ledger or None
        None if the SQLite file does not exist, or the database holds no ledger.

    Raises
    ------
    DataError
        As `open_ledger`.

    Examples
    --------
    >>> find_ledger("sqlite:///no/such/ledger.db") is None
    True
    """
    file = sqlite_path(url)
    if file is not None and not file.is_file():
        return None
    with read_transaction(open_engine(url, read_only=True)) as connection:
        if schema_version(connection) is None:
            return None
    return open_ledger(url)
