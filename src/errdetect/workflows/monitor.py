"""monitor: has production changed, and why: one table, one page, an alarm on the audited error."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from errdetect.config import Config
from errdetect.config_schema import MonitorSettings
from errdetect.data.atomic_writing import stage_outputs, write_parquet
from errdetect.errors import ModelError
from errdetect.monitoring.audit_stream import AuditStream, Periods, audit_stream, choose_periods
from errdetect.monitoring.change_causes import ChangeParts, explain_change
from errdetect.monitoring.change_points import named_changes
from errdetect.monitoring.checks import Check, Status, check_table
from errdetect.monitoring.error_evidence import OVERALL, SegmentEvidence, audited_evidence
from errdetect.monitoring.golden_answers import golden_answers
from errdetect.monitoring.input_drift import input_checks
from errdetect.monitoring.monthly_history import monthly_history
from errdetect.monitoring.operations import (
    age_check,
    calibration_check,
    delay_checks,
    estimated_error_check,
    queue_yield_check,
    response_check,
    reviewer_checks,
)
from errdetect.monitoring.prometheus import prometheus_text
from errdetect.report.monitor_page import MonitorContent, render_monitor
from errdetect.schemas import MONITOR, MONITOR_HISTORY
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import latest_scores
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.notify import notify
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.run_description import (
    ResultTables,
    champion_version,
    describe_run,
    open_registry,
)

__all__ = ["MonitorResult", "monitor"]

_NAN = float("nan")


@dataclass(frozen=True)
class MonitorResult(ResultTables):
    """The checks, and the files written.

    Parameters
    ----------
    checks
        Columns of `schemas.MONITOR`.
    cause
        What explains most of the change of the audited error; empty where nothing stands out.
    files
        monitor.parquet, history.parquet, monitor.html, monitor.prom.
    notes
        Further lines: what was notified, and the notes of reading.
    """

    checks: pd.DataFrame
    cause: str
    files: Mapping[str, Path]
    notes: tuple[str, ...]

    @property
    def is_alert(self) -> bool:
        """Whether any check calls an alarm."""
        return bool((self.checks["status"] == "alarm").any())

    @property
    def history(self) -> pd.DataFrame:
        """Audited error by month; see `schemas.MONITOR_HISTORY`."""
        return self.table_or_empty("history", MONITOR_HISTORY)

    def lines(self) -> list[str]:
        """Return the summary lines."""
        counts = self.checks["status"].value_counts()
        words = [f"{int(counts.get(s, 0))} {s}" for s in ("alarm", "warn", "ok", "unknown")]
        lines = [f"{len(self.checks)} checks: {', '.join(words)}"]
        lines += _loud_lines(self.checks)
        if self.cause:
            lines.append(f"What explains most of the change of the audited error: {self.cause}")
        lines += [f"{name}: {path}" for name, path in self.files.items()]
        return [*lines, *self.notes]


def _loud_lines(checks: pd.DataFrame) -> list[str]:
    """Return a line for each alarm and warning, the alarms first."""
    lines = []
    for status in ("alarm", "warn"):
        for row in checks[checks["status"] == status].to_dict("records"):
            value = "" if np.isnan(row["value"]) else f" {row['value']:.4g}"
            limit = "" if np.isnan(row["limit"]) else f" (limit {row['limit']:.4g})"
            note = f": {row['note']}" if row["note"] else ""
            lines.append(f"{status.upper()} {row['check']} {row['segment']}{value}{limit}{note}")
    return lines


def monitor(
    config: Config,
    out: str | Path,
    *,
    send: bool = True,
    progress: Progress = lambda _: None,
) -> MonitorResult:
    """Check production: audited error, early warning, causes, drift, delays, reviewers, ages.

    Parameters
    ----------
    config
        From `load_config`; its section `monitor` sets reference, limits and whom to notify.
    out
        Folder for the outputs: all or none.
    send
        Whether to send an alarm where `monitor.notify` says.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used.
    """
    refuse_own_inputs(config, folder=out)
    loaded = load_snapshot(config, progress=progress, need_reviews=True)
    snapshot = loaded.snapshot.automated.decided
    few = max(config.monitor.min_reviews, config.report.min_group)
    settings = config.monitor.model_copy(update={"min_reviews": few})
    progress("checking the audited error")
    stream = audit_stream(snapshot)
    periods = choose_periods(stream, snapshot.moment, settings)
    checks: list[Check] = []
    parts = None
    if periods is None:
        checks += [Check("audited_error", OVERALL, "unknown", note="no audit answer is known")]
    else:
        parts = _explain(snapshot, stream, periods, settings, config.train.seed)
        checks += _error_checks(snapshot, stream, periods, settings, config.report.min_group)
        checks += _cause_checks(parts)
        progress("checking inputs, queue and reviewers")
        checks += _other_checks(config, snapshot, stream, periods)
    history = monthly_history(snapshot, stream, settings.min_reviews)
    table = check_table(checks)
    cause = "" if parts is None else parts.cause
    page = render_monitor(
        MonitorContent(
            config.report.title or "Monitoring",
            snapshot.moment.to_pydatetime(),
            None if periods is None else (periods.reference_from, periods.reference_to),
            table,
            history,
            cause,
        )
    )
    run = describe_run(
        config, "monitor", {}, decisions=snapshot.decisions, reviews=snapshot.reviews,
        model_version=champion_version(config), intake=loaded.snapshot.intake.to_jsonable(),
    )  # fmt: skip
    progress("writing")
    with stage_outputs(out, run) as stage:
        write_parquet(table, stage / "monitor.parquet", MONITOR)
        write_parquet(history, stage / "history.parquet", MONITOR_HISTORY)
        (stage / "monitor.html").write_text(page, encoding="utf-8")
        (stage / "monitor.prom").write_text(prometheus_text(table), encoding="utf-8")
        files = {path.stem if path.suffix == ".parquet" else path.name: Path(out) / path.name
                 for path in sorted(stage.iterdir())}  # fmt: skip
    result = MonitorResult(table, cause, files, tuple(loaded.notes))
    if not (result.is_alert and send):
        return result
    sent = notify(config, _message(result, snapshot.moment), result.lines())
    return MonitorResult(table, cause, files, (*loaded.notes, *sent))


def _message(result: MonitorResult, moment: pd.Timestamp) -> dict[str, Any]:
    """Return the webhook's body: the alarms, without any person's or content's data."""
    rows = result.checks[result.checks["status"] == "alarm"]
    plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {"as_of": moment.isoformat(), "cause": result.cause, "alarms": plain}


def _explain(
    snapshot: Snapshot, stream: AuditStream, periods: Periods, settings: MonitorSettings, seed: int
) -> ChangeParts | None:
    golden = golden_answers(snapshot, periods)
    shift = golden.shift(settings.min_reviews, settled=stream.settled)
    return explain_change(
        stream,
        snapshot.decisions,
        periods,
        shift,
        min_reviews=settings.min_reviews,
        by=settings.by,
        seed=seed,
    )


def _error_checks(
    snapshot: Snapshot,
    stream: AuditStream,
    periods: Periods,
    settings: MonitorSettings,
    minimum: int,
) -> Iterator[Check]:
    """Yield the audited error and its evidence, overall and by segment; none that rests on few answers."""
    for found in audited_evidence(stream, periods, settings):
        unknown = np.isnan(found.e_value)
        status: Status = "unknown" if unknown else "alarm" if found.risen else "ok"
        note = _risen_note(snapshot, found) if found.risen else f"{found.n} answers"
        if unknown:
            note = "too few answers in the reference, or none since"
        if found.segment == OVERALL and stream.n_open:
            note += f"; {stream.n_open} flagged draws wait for an expert"
        known = found.reference.n >= settings.min_reviews
        yield Check(
            "audited_error", found.segment, status, found.rate, found.low, found.high,
            found.limit, found.reference.rate if known else _NAN, note,
        )  # fmt: skip
        yield Check(
            "error_evidence", found.segment, status,
            found.e_value if found.n_watched >= minimum else _NAN,
            limit=_NAN if unknown else found.needed,
            note="e-value of a rise; its limit holds however often one looks",
        )  # fmt: skip


def _risen_note(snapshot: Snapshot, found: SegmentEvidence) -> str:
    """Say since when, about when the rate rose, and what else changed then."""
    assert found.since is not None
    assert found.changed is not None
    near = named_changes(snapshot.decisions, snapshot.policies, found.changed, found.segment)
    text = f"enough evidence since {found.since:%Y-%m-%d}; rose about {found.changed:%Y-%m-%d}"
    return f"{text}; near it: {', '.join(near)}" if near else text


def _cause_checks(parts: ChangeParts | None) -> Iterator[Check]:
    """Yield the parts of the change of the audited error."""
    if parts is None:
        yield Check("change", "total", "unknown", note="too few answers in a period")
        return
    for part in (parts.total, *parts.parts):
        known = part.value == part.value
        main = parts.cause == part.name or (part.name == "rest" and "=" in parts.cause)
        note = "explains most of the change" if main else ""
        if main and "=" in parts.cause:
            note += f": {parts.cause}"
        if not known:
            note = (
                "no golden answers in both periods"
                if part.name == "reviewers"
                else "not in the log"
            )
        yield Check(
            "change", part.name, "ok" if known else "unknown", part.value, part.low, part.high,
            note=note,
        )  # fmt: skip


def _other_checks(
    config: Config, snapshot: Snapshot, stream: AuditStream, periods: Periods
) -> Sequence[Check]:
    """Return every check but the audited error's."""
    settings, decisions = config.monitor, snapshot.decisions
    scores = latest_scores(config)
    known = pd.DataFrame({"decision_id": [], "p_error": []}) if scores is None else scores
    p_error = known.dropna(subset="p_error").set_index("decision_id")["p_error"].astype(float)
    golden = golden_answers(snapshot, periods)
    return [
        estimated_error_check(decisions, p_error, periods, settings),
        calibration_check(stream, decisions, p_error, periods, settings),
        queue_yield_check(snapshot.current_reviews, scores, periods, settings),
        *delay_checks(snapshot, stream, periods, settings),
        response_check(snapshot.draws, snapshot.current_reviews, periods, settings),
        *reviewer_checks(snapshot, golden, periods, settings),
        age_check("model_age", _trained_at(config), periods, settings.model_days),
        age_check("state_age", _state_kept_at(config), periods, settings.state_days),
        *input_checks(decisions, periods, settings),
    ]


def _trained_at(config: Config) -> datetime | None:
    """Return when the champion was trained; None without one that can be read."""
    try:
        found = open_registry(config).find()
    except ModelError:
        return None
    text = None if found is None else found[0].about.get("trained_at")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _state_kept_at(config: Config) -> datetime | None:
    """Return when scoring last kept the log; None where it keeps none."""
    folder = config.path(config.state.folder)
    if not config.state.keep or not folder.is_dir():
        return None
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return datetime.fromtimestamp(max(times), UTC) if times else None
