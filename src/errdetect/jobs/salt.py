"""The secret behind reviewers' pseudonyms: one file beside the registry."""

import os
import re
import secrets
from pathlib import Path

from errdetect.errors import ConfigError, sentence

__all__ = ["SALT", "read_salt"]

#: The file's name in the registry's folder.
SALT = "reviewers.salt"

_BYTES = 32


def read_salt(folder: Path) -> bytes:
    """Read the secret of the pseudonyms; at the first time, draw it.

    With the same file the same reviewer has the same pseudonym in every report; without it nobody
    can tell who is who. Only its owner may read it.

    Parameters
    ----------
    folder
        The registry's; made if missing.

    Returns
    -------
    bytes
        32 of them.

    Raises
    ------
    ConfigError
        Where the file is damaged or cannot be read or written. Its content is never told.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> read_salt(folder) == read_salt(folder), len(read_salt(folder))
    (True, 32)
    """
    place = folder / SALT
    try:
        if not place.exists():
            _draw(place)
        text = place.read_bytes().strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        do = "Let this user read and write the registry's folder, or set registry.path to another."
        raise ConfigError(
            [sentence(f"The salt file '{place}'", "be readable", reason, do)]
        ) from error
    if not re.fullmatch(rb"[0-9a-f]{%d}" % (2 * _BYTES), text):
        got = f"{len(text)} bytes" if len(text) != 2 * _BYTES else "other characters"
        do = "Restore it; or delete it to draw a new one, which gives everybody a new pseudonym."
        must = f"hold {2 * _BYTES} hexadecimal digits"
        raise ConfigError([sentence(f"The salt file '{place}'", must, got, do)])
    return bytes.fromhex(text.decode("ascii"))


def _draw(place: Path) -> None:
    """Write a new secret whole or not at all; whoever comes second keeps the first one's."""
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
