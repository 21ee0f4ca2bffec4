"""Attribute the text models' mean log-odds to words, via their hashed n-grams.

The text models are linear in n-grams, and every n-gram lies in one word or in two neighbours. So a
text's log-odds decompose exactly into words: an n-gram that occurs k times gives each occurrence
1 / k of its contribution, and a pair of words half to each. Scripts without spaces use characters
instead of words. No text is stored for this.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from errdetect.features.ngram_counts import (
    BITS,
    View,
    clean_texts,
    count_ngrams,
    locate_character_ngrams,
)
from errdetect.features.text_models import TextModel, tag_hashes, tfidf_rows

__all__ = ["WordContributions", "attribute_words"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK = 500  # texts attributed at a time, to bound memory
# Chinese, Japanese, Thai, Lao, Burmese, Khmer.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
_PAIRED: tuple[View, ...] = ("word", "cased")


@dataclass(frozen=True)
class WordContributions:
    """Texts as sums of word contributions, in log-odds that the content violates.

    Parameters
    ----------
    row, word, part
        Shape (m,), one entry per text and distinct word, in the text's order: the text's position,
        the word between spaces, and the total contribution of its occurrences. A word of a script
        without spaces has an entry for each of its characters instead.
    run
        Shape (m,), entries of one word share a number.
    start
        Shape (n,), the log-odds of a text without words; NaN without text.
    rest
        Shape (n,), the contribution of the tag columns by themselves.
    """

    row: Ints
    word: npt.NDArray[np.object_]
    part: Floats
    run: Ints
    start: Floats
    rest: Floats

    def total_log_odds(self) -> Floats:
        """Return the sum of start, rest and all words, shape (n,): the text models' mean."""
        return self.start + self.rest + np.bincount(self.row, self.part, len(self.start))


def attribute_words(model: TextModel, decisions: pd.DataFrame) -> WordContributions:
    """Attribute the text models' mean log-odds to the words of each text.

    Parameters
    ----------
    model
        The fitted text models.
    decisions
        Shape (n, any), with `enforced`; without `text` no row has one.

    Returns
    -------
    WordContributions
        Its `total_log_odds` equal the mean of `model.logits` up to rounding.

    Examples
    --------
    >>> from errdetect.features.text_models import count_texts, fit_text_models
    >>> frame = pd.DataFrame({"text": ["sell gun", "sell shoe"] * 20, "enforced": False})
    >>> y = np.array([1.0, 0.0] * 20)
    >>> model, _ = fit_text_models(count_texts(frame, []), y, np.ones(40), np.arange(40) % 2, seed=0)
    >>> found = attribute_words(model, frame.head(2))
    >>> found.word[np.argsort(found.part)].tolist()[0::3]
    ['shoe', 'gun']
    >>> bool(np.allclose(found.total_log_odds(), model.logits(frame.head(2)).mean(axis=1)))
    True
    """
    parts: list[WordContributions] = []
    for i in range(0, max(len(decisions), 1), _BLOCK):
        block = _attribute_block(model, decisions.iloc[i : i + _BLOCK])
        run = int(parts[-1].run.max(initial=-1)) + 1 if parts else 0
        parts.append(replace(block, row=block.row + i, run=block.run + run))
    names = [field.name for field in fields(WordContributions)]
    return WordContributions(*(np.concatenate([getattr(part, n) for part in parts]) for n in names))


def _attribute_block(model: TextModel, decisions: pd.DataFrame) -> WordContributions:
    n = len(decisions)
    texts = decisions["text"] if "text" in decisions else pd.Series([None] * n, dtype="str")
    split_texts = [text.split(" ") if text else [] for text in clean_texts(texts).tolist()]
    row = np.repeat(np.arange(n), [len(words) for words in split_texts])
    codes, known = pd.factorize(np.array([w for words in split_texts for w in words], dtype=object))
    words = pd.Series(known, dtype="str")
    # A slot is one distinct word of one text, numbered in the order of its first occurrence.
    slot, places = pd.factorize(row * max(len(words), 1) + codes)
    own_row, own_word = places // max(len(words), 1), places % max(len(words), 1)
    enforced = decisions["enforced"].to_numpy(bool).astype(np.int64)
    split = _CharacterSplit(known, own_word, first=len(places) + n)
    rows = np.concatenate([own_row, np.arange(n), own_row[split.slot]])
    total = np.zeros(len(rows))  # of the words, of the rows' tags alone, of single characters
    for view in model.columns:
        if view == "tagged":
            found = _tagged_entries(
                words, own_row, own_word, tag_hashes(decisions, model.tags), slot
            )
        else:
            found = _untagged_entries(words, codes, row, slot, view)
        if view == "char":
            found = split.place(found, np.bincount(slot, minlength=len(places)))
        total += _sum_contributions(model, view, enforced, rows, found)
    start = np.mean(
        [
            model.intercepts[r.name][enforced * (len(model.intercepts[r.name]) - 1)]
            for r in model.recipes
        ],
        axis=0,
    )
    empty = np.array([not words for words in split_texts], dtype=bool)
    start[empty] = np.nan
    rest = np.where(empty, 0.0, total[len(places) : len(places) + n])
    word, run, part = split.parts(total[: len(places)], total[len(places) + n :])
    return WordContributions(own_row[run], word, part, run, start, rest)


Entries = tuple[Ints, Ints, Floats]


class _CharacterSplit:
    """Words of scripts without spaces, split into characters with their marks."""

    def __init__(self, known: npt.NDArray[np.object_], own_word: Ints, first: int) -> None:
        self._known, self._own_word, self._first = known, own_word, first
        whole = {
            w: _cluster_starts(str(word)) for w, word in enumerate(known) if _is_unspaced(str(word))
        }
        self._starts = {w: starts for w, starts in whole.items() if len(starts) > 1}
        self._slots = [s for s, w in enumerate(own_word.tolist()) if w in self._starts]
        sizes = [len(self._starts[int(own_word[s])]) for s in self._slots]
        #: The slot that each character belongs to.
        self.slot = np.repeat(np.array(self._slots, dtype=np.int64), sizes)
        self._at = np.append(0, np.cumsum(sizes)).astype(np.int64)

    def place(self, found: Entries, times: Ints) -> Entries:
        """Distribute the n-grams of these words equally over their characters."""
        if not self._slots:
            return found
        keep = ~np.isin(found[0], self._slots)
        parts = [tuple(column[keep] for column in found)]
        placed = {w: _cluster_shares(str(self._known[w]), s) for w, s in self._starts.items()}
        for i, s in enumerate(self._slots):
            cluster, column, share = placed[int(self._own_word[s])]
            parts.append((self._first + self._at[i] + cluster, column, share * times[s]))
        owner, column, count = (np.concatenate(p) for p in zip(*parts, strict=True))
        return owner, column, count

    def parts(self, whole: Floats, single: Floats) -> tuple[npt.NDArray[np.object_], Ints, Floats]:
        """Return every entry's word, slot and contribution, in the order of slots."""
        left = np.setdiff1d(np.arange(len(whole)), self._slots)
        size = np.bincount(self.slot, minlength=len(whole))
        pieces = [
            word[a:b]
            for s in self._slots
            for word, starts in [
                (str(self._known[self._own_word[s]]), self._starts[int(self._own_word[s])])
            ]
            for a, b in itertools.pairwise([*starts, len(word)])
        ]
        word = np.empty(len(left) + len(pieces), dtype=object)
        word[: len(left)], word[len(left) :] = self._known[self._own_word[left]], pieces
        run = np.concatenate([left, self.slot])
        part = np.concatenate([whole[left], single + whole[self.slot] / size[self.slot]])
        order = np.argsort(run, kind="stable")
        return word[order], run[order], part[order]


def _is_unspaced(word: str) -> bool:
    # A letter that changes its length in lower case would shift the positions.
    return bool(_UNSPACED.search(word)) and len(word.lower()) == len(word)


def _cluster_starts(word: str) -> list[int]:
    """Return the starts of characters; marks belong to the character before them."""
    return [i for i, c in enumerate(word) if i == 0 or unicodedata.category(c)[0] != "M"]


def _cluster_shares(word: str, starts: list[int]) -> Entries:
    """Return each n-gram's share on each character: character, n-gram column and share."""
    first, size, column = locate_character_ngrams(word.lower())
    owner = np.repeat(np.arange(len(starts)), np.diff([*starts, len(word)]))
    low, high = np.maximum(first, 0), np.minimum(first + size, len(word))
    n = high - low
    ends = np.cumsum(n)
    at = np.arange(int(ends[-1])) + np.repeat(low - (ends - n), n)
    return owner[at], np.repeat(column, n), np.repeat(1 / n, n)


def _untagged_entries(words: pd.Series, codes: Ints, row: Ints, slot: Ints, view: View) -> Entries:
    """Return the n-grams of every word and pair of words: owner, column and count."""
    if not len(words):
        return _no_entries()
    counts = count_ngrams(words, view)
    entries = [_assign_entries(counts, codes, slot, 1.0)]
    if view in _PAIRED:
        used = np.flatnonzero(np.diff(counts.indptr)[codes] > 0)  # a word view skips signs
        left, right = used[:-1], used[1:]
        same = row[left] == row[right]
        left, right = left[same], right[same]
        pair, kinds = pd.factorize(codes[left] * len(words) + codes[right])
        a, b = kinds // len(words), kinds % len(words)
        joined = pd.Series(words.to_numpy(object)[a] + " " + words.to_numpy(object)[b], dtype="str")
        between = count_ngrams(joined, view) - counts[a] - counts[b]
        between.eliminate_zeros()
        entries += [
            _assign_entries(between.tocsr(), pair, slot[side], 0.5) for side in (left, right)
        ]
    return _concat_entries(entries)


def _tagged_entries(
    words: pd.Series, own_row: Ints, own_word: Ints, hashes: npt.NDArray[np.uint64], slot: Ints
) -> Entries:
    """Return the words combined with each of the row's tags, and the tags by themselves."""
    n, tags = hashes.shape
    alone = count_ngrams(pd.Series([""] * n, dtype="str"), "tagged", hashes)
    places = len(own_row)
    rows = np.arange(n)
    entries = [_assign_entries(alone, rows, rows + places, 1.0)] if tags and n else []
    if places:
        combined = count_ngrams(words.iloc[own_word], "tagged", hashes[own_row])
        if tags:
            combined = combined - alone[own_row]
            combined.eliminate_zeros()
        times = np.bincount(slot, minlength=places)
        owner, column, count = _assign_entries(
            combined.tocsr(), np.arange(places), np.arange(places), 1.0
        )
        entries.append((owner, column, count * times[owner]))
    return _concat_entries(entries)


def _assign_entries(counts: sparse.csr_matrix, which: Ints, owner: Ints, share: float) -> Entries:
    """Return the entries of the rows `which`, each assigned to its owner."""
    size = np.diff(counts.indptr)[which]
    start = counts.indptr[which].astype(np.int64)
    ends = np.cumsum(size)
    place = np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - size), size)
    column = counts.indices[place].astype(np.int64)
    return np.repeat(owner, size), column, share * counts.data[place].astype(np.float64)


def _concat_entries(entries: Sequence[Entries]) -> Entries:
    if not entries:
        return _no_entries()
    owner, column, count = (np.concatenate(part) for part in zip(*entries, strict=True))
    return owner, column, count


def _no_entries() -> Entries:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)


def _sum_contributions(
    model: TextModel,
    view: View,
    enforced: Ints,
    rows_of: Ints,
    found: Entries,
) -> Floats:
    """Return the contributions of one view's n-grams by owner, shape (len(rows_of),)."""
    owner, column, count = found
    row = rows_of[owner]
    place = np.full(2**BITS, -1, np.int64)
    place[model.columns[view]] = np.arange(len(model.columns[view]))
    kept = place[column] >= 0
    owner, row, column, count = owner[kept], row[kept], place[column[kept]], count[kept]
    p = len(model.columns[view])
    key, inverse = np.unique(row * max(p, 1) + column, return_inverse=True)
    times = np.bincount(inverse, count, len(key))
    rows, columns = key // max(p, 1), key % max(p, 1)
    indptr = np.searchsorted(rows, np.arange(len(enforced) + 1))
    # Counts are integers: shares of one n-gram sum to 1, up to rounding.
    whole = np.round(times).astype(np.float32)
    whole = sparse.csr_matrix((whole, columns, indptr), (len(enforced), p))
    x = tfidf_rows(whole, model.idf[view]).data.astype(np.float64)
    slope = np.zeros((2, p))
    for recipe in model.recipes:
        if recipe.view == view:
            slope += model.slopes[recipe.name].astype(np.float64) / len(model.recipes)
    each = x * slope[enforced[rows], columns] / times
    return np.asarray(np.bincount(owner, each[inverse] * count, len(rows_of)), dtype=np.float64)
