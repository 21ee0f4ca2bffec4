"""Plain words for people: how each figure was made, how sure it is, what would make it surer."""

__all__ = ["INTERVALS", "JUDGING", "SUPPRESSED", "method_text"]

#: How an interval was made.
INTERVALS = {
    "score_el": "weighted audit; score interval united with the empirical likelihood's",
    "score_t": "weighted audit; score interval with few-draws adjustment",
    "korn_graubard": "weighted audit; Korn-Graubard interval, as some inclusion probabilities "
    "are below a fifth of the uniform one",
    "census": "every decision was audited",
    "mover": "from the rates among enforced and among allowed decisions; MOVER interval",
}

#: Whose word stands.
JUDGING = {
    "as_judged": "uncorrected: as reviewers judged, their own errors are still in it",
    "golden": "reviewers' error put right with golden items",
    "second_look": "reviewers' error put right with a sample of adjudications",
    "adjudicated": "every audited decision settled by an expert",
    "flags_adjudicated": "flags settled by experts; errors that reviewers missed are not in it",
    "flags_adjudicated_golden": "flags settled by experts, misses put right with golden items",
    "flags_adjudicated_second_look": "flags settled by experts, misses put right with a sample "
    "of adjudicated unflagged reviews",
}

#: Why there is no figure.
SUPPRESSED = {
    "no_decisions": "there are no such decisions",
    "no_sample": "no decision of this kind was audited",
    "too_few_reviews": "too few audited decisions to say",
    "not_corrected": "correction was required, and there are neither golden items nor "
    "adjudications enough",
    "reviewers_at_chance": "reviewers cannot be told from chance on golden items or adjudications",
    "no_errors_no_hits": "no violation was seen at all, caught or missed",
}


def method_text(interval: str, judging: str, *, model: bool) -> str:
    """Say what the `method` column says: a code, then words.

    Parameters
    ----------
    interval
        A key of `INTERVALS` or of `SUPPRESSED`.
    judging
        A key of `JUDGING`.
    model
        Whether P(error) served as control variate.

    Returns
    -------
    str

    Examples
    --------
    >>> method_text("no_sample", "as_judged", model=True)
    'no_sample: no decision of this kind was audited'
    >>> method_text("census", "adjudicated", model=False)
    'census+adjudicated: every decision was audited; every audited decision settled by an expert'
    """
    if interval in SUPPRESSED:
        return f"{interval}: {SUPPRESSED[interval]}"
    control = "; P(error) as control variate" if model and interval != "census" else ""
    return f"{interval}+{judging}: {INTERVALS[interval]}{control}; {JUDGING[judging]}"
