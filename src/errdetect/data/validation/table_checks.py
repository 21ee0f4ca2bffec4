"""Checks across the tables: all errors, warnings and facts at once, each with a stable code."""

import datetime as dt
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.policy_catalogue import Policy
from errdetect.data.review_versions import latest_versions
from errdetect.data.row_validation import count_reasons
from errdetect.data.table_reading import TableRead
from errdetect.data.validation.draw_checks import check_draws
from errdetect.data.validation.issues import Issue, Severity, count_noun, sort_issues
from errdetect.data.validation.leakage import check_leakage
from errdetect.data.validation.review_checks import check_reviews

__all__ = ["check_tables"]

_FIRST_DAY = pd.Timestamp("2000-01-01", tz="UTC")
_SAME_DECISION = ("item_id", "decided_at", "policy_id", "moderator")
_OFTEN = 0.05


def check_tables(
    decisions: TableRead,
    reviews: TableRead | None = None,
    policies: Mapping[str, Policy] | None = None,
    *,
    draws: TableRead | None = None,
    now: dt.datetime | None = None,
) -> list[Issue]:
    r"""Check decisions, reviews, draws and policies, each and against each other.

    Parameters
    ----------
    decisions, reviews
        From `read_decisions` and `read_reviews`; None if there are no reviews.
    policies
        The catalogue, where there is one.
    draws
        From `read_draws`; None if there are no draws.
    now
        Time with a zone; later times are in the future. Default: the clock.

    Returns
    -------
    list of Issue
        Errors first, then warnings, then facts; by code within.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from errdetect.data.table_reading import read_decisions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.csv"
    ...     _ = path.write_text(
    ...         "decision_id,decided_at,item_id,policy_id,action,score\n"
    ...         "d1,2026-03-01T12:00Z,i1,spam,remove,0.9\n"
    ...         "d2,2026-03-01T12:00Z,i2,spam,approve,1.9\n"
    ...     )
    ...     findings = check_tables(read_decisions(path))
    >>> findings[0].code, findings[0].message
    ('D001', '1 row of the decisions cannot be used: score must lie in [0, 1].')
    """
    current = None if reviews is None else latest_versions(reviews.frame)
    moment = pd.Timestamp(now or dt.datetime.now(dt.UTC)).tz_convert("UTC")
    frame = decisions.frame
    found: list[Issue] = [
        *_check_reading("D", "decisions", decisions),
        *_check_times("D", "decided_at", frame, moment),
        *_check_decisions(frame),
        *_check_actions(frame),
        *_check_columns(frame),
        *check_leakage(frame, current),
    ]
    if reviews is None:
        message = "There are no reviews, so it is unknown which decisions are wrong."
        found.append(Issue.of("R000", "warning", message, 0))
    else:
        found += _check_reading("R", "reviews", reviews)
        found += _check_times("R", "reviewed_at", reviews.frame, moment)
        found += check_reviews(frame, reviews.frame, decisions.rejects["id"])
    if draws is not None:
        found += _check_reading("A", "draws", draws)
        found += _check_times("A", "drawn_at", draws.frame, moment)
        answers = None if reviews is None else reviews.frame
        found += check_draws(frame, draws.frame, answers, decisions.rejects["id"])
    if policies is not None:
        found += _check_policies(frame, reviews, policies)
    return sort_issues(found)


def _check_reading(letter: str, table: str, read: TableRead) -> Iterator[Issue]:
    """001 rows that cannot be used, 002 copies."""
    reasons = read.rejects["reason"]
    names = read.rejects["id"].fillna("row " + read.rejects["row"].astype(str))
    for reason, count in count_reasons(read.rejects).items():
        rows = names[reasons.str.contains(reason, regex=False)]
        message = f"{count_noun(count, 'row')} of the {table} cannot be used: {reason}."
        yield Issue.of(f"{letter}001", "error", message, count, rows.head())
    if read.n_duplicates:
        message = (
            f"{count_noun(read.n_duplicates, 'row')} of the {table} left out as copies of another."
        )
        yield Issue.of(f"{letter}002", "warning", message, read.n_duplicates)


def _check_times(
    letter: str, column: str, frame: pd.DataFrame, now: pd.Timestamp
) -> Iterator[Issue]:
    """003 implausible times, 004 the range of times."""
    times, ids = frame[column], frame["decision_id" if letter == "A" else frame.columns[0]]
    odd = ids[(times < _FIRST_DAY) | (times > now + pd.Timedelta(days=1))]
    if len(odd):
        message = f"Rows with a {column} before 2000 or in the future: {len(odd):,}."
        yield Issue.of(f"{letter}003", "warning", message, len(odd), odd.head())
    first, last = (time.isoformat(" ", "minutes")[:16] for time in (times.min(), times.max()))
    message = f"{column} runs from {first} to {last} UTC."
    yield Issue.of(f"{letter}004", "info", message, len(times))


def _check_decisions(frame: pd.DataFrame) -> Iterator[Issue]:
    """D006, D007, D009 missing values, D008 the same decision under two ids."""
    ids = frame["decision_id"]
    for code, column, use in (
        ("D006", "score", "their distance from the threshold is unknown"),
        ("D007", "threshold", "their distance from it is unknown"),
        ("D009", "text", "text features are missing for them"),
    ):
        missing = ids[frame[column].isna()] if column in frame else ids
        if not len(missing) or (column == "text" and column not in frame):
            continue
        everywhere = len(missing) == len(ids)
        severity: Severity = "warning" if column == "score" and everywhere else "info"
        message = f"{column} is missing for {len(missing) / len(ids):.1%} of the decisions: {use}."
        yield Issue.of(code, severity, message, len(missing), missing.head())
    key = [name for name in _SAME_DECISION if name in frame]
    again = ids[frame.duplicated(key)]
    if len(again):
        message = (
            f"Decisions with an earlier one's {', '.join(key)} under another id: {len(again):,}. "
            "Were they logged twice?"
        )
        yield Issue.of("D008", "warning", message, len(again), again.head())


def _check_actions(frame: pd.DataFrame) -> Iterator[Issue]:
    """D010 what actions mean, D012 only one meaning occurs, D013 scores against thresholds."""
    enforced = frame["enforced"].to_numpy(dtype=bool)
    for side, meaning in ((False, "allow"), (True, "enforce")):
        actions = frame["action"][enforced == side].value_counts()
        if not len(actions):
            message = f"No decision's action means {meaning}: errors of one kind cannot be found."
            yield Issue.of("D012", "warning", message, len(frame))
            continue
        named = ", ".join(f"{_shorten_value(name)} ({n:,})" for name, n in actions.head(10).items())
        more = ", ..." if len(actions) > 10 else ""
        message = f"These actions mean {meaning}: {named}{more}."
        yield Issue.of("D010", "info", message, int(actions.sum()))
    if "score" in frame and "threshold" in frame:
        yield from _check_thresholds(frame, enforced)


def _check_thresholds(frame: pd.DataFrame, enforced: npt.NDArray[np.bool_]) -> Iterator[Issue]:
    """D013: an action other than score and threshold imply; at the threshold both are valid."""
    above = (frame["score"] - frame["threshold"]).to_numpy()
    off = ((above > 0) & ~enforced) | ((above < 0) & enforced)
    count, known = int(off.sum()), int(np.sum(~np.isnan(above)))
    if count:
        message = (
            f"{count_noun(count, 'decision')} ({count / known:.1%} of those with score and threshold) "
            "took another action than score and threshold imply."
        )
        severity: Severity = "warning" if count / known > _OFTEN else "info"
        yield Issue.of("D013", severity, message, count, frame["decision_id"][off].head())


def _check_columns(frame: pd.DataFrame) -> Iterator[Issue]:
    """D014 columns with fewer than two values."""
    columns = frame.columns.drop("enforced")
    single = [name for name in columns if _is_constant(frame[name])]
    if single:
        message = f"Columns with one value only, which carry no information: {len(single)}."
        yield Issue.of("D014", "info", message, len(single), single)


def _is_constant(values: "pd.Series[float]") -> bool:
    """Return whether there are fewer than two values; most columns show two at once."""
    head = values.head(1000).nunique(dropna=False)
    return head < 2 and values.nunique(dropna=False) < 2


def _check_policies(
    frame: pd.DataFrame, reviews: TableRead | None, policies: Mapping[str, Policy]
) -> Iterator[Issue]:
    """P001 decisions without a catalogue entry, P002 the reverse, P003 corrections without one."""
    counts = frame["policy_id"].value_counts()
    unknown = counts[~counts.index.isin(list(policies))]
    if len(unknown):
        rows = count_noun(int(unknown.sum()), "decision")
        message = (
            f"Policies of decisions that are missing from the catalogue: {len(unknown)} ({rows}). "
            "Their severity is unknown."
        )
        yield Issue.of("P001", "warning", message, len(unknown), unknown.index)
    unused = [name for name in policies if name not in counts.index]
    if unused:
        message = f"Policies of the catalogue without decisions: {len(unused)}."
        yield Issue.of("P002", "info", message, len(unused), unused)
    if reviews is not None:
        given = reviews.frame["correct_policy_id"].dropna().unique()
        strange = [name for name in given if name not in policies]
        if strange:
            message = (
                f"Policies that reviews name as correct but the catalogue lacks: {len(strange)}."
            )
            yield Issue.of("P003", "warning", message, len(strange), strange)


def _shorten_value(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"
