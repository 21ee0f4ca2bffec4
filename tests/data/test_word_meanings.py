"""What words mean is taken from them only where it is plain."""

import dataclasses

import pandas as pd
import pytest

from errdetect.data.column_profiles import read_profiles
from errdetect.data.word_meanings import guess_words


def column(tmp_path, name, values, of_appeals=False):
    pd.DataFrame({"n": range(len(values)), name: values}).to_csv(tmp_path / "t.csv", index=False)
    found = read_profiles(str(tmp_path / "t.csv"))[0].columns[name]
    return dataclasses.replace(found, of_appeals=of_appeals or found.of_appeals)


@pytest.mark.parametrize(
    ("target", "word", "meaning"),
    [
        ("action", "BAN_24H", "enforce"),
        ("action", "remove post", "enforce"),
        ("action", "auto approved", "allow"),
        ("action", "temporarily muted", "enforce"),
        ("verdict", "Bonne décision", "upheld"),
        ("verdict", "bad_call", "overturned"),
        ("verdict", "Fehlentscheidung", "overturned"),
        ("verdict", "Over-enforced", "overturned"),
        ("verdict", "machine_right", "upheld"),
    ],
)
def test_idle_words_do_not_hide_a_meaning(tmp_path, target, word, meaning):
    words = guess_words(column(tmp_path, "x", [word, "what is this"]), target)
    assert words.known == {word: meaning}
    assert list(words.unknown) == ["what is this"]


@pytest.mark.parametrize(
    "word",
    ["not removed", "remove pending", "ban lifted", "un ban", "hold", "user", "24h", "remove?"],
)
def test_a_word_that_something_else_changes_gets_no_meaning(tmp_path, word):
    assert guess_words(column(tmp_path, "x", [word]), "action").known == {}


def test_granting_an_appeal_overturns_the_decision(tmp_path):
    words = guess_words(column(tmp_path, "appeal_outcome", ["granted", "Denied", "odd"]), "verdict")
    assert words.known == {"granted": "overturned", "Denied": "upheld"}
    plain = guess_words(column(tmp_path, "outcome", ["granted", "Denied"]), "verdict")
    assert plain.known == {}
    of_table = guess_words(column(tmp_path, "outcome", ["granted"], of_appeals=True), "verdict")
    assert of_table.known == {"granted": "overturned"}


def test_upheld_beside_dismissed_may_be_the_appeal_or_the_decision(tmp_path):
    words = guess_words(column(tmp_path, "appeal_result", ["upheld", "dismissed"]), "verdict")
    assert words.known == {"dismissed": "upheld"}
    assert words.unknown == {"upheld": 1}
    both = guess_words(column(tmp_path, "appeal_result", ["upheld", "overturned"]), "verdict")
    assert both.known == {"upheld": "upheld", "overturned": "overturned"}


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("decisao_correta", "upheld"),
        ("Czy niezasadna", "overturned"),
        ("terecht", "upheld"),
        ("onterecht?", "overturned"),
    ],
)
def test_yes_means_what_the_column_asks(tmp_path, name, yes):
    values = {"upheld": "S", "overturned": "N"} if name.startswith("dec") else {}
    words = guess_words(column(tmp_path, name, [values.get("upheld", "ja"), "n"]), "verdict")
    assert words.known[values.get("upheld", "ja")] == yes


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("NOK", "overturned"),
        ("not correct", "overturned"),
        ("nicht bestätigt", "overturned"),
        ("pas d'accord", "overturned"),
        ("no de acuerdo", "overturned"),
        ("uygun değil", "overturned"),
        ("valid appeal", "overturned"),
        ("Invalid appeal", "upheld"),
        ("appeal upheld", "overturned"),
        ("Einspruch unbegründet", "upheld"),
    ],
)
def test_negations_and_answers_that_name_the_appeal(tmp_path, word, meaning):
    assert guess_words(column(tmp_path, "x", [word]), "verdict").known == {word: meaning}


@pytest.mark.parametrize(
    "word",
    ["not sure", "not overturned", "not", "appeal", "appeal pending", "no", "not relabelled"],
)
def test_what_is_no_answer_gets_no_meaning(tmp_path, word):
    assert guess_words(column(tmp_path, "x", [word]), "verdict").known == {}
