"""Guessing which table is which and what its columns are, by their values as well as by their names.

A wrong guess is worse than none: below `SURE` a guess is only shown, and the config has it as a comment.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from errdetect.data.column_profiles import (
    ColumnProfile,
    TableProfile,
    lexicon,
    match_name,
    plain_name,
    plain_word,
)
from errdetect.data.word_meanings import flag_meanings, is_flag, share_with_meaning
from errdetect.schemas import DECISIONS, DRAWS, REVIEWS

__all__ = [
    "SURE",
    "ColumnGuess",
    "GuessedTable",
    "guess_tables",
    "tells_later_facts",
]

Role = Literal["decisions", "reviews", "draws"]

#: From here on a guess is used; between the two it is shown as a comment; below it is dropped.
SURE, _SHOWN = 0.62, 0.38
_MARGIN = 0.06
#: So few words may be actions or verdicts by their column's name alone; the config asks what they mean.
_FEW = 12
#: More distinct codes are taken for policies only with a name that says so.
_POLICIES = 60
_TARGETS: Mapping[Role, Sequence[str]] = {
    "decisions": [column.name for column in DECISIONS],
    "reviews": [column.name for column in REVIEWS],
    "draws": [column.name for column in DRAWS],
}


@dataclass(frozen=True)
class ColumnGuess:
    """What a column is taken for.

    Parameters
    ----------
    column, target
        The user's column, and ours.
    confidence
        0 to 1.
    why
        The evidence, in few words.
    """

    column: str
    target: str
    confidence: float
    why: str

    @property
    def sure(self) -> bool:
        """Whether the guess is used."""
        return self.confidence >= SURE


@dataclass(frozen=True)
class GuessedTable:
    """A table with its role and its columns.

    Parameters
    ----------
    table
        What was read.
    role
        Which of our tables it is; None where it fits none.
    guesses
        One for each column that was taken for something, the surest first.
    inside
        Whether these are the reviews in the decisions' own table.
    """

    table: TableProfile
    role: Role | None
    guesses: tuple[ColumnGuess, ...]
    inside: bool = False

    def column(self, target: str) -> ColumnProfile | None:
        """Return the column that is surely this one of ours."""
        for guess in self.guesses:
            if guess.target == target and guess.sure:
                return self.table.columns[guess.column]
        return None


@dataclass(frozen=True)
class _Others:
    """What is known of other tables: the decisions' keys and policies, and the columns that link the tables."""

    keys: frozenset[str] = frozenset()
    key_name: str = ""
    policies: frozenset[str] = frozenset()
    linked: frozenset[str] = frozenset()


def guess_tables(tables: Sequence[TableProfile]) -> list[GuessedTable]:
    """Find the decisions, the reviews and the draws among these tables, and what their columns are.

    Parameters
    ----------
    tables
        From `read_profiles`.

    Returns
    -------
    list of GuessedTable
        In the order given; at most one has each role. Reviews in the decisions' own table follow.
    """
    linked = [_linking_columns(table, tables) for table in tables]
    fits = [
        {role: _assign(table, role, _Others(linked=names)) for role in _TARGETS}
        for table, names in zip(tables, linked, strict=True)
    ]
    chosen: dict[int, Role] = {}
    chosen.update(_best_roles(tables, fits))
    others = _Others()
    for place, role in chosen.items():
        if role == "decisions":
            found = GuessedTable(tables[place], role, fits[place][role])
            others = _others_of(found)
    out = []
    for place, table in enumerate(tables):
        held = chosen.get(place)
        known = replace(others, linked=linked[place]) if held == "decisions" else others
        guesses = () if held is None else _assign(table, held, known)
        out.append(GuessedTable(table, held, guesses))
    if "reviews" not in chosen.values():
        out += [inside for one in out if (inside := _reviews_inside(one)) is not None]
    return out


def _reviews_inside(found: GuessedTable) -> GuessedTable | None:
    """Return the reviews that stand in the decisions' own table; None where it surely holds none.

    A verdict and its time must both be named as such: a log has many words and times of other kinds.
    """
    key = found.column("decision_id")
    if found.role != "decisions" or key is None:
        return None
    used = {one.column for one in found.guesses if one.sure} - {key.name}
    free = {name: one for name, one in found.table.columns.items() if name not in used}
    guesses = _assign(replace(found.table, columns=free), "reviews", _others_of(found))
    inside = replace(found, role="reviews", guesses=guesses, inside=True)
    needed = (inside.column("verdict"), inside.column("reviewed_at"))
    named = all(
        column is not None and match_name(column.name, target) >= 0.7
        for column, target in zip(needed, ("verdict", "reviewed_at"), strict=True)
    )
    return inside if named else None


def _linking_columns(table: TableProfile, tables: Sequence[TableProfile]) -> frozenset[str]:
    """Return the unique columns of a table in which another table's values lie: its key."""
    names = set()
    for name, column in table.columns.items():
        if (
            column.unique < 0.98
            or column.n_distinct < 20
            or (column.time >= 0.9 and not len(column.numbers))
        ):
            continue
        for other in tables:
            if other is table or other.n_rows > table.n_rows:
                continue
            for reference in other.columns.values():
                inside = len(reference.keys & column.keys) >= 0.5 * len(reference.keys)
                # Row numbers lie in each other by accident, unless the columns share a name.
                meant = (
                    not _counts_rows(column)
                    or match_name(reference.name, "decision_id") >= 0.8
                    or plain_name(reference.name) == plain_name(name)
                )
                if reference.n_distinct >= 20 and inside and meant:
                    names.add(name)
    return frozenset(names)


def _counts_rows(column: ColumnProfile) -> bool:
    return (
        len(column.numbers) > 0
        and column.numbers.min() <= 1
        and column.numbers.max() <= 1.1 * column.n_rows
    )


def _others_of(found: GuessedTable) -> _Others:
    key, policy = found.column("decision_id"), found.column("policy_id")
    return _Others(
        frozenset() if key is None else key.keys,
        "" if key is None else plain_name(key.name),
        frozenset() if policy is None else frozenset(policy.words),
    )


def _best_roles(
    tables: Sequence[TableProfile], fits: Sequence[Mapping[Role, Sequence[ColumnGuess]]]
) -> dict[int, Role]:
    """Give each role to the table that fits it best; the decisions to the one whose key the others use."""
    roles: tuple[Role, ...] = ("decisions", "reviews", "draws")
    strength = np.array(
        [[_strength(table, role, fit[role], tables) for role in roles]
         for table, fit in zip(tables, fits, strict=True)]
    )  # fmt: skip
    rows, columns = linear_sum_assignment(-strength)
    return {
        int(row): roles[column]
        for row, column in zip(rows, columns, strict=True)
        if strength[row, column] > 0
    }


def _strength(
    table: TableProfile, role: Role, fit: Sequence[ColumnGuess], tables: Sequence[TableProfile]
) -> float:
    """Return how well a table fits a role: what only such a table has counts most."""
    sure = {guess.target: guess.confidence for guess in fit if guess.confidence >= _SHOWN}
    marks = {
        "decisions": {"action": 2.0, "score": 1.0, "policy_id": 0.7, "text": 0.5, "item_id": 0.5,
                      "account_id": 0.5, "threshold": 0.5, "decided_at": 0.5, "moderator_version": 0.5},
        "reviews": {"verdict": 2.5, "reviewer_id": 1.5, "reviewed_at": 0.6, "site": 0.5,
                    "minutes": 0.5, "source": 0.4, "expected": 0.4},
        "draws": {"inclusion_probability": 2.0, "drawn_at": 0.7, "draw_id": 0.3, "due_at": 0.5},
    }  # fmt: skip
    value = sum(weight * sure.get(target, 0.0) for target, weight in marks[role].items())
    if role == "decisions":
        largest = max(one.n_rows for one in tables)
        value += 0.8 * (table.n_rows == largest) + (0.5 if "decision_id" in sure else -1.0)
    elif role == "reviews":
        value += 0.0 if "verdict" in sure else 1.0 if _refers(table, tables) else -2.0
    else:
        value += -2.5 if "inclusion_probability" not in sure or len(table.columns) > 8 else 0.0
    return value


def _refers(table: TableProfile, tables: Sequence[TableProfile]) -> bool:
    """Return whether a table holds the key of a larger one, and tells who and when."""
    when = any(column.time >= 0.9 for column in table.columns.values())
    return when and any(
        plain_name(name) == plain_name(reference) and column.keys <= other.columns[reference].keys
        for other in tables if other.n_rows > table.n_rows
        for reference in _linking_columns(other, tables)
        for name, column in table.columns.items()
    )  # fmt: skip


def _assign(table: TableProfile, role: Role, others: _Others) -> tuple[ColumnGuess, ...]:
    """Give each of our columns at most one of the table's, so that the sum of confidence is largest."""
    names, targets = list(table.columns), _TARGETS[role]
    found = np.zeros((len(names), len(targets)))
    for i, name in enumerate(names):
        for j, target in enumerate(targets):
            found[i, j] = _confidence(table.columns[name], target, role, table, others)
    rows, columns = linear_sum_assignment(-np.where(found >= _SHOWN, found**2, 0.0))
    guesses = []
    taken = {int(i) for i, j in zip(rows, columns, strict=True) if found[i, j] >= SURE}
    for i, j in zip(rows, columns, strict=True):
        confidence = float(found[i, j])
        if confidence < _SHOWN:
            continue
        near = max(
            (float(found[r, j]) for r in range(len(names)) if r != i and r not in taken),
            default=0.0,
        )
        if near > confidence - _MARGIN and confidence < 0.9:
            confidence = min(confidence, SURE - 0.02)
        guesses.append(
            ColumnGuess(
                names[i],
                targets[j],
                round(confidence, 2),
                _why(table.columns[names[i]], targets[j], others),
            )
        )
    return tuple(sorted(guesses, key=lambda one: -one.confidence))


def _why(column: ColumnProfile, target: str, others: _Others) -> str:
    parts = []
    if match_name(column.name, target) >= 0.5:
        parts.append("its name")
    if target == "decision_id" and others.keys and column.keys & others.keys:
        share = len(column.keys & others.keys) / max(1, len(column.keys))
        parts.append(f"{share:.0%} of its values are decisions' ids")
    elif not parts or _fit(column, target, "reviews", others) >= 0.9:
        parts.append("its values")
    return " and ".join(parts)


def _confidence(
    column: ColumnProfile, target: str, role: Role, table: TableProfile, others: _Others
) -> float:
    """Combine name and values; values that cannot be it rule a name out."""
    if not column.n_given:
        return 0.0
    fit = _fit(column, target, role, others)
    name = match_name(column.name, target)
    if fit <= 0:
        return 0.0
    alone = _ALONE.get(target, 0.0)
    if target == "policy_id" and column.n_distinct > _POLICIES:
        alone = 0.5  # codes of so many kinds may be partners or places
    if target == "text" and role == "decisions" and column.unique > 0.5 and not _notes(column.name):
        alone = 0.66
    if role == "decisions" and others.linked == {column.name}:
        return max(0.9, name) if target == "decision_id" else 0.4 * name * fit
    if role == "decisions" and target == "decision_id" and column.name in others.linked:
        return max(0.75, name)
    if role != "decisions" and _is_decisions_key(column, others):
        return 1.0 if target == "decision_id" else 0.0
    if target == "decision_id" and others.keys and role != "decisions":
        return fit * (0.85 + 0.15 * name)
    if target in ("decided_at", "reviewed_at", "drawn_at"):
        times = [
            one for one in table.columns.values()
            if one.time >= 0.9 and (not _only_number(one) or _named_time(one.name, target))
        ]  # fmt: skip
        if len(times) == 1 and times[0] is column:
            name = max(name, 0.66)
    if role == "reviews" and tells_later_facts(column.name) and target == "source":
        fit *= 0.8
    both = name * (0.55 + 0.45 * fit)
    if fit >= 1 and name >= 0.5 and target in _WORDED:
        both = min(1.0, both + 0.08)
    return max(both, alone * fit if fit >= 0.9 else 0.0)


def tells_later_facts(name: str) -> bool:
    """Return whether a name tells of what is known only after the decision.

    Examples
    --------
    >>> tells_later_facts("appealOutcome"), tells_later_facts("price")
    (True, False)
    """
    return bool(lexicon()["later"].search(plain_name(name)))


def _is_decisions_key(column: ColumnProfile, others: _Others) -> bool:
    """Return whether a column is the decisions' key by its name and its values, whatever it is called."""
    return plain_name(column.name) == others.key_name and _fit_reference(column, others) == 1.0


def _named_time(name: str, target: str) -> bool:
    """Return whether a number may be a time by its name."""
    ends = re.compile(rf"(?:^|_)(?:{lexicon()['times']})(?:_|$)")
    return match_name(name, target) >= 0.5 or bool(ends.search(plain_name(name)))


def _notes(name: str) -> bool:
    """Return whether a column is rather about the decision than the content."""
    return bool(lexicon()["notes"].search(plain_name(name)))


def _only_number(column: ColumnProfile) -> bool:
    return len(column.numbers) > 0


#: Targets whose words are evidence by themselves.
_WORDED = ("policy_id", "action", "verdict", "source", "correct_policy_id")
#: Targets that values alone can show, and how surely.
_ALONE = {
    "verdict": 0.7, "action": 0.7, "language": 0.66, "market": 0.64, "text": 0.5, "source": 0.5,
    "correct_policy_id": 0.5, "score": 0.45, "policy_id": 0.64, "decision_id": 0.4,
}  # fmt: skip


def _fit(column: ColumnProfile, target: str, role: Role, others: _Others) -> float:
    """Return how well the values of a column fit one of ours, 0 (impossible) to 1."""
    check = _FITS[target]
    if target == "decision_id" and role == "decisions":
        return _fit_key(column, others)
    return check(column, others)


def _fit_key(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 and not _only_number(column):
        return 0.0
    if column.unique < 0.98 or column.n_given < column.n_rows * 0.98:
        return 0.0
    return (1.0 if column.unique >= 0.9999 else 0.6) * (1.0 if column.identifying > 0.9 else 0.5)


def _fit_reference(column: ColumnProfile, others: _Others) -> float:
    if not others.keys:
        return 0.6 if column.identifying > 0.9 or column.unique > 0.5 else 0.0
    share = len(column.keys & others.keys) / max(1, len(column.keys))
    if share < 0.02:
        return 0.0
    return 1.0 if share >= 0.5 else 0.5 + share


def _fit_item(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 and not _only_number(column):
        return 0.0
    return (
        1.0
        if column.identifying > 0.8 and column.unique > 0.2
        else 0.5
        if column.unique > 0.2
        else 0.0
    )


def _fit_account(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 and not _only_number(column):
        return 0.0
    if column.identifying == 0.0 and len(column.numbers):
        return 0.0
    return 0.9 if column.n_distinct > 1 and column.length < 60 else 0.2


def _fit_time(column: ColumnProfile, _: _Others) -> float:
    # Times that cannot be read are rejected one by one: a name that fits needs most of them, not all.
    return 1.0 if column.time >= 0.95 else 0.7 if column.time >= 0.5 else 0.0


def _fit_policy(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 or _fraction(column) or column.length > 80:
        return 0.0
    if column.n_distinct > 400 or (column.n_given > 100 and column.unique > 0.3):
        return 0.0
    if _coded(column) or is_flag(column) or _is_action(column) >= 0.8:
        return 0.05
    hits = _policy_words(column)
    return 1.0 if hits >= 0.5 else 0.8 if hits >= 0.2 else 0.6


def _policy_words(column: ColumnProfile) -> float:
    """Return the share of values that sound like policies."""
    pattern = lexicon()["policies"]
    total = sum(column.words.values())
    return sum(n for word, n in column.words.items() if pattern.search(word)) / max(1, total)


def _fit_action(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 or _fraction(column) or column.n_distinct > 40:
        return 0.0
    if is_flag(column):
        return 0.9 if flag_meanings(column, "action") else 0.3
    share = _is_action(column)
    verdict = share_with_meaning(column, "verdict")
    if verdict > share:
        return 0.2
    few = not len(column.numbers) and column.n_distinct <= _FEW
    return 1.0 if share >= 0.85 else 0.8 if share >= 0.4 else 0.45 if few else 0.25


def _is_action(column: ColumnProfile) -> float:
    return share_with_meaning(column, "action")


def _fit_score(column: ColumnProfile, _: _Others) -> float:
    values = column.numbers
    if not len(values) or values.min() < 0 or values.max() > 1000 or column.n_distinct < 5:
        return 0.0
    if values.max() <= 1:
        return 1.0 if column.n_distinct > 20 or len(values) < 100 else 0.7
    return 0.85 if values.max() <= 100 else 0.5


def _fit_threshold(column: ColumnProfile, _: _Others) -> float:
    values = column.numbers
    if not len(values) or values.min() < 0 or values.max() > 1000:
        return 0.0
    return 1.0 if column.n_distinct <= 60 else 0.3


def _fit_market(column: ColumnProfile, _: _Others) -> float:
    if column.n_distinct > 300 or _fraction(column) or column.time >= 0.9 or len(column.numbers):
        return 0.0
    countries = {plain_word(code) for code in lexicon()["countries"]}
    upper = sum(value.isupper() for value in column.values) / len(column.values)
    if column.share_in(countries) >= 0.95 and upper > 0.9:
        return 1.0
    return 0.0 if column.length > 30 else 0.6


def _fit_language(column: ColumnProfile, _: _Others) -> float:
    if column.n_distinct > 200 or len(column.numbers) or column.time >= 0.9:
        return 0.0
    codes = lexicon()["languages"]
    head = sum(
        n for word, n in column.words.items() if word.split(" ")[0] in codes and len(word) <= 8
    )
    lower = sum(value[:2].islower() for value in column.values) / len(column.values)
    if head / max(1, sum(column.words.values())) >= 0.95:
        return 1.0 if lower > 0.9 else 0.7
    return 0.6 if column.length < 20 else 0.0


def _fit_exposure(column: ColumnProfile, _: _Others) -> float:
    values = column.numbers
    return 0.0 if not len(values) or values.min() < 0 else 1.0 if values.max() > 1 else 0.4


def _fit_text(column: ColumnProfile, _: _Others) -> float:
    if len(column.numbers) or column.time >= 0.5:
        return 0.0
    spaces = sum(" " in value for value in column.values) / len(column.values)
    if column.length >= 18 and spaces > 0.6 and column.n_distinct > 20:
        return 1.0
    return 0.8 if spaces > 0.5 and column.n_distinct > 20 else 0.2


def _fit_words(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 or _fraction(column) or column.length > 60 or column.n_distinct > 1000:
        return 0.0
    if _policy_words(column) >= 0.5:
        return 0.3
    return 0.9 if not len(column.numbers) else 0.6


def _fit_few_words(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 or _fraction(column) or column.n_distinct > 80 or column.length > 40:
        return 0.0
    return 0.2 if is_flag(column) else 0.95


def _fit_version(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 and not len(column.numbers):
        return 0.3
    return 0.9 if column.n_distinct <= 200 and column.length <= 40 else 0.0


def _fit_id(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 and not _only_number(column):
        return 0.0
    return 1.0 if column.unique >= 0.98 and column.n_given >= 0.98 * column.n_rows else 0.0


def _fit_source(column: ColumnProfile, _: _Others) -> float:
    if column.n_distinct > 20 or _fraction(column) or column.time >= 0.9 or is_flag(column):
        return 0.0
    share = column.share_in(set().union(*lexicon()["sources"].values()))
    return 1.0 if share >= 0.85 else 0.7 if share >= 0.4 else 0.15


def _fit_verdict(column: ColumnProfile, others: _Others) -> float:
    if column.n_distinct > 20 or column.time >= 0.9 or _fraction(column):
        return 0.0
    if others.policies and column.share_in(others.policies) > 0.5:
        return 0.0
    if is_flag(column):
        return 0.9 if flag_meanings(column, "verdict") else 0.3
    share = share_with_meaning(column, "verdict")
    if share < 0.4 and _is_action(column) >= 0.5:
        return 0.1  # what should have been done, not whether the decision was right
    few = not len(column.numbers) and column.n_distinct <= _FEW
    return 1.0 if share >= 0.8 else 0.8 if share >= 0.4 else 0.3 if few else 0.15


def _fit_correct_policy(column: ColumnProfile, others: _Others) -> float:
    if column.time >= 0.9 or _fraction(column) or column.n_distinct > 400 or is_flag(column):
        return 0.0
    if not others.policies:
        return 0.7
    if column.share_in(others.policies) < 0.5:
        return 0.1
    # A copy of the decision's own policy is filled for all; a correction only for some.
    return 1.0 if column.n_given < 0.7 * column.n_rows else 0.6


def _fit_reviewer(column: ColumnProfile, _: _Others) -> float:
    if column.time >= 0.9 or _fraction(column) or column.length > 60 or is_flag(column):
        return 0.0
    if column.n_given > 100 and column.unique > 0.6:
        return 0.1
    return 0.95


def _fit_probability(column: ColumnProfile, _: _Others) -> float:
    values = column.numbers
    if not len(values) or values.min() <= 0:
        return 0.0
    return 1.0 if values.max() <= 1 else 0.5 if values.max() <= 100 else 0.0


def _fit_minutes(column: ColumnProfile, _: _Others) -> float:
    return 1.0 if len(column.numbers) and column.numbers.min() >= 0 else 0.0


def _fit_expected(column: ColumnProfile, others: _Others) -> float:
    return _fit_verdict(column, others)


def _fraction(column: ColumnProfile) -> bool:
    return len(column.numbers) > 0 and not np.all(column.numbers == np.rint(column.numbers))


def _coded(column: ColumnProfile) -> bool:
    """Return whether it holds codes of countries or languages."""
    countries = {plain_word(code) for code in lexicon()["countries"]}
    return column.length <= 5 and column.share_in(countries | lexicon()["languages"]) > 0.9


_FITS: Mapping[str, Callable[[ColumnProfile, _Others], float]] = {
    "decision_id": _fit_reference, "item_id": _fit_item, "account_id": _fit_account,
    "decided_at": _fit_time, "policy_id": _fit_policy, "action": _fit_action, "score": _fit_score,
    "threshold": _fit_threshold, "market": _fit_market, "language": _fit_language,
    "exposure": _fit_exposure, "text": _fit_text, "category": _fit_words, "item_type": _fit_few_words,
    "moderator": _fit_few_words, "moderator_version": _fit_version, "review_id": _fit_id,
    "reviewed_at": _fit_time, "source": _fit_source, "verdict": _fit_verdict,
    "correct_policy_id": _fit_correct_policy, "reviewer_id": _fit_reviewer, "site": _fit_few_words,
    "inclusion_probability": _fit_probability, "expected": _fit_expected, "minutes": _fit_minutes,
    "updated_at": _fit_time, "draw_id": _fit_words, "drawn_at": _fit_time, "due_at": _fit_time,
}  # fmt: skip
