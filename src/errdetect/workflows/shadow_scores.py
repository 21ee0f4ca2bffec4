"""Scores of a second model beside the champion's, so that later reviews decide between them."""

import pandas as pd

from errdetect.config import Config
from errdetect.errors import ModelError, error_message
from errdetect.model.registry import CHALLENGER
from errdetect.snapshot import Snapshot
from errdetect.workflows.current_levels import follow_levels
from errdetect.workflows.load_data import Progress, free_threads
from errdetect.workflows.run_description import open_registry
from errdetect.workflows.score_batches import ScoringSource

__all__ = ["resolve_version", "shadow_scores"]

_MANY = 1_000_000  # decisions for which all free processors are used


def resolve_version(config: Config, also: str) -> str:
    """Return the version that `--also` names: a version, or `challenger`.

    Raises
    ------
    ModelError
        Where no challenger waits.
    """
    version = open_registry(config).challenger_version() if also == CHALLENGER else also
    if version is None:
        do = "Train one with `errdetect train`, or name a version."
        got = "none in the registry"
        raise ModelError(error_message("--also challenger", "find a challenger", got, do))
    return version


def shadow_scores(
    config: Config, source: ScoringSource, snapshot: Snapshot, version: str, progress: Progress
) -> pd.DataFrame:
    """Score every decision of a batch with another version; the queue does not depend on it.

    Parameters
    ----------
    config
        From `load_config`.
    source
        The decisions, and the log before them.
    snapshot
        For the reviews before each decision.
    version
        The registry's version.
    progress
        Callback for progress messages.

    Returns
    -------
    pandas.DataFrame
        Columns of `schemas.SHADOW_SCORES`.
    """
    bundle, _ = open_registry(config).load(version)
    progress(f"scoring with version {version} too")
    names = bundle.detector.encoding.names
    past = source.index(names, snapshot.reviews)
    if config.score.follow_levels:
        bundle = follow_levels(bundle, past, snapshot, source.every()).bundle
    threads = config.train.threads or free_threads(_MANY)
    parts = []
    for number in range(source.n_parts):
        frame, rows = source.part(number)
        p = bundle.probability(bundle.detector.features(past.add(frame, rows)), frame, threads)
        parts.append(pd.DataFrame({"decision_id": frame["decision_id"], "p_error": p}))
    return pd.concat(parts, ignore_index=True).assign(model_version=version)
