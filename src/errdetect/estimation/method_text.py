"""Plain words for people: how each figure was made, how sure it is, what would make it surer."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

__all__ = [
    "INTERVALS",
    "JUDGING",
    "MEASURED_TO_ERR",
    "ONLY_QUEUE_NOTE",
    "QUEUE_NOTE",
    "SUPPRESSED",
    "estimate_sentence",
    "estimate_sentences",
    "method_text",
]

#: What the sample was, where it was not the audit alone.
QUEUE_NOTE = "; the review queue counts as a second sample"
ONLY_QUEUE_NOTE = "; the sample is the review queue: about the decisions that were scored"

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
    "flags_waiting": "uncorrected: as reviewers judged where no expert has answered, and some of "
    "their flags still wait for one",
    "golden": "reviewers' error put right with golden items",
    "second_look": "reviewers' error put right with a sample of adjudications",
    "adjudicated": "every audited decision settled by an expert",
    "flags_adjudicated": "flags settled by experts; errors that reviewers missed are not in it",
    "flags_adjudicated_golden": "flags settled by experts, misses put right with golden items",
    "flags_adjudicated_second_look": "flags settled by experts, misses put right with a sample "
    "of adjudicated unflagged reviews",
}

#: Ways of judging for which reviewers' error was measured and taken out: bounds that take
#: reviewers at their word are then no limits of the truth.
MEASURED_TO_ERR = (
    "golden",
    "second_look",
    "flags_adjudicated_golden",
    "flags_adjudicated_second_look",
)

#: Why there is no figure.
SUPPRESSED = {
    "no_decisions": "there are no such decisions",
    "no_sample": "no decision of this kind was audited",
    "too_few_reviews": "too few audited decisions to say",
    "reviews_lost": "too many of its audit reviews could not be used (estimate.max_lost)",
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


#: What each measure is a share of, and of what kind.
MEANINGS = {
    "error_rate": ("all automated decisions", "wrong, in their action or their label"),
    "wrongful_rate": ("enforced decisions", "wrong: the content should have stayed"),
    "missed_rate": ("allowed decisions", "wrong: a violation was missed"),
    "precision": ("enforced decisions", "right"),
    "recall": ("all violations", "enforced"),
    "accuracy": ("all automated decisions", "right"),
}

#: What would make a figure surer, by whose word stands.
SURER = {
    "as_judged": "have experts settle every decision that a reviewer calls wrong, or give "
    "reviewers golden items, so that reviewers' own errors can be taken out",
    "flags_waiting": "let experts settle the flags that still wait for them",
    "golden": "have experts settle every decision that a reviewer calls wrong: what golden items "
    "leave open about false alarms is most of the doubt",
    "second_look": "have experts settle every decision that a reviewer calls wrong",
    "flags_adjudicated": "give reviewers golden items, or let experts look at a sample of what "
    "reviewers passed, so that missed errors can be counted",
}


def estimate_sentence(
    row: Mapping[str, object], *, where: str = "", confidence: float = 0.95
) -> str:
    """Say one figure to people: what it is, how sure, and what would make it surer.

    Parameters
    ----------
    row
        One row of `schemas.ESTIMATES`; with `period_from` and `period_to` the sentence names them.
    where
        The segment, for people; empty for the whole.
    confidence
        Nominal coverage of the interval.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"measure": "precision", "estimate": 0.9, "low": 0.84, "high": 0.945,
    ...        "n_reviews": 200, "n_decisions": 20000, "proxy": 0.98, "suppressed": False,
    ...        "method": "score_t+adjudicated: weighted audit"}
    >>> print(estimate_sentence(row, where="market DE"))
    In market DE, 90.0 % of enforced decisions are right, between 84.0 % and 94.5 % with 95 % confidence, \
from 200 audited of 20,000. Counting what was not successfully appealed as right would claim \
98.0 %, outside of that interval. To be surer: four times as many audited decisions would about \
halve the interval.
    """
    whole, kind = MEANINGS[str(row["measure"])]
    code = str(row["method"]).split(":", 1)[0]
    place = (f"In {where}" if where else "Overall") + _period_text(row) + ", "
    audited = f"{_format_count(row['n_reviews'])} audited of {_format_count(row['n_decisions'])}"
    if row["suppressed"]:
        why = SUPPRESSED.get(code, "the method would not hold")
        return (
            f"{place}nobody can say what share of {whole} is {_short_label(kind)}: {why} "
            f"({audited}). To be able to say: {_suppression_remedy(code)}."
        )
    rate, low, high = (_as_float(row[name]) for name in ("estimate", "low", "high"))
    text = (
        f"{place}{_format_percent(rate)} of {whole} are {kind}, between {_format_percent(low)} and "
        f"{_format_percent(high)} with {confidence:.0%} confidence, from {audited}."
    ).replace("% confidence", " % confidence")
    judging = code.partition("+")[2]
    if judging in ("as_judged", "flags_adjudicated", "flags_waiting"):
        text += f" This is {JUDGING[judging]}."
    proxy = _as_float(row.get("proxy"))
    if not math.isnan(proxy):
        text += _proxy_text(proxy, str(row["measure"]), low, high)
    more = "four times as many audited decisions would about halve the interval"
    surer = "nothing: every decision was audited" if code.startswith("census") else more
    return f"{text} To be surer: {SURER.get(judging, surer)}."


def estimate_sentences(
    estimates: pd.DataFrame, *, by: Sequence[str] = (), confidence: float = 0.95
) -> pd.Series:
    """Say every row of an estimates table.

    Parameters
    ----------
    estimates
        As `rates.estimate_rates` returns it.
    by
        Its segment columns.
    confidence
        Nominal coverage of the intervals.

    Returns
    -------
    Series of str, in the rows' order

    Examples
    --------
    >>> row = {"market": "DE", "measure": "recall", "estimate": None, "low": None, "high": None,
    ...        "n_reviews": 0, "n_decisions": 40, "proxy": None, "suppressed": True,
    ...        "method": "no_sample: no decision of this kind was audited"}
    >>> print(estimate_sentences(pd.DataFrame([row]), by=["market"])[0])
    In market DE, nobody can say what share of all violations is enforced: no decision of this kind was \
audited (0 audited of 40). To be able to say: audit some of them.
    """
    said = []
    for row in estimates.to_dict("records"):
        names = [f"{column} {row[column]}" for column in by if not pd.isna(row[column])]
        keyed = {str(name): value for name, value in row.items()}
        said.append(estimate_sentence(keyed, where=", ".join(names), confidence=confidence))
    return pd.Series(said, index=estimates.index, dtype="str")


def _suppression_remedy(code: str) -> str:
    remedies = {
        "no_decisions": "nothing, unless the log leaves such decisions out",
        "no_sample": "audit some of them",
        "too_few_reviews": "audit more of them",
        "not_corrected": SURER["as_judged"],
        "reviewers_at_chance": "retrain the reviewers, or give them more golden items",
        "no_errors_no_hits": "audit more of them",
    }
    return remedies.get(code, "audit more of them")


def _proxy_text(proxy: float, measure: str, low: float, high: float) -> str:
    kind = "right" if measure in ("precision", "accuracy") else "right, and the rest as wrong,"
    place = "inside of" if low <= proxy <= high else "outside of"
    return (
        f" Counting what was not successfully appealed as {kind} would claim {_format_percent(proxy)}, "
        f"{place} that interval."
    )


def _short_label(kind: str) -> str:
    return kind.replace(",", ":").split(":")[0]


def _period_text(row: Mapping[str, object]) -> str:
    """Name the days of the decisions that a figure is about, where the row has them."""
    ends = [
        pd.to_datetime(str(row.get(name)), errors="coerce") for name in ("period_from", "period_to")
    ]
    if any(pd.isna(end) for end in ends):
        return ""
    return f" from {ends[0]:%Y-%m-%d} to {ends[1]:%Y-%m-%d}"


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _format_percent(share: float) -> str:
    digits = 1 if 0.01 <= share <= 0.99 or share in (0.0, 1.0) else 2
    return f"{100 * share:.{digits}f} %"


def _format_count(number: object) -> str:
    return f"{int(str(number)):,}"
