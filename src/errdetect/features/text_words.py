"""What each word of a text adds to the text models' mean: hashed n-grams found again in the text.

The text models are linear in n-grams, and every n-gram stands in one word or in two neighbours. So a
text's log-odds fall apart into its words exactly: an n-gram that stands k times gives each place
1 / k of what it adds, and a pair of words gives half to each. Nothing of a text is stored for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from errdetect.features.ngrams import BITS, View, clean_texts, count_ngrams
from errdetect.features.text import RECIPES, TextModel, tag_hashes, weigh

__all__ = ["TextWords", "text_words"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK = 500  # texts taken apart at a time, which bounds memory
_PAIRED: tuple[View, ...] = ("word", "cased")


@dataclass(frozen=True)
class TextWords:
    """Texts as sums of their words, in log-odds that the content violates.

    Parameters
    ----------
    row, word, part
        Shape (m,), one entry a text and different word, in the text's order: the text's position,
        the word as it stands between spaces, and what all its places together add.
    start
        Shape (n,), the log-odds of a text without words; NaN where there is no text.
    rest
        Shape (n,), what the columns that words are put beside add by themselves.
    """

    row: Ints
    word: npt.NDArray[np.object_]
    part: Floats
    start: Floats
    rest: Floats

    def totals(self) -> Floats:
        """Return start, rest and all words added up, shape (n,): the text models' mean."""
        return self.start + self.rest + np.bincount(self.row, self.part, len(self.start))


def text_words(model: TextModel, decisions: pd.DataFrame) -> TextWords:
    """Take the text models' mean log-odds apart into the words of each text.

    Parameters
    ----------
    model
        The fitted text models.
    decisions
        Shape (n, any), with `enforced`; without `text` no row has one.

    Returns
    -------
    TextWords
        Its `totals` equal the mean of `model.logits` up to rounding.

    Examples
    --------
    >>> from errdetect.features.text import count_texts, fit_text
    >>> frame = pd.DataFrame({"text": ["sell gun", "sell shoe"] * 20, "enforced": False})
    >>> y = np.array([1.0, 0.0] * 20)
    >>> model, _ = fit_text(count_texts(frame, []), y, np.ones(40), np.arange(40) % 2, seed=0)
    >>> told = text_words(model, frame.head(2))
    >>> told.word[np.argsort(told.part)].tolist()[0::3]
    ['shoe', 'gun']
    >>> bool(np.allclose(told.totals(), model.logits(frame.head(2)).mean(axis=1)))
    True
    """
    parts = [
        _block(model, decisions.iloc[i : i + _BLOCK], i) for i in range(0, len(decisions), _BLOCK)
    ]
    if not parts:
        nothing = np.empty(0)
        return TextWords(nothing.astype(np.int64), nothing.astype(object), *[nothing] * 3)
    return TextWords(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _block(
    model: TextModel, decisions: pd.DataFrame, first: int
) -> tuple[Ints, npt.NDArray[np.object_], Floats, Floats, Floats]:
    n = len(decisions)
    texts = decisions["text"] if "text" in decisions else pd.Series([None] * n, dtype="str")
    split = [text.split(" ") if text else [] for text in clean_texts(texts).tolist()]
    row = np.repeat(np.arange(n), [len(words) for words in split])
    codes, known = pd.factorize(np.array([w for words in split for w in words], dtype=object))
    words = pd.Series(known, dtype="str")
    # A slot is one different word of one text, numbered in the order of its first place.
    slot, places = pd.factorize(row * max(len(words), 1) + codes)
    own_row, own_word = places // max(len(words), 1), places % max(len(words), 1)
    enforced = decisions["enforced"].to_numpy(bool).astype(np.int64)
    total = np.zeros(len(places) + n)  # the last n are what the tags add by themselves
    for view in model.columns:
        if view == "tagged":
            found = _tagged(words, own_row, own_word, tag_hashes(decisions, model.tags), slot)
        else:
            found = _plain(words, codes, row, slot, view)
        owner, column, count = found
        at = np.where(owner < len(places), own_row[np.minimum(owner, len(places) - 1)]
                      if len(places) else 0, owner - len(places))  # fmt: skip
        total += _added(model, view, enforced, owner, at, column, count, len(total))
    start = np.mean(
        [model.intercepts[r.name][enforced * (len(model.intercepts[r.name]) - 1)] for r in RECIPES],
        axis=0,
    )
    empty = np.array([not words for words in split], dtype=bool)
    start[empty] = np.nan
    rest = np.where(empty, 0.0, total[len(places) :])
    return own_row + first, known[own_word], total[: len(places)], start, rest


Entries = tuple[Ints, Ints, Floats]


def _plain(words: pd.Series, codes: Ints, row: Ints, slot: Ints, view: View) -> Entries:
    """Return the n-grams of every word and pair of words: whose they are, which, and how many."""
    if not len(words):
        return _nothing()
    counts = count_ngrams(words, view)
    entries = [_spread(counts, codes, slot, 1.0)]
    if view in _PAIRED:
        said = np.flatnonzero(np.diff(counts.indptr)[codes] > 0)  # a word view passes signs over
        left, right = said[:-1], said[1:]
        same = row[left] == row[right]
        left, right = left[same], right[same]
        pair, kinds = pd.factorize(codes[left] * len(words) + codes[right])
        a, b = kinds // len(words), kinds % len(words)
        joined = pd.Series(words.to_numpy(object)[a] + " " + words.to_numpy(object)[b], dtype="str")
        between = count_ngrams(joined, view) - counts[a] - counts[b]
        between.eliminate_zeros()
        entries += [_spread(between.tocsr(), pair, slot[side], 0.5) for side in (left, right)]
    return _joined(entries)


def _tagged(
    words: pd.Series, own_row: Ints, own_word: Ints, hashes: npt.NDArray[np.uint64], slot: Ints
) -> Entries:
    """Return the words beside each of the row's tags, and the tags by themselves."""
    n, tags = hashes.shape
    alone = count_ngrams(pd.Series([""] * n, dtype="str"), "tagged", hashes)
    places = len(own_row)
    rows = np.arange(n)
    entries = [_spread(alone, rows, rows + places, 1.0)] if tags and n else []
    if places:
        beside = count_ngrams(words.iloc[own_word], "tagged", hashes[own_row])
        if tags:
            beside = beside - alone[own_row]
            beside.eliminate_zeros()
        times = np.bincount(slot, minlength=places)
        owner, column, count = _spread(beside.tocsr(), np.arange(places), np.arange(places), 1.0)
        entries.append((owner, column, count * times[owner]))
    return _joined(entries)


def _spread(counts: sparse.csr_matrix, which: Ints, owner: Ints, share: float) -> Entries:
    """Return the entries of the rows `which`, each given to its owner."""
    size = np.diff(counts.indptr)[which]
    start = counts.indptr[which].astype(np.int64)
    ends = np.cumsum(size)
    place = np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - size), size)
    column = counts.indices[place].astype(np.int64)
    return np.repeat(owner, size), column, share * counts.data[place].astype(np.float64)


def _joined(entries: Sequence[Entries]) -> Entries:
    if not entries:
        return _nothing()
    owner, column, count = (np.concatenate(part) for part in zip(*entries, strict=True))
    return owner, column, count


def _nothing() -> Entries:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)


def _added(
    model: TextModel,
    view: View,
    enforced: Ints,
    owner: Ints,
    row: Ints,
    column: Ints,
    count: Floats,
    size: int,
) -> Floats:
    """Return what the n-grams of one view add, by their owner, shape (size,)."""
    place = np.full(2**BITS, -1, np.int64)
    place[model.columns[view]] = np.arange(len(model.columns[view]))
    kept = place[column] >= 0
    owner, row, column, count = owner[kept], row[kept], place[column[kept]], count[kept]
    p = len(model.columns[view])
    key, inverse = np.unique(row * max(p, 1) + column, return_inverse=True)
    times = np.bincount(inverse, count, len(key))
    rows, columns = key // max(p, 1), key % max(p, 1)
    indptr = np.searchsorted(rows, np.arange(len(enforced) + 1))
    # Counts are whole; halves of pairs add up to them exactly.
    whole = sparse.csr_matrix((times.astype(np.float32), columns, indptr), (len(enforced), p))
    x = weigh(whole, model.idf[view]).data.astype(np.float64)
    slope = np.zeros((2, p))
    for recipe in RECIPES:
        if recipe.view == view:
            slope += model.slopes[recipe.name].astype(np.float64) / len(RECIPES)
    each = x * slope[enforced[rows], columns] / times
    return np.asarray(np.bincount(owner, each[inverse] * count, size), dtype=np.float64)
