"""validate: every fault of config and data at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from errdetect.config import Config
from errdetect.data.checks import Finding, check_tables
from errdetect.data.findings import in_order
from errdetect.errors import ConfigError
from errdetect.jobs.explaining import reason_words
from errdetect.jobs.reviewers import check_reviewers
from errdetect.jobs.tables import Progress, load_tables

__all__ = ["ValidateResult", "validate"]


@dataclass(frozen=True)
class ValidateResult:
    """What was read, and what is wrong with it.

    Parameters
    ----------
    n_decisions, n_reviews
        Usable rows.
    findings
        Errors first, then warnings, then what is good to know.
    notes
        What was turned or repaired while reading.
    """

    n_decisions: int
    n_reviews: int
    findings: Sequence[Finding]
    notes: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)


def validate(config: Config, *, progress: Progress = lambda _: None) -> ValidateResult:
    """Check the tables that a config names, each and against each other.

    Parameters
    ----------
    config
        From `load_config`.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where a table cannot be read at all.
    """
    tables = load_tables(config, progress=progress)
    progress("checking the tables against each other")
    findings = check_tables(
        tables.decisions, tables.reviews, tables.policies if config.data.policies else None
    )
    findings = in_order([*_config_faults(config), *findings])
    n_reviews = len(tables.reviews.frame) if tables.reviews else 0
    return ValidateResult(len(tables.decisions.frame), n_reviews, findings, tables.notes)


def _config_faults(config: Config) -> Iterator[Finding]:
    """Find what other commands would refuse first: words and limits that they cannot use."""
    for check in (check_reviewers, reason_words):
        try:
            check(config)
        except ConfigError as error:
            yield from (Finding.of("C001", "error", fault, 1) for fault in error.faults)
