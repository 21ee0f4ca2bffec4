"""Count words that docs/glossary.yaml forbids, in text, pages and code.

`python tools/glossary_debt.py` lowers the numbers in tests/glossary_debt.yaml to what still stands.
"""

import ast
import html.parser
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DEBT = ROOT / "tests/glossary_debt.yaml"
HEAD = """\
# How often words that docs/glossary.yaml forbids still stand in the names and docstrings of src/errdetect, and in
# the text of the report that tests/report/conftest.py makes. These numbers only fall: after a renaming run
# `python tools/glossary_debt.py`.
"""


def load(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forbidden(words: dict[str, Any]) -> list[str]:
    """List the synonyms and the phrases that stand nowhere."""
    avoided = [word for entry in entries(words) for word in entry.get("avoid", [])]
    return avoided + [phrase["avoid"] for phrase in words["style"]]


def forbidden_names(words: dict[str, Any]) -> list[str]:
    """List the ordinary words that must not be names in code."""
    return [word for entry in entries(words) for word in entry.get("avoid_in_code", [])]


def entries(words: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for section in words["sections"] for entry in section["terms"]]


def count(text: str, avoided: Iterable[str]) -> "Counter[str]":
    """Count whole words and phrases, in any case, across line breaks."""
    plain = re.sub(r"\s+", " ", text.lower())
    found = {w: len(re.findall(rf"(?<![\w-]){re.escape(w)}(?![\w-])", plain)) for w in avoided}
    return Counter({word: n for word, n in found.items() if n})


def prose(page: str) -> str:
    """Return a page without code, whose names may be those of columns, and without addresses."""
    text = re.sub(r"^```.*?^```", " ", page, flags=re.M | re.S)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]*`", " ", text))


class Text(html.parser.HTMLParser):
    """What a reader sees of a page: no scripts, no styles."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base class names it
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.seen.append(data)


def visible(page: str) -> str:
    reader = Text()
    reader.feed(page)
    return " ".join(reader.seen)


def names(source: str) -> str:
    """Return the words of the names that a module defines."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
    return " . ".join(re.sub(r"([a-z])([A-Z])|_", r"\1 \2", name) for name in found)


def docstrings(source: str) -> str:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [ast.get_docstring(n) for n in ast.walk(ast.parse(source)) if isinstance(n, documented)]
    return " . ".join(text or "" for text in found)


def count_code(sources: list[str], words: dict[str, Any]) -> "Counter[str]":
    """Count synonyms in names and docstrings, and the words that must not be names in names."""
    named = " . ".join(map(names, sources))
    described = " . ".join(map(docstrings, sources))
    return count(f"{named} . {described}", forbidden(words)) + count(named, forbidden_names(words))


def count_report(words: dict[str, Any]) -> "Counter[str]":
    """Count synonyms in the text of a made-up report."""
    from errdetect.report.report import render_report

    content = load(ROOT / "tests/report/conftest.py").full_content()
    return count(visible(render_report(content)), forbidden(words))


def main() -> None:
    words = load(ROOT / "tools/make_glossary.py").glossary()
    files = sorted((ROOT / "src/errdetect").rglob("*.py"))
    code = count_code([path.read_text(encoding="utf-8") for path in files], words)
    found = {"code": code, "report": count_report(words)}
    before = yaml.safe_load(DEBT.read_text(encoding="utf-8"))
    lower = {
        kind: {w: min(n, before[kind].get(w, 0)) for w, n in sorted(counted.items())}
        for kind, counted in found.items()
    }
    DEBT.write_text(HEAD + yaml.safe_dump(lower), encoding="utf-8")


if __name__ == "__main__":
    main()
