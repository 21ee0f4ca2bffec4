"""train: labels, features, tune, fit, calibrate, evaluate, gate, register."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.errors import mask_secrets
from errdetect.explanations.reasons import measure_fact_baselines
from errdetect.features.feature_matrix import fit_reference_distribution
from errdetect.features.point_in_time_features import add_point_in_time_features
from errdetect.model.bundle import HeldOutScores, ModelBundle, hash_ids
from errdetect.model.detector import Examples
from errdetect.model.ensemble_members import FitOptions, fit_segment_rate, propensity_weights
from errdetect.model.evaluation import (
    MIN_HELD_OUT,
    MODEL,
    Bootstrap,
    HeldOut,
    evaluate_policy_correction,
    evaluate_segments,
    is_beaten_by_baseline,
)
from errdetect.model.policy_correction import (
    MIN_RELABELLED,
    PolicyCorrection,
    count_corrected,
    fit_policy_correction,
)
from errdetect.model.training import TrainedModel, TrainingPlan, train_detector
from errdetect.model.tuning import Objective, Search
from errdetect.queue.review_value import expected_harm
from errdetect.schemas import ERROR, RELABELLED, UNKNOWN, WRONG_LABEL
from errdetect.snapshot import Snapshot
from errdetect.stats.log_odds import clipped_logit
from errdetect.workflows.champion import champion_to_beat, gate_rules
from errdetect.workflows.load_data import Progress, free_threads, load_snapshot
from errdetect.workflows.run_description import describe_run, open_registry
from errdetect.workflows.training_run import register_run, state_from_registry

__all__ = [
    "FittedCorrections",
    "PolicyCorrectionResult",
    "TrainResult",
    "label_examples",
    "learn_policy_correction",
    "measure_segments",
    "train",
]


_VOICES = "reviewers"  # the segment column for reviewer agreement
_BUDGET = 0.1


@dataclass(frozen=True)
class PolicyCorrectionResult:
    """The model of the correct policy, or why there is none.

    Parameters
    ----------
    model
        None where too few decisions were relabelled, or where it does not improve on the baseline.
    evaluation
        Rows for the evaluation's table; none where nothing could be measured.
    notes
        Notes for the reader.
    """

    model: PolicyCorrection | None
    evaluation: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _KnownLabels:
    """Decisions with what was known of them at a moment."""

    decisions: pd.DataFrame
    right: "pd.Series[Any]"
    judged: npt.NDArray[np.bool_]
    wrong_label: npt.NDArray[np.bool_]

    @property
    def n_relabelled(self) -> int:
        """Relabelled decisions with a known correct policy."""
        return count_corrected(self.decisions, self.right)

    def fit(self, config: Config) -> PolicyCorrection | None:
        """Fit the model of the correct policy."""
        return fit_policy_correction(
            self.decisions,
            self.right,
            self.judged,
            leave_out=config.features.leave_out,
            text=config.features.text,
        )


def measure_segments(config: Config, snapshot: Snapshot, held: HeldOut) -> pd.DataFrame:
    """Measure the ranking by the report's columns, and by whether reviewers agreed.

    Parameters
    ----------
    config
        From `load_config`; `report.by` names the columns, `report.min_group` the smallest segment.
    snapshot
        All decisions and reviews.
    held
        The held-out decisions.

    Returns
    -------
    pandas.DataFrame
        As `evaluate_segments`; the segment `reviewers` is `one voice`, `unanimous` or `split`.
    """
    decisions = held.examples.decisions
    at = pd.Index(snapshot.decisions["decision_id"]).get_indexer(pd.Index(decisions["decision_id"]))
    fell = snapshot.reviewer_consensus.iloc[at].set_axis(decisions.index)
    examples = replace(held.examples, decisions=decisions.assign(**{_VOICES: fell}))
    return evaluate_segments(
        replace(held, examples=examples),
        [*config.report.by, _VOICES],
        _bootstrap(config),
        budget=_BUDGET,
        minimum=config.report.min_group,
    )


def _bootstrap(config: Config) -> Bootstrap:
    return Bootstrap(config.evaluate.bootstrap, np.random.default_rng(config.train.seed))


@dataclass(frozen=True)
class FittedCorrections:
    """Models of the correct policy that training has fitted already; None where it has not.

    Parameters
    ----------
    full
        On all reviews.
    earlier
        On what was known before the held-out decisions.
    """

    full: PolicyCorrection | None = None
    earlier: PolicyCorrection | None = None


def learn_policy_correction(
    config: Config,
    snapshot: Snapshot,
    held: HeldOut,
    fitted: FittedCorrections = FittedCorrections(),
) -> PolicyCorrectionResult:
    """Fit the model of the correct policy on all reviews, and evaluate it on held-out time.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        All decisions in order of time, reviewed or not, and their reviews.
    held
        The held-out decisions; the evaluated model is trained on what was known before.
    fitted
        Models that need not be fitted again.
    """
    nothing = pd.DataFrame(columns=["method", "measure", "value", "low", "high"])
    if not (snapshot.reviews["verdict"] == RELABELLED).any():
        return PolicyCorrectionResult(None, nothing, (_too_few_note(0),))
    known = _labels_known_at(snapshot)
    model = fitted.full or known.fit(config)
    if model is None:
        return PolicyCorrectionResult(None, nothing, (_too_few_note(known.n_relabelled),))
    table, why = _measure_correction(config, snapshot, known, held, fitted.earlier)
    if is_beaten_by_baseline(table):
        note = (
            "the model of the correct policy finds fewer wrong labels than the rate by segment, so it "
            "is not used: the correct policy is unknown"
        )
        return PolicyCorrectionResult(None, table, (note,))
    learnt = f"the correct policy is learnt from {model.n_relabelled} relabelled decisions"
    return PolicyCorrectionResult(model, table, (f"{learnt}; {why}" if why else learnt,))


def _too_few_note(n: int) -> str:
    return (
        f"the correct policy is unknown: reviewers named the correct policy of {n} relabelled decisions "
        f"and {MIN_RELABELLED} are needed, so no policy is suggested"
    )


def _labels_known_at(snapshot: Snapshot) -> _KnownLabels:
    labels = snapshot.labels
    return _KnownLabels(
        snapshot.decisions,
        snapshot.correct_policies,
        (labels["label"] != UNKNOWN).to_numpy(bool),
        (labels["error_kind"] == WRONG_LABEL).fillna(False).to_numpy(bool),
    )


def _measure_correction(
    config: Config,
    snapshot: Snapshot,
    known: _KnownLabels,
    held: HeldOut,
    model: PolicyCorrection | None,
) -> tuple[pd.DataFrame, str]:
    """Evaluate a model trained before the held-out decisions; or return why not."""
    tested = held.examples.decisions
    start = tested["decided_at"].iloc[0]
    before = known.decisions[(known.decisions["decided_at"] < start).to_numpy(bool)]
    then = _labels_known_at(snapshot.before(start.to_pydatetime()).of(before))
    before = then.decisions
    model = model or then.fit(config)
    nothing = pd.DataFrame(columns=["method", "measure", "value", "low", "high"])
    if model is None:
        why = (
            f"too few ({then.n_relabelled}) were known before the held-out decisions to measure it"
        )
        return nothing, why
    enforced = tested["enforced"].to_numpy(bool)
    tested, p, weight = tested[enforced], held.p[enforced], held.weight[enforced]
    at = pd.Index(known.decisions["decision_id"]).get_indexer(pd.Index(tested["decision_id"]))
    said = model.predict(tested, p)
    past = before[then.judged & before["enforced"].to_numpy(bool)]
    y = then.wrong_label[then.judged & before["enforced"].to_numpy(bool)].astype(np.float64)
    rate = fit_segment_rate(past, y, np.ones(len(y))).rate(tested)
    policies = pd.DataFrame(
        {
            "correct": known.right.iloc[at].to_numpy(object),
            "suggested": said["likeliest_policy_id"].to_numpy(object),
            "usual": model.usual(tested["policy_id"]).to_numpy(object),
        }
    )
    table = evaluate_policy_correction(
        known.wrong_label[at].astype(np.float64),
        (np.nan_to_num(said["p_wrong_label"].to_numpy(np.float64)), rate),
        policies,
        weight,
        budgets=config.evaluate.budgets,
        bootstrap=_bootstrap(config),
    )
    few = f"fewer than {MIN_HELD_OUT} wrong labels were held out, so it is not measured"
    return table, few if table.empty else ""


@dataclass(frozen=True)
class TrainResult:
    """Result of a training run.

    Parameters
    ----------
    answer, why
        The gate's answer (`validated`, `rejected`, `unknown`) and the reason.
    version
        The registered model's version; None where the gate did not pass.
    champion
        The version that scores now; None where there is none.
    gate
        The gate's comparisons, one row each; columns as `GateCheck`.
    evaluation
        Columns method, measure, value, low, high; held-out decisions.
    segments
        The same by policy, market, language, moderator and agreement of reviewers; see
        `evaluate_segments`.
    counts
        Labelled decisions and errors per part.
    notes
        Notes for the reader.
    registry
        Location of the run and the model (MLflow's address).
    """

    answer: str
    why: str
    version: str | None
    champion: str | None
    gate: pd.DataFrame
    evaluation: pd.DataFrame
    segments: pd.DataFrame
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    registry: str


def train(
    config: Config, *, promote: bool | None = None, progress: Progress = lambda _: None
) -> TrainResult:
    """Train a model as the config says, and register it if the gate passes.

    The first registered model becomes the champion, which `score` uses. A later one waits as challenger
    unless it is promoted.

    Parameters
    ----------
    config
        From `load_config`.
    promote
        Whether a validated model replaces the champion at once; default: `gate.promote`.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the config or the data cannot be used.
    """
    loaded = load_snapshot(config, progress=progress, need_reviews=True)
    decisions = loaded.snapshot.decisions.sort_values(
        ["decided_at", "decision_id"], kind="stable", ignore_index=True
    )
    progress("looking up what was known before each decision")
    reviews, as_of = loaded.snapshot.reviews, config.labels.as_of
    decisions = add_point_in_time_features(
        decisions,
        reviews,
        history=config.features.history,
        similar=config.features.similar,
        as_of=as_of,
    )
    snapshot = loaded.snapshot.with_columns(decisions)
    labelled = _LabelledExamples(config, snapshot)
    examples = labelled.examples(snapshot)
    to_beat, unreadable = champion_to_beat(config, snapshot)
    trained = train_detector(
        examples,
        _training_plan(config, len(decisions)),
        FitOptions(
            config.train.seed, config.train.threads or free_threads(len(examples)), progress
        ),
        log=_train_known(decisions, as_of),
        early=labelled.early,
        champion=to_beat,
    )
    progress("evaluating the correct policy and segments")
    segments = measure_segments(config, snapshot, trained.held_out)
    # Where the evaluation had to learn from later reviews, its correction did, too.
    earlier = None if labelled.notes else trained.evaluated.doubt
    fitted = FittedCorrections(trained.detector.doubt, earlier)
    right_label = learn_policy_correction(config, snapshot, trained.held_out, fitted)
    evaluation = pd.concat(
        [t for t in (trained.evaluation, right_label.evaluation) if len(t)], ignore_index=True
    )
    notes = (*loaded.notes, *unreadable, *trained.notes, *labelled.notes, *right_label.notes)
    origin = describe_run(
        config, "train", {}, decisions=snapshot.decisions, reviews=reviews, seed=config.train.seed,
        intake=snapshot.intake.to_jsonable(),
    )  # fmt: skip
    bundle = ModelBundle(
        trained.detector,
        trained.calibrator,
        np.unique(hash_ids(examples.decisions["decision_id"])),
        _training_record(config, examples, trained, evaluation, segments, right_label.notes)
        | {"provenance": origin.metadata(), "state": state_from_registry(config)},
        right_label.model,
        HeldOutScores.of(trained.held_out.examples.decisions, trained.held_out.p),
    )
    progress("registering the run")
    at_once = config.gate.promote if promote is None else promote
    version = register_run(config, bundle, trained, (evaluation, segments), origin, promote=at_once)
    verdict, registry = trained.verdict, open_registry(config)
    champion = registry.champion_version()
    return TrainResult(
        verdict.answer,
        verdict.why,
        version,
        None if champion is None else champion[0],
        verdict.frame(),
        evaluation,
        segments,
        trained.counts,
        notes,
        mask_secrets(registry.tracking_uri),
    )


def label_examples(snapshot: Snapshot, only: "pd.Series[str] | None" = None) -> Examples:
    """Turn labelled decisions into training examples; unknown labels are left out.

    Parameters
    ----------
    snapshot
        Decisions, reviews and labels as of one moment.
    only
        Ids of the decisions to keep; None for all.
    """
    decisions, labels = snapshot.decisions, snapshot.labels
    right = np.full(len(decisions), None)
    if (snapshot.reviews["verdict"] == RELABELLED).any():
        named = snapshot.correct_policies
        right = named.astype("object").where(named.notna(), None).to_numpy(object)
    known = (labels["label"] != UNKNOWN).to_numpy()
    if only is not None:
        known = known & decisions["decision_id"].isin(only).to_numpy(bool)
    design = np.nan_to_num(1 / snapshot.inclusion_probability[known], nan=0.0)
    decisions, labels = decisions[known], labels[known]
    error = (labels["label"] == ERROR).to_numpy(np.float64)
    turned = error.astype(bool) & (labels["error_kind"] != WRONG_LABEL).to_numpy()
    violates = np.where(turned, ~decisions["enforced"], decisions["enforced"]).astype(np.float64)
    p = labels["p_label"].to_numpy(np.float64)
    enforced = decisions["enforced"].to_numpy(bool)
    relabelled = error.astype(bool) & ~turned
    p_violates = np.where(relabelled, violates, np.where(enforced, 1 - p, p))
    evidence = clipped_logit(np.asarray(error, dtype=np.float64))
    if snapshot.reviewer_model is not None:
        measured = snapshot.reviewer_model.evidence.reindex(decisions["decision_id"]).to_numpy(
            np.float64
        )
        evidence = np.where(np.isnan(measured), evidence, measured)
    return Examples(
        decisions, np.asarray(error, dtype=np.float64), violates, np.ones(len(p)), design, p, p_violates,
        evidence, right_policy=right[known],
    )  # fmt: skip


def _train_known(decisions: pd.DataFrame, as_of: datetime | None) -> pd.DataFrame:
    """Keep the decisions taken by a moment."""
    return decisions if as_of is None else decisions[decisions["decided_at"] <= as_of]


def _training_plan(config: Config, decisions: int) -> TrainingPlan:
    """Return how to train on so many decisions, as the config says."""
    gate = gate_rules(config, decisions)
    return TrainingPlan(
        parts=config.train.parts,
        leave_out=tuple(config.features.leave_out),
        text=config.features.text,
        search=Search(config.train.trials, config.train.seconds, _tuning_storage(config)),
        objective=Objective(config.train.objective, gate.budget),
        budgets=config.evaluate.budgets,
        resamples=config.evaluate.bootstrap,
        gate=gate,
    )


def _tuning_storage(config: Config) -> str | None:
    """Return the database from which interrupted tuning resumes."""
    if not config.train.resume:
        return None
    folder = config.path(config.registry.path)
    folder.mkdir(parents=True, exist_ok=True)
    # As an encoded file address: in a plain one `?` and `#` of a folder's name have a meaning.
    return f"sqlite:///file:{quote(str(folder.resolve() / 'tuning.db'))}?uri=true"


class _LabelledExamples:
    """Labels as they were known at a moment, overall and before each part."""

    def __init__(self, config: Config, snapshot: Snapshot) -> None:
        self.config = config
        self.snapshot = snapshot
        self.notes: list[str] = []

    def examples(self, snapshot: Snapshot, only: "pd.Series[str] | None" = None) -> Examples:
        """Return training examples, with weights and harm."""
        examples = label_examples(snapshot, only)
        exposure = self.config.queue.exposure
        harm = expected_harm(
            examples.decisions, np.ones(len(examples)), snapshot.policies, exposure
        )
        if self.config.train.propensity == "audit":
            examples = replace(examples, weight=propensity_weights(examples.design))
        return replace(examples, harm=harm)

    def early(self, moment: pd.Timestamp, examples: Examples) -> Examples:
        """Return the examples as known at a moment, where most labels were known."""
        then = self.snapshot.before(moment.to_pydatetime())
        known = self.examples(then, examples.decisions["decision_id"])
        if len(known) >= len(examples) / 2 and 0 < known.error.sum() < len(known):
            return known
        self.notes.append(
            f"only {len(known)} of the {len(examples)} labels of decisions before {moment:%Y-%m-%d} were known "
            "by then, so the evaluation learns from later reviews of earlier decisions too"
        )
        return examples


def _training_record(
    config: Config,
    examples: Examples,
    trained: TrainedModel,
    evaluation: pd.DataFrame,
    segments: pd.DataFrame,
    right_label: tuple[str, ...],
) -> dict[str, Any]:
    times, encoding = examples.decisions["decided_at"], trained.detector.encoding
    gate = {
        "answer": trained.verdict.answer,
        "why": trained.verdict.why,
        "champion": trained.champion,
        "checks": _json_records(trained.verdict.frame()),
    }
    segments = segments[segments["measure"] == "auroc"].drop(columns="measure")
    reference = fit_reference_distribution(
        examples.decisions, encoding.numeric, list(encoding.categorical)
    )
    held = (trained.held_out.examples, trained.evaluated)
    baselines = measure_fact_baselines(examples, trained.detector, held, reference.alike)
    return {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": len(examples),
        "errors": int(examples.error.sum()),
        "decided_from": times.iloc[0].isoformat(),
        "decided_to": times.iloc[-1].isoformat(),
        "actions": dict(config.data.actions),
        "tuned": {"params": dict(trained.tuned.params), "rounds": dict(trained.blend.rounds)},
        "blend": {"name": trained.blend.name, "weights": dict(trained.blend.weights)},
        "counts": dict(trained.counts),
        "evaluation": _json_records(evaluation),
        "segments": _json_records(segments),
        "measured_by": MODEL,
        "price_microseconds": round(trained.price, 2),
        "gate": gate,
        "reference": reference.to_jsonable(),
        "fact_baselines": baselines.to_jsonable(),
        "reliability": trained.reliability.round(6).to_dict("records"),
        "reliability_by": trained.reliability_by.round(6).to_dict("records"),
        "notes": [*trained.notes, *right_label],
    }


def _json_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as JSON values; unknown values become null."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows]
