import pytest

from errdetect.errors import ConfigError, DataError, GateRefusal, clear_exit, visible


def test_config_error_lists_every_fault():
    assert str(ConfigError(["a is wrong.", "b is wrong."])) == (
        "The config has 2 faults:\n  - a is wrong.\n  - b is wrong."
    )


def test_clear_exit_says_the_fault_and_its_status(capsys):
    with pytest.raises(SystemExit) as exit_, clear_exit():
        raise DataError("d\x1b[31m1 is broken")
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "errdetect: d\\x1b[31m1 is broken\n"
    with pytest.raises(SystemExit) as exit_, clear_exit():
        raise GateRefusal("no")
    assert exit_.value.code == 1


def test_clear_exit_lets_bugs_through():
    with pytest.raises(ZeroDivisionError), clear_exit():
        _ = 1 / 0


def test_visible_keeps_text_of_every_language():
    text = "Größe 尺码 مقاس\nзмеј 👟"
    assert visible(text) == text
    assert visible("a\u202eb") == "a\\x202eb"
