"""The simulated platform's fixed facts: markets, categories, rules, machines, versions, policies."""

import copy
import datetime as dt
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

__all__ = [
    "ACTIONS",
    "AMBIGUOUS",
    "ANIMAL",
    "BREACH",
    "CATEGORIES",
    "CATEGORY_NAMES",
    "CHANGE_AT",
    "CHECK",
    "CODED",
    "COMMENTS",
    "DECIDED_BY_SELLER",
    "HEADS",
    "HIDDEN",
    "IMAGE",
    "INNOCENT_USE",
    "LANGUAGES",
    "LANGUAGE_QUALITY",
    "MARKETS",
    "MARKET_NAMES",
    "MODERATORS",
    "PARTNER",
    "POLICIES",
    "PRICES",
    "REVIEW_MINUTES",
    "RULES",
    "SELLER",
    "TEXT",
    "THRESHOLDS",
    "TRAP",
    "VERSIONS",
    "Bools",
    "Floats",
    "Ints",
    "Market",
    "category_number",
    "draw_by_row",
    "format_ids",
    "language_number",
    "logit",
    "market_number",
    "normalise_rows",
    "policy_catalogue",
    "policy_number",
    "responsible_moderator",
    "take_texts",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def normalise_rows(values: Floats | Ints) -> Floats:
    """Scale non-negative weights so that each last-axis row sums to 1 (a row of zeros stays)."""
    total = values.sum(axis=-1, keepdims=True)
    result: Floats = np.divide(values, total, out=np.zeros(values.shape), where=total > 0)
    return result


def logit(p: Floats | float) -> Floats:
    """Log odds of probabilities inside (0, 1).

    Examples
    --------
    >>> float(logit(0.5))
    0.0
    """
    odds = np.asarray(p, dtype=np.float64)
    result: Floats = np.log(odds) - np.log1p(-odds)
    return result


def draw_by_row(rng: np.random.Generator, weights: Floats, rows: Ints) -> Ints:
    """Draw one column for each row from that row's own line of a table of weights.

    Parameters
    ----------
    weights
        Table (lines x columns) of non-negative weights; each line used has a positive sum.
    rows
        The line of the table for each of the n draws.

    Returns
    -------
    numpy.ndarray
        n column numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> draw_by_row(rng, np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 0])).tolist()
    [1, 0, 1]
    """
    bars = np.cumsum(normalise_rows(weights), axis=1)
    # The lines' cumulative weights share one axis, so one sorted search serves all rows.
    bars = bars / np.maximum(bars[:, -1:], 1e-300)
    axis = (bars + np.arange(len(bars))[:, None]).ravel()
    # A draw of exactly 0 would belong to the line before: draws lie in (0, 1].
    drawn = 1.0 - rng.random(len(rows))
    found = np.searchsorted(axis, rows + drawn, side="left") - rows * weights.shape[1]
    result: Ints = np.clip(found, 0, weights.shape[1] - 1)
    return result


def format_ids(prefix: str, numbers: Ints, width: int, base: int = 10) -> "pd.Series[Any]":
    """Write whole numbers as ids of one width, such as `d0000012`; negative numbers are missing.

    Examples
    --------
    >>> format_ids("d", np.array([12, 7]), 4).tolist()
    ['d0012', 'd0007']
    """
    n, length = len(numbers), len(prefix) + width
    letters = np.empty((n, length), dtype=np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    rest = np.abs(numbers).astype(np.uint64)
    for place in range(length - 1, len(prefix) - 1, -1):
        letters[:, place] = digits[(rest % np.uint64(base)).astype(np.intp)]
        rest = rest // np.uint64(base)
    ends = np.arange(n + 1, dtype=np.int32) * np.int32(length)
    column = pa.StringArray.from_buffers(
        n, pa.py_buffer(ends.tobytes()), pa.py_buffer(letters.tobytes())
    )
    missing = numbers < 0
    if missing.any():
        column = pc.if_else(pa.array(~missing), column, pa.scalar(None, pa.string()))
    return pd.Series(pd.array(column, dtype="str"))


def take_texts(words: list[str], chosen: Ints) -> "pd.Series[Any]":
    """Take words by number into a text column; negative numbers are missing.

    Examples
    --------
    >>> take_texts(["a", "b"], np.array([1, 0, 1])).tolist()
    ['b', 'a', 'b']
    """
    taken = pa.array(words, pa.string()).take(pa.array(chosen, mask=chosen < 0))
    return pd.Series(pd.array(taken, dtype="str"))


@dataclass(frozen=True)
class Market:
    """One country: its share of old sellers, of sellers who join later, and its languages."""

    code: str
    share: float
    share_new: float
    languages: tuple[tuple[str, float], ...]


MARKETS = (
    Market("US", 0.17, 0.10, (("en", 0.92), ("es", 0.08))),
    Market("GB", 0.11, 0.07, (("en", 1.0),)),
    Market("CA", 0.04, 0.03, (("en", 0.75), ("fr", 0.25))),
    Market("DE", 0.13, 0.09, (("de", 0.95), ("en", 0.05))),
    Market("AT", 0.03, 0.03, (("de", 1.0),)),
    Market("FR", 0.10, 0.08, (("fr", 0.97), ("en", 0.03))),
    Market("ES", 0.07, 0.07, (("es", 0.97), ("en", 0.03))),
    Market("MX", 0.05, 0.09, (("es", 1.0),)),
    Market("IT", 0.08, 0.07, (("it", 0.98), ("en", 0.02))),
    Market("BR", 0.06, 0.13, (("pt", 1.0),)),
    Market("PL", 0.06, 0.07, (("pl", 0.98), ("en", 0.02))),
    Market("TR", 0.04, 0.08, (("tr", 1.0),)),
    Market("AE", 0.03, 0.05, (("ar", 0.7), ("en", 0.3))),
    Market("JP", 0.03, 0.04, (("ja", 1.0),)),
)
MARKET_NAMES = [m.code for m in MARKETS]
LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "pl", "tr", "ar", "ja"]
#: How much of a phrase's meaning the text model captures in each language.
LANGUAGE_QUALITY = np.array([1.0, 0.97, 0.97, 0.95, 0.95, 0.95, 0.88, 0.84, 0.8, 0.8])

#: Category -> (share of offers, median price).
CATEGORIES = {
    "electronics": (0.14, 80.0),
    "watches": (0.08, 150.0),
    "shoes": (0.09, 60.0),
    "fashion": (0.12, 35.0),
    "bags": (0.06, 55.0),
    "toys": (0.08, 25.0),
    "film_props": (0.03, 70.0),
    "collectibles": (0.09, 40.0),
    "knives_tools": (0.05, 30.0),
    "supplements": (0.09, 22.0),
    "cosmetics": (0.06, 20.0),
    "pets": (0.04, 18.0),
    "books": (0.04, 12.0),
    "home": (0.03, 28.0),
}
CATEGORY_NAMES = list(CATEGORIES)
PRICES = np.array([price for _, price in CATEGORIES.values()])

POLICIES = [
    "counterfeit",
    "weapons",
    "medicines",
    "adult",
    "hate_speech",
    "scam",
    "misleading_claims",
    "animal_products",
    "personal_data",
    "unsafe_products",
    "threats",
    "spam",
]
ACTIONS = {
    "counterfeit": "remove",
    "weapons": "remove",
    "medicines": "remove",
    "adult": "restrict",
    "hate_speech": "remove",
    "scam": "remove",
    "misleading_claims": "label",
    "animal_products": "remove",
    "personal_data": "remove",
    "unsafe_products": "restrict",
    "threats": "remove",
    "spam": "demote",
}


def market_number(code: str) -> int:
    """Return a market's number."""
    return MARKET_NAMES.index(code)


def language_number(code: str) -> int:
    """Return a language's number."""
    return LANGUAGES.index(code)


def category_number(name: str) -> int:
    """Return a category's number."""
    return CATEGORY_NAMES.index(name)


def policy_number(policy_id: str) -> int:
    """Return a policy's number."""
    return POLICIES.index(policy_id)


AMBIGUOUS, ANIMAL = policy_number("misleading_claims"), policy_number("animal_products")
#: The line for comments in the tables below, after the categories.
COMMENTS = len(CATEGORY_NAMES)


def _policy_weights(rows: dict[str, dict[str, float]]) -> Floats:
    """Arrange category -> policy -> value as lines (categories, then comments) by policies."""
    table = np.zeros((COMMENTS + 1, len(POLICIES)))
    for name, values in rows.items():
        line = COMMENTS if name == "comments" else category_number(name)
        for policy_id, value in values.items():
            table[line, policy_number(policy_id)] = value
    return table


#: Which rule a breach in this category breaks (weights).
BREACH = _policy_weights(
    {
        "electronics": {"scam": 5, "counterfeit": 2, "unsafe_products": 2, "spam": 1},
        "watches": {"counterfeit": 6, "scam": 2, "spam": 1},
        "shoes": {"counterfeit": 6, "scam": 1, "spam": 1},
        "fashion": {"counterfeit": 4, "adult": 3, "animal_products": 2, "spam": 1},
        "bags": {"counterfeit": 6, "scam": 1, "animal_products": 1, "spam": 1},
        "toys": {"unsafe_products": 5, "counterfeit": 2, "weapons": 1, "spam": 1},
        "film_props": {"weapons": 4, "counterfeit": 2, "scam": 1},
        "collectibles": {"animal_products": 3, "scam": 3, "weapons": 2, "adult": 1},
        "knives_tools": {"weapons": 7, "scam": 1, "unsafe_products": 1},
        "supplements": {"medicines": 5, "misleading_claims": 4, "spam": 1},
        "cosmetics": {"misleading_claims": 4, "medicines": 3, "counterfeit": 2, "adult": 1},
        "pets": {"medicines": 3, "animal_products": 3, "scam": 2, "spam": 1},
        "books": {"hate_speech": 4, "adult": 4, "spam": 2},
        "home": {"unsafe_products": 4, "scam": 2, "animal_products": 2, "spam": 2},
        "comments": {"hate_speech": 4.0, "personal_data": 2.4, "threats": 2.8, "spam": 2.2},
    }
)
_EVERYWHERE = _policy_weights(
    {name: {"scam": 3, "spam": 2.5, "counterfeit": 2, "adult": 1} for name in CATEGORIES}
)
#: Which rule an unremarkable item is checked under (weights).
CHECK = BREACH / BREACH.sum(1, keepdims=True) + 0.06 * _EVERYWHERE
#: How often an honest item has words or pictures that suggest a breach of the rule.
TRAP = _policy_weights(
    {
        "electronics": {"scam": 0.009, "unsafe_products": 0.004},
        "watches": {"counterfeit": 0.015},
        "shoes": {"counterfeit": 0.009},
        "fashion": {"adult": 0.011, "animal_products": 0.007, "counterfeit": 0.004},
        "bags": {"counterfeit": 0.011},
        "toys": {"counterfeit": 0.02, "weapons": 0.007, "unsafe_products": 0.007},
        "film_props": {"weapons": 0.30, "counterfeit": 0.033},
        "collectibles": {"animal_products": 0.011, "scam": 0.007, "weapons": 0.007},
        "knives_tools": {"weapons": 0.011},
        "supplements": {"misleading_claims": 0.22, "medicines": 0.009},
        "cosmetics": {"misleading_claims": 0.027, "medicines": 0.004},
        "pets": {"animal_products": 0.009, "medicines": 0.009},
        "books": {"hate_speech": 0.02, "adult": 0.018},
        "home": {"unsafe_products": 0.011},
        "comments": {"hate_speech": 0.007, "threats": 0.005, "personal_data": 0.006, "spam": 0.004},
    }
)
#: The rule with which a breach is most often confused.
PARTNER = np.array(
    [
        policy_number(name)
        for name in (
            "scam",
            "unsafe_products",
            "unsafe_products",
            "spam",
            "threats",
            "counterfeit",
            "medicines",
            "unsafe_products",
            "hate_speech",
            "medicines",
            "hate_speech",
            "scam",
        )
    ]
)
#: Of a rule's breaches, the share without visible signs, and the share in coded words.
HIDDEN = np.array([0.13, 0.09, 0.09, 0.12, 0.09, 0.14, 0.16, 0.11, 0.05, 0.13, 0.05, 0.04])
CODED = np.array([0.06, 0.04, 0.04, 0.05, 0.05, 0.04, 0.08, 0.04, 0.02, 0.05, 0.03, 0.01])

#: How often honest people use a rule's words, by rule.
INNOCENT_USE = np.array([1.0, 0.8, 0.8, 0.9, 1.0, 0.8, 1.0, 0.6, 0.3, 0.8, 0.4, 0.15])

MODERATORS = ["text-model", "rule-list", "image-match", "seller-risk"]
TEXT, RULES, IMAGE, SELLER = range(4)
_DECIDES = np.array(
    [TEXT, RULES, RULES, IMAGE, TEXT, SELLER, TEXT, RULES, TEXT, IMAGE, TEXT, SELLER]
)
DECIDED_BY_SELLER = np.flatnonzero(_DECIDES == SELLER)
_SCORES = {
    TEXT: "counterfeit medicines adult hate_speech misleading_claims personal_data threats",
    RULES: "weapons medicines animal_products hate_speech scam spam",
    IMAGE: "counterfeit adult unsafe_products",
    SELLER: " ".join(POLICIES),
}
#: Which moderator (line) has a score for which rule (column), whether or not it decides.
HEADS = np.array([[p in _SCORES[m].split() for p in POLICIES] for m in range(len(MODERATORS))])
#: Moderator -> its versions and the share of the period after which each goes live.
VERSIONS = {
    "text-model": (("2.3.0", 0.0), ("2.4.0", 0.22), ("3.1.0", 0.55)),
    "rule-list": (("r41", 0.0), ("r42", 0.18), ("r43", 0.40), ("r44", 0.74)),
    "image-match": (("1.8", 0.0), ("1.9", 0.35)),
    "seller-risk": (("5.0", 0.0), ("5.1", 0.30), ("5.2", 0.66)),
}
#: When the rule on animal products got its second text, as a share of the period.
CHANGE_AT = 0.40
#: The threshold of each rule, before the markets' small differences.
THRESHOLDS = np.array([0.60, 0.50, 0.50, 0.62, 0.60, 0.55, 0.55, 0.50, 0.55, 0.60, 0.50, 0.65])


def responsible_moderator(markets: int = len(MARKETS)) -> np.ndarray:
    """Return the moderator that decides, by policy and market (12 x 14)."""
    table = np.repeat(_DECIDES[:, None], markets, axis=1)
    # Two markets have no text model for brands yet and use pictures.
    for code in ("JP", "AE"):
        table[policy_number("counterfeit"), market_number(code)] = IMAGE
    table[policy_number("medicines"), market_number("US")] = TEXT
    return table


@cache
def _policy_rows() -> list[dict[str, Any]]:
    source = files("errdetect.simulation").joinpath("policies.yaml")
    rows: list[dict[str, Any]] = yaml.safe_load(source.read_text(encoding="utf-8"))["policies"]
    return rows


def policy_catalogue(changed_on: dt.date) -> list[dict[str, Any]]:
    """Return the catalogue's rows; the rule on animal products changed on the given day.

    Examples
    --------
    >>> rows = policy_catalogue(dt.date(2025, 3, 1))
    >>> len(rows), {r["effective_from"] for r in rows if r["policy_id"] == "animal_products"}
    (12, {datetime.date(2025, 3, 1)})
    """
    rows = copy.deepcopy(_policy_rows())
    for row in rows:
        row.setdefault("effective_from", changed_on)
    return rows


#: Typical minutes of a review, by policy number.
REVIEW_MINUTES = np.array(
    [{row["policy_id"]: row for row in _policy_rows()}[name]["review_minutes"] for name in POLICIES]
)
