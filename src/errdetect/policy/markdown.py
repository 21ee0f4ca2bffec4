"""Markdown in which foreign text stays text: no HTML, no links, no headings of its own."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from errdetect.policy.words import clean

__all__ = ["inert", "markdown_template"]

_MARKS = re.compile(r"([\\`*_{}\[\]|~#!^$])")
_LINKS = re.compile(r"(?i)(?<=[a-z])(:)(?=//)|(?<=www)(\.)|(@)")
_START = re.compile(r"^([-+=:])")
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](\s|$))")
_LONGEST = 4000


def inert(value: object) -> str:
    r"""Write a value so that Markdown shows it as it is, on one line.

    Parameters
    ----------
    value
        Foreign or our own text, or a number.

    Returns
    -------
    str
        Markup characters escaped, `<`, `>` and `&` as entities, hidden characters as codes.

    Examples
    --------
    >>> inert("<img src=x> [a](https://b.c) *x*")
    '&lt;img src=x&gt; \\[a\\](https\\://b.c) \\*x\\*'
    >>> inert("# no\nheading")
    '\\# no heading'
    """
    if value == "":
        return ""
    text = clean(value, limit=_LONGEST, missing="")
    text = _MARKS.sub(r"\\\1", text)
    text = _LINKS.sub(lambda found: "\\" + found[0], text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Digits cannot be escaped; the mark after them can.
    return _NUMBERED.sub(r"\1\\", _START.sub(r"\\\1", text))


@cache
def markdown_template(name: str) -> Template:
    """Load a template of this package that makes everything put into it inert.

    Parameters
    ----------
    name
        The file's name.

    Returns
    -------
    jinja2.Template

    Examples
    --------
    >>> markdown_template("brief.md.j2").name
    'brief.md.j2'
    """
    environment = Environment(
        loader=PackageLoader("errdetect.policy"),
        autoescape=False,  # noqa: S701 (Markdown, not HTML: `finalize` makes all inert)
        finalize=inert,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
