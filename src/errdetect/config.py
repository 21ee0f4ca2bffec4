"""The config: one strict YAML file, every fault told at once, every key with a default.

Paths in it are relative to the file. `${NAME}` and `${NAME:-default}` in a path are taken from the
environment. Only `errdetect.jobs` unpacks a config; everything below takes keyword arguments.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from errdetect.errors import ConfigError, sentence
from errdetect.schemas import SOURCES

__all__ = [
    "Audit",
    "Config",
    "Data",
    "Dsa",
    "Estimate",
    "Evaluate",
    "Features",
    "Gate",
    "Labels",
    "Queue",
    "Registry",
    "Report",
    "Reviewers",
    "Train",
    "load_config",
]

Share = Annotated[float, Field(gt=0, le=1)]
Source = Literal["audit", "appeal", "re_review", "golden", "adjudication", "report"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Data(_Strict):
    """Where the tables are and what their columns and actions mean."""

    folder: str | None = Field(
        None, description="where the paths below start; default: the config's folder"
    )
    decisions: str | list[str] = Field(description="path, list of paths, or glob")
    reviews: str | list[str] | None = Field(None, description="path, list of paths, or glob")
    policies: str | None = Field(None, description="the policy catalogue (YAML)")
    columns: dict[str, str] = Field({}, description="your column name: our column name")
    actions: dict[str, Literal["allow", "enforce"]] = Field({}, description="what an action means")
    drop: list[str] = Field([], description="columns to leave unread")
    preset: Literal["dsa_statements"] | None = Field(
        None,
        description="read another system's CSV: the EU Transparency Database's statements of reasons",
    )


class Labels(_Strict):
    """How reviews become labels."""

    as_of: datetime | None = Field(None, description="use only what was known by then (UTC)")
    maturity_days: dict[Source, Annotated[float, Field(ge=0)]] = Field(
        {},
        description="days a source may take before 'no review' is final; default 184 for appeal "
        "and report",
    )
    reviewers: Literal["model", "votes"] = Field(
        "model", description="weigh reviewers by how often they err, or count votes alike"
    )

    @field_validator("as_of")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Features(_Strict):
    """What the model may look at."""

    leave_out: list[str] = Field([], description="columns that are read but are not features")
    text: bool = Field(True, description="learn from the content's text where there is one")
    history: bool = Field(True, description="learn from what accounts, policies, ... did before")
    similar: bool = Field(True, description="learn from how the same content was judged before")


class Train(_Strict):
    """How the model is fitted."""

    trials: int = Field(12, ge=0, description="settings that Optuna tries; 0 keeps the default")
    seconds: float | None = Field(None, gt=0, description="stop tuning after so long; null: never")
    objective: Literal["average_precision", "recall"] = Field(
        "average_precision",
        description="what tuning and blending maximise on held-out time: average precision, or the "
        "share of errors found within the queue's budget",
    )
    resume: bool = Field(
        False,
        description="keep trials beside the registry, so that tuning goes on where it broke off",
    )
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, ge=1, description="default: the processor's cores")
    parts: tuple[Share, Share, Share] = Field(
        (0.6, 0.2, 0.2), description="shares of labelled decisions, by time: fit, tune, test"
    )

    @field_validator("parts")
    @classmethod
    def _sum(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(value) - 1) > 1e-9:
            raise ValueError(f"must add up to 1, got {sum(value):g}")
        return value


class Evaluate(_Strict):
    """How the model is measured on held-out decisions."""

    budgets: list[Share] = Field([0.01, 0.05, 0.10, 0.20], min_length=1)
    bootstrap: int = Field(400, ge=50, description="resamples behind each interval")


class Gate(_Strict):
    """What a new model must show before it is registered."""

    min_errors: int = Field(5, ge=1, description="held-out errors below which nobody can tell")


class Queue(_Strict):
    """Which decisions go to human reviewers."""

    budget: Annotated[int, Field(ge=1)] | Share = Field(
        0.05, description="reviews per run: a count, or a share of the decisions scored"
    )
    explore_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="part of the budget drawn at random, so that errors nobody expects are seen",
    )
    exposure: Literal["none", "log", "linear"] = Field(
        "log", description="how exposure weighs harm: not, 1 + ln(1 + exposure), or exposure itself"
    )
    requeue_reviewed: bool = Field(False, description="queue decisions that people already judged")
    seed: int = Field(0, ge=0)

    @field_validator("budget", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a whole number of reviews or a share above 0 up to 1")
        return value


class Estimate(_Strict):
    """How error rates are estimated."""

    min_reviews: int = Field(5, ge=1, description="reviews below which a cell is suppressed")
    correction: Literal["auto", "require", "none"] = Field(
        "auto",
        description="put reviewers' errors right where possible, or else give no figure, or never",
    )
    control: Literal["auto", "cross_fitted", "none"] = Field(
        "auto",
        description="P(error) that narrows the intervals: one fitted on the audit in turns, or none; auto takes "
        "the champion's where it has not seen the audit, and none above 300,000 decisions",
    )


class Audit(_Strict):
    """How the next audit is drawn and reviewed."""

    method: Literal["unequal", "neyman"] = Field(
        "unequal",
        description="lean towards likely errors decision by decision, or share out among strata",
    )
    floor: float = Field(
        0.25, ge=0.2, le=1, description="part of the uniform chance that every decision keeps"
    )
    min_per_segment: int = Field(0, ge=0, description="least expected reviews of each segment")
    adjudicate_flags: bool = Field(
        True, description="an expert settles every decision that a reviewer calls wrong"
    )
    golden_per_site: int = Field(
        100, ge=0, description="items of known answer that each site gets, half of them errors"
    )


class Dsa(_Strict):
    """What `estimate --dsa` needs to know for the EU's harmonised transparency report."""

    service: str | None = Field(None, description="name of the service in the report")
    by: Literal["language", "market"] = Field(
        "language", description="scopes: EU languages, or Member States"
    )
    own_initiative: dict[str, str] = Field(
        {"source_type": "SOURCE_VOLUNTARY"},
        description="column: value, of measures taken on the service's own initiative",
    )

    @field_validator("own_initiative")
    @classmethod
    def _one(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 1:
            raise ValueError(f"must name one column, got {len(value)}")
        return value


class Report(_Strict):
    """What the policy report shows."""

    title: str | None = None
    by: list[str] = ["policy_id", "market", "language", "moderator"]
    queue_rows: int = Field(50, ge=0, le=1000)
    explained: int = Field(
        2000, ge=1, description="decisions per policy that drivers are read from"
    )


class Reviewers(_Strict):
    """What the report says of the people who review."""

    minimum: int = Field(30, ge=1, description="items below which a scorecard's figure is left out")
    aql: float = Field(
        1.0, description="percent of wrong reviews that a site may have over time (ISO 2859-1)"
    )


class Registry(_Strict):
    """Where models and runs are kept."""

    path: str = "models"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "errdetect"


class Config(_Strict):
    """A checked config; build it with `load_config`."""

    version: Literal[1]
    data: Data
    labels: Labels = Labels()
    features: Features = Features()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    gate: Gate = Gate()
    queue: Queue = Queue()
    estimate: Estimate = Estimate()
    audit: Audit = Audit()
    dsa: Dsa = Dsa()
    report: Report = Report()
    reviewers: Reviewers = Reviewers()
    registry: Registry = Registry()
    base: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _nothing_missing(self) -> "Config":
        if set(get_args(Source)) != set(SOURCES):
            raise AssertionError("review sources differ from the schema's")
        return self

    def path(self, value: str) -> Path:
        """Return the place that a path of the config names, relative to the config's folder.

        Examples
        --------
        >>> config = Config(version=1, data={"decisions": "d.csv"}, base="/work")
        >>> str(config.path("d.csv"))
        '/work/d.csv'
        """
        return self.base / _expand(value)

    def data_paths(self, value: str | Sequence[str]) -> list[str]:
        """Return every place of a source of the data section: a path, a glob, or a list of them."""
        base = self.path(self.data.folder or "")
        return [str(base / _expand(v)) for v in ([value] if isinstance(value, str) else value)]


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
    faults = [fault for text in overrides for fault in _override(raw, text)]
    if "base" in raw:
        faults.append(_unknown("base", Config))
        raw.pop("base")
    try:
        config = Config.model_validate({**raw, "base": file.resolve().parent})
    except ValidationError as error:
        faults.extend(_faults(error))
    else:
        if not faults:
            return config
    raise ConfigError(faults)


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(file: Path) -> dict[str, Any]:
    do = "Give the path of a YAML file; the smallest one is shown by `errdetect train --help`."
    if not file.is_file():
        raise ConfigError([sentence("The config", "be a file", f"'{file}'", do)])
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = re.sub(r"\s+", " ", str(error))
        raise ConfigError([sentence(f"'{file.name}'", "be YAML in UTF-8", said, do)]) from None
    if not isinstance(raw, dict):
        kind = "an empty file" if raw is None else f"a {type(raw).__name__}"
        raise ConfigError([sentence(f"'{file.name}'", "hold keys and values", kind, do)])
    return {str(key): value for key, value in raw.items()}


def _override(raw: dict[str, Any], text: str) -> Iterator[str]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        yield sentence(
            "--set", "look like key.key=value", f"'{text}'", "Write --set train.trials=50."
        )
        return
    *parents, last = key.split(".")
    place = raw
    for parent in parents:
        below = place.setdefault(parent, {})
        if not isinstance(below, dict):
            yield sentence(
                f"--set {key}",
                f"name a key below '{parent}'",
                "a plain value there",
                "Check the name.",
            )
            return
        place = below
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        yield sentence(
            f"--set {key}", "have a YAML value", f"'{value}'", "Quote it, or write JSON."
        )


def _faults(error: ValidationError) -> Iterator[str]:
    """Say each fault once, in our own words; a union's branches count as one fault."""
    told: set[str] = set()
    for fault in error.errors():
        where = [str(part) for part in fault["loc"] if not _is_branch(str(part))]
        name = ".".join(where)
        if any(name == other or name.startswith(f"{other}.") for other in told):
            continue
        told.add(name)
        if fault["type"] == "extra_forbidden":
            yield _unknown(name, Config)
        elif fault["type"] == "missing":
            yield f"{name} is missing. Add it; a config needs at least version and data.decisions."
        else:
            message = fault["msg"].removeprefix("Value error, ")
            got = "" if "got" in message else f", got {_short(fault['input'])}"
            yield f"{name}: {message[0].lower()}{message[1:]}{got}. Correct this key."


def _is_branch(part: str) -> bool:
    return bool(re.match(r"^(constrained-|list\[|function-|str$|int$|float$)", part))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(name: str, model: type[BaseModel]) -> str:
    """Say that a key does not exist, with the nearest that does."""
    known = [k for k in _keys(model) if k != "base"]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    inside = name.rpartition(".")[0]
    here = [k for k in known if k.rpartition(".")[0] == inside]
    hint = f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(here) or 'nothing'}."
    return f"{name} is not a key of the config. {hint}"


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def _expand(value: str, environment: Mapping[str, str] = os.environ) -> str:
    """Put environment variables into a path.

    >>> _expand("${DATA:-x}/d.parquet", {}), _expand("${DATA:-x}/d.parquet", {"DATA": "/y"})
    ('x/d.parquet', '/y/d.parquet')
    """

    def put(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        found = environment.get(name) or default
        if found is None:
            do = f"Set it: export {name}=..., or give the path with --set."
            raise ConfigError(
                [sentence(f"The environment variable {name}", "be set", "nothing", do)]
            )
        return found

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", put, value)
