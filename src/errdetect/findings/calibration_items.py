"""Items for a calibration session: those that best tell an ambiguous clause from a weak reviewer."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaln
from scipy.stats import betabinom, binom

from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.reviewers.reviewer_model import ReviewerModel
from errdetect.schemas import ADJUDICATION, GOLDEN, OVERTURNED, RELABELLED
from errdetect.snapshot import Snapshot
from errdetect.stats.group_sums import sum_by_group

__all__ = [
    "AMBIGUOUS",
    "ITEM_COLUMNS",
    "ClauseVotes",
    "ambiguity",
    "clause_votes",
    "reviewer_rates",
    "select_calibration_items",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Columns of the items, in order.
ITEM_COLUMNS: Final = (
    "item", "decision_id", "cited_policy_id", "side", "sites", "n_reviews", "n_applies",
    "p_applies", "p_ambiguous", "information", "difficulty",
)  # fmt: skip

#: Prior of the share of readers who find that an ambiguous clause applies: Beta(3, 3).
_SPREAD = 3.0
#: Assumed share of a clause's items that are ambiguous, before the answers: with few answers an item it
#: cannot be told apart from reviewers' errors. It hardly changes the order of the items.
AMBIGUOUS = 0.1
#: Reviewers' rates of missing a violation and of finding one where there is none, if unmeasured.
_RATES = {"missed_violation": 0.1, "wrongful_call": 0.05}
_LEAST, _MOST = 0.005, 0.95
_PANEL = 5  # ballots expected for each item
_CANDIDATES, _PER_ACCOUNT = 2_000, 2
_BANDS = ((1 / 3, "likely does not apply"), (2 / 3, "split"), (np.inf, "likely applies"))


@dataclass(frozen=True)
class ClauseVotes:
    """Reviewers' answers on whether a clause applies to a decision's content; one entry per answer.

    Parameters
    ----------
    position
        Row of the decision, shape (n,).
    applies
        The answer, shape (n,).
    missed, wrongful
        The reviewer's rate of missing a violation and of calling one wrongly, shape (n,).
    site
        The review's site; missing where it names none.
    """

    position: Ints
    applies: npt.NDArray[np.bool_]
    missed: Floats
    wrongful: Floats
    site: npt.NDArray[np.object_]


def clause_votes(snapshot: Snapshot, policy_id: str) -> ClauseVotes:
    """Collect the answers on a policy's clause: of its own decisions, and of those relabelled to it.

    On decisions of another policy that a reviewer relabelled to this one, every reviewer has
    answered whether this clause applies. Golden and adjudicated decisions are left out: the answer
    is known.

    Parameters
    ----------
    snapshot
        Decisions and reviews.
    policy_id
        The policy of the clause.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0],
    ...                           "policy_id": ["spam", "scam"], "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["1", "2", "3"], "decision_id": ["a", "b", "b"],
    ...     "reviewed_at": day[1], "source": "audit", "reviewer_id": ["ann", "ann", "bob"],
    ...     "verdict": ["overturned", "relabelled", "upheld"],
    ...     "correct_policy_id": [None, "spam", None], "inclusion_probability": 0.5})
    >>> clause_votes(Snapshot(decisions, reviews), "spam").applies.tolist()
    [False, True, False]
    """
    history = snapshot.review_history
    given = history["standing"].isin([COUNTS, OVERRULED]) & (history["position"] >= 0)
    given &= ~history["source"].isin([GOLDEN, ADJUDICATION])
    expert = history["source"] == ADJUDICATION
    ruled = set(history.loc[expert & (history["standing"] == COUNTS), "position"])
    rows = history[(given & ~history["position"].isin(ruled)).to_numpy(bool)]
    at = rows["position"].to_numpy(np.int64)
    decisions = snapshot.decisions
    own = (decisions["policy_id"].to_numpy(object) == policy_id)[at]
    verdict = rows["verdict"].to_numpy(object)
    named = (rows["correct_policy_id"] == policy_id).to_numpy(bool, na_value=False)
    to_this = (verdict == RELABELLED) & named
    kept = own | np.isin(at, at[to_this & ~own])
    violates = decisions["enforced"].to_numpy(bool)[at] ^ (verdict == OVERTURNED)
    applies = np.where(own, violates & (verdict != RELABELLED), to_this)
    missed, wrongful = reviewer_rates(snapshot.reviewer_model, rows)
    site = rows["site"].to_numpy(object)
    answers = applies[kept].astype(bool)
    return ClauseVotes(at[kept], answers, missed[kept], wrongful[kept], site[kept])


def reviewer_rates(model: ReviewerModel | None, rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return each answer's two error rates: the reviewer's, else the site's, else typical ones.

    Parameters
    ----------
    model
        The reviewer model; None where reviewers are not measured.
    rows
        Answers with reviewer_id and, where known, site.

    Returns
    -------
    missed, wrongful
        Rates of missing a violation and of calling one wrongly, shape (n,).

    Examples
    --------
    >>> reviewer_rates(None, pd.DataFrame({"reviewer_id": ["ann"]}))
    (array([0.1]), array([0.05]))
    """
    tables = [] if model is None else [model.reviewers, model.reviewers, model.sites]
    keys = [["site", "reviewer_id"], ["reviewer_id"], ["site"]]
    found = []
    for name, default in _RATES.items():
        rate = np.full(len(rows), np.nan)
        for on, table in zip(keys, tables, strict=False):
            if all(key in rows for key in on):
                known = table[(table["side"] == "both") & table[on].notna().all(axis=1)]
                known = known.drop_duplicates(on)[[*on, name]]
                joined = rows[on].astype("str").merge(known, on=on, how="left")
                rate = np.where(np.isnan(rate), joined[name].to_numpy(np.float64), rate)
        found.append(np.clip(np.where(np.isnan(rate), default, rate), _LEAST, _MOST))
    return found[0], found[1]


def ambiguity(votes: ClauseVotes, prior: Floats | None = None) -> pd.DataFrame:
    """Weigh, for each decision, an ambiguous clause against reviewers' errors.

    Where the clause is clear, the content falls under it or not, and each reviewer errs by the own
    rates; where it is ambiguous, any share of readers may find that it applies, good or weak.

    Parameters
    ----------
    votes
        From `clause_votes`.
    prior
        P(ambiguous) of each decision before these answers, in the order of the decisions' rows;
        None: `AMBIGUOUS` of each.

    Returns
    -------
    pandas.DataFrame
        A row for each decision: position, n_reviews, n_applies, p_applies (given that the clause is
        clear), p_ambiguous, information (bits that five further answers of typical reviewers are
        expected to give on whether the clause is ambiguous here).

    Notes
    -----
    Likelihood of a clear clause: Dawid and Skene (1979), Applied Statistics 28, 20-28. Information:
    the mutual information of the state and the next answers, Lindley (1956), Annals of Mathematical
    Statistics 27, 986-1005; as a rule for choosing items, Houlsby et al. (2011), arXiv:1112.5745.

    Examples
    --------
    >>> def one(yes, no, rate=0.1):
    ...     n = yes + no
    ...     return ClauseVotes(np.zeros(n, np.int64), np.arange(n) < yes, np.full(n, rate),
    ...                        np.full(n, rate), np.full(n, None))
    >>> for votes in (one(4, 0), one(2, 2), one(2, 2, rate=0.4)):
    ...     print(ambiguity(votes, np.array([0.1]))["p_ambiguous"].round(2).tolist())
    [0.02]
    [0.4]
    [0.08]
    """
    position, unit = np.unique(votes.position, return_inverse=True)
    n, size = np.bincount(unit), len(position)
    yes = np.bincount(unit, votes.applies, size)
    fits, fails = (
        np.exp(sum_by_group(unit, np.log(np.where(votes.applies, *pair)), size))
        for pair in ((1 - votes.missed, votes.missed), (votes.wrongful, 1 - votes.wrongful))
    )
    share = (yes.sum() + 1) / (n.sum() + 2)
    clear = share * fits + (1 - share) * fails
    open_ = np.exp(betaln(_SPREAD + yes, _SPREAD + n - yes) - betaln(_SPREAD, _SPREAD))
    before = np.full(size, AMBIGUOUS) if prior is None else prior
    posterior = before * open_ / (before * open_ + (1 - before) * clear)
    p_applies = share * fits / clear
    typical = [float(np.median(r)) if size else 0.0 for r in (votes.missed, votes.wrongful)]
    return pd.DataFrame(
        {
            "position": position,
            "n_reviews": n,
            "n_applies": yes.astype(np.int64),
            "p_applies": p_applies,
            "p_ambiguous": posterior,
            "information": _information(posterior, p_applies, (yes, n - yes), typical),
        }
    )


def _information(
    posterior: Floats, applies: Floats, votes: tuple[Ints, Ints], rates: Sequence[float]
) -> Floats:
    """Return the mutual information, in bits, of the state and the next panel's answers."""
    count = np.arange(_PANEL + 1)
    hit, miss = (binom.pmf(count, _PANEL, p) for p in (1 - rates[0], rates[1]))
    clear = applies[:, None] * hit + (1 - applies[:, None]) * miss
    open_ = betabinom.pmf(count, _PANEL, *(_SPREAD + n[:, None] for n in votes))
    p = posterior[:, None]
    both = p * open_ + (1 - p) * clear
    gain = _entropy(both) - posterior * _entropy(open_) - (1 - posterior) * _entropy(clear)
    return np.maximum(gain, 0.0)


def _entropy(p: Floats) -> Floats:
    return -np.asarray((p * np.log2(np.maximum(p, 1e-300))).sum(axis=1), np.float64)


def select_calibration_items(
    snapshot: Snapshot, policy_id: str, *, n_items: int = 20, ruled: Collection[str] = ()
) -> pd.DataFrame:
    """Choose the items of a calibration session on a policy's clause.

    The items are those on which five further answers tell most about whether the clause is
    ambiguous there or a reviewer erred (see `ambiguity`): above all those where reviewers of good
    accuracy disagree, while a disagreement with a weak reviewer is explained already. They are
    spread over the clause's uses (enforced, allowed, cited as another policy), categories, sites
    and difficulty: each item counts less, the more of its kind are chosen. Identical texts count
    once, and an account at most twice.

    Parameters
    ----------
    snapshot
        Decisions and reviews.
    policy_id
        The policy of the clause.
    n_items
        How many; fewer where fewer decisions have a review.
    ruled
        Ids of decisions with a ruling already, which are left out.

    Returns
    -------
    pandas.DataFrame
        `ITEM_COLUMNS`: item (from 1, in an order that says nothing), decision_id, cited_policy_id,
        side (`enforced`, `allowed`), sites (of the reviews, by name), n_reviews, n_applies (answers
        that the clause applies), p_applies, p_ambiguous, information (bits), difficulty. For whoever
        leads the session only: these figures would anchor reviewers.

    Notes
    -----
    Greedy choice with diminishing gains by kind: Nemhauser, Wolsey and Fisher (1978), Mathematical
    Programming 14, 265-294.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0],
    ...                           "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": list("1234"), "decision_id": ["a", "a", "b", "b"],
    ...     "reviewed_at": day[1], "source": "audit", "reviewer_id": ["ann", "bob"] * 2,
    ...     "verdict": ["upheld", "overturned", "upheld", "upheld"], "inclusion_probability": 0.5})
    >>> select_calibration_items(Snapshot(decisions, reviews), "spam", n_items=1)["decision_id"].tolist()
    ['a']
    """
    votes = clause_votes(snapshot, policy_id)
    table = ambiguity(votes)
    sites = _sites_of(votes)
    decisions = snapshot.decisions.iloc[table["position"]].reset_index(drop=True)
    side = np.where(decisions["enforced"].to_numpy(bool), "enforced", "allowed")
    cited = decisions["policy_id"].to_numpy(object)
    table = table.assign(
        decision_id=decisions["decision_id"],
        cited_policy_id=cited,
        side=side,
        sites=[", ".join(sites[at]) for at in table["position"]],
        difficulty=[_band(p) for p in table["p_applies"]],
        _use=np.where(cited == policy_id, side, "cited as another policy"),
        _category=decisions.get("category", pd.Series(index=decisions.index, dtype="str")),
        _account=decisions.get("account_id", pd.Series(index=decisions.index, dtype="str")),
        _text=_normalised_texts(decisions),
    )
    free = table[~table["decision_id"].isin(list(ruled))]
    order = ["information", "decision_id"]
    best = free.sort_values(order, ascending=[False, True], kind="stable").head(_CANDIDATES)
    chosen = best.iloc[_spread(best, n_items)]
    shuffled = chosen.assign(_order=pd.util.hash_array(chosen["decision_id"].to_numpy(object)))
    shuffled = shuffled.sort_values(["_order", "decision_id"], ignore_index=True)
    return shuffled.assign(item=np.arange(1, len(shuffled) + 1))[list(ITEM_COLUMNS)]


def _sites_of(votes: ClauseVotes) -> dict[int, list[str]]:
    found: dict[int, set[str]] = {int(at): set() for at in votes.position}
    for at, site in zip(votes.position, votes.site, strict=True):
        if isinstance(site, str):
            found[int(at)].add(site)
    return {at: sorted(names) for at, names in found.items()}


def _band(p_applies: float) -> str:
    return next(name for end, name in _BANDS if p_applies <= end)


def _normalised_texts(decisions: pd.DataFrame) -> pd.Series:
    """Return what makes two texts the same; a decision without text is like no other."""
    if "text" not in decisions:
        return decisions["decision_id"]
    text = decisions["text"].str.casefold().str.split().str.join(" ")
    return text.where(text.notna() & (text != ""), "id " + decisions["decision_id"])


_KINDS = ("_use", "_category", "sites", "difficulty")


def _spread(table: pd.DataFrame, n_items: int) -> list[int]:
    """Choose rows greedily by information, less where a kind is chosen already."""
    kinds = [pd.factorize(table[name], use_na_sentinel=False)[0] for name in _KINDS]
    taken = [np.zeros(len(table) + 1) for _ in kinds]
    worth = table["information"].to_numpy(np.float64)
    texts, accounts = table["_text"].tolist(), table["_account"].tolist()
    used: set[object] = set()
    per_account: Counter[object] = Counter()
    open_, chosen = np.ones(len(table), dtype=bool), list[int]()
    while len(chosen) < n_items and open_.any():
        parts = [1 / (1 + count[kind]) for count, kind in zip(taken, kinds, strict=True)]
        value = np.where(open_, worth * np.mean(parts, axis=0), -1.0)
        at = int(np.argmax(value))  # ties: more information, then the id
        open_[at] = False
        account = accounts[at]
        if texts[at] in used or per_account[account] >= _PER_ACCOUNT:
            continue
        chosen.append(at)
        used.add(texts[at])
        if isinstance(account, str):
            per_account[account] += 1
        for count, kind in zip(taken, kinds, strict=True):
            count[kind[at]] += 1
    return chosen
