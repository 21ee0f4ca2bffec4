"""The log as histories and explanations need it, kept between runs: read once, extended by new files.

A kept log is a folder: for every part (the files that one run added) its decisions in a compressed Arrow
file, the columns of histories and content keys in a memory-mapped one, and hashes of its ids; `state.json`
names them with their digests. The folder changes by one atomic step, and only its owner can read it.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.frame_store import FrameStore
from errdetect.data.output_folders import commit_stage, hold_stage
from errdetect.data.rejected_rows import Rejections

__all__ = ["KeptLog", "KeptPart", "file_digest", "read_kept_log", "write_kept_log"]

Hashes = npt.NDArray[np.uint64]

_FORMAT, _MANIFEST, _REJECTED = 1, "state.json", "rejected.arrow"
_COUNTS = ("n_rows", "n_rejected", "n_copies", "example")


@dataclass(frozen=True)
class KeptPart:
    """The decisions of some files of the log.

    Parameters
    ----------
    name
        The stem of its files.
    files
        The log's files, with the SHA-256 of each.
    reading
        A digest of how they were read: types, formats, names.
    rows, keys
        Rows of each batch of the decisions, and of their slim columns.
    digests
        The part's own files, with the SHA-256 of each.
    """

    name: str
    files: tuple[tuple[str, str], ...]
    reading: str
    rows: tuple[int, ...]
    keys: tuple[int, ...]
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def places(self) -> tuple[str, str, str]:
        """The names of the files with decisions, slim columns and ids."""
        return f"{self.name}.rows.arrow", f"{self.name}.keys.arrow", f"{self.name}.ids.npy"


@dataclass(frozen=True)
class KeptLog:
    """What earlier runs read of the log.

    Parameters
    ----------
    folder
        Where it is.
    parts
        In the order in which their files were added.
    rejections
        The log's unusable rows.
    values
        Column -> values that occur.
    """

    folder: Path
    parts: tuple[KeptPart, ...]
    rejections: Rejections
    values: Mapping[str, Sequence[str]]

    @property
    def n_rows(self) -> int:
        """Number of decisions."""
        return sum(sum(part.rows) for part in self.parts)

    def decisions(self) -> Iterator[pd.DataFrame]:
        """Read the decisions, with every column, in batches."""
        for part in self.parts:
            yield from FrameStore(self.folder / part.places[0], part.rows)

    def slim_frames(self) -> Iterator[pd.DataFrame]:
        """Map the columns of histories and content keys into memory, in batches."""
        for part in self.parts:
            yield from FrameStore(self.folder / part.places[1], part.keys)

    def knows_any(self, ids: Hashes) -> bool:
        """Return whether any of these hashes is that of an id in the log."""
        return any(
            bool(np.isin(ids, np.load(self.folder / part.places[2], mmap_mode="r")).any())
            for part in self.parts
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_kept_log(
    folder: Path, key: str, files: Sequence[tuple[str, str]]
) -> tuple[KeptLog | None, str | None]:
    """Open a kept log, if it is one of the first of these files.

    Parameters
    ----------
    folder
        Where it would be.
    key
        What the log's columns depend on besides its files; another key is another log.
    files
        The log's files now, with the SHA-256 of each.

    Returns
    -------
    tuple
        None instead of the log where there is none, or it cannot be used; then the reason, None where
        nothing is there.
    """
    try:
        text = (folder / _MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError) as error:
        return None, f"it cannot be read ({type(error).__name__})"
    try:
        manifest = json.loads(text)
        if manifest["format"] != _FORMAT or manifest["key"] != key:
            return None, "it was made for another model, other settings or another errdetect"
        parts = tuple(_part_from_jsonable(one) for one in manifest["parts"])
        damaged = _damaged_file(folder, parts, manifest["rejected"])
        if damaged is not None:
            return None, f"its file {damaged} is damaged or missing"
        log = KeptLog(folder, parts, _load_rejections(folder, manifest), manifest["values"])
    except (KeyError, TypeError, ValueError, AttributeError, OSError, pa.ArrowInvalid):
        return None, f"its file {_MANIFEST} is damaged"
    known = [file for part in parts for file in part.files]
    if known != list(files[: len(known)]):
        changed = next((old[0] for old, new in zip(known, files, strict=False) if old != new), None)
        return None, f"the log has changed ({changed or 'fewer files than before'})"
    return log, None


def _part_from_jsonable(plain: Mapping[str, Any]) -> KeptPart:
    files = tuple((str(path), str(digest)) for path, digest in plain["files"])
    rows, keys = (tuple(int(n) for n in plain[name]) for name in ("rows", "keys"))
    digests = {str(name): str(digest) for name, digest in plain["digests"].items()}
    part = KeptPart(str(plain["name"]), files, str(plain["reading"]), rows, keys, digests)
    if not part.name.isalnum() or set(digests) != set(part.places):
        raise ValueError("not a part")
    return part


def _damaged_file(folder: Path, parts: Sequence[KeptPart], rejected: str | None) -> str | None:
    """Return the first file that is missing or differs from its digest."""
    known = {name: digest for part in parts for name, digest in part.digests.items()}
    known |= {_REJECTED: rejected} if rejected else {}
    for name, digest in known.items():
        if not (folder / name).is_file() or file_digest(folder / name) != digest:
            return name
    return None


def _load_rejections(folder: Path, manifest: Mapping[str, Any]) -> Rejections:
    plain = manifest["rejections"]
    found = Rejections(str(plain["what"]), **{name: plain[name] for name in _COUNTS})
    found.reasons, found.actions = Counter(plain["reasons"]), Counter(plain["actions"])
    found.examples = dict(plain["examples"])
    found.ranges = {
        name: (float(low), float(high)) for name, (low, high) in plain["ranges"].items()
    }
    if manifest["rejected"]:
        with pa.OSFile(str(folder / _REJECTED)) as source:
            found.rejected = [pa.ipc.open_file(source).read_all().to_pandas()]
    return found


def write_kept_log(log: KeptLog, key: str, folder: Path, fresh: Path | None) -> None:
    """Put a kept log into the place of the earlier one, by one atomic step.

    Parameters
    ----------
    log
        Its last part stands in the folder `fresh`, the others in `log.folder`.
    key
        As for `read_kept_log`.
    folder
        Where it goes.
    fresh
        None where there is no new part.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    with hold_stage(folder) as stage:
        parts = []
        for number, part in enumerate(log.parts):
            new = fresh is not None and number + 1 == len(log.parts)
            home = fresh if new and fresh is not None else log.folder
            for name in part.places:
                _bring(home / name, stage.path / name, copy=new)
            digests = {name: file_digest(stage.path / name) for name in part.places}
            plain = {
                name: getattr(part, name) for name in ("name", "files", "reading", "rows", "keys")
            }
            parts.append(plain | {"digests": digests if new else dict(part.digests)})
        rejected = _write_rejected(stage.path, log.rejections)
        manifest = {
            "format": _FORMAT, "key": key, "parts": parts, "rejected": rejected,
            "rejections": _rejections_to_jsonable(log.rejections), "values": dict(log.values),
        }  # fmt: skip
        _write_private(stage.path / _MANIFEST, json.dumps(manifest).encode())
        # A folder in it holds what serving needs, which another step replaces.
        stale = [
            p.name for p in folder.iterdir() if p.is_file() and not (stage.path / p.name).exists()
        ]
        commit_stage(stage, stale)
    folder.chmod(0o700)


def _bring(source: Path, target: Path, *, copy: bool) -> None:
    """Link a file of the earlier state, or copy a new one; only the owner can read it."""
    if not copy:
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            copy = True
    if copy:
        shutil.copyfile(source, target)
        target.chmod(0o600)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _write_rejected(folder: Path, rejections: Rejections) -> str | None:
    """Write what could be read of the unusable rows; return the file's digest."""
    if not rejections.rejected:
        return None
    table = pa.Table.from_pandas(
        pd.concat(rejections.rejected, ignore_index=True), preserve_index=False
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    _write_private(folder / _REJECTED, sink.getvalue().to_pybytes())
    return file_digest(folder / _REJECTED)


def _rejections_to_jsonable(rejections: Rejections) -> dict[str, Any]:
    plain: dict[str, Any] = {name: getattr(rejections, name) for name in (*_COUNTS, "what")}
    plain |= {name: dict(getattr(rejections, name)) for name in ("reasons", "actions", "examples")}
    return plain | {"ranges": {name: list(pair) for name, pair in rejections.ranges.items()}}
