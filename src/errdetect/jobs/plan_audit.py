"""plan-audit: who to audit next, with which chance, and what interval to expect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.tables import read_decisions, read_reviews
from errdetect.data.writing import staged, write_parquet
from errdetect.errors import ConfigError, ModelError, sentence
from errdetect.estimate.plan import AuditCost, Method, Reviewing
from errdetect.estimate.plan import plan_audit as draw_audit
from errdetect.jobs.columns import Past
from errdetect.jobs.tables import Progress, free_threads
from errdetect.model.registry import Registry

__all__ = ["PlanAuditResult", "plan_audit"]

_CHUNK = 50_000


@dataclass(frozen=True)
class PlanAuditResult:
    """The next audit.

    Parameters
    ----------
    expected
        The `by` columns, n_decisions, n_reviews, expected_rate, half_width (of the 95 % interval),
        limit (no design does better with this ranker) and uniform (an audit that draws evenly).
    cost
        Reviews, adjudications, golden items and hours.
    files
        What was written.
    notes
        What the reader must know, in plain words.
    """

    expected: pd.DataFrame
    cost: AuditCost
    files: Mapping[str, Path]
    notes: tuple[str, ...]


def plan_audit(
    config: Config,
    out: str | Path,
    *,
    budget: int | None = None,
    half_width: float | None = None,
    by: Sequence[str] = (),
    method: Method = "unequal",
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> PlanAuditResult:
    """Draw the next audit from the config's decisions.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for audit.parquet (decision_id, inclusion_probability, `by` columns) and
        expected.parquet: both or none.
    budget, half_width
        One of the two: reviews to spend, or the half width that the interval should have.
    by
        Columns whose combinations are segments.
    method
        `unequal` leans towards likely errors, above a floor; `neyman` allocates to strata.
    seed
        The same seed draws the same decisions.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used or the wishes cannot be met.
    """
    progress("reading decisions")
    data = config.data
    decisions = read_decisions(
        config.data_paths(data.decisions),
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
    ).frame
    unknown = [name for name in by if name not in decisions]
    if unknown:
        do = f"Known: {', '.join(decisions.columns)}."
        raise ConfigError(
            [sentence("--by", "name columns of the decisions", ", ".join(unknown), do)]
        )
    p, note = _p_error(config, decisions, progress)
    progress("drawing")
    plan = draw_audit(
        decisions,
        rng=np.random.default_rng(seed),
        p_error=p,
        by=by,
        budget=budget,
        half_width=half_width,
        method=method,
        reviewing=Reviewing(),
    )
    with staged(out) as stage:
        write_parquet(plan.draws, stage / "audit.parquet")
        write_parquet(plan.expected, stage / "expected.parquet")
    files = {name: Path(out) / f"{name}.parquet" for name in ("audit", "expected")}
    return PlanAuditResult(plan.expected, plan.cost, files, (note,))


def _p_error(
    config: Config, decisions: pd.DataFrame, progress: Progress
) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Return the champion's P(error), or None where there is no champion, and say which."""
    try:
        registry = Registry(config.path(config.registry.path), config.registry.name)
        bundle, version = registry.load()
    except ModelError:
        return None, "no model is registered, so every decision has the same chance"
    progress("scoring decisions")
    threads = config.train.threads or free_threads(len(decisions))
    data = config.data
    reviews = (
        read_reviews(config.data_paths(data.reviews), columns=data.columns).frame
        if data.reviews
        else None
    )
    past = Past.wanted_by(bundle.detector.encoding.names, [decisions], reviews)
    parts = [
        bundle.probability(
            bundle.detector.features(past.add(decisions.iloc[i : i + _CHUNK])), threads
        )
        for i in range(0, len(decisions), _CHUNK)
    ]
    return np.concatenate(
        parts
    ), f"chances lean towards likely errors as version {version} sees them"
