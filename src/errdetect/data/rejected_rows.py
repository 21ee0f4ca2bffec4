"""Rejected decisions: how many, why, what the likely cause is, and when there are too many."""

from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from errdetect.data.action_meanings import unknown_actions_hint
from errdetect.data.row_validation import count_reasons
from errdetect.data.table_reading import TableRead
from errdetect.errors import DataError, error_message
from errdetect.schemas import DECISIONS

__all__ = ["Rejections"]

_NUMBERS = {column.name: column for column in DECISIONS if column.kind == "number"}


@dataclass
class Rejections:
    """The unusable rows of a decision log, over all of its batches.

    Parameters
    ----------
    what
        The table's name for messages.
    n_rows, n_rejected, n_copies
        Rows read, unusable, and left out as equal to an earlier one.
    reasons, actions
        Reason -> unusable rows; action without a meaning -> rows.
    examples
        Kind of loss (`rejected`, `copy`, `action`) -> id of one row.
    example
        One reason in full.
    ranges
        Number column -> least and greatest value among the unusable rows.
    rejected
        What could be read of the unusable rows, as `TableRead.rejected`, batch by batch.
    """

    what: str
    n_rows: int = 0
    n_rejected: int = 0
    n_copies: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    example: str = ""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    rejected: list[pd.DataFrame] = field(default_factory=list)

    def add(self, read: TableRead) -> None:
        """Count a batch.

        Parameters
        ----------
        read
            From `read_decisions`, or one batch of `iter_decisions`.
        """
        self.n_rows += read.n_rows
        self.n_copies += read.n_duplicates
        self.n_rejected += len(read.rejects)
        self._note("copy", read.copies.get("decision_id"))
        if not len(read.rejects):
            return
        strange = read.rejects["reason"].str.contains("action must ", regex=False).to_numpy(bool)
        self._note("action", read.rejects["id"][strange])
        self._note("rejected", read.rejects["id"][~strange])
        self.reasons.update(count_reasons(read.rejects))
        self.actions.update(read.unknown_actions)
        self.example = self.example or str(read.rejects["reason"].iloc[0])
        self.rejected.append(read.rejected)
        for name in _NUMBERS:
            values = read.rejected[name].dropna() if name in read.rejected else pd.Series([])
            if len(values):
                low, high = self.ranges.get(name, (float("inf"), float("-inf")))
                least, most = float(values.min()), float(values.max())
                self.ranges[name] = min(low, least), max(high, most)

    def _note(self, kind: str, ids: "pd.Series[str] | None") -> None:
        known = [] if ids is None else ids.dropna().head(1).tolist()
        if known:
            self.examples.setdefault(kind, str(known[0]))

    @property
    def share(self) -> float:
        """Part of the rows that cannot be used."""
        return self.n_rejected / self.n_rows if self.n_rows else 0.0

    def raise_if_too_many(self, max_rejected: float) -> None:
        """Refuse a table with too many unusable rows.

        Parameters
        ----------
        max_rejected
            Largest share of the rows that may be rejected (`data.max_rejected`).

        Raises
        ------
        DataError
            With the most common reason and its likely cause.

        Examples
        --------
        >>> log = Rejections("The decisions", n_rows=100, n_rejected=30)
        >>> log.reasons.update({"score must lie in [0, 1]": 30})
        >>> log.ranges["score"] = (2.0, 98.7)
        >>> try:
        ...     log.raise_if_too_many(0.05)
        ... except DataError as error:
        ...     print(str(error).split("(30 rows). ")[1])
        Rejected values of score run up to 98.7: a 0 to 100 scale? Repair them, or raise data.max_rejected.
        """
        if self.share <= max_rejected:
            return
        reason, n = self.reasons.most_common(1)[0]
        got = f"{self.n_rejected:,} ({self.share:.1%}); most common reason: {reason} ({n:,} rows)"
        do = f"{self._likely_cause(reason)}Repair them, or raise data.max_rejected."
        words = f"\n{unknown_actions_hint(self.actions)}" if self.actions else ""
        must = f"have at most {max_rejected:.0%} unusable rows of {self.n_rows:,}"
        raise DataError(error_message(self.what, must, got, do) + words)

    def notes(self) -> list[str]:
        """Return notes on what was left out within the tolerance, and its likely cause."""
        if not self.n_rejected:
            return []
        reason, n = self.reasons.most_common(1)[0]
        cause = self._likely_cause(reason).rstrip(". ")
        note = (
            f"{self.what[0].lower()}{self.what[1:]}: {self.n_rejected:,} of {self.n_rows:,} rows "
            f"({self.share:.1%}) cannot be used; most common reason: {reason} ({n:,})"
        )
        notes = [note + (f"; {cause[0].lower()}{cause[1:]}" if cause else "")]
        if self.actions:
            notes.append(unknown_actions_hint(self.actions))
        return notes

    def _likely_cause(self, reason: str) -> str:
        """Guess why rows were rejected, from their values."""
        name = reason.split(" ")[0]
        if name in self.ranges and _NUMBERS[name].high == 1:
            low, high = self.ranges[name]
            if high > 1:
                scale = "a 0 to 100 scale" if high <= 100 else "another scale, or log-odds"
                return f"Rejected values of {name} run up to {high:g}: {scale}? "
            if low < 0:
                return f"Rejected values of {name} run down to {low:g}: log-odds, or a score from -1 to 1? "
        if "unique" in reason:
            return "Is the log a list of events, with several rows for a decision? "
        return f"For example: {self.example}. " if self.example else ""
