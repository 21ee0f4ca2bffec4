"""Sentences on each estimate: its method, its interval, and what would narrow it."""

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

#: The sample, where it is not the audit alone.
QUEUE_NOTE = "; the review queue counts as a second sample"
ONLY_QUEUE_NOTE = "; the sample is the review queue: the estimate covers the scored decisions"

#: Interval methods.
INTERVALS = {
    "score_el": "weighted audit; score interval united with the empirical likelihood's",
    "score_t": "weighted audit; score interval with few-draws adjustment",
    "score_shared": "weighted audit; score interval with few-draws adjustment, narrowed by the rates "
    "of the other groups",
    "korn_graubard": "weighted audit; Korn-Graubard interval, as some inclusion probabilities "
    "are below a fifth of the uniform one",
    "clusters": "weighted audit; interval by clusters that were drawn in full",
    "census": "every decision was audited",
    "mover": "from the rates among enforced and among allowed decisions; MOVER interval",
}

#: Which verdicts are used.
JUDGING = {
    "as_judged": "uncorrected: reviewers' verdicts as they are, including reviewer errors",
    "flags_waiting": "uncorrected: reviewers' verdicts where no expert has decided; some flags "
    "still await an expert",
    "golden": "corrected for reviewer error using golden items",
    "second_look": "corrected for reviewer error using a sample of adjudications",
    "adjudicated": "every audited decision settled by an expert",
    "flags_adjudicated": "flags settled by experts; errors that reviewers missed are not included",
    "flags_adjudicated_golden": "flags settled by experts, misses corrected using golden items",
    "flags_adjudicated_second_look": "flags settled by experts, misses corrected using a sample "
    "of adjudicated unflagged reviews",
}

#: Codes with reviewer error measured and corrected: bounds that assume correct reviewers then do
#: not limit the true rate.
MEASURED_TO_ERR = (
    "golden",
    "second_look",
    "flags_adjudicated_golden",
    "flags_adjudicated_second_look",
)

#: Why an estimate is suppressed.
SUPPRESSED = {
    "no_decisions": "there are no such decisions",
    "no_sample": "no decision of this kind was audited",
    "too_few_reviews": "too few audited decisions",
    "reviews_lost": "too many of its audit reviews could not be used (estimate.max_lost)",
    "not_corrected": "correction was required, and there are too few golden items and "
    "adjudications",
    "reviewers_at_chance": "reviewers do no better than chance on golden items or adjudications",
    "no_errors_no_hits": "no violation was found, enforced or missed",
}


def method_text(interval: str, judging: str, *, model: bool, note: str = "") -> str:
    """Return the text of the `method` column: a code, then its description.

    Parameters
    ----------
    interval
        A key of `INTERVALS` or of `SUPPRESSED`.
    judging
        A key of `JUDGING`.
    model
        Whether P(error) served as control variate.
    note
        A further remark on the verdicts; empty for none.

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
    assisted = "; P(error) as control variate" if model and interval != "census" else ""
    more = f"; {note}" if note else ""
    return f"{interval}+{judging}: {INTERVALS[interval]}{assisted}; {JUDGING[judging]}{more}"


#: Denominator and meaning of each measure.
MEANINGS = {
    "error_rate": ("all automated decisions", "wrong, in their action or their label"),
    "wrongful_rate": ("enforced decisions", "wrong: the content should have stayed"),
    "missed_rate": ("allowed decisions", "wrong: a violation was missed"),
    "precision": ("enforced decisions", "right"),
    "recall": ("all violations", "enforced"),
    "accuracy": ("all automated decisions", "right"),
}

#: What would narrow an estimate's interval, by the verdicts used.
SURER = {
    "as_judged": "have experts settle every decision that a reviewer calls wrong, or give "
    "reviewers golden items, so that reviewer errors can be corrected",
    "flags_waiting": "have experts settle the flags that still await them",
    "golden": "have experts settle every decision that a reviewer calls wrong: the false-alarm "
    "rate from golden items is most of the uncertainty",
    "second_look": "have experts settle every decision that a reviewer calls wrong",
    "flags_adjudicated": "give reviewers golden items, or have experts review a sample of what "
    "reviewers passed, so that missed errors can be counted",
}


def estimate_sentence(
    row: Mapping[str, object], *, where: str = "", confidence: float = 0.95
) -> str:
    """Return a sentence on one estimate: its value, its interval, and what would narrow it.

    Parameters
    ----------
    row
        One row of `schemas.ESTIMATES`; with `period_from` and `period_to` the sentence names them.
    where
        The segment, as text; empty for all decisions.
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
from 200 audited of 20,000. Counting decisions without a successful appeal as right would give \
98.0 %, outside of that interval. For a narrower interval: four times as many audited decisions would \
about halve it.
    """
    whole, kind = MEANINGS[str(row["measure"])]
    code = str(row["method"]).split(":", 1)[0]
    place = (f"In {where}" if where else "Overall") + _period_text(row) + ", "
    audited = f"{_format_count(row['n_reviews'])} audited of {_format_count(row['n_decisions'])}"
    if row["suppressed"]:
        why = SUPPRESSED.get(code, "the method is not valid here")
        return (
            f"{place}it is unknown what share of {whole} is {_short_label(kind)}: {why} "
            f"({audited}). To estimate it: {_suppression_remedy(code)}."
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
    more = "four times as many audited decisions would about halve it"
    surer = "nothing: every decision was audited" if code.startswith("census") else more
    return f"{text} For a narrower interval: {SURER.get(judging, surer)}."


def estimate_sentences(
    estimates: pd.DataFrame, *, by: Sequence[str] = (), confidence: float = 0.95
) -> pd.Series:
    """Return a sentence for every row of an estimates table.

    Parameters
    ----------
    estimates
        As `error_rates.estimate_rates` returns it.
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
    In market DE, it is unknown what share of all violations is enforced: no decision of this kind was \
audited (0 audited of 40). To estimate it: audit some of them.
    """
    sentences = []
    for row in estimates.to_dict("records"):
        names = [f"{column} {row[column]}" for column in by if not pd.isna(row[column])]
        keyed = {str(name): value for name, value in row.items()}
        sentences.append(estimate_sentence(keyed, where=", ".join(names), confidence=confidence))
    return pd.Series(sentences, index=estimates.index, dtype="str")


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
        f" Counting decisions without a successful appeal as {kind} would give {_format_percent(proxy)}, "
        f"{place} that interval."
    )


def _short_label(kind: str) -> str:
    return kind.replace(",", ":").split(":")[0]


def _period_text(row: Mapping[str, object]) -> str:
    """Return the estimate's period, where the row has it."""
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
