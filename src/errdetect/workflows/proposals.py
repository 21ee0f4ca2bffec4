"""proposals: list proposals; accept one with a date, reject or close it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import clean_text, format_optional_day
from errdetect.config import Config
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.workflows.project_ledger import find_project_ledger, open_project_ledger

__all__ = ["ProposalsResult", "proposals"]


@dataclass(frozen=True)
class ProposalsResult:
    """The ledger's proposals.

    Parameters
    ----------
    proposals
        proposal_id, policy_id, kind, title, rule, change, owner, expected, finding_id, state,
        effective_from, created_at, updated_at.
    history
        History of the updated or requested proposal; else empty.
    moved
        The updated proposal, and its new state.
    """

    proposals: pd.DataFrame
    history: pd.DataFrame
    moved: tuple[str, str] | None

    def lines(self) -> list[str]:
        """Return the summary lines."""
        if self.moved is not None:
            said = [f"{self.moved[0]} is {self.moved[1]} now."]
            if self.moved[1] == "accepted":
                said.append("The next reports measure its effect. Apply the change yourselves.")
            return [*said, *self._happened()]
        if len(self.history):
            return self._happened()
        if self.proposals.empty:
            return ["No proposals yet. `errdetect report` records those of its briefs."]
        states = self.proposals["state"].value_counts()
        counts = ", ".join(f"{states[s]} {s}" for s in _STATES if s in states)
        return [f"Proposals: {counts}.", *self._listed()]

    def _listed(self) -> list[str]:
        said = []
        for row in self.proposals.to_dict("records"):
            since = (
                f" from {format_optional_day(row['effective_from'])}"
                if row["state"] == "accepted"
                else ""
            )
            owner = clean_text(row["owner"], limit=60, missing="no owner named")
            said.append(
                f"  {row['proposal_id']}  {row['state']}{since}  {clean_text(row['title'])}"
            )
            said.append(f"      where: {clean_text(row['rule'])}")
            said.append(f"      owner: {owner}")
        return said

    def _happened(self) -> list[str]:
        said = []
        for row in self.history.to_dict("records"):
            by = f" by {clean_text(row['by'], limit=60)}" if pd.notna(row["by"]) else ""
            note = f": {clean_text(row['note'], limit=300)}" if pd.notna(row["note"]) else ""
            said.append(f"  {format_optional_day(row['at'])}  {row['to']}{by}{note}")
        return said


_STATES = ("proposed", "accepted", "rejected", "closed")


def proposals(
    config: Config,
    *,
    accept: str | None = None,
    reject: str | None = None,
    close: str | None = None,
    history: str | None = None,
    by: str | None = None,
    effective: datetime | None = None,
    note: str = "",
    now: datetime | None = None,
) -> ProposalsResult:
    """List the ledger's proposals, or update one.

    Parameters
    ----------
    config
        From `load_config`.
    accept, reject, close
        Id of the proposal to update; at most one of the three.
    history
        Id of the proposal to show the history of.
    by
        Who decides; needed to update one.
    effective
        Effective date of the change; needed to accept.
    note
        Why.
    now
        Time of the update; default: now.

    Raises
    ------
    ConfigError
        Where the options conflict.
    DataError
        Where there is no such proposal, or this change of state is not allowed.
    """
    move = _requested_change(accept=accept, reject=reject, close=close, history=history)
    _check_options(move, by, effective)
    nothing = ProposalsResult(pd.DataFrame(columns=["state"]), pd.DataFrame(), None)
    ledger = find_project_ledger(config)
    if ledger is None and move is None and history is None:
        return nothing
    with ledger or open_project_ledger(config) as open_:
        if move is not None:
            name, state = move
            open_.move_proposal(
                name,
                state,
                by=by or "",
                at=now or datetime.now(UTC),
                effective_from=effective,
                note=note,
            )
        asked = move[0] if move else history
        happened = open_.history("proposal", asked) if asked else pd.DataFrame()
        if history is not None and happened.empty:
            do = "List proposals with: errdetect proposals CONFIG."
            what = f"The proposal {history!r}"
            raise DataError(error_message(what, "be in the ledger", "no such proposal", do))
        return ProposalsResult(open_.proposals(), happened, move)


def _requested_change(**wanted: str | None) -> tuple[str, str] | None:
    """Return the proposal to update and its new state; one at a time."""
    given: list[tuple[str, str]] = [(k, v) for k, v in wanted.items() if v is not None]
    if len(given) > 1:
        got = " and ".join(f"--{name}" for name, _ in given)
        must = "get one of --accept, --reject, --close and --history"
        raise ConfigError([error_message("proposals", must, got, "Run it once for each.")])
    states = {"accept": "accepted", "reject": "rejected", "close": "closed"}
    return (given[0][1], states[given[0][0]]) if given and given[0][0] in states else None


def _check_options(move: tuple[str, str] | None, by: Any, effective: datetime | None) -> None:
    """Refuse missing options, and options without effect."""
    if move is not None and not (by or "").strip():
        do = "Name who decides: --by NAME."
        raise ConfigError(
            [error_message("A proposal's decision", "name who makes it", "no name", do)]
        )
    if move is not None and move[1] == "accepted" and effective is None:
        do = "Give the effective date of the change: --effective 2026-03-01."
        raise ConfigError([error_message("--accept", "come with a date", "none", do)])
    if effective is not None and (move is None or move[1] != "accepted"):
        must = "come with --accept"
        raise ConfigError([error_message("--effective", must, "no --accept", "Leave it out.")])
