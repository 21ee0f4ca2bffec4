"""Reviewers' pseudonyms, and the secret key that makes them: kept apart from the ledger."""

import errno
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd

from errdetect.errors import ConfigError, DataError, error_message

__all__ = [
    "KEY_VARIABLE",
    "KeySource",
    "PseudonymKey",
    "find_key",
    "is_pseudonym",
    "pseudonymise_ids",
    "read_key",
]

#: The environment variable that holds the key itself, instead of a file.
KEY_VARIABLE = "ERRDETECT_REVIEWER_KEY"

_BYTES = 32
_SHORTEST = 16  # bytes
_FORM = r"(?:reviewer-[0-9a-f]{12}|forgotten-[0-9a-f]{16})"
#: What an operating system says of a folder in which nothing may be written.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class PseudonymKey:
    """The secret behind reviewers' pseudonyms.

    Parameters
    ----------
    secret
        At least 16 bytes.
    place
        Where it is kept, for messages.
    saved
        Whether it outlives this process.
    """

    secret: bytes = field(repr=False)
    place: str
    saved: bool = True

    @property
    def fingerprint(self) -> str:
        """A name of the key that does not reveal it: 16 hexadecimal digits."""
        return hmac.new(self.secret, b"errdetect key", hashlib.sha256).hexdigest()[:16]


KeySource = Callable[[], PseudonymKey]


def is_pseudonym(reviewer_id: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which ids are pseudonyms already, or names of forgotten reviewers; missing ones are not.

    Examples
    --------
    >>> is_pseudonym(pd.Series(["reviewer-a73f7456b484", "ann", None])).tolist()
    [True, False, False]
    """
    return reviewer_id.astype("str").str.fullmatch(_FORM, na=False).astype(bool)


def pseudonymise_ids(reviewer_id: "pd.Series[str]", *, salt: bytes) -> "pd.Series[str]":
    """Replace names by keyed hashes: the same name and salt give the same pseudonym.

    Anyone with the salt can identify reviewers by trying all names, so restrict access to it.

    Parameters
    ----------
    reviewer_id
        Names; missing ones and pseudonyms stay as they are.
    salt
        A secret of at least 16 bytes.

    Returns
    -------
    pandas.Series
        `reviewer-` and 12 hexadecimal digits (HMAC-SHA-256), index as given.

    Raises
    ------
    DataError
        If the salt is too short.

    Examples
    --------
    >>> pseudonymise_ids(pd.Series(["ann"]), salt=b"sixteen bytes or more").tolist()
    ['reviewer-a73f7456b484']
    """
    if len(salt) < _SHORTEST:
        raise DataError(
            error_message(
                "The salt of pseudonyms",
                f"have at least {_SHORTEST} bytes",
                len(salt),
                "Generate one with `python -c 'import secrets; print(secrets.token_hex())'`.",
            )
        )
    known = {name: _pseudonym(name, salt) for name in reviewer_id.dropna().unique()}
    return reviewer_id.map(known).astype("str")


def _pseudonym(name: str, salt: bytes) -> str:
    if re.fullmatch(_FORM, name):
        return name
    text = name.encode("utf-8", "surrogatepass")
    return "reviewer-" + hmac.new(salt, text, hashlib.sha256).hexdigest()[:12]


def find_key(place: Path, environment: Mapping[str, str] = os.environ) -> PseudonymKey | None:
    """Read the key of the pseudonyms if there is one; never create it.

    Parameters
    ----------
    place
        Its file.
    environment
        Its variable `ERRDETECT_REVIEWER_KEY` takes precedence.

    Raises
    ------
    ConfigError
        Where it is damaged or cannot be read. Its content is never shown.

    Examples
    --------
    >>> find_key(Path("no/such/file"), {}) is None
    True
    """
    given = environment.get(KEY_VARIABLE)
    if given is not None:
        where = f"The environment variable {KEY_VARIABLE}"
        return PseudonymKey(_parse_key(given.strip().encode(), where), where)
    try:
        text = place.read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(place, error) from error
    return PseudonymKey(_parse_key(text, f"The salt file '{place}'"), f"'{place}'")


def read_key(place: Path, environment: Mapping[str, str] = os.environ) -> PseudonymKey:
    """Read the key of the pseudonyms; create its file on first use.

    With the same key the same reviewer has the same pseudonym in the ledger and in every report; without
    it no one can link pseudonyms to people. Only its owner may read the file. Where there is none and the
    folder is read-only, the key is this process's own and kept nowhere.

    Parameters
    ----------
    place, environment
        As for `find_key`; folders are made if missing.

    Returns
    -------
    PseudonymKey
        Of 32 bytes.

    Raises
    ------
    ConfigError
        Where the file is damaged or cannot be read or written. Its content is never shown.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "key"
    >>> read_key(file, {}) == read_key(file, {}), len(read_key(file, {}).secret)
    (True, 32)
    """
    found = find_key(place, environment)
    if found is not None:
        return found
    try:
        _create_key(place)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise _unreadable(place, error) from error
        return PseudonymKey(_unsaved_secret(), f"'{place}'", saved=False)
    created = find_key(place, environment)
    assert created is not None, place
    return created


def _parse_key(text: bytes, where: str) -> bytes:
    if not re.fullmatch(rb"[0-9a-f]{%d}" % (2 * _BYTES), text):
        got = f"{len(text)} bytes" if len(text) != 2 * _BYTES else "other characters"
        do = "Restore it; or remove it to create a new one, which gives every reviewer a new pseudonym."
        must = f"hold {2 * _BYTES} hexadecimal digits"
        raise ConfigError([error_message(where, must, got, do)])
    return bytes.fromhex(text.decode("ascii"))


def _unreadable(place: Path, error: OSError) -> ConfigError:
    reason = error.strerror or type(error).__name__
    do = "Let this user read and write it, or name another file under reviewers.key."
    return ConfigError([error_message(f"The salt file '{place}'", "be readable", reason, do)])


@cache
def _unsaved_secret() -> bytes:
    """Return a secret that lasts as long as this process."""
    return secrets.token_bytes(_BYTES)


def _create_key(place: Path) -> None:
    """Write a new secret, all or nothing; a concurrent second writer keeps the first one's."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
        try:
            os.link(aside, place)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            aside.replace(place)
    finally:
        aside.unlink(missing_ok=True)
