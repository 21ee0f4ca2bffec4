"""The guard before MLflow's scoring server: size, token, age of the state, and one plain message for each fault.

An ASGI application around another. It reads a request's body within bounds, checks it, hands it on, and sends the
answer; of a fault only its sentence, never a traceback.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from errdetect.errors import DataError, ErrdetectError, error_message
from errdetect.version import __version__
from errdetect.workflows.request_bodies import CSV, JSON, read_request
from errdetect.workflows.serving import UNFORESEEN, ServedModel, age_hours

__all__ = ["GuardRules", "RequestGuard"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_LOG = logging.getLogger(__name__)
#: Paths that are answered here; those of `_OPEN` without a token.
_OPEN = ("/ping", "/healthz", "/health", "/readyz")
_INTERNAL = "The request could not be answered; the server's log says more."
_CODE = re.compile(r"[A-Z_]{3,60}")
_LONGEST = 2_000  # characters of a message


@dataclass(frozen=True)
class GuardRules:
    """What the guard allows.

    Parameters
    ----------
    token
        The bearer token that clients must send; None: none.
    max_bytes
        Size of a request's body.
    seconds
        How long a client may take to send it.
    at_once
        Requests in progress; more are turned away. As many as there are processors are answered at a time.
    """

    token: str | None = None
    max_bytes: int = 32_000_000
    seconds: float = 60.0
    at_once: int = 64


class _Refused(Exception):
    """A request that gets a status and a sentence."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class _Gone(Exception):
    """The client has left."""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass
class RequestGuard:
    """An ASGI application: MLflow's, within `rules`.

    Parameters
    ----------
    app
        MLflow's scoring server.
    served
        The model that it asks.
    rules
        What is allowed.
    columns
        The log's columns.
    """

    app: _App
    served: ServedModel
    rules: GuardRules
    columns: frozenset[str] = frozenset()
    _busy: int = 0
    _turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(max(2, os.cpu_count() or 1))
    )

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            answer = await self._route(scope, receive)
        except _Gone:
            return
        except _Refused as refused:
            answer = _fault(refused)
        headers = [
            (b"content-type", JSON.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    async def _route(self, scope: _Message, receive: _Receive) -> _Answer:
        path, headers = scope["path"], dict(scope["headers"])
        method = "POST" if path == "/invocations" else "GET"
        if path not in (*_OPEN, "/version", "/invocations"):
            must = "be /invocations, /version, /health or /ping"
            text = error_message("The path", must, "another", "See docs/serving.md.")
            raise _Refused(404, "NOT_FOUND", text)
        if path not in _OPEN:
            self._check_token(headers)
        if scope["method"] not in ((method, "HEAD") if method == "GET" else (method,)):
            text = error_message("The method", f"be {method}", "another", f"Use {method} {path}.")
            raise _Refused(405, "METHOD_NOT_ALLOWED", text)
        if path in ("/ping", "/healthz"):
            return _Answer(200, b'{"status": "alive"}\n')
        if path != "/invocations":
            return await self._facts()
        return await self._invoke(scope, headers, receive)

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        if self.rules.token is None:
            return
        scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
        equal = hmac.compare_digest(_digest(sent.strip()), _digest(self.rules.token.encode()))
        if scheme.lower() != b"bearer" or not equal:
            got = "another" if sent else "none"
            do = "Send the header `Authorization: Bearer TOKEN`."
            text = error_message("The token", "be the server's", got, do)
            raise _Refused(401, "UNAUTHENTICATED", text)

    async def _facts(self) -> _Answer:
        """Tell the model's version and the state's age; status 503 where nothing can be answered."""
        try:
            state = await asyncio.to_thread(self.served.state)
        except ErrdetectError as error:
            raise _Refused(503, "TEMPORARILY_UNAVAILABLE", str(error)) from None
        facts = {
            "status": "ready",
            "model_version": state.model_version,
            "state_as_of": state.written_at.isoformat(timespec="seconds"),
            "state_age_hours": round(age_hours(state), 2),
            "errdetect": __version__,
        }
        return _Answer(200, json.dumps(facts).encode() + b"\n")

    async def _invoke(
        self, scope: _Message, headers: dict[bytes, bytes], receive: _Receive
    ) -> _Answer:
        kind = _content_kind(headers)
        if self._busy >= self.rules.at_once:
            got = f"{self._busy} already"
            do = "Wait a moment, then ask again."
            must = f"be at most {self.rules.at_once}"
            text = error_message("Requests at once", must, got, do)
            raise _Refused(503, "TEMPORARILY_UNAVAILABLE", text)
        self._busy += 1
        try:
            body = await self._body(headers, receive)
            async with self._turns:
                try:
                    asked = await asyncio.to_thread(read_request, body, kind, self.columns)
                except DataError as error:
                    raise _Refused(400, "INVALID_PARAMETER_VALUE", str(error)) from None
                return await self._ask(scope, asked, receive)
        finally:
            self._busy -= 1

    async def _body(self, headers: dict[bytes, bytes], receive: _Receive) -> bytes:
        held: list[bytes] = []
        most, size = self.rules.max_bytes, 0
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > most and b"expect" in headers:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.rules.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    # What is too much is read to its end, and dropped: who still sends would not read why.
                    held.append(chunk) if size <= most else held.clear()
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            must = f"arrive within {self.rules.seconds:g} seconds"
            text = error_message("The request", must, f"{size:,} bytes", "Send it again.")
            raise _Refused(408, "REQUEST_TIMEOUT", text) from None
        if size > most:
            raise self._too_large()
        return b"".join(held)

    def _too_large(self) -> _Refused:
        must = f"be at most {self.rules.max_bytes:,} bytes"
        do = "Send the decisions in several requests."
        return _Refused(413, "REQUEST_TOO_LARGE", error_message("The request", must, "more", do))

    async def _ask(self, scope: _Message, body: bytes, receive: _Receive) -> _Answer:
        """Hand a checked request on; of a fault only its sentence comes back."""
        size = str(len(body)).encode()
        headers = [(b"content-type", JSON.encode()), (b"content-length", size)]
        first: list[_Message] = [{"type": "http.request", "body": body, "more_body": False}]
        status, parts = [500], []

        async def replay() -> _Message:
            return first.pop() if first else await receive()

        async def take(message: _Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            else:
                parts.append(message.get("body", b""))

        try:
            await self.app({**scope, "headers": headers}, replay, take)
        except UNFORESEEN:  # Starlette answers with 500, then raises what it was
            _LOG.exception("a request could not be answered")
            raise _Refused(500, "INTERNAL_ERROR", _INTERNAL) from None
        if status[0] == 200:
            return _Answer(200, b"".join(parts))
        raise _plain_fault(status[0], b"".join(parts))


def _content_kind(headers: dict[bytes, bytes]) -> str:
    text = headers.get(b"content-type", b"").decode("latin-1").lower()
    kind, *rest = [part.strip() for part in text.split(";")]
    coded = headers.get(b"content-encoding", b"identity").lower() != b"identity"
    if kind not in (JSON, CSV) or set(rest) - {"charset=utf-8", 'charset="utf-8"', ""} or coded:
        got = "compressed content" if coded else "another type"
        do = "Set the header `Content-Type: application/json`."
        text = error_message("The request", f"be {JSON} or {CSV} in UTF-8", got, do)
        raise _Refused(415, "UNSUPPORTED_MEDIA_TYPE", text)
    return kind


def _plain_fault(status: int, body: bytes) -> _Refused:
    """Return MLflow's fault without its traceback, and without the request that it repeats."""
    try:
        sent = json.loads(body)
        text, code = str(sent["message"]), str(sent.get("error_code", ""))
    except (ValueError, TypeError, KeyError):
        text, code = body.decode(errors="replace"), ""
    text = text.rsplit("\nError: ", 1)[-1].strip()
    inside = ("Traceback", "site-packages", '.py", line')
    if not text or any(word in text for word in inside):
        text = _INTERNAL
    if status == 504:
        text = error_message(
            "The request", "be answered in time", "no answer", "Send fewer decisions at a time."
        )
    code = code if _CODE.fullmatch(code) else "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"
    return _Refused(status, code, text[:_LONGEST])


def _fault(refused: _Refused) -> _Answer:
    body = json.dumps({"error_code": refused.code, "message": refused.text}).encode() + b"\n"
    more = {
        401: ((b"www-authenticate", b"Bearer"),),
        413: ((b"connection", b"close"),),
        408: ((b"connection", b"close"),),
        503: ((b"retry-after", b"1"),),
    }
    return _Answer(refused.status, body, more.get(refused.status, ()))


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
