"""What was known before each decision, on Spark: verdicts from the driver, decisions from counts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.arrow_frames import to_frame
from errdetect.features.counted_log import OVERALL, CountedKeys
from errdetect.features.point_in_time import ColumnLevels
from errdetect.features.point_in_time_features import (
    EarlierDecisions,
    HistoryIndex,
    version_change_days,
)
from errdetect.features.similar_content import SimilarContentIndex

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["KnownBefore", "first_versions"]

Ints = npt.NDArray[np.int64]
_VERSIONS = ("policy_id", "moderator", "moderator_version")


@dataclass(frozen=True)
class KnownBefore:
    """Adds what was known before decisions, from verdicts and counts of earlier decisions.

    Parameters
    ----------
    keys
        The counted keys.
    levels
        The reviewed decisions' values.
    history, similar
        Of the reviewed decisions; None where the model has no such feature.
    versions
        From `first_versions`; None where not needed.
    keep
        The model's features.
    """

    keys: CountedKeys
    levels: ColumnLevels
    history: HistoryIndex | None
    similar: SimilarContentIndex | None
    versions: pd.DataFrame | None
    keep: frozenset[str]

    @classmethod
    def of(
        cls,
        keys: CountedKeys,
        reviewed: pd.DataFrame,
        reviews: pd.DataFrame,
        found: tuple[Collection[str], Collection[str]],
        versions: pd.DataFrame | None,
        keep: Collection[str],
    ) -> "KnownBefore":
        """Sort the verdicts once.

        Parameters
        ----------
        keys, versions, keep
            As for the class.
        reviewed
            The decisions that were reviewed, each once, with the keys' columns.
        reviews
            All reviews.
        found
            The keys of histories with two groups or more; the kinds of similarity that decisions share.
        """
        levels = ColumnLevels(reviewed, keys.columns)
        split, shared = found
        kinds = {kind: list(own) for kind, own in keys.similar.items()}
        some = bool(keys.history) or keys.changes
        history = HistoryIndex(reviewed, reviews, levels, split) if some else None
        similar = SimilarContentIndex(reviewed, reviews, (levels, kinds), shared) if kinds else None
        return cls(keys, levels, history, similar, versions, frozenset(keep))

    def add(self, decisions: pd.DataFrame, counts: Sequence[Ints]) -> pd.DataFrame:
        """Return decisions with the model's columns of what was known before each.

        Parameters
        ----------
        decisions
            Shape (n, any).
        counts
            Each kind's, shape (n, 6) or (n, 2), from `unpack_counts`.
        """
        found = dict(zip(self.keys.names, counts, strict=True))
        codes = self.levels.of(decisions)
        blocks = []
        if self.history is not None:
            nothing = np.zeros((len(decisions), 6), np.int64)
            days = {} if self.versions is None else version_change_days(self.versions, decisions)
            by_key = {key: found[key] for key in self.keys.history}
            earlier = EarlierDecisions(found.get(OVERALL, nothing), by_key, days)
            blocks.append(self.history.columns(decisions, codes, earlier))
        if self.similar is not None:
            blocks.append(self.similar.columns(decisions, codes, found))
        parts = [part[[name for name in part if str(name) in self.keep]] for part in blocks]
        made = {str(name) for part in parts for name in part}
        own = decisions[[name for name in decisions if name not in made]]
        return pd.concat([own, *parts], axis=1)


def first_versions(decisions: "DataFrame") -> pd.DataFrame:
    """Return when each moderator's version was first seen under each policy, for `version_change_days`."""
    from pyspark.sql import functions as F  # noqa: N812

    names = [name for name in _VERSIONS if name in decisions.columns]
    first = decisions.groupBy(*names).agg(F.min("decided_at").alias("decided_at"))
    return to_frame(first.toArrow())
