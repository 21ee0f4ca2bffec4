"""The tables that a config names, read once for a job."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.policies import Policy, read_policies
from errdetect.data.returned import with_returned
from errdetect.data.store.ledger import find_ledger
from errdetect.data.tables import TableRead, read_decisions, read_reviews
from errdetect.data.versions import latest_versions
from errdetect.errors import ConfigError, sentence
from errdetect.schemas import AUDIT, GOLDEN

__all__ = [
    "Progress",
    "Tables",
    "audit_probability",
    "free_threads",
    "load_reviews",
    "load_tables",
    "reviewed_ids",
]

Progress = Callable[[str], None]

_SMALL = 50_000  # rows below which a second thread costs more than it brings


@dataclass(frozen=True)
class Tables:
    """What the config's data section names, cleaned."""

    decisions: TableRead
    reviews: TableRead | None
    policies: Mapping[str, Policy]

    @property
    def rejects(self) -> pd.DataFrame:
        """Rows that could not be used, of all tables."""
        parts = [self.decisions.rejects] + ([self.reviews.rejects] if self.reviews else [])
        return pd.concat(parts, ignore_index=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was turned or repaired while reading."""
        reviews = self.reviews.notes if self.reviews else ()
        return (*self.decisions.notes, *reviews)


def load_tables(config: Config, *, progress: Progress, need_reviews: bool = False) -> Tables:
    """Read decisions, reviews and policies as the config says.

    Raises
    ------
    ConfigError
        Where reviews are needed and the config names none.
    DataError
        Where a table cannot be used.
    """
    data = config.data
    policies = read_policies(config.data_paths(data.policies)[0]) if data.policies else {}
    reviews = load_reviews(config, progress=progress)
    if need_reviews and reviews is None:
        do = "Add the file with your reviews under data, or take some in with `errdetect ingest`."
        raise ConfigError(
            [sentence("data.reviews", "name the reviews to learn from", "nothing", do)]
        )
    progress("reading decisions")
    decisions = read_decisions(
        config.data_paths(data.decisions),
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
        preset=data.preset,
    )
    return Tables(decisions, reviews, policies)


def load_reviews(config: Config, *, progress: Progress) -> TableRead | None:
    """Read the config's reviews, and those that the ledger took in; None if there are neither.

    Rows of both are versions of the reviews. A version that both hold counts once; where the two
    differ at one moment, the config's is kept and the ledger's is a reject. Reading never makes a
    ledger.

    Raises
    ------
    DataError
        Where a table or the ledger cannot be used.
    """
    read = None
    if config.data.reviews is not None:
        progress("reading reviews")
        paths = config.data_paths(config.data.reviews)
        read = read_reviews(paths, columns=config.data.columns)
    ledger = find_ledger(config.ledger_url())
    if ledger is None:
        return read
    with ledger:
        return with_returned(read, ledger.reviews(), ledger.place)


def reviewed_ids(reviews: pd.DataFrame | None) -> pd.Index:
    """Return the decisions that people judged; golden items do not count."""
    if reviews is None:
        return pd.Index([], dtype="str")
    reviews = latest_versions(reviews)
    judged: pd.Index = pd.Index(reviews.loc[reviews["source"] != GOLDEN, "decision_id"].unique())
    return judged


def audit_probability(decision_ids: pd.Series, reviews: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the chance that the audit's design gave each decision, shape (n,); NaN if not drawn."""
    reviews = latest_versions(reviews)
    drawn = reviews[(reviews["source"] == AUDIT) & reviews["inclusion_probability"].notna()]
    per = drawn.groupby("decision_id")["inclusion_probability"].min()
    return decision_ids.map(per).to_numpy(np.float64, na_value=np.nan)


def free_threads(rows: int) -> int:
    """Return how many processors to use: more than are free is many times slower."""
    if rows < _SMALL:
        return 1
    cores = os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, cores - int(busy))
