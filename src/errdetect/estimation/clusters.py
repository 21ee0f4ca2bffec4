"""Intervals for samples that were drawn by cluster, for example all decisions of a drawn account."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from errdetect.errors import DataError, error_message
from errdetect.labels.audit_sample import AuditSample
from errdetect.stats.intervals import Interval, clopper_pearson, critical_value

__all__ = [
    "ClusterSample",
    "cluster_intervals",
    "drawn_together",
    "find_clusters",
    "intracluster_correlation",
    "weights_note",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Pairs of one cluster's decisions below which nothing is concluded.
MIN_PAIRS = 20
#: Share of a drawn decision's cluster that must be drawn, too, to call clusters drawn in full.
WHOLE_SHARE = 0.5
#: Correlation assumed where the draws show one class only, so that none can be measured.
ASSUMED_CORRELATION = 0.2
MIN_DF = 3.0


@dataclass(frozen=True)
class ClusterSample:
    """Decisions and draws with their clusters.

    Parameters
    ----------
    cluster
        Cluster of each decision, shape (n_decisions,).
    correlation
        Correlation of two decisions' errors within a cluster.
    """

    cluster: Ints
    correlation: float


def drawn_together(cluster: Ints, audit: AuditSample) -> bool:
    """Whether the draws took full clusters: with one decision, most of its cluster.

    Parameters
    ----------
    cluster
        Cluster of each decision, shape (n_decisions,).
    audit
        The draws, with or without an answer.

    Examples
    --------
    >>> n = np.arange(400)
    >>> at, nothing = n[(n // 4) % 10 == 0], np.full(40, np.nan)
    >>> audit = AuditSample(at, at * 0 + 10.0, at * 0.0, at * 0.0, nothing, nothing, nothing,
    ...                     np.arange(40), at * 0, ("x",))
    >>> drawn_together(n // 4, audit), drawn_together(n % 100, audit)
    (True, False)
    """
    random = audit.variance > 0
    position, weight = audit.position[random], audit.weight[random]
    if audit.unanswered is not None:
        position = np.append(position, audit.unanswered.position)
        weight = np.append(weight, audit.unanswered.weight)
    size = np.bincount(cluster)
    drawn = np.bincount(cluster[position], minlength=len(size))
    others = size[cluster[position]] - 1
    together = float((drawn[cluster[position]] - 1).sum())
    expected = float((others / np.maximum(weight, 1)).sum())
    pairs = float(others.sum())
    return pairs >= MIN_PAIRS and together > max(WHOLE_SHARE * pairs, 3 * expected + MIN_PAIRS / 2)


def intracluster_correlation(cluster: Ints, error: Floats, weight: Floats) -> float:
    """Return the correlation of two decisions' errors within a cluster, not below 0.

    The larger of two moment estimates, in which pairs and in which decisions count alike.

    Parameters
    ----------
    cluster, error, weight
        Of each draw, shape (n_draws,).

    References
    ----------
    Donner (1986), A review of inference procedures for the intraclass correlation coefficient.

    Examples
    --------
    >>> intracluster_correlation(np.array([0, 0, 1, 1]), np.array([1.0, 1, 0, 0]), np.ones(4))
    1.0
    """
    mean = float(np.average(error, weights=weight))
    variance = mean * (1 - mean)
    if variance <= 0:
        return ASSUMED_CORRELATION
    _, code = np.unique(cluster, return_inverse=True)
    size = np.bincount(code)
    residual = error - mean
    product = np.bincount(code, residual) ** 2 - np.bincount(code, residual**2)
    several = size > 1
    if not several.any():
        return 0.0
    by_pair = product[several].sum() / (size * (size - 1))[several].sum()
    by_size = (product[several] / (size[several] - 1)).sum() / size[several].sum()
    return float(np.clip(max(by_pair, by_size) / variance, 0.0, 1.0))


def cluster_intervals(
    sample: ClusterSample,
    audit: AuditSample,
    domain: Ints,
    rate: Floats,
    *,
    confidence: float = 0.95,
) -> tuple[Interval, Floats]:
    """Return the interval of every domain's rate where clusters were drawn, and its design effect.

    The Clopper-Pearson interval at the effective number of draws: by the variance between clusters
    with Satterthwaite's degrees of freedom, or by the model in which decisions of one cluster are
    correlated, whichever is smaller. The model knows every cluster's size, so that large clusters
    that were not drawn count, of which the draws show nothing.

    Parameters
    ----------
    sample
        Clusters and their correlation.
    audit
        The draws.
    domain
        Domain of each decision, -1 for those in none, shape (n_decisions,).
    rate
        Estimated rate of each domain, shape (n_domains,).
    confidence
        Nominal coverage.

    Returns
    -------
    (interval, effect)
        Each of shape (n_domains,); the effect is the variance relative to decisions drawn singly.

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of
    positive counts; Royall (1976), The linear least-squares prediction approach to two-stage sampling.

    Examples
    --------
    >>> n = np.arange(400)
    >>> at, nothing = n[(n // 4) % 10 == 0], np.full(40, np.nan)
    >>> wrong = (at < 80) * 1.0
    >>> audit = AuditSample(at, at * 0 + 10.0, wrong, wrong, nothing, nothing, nothing,
    ...                     np.arange(40), at * 0, ("x",))
    >>> interval, effect = cluster_intervals(ClusterSample(n // 4, 1.0), audit, n * 0, np.array([0.2]))
    >>> interval.high.round(2).tolist(), effect.round(1).tolist()
    ([0.78], [4.4])
    """
    size = len(rate)
    error, inside = audit.answer, domain >= 0
    n_clusters = int(sample.cluster.max()) + 1
    key, population = np.unique(
        domain[inside] * n_clusters + sample.cluster[inside], return_counts=True
    )
    kept = domain[audit.position] >= 0
    at = audit.position[kept]
    weight, error = audit.weight[kept], error[kept]
    own = np.searchsorted(key, domain[at] * n_clusters + sample.cluster[at])
    of_pair, drawn_domain = key // n_clusters, domain[at]
    total = np.asarray(np.bincount(drawn_domain, weight, size), np.float64)
    n_domain = np.asarray(np.bincount(of_pair, population, size), np.float64)
    draws = np.bincount(drawn_domain, minlength=size).astype(np.float64)
    model, single = _model_variance(
        sample.correlation, (of_pair, population, own), (drawn_domain, weight), (total, n_domain)
    )
    scale = np.sqrt(np.maximum(audit.variance[kept], 0))
    between = np.bincount(own, scale * (error - rate[drawn_domain]), len(key)) ** 2
    hit = np.bincount(own, minlength=len(key)) > 0
    clusters = np.bincount(of_pair[hit], minlength=size)
    square = np.bincount(of_pair, between, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = clusters / np.maximum(clusters - 1, 1) * square / total**2
        df = np.fmax(square**2 / np.bincount(of_pair, between**2, size), MIN_DF)
        shrink = (critical_value(confidence) / stdtrit(df, (1 + confidence) / 2)) ** 2
        by_clusters = observed / (rate * (1 - rate))
        n = np.fmin(
            1 / np.fmax(model, 1e-12), np.where(by_clusters > 0, shrink / by_clusters, np.inf)
        )
    n = np.clip(n, 1e-3, draws)
    interval = clopper_pearson(rate * n, n, confidence)
    effect = np.fmax(by_clusters, model) / np.maximum(single, 1e-12)
    return (
        Interval(rate, np.minimum(interval.low, rate), np.maximum(interval.high, rate)),
        np.asarray(effect),
    )


def _model_variance(
    correlation: float,
    pairs: tuple[Ints, Ints, Ints],
    draws: tuple[Ints, Floats],
    totals: tuple[Floats, Floats],
) -> tuple[Floats, Floats]:
    """Return the variance of each domain's error per unit of a decision's, with and without clusters.

    The error of the weighted mean is sum c_i y_i with c_i = w_i / sum w - 1/N for draws and -1/N for
    others.
    """
    domain, population, own = pairs
    drawn_domain, weight = draws
    total, n = totals
    size = len(total)
    share = weight / total[drawn_domain]
    drawn = np.bincount(drawn_domain, (share - 1 / n[drawn_domain]) ** 2, size)
    count = np.bincount(drawn_domain, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        single = np.asarray(drawn + (n - count) / n**2, np.float64)
        by_cluster = np.bincount(own, share, len(domain)) - population / n[domain]
    together = np.bincount(domain, by_cluster**2, size)
    return np.asarray(single * (1 - correlation) + together * correlation), single


#: Columns by which a sample may have been drawn in full.
CLUSTER_COLUMNS = ("account_id", "item_id")


def find_clusters(
    decisions: pd.DataFrame, audit: AuditSample, column: str
) -> tuple[ClusterSample | None, tuple[str, ...]]:
    """Return the clusters that the sample was drawn by, and a note on them.

    Parameters
    ----------
    decisions
        The population.
    audit
        Its draws.
    column
        The configured column; `auto` for what the draws show, `none` for no clusters.

    Raises
    ------
    DataError
        Where the column is absent.
    """
    configured = column
    if column == "none" or not len(audit.position):
        return None, ()
    if column == "auto":
        taken = (name for name in CLUSTER_COLUMNS if _was_drawn_together(decisions, name, audit))
        column = next(taken, "none")
        if column == "none":
            return None, ()
    elif column not in decisions:
        do = f"Choose among {', '.join(map(str, decisions.columns))}, auto or none."
        raise DataError(error_message("estimate.cluster", "name a column", column, do))
    cluster = _cluster_codes(decisions[column])
    at = audit.position
    sample = ClusterSample(
        cluster, intracluster_correlation(cluster[at], audit.answer, audit.weight)
    )
    rate = np.array([np.average(audit.answer, weights=audit.weight)])
    _, effect = cluster_intervals(sample, audit, np.zeros(len(decisions), np.int64), rate)
    return sample, (
        f"all decisions of a drawn {column} were drawn together, so intervals count by {column} "
        f"(design effect {effect[0]:.1f})"
        if configured == "auto"
        else f"intervals count by {column} (design effect {effect[0]:.1f})",
    )


def _was_drawn_together(decisions: pd.DataFrame, column: str, audit: AuditSample) -> bool:
    if column not in decisions or decisions[column].isna().all():
        return False
    return drawn_together(_cluster_codes(decisions[column]), audit)


def _cluster_codes(values: "pd.Series[Any]") -> Ints:
    """Return the number of each decision's cluster; a decision without one is its own."""
    code = pd.factorize(values)[0].astype(np.int64)
    alone = code < 0
    code[alone] = code.max(initial=-1) + 1 + np.arange(alone.sum())
    return code


def weights_note(audit: AuditSample, n_decisions: int, clusters: ClusterSample | None) -> str:
    """Return a warning where weights add up to less or more than random draws explain.

    Parameters
    ----------
    audit
        The draws.
    n_decisions
        Number of decisions that they represent.
    clusters
        The clusters they were drawn by; None where decisions were drawn one by one.
    """
    total = float(audit.weight.sum())
    slack = 4 * float(np.sqrt(audit.variance.sum()))
    if clusters is not None:
        # All of a cluster's weights come or stay away together, the largest clusters' too.
        size = np.bincount(clusters.cluster).astype(np.float64)
        slack *= float(np.sqrt((size**2).sum() / size.sum()))
    off = abs(total - n_decisions)
    if not len(audit.weight) or off <= max(slack, 0.1 * n_decisions):
        return ""
    return (
        f"; warning: the sample's weights add up to {total / n_decisions:.0%} of the decisions, "
        "so the audit may not have covered them all"
    )
