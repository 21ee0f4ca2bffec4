"""The champion with its level as of now: what the designed reviews since the training show."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from errdetect.data.id_lookup import IdSet
from errdetect.features.point_in_time_features import PastColumns, PointInTimeFeatures
from errdetect.model.bundle import ModelBundle
from errdetect.model.level_shift import RecentReviews, fit_level_shift
from errdetect.snapshot import Snapshot
from errdetect.workflows.train import label_examples

__all__ = ["CurrentLevels", "follow_levels", "follow_log", "recent_ids"]

_SIDES = ("allowed", "enforced")
_MOST = 20_000  # the latest reviews; more hardly narrow the level


@dataclass(frozen=True)
class CurrentLevels:
    """The model to serve, and what its level rests on.

    Parameters
    ----------
    bundle
        The champion, its calibration shifted where reviews since the training allow.
    notes
        Sentences for users.
    levels
        Columns as `schemas.LEVELS`; None where the trained level stands.
    """

    bundle: ModelBundle
    notes: tuple[str, ...] = ()
    levels: pd.DataFrame | None = None

    def sentence(self) -> str:
        """State at which level scores stand, next to figures of the trained level."""
        if self.levels is None:
            return "Shown as trained. Since then too few designed reviews came to follow the level of scores."
        n = int(self.levels["n_reviews"][self.levels["segment"].isin(_SIDES)].sum())
        return (
            f"Shown as trained. Scores in this report, and of the score command, follow the {n:,} designed "
            f"reviews since: {'; '.join(self._side_shifts())}."
        )

    def _side_shifts(self) -> list[str]:
        assert self.levels is not None
        sides = self.levels[self.levels["segment"].isin(_SIDES)]
        return [
            f"of {row.segment} decisions {row.trained:.1%} were expected to be wrong, "
            f"and {row.observed:.1%} were"
            for row in sides.itertuples()
        ]


def recent_ids(bundle: ModelBundle, snapshot: Snapshot) -> pd.Index:
    """Return the decisions taken after the training's last, whose reviews a design drew.

    Parameters
    ----------
    bundle
        The champion.
    snapshot
        The reviewed decisions and their reviews.
    """
    trained_to = bundle.about.get("decided_to")
    if trained_to is None:
        return pd.Index([], dtype="str")
    decisions = snapshot.decisions
    later = (decisions["decided_at"] > pd.Timestamp(trained_to)).to_numpy(bool)
    rows = later & (np.nan_to_num(snapshot.inclusion_probability) > 0)
    rows &= ~bundle.in_sample(decisions["decision_id"])
    latest = decisions[rows].sort_values(["decided_at", "decision_id"], kind="stable")
    ids: pd.Index = pd.Index(latest["decision_id"].iloc[-_MOST:])
    return ids


def follow_levels(
    bundle: ModelBundle,
    past: PastColumns,
    snapshot: Snapshot,
    frames: Iterable[pd.DataFrame],
    threads: int = 1,
) -> CurrentLevels:
    """Shift the champion's level by the designed reviews since its training.

    Parameters
    ----------
    bundle
        The champion, as trained.
    past
        What was known before each decision.
    snapshot
        The reviewed decisions and their reviews, as of now.
    frames
        All decisions, with every column, in parts; those of `recent_ids` are used.
    threads
        Processors used.

    Returns
    -------
    CurrentLevels
        The champion as trained where fewer than 30 designed reviews came since.
    """
    ids = recent_ids(bundle, snapshot)
    if not len(ids):
        return CurrentLevels(bundle)
    wanted = IdSet(ids)
    found = [frame[wanted.among(frame["decision_id"])] for frame in frames]
    rows = pd.concat(found, ignore_index=True).drop_duplicates("decision_id")
    if not len(rows):
        return CurrentLevels(bundle)
    examples = label_examples(snapshot, rows["decision_id"])
    at = pd.Index(rows["decision_id"]).get_indexer(pd.Index(examples.decisions["decision_id"]))
    rows = rows.iloc[at].reset_index(drop=True)
    p = bundle.probability(bundle.detector.features(past.add(rows)), rows, threads)
    shift = fit_level_shift(RecentReviews(rows, p, examples.evidence, examples.design))
    if shift is None:
        return CurrentLevels(bundle)
    current = replace(bundle, calibrator=shift.apply(bundle.calibrator))
    return CurrentLevels(current, tuple(shift.notes()), shift.levels)


def follow_log(bundle: ModelBundle, snapshot: Snapshot) -> CurrentLevels:
    """Return `follow_levels` where the snapshot holds every decision with every column."""
    past = PointInTimeFeatures.for_model_columns(
        bundle.detector.encoding.names, [snapshot.decisions], snapshot.reviews
    )
    return follow_levels(bundle, past, snapshot, [snapshot.decisions])
