"""Where things are: data, models, the ledger."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from errdetect.settings.common import Strict

__all__ = ["Data", "Database", "Ledger", "Place", "Registry"]


class Database(Strict):
    """A table of a database, or what a query gives: a source of rows."""

    url: str = Field(repr=False, description="postgresql://user@host/name or sqlite:///file.db")
    table: str | None = Field(None, description="table, or schema.table")
    query: str | None = Field(None, description="or: a query, beginning with SELECT or WITH")

    @model_validator(mode="after")
    def _one(self) -> "Database":
        if (self.table is None) == (self.query is None):
            got = "neither" if self.table is None else "both"
            raise ValueError(f"must name a table or a query, got {got}")
        if self.query is not None and self.query.split()[:1] not in _READS:
            raise ValueError("query must begin with SELECT or WITH, got another word")
        return self


_READS = [[word] for word in ("SELECT", "select", "Select", "WITH", "with", "With")]


def _kind_of_source(value: object) -> str:
    """Tell which form a source has, so that a fault speaks of that form alone."""
    return "database" if isinstance(value, dict | Database) else "files"


Files = Annotated[str | list[str], Tag("files")]
Place = Annotated[Files | Annotated[Database, Tag("database")], Discriminator(_kind_of_source)]


class Data(Strict):
    """Where the tables are and what their columns and actions mean."""

    folder: str | None = Field(
        None, description="where the paths below start; default: the config's folder"
    )
    decisions: Place = Field(
        description="path, list of paths, glob, or a database's table or query"
    )
    reviews: Place | None = Field(None, description="path, list of paths, glob, or a database")
    policies: str | None = Field(None, description="the policy catalogue (YAML)")
    columns: dict[str, str] = Field({}, description="your column name: our column name")
    actions: dict[str, Literal["allow", "enforce"]] = Field({}, description="what an action means")
    drop: list[str] = Field([], description="columns to leave unread")
    max_rejected: float = Field(
        0.05,
        ge=0,
        le=1,
        description="largest share of the decisions that may be unusable; more is refused",
    )
    preset: Literal["dsa_statements"] | None = Field(
        None,
        description="read another system's CSV: the EU Transparency Database's statements of reasons",
    )


class Registry(Strict):
    """Where models and runs are kept."""

    path: str = "models"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "errdetect"


class Ledger(Strict):
    """Where runs, the queue, finished reviews and what was done about them are kept."""

    url: str | None = Field(None, repr=False, description="null: errdetect.db beside the config")
