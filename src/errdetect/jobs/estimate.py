"""estimate: how often the machine errs, with intervals, and the labels behind it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.writing import staged, write_parquet
from errdetect.errors import ConfigError, DataError, Refusal, sentence
from errdetect.estimate.audit import locate
from errdetect.estimate.rates import estimate_rates
from errdetect.jobs.control import estimation_terms
from errdetect.jobs.dsa import automated_only, check_dsa, draft_dsa, write_dsa
from errdetect.jobs.labels import known_reviews, label_decisions
from errdetect.jobs.past_scores import queue_sample
from errdetect.jobs.provenance import champion_version, describe_run
from errdetect.jobs.tables import Progress, load_tables
from errdetect.schemas import ESTIMATES, LABELS, REJECTS

__all__ = ["EstimateResult", "estimate", "refuse_broken_design"]


@dataclass(frozen=True)
class EstimateResult:
    """The estimates, and the files written."""

    estimates: pd.DataFrame
    files: Mapping[str, Path]
    notes: tuple[str, ...]


def estimate(
    config: Config,
    out: str | Path,
    *,
    by: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    dsa: str | Path | None = None,
    progress: Progress = lambda _: None,
) -> EstimateResult:
    """Estimate error rates from the audit, for the whole and by columns.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for estimates.parquet and labels.parquet: both or none.
    by
        Columns of the decisions; their combinations are the cells.
    start, end
        Only decisions taken from `start` up to, not including, `end`.
    dsa
        CSV file for the EU transparency report's rows on automated means, a draft.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or no figure would hold.
    """
    tables = load_tables(config, progress=progress, need_reviews=True)
    assert tables.reviews is not None
    refuse_broken_design(tables.reviews.rejects)
    everything = _between(tables.decisions.frame, start, end)
    check_dsa(config, None if dsa is None else Path(dsa), everything)
    _check_by(by, everything)
    decisions, people = automated_only(everything)
    reviews, scores = queue_sample(config, known_reviews(config, tables.reviews.frame))
    reviews = reviews[locate(everything, reviews["decision_id"]) >= 0]
    rows = None
    with ThreadPoolExecutor(1) as beside:  # labels and estimates need nothing of each other
        labelled = beside.submit(label_decisions, config, everything, reviews)
        how, control = estimation_terms(
            config, decisions, reviews, scores=scores, progress=progress
        )
        progress("estimating")
        estimates = estimate_rates(decisions, reviews, by=by, **how)
        if dsa is not None:
            rows = draft_dsa(config, everything, reviews, how, start=start, end=end)
        progress("labelling")
        labels = labelled.result()
    progress("writing")
    schema = pa.schema([(name, pa.string()) for name in by] + list(ESTIMATES))
    told = {"by": list(by), "from": start, "to": end, "dsa": dsa is not None}
    run = describe_run(
        config, "estimate", told, decisions=everything, reviews=tables.reviews.frame,
        model_version=champion_version(config), seed=config.train.seed,
    )  # fmt: skip
    with staged(out, run) as stage:
        write_parquet(estimates, stage / "estimates.parquet", schema)
        write_parquet(labels, stage / "labels.parquet", LABELS)
        if len(tables.rejects):
            write_parquet(tables.rejects, stage / "rejects.parquet", REJECTS)
        files = {path.stem: Path(out) / path.name for path in sorted(stage.iterdir())}
        if rows is not None:
            files["dsa"] = Path(dsa or "")
            write_dsa(rows, files["dsa"])
    notes = [*tables.notes, *(note for note in (people, control) if note)]
    return EstimateResult(estimates, files, tuple(notes))


def refuse_broken_design(rejects: pd.DataFrame) -> None:
    """Refuse where reviews could not be used because the chance of their draw makes no sense.

    Without them the rest of the sample is no longer what the design drew.

    Raises
    ------
    Refusal
        Naming the first of them.
    """
    reasons = rejects["reason"].astype("str")
    broken = rejects[reasons.str.contains("inclusion_probability must").to_numpy(dtype=bool)]
    if len(broken):
        got = f"{len(broken)} others (first: {broken['reason'].iloc[0]}, in review {broken['id'].iloc[0]})"
        do = "Log the chance the design gave each decision, or leave these reviews' source out."
        raise Refusal(sentence("inclusion_probability of every review", "lie in (0, 1]", got, do))


def _check_by(by: Sequence[str], decisions: pd.DataFrame) -> None:
    unknown = [name for name in by if name not in decisions]
    if unknown:
        do = f"Known: {', '.join(decisions.columns)}."
        got = ", ".join(unknown)
        raise ConfigError([sentence("--by", "name columns of the decisions", got, do)])


def _between(decisions: pd.DataFrame, start: datetime | None, end: datetime | None) -> pd.DataFrame:
    keep = pd.Series(True, index=decisions.index)
    if start is not None:
        keep &= decisions["decided_at"] >= pd.Timestamp(start)
    if end is not None:
        keep &= decisions["decided_at"] < pd.Timestamp(end)
    if not keep.any():
        span = (
            f"{decisions['decided_at'].min():%Y-%m-%d} to {decisions['decided_at'].max():%Y-%m-%d}"
        )
        got = f"{start or 'the start'} to {end or 'the end'}, while the decisions run from {span}"
        raise DataError(sentence("The period", "hold decisions", got, "Choose other dates."))
    return decisions[keep]
