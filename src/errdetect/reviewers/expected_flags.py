"""How probably each verdict is a flag if its reviewer is like the others, on comparable decisions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from errdetect.labels.review_history import to_datetime64
from errdetect.schemas import GOLDEN
from errdetect.stats.group_sums import sum_by_group

__all__ = ["ExpectedFlags", "UnitModel", "Votes", "fit_expected_flags", "read_votes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]

#: Sensitivity and false-positive rate of reviewers before the data, worth so many items.
_FOUND, _FALSE_POSITIVE, _PRIOR_ITEMS = 0.9, 0.04, 40.0
#: Weight of golden items' prior: reviewers do as well on them as on live work.
_GOLDEN_ITEMS = 10.0
#: Prior precision of group effects (log-odds) and of the slope of logit P(error), whose prior is 1.
_RIDGE, _SLOPE_RIDGE = 4.0, 4.0
_ROUNDS = 30
#: Change of every P(error) below which the fit has settled.
_SETTLED = 5e-4
_P_CLIP = 1e-3
_MONTH = np.timedelta64(30, "D")
#: Columns of the decisions by which their error rate may differ, where they exist.
_PLACES = ("market", "language")


@dataclass(frozen=True)
class Votes:
    """Verdicts to compare; arrays of shape (n_votes,) unless said otherwise.

    Parameters
    ----------
    flags
        Whether the verdict finds an error.
    unit
        What it is about: a decision as reviewed for one source, or a golden item.
    truth
        The known answer, 1 error and 0 none; NaN where unknown.
    golden
        Whether it is a golden review.
    when
        When it became known.
    score
        Logit of P(error), 0 on average; 0 where there is none.
    groups
        Codes of the groups by which error rates may differ, shape (n_groupings, n_votes).
    """

    flags: Floats
    unit: Ints
    truth: Floats
    golden: Bools
    when: Times
    score: Floats
    groups: Ints

    def __len__(self) -> int:
        return len(self.flags)


def read_votes(verdicts: pd.DataFrame, decisions: pd.DataFrame, p_error: Floats | None) -> Votes:
    """Gather the verdicts as votes.

    Parameters
    ----------
    verdicts
        From `content_verdicts`.
    decisions
        The decisions that the verdicts' positions index.
    p_error
        P(error) of each decision, shape (n_decisions,); None for none.

    Examples
    --------
    >>> verdicts = pd.DataFrame({"position": [0, 0], "source": "audit", "flags": [True, False],
    ...     "policy_id": "spam", "enforced": True, "true_error": np.nan,
    ...     "known_at": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)})
    >>> votes = read_votes(verdicts, pd.DataFrame({"decision_id": ["a"]}), None)
    >>> len(votes), votes.unit.tolist()
    (2, [0, 0])
    """
    position = verdicts["position"].to_numpy(dtype=np.int64)
    source = pd.factorize(verdicts["source"], sort=True)[0]
    when = to_datetime64(verdicts["known_at"])
    side = verdicts["enforced"].to_numpy(dtype=np.int64)
    policy = pd.factorize(verdicts["policy_id"])[0]
    month = ((when - when.min()) // _MONTH).astype(np.int64) if len(when) else position
    # Enforced and allowed decisions drift apart, too.
    groups = [policy * 2 + side, source * 2 + side, month * 2 + side]
    in_log = position >= 0  # golden items need not be
    groups += [
        np.where(in_log, pd.factorize(decisions[name])[0][np.maximum(position, 0)], -2)
        for name in _PLACES
        if name in decisions
    ]
    score = np.zeros(len(position))
    if p_error is not None and len(position):
        score = logit(np.clip(np.asarray(p_error, np.float64), _P_CLIP, 1 - _P_CLIP))
        score = np.where(in_log, score[np.maximum(position, 0)], np.nan)
        score = np.where(np.isnan(score), np.nanmean(score), score)
        score = score - score.mean()
    lowest = int(position.min(initial=0))
    key = (position - lowest) * (int(source.max(initial=0)) + 1) + source
    codes = [np.unique(group, return_inverse=True)[1] for group in groups]
    return Votes(
        flags=verdicts["flags"].to_numpy(dtype=np.float64),
        unit=np.unique(key, return_inverse=True)[1].astype(np.int64),
        truth=verdicts["true_error"].to_numpy(dtype=np.float64),
        golden=(verdicts["source"] == GOLDEN).to_numpy(dtype=bool),
        when=when,
        score=score,
        groups=np.array(codes, dtype=np.int64).reshape(len(groups), len(position)),
    )


@dataclass(frozen=True)
class ExpectedFlags:
    """What each vote would be of a reviewer like the others; arrays of shape (n_votes,).

    Parameters
    ----------
    votes
        The votes.
    error
        P(the decision is an error), from all but the vote itself.
    found, false_positive
        P(flag) of an error and of a correct decision.
    """

    votes: Votes
    error: Floats
    found: Floats
    false_positive: Floats

    @property
    def flag(self) -> Floats:
        """P(flag)."""
        return self.error * self.found + (1 - self.error) * self.false_positive

    def log_likelihood(self, found: Floats, false_positive: Floats, rows: Ints) -> Floats:
        """Return the log-likelihood of votes under other rates, shape (n_rows,)."""
        flag = self.error[rows] * found + (1 - self.error[rows]) * false_positive
        flag = np.clip(flag, 1e-9, 1 - 1e-9)
        return np.where(self.votes.flags[rows] > 0, np.log(flag), np.log1p(-flag))


def fit_expected_flags(votes: Votes, sound: Floats) -> ExpectedFlags:
    """Fit by expectation maximisation what reviewers usually answer.

    Errors are latent, with a logistic model of P(error)'s logit and of group effects; reviewers
    share one sensitivity and one false-positive rate (Dawid and Skene 1979 with one kind of rater).

    Parameters
    ----------
    votes
        From `read_votes`.
    sound
        How much each vote is trusted, in [0, 1], shape (n_votes,).

    Examples
    --------
    >>> n = 100
    >>> votes = Votes(np.arange(n) % 5 == 0.0, np.arange(n), np.full(n, np.nan), np.zeros(n, bool),
    ...               np.zeros(n, "datetime64[us]"), np.zeros(n), np.zeros((1, n), int))
    >>> fit_expected_flags(votes, np.ones(n)).flag.round(2).tolist()[:2]
    [0.2, 0.2]
    """
    n_units = int(votes.unit.max(initial=-1)) + 1
    first = np.full(n_units, 0, dtype=np.int64)
    first[votes.unit[::-1]] = np.arange(len(votes))[::-1]
    live = ~votes.golden
    trust = np.zeros(n_units)
    np.maximum.at(trust, votes.unit[live], sound[live])
    truth = np.full(n_units, np.nan)
    known = ~np.isnan(votes.truth)
    truth[votes.unit[known]] = votes.truth[known]
    model = UnitModel.start(votes, first, trust, sound)
    found, false_positive = _FOUND, _FALSE_POSITIVE
    before = np.full(n_units, np.inf)
    for _ in range(_ROUNDS):
        vote = _evidence(votes.flags, found, false_positive) * np.where(live, sound, 0.0)
        total = sum_by_group(votes.unit, vote, n_units)
        error = np.where(np.isnan(truth), expit(model.logit() + total), truth)
        if np.abs(error - before).max(initial=0.0) < _SETTLED:
            break
        before = error
        model.step(error)
        found, false_positive = _rates(
            votes,
            error[votes.unit],
            np.where(live, sound, 0.0),
            _FOUND,
            _FALSE_POSITIVE,
            _PRIOR_ITEMS,
        )
    vote = _evidence(votes.flags, found, false_positive) * np.where(live, sound, 0.0)
    total = sum_by_group(votes.unit, vote, n_units)
    own = expit((model.logit() + total)[votes.unit] - vote)
    error = np.where(np.isnan(truth[votes.unit]), own, truth[votes.unit])
    golden = _rates(votes, error, np.where(live, 0.0, sound), found, false_positive, _GOLDEN_ITEMS)
    return ExpectedFlags(
        votes, error, np.where(live, found, golden[0]), np.where(live, false_positive, golden[1])
    )


def _evidence(flags: Floats, found: float, false_positive: float) -> Floats:
    """Return the log-likelihood ratio of each vote for an error."""
    against = np.log((1 - found) / (1 - false_positive))
    return np.asarray(
        np.where(flags > 0, np.log(found / false_positive), against), dtype=np.float64
    )


def _rates(
    votes: Votes, error: Floats, weight: Floats, found: float, false_positive: float, items: float
) -> tuple[float, float]:
    """Return the sensitivity and the false-positive rate, leaning on prior ones."""
    wrong, right = weight * error, weight * (1 - error)
    se = (float((wrong * votes.flags).sum()) + items * found) / (float(wrong.sum()) + items)
    fp = (float((right * votes.flags).sum()) + items * false_positive) / (
        float(right.sum()) + items
    )
    return float(np.clip(se, 0.3, 0.995)), float(np.clip(fp, 0.001, 0.3))


@dataclass
class UnitModel:
    """Log-odds of an error of each unit: slope, constant and group effects."""

    score: Floats
    groups: Ints
    weight: Floats
    slope: float
    constant: float
    effects: list[Floats]

    @classmethod
    def start(cls, votes: Votes, first: Ints, trust: Floats, sound: Floats) -> "UnitModel":
        """Return the model before the first step.

        Parameters
        ----------
        votes
            The votes.
        first
            A vote of each unit, shape (n_units,).
        trust
            Weight of each unit, shape (n_units,).
        sound
            Weight of each vote, shape (n_votes,).
        """
        groups = votes.groups[:, first]
        live = ~votes.golden
        rate = float(np.average(votes.flags[live], weights=sound[live])) if live.any() else 0.1
        effects = [np.zeros(int(codes.max(initial=-1)) + 1) for codes in votes.groups]
        slope = 1.0 if votes.score.any() else 0.0
        start = float(logit(np.clip(rate, 0.02, 0.6)))
        return cls(votes.score[first], groups, trust, slope, start, effects)

    def logit(self) -> Floats:
        """Return the log-odds of each unit."""
        total = self.constant + self.slope * self.score
        for codes, effect in zip(self.groups, self.effects, strict=True):
            total = total + effect[codes]
        return np.clip(total, -9.0, 9.0)

    def step(self, error: Floats) -> None:
        """Take one Newton step for each term in turn, towards these probabilities of an error."""
        for number, codes in enumerate(self.groups):
            residual, curve = self._gradient(error)
            size = len(self.effects[number])
            total = sum_by_group(codes, residual, size) - _RIDGE * self.effects[number]
            self.effects[number] = self.effects[number] + total / (
                sum_by_group(codes, curve, size) + _RIDGE
            )
        residual, curve = self._gradient(error)
        self.constant += float(residual.sum()) / (float(curve.sum()) + 1e-3)
        if self.slope:
            residual, curve = self._gradient(error)
            pull = float((residual * self.score).sum()) - _SLOPE_RIDGE * (self.slope - 1)
            self.slope += pull / (float((curve * self.score**2).sum()) + _SLOPE_RIDGE)

    def _gradient(self, error: Floats) -> tuple[Floats, Floats]:
        now = expit(self.logit())
        return self.weight * (error - now), self.weight * now * (1 - now)
