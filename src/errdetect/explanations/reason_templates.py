"""Templates of the reasons, from one file to edit and translate without code."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
import yaml

from errdetect.errors import JOINERS, ConfigError, error_message, is_hidden
from errdetect.yaml_files import YamlFault, read_yaml

__all__ = [
    "ALWAYS",
    "FORMS",
    "TextFormats",
    "Words",
    "isolate_direction",
    "load_templates",
    "sanitize_text",
]


Words = Mapping[str, Mapping[str, str]]

#: The entry for the format of numbers and quotations, not a reason.
FORMS = "forms"
#: Placeholders that every reason's templates may use.
ALWAYS = frozenset({"policy", "action", "column", "value"})
_DEFAULT = "default"


def load_templates(path: Path | None = None) -> Words:
    """Read the reasons' templates; without a path, errdetect's own English ones.

    Parameters
    ----------
    path
        A YAML file: code -> `title`, `text` and further variants. Missing templates
        come from errdetect's own file; unknown codes are read as columns.

    Returns
    -------
    Mapping
        Code -> variant -> template.

    Raises
    ------
    ConfigError
        Where the file is not of that form, or a template has an unknown placeholder: all faults at
        once, each with its template.

    Examples
    --------
    >>> load_templates()["market"]["title"]
    'The market'
    """
    own = _default_templates()
    if path is None:
        return own
    raw = _read_templates(path)
    faults = [
        fault
        for code, templates in raw.items()
        for fault in _template_errors(path.name, code, templates, own)
    ]
    if faults:
        raise ConfigError(faults)
    return {**own, **{code: {**own.get(code, {}), **templates} for code, templates in raw.items()}}


def _read_templates(path: Path) -> dict[str, dict[str, str]]:
    do = "Copy errdetect's reasons.yaml and edit that."
    if not path.is_file():
        raise ConfigError([error_message("report.words", "name a YAML file", f"'{path}'", do)])
    try:
        raw = read_yaml(path)
    except (YamlFault, UnicodeDecodeError, OSError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(
            [error_message(f"'{path.name}'", "be YAML in UTF-8", problem, do)]
        ) from None
    if not isinstance(raw, dict) or not all(
        isinstance(v, dict) and all(isinstance(t, str) for t in v.values()) for v in raw.values()
    ):
        must = "map each reason to its templates"
        raise ConfigError([error_message(f"'{path.name}'", must, "something else", do)])
    return {str(code): {str(k): t for k, t in templates.items()} for code, templates in raw.items()}


def _template_errors(
    name: str, code: str, templates: Mapping[str, str], own: Words
) -> Iterator[str]:
    """Return every unknown variant and every unknown placeholder."""
    known = own.get(code, own[_DEFAULT])
    for variant, template in templates.items():
        what = f"The template {code}.{variant} of '{name}'"
        if variant not in known:
            must = f"be one of {', '.join(known)}"
            yield error_message(what, must, f"'{variant}'", "Rename or remove it.")
            continue
        allowed = _placeholder_names(known[variant]) | (frozenset() if code == FORMS else ALWAYS)
        shown = ", ".join(f"{{{n}}}" for n in sorted(allowed)) or "no placeholder"
        do = "Keep the names in braces; write {{ and }} for braces that are text."
        try:
            wrong = sorted(_placeholder_names(template) - allowed)
        except ValueError as error:
            yield error_message(what, "close every brace", f"'{error}'", do)
            continue
        if wrong:
            got = ", ".join(f"{{{n}}}" for n in wrong)
            yield error_message(what, f"use only {shown}", got, do)


def _placeholder_names(template: str) -> frozenset[str]:
    """Return the names in braces; a conversion or format makes a name unknown."""
    return frozenset(
        field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        for _, field, spec, conversion in Formatter().parse(template)
        if field is not None
    )


@cache
def _default_templates() -> Words:
    text = files("errdetect.explanations").joinpath("reasons.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


_FIRST_STRONG, _POP = "\u2068", "\u2069"
_TURNS = frozenset({"R", "AL", "AN"})
_MOST = 60


def sanitize_text(text: str, most: int = _MOST) -> str:
    r"""Return untrusted text as one short line that cannot affect the text around it.

    Parameters
    ----------
    text
        Any text.
    most
        Maximum number of characters, at least 2.

    Returns
    -------
    str
        Without control, format and private characters; cut with an ellipsis, never within a
        character that is made of several.

    Examples
    --------
    >>> sanitize_text("exe.\u202egpj\n\n x"), sanitize_text("abcdef", 4)
    ('exe.gpj x', 'abc…')
    """
    if len(text) <= most and text.isascii() and text.isprintable():
        return " ".join(text.split())
    head = text[: 4 * most]
    kept = [c for c in head if c.isspace() or not is_hidden(c)]
    line = " ".join("".join(kept).split())
    if len(line) <= most and len(text) <= len(head):
        return line
    cut = min(most - 1, len(line))
    while cut > 1 and (_is_joiner(line[cut - 1]) or (cut < len(line) and _is_combining(line[cut]))):
        cut -= 1
    return line[:cut].rstrip() + "…"


def _is_joiner(character: str) -> bool:
    return character in JOINERS


def _is_combining(character: str) -> bool:
    """Return whether a character changes the one before it: marks, joiners, skin tones."""
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character in JOINERS
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def isolate_direction(text: str) -> str:
    r"""Wrap text in direction marks, so that it cannot reorder the text around it.

    Source: Unicode Standard Annex 9, first strong isolate.

    Examples
    --------
    >>> isolate_direction("שלום") == "\u2068שלום\u2069"
    True
    """
    return f"{_FIRST_STRONG}{text}{_POP}"


@lru_cache(maxsize=4096)
def _short_text(text: str) -> str:
    """Return a value as short text; values recur from reason to reason."""
    short = sanitize_text(text)
    turns = any(unicodedata.bidirectional(c) in _TURNS for c in short)
    return isolate_direction(short) if turns else short


@dataclass(frozen=True)
class TextFormats:
    """Format of numbers, shares, values and quotations, from the templates' file.

    Parameters
    ----------
    words
        From `load_templates`.

    Examples
    --------
    >>> from errdetect.explanations.reason_templates import load_templates
    >>> forms = TextFormats(load_templates())
    >>> forms.number(1234.5), forms.share(0.25), forms.value(None), forms.value(True)
    ('1,234.5', '25%', 'unknown', 'yes')
    """

    words: Words

    def number(self, value: float, digits: int | None = None) -> str:
        """Write a number: whole ones whole, others with three significant digits or as given."""
        if np.isnan(value):
            return self._format_template("missing")
        if digits is not None:
            digits_text = f"{value:,.{digits}f}"
        elif float(value).is_integer() and abs(value) < 1e15:
            digits_text = f"{value:,.0f}"
        elif 1e-4 <= abs(value) < 1e15:
            digits_after = 2 - math.floor(math.log10(abs(value)))
            digits_text = f"{value:,.{max(1, digits_after)}f}".rstrip("0").rstrip(".")
        else:
            digits_text = f"{value:.2e}"
        marks = {",": self._format_template("thousands"), ".": self._format_template("decimal")}
        return "".join(marks.get(c, c) for c in digits_text)

    def count(self, value: float) -> str:
        """Write a whole number without decimals, others with one."""
        return self.number(value, 0 if float(value).is_integer() else 1)

    def share(self, value: float) -> str:
        """Write a share in whole percent; above 99 and below 1 percent as such."""
        if np.isnan(value):
            return self._format_template("missing")
        percent = self._format_template("percent")
        if 0 < value < 0.01:
            return percent.format_map({"number": "<1"})
        if 0.99 < value < 1:
            return percent.format_map({"number": ">99"})
        return percent.format_map({"number": f"{100 * value:.0f}"})

    def value(self, value: object) -> str:
        """Return a value as short text, `unknown` where it is missing."""
        if value is None or value is pd.NA or value is pd.NaT or value != value:
            return self._format_template("missing")
        if isinstance(value, bool | np.bool_):
            return self._format_template("set" if value else "unset")
        if isinstance(value, float | int | np.floating | np.integer):
            return self.number(float(value))
        return _short_text(str(value))

    def quote_pieces(self, pieces: Sequence[str], most: int = 30) -> str:
        """Quote pieces of content, each in direction marks, in sequence."""
        form = self._format_template("quote")
        quoted = [
            form.format_map({"content": isolate_direction(sanitize_text(p, most))}) for p in pieces
        ]
        return self._format_template("between").join(quoted)

    def joined(self, facts: Sequence[str]) -> str:
        """Join whole facts."""
        return self._format_template("also").join(facts)

    def _format_template(self, name: str) -> str:
        return self.words[FORMS][name]
