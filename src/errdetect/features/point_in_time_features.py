"""Point-in-time features: columns of what was known before each decision."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Self

import pandas as pd

from errdetect.data.review_versions import latest_versions
from errdetect.features.history_features import HISTORY, HISTORY_KEYS, WINDOWS, HistoryIndex
from errdetect.features.similar_content import (
    SIMILAR,
    SIMILAR_COLUMNS,
    SimilarContentIndex,
    with_content_keys,
)
from errdetect.labels.review_history import known_at
from errdetect.schemas import GOLDEN, hash_columns

__all__ = ["PointInTimeFeatures", "add_point_in_time_features"]

#: Reviewed decisions that support all histories; with a tenth of it, only those of accounts.
_MANY = 10_000
_FEW = re.compile(rf"{HISTORY}account_.*_{WINDOWS[-1]}d$")
#: Share of the reviewed decisions that must have an earlier similar one.
_SHARED, _ALIKE = 0.02, "_decisions"
_ALWAYS = ("decision_id", "decided_at", "enforced", "item_id", "text")


class PointInTimeFeatures:
    """All known decisions and reviews, indexed for what was known before any decision.

    Only events strictly before a decision's `decided_at` count, whenever the columns are computed,
    so training and scoring see the same.

    Parameters
    ----------
    frames
        Decisions, one frame or many; of duplicates, the first counts. Only the needed columns are
        kept, texts as hashes.
    reviews
        With the contract's columns; None for none.
    history, similar
        Which blocks of columns to compute.
    keep
        Returns whether to keep a column, by name; default all.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "item_id": ["i", "i"], "enforced": True,
    ...     "decided_at": pd.to_datetime(["2026-01-01", "2026-01-05"], utc=True)})
    >>> PointInTimeFeatures([log], None, history=True, similar=True).add(log)["similar_item_decisions"].tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        frames: Iterable[pd.DataFrame],
        reviews: pd.DataFrame | None,
        *,
        history: bool,
        similar: bool,
        keep: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._keep = keep
        self._similar: SimilarContentIndex | None = None
        self._history: HistoryIndex | None = None
        if not (history or similar):
            return
        log = pd.concat([_needed_columns(frame, similar) for frame in frames], ignore_index=True)
        log = log[~log["decision_id"].duplicated()]
        self._history = HistoryIndex(log, reviews) if history else None
        self._similar = SimilarContentIndex(log, reviews) if similar else None

    @classmethod
    def for_model_columns(
        cls, names: Sequence[str], frames: Iterable[pd.DataFrame], reviews: pd.DataFrame | None
    ) -> Self:
        """Compute the columns that a model uses; if none, the frames are not read.

        Parameters
        ----------
        names
            The model's features.
        frames, reviews
            As for the class.
        """
        history, similar = (any(n.startswith(p) for n in names) for p in (HISTORY, SIMILAR))
        wanted = set(names)
        return cls(frames, reviews, history=history, similar=similar, keep=wanted.__contains__)

    def add(self, decisions: pd.DataFrame) -> pd.DataFrame:
        """Return a copy of decisions with the columns added; existing ones are replaced."""
        if self._history is None and self._similar is None:
            return decisions
        slim = _needed_columns(decisions, self._similar is not None)
        blocks = [past.columns(slim) for past in (self._history, self._similar) if past is not None]
        parts = [part[[name for name in part if self._keep(str(name))]] for part in blocks]
        made = {str(name) for part in parts for name in part}
        own = decisions[[name for name in decisions if name not in made]]
        return pd.concat([own, *parts], axis=1)


def add_point_in_time_features(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    history: bool,
    similar: bool,
    as_of: datetime | None,
) -> pd.DataFrame:
    """Add the point-in-time columns with enough data to learn from.

    With fewer than 10,000 reviewed decisions, only account histories over the longest window are
    kept. A kind of similarity is kept only where a fiftieth of the reviewed decisions have an
    earlier similar one: every further column is another chance to overfit.

    Parameters
    ----------
    decisions
        All that are known, labelled or not.
    reviews
        With the contract's columns.
    history, similar
        Which blocks of columns to compute.
    as_of
        Only reviews known by then count; None for all.
    """
    known = reviews if as_of is None else reviews[known_at(reviews) <= as_of]
    table = PointInTimeFeatures([decisions], known, history=history, similar=similar).add(decisions)
    current = latest_versions(known)
    people = current.loc[current["source"] != GOLDEN, "decision_id"]
    judged = decisions["decision_id"].isin(people).to_numpy(bool)
    names, idle = [str(name) for name in table], set[str]()
    if judged.sum() < _MANY:
        idle = {name for name in names if name.startswith(HISTORY) and not _FEW.match(name)}
    for name in names:
        if not (name.startswith(SIMILAR) and name.endswith(_ALIKE)):
            continue
        found = table[name].to_numpy()[judged] > 0
        if found.sum() < _SHARED * len(found) or not len(found):
            kind = name.removesuffix(_ALIKE)
            idle |= {f"{kind}_{what}" for what in SIMILAR_COLUMNS}
    return table[[name for name in names if name in decisions or name not in idle]]


def _needed_columns(frame: pd.DataFrame, similar: bool) -> pd.DataFrame:
    """Keep the columns that histories need."""
    needed = {*_ALWAYS, *(name for key in HISTORY_KEYS.values() for name in key)}
    if not similar:
        needed -= {"text", "item_id"}
    hashes = hash_columns(frame) if similar else []
    names = [n for n in frame if n in needed or n in hashes]
    return with_content_keys(frame[names])
