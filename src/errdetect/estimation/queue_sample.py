"""The review queue as a designed sample of the decisions that were scored.

Decisions that were reviewed before a run, and those that it ranked, are reviewed with certainty; of
the others some were drawn, with known inclusion probabilities. Given the earlier reviews, however
these were chosen, only that draw is random: the sum of y/probability over the reviewed is unbiased.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.labels.audit_sample import AuditSample, expert_answers, gather_draws, is_error
from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.schemas import ADJUDICATION, AUDIT, RE_REVIEW
from errdetect.snapshot import Snapshot

__all__ = ["QUEUED", "QueueDesign", "combine_draws", "extend_to_duplicates", "read_queue_design"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Arms of the queue, as in the scores.
RANKED, EXPLORE, QUEUED = "ranked", "explore", "queued"


@dataclass(frozen=True)
class QueueDesign:
    """The queue as a design, for each decision that it could reach.

    Parameters
    ----------
    frame
        decision_id (unique), drawn (it is reviewed, or its draw is), weight (1/inclusion probability),
        variance (as `AuditSample.variance`), missing (certain, and not reviewed).
    audit_part
        Share of the audit's draws where both samples reach; the queue's draws have the rest.
    """

    frame: pd.DataFrame
    audit_part: float


def extend_to_duplicates(reviews: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Repeat the queue's verdicts for the decisions of identical content that they cover.

    Parameters
    ----------
    reviews
        The contract's.
    scores
        With `decision_id` and `job_id`, the decision whose review covers it.

    Returns
    -------
    pandas.DataFrame
        The reviews, followed by `re_review` ones of the covered decisions.

    Examples
    --------
    >>> reviews = pd.DataFrame({"review_id": ["r"], "decision_id": ["a"], "source": "re_review"})
    >>> scores = pd.DataFrame({"decision_id": ["a", "b", "c"], "job_id": ["a", "a", "c"]})
    >>> extend_to_duplicates(reviews, scores)[["review_id", "decision_id"]].values.tolist()
    [['r', 'a'], ['r/b', 'b']]
    """
    covered = scores.loc[scores["job_id"] != scores["decision_id"], ["decision_id", "job_id"]]
    own = reviews[reviews["source"] == RE_REVIEW]
    more = own.merge(covered, left_on="decision_id", right_on="job_id", suffixes=("_head", ""))
    more["review_id"] = more["review_id"].astype("str") + "/" + more["decision_id"]
    return pd.concat([reviews, more[list(reviews.columns)]], ignore_index=True)


def read_queue_design(snapshot: Snapshot, scores: pd.DataFrame) -> tuple[QueueDesign | None, str]:
    """Return the usable part of the queue as a design, and a text on its progress.

    Parameters
    ----------
    snapshot
        Its reviews from `extend_to_duplicates`.
    scores
        One row a decision, of the latest run that scored it: decision_id, inclusion_probability,
        job_id, arm.

    Returns
    -------
    (design, words)
        None where the queue is not usable; the text explains. The random part must be complete, and
        with an audit the ranked part as well, its flags settled as the audit's are. Without an
        audit, ranked decisions that are not reviewed widen the interval.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": list("abcd"), "decided_at": day[0]})
    >>> reviews = pd.DataFrame({"review_id": ["1", "2"], "decision_id": ["a", "c"],
    ...     "source": "re_review", "verdict": "upheld", "reviewed_at": day[1]})
    >>> scores = pd.DataFrame({"decision_id": list("abcd"), "job_id": list("abcd"),
    ...     "inclusion_probability": [1, 1 / 3, 1 / 3, 1 / 3], "arm": ["ranked", None, "explore", None]})
    >>> design, words = read_queue_design(Snapshot(decisions, reviews), scores)
    >>> design.frame["weight"].round(2).tolist(), words
    ([1.0, 3.0, 3.0, 3.0], "the queue's reviews are used: all of its 2 decisions are reviewed")
    """
    frame = _design_table(snapshot, scores)
    queued = frame["arm"].isin([RANKED, EXPLORE, QUEUED])
    done = int((queued & frame["reviewed"]).sum())
    progress = f"{done:,} of its {int(queued.sum()):,} decisions are reviewed"
    open_draws = int(((frame["arm"] == EXPLORE) & ~frame["reviewed"]).sum())
    if open_draws:
        return None, (
            f"the queue's reviews are not used: {progress}, and {open_draws:,} of those still to do were drawn "
            "at random (arm explore); finish these first"
        )
    audit = snapshot.audit_sample
    waiting = int(frame["missing"].sum())
    if not len(audit.position):
        wide = ""
        if waiting:
            wide = f"; the interval covers the cases that the {waiting:,} still to do are all right or all wrong"
        whole = progress if waiting else f"all of its {done:,} decisions are reviewed"
        return QueueDesign(
            _design_columns(frame), 0.0
        ), f"the queue's reviews are used: {whole}{wide}"
    if waiting:
        return None, (
            f"the queue's reviews are not used with the audit: {progress}; ranked decisions that are not "
            "reviewed have no certain inclusion"
        )
    if _audit_flags_settled(audit) and not _queue_flags_settled(snapshot, frame):
        return None, (
            "the queue's reviews are not used with the audit: experts settled the audit's flags, but not "
            "all of the queue's"
        )
    audited = snapshot.decisions["decision_id"].iloc[audit.position]
    reached = int(frame["decision_id"].isin(audited).sum())
    drawn = int(((frame["arm"] == EXPLORE) & (frame["job_id"] == frame["decision_id"])).sum())
    part = reached / max(reached + drawn, 1)
    return QueueDesign(_design_columns(frame), part), (
        f"the queue's reviews are used with the audit: all of its {done:,} decisions are reviewed"
    )


def combine_draws(snapshot: Snapshot, queue: QueueDesign) -> tuple[AuditSample, Bools, Bools]:
    """Combine the queue's draws with the audit's.

    Where both samples reach, each alone is unbiased, so their mean with fixed weights is too;
    elsewhere only the audit is used.

    Parameters
    ----------
    snapshot
        Its reviews from `extend_to_duplicates`.
    queue
        From `read_queue_design`.

    Returns
    -------
    (draws, inside, missing)
        The draws; shape (n_decisions,), which decisions they represent, and which of these are
        certain and not reviewed.

    References
    ----------
    Hartley (1962), Multiple frame surveys.

    Examples
    --------
    See `error_rates.estimate_rates`.
    """
    audit, n, frame = snapshot.audit_sample, len(snapshot.decisions), queue.frame
    at = _decision_positions(snapshot, frame["decision_id"])
    frame, at = frame[at >= 0], at[at >= 0]
    inside, missing, drawn = (np.zeros(n, dtype=bool) for _ in range(3))
    weight, variance = np.zeros(n), np.zeros(n)
    inside[at], missing[at] = True, frame["missing"].to_numpy(bool)
    drawn[at] = frame["drawn"].to_numpy(bool)
    rest, part = 1 - queue.audit_part, np.where(inside, queue.audit_part, 1.0)
    weight[at] = rest * frame["weight"].to_numpy(np.float64)
    variance[at] = rest**2 * frame["variance"].to_numpy(np.float64)
    weight[~drawn] = variance[~drawn] = 0.0
    weight[audit.position] += part[audit.position] * audit.weight
    variance[audit.position] += part[audit.position] ** 2 * audit.variance
    votes, position = _draw_verdicts(snapshot, drawn)
    rows, draw = np.unique(position, return_inverse=True)
    final = _expert_reviews(snapshot)
    experts = snapshot.reviews[final], snapshot.review_history["position"].to_numpy()[final]
    draws = gather_draws(
        votes,
        expert_answers(*experts, rows),
        rows,
        draw.astype(np.int64),
        weight[rows],
        variance[rows],
    )
    return draws, inside if not len(audit.position) else np.ones(n, dtype=bool), missing


def _decision_positions(snapshot: Snapshot, decision_id: "pd.Series[str]") -> Ints:
    index = pd.Index(snapshot.decisions["decision_id"])
    return np.asarray(index.get_indexer(pd.Index(decision_id)), dtype=np.int64)


def _expert_reviews(snapshot: Snapshot) -> Bools:
    """Return which reviews are the adjudications that count."""
    history = snapshot.review_history
    counts = (history["standing"] == COUNTS) & (history["source"] == ADJUDICATION)
    return counts.to_numpy(dtype=bool)


def _human_reviews(snapshot: Snapshot) -> Bools:
    """Return which reviews are a reviewer's or expert's latest verdict on a decision of the log."""
    standing = snapshot.review_history["standing"]
    return standing.isin([COUNTS, OVERRULED]).to_numpy(dtype=bool)


def _design_table(snapshot: Snapshot, scores: pd.DataFrame) -> pd.DataFrame:
    """Inclusion probability, weight and state of every decision that the queue could reach."""
    chance = scores["inclusion_probability"].to_numpy(np.float64)
    known = (chance > 0) & (_decision_positions(snapshot, scores["decision_id"]) >= 0)
    frame = scores[known].reset_index(drop=True)
    chance = chance[known]
    people = snapshot.reviews[_human_reviews(snapshot)]
    anybody = frame["decision_id"].isin(people["decision_id"]).to_numpy(bool)
    queue_s = people.loc[people["source"] == RE_REVIEW, "decision_id"]
    reviewed = np.where(chance < 1, frame["decision_id"].isin(queue_s).to_numpy(bool), anybody)
    explored = (frame["arm"] == EXPLORE).to_numpy(bool)
    # A verdict that covers several decisions is one draw: their residuals are correlated.
    size = frame.groupby("job_id")["decision_id"].transform("size").to_numpy(np.float64)
    return frame.assign(
        reviewed=reviewed & ((chance >= 1) | explored),
        drawn=((chance >= 1) & anybody) | (explored & reviewed),
        missing=(chance >= 1) & ~anybody,
        weight=1 / chance,
        variance=size * (1 - chance) / chance**2,
    )


def _design_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["decision_id", "drawn", "weight", "variance", "missing"]]


def _audit_flags_settled(audit: AuditSample) -> bool:
    """Whether experts settled all flags of the audit's reviewers."""
    return bool(audit.flagged.any() and audit.adjudicated[audit.flagged].all())


def _queue_flags_settled(snapshot: Snapshot, frame: pd.DataFrame) -> bool:
    drawn = frame.loc[frame["drawn"], "decision_id"]
    own = snapshot.reviews[_human_reviews(snapshot)]
    own = own[own["decision_id"].isin(drawn)]
    flagged = own.loc[is_error(own["verdict"], action_only=False), "decision_id"]
    settled = own.loc[own["source"] == ADJUDICATION, "decision_id"]
    return bool(flagged.isin(settled).all())


def _draw_verdicts(snapshot: Snapshot, drawn: Bools) -> tuple[pd.DataFrame, Ints]:
    """Return all verdicts on the queue's draws, and the audit's reviews of other decisions."""
    history = snapshot.review_history
    position, source = history["position"].to_numpy(), history["source"]
    expert = (source == ADJUDICATION).to_numpy(bool)
    people = _human_reviews(snapshot)
    of_queue = people & drawn[position]
    judged = np.zeros(len(drawn), dtype=bool)
    judged[position[of_queue & ~expert]] = True
    of_queue &= ~expert | ~judged[position]  # an expert's verdict is looked up separately
    only_audit = np.zeros(len(drawn), dtype=bool)
    only_audit[snapshot.audit_sample.position] = True
    only_audit &= ~drawn
    of_audit = people & (source == AUDIT).to_numpy(bool) & only_audit[position]
    chosen = of_queue | of_audit
    return snapshot.reviews[chosen], position[chosen]
