"""One concept, one name: the glossary's page is current, and forbidden synonyms are not used."""

import ast
import html.parser
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from errdetect.report.report import render_report

ROOT = Path(__file__).parents[1]
#: (page, forbidden word) -> why it may stand there.
ALLOWED: dict[tuple[str, str], str] = {}
#: Numbers of forbidden words that still stand in src/errdetect and in the report; they only fall.
DEBT = yaml.safe_load((ROOT / "tests/glossary_debt.yaml").read_text(encoding="utf-8"))


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", name="maker")
def _maker():
    return load(ROOT / "tools/make_glossary.py")


@pytest.fixture(scope="module", name="words")
def _words(maker):
    return maker.glossary()


def forbidden(words):
    """List the synonyms and the phrases that stand nowhere."""
    avoided = [word for entry in entries(words) for word in entry.get("avoid", [])]
    return avoided + [phrase["avoid"] for phrase in words["style"]]


def forbidden_names(words):
    """List the ordinary words that must not be names in code."""
    return [word for entry in entries(words) for word in entry.get("avoid_in_code", [])]


def entries(words):
    return [entry for section in words["sections"] for entry in section["terms"]]


def count(text, avoided):
    """Count whole words and phrases, in any case, across line breaks."""
    plain = re.sub(r"\s+", " ", text.lower())
    found = {w: len(re.findall(rf"(?<![\w-]){re.escape(w)}(?![\w-])", plain)) for w in avoided}
    return Counter({word: n for word, n in found.items() if n})


def prose(page):
    """Return a page without code, whose names may be those of columns, and without addresses."""
    text = re.sub(r"^```.*?^```", " ", page, flags=re.M | re.S)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]*`", " ", text))


class Text(html.parser.HTMLParser):
    """What a reader sees of a page: no scripts, no styles."""

    def __init__(self):
        super().__init__()
        self.seen, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.seen.append(data)


def visible(page):
    reader = Text()
    reader.feed(page)
    return " ".join(reader.seen)


def names(source):
    """Return the words of the names that a module defines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
    return " . ".join(re.sub(r"([a-z])([A-Z])|_", r"\1 \2", name) for name in found)


def docstrings(source):
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return " . ".join(ast.get_docstring(node) or "" for node in nodes)


def count_code(sources, words):
    """Count synonyms in names and docstrings, and the words that must not be names in names."""
    named = " . ".join(map(names, sources))
    described = " . ".join(map(docstrings, sources))
    return count(f"{named} . {described}", forbidden(words)) + count(named, forbidden_names(words))


def over(found, limits):
    return {word: (n, limits.get(word, 0)) for word, n in found.items() if n > limits.get(word, 0)}


def test_the_page_is_made_from_the_yaml(maker, words):
    assert maker.PAGE.read_text(encoding="utf-8") == maker.render(words), (
        "docs/glossary.md is not that of docs/glossary.yaml: run python tools/make_glossary.py"
    )


def test_a_concept_has_one_entry_and_no_term_is_forbidden(words):
    terms = [term.strip() for entry in entries(words) for term in entry["term"].lower().split(",")]
    assert len(terms) == len(set(terms))
    assert not set(terms) & set(forbidden(words))
    for entry in entries(words):
        assert set(entry) <= {"term", "meaning", "where", "avoid", "avoid_in_code"}, entry["term"]
        assert entry["meaning"].endswith("."), entry["term"]
        assert ". " not in entry["meaning"], entry["term"]


def test_files_that_the_glossary_names_exist(words, repo):
    for entry in entries(words):
        for name in re.findall(r"[\w/]+\.py\b", entry["where"]):
            assert (repo / "src/errdetect" / name).exists(), f"{entry['term']}: {name}"


def test_docs_use_the_glossary_words(words, repo):
    pages = [repo / "README.md", repo / "CONTRIBUTING.md", *sorted((repo / "docs").glob("*.md"))]
    used = set()
    for page in pages:
        if page.name == "glossary.md":
            continue
        for word in count(prose(page.read_text(encoding="utf-8")), forbidden(words)):
            used.add((page.name, word))
    unknown = sorted(used - set(ALLOWED))
    assert not unknown, f"see docs/glossary.md for the word to use: {unknown}"
    assert set(ALLOWED) <= used, "an exception that nothing needs any more"


def test_report_gains_no_forbidden_word(words, repo):
    content = load(repo / "tests/report/conftest.py").full_content()
    found = count(visible(render_report(content)), forbidden(words))
    assert not over(found, DEBT["report"]), "word: (found, limit in tests/glossary_debt.yaml)"


def test_source_gains_no_forbidden_word(words, repo):
    files = sorted((repo / "src/errdetect").rglob("*.py"))
    found = count_code([path.read_text(encoding="utf-8") for path in files], words)
    assert not over(found, DEBT["code"]), "word: (found, limit in tests/glossary_debt.yaml)"


def test_counting_sees_words_and_not_their_parts():
    assert count("The bar.\nBars, barely; Side-bar", ["bar", "bars"]) == {"bar": 1, "bars": 1}
    assert count("it is\nsaid", ["is said"]) == {"is said": 1}
    assert "judged" not in prose("`judged` and\n```py\njudged\n```\n[a](judged.md)")
    seen = visible("<p>bar<script>var bar</script><style>bar{}</style></p>")
    assert count(seen, ["bar"]) == {"bar": 1}
    source = 'def judged_rows(bar):\n    """Doc bar, as usual."""\n    usualRate = 1\n'
    avoided = {"term": "a", "avoid": ["judged", "bar"], "avoid_in_code": ["usual"]}
    words = {"sections": [{"terms": [avoided]}], "style": []}
    assert count_code([source], words) == {"judged": 1, "bar": 2, "usual": 1}
