"""Decisions to score, in batches of bounded size: P(error) and expected harm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.policy_catalogue import Policy
from errdetect.data.rejected_rows import Rejections
from errdetect.data.table_reading import TableRead, iter_decisions
from errdetect.features.feature_matrix import Encoding
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.features.typed_columns import ColumnCounts, typed_columns
from errdetect.model.bundle import ModelBundle
from errdetect.queue.review_value import content_digests, error_kinds, harm_terms
from errdetect.workflows.load_data import Progress, free_threads

__all__ = ["ScoredDecisions", "ScoringSource", "score_batches"]

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
    """The decisions to score, read twice: to score all, then to explain the queued ones.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        Path or glob.
    reviewed
        Ids of reviewed decisions, including golden items.
    encoding
        The model's: its columns are read in the types that it learned.
    """

    def __init__(
        self, config: Config, decisions: str, reviewed: pd.Index, encoding: Encoding | None = None
    ) -> None:
        self.data = config.data
        self.encoding = encoding
        self.decisions = decisions
        self.rejections = {
            "log": Rejections("The log's decisions"),
            "decisions": Rejections("The decisions to score"),
        }
        self.known = config.data_paths(config.data.decisions)
        self._reviewed = reviewed
        self._rows: dict[str, pd.DataFrame] = {}
        self._places: dict[str, set[str]] = {name: set() for name in _PLACES}
        self._walked = False

    def log(self) -> Iterator[pd.DataFrame]:
        """Read the config's decisions, then those to score: the input of all history features.

        Raises
        ------
        DataError
            At the end of either, if too many of its rows cannot be used.
        """
        number = 0
        for name, place in (("log", self.known), ("decisions", self.decisions)):
            rejections = Rejections(self.rejections[name].what)
            for batch in self.batches(place):
                rejections.add(batch)
                self._note(number, batch.frame)
                number += 1
                yield batch.frame
            rejections.raise_if_too_many(self.data.max_rejected)
            self.rejections[name] = rejections
        self._walked = True

    def decided(self) -> Iterator[pd.DataFrame]:
        """Read the config's decisions."""
        yield from (batch.frame for batch in self.batches(self.known))

    def reviewed(self) -> pd.DataFrame:
        """Return decision_id, decided_at, policy_id and enforced of the decisions reviewed."""
        self.walk()
        rows = pd.concat(self._rows.values(), ignore_index=True)
        return rows.drop_duplicates("decision_id", ignore_index=True)

    def notes(self) -> list[str]:
        """Describe the unusable rows of the log and of the batch, and the likely cause."""
        return [note for part in self.rejections.values() for note in part.notes()]

    def places(self) -> Mapping[str, set[str]]:
        """Return the markets, languages and policies that occur in the log, by column."""
        self.walk()
        return self._places

    def batches(self, place: str | list[str] | None = None) -> Iterator[TableRead]:
        """Read decisions, those to score unless another place is named."""
        read = iter_decisions(
            place or self.decisions,
            columns=self.data.columns,
            actions=self.data.actions,
            drop=self.data.drop,
            preset=self.data.preset,
        )
        return map(self._type_columns, read)

    def _type_columns(self, batch: TableRead) -> TableRead:
        if self.encoding is None:
            return batch
        frame, unreadable = typed_columns(
            batch.frame, self.encoding.numeric_kinds, self.encoding.levels
        )
        return replace(batch, frame=frame, unreadable=unreadable)

    def walk(self) -> None:
        """Read all decisions once, if that was not done already."""
        if not self._walked:
            for _ in self.log():
                pass

    def _note(self, number: int, frame: pd.DataFrame) -> None:
        rows = frame["decision_id"].isin(self._reviewed)
        columns = ["decision_id", "decided_at", "policy_id", "enforced"]
        self._rows[str(number)] = frame.loc[rows, columns]
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
    parts: list[pd.DataFrame] = []
    rejects: list[pd.DataFrame] = []
    notes: list[str] = []
    done = learnt = 0
    threads = config.train.threads or free_threads(_MANY)
    columns = bundle.input_columns
    counts = ColumnCounts(bundle.known_values(), bundle.gain_shares())
    for batch in source.batches():
        frame = batch.frame
        full = past.add(frame)
        counts.add(full, columns, batch.unreadable)
        p = bundle.probability(bundle.detector.features(full), frame, threads)
        parts.append(_score_rows(frame, p, bundle, policies, config))
        rejects.append(batch.rejects)
        notes += [note for note in batch.notes if note not in notes]
        learnt += int(bundle.in_sample(frame["decision_id"]).sum())
        done += len(frame)
        progress(f"scored {done:,} decisions")
    counts.refuse_unreadable(config.score.max_unreadable)
    notes += counts.notes(columns)
    if learnt:
        notes.append(
            f"{learnt:,} of the decisions were used to train the model; their scores are in-sample"
        )
    return ScoredDecisions(
        pd.concat(parts, ignore_index=True), pd.concat(rejects, ignore_index=True), tuple(notes)
    )


def _score_rows(
    frame: pd.DataFrame,
    p: Floats,
    bundle: ModelBundle,
    policies: Mapping[str, Policy],
    config: Config,
) -> pd.DataFrame:
    label = bundle.wrong_labels(frame, p)
    wrong_label = label["p_wrong_label"].to_numpy(np.float64)
    harm, weight = harm_terms(frame, p, policies, config.queue.exposure, wrong_label)
    suggested = pd.Series(
        label["suggested_policy_id"].to_numpy(object), index=frame.index, dtype="str"
    )
    names = ["decision_id", "decided_at", "enforced", "policy_id"]
    names += [name for name in ("market", "language", "account_id") if name in frame]
    return frame[names].assign(
        content=content_digests(frame) if config.queue.one_job else None,
        p_error=p,
        error_kind=error_kinds(frame["enforced"], suggested),
        suggested_policy_id=suggested,
        harm=harm,
        exposure_weight=weight,
        expected_harm=p * harm * weight,
    )
