"""Rejected decisions: how many, why, what the likely cause is, and when there are too many."""

from collections import Counter
from dataclasses import dataclass, field

from errdetect.data.actions import lines_to_add
from errdetect.data.cleaning import count_reasons
from errdetect.data.tables import TableRead
from errdetect.errors import DataError, sentence
from errdetect.schemas import DECISIONS

__all__ = ["Rejections"]

_NUMBERS = {column.name: column for column in DECISIONS if column.kind == "number"}


@dataclass
class Rejections:
    """What could not be used of one table, over all of its batches.

    Parameters
    ----------
    what
        The table, for people.
    n_rows
        Rows read.
    rejects
        The unusable ones of each batch, as `TableRead.rejects`.
    """

    what: str
    n_rows: int = 0
    n_rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    example: str = ""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, read: TableRead) -> None:
        """Count a batch.

        Parameters
        ----------
        read
            From `read_decisions`, or one batch of `iter_decisions`.
        """
        self.n_rows += read.n_rows
        if not len(read.rejects):
            return
        self.n_rejected += len(read.rejects)
        self.reasons.update(count_reasons(read.rejects))
        self.actions.update(read.unknown_actions)
        self.example = self.example or str(read.rejects["reason"].iloc[0])
        for name in _NUMBERS:
            if name in read.rejected:
                values = read.rejected[name].dropna()
                if len(values):
                    low, high = self.ranges.get(name, (float("inf"), float("-inf")))
                    least, most = float(values.min()), float(values.max())
                    self.ranges[name] = min(low, least), max(high, most)

    @property
    def share(self) -> float:
        """Part of the rows that cannot be used."""
        return self.n_rejected / self.n_rows if self.n_rows else 0.0

    def refuse(self, max_rejected: float) -> None:
        """Refuse a table of which too much cannot be used.

        Parameters
        ----------
        max_rejected
            Largest share of the rows that may be rejected (`data.max_rejected`).

        Raises
        ------
        DataError
            With the commonest reason and its likely cause.

        Examples
        --------
        >>> log = Rejections("The decisions", n_rows=100, n_rejected=30)
        >>> log.reasons.update({"score must lie in [0, 1]": 30})
        >>> log.ranges["score"] = (2.0, 98.7)
        >>> try:
        ...     log.refuse(0.05)
        ... except DataError as error:
        ...     print(str(error).split("(30 rows). ")[1])
        Rejected values of score run up to 98.7: a 0 to 100 scale? Repair them, or raise data.max_rejected.
        """
        if self.share <= max_rejected:
            return
        reason, n = self.reasons.most_common(1)[0]
        got = (
            f"{self.n_rejected:,} ({self.share:.1%}) that are not; commonest reason: {reason} "
            f"({n:,} rows)"
        )
        do = f"{self._cause(reason)}Repair them, or raise data.max_rejected."
        words = f"\n{lines_to_add(self.actions)}" if self.actions else ""
        must = f"be usable but for {max_rejected:.0%} of {self.n_rows:,} rows"
        raise DataError(sentence(self.what, must, got, do) + words)

    def notes(self) -> list[str]:
        """Say what was left out within the tolerance, and its likely cause."""
        if not self.n_rejected:
            return []
        reason, n = self.reasons.most_common(1)[0]
        cause = self._cause(reason).rstrip(". ")
        note = (
            f"{self.what[0].lower()}{self.what[1:]}: {self.n_rejected:,} of {self.n_rows:,} rows "
            f"({self.share:.1%}) cannot be used; commonest reason: {reason} ({n:,})"
        )
        notes = [note + (f"; {cause[0].lower()}{cause[1:]}" if cause else "")]
        if self.actions:
            notes.append(lines_to_add(self.actions))
        return notes

    def _cause(self, reason: str) -> str:
        """Guess why rows were rejected, from the values that were."""
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
