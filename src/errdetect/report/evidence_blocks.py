"""The evidence on a policy's page: reasons, slices, example decisions, and harm over thresholds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from errdetect.changes.text_formatting import (
    ERROR_KIND_WORDS,
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    format_interval,
    format_percent,
)
from errdetect.errors import escape_hidden
from errdetect.explanations.drivers import MIN_DECISIONS
from errdetect.report.charts import axis_position, choose_axis, interval_strip
from errdetect.report.page_blocks import (
    Block,
    format_amount,
    missing_block,
    no_estimate_cell,
    note_block,
    paragraph_block,
    plot_cell,
    plot_column,
    rate_cell,
    read_estimate,
    read_flag,
    read_text,
    table_block,
    table_column,
)
from errdetect.report.policy_tables import error_kind_text
from errdetect.report.reported_rates import IntervalEstimate

__all__ = [
    "BRIEF_COLUMNS",
    "CASE_COLUMNS",
    "SLICE_COLUMNS",
    "THRESHOLD_COLUMNS",
    "brief_blocks",
    "case_block",
    "driver_block",
    "slice_block",
    "threshold_blocks",
]

SLICE_COLUMNS = ("rule", "n", "error_rate", "low", "high", "base_rate", "confirmed")
CASE_COLUMNS = ("decision_id", "p_error", "error_kind")
BRIEF_COLUMNS = ("file", "title", "text")
_MAX_REASONS = 5
_BRIEF_CHARACTERS = 6000
_EXAMPLES = 3

Row = Mapping[str, Any]
THRESHOLD_COLUMNS = (
    *("threshold", "harm", "harm_low", "harm_high"),
    *("current", "supported", "recommended"),
)
_MAX_POINTS = 41


def driver_block(rows: Sequence[Row], most: int, why: str = "") -> list[Block]:
    """Show the reasons associated with a policy's errors, with interval and change where known.

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
        return [missing_block("No reasons were computed for this policy.", why or how)]
    looked = int(finite_or_none(rows[0]["n_decisions"]) or 0)
    if looked < MIN_DECISIONS:
        how = f"{count_with_noun(looked, 'decision was', 'decisions were')} examined; it takes {MIN_DECISIONS}."
        return [missing_block("The reasons for its errors are not known yet.", how)]
    ranked = sorted(rows, key=lambda r: (-(finite_or_none(r["share"]) or 0.0), str(r["code"])))
    bars = {"t": "b", "r": [_driver_bar(row) for row in ranked[:most]]}
    return [bars]


def _driver_bar(row: Row) -> list[Any]:
    """Lay out one reason: text, bar, limits, value as text, and notes."""
    share, limits = finite_or_none(row["share"]), read_estimate(row, "share", "low", "high")
    value = "share unknown" if share is None else format_percent(share)
    if limits:
        value += f" ({format_interval(limits.low, limits.high)})"
    beside = [
        f"{count_with_noun(int(finite_or_none(row['n_decisions']) or 0), 'decision', 'decisions')} examined"
    ]
    if "stable" in row and not read_flag(row, "stable"):
        beside.append("its rank among the reasons is not settled yet")
    if moved := _share_change_text(row, share):
        beside.append(moved)
    ids: Any = row.get("example_ids")
    examples = [clean_text(i, 40) for i in list(ids)[:_EXAMPLES]] if _is_list(ids) else []
    ends = [axis_position(limits.low, 1.0), axis_position(limits.high, 1.0)] if limits else []
    return [
        clean_text(row["text"], 240),
        axis_position(share or 0.0, 1.0),
        ends,
        value,
        beside,
        examples,
    ]


def _share_change_text(row: Row, share: float | None) -> str:
    """Describe whether a reason's share moved beyond chance since the previous period."""
    before, after = finite_or_none(row.get("share_before")), finite_or_none(row.get("share_after"))
    low, high = finite_or_none(row.get("change_low")), finite_or_none(row.get("change_high"))
    now = share if after is None else after
    if before is None or now is None:
        return ""
    if low is not None and high is not None:
        clear = low > 0 or high < 0
    elif "moved" in row:
        clear = read_flag(row, "moved")
    else:
        return f"{format_percent(before)} in the previous period"
    if clear:
        return f"{'up' if now > before else 'down'} from {format_percent(before)} in the previous period"
    return f"{format_percent(before)} in the previous period: no clear change"


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
        Whether rules were searched for: no search is not the same as none found.

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
        return [
            missing_block("No search for rules under which this policy errs more was run.", why)
        ]
    if not rows:
        none = "No rule was found under which this policy errs more than elsewhere."
        return [
            missing_block(none, why or "With few reviews, that does not mean that there is none.")
        ]
    ranked = sorted(rows, key=_slice_sort_key)[:most]
    figures = [read_estimate(row, "error_rate", "low", "high") for row in ranked]
    bases = [finite_or_none(row["base_rate"]) for row in ranked]
    scale = choose_axis([s.high for s in figures if s] + [b for b in bases if b])
    columns = [
        table_column("Where"),
        table_column("Of all decisions there", "number"),
        plot_column("Interval as a plot", scale),
        table_column("In the whole policy", "number"),
        table_column("Decisions", "number"),
        table_column("Reviews", "number"),
        table_column("Harm saved in 30 days, if it erred no more than the rest", "number"),
        table_column("Confirmed"),
    ]
    body = [
        [
            {"x": clean_text(row["rule"], 240), "q": error_kind_text(row)},
            rate_cell(figure),
            plot_cell(interval_strip(scale, figure, base)),
            no_estimate_cell("not known") if base is None else format_percent(base),
            _count_cell(row, "n"),
            _count_cell(row, "n_reviews"),
            _harm_saved_cell(row),
            "yes" if read_flag(row, "confirmed") else "not shown",
        ]
        for row, figure, base in zip(ranked, figures, bases, strict=True)
    ]
    blocks = [table_block("Where this policy errs more than elsewhere", columns, body)]
    if len(rows) > most:
        blocks.append(note_block(f"{format_count(len(rows) - most)} more in the table “slices”."))
    return blocks


def _slice_sort_key(row: Row) -> tuple[bool, float, str]:
    return (
        not read_flag(row, "confirmed"),
        -(finite_or_none(row.get("harm_saved")) or 0.0),
        str(row["rule"]),
    )


def _count_cell(row: Row, name: str) -> Any:
    value = finite_or_none(row.get(name))
    return no_estimate_cell("not known") if value is None else format_count(round(value))


def _harm_saved_cell(row: Row) -> Any:
    harm = read_estimate(row, "harm_saved")
    alone = finite_or_none(row.get("harm_saved"))
    if harm is not None:
        return {
            "x": format_amount(harm.estimate),
            "q": f"{format_amount(harm.low)} to {format_amount(harm.high)}",
        }
    return no_estimate_cell("not known") if alone is None else format_amount(alone)


def case_block(rows: Sequence[Row], most: int, why: str = "") -> list[Block]:
    """Show decisions that are likely wrong, each next to a similar correct one.

    Parameters
    ----------
    rows
        The policy's cases, see `ReportContent`.
    most
        How many to show: by rank where there is one, then by probability of error; ties by id.
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
        return [missing_block("There are no cases to show.", why or how)]
    return [
        {"t": "c", "r": [_case_pair_block(row) for row in sorted(rows, key=_case_sort_key)[:most]]}
    ]


def _case_sort_key(row: Row) -> tuple[float, float, str]:
    rank = finite_or_none(row.get("rank"))
    chance = finite_or_none(row["p_error"]) or 0.0
    return (math.inf if rank is None else rank, -chance, str(row["decision_id"]))


def _case_pair_block(row: Row) -> Block:
    """Lay out one case."""
    chance, kind = finite_or_none(row["p_error"]), read_text(row, "error_kind")
    facts = [
        clean_text(v, 40) for c in ("action", "market", "language") if (v := read_text(row, c))
    ]
    case: Block = {
        "i": clean_text(row["decision_id"], 60),
        "f": facts,
        "p": "probability of error unknown"
        if chance is None
        else f"{format_percent(chance)} probability of error",
        "k": ERROR_KIND_WORDS.get(kind, clean_text(kind, 40)),
        "r": [*_read_reasons(row.get("reasons")), *_read_reasons(row.get("against"))[:_EXAMPLES]],
    }
    if "contrast_id" not in row:
        case["s"] = 1  # no search for a similar decision
    if text := read_text(row, "text"):
        case["x"] = clean_text(text, 240)
    words = read_text(row, "contrast")
    if other := read_text(row, "contrast_id"):
        case["o"] = {
            "i": clean_text(other, 60),
            "x": clean_text(read_text(row, "contrast_text"), 240)
            if read_text(row, "contrast_text")
            else "",
            "d": clean_text(words, 300) if words else "",
        }
    elif words:
        case["w"] = clean_text(words, 300)
    return case


def _read_reasons(found: Any) -> list[list[Any]]:
    """Read reasons as [text, 1 where it raises the probability of error, else 0]."""
    if not _is_list(found):
        return []
    return [
        [clean_text(r["text"], 240), int((finite_or_none(r["contribution"]) or 0.0) >= 0)]
        for r in list(found)[:_MAX_REASONS]
    ]


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str)


def brief_blocks(rows: Sequence[Row], most: int) -> list[Block]:
    """Show a policy's briefs, folded: what to change, and the evidence for it.

    Parameters
    ----------
    rows
        `file`, `title`, `text` (Markdown, shown literally).
    most
        How many to show.

    Returns
    -------
    list of Block
        Empty where there is no brief.

    Examples
    --------
    >>> brief_blocks([{"file": "spam.md", "title": "Retrain", "text": "# Retrain"}], 2)[1]
    {'t': 'd', 'x': 'Retrain (spam.md)', 'y': '# Retrain'}
    """
    blocks: list[Block] = [{"t": "h", "x": "Briefs"}] if rows else []
    for row in rows[:most]:
        title = f"{clean_text(row['title'], 160)} ({clean_text(row['file'], 120)})"
        blocks.append(
            {"t": "d", "x": title, "y": escape_hidden(read_text(row, "text")[:_BRIEF_CHARACTERS])}
        )
    if len(rows) > most:
        blocks.append(note_block(f"{format_count(len(rows) - most)} more in the folder “briefs”."))
    return blocks


def threshold_blocks(rows: Sequence[Row], most: int, bars: int, why: str = "") -> list[Block]:
    """Show the effect of other thresholds, per machine.

    Parameters
    ----------
    rows
        The policy's thresholds, see `ReportContent`.
    most
        How many machines (and markets) to show: those with a recommended threshold first, then by
        enforced decisions; ties by name.
    bars
        How many thresholds each table shows, besides the current and the recommended one.
    why
        Why there are none.

    Returns
    -------
    list of Block
        For each a sentence, a chart and a table.

    Examples
    --------
    >>> threshold_blocks([], 2, 9)[0]["x"]
    'The effect of another threshold is not known yet.'
    """
    if not rows:
        how = "It takes the machine’s scores and audited decisions on both sides of the threshold."
        return [missing_block("The effect of another threshold is not known yet.", why or how)]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((read_text(row, "moderator"), read_text(row, "market")), []).append(row)
    ranked = sorted(groups, key=lambda key: _machine_sort_key(key, groups[key]))
    blocks = [block for key in ranked[:most] for block in _machine_blocks(key, groups[key], bars)]
    if len(ranked) > most:
        blocks.append(
            note_block(f"{format_count(len(ranked) - most)} more in the table “thresholds”.")
        )
    return blocks


def _machine_sort_key(
    key: tuple[str, str], rows: Sequence[Row]
) -> tuple[bool, float, tuple[str, str]]:
    enforced = max((finite_or_none(row.get("n_enforced")) or 0.0 for row in rows), default=0.0)
    return (not any(read_flag(row, "recommended") for row in rows), -enforced, key)


def _machine_blocks(key: tuple[str, str], rows: Sequence[Row], bars: int) -> list[Block]:
    """Lay out one machine's what-if."""
    ordered = sorted(
        (row for row in rows if finite_or_none(row["threshold"]) is not None),
        key=lambda row: float(row["threshold"]),
    )
    named = [clean_text(part, 60) for part in key if part]
    name = ", ".join(named) or "All machines"
    told = [row for row in ordered if read_flag(row, "supported") and _harm_estimate(row)]
    if len(told) < 2:
        few = "Too few reviewed decisions lie on either side of it."
        return [missing_block(f"{name}: the effect of another threshold is not known yet.", few)]
    shown = _thin_rows(_rows_near_support(ordered, told), _MAX_POINTS)
    return [
        paragraph_block(f"{name}: {_recommendation_sentence(ordered)}"),
        _threshold_chart(name, shown),
        _threshold_table(name, _thin_rows(told, bars)),
    ]


def _rows_near_support(rows: Sequence[Row], told: Sequence[Row]) -> list[Row]:
    """Keep what reviewed decisions support and a fifth of that width on either side."""
    low, high = float(told[0]["threshold"]), float(told[-1]["threshold"])
    margin = 0.2 * (high - low)
    return [row for row in rows if low - margin <= float(row["threshold"]) <= high + margin]


def _harm_estimate(row: Row) -> IntervalEstimate | None:
    return read_estimate(row, "harm")


def _thin_rows(rows: Sequence[Row], most: int) -> list[Row]:
    """Keep about so many rows evenly, and always the current and the recommended threshold."""
    step = max(1, -(-len(rows) // most))
    return [
        row
        for i, row in enumerate(rows)
        if i % step == 0
        or i == len(rows) - 1
        or read_flag(row, "current")
        or read_flag(row, "recommended")
    ]


def _recommendation_sentence(rows: Sequence[Row]) -> str:
    """Describe the effect of the recommended threshold, or that there is none."""
    now = next((row for row in rows if read_flag(row, "current")), None)
    best = next((row for row in rows if read_flag(row, "recommended")), None)
    bar = (
        f"the threshold is {_format_threshold(now)}"
        if now
        else "the current threshold is not known"
    )
    if best is None or best is now:
        return f"{bar}. No other threshold is shown to do less harm."
    after, before = _harm_estimate(best), _harm_estimate(now) if now else None
    harm = f"expected harm {_harm_text(after)}" if after else "unknown expected harm"
    instead = f" instead of {_harm_text(before)}" if before else ""
    return f"{bar}. A threshold of {_format_threshold(best)} would bring {harm}{instead}."


def _format_threshold(row: Row) -> str:
    return f"{float(row['threshold']):.3f}".rstrip("0").rstrip(".")


def _harm_text(harm: IntervalEstimate) -> str:
    return f"{format_amount(harm.estimate)} (between {format_amount(harm.low)} and {format_amount(harm.high)})"


def _threshold_chart(name: str, rows: Sequence[Row]) -> Block:
    """Position the curve, its band, the supported range and the thresholds, in percent of the chart."""
    xs = [float(row["threshold"]) for row in rows]
    left, width = min(xs), (max(xs) - min(xs)) or 1.0
    told = [_harm_estimate(row) if read_flag(row, "supported") else None for row in rows]
    top = max((harm.high for harm in told if harm), default=1.0) or 1.0

    def across(x: float) -> float:
        return round(100 * (x - left) / width, 1)

    points = [
        [
            across(x),
            *(round(100 - axis_position(v, top), 1) for v in (harm.estimate, harm.low, harm.high)),
        ]
        if harm
        else [across(x)]
        for x, harm in zip(xs, told, strict=True)
    ]
    marks = {
        mark: [across(float(row["threshold"])), _format_threshold(row)]
        for mark, name_ in (("n", "current"), ("g", "recommended"))
        for row in rows
        if read_flag(row, name_)
    }
    return {
        "t": "m",
        "x": f"{name}: expected harm by threshold",
        "p": points,
        "a": [[f"{left + part * width:.2f}", 100 * part] for part in (0, 0.25, 0.5, 0.75, 1)],
        "y": [[format_amount(part * top), 100 - 100 * part] for part in (0, 0.5, 1)],
        **marks,
    }


def _threshold_table(name: str, rows: Sequence[Row]) -> Block:
    """Give the chart's figures, at a few thresholds."""
    columns = [
        table_column("Bar", "number"),
        table_column("Wrongful actions", "number"),
        table_column("Missed violations", "number"),
        table_column("Expected harm", "number"),
        table_column("Enforced", "number"),
        table_column("Decisions near the threshold", "number"),
    ]
    body = [
        [
            {"x": _format_threshold(row), "q": _row_label(row)}
            if _row_label(row)
            else _format_threshold(row),
            _estimate_cell(read_estimate(row, "wrongful")),
            _estimate_cell(read_estimate(row, "missed")),
            _estimate_cell(_harm_estimate(row)),
            _count_cell(row, "n_enforced"),
            _count_cell(row, "n_near_threshold"),
        ]
        for row in rows
    ]
    return table_block(f"{name}: effect of each threshold, with 95\u00a0% intervals", columns, body)


def _row_label(row: Row) -> str:
    if read_flag(row, "recommended"):
        return "recommended"
    return "today" if read_flag(row, "current") else ""


def _estimate_cell(value: IntervalEstimate | None) -> Any:
    """Show an amount with its interval."""
    if value is None:
        return no_estimate_cell("not known")
    return {
        "x": format_amount(value.estimate),
        "q": f"{format_amount(value.low)} to {format_amount(value.high)}",
    }
