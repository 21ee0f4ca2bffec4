"""How labels are made and the model is fitted."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from errdetect.settings.common import Share, Source, Strict

__all__ = ["Evaluate", "Features", "Gate", "Labels", "Train"]


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
    propensity: Literal["off", "audit"] = Field(
        "off",
        description="audit: labels count for the decisions that the audit drew them for when learning; "
        "off: all alike, which ranked better on held-out time",
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

    @field_validator("propensity", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads the bare word as a boolean

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
