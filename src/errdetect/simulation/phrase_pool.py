"""The marketplace's vocabulary: a numbered pool of phrases and the tables that index it."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import yaml

from errdetect.simulation.platform_facts import CATEGORY_NAMES, LANGUAGES, POLICIES, Ints

__all__ = ["BAD", "CODED", "FORMER", "NONE", "TRAP", "Vocabulary", "load_vocabulary"]

#: Kinds of sign that an item can carry.
NONE, BAD, CODED, TRAP, FORMER = range(5)
_KINDS = {BAD: "bad", CODED: "coded", TRAP: "trap", FORMER: "former"}

#: Hostile content that breaks careless programs: markup, formulas, SQL, templates, right-to-left marks.
_HOSTILE = [
    "<script>alert('x')</script>",
    "=cmd|'/C calc'!A0",
    "'; DROP TABLE reviews; --",
    "{{7*7}} ${7*7}",
    '<img src=x onerror="alert(1)">',
    "@SUM(1+1)*cmd",
    "\u202egnisol\u202c",
    "🔥🔥🔥 👩‍👩‍👧‍👦",
    "line one\nline two\ttabbed",
    "100 % \\ \"quoted\", 'twice'",
    "NULL",
    "Z̷̧͝a̸l̵g̶o",
]
_BRANDS = 300


@dataclass(frozen=True)
class Vocabulary:
    """The pool of phrases and, for each role in a text, the numbers of its phrases.

    Parameters
    ----------
    pool
        All phrases.
    opening, adjective, detail, closing, remark
        language x choices.
    noun
        language x category x choices.
    sign
        language x policy x kind of sign x choices; -1 where there are fewer choices.
    signs
        language x policy x kind of sign: how many choices there are.
    brand, hostile
        Choices that all languages share.
    """

    pool: list[str]
    opening: Ints
    adjective: Ints
    detail: Ints
    closing: Ints
    remark: Ints
    noun: Ints
    sign: Ints
    signs: Ints
    brand: Ints
    hostile: Ints


def _brand_names() -> list[str]:
    """Generate brand and model names, always the same ones."""
    rng = np.random.default_rng(20250101)
    starts = ["Vel", "Tar", "Nor", "Kim", "Osa", "Bri", "Zan", "Lum", "Fer", "Dax", "Mio", "Que"]
    ends = ["ora", "kim", "dex", "ano", "ium", "ley", "tra", "sson", "via", "oku"]
    first, last = rng.integers(len(starts), size=_BRANDS), rng.integers(len(ends), size=_BRANDS)
    model = rng.integers(1, 90, size=_BRANDS)
    return [f"{starts[a]}{ends[b]} {c}0" for a, b, c in zip(first, last, model, strict=True)]


@cache
def load_vocabulary() -> Vocabulary:
    """Read the vocabulary that comes with the package.

    Examples
    --------
    >>> words = load_vocabulary()
    >>> words.pool[words.noun[0, 0, 0]]
    'headphones'
    """
    source = files("errdetect.simulation").joinpath("vocabulary.yaml")
    spoken = yaml.safe_load(source.read_text(encoding="utf-8"))
    pool: list[str] = []

    def number(words: list[str]) -> list[int]:
        pool.extend(words)
        return list(range(len(pool) - len(words), len(pool)))

    def role(name: str) -> Ints:
        return np.array([number(spoken[tongue][name]) for tongue in LANGUAGES])

    opening, adjective = role("open"), role("adjective")
    detail, closing, remark = role("detail"), role("close"), role("remark")
    noun = np.array([[number(spoken[t]["nouns"][c]) for c in CATEGORY_NAMES] for t in LANGUAGES])
    sign = np.full((len(LANGUAGES), len(POLICIES), 5, 3), -1)
    for i, tongue in enumerate(LANGUAGES):
        for j, policy_id in enumerate(POLICIES):
            for kind, name in _KINDS.items():
                numbers = number(spoken[tongue]["signs"][policy_id].get(name, []))
                sign[i, j, kind, : len(numbers)] = numbers
    brand, hostile = np.array(number(_brand_names())), np.array(number(_HOSTILE))
    return Vocabulary(
        pool=pool,
        opening=opening,
        adjective=adjective,
        detail=detail,
        closing=closing,
        remark=remark,
        noun=noun,
        sign=sign,
        signs=(sign >= 0).sum(axis=-1),
        brand=brand,
        hostile=hostile,
    )
