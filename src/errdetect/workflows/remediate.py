"""remediate: a remediation plan from overturned decisions; `apply` records it in the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.atomic_writing import (
    stage_outputs,
    write_csv,
    write_parquet,
    write_text,
)
from errdetect.data.provenance import Provenance
from errdetect.data.renamed_columns import add_old_columns, schema_with_old_names
from errdetect.errors import Refusal, error_message
from errdetect.labels.intake_account import Intake
from errdetect.ledger.remediation_records import require_two_people
from errdetect.remediation.confirmed_errors import (
    APPLIED,
    KINDS,
    LOOK_ALIKE,
    PLANNED,
    PRECISION,
    RELABEL,
    REVERSE,
    REVIEW,
    REVOKE_PENALTY,
    WHITELIST,
    WITHDRAWN,
)
from errdetect.remediation.remediation_plan import plan_remediation
from errdetect.reviewers.identifiability import VOTES
from errdetect.schemas import INTAKE, PLAN
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.project_ledger import find_project_ledger, open_project_ledger
from errdetect.workflows.run_description import ResultTables, describe_run

__all__ = ["RemediateResult", "remediate"]

_WORDS = {
    REVERSE: "actions to reverse",
    REVOKE_PENALTY: "penalties to revoke, with what the account lost",
    RELABEL: "labels to correct",
    WHITELIST: "accounts to whitelist from one policy's automated enforcement",
    LOOK_ALIKE: "decisions like overturned ones",
}
_STATES = (PLANNED, APPLIED, REVIEW, WITHDRAWN)


@dataclass(frozen=True)
class RemediateResult(ResultTables):
    """The planned steps, and those recorded.

    Parameters
    ----------
    counts
        Kind to status to number of steps.
    expected_errors
        Expected wrong decisions among look-alikes with a known error share; NaN if there are none.
    n_unknown
        Look-alikes with an unknown error share.
    applied
        Whether the plan was recorded; if not, nothing was changed.
    n_recorded, n_withdrawn
        Steps newly recorded, and recorded ones withdrawn.
    files
        Files written, by name.
    notes
        Notes for the reader.
    intake
        Rows read, used and left out.
    """

    counts: Mapping[str, Mapping[str, int]]
    expected_errors: float
    n_unknown: int
    applied: bool
    n_recorded: int
    n_withdrawn: int
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    intake: Intake

    @property
    def plan(self) -> pd.DataFrame:
        """The plan, a row a step; columns of `schemas.PLAN` and the look-alikes' precision."""
        return self.table("plan")

    def lines(self) -> list[str]:
        """Return the summary lines."""
        told = [
            *_summary_lines(self.counts, self.expected_errors, self.n_unknown),
            *(f"Note: {note.rstrip('.')}." for note in self.notes),
        ]
        if not self.applied:
            told.append(
                "Nothing was changed. Record it with --apply --by NAME --approved-by OTHER."
            )
        elif self.n_recorded or self.n_withdrawn:
            told.append(
                f"Recorded {self.n_recorded:,} steps in the ledger, withdrew {self.n_withdrawn:,}."
            )
        else:
            told.append("The ledger already holds all of this: nothing was changed.")
        return [*told, *(f"  {name}  {path}" for name, path in self.files.items())]


def remediate(
    config: Config,
    out: str | Path,
    *,
    apply: bool = False,
    by: str | None = None,
    approved_by: str | None = None,
    at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> RemediateResult:
    """Plan remediation of overturned decisions; record it only with two people's approval.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for plan.parquet, plan.csv, intake.parquet and summary.txt: all or none.
    apply
        Whether to record planned steps, and withdraw outdated ones, in the ledger.
        Look-alikes and other steps that need a human check first are never recorded.
    by, approved_by
        Who applies it, and the second person, who approved; both needed to apply.
    at
        Time, for the ledger's history; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or only one person is named.
    """
    people = _applier_and_approver(apply, by, approved_by)
    refuse_own_inputs(config, folder=out)
    plan, notes, intake, run = _build_plan(config, progress, apply=apply, at=at)
    n_recorded = n_withdrawn = 0
    known = plan.loc[plan["kind"] == LOOK_ALIKE, PRECISION[0]]
    shown = plan if people is None else plan.replace({"status": {PLANNED: APPLIED}})
    counts, expected, unknown = (
        _plan_counts(shown),
        float(known.sum(min_count=1)),
        int(known.isna().sum()),
    )
    with stage_outputs(out, run) as stage:
        schema = pa.schema([*PLAN, *((name, pa.float64()) for name in PRECISION)])
        both = add_old_columns(shown, "plan")
        write_parquet(both, stage / "plan.parquet", schema_with_old_names("plan", schema))
        ids = shown["review_ids"].map("; ".join)
        write_csv(both.assign(review_ids=ids), stage / "plan.csv")
        write_parquet(intake.frame(), stage / "intake.parquet", INTAKE)
        write_text(
            stage / "summary.txt", "\n".join(_summary_lines(counts, expected, unknown)) + "\n"
        )
        if people is not None:
            progress("writing to the ledger")
            n_recorded, n_withdrawn = _record_plan(config, plan, people, at or datetime.now(UTC))
    files = {
        name: Path(out) / name
        for name in ("plan.parquet", "plan.csv", "intake.parquet", "summary.txt")
    }
    return RemediateResult(
        counts,
        expected,
        unknown,
        apply,
        n_recorded,
        n_withdrawn,
        files,
        notes,
        intake,
    )


def _build_plan(
    config: Config, progress: Progress, *, apply: bool, at: datetime | None
) -> tuple[pd.DataFrame, tuple[str, ...], Intake, Provenance]:
    """Plan by what was known at the config's moment, compared with what was recorded; with notes and provenance."""
    loaded = load_snapshot(config, progress=progress, need_reviews=True)
    snapshot = loaded.snapshot.decided
    progress("weighing reviews")
    model = snapshot.reviewer_model
    progress("planning")
    rules, few = config.remediation, config.report.min_group
    least = {"min_reviews": max(rules.look_alikes.min_reviews, few)}
    rules = rules.model_copy(update={"look_alikes": rules.look_alikes.model_copy(update=least)})
    plan = plan_remediation(snapshot, rules, recorded=_recorded_actions(config))
    measured = model is not None and model.basis != VOTES
    notes = (*loaded.notes, *_plan_notes(snapshot.decisions, measured=measured))
    intake = loaded.snapshot.intake
    run = describe_run(
        config, "remediate", {"apply": apply, "at": at}, decisions=snapshot.decisions,
        reviews=snapshot.reviews, at=at, intake=intake.to_jsonable(),
    )  # fmt: skip
    return plan, notes, intake, run


def _applier_and_approver(
    apply: bool, by: str | None, approved_by: str | None
) -> tuple[str, str] | None:
    """Return the two people who approve; None for a dry run."""
    if apply:
        return require_two_people(by or "", approved_by or "")
    if by is not None or approved_by is not None:
        do = "Add --apply, or leave the names out."
        raise Refusal(
            error_message("--by and --approved-by", "come with --apply", "only these", do)
        )
    return None


def _recorded_actions(config: Config) -> pd.DataFrame | None:
    """Read the recorded steps; never creates a ledger."""
    ledger = find_project_ledger(config)
    if ledger is None:
        return None
    with ledger:
        return ledger.remediations()


def _record_plan(
    config: Config, plan: pd.DataFrame, people: tuple[str, str], at: datetime
) -> tuple[int, int]:
    """Withdraw outdated steps and record planned ones; repeating the same plan changes nothing."""
    by, approved_by = people
    planned = plan.loc[(plan["status"] == PLANNED).to_numpy(bool), PLAN.names]
    back = plan[(plan["status"] == WITHDRAWN).to_numpy(bool)]
    with open_project_ledger(config) as ledger:
        withdrawn = sum(
            ledger.withdraw_remediations(ids.tolist(), reason=str(reason), at=at, by=by)
            for reason, ids in back.groupby("reason", sort=True)["remediation_id"]
        )
        recorded = ledger.record_remediations(planned, by=by, approved_by=approved_by, at=at)
    return recorded, withdrawn


def _plan_counts(plan: pd.DataFrame) -> dict[str, dict[str, int]]:
    found = plan.groupby(["kind", "status"]).size()
    return {kind: {state: int(found.get((kind, state), 0)) for state in _STATES} for kind in KINDS}


def _summary_lines(
    counts: Mapping[str, Mapping[str, int]], expected: float, unknown: int
) -> list[str]:
    """Summarise the plan, one line per kind."""
    told = []
    for kind in KINDS:
        states = {state: n for state, n in counts[kind].items() if n}
        said = ", ".join(f"{n:,} {_STATE_WORDS[state]}" for state, n in states.items()) or "none"
        told.append(f"{_WORDS[kind]}: {said}"[0].upper() + f"{_WORDS[kind]}: {said}."[1:])
    alike = counts[LOOK_ALIKE][REVIEW]
    if alike > unknown:
        told.append(
            f"About {expected:,.0f} of the {alike - unknown:,} decisions like overturned ones with a known "
            "error share are expected to be wrong, if they err like the audited ones."
        )
    if unknown:
        told.append(f"For {unknown:,} of them, too few audited ones show how many are wrong.")
    return told


_STATE_WORDS = {
    PLANNED: "planned",
    APPLIED: "applied",
    REVIEW: "need a human check first",
    WITHDRAWN: "to withdraw",
}


def _plan_notes(decisions: pd.DataFrame, *, measured: bool) -> tuple[str, ...]:
    """Return notes on what the data leave out of a plan, and on its assumptions."""
    notes = []
    if "account_id" not in decisions:
        notes.append(
            "the decisions name no account, so no penalty can be revoked and no account whitelisted"
        )
    if not measured:
        notes.append(
            "reviewers' error rates are not measured, so reviews are assumed to be correct: "
            "P(error) is the share of votes"
        )
    return tuple(notes)
