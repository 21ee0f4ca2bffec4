"""The report's vocabulary: the contract's measures, sources and terms in plain language."""

from collections.abc import Mapping
from dataclasses import dataclass

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
]


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
