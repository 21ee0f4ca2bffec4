"""The evidence on a policy's page: what goes with its errors, where, and cases that show it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from errdetect.changes.formatting import clean, count, counted, number, percent, span
from errdetect.changes.glossary import ERROR_KIND_WORDS
from errdetect.errors import visible
from errdetect.explanations.drivers import MIN_DECISIONS
from errdetect.report.charts import axis, place, strip
from errdetect.report.pages.findings import kind_words
from errdetect.report.pages.page_blocks import (
    Block,
    absent,
    amount,
    column,
    flag,
    note,
    plot_cell,
    plot_column,
    rate_cell,
    said,
    table,
    text_of,
    unsaid,
)

__all__ = [
    "BRIEF_COLUMNS",
    "CASE_COLUMNS",
    "SLICE_COLUMNS",
    "brief_blocks",
    "case_block",
    "driver_block",
    "slice_block",
]

SLICE_COLUMNS = ("rule", "n", "error_rate", "low", "high", "base_rate", "confirmed")
CASE_COLUMNS = ("decision_id", "p_error", "error_kind")
BRIEF_COLUMNS = ("file", "title", "text")
_MAX_REASONS = 5
_BRIEF_CHARACTERS = 6000
_EXAMPLES = 3

Row = Mapping[str, Any]


def driver_block(rows: Sequence[Row], most: int, why: str = "") -> list[Block]:
    """Show the reasons that go with a policy's errors, with interval and change where known.

    Parameters
    ----------
    rows
        `code`, `text`, `share`, `n_decisions` and, where known, `low`, `high`, `share_before`,
        `change_low`, `change_high`, `example_ids`.
    most
        How many to show, the largest shares first; ties by code.
    why
        Why there are none.

    Returns
    -------
    list of Block
        The bars.

    Examples
    --------
    >>> row = {"code": "a", "text": "The text is short", "share": 0.4, "n_decisions": 30}
    >>> driver_block([row], 5)[0]["r"][0][:2]
    ['The text is short', 40.0]
    """
    if not rows:
        how = "They appear once a model has scored enough of its decisions."
        return [absent("No reasons were worked out for this policy.", why or how)]
    looked = int(number(rows[0]["n_decisions"]) or 0)
    if looked < MIN_DECISIONS:
        how = f"{counted(looked, 'decision was', 'decisions were')} looked at, and it takes {MIN_DECISIONS}."
        return [absent("What goes with its errors cannot be told.", how)]
    ranked = sorted(rows, key=lambda r: (-(number(r["share"]) or 0.0), str(r["code"])))
    bars = {"t": "b", "r": [_bar(row) for row in ranked[:most]]}
    return [bars]


def _bar(row: Row) -> list[Any]:
    """Lay out one reason: text, bar, limits, value in words, what stands beside."""
    share, limits = number(row["share"]), said(row, "share", "low", "high")
    value = "share unknown" if share is None else percent(share)
    if limits:
        value += f" ({span(limits.low, limits.high)})"
    beside = [f"{counted(int(number(row['n_decisions']) or 0), 'decision', 'decisions')} looked at"]
    if "stable" in row and not flag(row, "stable"):
        beside.append("its place among the reasons cannot be told yet")
    if moved := _moved(row, share):
        beside.append(moved)
    ids: Any = row.get("example_ids")
    examples = [clean(i, 40) for i in list(ids)[:_EXAMPLES]] if _is_list(ids) else []
    ends = [place(limits.low, 1.0), place(limits.high, 1.0)] if limits else []
    return [clean(row["text"], 240), place(share or 0.0, 1.0), ends, value, beside, examples]


def _moved(row: Row, share: float | None) -> str:
    """Say whether a reason's share moved beyond chance since the period before."""
    before, after = number(row.get("share_before")), number(row.get("share_after"))
    low, high = number(row.get("change_low")), number(row.get("change_high"))
    now = share if after is None else after
    if before is None or now is None:
        return ""
    if low is not None and high is not None:
        clear = low > 0 or high < 0
    elif "moved" in row:
        clear = flag(row, "moved")
    else:
        return f"{percent(before)} in the period before"
    if clear:
        return f"{'up' if now > before else 'down'} from {percent(before)} in the period before"
    return f"{percent(before)} in the period before: a change is not shown"


def slice_block(
    rows: Sequence[Row], most: int, why: str = "", *, looked: bool = True
) -> list[Block]:
    """Show where a policy errs more than elsewhere.

    Parameters
    ----------
    rows
        The policy's slices, see `ReportContent`.
    most
        How many to show: confirmed ones first, then by harm saved; ties by rule.
    why
        Why there are none.
    looked
        Whether rules were looked for: nobody looked is not the same as none found.

    Returns
    -------
    list of Block
        A table, and how many it leaves out.

    Examples
    --------
    >>> slice_block([], 5)[0]["x"]
    'No rule was found under which this policy errs more than elsewhere.'
    """
    if not looked:
        return [absent("Rules under which this policy errs more were not looked for.", why)]
    if not rows:
        none = "No rule was found under which this policy errs more than elsewhere."
        return [absent(none, why or "With few reviews that is no sign that there is none.")]
    ranked = sorted(rows, key=_slice_order)[:most]
    figures = [said(row, "error_rate", "low", "high") for row in ranked]
    bases = [number(row["base_rate"]) for row in ranked]
    scale = axis([s.high for s in figures if s] + [b for b in bases if b])
    columns = [
        column("Where"),
        column("Of all decisions there", "number"),
        plot_column("Interval as a plot", scale),
        column("In the whole policy", "number"),
        column("Decisions", "number"),
        column("Reviews", "number"),
        column("Harm saved in 30 days, if it erred no more than the rest", "number"),
        column("Confirmed"),
    ]
    body = [
        [
            {"x": clean(row["rule"], 240), "q": kind_words(row)},
            rate_cell(figure),
            plot_cell(strip(scale, figure, base)),
            unsaid("not known") if base is None else percent(base),
            _whole(row, "n"),
            _whole(row, "n_reviews"),
            _saved(row),
            "yes" if flag(row, "confirmed") else "not shown",
        ]
        for row, figure, base in zip(ranked, figures, bases, strict=True)
    ]
    blocks = [table("Where this policy errs more than elsewhere", columns, body)]
    if len(rows) > most:
        blocks.append(note(f"{count(len(rows) - most)} more stand in the table “slices”."))
    return blocks


def _slice_order(row: Row) -> tuple[bool, float, str]:
    return (not flag(row, "confirmed"), -(number(row.get("harm_saved")) or 0.0), str(row["rule"]))


def _whole(row: Row, name: str) -> Any:
    value = number(row.get(name))
    return unsaid("not known") if value is None else count(round(value))


def _saved(row: Row) -> Any:
    harm = said(row, "harm_saved")
    alone = number(row.get("harm_saved"))
    if harm is not None:
        return {"x": amount(harm.estimate), "q": f"{amount(harm.low)} to {amount(harm.high)}"}
    return unsaid("not known") if alone is None else amount(alone)


def case_block(rows: Sequence[Row], most: int, why: str = "") -> list[Block]:
    """Show decisions that are likely wrong, each beside a similar one that was right.

    Parameters
    ----------
    rows
        The policy's cases, see `ReportContent`.
    most
        How many to show: by rank where there is one, then by chance of error; ties by id.
    why
        Why there are none.

    Returns
    -------
    list of Block
        The cases.

    Examples
    --------
    >>> row = {"decision_id": "d1", "p_error": 0.8, "error_kind": "wrongful_action"}
    >>> case_block([row], 3)[0]["r"][0]["k"]
    'wrongful action'
    """
    if not rows:
        how = "They appear once a model has scored decisions of this policy."
        return [absent("There are no cases to show.", why or how)]
    return [{"t": "c", "r": [_case(row) for row in sorted(rows, key=_case_order)[:most]]}]


def _case_order(row: Row) -> tuple[float, float, str]:
    rank = number(row.get("rank"))
    chance = number(row["p_error"]) or 0.0
    return (math.inf if rank is None else rank, -chance, str(row["decision_id"]))


def _case(row: Row) -> Block:
    """Lay out one case."""
    chance, kind = number(row["p_error"]), text_of(row, "error_kind")
    facts = [clean(v, 40) for c in ("action", "market", "language") if (v := text_of(row, c))]
    case: Block = {
        "i": clean(row["decision_id"], 60),
        "f": facts,
        "p": "chance of error unknown" if chance is None else f"{percent(chance)} chance of error",
        "k": ERROR_KIND_WORDS.get(kind, clean(kind, 40)),
        "r": [*_reasons(row.get("reasons")), *_reasons(row.get("against"))[:_EXAMPLES]],
    }
    if "contrast_id" not in row:
        case["s"] = 1  # nobody looked for a similar decision
    if text := text_of(row, "text"):
        case["x"] = clean(text, 240)
    words = text_of(row, "contrast")
    if other := text_of(row, "contrast_id"):
        case["o"] = {
            "i": clean(other, 60),
            "x": clean(text_of(row, "contrast_text"), 240) if text_of(row, "contrast_text") else "",
            "d": clean(words, 300) if words else "",
        }
    elif words:
        case["w"] = clean(words, 300)
    return case


def _reasons(found: Any) -> list[list[Any]]:
    """Read reasons as [text, 1 where it raises the chance of error, else 0]."""
    if not _is_list(found):
        return []
    return [
        [clean(r["text"], 240), int((number(r["contribution"]) or 0.0) >= 0)]
        for r in list(found)[:_MAX_REASONS]
    ]


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str)


def brief_blocks(rows: Sequence[Row], most: int) -> list[Block]:
    """Show a policy's briefs, folded: what to change, and the evidence for it.

    Parameters
    ----------
    rows
        `file`, `title`, `text` (Markdown, shown as it is written).
    most
        How many to show.

    Returns
    -------
    list of Block
        Nothing where there is no brief.

    Examples
    --------
    >>> brief_blocks([{"file": "spam.md", "title": "Move the bar", "text": "# Move the bar"}], 2)[1]
    {'t': 'd', 'x': 'Move the bar (spam.md)', 'y': '# Move the bar'}
    """
    blocks: list[Block] = [{"t": "h", "x": "Briefs"}] if rows else []
    for row in rows[:most]:
        title = f"{clean(row['title'], 160)} ({clean(row['file'], 120)})"
        blocks.append(
            {"t": "d", "x": title, "y": visible(text_of(row, "text")[:_BRIEF_CHARACTERS])}
        )
    if len(rows) > most:
        blocks.append(note(f"{count(len(rows) - most)} more stand in the folder “briefs”."))
    return blocks
