import time

import pytest

from errdetect.errors import (
    ConfigError,
    DataError,
    GateRefusal,
    escape_hidden,
    exit_on_error,
    is_hidden,
    iter_escaped,
    mask_secrets,
)


def test_config_error_lists_every_fault():
    assert str(ConfigError(["a is wrong.", "b is wrong."])) == (
        "The config has 2 faults:\n  - a is wrong.\n  - b is wrong."
    )


def test_clear_exit_says_the_fault_and_its_status(capsys):
    with pytest.raises(SystemExit) as exit_, exit_on_error():
        raise DataError("d\x1b[31m1 is broken")
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "errdetect: d[U+001B][31m1 is broken\n"
    with pytest.raises(SystemExit) as exit_, exit_on_error():
        raise GateRefusal("no")
    assert exit_.value.code == 1


def test_clear_exit_lets_bugs_through():
    for bug in (ZeroDivisionError(), FileNotFoundError(2, "No such file", "x"), OSError("odd")):
        with pytest.raises(type(bug)), exit_on_error():
            raise bug
    with pytest.raises(UnicodeEncodeError), exit_on_error():
        "ü".encode("ascii")


def test_what_the_system_refuses_and_what_is_no_text_is_one_sentence(capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_, exit_on_error():
        (tmp_path / ("x" * 5_000)).stat()
    told = capsys.readouterr().err
    assert exit_.value.code == 2
    assert "... cannot be used: File name too long. Check the path" in told
    assert len(told) < 250
    with pytest.raises(SystemExit) as exit_, exit_on_error():
        "ab\udcff".encode()
    assert exit_.value.code == 2
    assert "must be text, got 'ab\\udcff'" in capsys.readouterr().err


def test_visible_keeps_text_of_every_language():
    text = "Größe 尺码 مقاس\nзмеј 👟"
    assert escape_hidden(text) == text
    assert escape_hidden("a\u202eb") == "a[U+202E]b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a\nb\tc"),
        ("a\rb\x9bc", "a[U+000D]b[U+009B]c"),
        ("soft\u00adhyphen\u200b", "soft[U+00AD]hyphen[U+200B]"),
        ("tag\U000e0041", "tag[U+E0041]"),
        ("half\ud800", "half[U+D800]"),
        ("private\ue000", "private[U+E000]"),
        ("line\u2028", "line[U+2028]"),
        ("none\uffff\U0001fffe", "none[U+FFFF][U+1FFFE]"),
        ("a new emoji \U0001fae8", "a new emoji \U0001fae8"),
        ("👩\u200d🔬 \u200fשלום", "👩\u200d🔬 \u200fשלום"),
        ("\u2068שלום\u2069", "\u2068שלום\u2069"),
        ("\u2068open", "[U+2068]open"),
    ],
)
def test_what_cannot_be_seen_is_a_code(text, shown):
    assert escape_hidden(text) == "".join(iter_escaped(text)) == shown
    assert escape_hidden(shown) == shown


def test_hidden_characters_are_those_that_visible_codes_but_for_needed_marks():
    codes = [chr(c) for c in range(0x3000) if escape_hidden(chr(c)) != chr(c)]
    assert all(is_hidden(c) for c in codes)
    assert {chr(c) for c in range(0x3000) if is_hidden(chr(c))} - set(codes) == set(
        "\n\t\u200e\u200f\u061c"
    )


@pytest.mark.parametrize(
    "text",
    ["x" * 200_000, "a:/" * 70_000, "@" + "a:/" * 70_000, "a://b:" * 30_000, "password" * 25_000],
)
def test_masking_takes_time_in_proportion_to_the_text(text):
    begun = time.process_time()
    mask_secrets(text)
    assert time.process_time() - begun < 3


def test_a_password_without_a_scheme_is_masked():
    """As when a broken address is taken for a key of the config."""
    told = mask_secrets("data.pol/ana:S3cr/et@db.example/shop is not a key; 'a:b', at 10:30 @noon")
    assert told == "data.pol/ana:***@db.example/shop is not a key; 'a:b', at 10:30 @noon"
