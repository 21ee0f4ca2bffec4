"""What else changed when the error rate rose: machine versions and policy versions near the day."""

from collections.abc import Mapping

import pandas as pd

from errdetect.data.policy_catalogue import Policy

__all__ = ["named_changes", "version_starts"]

#: Days around a change point within which a new version is named.
_NEAR = pd.Timedelta(days=14)
_MOST = 3


def version_starts(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the first decision of every machine version but the log's earliest ones.

    Parameters
    ----------
    decisions
        With decided_at; moderator, moderator_version and policy_id where known.

    Returns
    -------
    DataFrame
        moderator, moderator_version, start; empty where no version is known.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-02-01"], utc=True)
    >>> log = pd.DataFrame({"decided_at": day, "moderator": "text", "moderator_version": ["1", "2"]})
    >>> version_starts(log)["moderator_version"].tolist()
    ['2']
    """
    columns = ["moderator", "moderator_version", "start"]
    if "moderator_version" not in decisions or not len(decisions):
        return pd.DataFrame(columns=columns)
    if "moderator" not in decisions:
        decisions = decisions.assign(moderator="")
    known = decisions[decisions["moderator_version"].notna().to_numpy(bool)]
    starts = known.groupby(["moderator", "moderator_version"], observed=True, dropna=False)
    found = starts["decided_at"].min().rename("start").reset_index()
    found = found.sort_values(["start", "moderator_version"], kind="stable", ignore_index=True)
    return found[found.duplicated("moderator")].reset_index(drop=True)[columns]


def named_changes(
    decisions: pd.DataFrame,
    policies: Mapping[str, Policy],
    moment: pd.Timestamp,
    segment: str = "all",
) -> tuple[str, ...]:
    """Name the machine and policy versions that began near a moment, the nearest first.

    Parameters
    ----------
    decisions
        The log.
    policies
        The catalogue, by policy id.
    moment
        About when the rate rose.
    segment
        `all` or column=value: only versions that concern it.

    Returns
    -------
    tuple of str
        Up to three.
    """
    column, _, value = segment.partition("=")
    if column in decisions and value:
        decisions = decisions[(decisions[column] == value).to_numpy(bool, na_value=False)]
    found: list[tuple[pd.Timedelta, str]] = []
    for row in version_starts(decisions).to_dict("records"):
        start = pd.Timestamp(row["start"])
        name = f"{row['moderator']} {row['moderator_version']}".strip()
        found.append((abs(start - moment), f"version {name} from {start:%Y-%m-%d}"))
    for policy_id, policy in policies.items():
        concerns = column != "policy_id" or policy_id == value
        if concerns and policy.effective_from is not None:
            start = pd.Timestamp(policy.effective_from)
            start = start.tz_localize("UTC") if start.tzinfo is None else start
            which = f" {policy.version}" if policy.version else ""
            found.append((abs(start - moment), f"policy {policy_id}{which} from {start:%Y-%m-%d}"))
    near = sorted(pair for pair in found if pair[0] <= _NEAR)
    return tuple(text for _, text in near[:_MOST])
