"""The Python interface of the first steps and of what runs for years; `import errdetect` offers it, too."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from errdetect.config import Config, load_config

if TYPE_CHECKING:
    from errdetect.workflows.calibrate import CalibrateResult
    from errdetect.workflows.evidence import EvidenceResult
    from errdetect.workflows.init import InitResult
    from errdetect.workflows.monitor import MonitorResult
    from errdetect.workflows.run import RunResult

__all__ = ["calibrate", "evidence", "ingest_calibration", "init", "monitor", "run"]


def _silent(_: str) -> None: ...


def init(
    files: Sequence[str | Path],
    out: str | Path = "errdetect.yaml",
    *,
    progress: Callable[[str], None] = _silent,
) -> "InitResult":
    """Guess the tables, columns and words of some files, and write a commented config for them.

    Parameters
    ----------
    files
        A decision log, reviews, a policy catalogue: paths, folders or globs.
    out
        The config to write; it must not exist yet.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the config exists, or a file cannot be read as a table.
    """
    from errdetect.workflows.init import init as guess

    return guess([str(file) for file in files], out, progress=progress)


def run(
    config: Config | str | Path,
    out: str | Path,
    *,
    progress: Callable[[str], None] = _silent,
) -> "RunResult":
    """Validate, train, score the latest decisions, estimate and report; skip what lacks its data.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for the folders queue, estimates and report.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the decisions cannot be read at all.
    """
    from errdetect.workflows.run import run as run_steps

    return run_steps(
        config if isinstance(config, Config) else load_config(config), out, progress=progress
    )


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
    from errdetect.workflows.monitor import monitor as check

    loaded = config if isinstance(config, Config) else load_config(config)
    if out is not None:
        return check(loaded, out, send=send, progress=progress)
    with tempfile.TemporaryDirectory(prefix="errdetect-") as folder:
        place = Path(folder)
        return check(loaded, place / "out", send=send, progress=progress).without_folder(place)


def calibrate(
    config: Config | str | Path,
    out: str | Path,
    *,
    policy: str,
    n_items: int = 20,
    progress: Callable[[str], None] = _silent,
) -> "CalibrateResult":
    """Choose the items of a calibration session on a policy's clause, and write them as blind ballots.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        The session's folder.
    policy
        The policy whose clause is discussed.
    n_items
        How many items.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or no reviewed decision is left for this policy.
    """
    from errdetect.workflows.calibrate import calibrate as choose

    loaded = config if isinstance(config, Config) else load_config(config)
    return choose(loaded, out, policy=policy, n_items=n_items, progress=progress)


def ingest_calibration(
    config: Config | str | Path,
    out: str | Path,
    ballots: Sequence[str | Path],
    *,
    after: Sequence[str | Path] = (),
    rulings: Sequence[str | Path] = (),
    progress: Callable[[str], None] = _silent,
) -> "CalibrateResult":
    """Take a calibration session's ballots and rulings in.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        The session's folder, from `calibrate`.
    ballots, after
        Filled-in ballots: the first ones, and those after the ruling.
    rulings
        Filled-in rulings.xlsx: become precedents of the clause.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the folder holds no session, or a file cannot be read.
    """
    from errdetect.workflows.calibrate import ingest_calibration as take_in

    loaded = config if isinstance(config, Config) else load_config(config)
    return take_in(loaded, out, ballots, after=after, rulings=rulings, progress=progress)


def evidence(
    config: Config | str | Path,
    out: str | Path,
    *,
    period: str,
    progress: Callable[[str], None] = _silent,
) -> "EvidenceResult":
    """Write a period's evidence bundle: tables, digests, and a script that recomputes every figure.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for the bundle: all or none.
    period
        `2026-Q3`, `2026-07`, `2026`, or `2026-07-01..2026-09-30` (both days included).
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the period or the input cannot be used, or no estimate is possible.
    """
    from errdetect.workflows.evidence import evidence as collect

    loaded = config if isinstance(config, Config) else load_config(config)
    return collect(loaded, out, period=period, progress=progress)
