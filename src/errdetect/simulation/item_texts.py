"""The items' texts, composed from phrases without a loop over items."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.simulation.items import Items, Sellers
from errdetect.simulation.phrase_pool import load_vocabulary
from errdetect.simulation.platform_facts import Bools, Floats, Ints

__all__ = ["Slots", "compose_texts", "draw_text_phrases"]

#: n x roles numbers of phrases, -1 for nothing: opening or remark, adjective, noun, brand, sign,
#: detail or second remark, closing, hostile content.
Slots = Ints
_ROLES = 8
_OPENING, _ADJECTIVE, _NOUN, _BRAND, _SIGN, _DETAIL, _CLOSING, _HOSTILE = range(_ROLES)
#: How often listings and comments have each role; signs are there where items show one.
_IN_LISTINGS = np.array([0.6, 0.7, 1.0, 0.5, 1.0, 0.7, 0.6, 0.006])
_IN_COMMENTS = np.array([0.5, 0.0, 0.0, 0.0, 1.0, 0.35, 0.0, 0.006])
#: Share of the tell-tale phrases in the title, the only text that the log keeps.
_IN_TITLE = 0.72
_PICTURE_ONLY = 0.003
_OWN_STYLE = 0.6


def draw_text_phrases(rng: np.random.Generator, sellers: Sellers, items: Items) -> Slots:
    """Choose the phrases of each item's text.

    A repeated item repeats its origin's phrases; a relisted one has another detail and closing.

    Returns
    -------
    numpy.ndarray
        See `Slots`.
    """
    n, comment = len(items), items.comment[:, None]
    slots = np.where(comment, *_draw_role_phrases(rng, sellers, items))
    slots = np.where(rng.random((n, _ROLES)) < _role_probabilities(items), slots, -1)
    # A comment without other content makes a remark.
    mute = items.comment & (slots[:, _SIGN] < 0) & (slots[:, _OPENING] < 0)
    slots[:, _OPENING] = np.where(
        mute, load_vocabulary().remark[items.language, 0], slots[:, _OPENING]
    )
    picture_only = ~items.comment & (slots[:, _SIGN] < 0) & (rng.random(n) < _PICTURE_ONLY)
    slots[picture_only] = -1
    return _repeat_origin_phrases(items, slots)


def _role_probabilities(items: Items) -> Floats:
    """Return the probability that each role (n x roles) is filled."""
    probability = np.where(items.comment[:, None], _IN_COMMENTS, _IN_LISTINGS)
    # Tell-tale phrases may be in the description, which the log does not keep.
    told = np.where(items.comment, 1.0, _IN_TITLE) * (items.sign_policy >= 0)
    probability[:, _SIGN] = told
    return probability


def _draw_role_phrases(
    rng: np.random.Generator, sellers: Sellers, items: Items
) -> tuple[Slots, Slots]:
    """Draw a phrase for every role, as in a comment and as in a listing."""
    words, spoken, n = load_vocabulary(), items.language, len(items)
    style, which = sellers.style[items.seller], rng.random((_ROLES, n))
    own = rng.random(n) < _OWN_STYLE

    def pick(role: int, choices: int, favourite: Ints | None = None) -> Ints:
        drawn = np.floor(which[role] * choices).astype(np.int64)
        return drawn if favourite is None else np.where(own, favourite % choices, drawn)

    n_openings, n_closings = words.opening.shape[1], words.closing.shape[1]
    n_remarks, nothing = words.remark.shape[1], np.full(n, -1)
    goods = words.noun[spoken, items.category]
    sign = words.sign[spoken, items.sign_policy, items.sign_kind, items.sign_choice]
    hostile = words.hostile[pick(_HOSTILE, len(words.hostile))]
    listing = [
        words.opening[spoken, pick(_OPENING, n_openings, style[:, 0])],
        words.adjective[spoken, pick(_ADJECTIVE, words.adjective.shape[1])],
        goods[np.arange(n), pick(_NOUN, goods.shape[1])],
        words.brand[pick(_BRAND, len(words.brand), style[:, 2])],
        sign,
        words.detail[spoken, pick(_DETAIL, words.detail.shape[1])],
        words.closing[spoken, pick(_CLOSING, n_closings, style[:, 1])],
        hostile,
    ]
    first = words.remark[spoken, pick(_OPENING, n_remarks)]
    second = words.remark[spoken, pick(_DETAIL, n_remarks)]
    talk = [first, nothing, nothing, nothing, sign, second, nothing, hostile]
    return np.stack(talk, axis=1), np.stack(listing, axis=1)


def _repeat_origin_phrases(items: Items, slots: Slots) -> Slots:
    """Copy the origin's phrases to repeated items; relisted ones keep some of their own."""
    repeated = slots[items.origin]
    own = items.relisted & ~items.comment
    repeated[own, _DETAIL : _CLOSING + 1] = slots[own, _DETAIL : _CLOSING + 1]
    return repeated


def compose_texts(slots: Slots, loud: Bools) -> "pd.Series[Any]":
    """Join each row's phrases into one text; `loud` ones are in capitals, empty ones missing.

    Examples
    --------
    >>> words = load_vocabulary()
    >>> slots = np.array([[words.adjective[0, 0], words.noun[0, 0, 0]], [-1, -1]])
    >>> compose_texts(slots, np.array([True, False])).tolist()
    ['LOVELY HEADPHONES', nan]
    """
    pool = pa.array(load_vocabulary().pool, pa.string())
    empty: Bools = np.max(slots, axis=1) < 0
    # Arrow omits a row from the joined column if all of its parts are missing.
    filled = np.where(empty[:, None], 0, slots)
    columns = [pool.take(pa.array(s, mask=s < 0)) for s in filled.T]
    text = pc.binary_join_element_wise(*columns, " ", null_handling="skip")
    text = pc.if_else(pa.array(loud), pc.utf8_upper(text), text)
    text = pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), text)
    return pd.Series(pd.array(text, dtype="str"))
