"""The config's sections: every key with its default, its limits and what it is for."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = [
    "Audit",
    "Data",
    "Dsa",
    "Estimate",
    "Evaluate",
    "Features",
    "Gate",
    "Labels",
    "Pool",
    "Queue",
    "Registry",
    "Report",
    "Reviewers",
    "Source",
    "Strict",
    "Train",
]

Share = Annotated[float, Field(gt=0, le=1)]
Source = Literal["audit", "appeal", "re_review", "golden", "adjudication", "report"]


class Strict(BaseModel):
    """A section that knows its keys and refuses others."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Data(Strict):
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


class Labels(Strict):
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


class Features(Strict):
    """What the model may look at."""

    leave_out: list[str] = Field([], description="columns that are read but are not features")
    text: bool = Field(True, description="learn from the content's text where there is one")
    history: bool = Field(True, description="learn from what accounts, policies, ... did before")
    similar: bool = Field(True, description="learn from how the same content was judged before")


class Train(Strict):
    """How the model is fitted."""

    trials: int = Field(12, ge=0, description="settings that Optuna tries; 0 keeps the default")
    seconds: float | None = Field(None, gt=0, description="stop tuning after so long; null: never")
    objective: Literal["average_precision", "recall", "harm"] = Field(
        "average_precision",
        description="what tuning and blending maximise on held-out time: average precision, or the "
        "share of errors, or of their harm, found within the queue's budget",
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


class Evaluate(Strict):
    """How the model is measured on held-out decisions."""

    budgets: list[Share] = Field([0.01, 0.05, 0.10, 0.20], min_length=1)
    bootstrap: int = Field(400, ge=50, description="resamples behind each interval")


class Gate(Strict):
    """What a new model must show before it is registered."""

    min_errors: int = Field(5, ge=1, description="held-out errors below which nobody can tell")


class Pool(Strict):
    """Reviewers who can take each other's reviews."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    minutes: float = Field(gt=0, description="reviewer minutes for one run of `score`")
    markets: list[str] = Field([], description="what it can review; empty: any")
    languages: list[str] = Field([], description="`en` takes in `en-GB`")
    policies: list[str] = []
    site: str | None = Field(None, description="where it sits, as reviews say it")


class Queue(Strict):
    """Which decisions go to human reviewers."""

    budget: Annotated[int, Field(ge=1)] | Share = Field(
        0.05, description="reviews per run: a count, or a share of the decisions scored"
    )
    minutes: float | None = Field(
        None, gt=0, description="reviewer minutes per run, in the place of budget"
    )
    pools: list[Pool] = Field([], description="who reviews what, in the place of budget")
    minimum_shares: dict[Literal["policy_id", "market"], dict[str, Share]] = Field(
        {}, description="least part of the minutes for a policy or a market"
    )
    account_cap: int | None = Field(
        None, ge=1, description="most ranked reviews of one account's decisions"
    )
    one_job: bool = Field(True, description="review identical content once, for all its decisions")
    half_life_days: float | None = Field(
        None, gt=0, description="age at which half of the harm is past remedy; null: never"
    )
    explore_share: Share | Literal["auto"] = Field(
        "auto",
        description="part of the budget drawn at random, so that errors nobody expects are seen; auto: "
        "what keeps the error rate's interval within 1.3 of a pure audit's",
    )
    exposure: Literal["none", "log", "linear"] = Field(
        "log", description="how exposure weighs harm: not, 1 + ln(1 + exposure), or exposure itself"
    )
    requeue_reviewed: bool = Field(False, description="queue decisions that people already judged")
    seed: int = Field(0, ge=0)
    scores: str | list[str] | None = Field(
        None,
        description="scores.parquet of earlier runs: path, list of paths, or glob; lets `estimate` use "
        "the queue's reviews",
    )

    @field_validator("budget", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a whole number of reviews or a share above 0 up to 1")
        return value

    @field_validator("pools")
    @classmethod
    def _named(cls, value: list[Pool]) -> list[Pool]:
        names = [pool.name for pool in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"must have names that differ, got '{twice[0]}' twice")
        return value

    @field_validator("minimum_shares")
    @classmethod
    def _at_most_one(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for column, shares in value.items():
            if sum(shares.values()) > 1 + 1e-9:
                raise ValueError(
                    f"must add up to at most 1 for {column}, got {sum(shares.values()):g}"
                )
        return value


class Estimate(Strict):
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


class Audit(Strict):
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


class Dsa(Strict):
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


class Report(Strict):
    """What the policy report shows."""

    title: str | None = None
    by: list[str] = ["policy_id", "market", "language", "moderator"]
    queue_rows: int = Field(50, ge=0, le=1000)
    explained: int = Field(500, ge=1, description="decisions per policy that drivers are read from")


class Reviewers(Strict):
    """What the report says of the people who review."""

    minimum: int = Field(30, ge=1, description="items below which a scorecard's figure is left out")
    aql: float = Field(
        1.0, description="percent of wrong reviews that a site may have over time (ISO 2859-1)"
    )


class Registry(Strict):
    """Where models and runs are kept."""

    path: str = "models"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "errdetect"
