"""Consistency checks of a table of estimates: what must hold for any data."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import ContradictionError
from errdetect.estimation.misclassification import UNCORRECTED
from errdetect.labels.audit_sample import AuditSample
from errdetect.stats.intervals import clopper_pearson

__all__ = ["check_estimates", "label_share_limit"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: One column of the table as a matrix of cells by measures.
Wide = dict[str, pd.DataFrame]

_FIGURES = ("estimate", "low", "high")
_BOUNDS = ("bound_low", "bound_high")
_COUNTS = ("n_reviews", "n_decisions")
#: Measures that are one less another, and the end that each of their columns mirrors.
_COMPLEMENTS = (("accuracy", "error_rate"), ("precision", "wrongful_rate"))
_MIRROR = {
    "estimate": "estimate", "low": "high", "high": "low",
    "bound_low": "bound_high", "bound_high": "bound_low",
}  # fmt: skip
_RATES = ("error_rate", "wrongful_rate", "missed_rate")
#: Reviewers are assumed to find at least this share of the wrong labels.
_LEAST_FOUND = 0.5
#: Tolerance of equality. Limits are found to 1e-9 on the scale of rates.
_SLACK = 1e-6


def check_estimates(
    estimates: pd.DataFrame, by: Sequence[str] = (), *, most_labels: float = 1.0
) -> None:
    """Raise where a table of estimates contradicts itself.

    Let E and A be the shares of enforced and of allowed decisions, w and m the shares of wrong
    actions among each (wrongful_rate, missed_rate), l the share of all decisions whose action is
    right and whose label is wrong, and e the share of decisions that are wrong in any way. Each
    wrong decision is wrong in its action or in its label alone, so

        e = E w + A m + l,   and so   E w + A m <= e <= E w + A m + most_labels.

    The whole lies between its sides only where no label is wrong (l = 0). These hold for the
    decisions; the estimates of e, w and m are each made in their own way (the whole by a score
    interval or empirical likelihood over all draws, the sides over their own, each with its own
    reviewers' error), so the equation need not hold exactly. A contradiction is where the
    three intervals are incompatible:

        high(e) < E low(w) + A low(m)   or   low(e) > E high(w) + A high(m) + most_labels.

    A side that is suppressed may have any rate in [0, 1]. Estimates that are corrected for reviewer
    error and those that are not (see their method) measure different things, truth and verdicts,
    and are not compared with each other. The same reasoning holds for the whole
    and its segments: a rate of the whole is the mean of the segments' by their decisions.

    By construction, exactly: low <= estimate <= high in [0, 1]; accuracy = 1 - error_rate and
    precision = 1 - wrongful_rate with the limits swapped; recall's estimate follows from those of
    w and m; decisions and reviews of the sides, and of the segments, add up. The bounds come from
    the verdicts of the same decisions, so E bound(w) + A bound(m) <= bound(e) at either end, and
    segments' bounds mix to the whole's. An estimate need not lie within its bounds: a sample may
    by chance show fewer errors than appeals have proven.

    Parameters
    ----------
    estimates
        `by` columns and those of `schemas.ESTIMATES`; the row with null `by` values is the whole.
        A table without that row, or without some measures, is checked as far as possible.
    by
        The segment columns.
    most_labels
        Largest share of decisions of which the label alone can be wrong, in [0, 1], from
        `label_share_limit`; 1 where unknown.

    Raises
    ------
    ContradictionError
        Names the rows. It means a bug in errdetect, not a fault in the data.

    References
    ----------
    Bounds: Manski (2003), Partial identification of probability distributions.

    Examples
    --------
    >>> row = {"estimate": 0.1, "low": 0.05, "high": 0.2, "n_reviews": 100, "n_decisions": 1000,
    ...        "suppressed": False, "bound_low": 0.0, "bound_high": 1.0, "proxy": None,
    ...        "method": "score_el+adjudicated: weighted audit"}
    >>> table = pd.DataFrame([{"measure": "error_rate", **row}])
    >>> check_estimates(table)
    >>> check_estimates(table.assign(low=0.15))
    Traceback (most recent call last):
    ...
    errdetect.errors.ContradictionError: errdetect's own figures contradict each other (1 \
contradiction). This is a bug in errdetect, so none is shown. Please report it with these lines:
      - the whole, error_rate: low 0.15 <= estimate 0.1 <= high 0.2 does not hold.
    """
    rows = estimates.reset_index(drop=True)
    domain = rows.groupby(list(by), dropna=False, sort=False).ngroup() if by else rows.index * 0
    rows = rows.assign(_cell=np.asarray(domain), corrected=_correction_flags(rows))
    names = [
        _segment_name(row, by) for row in rows.groupby("_cell").head(1)[list(by)].to_dict("records")
    ]
    twice = rows.duplicated(["_cell", "measure"])
    faults = [f"{names[row['_cell']]}, {row['measure']}: more than one row."
              for row in rows[twice].to_dict("records")]  # fmt: skip
    rows = rows[~twice]
    measures = list(dict.fromkeys(rows["measure"]))
    at = rows["_cell"].to_numpy(), pd.Index(measures).get_indexer(rows["measure"])
    wide = {}
    for column in (*_FIGURES, *_BOUNDS, *_COUNTS, "proxy", "corrected"):
        values = np.full((len(names), len(measures)), np.nan)
        values[at] = rows[column].to_numpy(np.float64, na_value=np.nan)
        wide[column] = pd.DataFrame(values, columns=measures)
    for check in (_check_order, _check_complements, _check_recall, _check_counts):
        faults += check(wide, names)
    faults += _check_pooled_rates(wide, names, most_labels)
    if by and len(names) > 1:
        overall = rows.groupby("_cell")[list(by)].first().isna().all(axis=1).to_numpy(dtype=bool)
        faults += _check_segments(wide, overall)
    if faults:
        raise ContradictionError(faults)


def label_share_limit(audit: AuditSample) -> float:
    """Return the largest plausible share of decisions of which the label alone is wrong.

    Parameters
    ----------
    audit
        All draws, with the verdicts of reviewers and experts.

    Returns
    -------
    float
        In [0, 1]: twice the upper 99.9 % limit (Clopper and Pearson 1934, at the effective number
        of draws by Kish 1965) of the share that reviewers relabelled, so reviewers may miss half
        of the wrong labels. 0 where no draw was relabelled, 1 without draws.

    Examples
    --------
    >>> n = np.arange(400)
    >>> label, nothing = (n < 4) * 1.0, n * np.nan
    >>> audit = AuditSample(n, n * 0 + 2.0, label, label * 0, nothing, nothing, nothing, n, n, ("x",))
    >>> round(label_share_limit(audit), 3)
    0.073
    """
    if not len(audit.position):
        return 1.0
    expert = np.nan_to_num(audit.expert_error - audit.expert_overturned)
    label = np.clip(np.maximum(audit.error - audit.overturned, expert), 0, 1)
    if not label.any():
        return 0.0
    weight = audit.weight
    worth = np.array([weight.sum() ** 2 / (weight @ weight)])
    high = clopper_pearson(float(weight @ label) / weight.sum() * worth, worth, 0.998).high
    return min(float(high[0]) / _LEAST_FOUND, 1.0)


def _segment_name(row: Mapping[Hashable, Any], by: Sequence[str]) -> str:
    parts = [f"{column} {row[column]}" for column in by if not pd.isna(row[column])]
    return ", ".join(parts) or "the whole"


def _check_order(wide: Wide, names: Sequence[str]) -> Iterator[str]:
    """Check that intervals and bounds are in order and within [0, 1]."""
    estimate, low, high = (wide[c] for c in _FIGURES)
    given = estimate.notna()
    held = (low >= -_SLACK) & (low <= estimate + _SLACK)
    held &= (estimate <= high + _SLACK) & (high <= 1 + _SLACK)
    for i, measure in _marked_measures(given & ~held):
        values = (f"{c} {wide[c][measure].iloc[i]:.6g}" for c in ("low", "estimate", "high"))
        yield f"{names[i]}, {measure}: {' <= '.join(values)} does not hold."
    least, most = (wide[c] for c in _BOUNDS)
    given = least.notna() | most.notna()
    held = (least >= -_SLACK) & (least <= most + _SLACK) & (most <= 1 + _SLACK)
    for i, measure in _marked_measures(given & ~held):
        ends = f"{least[measure].iloc[i]:.6g} to {most[measure].iloc[i]:.6g}"
        yield f"{names[i]}, {measure}: bounds {ends} are not in order within [0, 1]."
    proxy = wide["proxy"]
    for i, measure in _marked_measures((proxy < -_SLACK) | (proxy > 1 + _SLACK)):
        yield f"{names[i]}, {measure}: proxy {proxy[measure].iloc[i]:.6g} is outside of [0, 1]."


def _check_complements(wide: Wide, names: Sequence[str]) -> Iterator[str]:
    for right, wrong in _COMPLEMENTS:
        if {right, wrong} <= set(wide["estimate"].columns):
            for column, mirrored in _MIRROR.items():
                one, other = wide[column][right], 1 - wide[mirrored][wrong]
                both = ~_equal_or_missing(one.to_numpy(), other.to_numpy())
                for i in _marked_rows(both):
                    yield (
                        f"{names[i]}: {right}'s {column} {one.iloc[i]:.6g} must be 1 - {wrong}'s "
                        f"{mirrored}, {other.iloc[i]:.6g}."
                    )


def _check_recall(wide: Wide, names: Sequence[str]) -> Iterator[str]:
    """Check that recall follows from the two kinds of error and the decisions' counts."""
    if not {"recall", "wrongful_rate", "missed_rate"} <= set(wide["estimate"].columns):
        return
    rate, n = wide["estimate"], wide["n_decisions"]
    caught = (1 - rate["wrongful_rate"]) * n["wrongful_rate"]
    every = caught + rate["missed_rate"] * n["missed_rate"]
    made = caught / every.where(every > 0)
    off = (rate["recall"] - made).abs() > _SLACK
    for i in _marked_rows(off.to_numpy()):
        yield (
            f"{names[i]}: recall {rate['recall'].iloc[i]:.6g} does not follow from wrongful_rate "
            f"and missed_rate, which give {made.iloc[i]:.6g}."
        )


def _check_counts(wide: Wide, names: Sequence[str]) -> Iterator[str]:
    """Check that decisions and reviews of the two sides add up to those of all."""
    if not set(_RATES) <= set(wide["estimate"].columns):
        return
    for column in _COUNTS:
        n = wide[column]
        both = n["wrongful_rate"] + n["missed_rate"]
        for i in _marked_rows(n["error_rate"].to_numpy() != both.to_numpy()):
            yield (
                f"{names[i]}: {column} of error_rate is {n['error_rate'].iloc[i]:,.0f}, those of "
                f"its sides add up to {both.iloc[i]:,.0f}."
            )


def _check_pooled_rates(wide: Wide, names: Sequence[str], most_labels: float) -> Iterator[str]:
    """Check all decisions of each cell against its enforced and its allowed ones."""
    if not set(_RATES) <= set(wide["estimate"].columns):
        return
    pair = ["wrongful_rate", "missed_rate"]
    n = wide["n_decisions"][pair].to_numpy()
    share = n / np.maximum(n.sum(axis=1, keepdims=True), 1)
    least, most = (
        _weighted_means(wide[c][pair].to_numpy(), share, unknown)
        for c, unknown in (("low", 0), ("high", 1))
    )
    low, high = (wide[c]["error_rate"].to_numpy() for c in ("low", "high"))
    alike = _same_correction(wide["corrected"][list(_RATES)].to_numpy())
    off = (high < least - _SLACK) | (low > most + most_labels + _SLACK)
    for i in _marked_rows(off & alike):
        yield (
            f"{names[i]}: error_rate, {low[i]:.4g} to {high[i]:.4g}, contradicts its "
            f"sides: wrongful_rate and missed_rate, by their decisions, give {least[i]:.4g} to "
            f"{min(most[i] + most_labels, 1):.4g}."
        )
    for column in _BOUNDS:
        own, made = (
            wide[column]["error_rate"].to_numpy(),
            _weighted_means(wide[column][pair].to_numpy(), share),
        )
        for i in _marked_rows(own < made - _SLACK):
            yield (
                f"{names[i]}: error_rate's {column} {own[i]:.4g} must reach what its sides' give by "
                f"their decisions, {made[i]:.4g}."
            )


def _check_segments(wide: Wide, overall: Bools) -> Iterator[str]:
    """Check the whole against its segments, which hold each decision once."""
    if overall.sum() != 1:
        return
    for measure in (m for m in _RATES if m in wide["estimate"].columns):
        n = wide["n_decisions"][measure].to_numpy()
        total, parts = float(n[overall][0]), float(n[~overall].sum())
        if parts != total:
            yield f"the whole, {measure}: {total:,.0f} decisions, its segments hold {parts:,.0f}."
            continue
        share = n[None, ~overall] / max(total, 1)
        own = {c: float(v[measure].to_numpy()[overall][0]) for c, v in wide.items()}
        made = {
            c: float(
                _weighted_means(wide[c][measure].to_numpy()[None, ~overall], share, unknown)[0]
            )
            for c, unknown in (
                ("low", 0),
                ("high", 1),
                ("bound_low", np.nan),
                ("bound_high", np.nan),
            )
        }
        off = own["high"] < made["low"] - _SLACK or own["low"] > made["high"] + _SLACK
        if off and _same_correction(wide["corrected"][measure].to_numpy()[None])[0]:
            yield (
                f"the whole, {measure}: {own['low']:.4g} to {own['high']:.4g} contradicts "
                f"its segments, which give {made['low']:.4g} to {made['high']:.4g}."
            )
        for column in _BOUNDS if total else ():
            if abs(own[column] - made[column]) > _SLACK:
                yield (
                    f"the whole, {measure}: {column} {own[column]:.4g} must be what its segments' "
                    f"give by their decisions, {made[column]:.4g}."
                )


def _weighted_means(values: Floats, share: Floats, unknown: float = np.nan) -> Floats:
    """Weigh each row's values by its shares; a missing one counts as `unknown`, shape (n,)."""
    known = np.where(np.isnan(values), unknown, values)
    return np.asarray((np.where(share > 0, known, 0.0) * share).sum(axis=1))


def _correction_flags(rows: pd.DataFrame) -> Floats:
    """Return whether each row is corrected for reviewer error, 0 or 1; NaN where suppressed."""
    judging = rows["method"].astype("str").str.split(":", n=1).str[0].str.split("+", n=1).str[1]
    out = np.where(judging.isin(UNCORRECTED).to_numpy(dtype=bool), 0.0, 1.0)
    return np.where(rows["estimate"].isna().to_numpy(dtype=bool), np.nan, out)


def _same_correction(corrected: Floats) -> Bools:
    """Return which rows hold only corrected or only uncorrected estimates, shape (n,)."""
    some, others = (corrected == 0).any(axis=1), (corrected == 1).any(axis=1)
    return np.asarray(~(some & others))


def _equal_or_missing(one: Floats, other: Floats) -> Bools:
    return np.asarray((np.isnan(one) & np.isnan(other)) | (np.abs(one - other) <= _SLACK))


def _marked_rows(marked: Bools) -> list[int]:
    return [int(i) for i in np.flatnonzero(marked)]


def _marked_measures(marked: pd.DataFrame) -> Iterator[tuple[int, str]]:
    for i, j in np.argwhere(marked.to_numpy(dtype=bool)):
        yield int(i), str(marked.columns[j])
