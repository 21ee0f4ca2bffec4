"""Decisions as hashed evidence of what their content is about: characters, words and columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from errdetect.stats.group_sums import quantile_edges

__all__ = ["PolicyTokens", "content_folds"]

_TEXT_BITS, _COLUMN_BITS = 15, 12
_MAX_CHARS = 2_000
_BINS = 10
_VIEWS: tuple[Mapping[str, Any], ...] = (
    {"analyzer": "char_wb", "ngram_range": (2, 5)},
    {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
)


@dataclass(frozen=True)
class PolicyTokens:
    """The conversion of decisions to rows of hashed evidence.

    Parameters
    ----------
    categorical
        Columns used as they are.
    edges
        Numeric column -> the edges of its bins.
    text
        Whether the text is used.
    idf
        Inverse document frequency of each hash, shape (size,).
    """

    categorical: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]
    text: bool
    idf: npt.NDArray[np.float32]

    @classmethod
    def learn(
        cls,
        decisions: pd.DataFrame,
        categorical: Sequence[str],
        numeric: Sequence[str],
        text: bool,
    ) -> "tuple[PolicyTokens, sparse.csr_matrix]":
        """Learn bins and frequencies from decisions, and return their rows too.

        Examples
        --------
        >>> frame = pd.DataFrame({"text": ["red shoe", "blue hat"], "category": ["a", "b"]})
        >>> tokens, X = PolicyTokens.learn(frame, ["category"], [], True)
        >>> X.shape == (2, len(tokens.idf)), (tokens.token_matrix(frame) != X).nnz
        (True, 0)
        """
        edges = {name: _bin_edges(decisions[name]) for name in numeric}
        bare = cls(tuple(categorical), edges, text, np.empty(0, dtype=np.float32))
        blocks = bare._blocks(decisions)
        seen = np.concatenate([np.asarray((b > 0).sum(axis=0)).ravel() for b in blocks])
        idf = (np.log((1 + len(decisions)) / (1 + seen)) + 1).astype(np.float32)
        tokens = cls(bare.categorical, edges, text, idf)
        return tokens, tokens._tfidf_rows(blocks)

    def token_matrix(self, decisions: pd.DataFrame) -> sparse.csr_matrix:
        """Return rows of evidence, shape (n, size); missing columns add none."""
        return self._tfidf_rows(self._blocks(decisions))

    def _blocks(self, decisions: pd.DataFrame) -> list[sparse.csr_matrix]:
        blocks = [_hash_tokens(_column_tokens(decisions, self.categorical, self.edges))]
        if self.text:
            texts = _normalised_texts(decisions)
            for view in _VIEWS:
                hashing = HashingVectorizer(
                    n_features=2**_TEXT_BITS, norm=None, alternate_sign=False, binary=True, **view
                )
                blocks.append(hashing.transform(texts))
        return blocks

    def _tfidf_rows(self, blocks: list[sparse.csr_matrix]) -> sparse.csr_matrix:
        """Weight hashes by rarity; each block's rows have length 1, so that none dominates."""
        out, start = [], 0
        for block in blocks:
            X = block @ sparse.diags(self.idf[start : start + block.shape[1]].astype(np.float64))
            norm = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
            out.append(sparse.diags(1 / np.where(norm > 0, norm, 1)) @ X)
            start += block.shape[1]
        return sparse.hstack(out).tocsr()


def content_folds(decisions: pd.DataFrame, folds: int) -> npt.NDArray[np.int64]:
    """Assign identical content (ignoring case and white space) to one fold, on every machine.

    Parameters
    ----------
    decisions
        Shape (n, any); without text, the item identifies the content.
    folds
        Number of folds, at least 1.

    Examples
    --------
    >>> frame = pd.DataFrame({"text": ["A b", "a  B"], "item_id": ["1", "2"]})
    >>> len(set(content_folds(frame, 3).tolist()))
    1
    """
    texts = _normalised_texts(decisions).str.lower()
    items = decisions["item_id"].astype("str").fillna("") if "item_id" in decisions else ""
    content = texts.where(texts != "", items).to_numpy(object)
    return (pd.util.hash_array(content, categorize=False) % np.uint64(folds)).astype(np.int64)


def _normalised_texts(decisions: pd.DataFrame) -> "pd.Series[str]":
    if "text" not in decisions:
        return pd.Series([""] * len(decisions), index=decisions.index, dtype="str")
    texts = decisions["text"].astype("str").fillna("").str.slice(0, _MAX_CHARS)
    return texts.str.replace(r"\s+", " ", regex=True).str.strip()


def _bin_edges(values: "pd.Series[Any]") -> tuple[float, ...]:
    numbers = values.astype("float64").to_numpy(np.float64, na_value=np.nan)
    return tuple(quantile_edges(np.asarray(numbers, np.float64), _BINS).tolist())


def _column_tokens(
    decisions: pd.DataFrame, categorical: Sequence[str], edges: Mapping[str, tuple[float, ...]]
) -> list[list[str]]:
    """Return each row's tokens `column=value`; missing values give none."""
    columns: list[list[str]] = []
    for name in categorical:
        if name in decisions:
            tokens = (f"{name}=" + decisions[name].astype("str")).fillna("")
            columns.append(tokens.tolist())
    for name, bars in edges.items():
        if name in decisions:
            values = decisions[name].astype("float64").to_numpy(np.float64, na_value=np.nan)
            bins = np.searchsorted(bars, values, side="right")
            known = np.isfinite(values)
            columns.append([f"{name}#{b}" if k else "" for b, k in zip(bins, known, strict=True)])
    if not columns:
        return [[] for _ in range(len(decisions))]
    return [[token for token in row if token] for row in zip(*columns, strict=True)]


def _hash_tokens(rows: list[list[str]]) -> sparse.csr_matrix:
    hashing = HashingVectorizer(
        n_features=2**_COLUMN_BITS,
        norm=None,
        alternate_sign=False,
        binary=True,
        analyzer=_identity_analyzer,
    )
    return hashing.transform(rows)


def _identity_analyzer(row: list[str]) -> list[str]:
    return row
