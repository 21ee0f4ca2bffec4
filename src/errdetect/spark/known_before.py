"""What was known before each decision, on Spark: verdicts from the driver, decisions from counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.features.point_in_time import ColumnLevels
from errdetect.features.point_in_time_features import (
    HISTORY,
    HISTORY_KEYS,
    EarlierDecisions,
    HistoryIndex,
    history_key_columns,
    version_change_days,
)
from errdetect.features.similar_content import SIMILAR, SimilarContentIndex, similarity_columns
from errdetect.spark.counting import OVERALL, decode_counts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["CountedKeys", "KnownBefore", "first_versions", "to_frame"]

Ints = npt.NDArray[np.int64]
_CHANGES = (f"{HISTORY}moderator_version_days", f"{HISTORY}policy_change_days")
_VERSIONS = ("policy_id", "moderator", "moderator_version")


@dataclass(frozen=True)
class CountedKeys:
    """The keys whose earlier decisions a model's features count.

    Parameters
    ----------
    history
        Key of `HISTORY_KEYS` -> its columns.
    similar
        Kind of similarity -> its columns.
    changes
        Whether days since a moderator's versions changed are features.
    """

    history: Mapping[str, Sequence[str]]
    similar: Mapping[str, Sequence[str]]
    changes: bool

    @classmethod
    def of(cls, names: Collection[str], columns: Collection[str]) -> "CountedKeys":
        """Choose the keys by the model's features and the decisions' columns.

        Examples
        --------
        >>> keys = CountedKeys.of(["history_account_decisions_90d", "similar_item_days"], ["account_id", "item_id"])
        >>> keys.names, keys.windowed
        (('overall', 'account', 'item_id'), (True, True, False))
        """
        history = {}
        for key, own in history_key_columns(columns).items():
            others = [k for k in HISTORY_KEYS if k != key and k.startswith(f"{key}_")]
            mine = [n for n in names if n.startswith(f"{HISTORY}{key}_") and n not in _CHANGES]
            if any(
                not n.startswith(tuple(f"{HISTORY}{k}_" for k in others) or ("\0",)) for n in mine
            ):
                history[key] = own
        keyed = pd.DataFrame(
            {name: [] for name in columns if name != "text"}
            | ({"text_key": []} if "text" in columns else {})
        )
        similar = {
            kind: own
            for kind, own in similarity_columns(keyed).items()
            if any(n.startswith(f"{SIMILAR}{kind}_") for n in names)
        }
        return cls(history, similar, any(name in names for name in _CHANGES))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all counted keys, in the order of their kinds."""
        overall = (OVERALL,) if self.history else ()
        return (*overall, *self.history, *(name for own in self.similar.values() for name in own))

    @property
    def windowed(self) -> tuple[bool, ...]:
        """Whether each is counted in windows."""
        n = len(self.history) + 1 if self.history else 0
        return tuple(i < n for i in range(len(self.names)))

    @property
    def content(self) -> bool:
        """Whether texts' keys are needed."""
        return bool({"text", "near"} & self.similar.keys())

    @property
    def hashed(self) -> dict[str, tuple[str, ...]]:
        """Those of the keys that have to be hashed, and their columns."""
        plain = {
            n: (n,)
            for kind, own in self.similar.items()
            if kind not in ("text", "near")
            for n in own
        }
        return {key: tuple(own) for key, own in self.history.items()} | plain

    @property
    def columns(self) -> list[str]:
        """Columns of the decisions that the keys are made of."""
        history = [name for own in self.history.values() for name in own]
        similar = [name for own in self.similar.values() for name in own]
        return list(dict.fromkeys([*history, *similar, *(_VERSIONS if self.changes else ())]))


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

    def add(self, decisions: pd.DataFrame, counts: pa.ListArray) -> pd.DataFrame:
        """Return decisions with the model's columns of what was known before each.

        Parameters
        ----------
        decisions
            Shape (n, any).
        counts
            Shape (n,), from `count_earlier`.
        """
        found = dict(zip(self.keys.names, decode_counts(counts, self.keys.windowed), strict=True))
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


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert to a frame with columns as one machine has them; whole numbers stay whole, with gaps too."""
    frame: pd.DataFrame = table.to_pandas()
    for name in table.column_names:
        if pa.types.is_integer(table.schema.field(name).type) and table[name].null_count:
            column = table[name].combine_chunks()
            missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False), bool)
            numbers = column.fill_null(0).to_numpy()
            frame[name] = pd.arrays.IntegerArray(np.array(numbers, np.int64), missing)
    return frame
