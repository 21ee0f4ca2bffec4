"""Reading YAML that may be broken or hostile: bounded size, depth and aliases, no content in messages."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from errdetect.errors import mask_secrets

__all__ = ["YamlFault", "parse_yaml", "read_yaml", "shown_value"]

_MOST_BYTES = 20 << 20
_MOST_NODES, _MOST_DEPTH = 1_000_000, 50
_LARGEST_WHOLE = 2**63
_LONGEST = 60
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*):/.*", re.S)
#: What the constructors raise for a tag whose value does not fit it.
_BAD_VALUE = (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError)


class YamlFault(ValueError):
    """Text that is no usable YAML; the message names line and column, and repeats no content.

    Parameters
    ----------
    problem
        What is wrong.
    line, column
        Where, from 1; None where that is not known.
    """

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        self.problem, self.line = problem, line
        super().__init__(problem + (f" (line {line}, column {column})" if line else ""))


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses repeated keys, and values that cannot be computed with."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except _BAD_VALUE:
            kind = node.tag.rpartition(":")[2]
            raise _fault(node, f"a value that is no {shown_value(kind)}") from None
        if isinstance(value, int) and abs(value) >= _LARGEST_WHOLE:
            raise _fault(node, "a whole number of more than 19 digits")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in known:
                raise _fault(key_node, f"the key {shown_value(key)} occurs twice")
            if isinstance(key, Hashable):
                known.add(key)
        return super().construct_mapping(node, deep)


def _fault(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def shown_value(value: object) -> str:
    """Show a value of a file in a message: short, and an address without all that follows its scheme.

    Examples
    --------
    >>> shown_value("postgresql://ana:my secret@db/shop"), shown_value({"url": "ftp://x"}), shown_value(3)
    ("'postgresql://...'", "{'url': 'ftp://...'}", '3')
    """
    text = repr(_without_addresses(value, 3))
    text = mask_secrets(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _without_addresses(value: object, depth: int) -> object:
    if isinstance(value, str):
        return _ADDRESS.sub(r"\1://...", value[:5_000])
    if depth == 0 and isinstance(value, dict | list | tuple):
        return "..."
    if isinstance(value, dict):
        some = list(value.items())[:20]
        return {_without_addresses(k, 0): _without_addresses(v, depth - 1) for k, v in some}
    if isinstance(value, list | tuple):
        return [_without_addresses(one, depth - 1) for one in value[:20]]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:200]


def read_yaml(path: Path) -> Any:
    """Return the value of a YAML file in UTF-8.

    Raises
    ------
    YamlFault
        If it is not one, or larger or deeper than any config.
    OSError, UnicodeDecodeError
        If it cannot be read, or is not in UTF-8.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise YamlFault(f"{size:,} bytes, more than the {_MOST_BYTES:,} allowed")
    return parse_yaml(path.read_text(encoding="utf-8"))


def parse_yaml(text: str) -> Any:
    """Return the value of YAML text; aliases may repeat parts, but not blow up.

    Raises
    ------
    YamlFault
        If it is not YAML, or not of bounded size.

    Examples
    --------
    >>> parse_yaml("a: [1, 2]")
    {'a': [1, 2]}
    >>> parse_yaml("when: 2025-02-30")
    Traceback (most recent call last):
    errdetect.yaml_files.YamlFault: a value that is no 'timestamp' (line 1, column 7)
    """
    _require_flat(text)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count_nodes(node, {}, 0)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise YamlFault(_describe(error), *place) from None
    except RecursionError:
        raise YamlFault("parts within parts, too deep") from None


def _require_flat(text: str) -> None:
    """Refuse brackets within brackets that no config has, before the parser counts them itself."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[{\]}]", text):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    if deepest > 10 * _MOST_DEPTH:
        raise YamlFault("brackets within brackets, too deep")


def _count_nodes(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """Count nodes as if every alias were written out, each part once."""
    if depth > _MOST_DEPTH:
        raise _fault(node, "parts within parts, too deep")
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise _fault(node, "a part that contains itself")
        return sizes[id(node)]
    sizes[id(node)] = 0
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_count_nodes(one, sizes, depth + 1) for one in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(_count_nodes(one, sizes, depth + 1) for pair in node.value for one in pair)
    if total > _MOST_NODES:
        raise _fault(node, "aliases that repeat parts more often than any config does")
    sizes[id(node)] = total
    return total


def _describe(error: yaml.YAMLError) -> str:
    """Say what is wrong, without the file's content, which may hold a password."""
    problem = str(getattr(error, "problem", None) or "a character that YAML does not allow")
    if not isinstance(error, yaml.constructor.ConstructorError) or "tag" in problem:
        problem = re.sub(r"(['\"])(?!<|.{0,2}\1).*\1", "'...'", problem, flags=re.S)
    return re.sub(r"\s+", " ", problem)
