"""evidence: what an auditor needs to recompute a period's figures offline, without texts or names."""

import ast
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_csv, write_json, write_text
from errdetect.data.provenance import to_plain_json
from errdetect.data.pseudonyms import read_key
from errdetect.errors import ConfigError, error_message
from errdetect.estimation import recompute_figures, recompute_intervals
from errdetect.estimation.audit_response import response_table
from errdetect.estimation.method_text import INTERVALS, JUDGING, SUPPRESSED
from errdetect.estimation.rate_records import SideRecord, record_rates
from errdetect.findings.conditions import parse_conditions
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import (
    EstimationSample,
    estimation_sample,
    queue_sample,
    refuse_broken_design,
)
from errdetect.workflows.estimate import RESPONSE_COLUMNS, decided_between
from errdetect.workflows.evidence_tables import (
    GROUPINGS,
    Pseudonyms,
    draw_table,
    figure_table,
    golden_table,
    rate_tables,
    volume_table,
)
from errdetect.workflows.load_data import LoadedData, Progress, load_snapshot
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.project_ledger import find_project_ledger
from errdetect.workflows.report_changes import measured_effects
from errdetect.workflows.run_description import champion_version, describe_run, open_registry

__all__ = ["EvidenceResult", "Period", "evidence", "parse_period"]

_SUMS, _SCRIPT = "SHA256SUMS", "recompute.py"
_MODEL_FACTS = ("trained_at", "decided_from", "decided_to", "labels", "errors", "gate")
#: Columns of a change's rule that name neither a person nor content.
_PLAIN = {
    *GROUPINGS,
    "moderator_version",
    "action",
    "item_type",
    "score",
    "threshold",
    "source_type",
}


@dataclass(frozen=True)
class Period:
    """A period: its name, first moment, and the moment after its last (UTC)."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class EvidenceResult:
    """The bundle that was written.

    Parameters
    ----------
    period
        What the figures are about.
    n_figures, n_decisions, n_draws
        Published figures (values that are not suppressed), decisions, and draws.
    files
        Every file by its name in the bundle.
    notes
        Notes for the reader.
    """

    period: Period
    n_figures: int
    n_decisions: int
    n_draws: int
    files: Mapping[str, Path]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the summary lines."""
        return [
            f"Evidence for {self.period.name}: {self.n_figures:,} figures about {self.n_decisions:,} decisions, "
            f"{self.n_draws:,} draws.",
            f"Check it anywhere: python {self.files[_SCRIPT]}",
            *(f"Note: {note.rstrip('.')}." for note in self.notes),
        ]


def parse_period(text: str) -> Period:
    """Read a period: a quarter, month or year, or FROM..TO with both days included.

    Parameters
    ----------
    text
        `2026-Q3`, `2026-07`, `2026`, or `2026-07-01..2026-09-30`.

    Raises
    ------
    ConfigError
        Where it is none of these.

    Examples
    --------
    >>> found = parse_period("2026-Q4")
    >>> str(found.start.date()), str(found.end.date())
    ('2026-10-01', '2027-01-01')
    >>> str(parse_period("2026-02-03..2026-02-03").end.date())
    '2026-02-04'
    """
    text = text.strip()
    try:
        start, end = _bounds(text)
        if start >= end:
            raise ValueError("it ends before it begins")
    except ValueError as error:
        do = "Write 2026-Q3, 2026-07, 2026, or 2026-07-01..2026-09-30 (both days included)."
        must = "be a quarter, a month, a year or FROM..TO"
        raise ConfigError([error_message("--period", must, repr(text), do)]) from error
    return Period(text, start, end)


def _bounds(text: str) -> tuple[datetime, datetime]:
    first, dots, last = text.partition("..")
    if dots:
        return _day(first), _day(last) + timedelta(days=1)
    found = re.fullmatch(r"(\d{4})(?:-(?:Q([1-4])|(\d{2})))?", text, re.ASCII)
    if found is None:
        raise ValueError("no such form")
    year, quarter, month = int(found[1]), found[2], found[3]
    begin, length = 1, 12
    if quarter:
        begin, length = 3 * int(quarter) - 2, 3
    elif month:
        begin, length = int(month), 1
    after = begin + length
    return datetime(year, begin, 1, tzinfo=UTC), (
        datetime(year + 1, 1, 1, tzinfo=UTC) if after > 12 else datetime(year, after, 1, tzinfo=UTC)
    )


def _day(text: str) -> datetime:
    return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)


def evidence(
    config: Config,
    out: str | Path,
    *,
    period: str,
    progress: Progress = lambda _: None,
) -> EvidenceResult:
    """Write a period's evidence bundle: tables, digests, and a script that recomputes every figure.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for the bundle: all or none.
    period
        As for `parse_period`; decisions taken in it are counted.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the period or the input cannot be used, or no estimate is possible.
    """
    asked = parse_period(period)
    refuse_own_inputs(config, folder=out)
    loaded = load_snapshot(config, progress=progress, need_reviews=True)
    refuse_broken_design(loaded.snapshot)
    snapshot, outside = decided_between(loaded.snapshot, asked.start, asked.end)
    snapshot, scores = queue_sample(config, snapshot)
    sample = estimation_sample(config, snapshot, scores, progress=progress)
    columns = [name for name in GROUPINGS if name in sample.snapshot.decisions]
    progress("estimating")
    with record_rates() as sides:
        rates = sample.rates(*([name] for name in columns))
    name = Pseudonyms(read_key(config.key_file()).secret, asked.name)
    tables = _sample_tables(sample, sides, columns, name)
    figures = figure_table(rates, columns)
    ids = sample.snapshot.decisions["decision_id"]
    tables |= rate_tables(
        sides, rates, columns, lambda at: [name("draw", one) for one in ids.iloc[at]]
    )
    intake = loaded.snapshot.intake.joined((*outside, *sample.set_aside))
    tables |= {"figures": figures, "intake": intake.frame().drop(columns=["example_id", "source"])}
    progress("collecting models, policies and changes")
    tables |= _record_tables(config, loaded, asked, name)
    run = describe_run(
        config, "evidence", {"period": asked.name}, decisions=snapshot.decisions,
        reviews=snapshot.reviews, model_version=champion_version(config), seed=config.train.seed,
    ).metadata()  # fmt: skip
    about = _about(config, asked, run)
    progress("writing")
    with stage_outputs(out) as stage:
        for file, table in tables.items():
            write_csv(table, stage / f"{file}.csv")
        write_json(stage / "evidence.json", about)
        write_json(stage / "models.json", _models(config))
        write_json(stage / "receipts.json", _receipts(config, sample.snapshot))
        write_text(stage / "README.md", _readme(about))
        write_text(stage / _SCRIPT, _script())
        write_text(stage / _SUMS, _digests(stage))
        files = {path.name: Path(out) / path.name for path in sorted(stage.iterdir())}
    shown = figures[list(recompute_figures.FIGURES)].notna().sum().sum()
    used = sides[-1].domain >= 0
    return EvidenceResult(
        asked, int(shown), int(used.sum()), len(tables["draws"]), files, tuple(loaded.notes)
    )


def _sample_tables(
    sample: EstimationSample, sides: list[SideRecord], columns: list[str], name: Pseudonyms
) -> dict[str, pd.DataFrame]:
    """Return the tables of decisions, draws, response and golden answers."""
    snapshot, last = sample.snapshot, sides[-1]
    logit = last.bins.logit[last.bins.of]
    response = response_table(snapshot.decisions, snapshot.audit_sample, RESPONSE_COLUMNS)
    return {
        "volumes": volume_table(snapshot.decisions, last.domain >= 0, columns),
        "draws": draw_table(snapshot, last.audit, logit, columns, name),
        "response": response,
        "golden": golden_table(snapshot, last.audit.sites, name),
    }


def _record_tables(
    config: Config, loaded: LoadedData, asked: Period, name: Pseudonyms
) -> dict[str, pd.DataFrame]:
    """Return policies, machine versions, the champions, and changes with their measured effects."""
    snapshot = loaded.snapshot
    policies = pd.DataFrame(
        [
            {k: getattr(p, k) for k in ("policy_id", "version", "effective_from", "severity",
                                        "dsa_category", "parent", "harm_wrongful", "harm_missed")}
            for p in snapshot.policies.values()
        ]
    )  # fmt: skip
    champions = pd.DataFrame(
        [vars(change) for change in open_registry(config).history()],
        columns=["version", "before", "at", "by", "why"],
    )
    champions["by"] = [name("person", one) for one in champions["by"]]
    effects = measured_effects(config, snapshot.automated)
    if effects is None:
        effects = pd.DataFrame({"proposal_id": []})
    return {
        "policies": policies,
        "machine_versions": _versions(snapshot.automated.decisions, asked),
        "champions": champions,
        "changes": _changes(config, name),
        "effects": effects.drop(columns="words", errors="ignore"),
    }


def _versions(decisions: pd.DataFrame, asked: Period) -> pd.DataFrame:
    """Return each machine version that decided in the period: first and last day, decisions."""
    names = [n for n in ("moderator", "moderator_version") if n in decisions]
    inside = (decisions["decided_at"] >= asked.start) & (decisions["decided_at"] < asked.end)
    if not names:
        return pd.DataFrame({"n_decisions": [int(inside.sum())]})
    grouped = decisions[inside].groupby(names, dropna=False, observed=True)["decided_at"]
    return grouped.agg(first="min", last="max", n_decisions="size").reset_index()


def _changes(config: Config, name: Pseudonyms) -> pd.DataFrame:
    """Return every proposal with each decision on it; rules that name accounts or content are left out."""
    columns = ["proposal_id", "policy_id", "kind", "rule", "state", "at", "by", "effective_from"]
    ledger = find_project_ledger(config)
    if ledger is None:
        return pd.DataFrame(columns=columns)
    with ledger:
        proposals, events = ledger.proposals(), ledger.history("proposal")
    known = proposals.set_index("proposal_id")
    rows = []
    for event in events.to_dict("records"):
        if event["id"] not in known.index or pd.isna(event["to"]):
            continue
        own = known.loc[event["id"]]
        since = own["effective_from"] if event["to"] == "accepted" else None
        rows.append(
            (event["id"], own["policy_id"], own["kind"], _plain_rule(own), event["to"], event["at"],
             name("person", event["by"]), since)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _plain_rule(proposal: Mapping[str, Any]) -> str:
    """Return a proposal's rule where it names neither accounts nor content."""
    try:
        parts = json.loads(proposal["expected"] or "{}").get("parts", [])
        plain = [
            not part.get("account_ids")
            and all(c["column"] in _PLAIN for c in parse_conditions(part.get("conditions")))
            for part in parts
        ]
    except (ValueError, AttributeError, TypeError):
        plain = []
    return (
        str(proposal["rule"]) if plain and all(plain) else "(left out: names accounts or content)"
    )


def _models(config: Config) -> dict[str, Any]:
    """Return what each version that was champion learned from, its gate and the digest of its files."""
    registry = open_registry(config)
    found: dict[str, Any] = {}
    for version in dict.fromkeys(c.version for c in registry.history()):
        facts: dict[str, Any] = {"files_sha256": registry.digest(version)}
        if registry.digest(version) is not None:
            about = registry.about(version)
            facts |= {k: about[k] for k in _MODEL_FACTS if k in about}
            origin = about.get("provenance", {})
            facts |= {
                k: origin[k] for k in ("config_digest", "version", "seed", "as_of") if k in origin
            }
        found[version] = facts
    plain: dict[str, Any] = to_plain_json(found)
    return plain


def _receipts(config: Config, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the receipts of the draws that reach the period, without who drew."""
    ledger = find_project_ledger(config)
    if ledger is None or snapshot.draws is None:
        return []
    with ledger:
        audits = ledger.audits()
    own = snapshot.draws["decision_id"].isin(snapshot.decisions["decision_id"])
    counts = snapshot.draws[own].groupby("draw_id").size()
    found = []
    for row in audits.to_dict("records"):
        if row["draw_id"] in counts.index:
            times = {k: None if pd.isna(row[k]) else row[k] for k in ("drawn_at", "due_at")}
            head = {"draw_id": row["draw_id"], **times, "n_in_period": int(counts[row["draw_id"]])}
            found.append({**head, "receipt": json.loads(row["receipt"] or "{}")})
    plain: list[dict[str, Any]] = to_plain_json(found)
    return plain


def _about(config: Config, asked: Period, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the bundle is about: period, moment, settings and digests; no path, no address."""
    kept = ("version", "config_digest", "policies_digest", "as_of", "model_version", "model_digest", "seed",
            "confidence")  # fmt: skip
    digests = {
        table: [
            {k: one[k] for k in ("sha256", "rows", "bytes", "files") if k in one} for one in sources
        ]
        for table, sources in run["data_digests"].items()
    }
    about: dict[str, Any] = to_plain_json(
        {
            "format": 1,
            "period": {"name": asked.name, "from": asked.start, "to": asked.end},
            **{k: run[k] for k in kept},
            "data_digests": digests,
            "settings": {
                "estimate": config.estimate.model_dump(mode="json"),
                "labels": config.labels.model_dump(mode="json"),
                "min_group": config.report.min_group,
            },
        }
    )
    return about


def _readme(about: Mapping[str, Any]) -> str:
    """Return the bundle's README: its tables, and what each method's code means."""
    text = package_files("errdetect.workflows").joinpath("evidence_readme.md").read_text("utf-8")
    codes = {**INTERVALS, **JUDGING, **SUPPRESSED}
    table = "\n".join(f"| `{code}` | {words} |" for code, words in codes.items())
    return text.replace("{period}", about["period"]["name"]).replace("{codes}", table)


def _script() -> str:
    """Return the script of a bundle: one file, from the two modules that are tested here."""
    modules = (recompute_intervals, recompute_figures)
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules]
    parts = [ast.parse(source).body for source in sources]
    imports = {
        ast.unparse(node): None
        for body in parts
        for node in body
        if isinstance(node, ast.Import)
        or (isinstance(node, ast.ImportFrom) and not str(node.module).startswith("errdetect"))
    }
    bodies = []
    for source, body in zip(sources, parts, strict=True):
        listed = next(node for node in body if isinstance(node, ast.Assign))  # __all__
        bodies.append("\n".join(source.splitlines()[listed.end_lineno :]).strip())
    head = f'"""{ast.get_docstring(ast.parse(sources[1]))}\n"""\n\n' + "\n".join(sorted(imports))
    return "\n\n\n".join([head, *bodies]) + "\n"


def _digests(folder: Path) -> str:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    return "".join(lines)
