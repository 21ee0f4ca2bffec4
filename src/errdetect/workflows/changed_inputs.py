"""What changed since a run: config, data, catalogue, model and errdetect itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from errdetect.config import Config
from errdetect.data.provenance import Provenance
from errdetect.version import __version__
from errdetect.workflows.run_description import champion_version, data_digests, describe_run

__all__ = ["MOST", "changed_notes", "inputs_today"]

MOST = 12  # changed keys or files that are listed


def inputs_today(config: Config, run: Provenance) -> Provenance:
    """Return the record of a run with today's inputs, as far as they can be digested.

    Parameters
    ----------
    config
        From `load_config`.
    run
        From a folder's `run.json`.
    """
    assert run.created_at is not None
    today = describe_run(config, run.command, {}, model_version=champion_version(config), at=run.at)
    moment = run.at or run.created_at
    data = data_digests(config, {}, known_at=run.created_at, drawn_before=moment)
    # Rows of a database are digested only when they are read: the recomputation compares them.
    open_ = [name for name, sources in data.items() if any(s["sha256"] is None for s in sources)]
    return replace(today, data=data | {n: run.data[n] for n in open_ if n in run.data})


def changed_notes(run: Provenance, fresh: Provenance, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the inputs of a run that changed since, in words.

    Parameters
    ----------
    run, fresh
        The record of the run, and that of today's inputs.
    config
        Today's resolved config.
    """
    if run.version != __version__:
        yield f"errdetect: version {run.version} then, {__version__} now"
    if run.config is not None:
        yield from _changed_keys(_flatten_config(run.config), _flatten_config(config))
    for name in sorted({*run.data, *fresh.data}):
        yield from _changed_sources(name, run.data.get(name, ()), fresh.data.get(name, ()))
    if run.policies_digest != fresh.policies_digest:
        yield f"policies: {_short_digest(run.policies_digest)} then, {_short_digest(fresh.policies_digest)} now"
    if (run.model_version, run.model_digest) != (fresh.model_version, fresh.model_digest):
        then, now = (
            f"version {one.model_version or 'none'} ({_short_digest(one.model_digest)})"
            for one in (run, fresh)
        )
        yield f"model: {then} then, {now} now"


def _changed_keys(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
    for key in keys[:MOST]:
        yield f"config: {key} was {then.get(key)!r}, is {now.get(key)!r}"
    if len(keys) > MOST:
        yield f"config: {len(keys) - MOST} more keys"


def _flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a config's values by dotted key."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= _flatten_config(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _changed_sources(
    name: str, then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """List which files of an input changed, disappeared or are new."""
    old = {str(one.get("source")): one for one in then}
    new = {str(one.get("source")): one for one in now}
    said = []
    for source in sorted({*old, *new}):
        if source not in new:
            said.append(f"{source} is no longer read")
        elif source not in old:
            said.append(f"{source} is new")
        elif old[source].get("sha256") != new[source].get("sha256"):
            digests = (_short_digest(one[source].get("sha256")) for one in (old, new))
            said.append("{} was {}, is {}".format(source, *digests))
    for one in said[:MOST]:
        yield f"data: {name}: {one}"
    if len(said) > MOST:
        yield f"data: {name}: {len(said) - MOST} more files"


def _short_digest(digest: str | None) -> str:
    return "no digest" if digest is None else f"sha256 {digest[:12]}"
