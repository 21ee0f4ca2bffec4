"""P(error) as control variate: what may narrow the estimates' intervals, and where it comes from."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.estimate.audit import locate, read_audit
from errdetect.estimate.queue_sample import read_queue
from errdetect.jobs.columns import Past
from errdetect.jobs.tables import Progress, free_threads
from errdetect.model.bundle import Bundle
from errdetect.model.crossfit import cross_fit
from errdetect.model.registry import Registry

__all__ = ["champion_probability", "control_variate", "estimation_terms", "find_champion"]

Floats = npt.NDArray[np.float64]

_CHUNK = 50_000
#: Decisions above which the champion, who reads texts, takes minutes where a small model does.
_MANY = 200_000
#: Decisions above which `auto` does without; such logs have audits that are large enough.
_TOO_MANY = 300_000


def control_variate(
    config: Config,
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    progress: Progress = lambda _: None,
) -> tuple[Floats | None, str]:
    """Give P(error) of every decision that no audited decision's own review had a part in.

    Parameters
    ----------
    config
        From `load_config`.
    decisions, reviews
        The tables that are estimated from.
    progress
        Told what is going on.

    Returns
    -------
    (p_error, note)
        Shape (n_decisions,) or None, and where it comes from, for people; the note is empty
        without one.
    """
    wanted = config.estimate.control
    if wanted == "none":
        return None, ""
    if wanted == "auto" and len(decisions) > _TOO_MANY:
        note = (
            "with so many decisions no P(error) is fitted; estimate.control=cross_fitted fits it "
            "and narrows the intervals"
        )
        return None, note
    audit = read_audit(decisions, reviews)
    champion = find_champion(config) if wanted == "auto" and len(decisions) <= _MANY else None
    if champion is not None:
        bundle, version = champion
        if not bundle.in_sample(decisions["decision_id"].iloc[audit.position]).any():
            progress("scoring decisions")
            # The sample's own reviews stay out of the columns on the past, too.
            drawn = decisions["decision_id"].iloc[audit.position]
            other = reviews[locate(drawn.to_frame(), reviews["decision_id"]) < 0]
            p = champion_probability(config, bundle, decisions, other)
            return (
                p,
                f"P(error) of model {version}, which has not seen these reviews, narrows the intervals",
            )
    progress("fitting P(error) in turns")
    said = np.where(audit.adjudicated, audit.expert_error, audit.error)
    fitted = cross_fit(
        decisions,
        audit.position,
        said,
        audit.weight,
        leave_out=tuple(config.features.leave_out),
        seed=config.train.seed,
        threads=config.train.threads or free_threads(len(decisions)),
    )
    if fitted is None:
        return None, ""
    return (
        fitted.p_error,
        "P(error) of a small model, fitted in turns so that it never saw the review it is held "
        "against, narrows the intervals",
    )


def estimation_terms(
    config: Config,
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    scores: pd.DataFrame | None = None,
    progress: Progress = lambda _: None,
) -> tuple[dict[str, Any], str]:
    """Give `estimate_rates` its terms, so that every job prints equal figures.

    Parameters
    ----------
    config, decisions, reviews, progress
        As for `control_variate`.
    scores
        From `latest_scores`, where the queue's reviews are to count; with reviews from
        `covering_reviews`.

    Returns
    -------
    (terms, note)
        Keyword arguments, and where P(error) comes from and what of the queue was used.
    """
    queue, told = (None, "") if scores is None else read_queue(decisions, reviews, scores)
    p_error: pd.Series | None
    if queue is not None and scores is not None and not queue.audit_part:
        # The run that drew the sample scored before any of its reviews was known.
        said = scores.set_index("decision_id")["p_error"].reindex(decisions["decision_id"])
        p_error = None if config.estimate.control == "none" else said.fillna(said.mean())
        note = "" if p_error is None else "P(error) of the queue's own scores narrows the intervals"
    else:
        fitted, note = control_variate(config, decisions, reviews, progress=progress)
        p_error = None if fitted is None else pd.Series(fitted, decisions["decision_id"])
    terms = {
        "p_error": p_error,
        "queue": queue,
        "correction": config.estimate.correction,
        "min_reviews": config.estimate.min_reviews,
    }
    return terms, "; ".join(part for part in (told, note) if part)


def find_champion(config: Config) -> tuple[Bundle, str] | None:
    """Return the registered model and its version, or None where there is none yet.

    Raises
    ------
    ModelError
        Where its files are damaged.
    """
    return Registry(config.path(config.registry.path), config.registry.name).find()


def champion_probability(
    config: Config, bundle: Bundle, decisions: pd.DataFrame, reviews: pd.DataFrame | None
) -> Floats:
    """Score decisions with a model, chunk by chunk.

    Parameters
    ----------
    config
        From `load_config`.
    bundle
        The model.
    decisions
        Shape (n, any).
    reviews
        What may count as known before later decisions; None for nothing.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    past = Past.wanted_by(bundle.detector.encoding.names, [decisions], reviews)
    threads = config.train.threads or free_threads(len(decisions))
    parts = [
        bundle.probability(bundle.detector.features(past.add(part)), part, threads)
        for i in range(0, len(decisions), _CHUNK)
        for part in [decisions.iloc[i : i + _CHUNK]]
    ]
    return np.concatenate(parts) if parts else np.empty(0)
