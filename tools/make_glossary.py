"""Write docs/glossary.md from docs/glossary.yaml: `python tools/make_glossary.py`."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docs/glossary.yaml"
PAGE = ROOT / "docs/glossary.md"
HEAD = """\
# Glossary

One concept, one name: in code, columns, messages, docs and the report. Made from
[glossary.yaml](glossary.yaml) by `python tools/make_glossary.py`; edit the YAML. `tests/test_glossary.py`
keeps the words under "not" out of the docs and counts them in code and report.
"""


def glossary() -> dict[str, Any]:
    """Read the vocabulary."""
    read: dict[str, Any] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    return read


def render(words: dict[str, Any]) -> str:
    """Return the page: a table for each section, and one of phrases."""
    lines = [HEAD]
    for section in words["sections"]:
        lines += [
            f"## {section['title']}",
            "",
            "| term | meaning | where | not |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_row(entry) for entry in section["terms"]]
        lines.append("")
    lines += ["## Phrases", "", "| not | but |", "| --- | --- |"]
    lines += [f"| {phrase['avoid']} | {phrase['write']} |" for phrase in words["style"]]
    return "\n".join(lines) + "\n"


def _row(entry: dict[str, Any]) -> str:
    avoided = list(entry.get("avoid", []))
    avoided += [f"{word} (in code)" for word in entry.get("avoid_in_code", [])]
    return f"| {entry['term']} | {entry['meaning']} | {entry['where']} | {', '.join(avoided)} |"


if __name__ == "__main__":
    PAGE.write_text(render(glossary()), encoding="utf-8")
