"""The intake account: rows read, used and left out, by reason, and the limit on losses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.rejected_rows import Rejections
from errdetect.data.table_reading import TableRead
from errdetect.errors import Refusal, error_message, escape_hidden
from errdetect.labels.audit_sample import LostDraws
from errdetect.labels.review_history import (
    BEFORE_DECISION,
    CORRECTED,
    NOT_YET_KNOWN,
    REVISED,
    UNKNOWN_DECISION,
)
from errdetect.schemas import ADJUDICATION, AUDIT, GOLDEN, INTAKE, SOURCES, UPHELD

__all__ = [
    "Intake",
    "IntakeRow",
    "check_lost_sample",
    "decision_rows",
    "draw_rows",
    "excluded_rows",
    "review_rows",
]

Bools = npt.NDArray[np.bool_]

READ: Final = "read"
USED: Final = "used"
REJECTED: Final = "rejected"
COPY: Final = "copy"
NOT_UNDERSTOOD: Final = "action not understood"
NO_DECISION: Final = "no such decision"
REJECTED_DECISION: Final = "decision rejected"
EARLY: Final = "before its decision"
CORRECTED_LATER: Final = "corrected by a later row"
REPLACED: Final = "replaced by the reviewer's later verdict"
LATER: Final = "not known by then"
EXCLUDED: Final = "excluded reviewer"

_STANDING = {
    UNKNOWN_DECISION: NO_DECISION,
    BEFORE_DECISION: EARLY,
    CORRECTED: CORRECTED_LATER,
    REVISED: REPLACED,
    NOT_YET_KNOWN: LATER,
}
#: Reasons that lose evidence; the others are the normal course of reviews.
_LOSSES = (REJECTED, NOT_UNDERSTOOD, NO_DECISION, REJECTED_DECISION, EARLY)
_EXAMPLES = 3


@dataclass(frozen=True)
class IntakeRow:
    """One line of the account.

    Parameters
    ----------
    table
        `decisions`, `reviews` or `draws`.
    source
        The reviews' source, or `unreadable`; empty for decisions and draws.
    reason
        `read`, `used`, or why rows were left out.
    n
        Number of rows.
    weight
        For audit reviews and draws, the sum of the readable 1/inclusion probability; else NaN.
    example_id
        The id of one row; empty where none is readable.
    """

    table: str
    source: str
    reason: str
    n: int
    weight: float
    example_id: str


@dataclass(frozen=True)
class Intake:
    """The rows that a command read, used and left out.

    Parameters
    ----------
    rows
        By table, source and reason: rows read, rows used, and each reason for the others.
    """

    rows: tuple[IntakeRow, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return the account as a table, with the columns of `schemas.INTAKE`."""
        return pd.DataFrame([vars(row) for row in self.rows], columns=INTAKE.names)

    def to_jsonable(self) -> list[dict[str, object]]:
        """Return the account as JSON-compatible values."""
        return [
            {k: None if v != v else v for k, v in vars(row).items()}  # NaN has no JSON
            for row in self.rows
        ]

    def lines(self) -> list[str]:
        """Return a sentence with an example for each reason that rows were left out.

        Examples
        --------
        >>> row = IntakeRow("reviews", "audit", NO_DECISION, 12, 240.0, "r17")
        >>> Intake((row,)).lines()
        ['12 audit reviews left out: no such decision (e.g. r17)']
        """
        return [
            f"{row.n:,} {_row_noun(row)} left out: {row.reason}"
            + (f" (e.g. {escape_hidden(row.example_id)[:60]})" if row.example_id else "")
            for row in self.rows
            if row.reason not in (READ, USED) and row.n
        ]

    def joined(self, more: Iterable[IntakeRow]) -> "Intake":
        """Return this account with further lines."""
        return replace(self, rows=(*self.rows, *more))


def _row_noun(row: IntakeRow) -> str:
    noun = row.table[:-1] if row.n == 1 else row.table
    return f"{row.source.replace('_', '-')} {noun}" if row.source else noun


def decision_rows(log: Rejections, table: str = "decisions") -> Iterator[IntakeRow]:
    """Account for the decisions of a log.

    Parameters
    ----------
    log
        Its rejected rows.
    table
        The table's name in the account.
    """
    strange = sum(log.actions.values())
    used = log.n_rows - log.n_rejected - log.n_copies
    for reason, n, kind in (
        (READ, log.n_rows, ""),
        (USED, used, ""),
        (NOT_UNDERSTOOD, strange, "action"),
        (REJECTED, log.n_rejected - strange, "rejected"),
        (COPY, log.n_copies, "copy"),
    ):
        if n:
            yield IntakeRow(table, "", reason, n, float("nan"), log.examples.get(kind, ""))


def review_rows(
    history: pd.DataFrame,
    read: TableRead | None,
    rejected_ids: pd.Index,
    excluded: pd.DataFrame | None = None,
) -> Iterator[IntakeRow]:
    """Account for the reviews, by source.

    Parameters
    ----------
    history
        The reviews with their `standing`, from the snapshot.
    read
        From `read_reviews`, where they came from a file.
    rejected_ids
        Ids of the rejected decisions.
    excluded
        Reviews left out because of who gave them; None for none.
    """
    reason = history["standing"].map(_STANDING).fillna(USED)
    golden = (history["source"] == GOLDEN) & (reason == NO_DECISION)
    reason = reason.mask(golden, USED)  # golden answers do not need the log
    lost = (reason == NO_DECISION) & history["decision_id"].isin(rejected_ids)
    parts = [history.assign(reason=reason.mask(lost, REJECTED_DECISION))]
    if read is not None:
        for frame, why in ((read.rejected, REJECTED), (read.copies, COPY)):
            if len(frame):
                source = frame["source"].where(frame["source"].isin(SOURCES), "unreadable")
                parts.append(frame.assign(reason=why, source=source))
    if excluded is not None and len(excluded):
        parts.append(excluded.assign(reason=EXCLUDED))
    names = ["review_id", "source", "inclusion_probability", "reason"]
    every = pd.concat([part[names] for part in parts if len(part)] or [parts[0][names]])
    for source in sorted(every["source"].unique()):
        own = every[every["source"] == source]
        yield _review_row(source, READ, own)
        for why in sorted(own["reason"].unique()):
            yield _review_row(source, why, own[own["reason"] == why])


def excluded_rows(reviews: pd.DataFrame) -> Iterator[IntakeRow]:
    """Account for reviews that were left out because of who gave them, by source.

    Parameters
    ----------
    reviews
        With `source`, `review_id` and `inclusion_probability`.

    Examples
    --------
    >>> reviews = pd.DataFrame({"source": ["golden"], "review_id": "r1", "inclusion_probability": None})
    >>> [(row.source, row.reason, row.n) for row in excluded_rows(reviews)]
    [('golden', 'excluded reviewer', 1)]
    """
    for source in sorted(reviews["source"].unique()):
        yield _review_row(source, EXCLUDED, reviews[reviews["source"] == source])


def _review_row(source: str, reason: str, rows: pd.DataFrame) -> IntakeRow:
    weight = _design_weight(rows) if source == AUDIT else float("nan")
    return IntakeRow("reviews", source, reason, len(rows), weight, _first_id(rows["review_id"]))


def _design_weight(rows: pd.DataFrame) -> float:
    """Sum the readable 1/inclusion probability."""
    probability = rows["inclusion_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    return float(np.nansum(1 / np.where(probability > 0, probability, np.nan)))


def draw_rows(
    draws: pd.DataFrame,
    read: TableRead | None,
    decision_id: "pd.Series[str]",
    moment: pd.Timestamp | None,
) -> Iterator[IntakeRow]:
    """Account for the drawn decisions.

    Parameters
    ----------
    draws
        Every usable row, with the columns of `schemas.DRAWS`.
    read
        From `read_draws`, where they came from a file.
    decision_id
        The log's decision ids.
    moment
        Draws after it are not known yet; None where all are known.

    Examples
    --------
    >>> day = pd.Timestamp("2026-01-02", tz="UTC")
    >>> draws = pd.DataFrame({"decision_id": ["a", "b"], "inclusion_probability": 0.5, "drawn_at": day})
    >>> [(row.reason, row.n) for row in draw_rows(draws, None, pd.Series(["a"]), day)]
    [('read', 2), ('no such decision', 1), ('used', 1)]
    """
    later = np.zeros(len(draws), bool)
    if moment is not None:
        later = (draws["drawn_at"] > moment).to_numpy(bool)
    known = draws["decision_id"].isin(decision_id).to_numpy(bool)
    reason = pd.Series(np.where(later, LATER, np.where(known, USED, NO_DECISION)), draws.index)
    parts = [draws.assign(reason=reason)]
    if read is not None:
        left_out = ((read.rejected, REJECTED), (read.copies, COPY))
        parts += [frame.assign(reason=why) for frame, why in left_out if len(frame)]
    names = ["decision_id", "inclusion_probability", "reason"]
    every = pd.concat([part[names] for part in parts if len(part)] or [parts[0][names]])
    groups = [(READ, every), *every.groupby("reason")]
    for why, own in groups if len(every) else []:
        first = _first_id(own["decision_id"])
        yield IntakeRow("draws", "", str(why), len(own), _design_weight(own), first)


def _first_id(ids: pd.Series) -> str:
    known = ids.dropna()
    return str(known.iloc[0]) if len(known) else ""


def check_lost_sample(
    intake: Intake,
    audit_weight: float,
    lost: LostDraws,
    history: pd.DataFrame,
    decision_id: "pd.Series[str]",
    *,
    max_lost: float,
) -> None:
    """Refuse to estimate where too much of a designed sample was lost.

    Parameters
    ----------
    intake
        The account.
    audit_weight
        Sum of 1/inclusion probability over the usable draws.
    lost
        The lost draws.
    history
        The reviews with their `standing`.
    decision_id
        The log's decision ids.
    max_lost
        Largest share of the sample's weight that may be lost; 1 accepts any.

    Raises
    ------
    Refusal
        With the losses, examples and the likely cause.
    """
    if max_lost >= 1:
        return
    total = audit_weight + float(lost.weight.sum())
    share = float(lost.weight.sum()) / total if total else 0.0
    what = "The audit sample's weight"
    source = AUDIT
    if share <= max_lost:
        share, what, source = _lost_adjudications(history), "The adjudications", ADJUDICATION
    if share <= max_lost:
        return
    rows = [r for r in intake.rows if r.table == "reviews" and r.source == source]
    counts = ", ".join(f"{r.reason} {r.n:,}" for r in rows if r.reason in _LOSSES)
    example = next((r.example_id for r in rows if r.reason in _LOSSES and r.example_id), "none")
    got = f"{share:.1%} lost ({counts}; for example review {escape_hidden(example)[:60]})"
    own = history[(history["source"] == source).to_numpy(bool)]
    cause = _likely_cause(own, decision_id, lost.rejected_ids)
    do = (
        f"{cause} Estimates from the rest would be biased. Fix the cause, or set "
        "estimate.max_lost to 1 if you know that the rest is still a random sample."
    )
    must = f"lose at most {max_lost:.0%} in the join with the decisions (estimate.max_lost)"
    raise Refusal(error_message(what, must, got, do))


def _lost_adjudications(history: pd.DataFrame) -> float:
    own = history.loc[(history["source"] == ADJUDICATION).to_numpy(bool), "standing"]
    lost = own.isin([UNKNOWN_DECISION, BEFORE_DECISION])
    return float(lost.mean()) if len(own) else 0.0


def _likely_cause(
    reviews: pd.DataFrame, decision_id: "pd.Series[str]", rejected_ids: pd.Index
) -> str:
    """Return the most likely cause of the lost reviews, from what they have in common."""
    absent = (reviews["standing"] == UNKNOWN_DECISION).to_numpy(bool)
    of_rejected = absent & reviews["decision_id"].isin(rejected_ids).to_numpy(bool)
    unknown = absent & ~of_rejected
    if of_rejected.sum() > unknown.sum():
        return (
            "Their decisions are in the log, but those rows could not be used: `errdetect validate` "
            "lists the reasons."
        )
    strange = reviews.loc[unknown, "decision_id"].dropna().drop_duplicates()
    if not len(strange):
        early = (reviews["standing"] == BEFORE_DECISION).to_numpy(bool)
        if early.any():
            return (
                "Reviews dated before their decisions usually come from another time zone or clock."
            )
        return "`errdetect validate` lists the rejected rows."
    ids = ", ".join(repr(escape_hidden(str(one))[:40]) for one in strange.head(_EXAMPLES))
    log = ", ".join(repr(escape_hidden(str(one))[:40]) for one in decision_id.head(_EXAMPLES))
    shown = f"Reviews refer to decisions such as {ids}; the log has {log}."
    plain = _normalise_ids(strange)
    matching = float(plain.isin(_normalise_ids(decision_id)).mean())
    if matching > 0.5:
        return f"{shown} {matching:.0%} would match if case, leading zeros and signs were ignored."
    against = (reviews["verdict"] != UPHELD).to_numpy(bool)
    if unknown.any() and (~unknown).any():
        there, gone = float(against[~unknown].mean()), float(against[unknown].mean())
        if gone > max(2 * there, 0.5):
            return (
                f"{shown} {gone:.0%} of the lost reviews overturn their decision, against {there:.0%} "
                "of the others: does a reversed decision get a new id?"
            )
    return (
        f"{shown} Common causes: ids in another case or format, a new id after a reversal, or "
        "reviews of another period than the log's."
    )


def _normalise_ids(ids: "pd.Series[str]") -> "pd.Series[str]":
    """Strip case, signs, leading zeros and a decimal part from ids."""
    text = ids.astype("str").str.lower().str.replace(r"[.,]0+$", "", regex=True)
    return text.str.replace(r"[^a-z0-9]+", "", regex=True).str.replace(
        r"^([a-z]*)0+(?=.)", r"\1", regex=True
    )
