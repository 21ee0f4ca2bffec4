"""validate: all problems of config and data at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from errdetect.config import Config
from errdetect.errors import ConfigError, DataError, Refusal
from errdetect.labels.intake_account import Intake
from errdetect.validation import Issue, check_tables, sort_issues
from errdetect.workflows.decision_explainer import load_reason_templates
from errdetect.workflows.load_data import LoadedData, Progress, check_losses, read_tables
from errdetect.workflows.reviewer_quality import check_reviewers

__all__ = ["ValidateResult", "validate"]


@dataclass(frozen=True)
class ValidateResult:
    """The tables read, and their problems.

    Parameters
    ----------
    n_decisions, n_reviews
        Usable rows.
    findings
        Errors first, then warnings, then information.
    notes
        Conversions, repairs and omissions while reading.
    intake
        Rows read, used and left out.
    """

    n_decisions: int
    n_reviews: int
    findings: Sequence[Issue]
    notes: tuple[str, ...]
    intake: Intake

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
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where a table cannot be read at all.
    """
    loaded = read_tables(config, progress=progress)
    progress("checking the tables against each other")
    snapshot = loaded.snapshot
    findings = check_tables(
        loaded.decisions,
        loaded.reviews,
        snapshot.policies if config.data.policies else None,
        draws=loaded.draws,
    )
    findings = sort_issues([*_config_faults(config), *_loading_faults(config, loaded), *findings])
    notes = (*loaded.notes, *snapshot.intake.lines())
    return ValidateResult(
        len(snapshot.decisions), len(snapshot.reviews), findings, notes, snapshot.intake
    )


def _config_faults(config: Config) -> Iterator[Issue]:
    """Find values and limits that other commands would refuse first."""
    for check in (check_reviewers, load_reason_templates):
        try:
            check(config)
        except ConfigError as error:
            yield from (Issue.of("C001", "error", fault, 1) for fault in error.faults)


def _loading_faults(config: Config, loaded: LoadedData) -> Iterator[Issue]:
    """Find what other commands would refuse: too many rejected rows, a broken join."""
    try:
        loaded.log.raise_if_too_many(config.data.max_rejected)
    except DataError as error:
        yield Issue.of("D020", "error", str(error), loaded.log.n_rejected)
    try:
        check_losses(config, loaded.snapshot)
    except Refusal as error:
        yield Issue.of("R021", "error", str(error), len(loaded.snapshot.lost_draws))
