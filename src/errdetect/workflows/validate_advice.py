"""The line of config that fixes each problem that `validate` finds."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from errdetect.data.table_reading import TableRead
from errdetect.schemas import DECISIONS, DRAWS, REVIEWS, ColumnSpec
from errdetect.validation import Issue
from errdetect.workflows.config_text import quote

__all__ = ["ISSUE_MEANINGS", "advice_by_code", "advise", "unknown_words"]

#: What each code is about, for the reference (docs/reference/codes.md). D decisions, R reviews, A draws of audits,
#: P the policy catalogue, C the config.
ISSUE_MEANINGS: Mapping[str, str] = {
    "C001": "a fault of the config",
    **{
        f"{letter}{number}": text.format(table=table)
        for letter, table in (("D", "decisions"), ("R", "reviews"), ("A", "draws"))
        for number, text in (
            ("001", "rows of the {table} that cannot be used, by reason"),
            ("002", "rows of the {table} left out as copies"),
            ("003", "times of the {table} before 2000 or in the future"),
            ("004", "the range of times of the {table}"),
        )
    },
    "D006": "decisions without a score",
    "D007": "decisions without a threshold",
    "D008": "decisions that stand under two ids",
    "D009": "decisions without a text",
    "D010": "which actions allow and which enforce",
    "D012": "a log that only enforces, or only allows",
    "D013": "actions that do not follow from score and threshold",
    "D014": "columns with fewer than two values",
    "D015": "columns whose names tell of facts from after the decision",
    "D016": "a column that alone separates overturned from upheld decisions",
    "D017": "columns that only reviewed decisions have, or that vary for these only",
    "D018": "columns that are ids: they explain nothing",
    "D019": "columns of times later than the decision",
    "D020": "too large a share of the decisions cannot be used",
    "D021": "the decisions cannot be read",
    "R000": "there are no reviews",
    "R006": "reviews of decisions that the log lacks",
    "R007": "reviews dated before their decision",
    "R008": "audit reviews without an inclusion probability",
    "R009": "decisions whose audit reviews have two inclusion probabilities",
    "R010": "golden reviews without the expected answer",
    "R011": "relabelled reviews without the correct policy",
    "R012": "reviews whose correct policy is the decision's own",
    "R013": "verdicts of one kind only",
    "R014": "reviews with an expected answer that are not golden",
    "R015": "too few reviewers to estimate how often they err",
    "R016": "no audit: no error rate can be estimated",
    "R017": "allowed or enforced decisions that were never reviewed",
    "R018": "how many reviews come from which source",
    "R019": "adjudications of decisions that no one else reviewed",
    "R020": "reviews that a later row of the same review_id corrects",
    "R021": "too many drawn decisions are lost for an estimate",
    "R022": "words of the reviews without a meaning",
    "R023": "the reviews cannot be read",
    "A005": "draws dated before their decision",
    "A006": "draws of decisions that the log lacks",
    "A007": "audit reviews of decisions that no draw holds",
    "A008": "audit reviews with another inclusion probability than the draw's",
    "A009": "one draw_id with several moments, or draws due before they were drawn",
    "A010": "how many decisions were drawn, in how many draws",
    "A011": "words of the draws without a meaning",
    "A012": "the draws cannot be read",
    "P001": "decisions under policies that the catalogue lacks",
    "P002": "policies of the catalogue without decisions",
    "P003": "corrections to policies that the catalogue lacks",
    "P004": "the policy catalogue cannot be read",
}
#: A stable code of an issue -> what to write, or what it means.
_BY_CODE: Mapping[str, str] = {
    "D010": "another meaning? data: {actions: {WORD: allow}} or enforce",
    "D012": "if a word means the other: data: {actions: {WORD: allow}}. If the log holds enforcements only, "
    "take the allowed decisions in too: what was missed cannot be found without them",
    "D015": "data: {drop: [COLUMN]}",
    "D016": "data: {drop: [COLUMN]}",
    "D017": "data: {drop: [COLUMN]}",
    "D018": "features: {leave_out: [COLUMN]}",
    "D019": "data: {drop: [COLUMN]}",
    "R000": "data: {reviews: FILE}, or `errdetect ingest CONFIG --reviews FILE`",
    "R006": "data: {reviews: {path: FILE, columns: {YOUR_COLUMN: decision_id}}}, where another column holds the ids",
    "R007": "data: {reviews: {path: FILE, time_zone: Europe/Berlin}}, where one of the tables has local times",
    "R008": "the inclusion probability is the chance with which the audit's design drew the decision. For a random "
    "tenth: data: {reviews: {path: FILE, constants: {inclusion_probability: 0.1}}}. Reviews that no one sampled, such "
    "as a queue's or a quality check's, are no audit: constants: {source: re_review}, or values: {source: {audit: "
    "re_review}} where a column says audit",
    "R010": "data: {reviews: {path: FILE, columns: {YOUR_COLUMN: expected}}}",
    "R011": "data: {reviews: {path: FILE, columns: {YOUR_COLUMN: correct_policy_id}}}",
    "R013": "where a word is mapped wrongly: data: {reviews: {path: FILE, values: {verdict: {WORD: overturned}}}}",
    "R015": "data: {reviews: {path: FILE, columns: {YOUR_COLUMN: reviewer_id}}}",
    "R016": "`errdetect plan-audit CONFIG --out audit --budget 300` draws one",
    "A006": "data: {draws: {path: FILE, columns: {YOUR_COLUMN: decision_id}}}",
    "P001": "add them to the catalogue that data: {policies: FILE} names",
}
#: What a reason says -> the keys of the table's entry that fix it.
_BY_REASON = (
    (r"day and month are ambiguous", "dates: day_first, or month_first"),
    (r"century is ambiguous", "dates: day_first, or month_first (years are then of this century)"),
    (r"spreadsheet's day number", "dates: day_numbers"),
    (r"abbreviations of zones", "write an offset such as +01:00"),
    (r"unambiguous number", 'decimal: ",", or decimal: "."'),
    (
        r"(score|threshold|inclusion_probability) must lie in",
        r"scale: {\1: 100}, where it is in per cent",
    ),
    (r"action must be a known action word", "actions: {WORD: enforce} under data, or allow"),
    (r"(verdict|source|expected) must be one of", r"values: {\1: {YOUR_WORD: OURS}}"),
    (r"must have the columns ([\w, ]+?), got", r"columns: {YOUR_COLUMN: OURS} for each of \1"),
    (r"(policy_id|source) must have a value", r"constants: {\1: VALUE}, where no column tells"),
    (r"hold one sheet with a table", "sheet: NAME"),
)


def advice_by_code(code: str) -> str:
    """Return what fixes every issue of a code; empty where that depends on its reason.

    Examples
    --------
    >>> advice_by_code("R016")
    '`errdetect plan-audit CONFIG --out audit --budget 300` draws one'
    """
    return _BY_CODE.get(code, "")


def advise(issue: Issue) -> str:
    """Return the line of config that fixes an issue; empty where there is none.

    Examples
    --------
    >>> reason = "2 rows of the reviews cannot be used: reviewed_at must begin with the year "
    >>> reason += "(otherwise day and month are ambiguous)."
    >>> advise(Issue.of("R001", "error", reason, 2))
    'data: {reviews: {path: FILE, dates: day_first, or month_first}}'
    """
    lines = []
    for pattern, put in _BY_REASON:
        if found := re.search(pattern, issue.message):
            text = found.expand(put)
            elsewhere = any(
                part in text for part in ("under data", "save the sheet", "write an offset")
            )
            lines.append(text if elsewhere else f"data: {{{issue.table}: {{path: FILE, {text}}}}}")
    return "; ".join(lines) or _BY_CODE.get(issue.code, "")


def unknown_words(read: TableRead | None, table: str) -> Iterable[Issue]:
    """Yield the words of a table that have no meaning, with counts and the lines that map them.

    Parameters
    ----------
    read
        The table as read; None where there is none.
    table
        `decisions`, `reviews` or `draws`.
    """
    if read is None:
        return
    schema: Iterable[ColumnSpec] = {"decisions": DECISIONS, "reviews": REVIEWS}.get(table, DRAWS)
    for column in schema:
        if not column.choices or column.name not in read.rejected:
            continue
        given = read.rejected[column.name].dropna()
        words = Counter(given[~given.isin(column.choices)].astype(str))
        if words:
            named = ", ".join(f"{quote(word[:40])} ({n:,})" for word, n in words.most_common(10))
            lines = ", ".join(
                f"{quote(word[:40])}: {'|'.join(column.choices)}"
                for word, _ in words.most_common(3)
            )
            message = (
                f"Words of {column.name} without a meaning: {named}. Map each: "
                f"data: {{{table}: {{path: FILE, values: {{{column.name}: {{{lines}}}}}}}}}"
            )
            code = "R022" if table == "reviews" else "A011"
            yield Issue.of(code, "info", message, sum(words.values()), list(words))
