"""The exceptions: every fault that a user can fix, in one sentence form.

A message says what is wrong, what it must be, what it got and what to do. Commands exit
without a traceback, with status 2 (the input, the config or a model cannot be used) or 1 (a gate
or check failed). Any other exception is a bug in errdetect and keeps its traceback.
"""

import errno
import re
import sys
import traceback
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn

__all__ = [
    "JOINERS",
    "ConfigError",
    "ContradictionError",
    "DataError",
    "ErrdetectError",
    "GateRefusal",
    "ModelError",
    "Refusal",
    "error_message",
    "escape_hidden",
    "exit_on_error",
    "is_hidden",
    "iter_escaped",
    "mask_secrets",
    "mask_values",
    "remember_secrets",
]

#: Joiners that scripts and emoji need.
JOINERS = "\u200c\u200d"
# Marks that only affect the order of adjacent words, and that right-to-left texts need.
_MARKS = "\u200e\u200f\u061c"
# Control, format, surrogate and private characters, and line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# A quotation between two direction marks, none within: its text direction stays contained.
_OPEN, _CLOSE = "\u2068", "\u2069"
_ISOLATED = re.compile("(\u2068[^\u2066-\u2069\u202a-\u202e]*\u2069)")


#: What hides a secret in messages.
_MASK = "***"
#: Secrets of this process' configs, longest first when they are masked.
_SECRETS: set[str] = set()
_SHORTEST = 4  # a shorter one would mask parts of ordinary words
_WORD = re.compile(r"\S+")
# A scheme's end; longer schemes are not told apart, so that no text takes more than its length's time.
_SCHEME = re.compile(r"[A-Za-z][\w+.-]{0,40}:/{1,3}(?=[^\s/@])")
# A user with a password and no scheme before them.
_USER = re.compile(r":[^\s@:'\",]+@")
# A user with a password whose @ was cut off; a port is no password.
_CUT_INFO = re.compile(
    r"([A-Za-z][\w+.-]{0,40}:/{2,3}[^\s/@:'\"]*:)(?!\d{1,5}(?:[/?#\s'\",;)\]}]|$))[^\s/@'\"*]+"
)
_OPTION = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|credentials?)"
    # PASS is also an action: what it means is no secret.
    r"['\"]?[=:]\s*['\"]?)(?!(?:allow|enforce|allow_or_enforce)\b)[^\s&'\",;)}\]]+"
)


def remember_secrets(values: Iterable[str]) -> None:
    """Have `mask_secrets` mask these texts wherever they occur, such as passwords of a config's URLs."""
    _SECRETS.update(one for one in values if len(one) >= _SHORTEST)


def mask_secrets(text: str) -> str:
    """Mask passwords in a message: those remembered, and whatever looks like one.

    Parameters
    ----------
    text
        Any text; of a URL its user and password are masked, also of a broken one.

    Examples
    --------
    >>> mask_secrets("postgresql://ana:s@e/cret@db/shop, ftp:/u:x@h, sslpassword=abc")
    'postgresql://***@db/shop, ftp:/***@h, sslpassword=***'
    >>> mask_secrets("http://host:8080/path and postgresql://ana:sec...")
    'http://host:8080/path and postgresql://ana:***'
    >>> mask_secrets("shop/ana:secret@db")
    'shop/ana:***@db'
    """
    for secret in sorted(_SECRETS, key=len, reverse=True):
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: _MASK, text)
    if "@" in text:
        text = _WORD.sub(_mask_user, text)
    text = _CUT_INFO.sub(rf"\1{_MASK}", text)
    return _OPTION.sub(rf"\1{_MASK}", text)


def _mask_user(word: re.Match[str]) -> str:
    """Mask everything between a scheme and the last @ of a word; the slashes may have been folded."""
    text = word[0]
    end = text.rfind("@")
    found = _SCHEME.search(text, 0, max(end, 0))
    if found:
        return f"{text[: found.end()]}{_MASK}{text[end:]}"
    return _USER.sub(f":{_MASK}@", text)


def mask_values(value: Any) -> Any:
    """Mask passwords in JSON values, also in the names of keys.

    Examples
    --------
    >>> mask_values({"url": ["postgresql://ana:secret@db"], "n": 1})
    {'url': ['postgresql://***@db'], 'n': 1}
    """
    if isinstance(value, dict):
        return {mask_values(key): mask_values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [mask_values(one) for one in value]
    return mask_secrets(value) if isinstance(value, str) else value


def error_message(what: str, must: str, got: object, do: str) -> str:
    """Return one fault as a sentence: what it is about, what it must be, what it got, what to do.

    Examples
    --------
    >>> error_message("score", "lie in [0, 1]", 1.5, "Divide percentages by 100.")
    'score must lie in [0, 1], got 1.5. Divide percentages by 100.'
    """
    return f"{what} must {must}, got {got}. {do}"


class ErrdetectError(Exception):
    """Base of every fault that the user can fix; `exit_code` is the command's exit status."""

    exit_code = 2

    def __str__(self) -> str:
        """Return the message, passwords masked."""
        return mask_secrets(super().__str__())


class ConfigError(ErrdetectError):
    """The config cannot be used; lists all of its faults at once.

    Parameters
    ----------
    faults
        One readable sentence for each fault.

    Examples
    --------
    >>> print(ConfigError(["train.trials must be at least 0, got -1. Set it to 0 or more."]))
    The config has 1 fault:
      - train.trials must be at least 0, got -1. Set it to 0 or more.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = [mask_secrets(fault) for fault in faults]
        count = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
        super().__init__(f"The config has {count}:" + "".join(f"\n  - {f}" for f in self.faults))


class DataError(ErrdetectError):
    """An input table cannot be used at all (single bad rows are rejects, not errors)."""


class ModelError(ErrdetectError):
    """A model is missing, damaged or does not fit the data it is given."""


class Refusal(ErrdetectError):
    """No reliable estimate is possible; the message says why."""


class GateRefusal(ErrdetectError):
    """A gate or check failed: the work is done, but its result was not accepted."""

    exit_code = 1


class ContradictionError(ErrdetectError):
    """Our own figures contradict each other: a bug, so none of them is shown.

    Parameters
    ----------
    faults
        One sentence for each contradiction, naming the rows.

    Examples
    --------
    >>> print(ContradictionError(["the whole, recall: low 0.9 <= estimate 0.5 does not hold."]))
    errdetect's own figures contradict each other (1 contradiction). This is a bug in errdetect, \
so none is shown. Please report it with these lines:
      - the whole, recall: low 0.9 <= estimate 0.5 does not hold.
    """

    exit_code = 1
    _SHOWN = 5

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        n, shown = len(self.faults), self.faults[: self._SHOWN]
        more = [f"and {n - len(shown):,} more."] if n > len(shown) else []
        super().__init__(
            f"errdetect's own figures contradict each other ({n:,} contradiction"
            f"{'s' if n != 1 else ''}). This is a bug in errdetect, so none is shown. Please "
            "report it with these lines:" + "".join(f"\n  - {f}" for f in [*shown, *more])
        )


def is_hidden(character: str) -> bool:
    r"""Return whether a character is invisible or reorders others; script joiners are exempt.

    Examples
    --------
    >>> [is_hidden(c) for c in ("a", "\n", "\u202e", "\u200d")]
    [False, True, True, False]
    """
    if character in JOINERS:
        return False
    # The last two code points of every plane are noncharacters; XML refuses some of them.
    return unicodedata.category(character) in _HIDDEN or ord(character) & 0xFFFE == 0xFFFE


def escape_hidden(text: str) -> str:
    r"""Write hidden characters as their code, so that content cannot steer a terminal or a page.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        The text with control, format, private and lone surrogate characters as ``[U+202E]``;
        line breaks, tabs, the joiners of scripts and emoji, the marks of right-to-left texts and
        pairs of direction marks around a quotation stay.

    Examples
    --------
    >>> escape_hidden("exe.\u202egpj"), escape_hidden("a\x1b[31mb")
    ('exe.[U+202E]gpj', 'a[U+001B][31mb')
    """
    return text if text.isprintable() else "".join(iter_escaped(text))


def iter_escaped(text: str) -> Iterator[str]:
    r"""Yield `escape_hidden` text in pieces, each a character or a code, so that callers can cut it.

    Examples
    --------
    >>> list(iter_escaped("a\x00"))
    ['a', '[U+0000]']
    """
    for i, part in enumerate(_ISOLATED.split(text)):
        if i % 2:
            yield from (_OPEN, *map(_escape_character, part[1:-1]), _CLOSE)
        else:
            yield from map(_escape_character, part)


def _escape_character(character: str) -> str:
    if character in "\n\t" or character in _MARKS or not is_hidden(character):
        return character
    return f"[U+{ord(character):04X}]"


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Exit with one clear message and the error's status where the user can fix the fault.

    So do refusals of the operating system that no command foresees (a name that is too long, a full
    disk, no right to read), and words of the command line that are no text. Anything else passes through
    with its traceback, passwords masked: it is a bug.
    """
    sys.excepthook = _print_masked
    try:
        yield
    except ErrdetectError as error:
        _exit_with(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        name = str(error.filename or "A file")
        name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        _exit_with(f"{name} cannot be used: {error.strerror}. {_CHECK}", 2)
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":
            raise
        got = ascii(error.object[max(error.start - 20, 0) : error.end + 20])
        do = "Write it in UTF-8, without halves of surrogate pairs."
        _exit_with(error_message("What is given", "be text", got, do), 2)


_REFUSALS = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
     errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENXIO, errno.ENODEV, errno.ESTALE}
)  # fmt: skip
_LONGEST_NAME = 100
_CHECK = "Check the path, the rights there and the free space."


def _exit_with(message: str, status: int) -> NoReturn:
    sys.stderr.write(escape_hidden(f"errdetect: {mask_secrets(message)}") + "\n")
    raise SystemExit(status) from None


def _print_masked(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a traceback as Python does, but without passwords and control characters."""
    lines = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(escape_hidden(mask_secrets(lines)))
