"""Numbers and foreign text as parts of a sentence: short, inert, in the file's own forms."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from errdetect.errors import JOINERS, hidden
from errdetect.explanations.reason_templates import FORMS, Words

__all__ = ["Forms", "isolated", "plain_text"]

_FIRST_STRONG, _POP = "\u2068", "\u2069"
_TURNS = frozenset({"R", "AL", "AN"})
_MOST = 60


def plain_text(text: str, most: int = _MOST) -> str:
    r"""Return foreign text as one short line that cannot steer what stands around it.

    Parameters
    ----------
    text
        Any text.
    most
        The most characters to show, at least 2.

    Returns
    -------
    str
        Without control, format and private characters; cut with an ellipsis, never within a
        character that is made of several.

    Examples
    --------
    >>> plain_text("exe.\u202egpj\n\n x"), plain_text("abcdef", 4)
    ('exe.gpj x', 'abc…')
    """
    if len(text) <= most and text.isascii() and text.isprintable():
        return " ".join(text.split())
    head = text[: 4 * most]
    kept = [c for c in head if c.isspace() or not hidden(c)]
    line = " ".join("".join(kept).split())
    if len(line) <= most and len(text) <= len(head):
        return line
    cut = min(most - 1, len(line))
    while cut > 1 and (_joins(line[cut - 1]) or (cut < len(line) and _belongs(line[cut]))):
        cut -= 1
    return line[:cut].rstrip() + "…"


def _joins(character: str) -> bool:
    return character in JOINERS


def _belongs(character: str) -> bool:
    """Tell whether a character changes the one before it: marks, joiners, skin tones."""
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character in JOINERS
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def isolated(text: str) -> str:
    r"""Put text between direction marks, so that it cannot turn the words around it.

    Source: Unicode Standard Annex 9, first strong isolate.

    Examples
    --------
    >>> isolated("שלום") == "\u2068שלום\u2069"
    True
    """
    return f"{_FIRST_STRONG}{text}{_POP}"


@dataclass(frozen=True)
class Forms:
    """How the words' file writes numbers, shares, values and quotations.

    Parameters
    ----------
    words
        From `load_words`.

    Examples
    --------
    >>> from errdetect.explanations.reason_templates import load_words
    >>> forms = Forms(load_words())
    >>> forms.number(1234.5), forms.share(0.25), forms.value(None), forms.value(True)
    ('1,234.5', '25%', 'unknown', 'yes')
    """

    words: Words

    def number(self, value: float, digits: int | None = None) -> str:
        """Write a number: whole ones whole, others with three digits that matter or as told."""
        if np.isnan(value):
            return self._form("missing")
        if digits is not None:
            said = f"{value:,.{digits}f}"
        elif float(value).is_integer() and abs(value) < 1e15:
            said = f"{value:,.0f}"
        elif 1e-4 <= abs(value) < 1e15:
            digits_after = 2 - math.floor(math.log10(abs(value)))
            said = f"{value:,.{max(1, digits_after)}f}".rstrip("0").rstrip(".")
        else:
            said = f"{value:.2e}"
        marks = {",": self._form("thousands"), ".": self._form("decimal")}
        return "".join(marks.get(c, c) for c in said)

    def count(self, value: float) -> str:
        """Write a count without, and what is no whole number with one digit after the point."""
        return self.number(value, 0 if float(value).is_integer() else 1)

    def share(self, value: float) -> str:
        """Write a share as whole percents; above 99 and below 1 percent as such."""
        if np.isnan(value):
            return self._form("missing")
        percent = self._form("percent")
        if 0 < value < 0.01:
            return percent.format_map({"number": "<1"})
        if 0.99 < value < 1:
            return percent.format_map({"number": ">99"})
        return percent.format_map({"number": f"{100 * value:.0f}"})

    def value(self, value: object) -> str:
        """Show a value to people: short, and said to be unknown where it is missing."""
        if value is None or value is pd.NA or value is pd.NaT or value != value:
            return self._form("missing")
        if isinstance(value, bool | np.bool_):
            return self._form("set" if value else "unset")
        if isinstance(value, float | int | np.floating | np.integer):
            return self.number(float(value))
        text = plain_text(str(value))
        return isolated(text) if any(unicodedata.bidirectional(c) in _TURNS for c in text) else text

    def quoted(self, pieces: Sequence[str], most: int = 30) -> str:
        """Quote pieces of content, each between direction marks, one after the other."""
        form = self._form("quote")
        said = [form.format_map({"content": isolated(plain_text(p, most))}) for p in pieces]
        return self._form("between").join(said)

    def joined(self, facts: Sequence[str]) -> str:
        """Put whole facts one after the other."""
        return self._form("also").join(facts)

    def _form(self, name: str) -> str:
        return self.words[FORMS][name]
