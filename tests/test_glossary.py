"""One concept, one name: the glossary's page is current, and forbidden synonyms are not used."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
#: (page, forbidden word) -> why it may stand there.
ALLOWED: dict[tuple[str, str], str] = {}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", name="maker")
def _maker():
    return load(ROOT / "tools/make_glossary.py")


@pytest.fixture(scope="module", name="counter")
def _counter():
    return load(ROOT / "tools/glossary_debt.py")


@pytest.fixture(scope="module", name="words")
def _words(maker):
    return maker.glossary()


@pytest.fixture(scope="module", name="debt")
def _debt(counter):
    """Numbers of forbidden words that still stand in src/errdetect and in the report; they only fall."""
    return yaml.safe_load(counter.DEBT.read_text(encoding="utf-8"))


def over(found, limits):
    return {word: (n, limits.get(word, 0)) for word, n in found.items() if n > limits.get(word, 0)}


def test_the_page_is_made_from_the_yaml(maker, words):
    assert maker.PAGE.read_text(encoding="utf-8") == maker.render(words), (
        "docs/glossary.md is not that of docs/glossary.yaml: run python tools/make_glossary.py"
    )


def test_a_concept_has_one_entry_and_no_term_is_forbidden(words, counter):
    terms = [
        term.strip()
        for entry in counter.entries(words)
        for term in entry["term"].lower().split(",")
    ]
    assert len(terms) == len(set(terms))
    assert not set(terms) & set(counter.forbidden(words))
    for entry in counter.entries(words):
        assert set(entry) <= {"term", "meaning", "where", "avoid", "avoid_in_code"}, entry["term"]
        assert entry["meaning"].endswith("."), entry["term"]
        assert ". " not in entry["meaning"], entry["term"]


def test_files_that_the_glossary_names_exist(words, counter, repo):
    for entry in counter.entries(words):
        for name in re.findall(r"[\w/]+\.py\b", entry["where"]):
            assert (repo / "src/errdetect" / name).exists(), f"{entry['term']}: {name}"


def test_docs_use_the_glossary_words(words, counter, repo):
    pages = [repo / "README.md", repo / "CONTRIBUTING.md", *sorted((repo / "docs").glob("*.md"))]
    used = set()
    for page in pages:
        if page.name == "glossary.md":
            continue
        text = counter.prose(page.read_text(encoding="utf-8"))
        for word in counter.count(text, counter.forbidden(words)):
            used.add((page.name, word))
    unknown = sorted(used - set(ALLOWED))
    assert not unknown, f"see docs/glossary.md for the word to use: {unknown}"
    assert set(ALLOWED) <= used, "an exception that nothing needs any more"


def test_report_gains_no_forbidden_word(words, counter, debt):
    found = counter.count_report(words)
    assert not over(found, debt["report"]), "word: (found, limit in tests/glossary_debt.yaml)"


def test_source_gains_no_forbidden_word(words, counter, debt, repo):
    files = sorted((repo / "src/errdetect").rglob("*.py"))
    found = counter.count_code([path.read_text(encoding="utf-8") for path in files], words)
    assert not over(found, debt["code"]), "word: (found, limit in tests/glossary_debt.yaml)"


def test_counting_sees_words_and_not_their_parts(counter):
    count, prose, visible = counter.count, counter.prose, counter.visible
    assert count("The bar.\nBars, barely; Side-bar", ["bar", "bars"]) == {"bar": 1, "bars": 1}
    assert count("it is\nsaid", ["is said"]) == {"is said": 1}
    assert "judged" not in prose("`judged` and\n```py\njudged\n```\n[a](judged.md)")
    seen = visible("<p>bar<script>var bar</script><style>bar{}</style></p>")
    assert count(seen, ["bar"]) == {"bar": 1}
    source = 'def judged_rows(bar):\n    """Doc bar, as usual."""\n    usualRate = 1\n'
    avoided = {"term": "a", "avoid": ["judged", "bar"], "avoid_in_code": ["usual"]}
    words = {"sections": [{"terms": [avoided]}], "style": []}
    assert counter.count_code([source], words) == {"judged": 1, "bar": 2, "usual": 1}
