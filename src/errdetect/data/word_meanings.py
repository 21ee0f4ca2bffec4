"""What the words of actions, verdicts and sources mean, for `errdetect init`: only where it is plain."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from errdetect.data.column_profiles import ColumnProfile, lexicon, plain_name, plain_word

__all__ = [
    "GuessedWords",
    "flag_meanings",
    "guess_words",
    "is_flag",
    "share_with_meaning",
    "tells_of_appeals",
]

_YES = {"true", "yes", "y", "1", "t", "ja", "j", "oui", "o", "si", "s", "tak", "x", "sim", "evet"}
_NO = {"false", "no", "n", "0", "f", "nein", "non", "nie", "nao", "nee", "hayir"}

#: What turns a verdict round, before or (Turkish) after it: what is not correct is wrong. Of actions it tells
#: nothing: what was not removed may be restricted.
_NEGATED = re.compile(
    r"(?:(?:is |was )?not |nicht |pas |non |no |nie |nao |niet |geen )(.+)|(.+) degil"
)


#: Parts of names that tell what `yes` says of a decision, or of its action.
_RIGHT = [
    "correct", "correta", "correto", "corrett", "agree", "right", "upheld", "richtig", "korrekt",
    "poprawn", "juste", "juist", "pass", "zgodn", "conform", "valid", "bestatigt", "accurate",
    "terecht", "justified", "berechtigt", "zasadn", "zutreffend",
]  # fmt: skip
_WRONG = [
    "incorrect", "incorret", "disagree", "wrong", "error", "overturn", "falsch", "fehler", "blad",
    "erreur", "mistake", "inkorrekt", "niepoprawn", "revers", "aufgehoben", "onjuist", "onterecht",
    "unjustified", "unberechtigt", "niezasadn", "unzutreffend",
]  # fmt: skip
_ENFORCES = [
    "remov", "block", "reject", "enforce", "delet", "hidden", "taken_down", "ban", "gesperrt",
    "geloscht", "supprim", "elimin", "usuni", "flag", "violat", "verwijder",
]  # fmt: skip
_ALLOWS = ["approv", "allow", "live", "publish", "freigegeben", "freigabe", "pass", "accept", "publi", "visible",
    "online", "dopuszcz"]  # fmt: skip

#: How long a measure lasts is no part of what it does.
_LASTING = re.compile(r"\d+ ?(h|d|w|m|hr|hrs|hours?|days?|weeks?|min|minutes?|months?)?")


@dataclass(frozen=True)
class GuessedWords:
    """What the words of a column mean.

    Parameters
    ----------
    known
        The user's word -> ours, for those whose meaning is plain.
    unknown
        Other words -> rows.
    """

    known: Mapping[str, str]
    unknown: Mapping[str, int]


def guess_words(column: ColumnProfile, target: str) -> GuessedWords:
    """Say what the words of an action, a verdict or a source mean, where that is plain.

    Parameters
    ----------
    column
        The column.
    target
        `action` (to `allow` or `enforce`), `verdict`, `expected` or `source` (to our words).

    Returns
    -------
    GuessedWords
        Yes and no get a meaning only from the column's name; *granted* and *denied* only where the
        table is about appeals.
    """
    known: dict[str, str] = {}
    unknown: dict[str, int] = {}
    spelt = {plain_word(value): value for value in reversed(column.values)}
    meanings = _meanings(column, target)
    for word, n in column.words.most_common():
        if word in meanings:
            known[spelt.get(word, word)] = meanings[word]
        else:
            unknown[spelt.get(word, word)] = n
    return GuessedWords(known, unknown)


def share_with_meaning(column: ColumnProfile, target: str) -> float:
    """Return the share of a column's rows with a plain meaning as an `action` or a `verdict`."""
    return column.share_in(_meanings(column, target))


def _meanings(column: ColumnProfile, target: str) -> dict[str, str]:
    """Return word -> meaning, for the words of a column that have one."""
    if is_flag(column) and target != "source":
        flags = flag_meanings(column, target)
        return {word: flags[word] for word in column.words if word in flags}
    if target in ("verdict", "expected") and (column.of_appeals or tells_of_appeals(column.name)):
        return _appeal_meanings(column)
    found = {word: _meaning(word, target) for word in column.words}
    return {word: meaning for word, meaning in found.items() if meaning is not None}


def _meaning(word: str, target: str) -> str | None:
    """Look a word up, then what is left of it without the words that add nothing: `ban user 24h`."""
    kind = {"action": "actions", "source": "sources"}.get(target, "verdicts")
    groups: Mapping[str, set[str]] = lexicon()[kind]
    found = next((meaning for meaning, words in groups.items() if word in words), None)
    if found is not None or kind == "sources":
        return found
    if kind == "verdicts" and (appeal := _named_appeal(word)) is not None:
        return appeal
    negated = _NEGATED.fullmatch(word) if kind == "verdicts" else None
    if negated is not None:
        plain = _meaning(negated[1] or negated[2], target)
        return "overturned" if plain == "upheld" else None
    idle = lexicon()["idle"][kind]
    bare = " ".join(one for one in word.split() if one not in idle and not _LASTING.fullmatch(one))
    if not bare or bare == word or bare in _YES | _NO:
        return None
    return next((meaning for meaning, words in groups.items() if bare in words), None)


def _named_appeal(word: str) -> str | None:
    """Return what an answer that names the appeal means: a `valid appeal` overturns the decision."""
    pattern = lexicon()["appealing"]
    words = word.split()
    rest = " ".join(one for one in words if not pattern.fullmatch(plain_name(one)))
    if not rest or rest == word:
        return None
    groups: tuple[Mapping[str, set[str]], ...] = (lexicon()["appeals_named"], lexicon()["appeals"])
    return next(
        (meaning for group in groups for meaning, known in group.items() if rest in known), None
    )


def _appeal_meanings(column: ColumnProfile) -> dict[str, str]:
    """Read words as an appeal's answer: what grants the appeal overturns the decision.

    Beside *dismissed* or *denied*, *upheld* may be said of the appeal or of the decision: it has no
    plain meaning there.
    """
    groups = lexicon()["appeals"]
    out = {}
    answers = {word for word in column.words if any(word in words for words in groups.values())}
    for word in column.words:
        if word in answers:
            out[word] = next(meaning for meaning, words in groups.items() if word in words)
            continue
        meaning = _meaning(word, "verdict")
        if meaning is not None and not (answers and meaning == "upheld"):
            out[word] = meaning
    return out


def tells_of_appeals(name: str) -> bool:
    """Return whether a name is about appeals.

    Examples
    --------
    >>> tells_of_appeals("appealDecision"), tells_of_appeals("Einspruch-Nr"), tells_of_appeals("qa")
    (True, True, False)
    """
    return bool(lexicon()["appealing"].search(plain_name(name)))


def is_flag(column: ColumnProfile) -> bool:
    """Return whether a column holds yes and no only."""
    return column.n_distinct <= 3 and column.share_in(_YES | _NO) > 0.95


def flag_meanings(column: ColumnProfile, target: str) -> dict[str, str]:
    """Return what yes and no mean by the column's name; empty where it does not tell."""
    name = plain_name(column.name)
    sides: tuple[Sequence[str], Sequence[str], str, str]
    sides = (_WRONG, _RIGHT, "overturned", "upheld")
    if target == "action":
        sides = (_ENFORCES, _ALLOWS, "enforce", "allow")
    elif target not in ("verdict", "expected"):
        return {}
    first, second, yes, no = sides
    if any(stem in name for stem in first):
        return dict.fromkeys(_YES, yes) | dict.fromkeys(_NO, no)
    if any(stem in name for stem in second):
        return dict.fromkeys(_YES, no) | dict.fromkeys(_NO, yes)
    return {}
