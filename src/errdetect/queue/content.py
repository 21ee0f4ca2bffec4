"""One job for identical content: who is reviewed, and which decisions that verdict covers."""

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.schemas import hash_columns

__all__ = ["content_digests", "job_heads"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What must be equal beside the content, so that one verdict answers for all.
_QUESTION = ("policy_id", "enforced", "market", "language")


def content_digests(decisions: pd.DataFrame) -> pd.Series:
    """Return a digest that decisions share whose content and question to the reviewer are equal.

    Content is the text to the letter, and every column whose name ends in `hash` (of a picture,
    say). The question is the policy, whether the decision enforced, market and language.

    Parameters
    ----------
    decisions
        Shape (n, any), cleaned.

    Returns
    -------
    pandas.Series
        Shape (n,), bytes of 128 bits; None where there is neither text nor hash: what nobody can
        compare is not the same.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": "spam", "enforced": [True, True, False, True],
    ...                       "text": ["Buy 50", "Buy 50", "Buy 50", None]})
    >>> digest = content_digests(frame)
    >>> digest[0] == digest[1], digest[0] == digest[2], digest[3] is None
    (True, False, True)
    """
    hashes = hash_columns(decisions)
    content = [n for n in decisions if n == "text" or n in hashes]
    columns = [*content, *(n for n in _QUESTION if n in decisions)]
    known = decisions[content].notna().any(axis=1).to_numpy(bool)
    told = decisions.loc[known, columns]
    parts = [told[name].astype("str").fillna("").tolist() for name in columns]
    gaps = [told[name].isna().tolist() for name in columns]
    # As Python would write it, quoted: no text can be made to look like another column.
    rows = zip(*parts, *gaps, strict=True)
    digests = np.full(len(decisions), None, dtype=object)
    digests[known] = [
        hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for row in rows
    ]
    return pd.Series(digests, index=decisions.index, dtype=object)


def job_heads(content: pd.Series, open_: npt.NDArray[np.bool_], value: Floats) -> Ints:
    """Put decisions of equal content into one job, and name the decision that is reviewed.

    Parameters
    ----------
    content
        Shape (n,), from `content_digests`; a missing one is a job of its own.
    open_
        Shape (n,), False for decisions that are not queued: each is its own job.
    value
        Shape (n,). The worthiest member is reviewed; of equals the first.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,): the position of the member that is reviewed for each decision.

    Examples
    --------
    >>> content = pd.Series([b"x", b"x", None, b"x"])
    >>> job_heads(content, np.array([True, True, True, False]), np.array([1.0, 2, 3, 9])).tolist()
    [1, 1, 2, 3]
    """
    heads = np.arange(len(content), dtype=np.int64)
    member = open_ & content.notna().to_numpy(bool)
    rows = np.flatnonzero(member)
    rows = rows[np.argsort(-value[rows], kind="stable")]
    group, _ = pd.factorize(content.to_numpy(object)[rows])
    _, first = np.unique(group, return_index=True)
    heads[rows] = rows[first[group]]
    return heads
