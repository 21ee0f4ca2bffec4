"""ingest: import finished reviews into the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import write_parquet
from errdetect.data.file_readers import are_empty
from errdetect.data.sources import Sources, find_files, shown_path, source_label
from errdetect.data.table_reading import TableRead, iter_decisions, read_reviews
from errdetect.integrations.label_studio import convert_label_studio, find_exports
from errdetect.ledger.ledger import Ledger, open_ledger
from errdetect.schemas import LABEL_STUDIO_IDS, REJECTS
from errdetect.snapshot import empty_reviews
from errdetect.workflows.load_data import Progress
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.run_description import describe_step

__all__ = ["IngestResult", "ingest"]

_CONFLICT = (
    "review_id must have one answer at one moment, got one known with other values, which is kept "
    "(a correction needs a later updated_at or reviewed_at)"
)


@dataclass(frozen=True)
class IngestResult:
    """Result of an import.

    Parameters
    ----------
    n_new, n_known, n_rejected
        New; already known, or repeated with equal values; unusable, each with its
        reason in rejects.parquet.
    n_corrected, n_earlier
        Corrections of known reviews; and earlier versions of known
        reviews, kept as history without effect.
    ledger
        Location of the ledger.
    files
        What was written, by name.
    notes
        Conversions and repairs while reading.
    """

    n_new: int
    n_known: int
    n_rejected: int
    ledger: str
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    n_corrected: int = 0
    n_earlier: int = 0

    def lines(self) -> list[str]:
        """Return the summary lines."""
        changed = f"corrected: {self.n_corrected:,}; " if self.n_corrected else ""
        if self.n_earlier:
            changed += f"earlier versions of known reviews: {self.n_earlier:,}; "
        counts = f"New reviews: {self.n_new:,}; {changed}already known: {self.n_known:,}; "
        return [
            f"{counts}unusable: {self.n_rejected:,}.",
            *(f"Note: {note}." for note in self.notes),
            f"  ledger  {self.ledger}",
            *(f"  {name}  {path}" for name, path in self.files.items()),
        ]


def ingest(
    config: Config,
    reviews: Sources,
    *,
    at: datetime | None = None,
    out: str | Path | None = None,
    progress: Progress = lambda _: None,
) -> IngestResult:
    """Import finished reviews, and corrections of them, into the ledger.

    Importing the same files again changes nothing. A row with a known review_id and a later moment corrects
    the review from then on; the earlier row is kept as its history.

    Parameters
    ----------
    config
        From `load_config`.
    reviews
        Paths, globs, folders or databases' `URL::table`: as for `read_reviews`, with the
        contract's columns in any format, and exports or target storages of Label Studio.
    at
        Time of import, for the history; default: now.
    out
        Folder for rejects.parquet, written only if needed; default: the config's.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where a file cannot be read at all, or the ledger cannot be used.
    """
    rejected = (config.base if out is None else Path(out)) / "rejects.parquet"
    refuse_own_inputs(config, files=(rejected,), sources=(reviews,))
    progress("reading reviews")
    read = _read_reviews(config, reviews)
    with open_ledger(config.ledger_url()) as ledger:
        frame = _with_known_ids(read.frame, ledger)
        faults = _review_faults(frame, ledger, config, progress)
        progress("writing to the ledger")
        good = np.flatnonzero((faults == "").to_numpy(bool))
        counts = ledger.ingest(frame.iloc[good], at or datetime.now(UTC))
        place = ledger.place
    faults.iloc[good[list(counts.conflicting_rows)]] = _CONFLICT
    rejects = pd.concat([read.rejects, _rejected_rows(frame, faults, _source_names(reviews))])
    files = {}
    if len(rejects):
        files = {"rejects": rejected}
        run = describe_step(config, "ingest", {"reviews": _source_names(reviews)})
        write_parquet(rejects, files["rejects"], REJECTS, provenance=run)
    return IngestResult(
        n_new=counts.new,
        n_known=counts.repeated + read.n_duplicates,
        n_rejected=len(rejects),
        ledger=place,
        files=files,
        notes=read.notes,
        n_corrected=counts.corrected,
        n_earlier=counts.earlier,
    )


def _read_reviews(config: Config, reviews: Sources) -> TableRead:
    """Read Label Studio's files and all other sources, and join them."""
    exports, others, notes = find_exports(reviews)
    reads = [convert_label_studio(exports)] if exports else []
    plain = others or (() if exports else reviews)
    if plain and are_empty(find_files(plain, mapping=config.data.mapping("reviews"))):
        nothing = REJECTS.empty_table().to_pandas()
        reads.append(TableRead(empty_reviews(), nothing, ("the batch holds no review",), 0))
    elif plain:
        reads.append(
            read_reviews(
                plain,
                columns=config.data.columns,
                mapping=config.data.mapping("reviews"),
            )
        )
    return TableRead(
        frame=pd.concat([read.frame for read in reads], ignore_index=True),
        rejects=pd.concat([read.rejects for read in reads], ignore_index=True),
        notes=(*notes, *(note for read in reads for note in read.notes)),
        n_rows=sum(read.n_rows for read in reads),
        n_duplicates=sum(read.n_duplicates for read in reads),
    )


def _with_known_ids(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Keep annotation ids from an earlier release, where the ledger has them.

    They lack the digest, so the same export would otherwise count twice.
    """
    ours = frame["review_id"].str.startswith(LABEL_STUDIO_IDS)
    if not ours.any():
        return frame
    older = frame["review_id"].where(ours, "").str.rpartition("-")[0]
    known = ledger.reviews(older.unique().tolist())
    pairs = pd.MultiIndex.from_frame(known[["review_id", "decision_id"]])
    there = pd.MultiIndex.from_arrays([older, frame["decision_id"]]).isin(pairs)
    return frame.assign(review_id=frame["review_id"].mask(there, older))


def _source_names(reviews: Sources) -> str:
    """Return display names of the sources."""
    given = [reviews] if isinstance(reviews, str | Path) else reviews
    return ", ".join(source_label(shown_path(str(one))) for one in given)


def _review_faults(
    frame: pd.DataFrame, ledger: Ledger, config: Config, progress: Progress
) -> "pd.Series[str]":
    """Return why a review cannot be imported; empty where it can."""
    faults = pd.Series("", index=frame.index, dtype="str")
    for name in ("review_id", "decision_id", "correct_policy_id", "reviewer_id"):
        nul = frame[name].str.contains("\0", regex=False, na=False)
        faults = faults.mask(nul, f"{name} must hold no NUL character, got one")
    known = ~np.isnan(ledger.inclusion_probabilities(frame["decision_id"].tolist()))
    if not known.all():
        progress("looking up decisions")
        known |= _is_known_decision(frame["decision_id"], config)
    strange = ~known & (faults == "")
    must = "decision_id must be one of the decisions, or of those scored"
    return faults.mask(strange, must + ", got " + frame["decision_id"].str.slice(0, 60))


def _is_known_decision(ids: "pd.Series[str]", config: Config) -> npt.NDArray[np.bool_]:
    """Look the ids up in the decisions that the config names."""
    data = config.data
    batches = iter_decisions(
        config.data_paths(data.decisions),
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
        mapping=data.mapping("decisions"),
    )
    found = np.zeros(len(ids), dtype=bool)
    for batch in batches:
        found |= ids.isin(batch.frame["decision_id"]).to_numpy(bool)
    return found


def _rejected_rows(frame: pd.DataFrame, faults: "pd.Series[str]", source: str) -> pd.DataFrame:
    bad = np.flatnonzero(faults != "")
    return pd.DataFrame(
        {
            "source": source,
            "row": pd.array([None] * len(bad), dtype="Int64"),
            "id": frame["review_id"].iloc[bad].to_numpy(object),
            "reason": faults.iloc[bad].to_numpy(object),
        }
    )
