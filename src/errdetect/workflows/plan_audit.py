"""plan-audit: what to audit next, with which inclusion probability, and the expected interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_json, write_parquet
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.estimation.audit_plan import (
    USUAL_RATE,
    AuditCost,
    AuditPlan,
    Method,
    ReviewAssumptions,
)
from errdetect.estimation.audit_plan import plan_audit as draw_audit
from errdetect.estimation.misclassification import golden_misclassification, site_shares
from errdetect.labels.intake_account import Intake
from errdetect.ledger.audit_records import AuditDraw
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.ledger.row_conversion import to_utc
from errdetect.schemas import ADJUDICATION, AUDIT, INTAKE
from errdetect.snapshot import Snapshot
from errdetect.workflows.audit_receipt import (
    FRAME_COLUMNS,
    RECEIPT_FILE,
    Seed,
    digest_columns,
    draw_receipt,
    login_name,
    sort_frame,
)
from errdetect.workflows.control_variate import champion_probability, find_champion
from errdetect.workflows.load_data import LoadedData, Progress, load_snapshot
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.run_description import ResultTables, champion_version, describe_run

__all__ = ["PlanAuditResult", "plan_audit"]

_LEAVE_OUT = "leave-out"
_MOST_STRATA = 1_000  # that a receipt describes; frame.parquet has every decision's


@dataclass(frozen=True)
class PlanAuditResult(ResultTables):
    """Plan of the next audit.

    Parameters
    ----------
    expected
        The `by` columns, n_decisions, n_reviews, expected_rate, half_width (of the 95 % interval),
        limit (lower bound for this ranker) and uniform (an audit with equal probabilities).
    cost
        Reviews, adjudications, golden items and hours.
    files
        Files written.
    notes
        Notes for the reader.
    intake
        Rows read, used and left out.
    receipt
        What is in audit.json: what it takes to check the frame and draw again.
    """

    expected: pd.DataFrame
    cost: AuditCost
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    intake: Intake
    receipt: Mapping[str, Any]

    @property
    def audit(self) -> pd.DataFrame:
        """The decisions drawn: decision_id, inclusion_probability, `by` columns, draw."""
        return self.table("audit")

    @property
    def frame(self) -> pd.DataFrame:
        """Every decision that could be drawn, with its inclusion probability and stratum."""
        return self.table("frame")


@dataclass(frozen=True)
class _Request:
    """What was asked for."""

    budget: int | None
    half_width: float | None
    by: tuple[str, ...]
    method: Method
    seed: Seed
    due_at: datetime | None
    drawn_by: str


@dataclass(frozen=True)
class _Stamp:
    """When a draw was made, by when its reviews are due, and by whom it was made."""

    drawn_at: datetime
    due_at: datetime | None
    by: str
    standing: str | None = None  # a note, if the ledger has the draw already

    def to_json(self) -> dict[str, Any]:
        due = None if self.due_at is None else self.due_at.isoformat()
        return {"drawn_at": self.drawn_at.isoformat(), "due_at": due, "drawn_by": self.by}

    def on(self, draws: pd.DataFrame, draw_id: str) -> pd.DataFrame:
        """Return the draws with draw_id, drawn_at and due_at, as `data.draws` needs them."""
        times = {
            name: pd.Series(
                pd.NaT if moment is None else moment, draws.index, "datetime64[us, UTC]"
            )
            for name, moment in (("drawn_at", self.drawn_at), ("due_at", self.due_at))
        }
        return draws.assign(draw_id=draw_id, **times)


@dataclass(frozen=True)
class _Draw:
    """A draw, before anything is written."""

    loaded: LoadedData
    plan: AuditPlan
    tables: Mapping[str, pd.DataFrame]
    receipt: Mapping[str, Any]
    stamp: _Stamp
    notes: tuple[str, ...]


def plan_audit(
    config: Config,
    out: str | Path,
    *,
    budget: int | None = None,
    half_width: float | None = None,
    by: Sequence[str] = (),
    method: Method | None = None,
    seed: int | None = None,
    due_at: datetime | None = None,
    drawn_by: str | None = None,
    drawn_at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> PlanAuditResult:
    """Draw the next audit from the config's decisions, and record the draw.

    Parameters
    ----------
    config
        From `load_config`. `audit.earlier_draws` says whether what earlier draws hold may be drawn
        again, `audit.record` whether the ledger records the draw.
    out
        Folder for audit.parquet (the drawn decisions: decision_id, inclusion_probability, `by`
        columns, draw_id, drawn_at, due_at), frame.parquet (every decision that could be drawn),
        audit.json (the receipt), expected.parquet, intake.parquet and, where decisions were left
        out, left_out.parquet: all or none.
    budget, half_width
        One of the two: reviews to spend, or the target half width of the interval.
    by
        Columns whose combinations are segments.
    method
        `unequal` favours likely errors, above a floor; `neyman` allocates to strata; None
        takes the config's.
    seed
        The same seed draws the same decisions from the same frame; None draws one from the
        operating system, so that nobody can choose it.
    due_at
        By when the reviews are due, with a zone.
    drawn_by
        Who draws; default: the login name.
    drawn_at
        When, with a zone; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used or the targets cannot be met.
    """
    own_method = method or config.audit.method
    by_whom = (drawn_by or "").strip() or login_name()
    request = _Request(budget, half_width, tuple(by), own_method, Seed.of(seed), due_at, by_whom)
    now = to_utc(drawn_at or datetime.now(UTC))
    _check_due(due_at, now)
    refuse_own_inputs(config, folder=out)
    draw = _draw(config, request, now, progress)
    if draw.stamp.drawn_at != now:  # a repeated draw knows what was known when it was made
        draw = _draw(config, request, draw.stamp.drawn_at, progress)
    told = {"budget": budget, "half_width": half_width, "by": list(by), "method": method,
            "due_at": draw.stamp.due_at}  # fmt: skip
    snapshot = draw.loaded.snapshot
    run = describe_run(
        config, "plan-audit", told, decisions=snapshot.decisions,
        model_version=champion_version(config), reviews=snapshot.reviews, seed=request.seed.value,
        intake=snapshot.intake.to_jsonable(), at=draw.stamp.drawn_at,
    )  # fmt: skip
    with stage_outputs(out, run) as stage:
        for name, table in draw.tables.items():
            write_parquet(table, stage / f"{name}.parquet")
        write_parquet(snapshot.intake.frame(), stage / "intake.parquet", INTAKE)
        write_json(stage / RECEIPT_FILE, draw.receipt)
        recorded = draw.stamp.standing or _record(config, draw, progress)
    files = {name: Path(out) / f"{name}.parquet" for name in (*draw.tables, "intake")}
    files["receipt"] = Path(out) / RECEIPT_FILE
    notes = (*draw.notes, recorded, *draw.loaded.notes)
    plan = draw.plan
    return PlanAuditResult(plan.expected, plan.cost, files, notes, snapshot.intake, draw.receipt)


def _draw(config: Config, request: _Request, now: datetime, progress: Progress) -> _Draw:
    """Draw with what was known at a moment."""
    loaded = load_snapshot(config, progress=progress, drawn_before=now)
    snapshot, by = loaded.snapshot, request.by
    unknown = [name for name in by if name not in snapshot.decisions]
    if unknown:
        do = f"Known: {', '.join(snapshot.decisions.columns)}."
        got = ", ".join(unknown)
        raise ConfigError([error_message("--by", "name columns of the decisions", got, do)])
    p, leaning = _p_error(config, snapshot, progress)
    reviewing, people = _reviewer_assumptions(config, snapshot, progress)
    progress("drawing")
    decisions, p, left_out = _frame(config, loaded, p)
    plan = draw_audit(
        decisions,
        rng=np.random.default_rng(request.seed.value),
        p_error=p,
        by=by,
        budget=request.budget,
        half_width=request.half_width,
        method=request.method,
        floor=config.audit.floor,
        minimum=config.audit.min_per_segment,
        expected_rate=_last_rate(snapshot),
        reviewing=reviewing,
    )
    frame = decisions[["decision_id", "decided_at"]].assign(
        inclusion_probability=plan.probability, stratum=plan.stratum
    )[list(FRAME_COLUMNS)]
    design = _design(config, request, plan, decisions)
    design["size_measure"] = {"source": leaning, "digest": _p_error_digest(decisions, p)}
    receipt = draw_receipt(frame, plan.draws, request.seed, design=design, left_out=left_out)
    draw_id = receipt["draw_id"]
    stamp = _stamp(config, draw_id, now, request)
    tables = {"audit": stamp.on(plan.draws, draw_id), "expected": plan.expected, "frame": frame}
    tables |= {"left_out": left_out} if len(left_out) else {}
    notes = (leaning, people, *_golden_notes(config, plan.cost), *_left_out_notes(left_out))
    return _Draw(loaded, plan, tables, receipt | stamp.to_json(), stamp, notes)


def _design(
    config: Config, request: _Request, plan: AuditPlan, decisions: pd.DataFrame
) -> dict[str, Any]:
    """Return what the probabilities follow from, for the receipt."""
    return {
        "method": request.method,
        "floor": config.audit.floor,
        "minimum": config.audit.min_per_segment,
        "by": list(request.by),
        "budget": request.budget,
        "half_width": request.half_width,
        "expected_reviews": float(plan.probability.sum()),
        "earlier_draws": config.audit.earlier_draws,
        "n_strata": int(plan.stratum.max()) + 1,
        "strata": _strata(plan, decisions, request.by),
    }


def _p_error_digest(decisions: pd.DataFrame, p: npt.NDArray[np.float64] | None) -> str | None:
    if p is None:
        return None
    return digest_columns(decisions[["decision_id"]].assign(p_error=p), "p_error")


def _check_due(due_at: datetime | None, now: datetime) -> None:
    if due_at is not None and to_utc(due_at) <= now:
        got = f"{to_utc(due_at):%Y-%m-%d %H:%M} UTC"
        must = "lie after the moment of the draw"
        raise ConfigError([error_message("--due", must, got, "Give a later date, or none.")])


def _frame(
    config: Config, loaded: LoadedData, p: npt.NDArray[np.float64] | None
) -> tuple[pd.DataFrame, npt.NDArray[np.float64] | None, pd.DataFrame]:
    """Return the decisions to draw from with P(error), in the draw's order, and those left out."""
    decisions = loaded.snapshot.decisions
    first = pd.Series(dtype="str")
    if config.audit.earlier_draws == _LEAVE_OUT and loaded.draws is not None:
        earlier = loaded.draws.frame.sort_values(["drawn_at", "draw_id"], kind="stable")
        first = earlier.drop_duplicates("decision_id").set_index("decision_id")["draw_id"]
    # Reviewed or not: leaving out the reviewed only would make the frame depend on who answered.
    out = decisions["decision_id"].isin(first.index).to_numpy(bool)
    left_out = decisions.loc[out, ["decision_id", "decided_at"]]
    left_out = left_out.assign(draw_id=left_out["decision_id"].map(first).astype("str"))
    if out.all():
        got = f"all {len(decisions):,} of them in earlier draws"
        do = "Wait for new decisions, or set audit.earlier_draws to include."
        raise DataError(error_message("The decisions", "hold one that was not drawn yet", got, do))
    rows = np.flatnonzero(~out)
    rows = rows[sort_frame(decisions.iloc[rows])]
    left_out = left_out.iloc[sort_frame(left_out)].reset_index(drop=True)
    return decisions.iloc[rows].reset_index(drop=True), None if p is None else p[rows], left_out


def _strata(plan: AuditPlan, decisions: pd.DataFrame, by: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first strata, each with its size, its expected draws and the `by` values that it has."""
    size = np.bincount(plan.stratum)
    expected = np.bincount(plan.stratum, plan.probability)
    _, first = np.unique(plan.stratum, return_index=True)
    values = {name: decisions[name].iloc[first].tolist() for name in by}
    return [
        {"stratum": i, "n_decisions": int(size[i]), "expected_draws": float(expected[i])}
        | {"values": {name: _plain(value[i]) for name, value in values.items()}}
        for i in range(min(len(size), _MOST_STRATA))
    ]


def _plain(value: object) -> object:
    return None if value is None or value != value else value


def _golden_notes(config: Config, cost: AuditCost) -> list[str]:
    """Say why most golden items are to be errors, where they are."""
    if 2 * cost.golden_errors <= cost.golden:
        return []
    most = f"{cost.golden_errors:,} of the {cost.golden:,} golden items are to be errors because"
    if config.audit.adjudicate_flags:
        return [
            f"{most} an expert settles every flag, so only missed errors are left to measure, and "
            "only golden items that are errors measure them; the others keep answers from being guessed"
        ]
    return [f"{most} errors, of those asked so far, narrow the interval most"]


def _left_out_notes(left_out: pd.DataFrame) -> list[str]:
    if left_out.empty:
        return []
    n = left_out["draw_id"].nunique()
    return [
        f"{len(left_out):,} decisions of {n:,} earlier draws are left out: this draw says nothing "
        "about them, so estimates need the earlier draws' reviews as well"
    ]


def _stamp(config: Config, draw_id: str, now: datetime, request: _Request) -> _Stamp:
    """Return when, until when and by whom; of a draw that the ledger has, as it was recorded."""
    due = None if request.due_at is None else to_utc(request.due_at)
    ledger = find_ledger(config.ledger_url()) if config.audit.record else None
    if ledger is None:
        return _Stamp(now, due, request.drawn_by)
    with ledger:
        known = ledger.audits()
    rows = known[known["draw_id"] == draw_id].to_dict("records")
    if not rows:
        return _Stamp(now, due, request.drawn_by)
    due = None if pd.isna(rows[0]["due_at"]) else to_utc(rows[0]["due_at"])
    by = str(rows[0]["by"])
    note = f"the ledger has this very draw already, {draw_id} by {by}: it is no new one"
    return _Stamp(to_utc(rows[0]["drawn_at"]), due, by, note)


def _record(config: Config, draw: _Draw, progress: Progress) -> str:
    """Record the draw in the ledger, if the config wants it, and return a note."""
    draw_id, stamp = draw.receipt["draw_id"], draw.stamp
    if not config.audit.record:
        return f"draw {draw_id} is not recorded in the ledger (audit.record: false)"
    progress("recording the draw in the ledger")
    record = AuditDraw(draw_id, stamp.drawn_at, stamp.due_at, stamp.by, draw.receipt)
    with open_ledger(config.ledger_url()) as ledger:
        ledger.record_draw(record, draw.plan.draws)
    return f"the ledger has recorded the draw as {draw_id}"


def _p_error(
    config: Config, snapshot: Snapshot, progress: Progress
) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Return the champion's P(error), or None where there is no champion, with a note."""
    champion = find_champion(config)
    if champion is None:
        return None, "no model is registered, so every decision has the same inclusion probability"
    bundle, version = champion
    progress("scoring decisions")
    p = champion_probability(config, bundle, snapshot.decisions, snapshot.reviews)
    return np.asarray(
        p, np.float64
    ), f"inclusion probabilities favour likely errors, as predicted by version {version}"


def _last_rate(snapshot: Snapshot) -> float:
    """Return the error rate seen in the last audit, or a default without an audit."""
    audit = snapshot.audit_sample
    n = len(audit.weight)
    if not n:
        return USUAL_RATE
    # Half an error more: zero observed does not mean zero.
    return float((n * np.average(audit.answer, weights=audit.weight) + 0.5) / (n + 1))


def _reviewer_assumptions(
    config: Config, snapshot: Snapshot, progress: Progress
) -> tuple[ReviewAssumptions, str]:
    """Return the expected reviewer error rates, from past reviewers, with their source."""
    usual = ReviewAssumptions(
        adjudicate_flags=config.audit.adjudicate_flags,
        golden_per_site=config.audit.golden_per_site,
    )
    if not snapshot.has_audit:
        note = "there is no audit of the reviewers yet, so they are assumed to be correct"
        return usual, note
    progress("measuring reviewers")
    reviews, sample = snapshot.current_reviews, snapshot.audit_sample
    audits = reviews.loc[reviews["source"] == AUDIT, "minutes"]
    experts = reviews.loc[reviews["source"] == ADJUDICATION, "minutes"]
    measured = replace(
        usual,
        sites=max(len(sample.sites), 1),
        minutes=_median_minutes(audits, usual.minutes),
        expert_minutes=_median_minutes(experts, usual.expert_minutes),
    )
    one_group = np.zeros(len(sample.position), np.int64)
    golden = snapshot.golden_items(sample.sites)
    errors = int(golden.expected_error.sum())
    measured = replace(measured, golden_answered=(errors, len(golden.expected_error) - errors))
    found = golden_misclassification(
        golden,
        site_shares(sample, one_group, 1),
        action_only=False,
        enforced=None,
    )
    if found is None:
        note = "there are too few golden items on reviewer error, so reviewers are assumed to be correct"
        return measured, note
    sensitivity, alarm = float(found.found.estimate[0]), float(found.alarm.estimate[0])
    note = (
        f"golden items show that reviewers call {sensitivity:.0%} of the errors and "
        f"{alarm:.1%} of the correct decisions wrong; the plan assumes the same"
    )
    return replace(measured, found=sensitivity, alarm=alarm), note


def _median_minutes(minutes: pd.Series, usual: float) -> float:
    known = minutes.dropna()
    return float(known.median()) if len(known) else usual
