"""Checks across the input tables: all errors, warnings and facts at once, each with a stable code.

A screen finds features that may be known only after the decision, or that are ids.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.policy_catalogue import Policy
from errdetect.data.review_versions import latest_versions
from errdetect.data.row_validation import count_reasons
from errdetect.data.table_reading import TableRead
from errdetect.schemas import ADJUDICATION, AUDIT, DECISIONS, GOLDEN, OVERTURNED, RELABELLED, UPHELD
from errdetect.stats.ranking_metrics import auroc

__all__ = [
    "Issue",
    "Severity",
    "check_draws",
    "check_leakage",
    "check_reviews",
    "check_tables",
    "count_noun",
    "sort_issues",
]

Severity = Literal["error", "warning", "info"]

_GRAVITY: tuple[Severity, ...] = ("error", "warning", "info")
_EXAMPLES = 5
_FIRST_DAY = pd.Timestamp("2000-01-01", tz="UTC")
_SAME_DECISION = ("item_id", "decided_at", "policy_id", "moderator")
_OFTEN = 0.05
_LATER = r"(?:appeal|overturn|revers|reinstat|restor|refund|outcome|verdict|review|resolved)"
_LATER_NAME = re.compile(rf"(?:^|[^a-z]){_LATER}|(?:_after|_later|_post)$")
_ID_NAME = re.compile(r"(?:^|_)(?:id|uuid|guid)$")
_SEPARATES = 0.995
_ENOUGH = 30
_PER_LEVEL = 5
_HARDLY, _OFTEN_REVIEWED = 0.001, 0.05
_MOSTLY = 0.95  # share of values that parse as times above which a column holds times
#: Relative difference of two inclusion probabilities that writing as text may explain.
_ROUNDING = 1e-6
_KEY = ["decision_id", "inclusion_probability"]
_ISO_DAY = r"^\d{4}-\d{2}-\d{2}"
#: 2000-01-01 and 2100-01-01 in epoch seconds, and the units of epoch numbers in seconds.
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
_UNITS = (1, 10**3, 10**6, 10**9)


@dataclass(frozen=True)
class Issue:
    """What a check found.

    Parameters
    ----------
    code
        Stable: `C...` for the config, `D...` for decisions, `R...` for reviews, `A...` for audit
        draws, `P...` for policies.
    severity
        `error`: rows or estimates are lost until it is fixed; `warning`: check it; `info`.
    table
        `config`, `decisions`, `reviews`, `draws` or `policies`.
    message
        A plain sentence.
    count
        Number of rows, columns or policies affected.
    examples
        Up to five of their ids or names.
    advice
        The line of config that fixes it, where there is one.
    """

    code: str
    severity: Severity
    table: str
    message: str
    count: int
    examples: tuple[str, ...] = ()
    advice: str = ""

    @classmethod
    def of(
        cls,
        code: str,
        severity: Severity,
        message: str,
        count: int,
        examples: Iterable[object] = (),
    ) -> Self:
        """Build an issue; its table follows from the code, and five examples are kept.

        Examples
        --------
        >>> Issue.of("D013", "info", "One value only.", 1, ["country"]).table
        'decisions'
        """
        tables = {"C": "config", "D": "decisions", "R": "reviews", "A": "draws", "P": "policies"}
        table = tables[code[0]]
        few = tuple(str(example) for example, _ in zip(examples, range(_EXAMPLES), strict=False))
        return cls(code, severity, table, message, count, few)


def sort_issues(findings: Iterable[Issue]) -> list[Issue]:
    """Sort by severity, then code, then the larger count, then message."""
    return sorted(findings, key=lambda f: (_GRAVITY.index(f.severity), f.code, -f.count, f.message))


def count_noun(n: int, noun: str) -> str:
    """Count a noun.

    Examples
    --------
    >>> count_noun(1, "row"), count_noun(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun if n == 1 else noun + 's'}"


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


def check_reviews(
    decisions: pd.DataFrame, reviews: pd.DataFrame, rejected: "pd.Series[str]"
) -> Iterator[Issue]:
    """Check the reviews of these decisions, each in its latest version.

    Parameters
    ----------
    decisions, reviews
        Clean frames.
    rejected
        Ids of decisions that could not be used; their reviews are counted separately.

    Yields
    ------
    Issue
        With codes from R006 on.
    """
    n_rows = len(reviews)
    reviews = latest_versions(reviews)
    place = pd.Index(decisions["decision_id"]).get_indexer(pd.Index(reviews["decision_id"]))
    yield from _check_unknown_decisions(reviews, place, rejected, "R006")
    known = reviews[place >= 0]
    judged = decisions.iloc[place[place >= 0]].reset_index(drop=True)
    early = known["reviewed_at"].to_numpy() < judged["decided_at"].to_numpy()
    what = "Reviews dated before the decision"
    yield from _issue_if_any("R007", "error", known, early, what)
    yield from _check_probabilities(reviews)
    yield from _check_verdicts(reviews)
    same = known["correct_policy_id"].to_numpy() == judged["policy_id"].to_numpy()
    what = "Reviews whose correct_policy_id is the decision's own policy"
    yield from _issue_if_any("R012", "warning", known, same, what)
    yield from _check_reviewer_count(reviews)
    yield from _check_coverage(reviews, judged)
    yield from _check_adjudications(reviews)
    if len(reviews) < n_rows:
        n = n_rows - len(reviews)
        message = f"Rows of reviews corrected by a later row of the same review_id: {n:,}."
        yield Issue.of("R020", "info", f"{message} They count for earlier moments only.", n)


def _issue_if_any(
    code: str, severity: Severity, rows: pd.DataFrame, mask: object, what: str
) -> Iterator[Issue]:
    """Yield an issue if the mask selects any review, or any drawn decision."""
    ids = rows["review_id" if "review_id" in rows else "decision_id"]
    ids = ids[np.asarray(mask, dtype=bool)]
    if len(ids):
        yield Issue.of(code, severity, f"{what}: {len(ids):,}.", len(ids), ids.head())


def _check_unknown_decisions(
    rows: pd.DataFrame, place: npt.NDArray[np.intp], rejected: "pd.Series[str]", code: str
) -> Iterator[Issue]:
    """R006, A006: reviews or draws of missing decisions."""
    strange = rows["decision_id"][place < 0]
    if not len(strange):
        return
    known_bad = int(strange.isin(rejected.dropna()).sum())
    bad = f", {known_bad:,} of them of rejected decisions" if known_bad else ""
    none = len(strange) == len(rows)
    what = "review" if code[0] == "R" else "draw"
    message = f"{what.title()}s of decisions that are missing: {len(strange):,}{bad}."
    if none:
        message += f" No {what} matches any decision: are the ids written differently?"
    yield Issue.of(code, "error" if none else "warning", message, len(strange), strange.head())


def _check_probabilities(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R008 audit reviews without an inclusion probability, R009 decisions with two."""
    audit = reviews[reviews["source"] == AUDIT]
    lacking = audit["inclusion_probability"].isna()
    what = "Audit reviews without inclusion_probability"
    yield from _issue_if_any("R008", "error", audit, lacking, what)
    spread = audit.groupby("decision_id")["inclusion_probability"].agg(["min", "max"])
    two = spread.index[(spread["max"] - spread["min"]) > 1e-9]
    if len(two):
        message = f"Audited decisions with two different inclusion probabilities: {len(two):,}."
        message += " They count as drawn by two audits."
        yield Issue.of("R009", "warning", message, len(two), two[:5])


def _check_verdicts(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R010 and R014 golden items, R011 relabelled to nothing, R013 one class of verdicts."""
    golden = reviews["source"] == GOLDEN
    expected = reviews["expected"].notna()
    what = "Golden reviews without the expected verdict, which measure no reviewer"
    yield from _issue_if_any("R010", "error", reviews, golden & ~expected, what)
    what = "Reviews with an expected verdict that are not golden"
    yield from _issue_if_any("R014", "warning", reviews, ~golden & expected, what)
    bare = (reviews["verdict"] == RELABELLED) & reviews["correct_policy_id"].isna()
    what = "Reviews that relabel without correct_policy_id"
    yield from _issue_if_any("R011", "warning", reviews, bare, what)
    verdicts = reviews["verdict"][~golden]
    wrong = verdicts != UPHELD
    if len(verdicts) and (wrong.all() or not wrong.any()):
        only = "finds the decision wrong" if wrong.all() else "upholds the decision"
        message = f"Every review {only}: a model cannot learn from one class."
        yield Issue.of("R013", "warning", message, len(verdicts))


def _check_reviewer_count(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R015: too few reviewers to estimate their error rates."""
    people = reviews["reviewer_id"].nunique()
    if people == 0:
        message = "No review names its reviewer: reviewers' error rates cannot be estimated."
        yield Issue.of("R015", "info", message, len(reviews))
    elif people == 1:
        message = "One reviewer gave all reviews: their error rate cannot be estimated."
        yield Issue.of("R015", "warning", message, 1, reviews["reviewer_id"].dropna().unique())


def _check_coverage(reviews: pd.DataFrame, judged: pd.DataFrame) -> Iterator[Issue]:
    """R016 no audit, R017 allowed or enforced decisions never reviewed, R018 reviews by source."""
    sources = reviews["source"].value_counts()
    if AUDIT not in sources.index:
        message = "No review comes from an audit: error rates cannot be estimated from the others."
        yield Issue.of("R016", "warning", message, len(reviews))
    for side, name in ((True, "enforced"), (False, "allowed")):
        if len(judged) and not (judged["enforced"] == side).any():
            message = f"No {name} decision was reviewed: errors among them stay unknown."
            yield Issue.of("R017", "warning", message, 0)
    named = ", ".join(f"{source} ({n:,})" for source, n in sources.sort_index().items())
    yield Issue.of("R018", "info", f"Reviews by source: {named}.", len(reviews))


def _check_adjudications(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R019: an expert's verdict on a decision without any other review."""
    adjudication = reviews["source"] == ADJUDICATION
    others = reviews["decision_id"][~adjudication]
    alone = adjudication & ~reviews["decision_id"].isin(others)
    what = "Adjudications of decisions without any other review"
    yield from _issue_if_any("R019", "warning", reviews, alone, what)


def check_leakage(decisions: pd.DataFrame, reviews: pd.DataFrame | None) -> Iterator[Issue]:
    """Screen the features.

    Parameters
    ----------
    decisions
        Clean frame; every column that is not the contract's is a feature.
    reviews
        Clean frame, or None.

    Yields
    ------
    Issue
        D015 names that suggest facts from after the decision; D016 features that alone separate
        overturned from upheld; D017 features that only reviewed decisions have, or that vary for
        these only; D018 ids; D019 times later than the decision.
    """
    contract = {column.name for column in DECISIONS}
    features = [str(name) for name in decisions if name not in contract and name != "enforced"]
    late = [name for name in features if _LATER_NAME.search(_to_snake_case(name))]
    if late:
        message = (
            f"Columns whose names suggest that they are known only after the decision: {len(late)}. "
            "If so, drop them: a model that learns from them fails on new decisions."
        )
        yield Issue.of("D015", "warning", message, len(late), late)
    yield from _check_ids(decisions, features)
    yield from _check_later_times(decisions, features)
    if reviews is not None:
        labels = _review_labels(decisions, reviews)
        for name in features:
            yield from _check_separation(name, decisions[name], labels)
        reviewed = decisions["decision_id"].isin(reviews["decision_id"]).to_numpy()
        yield from _check_review_only_values(decisions, features, reviewed)


def _to_snake_case(name: object) -> str:
    """Write `appealOutcome` as `appeal_outcome`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower()


def _check_ids(decisions: pd.DataFrame, features: list[str]) -> Iterator[Issue]:
    ids = []
    for name in features:
        values = decisions[name]
        text = isinstance(values.dtype, pd.StringDtype)
        known = int(values.notna().sum())
        many = text and known >= 100 and values.nunique() > known / 2
        if many or _ID_NAME.search(_to_snake_case(name)):
            ids.append(name)
    if ids:
        message = (
            f"Columns that are ids, or hold nearly as many values as rows: {len(ids)}. "
            "They identify rows and explain nothing."
        )
        yield Issue.of("D018", "warning", message, len(ids), ids)


def _review_labels(decisions: pd.DataFrame, reviews: pd.DataFrame) -> npt.NDArray[Any]:
    """Label decisions whose reviews agree: 1 overturned, 0 upheld, NaN everything else."""
    counted = reviews[(reviews["source"] != GOLDEN) & reviews["verdict"].isin([OVERTURNED, UPHELD])]
    wrong = (counted["verdict"] == OVERTURNED).astype(float)
    share = wrong.groupby(counted["decision_id"]).mean()
    share = share[(share == 0) | (share == 1)]
    return decisions["decision_id"].map(share).to_numpy(dtype=np.float64)


def _check_separation(
    name: str, values: "pd.Series[float]", labels: npt.NDArray[Any]
) -> Iterator[Issue]:
    known = ~np.isnan(labels)
    wrong = labels[known] == 1
    if min(wrong.sum(), (~wrong).sum()) < _ENOUGH:
        return
    column = values[known]
    orders: list[npt.NDArray[Any]] = [column.isna().to_numpy(dtype=np.float64)]
    if not isinstance(column.dtype, pd.StringDtype):
        orders.append(column.astype(np.float64).fillna(-np.inf).to_numpy())
    elif column.nunique() * _PER_LEVEL <= len(column):
        levels = column.fillna("")
        orders.append(pd.Series(wrong, levels.index).groupby(levels).transform("mean").to_numpy())
    best = max(_best_auroc(order, wrong) for order in orders)
    if best > _SEPARATES:
        message = (
            f"The column {name} alone separates overturned from upheld decisions "
            f"(AUROC {best:.3f}). Possible leak: drop it if the review sets it."
        )
        yield Issue.of("D016", "warning", message, int(known.sum()), [name])


def _best_auroc(values: npt.NDArray[Any], wrong: npt.NDArray[Any]) -> float:
    """Return the AUROC of the better direction, ties counted half (Mann-Whitney)."""
    share = auroc(wrong.astype(np.float64), values)
    return max(share, 1 - share)


def _check_review_only_values(
    decisions: pd.DataFrame, features: list[str], reviewed: npt.NDArray[np.bool_]
) -> Iterator[Issue]:
    if (~reviewed).sum() < _ENOUGH:
        return
    only, vary = [], []
    for name in features:
        known = decisions[name].notna().to_numpy()
        if known[reviewed].sum() >= _ENOUGH and not known[~reviewed].any():
            only.append(name)
        elif _varies_only_if_reviewed(decisions[name], reviewed):
            vary.append(name)
    for found, what in (
        (only, "with values for reviewed decisions only"),
        (
            vary,
            "that hardly vary among unreviewed decisions, but do among reviewed ones",
        ),
    ):
        if found:
            message = f"Columns {what}: {len(found)}. Possible leak: drop what the review sets."
            yield Issue.of("D017", "warning", message, len(found), found)


def _varies_only_if_reviewed(values: "pd.Series[Any]", reviewed: npt.NDArray[np.bool_]) -> bool:
    """Return whether a column has one value, perhaps missing, except for reviewed decisions."""
    codes = pd.factorize(values)[0] + 1
    usual = np.bincount(codes[~reviewed]).argmax()
    other = codes != usual
    often = other[reviewed].sum() >= _ENOUGH and other[reviewed].mean() >= _OFTEN_REVIEWED
    return bool(often and other[~reviewed].mean() <= _HARDLY)


def _check_later_times(decisions: pd.DataFrame, features: list[str]) -> Iterator[Issue]:
    decided = decisions["decided_at"].dt.as_unit("us")
    for name in features:
        times = _parse_times(decisions[name])
        if times is None:
            continue
        later = decisions["decision_id"][times > decided]
        if len(later):
            message = (
                f"The column {name} holds times later than decided_at: {len(later):,}. Possible leak: "
                "drop it and what was recorded with it, unless it was planned before the decision."
            )
            yield Issue.of("D019", "warning", message, len(later), later)


def _parse_times(values: "pd.Series[Any]") -> "pd.Series[pd.Timestamp] | None":
    """Read a column of times, as text or epoch numbers; None if it is not one."""
    known = values.dropna()
    if known.empty or pd.api.types.is_bool_dtype(values.dtype):
        return None
    if isinstance(values.dtype, pd.StringDtype):
        if known.str.contains(_ISO_DAY).mean() < _MOSTLY:
            return None
        times = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
        return times if times[known.index].notna().mean() >= _MOSTLY else None
    for unit in _UNITS:
        seconds = known.astype(np.float64) / unit
        if seconds.between(_FIRST_SECOND, _LAST_SECOND).mean() >= _MOSTLY:
            inside = (values / unit).where((values / unit).between(_FIRST_SECOND, _LAST_SECOND))
            return pd.to_datetime(inside, unit="s", utc=True)
    return None


def check_draws(
    decisions: pd.DataFrame,
    draws: pd.DataFrame,
    reviews: pd.DataFrame | None,
    rejected: "pd.Series[str]",
) -> Iterator[Issue]:
    """Check audit draws against these decisions and reviews.

    Parameters
    ----------
    decisions, draws, reviews
        Clean frames; None if there are no reviews.
    rejected
        Ids of decisions that could not be used; their draws are counted separately.

    Yields
    ------
    Issue
        With codes from A005 on.
    """
    place = pd.Index(decisions["decision_id"]).get_indexer(pd.Index(draws["decision_id"]))
    known = draws[place >= 0]
    decided = decisions["decided_at"].iloc[place[place >= 0]]
    early = _micros(known["drawn_at"]) < _micros(decided)
    yield from _issue_if_any("A005", "error", known, early, "Draws dated before their decision")
    yield from _check_unknown_decisions(draws, place, rejected, "A006")
    yield from _check_moments(draws)
    if reviews is not None:
        yield from _check_audit_reviews(draws, latest_versions(reviews))
    n = draws["draw_id"].nunique()
    again = int(draws["decision_id"].duplicated().sum())
    message = f"Decisions drawn: {len(draws) - again:,}, in draws: {n:,}"
    message += f"; drawn more than once: {again:,}." if again else "."
    yield Issue.of("A010", "info", message, len(draws), draws["draw_id"].unique())


def _check_moments(draws: pd.DataFrame) -> Iterator[Issue]:
    """A009: one draw_id for several draws, or reviews due before the draw."""
    moments = draws.groupby("draw_id")["drawn_at"].nunique()
    several = moments.index[moments > 1]
    if len(several):
        message = (
            f"Draws whose rows have several drawn_at: {len(several):,}. Are these several draws?"
        )
        yield Issue.of("A009", "warning", message, len(several), several)
    late = (draws["due_at"] < draws["drawn_at"]).to_numpy(bool)
    yield from _issue_if_any("A009", "error", draws, late, "Draws due before they were drawn")


def _check_audit_reviews(draws: pd.DataFrame, reviews: pd.DataFrame) -> Iterator[Issue]:
    """A007 audit reviews of decisions never drawn, A008 with another probability than the draw's."""
    audit = reviews[(reviews["source"] == AUDIT).to_numpy(bool)]
    drawn = audit["decision_id"].isin(draws["decision_id"]).to_numpy(bool)
    never = audit[~drawn]
    if len(never):
        before = int((never["reviewed_at"] < draws["drawn_at"].min()).sum())
        among = f", {before:,} of them from before the first draw" if before else ""
        message = f"Audit reviews of decisions that no draw holds: {len(never):,}{among}."
        yield Issue.of("A007", "warning", message, len(never), never["decision_id"].head())
    stated = audit[drawn & audit["inclusion_probability"].notna().to_numpy(bool)]
    pairs = (
        stated[_KEY]
        .reset_index(names="review")
        .merge(draws[_KEY], on="decision_id", suffixes=("", "_drawn"))
    )
    same = np.isclose(pairs["inclusion_probability"], pairs["inclusion_probability_drawn"],
                      rtol=_ROUNDING, atol=0)  # fmt: skip
    other = ~stated.index.isin(pairs["review"][same])
    what = "Audit reviews with another inclusion_probability than their decision's draw"
    yield from _issue_if_any("A008", "error", stated, other, what)


def _micros(times: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    return np.asarray(times.dt.as_unit("us").astype("int64"), np.int64)
