"""Counting by distinct words and arrays gives the same as plain implementations, text by text."""

import re
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from errdetect.features.ngram_counts import BITS, View, clean_texts, collapse_spaces, count_ngrams
from errdetect.features.text_models import MEASURE_COLUMNS, text_statistics
from errdetect.model.policy_correction import PolicyContent

_BASE, _ALL = 0x9E3779B97F4A7C15, 2**64 - 1


def _mix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _ALL
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _ALL
    return x ^ (x >> 31)


def _character_hashes(text: str) -> list[int]:
    out = []
    for word in text.split():
        points = [32, *map(ord, word), 32]
        for n in range(2, 6):
            for start in range(len(points) - n + 1):
                value = points[start]
                for point in points[start + 1 : start + n]:
                    value = (value * _BASE + point) & _ALL
                out.append((value + n) & _ALL)
    return out


def _word_hashes(text: str, *, signs: bool) -> list[int]:
    def kind(character: str) -> int:
        if character == " ":
            return 0
        return 1 if character == "_" or unicodedata.category(character)[0] in "LMN" else 2 * signs

    out, run, before = [], [], 0
    for character in [*text, " "]:
        now = kind(character)
        if now != before and run:
            total = sum((ord(c) + 1) * pow(_BASE, j, 2**64) for j, c in enumerate(run))
            out.append(_mix(total & _ALL))
            run = []
        if now:
            run.append(character)
        before = now
    return out


def plain_ngram_counts(text: str, view: View, tags: tuple[int, ...] = ()) -> dict[int, float]:
    """Count one cleaned text's n-grams by column."""
    if view != "cased":
        text = pd.Series([text], dtype="str").str.lower()[0]
    if view == "char":
        hashes = _character_hashes(text)
    else:
        hashes = _word_hashes(text, signs=view == "cased")
        if view == "tagged":
            tagged = [(word * _BASE + tag) & _ALL for word in hashes for tag in tags]
            hashes = [*tagged, *tags]
        else:
            hashes += [(a * _BASE + b) & _ALL for a, b in pairwise(hashes)]
    return dict(Counter(_mix(value) >> (64 - BITS) for value in hashes))


def plain_text_statistics(text: str | None) -> list[float]:
    """Count one text's statistics with regular expressions."""
    if text is None:
        return [float("nan")] * len(MEASURE_COLUMNS)
    shares = [r"[A-ZÀ-ÖØ-ÞĀ-Ž\u0391-\u03a9\u0410-\u042f]", r"\d", r"[^\w\s]", r"[A-Za-z]"]
    size = len(text)
    parts = [len(re.findall(p, text)) / size if size else float("nan") for p in shares]
    links, repeats = (len(re.findall(p, text)) for p in (r"https?://|www\.", r"(.)\1{3,}"))
    return [size, len(re.findall(r"\S+", text)), *parts, links, repeats]


def plain_policy_texts(texts: "pd.Series[str]") -> list[npt.NDArray[np.float64]]:
    """Hash normalised texts with scikit-learn, text by text."""
    views = [
        {"analyzer": "char_wb", "ngram_range": (2, 5)},
        {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    ]
    rows = texts.fillna("").str.replace(r"\s+", " ", regex=True).str.strip()
    fixed = {"n_features": 2**15, "norm": None, "alternate_sign": False, "binary": True}
    return [HashingVectorizer(**fixed, **view).transform(rows).toarray() for view in views]


TEXTS = [
    "red shoe red", "Red  SHOE!!", "", "x", "it's ab_c 3", "ΣΑΣ ΟΔΟΣ! Σ", "İstanbul I ı", "हिन्दी में",
    "出品します きれいな 首輪", "a\u00a0b\u3000c", "!!! ... !!!", "👍👍👍👍 ok", "aaaa bbbbb\n\n\n\n\nc", "w " * 50,
    "see https://a.example www.www.", "١٢ __ é́",
]  # fmt: skip
VIEWS: tuple[View, ...] = ("char", "word", "cased", "tagged")


@pytest.mark.parametrize("view", VIEWS)
def test_counts_of_many_texts_are_those_of_each(view: View) -> None:
    rng = np.random.default_rng(0)
    mixed = [" ".join(rng.choice(TEXTS, 3)) for _ in range(40)]
    clean = clean_texts(pd.Series([*TEXTS, None, *mixed], dtype="str"))
    tags = rng.integers(1, 5, (len(clean), 2)).astype(np.uint64)
    found = count_ngrams(clean, view, tags if view == "tagged" else None)
    assert found.has_canonical_format
    for row, text in enumerate(clean):
        own = found[row]
        expected = plain_ngram_counts(text, view, tuple(map(int, tags[row])))
        assert dict(zip(own.indices.tolist(), own.data.tolist(), strict=True)) == expected


def test_statistics_of_many_texts_are_those_of_each() -> None:
    texts = [*TEXTS, None, "aaaa", "aaaa", "a", "aaa"]
    found = text_statistics(pd.Series(texts, dtype="str"))
    expected = np.array([plain_text_statistics(text) for text in texts])
    np.testing.assert_array_equal(found, expected)


def test_white_space_is_that_of_python() -> None:
    texts = [f"a{chr(code)}b" for code in range(0x3100) if chr(code).isspace()] + ["a  b", " a b "]
    assert set(collapse_spaces(pd.Series(texts, dtype="str"))) == {"a b"}


def test_policies_texts_are_hashed_as_by_scikit_learn() -> None:
    texts = pd.Series([*TEXTS, None], dtype="str")
    content = PolicyContent.of(pd.DataFrame({"text": texts}))
    for found, expected in zip(content.texts, plain_policy_texts(texts), strict=True):
        np.testing.assert_array_equal(found.toarray(), expected)
