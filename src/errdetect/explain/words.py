"""The reasons' words, from one file that people who don't code can edit."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from errdetect.errors import ConfigError, sentence

__all__ = ["Words", "load_words"]

Words = Mapping[str, Mapping[str, str]]


def load_words(path: Path | None = None) -> Words:
    """Read the reasons' templates; without a path, errdetect's own English ones.

    Returns
    -------
    Mapping
        Code to the templates `title`, `text` and further variants. Codes that the file lacks fall
        back to errdetect's own.

    Raises
    ------
    ConfigError
        Where the file is not of that form.

    Examples
    --------
    >>> load_words()["market"]["title"]
    'The market'
    """
    own = _own()
    if path is None:
        return own
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or not all(
        isinstance(v, dict) and all(isinstance(t, str) for t in v.values()) for v in raw.values()
    ):
        do = "Copy errdetect's reasons.yaml and edit that."
        raise ConfigError(
            [sentence(f"'{path.name}'", "map each reason to its templates", "something else", do)]
        )
    return {**own, **{str(k): {**own.get(str(k), {}), **v} for k, v in raw.items()}}


@cache
def _own() -> Words:
    text = files("errdetect.explain").joinpath("reasons.yaml").read_text(encoding="utf-8")
    loaded: Words = yaml.safe_load(text)
    return loaded
