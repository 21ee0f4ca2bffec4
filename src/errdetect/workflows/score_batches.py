"""Decisions to score, in batches of bounded size: P(error) and expected harm."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.config_schema import QueueSettings, ScoreSettings
from errdetect.data.frame_store import FrameStore
from errdetect.data.id_lookup import IdSet, release_memory
from errdetect.data.policy_catalogue import Policy
from errdetect.data.rejected_rows import Rejections
from errdetect.data.sources import SourceFile, Sources
from errdetect.data.table_reading import TableRead, iter_decisions
from errdetect.features.counted_log import CountedLog
from errdetect.features.feature_matrix import Encoding
from errdetect.features.point_in_time_features import PastColumns
from errdetect.features.typed_columns import ColumnCounts, typed_columns
from errdetect.model.bundle import ModelBundle
from errdetect.model.policy_correction import PolicyContent
from errdetect.queue.review_value import content_digests, error_kinds, harm_terms
from errdetect.workflows.load_data import Progress, free_threads
from errdetect.workflows.log_state import LogState
from errdetect.workflows.scored_files import ScoredFiles, in_threads, read_ahead

__all__ = [
    "BatchScorer",
    "ScoredDecisions",
    "ScoringSource",
    "score_batches",
    "scoring_notes",
    "scoring_threads",
]

Floats = npt.NDArray[np.float64]

_MANY = 1_000_000  # batches are predicted as parts of a large input
_TIDY = 8  # parts after which freed memory is given back
#: Columns that decide which pools can take a decision.
_PLACES = ("market", "language", "policy_id")


@dataclass(frozen=True)
class ScoredDecisions:
    """All decisions scored.

    Parameters
    ----------
    rows
        In the input's order: decision_id, decided_at, enforced, policy_id, those of market,
        language and account_id that there are, content (a digest), p_error, error_kind,
        suggested_policy_id, harm, exposure_weight, expected_harm.
    rejects
        Unusable rows.
    notes
        Notes for the reader.
    """

    rows: ScoredFiles
    rejects: pd.DataFrame
    notes: tuple[str, ...]


class ScoringSource:
    """The log and the decisions to score, each read once and kept in compressed files.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        Path or glob.
    reviewed
        Ids of reviewed decisions, including golden items.
    folder
        An empty folder for the files.
    encoding
        The model's: its columns are read in the types that it learned.
    state
        What earlier runs kept of the log; None to read all of it.
    """

    def __init__(
        self,
        config: Config,
        decisions: str,
        reviewed: pd.Index,
        folder: Path,
        encoding: Encoding,
        state: LogState | None = None,
    ) -> None:
        self.data = config.data
        self.encoding = encoding
        self.unreadable: Counter[str] = Counter()
        self.rejections = {
            "log": Rejections("The log's decisions"),
            "decisions": Rejections("The decisions to score"),
        }
        self.rejects: list[pd.DataFrame] = []
        self.batch_notes: list[str] = []
        self._paths = {"log": config.data_paths(config.data.decisions), "decisions": decisions}
        self._reviewed = IdSet(reviewed)
        self._rows: list[pd.DataFrame] = []
        self._places: dict[str, set[str]] = {name: set() for name in _PLACES}
        self._stores = {name: FrameStore(folder / f"{name}.arrow") for name in self._paths}
        self._log_places: dict[str, set[str]] = {}
        self._state, self._folder = state, folder
        self.known_until: pd.Timestamp | None = None
        self._log_rows = self._log_frames = self._slim_frames = 0
        if state is not None:
            self._stores["log"] = state.start(folder)
        # The log's own slim columns are kept here only where `state` keeps none.
        names = ("decisions",) if state is not None else tuple(self._paths)
        self._slim = {n: FrameStore(folder / f"slim_{n}.arrow", compress=False) for n in names}
        self._slim_places = {n: folder / f"slim_{n}.arrow" for n in names}
        self._walked = False

    def log(self) -> Iterator[pd.DataFrame]:
        """Read the config's decisions, then those to score: the input of all history features.

        Raises
        ------
        DataError
            At the end of either, if too many of its rows cannot be used.
        """
        self._take_kept()
        for name, store in self._stores.items():
            rejections = self.rejections[name]
            for batch in read_ahead(self._read(name)):
                rejections.add(batch)
                store.write(batch.frame)
                if name == "decisions":
                    self.rejects.append(batch.rejects)
                    self.batch_notes += [n for n in batch.notes if n not in self.batch_notes]
                else:
                    self._log_rows += len(batch.frame)
                    self._log_frames += 1
                self._note(batch.frame)
                yield batch.frame
                if len(store) % _TIDY == 0:
                    release_memory()
            store.close()
            rejections.raise_if_too_many(self.data.max_rejected)
            if name == "log":
                self._log_places = {column: set(some) for column, some in self._places.items()}
        self._walked = True

    @property
    def slim(self) -> Iterator[pd.DataFrame]:
        """The slim columns that earlier runs kept of the log."""
        kept = None if self._state is None else self._state.kept
        return iter(()) if kept is None else kept.slim_frames()

    def keep_slim(self, slim: pd.DataFrame) -> None:
        """Keep the slim columns of one frame of `log`; frames come in order."""
        name = "log" if self._slim_frames < self._log_frames else "decisions"
        if name in self._slim:
            self._slim[name].write(slim)
        elif self._state is not None:
            self._state.add(slim)
        self._slim_frames += 1

    def slim_files(self) -> list[tuple[Path, tuple[int, ...]]] | None:
        """Return the files with the slim columns of `every`, each with its parts' rows.

        None where those of the log could not be kept.
        """
        kept = None if self._state is None else self._state.current
        if self._state is not None and kept is None and self._log_rows:
            return None
        found = [] if kept is None else [(kept.folder / p.places[1], p.keys) for p in kept.parts]
        for name, store in self._slim.items():
            store.close()
            found += [(self._slim_places[name], store.sizes)] if len(store) else []
        return found

    def keep(self) -> None:
        """Keep what was read of the log for the next run."""
        if self._state is not None:
            self._state.save(self._stores["log"], self.rejections["log"], self._log_places)

    def _take_kept(self) -> None:
        """Start from what earlier runs read of the log."""
        kept = None if self._state is None else self._state.kept
        if kept is None:
            return
        self._log_rows = kept.n_rows
        self.rejections["log"] = kept.rejections
        for slim in kept.slim_frames():
            self._note_reviewed(slim)
        for name, values in kept.values.items():
            self._places[name] |= set(values)

    def decided(self) -> Iterator[pd.DataFrame]:
        """Return the config's decisions."""
        self.walk()
        if self._state is not None and self._state.kept is not None:
            yield from self._state.kept.decisions()
        yield from self._stores["log"]

    def every(self) -> Iterator[pd.DataFrame]:
        """Return the config's decisions, then those to score."""
        yield from self.decided()
        yield from self._stores["decisions"]

    def reviewed(self) -> pd.DataFrame:
        """Return decision_id, decided_at, policy_id and enforced of the decisions reviewed."""
        self.walk()
        rows = pd.concat(self._rows, ignore_index=True)
        return rows.drop_duplicates("decision_id", ignore_index=True)

    def notes(self) -> list[str]:
        """Describe the unusable rows of the log and of the batch, and the likely cause."""
        kept = [] if self._state is None else self._state.notes
        return [*(note for part in self.rejections.values() for note in part.notes()), *kept]

    def places(self) -> Mapping[str, set[str]]:
        """Return the markets, languages and policies that occur in the log, by column."""
        self.walk()
        return self._places

    @property
    def n_parts(self) -> int:
        """Number of parts of the decisions to score."""
        self.walk()
        return len(self._stores["decisions"])

    def scored_files(self, threads: int) -> ScoredFiles:
        """Return files for the decisions to score, none yet."""
        self.walk()
        n = sum(self._stores["decisions"].sizes)
        return ScoredFiles(self._folder / "scored", n, threads)

    def part(self, number: int) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
        """Return some of the decisions to score, and their positions in all of `log`."""
        store = self._stores["decisions"]
        frame = store.part(number)
        return frame, self._log_rows + store.starts[number] + np.arange(len(frame))

    def frames_of(self, ids: pd.Index) -> Iterator[pd.DataFrame]:
        """Return some of the decisions to score, part by part."""
        self.walk()
        store, wanted = self._stores["decisions"], IdSet(ids)
        for number in range(len(store)):
            yield store.rows(number, wanted)

    def index(self, names: Sequence[str], reviews: pd.DataFrame) -> CountedLog:
        """Count what was known before each decision, for a model's features; keep what was read."""
        if self._walked:
            return CountedLog(names, self.every(), reviews, self._folder / f"known{len(names)}")
        folder = self._folder / "known"
        past = CountedLog(names, self.log(), reviews, folder, slim=self.slim, sink=self.keep_slim)
        self.keep()
        return past

    def walk(self) -> None:
        """Read all decisions once, if that was not done already."""
        if not self._walked:
            for _ in self.log():
                pass

    def _read(self, name: str) -> Iterator[TableRead]:
        sources: Sources | Sequence[SourceFile] = self._paths[name]
        state = self._state if name == "log" else None
        if state is not None:
            sources = state.files
            if not sources:
                return
        for batch in iter_decisions(
            sources,
            columns=self.data.columns,
            actions=self.data.actions,
            drop=self.data.drop,
            mapping=self.data.mapping("decisions"),
            scanned=(lambda _: None) if state is None else state.scanned,
        ):
            frame, unreadable = typed_columns(
                batch.frame, self.encoding.numeric_kinds, self.encoding.levels
            )
            if name == "decisions":
                self.unreadable.update(unreadable)
            yield replace(batch, frame=frame)

    def _note_reviewed(self, frame: pd.DataFrame) -> None:
        rows = self._reviewed.among(frame["decision_id"])
        self._rows.append(frame.loc[rows, ["decision_id", "decided_at", "policy_id", "enforced"]])
        if len(frame):
            latest = frame["decided_at"].max()
            self.known_until = latest if self.known_until is None else max(latest, self.known_until)

    def _note(self, frame: pd.DataFrame) -> None:
        self._note_reviewed(frame)
        for name in _PLACES:
            if name in frame:
                self._places[name] |= set(frame[name].dropna().unique())


def scoring_threads(config: Config) -> int:
    """Return the number of processors to use."""
    return config.train.threads or free_threads(_MANY)


def score_batches(
    source: ScoringSource,
    past: PastColumns,
    bundle: ModelBundle,
    policies: Mapping[str, Policy],
    config: Config,
    progress: Progress,
) -> ScoredDecisions:
    """Score every decision, batch by batch.

    Parameters
    ----------
    source, past
        The decisions, and what was known before each.
    bundle
        The champion.
    policies
        The catalogue.
    config, progress
        As for the job.

    Returns
    -------
    Scored
    """
    threads = scoring_threads(config)
    workers = max(1, min(threads, source.n_parts))
    scorer = BatchScorer(bundle, policies, config.queue, max(1, threads // workers))

    def score_part(number: int) -> tuple[pd.DataFrame, int, ColumnCounts]:
        frame, rows = source.part(number)
        scored, old, held = scorer.score(frame, past.add(frame, rows))
        return scored, old, held

    rows = source.scored_files(threads)
    done, learnt = 0, 0
    counts = replace(scorer.counts(), unreadable=source.unreadable)
    for scored, old, held in in_threads(score_part, range(source.n_parts), workers):
        rows.add(scored)
        counts.merge(held)
        learnt += old
        done += len(scored)
        progress(f"scored {done:,} decisions")
    rows.close()
    notes = scoring_notes(counts, learnt, bundle, config.score)
    return ScoredDecisions(
        rows,
        pd.concat(source.rejects, ignore_index=True),
        (*source.batch_notes, *notes),
    )


@dataclass(frozen=True)
class BatchScorer:
    """Scores batches of decisions, each by itself: on one machine or on many.

    Parameters
    ----------
    bundle
        The champion.
    policies
        The catalogue.
    queue
        The config's section.
    threads
        Processors used for a batch.
    """

    bundle: ModelBundle
    policies: Mapping[str, Policy]
    queue: QueueSettings
    threads: int = 1

    @cached_property
    def _no_counts(self) -> ColumnCounts:
        return ColumnCounts(self.bundle.known_values(), self.bundle.gain_shares())

    def counts(self) -> ColumnCounts:
        """Return counts of no decision yet."""
        return ColumnCounts(self._no_counts.known, self._no_counts.gain)

    def score(
        self, frame: pd.DataFrame, full: pd.DataFrame
    ) -> tuple[pd.DataFrame, int, ColumnCounts]:
        """Score decisions.

        Parameters
        ----------
        frame
            Shape (n, any), clean and in the model's types.
        full
            The same with what was known before each.

        Returns
        -------
        scored, learnt, counts
            As `ScoredDecisions.frame`; how many of them the model was trained on; what the batch
            holds of the model's columns.
        """
        counts = self.counts()
        counts.add(full, self.bundle.input_columns, {})
        learnt = int(self.bundle.in_sample(frame["decision_id"]).sum())
        return self.answers(frame, full), learnt, counts

    def answers(self, frame: pd.DataFrame, full: pd.DataFrame) -> pd.DataFrame:
        """Score decisions, as `score` does, without counting what they hold."""
        bundle = self.bundle
        content = bundle.policy_content(frame)
        p = bundle.probability(bundle.detector.features(full, content), frame, self.threads)
        return self._rows(frame, p, content)

    def _rows(self, frame: pd.DataFrame, p: Floats, content: PolicyContent | None) -> pd.DataFrame:
        label = self.bundle.wrong_labels(frame, p, content)
        wrong_label = label["p_wrong_label"].to_numpy(np.float64)
        harm, weight = harm_terms(frame, p, self.policies, self.queue.exposure, wrong_label)
        suggested = pd.Series(
            label["suggested_policy_id"].to_numpy(object), index=frame.index, dtype="str"
        )
        names = ["decision_id", "decided_at", "enforced", "policy_id"]
        names += [name for name in ("market", "language", "account_id") if name in frame]
        return frame[names].assign(
            content=content_digests(frame) if self.queue.one_job else None,
            p_error=p,
            error_kind=error_kinds(frame["enforced"], suggested),
            suggested_policy_id=suggested,
            harm=harm,
            exposure_weight=weight,
            expected_harm=p * harm * weight,
        )


def scoring_notes(
    counts: ColumnCounts, learnt: int, bundle: ModelBundle, settings: ScoreSettings
) -> list[str]:
    """Return notes on a scored input as a whole, in plain words with counts.

    Raises
    ------
    DataError
        Where too many values of a column cannot be read.
    """
    counts.refuse_unreadable(settings.max_unreadable)
    notes = counts.notes(bundle.input_columns)
    if learnt:
        notes.append(
            f"{learnt:,} of the decisions were used to train the model; their scores are in-sample"
        )
    return notes
