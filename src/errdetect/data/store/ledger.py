"""The ledger: what was scored and queued, what people answered, and what was done about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Engine

from errdetect.data.store import reviews
from errdetect.ledger import ledger as loop
from errdetect.ledger import runs
from errdetect.ledger.connection import connect, place_of, reading, sqlite_file
from errdetect.ledger.migrate import upgrade, version
from errdetect.data.store.reviews import IngestCounts
from errdetect.ledger.runs import QueueCounts, Run

__all__ = ["IngestCounts", "Ledger", "QueueCounts", "Run", "find_ledger", "open_ledger"]


@dataclass(frozen=True)
class Ledger:
    """An open ledger; `open_ledger` gives one. Use it in a `with` block.

    Every method is one transaction: it stands whole or not at all. Writers take turns.

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
        """Where it is, without user or password."""
        return place_of(self.engine.url)

    def record_run(self, run: Run, queue: pd.DataFrame, scored: pd.DataFrame) -> QueueCounts:
        """Record a scoring run and add its queue: a decision stands in the queue once, for good.

        Parameters
        ----------
        run
            Which run. A run_id that is known changes nothing.
        queue
            One row a decision to review, with the columns of `schemas.QUEUE`, and any others.
            Decisions that an earlier run queued are passed over.
        scored
            decision_id and inclusion_probability of every decision scored, and, where known,
            p_error, job_id (whose review answers for it) and arm. The latest run (by
            `scored_at`) states a decision's chance; where another run queued it the chance is 1,
            as given that queue its review is certain.

        Returns
        -------
        QueueCounts
            How many are new in the queue, how many stood there.

        Raises
        ------
        DataError
            If the run is known with another queue, a column is missing, or a queued decision was
            not scored.

        Examples
        --------
        >>> import tempfile
        >>> from datetime import UTC
        >>> queue = pd.DataFrame({"decision_id": ["d1"], "rank": [1], "inclusion_probability": [1.0]})
        >>> scored = pd.DataFrame(
        ...     {"decision_id": ["d1", "d2"], "inclusion_probability": [1.0, 0.05]}
        ... )
        >>> run = Run("r1", "3", datetime(2026, 3, 1, tzinfo=UTC), {"budget": 1})
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ... ):
        ...     [ledger.record_run(run, queue, scored) for _ in range(2)]
        ...     ledger.scored_probability(["d2", "d9"]).tolist()
        [QueueCounts(new=1, already=0), QueueCounts(new=0, already=1)]
        [0.05, nan]
        """
        return runs.record_run(self.engine, run, queue, scored)

    def runs(self) -> pd.DataFrame:
        """Return every run: run_id, model_version, scored_at, n_scored, n_queued, design (JSON)."""
        return runs.runs(self.engine)

    def queued(self, ids: Sequence[str] | None = None, *, open_only: bool = False) -> pd.DataFrame:
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
            The columns of `schemas.QUEUE`, then further ones that the runs gave.
        """
        return runs.queued(self.engine, ids, open_only=open_only)

    def scored(self) -> pd.DataFrame:
        """Return what the latest run said of every decision ever scored, by decision_id.

        Returns
        -------
        DataFrame
            decision_id, p_error, inclusion_probability, job_id, arm, run_id, scored_at. The arm is
            `queued` where another run had queued the decision.
        """
        return runs.scored(self.engine)

    def scored_probability(self, ids: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the chance of review that the latest run gave each decision.

        Parameters
        ----------
        ids
            n decisions.

        Returns
        -------
        ndarray of shape (n,)
            In (0, 1]; NaN where no run scored it.
        """
        return runs.scored_probability(self.engine, ids)

    def ingest(self, frame: pd.DataFrame, at: datetime) -> IngestCounts:
        """Add finished reviews, and corrections of known ones.

        Of one review_id every version is kept, one for each moment at which its answer became known
        (`updated_at` where given and later, else `reviewed_at`). The last one counts, the earlier
        ones are its history.

        Parameters
        ----------
        frame
            The columns of `schemas.REVIEWS`, as `read_reviews` gives them.
        at
            When, with a zone.

        Returns
        -------
        IngestCounts
            A review_id known with other values at the same moment is a conflict: the known one
            stays.

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
        return reviews.ingest(self.engine, frame, at)

    def reviews(self, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return every version of the reviews by moment, then id, as `read_reviews` gives them.

        Parameters
        ----------
        ids
            Only reviews with these ids; None for all.
        """
        return reviews.reviews(self.engine, ids)

    def record_remediations(
        self, plan: pd.DataFrame, *, by: str, approved_by: str, at: datetime
    ) -> int:
        """Record the steps of a plan; what was `planned` is `applied` then.

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
            Steps recorded: those whose remediation_id is new, or stands again after it was
            withdrawn. The same plan once more gives 0.

        Raises
        ------
        Refusal
            If both are one person.
        """
        return loop.record_remediations(self.engine, plan, by=by, approved_by=approved_by, at=at)

    def withdraw_remediations(
        self, ids: Sequence[str], *, reason: str, at: datetime, by: str | None = None
    ) -> int:
        """Take recorded steps back out, and return how many; unknown ones have nothing to take."""
        return loop.withdraw_remediations(self.engine, ids, reason=reason, at=at, by=by)

    def remediations(self) -> pd.DataFrame:
        """Return every recorded step: the columns of `schemas.PLAN`, who, when, and withdrawals."""
        return loop.remediations(self.engine)

    def add_proposals(self, frame: pd.DataFrame, *, at: datetime | None = None) -> int:
        """Add proposals whose proposal_id is new, as `proposed`, and return how many.

        Parameters
        ----------
        frame
            proposal_id, and of policy_id, kind, title, rule, change, owner, expected, finding_id
            what is known; `expected` is JSON text, or what can be written as JSON.
        at
            When, with a zone; default now.
        """
        return loop.add_proposals(self.engine, frame, at=at)

    def proposals(self) -> pd.DataFrame:
        """Return every proposal with its state; `expected` is JSON text."""
        return loop.proposals(self.engine)

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
        """Move a proposal on: proposed, then accepted or rejected, then closed.

        Parameters
        ----------
        proposal_id
            Which.
        to
            The new state.
        by, at
            Who decides, and when (with a zone).
        effective_from
            When an accepted one takes effect; needed to accept.
        note
            Why.

        Raises
        ------
        DataError
            If there is no such proposal or no such way.

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
        """Return what happened, in order: entity, id, what, from, to, by, at, note.

        Parameters
        ----------
        entity
            Only `run`, `reviews`, `remediation` or `proposal`.
        id
            Only this one.
        """
        return loop.history(self.engine, entity, id)


def open_ledger(url: str) -> Ledger:
    """Open a ledger; make it, or bring its tables up to date, where needed.

    Parameters
    ----------
    url
        `sqlite:///file.db` or `postgresql://user:password@host/name`.

    Raises
    ------
    DataError
        If it cannot be reached or written, or a newer errdetect made it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_ledger(f"sqlite:///{folder}/ledger.db") as ledger:
    ...         len(ledger.queued())
    0
    """
    engine = connect(url)
    upgrade(engine)
    return Ledger(engine)


def find_ledger(url: str) -> Ledger | None:
    """Open a ledger if there is one; looking for it makes nothing.

    Returns
    -------
    Ledger or None
        None where the SQLite file is not there, or the database has no ledger in it.

    Raises
    ------
    DataError
        As `open_ledger`.

    Examples
    --------
    >>> find_ledger("sqlite:///no/such/ledger.db") is None
    True
    """
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        return None
    with reading(connect(url, read_only=True)) as connection:
        if version(connection) is None:
            return None
    return open_ledger(url)
