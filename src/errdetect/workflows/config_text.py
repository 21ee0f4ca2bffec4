"""Writing a config as text, with comments behind its lines, some lines as comments."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from errdetect.errors import escape_hidden

__all__ = ["ConfigText", "quote"]

_PLAIN = re.compile(r"[^\W\d][\w ./*-]*[\w*]|[^\W\d]")
_YAML_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n", "none")
_NOTE_AT = 52


def quote(value: str) -> str:
    r"""Return a text as YAML: as it is where that is safe, else in double quotes.

    Examples
    --------
    >>> quote("Review Date"), quote("Yes"), quote("AHT: 5"), quote("a\tb")
    ('Review Date', '"Yes"', '"AHT: 5"', '"a\\tb"')
    """
    plain = _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS and value.isprintable()
    return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())


class ConfigText:
    """Lines of a config."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._mark = ""

    def add(self, depth: int, line: str, note: str = "") -> None:
        """Add a line at a depth of two spaces each; a line that begins with # is a comment."""
        full = "  " * depth + line
        if self._mark and not line.startswith("#"):
            full = "  " * depth + self._mark + line
        note = escape_hidden(" ".join(note.split()))
        self._lines.append(f"{full:{_NOTE_AT}}  # {note}" if note else full)

    @contextmanager
    def commented(self, yes: bool) -> Iterator[None]:
        """Write the lines of the block as comments."""
        self._mark = "# " if yes else ""
        try:
            yield
        finally:
            self._mark = ""

    def text(self) -> str:
        """Return all lines."""
        return "\n".join(self._lines) + "\n"
