"""What was known at a moment: decisions, reviews, and all that follows from them, each once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from errdetect.data.policies import Policy
from errdetect.data.statements import BY_PEOPLE
from errdetect.data.tables import TableRead
from errdetect.labels.audit_sample import AuditSample, LostDraws, audit_sample, lost_draws
from errdetect.labels.events import instants, moment, review_events
from errdetect.labels.golden_items import GoldenItems, golden_items
from errdetect.labels.history import MATURITY, labels_as_of
from errdetect.labels.intake import Intake, decision_rows, review_rows
from errdetect.labels.reviewers import ReviewerModel, fit_reviewers
from errdetect.labels.right_policy import right_policies
from errdetect.schemas import AUDIT, GOLDEN, REVIEWS

__all__ = ["Reading", "Rules", "Snapshot"]


@dataclass(frozen=True)
class Rules:
    """How reviews become labels.

    Parameters
    ----------
    reviewers
        `model` settles conflicts by how often each reviewer errs, `votes` by counting.
    maturity
        How long after the decision each source may still answer by itself.
    """

    reviewers: Literal["model", "votes"] = "model"
    maturity: Mapping[str, timedelta] = field(default_factory=lambda: dict(MATURITY))


@dataclass(frozen=True)
class Reading:
    """The tables as they were read: what was rejected, copied, converted.

    Parameters
    ----------
    decisions, reviews
        From `read_decisions` and `read_reviews`; None where there are no reviews.
    """

    decisions: TableRead
    reviews: TableRead | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Decisions and reviews as of a moment; everything that follows is worked out once.

    Parameters
    ----------
    decisions
        n decisions with the contract's columns and the bool `enforced`.
    reviews
        m reviews with the contract's columns; optional ones that are absent count as missing.
    policies
        The catalogue, by policy id.
    as_of
        What was known at this moment, with a time zone; None: the latest time in the data.
    rules
        How reviews become labels.
    reading
        How the tables were read; None where they did not come from files.

    Raises
    ------
    DataError
        On use: if `as_of` has no time zone or a `decision_id` stands twice.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0],
    ...                           "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["1"], "decision_id": ["a"], "reviewed_at": day[1:],
    ...                         "source": "audit", "verdict": "overturned",
    ...                         "inclusion_probability": 0.5})
    >>> snapshot = Snapshot(decisions, reviews)
    >>> snapshot.labels["label"].tolist(), snapshot.audit_sample.weight.tolist()
    (['error', 'unknown'], [2.0])
    >>> snapshot.before(day[0]).labels["label"].tolist()
    ['unknown', 'unknown']
    """

    decisions: pd.DataFrame
    reviews: pd.DataFrame = field(default_factory=lambda: no_reviews())
    policies: Mapping[str, Policy] = field(default_factory=dict)
    as_of: datetime | None = None
    rules: Rules = Rules()
    reading: Reading | None = None
    _lost: LostDraws | None = None

    def __post_init__(self) -> None:
        absent = {c.name: None for c in REVIEWS if c.name not in self.reviews and not c.required}
        if absent:
            object.__setattr__(self, "reviews", self.reviews.assign(**absent))

    @cached_property
    def moment(self) -> pd.Timestamp:
        """`as_of`, or the latest time in the data."""
        return pd.Timestamp(moment(self.as_of, self.decisions, self.reviews), tz="UTC")

    @cached_property
    def review_history(self) -> pd.DataFrame:
        """The reviews with position (row of the decision, -1 if none), known_at and standing."""
        return review_events(self.decisions, self.reviews, as_of=self.as_of)

    @cached_property
    def known_reviews(self) -> pd.DataFrame:
        """The reviews known by the moment."""
        return self.reviews[(self.review_history["known_at"] <= self.moment).to_numpy(bool)]

    @cached_property
    def reviewer_model(self) -> ReviewerModel | None:
        """How often reviewers err; None where the rules count votes."""
        if self.rules.reviewers == "votes":
            return None
        return fit_reviewers(self.reviews, self.decisions, as_of=self.as_of)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """A label for each decision, as `schemas.LABELS`, in the decisions' order."""
        model = self.reviewer_model
        return labels_as_of(
            self.decisions,
            self.reviews,
            as_of=self.as_of,
            maturity=self.rules.maturity,
            p_reviews=None if model is None else model.p_error,
        )

    @cached_property
    def correct_policies(self) -> "pd.Series[str]":
        """The policy each enforced decision should have been taken under; missing where unknown."""
        return right_policies(self.decisions, self.labels, self.reviews, as_of=self.as_of)

    @cached_property
    def reviewed_ids(self) -> pd.Index:
        """Ids of the decisions that people reviewed; golden items do not count."""
        people = (self.reviews["source"] != GOLDEN).to_numpy(bool)
        ids: pd.Index = pd.Index(self.reviews.loc[people, "decision_id"].unique())
        return ids

    @cached_property
    def audit_sample(self) -> AuditSample:
        """The draws of the audit, whose design logged its probabilities."""
        return audit_sample(self.decisions, self.reviews, as_of=self.as_of)

    @cached_property
    def has_audit(self) -> bool:
        """Whether any review comes from an audit."""
        return bool((self.reviews["source"] == AUDIT).any())

    def golden_items(self, sites: tuple[str, ...]) -> GoldenItems:
        """Return the golden reviews, with each one's site as its place among `sites`."""
        standing = self.review_history["standing"].to_numpy()
        return golden_items(self.decisions, self.reviews.assign(standing=standing), sites)

    @cached_property
    def lost_draws(self) -> LostDraws:
        """Audited decisions of which no review can be used."""
        if self._lost is not None:
            return self._lost
        read = self.reading
        return lost_draws(
            self.decisions,
            self.reviews,
            self.audit_sample,
            as_of=self.as_of,
            rejected_reviews=read.reviews.rejected if read and read.reviews else None,
            rejected_decisions=read.decisions.rejected if read else None,
        )

    @cached_property
    def intake(self) -> Intake:
        """What was read, used and left out."""
        reading = self.reading
        rows = [] if reading is None else list(decision_rows(reading.decisions))
        if len(self.reviews) or (reading is not None and reading.reviews is not None):
            bad = pd.Index([]) if reading is None else pd.Index(reading.decisions.rejects["id"])
            history = self.reviews.assign(standing=self.review_history["standing"].to_numpy())
            rows += review_rows(history, None if reading is None else reading.reviews, bad)
        return Intake(tuple(rows))

    @cached_property
    def automated(self) -> "Snapshot":
        """The same without decisions that people took, where the log says so."""
        if "moderator" not in self.decisions:
            return self
        people = (self.decisions["moderator"] == BY_PEOPLE).to_numpy(dtype=bool, na_value=False)
        return self.of(self.decisions[~people]) if people.any() else self

    def before(self, moment: datetime) -> "Snapshot":
        """Return what was known at an earlier moment."""
        return replace(self, as_of=moment, _lost=None)

    def of(self, decisions: pd.DataFrame) -> "Snapshot":
        """Return the same reviews of a part of the decisions, in their order.

        Golden items stay: they measure reviewers, whatever decision they are about. A draw that was
        lost may be one of the part's, unless its review came before the part's first decision.
        """
        index = pd.Index(decisions["decision_id"])
        golden = (self.reviews["source"] == GOLDEN).to_numpy(bool)
        kept = self.reviews["decision_id"].isin(index).to_numpy(bool) | golden
        lost = self.lost_draws
        there = lost.position >= 0
        inside = np.isin(lost.decision_id, index.to_numpy(object)) | ~there
        if len(decisions):
            inside &= ~(lost.known_at < instants(decisions["decided_at"]).min())
        lost = lost.only(inside)
        position = index.get_indexer(pd.Index(lost.decision_id)).astype(np.int64)
        return replace(
            self,
            decisions=decisions.reset_index(drop=True),
            reviews=self.reviews[kept].reset_index(drop=True),
            reading=None,
            _lost=replace(lost, position=position),
        )


def no_reviews() -> pd.DataFrame:
    """Return the contract's review columns without a row."""
    times = ("reviewed_at", "updated_at")
    kinds = {"number": "float64", "string": "str"}
    columns = {c.name: pd.Series([], dtype=kinds.get(c.kind, "object")) for c in REVIEWS}
    columns |= {
        name: pd.Series([], dtype="datetime64[us, UTC]") for name in times if name in columns
    }
    return pd.DataFrame(columns)
