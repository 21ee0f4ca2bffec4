"""The config: one strict YAML file; all faults are reported at once, every key has a default.

Paths in it are relative to the file. `${NAME}` and `${NAME:-default}` in a path are taken from the
environment. Only `errdetect.workflows` unpacks a config; everything below takes keyword arguments. The
keys themselves are in `config_schema`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote

from pydantic import BaseModel, Field, ValidationError, model_validator

from errdetect.config_schema import (
    AuditSettings,
    ConfigSection,
    DatabaseSource,
    DataSettings,
    DsaSettings,
    EstimateSettings,
    EvaluateSettings,
    ExportSettings,
    FeaturesSettings,
    FileSource,
    GateSettings,
    LabelsSettings,
    LedgerSettings,
    Measure,
    MonitorSettings,
    QueueSettings,
    RegistrySettings,
    RemediationSettings,
    ReportSettings,
    RetentionSettings,
    ReviewersSettings,
    ScoreSettings,
    Source,
    StateSettings,
    TargetsSettings,
    TrainSettings,
)
from errdetect.errors import ConfigError, error_message, remember_secrets
from errdetect.schemas import MEASURES, SOURCES
from errdetect.table_settings import expand_variables, unset_variables
from errdetect.yaml_files import YamlFault, parse_yaml, read_yaml, shown_value

__all__ = ["KEY_FILE", "PRESETS", "Config", "load_config"]

#: The file with the key of reviewers' pseudonyms in the registry's folder, if the config names no other.
KEY_FILE = "reviewers.salt"

#: Preset -> section -> the settings that it changes; a config's own keys take precedence.
PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "small": {"train": {"trials": 0}, "evaluate": {"bootstrap": 1000}},
    "default": {},
    "large": {
        "train": {"trials": 6},
        "evaluate": {"bootstrap": 200},
        "report": {"explained": 200},
    },
}

#: What `load_config` adds to the file's keys.
_OURS = {"base", "file", "overrides"}


class Config(ConfigSection):
    """A checked config; build it with `load_config`."""

    version: Literal[1]
    preset: Literal["small", "default", "large"] = Field(
        "default", description="defaults for the log's size; the config's own keys take precedence"
    )
    data: DataSettings
    labels: LabelsSettings = LabelsSettings()
    features: FeaturesSettings = FeaturesSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    gate: GateSettings = GateSettings()
    score: ScoreSettings = ScoreSettings()
    queue: QueueSettings = QueueSettings()
    estimate: EstimateSettings = EstimateSettings()
    audit: AuditSettings = AuditSettings()
    dsa: DsaSettings = DsaSettings()
    report: ReportSettings = ReportSettings()
    reviewers: ReviewersSettings = ReviewersSettings()
    remediation: RemediationSettings = RemediationSettings()
    export: ExportSettings = ExportSettings()
    targets: TargetsSettings = TargetsSettings()
    monitor: MonitorSettings = MonitorSettings()
    registry: RegistrySettings = RegistrySettings()
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    state: StateSettings = StateSettings()
    base: Path = Field(default=Path(), exclude=True)
    file: Path | None = Field(default=None, exclude=True, repr=False)
    overrides: tuple[str, ...] = Field(default=(), exclude=True, repr=False)

    @model_validator(mode="after")
    def _check_schema_choices(self) -> "Config":
        if set(get_args(Source)) != set(SOURCES):
            raise AssertionError("review sources differ from the schema's")
        if set(get_args(Measure)) != set(MEASURES):
            raise AssertionError("measures differ from the schema's")
        return self

    def path(self, value: str) -> Path:
        """Return a path of the config, resolved relative to the config's folder.

        Examples
        --------
        >>> config = Config(version=1, data={"decisions": "d.csv"}, base="/srv")
        >>> str(config.path("d.csv"))
        '/srv/d.csv'
        """
        text = expand_variables(value, self.base)
        if "://" in text:  # of a variable; the config's own addresses are refused when it is loaded
            do = "Give a folder or file of this machine."
            raise ConfigError([error_message(f"'{value}'", "be a path", "an address", do)])
        return self.base / text

    def text(self, value: str) -> str:
        """Return a setting that is no path, with `${NAME}` taken from the environment.

        Examples
        --------
        >>> Config(version=1, data={"decisions": "d.csv"}).text("${UNSET_NAME:-key}")
        'key'
        """
        return expand_variables(value, self.base)

    def data_paths(self, value: str | Sequence[str] | DatabaseSource | FileSource) -> list[str]:
        """Return every location of a source in the data section.

        A path, a glob, or a list of them; a database's table or query is `URL::table` or
        `URL::query`.

        Examples
        --------
        >>> url = "sqlite:///log.db"
        >>> config = Config(version=1, data={"decisions": {"url": url, "table": "d"}}, base="/srv")
        >>> config.data_paths(config.data.decisions)
        ['sqlite:////srv/log.db::d']
        """
        if isinstance(value, DatabaseSource):
            return [f"{self._resolve_url(value.url)}::{value.table or value.query}"]
        base = self.path(self.data.folder or "")
        given = value.path if isinstance(value, FileSource) else value
        given = [given] if isinstance(given, str) else given
        return [
            self._resolve_url(v) if "://" in v else str(base / expand_variables(v, self.base))
            for v in given
        ]

    def ledger_url(self) -> str:
        """Return the ledger's URL; by default `errdetect.db` in the config's folder.

        Examples
        --------
        >>> Config(version=1, data={"decisions": "d.csv"}, base="/srv").ledger_url()
        'sqlite:////srv/errdetect.db'
        """
        return self._resolve_url(self.ledger.url or "sqlite:///errdetect.db")

    def registry_uri(self) -> str | None:
        """Return MLflow's address of the registry; None where it is a folder.

        Examples
        --------
        >>> data = {"decisions": "d.csv"}
        >>> Config(version=1, data=data, base="/srv", registry={"uri": "sqlite:///m.db"}).registry_uri()
        'sqlite:////srv/m.db'
        """
        named = self.registry.uri
        if named is None:
            return None
        uri = self._resolve_url(named)
        if uri.partition("://")[0] not in ("http", "https", "postgresql", "sqlite"):
            do = "Give http://..., https://..., postgresql://... or sqlite:///..."
            what, must = "registry.uri", "be the address of an MLflow registry"
            raise ConfigError([error_message(what, must, "another form", do)])
        return uri

    def key_file(self) -> Path:
        """Return the file with the key of reviewers' pseudonyms.

        Examples
        --------
        >>> str(Config(version=1, data={"decisions": "d.csv"}, base="/srv").key_file())
        '/srv/models/reviewers.salt'
        """
        named = self.reviewers.key
        return self.path(self.registry.path) / KEY_FILE if named is None else self.path(named)

    def _resolve_url(self, value: str) -> str:
        """Resolve a SQLite file relative to the config's folder, like any path."""
        url = expand_variables(value, self.base)
        remember_secrets(_passwords(url))
        head = "sqlite:///"
        return f"{head}{self.base / url.removeprefix(head)}" if url.startswith(head) else url


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    r"""Read and check a config file.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        `key.key=value` each; the value is read as YAML.

    Returns
    -------
    Config
        Frozen, with defaults filled in.

    Raises
    ------
    ConfigError
        With every fault at once.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "c.yaml").write_text("version: 1\ndata: {decisions: d.parquet}")
    >>> load_config(folder / "c.yaml", ["train.trials=50"]).train.trials
    50
    """
    file = Path(path)
    raw = _read_yaml(file)
    faults = [fault for text in overrides for fault in _apply_override(raw, text)]
    remember_secrets(_passwords(raw))
    for name in _OURS & set(raw):
        faults.append(_unknown_key_fault(name, Config))
        raw.pop(name)
    ours = {
        "base": file.resolve().parent,
        "file": file.resolve(),
        "overrides": tuple(overrides),
    }
    try:
        config = Config.model_validate(_with_preset(raw) | ours)
    except ValidationError as error:
        faults.extend(_format_faults(error))
    else:
        faults.extend(_unset_faults(config))
        if not faults:
            return config
    raise ConfigError(faults)


def _with_preset(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a file's keys above those of its preset; what is no section is left for the checks."""
    name = raw.get("preset", "default")
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    sections = {key: raw.get(key, {}) for key in preset}
    known = {key: own for key, own in sections.items() if isinstance(own, dict)}
    return raw | {key: {**preset[key], **own} for key, own in known.items()}


def _unset_faults(config: Config) -> Iterator[str]:
    """Yield a fault for each environment variable that a path or address needs and that is not set."""
    data = config.data
    places = {
        "data.folder": data.folder,
        "data.decisions": data.decisions,
        "data.reviews": data.reviews,
        "data.draws": data.draws,
        "data.policies": data.policies,
        "queue.scores": config.queue.scores,
        "report.words": config.report.words,
        "report.open_appeals": config.report.open_appeals,
        "reviewers.key": config.reviewers.key,
        "registry.path": config.registry.path,
        "registry.uri": config.registry.uri,
        "ledger.url": config.ledger.url,
    }
    for key, place in places.items():
        given = place.url if isinstance(place, DatabaseSource) else place
        given = given.path if isinstance(given, FileSource) else given
        for text in [given] if isinstance(given, str) else given or ():
            for name in unset_variables(text):
                do = f"Set it: export {name}=..., or {name}_FILE=... for a file that holds it."
                what = f"{key}: the environment variable {name}"
                yield error_message(what, "be set", "nothing", do)


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL character
        return False


def _read_yaml(file: Path) -> dict[str, Any]:
    do = "Give the path of a YAML file; the smallest one is shown by `errdetect train --help`."
    if not _is_file(file):
        raise ConfigError([error_message("The config", "be a file", f"'{file}'", do)])
    try:
        raw = read_yaml(file)
    except (YamlFault, UnicodeDecodeError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            [error_message(f"'{file.name}'", "be YAML in UTF-8", problem, do)]
        ) from None
    if not isinstance(raw, dict):
        kind = "an empty file" if raw is None else f"a {type(raw).__name__}"
        raise ConfigError([error_message(f"'{file.name}'", "hold keys and values", kind, do)])
    return {str(key): value for key, value in raw.items()}


def _apply_override(raw: dict[str, Any], text: str) -> Iterator[str]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        yield error_message(
            "--set", "look like key.key=value", shown_value(text), "Write --set train.trials=50."
        )
        return
    *parents, last = key.split(".")
    place = raw
    for parent in parents:
        below = place.setdefault(parent, {})
        if not isinstance(below, dict):
            yield error_message(
                f"--set {_shown_key(key)}",
                f"name a key below {shown_value(parent)}",
                "a plain value there",
                "Check the name.",
            )
            return
        place = below
    try:
        place[last] = parse_yaml(value)
    except YamlFault as error:
        yield error_message(
            f"--set {_shown_key(key)}", "have a YAML value", str(error), "Quote it, or write JSON."
        )


def _format_faults(error: ValidationError) -> Iterator[str]:
    """Yield each fault once, in our own words; a union's branches count as one fault."""
    reported: set[str] = set()
    for fault in error.errors():
        where = [str(part) for part in fault["loc"] if not _is_union_branch(str(part))]
        name = ".".join(where)
        if any(name == other or name.startswith(f"{other}.") for other in reported):
            continue
        reported.add(name)
        shown = _shown_key(name)
        if fault["type"] == "extra_forbidden":
            yield _unknown_key_fault(name, Config)
        elif fault["type"] == "missing":
            yield f"{shown} is missing. Add it; a config needs at least version and data.decisions."
        else:
            message = fault["msg"].removeprefix("Value error, ")
            got = "" if "got" in message else f", got {shown_value(fault['input'])}"
            yield f"{shown}: {message[0].lower()}{message[1:]}{got}. Correct this key."


def _passwords(value: object) -> Iterator[str]:
    """Yield the passwords of all addresses in a config's values and keys, also of broken ones."""
    stack, known = [value], set()
    while stack:
        one = stack.pop()
        if isinstance(one, dict | list) and id(one) not in known:  # an alias repeats a part
            known.add(id(one))
            stack += [*one, *one.values()] if isinstance(one, dict) else one
        elif isinstance(one, str) and "://" in one and "@" in one:
            user = one.partition("://")[2].rpartition("@")[0]
            password = user.partition(":")[2]
            yield from (password, unquote(password))


def _is_union_branch(part: str) -> bool:
    return bool(
        re.match(
            r"^(constrained-|list\[|function-|str$|int$|float$|files$|mapped$|database$)", part
        )
    )


def _shown_key(name: str) -> str:
    """Show a key of the user's: short, and without the rest of an address, or what may be a password before an @."""
    _, at, after = name.rpartition("@")
    return shown_value(f"***{at}{after}" if at else name).strip("'\"")


def _unknown_key_fault(name: str, model: type[BaseModel]) -> str:
    """Return the message for an unknown key, with the closest known one."""
    known = [k for k in _key_paths(model) if k not in _OURS]
    near = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.6)
    inside = name.rpartition(".")[0]
    here = [k for k in known if k.rpartition(".")[0] == inside]
    hint = f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(here) or 'nothing'}."
    return f"{_shown_key(name)} is not a key of the config. {hint}"


def _key_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for below in _section_models(field.annotation):
            yield from _key_paths(below, f"{prefix}{name}.")


def _section_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a key may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _section_models(part)
