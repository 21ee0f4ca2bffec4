"""Formatting of untrusted text, counts, shares and days; checks and reads of report tables."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from errdetect.errors import DataError, error_message, iter_escaped
from errdetect.schemas import (
    ADJUDICATION,
    APPEAL,
    AUDIT,
    GOLDEN,
    MISSED_VIOLATION,
    RE_REVIEW,
    REPORT,
    WRONG_LABEL,
    WRONGFUL_ACTION,
)

__all__ = [
    "BY_WORDS",
    "ERROR_KIND_WORDS",
    "GLOSSARY",
    "KIND_RATE_WORDS",
    "MEASURE_WORDS",
    "METHOD_WORDS",
    "SOURCE_WORDS",
    "STATE_WORDS",
    "MeasureText",
    "NounForms",
    "clean_text",
    "count_with_noun",
    "finite_or_none",
    "format_count",
    "format_day",
    "format_interval",
    "format_optional_day",
    "format_percent",
    "has_rows",
    "natural_frequencies",
    "require_columns",
    "slug",
    "to_records",
]


_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"

# Direction marks around a quotation, which contain its text direction.
_OPEN, _CLOSE = "\u2068", "\u2069"


def clean_text(value: object, limit: int = 120, missing: str = "not given") -> str:
    r"""Make untrusted text safe to show: one line, no hidden characters, bounded length.

    The template escapes HTML.

    Parameters
    ----------
    value
        The text, or a missing value.
    limit
        The most characters to show.
    missing
        Text for a missing value.

    Returns
    -------
    str
        At most `limit` characters and, where it was cut, an ellipsis.

    Examples
    --------
    >>> clean_text("two\n\nlines")
    'two lines'
    >>> clean_text("x" * 1_000_000, limit=5)
    'xxxxx…'
    >>> clean_text(float("nan"))
    'not given'
    """
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return missing
    whole = str(value)
    head = whole[: 4 * limit]  # a text of 1 MB is not read to the end
    line = " ".join(head.split())
    shown: list[str] = []
    length = 0
    for piece in line if line.isprintable() else iter_escaped(line):
        length += len(piece)
        if length > limit:
            cut = "".join(shown)
            return cut + _CLOSE * (cut.count(_OPEN) - cut.count(_CLOSE)) + "…"
        shown.append(piece)
    text = "".join(shown)
    return text + "…" if len(whole) > len(head) else text or "empty"


def slug(prefix: str, text: str) -> str:
    """Return a page anchor named after untrusted text, in safe characters.

    Parameters
    ----------
    prefix
        Kind of place.
    text
        Text to name it after.

    Returns
    -------
    str
        ASCII letters, digits, hyphens and underscores; where that loses something, a short hash of the
        text keeps two names apart.

    Examples
    --------
    >>> slug("policy", "unsafe_products")
    'policy-unsafe_products'
    >>> slug("policy", "Söldner <b>")
    'policy--s-ldner-b-6e0e8ef8b4'
    """
    plain = re.sub(r"[^a-z0-9_]+", "-", text[:200].lower()).strip("-")[:40].rstrip("-")
    if plain and plain == text:
        return f"{prefix}-{plain}"
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    # No plain name has two hyphens, so no id can be written to look like another's hash.
    return "-".join(part for part in (f"{prefix}-", plain, mark) if part)


def format_count(n: int) -> str:
    """Write a whole number with commas.

    Examples
    --------
    >>> format_count(1234567)
    '1,234,567'
    """
    return f"{n:,}"


def count_with_noun(n: int, one: str, many: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> count_with_noun(1, "policy", "policies"), count_with_noun(0, "policy", "policies")
    ('1 policy', 'no policies')
    """
    return f"{format_count(n) if n else 'no'} {one if n == 1 else many}"


def format_percent(share: float) -> str:
    r"""Write a share of 1 as a percentage; near 0 and near 1 with two decimals.

    Examples
    --------
    >>> format_percent(0.057), format_percent(0.0034), format_percent(0.00001), format_percent(0.0)
    ('5.7\xa0%', '0.34\xa0%', '<\xa00.01\xa0%', '0.0\xa0%')
    """
    if 0 < share < 0.00005:
        return "<\u00a00.01\u00a0%"
    if 0.99995 < share < 1:
        return ">\u00a099.99\u00a0%"
    fine = 0 < share < 0.01 or 0.99 < share < 1
    return f"{100 * share:.{2 if fine else 1}f}\u00a0%"


def format_interval(low: float, high: float) -> str:
    r"""Write an interval of shares.

    Examples
    --------
    >>> format_interval(0.051, 0.063)
    '5.1 to 6.3\xa0%'
    """
    decimals = 2 if high < 0.01 or low > 0.99 else 1
    return f"{100 * low:.{decimals}f} to {100 * high:.{decimals}f}\u00a0%"


def natural_frequencies(shares: Sequence[float]) -> tuple[list[str], str]:
    """Write shares as numbers "of 100", or of more where 100 is too coarse.

    Parameters
    ----------
    shares
        Shares of 1 for one sentence.

    Returns
    -------
    tuple
        The numbers, and their base ("100", "1,000" or "100,000").

    Examples
    --------
    >>> natural_frequencies([0.051, 0.063])
    (['5.1', '6.3'], '100')
    >>> natural_frequencies([0.0004, 0.0021])
    (['0.4', '2.1'], '1,000')
    """
    top = max(shares)
    base = 100 if top >= 0.01 or top == 0 else 1_000 if top >= 0.0005 else 100_000
    ends = {f"{base * s:.1f}" for s in shares}
    decimals = 2 if len(ends) < len(set(shares)) else 1
    return [f"{base * s:.{decimals}f}" for s in shares], format_count(base)


def format_day(moment: date) -> str:
    """Write a day, independent of the locale.

    Examples
    --------
    >>> format_day(date(2025, 3, 9))
    '9 Mar 2025'
    """
    return f"{moment.day} {_MONTHS[3 * moment.month - 3 : 3 * moment.month]} {moment.year}"


def format_optional_day(value: object) -> str:
    """Write the day of a timestamp that may be missing.

    Examples
    --------
    >>> format_optional_day("2025-03-09T10:00:00Z"), format_optional_day(None)
    ('9 Mar 2025', 'not given')
    """
    moment = pd.Timestamp(value) if isinstance(value, str | date) else pd.NaT
    return "not given" if pd.isna(moment) else format_day(moment)


def require_columns(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a table without the columns that the report reads.

    Parameters
    ----------
    frame
        A table of the report.
    columns
        Required columns.
    what
        Name of the table in the message.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> require_columns(pd.DataFrame({"text": ["a"]}), ["text"], "drivers")
    """
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise DataError(
            error_message(
                f"The report's table {what}",
                f"have the columns {', '.join(columns)}",
                f"no {', '.join(missing)}",
                "Fill ReportContent as its docstring says.",
            )
        )


def has_rows(frame: pd.DataFrame | None) -> bool:
    """Return whether the table has rows.

    Examples
    --------
    >>> has_rows(None), has_rows(pd.DataFrame({"a": []})), has_rows(pd.DataFrame({"a": [1]}))
    (False, False, True)
    """
    return frame is not None and len(frame) > 0


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dicts, in the table's order.

    Examples
    --------
    >>> to_records(pd.DataFrame({"n": [1, 2]}))
    [{'n': 1}, {'n': 2}]
    """
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def finite_or_none(value: Any) -> float | None:
    """Read a number that may be missing; non-finite is missing.

    Examples
    --------
    >>> finite_or_none(0.5), finite_or_none(None), finite_or_none(float("nan")), finite_or_none(pd.NA)
    (0.5, None, None, None)
    """
    if value is None or value is pd.NA:
        return None
    read = float(value)
    return read if math.isfinite(read) else None


@dataclass(frozen=True)
class MeasureText:
    """How the report words one measure.

    Parameters
    ----------
    name
        Its short name, for headings and columns.
    question
        The question that it answers.
    of
        Its denominator ("of 100 *decisions*").
    verb
        The predicate ("*are wrong*").
    unsung
        Why appeals cannot answer the question, where they cannot.
    """

    name: str
    question: str
    of: str
    verb: str
    unsung: str = "Appeals have no answer to this question."


_NOT_APPEALED = "Appeals cannot answer this: what was allowed is hardly ever appealed."

MEASURE_WORDS: Mapping[str, MeasureText] = {
    "error_rate": MeasureText(
        "Wrong among all decisions", "How often is a decision wrong?", "decisions", "are wrong"
    ),
    "wrongful_rate": MeasureText(
        "Wrong among enforced decisions",
        "When it acts, how often is that wrong?",
        "enforced decisions",
        "are wrong",
    ),
    "missed_rate": MeasureText(
        "Wrong among allowed decisions",
        "When it allows, how often is that wrong?",
        "allowed decisions",
        "are wrong",
        _NOT_APPEALED,
    ),
    "precision": MeasureText(
        "Right among enforced decisions (precision)",
        "When it acts, how often is it right?",
        "enforced decisions",
        "are right",
    ),
    "recall": MeasureText(
        "Enforced among all violations (recall)",
        "Of all violations, how many does it act on?",
        "violations",
        "are acted on",
        _NOT_APPEALED,
    ),
    "accuracy": MeasureText(
        "Right among all decisions (accuracy)",
        "How often is a decision right?",
        "decisions",
        "are right",
    ),
}


@dataclass(frozen=True)
class NounForms:
    """Singular and plural of what a block of estimates is split by."""

    one: str
    many: str


BY_WORDS: Mapping[str, NounForms] = {
    "policy_id": NounForms("policy", "policies"),
    "market": NounForms("market", "markets"),
    "language": NounForms("language", "languages"),
    "moderator": NounForms("moderator", "moderators"),
}

SOURCE_WORDS: Mapping[str, NounForms] = {
    AUDIT: NounForms("audit review", "audit reviews"),
    APPEAL: NounForms("appeal", "appeals"),
    RE_REVIEW: NounForms("re-review from the queue", "re-reviews from the queue"),
    GOLDEN: NounForms("golden item (tests reviewers)", "golden items (test reviewers)"),
    ADJUDICATION: NounForms("expert adjudication", "expert adjudications"),
    REPORT: NounForms("user report", "user reports"),
}

STATE_WORDS: Mapping[str, str] = {
    "matured": "Known: a verdict is in.",
    "pending": "Open: a review or an appeal may still come in.",
    "censored": "Unknown: the time for reviews passed without one. It does not mean correct.",
}

ERROR_KIND_WORDS: Mapping[str, str] = {
    WRONGFUL_ACTION: "wrongful action",
    MISSED_VIOLATION: "missed violation",
    WRONG_LABEL: "wrong label",
}

#: Kind of error -> name of a finding's or a change's rate: always among all decisions there.
KIND_RATE_WORDS: Mapping[str, str] = {
    "any": "wrong among all decisions",
    WRONGFUL_ACTION: "wrongful actions among all decisions",
    MISSED_VIOLATION: "missed violations among all decisions",
    WRONG_LABEL: "wrong labels among all decisions",
}

METHOD_WORDS: Mapping[str, str] = {
    "model": "This ranking",
    "random": "Picking at random",
    "margin": "The machine’s own uncertainty",
    "segment_rate": "The segment’s past error rate",
}

#: The contract's terms, for the glossary at the end of the report.
GLOSSARY: Mapping[str, str] = {
    "Decision": "One automated verdict of a moderator on one item. It is what is right or wrong.",
    "Moderator": "The automated system that decided: a model or a set of rules, with a version.",
    "Action": "What the decision did: it allowed the item, or it enforced (removed, restricted, "
    "demoted, labelled).",
    "Policy": "The rule that the decision was taken under.",
    "Error": "The decision is wrong. A wrongful action was enforced and should have been allowed. "
    "A missed violation was allowed and should have been enforced. A wrong label is the right "
    "action under the wrong policy.",
    "Wrong among all, enforced, allowed decisions": "Three rates with three denominators. Among all "
    "decisions every kind of error counts, wrong labels too (the error rate). Among enforced decisions "
    "only wrongful actions count, among allowed ones only missed violations.",
    "Review": "One human verdict on one decision.",
    "Audit": "Reviews of a designed sample: every decision had a known probability of being drawn. Only "
    "an audit can show how often the machine errs.",
    "Appeal": "A review that the owner of the item asked for. Appeals come from few of the people "
    "affected, so counting them understates errors.",
    "95 % interval": "The range the data supports. Of 100 intervals made this way, about 95 hold "
    "the true rate, if the audit used the probabilities that it logged. Where the method says “uncorrected”, it is the "
    "rate of what reviewers call wrong. A wide one means few reviews.",
    "If every reviewer is correct": "The least and the greatest rate that the reviews allow, with every "
    "unreviewed decision counted as right, then as wrong. It needs no sample, but it treats "
    "reviewers as correct, so it is left out where they were measured and err.",
    "Successful appeals only": "The rate that you would claim by calling every decision "
    "correct unless an appeal against it succeeded.",
    "Not known yet": "There are too few reviews for a reliable figure. It means "
    "unknown: neither zero nor good.",
    "Precision and recall": "Precision: of the enforced decisions, how many are right. Recall: of "
    "all violations, how many were enforced.",
    "Queue": "The decisions to review first, in order.",
    "Probability of error": "The model’s estimate that this decision is wrong. Of the decisions with "
    "a probability of 60 %, about 60 in 100 should turn out to be wrong, if they are like those that it was "
    "measured on.",
    "Expected harm": "The probability of error times what such an error costs under the policy "
    "catalogue. It sets the order of the queue.",
    "Explore": "Some places in the queue are drawn at random, so that errors which the model does "
    "not suspect are found too.",
    "Associated with error": "Seen together with errors more often than not. It points to where "
    "to look; it does not prove a cause.",
}
