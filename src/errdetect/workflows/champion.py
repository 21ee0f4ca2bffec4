"""The champion's scores of held-out decisions, for the gate."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.errors import ModelError
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.model.bundle import ModelBundle
from errdetect.model.detector import Examples
from errdetect.model.gate import Champion, GateRules, ModelFacts
from errdetect.snapshot import Snapshot
from errdetect.workflows.run_description import open_registry

__all__ = [
    "champion_on",
    "champion_to_beat",
    "gate_rules",
    "model_facts",
    "score_examples",
]

Floats = npt.NDArray[np.float64]

#: A champion's evaluated model may have learned until this share of its span earlier than the challenger's.
_NEARLY = 0.05


def gate_rules(config: Config, decisions: int) -> GateRules:
    """Return what the gate asks, with the queue's budget as a share of so many decisions."""
    budget = config.queue.budget
    share = min(1.0, budget / decisions) if isinstance(budget, int) else budget
    gate = config.gate
    return GateRules(gate.min_errors, share, gate.margin, gate.cheaper, gate.fresher_days)


def champion_to_beat(
    config: Config, snapshot: Snapshot
) -> tuple[Callable[[Examples], Champion] | None, tuple[str, ...]]:
    """Return what scores held-out decisions with the champion, and notes.

    Returns
    -------
    tuple
        None instead of the function where there is no champion, or it cannot be read: a damaged
        champion must not prevent the training that replaces it.
    """
    try:
        found = open_registry(config).find()
    except ModelError as error:
        return None, (f"the champion cannot be read, so that the gate compares with none: {error}",)
    if found is None:
        return None, ()
    bundle, version = found
    return lambda test: champion_on(bundle, version, snapshot, test), ()


def champion_on(bundle: ModelBundle, version: str, snapshot: Snapshot, test: Examples) -> Champion:
    """Score held-out decisions with the champion, as far as possible by a model that did not learn from them.

    Decisions that the champion held out itself are scored by its evaluated model, if that learned
    until about the same time as the challenger's. Of all others that it learned from, `unseen` is False.

    Parameters
    ----------
    bundle, version
        The champion.
    snapshot
        All decisions and reviews, for what was known before each decision.
    test
        n held-out examples in order of time.
    """
    p = score_examples(bundle, snapshot, test.decisions)
    unseen = ~bundle.in_sample(test.decisions["decision_id"])
    if bundle.held_out is not None and _learned_as_late(bundle, test):
        own = bundle.held_out.find(test.decisions["decision_id"])
        held = ~np.isnan(own) & ~unseen
        p, unseen = np.where(held, own, p), unseen | held
    return Champion(version, p, unseen, model_facts(bundle))


def _learned_as_late(bundle: ModelBundle, test: Examples) -> bool:
    """Return whether the champion's evaluated model is no older than the challenger's, or hardly."""
    assert bundle.held_out is not None
    start = pd.Timestamp(bundle.held_out.start)
    span = start - pd.Timestamp(bundle.about["decided_from"])
    return bool(start >= test.decisions["decided_at"].iloc[0] - _NEARLY * span)


def score_examples(bundle: ModelBundle, snapshot: Snapshot, decisions: pd.DataFrame) -> Floats:
    """Return a model's P(error) of decisions, shape (n,), with the features that it learned from."""
    names = [n for n in bundle.detector.encoding.names if n not in decisions]
    past = PointInTimeFeatures.for_model_columns(names, [snapshot.decisions], snapshot.reviews)
    known = past.add(decisions)
    return bundle.probability(bundle.detector.features(known), known)


def model_facts(bundle: ModelBundle) -> ModelFacts:
    """Return a registered model's price, where it was measured, and how far its labels reach."""
    price, until = bundle.about.get("price_microseconds"), bundle.about.get("decided_to")
    return ModelFacts(
        None if price is None else float(price), None if until is None else pd.Timestamp(until)
    )
