"""Decisions and reviews as of a moment, with everything derived from them computed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.dsa_statements import BY_PEOPLE
from errdetect.data.policy_catalogue import Policy
from errdetect.data.rejected_rows import Rejections
from errdetect.data.table_reading import TableRead
from errdetect.labels.audit_sample import (
    AuditSample,
    LostDraws,
    find_lost_draws,
    gather_audit_sample,
    inclusion_probabilities,
)
from errdetect.labels.decision_labels import MATURITY, find_correct_policies, label_decisions
from errdetect.labels.intake_account import (
    Intake,
    IntakeRow,
    decision_rows,
    draw_rows,
    review_rows,
)
from errdetect.labels.review_history import (
    CORRECTED,
    COUNTS,
    build_review_history,
    resolve_as_of,
    to_datetime64,
)
from errdetect.labels.verdicts import GoldenItems, content_verdicts, select_golden_items
from errdetect.reviewers.agreement import find_reviewer_consensus
from errdetect.reviewers.reviewer_model import ReviewerModel, fit_reviewer_model
from errdetect.schemas import AUDIT, GOLDEN, REVIEWS, UPHELD

__all__ = ["LabelRules", "ReadSummary", "Snapshot", "empty_reviews"]


@dataclass(frozen=True)
class LabelRules:
    """How reviews become labels.

    Parameters
    ----------
    reviewers
        `model` resolves conflicts by each reviewer's error rates, `votes` by majority.
    maturity
        How long after the decision each source may still file a review.
    """

    reviewers: Literal["model", "votes"] = "model"
    maturity: Mapping[str, timedelta] = field(default_factory=lambda: dict(MATURITY))


@dataclass(frozen=True)
class ReadSummary:
    """How the tables were read: rejected rows, and rows left out.

    Parameters
    ----------
    decisions
        The intake account of the decisions.
    rejected_decisions
        The readable fields of rejected decisions, with the contract's columns.
    reviews, draws
        From `read_reviews` and `read_draws`; None where there are none.
    excluded
        Reviews left out because of who gave them (labels.exclude_reviewers).
    """

    decisions: tuple[IntakeRow, ...] = ()
    rejected_decisions: pd.DataFrame = field(default_factory=pd.DataFrame)
    reviews: TableRead | None = None
    draws: TableRead | None = None
    excluded: pd.DataFrame | None = None

    @classmethod
    def of(
        cls,
        logs: Mapping[str, Rejections],
        reviews: TableRead | None,
        draws: TableRead | None = None,
        excluded: pd.DataFrame | None = None,
    ) -> Self:
        """Combine the accounts of several decision logs, by name."""
        rows = [row for name, log in logs.items() for row in decision_rows(log, name)]
        rejected = [part for log in logs.values() for part in log.rejected]
        frame = pd.concat(rejected, ignore_index=True) if rejected else pd.DataFrame()
        return cls(tuple(rows), frame, reviews, draws, excluded)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Decisions and reviews as of a moment; each derived part is computed once.

    Parameters
    ----------
    decisions
        n decisions with the contract's columns and the bool `enforced`.
    reviews
        m reviews with the contract's columns; absent optional columns count as missing.
    policies
        The catalogue, by policy id.
    as_of
        The moment, with a time zone; None: the latest time in the data.
    rules
        How reviews become labels.
    reading
        How the tables were read; None unless they came from files.
    draws
        Audit draws with the columns of `schemas.DRAWS`, reviewed or not; None where none are
        recorded, so that only the reviews show who was drawn. Of draws after `as_of` nothing is kept.

    Raises
    ------
    DataError
        On use: if `as_of` has no time zone or a `decision_id` occurs twice.

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
    reviews: pd.DataFrame = field(default_factory=lambda: empty_reviews())
    policies: Mapping[str, Policy] = field(default_factory=dict)
    as_of: datetime | None = None
    rules: LabelRules = LabelRules()
    reading: ReadSummary | None = None
    draws: pd.DataFrame | None = None
    _every_draw: pd.DataFrame | None = None  # also those after `as_of`
    _whole: "Snapshot | None" = None
    _lost: LostDraws | None = None
    _same: "Snapshot | None" = None  # the same decisions in the same order, with other columns

    def __post_init__(self) -> None:
        absent = {c.name: None for c in REVIEWS if c.name not in self.reviews and not c.required}
        if absent:
            object.__setattr__(self, "reviews", self.reviews.assign(**absent))
        if self.draws is not None and self._every_draw is None:
            object.__setattr__(self, "_every_draw", self.draws)
            object.__setattr__(self, "draws", _drawn_by(self.draws, self.as_of))

    @cached_property
    def moment(self) -> pd.Timestamp:
        """`as_of`, or the latest time in the data; a part has the moment of the whole."""
        if self.as_of is None and self._whole is not None:
            return self._whole.moment
        return pd.Timestamp(resolve_as_of(self.as_of, self.decisions, self.reviews), tz="UTC")

    @cached_property
    def review_history(self) -> pd.DataFrame:
        """The reviews with position (row of the decision, -1 if none), known_at and standing."""
        if self._same is not None:
            return self._same.review_history
        return build_review_history(self.decisions, self.reviews, as_of=self.as_of)

    @cached_property
    def known_reviews(self) -> pd.DataFrame:
        """The reviews known by the moment."""
        return self.reviews[(self.review_history["known_at"] <= self.moment).to_numpy(bool)]

    @cached_property
    def current_reviews(self) -> pd.DataFrame:
        """The latest version of each review known by the moment."""
        known = self.review_history["known_at"] <= self.moment
        current = known & (self.review_history["standing"] != CORRECTED)
        return self.reviews[current.to_numpy(bool)]

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """The known reviews as verdicts on content; see `content_verdicts`."""
        # Sorted, so that results are bit-identical in any order of the reviews.
        order = ["review_id", "known_at"]
        return content_verdicts(
            self.decisions, self.review_history.sort_values(order, ignore_index=True)
        )

    @cached_property
    def reviewer_model(self) -> ReviewerModel | None:
        """The reviewer model, fitted on all reviews; None where the rules count votes."""
        if self._whole is not None:
            return self._whole.reviewer_model
        if self.rules.reviewers == "votes":
            return None
        return fit_reviewer_model(self.verdicts, self.decisions["decision_id"], as_of=self.moment)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """A label per decision, as `schemas.LABELS`, in the decisions' order."""
        model = self.reviewer_model
        return label_decisions(
            self.decisions,
            self.review_history,
            as_of=self.moment,
            maturity=self.rules.maturity,
            p_reviews=None if model is None else model.p_error,
        )

    @cached_property
    def correct_policies(self) -> "pd.Series[str]":
        """The correct policy of each enforced decision; missing where unknown."""
        return find_correct_policies(self.decisions, self.labels, self.review_history)

    @cached_property
    def reviewer_consensus(self) -> "pd.Series[str]":
        """Whether each decision's reviewers agreed; see `find_reviewer_consensus`."""
        return find_reviewer_consensus(self.review_history, len(self.decisions))

    @cached_property
    def upheld_ids(self) -> pd.Index:
        """Ids of the decisions that the expert, or else every reviewer, upheld."""
        history = self.review_history[(self.review_history["standing"] == COUNTS).to_numpy(bool)]
        upheld = (history["verdict"] == UPHELD).groupby(history["decision_id"]).all()
        ids: pd.Index = upheld.index[upheld.to_numpy(bool)]
        return ids

    @cached_property
    def reviewed_ids(self) -> pd.Index:
        """Ids of the decisions that people reviewed; golden items do not count."""
        people = (self.current_reviews["source"] != GOLDEN).to_numpy(bool)
        ids: pd.Index = pd.Index(self.current_reviews.loc[people, "decision_id"].unique())
        return ids

    @cached_property
    def audit_sample(self) -> AuditSample:
        """The draws of the audit, with logged inclusion probabilities."""
        if self._same is not None:
            return self._same.audit_sample
        return gather_audit_sample(self.decisions, self.reviews, as_of=self.as_of, draws=self.draws)

    @cached_property
    def audit_weight(self) -> float:
        """Sum of 1/inclusion probability over the audited decisions, where given."""
        return float(np.nansum(1 / self.inclusion_probability))

    @cached_property
    def inclusion_probability(self) -> npt.NDArray[np.float64]:
        """The probability with which the audit drew each decision, shape (n,); NaN if not drawn."""
        return inclusion_probabilities(self.review_history, n_decisions=len(self.decisions))

    @cached_property
    def has_audit(self) -> bool:
        """Whether any known review comes from an audit."""
        return bool((self.known_reviews["source"] == AUDIT).any())

    def golden_items(self, sites: tuple[str, ...]) -> GoldenItems:
        """Return the golden reviews, with each one's site as its index in `sites`."""
        return select_golden_items(self.decisions, self.review_history, sites)

    @cached_property
    def lost_draws(self) -> LostDraws:
        """Audited decisions without a usable review."""
        if self._lost is not None:
            return self._lost
        read = self.reading
        return find_lost_draws(
            self.decisions,
            self.reviews,
            self.inclusion_probability,
            as_of=self.as_of,
            rejected_reviews=read.reviews.rejected if read and read.reviews else None,
            rejected_decisions=read.rejected_decisions if read else None,
        )

    @cached_property
    def intake(self) -> Intake:
        """The intake account: rows read, used and left out."""
        reading = self.reading
        rows = [] if reading is None else list(reading.decisions)
        read = None if reading is None else reading.reviews
        if len(self.reviews) or read is not None:
            bad = None if reading is None else reading.rejected_decisions.get("decision_id")
            ids = pd.Index([] if bad is None else bad.dropna())
            excluded = None if reading is None else reading.excluded
            rows += review_rows(self.review_history, read, ids, excluded)
        if self._every_draw is not None:
            # Without a moment every draw is known: what was drawn last may still be unreviewed.
            moment = None if self.as_of is None else self.moment
            draws = None if reading is None else reading.draws
            rows += draw_rows(self._every_draw, draws, self.decisions["decision_id"], moment)
        return Intake(tuple(rows))

    @cached_property
    def automated(self) -> "Snapshot":
        """The same without decisions that the log attributes to people."""
        if "moderator" not in self.decisions:
            return self
        people = (self.decisions["moderator"] == BY_PEOPLE).to_numpy(dtype=bool, na_value=False)
        return self.of(self.decisions[~people]) if people.any() else self

    @cached_property
    def _moments(self) -> "dict[pd.Timestamp, Snapshot]":
        return {}

    @cached_property
    def decided(self) -> "Snapshot":
        """The same with only the decisions up to the moment; itself if those are all."""
        if self.as_of is None:
            return self
        by_then = (self.decisions["decided_at"] <= self.moment).to_numpy(bool)
        return self if by_then.all() else self.of(self.decisions[by_then])

    def before(self, moment: datetime) -> "Snapshot":
        """Return the snapshot as of another moment; cached per moment."""
        key = pd.Timestamp(moment)
        if key not in self._moments:
            whole = None if self._whole is None else self._whole.before(moment)
            # Losses are those by then: a part takes them from the whole, as `of` does.
            lost = self._lost if whole is None else whole.of(self.decisions).lost_draws
            self._moments[key] = replace(
                self, as_of=moment, draws=self._every_draw, _every_draw=None, _whole=whole,
                _lost=lost, _same=None,
            )  # fmt: skip
        return self._moments[key]

    def with_reviews(self, reviews: pd.DataFrame) -> "Snapshot":
        """Return the same with these reviews; reading and losses stay unchanged."""
        return replace(self, reviews=reviews, _lost=self.lost_draws, _same=None)

    def with_columns(self, decisions: pd.DataFrame) -> "Snapshot":
        """Return the same with further columns of its decisions, or in another order."""
        lost = None if self._lost is None else _match_lost_draws(self._lost, decisions)
        names = ["decision_id", "decided_at"]  # determine a review's standing
        same = self if decisions[names].equals(self.decisions[names]) else None
        return replace(self, decisions=decisions, _lost=lost, _same=same)

    def of(self, decisions: pd.DataFrame) -> "Snapshot":
        """Return the snapshot of a part of the decisions, in their order.

        Golden items stay: they measure reviewers, whatever decision they are about. A lost draw may
        belong to the part, unless its review is earlier than the part's first decision.
        """
        index = pd.Index(decisions["decision_id"])
        golden = (self.reviews["source"] == GOLDEN).to_numpy(bool)
        kept = self.reviews["decision_id"].isin(index).to_numpy(bool) | golden
        # Keep a review's history with it: a correction may refer to another decision.
        ids = self.reviews["review_id"]
        again = ids.duplicated(keep=False).to_numpy(bool)
        kept |= again & ids.isin(ids[kept & again]).to_numpy(bool)
        lost = self.lost_draws
        there = lost.position >= 0
        inside = np.isin(lost.decision_id, index.to_numpy(object)) | ~there
        if len(decisions):
            inside &= ~(lost.known_at < to_datetime64(decisions["decided_at"]).min())
        return replace(
            self,
            decisions=decisions.reset_index(drop=True),
            reviews=self.reviews[kept].reset_index(drop=True),
            reading=None,
            draws=_select_draws(self.draws, index),
            _every_draw=_select_draws(self._every_draw, index),
            _whole=self if self._whole is None else self._whole,
            _lost=_match_lost_draws(lost.select_rows(inside), decisions),
            _same=None,
        )


def _drawn_by(draws: pd.DataFrame, as_of: datetime | None) -> pd.DataFrame:
    """Keep what was drawn by a moment; a moment without a time zone is refused on use."""
    moment = None if as_of is None else pd.Timestamp(as_of)
    if moment is None or moment.tzinfo is None:
        return draws
    return draws[(draws["drawn_at"] <= moment).to_numpy(bool)].reset_index(drop=True)


def _select_draws(draws: pd.DataFrame | None, index: pd.Index) -> pd.DataFrame | None:
    """Keep the draws of these decisions."""
    if draws is None:
        return None
    return draws[draws["decision_id"].isin(index).to_numpy(bool)].reset_index(drop=True)


def _match_lost_draws(lost: LostDraws, decisions: pd.DataFrame) -> LostDraws:
    """Look up the lost draws among these decisions."""
    index = pd.Index(decisions["decision_id"])
    position = index.get_indexer(pd.Index(lost.decision_id)).astype(np.int64)
    return replace(lost, position=position)


def empty_reviews() -> pd.DataFrame:
    """Return an empty table with the contract's review columns."""
    times = ("reviewed_at", "updated_at")
    kinds = {"number": "float64", "string": "str"}
    columns = {c.name: pd.Series([], dtype=kinds.get(c.kind, "object")) for c in REVIEWS}
    columns |= {
        name: pd.Series([], dtype="datetime64[us, UTC]") for name in times if name in columns
    }
    return pd.DataFrame(columns)
