"""The EU transparency report's rows on automated means, as a draft for a person to file."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import csv_text
from errdetect.errors import ConfigError, error_message
from errdetect.estimation.dsa_report import (
    OWN_INITIATIVE,
    TOTAL,
    count_measures,
    dsa_rows,
    split_scopes,
)
from errdetect.workflows.control_variate import EstimationSample

__all__ = ["check_dsa", "draft_dsa", "dsa_text"]


def check_dsa(config: Config, file: Path | None, decisions: pd.DataFrame) -> None:
    """Check the draft's requirements before any work is done.

    Raises
    ------
    ConfigError
        Where the service has no name, the file is no CSV, or a column is absent.
    """
    if file is None:
        return
    faults = []
    if config.dsa.service is None:
        do = "Set it, e.g. --set dsa.service=Marketplace."
        faults.append(error_message("dsa.service", "name the service for --dsa", "nothing", do))
    if file.suffix.lower() != ".csv":
        faults.append(error_message("--dsa", "name a .csv file", f"'{file}'", "Change the ending."))
    if config.dsa.by not in decisions:
        do = "Choose language or market, whichever the decisions have."
        faults.append(error_message("dsa.by", "name a column of the decisions", config.dsa.by, do))
    if faults:
        raise ConfigError(faults)


def draft_dsa(
    config: Config,
    decisions: pd.DataFrame,
    sample: EstimationSample,
    *,
    start: datetime | None,
    end: datetime | None,
) -> pd.DataFrame:
    """Estimate every scope of the template, and fill its rows.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        The period's; decisions made by people count only among the measures.
    sample
        The sample of the estimates.
    start, end
        The reporting period; default: the decisions' own.
    """
    by = config.dsa.by
    scope = _scope_values(decisions[by], by)
    scoped = decisions.assign(**{by: scope})
    machine = sample.snapshot.decisions
    found = sample.with_columns({by: _scope_values(machine[by], by)}).rates([by])
    scopes = split_scopes(found.frame(by), by)
    counts = {TOTAL: count_measures(scoped)}
    counts |= {s: count_measures(scoped[scoped[by] == s]) for s in scopes if s != TOTAL}
    own = _own_initiative(config, scoped)
    if own is not None and own.any():
        part = machine[machine["decision_id"].isin(scoped.loc[own, "decision_id"])]
        scopes[OWN_INITIATIVE] = sample.of(part).rates().frame()
        counts[OWN_INITIATIVE] = count_measures(scoped[own])
    first = start or decisions["decided_at"].min()
    last = (pd.Timestamp(end) - pd.Timedelta(days=1)) if end else decisions["decided_at"].max()
    return dsa_rows(
        scopes,
        service=config.dsa.service or "",
        period=f"{first:%Y-%m-%d}/{last:%Y-%m-%d}",
        counts=counts,
    )


def dsa_text(rows: pd.DataFrame) -> str:
    """Return the rows as CSV, all text escaped."""
    return csv_text(rows)


def _scope_values(values: pd.Series, by: str) -> pd.Series:
    """Shorten languages to ISO 639-1, so that de-AT and de-DE are one scope."""
    text = values.astype("str")
    if by == "market":
        return text.str.upper()
    return text.str.replace("_", "-").str.split("-").str[0].str.lower()


def _own_initiative(config: Config, decisions: pd.DataFrame) -> "pd.Series[bool] | None":
    for column, value in config.dsa.own_initiative.items():
        if column in decisions:
            return (decisions[column].astype("str") == value).fillna(False).astype(bool)
    return None
