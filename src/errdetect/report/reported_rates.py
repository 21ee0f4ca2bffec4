"""One estimate as shown to readers: with its interval, or the reason why it is suppressed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    MEASURE_WORDS,
    MeasureText,
    finite_or_none,
    format_count,
    format_interval,
    format_percent,
    natural_frequencies,
    require_columns,
    to_records,
)
from errdetect.estimation.method_text import MEASURED_TO_ERR, SUPPRESSED
from errdetect.schemas import ESTIMATES

__all__ = [
    "AppealsClaim",
    "IntervalEstimate",
    "ReportedRate",
    "read_interval_estimate",
    "read_reported_rate",
    "reported_rates",
    "reported_rates_by_group",
]

_WARNING = "warning: "
#: Columns of the estimates that every table has; older ones lack the period and the response.
_REQUIRED = [c for c in ESTIMATES.names if c not in ("period_from", "period_to", "response")]
#: Suppression codes better explained by the number of reviews.
_TOO_FEW = ("too_few_reviews", "no_sample")


@dataclass(frozen=True)
class IntervalEstimate:
    """The estimate and its 95 % interval, as shares of 1; low <= estimate <= high."""

    estimate: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """The estimate as text."""
        return format_percent(self.estimate)

    @property
    def span(self) -> str:
        """The interval as text."""
        return format_interval(self.low, self.high)


@dataclass(frozen=True)
class AppealsClaim:
    """The rate from successful appeals only, and how far it is off.

    Parameters
    ----------
    share
        The claimed share of 1.
    value, base
        The claim as text: `value` of `base`.
    verdict
        One sentence comparing it with the audit's interval.
    """

    share: float
    value: str
    base: str
    verdict: str


@dataclass(frozen=True)
class ReportedRate:
    """One measure of one group, ready to be shown.

    Parameters
    ----------
    measure
        A measure of the contract.
    said
        The estimate with its interval; None where suppressed.
    n_reviews, n_decisions
        How many reviews it rests on, of how many decisions.
    method
        How it was estimated.
    proxy
        The share that counting only successful appeals would claim; None where not applicable.
    bounds
        The least and the greatest share, if every reviewer is correct.
    """

    measure: str
    said: IntervalEstimate | None
    n_reviews: int
    n_decisions: int
    method: str
    proxy: float | None
    bounds: tuple[float, float] | None

    @property
    def words(self) -> MeasureText:
        """The measure in plain language."""
        return MEASURE_WORDS[self.measure]

    @property
    def how(self) -> str:
        """The description of the method's code, without warnings."""
        return "; ".join(p for p in self._method_parts() if not p.startswith(_WARNING))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the estimate."""
        parts = self._method_parts()
        return tuple(p.removeprefix(_WARNING) for p in parts if p.startswith(_WARNING))

    @property
    def suppression_reason(self) -> str | None:
        """Reason for suppression other than too few reviews; None where there is none."""
        code = self.method.partition(":")[0]
        return None if code in _TOO_FEW else SUPPRESSED.get(code)

    @property
    def unsaid(self) -> str:
        """Why there is no figure, in one clause."""
        if self.suppression_reason:
            return f"not known yet: {self.suppression_reason}"
        if self.n_reviews == 0:
            return "not known yet: no reviews"
        if self.n_reviews < 100:
            noun = "review" if self.n_reviews == 1 else "reviews"
            return f"not known yet: only {self.n_reviews} {noun}"
        return f"not known yet: {format_count(self.n_reviews)} reviews are not enough"

    @property
    def percent(self) -> str:
        """The estimate as a percentage, or why there is none."""
        return format_percent(self.said.estimate) if self.said else self.unsaid

    @property
    def span(self) -> str:
        """The interval as percentages; empty where suppressed."""
        return format_interval(self.said.low, self.said.high) if self.said else ""

    @property
    def brief_span(self) -> str:
        """The interval for a narrow column, next to the estimate in percent."""
        return self.span.replace(" to ", "–").removesuffix("\u00a0%")

    @property
    def bounds_span(self) -> str:
        """The bounds if every reviewer is correct; none where reviewers were measured to err."""
        if self.method.partition(":")[0].partition("+")[2] in MEASURED_TO_ERR:
            return "left out: reviewers were measured and err"
        return format_interval(*self.bounds) if self.bounds else "not computed"

    @property
    def value(self) -> str:
        """The estimate as a number "of `base`"."""
        return self._numbers()[0][0]

    @property
    def base(self) -> str:
        """The base of `value`: "100", or more for a very small share."""
        return self._numbers()[1]

    @property
    def sentence(self) -> str:
        """The interval as a sentence.

        Examples
        --------
        >>> ReportedRate("error_rate", IntervalEstimate(.057, .051, .063), 900, 9000, "", None, None).sentence
        'Between 5.1 and 6.3 of 100 decisions are wrong.'
        """
        if self.said is None:
            return f"This {self.unsaid}."
        (_, low, high), base = self._numbers()
        return f"Between {low} and {high} of {base} {self.words.of} {self.words.verb}."

    @property
    def claim(self) -> AppealsClaim | None:
        """What appeals alone would claim; None where not applicable."""
        if self.proxy is None:
            return None
        shares = [self.proxy, *((self.said.high,) if self.said else ())]
        numbers, base = natural_frequencies(shares)
        return AppealsClaim(self.proxy, numbers[0], base, _appeals_verdict(self.proxy, self.said))

    def _method_parts(self) -> list[str]:
        code, colon, words = self.method.partition(": ")
        text = words if colon and re.fullmatch(r"[a-z_+]+", code) else self.method
        return [part for part in text.split("; ") if part]

    def _numbers(self) -> tuple[list[str], str]:
        if self.said is None:
            return ["", "", ""], "100"
        return natural_frequencies([self.said.estimate, self.said.low, self.said.high])


def _appeals_verdict(proxy: float, said: IntervalEstimate | None) -> str:
    """Compare the claim of appeals with the interval, in one sentence."""
    if said is None:
        return "There is no audited figure to compare it with."
    if said.low <= proxy <= said.high:
        return "The audit does not contradict it."
    # From the numbers as shown, so that a reader's own sum agrees.
    (ours, theirs, _), base = natural_frequencies([said.estimate, proxy, said.high])
    gap = f"{abs(float(ours) - float(theirs)):.{len(ours.partition('.')[2])}f}"
    return f"That is {gap} of {base} {'less' if proxy < said.low else 'more'} than the audit finds."


def read_reported_rate(row: Mapping[str, Any]) -> ReportedRate:
    """Read one row of an estimates table.

    A row that is suppressed, or that lacks its estimate or a limit, becomes a suppressed
    figure; its numbers are ignored.

    Parameters
    ----------
    row
        The columns of `errdetect.schemas.ESTIMATES`.

    Returns
    -------
    Figure
        The row's measure.

    Examples
    --------
    >>> row = {"measure": "recall", "estimate": 0.0, "low": 0.0, "high": 1.0, "n_reviews": 12,
    ...        "n_decisions": 400, "method": "m", "proxy": None, "bound_low": None,
    ...        "bound_high": None, "suppressed": True}
    >>> read_reported_rate(row).percent
    'not known yet: only 12 reviews'
    """
    bounds = finite_or_none(row["bound_low"]), finite_or_none(row["bound_high"])
    return ReportedRate(
        measure=str(row["measure"]),
        said=read_interval_estimate(row),
        n_reviews=int(finite_or_none(row["n_reviews"]) or 0),
        n_decisions=int(finite_or_none(row["n_decisions"]) or 0),
        method="" if pd.isna(row["method"]) else str(row["method"]),
        proxy=finite_or_none(row["proxy"]),
        bounds=None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1]),
    )


def read_interval_estimate(row: Mapping[str, Any]) -> IntervalEstimate | None:
    """Read an estimate with its interval, unless it is suppressed or incomplete.

    Parameters
    ----------
    row
        `estimate`, `low`, `high` and `suppressed`; where `suppressed` is missing, the estimate
        counts as suppressed.

    Returns
    -------
    IntervalEstimate or None
        None where suppressed.

    Examples
    --------
    >>> read_interval_estimate({"estimate": 0.1, "low": 0.0, "high": 0.2, "suppressed": False})
    IntervalEstimate(estimate=0.1, low=0.0, high=0.2)
    >>> read_interval_estimate({"estimate": 0.1, "low": None, "high": 0.2, "suppressed": False}) is None
    True
    """
    estimate, low, high = (finite_or_none(row[c]) for c in ("estimate", "low", "high"))
    held_back = pd.isna(row["suppressed"]) or bool(row["suppressed"])
    if held_back or estimate is None or low is None or high is None:
        return None
    return IntervalEstimate(estimate, low, high)


def reported_rates(frame: pd.DataFrame, what: str) -> dict[str, ReportedRate]:
    r"""Read the measures of one group.

    Parameters
    ----------
    frame
        Rows of one group, one for each measure.
    what
        Name of the table in messages.

    Returns
    -------
    dict
        measure -> figure, for the measures of the contract.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> row = dict.fromkeys(ESTIMATES.names) | {"measure": "recall", "estimate": 0.5,
    ...        "low": 0.4, "high": 0.6, "suppressed": False}
    >>> reported_rates(pd.DataFrame([row]), "estimates")["recall"].span
    '40.0 to 60.0\xa0%'
    """
    require_columns(frame, _REQUIRED, what)
    return {
        row["measure"]: read_reported_rate(row)
        for row in to_records(frame)
        if _is_known_measure(row)
    }


def reported_rates_by_group(
    frame: pd.DataFrame, name: str, what: str
) -> dict[str, dict[str, ReportedRate]]:
    """Read the measures of every group of a column; rows without a group are overall rates.

    Parameters
    ----------
    frame
        The columns of `errdetect.schemas.ESTIMATES` and the one that is split by.
    name
        The column that is split by.
    what
        Name of the table in messages.

    Returns
    -------
    dict
        group -> measure -> figure.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> row = dict.fromkeys(ESTIMATES.names) | {"measure": "recall", "estimate": 0.5,
    ...        "low": 0.4, "high": 0.6, "suppressed": False}
    >>> found = reported_rates_by_group(pd.DataFrame([row | {"market": "DE"}]), "market", "estimates")
    >>> list(found)
    ['DE']
    """
    require_columns(frame, [name, *_REQUIRED], what)
    found: dict[str, dict[str, ReportedRate]] = {}
    for row in to_records(frame[frame[name].notna()]):
        if _is_known_measure(row):
            found.setdefault(str(row[name]), {})[row["measure"]] = read_reported_rate(row)
    return found


def _is_known_measure(row: Mapping[str, Any]) -> bool:
    """Return whether the row's measure is one of the contract's."""
    return row["measure"] in MEASURE_WORDS
