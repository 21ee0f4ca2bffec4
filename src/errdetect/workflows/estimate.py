"""estimate: how often the machine errs, with intervals, and the labels behind it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_parquet
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.estimation.audit_response import response_table
from errdetect.labels.intake_account import Intake, IntakeRow
from errdetect.schemas import ESTIMATES, INTAKE, LABELS, REJECTS, RESPONSE
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import (
    estimation_sample,
    queue_sample,
    refuse_broken_design,
)
from errdetect.workflows.dsa_draft import check_dsa, draft_dsa, dsa_text
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.run_description import ResultTables, champion_version, describe_run

__all__ = ["RESPONSE_COLUMNS", "EstimateResult", "decided_between", "estimate"]


@dataclass(frozen=True)
class EstimateResult(ResultTables):
    """The estimates, and the files written."""

    estimates: pd.DataFrame
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    intake: Intake

    @property
    def response(self) -> pd.DataFrame:
        """Drawn and answered decisions by week, policy, market and side; see `schemas.RESPONSE`.

        Empty where draws are not recorded.
        """
        return self.table_or_empty("response", RESPONSE)

    @property
    def labels(self) -> pd.DataFrame:
        """What reviews say of every decision; columns of `schemas.LABELS`."""
        return self.table("labels")


def estimate(
    config: Config,
    out: str | Path,
    *,
    by: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    dsa: str | Path | None = None,
    progress: Progress = lambda _: None,
) -> EstimateResult:
    """Estimate error rates from the audit, overall and by columns.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for estimates.parquet, labels.parquet and intake.parquet: all or none.
    by
        Columns of the decisions; their combinations are the cells.
    start, end
        Only decisions taken from `start` up to, not including, `end`.
    dsa
        CSV file for the EU transparency report's rows on automated means, a draft.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or no estimate is possible.
    """
    refuse_own_inputs(config, folder=out, files=(dsa,))
    loaded = load_snapshot(config, progress=progress, need_reviews=True)
    refuse_broken_design(loaded.snapshot)
    snapshot, outside = decided_between(loaded.snapshot, start, end)
    everything = snapshot.decisions
    check_dsa(config, None if dsa is None else Path(dsa), everything)
    _check_by(by, everything)
    snapshot, scores = queue_sample(config, snapshot)
    rows = None
    with ThreadPoolExecutor(1) as beside:  # labels and estimates are independent
        labelled = beside.submit(lambda: snapshot.labels)
        sample = estimation_sample(config, snapshot, scores, progress=progress)
        progress("estimating")
        rates = sample.rates(by) if by else sample.rates()
        estimates = rates.frame(*by)
        if dsa is not None:
            rows = draft_dsa(config, everything, sample, start=start, end=end)
        progress("labelling")
        labels = labelled.result()
    progress("writing")
    intake = loaded.snapshot.intake.joined((*outside, *sample.set_aside))
    schema = pa.schema([(name, pa.string()) for name in by] + list(ESTIMATES))
    told = {"by": list(by), "from": start, "to": end, "dsa": dsa is not None}
    run = describe_run(
        config, "estimate", told, decisions=everything, reviews=snapshot.reviews,
        model_version=champion_version(config), seed=config.train.seed,
        intake=intake.to_jsonable(),
    )  # fmt: skip
    response = response_table(
        sample.snapshot.decisions, sample.snapshot.audit_sample, RESPONSE_COLUMNS
    )
    together = {} if rows is None else {Path(dsa or ""): dsa_text(rows)}
    with stage_outputs(out, run, together) as stage:
        write_parquet(estimates, stage / "estimates.parquet", schema)
        if len(response):
            write_parquet(response, stage / "response.parquet", RESPONSE)
        write_parquet(labels, stage / "labels.parquet", LABELS)
        write_parquet(intake.frame(), stage / "intake.parquet", INTAKE)
        if len(loaded.rejects):
            write_parquet(loaded.rejects, stage / "rejects.parquet", REJECTS)
        files = {path.stem: Path(out) / path.name for path in sorted(stage.iterdir())}
        if rows is not None:
            files["dsa"] = Path(dsa or "")
    audit = sample.snapshot.audit_sample
    answered = _response_notes(response, audited=len(audit.position) > 0)
    notes = (*loaded.notes, *sample.notes, *rates.notes, *answered, *audit.pending)
    return EstimateResult(estimates, files, notes, intake)


#: Columns by which the audit's response is shown, with the week of the decision.
RESPONSE_COLUMNS = ("policy_id", "market", "enforced")
#: Draws of a value below which a low response is not mentioned.
_MIN_DRAWN = 20


#: What the estimates rest on where nothing tells a lost review from a smaller sample.
_UNRECORDED = (
    "the audit's draw is not recorded, so reviews that were lost would not show (plan-audit records it, "
    "data.draws brings it in)"
)


def _response_notes(response: pd.DataFrame, *, audited: bool) -> tuple[str, ...]:
    """Return how many draws were answered, and where least."""
    if not len(response):
        return (_UNRECORDED,) if audited else ()
    weeks = response[response["column"] == "week"]
    drawn, answered = int(weeks["n_drawn"].sum()), int(weeks["n_answered"].sum())
    note = f"{answered:,} of {drawn:,} drawn decisions are reviewed ({answered / drawn:.0%})"
    others = response[(response["column"] != "week") & (response["n_drawn"] >= _MIN_DRAWN)]
    if answered < drawn and len(others):
        least = others.iloc[int(others["response"].argmin())]
        note += f", fewest of {least['column']} {least['value']} ({least['response']:.0%})"
    return (f"{note}; response.parquet has them by week, policy, market and side",)


def _check_by(by: Sequence[str], decisions: pd.DataFrame) -> None:
    unknown = [name for name in by if name not in decisions]
    if unknown:
        do = f"Known: {', '.join(decisions.columns)}."
        got = ", ".join(unknown)
        raise ConfigError([error_message("--by", "name columns of the decisions", got, do)])


def decided_between(
    snapshot: Snapshot, start: datetime | None, end: datetime | None
) -> tuple[Snapshot, tuple[IntakeRow, ...]]:
    """Keep the decisions of the period, and count the others.

    Parameters
    ----------
    snapshot
        All decisions.
    start, end
        The period; its end is excluded. None where it is open.

    Raises
    ------
    DataError
        Where the period holds no decision.
    """
    decisions = snapshot.decisions
    keep = pd.Series(True, index=decisions.index)
    if start is not None:
        keep &= decisions["decided_at"] >= pd.Timestamp(start)
    if end is not None:
        keep &= decisions["decided_at"] < pd.Timestamp(end)
    if keep.all():
        return snapshot, ()
    if not keep.any():
        span = (
            f"{decisions['decided_at'].min():%Y-%m-%d} to {decisions['decided_at'].max():%Y-%m-%d}"
        )
        got = f"{start or 'the start'} to {end or 'the end'}, while the decisions run from {span}"
        raise DataError(error_message("The period", "hold decisions", got, "Choose other dates."))
    other = decisions.loc[~keep, "decision_id"]
    row = IntakeRow(
        "decisions", "", "outside the period", len(other), float("nan"), str(other.iloc[0])
    )
    return snapshot.of(decisions[keep]), (row,)
