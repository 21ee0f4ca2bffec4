"""Champion results for the report: ranking quality, head of the queue, drivers of errors."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.renamed_columns import use_new_names
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.model.bundle import ModelBundle
from errdetect.model.evaluation import MODEL
from errdetect.queue.review_value import error_kinds, expected_harm
from errdetect.queue.selection import RANKED, budget_count
from errdetect.snapshot import Snapshot
from errdetect.workflows.decision_explainer import Explainer, Picture, build_explainer, find_drivers
from errdetect.workflows.load_data import free_threads

__all__ = ["model_facts", "unreviewed_parts"]

Floats = npt.NDArray[np.float64]

_CHUNK = 50_000
_SHOWN_TEXT = 400
_CASES, _POLICIES_WITH_CASES = 3, 200
_SHOWN = ("decision_id", "policy_id", "action", "market", "language", "text")


def model_facts(bundle: ModelBundle, version: str) -> dict[str, Any]:
    """Return the training record of the model."""
    about = bundle.about
    facts = {k: about[k] for k in ("trained_at", "labels", "errors") if k in about}
    return {
        "model": {"version": version, **facts},
        "evaluation": _evaluation_table(about),
        "evaluated_on": _evaluated_on(about),
        **{
            name: _training_table(about, name)
            for name in ("reliability", "reliability_by", "segments")
        },
    }


def unreviewed_parts(
    config: Config, snapshot: Snapshot, bundle: ModelBundle, now: datetime
) -> tuple[dict[str, Any], tuple[Picture, ...]]:
    """Return champion results for unreviewed decisions: head of the queue, cases, drivers."""
    decisions = snapshot.decisions
    unseen = ~decisions["decision_id"].isin(snapshot.reviewed_ids).to_numpy(bool)
    unseen &= ~bundle.in_sample(decisions["decision_id"])
    open_ = decisions[unseen].reset_index(drop=True)
    if open_.empty:
        return {}, ()
    threads = config.train.threads or free_threads(len(open_))
    past = PointInTimeFeatures.for_model_columns(
        bundle.detector.encoding.names, [decisions], snapshot.reviews
    )
    parts = (past.add(open_.iloc[i : i + _CHUNK]) for i in range(0, len(open_), _CHUNK))
    p = np.concatenate(
        [bundle.probability(bundle.detector.features(part), part, threads) for part in parts]
    )
    label = bundle.wrong_labels(open_, p)
    wrong_label = label["p_wrong_label"].to_numpy(np.float64)
    harm = expected_harm(open_, p, snapshot.policies, config.queue.exposure, wrong_label)
    scored = open_.assign(
        p_error=p, expected_harm=harm, suggested_policy_id=label["suggested_policy_id"].to_numpy()
    )
    explainer = build_explainer(
        config, bundle, past, known=[decisions], snapshot=snapshot,
        as_of=config.labels.as_of or now,
    )  # fmt: skip
    found, pictures = find_drivers(
        explainer, open_, p, most=config.report.explained, threads=threads,
        rng=np.random.default_rng(config.queue.seed),
    )  # fmt: skip
    order = np.argsort(-harm, kind="stable")
    return {
        "drivers": found,
        "n_queued": budget_count(config.queue.budget, len(open_)),
        "queue_head": _explained_decisions(
            scored.iloc[order[: config.report.queue_rows]], explainer
        ),
        "cases": _explained_decisions(
            scored.iloc[_top_per_policy(open_["policy_id"], order)], explainer
        ),
    }, pictures


def _top_per_policy(policy: pd.Series, order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the first decisions of each of the first policies in a given order."""
    ordered = policy.iloc[order]
    nth = ordered.groupby(ordered.to_numpy()).cumcount().to_numpy()
    first = ordered.isin(ordered.unique()[:_POLICIES_WITH_CASES]).to_numpy()
    return order[(nth < _CASES) & first]


def _explained_decisions(scored: pd.DataFrame, explainer: Explainer) -> pd.DataFrame:
    """Return decisions as the report shows them, each with its reasons and a contrast."""
    decisions = scored.reset_index(drop=True)
    head = decisions[[c for c in _SHOWN if c in decisions]]
    if "text" in head:
        head = head.assign(text=head["text"].str.slice(0, _SHOWN_TEXT))
    suggested = decisions["suggested_policy_id"]
    head = head.assign(
        rank=np.arange(1, len(head) + 1),
        p_error=decisions["p_error"],
        error_kind=error_kinds(decisions["enforced"], suggested).to_numpy(),
        suggested_policy_id=suggested,
        expected_harm=decisions["expected_harm"],
        arm=RANKED,
    )
    return pd.concat([head, explainer.table(decisions)], axis=1)


def _evaluated_on(about: Mapping[str, Any]) -> str:
    """Describe the decisions that the ranking was measured on, from the training record."""
    latest = f"The {about['counts']['test_decisions']:,} latest decisions reviewed by then"
    said = [note for note in about.get("notes", ()) if "measured on" in note or "held-out" in note]
    return f"{latest}: {said[0]}." if said else f"{latest}."


def _training_table(about: Mapping[str, Any], name: str) -> pd.DataFrame | None:
    """Return a table of the training run; None where there was too little data."""
    if not about.get(name):
        return None
    return use_new_names(pd.DataFrame(about[name]), name)  # models of earlier versions too


def _evaluation_table(about: Mapping[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(about["evaluation"]).rename(columns={"measure": "metric"})
    return frame.assign(
        method=frame["method"].replace({MODEL: "model", "segment rate": "segment_rate"})
    )
