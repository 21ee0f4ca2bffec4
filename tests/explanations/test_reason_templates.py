import re

import pytest

from errdetect.errors import ConfigError
from errdetect.explanations.reason_templates import load_templates

CLAIMS = re.compile(
    r"\b(because|caus(e|es|ed|ing)|due to|leads? to|results? in|owing to|weil|wegen|verursacht)\b",
    re.I,
)


@pytest.mark.parametrize("translated", [False, True])
def test_words_never_claim_a_cause(here, translated):
    words = load_templates(here / "reasons_de.yaml" if translated else None)
    assert not [t for said in words.values() for t in said.values() if CLAIMS.search(t)]


def test_every_reason_has_a_title_and_a_way_to_say_it():
    for code, said in load_templates().items():
        if code != "forms":
            assert "title" in said
            assert len(said) > 1


def test_a_whole_translation_leaves_no_english(here):
    words, own = load_templates(here / "reasons_de.yaml"), load_templates()
    assert {(c, v) for c in own for v in own[c]} == {(c, v) for c in words for v in words[c]}
    same = {(c, v) for c in own for v in own[c] if own[c][v] == words[c][v]}
    assert same == {("default", "title"), ("forms", "between"), ("forms", "also")}


@pytest.fixture
def write(tmp_path):
    def written(text: str):
        place = tmp_path / "own.yaml"
        place.write_text(text, encoding="utf-8")
        return place

    return written


def test_what_a_file_lacks_is_said_in_own_words(write):
    words = load_templates(
        write("market: {title: Der Markt}\nprice: {title: Preis, text: '{value} Euro'}")
    )
    assert words["market"]["title"] == "Der Markt"
    assert words["market"]["text"] == load_templates()["market"]["text"]
    assert words["price"]["text"] == "{value} Euro"
    assert words["margin"] == load_templates()["margin"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("market: Markt", "'own.yaml' must map each reason to its templates, got something else."),
        ("a: [", "'own.yaml' must be YAML in UTF-8"),
        ("market: {text: 'Im {markt}'}",
         "The template market.text of 'own.yaml' must use only {action}, {column}, {policy}, {value}, got {markt}."),
        ("price: {text: '{value.__class__}'}", "The template price.text of 'own.yaml' must use only"),
        ("price: {text: '{value!r:>99}'}", "got {value!r:>99}."),
        ("margin: {above: '{score'}", "The template margin.above of 'own.yaml' must close every brace"),
        ("margin: {abvoe: 'x'}", "The template margin.abvoe of 'own.yaml' must be one of title, above, below,"),
        ("forms: {quote: '{words}'}", "The template forms.quote of 'own.yaml' must use only {content}, got {words}."),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_filled_is_refused_by_name(write, text, says):
    with pytest.raises(ConfigError) as refused:
        load_templates(write(text))
    assert len(refused.value.faults) == 1
    assert says in str(refused.value)


def test_all_faults_come_at_once(write):
    with pytest.raises(ConfigError) as refused:
        load_templates(write("market: {text: '{a}', title: '{b}'}\nprice: {txt: ''}"))
    assert len(refused.value.faults) == 3


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"report\.words must name a YAML file, got .*none\.yaml"):
        load_templates(tmp_path / "none.yaml")
