"""The tables' columns and allowed values; other systems depend on them.

Every input and output table is defined here and nowhere else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

__all__ = [
    "ADJUDICATION",
    "APPEAL",
    "AUDIT",
    "CORRECT",
    "DECISIONS",
    "DRAWS",
    "ERROR",
    "ERROR_KINDS",
    "ESTIMATES",
    "EXPLANATIONS",
    "FINDINGS",
    "GOLDEN",
    "INTAKE",
    "LABELS",
    "LABEL_STUDIO_IDS",
    "LEVELS",
    "MEASURES",
    "MISSED_VIOLATION",
    "MONITOR",
    "MONITOR_HISTORY",
    "OVERTURNED",
    "PLAN",
    "QUEUE",
    "REJECTS",
    "RELABELLED",
    "RENAMED_COLUMNS",
    "RENAMED_MEASURES",
    "REPORT",
    "RESPONSE",
    "REVIEWS",
    "RE_REVIEW",
    "SCORES",
    "SHADOW_SCORES",
    "SLICES",
    "SOURCES",
    "STATES",
    "THRESHOLDS",
    "UNKNOWN",
    "UPHELD",
    "VERDICTS",
    "WHITELIST",
    "WRONGFUL_ACTION",
    "WRONG_LABEL",
    "ColumnSpec",
    "Kind",
    "hash_columns",
]

AUDIT, APPEAL, RE_REVIEW, GOLDEN = "audit", "appeal", "re_review", "golden"
ADJUDICATION, REPORT = "adjudication", "report"
SOURCES = (AUDIT, APPEAL, RE_REVIEW, GOLDEN, ADJUDICATION, REPORT)

UPHELD, OVERTURNED, RELABELLED = "upheld", "overturned", "relabelled"
VERDICTS = (UPHELD, OVERTURNED, RELABELLED)

WRONGFUL_ACTION, MISSED_VIOLATION = "wrongful_action", "missed_violation"
WRONG_LABEL = "wrong_label"
ERROR_KINDS = (WRONGFUL_ACTION, MISSED_VIOLATION, WRONG_LABEL)

ERROR, CORRECT, UNKNOWN = "error", "correct", "unknown"
STATES = ("pending", "matured", "censored")

MEASURES = ("error_rate", "wrongful_rate", "missed_rate", "precision", "recall", "accuracy")

Kind = Literal["string", "timestamp", "number"]


@dataclass(frozen=True)
class ColumnSpec:
    """One column of an input table.

    Parameters
    ----------
    name
        The contract's name.
    kind
        Type of its values: text, a UTC timestamp, or a float64.
    required
        Whether every table must have the column, and every row a value.
    low, high
        Inclusive limits of a number; `low_open` excludes the lower limit itself.
    choices
        The only values allowed, if limited.
    """

    name: str
    kind: Kind = "string"
    required: bool = False
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    choices: tuple[str, ...] = ()


#: A decision: one automated verdict of a moderator on one item. Other columns are features.
DECISIONS = (
    ColumnSpec("decision_id", required=True),
    ColumnSpec("decided_at", "timestamp", required=True),
    ColumnSpec("item_id", required=True),
    ColumnSpec("account_id"),
    ColumnSpec("policy_id", required=True),
    ColumnSpec("action", required=True),
    ColumnSpec("moderator"),
    ColumnSpec("moderator_version"),
    ColumnSpec("score", "number", low=0, high=1),
    ColumnSpec("threshold", "number", low=0, high=1),
    ColumnSpec("market"),
    ColumnSpec("language"),
    ColumnSpec("category"),
    ColumnSpec("item_type"),
    ColumnSpec("exposure", "number", low=0),
    ColumnSpec("text"),
)

#: A review: one human verdict on one decision.
REVIEWS = (
    ColumnSpec("review_id", required=True),
    ColumnSpec("decision_id", required=True),
    ColumnSpec("reviewed_at", "timestamp", required=True),
    ColumnSpec("source", required=True, choices=SOURCES),
    ColumnSpec("verdict", required=True, choices=VERDICTS),
    ColumnSpec("correct_policy_id"),
    ColumnSpec("reviewer_id"),
    ColumnSpec("site"),
    ColumnSpec("inclusion_probability", "number", low=0, high=1, low_open=True),
    ColumnSpec("expected", choices=VERDICTS),
    ColumnSpec("minutes", "number", low=0, low_open=True),
    ColumnSpec("updated_at", "timestamp"),
)

#: A draw: one decision that an audit's design drew, reviewed or not.
DRAWS = (
    ColumnSpec("draw_id", required=True),
    ColumnSpec("decision_id", required=True),
    ColumnSpec("inclusion_probability", "number", required=True, low=0, high=1, low_open=True),
    ColumnSpec("drawn_at", "timestamp", required=True),
    ColumnSpec("due_at", "timestamp"),
)

#: Appeals that still wait for an answer, as a platform's case tool exports them.
OPEN_APPEALS = (
    ColumnSpec("decision_id", required=True),
    ColumnSpec("filed_at", "timestamp", required=True),
    ColumnSpec("due_at", "timestamp"),
)

#: Prefix of the review ids of Label Studio's annotations.
LABEL_STUDIO_IDS = "label-studio-"

_time = pa.timestamp("us", tz="UTC")
_reason = pa.struct([("code", pa.string()), ("text", pa.string()), ("contribution", pa.float64())])

#: The factors of a review's value: p_error x harm x exposure_weight x p_overturn x age_weight / minutes.
_terms = [
    ("harm", pa.float64()),
    ("exposure_weight", pa.float64()),
    ("p_overturn", pa.float64()),
    ("age_weight", pa.float64()),
    ("minutes", pa.float64()),
    ("value", pa.float64()),
]

SCORES = pa.schema(
    [
        ("decision_id", pa.string()),
        ("p_error", pa.float64()),
        ("expected_harm", pa.float64()),
        ("inclusion_probability", pa.float64()),
        ("model_version", pa.string()),
        ("suggested_policy_id", pa.string()),
        ("error_kind", pa.string()),
        *_terms,
        ("job_id", pa.string()),
        ("arm", pa.string()),
        ("pool", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", _time),
    ]
)

QUEUE = pa.schema(
    [
        ("decision_id", pa.string()),
        ("rank", pa.int64()),
        ("p_error", pa.float64()),
        ("error_kind", pa.string()),
        ("expected_harm", pa.float64()),
        ("arm", pa.string()),
        ("inclusion_probability", pa.float64()),
        ("pool", pa.string()),
        ("reasons", pa.list_(_reason)),
        ("policy_id", pa.string()),
        ("suggested_policy_id", pa.string()),
        ("model_version", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", _time),
        *_terms,
        ("job_id", pa.string()),
        ("covers", pa.int64()),
    ]
)

#: Details of the queue's reasons: `base`, the reasons, `against` and `rest` (what is not shown) add
#: up to `log_odds`.
EXPLANATIONS = pa.schema(
    [
        ("decision_id", pa.string()),
        ("base", pa.float64()),
        ("log_odds", pa.float64()),
        ("against", pa.list_(_reason)),
        ("rest", pa.float64()),
        ("contrast_id", pa.string()),
        ("contrast", pa.string()),
    ]
)

LABELS = pa.schema(
    [
        ("decision_id", pa.string()),
        ("label", pa.string()),
        ("error_kind", pa.string()),
        ("p_label", pa.float64()),
        ("state", pa.string()),
        ("n_reviews", pa.int64()),
        ("sources", pa.list_(pa.string())),
        ("known_at", _time),
    ]
)

#: The measures' columns; the `--by` columns come before them.
ESTIMATES = pa.schema(
    [
        ("measure", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n_reviews", pa.int64()),
        ("n_decisions", pa.int64()),
        ("method", pa.string()),
        ("proxy", pa.float64()),
        ("bound_low", pa.float64()),
        ("bound_high", pa.float64()),
        ("suppressed", pa.bool_()),
        ("period_from", _time),
        ("period_to", _time),
        ("response", pa.float64()),
    ]
)

#: The checks of `monitor`: a figure of the latest days, its limit, and a status.
MONITOR = pa.schema(
    [
        ("check", pa.string()),
        ("segment", pa.string()),
        ("status", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("limit", pa.float64()),
        ("reference", pa.float64()),
        ("note", pa.string()),
    ]
)

#: Audited error by month.
MONITOR_HISTORY = pa.schema(
    [
        ("period_start", _time),
        ("measure", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n_reviews", pa.int64()),
        ("n_decisions", pa.int64()),
        ("suppressed", pa.bool_()),
    ]
)

#: How many of an audit's draws were reviewed, by week and by columns.
RESPONSE = pa.schema(
    [
        ("column", pa.string()),
        ("value", pa.string()),
        ("n_drawn", pa.int64()),
        ("n_answered", pa.int64()),
        ("response", pa.float64()),
    ]
)

#: Remediations: the plan, one row per step.
PLAN = pa.schema(
    [
        ("remediation_id", pa.string()),
        ("decision_id", pa.string()),
        ("kind", pa.string()),
        ("account_id", pa.string()),
        ("policy_id", pa.string()),
        ("reason", pa.string()),
        ("evidence", pa.string()),
        ("expires_at", _time),
        ("status", pa.string()),
        ("review_ids", pa.list_(pa.string())),
        ("correct_policy_id", pa.string()),
    ]
)

REJECTS = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),
        ("id", pa.string()),
        ("reason", pa.string()),
    ]
)

#: How far the level of P(error) has moved since the training, by side and by moderator and side.
LEVELS = pa.schema(
    [
        ("segment", pa.string()),
        ("n_reviews", pa.int64()),
        ("trained", pa.float64()),
        ("observed", pa.float64()),
        ("shift", pa.float64()),
        ("moved", pa.bool_()),
    ]
)

#: Scores of a model beside the champion.
SHADOW_SCORES = pa.schema(
    [("decision_id", pa.string()), ("p_error", pa.float64()), ("model_version", pa.string())]
)

_condition = pa.struct([("column", pa.string()), ("op", pa.string()), ("value", pa.string())])
_figures = [
    ("n", pa.int64()),
    ("n_reviews", pa.int64()),
    ("n_accounts", pa.int64()),
    ("error_rate", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("base_rate", pa.float64()),
    ("q_value", pa.float64()),
    ("confirmed", pa.bool_()),
    ("harm_saved", pa.float64()),
    ("harm_saved_low", pa.float64()),
    ("harm_saved_high", pa.float64()),
]
_rule = [
    ("rule", pa.string()),
    ("conditions", pa.list_(_condition)),
    ("error_kind", pa.string()),
]

#: Rules under which a policy has more errors than elsewhere; condition values are text.
SLICES = pa.schema([("policy_id", pa.string()), *_rule, *_figures, ("finding_id", pa.string())])

FINDINGS = pa.schema(
    [
        ("finding_id", pa.string()),
        ("policy_id", pa.string()),
        ("kind", pa.string()),
        *_rule,
        *_figures,
        ("cause", pa.string()),
        ("cause_text", pa.string()),
        ("runner_up", pa.string()),
        ("confidence", pa.string()),
        ("account_ids", pa.list_(pa.string())),
    ]
)

_limits = [
    (f"{measure}{end}", pa.float64())
    for measure in ("wrongful", "missed", "harm")
    for end in ("", "_low", "_high")
]

#: The effect of other thresholds; empty where no reviewed scores support an estimate.
THRESHOLDS = pa.schema(
    [
        ("policy_id", pa.string()),
        ("moderator", pa.string()),
        ("market", pa.string()),
        ("threshold", pa.float64()),
        ("current", pa.bool_()),
        *_limits,
        ("n_enforced", pa.int64()),
        ("n_near_threshold", pa.int64()),
        ("supported", pa.bool_()),
        ("recommended", pa.bool_()),
    ]
)

WHITELIST = pa.schema(
    [
        ("account_id", pa.string()),
        ("policy_id", pa.string()),
        ("n", pa.int64()),
        ("wrongful_rate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("q_value", pa.float64()),
        ("evidence", pa.string()),
    ]
)

#: What a command read, used and left out, by reason.
INTAKE = pa.schema(
    [
        ("table", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("n", pa.int64()),
        ("weight", pa.float64()),
        ("example_id", pa.string()),
    ]
)

_terms_renamed = {"p_overturn": "p_reverse"}
_calibration_renamed = {"predicted": "said", "observed": "seen"}

#: Table -> new name -> old name of its columns. Files have both for one release; code knows the new
#: ones only.
RENAMED_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "scores": _terms_renamed,
    "queue": _terms_renamed,
    "explanations": {"log_odds": "served"},
    "queue_head": {"log_odds": "served"},
    "cases": {"log_odds": "served"},
    "plan": {"correct_policy_id": "right_policy_id"},
    "findings": {"cause_text": "cause_words", "confidence": "sure"},
    "thresholds": {"n_near_threshold": "load"},
    "reliability": _calibration_renamed,
    "reliability_by": _calibration_renamed,
}

#: New name -> old name of values in a column `measure`; tables of a model's run have both.
RENAMED_MEASURES: Mapping[str, str] = {"calibration_gap": "said_less_seen"}


def hash_columns(names: Iterable[object]) -> list[str]:
    """Return the columns that hold a hash of the content, in their order: their names end in `hash`.

    Examples
    --------
    >>> hash_columns(["decision_id", "image_hash", "VideoHash", "hashtags"])
    ['image_hash', 'VideoHash']
    """
    return [name for name in map(str, names) if name.lower().endswith("hash")]
