from collections import Counter

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.features.ngram_counts import BITS, clean_texts, count_ngrams, text_groups

TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=6)


def brute_characters(text: str) -> Counter:
    """Substrings of 2 to 5 of each word between spaces, as the definition says."""
    out: Counter = Counter()
    for word in text.lower().split(" "):
        padded = f" {word} "
        for n in range(2, 6):
            out.update(padded[i : i + n] for i in range(len(padded) - n + 1))
    return out


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_characters_as_counted_one_by_one(values):
    clean = clean_texts(pd.Series(values, dtype="str"))
    counts = count_ngrams(clean, "char")
    for row, text in enumerate(clean):
        expected = brute_characters(text) if text else Counter()
        assert sorted(counts[row].data.tolist()) == sorted(expected.values())


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_a_row_does_not_depend_on_its_neighbours(values):
    clean = clean_texts(pd.Series(values, dtype="str"))
    for view in ("char", "word", "cased"):
        whole = count_ngrams(clean, view)
        for row in range(len(clean)):
            alone = count_ngrams(clean.iloc[[row]], view)
            assert (whole[row] != alone).nnz == 0


def test_words_and_pairs_of_words():
    counts = count_ngrams(pd.Series(["red shoe", "red", "shoe red", "redshoe"]), "word")
    assert counts.sum(axis=1).ravel().tolist()[0] == [3, 1, 3, 1]
    shared = set(counts[0].indices) & set(counts[2].indices)
    assert len(shared) == 2  # the words, but not the pair, which has an order


def test_marks_belong_to_words():
    """Hindi writes vowels as marks: a word with one is one word, not two."""
    assert count_ngrams(pd.Series(["हिन्दी"]), "word").sum() == 1


def test_cased_view_keeps_case_and_signs():
    counts = count_ngrams(pd.Series(["BUY", "buy", "buy !!"]), "cased")
    assert set(counts[0].indices).isdisjoint(counts[1].indices)
    assert counts[2].sum() == 3


def test_tags_part_words():
    tags = np.array([[1], [2], [1]], np.uint64)
    counts = count_ngrams(pd.Series(["shoe", "shoe", "shoe"]), "tagged", tags)
    assert set(counts[0].indices).isdisjoint(counts[1].indices)
    assert (counts[0] != counts[2]).nnz == 0
    assert counts.shape == (3, 2**BITS)


def test_long_inputs_are_counted_in_blocks():
    texts = clean_texts(pd.Series(["word " * 1000] * 450))
    counts = count_ngrams(texts, "word")
    assert counts.shape[0] == 450
    assert (counts.sum(axis=1) == counts[0].sum()).all()


def test_nearly_identical_texts_share_a_group():
    texts = pd.Series(
        [
            "Buy now: 10 EUR",
            "buy  now 25 eur!!",
            "Buy now 10 EUR https://a.b/c",
            "sell now",
            None,
            "",
        ],
        dtype="str",
    )
    assert text_groups(texts).tolist() == [0, 0, 0, 1, 2, 2]
