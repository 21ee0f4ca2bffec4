"""Workflow results as text for people and as plain values for machines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pandas as pd

from errdetect.errors import escape_hidden
from errdetect.estimation.method_text import estimate_sentence

if TYPE_CHECKING:  # a command loads its own workflow only
    from errdetect.workflows.demo import DemoResult
    from errdetect.workflows.estimate import EstimateResult
    from errdetect.workflows.plan_audit import PlanAuditResult
    from errdetect.workflows.report import ReportResult
    from errdetect.workflows.score import ScoreResult
    from errdetect.workflows.simulate import SimulateResult
    from errdetect.workflows.train import TrainResult
    from errdetect.workflows.validate import ValidateResult

    Result = (
        DemoResult
        | EstimateResult
        | PlanAuditResult
        | ReportResult
        | ScoreResult
        | SimulateResult
        | TrainResult
        | ValidateResult
    )

__all__ = ["HasLines", "summary_text"]


@runtime_checkable
class HasLines(Protocol):
    """A result with its own summary lines."""

    def lines(self) -> list[str]:
        """Return the summary lines."""


def summary_text(result: "HasLines | Result") -> str:
    """Return a result as text; hidden characters of content are shown as codes."""
    lines = (
        result.lines()
        if isinstance(result, HasLines)
        else _LINES.get(type(result).__name__, _plain_lines)(result)
    )
    return escape_hidden("\n".join(lines))


def _plain_lines(result: Any) -> list[str]:
    return [*_note_lines(result.notes), *_file_lines(result.files)]


def _simulate_lines(result: "SimulateResult") -> list[str]:
    rate = result.n_errors / result.n_decisions
    counts = (
        f"{result.n_decisions:,} decisions ({rate:.1%} of them wrong), {result.n_reviews:,} reviews"
    )
    return [counts, *_file_lines(result.files)]


def _demo_lines(result: "DemoResult") -> list[str]:
    parts = [*_train_lines(result.trained), "", *_score_lines(result.scored), "", "Open these:"]
    return [*parts, *_file_lines(result.files)]


def _train_lines(result: "TrainResult") -> list[str]:
    table = result.evaluation
    recall = [m for m in table["measure"].unique() if m.startswith("recall_at_")]
    head = [
        "share of all errors found when reviewing",
        *(f"{m.removeprefix('recall_at_')} %" for m in recall),
    ]
    rows = [[*head, "average precision"]]
    for method in table["method"].unique():
        cells = table[table["method"] == method].set_index("measure")
        rows.append([method, *(_rate_text(cells, m) for m in [*recall, "average_precision"])])
    counts = result.counts
    lines = [
        f"A model trained on {counts['fit_decisions'] + counts['tune_decisions']:,} reviewed decisions, "
        f"measured on the {counts['test_decisions']:,} after them ({counts['test_errors']:,} errors):",
        *_aligned_rows(rows),
        *_wrong_label_lines(table),
    ]
    lines += _gate_lines(result)
    return [*lines, *_note_lines(result.notes), f"Runs and models: {result.registry}"]


def _gate_lines(result: "TrainResult") -> list[str]:
    """Say what the gate answered and why, and which model scores now."""
    if result.version is None:
        now = f"; version {result.champion} stays the champion" if result.champion else ""
        return [f"Gate: {result.answer}: {result.why}. Not registered{now}."]
    refitted = "It is refitted on all of them, while the figures above are for the model trained on the earlier ones."
    lines = [f"Gate: validated ({result.why}). Registered as version {result.version}."]
    if result.champion == result.version:
        lines.append(
            f"Version {result.version} is now the champion, which `errdetect score` uses. {refitted}"
        )
    else:
        lines.append(
            f"It waits as challenger; version {result.champion} stays the champion until `errdetect promote`, "
            f"or `errdetect train --promote`. {refitted}"
        )
    return lines


def _wrong_label_lines(table: pd.DataFrame) -> list[str]:
    """Describe how well wrong labels and the correct policy are found, if measured."""
    said = []
    for measure, what in (
        ("wrong_label_average_precision", "Wrong labels among enforcements, average precision"),
        ("suggested_policy_accuracy", "Correct policy suggested for wrong labels"),
    ):
        rows = table[table["measure"] == measure].to_dict("records")
        if rows:
            each = (f"{row['method']} {_interval_text(row)}" for row in rows)
            said.append(f"{what}: {', '.join(each)}.")
    return said


def _score_lines(result: "ScoreResult") -> list[str]:
    return [
        f"Scored {result.n_scored:,} decisions with version {result.model_version}; "
        f"queued {result.n_queued:,} for review; {result.n_rejected:,} rows were unusable.",
        *_note_lines(result.notes),
        *_file_lines(result.files),
    ]


def _validate_lines(result: "ValidateResult") -> list[str]:
    lines = [f"Read {result.n_decisions:,} decisions and {result.n_reviews:,} reviews."]
    lines += _note_lines(result.notes)
    for f in result.findings:
        shown = f" For example: {', '.join(f.examples)}." if f.examples else ""
        lines.append(f"{f.severity:7} {f.code}  {f.message}{shown}")
        if f.advice and f.severity != "info":
            lines.append(f"              Write: {f.advice}")
    errors = sum(f.severity == "error" for f in result.findings)
    warnings = sum(f.severity == "warning" for f in result.findings)
    verdict = "can be used" if result.usable else "needs fixing"
    return [*lines, f"{errors} errors, {warnings} warnings: the data {verdict}."]


def _estimate_lines(result: "EstimateResult") -> list[str]:
    table = result.estimates
    by = list(table.columns[: list(table.columns).index("measure")])
    rows = [[*by, "measure", "estimate", "low", "high", "reviews", "decisions"]]
    for row in table.head(60).to_dict("records"):
        named = ["all" if row[c] is None or row[c] != row[c] else str(row[c]) for c in by]
        figures = [
            f"{row[c]:.4f}" if row[c] == row[c] and row[c] is not None else "-"
            for c in ("estimate", "low", "high")
        ]
        rows.append(
            [
                *named,
                str(row["measure"]),
                *figures,
                f"{row['n_reviews']:,}",
                f"{row['n_decisions']:,}",
            ]
        )
    more = [f"... and {len(table) - 60:,} more rows in the file"] if len(table) > 60 else []
    hidden = int(table["suppressed"].sum())
    said = (
        [
            f"{hidden:,} figures are suppressed (-): too few reviews for a reliable estimate; see `method`."
        ]
        if hidden
        else []
    )
    whole = table[table[by].isna().all(axis=1)] if by else table
    told = [
        estimate_sentence({str(k): v for k, v in row.items()}) for row in whole.to_dict("records")
    ]
    return [*_aligned_rows(rows), *more, *said, "", *told]


def _plan_lines(result: "PlanAuditResult") -> list[str]:
    table = result.expected
    by = list(table.columns[: list(table.columns).index("n_decisions")])
    rows = [
        [
            *by,
            "decisions",
            "reviews",
            "expected rate",
            "half width",
            "best possible",
            "if drawn evenly",
        ]
    ]
    for row in table.head(60).to_dict("records"):
        named = ["all" if row[c] is None or row[c] != row[c] else str(row[c]) for c in by]
        figures = [f"{row[c]:.4f}" for c in ("expected_rate", "half_width", "limit", "uniform")]
        rows.append([*named, f"{row['n_decisions']:,}", f"{row['n_reviews']:,.1f}", *figures])
    more = [f"... and {len(table) - 60:,} more rows in the file"] if len(table) > 60 else []
    cost = result.cost
    golden = (
        f" and {cost.golden:,} golden items, {cost.golden_errors:,} of them errors,"
        if cost.golden
        else ""
    )
    experts = (
        f", and about {cost.adjudications:,} flagged ones for an expert to decide ({cost.expert_hours:,} hours)"
        if cost.adjudications
        else ""
    )
    said = f"{cost.reviews:,} reviews{golden} ({cost.reviewer_hours:,} hours){experts}."
    receipt = result.receipt
    seed, frame, drawn = receipt["seed"], receipt["frame"], receipt["drawn"]
    draw = (
        f"Draw {receipt['draw_id']}: {drawn['n_decisions']:,} of {frame['n_decisions']:,} decisions, "
        f"by {receipt['drawn_by']}, seed {seed['value']} ({seed['source']})."
    )
    return [*_aligned_rows(rows), *more, said, draw]


def _rate_text(cells: pd.DataFrame, measure: str) -> str:
    return _interval_text(cells.loc[measure].to_dict())


def _interval_text(row: Mapping[Any, Any]) -> str:
    if row["value"] != row["value"]:
        return "unknown"
    interval = (
        ""
        if row["low"] != row["low"] or row["low"] == row["high"]
        else f" ({row['low']:.3f} to {row['high']:.3f})"
    )
    return f"{row['value']:.3f}{interval}"


def _aligned_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _note_lines(notes: Iterable[str]) -> list[str]:
    return [f"Note: {note}." if not note.endswith(".") else f"Note: {note}" for note in notes]


def _file_lines(files: Mapping[str, Path]) -> list[str]:
    width = max((len(name) for name in files), default=0)
    return [f"  {name.ljust(width)}  {path}" for name, path in files.items()]


#: What says a result in lines, by its type's name: the types themselves would load every workflow.
_LINES: Mapping[str, Callable[[Any], list[str]]] = {
    "DemoResult": _demo_lines,
    "EstimateResult": lambda result: [*_estimate_lines(result), *_plain_lines(result)],
    "PlanAuditResult": lambda result: [*_plan_lines(result), *_plain_lines(result)],
    "ScoreResult": _score_lines,
    "SimulateResult": _simulate_lines,
    "TrainResult": _train_lines,
    "ValidateResult": _validate_lines,
}
