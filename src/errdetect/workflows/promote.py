"""promote: the challenger becomes the champion, with the evidence; or an earlier champion comes back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import write_json
from errdetect.errors import ModelError, error_message
from errdetect.model.bundle import ModelBundle
from errdetect.model.evaluation import HeldOut, evaluation_weights
from errdetect.model.gate import CHAMPION, GateResult, compare_with_champion
from errdetect.model.registry import ChampionChange, ModelRegistry
from errdetect.workflows.champion import (
    champion_on,
    gate_rules,
    model_facts,
    score_examples,
)
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.run_description import describe_step, open_registry
from errdetect.workflows.train import label_examples

__all__ = ["PromoteResult", "promote"]

_NOBODY = "not named"
_FACTS = ("trained_at", "decided_from", "decided_to", "labels", "errors", "price_microseconds")


@dataclass(frozen=True)
class PromoteResult:
    """Result of a promotion.

    Parameters
    ----------
    version, before
        The version that was to become champion, and the champion before; None where there was none.
    answer, why
        `promoted`, `rolled back`, `refused`, or `history` where nothing was asked; the reason in words.
    comparison
        Both models on the same held-out decisions; columns as `GateCheck`. Empty without a comparison.
    history
        version, before, at, by, why: every change of the champion, the earliest first.
    models
        What each of the two versions learned from, its price where measured, and its gate.
    evidence
        The file with all of this; None where nothing was decided.
    """

    version: str | None
    before: str | None
    answer: Literal["promoted", "rolled back", "refused", "history"]
    why: str
    comparison: pd.DataFrame
    history: pd.DataFrame
    models: Mapping[str, Mapping[str, Any]]
    evidence: Path | None

    def lines(self) -> list[str]:
        """Return the summary lines."""
        now = "no champion" if self.before is None else f"version {self.before}"
        if self.answer == "history":
            rows = self.history.to_dict("records")
            said = [f"The champion is {now}."] if rows else ["No version was ever the champion."]
            return said + [
                f"  {r['at']}  version {r['version']}, by {r['by']}: {r['why']}" for r in rows
            ]
        lines = _side_by_side(self.comparison, self.version, self.before)
        lines += _prices(self.models, self.version, self.before) if lines else []
        lines += [_facts_text(version, facts) for version, facts in self.models.items()]
        if self.answer == "refused":
            lines.append(f"Refused: {self.why}. The champion is still {now}.")
        else:
            lines.append(f"Version {self.version} is now the champion, after {now}: {self.why}.")
        return [*lines, f"Evidence: {self.evidence}"]


def promote(
    config: Config,
    *,
    version: str | None = None,
    rollback: bool = False,
    history: bool = False,
    by: str = "",
    progress: Progress = lambda _: None,
) -> PromoteResult:
    """Make the challenger the champion, where the gate's evidence holds; or go back to an earlier champion.

    Parameters
    ----------
    config
        From `load_config`.
    version
        The version to promote; default: the challenger, or with `rollback` the champion before.
    rollback
        Go back to a version that was champion earlier, whose files are whole. Needs no evidence and reads no data.
    history
        Change nothing; return the history.
    by
        Who decides.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where there is no such version, or the data cannot be used.
    """
    registry = open_registry(config)
    found = registry.champion_version()
    before = None if found is None else found[0]
    if history:
        return _result(registry, None, before, "history", "", pd.DataFrame())
    by = by or _NOBODY
    if rollback:
        target = _earlier_champion(registry, version, before)
        registry.about(target)  # refuses damaged files before they are what `score` uses
        change = registry.promote(target, by=by, why=f"rolled back from version {before}")
        return _decided(config, registry, change, "rolled back", change.why, None)
    target = _challenger(registry, version, before)
    bundle, _ = registry.load(target)
    compared = None if before is None else _compare(config, registry, bundle, before, progress)
    against = _gate_record(bundle).get("champion")
    allowed, why = _decide(bundle, compared, before, same=against == before)
    if not allowed:
        refused = ChampionChange(target, before, "", by, why)
        return _decided(config, registry, refused, "refused", why, compared)
    change = registry.promote(target, by=by, why=why)
    return _decided(config, registry, change, "promoted", why, compared)


def _gate_record(bundle: ModelBundle) -> Mapping[str, Any]:
    record: Mapping[str, Any] = bundle.about.get("gate", {})
    return record


def _decide(
    bundle: ModelBundle, compared: GateResult | None, before: str | None, *, same: bool
) -> tuple[bool, str]:
    """Decide on a version: the gate of its training counts while the champion is the one that it met."""
    gate = _gate_record(bundle)
    validated = gate.get("answer", "validated") == "validated"  # older versions were all validated
    if not validated:
        return False, f"the gate did not validate it: {gate.get('why')}"
    if compared is None:
        return (
            True,
            f"there was no champion, and the gate validated it: {gate.get('why', 'earlier')}",
        )
    if compared.answer == "validated":
        return True, compared.why
    lead = next((c for c in compared.checks if c.against == CHAMPION), None)
    if same and (lead is None or lead.high >= 0):
        return (
            True,
            f"the gate validated it against version {before} at its training: {gate['why']}",
        )
    return False, compared.why


def _compare(
    config: Config, registry: ModelRegistry, bundle: ModelBundle, before: str, progress: Progress
) -> GateResult:
    """Compare a version with the champion on all labelled decisions that it did not learn from."""
    now, _ = registry.load(before)
    snapshot = load_snapshot(config, progress=progress, need_reviews=True).snapshot
    order = snapshot.decisions.sort_values(
        ["decided_at", "decision_id"], kind="stable", ignore_index=True
    )
    snapshot = snapshot.with_columns(order)
    examples = label_examples(snapshot)
    ids = examples.decisions["decision_id"]
    own = np.full(len(examples), np.nan) if bundle.held_out is None else bundle.held_out.find(ids)
    rows = ~bundle.in_sample(ids) | ~np.isnan(own)
    progress(f"scoring {int(rows.sum()):,} held-out decisions with both versions")
    held, own = examples.take(rows), own[rows]
    p = np.where(np.isnan(own), score_examples(bundle, snapshot, held.decisions), own)
    return compare_with_champion(
        HeldOut(held, p, evaluation_weights(held)),
        champion_on(now, before, snapshot, held),
        gate_rules(config, len(order)),
        facts=model_facts(bundle),
        seed=config.train.seed,
    )


def _challenger(registry: ModelRegistry, version: str | None, before: str | None) -> str:
    target = version or registry.challenger_version()
    if target is None:
        got = f"none of '{registry.name}' in '{registry.shown}'"
        do = "Run `errdetect train` with this config: a model that the gate validates waits as challenger."
        raise ModelError(error_message("The registry", "have a challenger", got, do))
    if target == before:
        do = "Name another version, or leave it as it is."
        raise ModelError(error_message("The version", "not be the champion already", target, do))
    return target


def _earlier_champion(registry: ModelRegistry, version: str | None, before: str | None) -> str:
    """Return the version to go back to: a named one, or the one before the champion's latest rise."""
    served = [c for c in registry.history() if c.version != before]
    earlier = {v for c in registry.history() for v in (c.version, c.before) if v} - {before}
    if version is None:
        last = next((c for c in reversed(registry.history()) if c.version == before), None)
        version = last.before if last is not None else None
        version = version or (served[-1].version if served else None)
    if version is None or version not in earlier:
        known = ", ".join(sorted(earlier, key=int)) or "none"
        got = f"{version or 'no version'}; earlier champions: {known}"
        do = "Name an earlier champion with --version, or promote a challenger."
        raise ModelError(error_message("A rollback", "go to an earlier champion", got, do))
    return version


def _decided(
    config: Config,
    registry: ModelRegistry,
    change: ChampionChange,
    answer: Literal["promoted", "rolled back", "refused"],
    why: str,
    compared: GateResult | None,
) -> PromoteResult:
    """Write the evidence, and return the result."""
    table = pd.DataFrame() if compared is None else compared.frame()
    origin = describe_step(config, "promote", {})
    made = origin.created_at
    assert made is not None
    name = f"{made:%Y%m%dT%H%M%S}-version-{change.version}-{answer.replace(' ', '-')}.json"
    place = registry.folder / "evidence" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    models = {v: _facts(registry, v) for v in (change.version, change.before) if v is not None}
    write_json(
        place,
        {
            "answer": answer,
            "change": asdict(replace(change, at=change.at or made.isoformat(timespec="seconds"))),
            "comparison": _records(table),
            "models": models,
            "run": origin.metadata(),
        },
    )
    result = _result(registry, change.version, change.before, answer, why, table)
    return replace(result, models=models, evidence=place)


def _facts(registry: ModelRegistry, version: str) -> dict[str, Any]:
    """Return what a version learned from, its gate and its run; empty where it cannot be read."""
    try:
        about = registry.about(version)
    except ModelError:
        return {}
    return {k: about[k] for k in (*_FACTS, "gate", "provenance") if k in about}


def _result(
    registry: ModelRegistry,
    version: str | None,
    before: str | None,
    answer: Literal["promoted", "rolled back", "refused", "history"],
    why: str,
    table: pd.DataFrame,
) -> PromoteResult:
    names = list(ChampionChange.__dataclass_fields__)
    past = pd.DataFrame([asdict(c) for c in registry.history()], columns=names)
    return PromoteResult(version, before, answer, why, table, past, {}, None)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows]


def _facts_text(version: str, facts: Mapping[str, Any]) -> str:
    """Say what a version learned from, and what it costs."""
    if not facts:
        return f"Version {version}: its files cannot be read."
    price = facts.get("price_microseconds")
    cost = "price not measured" if price is None else f"{price:.0f} microseconds a decision"
    until = str(facts.get("decided_to", "unknown"))[:10]
    return f"Version {version}: {facts.get('labels', 0):,} labels until {until}, {cost}."


def _prices(
    models: Mapping[str, Mapping[str, Any]], version: str | None, before: str | None
) -> list[str]:
    """Return both versions' prices as a row below their comparison; none where one was not measured."""
    price, other = (models.get(v or "", {}).get("price_microseconds") for v in (version, before))
    if price is None or other is None:
        return []
    return [
        f"  {'seconds per million decisions':30} {price:12.1f}  {other:12.1f}  {price - other:+.1f}"
    ]


def _side_by_side(table: pd.DataFrame, version: str | None, before: str | None) -> list[str]:
    if table.empty:
        return []
    n, wrong = int(table["n"].iloc[0]), int(table["n_errors"].iloc[0])
    lines = [
        f"On the same {n:,} held-out decisions ({wrong:,} errors), lead with its 90 % interval:",
        f"  {'':30} version {version:>4}  version {before or '':>4}  lead",
    ]
    for r in table.to_dict("records"):
        what = str(r["measure"]).replace("_", " ") + (f", {r['group']}" if r["group"] else "")
        span = f"{r['lead']:+.3f} ({r['low']:+.3f} to {r['high']:+.3f})"
        lines.append(f"  {what:30} {r['value']:12.3f}  {r['other']:12.3f}  {span}")
    return lines
