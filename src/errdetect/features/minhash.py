"""MinHash keys of texts: one shared by equal texts, and several by near-duplicates.

Texts are folded first: case is dropped, and anything but letters and pictograms becomes one space,
in any script. Near-duplicates are found by MinHash (Broder, "On the resemblance and containment of
documents", 1997) over character n-grams, banded so that two texts share a key with probability
1 - (1 - J**5)**6, where J is the share of n-grams in common: 17 % at J = .5, 67 % at .7, 91 % at .8.
All steps are integer arithmetic on arrays, identical on every machine.
"""

import unicodedata
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

__all__ = ["BANDS", "content_keys", "near_duplicate_groups"]

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

#: Near-duplicate keys per text.
BANDS = 6
_ROWS = 5  # MinHash values per key
_RUN = 4  # characters per n-gram
_MAX_CHARS = 2_000
_BLOCK_CHARS = 2_000_000
_SAME = 0.7  # estimated share of common n-grams from which texts are near-duplicates
_SPACE, _END = 32, 0
_KEPT = {"L", "M", "So"}  # letters, their marks, pictograms


def content_keys(texts: pd.Series) -> Ints:
    """Return the keys that equal and near-duplicate texts share.

    Parameters
    ----------
    texts
        Shape (n,); missing values allowed.

    Returns
    -------
    numpy.ndarray
        int64, shape (n, 1 + `BANDS`): first the key of the whole folded text, then the
        near-duplicate keys. 0 without text, or with only digits and signs.

    Examples
    --------
    >>> keys = content_keys(pd.Series(["Buy  gold, 50% off!", "buy gold -- 70 % OFF", "?", None]))
    >>> bool((keys[0] == keys[1]).all()), keys[2:].any()
    (True, np.False_)
    """
    return _minhash_texts(texts)[0]


def near_duplicate_groups(texts: pd.Series) -> Ints:
    """Group equal and near-duplicate texts.

    Groups depend on all given texts, so use them for folds, not for features.

    Parameters
    ----------
    texts
        Shape (n,); missing values allowed.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,), in order of appearance. A text without letters is its own group.
        The texts' order does not affect the grouping.

    Examples
    --------
    >>> near_duplicate_groups(pd.Series(["One gold ring, as new", "other", "one gold ring as new!", None])).tolist()
    [0, 1, 0, 2]
    """
    keys, minima = _minhash_texts(texts)
    n = len(keys)
    present = np.flatnonzero(keys[:, 0])
    by_content = present[np.argsort(keys[present, 0], kind="stable")]
    pairs = []
    for column in range(1 + BANDS):
        # Each bucket's members are compared with the one whose content has the lowest key.
        order = by_content[np.argsort(keys[by_content, column], kind="stable")]
        bucket = keys[order, column]
        start = np.append(True, bucket[1:] != bucket[:-1])[: len(order)]
        first = order[np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))]
        alike = (minima[order] == minima[first]).mean(axis=1) >= _SAME
        pairs.append(np.stack([order[alike], first[alike]]))
    left, right = np.hstack(pairs)
    graph = sparse.coo_matrix((np.ones(len(left), bool), (left, right)), shape=(n, n))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    numbered: Ints = pd.factorize(group)[0].astype(np.int64)
    return numbered


def _minhash_texts(texts: pd.Series) -> tuple[Ints, Hashes]:
    """Return `content_keys` and the MinHash values behind them, shape (n, BANDS * _ROWS)."""
    clean = texts.astype("str").fillna("").str.slice(0, _MAX_CHARS).to_numpy(object)
    keys = np.zeros((len(clean), 1 + BANDS), np.int64)
    minima = np.zeros((len(clean), BANDS * _ROWS), np.uint64)
    sizes = np.fromiter(map(len, clean), np.int64, len(clean)) + 1
    block = np.cumsum(sizes) // _BLOCK_CHARS
    edges = np.append(np.flatnonzero(np.diff(block, prepend=-1)), len(clean))
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        whole, low = _minhash_block(_normalise_texts(list(clean[part])))
        bands = _mixed_columns(low.reshape(len(low), BANDS, _ROWS))
        bands = _mix_bits(bands ^ np.arange(1, BANDS + 1, dtype=np.uint64))
        some = whole != 0
        keys[part, 0] = whole.view(np.int64)
        keys[part, 1:] = np.where(some[:, None], bands.view(np.int64), 0)
        minima[part] = low
    return keys, minima


def _normalise_texts(texts: list[str]) -> npt.NDArray[np.uint32]:
    """Fold texts, and concatenate their code points, each followed by `_END`."""
    whole = "\0".join(texts)
    if whole.count("\0") != len(texts) - 1:
        whole = "\0".join(text.replace("\0", " ") for text in texts)
    raw = (whole + "\0").casefold().encode("utf-32-le", "surrogatepass")
    chars = np.frombuffer(raw, np.uint32)
    letter = np.zeros(0x110000, bool)
    for code in np.flatnonzero(np.bincount(chars, minlength=1)):
        kind = unicodedata.category(chr(code))
        letter[code] = kind in _KEPT or kind[0] in _KEPT
    end, kept = chars == _END, letter[chars]
    before = np.append(True, ~kept[:-1])  # a space only after a letter, and not at the end
    chars = np.where(kept | end, chars, np.uint32(_SPACE))[kept | end | ~before]
    trailing = np.append((chars[:-1] == _SPACE) & (chars[1:] == _END), False)
    folded: npt.NDArray[np.uint32] = chars[~trailing]
    return folded


def _minhash_block(chars: npt.NDArray[np.uint32]) -> tuple[Hashes, Hashes]:
    """Return each whole text's key (0 for none) and its MinHash values."""
    ends = np.flatnonzero(chars == _END)
    starts = np.append(0, ends[:-1] + 1)
    sizes = ends - starts
    place = np.arange(len(chars)) - np.repeat(starts, sizes + 1)
    wide = chars.astype(np.uint64)
    whole = np.add.reduceat(_mix_bits(wide ^ (place.astype(np.uint64) << np.uint64(32))), starts)
    # Texts wrap around at their end, so that short ones have n-grams too.
    runs = np.zeros(len(chars), np.uint64)
    follow = np.repeat(starts, sizes + 1)
    around = np.repeat(sizes + 1, sizes + 1)
    for step in range(_RUN):
        at = follow + (place + step) % around
        runs = _mix_bits(runs ^ wide[at])
    low = np.empty((len(starts), BANDS * _ROWS), np.uint64)
    for j in range(BANDS * _ROWS):
        salt = _mix_bits(np.array([j + 1], np.uint64))
        low[:, j] = np.minimum.reduceat((runs ^ salt) * (salt | np.uint64(1)), starts)
    return np.where(sizes > 0, whole | np.uint64(1), np.uint64(0)), low


def _mix_bits(x: Hashes) -> Hashes:
    """Hash numbers to 64 bits (SplitMix64; Steele, Lea and Flood, 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mixed_columns(x: Hashes) -> Hashes:
    """Hash the last axis into one number."""
    out = np.zeros(x.shape[:-1], np.uint64)
    for j in range(x.shape[-1]):
        out = _mix_bits(out ^ x[..., j])
    return out
