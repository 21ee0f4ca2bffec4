"""Pages for people without Markdown: one HTML file each, no script, no network, everything escaped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from errdetect.errors import escape_hidden

__all__ = ["Block", "Page", "Section", "numbered", "paragraph", "render_page", "table"]

_MOST_ROWS = 250


@dataclass(frozen=True)
class Block:
    """A part of a section.

    Parameters
    ----------
    kind
        `text`, `bullets`, `numbered`, `table`, `quote`, `folded` (a heading that opens `lines`) or `links`
        (rows of a file in the same folder and its name).
    lines
        Its sentences; of a table, unused.
    mark
        The letter before the numbers of a numbered list, as in R1.
    title
        A table's caption, or a folded part's heading.
    columns, rows
        A table's headings and texts.
    """

    kind: Literal["text", "bullets", "numbered", "table", "quote", "folded", "links"]
    lines: tuple[str, ...] = ()
    mark: str = ""
    title: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Section:
    """A section of a page: its heading and its blocks."""

    heading: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Page:
    """A page.

    Parameters
    ----------
    title
        Its heading.
    facts
        Pairs of a name and a value, below the heading.
    sections
        Its sections.
    links
        Pairs of a file in the same folder and its name.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    links: Sequence[tuple[str, str]] = field(default=())


def paragraph(*lines: str) -> Block:
    """Return paragraphs.

    Examples
    --------
    >>> paragraph("One.", "Two.").lines
    ('One.', 'Two.')
    """
    return Block("text", tuple(line for line in lines if line))


def numbered(lines: Sequence[str], mark: str = "") -> Block:
    """Return a numbered list; its numbers begin with a letter, such as R1.

    Examples
    --------
    >>> numbered(["Move the threshold."], "R").mark
    'R'
    """
    return Block("numbered", tuple(lines), mark=mark)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    """Return a table of at most 250 rows; its caption says how many there are.

    Examples
    --------
    >>> table("Cases", ["Id"], [["d1"]]).title
    'Cases'
    """
    shown = tuple(tuple(row) for row in rows[:_MOST_ROWS])
    more = f" (the first {_MOST_ROWS} of {len(rows):,})" if len(rows) > _MOST_ROWS else ""
    return Block("table", title=title + more, columns=tuple(columns), rows=shown)


def render_page(page: Page) -> str:
    """Write a page as one HTML file; equal pages give equal files.

    Parameters
    ----------
    page
        Its text may be hostile: it is escaped, and hidden characters are shown as codes.

    Returns
    -------
    str
        HTML with a content security policy that allows no script and no network.

    Examples
    --------
    >>> html = render_page(Page("<b>", sections=[Section("Steps", [numbered(["Read it."], "R")])]))
    >>> "&lt;b&gt;" in html, '<li id="R1"><b>R1</b> <bdi>Read it.</bdi></li>' in html, "<script" in html
    (True, True, False)
    """
    return _template().render(page=page)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("errdetect.changes"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible_text,
    )
    return environment.get_template("page.html.j2")


def _visible_text(value: Any) -> Any:
    """Replace hidden characters in every printed text."""
    text = isinstance(value, str) and not isinstance(value, Markup)
    return escape_hidden(value) if text else value
