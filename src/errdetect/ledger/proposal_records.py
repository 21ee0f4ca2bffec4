"""Proposals in the ledger: changes of policies, and what people decided about them."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine, select, update

from errdetect.data.database_tables import (
    dump_json,
    read_transaction,
    upsert_rows,
    write_transaction,
)
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    known_states,
    record_events,
    replace_nul,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = ["ProposalRecords"]

_TIME = pa.timestamp("us", tz="UTC")
_TIMES = ("effective_from", "created_at", "updated_at")
_PROPOSALS = pa.schema(
    [(c.name, _TIME if c.name in _TIMES else pa.string()) for c in tables.PROPOSALS.columns]
)
_GIVEN = ("policy_id", "kind", "title", "rule", "change", "owner", "expected", "finding_id")
#: The states that a proposal may move to from each state.
_MOVES = {
    "proposed": ("accepted", "rejected"),
    "accepted": ("closed",),
    "rejected": ("closed",),
    "closed": (),
}


class ProposalRecords:
    """The part of a `Ledger` that records proposals."""

    engine: Engine

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
        require_columns(frame, ["proposal_id"], "The proposals")
        moment = to_utc(at or datetime.now(UTC))
        given = frame[[name for name in ("proposal_id", *_GIVEN) if name in frame]]
        if "expected" in given:
            texts = [one if isinstance(one, str) else dump_json(one) for one in given["expected"]]
            given = given.assign(expected=pd.Series(texts, given.index, dtype="str"))
        stamped = given.assign(state="proposed", created_at=moment, updated_at=moment)
        rows = frame_to_rows(stamped, tables.PROPOSALS)
        with write_transaction(self.engine) as connection:
            states = known_states(connection, tables.PROPOSALS, "state", rows)
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

    def proposals(self) -> pd.DataFrame:
        """Return every proposal with its state; `expected` is JSON text."""
        table = tables.PROPOSALS.c
        columns = [table[name] for name in _PROPOSALS.names]
        with read_transaction(self.engine) as connection:
            found = connection.execute(
                select(*columns).order_by(table.created_at, table.proposal_id)
            )
            return rows_to_frame(found, _PROPOSALS)

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
        >>> from errdetect.ledger.ledger import open_ledger
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
        table = tables.PROPOSALS
        if not by.strip():
            do = "Name the person who decides."
            raise DataError(
                error_message("A proposal's change of state", "name a person", "none", do)
            )
        with write_transaction(self.engine) as connection:
            row = {"proposal_id": proposal_id}
            state = known_states(connection, table, "state", [row]).get(proposal_id)
            _refuse_state_change(proposal_id, state, to, effective_from)
            values: dict[str, Any] = {"state": to, "updated_at": to_utc(at)}
            if effective_from is not None:
                values["effective_from"] = to_utc(effective_from)
            connection.execute(
                update(table).where(table.c.proposal_id == proposal_id).values(**values)
            )
            event = {
                "entity": "proposal",
                "id": proposal_id,
                "what": "moved",
                "from": state,
                "to": to,
            }
            event |= {"by": replace_nul(by), "note": replace_nul(note) or None}
            record_events(connection, tables.EVENTS, [event], at)


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
