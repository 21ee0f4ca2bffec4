"""`errdetect serve`: the champion over HTTP, by MLflow's own scoring server behind a guard."""

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from errdetect.config import Config
from errdetect.errors import ConfigError, error_message, remember_secrets
from errdetect.model.mlflow_session import scoring_server
from errdetect.workflows.request_guard import GuardRules, RequestGuard
from errdetect.workflows.run_description import open_registry

__all__ = ["TOKEN_VARIABLE", "ServeSettings", "guarded_app", "serve"]

#: The environment's variable with the token.
TOKEN_VARIABLE = "ERRDETECT_TOKEN"  # noqa: S105 - a name
_SHORTEST = 16  # characters of a token


@dataclass(frozen=True)
class ServeSettings:
    """Where and how to serve.

    Parameters
    ----------
    host, port
        The address; port 0 takes any that is free.
    token_file
        Holds the token that clients must send; None: the environment's `ERRDETECT_TOKEN`, or none.
    max_body_mb
        Size of a request's body, in millions of bytes.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    max_body_mb: float = 32.0


def serve(
    config: Config, settings: ServeSettings, *, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Serve the champion until the process is asked to end.

    Parameters
    ----------
    config
        From `load_config`: its registry's champion, its `state.folder`, `state.max_age_days`.
    settings
        Address, token, size of requests.
    progress
        Called with the address once requests are answered.

    Raises
    ------
    ErrdetectError
        Where there is no champion or no usable state, the address cannot be used, or it is not this
        machine's own and there is no token.
    """
    import uvicorn

    token = _read_token(settings.token_file)
    if token is None and not _is_own(settings.host):
        do = f"Set {TOKEN_VARIABLE} or --token-file, and let a proxy bring TLS."
        must = "be a loopback address where no token is asked for"
        raise ConfigError([error_message("--host", must, settings.host, do)])
    listening = _listen(settings)
    with listening:
        app = guarded_app(config, GuardRules(token, int(settings.max_body_mb * 1_000_000)))
        asked = "a token" if token else "no token"
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        progress(f"serving http://{shown}:{port}/invocations ({asked} asked for)")
        options = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off",
            h11_max_incomplete_event_size=16_384, timeout_graceful_shutdown=30,
        )  # fmt: skip
        uvicorn.Server(options).run(sockets=[listening])


def guarded_app(config: Config, rules: GuardRules) -> RequestGuard:
    """Load the champion as MLflow loads it, and put the guard before MLflow's server.

    Raises
    ------
    ModelError
        Where there is no champion, or no state that it can answer from.
    """
    folder = open_registry(config).model_folder()
    given = {
        "state": str(config.path(config.state.folder)),
        "max_age_days": config.state.max_age_days,
    }
    app, served, columns = scoring_server(folder, given)
    return RequestGuard(app, served, rules, columns)


def _read_token(path: Path | None) -> str | None:
    """Return the token of a file or of the environment; None where neither is named."""
    what = f"the environment's {TOKEN_VARIABLE}" if path is None else f"The token in '{path}'"
    try:
        text = os.environ.get(TOKEN_VARIABLE) if path is None else path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        got = error.strerror if isinstance(error, OSError) else "other characters"
        do = "Name a file that holds the token and nothing else."
        raise ConfigError([error_message(what, "be readable ASCII text", got, do)]) from None
    if text is None:
        return None
    token = text.strip()
    if len(token) < _SHORTEST or not token.isascii() or len(token.split()) != 1:
        must = f"be one word of at least {_SHORTEST} ASCII characters"
        do = "Make one with `openssl rand -hex 32`."
        raise ConfigError([error_message(what, must, f"{len(token)} characters", do)])
    remember_secrets([token])
    return token


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(settings: ServeSettings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(found[0][4][:2], family=found[0][0], backlog=2048)
    except (OSError, OverflowError, UnicodeError) as error:
        got = error.strerror if isinstance(error, OSError) else "no address"
        must = "be an address of this machine that is free"
        do = "Choose another --host or --port; --port 0 takes any that is free."
        raise ConfigError([error_message(f"{host}:{port}", must, got, do)]) from None
