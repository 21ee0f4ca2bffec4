"""The root cause of a finding: the explanation that the evidence speaks for most."""

from dataclasses import dataclass

from errdetect.findings.root_causes import EVIDENCE, Case, Evidence

__all__ = ["CAUSES", "UNKNOWN_CAUSE", "Cause", "name_cause", "weigh_causes"]

UNKNOWN_CAUSE = "unknown"
#: The causes that are told apart.
CAUSES = (
    "machine_fault",
    "policy_ambiguity",
    "reviewer_inconsistency",
    "change_in_time",
    "threshold",
    "account_cluster",
    UNKNOWN_CAUSE,
)
_ENOUGH = 0.4
_CLEAR = 0.2


@dataclass(frozen=True)
class Cause:
    """The likeliest cause of a finding.

    Parameters
    ----------
    cause
        One of `CAUSES`.
    words
        Its evidence in one sentence.
    runner_up
        The next likely cause, or None where nothing else speaks for another.
    sure
        `clear` or `likely`, by the distance to the runner-up; `open` where nothing is told.
    evidence
        All that was weighed, strongest first.
    """

    cause: str
    words: str
    runner_up: str | None
    sure: str
    evidence: tuple[Evidence, ...]


def name_cause(case: Case) -> Cause:
    """Weigh what speaks for each cause of a slice and name the strongest.

    Parameters
    ----------
    case
        The slice with all that may tell its cause.

    Returns
    -------
    Cause
        `unknown` where nothing speaks strongly enough.
    """
    return weigh_causes([weigh(case) for weigh in EVIDENCE])


def weigh_causes(evidence: list[Evidence]) -> Cause:
    """Name the cause with the strongest evidence; equal ones by their order.

    Examples
    --------
    >>> told = weigh_causes([Evidence("threshold", 0.9, "The bar is low.", {}),
    ...                      Evidence("machine_fault", 0.4, "People agree.", {})])
    >>> told.cause, told.runner_up, told.sure
    ('threshold', 'machine_fault', 'clear')
    """
    ranked = sorted(evidence, key=lambda e: -e.strength)
    best = ranked[0]
    if best.strength < _ENOUGH:
        words = "What was reviewed there does not tell the cause."
        guess = best.cause if best.strength > 0 else None
        return Cause(UNKNOWN_CAUSE, words, guess, "open", tuple(ranked))
    second = ranked[1] if len(ranked) > 1 and ranked[1].strength > 0 else None
    gap = best.strength - (second.strength if second else 0.0)
    sure = "clear" if gap >= _CLEAR else "likely"
    return Cause(best.cause, best.words, second.cause if second else None, sure, tuple(ranked))
