"""One error, warning or fact about the tables, with a stable code."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

__all__ = ["Issue", "Severity", "count_noun", "sort_issues"]

Severity = Literal["error", "warning", "info"]

_GRAVITY: tuple[Severity, ...] = ("error", "warning", "info")
_EXAMPLES = 5


@dataclass(frozen=True)
class Issue:
    """What a check found.

    Parameters
    ----------
    code
        Stable: `C...` for the config, `D...` for decisions, `R...` for reviews, `A...` for audit
        draws, `P...` for policies.
    severity
        `error`: rows or estimates are lost until it is fixed; `warning`: check it; `info`.
    table
        `config`, `decisions`, `reviews`, `draws` or `policies`.
    message
        A plain sentence.
    count
        Number of rows, columns or policies affected.
    examples
        Up to five of their ids or names.
    """

    code: str
    severity: Severity
    table: str
    message: str
    count: int
    examples: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        code: str,
        severity: Severity,
        message: str,
        count: int,
        examples: Iterable[object] = (),
    ) -> Self:
        """Build an issue; its table follows from the code, and five examples are kept.

        Examples
        --------
        >>> Issue.of("D013", "info", "One value only.", 1, ["country"]).table
        'decisions'
        """
        tables = {"C": "config", "D": "decisions", "R": "reviews", "A": "draws", "P": "policies"}
        table = tables[code[0]]
        few = tuple(str(example) for example, _ in zip(examples, range(_EXAMPLES), strict=False))
        return cls(code, severity, table, message, count, few)


def sort_issues(findings: Iterable[Issue]) -> list[Issue]:
    """Sort by severity, then code, then the larger count, then message."""
    return sorted(findings, key=lambda f: (_GRAVITY.index(f.severity), f.code, -f.count, f.message))


def count_noun(n: int, noun: str) -> str:
    """Count a noun.

    Examples
    --------
    >>> count_noun(1, "row"), count_noun(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun if n == 1 else noun + 's'}"
