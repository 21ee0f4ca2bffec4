"""The reasons' words, from one file that people who don't code can edit and translate."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from errdetect.errors import ConfigError, sentence

__all__ = ["ALWAYS", "FORMS", "Words", "load_words"]

Words = Mapping[str, Mapping[str, str]]

#: The entry that holds no reason, but how numbers and quotations are written.
FORMS = "forms"
#: Placeholders that every reason's templates may use.
ALWAYS = frozenset({"policy", "action", "column", "value"})
_DEFAULT = "default"


def load_words(path: Path | None = None) -> Words:
    """Read the reasons' templates; without a path, errdetect's own English ones.

    Parameters
    ----------
    path
        A YAML file: code -> `title`, `text` and further variants. What it lacks is said in
        errdetect's own words; codes that errdetect does not know are taken for columns.

    Returns
    -------
    Mapping
        Code -> variant -> template.

    Raises
    ------
    ConfigError
        Where the file is not of that form, or a template has a placeholder that nothing fills:
        every fault at once, each naming its template.

    Examples
    --------
    >>> load_words()["market"]["title"]
    'The market'
    """
    own = _own()
    if path is None:
        return own
    raw = _read(path)
    faults = [fault for code, said in raw.items() for fault in _faults(path.name, code, said, own)]
    if faults:
        raise ConfigError(faults)
    return {**own, **{code: {**own.get(code, {}), **said} for code, said in raw.items()}}


def _read(path: Path) -> dict[str, dict[str, str]]:
    do = "Copy errdetect's reasons.yaml and edit that."
    if not path.is_file():
        raise ConfigError([sentence("report.words", "name a YAML file", f"'{path}'", do)])
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError([sentence(f"'{path.name}'", "be YAML in UTF-8", said, do)]) from None
    if not isinstance(raw, dict) or not all(
        isinstance(v, dict) and all(isinstance(t, str) for t in v.values()) for v in raw.values()
    ):
        must = "map each reason to its templates"
        raise ConfigError([sentence(f"'{path.name}'", must, "something else", do)])
    return {str(code): {str(k): t for k, t in said.items()} for code, said in raw.items()}


def _faults(name: str, code: str, said: Mapping[str, str], own: Words) -> Iterator[str]:
    """Say every variant that nothing asks for, and every placeholder that nothing fills."""
    known = own.get(code, own[_DEFAULT])
    for variant, template in said.items():
        what = f"The template {code}.{variant} of '{name}'"
        if variant not in known:
            must = f"be one of {', '.join(known)}"
            yield sentence(what, must, f"'{variant}'", "Rename it or take it out.")
            continue
        allowed = _placeholders(known[variant]) | (frozenset() if code == FORMS else ALWAYS)
        shown = ", ".join(f"{{{n}}}" for n in sorted(allowed)) or "no placeholder"
        do = "Keep the names in braces; write {{ and }} for braces that are text."
        try:
            wrong = sorted(_placeholders(template) - allowed)
        except ValueError as error:
            yield sentence(what, "close every brace", f"'{error}'", do)
            continue
        if wrong:
            got = ", ".join(f"{{{n}}}" for n in wrong)
            yield sentence(what, f"use only {shown}", got, do)


def _placeholders(template: str) -> frozenset[str]:
    """Return what stands in braces; a conversion or format makes it a name that nothing fills."""
    return frozenset(
        field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        for _, field, spec, conversion in Formatter().parse(template)
        if field is not None
    )


@cache
def _own() -> Words:
    text = files("errdetect.explain").joinpath("reasons.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded
