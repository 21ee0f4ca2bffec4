"""A training's run in the registry: its name, model card, config, digests, figures with intervals, plots."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from errdetect.changes.text_formatting import clean_text
from errdetect.config import Config
from errdetect.data.provenance import Provenance, digest_value
from errdetect.data.renamed_columns import add_old_measures
from errdetect.model.bundle import ModelBundle
from errdetect.model.registry import ModelRegistry
from errdetect.model.run_contents import LoggedData, RunContents, code_digest
from errdetect.model.run_plots import run_plots
from errdetect.model.training import TrainedModel
from errdetect.workflows.run_description import open_registry, resolved_config

__all__ = ["model_card", "register_run", "state_from_registry"]

#: Columns of a decision that name somebody or something: not in an example.
_NAMES = ("decision_id", "item_id", "account_id", "text")
_MOST_GROUPS = 40


def register_run(
    config: Config,
    bundle: ModelBundle,
    trained: TrainedModel,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    origin: Provenance,
    *,
    promote: bool,
) -> str | None:
    """Record the run, and its model if the gate passes; return the model's version.

    Parameters
    ----------
    config, bundle, trained
        The training.
    tables
        The evaluation, and the same by segment.
    origin
        From `describe_run`.
    promote
        Whether a validated model scores at once.
    """
    registry, (evaluation, segments) = open_registry(config), tables
    trials, about = pd.DataFrame(list(trained.tuned.trials)), bundle.about
    card = model_card(about)
    contents = RunContents(
        name=f"train {config.registry.name}: {about['labels']:,} labels to {about['decided_to'][:10]}",
        description=card,
        files={
            "model_card.md": card,
            "config.yaml": yaml.safe_dump(
                resolved_config(config), sort_keys=False, allow_unicode=True
            ),
            **_plots(bundle, trained, evaluation, trials),
        },
        data=_logged_data(origin),
        trials=trials,
        example=_example(config, trained.held_out.examples.decisions),
    )
    return registry.record(
        bundle,
        accept=trained.verdict.answer == "validated",
        champion=_why_champion(registry, trained.verdict.why, promote=promote),
        params={
            **trained.tuned.params,
            **{f"rounds_{member}": rounds for member, rounds in trained.blend.rounds.items()},
            "blend": trained.blend.name,
            "calibration": str(trained.calibrator),
            "seed": config.train.seed,
        },
        metrics={**_evaluation_metrics(evaluation), **trained.counts},
        tags=_tags(bundle, trained, origin),
        tables={
            "evaluation": evaluation,
            "segments": add_old_measures(segments),
            "trials": trials,
            "gate": trained.verdict.frame(),
        },
        contents=contents,
    )


def state_from_registry(config: Config) -> str:
    """Return where the kept state is, from the registry's folder: the same in a copied project."""
    registry = config.path(config.registry.path).absolute()
    return Path(os.path.relpath(config.path(config.state.folder).absolute(), registry)).as_posix()


def _why_champion(registry: ModelRegistry, why: str, *, promote: bool) -> str | None:
    """Return why a validated model scores at once; None where it waits as challenger."""
    if registry.champion_version() is None:
        return f"the first that the gate validated: {why}"
    return f"promoted at its training: {why}" if promote else None


def _evaluation_metrics(evaluation: pd.DataFrame) -> dict[str, float]:
    """Return every figure, and the ends of its interval as `NAME.low` and `NAME.high`."""
    names = evaluation["method"].str.replace(" ", "_") + "." + evaluation["measure"]
    found: dict[str, float] = {}
    for column, suffix in (("value", ""), ("low", ".low"), ("high", ".high")):
        found |= dict(zip(names + suffix, evaluation[column].astype(float), strict=True))
    return found


def _tags(bundle: ModelBundle, trained: TrainedModel, origin: Provenance) -> dict[str, str]:
    """Return what tells where the model comes from."""
    about, as_of = bundle.about, origin.as_of
    return {
        "gate": trained.verdict.answer,
        "gate_why": trained.verdict.why,
        "as_of": "" if as_of is None else as_of.isoformat(),
        "labels": str(about["labels"]),
        "errors": str(about["errors"]),
        "decided_from": str(about["decided_from"]),
        "decided_to": str(about["decided_to"]),
        "errdetect_version": origin.version,
        "code_sha256": code_digest(),
        "config_sha256": origin.config_digest or "",
        "data_sha256": digest_value(origin.data),
    }


def _logged_data(origin: Provenance) -> list[LoggedData]:
    return [
        LoggedData(name, str(one.get("source", name)), one.get("sha256"))
        for name, held in origin.data.items()
        for one in held
    ]


def _plots(
    bundle: ModelBundle, trained: TrainedModel, evaluation: pd.DataFrame, trials: pd.DataFrame
) -> dict[str, bytes]:
    drawn = run_plots(evaluation, trained.reliability, bundle.gain_shares(), trials)
    return {f"plots/{name}": png for name, png in drawn.items()}


def _example(config: Config, decisions: pd.DataFrame) -> dict[str, Any] | None:
    """Return one decision in the log's own columns, without ids and texts.

    None where another system's log is read by a preset: its columns are not one to one.
    """
    mapping = config.data.mapping("decisions")
    if mapping is not None:
        return None
    users = {ours: user for user, ours in config.data.columns.items()}
    derived = ("history_", "similar_")
    row = decisions.iloc[0]
    found: dict[str, Any] = {}
    for name in map(str, decisions):
        if name == "enforced" or name.startswith(derived):
            continue
        value = row[name]
        hidden = name in _NAMES or (isinstance(value, str) and name.endswith("hash"))
        plain = value.isoformat() if isinstance(value, pd.Timestamp) else value
        found[users.get(name, name)] = "example" if hidden else _plain(plain)
    return found


def _plain(value: Any) -> Any:
    missing = value is None or value is pd.NA or value != value
    return None if missing else value.item() if hasattr(value, "item") else value


def model_card(about: Mapping[str, Any]) -> str:
    """Return the model card in Markdown: data, figures with intervals, groups, what to mind, price.

    Parameters
    ----------
    about
        What a bundle records of its training.
    """
    price = float(about["price_microseconds"])
    lines = [
        "# Model card",
        "",
        "Estimates P(error) of automated moderation decisions, to choose what people review. It decides "
        "nothing itself.",
        "",
        "## Data",
        "",
        f"- {about['labels']:,} labelled decisions ({about['errors']:,} errors), decided "
        f"{about['decided_from'][:10]} to {about['decided_to'][:10]}",
        f"- held out by time: {about['counts'].get('test', 'see tables')} decisions",
        f"- gate: {about['gate']['answer']}: {clean_text(about['gate']['why'], 400)}",
        f"- price: {price:.1f} seconds of one processor per million decisions scored",
        "",
        "## Figures on held-out decisions (95 % intervals)",
        "",
        *_card_table(about["evaluation"], ("method", "measure")),
        "",
        "## Groups (AUROC)",
        "",
        *_card_table(about["segments"][:_MOST_GROUPS], ("segment", "level")),
        "",
        "## What to mind",
        "",
        *(f"- {clean_text(note, 400)}" for note in about["notes"]),
        "- Groups with too few reviews have no figure. A score is no verdict: people decide.",
        "",
    ]
    return "\n".join(lines)


def _card_table(rows: list[dict[str, Any]], names: tuple[str, str]) -> list[str]:
    """Return rows as a Markdown table; names are data, so nothing in them is markup."""
    lines = [f"| {names[0]} | {names[1]} | value | low | high |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        words = [clean_text(row[name], 60).replace("|", "/") for name in names]
        figures = [_figure(row.get(name)) for name in ("value", "low", "high")]
        lines.append(f"| {' | '.join([*words, *figures])} |")
    return lines


def _figure(value: Any) -> str:
    return "unknown" if value is None else f"{value:.3f}"
