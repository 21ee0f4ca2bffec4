"""validate: all problems of config and data at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from errdetect.config import Config
from errdetect.data.policy_catalogue import read_policies
from errdetect.data.table_reading import TableRead, read_decisions
from errdetect.errors import ConfigError, DataError, Refusal
from errdetect.labels.intake_account import Intake
from errdetect.validation import Issue, check_tables, sort_issues
from errdetect.workflows.decision_explainer import load_reason_templates
from errdetect.workflows.load_data import (
    LoadedData,
    Progress,
    check_losses,
    load_draws,
    load_reviews,
    read_tables,
)
from errdetect.workflows.reviewer_quality import check_reviewers
from errdetect.workflows.validate_advice import advise, unknown_words

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
        Where the ledger cannot be read. Tables that cannot be read are findings.
    """
    try:
        loaded = read_tables(config, progress=progress)
    except DataError:
        found = sort_issues([*_config_faults(config), *_unreadable_tables(config, progress)])
        if not any(finding.severity == "error" for finding in found):
            raise
        return ValidateResult(0, 0, _advised(found), (), Intake())
    progress("checking the tables against each other")
    snapshot = loaded.snapshot
    findings = check_tables(
        loaded.decisions,
        loaded.reviews,
        snapshot.policies if config.data.policies else None,
        draws=loaded.draws,
    )
    words = (*unknown_words(loaded.reviews, "reviews"), *unknown_words(loaded.draws, "draws"))
    faults = (*_config_faults(config), *_loading_faults(config, loaded))
    findings = _advised(sort_issues([*faults, *words, *findings]))
    notes = (*loaded.notes, *snapshot.intake.lines())
    return ValidateResult(
        len(snapshot.decisions), len(snapshot.reviews), findings, notes, snapshot.intake
    )


def _advised(findings: Sequence[Issue]) -> list[Issue]:
    """Add to each finding the line of config that fixes it."""
    return [replace(finding, advice=advise(finding)) for finding in findings]


def _unreadable_tables(config: Config, progress: Progress) -> Iterator[Issue]:
    """Read each table by itself, so that one that cannot be read does not hide another's faults."""
    data = config.data
    readers: dict[str, Callable[[], TableRead | None]] = {
        "D021": lambda: read_decisions(
            config.data_paths(data.decisions), columns=data.columns, actions=data.actions,
            drop=data.drop, mapping=data.mapping("decisions"),
        ),
        "R023": lambda: load_reviews(config, progress=progress),
        "A012": lambda: load_draws(config, progress=progress),
    }  # fmt: skip
    for code, read in readers.items():
        try:
            table = read()
        except DataError as error:
            yield Issue.of(code, "error", str(error), 1)
            continue
        if code == "D021" and table is not None:
            own = check_tables(table)
            yield from (finding for finding in own if finding.table == "decisions")
        elif table is not None:
            yield from unknown_words(table, "reviews" if code == "R023" else "draws")
    if data.policies:
        try:
            read_policies(config.data_paths(data.policies)[0])
        except DataError as error:
            yield Issue.of("P004", "error", str(error), 1)


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
