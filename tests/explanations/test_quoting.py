import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.explanations.reason_templates import (
    TextFormats,
    isolate_direction,
    load_templates,
    sanitize_text,
)

FORMS = TextFormats(load_templates())


@given(st.text(max_size=400), st.integers(2, 60))
def test_foreign_text_is_short_and_steers_nothing(text, most):
    shown = sanitize_text(text, most)
    assert len(shown) <= most
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Co", "Cs", "Zl", "Zp")]
    hidden = [c for c in shown if unicodedata.category(c) == "Cf"]
    assert set(hidden) <= set("\u200c\u200d")
    assert sanitize_text(shown, most) == shown


@given(st.lists(st.text(max_size=50), max_size=4))
def test_quotations_open_and_close_their_marks(pieces):
    said = FORMS.quote_pieces(pieces)
    assert said.count("\u2068") == said.count("\u2069") == len(pieces)


def test_a_megabyte_is_not_read_to_its_end():
    assert sanitize_text("é" * 1_000_000) == "é" * 59 + "…"


@pytest.mark.parametrize("whole", ["👩‍👩‍👧", "e\u0301", "👍🏽"])
def test_characters_of_several_parts_are_not_cut_in_two(whole):
    for most in range(2, 12):
        shown = sanitize_text("ab" + whole * 9, most).removesuffix("…")[2:]
        assert shown == "" or shown == whole * (len(shown) // len(whole))


def test_values_that_turn_the_reading_stand_apart():
    assert FORMS.value("שלום") == isolate_direction("שלום")
    assert FORMS.value("DE") == "DE"
    assert FORMS.value("\u202eevil") == "evil"


@pytest.mark.parametrize(
    ("value", "said"),
    [(12.0, "12"), (1234567.0, "1,234,567"), (0.1234567, "0.123"), (0.04312, "0.0431"), (0.99999, "1"),
     (9.96, "9.96"), (2.999, "3"),
     (199.25, "199.2"), (1e-7, "1.00e-07"),
     (float("nan"), "unknown"), (-3.5, "-3.5"), (1e20, "1.00e+20")],
)  # fmt: skip
def test_numbers(value, said):
    assert FORMS.number(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0%"), (0.004, "<1%"), (0.5, "50%"), (0.996, ">99%"), (1.0, "100%"), (np.nan, "unknown")]
)  # fmt: skip
def test_shares_never_round_to_none_or_all(value, said):
    assert FORMS.share(value) == said
