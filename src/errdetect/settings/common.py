"""What all sections of the config share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Measure", "Share", "Source", "Strict"]

Share = Annotated[float, Field(gt=0, le=1)]
Measure = Literal["error_rate", "wrongful_rate", "missed_rate", "precision", "recall", "accuracy"]
Source = Literal["audit", "appeal", "re_review", "golden", "adjudication", "report"]


class Strict(BaseModel):
    """A section that knows its keys and refuses others."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
