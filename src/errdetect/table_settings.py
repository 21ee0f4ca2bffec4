"""Where the tables of a config come from: files, databases, and how each table's columns are read."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from errdetect.errors import ConfigError, error_message, remember_secrets

__all__ = [
    "ConfigSection",
    "DatabaseSource",
    "FileSource",
    "PathText",
    "Place",
    "PresetName",
    "RegistryAddress",
    "RegistryFolder",
    "SourceText",
    "TableMapping",
    "expand_variables",
    "unset_variables",
]

#: ${NAME}, ${NAME:-default} or ${file:PATH}.
_VARIABLE = re.compile(r"\$\{(?:file:([^}]+)|(\w+)(?::-([^}]*))?)\}")
_LONGEST_SECRET = 10_000

_LONGEST_PATH, _LONGEST_SOURCE = 4_000, 100_000


def expand_variables(
    value: str, base: Path = Path(), environment: Mapping[str, str] = os.environ
) -> str:
    """Expand environment variables and files in a path or an address.

    Parameters
    ----------
    value
        With `${NAME}`, `${NAME:-default}` or `${file:PATH}`. Where NAME is not set, NAME_FILE may name a file
        that holds its value. What comes from a file is masked in messages from then on.
    base
        Where relative paths start.
    environment
        The variables.

    Raises
    ------
    ConfigError
        Where a variable is not set or a file cannot be read.

    Examples
    --------
    >>> expand_variables("${DATA:-x}/d.parquet", environment={})
    'x/d.parquet'
    >>> expand_variables("${DATA:-x}/d.parquet", environment={"DATA": "/y"})
    '/y/d.parquet'
    """

    def put(match: re.Match[str]) -> str:
        file, name, default = match.groups()
        if file is None and not environment.get(name):
            file = environment.get(f"{name}_FILE")
        if file is not None:
            return _read_secret(base / file)
        found = environment.get(name) or default
        if found is None:
            do = f"Set it: export {name}=..., or give the path with --set."
            what = f"The environment variable {name}"
            raise ConfigError([error_message(what, "be set", "nothing", do)])
        return found

    return _VARIABLE.sub(put, value)


def unset_variables(value: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the environment variables that a path or address needs and that are not set.

    Examples
    --------
    >>> unset_variables("${HERE}/${THERE}/${file:pw}/${X:-1}", {"HERE_FILE": "/run/here"})
    ['THERE']
    """
    return [
        name
        for file, name, default in (match.groups() for match in _VARIABLE.finditer(value))
        if file is None
        and default is None
        and not environment.get(name)
        and not environment.get(f"{name}_FILE")
    ]


def _read_secret(file: Path) -> str:
    """Read a file's one line, which is masked in messages from then on."""
    what = f"The file '{file}' of the config"
    do = "Give a text file with the value alone, readable by this user."
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_LONGEST_SECRET + 1).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "other content"
        raise ConfigError([error_message(what, "be readable", reason, do)]) from None
    if not text or len(text) > _LONGEST_SECRET or "\n" in text:
        raise ConfigError([error_message(what, "hold one line", "another content", do)])
    remember_secrets([text, quote(text, safe="")])
    return text


def _check_source(value: str) -> str:
    """Refuse what can be no path and no address, before a system call does."""
    if "\0" in value:
        raise ValueError("must hold no NUL character, got one")
    longest = _LONGEST_SOURCE if "://" in value else _LONGEST_PATH
    if len(value) > longest:
        raise ValueError(f"must have at most {longest:,} characters, got {len(value):,}")
    if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
        raise ValueError("must be text, got half of a character")
    return value


def _check_path(value: str) -> str:
    if "://" in value:
        raise ValueError("must be a path, got an address")
    return _check_source(value)


SourceText = Annotated[str, AfterValidator(_check_source)]
PathText = Annotated[str, AfterValidator(_check_path)]

_REGISTRIES = ("http", "https", "postgresql", "sqlite")


def _check_folder(value: str) -> str:
    if "://" in value:
        raise ValueError(
            "must be a path, got an address: a tracking server or a database goes into registry.uri"
        )
    return _check_path(value)


def _check_address(value: str) -> str:
    if not value.startswith("${") and value.partition("://")[0] not in _REGISTRIES:
        raise ValueError(
            "must begin with http://, https://, postgresql:// or sqlite:///, got another form"
        )
    return _check_source(value)


RegistryFolder = Annotated[str, AfterValidator(_check_folder)]
RegistryAddress = Annotated[str, AfterValidator(_check_address)]


class ConfigSection(BaseModel):
    """A section that accepts only its own keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


#: Other systems' logs that are read as they are.
PresetName = Literal[
    "dsa_statements",
    "openai_moderation",
    "perspective",
    "azure_content_safety",
    "aws_rekognition",
    "hive",
    "ozone_events",
    "reddit_modlog",
]


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, LookupError):
        raise ValueError("must name a time zone such as Europe/Berlin or UTC") from None
    return value


def _word_keys(value: object) -> object:
    """Write keys that YAML reads as true, false or a number as the words that a table holds."""
    if not isinstance(value, dict):
        return value
    return {
        str(key).lower() if isinstance(key, bool) else str(key): word for key, word in value.items()
    }


def _word(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


ZoneName = Annotated[str, AfterValidator(_check_zone)]
Words = Annotated[dict[str, Annotated[str, BeforeValidator(_word)]], BeforeValidator(_word_keys)]


class TableMapping(ConfigSection):
    """How a table's own columns and words become ours."""

    columns: dict[str, str | list[str]] = Field(
        {}, description="your column: our column, or several of ours"
    )
    values: dict[str, Words] = Field({}, description="our column: {your word: our word}")
    constants: dict[str, str | float] = Field(
        {}, description="our column: the value that every row has"
    )
    scale: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="our number column: what to divide by, e.g. {score: 100}"
    )
    time_zone: ZoneName | dict[str, ZoneName] | None = Field(
        None, description="zone of times that name none; or market: zone; null: UTC"
    )
    dates: Literal["day_first", "month_first", "day_numbers"] | None = Field(
        None, description="the order in dates such as 03/04/2026"
    )
    decimal: Literal[",", "."] | None = Field(None, description="decimal sign of numbers in text")
    only_with: str | None = Field(
        None,
        description="our column: rows without a value there are no rows of this table, "
        "e.g. verdict for reviews that stand in the log itself",
    )
    preset: PresetName | None = Field(None, description="another system's log, read as it is")
    thresholds: dict[str, float] = Field({}, description="of a moderation API's preset")
    moderators: list[str] = Field(
        [], description="of a moderation log's preset: the accounts that decide automatically"
    )

    @model_validator(mode="after")
    def _check_targets(self) -> "TableMapping":
        targets = [ours for _, named in self.pairs() for ours in named]
        twice = sorted({ours for ours in targets if targets.count(ours) > 1})
        if twice:
            raise ValueError(f"columns must give {twice[0]} one column, got several")
        both = sorted(set(targets) & set(self.constants))
        if both:
            raise ValueError(f"{both[0]} must come from a column or a constant, got both")
        for column, words in self.values.items():
            lower = [word.strip().lower() for word in words]
            again = sorted({word for word in lower if lower.count(word) > 1})
            if again:
                raise ValueError(f"values.{column} must name a word once, got {again[0]!r} twice")
        return self

    def pairs(self) -> list[tuple[str, list[str]]]:
        """Return each of the user's columns with the columns of ours that it feeds.

        Examples
        --------
        >>> TableMapping(columns={"case": ["decision_id", "item_id"], "ts": "decided_at"}).pairs()
        [('case', ['decision_id', 'item_id']), ('ts', ['decided_at'])]
        """
        return [
            (user, [named] if isinstance(named, str) else list(named))
            for user, named in self.columns.items()
        ]

    @property
    def converts(self) -> bool:
        """Whether it changes anything of a table."""
        names = TableMapping.model_fields
        return any(getattr(self, name) not in ({}, [], None) for name in names)


class FileSource(TableMapping):
    """Files of one table, with how its columns are read."""

    path: SourceText | list[SourceText] = Field(
        description="path, list of paths, glob, or a database's URL::table"
    )
    sheet: str | int | None = Field(
        None, description="of a workbook: the sheet's name, or its number from 1"
    )

    @property
    def converts(self) -> bool:
        """Whether it changes anything of a table."""
        return self.sheet is not None or super().converts


class DatabaseSource(TableMapping):
    """A source of rows: a database table, or the result of a query."""

    url: SourceText = Field(
        repr=False, description="postgresql://user@host/name or sqlite:///file.db"
    )
    table: str | None = Field(None, description="table, or schema.table")
    query: str | None = Field(None, description="or: a query, beginning with SELECT or WITH")

    @model_validator(mode="after")
    def _require_one(self) -> "DatabaseSource":
        if (self.table is None) == (self.query is None):
            got = "neither" if self.table is None else "both"
            raise ValueError(f"must name a table or a query, got {got}")
        if self.query is not None and self.query.split()[:1] not in _READS:
            raise ValueError("query must begin with SELECT or WITH, got another word")
        return self


_READS = [[word] for word in ("SELECT", "select", "Select", "WITH", "with", "With")]


def _source_kind(value: object) -> str:
    """Return a source's form, so that faults mention that form only."""
    if isinstance(value, FileSource) or (isinstance(value, dict) and "path" in value):
        return "mapped"
    return "database" if isinstance(value, dict | DatabaseSource) else "files"


Files = Annotated[SourceText | list[SourceText], Tag("files")]
Place = Annotated[
    Files | Annotated[FileSource, Tag("mapped")] | Annotated[DatabaseSource, Tag("database")],
    Discriminator(_source_kind),
]
