"""The Python interface of what runs for years; `import errdetect` offers these functions, too."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from errdetect.config import Config, load_config

if TYPE_CHECKING:
    from errdetect.workflows.monitor import MonitorResult

__all__ = ["monitor"]


def _silent(_: str) -> None: ...


def monitor(
    config: Config | str | Path,
    out: str | Path | None = None,
    *,
    send: bool = True,
    progress: Callable[[str], None] = _silent,
) -> "MonitorResult":
    """Check production: audited error, early warning, causes, drift, delays, reviewers, ages.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for the outputs; None: the tables are on the result only, as `checks` and `history`.
    send
        Whether to send an alarm where `monitor.notify` says.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used.
    """
    from errdetect.workflows.monitor import monitor as run

    loaded = config if isinstance(config, Config) else load_config(config)
    if out is not None:
        return run(loaded, out, send=send, progress=progress)
    with tempfile.TemporaryDirectory(prefix="errdetect-") as folder:
        place = Path(folder)
        return run(loaded, place / "out", send=send, progress=progress).without_folder(place)
