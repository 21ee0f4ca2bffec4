"""Count hashed n-grams of texts in any language, by distinct words.

Hashing needs no vocabulary, so no text is stored. No n-gram of characters crosses a space, so each
distinct word is hashed once; a text's counts are the sum of its words' counts. Arrow, numpy and scipy
do the work, without Python's lock.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

__all__ = [
    "BITS",
    "TextWords",
    "View",
    "clean_texts",
    "collapse_spaces",
    "count_ngrams",
    "locate_character_ngrams",
    "ragged_positions",
    "split_words",
    "text_groups",
]

View = Literal["char", "word", "cased", "tagged"]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

BITS = 20
_MAX_CHARS = (
    5_000  # longer texts cost time and add hardly any evidence; measured: no change in AUROC
)
_BLOCK = 1_000_000  # characters hashed at a time, to bound memory
_SPACE = re.compile(r"\s+")
#: Python's white space, which Arrow's regular expressions know only in part, but for single spaces.
_UNEVEN = f"  |[{''.join(map(chr, [c for c in range(0x10000) if chr(c).isspace() and c != 32]))}]"
_BASE = np.uint64(0x9E3779B97F4A7C15)
_UNBASE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
_ORDERS = (2, 3, 4, 5)
_LINK = re.compile(r"https?://\S+|www\.\S+")
_NOT_LETTERS = re.compile(r"[\W\d_]+")


def clean_texts(texts: pd.Series) -> pd.Series:
    """Return texts with runs of white space as one space, cut to 5,000 characters; '' if missing.

    Examples
    --------
    >>> clean_texts(pd.Series([" a  b ", None])).tolist()
    ['a b', '']
    """
    return collapse_spaces(texts.astype("str").fillna("").str.slice(0, _MAX_CHARS))


def collapse_spaces(texts: pd.Series) -> pd.Series:
    r"""Return texts with every run of white space as one space, and none at the ends.

    Examples
    --------
    >>> collapse_spaces(pd.Series([" a\u3000 b", "a b"])).tolist()
    ['a b', 'a b']
    """
    uneven = texts.str.contains(_UNEVEN, regex=True).to_numpy(bool)
    if uneven.any():
        texts = texts.copy()
        texts[uneven] = texts[uneven].str.replace(_SPACE, " ", regex=True)
    return texts.str.strip()


@dataclass(frozen=True)
class TextWords:
    """Texts split at spaces, each distinct word once.

    Parameters
    ----------
    n
        Number of texts.
    words
        Distinct words, shape (k,).
    row, code
        Each occurrence's text and word, shape (m,), in order.
    """

    n: int
    words: tuple[str, ...]
    row: I64
    code: I64

    @cached_property
    def occurrences(self) -> sparse.csr_matrix:
        """How often each text has each word, shape (n, k), float32."""
        ones = np.ones(len(self.row), np.float32)
        return sparse.coo_matrix(
            (ones, (self.row, self.code)), shape=(self.n, len(self.words))
        ).tocsr()

    def spread(self, size: I64) -> tuple[I64, I64]:
        """Return the text of every part of every occurrence, and the part's position.

        Parameters
        ----------
        size
            Number of parts of each distinct word, shape (k,); parts are numbered word by word.
        """
        sizes = size[self.code]
        start = (np.cumsum(size) - size)[self.code]
        return np.repeat(self.row, sizes), ragged_positions(start, sizes)


def ragged_positions(start: I64, size: I64) -> I64:
    """Return start, start + 1, ... for each run of a size, shape (sum of sizes,).

    Examples
    --------
    >>> ragged_positions(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(size) - size
    places: I64 = np.arange(int(size.sum())) + np.repeat(start - before, size)
    return places


def split_words(texts: pd.Series) -> TextWords:
    """Split texts at single spaces.

    Examples
    --------
    >>> split = split_words(pd.Series(["red shoe red", ""]))
    >>> split.words, split.row.tolist(), split.code.tolist()
    (('red', 'shoe'), [0, 0, 0], [0, 1, 0])
    """
    values = pa.array(texts, pa.large_string())
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    lists = pc.split_pattern(values, " ")
    row = np.asarray(pc.list_parent_indices(lists).to_numpy(zero_copy_only=False), np.int64)
    flat = pc.list_flatten(lists).dictionary_encode()
    code = np.asarray(flat.indices.to_numpy(zero_copy_only=False), np.int64)
    words = flat.dictionary.to_pylist()
    if "" in words:  # an empty text is one empty word
        empty = words.index("")
        some = code != empty
        row, code = row[some], code[some]
        code = np.where(code > empty, code - 1, code)
        words.pop(empty)
    return TextWords(len(texts), tuple(words), row, code)


def text_groups(texts: pd.Series) -> I64:
    """Assign one number to identical and near-identical contents, in order of appearance.

    Near-identical: equal except for case, digits, links, signs and white space. A text with nothing
    else is compared unchanged.

    Examples
    --------
    >>> text_groups(pd.Series(["A b: 12 EUR", "c", "a  B 99 eur!", "12", "13"])).tolist()
    [0, 1, 0, 2, 3]
    """
    whole = clean_texts(texts).str.lower()
    bare = whole.str.replace(_LINK, " ", regex=True).str.replace(_NOT_LETTERS, " ", regex=True)
    bare = bare.str.strip()
    return pd.factorize(bare.where(bare.str.len() > 1, "\0" + whole))[0].astype(np.int64)


def count_ngrams(
    clean: "pd.Series | TextWords", view: View, tags: U64 | None = None
) -> sparse.csr_matrix:
    """Count the n-grams of texts.

    Parameters
    ----------
    clean
        Shape (n,), from `clean_texts`; or split by `split_words`, in lower case but for `cased`.
    view
        `char`: 2 to 5 characters within words; `word`: 1 to 2 words; `cased`: 1 to 2 words and runs
        of signs, case kept; `tagged`: words combined with each of the row's tags, and the tags.
    tags
        Shape (n, tags), hashes of each row's tags; only for `tagged`.

    Returns
    -------
    scipy.sparse.csr_matrix
        Shape (n, 2**20), float32 counts with sorted columns.

    Examples
    --------
    >>> counts = count_ngrams(pd.Series(["red shoe red"]), "word")
    >>> sorted(counts.data.tolist())
    [1.0, 1.0, 1.0, 2.0]
    """
    if isinstance(clean, pd.Series):
        clean = split_words(clean if view == "cased" else clean.str.lower())
    if view == "char":
        return _count_characters(clean)
    size, word = _hash_word_parts(clean.words, signs=view == "cased")
    rows, part = clean.spread(size)
    hashes = word[part]
    if view == "tagged":
        assert tags is not None
        rows, hashes = _hash_tagged_words(rows, hashes, tags)
    else:
        together = rows[1:] == rows[:-1]
        pair = hashes[:-1] * _BASE + hashes[1:]
        rows = np.append(rows, rows[1:][together])
        hashes = np.append(hashes, pair[together])
    return _count_columns(rows, hashes, clean.n)


def _count_characters(split: TextWords) -> sparse.csr_matrix:
    """Add up the words' n-grams of characters."""
    if not split.words:
        return sparse.csr_matrix((split.n, 2**BITS), dtype=np.float32)
    parts = [
        _count_columns(*_hash_characters(list(split.words[block])), block.stop - block.start)
        for block in _split_blocks(np.fromiter(map(len, split.words), np.int64, len(split.words)))
    ]
    counts = split.occurrences @ (sparse.vstack(parts, format="csr") if parts[1:] else parts[0])
    counts.sort_indices()
    return counts


def _count_columns(rows: I64, hashes: U64, n: int) -> sparse.csr_matrix:
    """Count each row's hashes by column, shape (n, 2**20)."""
    key = rows.astype(np.uint64) << np.uint64(BITS) | _mix_bits(hashes) >> np.uint64(64 - BITS)
    key, count = np.unique(key, return_counts=True)
    columns = (key & np.uint64(2**BITS - 1)).astype(np.int32)
    sizes = np.bincount((key >> np.uint64(BITS)).astype(np.int64), minlength=n)
    indptr = np.append(0, np.cumsum(sizes)).astype(np.int32)
    return sparse.csr_matrix((count.astype(np.float32), columns, indptr), shape=(n, 2**BITS))


def _split_blocks(lengths: npt.NDArray[Any]) -> Iterator[slice]:
    """Split rows into blocks of about a million characters."""
    if not len(lengths):
        return
    place = np.cumsum(lengths + 2) // _BLOCK
    cuts = np.flatnonzero(np.diff(place)) + 1
    edges = [0, *cuts.tolist(), len(lengths)]
    yield from (slice(a, b) for a, b in itertools.pairwise(edges))


def _code_points(values: list[str]) -> tuple[U64, I64]:
    """Return the code points of all texts, each between two spaces, and their rows."""
    joined = " " + "  ".join(values) + " "
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    rows = np.repeat(np.arange(len(values)), [len(v) + 2 for v in values])
    return points.astype(np.uint64), rows


def _hash_characters(values: list[str]) -> tuple[I64, U64]:
    points, rows = _code_points(values)
    found_rows, found = [], []
    for _, start, hashes in _character_runs(points):
        found_rows.append(rows[start])
        found.append(hashes)
    return np.concatenate(found_rows), np.concatenate(found)


def _character_runs(points: U64) -> Iterator[tuple[int, I64, U64]]:
    """Return each length with the starts of its n-grams, none across a space."""
    space = points == 32
    before = np.append(0, np.cumsum(space))
    rolling = points.copy()
    for n in range(2, max(_ORDERS) + 1):
        rolling = rolling[:-1] * _BASE + points[n - 1 :]
        if not len(rolling):
            break
        start = np.arange(len(rolling))
        inside = before[start + n - 1] - before[start + 1]  # spaces strictly within
        good = (inside == 0) & ~(space[start] & space[start + n - 1] & (n == 2))
        yield n, start[good], rolling[good] + np.uint64(n)


def locate_character_ngrams(word: str) -> tuple[I64, I64, I64]:
    """Return the position in a word of each n-gram of the view `char`.

    Parameters
    ----------
    word
        Without white space, in lower case.

    Returns
    -------
    tuple
        Shape (m,) each: the position of its first character, -1 for the space before the word; its
        number of characters; and its column.

    Examples
    --------
    >>> start, size, column = locate_character_ngrams("ab")
    >>> list(zip(start.tolist(), size.tolist()))
    [(-1, 2), (0, 2), (1, 2), (-1, 3), (0, 3), (-1, 4)]
    >>> counted = count_ngrams(pd.Series(["ab"]), "char")
    >>> sorted(column.tolist()) == sorted(counted.indices.tolist())
    True
    """
    points, _ = _code_points([word])
    runs = list(_character_runs(points))
    start = np.concatenate([at - 1 for _, at, _ in runs])
    size = np.concatenate([np.full(len(at), n) for n, at, _ in runs])
    column = np.concatenate([_mix_bits(h) >> np.uint64(64 - BITS) for _, _, h in runs])
    return start.astype(np.int64), size.astype(np.int64), column.astype(np.int64)


def _hash_word_parts(words: tuple[str, ...], *, signs: bool) -> tuple[I64, U64]:
    """Split words into runs of letters, digits and marks (and of signs), and hash these.

    Returns the number of each word's parts, shape (k,), and all parts' hashes, word by word.
    """
    sizes, hashes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for block in _split_blocks(np.fromiter(map(len, words), np.int64, len(words))):
        some = list(words[block])
        points, rows = _code_points(some)
        known, place = np.unique(points, return_inverse=True)
        kind = np.array([_character_class(int(p)) for p in known], np.int8)[place]
        if not signs:
            kind[kind == 2] = 0
        edge = np.append(True, kind[1:] != kind[:-1])
        starts = np.flatnonzero(edge & (kind > 0))
        stops = np.flatnonzero(np.append(edge[1:], True) & (kind > 0)) + 1
        power = np.multiply.accumulate(np.full(len(points), _BASE, np.uint64))
        back = np.multiply.accumulate(np.full(len(points), _UNBASE, np.uint64))
        total = np.append(np.uint64(0), np.cumsum((points + np.uint64(1)) * power))
        hashes.append(_mix_bits((total[stops] - total[starts]) * back[starts]))
        sizes.append(np.bincount(rows[starts], minlength=len(some)))
    return np.concatenate(sizes), np.concatenate(hashes)


def _hash_tagged_words(rows: I64, words: U64, tags: U64) -> tuple[I64, U64]:
    """Combine each word with each of its row's tags, and add the tags; without any, the words."""
    if not tags.shape[1]:
        return rows, words
    own = np.arange(len(tags))
    all_rows = [part for t in range(tags.shape[1]) for part in (rows, own)]
    hashes = [
        part for t in range(tags.shape[1]) for part in (words * _BASE + tags[rows, t], tags[:, t])
    ]
    return np.concatenate(all_rows), np.concatenate(hashes)


def _character_class(point: int) -> int:
    """Return 1 for word characters (and marks, which are vowels in many scripts), 2 for signs."""
    if point == 32:
        return 0
    return 1 if point == 95 or unicodedata.category(chr(point))[0] in "LMN" else 2


def _mix_bits(x: Any) -> U64:
    """Mix hashes over all bits (the finaliser of splitmix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
