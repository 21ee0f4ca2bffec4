"""The items' texts, put together from phrases without a loop over items."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.simulation.draw import Bools, Ints
from errdetect.data.simulation.items import Items
from errdetect.data.simulation.sellers import Sellers
from errdetect.data.simulation.vocabulary import vocabulary

__all__ = ["Slots", "compose", "write_slots"]

#: n x roles numbers of phrases, -1 for nothing: opening or remark, adjective, noun, brand, sign,
#: detail or second remark, closing, hostile content.
Slots = Ints


def write_slots(rng: np.random.Generator, sellers: Sellers, items: Items) -> Slots:
    """Choose the phrases of each item's text.

    A repeated item repeats its origin's phrases; a relisted one has another detail and closing.
    """
    words, n = vocabulary(), len(items)
    style, spoken = sellers.style[items.seller], items.language
    # Two draws of n for each role: whether it is there, and which phrase.
    there, which = rng.random((6, n)), rng.random((6, n))
    own = rng.random(n) < 0.6

    def pick(table: Ints, role: int, favourite: Ints | None = None) -> Ints:
        drawn = np.floor(which[role] * table.shape[-1]).astype(np.int64)
        if favourite is not None:
            drawn = np.where(own, favourite % table.shape[-1], drawn)
        return drawn

    rows = np.arange(n)
    opening = words.opening[spoken, pick(words.opening, 0, style[:, 0])]
    adjective = words.adjective[spoken, pick(words.adjective, 1)]
    noun = words.noun[spoken, items.category, (which[1] * 97 % 1 * 2).astype(np.int64)]
    brand = words.brand[pick(words.brand[None, :], 2, style[:, 2])]
    detail = words.detail[spoken, pick(words.detail, 3)]
    closing = words.closing[spoken, pick(words.closing, 4, style[:, 1])]
    remark = words.remark[spoken, pick(words.remark, 0)]
    second = words.remark[spoken, pick(words.remark, 3)]
    shown = (items.sign_policy >= 0)
    sign = words.sign[spoken, items.sign_policy, items.sign_kind, items.sign_choice]
    sign = np.where(shown, sign, -1)
    hostile = words.hostile[pick(words.hostile[None, :], 5)]
    listing = [
        np.where(there[0] < 0.6, opening, -1),
        np.where(there[1] < 0.7, adjective, -1),
        noun,
        np.where(there[2] < 0.5, brand, -1),
        sign,
        np.where(there[3] < 0.7, detail, -1),
        np.where(there[4] < 0.6, closing, -1),
        np.where(there[5] < 0.006, hostile, -1),
    ]
    nothing = np.full(n, -1)
    talk = [
        np.where((sign < 0) | (there[0] < 0.5), remark, -1),
        nothing,
        nothing,
        nothing,
        sign,
        np.where(there[3] < 0.35, second, -1),
        nothing,
        np.where(there[5] < 0.006, hostile, -1),
    ]
    slots = np.stack(
        [np.where(items.comment, c, x) for c, x in zip(talk, listing, strict=True)], axis=1
    )
    copied = items.origin != rows
    changed = slots[:, 5:7].copy()
    slots[copied] = slots[items.origin[copied]]
    slots[items.relisted & ~items.comment, 5:7] = changed[items.relisted & ~items.comment]
    # A few listings are a picture and nothing else.
    slots[(there[4] > 0.997) & (sign < 0)] = -1
    return slots


def compose(slots: Slots, loud: Bools) -> "pd.Series[Any]":
    """Join each row's phrases into one text; `loud` ones are in capitals, empty ones missing.

    Examples
    --------
    >>> words = vocabulary()
    >>> slots = np.array([[words.adjective[0, 0], words.noun[0, 0, 0]], [-1, -1]])
    >>> compose(slots, np.array([True, False])).tolist()
    ['LOVELY HEADPHONES', nan]
    """
    pool = pa.array(vocabulary().pool, pa.string())
    empty = (slots < 0).all(axis=1)
    # Arrow leaves a row out of the joined column where all of its parts are missing.
    filled = np.where(empty[:, None], 0, slots)
    columns = [pool.take(pa.array(s, mask=s < 0)) for s in filled.T]
    text = pc.binary_join_element_wise(*columns, " ", null_handling="skip")
    text = pc.if_else(pa.array(loud), pc.utf8_upper(text), text)
    text = pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), text)
    return pd.Series(pd.array(text, dtype="str"))
