"""Where the machine errs: the error rate by policy, market, language and moderator."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from errdetect.changes.text_formatting import BY_WORDS, NounForms, clean_text, slug
from errdetect.report.charts import Axis, IntervalStrip, choose_axis, interval_strip
from errdetect.report.reported_rates import ReportedRate, reported_rates_by_group

__all__ = ["ABOVE", "BELOW", "SHOWN", "Breakdown", "BreakdownGroup", "build_breakdowns"]

#: Groups shown at first; the others are collapsed.
SHOWN = 15

ABOVE, BELOW, NOT_CLEAR = "above", "below", "no clear difference"
_BESIDE = ("wrongful_rate", "missed_rate")


@dataclass(frozen=True)
class BreakdownGroup:
    """One row: a policy, market, language or moderator.

    Parameters
    ----------
    key, label
        Its value in the data, and the name to show.
    error
        Its error rate.
    strip
        Position of the interval on the block's axis.
    against
        `above` or `below` where the whole interval lies on that side of the overall rate,
        else `no clear difference`; empty where there is nothing to compare.
    beside
        The further measures of the block, in its order; None where the group lacks one.
    """

    key: str
    label: str
    error: ReportedRate
    strip: IntervalStrip
    against: str
    beside: tuple[ReportedRate | None, ...]


@dataclass(frozen=True)
class Breakdown:
    """The groups of one column, sorted by error rate, highest first.

    Parameters
    ----------
    name, title, anchor
        The column, its title, and the block's id in the page.
    words
        Singular and plural name of its groups.
    axis
        The axis of the plots.
    groups
        Groups with an estimate, highest first, then the suppressed ones.
    beside
        The further measures that the table shows.
    """

    name: str
    title: str
    anchor: str
    words: NounForms
    axis: Axis
    groups: tuple[BreakdownGroup, ...]
    beside: tuple[str, ...]

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.groups)

    @property
    def n_estimated(self) -> int:
        """How many of them have an estimate."""
        return sum(g.error.said is not None for g in self.groups)

    @property
    def above(self) -> tuple[BreakdownGroup, ...]:
        """The groups wholly above the overall rate."""
        return tuple(g for g in self.groups if g.against == ABOVE)

    @property
    def by_chance(self) -> int:
        """About how many groups would be above by chance alone, at 2.5 % each."""
        return round(0.025 * self.n_estimated)


def build_breakdowns(
    estimates: Mapping[str, pd.DataFrame],
    whole: Mapping[str, ReportedRate],
    names: Mapping[str, str],
) -> tuple[Breakdown, ...]:
    """Lay out every block of estimates: policy, market, language, moderator, then any other.

    Parameters
    ----------
    estimates
        Name of a block -> its estimates; rows without a value are overall rates and are left out.
    whole
        measure -> overall rate: the reference line.
    names
        policy_id -> the policy's name.

    Returns
    -------
    tuple of Block
        The blocks that have a row.

    Raises
    ------
    DataError
        Where a block lacks its column or one of the estimates'.

    Examples
    --------
    >>> build_breakdowns({}, {}, {})
    ()
    """
    others = sorted(set(estimates) - set(BY_WORDS) - {"whole"})
    built = (
        _build_breakdown(name, estimates[name], whole, names if name == "policy_id" else {})
        for name in (*BY_WORDS, *others)
        if name in estimates
    )
    return tuple(block for block in built if block.groups)


def _build_breakdown(
    name: str, frame: pd.DataFrame, whole: Mapping[str, ReportedRate], names: Mapping[str, str]
) -> Breakdown:
    """Lay out one block."""
    what = f"estimates by {clean_text(name, 40)}"
    found = {
        key: measures
        for key, measures in reported_rates_by_group(frame, name, what).items()
        if "error_rate" in measures
    }
    words = BY_WORDS.get(name, NounForms("group", "groups"))
    lead = whole.get("error_rate")
    reference = lead.said.estimate if lead and lead.said else None
    scale = _breakdown_axis([m["error_rate"] for m in found.values()], reference)
    beside = tuple(m for m in _BESIDE if any(m in measures for measures in found.values()))
    groups = sorted(
        (
            BreakdownGroup(
                key=key,
                label=clean_text(names.get(key, key)),
                error=measures["error_rate"],
                strip=interval_strip(scale, measures["error_rate"].said, reference),
                against=_compare_with_overall(measures["error_rate"], reference),
                beside=tuple(measures.get(m) for m in beside),
            )
            for key, measures in found.items()
        ),
        key=_rate_sort_key,
    )
    return Breakdown(
        name=name,
        title=BY_WORDS[name].one if name in BY_WORDS else clean_text(name, 40),
        anchor=slug("by", BY_WORDS[name].one) if name in BY_WORDS else slug("column", name),
        words=words,
        axis=scale,
        groups=tuple(groups),
        beside=beside,
    )


def _rate_sort_key(group: BreakdownGroup) -> tuple[bool, float, str, str]:
    """Highest estimate first, suppressed ones last; ties by name, then by value."""
    said = group.error.said
    return (said is None, -said.estimate if said else 0.0, group.label, group.key)


def _compare_with_overall(figure: ReportedRate, reference: float | None) -> str:
    """Compare a group's interval with the overall rate."""
    if figure.said is None or reference is None:
        return ""
    if figure.said.low > reference:
        return ABOVE
    return BELOW if figure.said.high < reference else NOT_CLEAR


def _breakdown_axis(found: list[ReportedRate], reference: float | None) -> Axis:
    """Choose an axis that holds every estimate and most intervals, cutting very wide ones."""
    said = [f.said for f in found if f.said]
    if not said:
        return choose_axis([reference] if reference else [])
    most = 1.2 * max(s.estimate for s in said)
    usual = sorted(s.high for s in said)[int(0.9 * (len(said) - 1))]
    return choose_axis([max(most, usual, reference or 0.0)])
