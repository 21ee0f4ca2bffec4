"""Why the audited error moved: machine version, mix of policies and markets, reviewers, the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.monitoring.audit_stream import AuditStream, Periods

__all__ = ["ChangeCause", "ChangeParts", "GoldenShift", "explain_change", "new_versions"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_RESAMPLES = 200
#: Share of a period's decisions from which a version counts as one of it.
_PRESENT = 0.01
#: Ridge penalties, as shares of the sample: groups, and the period itself. Where a version came with
#: the period, the version explains the change.
_GROUP_PENALTY, _PERIOD_PENALTY = 1e-3, 2e-2
_NAMES = ("version", "policy_mix", "market_mix")
#: Share of the whole change that its cause must explain.
_MAIN = 0.4
#: By how much a segment's part of the change must exceed its share of the audit.
_EXCESS = 0.25


@dataclass(frozen=True)
class ChangeCause:
    """One part of the change of the error rate, with its 95 % interval; NaN where unknown."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GoldenShift:
    """How reviewers' golden answers changed from the reference to the window.

    Parameters
    ----------
    false_positive, false_positive_se
        Rise of the share of right decisions that they call wrong, with its standard error.
    sensitivity, sensitivity_se
        Rise of the share of wrong decisions that they find.
    """

    false_positive: float
    false_positive_se: float
    sensitivity: float
    sensitivity_se: float


@dataclass(frozen=True)
class ChangeParts:
    """The change of the audited error from the reference to the window, in parts.

    Parameters
    ----------
    total
        The whole change.
    parts
        `version` (new machine versions), `policy_mix`, `market_mix`, `reviewers` and `rest` (the
        same machine on the same mix, and interaction). They add up to the whole where the
        reviewers' part is clear; otherwise the rest holds it, too.
    cause
        The part that explains most of it; for `rest`, the one segment that moved, if any; empty
        where no part stands out.
    """

    total: ChangeCause
    parts: tuple[ChangeCause, ...]
    cause: str

    def frame(self) -> pd.DataFrame:
        """Return one row a part: cause, value, low, high."""
        rows = [vars(part) for part in (self.total, *self.parts)]
        return pd.DataFrame(rows).rename(columns={"name": "cause"})


def new_versions(decisions: pd.DataFrame, periods: Periods) -> frozenset[str]:
    """Return the machine versions of the window that the reference did not have.

    Parameters
    ----------
    decisions
        With decided_at; moderator and moderator_version where known.
    periods
        The periods to compare.
    """
    version = _version(decisions)
    before = version[periods.in_reference(decisions["decided_at"])].value_counts(normalize=True)
    after = version[periods.in_window(decisions["decided_at"])].value_counts(normalize=True)
    old = set(before.index[before >= _PRESENT])
    return frozenset(v for v in after.index[after >= _PRESENT] if v and v not in old)


def _version(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return moderator and version in one text; empty where no version is known."""
    if "moderator_version" not in frame:
        return pd.Series("", index=frame.index)
    version = frame["moderator_version"].astype("str")
    if "moderator" in frame:
        version = frame["moderator"].astype("str").fillna("") + " " + version
    return version.where(frame["moderator_version"].notna(), "")


def explain_change(
    stream: AuditStream,
    decisions: pd.DataFrame,
    periods: Periods,
    golden: GoldenShift | None,
    *,
    min_reviews: int = 30,
    by: Sequence[str] = ("policy_id", "market", "moderator"),
    seed: int = 0,
) -> ChangeParts | None:
    """Split the change of the audited error by what may have caused it.

    Shares of policies, markets and versions come from the log of all decisions; effects from a
    weighted linear regression of the audit's answers on policy, market, new version and period
    (Oaxaca and Blinder's decomposition with pooled coefficients). Reviewers' part comes from golden
    items, whatever the regression says. Intervals resample accounts.

    Parameters
    ----------
    stream
        From `audit_stream`.
    decisions
        The log that the audit was drawn from.
    periods
        The periods to compare.
    golden
        From golden answers; None where too few are known: the reviewers' part is then unknown, and
        remains in the rest.
    min_reviews
        Answers that each period must have.
    by
        Columns that may name a segment.
    seed
        Of the resamples.

    Returns
    -------
    ChangeParts or None
        None with too few answers.

    References
    ----------
    Oaxaca (1973), International Economic Review 14, 693-709; Neumark (1988), Journal of Human
    Resources 23, 279-295.
    """
    frame = stream.frame
    before, after = periods.in_reference(frame["known_at"]), periods.in_window(frame["known_at"])
    if min(before.sum(), after.sum()) < min_reviews:
        return None
    used = frame[before | after].reset_index(drop=True)
    late = periods.in_window(used["known_at"])
    fresh = new_versions(decisions, periods)
    X, moved = _design(used, decisions, periods, late, fresh)
    fitted = _resampled_parts(used, X, moved, late, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 1])
    rate = fitted["rate"][0]
    reviewers = _reviewers_part(golden, rate, rng)
    low, high = np.quantile(reviewers, [0.025, 0.975])
    clear = low > 0 or high < 0  # an unclear one would only add its noise to the rest
    known = reviewers if clear else np.zeros(_RESAMPLES + 1)
    named = {name: fitted[name] for name in _NAMES}
    total = fitted["total"]
    rest = total - sum(named.values()) - known
    parts = tuple(
        _cause(name, values)
        for name, values in {**named, "reviewers": reviewers, "rest": rest}.items()
    )
    if "moderator_version" not in decisions or decisions["moderator_version"].isna().all():
        parts = (ChangeCause("version", np.nan, np.nan, np.nan), *parts[1:])
    change = _cause("total", total)
    return ChangeParts(change, parts, _main_cause(change, parts, used, late, by))


def _design(
    used: pd.DataFrame,
    decisions: pd.DataFrame,
    periods: Periods,
    late: Bools,
    fresh: frozenset[str],
) -> tuple[Floats, dict[str, Floats]]:
    """Return the regression's columns, and by part how the mean of each column moved in the log."""
    log_before = decisions[periods.in_reference(decisions["decided_at"])]
    log_after = decisions[periods.in_window(decisions["decided_at"])]
    columns: list[Floats] = [np.ones(len(used))]
    moves: dict[str, list[tuple[int, float]]] = {name: [] for name in _NAMES}
    for name, column in (("policy_mix", "policy_id"), ("market_mix", "market")):
        if column not in decisions:
            continue
        old = log_before[column].value_counts(normalize=True)
        new = log_after[column].value_counts(normalize=True)
        for value in sorted(set(used[column].dropna()) | set(old.index) | set(new.index), key=str):
            moves[name].append((len(columns), float(new.get(value, 0.0) - old.get(value, 0.0))))
            columns.append((used[column] == value).to_numpy(float, na_value=0.0))
    log_version = _version(log_after)
    for version in sorted(fresh):
        moves["version"].append((len(columns), float((log_version == version).mean())))
        columns.append(
            np.asarray((_version(used) == version).to_numpy(bool) & late, dtype=np.float64)
        )
    columns.append(late.astype(float))
    X = np.column_stack(columns)
    moved = {name: np.zeros(X.shape[1]) for name in _NAMES}
    for name, found in moves.items():
        for at, by in found:
            moved[name][at] = by
    return X, moved


def _resampled_parts(
    used: pd.DataFrame,
    X: Floats,
    moved: dict[str, Floats],
    late: Bools,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Return each part for the sample (first) and its resamples, shape (1 + n_resamples,)."""
    _, cluster = np.unique(used["cluster"].to_numpy(), return_inverse=True)
    weight, y = used["weight"].to_numpy(float), used["error"].to_numpy(float)
    found: dict[str, list[float]] = {name: [] for name in (*_NAMES, "total", "rate")}
    penalty = np.full(X.shape[1], _GROUP_PENALTY)
    penalty[0], penalty[-1] = 0.0, _PERIOD_PENALTY
    for number in range(_RESAMPLES + 1):
        times = rng.poisson(1.0, cluster.max() + 1) if number else np.ones(cluster.max() + 1)
        w = weight * times[cluster]
        old, new = w * ~late, w * late
        if not (old.sum() > 0 and new.sum() > 0):
            old, new = weight * ~late, weight * late
        w = old / old.sum() * (~late).sum() + new / new.sum() * late.sum()
        A = (X * w[:, None]).T @ X + np.diag(penalty * w.sum())
        effect = np.linalg.lstsq(A, X.T @ (w * y), rcond=None)[0]
        for name in _NAMES:
            found[name].append(float(moved[name] @ effect))
        rate = float(old @ y / old.sum())
        found["rate"].append(rate)
        found["total"].append(float(new @ y / new.sum()) - rate)
    return {name: np.array(values) for name, values in found.items()}


def _reviewers_part(golden: GoldenShift | None, rate: float, rng: np.random.Generator) -> Floats:
    """Return what the reviewers' change does to a rate, with normal deviates for its uncertainty."""
    if golden is None:
        return np.full(_RESAMPLES + 1, np.nan)
    noise = rng.standard_normal((2, _RESAMPLES + 1))
    noise[:, 0] = 0.0
    false: Floats = golden.false_positive + golden.false_positive_se * noise[0]
    missed = golden.sensitivity + golden.sensitivity_se * noise[1]
    part: Floats = (1 - rate) * false + rate * missed
    return part


def _cause(name: str, values: Floats) -> ChangeCause:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return ChangeCause(name, float(values[0]), float(low), float(high))


def _main_cause(
    total: ChangeCause,
    parts: Sequence[ChangeCause],
    used: pd.DataFrame,
    late: Bools,
    by: Sequence[str],
) -> str:
    """Name the part that explains most of the change; empty where none stands out."""
    sign = np.sign(total.value)
    if sign == 0 or np.isnan(total.value):
        return ""
    clear = [
        p
        for p in parts
        if sign * p.value >= _MAIN * abs(total.value) and (p.low > 0 if sign > 0 else p.high < 0)
    ]
    if not clear:
        return ""
    main = max(clear, key=lambda p: sign * p.value)
    return main.name if main.name != "rest" else _moved_segment(total, used, late, by) or "rest"


def _moved_segment(total: ChangeCause, used: pd.DataFrame, late: Bools, by: Sequence[str]) -> str:
    """Return the one segment without which the rate hardly moved, as column=value; empty if none.

    It must explain far more than its share of the audit: a large segment explains much by its size.
    """
    best, name = _EXCESS, ""
    weight, error = used["weight"].to_numpy(float), used["error"].to_numpy(float)

    def change(rows: Bools) -> float:
        old, new = weight * (rows & ~late), weight * (rows & late)
        if not (old.sum() > 0 and new.sum() > 0):
            return float("nan")
        return float(new @ error / new.sum() - old @ error / old.sum())

    def moved_surely(rows: Bools) -> bool:
        # One heavy draw of a rare segment must not explain the change of all.
        moved = change(rows)
        spread = [_rate_variance(weight[part], error[part]) for part in (rows & ~late, rows & late)]
        return bool(np.sign(moved) * np.sign(total.value) * abs(moved) > 2 * np.sqrt(sum(spread)))

    for column in by:
        if column not in used or used[column].nunique() < 2:
            continue
        for value in sorted(used[column].dropna().unique(), key=str):
            own = (used[column] == value).to_numpy(bool, na_value=False)
            others = change(~own)
            explained = 1 - others / total.value if total.value and not np.isnan(others) else 0.0
            excess = explained - float(weight[own].sum() / weight.sum())
            if explained >= _MAIN and excess > best and moved_surely(own):
                best, name = excess, f"{column}={value}"
    return name


def _rate_variance(weight: Floats, error: Floats) -> float:
    """Return the variance of a weighted rate, at least as if one more draw had erred and one had not."""
    n, total = len(weight), float(weight.sum())
    if not n:
        return float("inf")
    rate = (float(weight @ error) + total / n) / (total + 2 * total / n)
    return rate * (1 - rate) * float(weight @ weight) / total**2
