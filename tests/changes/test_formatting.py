import re
import unicodedata
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    format_day,
    format_interval,
    format_optional_day,
    format_percent,
    natural_frequencies,
    slug,
)
from errdetect.errors import escape_hidden

KEPT = set("\u200c\u200d\u200e\u200f\u061c")


@given(st.text(), st.integers(1, 50))
def test_clean_shows_nothing_hidden_and_holds_its_limit(text, limit):
    shown = clean_text(text, limit)
    assert len(shown) <= max(limit + 1, len("empty"))
    assert not any(
        unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co"} and c not in KEPT for c in shown
    )


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT])
def test_clean_says_that_a_value_is_missing(value):
    assert clean_text(value, missing="not named") == "not named"


def test_clean_writes_reordering_and_unseen_characters_as_codes():
    assert clean_text("a\u202eb\x00c\u200bd\ud800") == "a[U+202E]b[U+0000]c[U+200B]d[U+D800]"


def test_clean_keeps_joiners_of_emoji_and_scripts():
    assert clean_text("👩\u200d🔬 می\u200cخواهم") == "👩\u200d🔬 می\u200cخواهم"


def test_clean_tells_an_empty_text_from_a_missing_one():
    assert clean_text(" \n ") == "empty"


def test_clean_says_when_only_blanks_were_read_of_a_longer_text():
    assert clean_text(" " * 1000 + "end", limit=10) == "…"


def test_visible_keeps_line_breaks():
    assert escape_hidden("a\nb\u2066") == "a\nb[U+2066]"


@given(st.text(), st.text())
def test_slugs_are_safe_and_tell_texts_apart(one, other):
    assert re.fullmatch(r"policy-?(-[a-z0-9_]+)+", slug("policy", one))
    assert (slug("policy", one) == slug("policy", other)) == (one == other)


def test_slug_of_a_plain_id_is_the_id():
    assert slug("policy", "counterfeit") == "policy-counterfeit"
    assert slug("policy", "Counterfeit") != slug("policy", "counterfeit")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0, "0.0 %"),
        (0.00004, "< 0.01 %"),
        (0.0034, "0.34 %"),
        (0.057, "5.7 %"),
        (0.5, "50.0 %"),
        (0.9967, "99.67 %"),
        (0.99997, "> 99.99 %"),
        (1, "100.0 %"),
    ],
)
def test_percent_never_rounds_a_share_to_none_or_all(share, said):
    assert format_percent(share).replace("\u00a0", " ") == said


def test_span_near_the_ends_has_two_decimals():
    assert format_interval(0.0012, 0.0034) == "0.12 to 0.34\u00a0%"
    assert format_interval(0.995, 0.999) == "99.50 to 99.90\u00a0%"


def test_per_base_counts_small_shares_out_of_more():
    assert natural_frequencies([0.00012, 0.0003]) == (["12.0", "30.0"], "100,000")


def test_per_base_adds_a_decimal_where_rounding_would_hide_the_interval():
    assert natural_frequencies([0.0571, 0.0574]) == (["5.71", "5.74"], "100")


def test_days_and_counts():
    assert format_day(datetime(2025, 12, 31, 23, tzinfo=UTC)) == "31 Dec 2025"
    assert format_optional_day(pd.NaT) == "not given"
    assert format_optional_day(pd.Timestamp("2025-01-02", tz="UTC")) == "2 Jan 2025"
    assert count_with_noun(1200, "review", "reviews") == "1,200 reviews"


def test_quotations_keep_their_direction_marks_in_pairs_only():
    whole = "says “\u2068נשק\u2069” twice"
    assert escape_hidden(whole) == clean_text(whole) == whole
    assert escape_hidden("a\u2068b") == "a[U+2068]b"
    assert escape_hidden("a\u2069b") == "a[U+2069]b"
    assert escape_hidden("\u2068a\u202eb\u2069") == "[U+2068]a[U+202E]b[U+2069]"
    assert clean_text("\u2068" + "x" * 20 + "\u2069", 10) == "\u2068" + "x" * 9 + "\u2069…"
