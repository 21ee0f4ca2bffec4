"""Decisions to score, in batches of bounded size: P(error) and expected harm."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.config_schema import QueueSettings, ScoreSettings
from errdetect.data.frame_store import FrameStore
from errdetect.data.policy_catalogue import Policy
from errdetect.data.rejected_rows import Rejections
from errdetect.data.table_reading import TableRead, iter_decisions
from errdetect.features.feature_matrix import Encoding
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.features.typed_columns import ColumnCounts, typed_columns
from errdetect.model.bundle import ModelBundle
from errdetect.model.policy_correction import PolicyContent
from errdetect.queue.review_value import content_digests, error_kinds, harm_terms
from errdetect.workflows.load_data import Progress, free_threads

__all__ = ["BatchScorer", "ScoredDecisions", "ScoringSource", "score_batches", "scoring_notes"]

Floats = npt.NDArray[np.float64]

_MANY = 1_000_000  # batches are predicted as parts of a large input
#: Columns that decide which pools can take a decision.
_PLACES = ("market", "language", "policy_id")


@dataclass(frozen=True)
class ScoredDecisions:
    """All decisions scored.

    Parameters
    ----------
    frame
        In the input's order: decision_id, decided_at, enforced, policy_id, those of market,
        language and account_id that there are, content (a digest), p_error, error_kind,
        suggested_policy_id, harm, exposure_weight, expected_harm.
    rejects
        Unusable rows.
    notes
        Notes for the reader.
    """

    frame: pd.DataFrame
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
    """

    def __init__(
        self,
        config: Config,
        decisions: str,
        reviewed: pd.Index,
        folder: Path,
        encoding: Encoding,
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
        self._reviewed = reviewed
        self._rows: list[pd.DataFrame] = []
        self._places: dict[str, set[str]] = {name: set() for name in _PLACES}
        self._stores = {name: FrameStore(folder / f"{name}.arrow") for name in self._paths}
        self._log_rows = 0
        self._walked = False

    def log(self) -> Iterator[pd.DataFrame]:
        """Read the config's decisions, then those to score: the input of all history features.

        Raises
        ------
        DataError
            At the end of either, if too many of its rows cannot be used.
        """
        for name, store in self._stores.items():
            rejections = Rejections(self.rejections[name].what)
            for batch in self._read(name):
                rejections.add(batch)
                store.write(batch.frame)
                if name == "decisions":
                    self.rejects.append(batch.rejects)
                    self.batch_notes += [n for n in batch.notes if n not in self.batch_notes]
                else:
                    self._log_rows += len(batch.frame)
                self._note(batch.frame)
                yield batch.frame
            store.close()
            rejections.raise_if_too_many(self.data.max_rejected)
            self.rejections[name] = rejections
        self._walked = True

    def decided(self) -> Iterator[pd.DataFrame]:
        """Return the config's decisions."""
        self.walk()
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
        return [note for part in self.rejections.values() for note in part.notes()]

    def places(self) -> Mapping[str, set[str]]:
        """Return the markets, languages and policies that occur in the log, by column."""
        self.walk()
        return self._places

    @property
    def n_parts(self) -> int:
        """Number of parts of the decisions to score."""
        self.walk()
        return len(self._stores["decisions"])

    def part(self, number: int) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
        """Return some of the decisions to score, and their positions in all of `log`."""
        store = self._stores["decisions"]
        frame = store.part(number)
        return frame, self._log_rows + store.starts[number] + np.arange(len(frame))

    def frames_of(self, ids: pd.Index) -> Iterator[pd.DataFrame]:
        """Return some of the decisions to score, part by part."""
        for number in range(self.n_parts):
            frame, _ = self.part(number)
            yield frame[frame["decision_id"].isin(ids)]

    def index(self, names: Sequence[str], reviews: pd.DataFrame) -> PointInTimeFeatures:
        """Index what was known before each decision, for a model's features."""
        return PointInTimeFeatures.for_model_columns(names, self.log(), reviews)

    def walk(self) -> None:
        """Read all decisions once, if that was not done already."""
        if not self._walked:
            for _ in self.log():
                pass

    def _read(self, name: str) -> Iterator[TableRead]:
        for batch in iter_decisions(
            self._paths[name],
            columns=self.data.columns,
            actions=self.data.actions,
            drop=self.data.drop,
            mapping=self.data.mapping("decisions"),
        ):
            frame, unreadable = typed_columns(
                batch.frame, self.encoding.numeric_kinds, self.encoding.levels
            )
            if name == "decisions":
                self.unreadable.update(unreadable)
            yield replace(batch, frame=frame)

    def _note(self, frame: pd.DataFrame) -> None:
        rows = frame["decision_id"].isin(self._reviewed)
        self._rows.append(frame.loc[rows, ["decision_id", "decided_at", "policy_id", "enforced"]])
        for name in _PLACES:
            if name in frame:
                self._places[name] |= set(frame[name].dropna().unique())


def score_batches(
    source: ScoringSource,
    past: PointInTimeFeatures,
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
    threads = config.train.threads or free_threads(_MANY)
    workers = max(1, min(threads, source.n_parts))
    scorer = BatchScorer(bundle, policies, config.queue, max(1, threads // workers))

    def score_part(number: int) -> tuple[pd.DataFrame, int, ColumnCounts]:
        frame, rows = source.part(number)
        return scorer.score(frame, past.add(frame, rows))

    parts: list[pd.DataFrame] = []
    done, learnt = 0, 0
    counts = replace(scorer.counts(), unreadable=source.unreadable)
    with ThreadPoolExecutor(workers) as pool:
        for scored, old, held in pool.map(score_part, range(source.n_parts)):
            parts.append(scored)
            counts.merge(held)
            learnt += old
            done += len(scored)
            progress(f"scored {done:,} decisions")
    notes = scoring_notes(counts, learnt, bundle, config.score)
    return ScoredDecisions(
        pd.concat(parts, ignore_index=True),
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
        bundle = self.bundle
        content = bundle.policy_content(frame)
        p = bundle.probability(bundle.detector.features(full, content), frame, self.threads)
        counts = self.counts()
        counts.add(full, bundle.input_columns, {})
        learnt = int(bundle.in_sample(frame["decision_id"]).sum())
        return self._rows(frame, p, content), learnt, counts

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
