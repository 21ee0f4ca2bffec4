"""trace: from a decision, run, model, proposal or output file back to model, config, data and code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from errdetect.config import Config
from errdetect.data.provenance import Provenance, digest_value, read_provenance
from errdetect.errors import DataError, ModelError, error_message
from errdetect.ledger.ledger import Ledger
from errdetect.workflows.project_ledger import find_project_ledger
from errdetect.workflows.run_description import open_registry, resolved_config

__all__ = ["TraceResult", "TraceStep", "trace"]

_QUEUE = ("rank", "p_error", "error_kind", "arm", "inclusion_probability", "policy_id", "scored_at")
_ABOUT = ("trained_at", "labels", "errors", "decided_from", "decided_to")


@dataclass(frozen=True)
class TraceStep:
    """One link of the chain.

    Parameters
    ----------
    what
        `output`, `decision`, `review`, `run`, `model`, `audit`, `remediation` or `proposal`.
    id
        Its id.
    facts
        What is recorded of it, by name.
    """

    what: str
    id: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class TraceResult:
    """Where something comes from, the nearest first."""

    steps: tuple[TraceStep, ...]

    def lines(self) -> list[str]:
        """Return the summary lines."""
        said = []
        for step in self.steps:
            said.append(f"{step.what} {step.id}")
            said += [f"  {name}: {value}" for name, value in step.facts.items()]
        return said


def trace(config: Config, what: str) -> TraceResult:
    """Find where a decision's score, a run, a model, a ledger's row or an output file comes from.

    Parameters
    ----------
    config
        From `load_config`: its ledger and registry are searched.
    what
        A decision_id, review_id, run_id, version of a model, draw_id, remediation_id or proposal_id; or
        the path of an output folder or Parquet file. If several things have the id, all are traced.

    Raises
    ------
    DataError
        Where nothing has this id.
    """
    steps: list[TraceStep] = []
    versions: list[str] = []
    place = Path(what)
    if place.exists():
        origin = read_provenance(place)
        steps.append(TraceStep("output", what, _describe(origin, config)))
        versions += [origin.model_version] if origin.model_version else []
    ledger = find_project_ledger(config)
    if ledger is not None:
        with ledger:
            found, used = _trace_ledger(ledger, what)
        steps += found
        versions += used
    registry = open_registry(config)
    name = what.removeprefix("version ").removeprefix("v")
    versions += [name] if registry.has(name) else []
    steps += [_model_step(config, version) for version in dict.fromkeys(versions)]
    if not steps:
        must = "be the id of a decision, review, run, model, draw, remediation or proposal, or an output's path"
        do = "Check the id, and that the config names the ledger and registry that hold it."
        raise DataError(error_message("The traced id", must, repr(what[:80]), do))
    return TraceResult(tuple(steps))


def _trace_ledger(ledger: Ledger, what: str) -> tuple[list[TraceStep], list[str]]:
    """Return what the ledger has of an id, and the versions of the models behind it."""
    steps: list[TraceStep] = []
    queued = ledger.queued_decisions([what])
    runs = ledger.runs().set_index("run_id")
    wanted = [what] if what in runs.index else []
    for row in queued.to_dict("records"):
        facts = {k: row[k] for k in _QUEUE if _is_known(row.get(k))}
        steps.append(TraceStep("decision", what, facts | {"run_id": row["run_id"]}))
        wanted.append(str(row["run_id"]))
    if queued.empty:
        for row in ledger.scored([what]).to_dict("records"):
            facts = {str(k): v for k, v in row.items() if k != "decision_id" and _is_known(v)}
            steps.append(TraceStep("decision", what, facts))
            wanted.append(str(row["run_id"]))
    reviews = ledger.reviews([what])
    if steps:
        every = ledger.reviews()
        reviews = every[every["decision_id"] == what]
    for row in reviews.to_dict("records"):
        names = ("decision_id", "reviewed_at", "source", "verdict", "site")
        facts = {k: row[k] for k in names if _is_known(row.get(k))}
        steps.append(TraceStep("review", str(row["review_id"]), facts))
    for run in dict.fromkeys(wanted):
        steps.append(TraceStep("run", run, {str(k): v for k, v in runs.loc[run].dropna().items()}))
    for entity, table, key in (
        ("audit", ledger.audits(), "draw_id"),
        ("remediation", ledger.remediations(), "remediation_id"),
        ("proposal", ledger.proposals(), "proposal_id"),
    ):
        for row in table[table[key] == what].to_dict("records"):
            facts = {str(k): v for k, v in row.items() if k != key and _is_known(v)}
            steps.append(TraceStep(entity, what, facts))
    versions = [str(runs.loc[run, "model_version"]) for run in dict.fromkeys(wanted)]
    return steps, versions


def _is_known(value: Any) -> bool:
    """Return whether the ledger has a value: tables hold what is missing as None or NaN."""
    return pd.api.types.is_list_like(value) or not pd.isna(value)


def _model_step(config: Config, version: str) -> TraceStep:
    """Describe a version: what it learned from, by which config and code, and when it was champion."""
    registry = open_registry(config)
    try:
        about = registry.about(version)
    except ModelError as error:
        return TraceStep("model", version, {"files": str(error)})
    facts = {k: about[k] for k in _ABOUT if k in about}
    gate = about.get("gate", {})
    facts |= {f"gate {k}": gate[k] for k in ("answer", "why") if k in gate}
    if "provenance" in about:
        facts |= _describe(Provenance.from_metadata(about["provenance"]), config)
    facts["files sha256"] = registry.digest(version)
    for change in registry.history():
        if version in (change.version, change.before):
            became = "champion" if version == change.version else f"replaced by {change.version}"
            facts[f"{became} at {change.at}"] = f"by {change.by}: {change.why}"
    return TraceStep("model", version, facts)


def _describe(origin: Provenance, config: Config) -> dict[str, Any]:
    """Describe a run: code, config and data, by their digests."""
    same = origin.config_digest == digest_value(resolved_config(config))
    facts: dict[str, Any] = {
        "command": f"errdetect {origin.command}, version {origin.version}",
        "arguments": {k: v for k, v in origin.arguments.items() if v not in (None, [], {})}
        or "none",
        "config sha256": f"{origin.config_digest} ({'as it is' if same else 'changed since'})",
        "seed": origin.seed,
        "as of": origin.as_of,
    }
    if origin.period is not None:
        facts["decisions"] = f"from {origin.period[0]} to {origin.period[1]}"
    for name, sources in origin.data.items():
        for one in sources:
            facts[f"data {name}: {one['source']}"] = one["sha256"] or one.get("note", "no digest")
    return {k: v for k, v in facts.items() if v is not None}
