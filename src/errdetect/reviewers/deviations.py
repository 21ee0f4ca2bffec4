"""Reviewers and sites whose verdicts depart from the others' on comparable decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, logsumexp

from errdetect.labels.review_history import CORRECTED, NOT_YET_KNOWN
from errdetect.reviewers.expected_flags import ExpectedFlags, fit_expected_flags, read_votes
from errdetect.schemas import GOLDEN, UPHELD
from errdetect.stats.group_sums import sum_by_group

__all__ = [
    "AT_RANDOM",
    "E_THRESHOLD",
    "REVERSED",
    "REVIEWER",
    "SITE",
    "SITE_POLICY",
    "TOO_FEW",
    "TOO_MANY",
    "Deviations",
    "find_deviations",
    "golden_outside_log",
    "leaning_share",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

REVERSED: Final = "reversed"
TOO_FEW: Final = "too few flags"
TOO_MANY: Final = "too many flags"
AT_RANDOM: Final = "unrelated to the content"

REVIEWER: Final = "reviewer"
SITE: Final = "site"
SITE_POLICY: Final = "site and policy"

#: Evidence (e-value) from which somebody is named. By Ville's inequality an honest reviewer's
#: e-value ever reaches it with a probability of at most 1 in 200, however often one looks.
E_THRESHOLD = 200.0
#: Verdicts below which nobody is named.
MIN_VERDICTS = 10
#: Odds that a reviewer goes wrong, before the evidence: how soon a verdict loses weight for others.
PRIOR_ODDS = 1 / 10
#: Share of the evidence that is for answers no better than chance, from which verdicts are useless.
SURELY_USELESS = 0.95
#: Days between the possible starts of a deviation, and the number of starts besides the first review.
START_DAYS, STARTS = 30, 11
#: Log-odds that honest reviewers may be worse than typical: at least, at most, and in spreads.
LEAST_SLACK, MOST_SLACK, SLACK_SPREADS = 1.3, 2.5, 2.5

_BETTER = 5.0  # log-odds that honest reviewers may be better than typical
_GRID, _ZOOM, _ZOOMS = 9, 5, 3
_PROMISING = np.log(10.0)  # evidence against the typical reviewer that is worth a search
_TYPICAL_SPREAD = 20  # reviewers that the typical spread between honest ones is worth
_PASSES = 4
_SUSPICIOUS = 5.0  # e-value from which the typical answers are measured again without somebody
_COLUMNS = (
    "level", "site", "reviewer_id", "policy_id", "kind", "seen", "expected", "n", "e_value",
    "since", "named", "useless",
)  # fmt: skip


@dataclass(frozen=True)
class Deviations:
    """Who departs from the others, with the evidence.

    Parameters
    ----------
    table
        One row per reviewer, site, and site and policy with enough verdicts: level (`reviewer`,
        `site`, `site and policy`), site, reviewer_id, policy_id (missing where not of the level),
        kind (the likeliest deviation), seen and expected (flags), n (verdicts), e_value (below 10 an
        upper bound), since (the first verdict of the stretch that departs), named (whether the
        e-value suffices), useless (whether the verdicts are surely no better than chance). Personal
        data: publish `reviewer_id` only as a pseudonym.
    """

    table: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({name: [] for name in _COLUMNS})
    )

    @property
    def named(self) -> pd.DataFrame:
        """The rows of those who are named, strongest evidence first."""
        rows = self.table[self.table["named"].astype(bool)]
        return rows.sort_values("e_value", ascending=False, kind="stable", ignore_index=True)

    def covers(self, reviews: pd.DataFrame, *, useless: bool = False) -> Bools:
        """Return which reviews are by a reviewer or site that is named, shape (n_reviews,).

        Parameters
        ----------
        reviews
            With `reviewer_id` and `site`.
        useless
            Only those whose verdicts are surely no better than chance.
        """
        rows = self.named
        if useless:
            rows = rows[rows["useless"].astype(bool)]
        people = rows.loc[rows["level"] == REVIEWER, "reviewer_id"]
        sites = rows.loc[rows["level"] == SITE, "site"]
        covered = reviews["reviewer_id"].isin(people) | reviews["site"].isin(sites)
        return covered.to_numpy(dtype=bool)


def find_deviations(
    verdicts: pd.DataFrame, decisions: pd.DataFrame, p_error: Floats | None = None
) -> Deviations:
    """Compare everybody's verdicts with what others would say of the same decisions.

    Each verdict has an expected probability of a flag, from P(error), the known answer of golden
    and adjudicated items, the other verdicts on the same decision, and how often others flag
    decisions of its policy, side, source and month. The evidence is an e-value: the likelihood of
    the verdicts if the reviewer answers the reverse, always the same, at random, or with many
    more misses or false positives, over the greatest likelihood of any honest reviewer. Honest
    reviewers differ; their spread is measured and granted to everybody. So few verdicts are little
    evidence, and looking every day names no more honest reviewers than looking once.

    Parameters
    ----------
    verdicts
        From `content_verdicts`, and from `golden_outside_log` where there are any.
    decisions
        The decisions that the verdicts' positions index; `market` and `language` are used where
        they exist.
    p_error
        P(error) of each decision, not fitted on its own reviews, shape (n_decisions,); None for
        none.

    Returns
    -------
    Deviations

    References
    ----------
    Wasserman, Ramdas and Balakrishnan (2020), Universal inference, PNAS 117, 16880-16890; Shin,
    Ramdas and Rinaldo (2024), E-detectors, for the mixture over possible starts.

    Examples
    --------
    >>> from errdetect.snapshot import Snapshot
    >>> day = pd.Timestamp("2026-01-01", tz="UTC")
    >>> ids = [f"d{i}" for i in range(400)]
    >>> decisions = pd.DataFrame({"decision_id": ids, "decided_at": day, "policy_id": "spam",
    ...                           "enforced": True})
    >>> wrong = [i % 10 == 0 for i in range(400)]
    >>> reviews = pd.DataFrame({
    ...     "review_id": ids, "decision_id": ids, "reviewed_at": day, "source": "audit",
    ...     "reviewer_id": [f"r{i // 40}" for i in range(400)], "inclusion_probability": 0.1,
    ...     "verdict": ["overturned" if w != (i < 40) else "upheld" for i, w in enumerate(wrong)]})
    >>> found = find_deviations(Snapshot(decisions, reviews).verdicts, decisions).named
    >>> found[["reviewer_id", "seen", "n"]].values.tolist()
    [['r0', 36.0, 40]]
    """
    verdicts = verdicts.reset_index(drop=True)
    votes = read_votes(verdicts, decisions, p_error)
    if not len(votes):
        return Deviations()
    people = _group_votes(verdicts, ["reviewer_id"])
    sites = _group_votes(verdicts, ["site"])
    both = _group_votes(verdicts, ["site", "policy_id"])
    sound, found = np.ones(len(votes)), {}
    for _ in range(_PASSES):
        expected = fit_expected_flags(votes, sound)
        slack = _honest_slack(expected, people, sound)
        found = _all_levels(expected, people, sites, both, slack)
        odds = np.maximum(
            *(_by_vote(found[level], who) for level, who in ((REVIEWER, people), (SITE, sites)))
        )
        if odds.max() < _SUSPICIOUS:
            break
        sound = 1 / (1 + PRIOR_ODDS * odds)
    return Deviations(pd.concat(list(found.values()), ignore_index=True)[list(_COLUMNS)])


def golden_outside_log(history: pd.DataFrame) -> pd.DataFrame:
    """Return the golden reviews of items that are not in the log, as verdicts.

    Parameters
    ----------
    history
        The review history; see `build_review_history`.

    Returns
    -------
    pandas.DataFrame
        The columns of `content_verdicts` that `find_deviations` uses; position is negative, one
        number per item.

    Examples
    --------
    >>> history = pd.DataFrame({"decision_id": ["g"], "source": "golden", "expected": "overturned",
    ...     "verdict": "upheld", "standing": "unknown decision", "position": -1, "site": "Riga",
    ...     "reviewer_id": "ann", "known_at": pd.to_datetime(["2026-01-01"], utc=True)})
    >>> golden_outside_log(history)[["position", "flags", "true_error"]].values.tolist()
    [[-1, False, 1.0]]
    """
    own = (history["source"] == GOLDEN) & history["expected"].notna() & (history["position"] < 0)
    own &= ~history["standing"].isin([NOT_YET_KNOWN, CORRECTED])
    items = history[own.to_numpy(dtype=bool)]
    return pd.DataFrame(
        {
            "position": -1 - pd.factorize(items["decision_id"])[0].astype(np.int64),
            "known_at": items["known_at"].array,
            "source": items["source"].array,
            "site": items["site"].array,
            "reviewer_id": items["reviewer_id"].array,
            "policy_id": pd.array([None] * len(items), dtype="str"),
            "enforced": False,
            "flags": (items["verdict"] != UPHELD).to_numpy(dtype=bool),
            "true_error": (items["expected"] != UPHELD).to_numpy(dtype=np.float64),
        }
    )


def leaning_share(
    position: Ints, weight: Floats, covered: Bools, domain: Ints, size: int
) -> Floats:
    """Return the share of each domain's weighted verdicts that named reviewers gave.

    Parameters
    ----------
    position
        Row of the decision of each audit verdict, shape (n_verdicts,).
    weight
        1/inclusion probability of each verdict's decision, shape (n_verdicts,).
    covered
        Which verdicts are by those who are named, from `Deviations.covers`, shape (n_verdicts,).
    domain
        Cell of each decision, -1 for those in none, shape (n_decisions,).
    size
        Number of cells.

    Returns
    -------
    numpy.ndarray
        Shape (size,); 0 for a domain without verdicts.

    Examples
    --------
    >>> leaning_share(np.array([0, 0, 1]), np.ones(3), np.array([True, False, False]), np.array([0, 0]), 1)
    array([0.25])
    """
    _, draw, count = np.unique(position, return_inverse=True, return_counts=True)
    each = weight / count[draw]
    at = domain[position]
    inside = at >= 0
    total = np.bincount(at[inside], each[inside], size)
    theirs = np.bincount(at[inside & covered], each[inside & covered], size)
    return np.asarray(theirs / np.where(total > 0, total, 1.0), dtype=np.float64)


@dataclass(frozen=True)
class _Groups:
    """Who gave each verdict.

    Parameters
    ----------
    of
        Group of each verdict, -1 for none, shape (n_votes,).
    names
        The groups' site, reviewer_id and policy_id; missing where not part of the group.
    """

    of: Ints
    names: pd.DataFrame


def _group_votes(verdicts: pd.DataFrame, keys: list[str]) -> _Groups:
    """Group the verdicts; those without a name belong to no group."""
    known = verdicts[keys].notna().all(axis=1).to_numpy(dtype=bool)
    own = verdicts.loc[known, ["site", "reviewer_id", "policy_id"]].astype("object")
    code = own.groupby(keys, sort=True).ngroup().to_numpy(dtype=np.int64)
    of = np.full(len(verdicts), -1, dtype=np.int64)
    of[known] = code
    # A reviewer of several sites is listed at the first one.
    names = own.assign(code=code).drop_duplicates("code").sort_values("code", ignore_index=True)
    absent = [name for name in ("reviewer_id", "policy_id") if name not in keys]
    return _Groups(of, names.drop(columns="code").assign(**dict.fromkeys(absent)))


def _by_vote(rows: pd.DataFrame, groups: _Groups) -> Floats:
    """Return the e-value of whoever gave each verdict; 1 where nobody is known."""
    value = np.append(rows["e_value"].to_numpy(dtype=np.float64), 1.0)
    return value[groups.of]


def _honest_slack(expected: ExpectedFlags, people: _Groups, sound: Floats) -> tuple[float, float]:
    """Return how far honest reviewers' log-odds of finds and of false positives may be worse than typical.

    The spread is that of standardised flag counts beyond chance, measured by their median, which a
    few reviewers who go wrong do not move; with few reviewers it leans on the typical one.
    """
    slack = []
    for chosen in (expected.error > 0.7, expected.error < 0.3):
        rows = np.flatnonzero(chosen & (people.of >= 0))
        who, n = people.of[rows], len(people.names)
        flag = expected.flag[rows]
        gap = sum_by_group(who, sound[rows] * (expected.votes.flags[rows] - flag), n)
        variance = sum_by_group(who, sound[rows] * flag * (1 - flag), n)
        enough = variance >= 0.5
        between, count = 0.0, int(enough.sum())
        if count:
            z = gap[enough] / np.sqrt(variance[enough])
            spread = 1.4826 * float(np.median(np.abs(z - np.median(z))))
            between = max(spread**2 - 1, 0.0) / float(np.median(variance[enough]))
        typical = (LEAST_SLACK / SLACK_SPREADS) ** 2
        between = (count * between + _TYPICAL_SPREAD * typical) / (count + _TYPICAL_SPREAD)
        slack.append(float(np.clip(SLACK_SPREADS * between**0.5, LEAST_SLACK, MOST_SLACK)))
    return slack[0], slack[1]


def _all_levels(
    expected: ExpectedFlags, people: _Groups, sites: _Groups, both: _Groups,
    slack: tuple[float, float],
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """Return the evidence on reviewers, then on sites without them, then on policies of the rest.

    A site of which two or more and half of the reviewers are named is measured by all its verdicts.
    """
    every = np.ones(len(expected.votes), dtype=bool)
    first = _evidence(expected, people, every, slack).assign(level=REVIEWER)
    by_person = _named_votes(first, people)
    mostly = np.append(_mostly_named(first, people, sites), False)[sites.of]
    second = _evidence(expected, sites, ~by_person | mostly, slack).assign(level=SITE)
    rest = ~by_person & ~_named_votes(second, sites)
    third = _evidence(expected, both, rest, slack).assign(level=SITE_POLICY)
    # A site has one chance of being named, shared by its policies.
    tried = third["n"] >= MIN_VERDICTS
    shared = tried.groupby(third["site"]).transform("sum").clip(lower=1)
    value = third["e_value"] / shared
    third = third.assign(e_value=value, named=third["named"] & (value >= E_THRESHOLD))
    return {REVIEWER: first, SITE: second, SITE_POLICY: third}


def _mostly_named(rows: pd.DataFrame, people: _Groups, sites: _Groups) -> Bools:
    """Return the sites of which at least two and at least half of the reviewers are named."""
    known = (people.of >= 0) & (sites.of >= 0)
    pairs = np.unique(np.stack([sites.of[known], people.of[known]]), axis=1)
    enough = rows["n"].to_numpy()[pairs[1]] >= MIN_VERDICTS
    named = rows["named"].to_numpy(dtype=bool)[pairs[1]]
    n = len(sites.names)
    count = np.bincount(pairs[0][named], minlength=n)
    return np.asarray((count >= 2) & (2 * count >= np.bincount(pairs[0][enough], minlength=n)))


def _named_votes(rows: pd.DataFrame, groups: _Groups) -> Bools:
    """Return which verdicts are by those who are named."""
    return np.append(rows["named"].to_numpy(dtype=bool), False)[groups.of]


def _evidence(
    expected: ExpectedFlags, groups: _Groups, kept: Bools, slack: tuple[float, float]
) -> pd.DataFrame:
    """Return each group's e-value, likeliest deviation, and flags seen and expected."""
    n = len(groups.names)
    rows = np.flatnonzero(kept & (groups.of >= 0))
    # Verdicts of one group on one item share its difficulty: the first counts.
    order = rows[
        np.lexsort((expected.votes.when[rows], expected.votes.unit[rows], groups.of[rows]))
    ]
    pair = np.stack([groups.of[order], expected.votes.unit[order]])
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (np.diff(pair, axis=1) != 0).any(axis=0)
    rows = np.sort(order[fresh])
    who = groups.of[rows]
    kinds = _deviating_rates(expected, rows)
    typical = sum_by_group(
        who, expected.log_likelihood(expected.found[rows], expected.false_positive[rows], rows), n
    )
    parts = np.stack([
        sum_by_group(who, expected.log_likelihood(found, wrongly, rows), n)
        for found, wrongly in kinds.values()
    ])  # fmt: skip
    parts = parts + _LOG_WEIGHTS[:, None]
    log_e = logsumexp(parts, axis=0) - typical
    best = np.array([key[0] for key in kinds], dtype=object)[parts.argmax(axis=0)]
    useless, since = np.zeros(n, dtype=bool), np.full(n, np.datetime64("NaT", "us"))
    np.minimum.at(since, who, expected.votes.when[rows])
    count = np.bincount(who, minlength=n)
    promising = np.flatnonzero(_most_evidence(expected, rows, who, n) > _PROMISING)
    for group in promising[count[promising] >= MIN_VERDICTS]:
        own = rows[who == group]
        log_e[group], best[group], useless[group], since[group] = _search(expected, own, slack)
    n_flags = sum_by_group(who, expected.votes.flags[rows], n)
    value = np.exp(np.clip(log_e, -50.0, 200.0))
    return groups.names.assign(
        kind=pd.array(best, dtype="str"),
        seen=n_flags,
        expected=sum_by_group(who, expected.flag[rows], n),
        n=count,
        e_value=value,
        since=pd.to_datetime(since, utc=True),
        named=(value >= E_THRESHOLD) & (count >= MIN_VERDICTS),
        useless=useless,
    )


#: The deviations looked for, each with its weight: (kind, no better than chance, number).
_Key = tuple[str, bool, int]
_WEIGHTS: Final[Mapping[_Key, float]] = {
    (REVERSED, True, 0): 0.25,
    (TOO_FEW, True, 0): 0.3,
    (TOO_MANY, True, 0): 0.1,
    (AT_RANDOM, True, 0): 0.05,
    (AT_RANDOM, True, 1): 0.1,
    (TOO_FEW, False, 0): 0.05,
    (TOO_FEW, False, 1): 0.05,
    (TOO_MANY, False, 0): 0.05,
    (TOO_MANY, False, 1): 0.05,
}
_LOG_WEIGHTS = np.log(list(_WEIGHTS.values()))
#: Weight of a deviation from the first verdict on; the later starts share the rest.
_FROM_FIRST = 0.7


def _deviating_rates(expected: ExpectedFlags, rows: Ints) -> Mapping[_Key, tuple[Floats, Floats]]:
    """Return P(flag) of an error and of a correct decision under each of `_WEIGHTS`, in its order."""
    found, wrongly = expected.found[rows], expected.false_positive[rows]
    one = np.ones(len(rows))
    typical = float(expected.flag.mean())
    fewer = expit(logit(found) - 2.7), expit(logit(found) - 3.7)
    more = expit(logit(wrongly) + 2.5), expit(logit(wrongly) + 3.3)
    return {
        (REVERSED, True, 0): (1 - found, 1 - wrongly),
        (TOO_FEW, True, 0): (0.01 * one, 0.01 * one),
        (TOO_MANY, True, 0): (0.97 * one, 0.97 * one),
        (AT_RANDOM, True, 0): (0.5 * one, 0.5 * one),
        (AT_RANDOM, True, 1): (typical * one, typical * one),
        (TOO_FEW, False, 0): (fewer[0], wrongly),
        (TOO_FEW, False, 1): (fewer[1], wrongly),
        (TOO_MANY, False, 0): (found, more[0]),
        (TOO_MANY, False, 1): (found, more[1]),
    }


def _most_evidence(expected: ExpectedFlags, rows: Ints, who: Ints, n: int) -> Floats:
    """Return the greatest evidence of any stretch up to now, against the typical reviewer."""
    typical = expected.log_likelihood(expected.found[rows], expected.false_positive[rows], rows)
    most = np.full(n, -np.inf)
    for found, wrongly in _deviating_rates(expected, rows).values():
        gain = expected.log_likelihood(found, wrongly, rows) - typical
        for start in _starts(expected.votes.when):
            recent = expected.votes.when[rows] >= start
            most = np.maximum(most, sum_by_group(who[recent], gain[recent], n))
    return most


def _starts(when: npt.NDArray[np.datetime64]) -> list[np.datetime64]:
    """Return the moments from which a deviation may have started, the first verdict first."""
    step = np.timedelta64(START_DAYS, "D")
    last, first = when.max(), when.min()
    later = [last - step * k for k in range(1, STARTS + 1)]
    return [first, *(start for start in later if start > first)]


def _search(
    expected: ExpectedFlags, rows: Ints, slack: tuple[float, float]
) -> tuple[float, str, bool, np.datetime64]:
    """Return one group's log e-value, kind, whether useless, and start, over possible starts."""
    starts = _starts(expected.votes.when)
    when = expected.votes.when[rows]
    terms, keys, shares, firsts = [], [], [], []
    for number, start in enumerate(starts):
        own = rows[when >= start]
        if len(own) < MIN_VERDICTS:
            continue
        kinds = _deviating_rates(expected, own)
        parts = np.array([
            float(expected.log_likelihood(found, wrongly, own).sum())
            for found, wrongly in kinds.values()
        ])  # fmt: skip
        parts = parts + _LOG_WEIGHTS
        total = float(logsumexp(parts))
        weight = np.log(_FROM_FIRST if number == 0 else (1 - _FROM_FIRST) / STARTS)
        terms.append(weight + total - _honest_most(expected, own, slack))
        keys.append(list(kinds)[int(parts.argmax())])
        useless = np.array([key[1] for key in kinds])
        shares.append(float(np.exp(parts[useless] - total).sum()))
        firsts.append(when[when >= start].min())
    top = int(np.argmax(terms))
    return (
        float(logsumexp(terms)), keys[top][0], shares[top] >= SURELY_USELESS, firsts[top]
    )  # fmt: skip


def _honest_most(expected: ExpectedFlags, rows: Ints, slack: tuple[float, float]) -> float:
    """Return the greatest log-likelihood of an honest reviewer: typical, better, or within the slack."""
    found, wrongly = logit(expected.found[rows]), logit(expected.false_positive[rows])
    box = ((-slack[0], _BETTER), (-_BETTER, slack[1]))
    ends = [np.linspace(low, high, _GRID) for low, high in box]
    most = -np.inf
    for _ in range(_ZOOMS + 1):
        value = np.array(
            [
                [
                    float(expected.log_likelihood(expit(found + a), expit(wrongly + b), rows).sum())
                    for b in ends[1]
                ]
                for a in ends[0]
            ]
        )
        most = max(most, float(value.max()))
        top = divmod(int(value.argmax()), value.shape[1])
        ends = [_zoom(end, at, limit) for end, at, limit in zip(ends, top, box, strict=True)]
    return most


def _zoom(end: Floats, at: int, limit: tuple[float, float]) -> Floats:
    """Return a finer grid around one point, within the limits."""
    step = float(end[1] - end[0])
    return np.linspace(max(end[at] - step, limit[0]), min(end[at] + step, limit[1]), _ZOOM)
