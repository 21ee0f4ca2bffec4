"""calibrate: a calibration session's items as blind ballots, and what came back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.changes.text_formatting import clean_text, format_interval, format_percent
from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_csv, write_json, write_parquet
from errdetect.data.database_tables import dump_json
from errdetect.data.policy_catalogue import Policy
from errdetect.data.pseudonyms import pseudonymise_ids, read_key
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.findings.calibration_items import select_calibration_items
from errdetect.findings.calibration_results import (
    AFTER,
    BALLOTS,
    REVIEWS_BEFORE,
    compare_agreement,
    read_items,
)
from errdetect.integrations.calibration_ballots import (
    Answers,
    ballot_columns,
    ballot_files,
    policy_words,
    read_ballots,
    read_rulings,
)
from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.schemas import ADJUDICATION, GOLDEN, REJECTS
from errdetect.snapshot import Snapshot
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.project_ledger import known_precedents, open_project_ledger
from errdetect.workflows.run_description import describe_run

__all__ = ["CalibrateResult", "calibrate", "ingest_calibration"]

#: The folder with what reviewers must not see before they answered, and the one with the results.
LEADER, RESULTS = "for-the-session-leader", "results"
_SESSION = "session.json"
#: What a ruling keeps of its decision, to show it next to similar cases.
_FACTS = ("action", "category", "item_type", "language", "market")


@dataclass(frozen=True)
class CalibrateResult:
    """A calibration session: what was written, or what came back.

    Parameters
    ----------
    session
        Its id.
    policy_id
        The policy whose clause is discussed.
    n_items
        Items.
    files
        What was written, by name.
    notes
        Notes for the reader.
    agreement
        `compare_agreement`; None before ballots came back.
    items
        The items, with what the ballots say where they came back.
    n_precedents
        Rulings that are new in the ledger.
    """

    session: str
    policy_id: str
    n_items: int
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    agreement: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    n_precedents: int = 0

    def lines(self) -> list[str]:
        """Return the summary lines."""
        summary = [f"Calibration session {self.session} on {clean_text(self.policy_id, 60)}: "
                f"{self.n_items:,} items."]  # fmt: skip
        if self.agreement is not None and self.items is not None:
            summary += _agreement_lines(self.agreement)
            counts = self.items["reading"].value_counts()
            summary.append("Items: " + ", ".join(f"{n} {what}" for what, n in counts.items()) + ".")
        if self.n_precedents:
            summary.append(f"Recorded {self.n_precedents:,} rulings as precedents of the clause.")
        return [
            *summary,
            *(f"Note: {note}." for note in self.notes),
            *(f"  {name}  {path}" for name, path in self.files.items()),
        ]


def _agreement_lines(agreement: pd.DataFrame) -> list[str]:
    words = {REVIEWS_BEFORE: "in the reviews before", BALLOTS: "in the ballots",
             AFTER: "after the ruling", "change": "change"}  # fmt: skip
    lines = []
    for row in agreement[agreement["measure"] == "agreement"].to_dict("records"):
        if pd.isna(row["value"]):
            lines.append(f"Agreement {words[row['stage']]}: {row['note']}")
            continue
        if row["stage"] == "change":
            points = [f"{100 * row[name]:+.0f}" for name in ("value", "low", "high")]
            lines.append(
                f"Agreement changed by {points[0]} points (95 %: {points[1]} to {points[2]})."
            )
        else:
            share = f"{format_percent(row['value'])} ({format_interval(row['low'], row['high'])})"
            lines.append(f"Agreement {words[row['stage']]}: {share}.")
    return lines


def calibrate(
    config: Config,
    out: str | Path,
    *,
    policy: str,
    n_items: int = 20,
    at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> CalibrateResult:
    """Choose a session's items and write them as blind ballots.

    Parameters
    ----------
    config
        From `load_config`; `export.columns` names what a ballot shows, without any machine's score.
    out
        The session's folder: ballots.xlsx, tasks.json, labelling-config.xml for the reviewers;
        rulings.xlsx, and a folder with the reasons of the choice, for whoever leads the session.
    policy
        The policy whose clause is discussed.
    n_items
        How many items.
    at
        The moment, for the record; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or no reviewed decision is left for this policy.
    """
    refuse_own_inputs(config, folder=out)
    if n_items < 1:
        do = "Ask for 20."
        raise ConfigError([error_message("--items", "be at least 1", str(n_items), do)])
    loaded = load_snapshot(config, progress=progress, need_reviews=True)
    snapshot = loaded.snapshot
    _check_policy(policy, snapshot)
    progress("choosing items")
    ruled = known_precedents(config)
    done = ruled.loc[ruled["policy_id"] == policy, "decision_id"].tolist()
    items = select_calibration_items(snapshot, policy, n_items=n_items, ruled=done)
    if items.empty:
        do = "Let people review some decisions of this policy first."
        what = f"Policy {policy}"
        raise DataError(error_message(what, "have reviewed decisions without a ruling", "none", do))
    items = items.assign(policy_id=policy)
    session = _session_id(policy, items)
    shown = _ballot_content(config, snapshot, items)
    progress("writing")
    run = describe_run(
        config, "calibrate", {"policy": policy, "items": n_items, "at": at},
        decisions=snapshot.decisions, reviews=snapshot.reviews, at=at or datetime.now(UTC),
        intake=snapshot.intake.to_jsonable(),
    )  # fmt: skip
    written = ballot_files(shown, snapshot.policies, session=session)
    with stage_outputs(out, run) as stage:
        for name, content in written.items():
            (stage / name).write_bytes(content)
        (stage / LEADER).mkdir()
        write_json(stage / LEADER / _SESSION, {"session": session, "policy_id": policy})
        write_parquet(items, stage / LEADER / "items.parquet")
        write_csv(items, stage / LEADER / "items.csv")
    files = {name: Path(out) / name for name in (*written, LEADER)}
    notes = list(loaded.notes)
    if len(items) < n_items:
        notes.append(f"only {len(items):,} reviewed decisions differ enough to be items")
    split = int(items["n_applies"].between(1, items["n_reviews"] - 1).sum())
    notes.append(f"on {split:,} of the items the reviews so far disagree")
    notes.append("give reviewers the ballots or the tasks only, and let them answer alone")
    return CalibrateResult(session, policy, len(items), files, tuple(notes), items=items)


def _check_policy(policy: str, snapshot: Snapshot) -> None:
    known = set(snapshot.decisions["policy_id"].dropna().unique()) | set(snapshot.policies)
    if policy not in known:
        shown = ", ".join(sorted(known)[:10])
        got = clean_text(policy, 60)
        raise ConfigError(
            [error_message("--policy", "be a policy of the log or the catalogue", got, f"Known: {shown}.")]
        )  # fmt: skip


def _session_id(policy: str, items: pd.DataFrame) -> str:
    made = json.dumps([policy, sorted(items["decision_id"])])
    return f"C-{hashlib.sha256(made.encode()).hexdigest()[:10]}"


def _ballot_content(config: Config, snapshot: Snapshot, items: pd.DataFrame) -> pd.DataFrame:
    """Return what a ballot shows of each item: nothing that a machine or a reviewer thinks of it."""
    decisions = snapshot.decisions
    wanted = [name for name in ballot_columns(config.export.columns) if name in decisions]
    wanted = [name for name in wanted if name not in ("decision_id", "policy_id")]
    own = decisions[["decision_id", "policy_id", *wanted]]
    return items[["item", "decision_id"]].merge(own, on="decision_id", how="left")


def ingest_calibration(
    config: Config,
    out: str | Path,
    ballots: Sequence[str | Path],
    *,
    after: Sequence[str | Path] = (),
    rulings: Sequence[str | Path] = (),
    at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> CalibrateResult:
    """Take a session's ballots and rulings in; the same files again change nothing.

    Parameters
    ----------
    config
        From `load_config`.
    out
        The session's folder, from `calibrate`; the results are written into its folder `results`.
    ballots
        First ballots, filled in: Excel, CSV, or exports of Label Studio.
    after
        Ballots on the same items after the ruling.
    rulings
        Filled-in rulings.xlsx: recorded as precedents of the clause in the ledger.
    at
        The moment of recording; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the folder holds no session, or a file cannot be read.
    """
    folder = Path(out)
    session, policy, items = _read_session(folder)
    results = folder / RESULTS
    refuse_own_inputs(config, folder=results, sources=(*ballots, *after, *rulings))
    loaded = load_snapshot(config, progress=progress)
    snapshot = loaded.snapshot
    progress("reading ballots")
    ids = items["decision_id"].tolist()
    known = policy_words(snapshot.policies, snapshot.decisions["policy_id"].dropna().unique())
    parts = {BALLOTS: read_ballots(ballots, ids, known)}
    if after:
        parts[AFTER] = read_ballots(after, ids, known)
    ruled = read_rulings(rulings, ids, known)
    stages = {REVIEWS_BEFORE: _reviews_of(snapshot, ids)}
    stages |= {name: answers.frame for name, answers in parts.items()}
    agreement = compare_agreement(stages)
    read = read_items(items, parts[BALLOTS].frame, snapshot)
    moment = at or datetime.now(UTC)
    new = _record(config, _precedent_rows(items, ruled.frame, snapshot, session), moment)
    named = {name: _pseudonymous(config, one.frame) for name, one in parts.items()}
    rejects = pd.concat([one.rejects for one in (*parts.values(), ruled)], ignore_index=True)
    run = describe_run(config, "calibrate", {"ingest": [str(one) for one in ballots]}, at=moment)
    with stage_outputs(results, run) as stage:
        write_parquet(agreement, stage / "agreement.parquet")
        write_csv(agreement, stage / "agreement.csv")
        write_parquet(read, stage / "items.parquet")
        write_csv(read, stage / "items.csv")
        table = pd.concat([frame.assign(stage=name) for name, frame in named.items()])
        write_parquet(table, stage / "ballots.parquet")
        if len(rejects):
            write_parquet(rejects, stage / "rejects.parquet", REJECTS)
    notes = (
        *loaded.notes,
        *_intake_notes({**parts, "rulings": ruled}),
        *_ruling_notes(read, ruled),
    )
    files = {RESULTS: results}
    return CalibrateResult(session, policy, len(items), files, notes, agreement, read, new)


def _read_session(folder: Path) -> tuple[str, str, pd.DataFrame]:
    place = folder / LEADER
    do = "Name the folder that `errdetect calibrate CONFIG --policy P --out DIR` wrote."
    what = f"The folder {folder}"
    try:
        about = json.loads((place / _SESSION).read_text(encoding="utf-8"))
        items = pq.read_table(place / "items.parquet").to_pandas()
        return str(about["session"]), str(about["policy_id"]), items
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        message = error_message(what, "hold a calibration session", "none that can be read", do)
        raise DataError(message) from error


def _reviews_of(snapshot: Snapshot, ids: Sequence[str]) -> pd.DataFrame:
    """Return the latest verdict of each reviewer on the items, without golden ones and experts."""
    history = snapshot.review_history
    kept = history["standing"].isin([COUNTS, OVERRULED]) & history["decision_id"].isin(ids)
    kept &= ~history["source"].isin([GOLDEN, ADJUDICATION])
    return history.loc[kept.to_numpy(bool), ["decision_id", "reviewer_id", "verdict"]]


def _precedent_rows(
    items: pd.DataFrame, rulings: pd.DataFrame, snapshot: Snapshot, session: str
) -> pd.DataFrame:
    """Return the rulings as rows for the ledger, each with the clause and the facts of its decision."""
    named = rulings.merge(items[["decision_id", "policy_id"]], on="decision_id", how="left")
    decisions = snapshot.decisions.set_index("decision_id")
    facts = [name for name in _FACTS if name in decisions]
    about = decisions.reindex(named["decision_id"])[facts].to_dict("records")
    rules = [snapshot.policies.get(str(one)) for one in named["policy_id"]]
    when = _ruled_on(named)
    return named.assign(
        session_id=session,
        clause=_of_rules(rules, "clause"),
        policy_version=_of_rules(rules, "version"),
        facts=[dump_json({str(k): str(v) for k, v in row.items() if pd.notna(v)}) for row in about],
        ruled_at=when.to_numpy() if len(when) else when,
    )


def _ruled_on(rulings: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """Return the rulings' dates; missing where it is not a date as 2026-12-31: 1/2/2026 is none."""
    return pd.to_datetime(rulings["ruled_at"], utc=True, errors="coerce", format="ISO8601")


def _of_rules(rules: Sequence[Policy | None], name: str) -> "pd.Series[str]":
    return pd.Series([getattr(rule, name, None) for rule in rules], dtype="str")


def _record(config: Config, rows: pd.DataFrame, at: datetime) -> int:
    if rows.empty:
        return 0
    with open_project_ledger(config) as ledger:
        return ledger.add_precedents(rows, at=at)


def _pseudonymous(config: Config, ballots: pd.DataFrame) -> pd.DataFrame:
    people = ballots["reviewer_id"]
    if people.notna().any():
        people = pseudonymise_ids(people, salt=read_key(config.key_file()).secret)
    return ballots.assign(reviewer_id=people)[
        ["decision_id", "reviewer_id", "verdict", "correct_policy_id"]
    ]


def _intake_notes(parts: Mapping[str, Answers]) -> list[str]:
    notes = []
    for name, one in parts.items():
        if len(one.rejects):
            notes.append(f"{name}: {len(one.rejects):,} rows cannot be used, see rejects.parquet")
        if one.n_open:
            notes.append(f"{name}: {one.n_open:,} rows are not answered")
    return notes


def _ruling_notes(items: pd.DataFrame, ruled: Answers) -> list[str]:
    """Say which items no ruling has decided yet, and which rulings have no date."""
    open_ = items["reading"] == "the clause leaves it open"
    left = int((open_ & ~items["decision_id"].isin(ruled.frame["decision_id"])).sum())
    written = ruled.frame["ruled_at"].notna()
    undated = int((written & _ruled_on(ruled.frame).isna()).sum())
    notes = []
    if undated:
        notes.append(
            f"{undated:,} rulings have a ruled_on that is not a date as 2026-12-31: they count as ruled today"
        )
    if not left:
        return notes
    return [
        *notes,
        f"{left:,} items that the clause leaves open have no ruling in these files: fill in rulings.xlsx and give it "
        "with --rulings",
    ]
