"""What each estimated rate was computed from, for those who compute it again: noted only when asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errdetect.estimation.domains import Domains, ScoreBins
from errdetect.estimation.manski_bounds import KnownVerdicts
from errdetect.estimation.misclassification import DrawOutcomes
from errdetect.labels.audit_sample import AuditSample
from errdetect.stats.intervals import Interval

__all__ = ["SideRecord", "TreatmentRecord", "note_side", "note_treatment", "record_rates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class TreatmentRecord:
    """One treatment of the verdicts, with the domains that were solved.

    Parameters
    ----------
    domains
        Decisions and draws by domain.
    domain
        Solved domain of each decision, -1 for those in none.
    outcomes
        The draws' outcomes and the reviewers' error rates.
    how
        Method of each domain, or why it is suppressed.
    narrow
        Whether the narrower rule for the population was used.
    borrowed
        Whether other domains' rates narrow a domain's interval.
    clustered
        The intervals by cluster; None where decisions were drawn one by one.
    """

    domains: Domains
    domain: Ints
    outcomes: DrawOutcomes
    how: NDArray[np.object_]
    narrow: bool
    borrowed: bool
    clustered: Interval | None


@dataclass(frozen=True)
class SideRecord:
    """One kind of error rate of one grouping.

    Parameters
    ----------
    name
        `all`, `enforced` or `allowed`.
    domain, enforced, known
        Domain of each decision, whether it enforced, and what reviews settle.
    audit, bins
        The draws, and the control variate's bins.
    reviews, alive
        Audited decisions of each domain, and whether it was solved.
    missing
        Shares of each domain without an answer: pending, lost, and never reviewable.
    response
        Share of the draws that were answered.
    treatments
        The treatments that were mixed; the first has the waiting flags' widths.
    """

    name: str
    domain: Ints
    enforced: Bools
    known: KnownVerdicts
    audit: AuditSample
    bins: ScoreBins
    reviews: Ints
    alive: Bools
    missing: tuple[Floats, Floats, Floats]
    response: Floats
    treatments: tuple[TreatmentRecord, ...] = ()


@dataclass
class _Recorder:
    sides: list[SideRecord]
    treatments: list[TreatmentRecord]


_ACTIVE: ContextVar[_Recorder | None] = ContextVar("errdetect rate records", default=None)


@contextmanager
def record_rates() -> Iterator[list[SideRecord]]:
    """Collect the records of every rate that is estimated inside the block, in order.

    Yields
    ------
    list of SideRecord
        For each grouping `all`, `enforced`, `allowed`; the overall rates come last.

    Examples
    --------
    >>> with record_rates() as sides:
    ...     pass
    >>> sides
    []
    """
    recorder = _Recorder([], [])
    token = _ACTIVE.set(recorder)
    try:
        yield recorder.sides
    finally:
        _ACTIVE.reset(token)


def note_treatment(record: TreatmentRecord) -> None:
    """Note a treatment of the side that is being estimated; does nothing outside `record_rates`."""
    recorder = _ACTIVE.get()
    if recorder is not None:
        recorder.treatments.append(record)


def note_side(record: SideRecord) -> None:
    """Note an estimated side with the treatments noted before; does nothing outside `record_rates`."""
    recorder = _ACTIVE.get()
    if recorder is not None:
        recorder.sides.append(replace(record, treatments=tuple(recorder.treatments)))
        recorder.treatments.clear()
