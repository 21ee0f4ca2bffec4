"""ingest: finished reviews into the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.label_studio import convert_label_studio, is_label_studio
from errdetect.data.sources import shown_source
from errdetect.data.store.ledger import Ledger, open_ledger
from errdetect.data.tables import iter_decisions, read_reviews
from errdetect.data.writing import write_parquet
from errdetect.jobs.provenance import describe_step
from errdetect.jobs.tables import Progress
from errdetect.schemas import REJECTS

__all__ = ["IngestResult", "ingest"]


@dataclass(frozen=True)
class IngestResult:
    """What became of the reviews.

    Parameters
    ----------
    n_new, n_known, n_rejected
        Taken in; known already, or twice in the file, with equal values; unusable, each with its
        reason in rejects.parquet.
    ledger
        Where they are.
    files
        What was written, by name.
    notes
        What was turned or repaired while reading.
    """

    n_new: int
    n_known: int
    n_rejected: int
    ledger: str
    files: Mapping[str, Path]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what people are told."""
        counts = f"New reviews: {self.n_new:,}; known already: {self.n_known:,}; "
        return [
            f"{counts}could not be used: {self.n_rejected:,}.",
            *(f"Note: {note}." for note in self.notes),
            f"  ledger  {self.ledger}",
            *(f"  {name}  {path}" for name, path in self.files.items()),
        ]


def ingest(
    config: Config,
    reviews: str | Path,
    *,
    at: datetime | None = None,
    out: str | Path | None = None,
    progress: Progress = lambda _: None,
) -> IngestResult:
    """Take finished reviews into the ledger; the same file again changes nothing.

    Parameters
    ----------
    config
        From `load_config`.
    reviews
        What `read_reviews` reads: the contract's columns, in any format, from a file or a
        database's `URL::table`; or one of Label Studio's exports.
    at
        When they came in, for the history; default: now.
    out
        Folder for rejects.parquet, written only if there are any; default: the config's.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where the file cannot be read at all, or the ledger cannot be used.
    """
    progress("reading reviews")
    if is_label_studio(reviews):
        read = convert_label_studio(reviews)
    else:
        read = read_reviews(reviews, columns=config.data.columns)
    with open_ledger(config.ledger_url()) as ledger:
        faults = _faults(read.frame, ledger, config, progress)
        progress("writing to the ledger")
        good = read.frame.loc[faults == ""]
        counts = ledger.ingest(good, at or datetime.now(UTC))
        place = ledger.place
    differs = read.frame["review_id"].isin(counts.conflicts) & (faults == "")
    faults = faults.mask(differs, "review_id must be new, got one known with other values")
    rejects = pd.concat([read.rejects, _rejects(read.frame, faults, str(reviews))])
    files = {}
    if len(rejects):
        files = {"rejects": (config.base if out is None else Path(out)) / "rejects.parquet"}
        run = describe_step(config, "ingest", {"reviews": str(reviews)})
        write_parquet(rejects, files["rejects"], REJECTS, provenance=run)
    known = counts.repeated + read.n_duplicates
    return IngestResult(counts.new, known, len(rejects), place, files, read.notes)


def _faults(
    frame: pd.DataFrame, ledger: Ledger, config: Config, progress: Progress
) -> "pd.Series[str]":
    """Say why a review cannot be taken in; empty where it can."""
    faults = pd.Series("", index=frame.index, dtype="str")
    for name in ("review_id", "decision_id", "correct_policy_id", "reviewer_id"):
        nul = frame[name].str.contains("\0", regex=False, na=False)
        faults = faults.mask(nul, f"{name} must hold no NUL character, got one")
    known = ~np.isnan(ledger.scored_probability(frame["decision_id"].tolist()))
    if not known.all():
        progress("looking up decisions")
        known |= _among_decisions(frame["decision_id"], config)
    strange = ~known & (faults == "")
    must = "decision_id must be one of the decisions, or of those scored"
    return faults.mask(strange, must + ", got " + frame["decision_id"].str.slice(0, 60))


def _among_decisions(ids: "pd.Series[str]", config: Config) -> npt.NDArray[np.bool_]:
    """Look the ids up in the decisions that the config names."""
    data = config.data
    batches = iter_decisions(
        config.data_paths(data.decisions),
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
        preset=data.preset,
    )
    found = np.zeros(len(ids), dtype=bool)
    for batch in batches:
        found |= ids.isin(batch.frame["decision_id"]).to_numpy(bool)
    return found


def _rejects(frame: pd.DataFrame, faults: "pd.Series[str]", source: str) -> pd.DataFrame:
    bad = np.flatnonzero(faults != "")
    return pd.DataFrame(
        {
            "source": shown_source(source),
            "row": pd.array([None] * len(bad), dtype="Int64"),
            "id": frame["review_id"].iloc[bad].to_numpy(object),
            "reason": faults.iloc[bad].to_numpy(object),
        }
    )
