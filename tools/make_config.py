"""Write configs/base.yaml from the settings' models: every key, with its default.

    python tools/make_config.py [--check]

The order of the sections and the comments are kept; a new key gets its field's description. The section `data`,
whose defaults are no example, keeps its values.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from errdetect.config import Config
from errdetect.yaml_files import parse_yaml

PLACE = Path(__file__).parents[1] / "configs" / "base.yaml"
OURS = {"base", "file", "overrides"}
KEPT = "data"
KEY = re.compile(r"^( *)([a-z_0-9]+):(.*)$")
COLUMN = 32  # where comments begin


def comments(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the head, and the lines of each key by its dotted name, with their comments."""
    head: list[str] = []
    found: dict[str, list[str]] = {}
    path: list[str] = []
    own = head
    for line in text.splitlines():
        match = KEY.match(line)
        if match:
            depth = len(match[1]) // 2
            path = [*path[:depth], match[2]]
            own = found.setdefault(".".join(path), [])
        own.append(line)
    return head, {name: [line for line in lines if line.strip()] for name, lines in found.items()}


def shown(value: Any) -> str:
    """Return a default as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def lines_of(name: str, value: Any, known: dict[str, list[str]], description: str) -> list[str]:
    """Return a key's lines: its default, then the comment that it had, or its description."""
    indent, key = "  " * name.count("."), name.rpartition(".")[2]
    old = known.get(name, [f"{indent}{key}:  # {description}".rstrip("# ")])
    if len(old) > 1 and not old[1].lstrip().startswith("#"):
        return (
            old
            if parse_yaml("\n".join(old)) == {key: value}
            else [f"{indent}{key}: {shown(value)}"]
        )
    first, mark, comment = old[0].partition(" #")
    match = KEY.match(first)
    written = match[3].strip() if match else ""
    same = written != "" and parse_yaml(written) == value
    start = f"{indent}{key}: {written if same else shown(value)}"
    gap = "  " if len(start) >= COLUMN - 1 else " "
    return [f"{start:<{COLUMN - 1}}{gap}#{comment}".rstrip() if mark else start, *old[1:]]


def section(model: BaseModel, prefix: str, known: dict[str, list[str]]) -> list[str]:
    out: list[str] = []
    for key, field in type(model).model_fields.items():
        value, name = getattr(model, key), f"{prefix}{key}"
        if isinstance(value, BaseModel):
            out += [known.get(name, [f"{'  ' * name.count('.')}{key}:"])[0]]
            out += section(value, f"{name}.", known)
        else:
            plain = model.model_dump(mode="json")[key]
            out += lines_of(name, plain, known, field.description or "")
    return out


def make(text: str) -> str:
    head, known = comments(text)
    config = Config(version=1, data={"decisions": "decisions.parquet"})
    out = "\n".join(head).rstrip("\n") + "\n"
    order = [key for key in known if key in Config.model_fields]
    for key in [*order, *(key for key in Config.model_fields if key not in order)]:
        value = getattr(config, key)
        if key in OURS:
            continue
        if key == KEPT:
            kept = [
                line for name, own in known.items() if name.partition(".")[0] == key for line in own
            ]
            out += "\n" + "\n".join(kept) + "\n"
        elif isinstance(value, BaseModel):
            first = known.get(key, [f"{key}:"])
            out += "\n" + "\n".join([first[0], *section(value, f"{key}.", known)]) + "\n"
        else:
            out += "\n".join(lines_of(key, value, known, "")) + "\n"
    return out


def main() -> None:
    text = PLACE.read_text(encoding="utf-8")
    made = make(text)
    if "--check" in sys.argv:
        sys.exit(
            0 if made == text else "configs/base.yaml differs: run python tools/make_config.py"
        )
    PLACE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
