"""What was known before each decision, on Spark: verdicts from the driver, decisions from counts."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.arrow_frames import to_frame
from errdetect.features.counted_log import OVERALL, CountedKeys
from errdetect.features.point_in_time import ColumnLevels
from errdetect.features.point_in_time_features import (
    EarlierDecisions,
    HistoryIndex,
    version_change_days,
)
from errdetect.features.similar_content import SimilarContentIndex
from errdetect.spark.clean_rows import EventReader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["VERSIONS", "KnownBefore", "first_versions"]

Ints = npt.NDArray[np.int64]
#: What tells a version of a moderator under a policy.
VERSIONS = ("policy_id", "moderator", "moderator_version")


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


def first_versions(events: "DataFrame", read: EventReader) -> pd.DataFrame:
    """Return when each moderator's version was first seen under each policy, for `version_change_days`.

    Parameters
    ----------
    events
        From `read_events`.
    read
        With the columns' names among its columns.
    """
    names = [name for name in VERSIONS if name in read.columns]
    first = events.mapInArrow(
        lambda batches: _first_times(read(batches), names),
        ", ".join(f"{name} string" for name in names) + ", at_min bigint",
    )
    table = _earliest(first.toArrow().rename_columns([*names, "at"]), names)
    times = table["at_min"].cast(pa.timestamp("us", "UTC"))
    return to_frame(table.select(names).append_column("decided_at", times))


def _first_times(
    batches: Iterator[pa.RecordBatch], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    held: pa.Table | None = None
    for batch in batches:
        own = pa.Table.from_batches([batch])
        own = own.filter(own["event"]).select([*names, "at"])
        known = [] if held is None else [held.rename_columns([*names, "at"])]
        held = _earliest(pa.concat_tables([*known, own]), names)
    if held is not None:
        yield from held.to_batches()


def _earliest(table: pa.Table, names: Sequence[str]) -> pa.Table:
    return (
        table.group_by(list(names))
        .aggregate([("at", "min")])
        .select([*names, "at_min"])
        .combine_chunks()
    )
