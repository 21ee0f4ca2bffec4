"""Committing an output folder by one atomic step, and sweeping what dead processes left behind.

A command writes into a hidden folder next to its output folder and locks it while it lives. At the end
the finished folder takes the output folder's place: by a rename where that is missing or empty, by
exchanging the two names where it is not (renameat2 of Linux). Entries of other origin go along as hard
links. Where neither is possible (another system, a mount point, a database or the working directory
inside), the hidden folder first gets a name that says it is complete, and then its entries are moved one
by one; a process killed there is finished by the next one. Several single files go the same way.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from errdetect.errors import DataError, error_message

#: Elsewhere, as on Windows, nothing is locked, so nothing is swept.
_LOCKABLE: Final[bool] = os.name == "posix"
if TYPE_CHECKING or _LOCKABLE:
    import fcntl

__all__ = [
    "FolderStage",
    "commit_stage",
    "follow_commit",
    "hold_lock",
    "hold_stage",
    "hold_temporary_folder",
    "replace_files",
    "sweep_litter",
    "take_turns",
    "temporary_name",
]

_PREFIX, _WRITING, _COMPLETE = ".errdetect-", ".tmp", ".commit"
_OURS = re.compile(r"\.errdetect-[0-9a-f]{16}\.(tmp|commit)")
#: Names of earlier versions, which held no lock: swept when a day old.
_FORMER = re.compile(r"\..+\.(?:[0-9a-f]{8}|[a-z0-9_]{8})\.tmp")
_FORMER_AGE: Final = 86_400.0
#: Inside a complete stage: which folder its entries belong to.
_RECORD: Final = "run.json"
_TARGET, _ASIDE = ".errdetect-target.json", ".errdetect-old."
#: Entries of other origin up to which they go along as hard links.
_MOST_LINKS = 20_000
_SQLITE = b"SQLite format 3\0"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
#: Seconds to wait for another process that commits in the same folder.
_PATIENCE = 30.0


@dataclass
class FolderStage:
    """A folder to write into, locked while its process lives.

    Parameters
    ----------
    path
        The hidden folder.
    out
        The output folder that it will become.
    unfinished
        Whether some, but not all, entries were moved: the next run moves the rest.
    """

    path: Path
    out: Path
    unfinished: bool = False


def temporary_name(folder: Path) -> Path:
    """Return a new name in a folder by which `sweep_litter` knows what it may remove."""
    return folder / f"{_PREFIX}{secrets.token_hex(8)}{_WRITING}"


@contextmanager
def hold_lock(path: Path) -> Iterator[bool]:
    """Lock a file or folder until the block ends or the process dies.

    Yields
    ------
    bool
        Whether it is locked: False where another process holds it, or the system has no such locks.
    """
    handle = None
    with contextlib.suppress(OSError):
        # What others put into a shared folder is not followed, nor waited for.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        yield handle is not None and _try_lock(handle) and _is_still(handle, path)
    finally:
        if handle is not None:
            os.close(handle)


def _try_lock(handle: int) -> bool:
    if not _LOCKABLE:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_still(handle: int, path: Path) -> bool:
    """Return whether a path still names the file that was opened: a sweeper may have been quicker."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


@contextmanager
def hold_temporary_folder() -> Iterator[Path]:
    """Create a locked, empty folder where the system keeps temporary files; remove it at the end.

    Those of dead processes are removed first.

    Examples
    --------
    >>> with hold_temporary_folder() as folder:
    ...     folder.is_dir()
    True
    """
    home = Path(tempfile.gettempdir()).resolve()
    sweep_litter(home)
    for _ in range(3):
        folder = temporary_name(home)
        folder.mkdir(mode=0o700)
        with hold_lock(folder):
            if not folder.exists():
                continue  # swept between creation and lock
            try:
                yield folder
            finally:
                _remove(folder)
            return
    raise OSError(errno.EBUSY, "another process removes new folders there", str(home))


@contextmanager
def hold_stage(out: Path) -> Iterator[FolderStage]:
    """Create a locked, empty folder for the content of `out`; remove it, or what it replaced, at the end.

    Raises
    ------
    OSError
        If it cannot be created.
    """
    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()
    if not os.access(out, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(out))
    inside = os.path.ismount(out) or not os.access(out.parent, os.W_OK | os.X_OK)
    home = out if inside else out.parent
    sweep_litter(home)
    sweep_litter(out)
    stage = FolderStage(temporary_name(home), out)
    for _ in range(3):
        stage.path.mkdir(mode=0o700)
        with hold_lock(stage.path) as locked:
            if not locked and not stage.path.exists():
                continue  # swept between creation and lock
            try:
                yield stage
            finally:
                if not stage.unfinished:
                    _remove(stage.path)
            return
    raise OSError(errno.EBUSY, "another process removes new folders there", str(home))


def sweep_litter(folder: Path) -> None:
    """Remove what dead processes left in a folder, and finish what they had completed.

    Only names that `temporary_name` gives (or, a day old, those of earlier versions) are touched, only if
    their lock is free (the folder of a process that lives is never removed), and only this user's.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     dead, own = temporary_name(Path(place)), Path(place) / ".mine.tmp"
    ...     dead.mkdir()
    ...     own.touch()
    ...     sweep_litter(Path(place))
    ...     dead.exists(), own.exists()
    (False, True)
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _is_litter(entry):
                _sweep(Path(entry.path))


def _is_litter(entry: os.DirEntry[str]) -> bool:
    if _OURS.fullmatch(entry.name):
        return True
    if not _FORMER.fullmatch(entry.name):
        return False
    with contextlib.suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FORMER_AGE and (
            _is_former(entry)
        )
    return False


def _is_former(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry named as earlier versions named theirs can be nobody else's."""
    name = entry.name[1:].rsplit(".", 2)[0]
    return os.path.lexists(Path(entry.path).with_name(name))


def _sweep(path: Path) -> None:
    with hold_lock(path) as free:
        # In a shared folder, somebody else may leave a note that names files of ours.
        if not free or path.lstat().st_uid != os.geteuid():
            return
        if path.name.endswith(_COMPLETE):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, DataError):
                named = json.loads((path / _TARGET).read_text(encoding="utf-8"))
                if "files" in named:
                    _finish_files(path, named)
                else:
                    _move_entries(path, path.parent / str(named["out"]), named["stale"])
        _remove(path)


def _remove(path: Path) -> None:
    """Remove a file or folder, also one with folders that may not be written to."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for folder, _, _ in os.walk(path):
            with contextlib.suppress(OSError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)


def commit_stage(stage: FolderStage, stale: Sequence[str] = ()) -> None:
    """Put a finished stage into the place of its output folder, by one atomic step where possible.

    Parameters
    ----------
    stage
        From `hold_stage`.
    stale
        Entries of the output folder that go with the old content: files that an earlier run of the same
        command wrote and this one did not, or wrote as a folder and this one as a file (or the other way
        round). Every other entry that the stage does not replace stays.

    Raises
    ------
    DataError
        If a file stands where a folder is to go, or the other way round, and is not `stale`; the old
        content stays.
    OSError
        If the system refuses.
    """
    with take_turns(stage.out.parent):
        _refuse_other_kinds(stage.path, stage.out, stale)
        _flush(stage.path)
        if not _exchange_folders(stage, set(stale)):
            # What the stage replaces goes when its successor comes, lest a second try removes that.
            gone = [name for name in stale if not os.path.lexists(stage.path / name)]
            _commit_by_moves(stage, gone)


@contextmanager
def follow_commit(stage: FolderStage, texts: Mapping[Path, str]) -> Iterator[None]:
    """Replace single files elsewhere right after the block, which commits the stage: all or none.

    Who is killed after the commit is finished by the next command that sweeps there. If the block raises, the
    files stay as they were.

    Parameters
    ----------
    stage
        With its record, run.json, complete.
    texts
        Content of each file.

    Raises
    ------
    OSError
        If a file cannot be written; before the commit.
    """
    if not texts:
        yield
        return
    folder = {
        "out": os.path.relpath(stage.out, stage.path.parent),
        "record": _digest(stage.path / _RECORD),
    }
    contents = {path: text.encode("utf-8") for path, text in texts.items()}
    with _noted_files(stage.path.parent, contents, folder):
        yield


def replace_files(contents: Mapping[Path, bytes], private: Collection[Path] = ()) -> None:
    """Replace single files, all or none: who is killed in between is finished by the next command there.

    Parameters
    ----------
    contents
        Bytes of each file, by its absolute path. A file that holds them already is left alone.
    private
        Those that only their owner may read.

    Raises
    ------
    OSError
        If a file cannot be written; then none is.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, two = Path(folder) / "a.txt", Path(folder) / "b" / "c.txt"
    ...     replace_files({one: b"1", two: b"2"}, private=[one])
    ...     one.read_text(), two.read_text(), oct(one.stat().st_mode & 0o777)
    ('1', '2', '0o600')
    """
    for path in contents:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_litter(path.parent)
    new = {p: held for p, held in contents.items() if p in private or not _holds(p, held)}
    if not new:
        return
    home = next(iter(new)).parent
    named = {"private": [number for number, path in enumerate(new) if path in private]}
    with take_turns(home), _noted_files(home, new, named):
        pass  # the note's name is the commit


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


@contextmanager
def _noted_files(
    home: Path, contents: Mapping[Path, bytes], named: Mapping[str, Any]
) -> Iterator[None]:
    """Lay files ready, note in a folder which they are, and replace them all after the block.

    Once the note has its complete name, `sweep_litter` finishes what a dead process left.
    """
    notes = temporary_name(home)
    notes.mkdir(mode=0o700)
    private = named.get("private", [])
    try:
        with hold_lock(notes), ExitStack() as held:
            fresh = [
                held.enter_context(_fresh_file(path, content, private=number in private))
                for number, (path, content) in enumerate(contents.items())
            ]
            for number, content in enumerate(contents.values()):
                (notes / str(number)).write_bytes(content)
            files = [os.path.relpath(path, notes.parent) for path in contents]
            (notes / _TARGET).write_text(json.dumps({**named, "files": files}), encoding="utf-8")
            _flush(notes)
            notes = notes.rename(notes.with_suffix(_COMPLETE))
            yield
            for temporary, path in zip(fresh, contents, strict=True):
                temporary.replace(path)
    finally:
        _remove(notes)


@contextmanager
def _fresh_file(path: Path, content: bytes, *, private: bool = False) -> Iterator[Path]:
    """Yield a new, locked file with a content next to a path; remove it if it is still there."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_litter(path.parent)
    temporary = temporary_name(path.parent)
    temporary.touch(mode=0o600 if private else 0o666)
    try:
        with hold_lock(temporary):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if private:
                _keep_group(path, temporary)
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _keep_group(path: Path, temporary: Path) -> None:
    """Let the group of a file that others cannot read go on reading it: somebody decided that."""
    with contextlib.suppress(OSError):
        held = path.stat()
        if not held.st_mode & stat.S_IRWXO:
            os.chown(temporary, -1, held.st_gid)
            temporary.chmod(stat.S_IMODE(held.st_mode))


def _finish_files(notes: Path, named: Mapping[str, Any]) -> None:
    """Replace the single files of a dead process, if the folder that they go with is in place."""
    if "record" in named and _digest(notes.parent / str(named["out"]) / _RECORD) != named["record"]:
        return
    for number, name in enumerate(named["files"]):
        path = notes.parent / str(name)
        private = number in named.get("private", [])
        content = (notes / str(number)).read_bytes()
        with _fresh_file(path, content, private=private) as temporary:
            temporary.replace(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def take_turns(folder: Path, patience: float = _PATIENCE) -> Iterator[bool]:
    """Let processes that change the same folder take turns; go on after a while in any case.

    Yields
    ------
    bool
        Whether this process is alone: False after `patience` seconds, or without such locks.
    """
    end, alone = time.monotonic() + patience, False
    handle = None
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
    try:
        # A stage within a stage: this process holds the outer one's lock.
        while _LOCKABLE and handle is not None and not _OURS.fullmatch(folder.name):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = True
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(0.02)
                    continue
            except OSError:  # a file system without such locks
                pass
            break
        yield alone
    finally:
        if handle is not None:
            os.close(handle)


def _refuse_other_kinds(stage: Path, out: Path, stale: Sequence[str]) -> None:
    for entry in os.scandir(stage):
        place = out / entry.name
        if entry.name in stale or not place.exists() or place.is_dir() == entry.is_dir():
            continue
        kinds = ("a folder", "a file") if entry.is_dir() else ("a file", "a folder")
        do = "Move it away, or choose another folder for the outputs."
        raise DataError(error_message(str(place), f"be {kinds[0]}", kinds[1], do))


def _flush(folder: Path) -> None:
    """Have every file on disk before its name is: a power failure, too, leaves the old or the new."""
    for root, _, files in os.walk(folder):
        for name in files:
            handle = os.open(Path(root, name), os.O_RDONLY)
            try:
                with contextlib.suppress(OSError):  # some file systems have no such call
                    os.fsync(handle)
            finally:
                os.close(handle)


def _exchange_folders(stage: FolderStage, stale: set[str]) -> bool:
    """Give the stage the output folder's name; False where it must be done another way."""
    out, new = stage.out, stage.path
    if new.parent == out or _is_working_folder(out):
        return False
    fresh = {entry.name for entry in os.scandir(new)}
    kept = [entry for entry in os.scandir(out) if entry.name not in fresh | stale]
    if any(_OURS.fullmatch(entry.name) for entry in kept) or not _can_link(out, kept):
        return False
    try:
        for entry in kept:
            _link(Path(entry.path), new / entry.name)
        _adopt_mode(out, new)
        if any(os.scandir(out)):
            _exchange_names(new, out)
        else:
            new.rename(out)
            return True
    except OSError:
        for entry in kept:
            _remove(new / entry.name)
        return False
    _bring_late_entries(new, out, fresh | stale | {entry.name for entry in kept})
    return True


def _is_working_folder(out: Path) -> bool:
    """Return whether the shell's folder is within: it would go on in the removed one."""
    try:
        here = Path.cwd()
    except OSError:
        return False
    return out in (here, *here.parents)


def _adopt_mode(out: Path, new: Path) -> None:
    """Give the new folder the old one's group, rights and attributes."""
    held = out.stat()
    with contextlib.suppress(OSError):
        os.chown(new, held.st_uid, held.st_gid)
    shutil.copystat(out, new)
    os.utime(new)


def _can_link(out: Path, kept: Sequence[os.DirEntry[str]]) -> bool:
    """Return whether entries can go along as hard links: not if a database may be open among them."""
    count, device = 0, out.stat().st_dev
    for folder, below, files in _walk(kept):
        count += len(below) + len(files)
        if count > _MOST_LINKS or folder.stat().st_dev != device:
            return False
        if any(_is_database(folder / name) for name in files):
            return False
    return True


def _walk(entries: Sequence[os.DirEntry[str]]) -> Iterator[tuple[Path, list[str], list[str]]]:
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from (
                (Path(folder), below, files) for folder, below, files in os.walk(entry.path)
            )
        else:
            yield Path(entry.path).parent, [], [entry.name]


def _is_database(path: Path) -> bool:
    """Return whether a file is SQLite's, whose journals must not be parted from it while it is open."""
    try:
        held = path.lstat()
        if not stat.S_ISREG(held.st_mode) or held.st_size < len(_SQLITE):
            return not (stat.S_ISREG(held.st_mode) or stat.S_ISLNK(held.st_mode))
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return True  # what cannot be read is not moved about


def _link(old: Path, new: Path) -> None:
    if old.is_symlink() or not old.is_dir():
        os.link(old, new, follow_symlinks=False)
        return
    new.mkdir(mode=0o700)
    for entry in os.scandir(old):
        _link(Path(entry.path), new / entry.name)
    shutil.copystat(old, new)


def _exchange_names(one: Path, other: Path) -> None:
    """Exchange two names in one step.

    Raises
    ------
    OSError
        If the system cannot.
    """
    call = (
        getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if os.name == "posix"
        else None
    )
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(one))
    names = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_RENAME_EXCHANGE)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one))


def _bring_late_entries(old: Path, out: Path, known: set[str]) -> None:
    """Bring along what others created in the old folder in the last moment."""
    for entry in os.scandir(old):
        if entry.name not in known and not os.path.lexists(out / entry.name):
            with contextlib.suppress(OSError):
                Path(entry.path).rename(out / entry.name)


def _commit_by_moves(stage: FolderStage, stale: Sequence[str]) -> None:
    """Mark the stage as complete, then move its entries: who is killed here is finished by the next."""
    home = stage.path.parent
    target = {"out": os.path.relpath(stage.out, home), "stale": list(stale)}
    (stage.path / _TARGET).write_text(json.dumps(target), encoding="utf-8")
    complete = stage.path.with_suffix(_COMPLETE)
    stage.path.rename(complete)
    stage.path, stage.unfinished = complete, True
    _move_entries(complete, stage.out, stale)
    stage.unfinished = False


def _move_entries(stage: Path, out: Path, stale: Sequence[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in stale:
        _remove(out / name)
    entries = [e.name for e in os.scandir(stage) if not e.name.startswith((_TARGET, _ASIDE))]
    # The record comes last: a folder that has it has all the files that it lists.
    for name in sorted(entries, key=lambda one: (one == _RECORD, one)):
        old = out / name
        if old.is_dir() or (old.exists() and (stage / name).is_dir()):
            former = old.rename(stage / f"{_ASIDE}{name}")
            try:
                (stage / name).rename(old)
            except OSError:
                former.rename(old)
                raise
        else:
            (stage / name).replace(old)
