"""Reviewer quality for the report: scorecards under pseudonyms, agreement, inspection plans."""

import errno
import os
import re
import secrets
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.errors import ConfigError, error_message, escape_hidden
from errdetect.estimation.domains import segment_decisions
from errdetect.estimation.error_rates import RateEstimates
from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.reviewers.acceptance_sampling import AQLS, plan_inspections
from errdetect.reviewers.agreement import krippendorff_alpha, verdict_counts
from errdetect.reviewers.deviations import (
    AT_RANDOM,
    REVERSED,
    SITE_POLICY,
    Deviations,
    find_deviations,
    golden_outside_log,
    leaning_share,
)
from errdetect.reviewers.error_rates import RATES
from errdetect.reviewers.reviewer_model import ReviewerModel
from errdetect.reviewers.scorecards import (
    build_scorecards,
    golden_items_needed,
    pseudonymise_ids,
)
from errdetect.schemas import ADJUDICATION, AUDIT
from errdetect.snapshot import Snapshot

__all__ = [
    "SALT",
    "ReviewerQuality",
    "check_reviewers",
    "deviation_cards",
    "deviation_notes",
    "note_leaning_rates",
    "one_reviewer_sites",
    "read_salt",
    "reviewer_deviations",
    "reviewer_quality",
    "shares_leaning_on_named",
]


#: The file's name in the registry's folder.
SALT = "reviewers.salt"

_BYTES = 32


def read_salt(folder: Path) -> bytes:
    """Read the secret of the pseudonyms; create it on first use.

    With the same file the same reviewer has the same pseudonym in every report; without it no one
    can link pseudonyms to people. Only its owner may read it. Where there is none and the folder is
    read-only, the secret is this process's own and kept nowhere.

    Parameters
    ----------
    folder
        The registry's; made if missing.

    Returns
    -------
    bytes
        32 bytes.

    Raises
    ------
    ConfigError
        Where the file is damaged or cannot be read or written. Its content is never shown.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> read_salt(folder) == read_salt(folder), len(read_salt(folder))
    (True, 32)
    """
    place = folder / SALT
    try:
        if not place.exists():
            try:
                _create_salt(place)
            except OSError as error:
                if error.errno not in _READ_ONLY:
                    raise
                return _unsaved_salt()
        text = place.read_bytes().strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        do = "Let this user read and write the registry's folder, or set registry.path to another."
        raise ConfigError(
            [error_message(f"The salt file '{place}'", "be readable", reason, do)]
        ) from error
    if not re.fullmatch(rb"[0-9a-f]{%d}" % (2 * _BYTES), text):
        got = f"{len(text)} bytes" if len(text) != 2 * _BYTES else "other characters"
        do = "Restore it; or delete it to create a new one, which gives every reviewer a new pseudonym."
        must = f"hold {2 * _BYTES} hexadecimal digits"
        raise ConfigError([error_message(f"The salt file '{place}'", must, got, do)])
    return bytes.fromhex(text.decode("ascii"))


#: What an operating system says of a folder in which nothing may be written.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@cache
def _unsaved_salt() -> bytes:
    """Return a secret that lasts as long as this process."""
    return secrets.token_bytes(_BYTES)


def _create_salt(place: Path) -> None:
    """Write a new secret whole or not at all; a concurrent second writer keeps the first one's."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
        try:
            os.link(aside, place)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            aside.replace(place)
    finally:
        aside.unlink(missing_ok=True)


_ALONE = "one reviewer"  # the figure would identify that person, pseudonym or not
_WITHIN = 0.02  # half-width of the interval that golden items are planned for

_UNMEASURED = (
    "The config weights all reviewers equally (labels.reviewers: votes), so their error rates are not "
    "measured. Set it to model to measure them."
)
_UNSAVED = (
    "The registry's folder is read-only, so reviewers have pseudonyms of this report only: another report "
    "gives them others."
)
_NO_SITE = (
    "No review names a site, so sites cannot be compared. Give reviews the column site: the team "
    "or the company that reviewed."
)
_NO_NAME = (
    "No review names its reviewer, so reviewers cannot be compared. Give reviews the column "
    "reviewer_id; reports show pseudonyms only."
)
_ONE_NAME = (
    "All reviews come from one reviewer. A figure would be about that person, and how another "
    "would decide is unknown: none is given."
)


@dataclass(frozen=True)
class ReviewerQuality:
    """The tables on reviewers; none contains a person's name.

    Parameters
    ----------
    cards
        `build_scorecards`, and: note (why a figure is suppressed), golden_needed (golden items of that
        kind that a site still needs to know its rate within two points; missing where no rate shows
        how many). None where reviewers are not measured.
    agreement
        `Agreement` of all decisions (policy_id missing) and of each reviewed policy.
    inspection
        `plan_inspections` of the sites.
    notes
        Sentences for people.
    """

    cards: pd.DataFrame | None
    agreement: pd.DataFrame
    inspection: pd.DataFrame
    notes: tuple[str, ...]


def check_reviewers(config: Config) -> None:
    """Refuse an AQL without a plan in the standard, before any work is done.

    Raises
    ------
    ConfigError
    """
    if config.reviewers.aql not in AQLS:
        shown = ", ".join(f"{aql:g}" for aql in AQLS)
        got = f"{config.reviewers.aql:g}"
        do = "Use the next smaller one."
        raise ConfigError([error_message("reviewers.aql", f"be one of {shown} (percent)", got, do)])


def reviewer_quality(config: Config, snapshot: Snapshot) -> ReviewerQuality:
    """Measure reviewer quality as of the snapshot's moment.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Decisions and reviews.

    Raises
    ------
    ConfigError
        Where the AQL is not the standard's, or the salt file is damaged.
    """
    check_reviewers(config)
    model = snapshot.reviewer_model
    rng = np.random.default_rng(config.train.seed)
    plans = plan_inspections(snapshot.verdicts, aql=config.reviewers.aql, rng=rng)
    known = snapshot.current_reviews
    people = _list_reviewers(known)
    notes = list(_reviewer_notes(people))
    cards = None
    if model is None:
        notes.append(_UNMEASURED)
    else:
        notes += model.notes
        named = bool(people["reviewer_id"].notna().any())
        folder = config.path(config.registry.path)
        salt = read_salt(folder) if named else secrets.token_bytes(32)
        if named and not (folder / SALT).exists():
            notes.append(_UNSAVED)
        cards = _scorecard_rows(config, snapshot, model, salt, people)
    return ReviewerQuality(cards, _agreement_rows(config, snapshot), plans, tuple(notes))


def _list_reviewers(reviews: pd.DataFrame) -> pd.DataFrame:
    """List who reviewed at which site, without experts: one row each, unnamed ones too."""
    own = reviews["source"] != ADJUDICATION
    return reviews.loc[own, ["site", "reviewer_id"]].drop_duplicates()


def one_reviewer_sites(snapshot: Snapshot) -> list[str]:
    """Return the sites with a single named reviewer: a figure of the site would be that person's."""
    people = _list_reviewers(snapshot.current_reviews).dropna(subset=["site"])
    n_people = people.groupby("site")["reviewer_id"].size()
    return sorted(n_people[n_people == 1].index)


def _reviewer_notes(people: pd.DataFrame) -> list[str]:
    names = people["reviewer_id"]
    if people.empty:
        return []
    notes = [_NO_SITE] if people["site"].isna().all() else []
    if names.isna().all():
        notes.append(_NO_NAME)
    elif len(names.unique()) == 1:
        notes.append(_ONE_NAME)
    return notes


def _scorecard_rows(
    config: Config,
    snapshot: Snapshot,
    model: ReviewerModel,
    salt: bytes,
    people: pd.DataFrame,
) -> pd.DataFrame:
    """Score sites and reviewers, suppress figures of a single person, and count golden items."""
    minimum = config.reviewers.minimum
    cards = build_scorecards(snapshot.verdicts, model, salt=salt, minimum=minimum)
    few = np.floor(cards["n"].to_numpy(dtype=np.float64)).astype(np.int64)
    notes = pd.Series([f"too few: {n}" if n else "no items yet" for n in few], dtype="str")
    notes = notes.where(cards["suppressed"], "")
    alone = _is_only_reviewer(cards, people)
    cards.loc[alone, ["value", "low", "high"]] = np.nan
    cards = cards.assign(
        suppressed=cards["suppressed"] | alone, note=notes.where(~alone, _ALONE).astype("str")
    )
    return cards.assign(golden_needed=_golden_items_needed(cards, minimum))


def _is_only_reviewer(cards: pd.DataFrame, people: pd.DataFrame) -> "pd.Series[bool]":
    """Flag scorecards that are, or would reveal, a site's only reviewer."""
    sites = people.fillna({"site": ""}).groupby("site")["reviewer_id"]
    one_name = sites.count() == 1  # each name occurs once per site
    nobody_else = one_name & (sites.size() == 1)
    site = cards["site"].fillna("")
    of_person = cards["reviewer"].notna() & site.map(one_name).fillna(False)
    return (of_person | site.map(nobody_else).fillna(False)).astype(bool)


def _golden_items_needed(cards: pd.DataFrame, minimum: int) -> "pd.Series[Any]":
    """Count the golden items that each site still needs to estimate its rate.

    A rate on few items may be low by luck and plan too few: it is shrunk towards that
    of all sites, which weighs as much as the minimum.
    """
    needed = pd.Series(pd.NA, index=cards.index, dtype="Int64")
    for measure in RATES:
        rows = cards[(cards["measure"] == measure) & cards["reviewer"].isna()]
        told = rows[~rows["suppressed"]]
        if rows["site"].notna().any():  # rows without a site are ignored where others name one
            rows = rows[rows["site"].notna()]
        if told.empty:
            continue
        usual = float(np.average(told["value"], weights=told["n"]))
        for at, value, n in zip(rows.index, rows["value"].fillna(usual), rows["n"], strict=True):
            expected = (value * n + usual * minimum) / (n + minimum)
            needed[at] = max(0, golden_items_needed(float(expected), within=_WITHIN) - int(n))
    return needed


def _agreement_rows(config: Config, snapshot: Snapshot) -> pd.DataFrame:
    """Measure agreement over all decisions, and over each policy's that were reviewed."""
    decisions, reviews = snapshot.decisions, snapshot.current_reviews
    counts = verdict_counts(decisions["decision_id"], snapshot.review_history)
    policy = decisions.set_index("decision_id")["policy_id"]
    of = policy.reindex(counts["decision_id"]).to_numpy()
    reviewed = decisions["decision_id"].isin(reviews["decision_id"])
    groups = {name: counts[of == name] for name in sorted(policy[reviewed.to_numpy()].unique())}
    rows: list[dict[str, Any]] = []
    for name, part in {None: counts, **groups}.items():
        # Each draws from the same seed, so that a further policy changes no other's limits.
        found = krippendorff_alpha(part, rng=np.random.default_rng(config.train.seed))
        if name is not None and 0 < found.n_decisions < config.report.min_group:
            note = f"Fewer than {config.report.min_group} decisions, so agreement is suppressed."
            found = replace(found, observed=float("nan"), alpha=float("nan"), note=note)
        rows.append({"policy_id": name, **vars(found)})
    return pd.DataFrame(rows).astype({"policy_id": "str", "note": "str"})


_DEVIATIONS: "WeakKeyDictionary[Snapshot, Deviations]" = WeakKeyDictionary()


def reviewer_deviations(
    snapshot: Snapshot, p_error: npt.NDArray[np.float64] | None = None
) -> Deviations:
    """Return whose verdicts depart from the others', as of the snapshot's moment.

    Computed once for a snapshot, by the first call's `p_error`.

    Parameters
    ----------
    snapshot
        Decisions and reviews.
    p_error
        P(error) of each decision, not fitted on its own reviews, shape (n_decisions,); None for
        none.
    """
    if snapshot not in _DEVIATIONS:
        outside = golden_outside_log(snapshot.review_history)
        verdicts = snapshot.verdicts
        if len(outside):
            verdicts = pd.concat([verdicts[list(outside)], outside], ignore_index=True)
        _DEVIATIONS[snapshot] = find_deviations(verdicts, snapshot.decisions, p_error)
    return _DEVIATIONS[snapshot]


def shares_leaning_on_named(
    snapshot: Snapshot, deviations: Deviations, domain: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.float64]:
    """Return the share of each domain's weighted audit verdicts that named reviewers gave.

    Parameters
    ----------
    snapshot
        Decisions and reviews.
    deviations
        From `reviewer_deviations`.
    domain
        Cell of each decision, -1 for those in none, shape (n_decisions,).
    size
        Number of cells.

    Returns
    -------
    numpy.ndarray
        Shape (size,), in [0, 1].
    """
    history = snapshot.review_history
    counts = history["standing"].isin([COUNTS, OVERRULED]) & (history["source"] == AUDIT)
    votes = history[counts.to_numpy(dtype=bool)]
    given = votes["inclusion_probability"].to_numpy(dtype=np.float64)
    weight = 1 / np.where(np.isnan(given), 1.0, given)  # the draw's own record has it then
    position = votes["position"].to_numpy(dtype=np.int64)
    return leaning_share(position, weight, deviations.covers(votes), domain, size)


#: Share of a figure's audited work above which it names those whose verdicts depart.
LEANS = 0.01


def note_leaning_rates(
    snapshot: Snapshot, deviations: Deviations, rates: RateEstimates
) -> RateEstimates:
    """Add to each figure's method how much of its audited work is by those who are named.

    Parameters
    ----------
    snapshot
        Decisions and reviews of the estimates.
    deviations
        From `reviewer_deviations`.
    rates
        The estimates.
    """
    if deviations.named.empty:
        return rates
    overall = shares_leaning_on_named(
        snapshot, deviations, np.zeros(len(snapshot.decisions), np.int64), 1
    )
    groups = {}
    for columns, frame in rates.by_group.items():
        keys, domain = segment_decisions(snapshot.decisions, columns)
        shares = shares_leaning_on_named(snapshot, deviations, domain, len(keys))
        row = frame.groupby(list(columns), sort=False).ngroup().to_numpy()
        groups[columns] = _note_shares(frame, shares[row])
    noted = _note_shares(rates.overall, np.repeat(overall, len(rates.overall)))
    return RateEstimates(noted, groups, rates.notes)


def _note_shares(frame: pd.DataFrame, share: npt.NDArray[np.float64]) -> pd.DataFrame:
    text = [
        f"; warning: {s:.0%} of its audited work is by reviewers or sites whose verdicts depart "
        "from the others'"
        if s > LEANS
        else ""
        for s in share
    ]
    leaning = frame["method"] + pd.Series(text, index=frame.index, dtype="str")
    return frame.assign(method=frame["method"].where(frame["suppressed"], leaning))


def deviation_notes(config: Config, deviations: Deviations) -> tuple[str, ...]:
    """Name those whose verdicts depart from the others', in sentences; reviewers by pseudonym."""
    return tuple(
        f"{_deviating_name(row)}: {_deviation_text(row)}"
        for row in _named_rows(config, deviations).to_dict("records")
    )


def deviation_cards(config: Config, deviations: Deviations) -> pd.DataFrame:
    """Return rows of the table `reviewers` for those who are named.

    Returns
    -------
    pandas.DataFrame
        Columns as `ReviewerQuality.cards`: measure `deviation`, value the share of flags; the note
        says what departs, and the basis how strong the evidence is.
    """
    named = _named_rows(config, deviations)
    notes = [_deviation_text(row) for row in named.to_dict("records")]
    return pd.DataFrame(
        {
            "site": named["site"].astype("str").where(named["site"].notna(), None),
            "reviewer": named["reviewer_id"],
            "measure": "deviation",
            "value": (named["seen"] / named["n"]).astype(np.float64),
            "low": np.nan,
            "high": np.nan,
            "n": named["n"].astype(np.float64),
            "suppressed": False,
            "basis": [f"e-value {value:.3g}" for value in named["e_value"]],
            "note": pd.Series(notes, index=named.index, dtype="str"),
            "golden_needed": pd.array([pd.NA] * len(named), dtype="Int64"),
        }
    ).astype({"site": "str", "reviewer": "str", "measure": "str", "basis": "str"})


def _named_rows(config: Config, deviations: Deviations) -> pd.DataFrame:
    """Return the named rows, reviewers under pseudonyms; only names make a salt file."""
    named = deviations.named
    people = named["reviewer_id"].astype("str").where(named["reviewer_id"].notna(), None)
    if people.notna().any():
        people = pseudonymise_ids(people, salt=read_salt(config.path(config.registry.path)))
    return named.assign(reviewer_id=people)


def _deviating_name(row: Mapping[Hashable, Any]) -> str:
    if isinstance(row["reviewer_id"], str):
        at = (
            f" of site {escape_hidden(str(row['site']))[:60]}"
            if isinstance(row["site"], str)
            else ""
        )
        return f"{row['reviewer_id']}{at}"
    site = f"site {escape_hidden(str(row['site']))[:60]}"
    if row["level"] == SITE_POLICY:
        return f"{site} on policy {escape_hidden(str(row['policy_id']))[:60]}"
    return site


def _deviation_text(row: Mapping[Hashable, Any]) -> str:
    kind = {
        REVERSED: "answers the reverse of the others",
        AT_RANDOM: "answers without regard to the content",
    }.get(row["kind"], f"reports {row['kind']}")
    return (
        f"{kind} ({row['seen']:.0f} flags in {row['n']:,} verdicts, where others would report "
        f"{row['expected']:.1f}; since {row['since']:%Y-%m-%d})"
    )
