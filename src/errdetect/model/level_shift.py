"""Follow the level of P(error) between trainings, by the designed reviews that came since.

What people call a violation drifts, and so does the mix of content. A ranking survives that longer
than its level: "28 % of these are wrong" is soon 12 %. The reviews since the training give each side
of the decision, and each moderator's sides, an offset in log-odds, shrunk to the trained level.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.model.calibration import Calibrator, ColumnOffsets, fit_offsets, segment_values
from errdetect.stats.effective_size import effective_size
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import critical_value
from errdetect.stats.log_odds import clipped_logit

__all__ = ["MIN_REVIEWS", "LevelShift", "RecentReviews", "fit_level_shift"]

Floats = npt.NDArray[np.float64]

#: Fewer designed reviews since the training leave the trained level.
MIN_REVIEWS = 30
_SIDE, _BY_MODERATOR = "enforced", "moderator and side"
#: Prior variance of an offset in log-odds: by side, then by moderator and side around it. Between two
#: fifths of a crowd's judgements, sides moved by 1 to 1.8.
_VARIANCE: Mapping[str, float] = {_SIDE: 0.7**2, _BY_MODERATOR: 0.7**2}
_STEPS = 15  # of EM and backfitting
_COLUMNS = ["segment", "n_reviews", "trained", "observed", "shift", "moved"]


@dataclass(frozen=True)
class RecentReviews:
    """Decisions taken after the training, reviewed by design.

    Parameters
    ----------
    decisions
        Shape (n, any), with `enforced` and, where known, `moderator`.
    p
        Shape (n,), P(error) as trained.
    evidence
        Shape (n,), the reviews' log-likelihood ratio of an error.
    weight
        Shape (n,), 1 / inclusion probability.
    """

    decisions: pd.DataFrame
    p: Floats
    evidence: Floats
    weight: Floats


@dataclass(frozen=True)
class LevelShift:
    """Offsets since the training, and what they rest on.

    Parameters
    ----------
    offsets
        By side, then by moderator and side.
    levels
        One row per side, and per moderator and side, with columns as `schemas.LEVELS`: segment,
        n_reviews, `trained` (mean P(error) as trained), `observed` (by the reviews), `shift` (the
        offset in log-odds), and `moved`: whether they differ significantly (score test, 5 % over all
        rows, Bonferroni).
    """

    offsets: tuple[ColumnOffsets, ...]
    levels: pd.DataFrame

    def apply(self, calibrator: Calibrator) -> Calibrator:
        """Return the calibrator with the offsets added."""
        return replace(calibrator, offsets=(*calibrator.offsets, *self.offsets))

    def notes(self) -> list[str]:
        """Return a sentence for each level that has moved."""
        moved = self.levels[self.levels["moved"]]
        return [
            f"The level has moved since the training: of {row.segment} decisions the model expected "
            f"{row.trained:.1%} to be wrong, and {row.n_reviews} reviews since show {row.observed:.1%}; scores "
            "are shifted accordingly."
            for row in moved.itertuples()
        ]


def fit_level_shift(recent: RecentReviews) -> LevelShift | None:
    """Estimate how far the level has moved since the training.

    Parameters
    ----------
    recent
        n reviewed decisions.

    Returns
    -------
    LevelShift or None
        None with fewer than 30 reviews, counted as equally weighted ones (Kish 1965).

    Notes
    -----
    Penalised logistic regression with the trained log-odds as offset; reviews are evidence, not truth,
    so each step takes P(error) given the reviews as label (EM). An offset has a normal prior around 0
    with standard deviation .7, by side and for a moderator's side around it: with few reviews it stays
    near the trained level.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"enforced": np.arange(400) % 2 == 0})
    >>> wrong = rng.random(400) < np.where(frame["enforced"], 0.25, 0.1)
    >>> evidence = np.where(wrong, 9.0, -9.0)
    >>> shift = fit_level_shift(RecentReviews(frame, np.full(400, 0.25), evidence, np.ones(400)))
    >>> shift.levels[["segment", "n_reviews", "moved"]].values.tolist()
    [['allowed', 200, True], ['enforced', 200, False]]
    """
    weight = recent.weight
    if not len(weight) or effective_size(weight) < MIN_REVIEWS:
        return None
    one = float(weight @ weight / weight.sum())
    values = _segments(recent.decisions)
    offsets = {name: ColumnOffsets(name, {}) for name in values}
    terms = {name: np.zeros(len(weight)) for name in values}
    trained = clipped_logit(recent.p)
    for _ in range(_STEPS):
        for name, column in values.items():
            y = expit(recent.evidence + trained + sum(terms.values()))
            others = sum((terms[o] for o in terms if o != name), trained)
            offsets[name] = fit_offsets(
                column, y, expit(others), weight, one, variance=_VARIANCE[name]
            )
            terms[name] = offsets[name].of(column)
    levels = pd.concat(
        [_compare_levels(recent, _segment_words(n, values[n]), terms[n]) for n in values],
        ignore_index=True,
    )
    levels["moved"] = levels["z"].abs() > critical_value(comparisons=len(levels))
    return LevelShift(tuple(offsets.values()), levels[_COLUMNS])


def _segments(decisions: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the values of the side, and where moderators are known of moderator and side."""
    enforced = decisions["enforced"].to_numpy(bool)
    found = {name: segment_values(name, decisions, enforced) for name in _VARIANCE}
    return {name: column.rename(name) for name, column in found.items() if column is not None}


def _segment_words(name: str, values: pd.Series) -> pd.Series:
    if name == _SIDE:
        return pd.Series(np.where(values, "enforced", "allowed"), index=values.index, dtype="str")
    return values.astype("str")


def _compare_levels(recent: RecentReviews, segment: pd.Series, shift: Floats) -> pd.DataFrame:
    """Compare each segment's trained level with the rate that its reviews show, beside its shift.

    The rate maximises the reviews' likelihood by EM; the score is tested at the trained level.
    """
    code, names = pd.factorize(segment, sort=True)
    known = code >= 0
    code, w, p = code[known], recent.weight[known], recent.p[known]
    n, evidence = len(names), recent.evidence[known]

    def mean(values: Floats) -> Floats:
        return sum_by_group(code, w * values, n) / sum_by_group(code, w, n)

    gap = expit(evidence + clipped_logit(p)) - p
    rate = mean(p)
    for _ in range(_STEPS * 5):
        rate = mean(expit(evidence + clipped_logit(rate)[code]))
    # The variance at the trained level: that of the sample is far too small without any error.
    error = np.sqrt(np.maximum(sum_by_group(code, w**2 * p * (1 - p), n), 1e-12))
    return pd.DataFrame(
        {
            "segment": [str(name) for name in names],
            "n_reviews": np.bincount(code, minlength=n),
            "trained": mean(p),
            "observed": rate,
            "shift": sum_by_group(code, shift[known], n) / np.bincount(code, minlength=n),
            "z": sum_by_group(code, w * gap, n) / error,
        }
    )
