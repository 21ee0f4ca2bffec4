"""Count hashed n-grams of texts in any language, block by block in numpy.

Hashing needs no vocabulary, so no text is stored. Numpy is about ten times faster than a loop over
words, and counting takes most of scoring's time.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

__all__ = ["BITS", "View", "clean_texts", "count_ngrams", "locate_character_ngrams", "text_groups"]

View = Literal["char", "word", "cased", "tagged"]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

BITS = 20
_MAX_CHARS = (
    5_000  # longer texts cost time and add hardly any evidence; measured: no change in AUROC
)
_BLOCK = 1_000_000  # characters counted at a time, to bound memory
_SPACE = re.compile(r"\s+")
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
    return (
        texts.astype("str")
        .fillna("")
        .str.slice(0, _MAX_CHARS)
        .str.replace(_SPACE, " ", regex=True)
        .str.strip()
    )


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


def count_ngrams(clean: pd.Series, view: View, tags: U64 | None = None) -> sparse.csr_matrix:
    """Count the n-grams of texts.

    Parameters
    ----------
    clean
        Shape (n,), from `clean_texts`.
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
    data, columns, sizes = [], [], []
    for part in _split_blocks(clean.str.len().to_numpy(np.int64)):
        texts = clean.iloc[part]
        if view != "cased":
            texts = texts.str.lower()
        values = texts.to_list()
        rows, hashes = (
            _hash_characters(values)
            if view == "char"
            else _hash_words(values, signs=view == "cased", pairs=view != "tagged")
        )
        if view == "tagged":
            assert tags is not None
            rows, hashes = _hash_tagged_words(rows, hashes, tags[part])
        key = rows.astype(np.uint64) << np.uint64(BITS) | _mix_bits(hashes) >> np.uint64(64 - BITS)
        key, count = np.unique(key, return_counts=True)
        columns.append((key & np.uint64(2**BITS - 1)).astype(np.int32))
        sizes.append(np.bincount((key >> np.uint64(BITS)).astype(np.int64), minlength=len(values)))
        data.append(count.astype(np.float32))
    if not data:
        return sparse.csr_matrix((len(clean), 2**BITS), dtype=np.float32)
    indptr = np.append(0, np.cumsum(np.concatenate(sizes)))
    shape = (len(clean), 2**BITS)
    return sparse.csr_matrix((np.concatenate(data), np.concatenate(columns), indptr), shape=shape)


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


def _hash_words(values: list[str], *, signs: bool, pairs: bool) -> tuple[I64, U64]:
    points, rows = _code_points(values)
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
    word = _mix_bits((total[stops] - total[starts]) * back[starts])
    row = rows[starts]
    if not pairs:
        return row, word
    together = row[1:] == row[:-1]
    pair = word[:-1] * _BASE + word[1:]
    return np.append(row, row[1:][together]), np.append(word, pair[together])


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
