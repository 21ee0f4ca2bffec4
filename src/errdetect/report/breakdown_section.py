"""Where the machine errs: the error rate by policy, market, language and moderator."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from errdetect.changes.formatting import clean, slug
from errdetect.changes.glossary import BY_WORDS, ByWords
from errdetect.report.charts import Axis, Strip, axis, strip
from errdetect.report.figures import Figure, figures_by

__all__ = ["ABOVE", "BELOW", "SHOWN", "Block", "Group", "blocks"]

#: Groups that stand open; the others are folded away.
SHOWN = 15

ABOVE, BELOW, NOT_CLEAR = "above", "below", "no clear difference"
_BESIDE = ("wrongful_rate", "missed_rate")


@dataclass(frozen=True)
class Group:
    """One row: a policy, market, language or moderator.

    Parameters
    ----------
    key, label
        Its value in the data, and the name to show.
    error
        Its error rate.
    strip
        Where the interval stands on the block's axis.
    against
        `above` or `below` where the whole interval lies on that side of the overall rate,
        else `no clear difference`; empty where there is nothing to compare.
    beside
        The further measures of the block, in its order; None where the group lacks one.
    """

    key: str
    label: str
    error: Figure
    strip: Strip
    against: str
    beside: tuple[Figure | None, ...]


@dataclass(frozen=True)
class Block:
    """The groups of one column, the highest error rate first.

    Parameters
    ----------
    name, title, anchor
        The column, what it is called, and the block's id in the page.
    words
        One and many of its groups, in words of ours.
    axis
        The axis of the plots.
    groups
        Said ones by estimate, then those that cannot be said.
    beside
        The further measures that the table shows.
    """

    name: str
    title: str
    anchor: str
    words: ByWords
    axis: Axis
    groups: tuple[Group, ...]
    beside: tuple[str, ...]

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.groups)

    @property
    def n_said(self) -> int:
        """How many of them have a figure."""
        return sum(g.error.said is not None for g in self.groups)

    @property
    def above(self) -> tuple[Group, ...]:
        """The groups wholly above the overall rate."""
        return tuple(g for g in self.groups if g.against == ABOVE)

    @property
    def by_chance(self) -> int:
        """About how many groups would stand above by chance alone, at 2.5 % each."""
        return round(0.025 * self.n_said)


def blocks(
    estimates: Mapping[str, pd.DataFrame],
    whole: Mapping[str, Figure],
    names: Mapping[str, str],
) -> tuple[Block, ...]:
    """Lay out every block of estimates: policy, market, language, moderator, then any other.

    Parameters
    ----------
    estimates
        Name of a block -> its estimates; rows without a value are the whole and stay out.
    whole
        measure -> figure of the whole: the reference line.
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
    >>> blocks({}, {}, {})
    ()
    """
    others = sorted(set(estimates) - set(BY_WORDS) - {"whole"})
    built = (
        _block(name, estimates[name], whole, names if name == "policy_id" else {})
        for name in (*BY_WORDS, *others)
        if name in estimates
    )
    return tuple(block for block in built if block.groups)


def _block(
    name: str, frame: pd.DataFrame, whole: Mapping[str, Figure], names: Mapping[str, str]
) -> Block:
    """Lay out one block."""
    what = f"estimates by {clean(name, 40)}"
    found = {
        key: measures
        for key, measures in figures_by(frame, name, what).items()
        if "error_rate" in measures
    }
    words = BY_WORDS.get(name, ByWords("group", "groups"))
    lead = whole.get("error_rate")
    reference = lead.said.estimate if lead and lead.said else None
    scale = _scale([m["error_rate"] for m in found.values()], reference)
    beside = tuple(m for m in _BESIDE if any(m in measures for measures in found.values()))
    groups = sorted(
        (
            Group(
                key=key,
                label=clean(names.get(key, key)),
                error=measures["error_rate"],
                strip=strip(scale, measures["error_rate"].said, reference),
                against=_against(measures["error_rate"], reference),
                beside=tuple(measures.get(m) for m in beside),
            )
            for key, measures in found.items()
        ),
        key=_order,
    )
    return Block(
        name=name,
        title=BY_WORDS[name].one if name in BY_WORDS else clean(name, 40),
        anchor=slug("by", BY_WORDS[name].one) if name in BY_WORDS else slug("column", name),
        words=words,
        axis=scale,
        groups=tuple(groups),
        beside=beside,
    )


def _order(group: Group) -> tuple[bool, float, str, str]:
    """Highest estimate first, what cannot be said last; ties by name, then by value."""
    said = group.error.said
    return (said is None, -said.estimate if said else 0.0, group.label, group.key)


def _against(figure: Figure, reference: float | None) -> str:
    """Compare a group's interval with the overall rate."""
    if figure.said is None or reference is None:
        return ""
    if figure.said.low > reference:
        return ABOVE
    return BELOW if figure.said.high < reference else NOT_CLEAR


def _scale(found: list[Figure], reference: float | None) -> Axis:
    """Choose an axis that holds every estimate and most intervals, cutting very wide ones."""
    said = [f.said for f in found if f.said]
    if not said:
        return axis([reference] if reference else [])
    most = 1.2 * max(s.estimate for s in said)
    usual = sorted(s.high for s in said)[int(0.9 * (len(said) - 1))]
    return axis([max(most, usual, reference or 0.0)])
