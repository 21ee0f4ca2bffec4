"""Hand an alarm on: a signed webhook, and a command such as a mailer."""

import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from errdetect.config import Config
from errdetect.errors import remember_secrets

__all__ = ["SIGNATURE", "TIMESTAMP", "notify", "sign"]

#: Headers of the webhook: `sha256=` and the hexadecimal HMAC over "TIMESTAMP.BODY"; Unix seconds.
SIGNATURE, TIMESTAMP = "X-Errdetect-Signature", "X-Errdetect-Timestamp"
_TRIES, _TIMEOUT, _WAIT = 4, 10.0, 1.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a signed message goes to the configured address only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def sign(body: bytes, secret: str, timestamp: str) -> str:
    """Return the signature of a message.

    Examples
    --------
    >>> sign(b"{}", "key", "1")[:20]
    'sha256=1ba6b8171186e'
    """
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def notify(
    config: Config,
    message: Mapping[str, Any],
    lines: Sequence[str],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Send an alarm where `monitor.notify` says; nothing is configured by default.

    Parameters
    ----------
    config
        From `load_config`.
    message
        The webhook's body, as JSON.
    lines
        The command's standard input.
    sleep
        Waits between tries.

    Returns
    -------
    tuple of str
        What was sent, or why not: a failure to notify never hides the alarm itself.
    """
    settings, notes = config.monitor.notify, []
    if settings.webhook is not None and settings.secret is not None:
        secret, address = config.text(settings.secret), config.text(settings.webhook)
        remember_secrets([secret, address])
        body = json.dumps(message, ensure_ascii=True, allow_nan=False).encode()
        notes.append(_post(address, body, secret, sleep))
    if settings.command:
        notes.append(_run(settings.command, "\n".join(lines) + "\n"))
    return tuple(notes)


def _post(address: str, body: bytes, secret: str, sleep: Callable[[float], None]) -> str:
    """Post until the receiver accepts; refusals (4xx) are final, but 408 and 429 are retried."""
    if not address.startswith(("https://", "http://")):
        return "the webhook was not notified: its address must begin with https:// or http://"
    opener = urllib.request.build_opener(_NoRedirect)
    why = ""
    for number in range(_TRIES):
        if number:
            sleep(_WAIT * 4 ** (number - 1))
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: stamp,
            SIGNATURE: sign(body, secret, stamp),
        }
        request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310 - http(s) only: the config checks
        try:
            with opener.open(request, timeout=_TIMEOUT):
                return "the webhook was notified"
        except urllib.error.HTTPError as error:
            why = f"it answered {error.code}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
    return f"the webhook was not notified: {why}"


def _run(command: Sequence[str], text: str) -> str:
    try:
        done = subprocess.run(
            list(command), input=text.encode(), capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the command {command[0]} did not run: {error}"
    if done.returncode:
        return f"the command {command[0]} ended with status {done.returncode}"
    return f"the command {command[0]} was run"
