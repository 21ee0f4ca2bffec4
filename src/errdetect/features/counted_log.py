"""A log of any length, counted by key on disk: what was known before each of its decisions.

Keys are hashed to 64 bits, as texts are for `similar_content`. Of every key, the decisions before each one are
counted in one sorted pass over a part of the keys at a time; the counts stay in files, in the log's order. Only
the reviewed decisions are indexed in memory. The columns equal those of `PointInTimeFeatures`.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.id_lookup import IdSet
from errdetect.features.point_in_time import (
    DAY,
    ColumnLevels,
    EventClock,
    to_arrow,
    to_microseconds,
)
from errdetect.features.point_in_time_features import (
    HISTORY,
    HISTORY_KEYS,
    EarlierDecisions,
    HistoryIndex,
    add_columns,
    history_key_columns,
    needed_windows,
    slim_frames,
    version_change_days,
)
from errdetect.features.similar_content import (
    SIMILAR,
    SimilarContentIndex,
    mix_bits,
    similarity_columns,
)
from errdetect.features.version_changes import VersionChanges

__all__ = ["OVERALL", "CountedKeys", "CountedLog", "counts_before_each"]

Bools = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

#: The key that all decisions share.
OVERALL = "overall"
_VERSIONS = ("policy_id", "moderator", "moderator_version")
_PART_ROWS = 500_000  # counted together, unless one key has more
_READ_ROWS = 500_000
_THREADS = 2
_ODD = np.uint64(0x9E3779B97F4A7C15)
_EXACT = 2.0**53


@dataclass(frozen=True)
class CountedKeys:
    """The keys whose earlier decisions a model's features count.

    Parameters
    ----------
    history
        Key of `HISTORY_KEYS` -> its columns.
    similar
        Kind of similarity -> its columns.
    changes
        Whether days since a moderator's versions changed are features.
    """

    history: Mapping[str, Sequence[str]]
    similar: Mapping[str, Sequence[str]]
    changes: bool

    @classmethod
    def of(cls, names: Collection[str], columns: Collection[str]) -> "CountedKeys":
        """Choose the keys by the model's features and the decisions' columns.

        Examples
        --------
        >>> keys = CountedKeys.of(["history_account_decisions_90d", "similar_item_days"], ["account_id", "item_id"])
        >>> keys.names, keys.windowed
        (('overall', 'account', 'item_id'), (True, True, False))
        """
        history = {}
        for key, own in history_key_columns(columns).items():
            others = [k for k in HISTORY_KEYS if k != key and k.startswith(f"{key}_")]
            mine = [
                n
                for n in names
                if n.startswith(f"{HISTORY}{key}_") and n not in VersionChanges.NAMES
            ]
            if any(
                not n.startswith(tuple(f"{HISTORY}{k}_" for k in others) or ("\0",)) for n in mine
            ):
                history[key] = own
        keyed = pd.DataFrame(
            {name: [] for name in columns if name != "text"}
            | ({"text_key": []} if "text" in columns else {})
        )
        similar = {
            kind: own
            for kind, own in similarity_columns(keyed).items()
            if any(n.startswith(f"{SIMILAR}{kind}_") for n in names)
        }
        return cls(history, similar, any(name in names for name in VersionChanges.NAMES))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all counted keys, in the order of their kinds."""
        overall = (OVERALL,) if self.history else ()
        return (*overall, *self.history, *(name for own in self.similar.values() for name in own))

    @property
    def windowed(self) -> tuple[bool, ...]:
        """Whether each is counted in windows."""
        n = len(self.history) + 1 if self.history else 0
        return tuple(i < n for i in range(len(self.names)))

    @property
    def content(self) -> bool:
        """Whether texts' keys are needed."""
        return bool({"text", "near"} & self.similar.keys())

    @property
    def hashed(self) -> dict[str, tuple[str, ...]]:
        """Those of the keys that have to be hashed, and their columns."""
        plain = {
            n: (n,)
            for kind, own in self.similar.items()
            if kind not in ("text", "near")
            for n in own
        }
        return {key: tuple(own) for key, own in self.history.items()} | plain

    @property
    def columns(self) -> list[str]:
        """Columns of the decisions that the keys are made of."""
        history = [name for own in self.history.values() for name in own]
        similar = [name for own in self.similar.values() for name in own]
        return list(dict.fromkeys([*history, *similar, *(_VERSIONS if self.changes else ())]))


class CountedLog:
    """All known decisions and reviews, with the decisions before each counted in files.

    Parameters
    ----------
    names
        The model's features; if none is of what was known before, the frames are not read.
    frames, reviews, slim, sink
        As for `PointInTimeFeatures`.
    folder
        An empty folder for the files.

    Examples
    --------
    >>> import tempfile
    >>> log = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "item_id": ["i", "i"], "enforced": True,
    ...     "decided_at": pd.to_datetime(["2026-01-01", "2026-01-05"], utc=True)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     past = CountedLog(["similar_item_decisions"], [log], None, Path(folder))
    ...     past.add(log)["similar_item_decisions"].tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        names: Sequence[str],
        frames: Iterable[pd.DataFrame],
        reviews: pd.DataFrame | None,
        folder: Path,
        *,
        slim: Iterable[pd.DataFrame] = (),
        sink: Callable[[pd.DataFrame], None] = lambda _: None,
    ) -> None:
        self._names, self._folder = frozenset(names), folder
        self._history: HistoryIndex | None = None
        self._similar: SimilarContentIndex | None = None
        blocks = [any(n.startswith(p) for n in names) for p in (HISTORY, SIMILAR)]
        if not any(blocks):
            return
        self._at, self._ids = self._file("at", np.int64), self._file("ids", np.uint64)
        self._enforced = self._file("enforced", np.bool_)
        self._hashed: dict[str, _NumberFile] = {}
        self._versions = _FirstSeen(self._file("versions", np.int32))
        self._rows: list[tuple[pd.DataFrame, Ints]] = []
        ids = IdSet([] if reviews is None else reviews["decision_id"].unique())
        columns: set[str] = set()
        for frame in chain(slim, slim_frames(frames, blocks[1], sink)):
            columns |= self._take(frame, ids)
        self._keys = CountedKeys.of(names, sorted(columns))
        self._finish(reviews)

    def _file(self, name: str, kind: type, width: int = 1) -> "_NumberFile":
        self._folder.mkdir(exist_ok=True)
        return _NumberFile(self._folder / f"{name}.bin", kind, width)

    def _take(self, frame: pd.DataFrame, reviewed: IdSet) -> set[str]:
        """Write what is needed of some decisions; return their columns."""
        columns = {"text" if name == "text_key" else str(name) for name in frame}
        keys, before = CountedKeys.of(self._names, {*columns, *_VERSIONS}), len(self._at)
        self._at.write(to_microseconds(frame["decided_at"]))
        self._ids.write(_hash_column(frame["decision_id"]))
        self._enforced.write(frame["enforced"].to_numpy(np.bool_))
        for name in (n for n in keys.columns if n in frame):
            if name not in self._hashed:
                self._hashed[name] = self._file(f"key{len(self._hashed)}", np.uint64)
                self._hashed[name].fill(before)
            self._hashed[name].write(_hash_column(frame[name]))
        for file in self._hashed.values():
            file.fill(len(self._at))
        if keys.changes:
            self._versions.write(frame)
        rows = np.flatnonzero(reviewed.among(frame["decision_id"]))
        some = frame[["decision_id", "decided_at", "enforced"]].iloc[rows]
        self._rows.append((some, before + rows))
        return columns

    def _finish(self, reviews: pd.DataFrame | None) -> None:
        """Count the decisions, and index the reviewed ones."""
        files = (self._at, self._ids, self._enforced, *self._hashed.values())
        for file in (*files, self._versions.codes):
            file.close()
        history = any(name.startswith(HISTORY) for name in self._names)
        windows = needed_windows(self._names.__contains__) if history else ()
        log = _Log.of(self._at, self._enforced, self._first_rows(), windows)
        self._clock, self._totals, self._windows = log.clock, log.totals(), windows
        self._first_versions = self._versions.table(log.event, self._at)
        found = self._count_keys(log)
        split = [key for key in self._keys.history if found[key][0] > 1]
        shared = [kind for kind, own in self._keys.similar.items() if any(found[n][1] for n in own)]
        del log
        reviewed = pd.concat([rows for rows, _ in self._rows], ignore_index=True)
        places = np.concatenate([at for _, at in self._rows])
        first = ~reviewed["decision_id"].duplicated().to_numpy(bool)
        reviewed, places = reviewed[first].reset_index(drop=True), places[first]
        self._rows = []
        self._known = {}
        levels = ColumnLevels(pd.DataFrame(), []).bare()
        levels.n = len(reviewed)
        for name, file in self._hashed.items():
            own = file.take(places)
            self._known[name] = np.unique(own[own != 0])
            levels.values[name] = pa.array(self._known[name])
            levels.codes[name] = self._codes(name, own)
        keep = self._names.__contains__
        if history:
            self._history = HistoryIndex(reviewed, reviews, levels, split, keep)
        if self._keys.similar:
            kinds = {kind: list(own) for kind, own in self._keys.similar.items()}
            self._similar = SimilarContentIndex(reviewed, reviews, (levels, kinds), shared)

    def _first_rows(self) -> Bools:
        """Return which rows are the first of their id, shape (n,)."""
        n = len(self._ids)
        first = np.zeros(n, np.bool_)
        parts = -(-n // _PART_ROWS)
        for part in range(parts):
            found = [
                (start + np.flatnonzero(own), ids[own])
                for start, ids in self._ids.parts()
                for own in [(ids != 0) & (ids % np.uint64(parts) == part)]
            ]
            rows, some = (np.concatenate(one) for one in zip(*found, strict=True))
            first[rows[np.unique(some, return_index=True)[1]]] = True
        return first

    def _count_keys(self, log: "_Log") -> dict[str, tuple[int, bool]]:
        """Count by every key; return its groups, and whether any two decisions share one."""
        history = {key: [*own] for key, own in self._keys.history.items()}
        similar = {n: [n] for own in self._keys.similar.values() for n in own}
        numbers = {name: i for i, name in enumerate({**history, **similar})}
        self._counts = {
            name: self._file(
                f"counts{i}", np.int32, 2 * len(self._windows) if name in history else 2
            )
            for name, i in numbers.items()
        }

        def count(name: str) -> tuple[int, bool]:
            own, windows = ((history[name], self._windows) if name in history
                            else (similar[name], ()))  # fmt: skip
            missing = [column for column in own if column not in self._hashed]
            files = [] if missing else [self._hashed[column] for column in own]
            return log.count(files, windows, self._counts[name])

        with ThreadPoolExecutor(_THREADS) as pool:
            return dict(zip(numbers, pool.map(count, numbers), strict=True))

    def _codes(self, name: str, hashes: Hashes) -> Codes:
        """Return the reviewed decisions' codes: -1 missing, one above the maximum unseen."""
        known = self._known[name]
        place = np.searchsorted(known, hashes)
        found = np.append(known, np.uint64(0))[place] == hashes
        codes = np.where(found, place, len(known)).astype(np.int32)
        codes[hashes == 0] = -1
        return codes

    def add(self, decisions: pd.DataFrame, rows: Ints | None = None) -> pd.DataFrame:
        """Return a copy of decisions with the columns added; existing ones are replaced.

        Parameters
        ----------
        decisions
            Shape (n, any), some of all frames' decisions.
        rows
            Their positions among the decisions of all frames; looked up by default.

        Raises
        ------
        KeyError
            If a decision is not among them.
        """
        if self._history is None and self._similar is None:
            return decisions
        rows = self._positions(decisions) if rows is None else rows
        codes = {name: self._codes(name, file.take(rows)) for name, file in self._hashed.items()}
        counts = {name: file.take(rows).astype(np.int64) for name, file in self._counts.items()}
        blocks = []
        if self._history is not None:
            days = {}
            if self._keys.changes:
                days = version_change_days(self._first_versions, decisions)
            overall = self._overall_counts(to_microseconds(decisions["decided_at"]))
            earlier = EarlierDecisions(overall, counts, days)
            blocks.append(self._history.columns(decisions, codes, earlier))
        if self._similar is not None:
            blocks.append(self._similar.columns(decisions, codes, counts))
        return add_columns(decisions, blocks, self._names.__contains__)

    def _overall_counts(self, at: Ints) -> Ints:
        now = self._totals[self._clock.ticks(at)]
        since = [self._totals[self._clock.ticks(at - days * DAY)] for days in self._windows]
        nothing = np.empty((len(at), 0), np.int64)
        return np.hstack([nothing, *(now - then for then in since)])

    def _positions(self, decisions: pd.DataFrame) -> Ints:
        """Return decisions' positions, the first with their id and time."""
        wanted, at = (
            _hash_column(decisions["decision_id"]),
            to_microseconds(decisions["decided_at"]),
        )
        known = np.unique(wanted)
        rows = np.concatenate(
            [start + np.flatnonzero(np.isin(part, known)) for start, part in self._ids.parts()]
            or [np.empty(0, np.int64)]
        )
        pairs = [np.column_stack([a.view(np.int64), b]) for a, b in
                 ((self._ids.take(rows), self._at.take(rows)), (wanted, at))]  # fmt: skip
        held = pd.MultiIndex.from_arrays(list(pairs[0].T))
        place = held[~held.duplicated()].get_indexer(pd.MultiIndex.from_arrays(list(pairs[1].T)))
        if (place < 0).any():
            raise KeyError(decisions["decision_id"].iloc[int(np.argmin(place))])
        found: Ints = rows[~held.duplicated()][place]
        return found


class _NumberFile:
    """One number or a few of each row, in a file: read by rows, so that it need not fit into memory."""

    def __init__(self, path: Path, kind: type, width: int) -> None:
        self.path, self.width = path, width
        self._kind, self._n = np.dtype(kind), 0
        self._opened = path.open("wb")

    def __len__(self) -> int:
        return self._n

    def write(self, values: npt.NDArray[Any]) -> None:
        """Add rows."""
        np.ascontiguousarray(values, self._kind).tofile(self._opened)
        self._n += len(values)

    def fill(self, n: int) -> None:
        """Add rows of zeros up to n rows."""
        self.write(np.zeros((n - self._n, self.width), self._kind))

    def close(self) -> None:
        """Finish writing."""
        self._opened.close()

    def part(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read neighbouring rows, shape (n,) or (n, width)."""
        row = self._kind.itemsize * self.width
        count = (stop - start) * self.width
        values = np.fromfile(self.path, self._kind, count, offset=start * row)
        return values if self.width == 1 else values.reshape(-1, self.width)

    def parts(self) -> Iterable[tuple[int, npt.NDArray[Any]]]:
        """Read all rows, with the first row's number of each part."""
        for start in range(0, self._n, _READ_ROWS):
            yield start, self.part(start, min(start + _READ_ROWS, self._n))

    def take(self, rows: Ints) -> npt.NDArray[Any]:
        """Read rows, in any order."""
        if not len(rows):
            return self.part(0, 0)
        if len(rows) == rows[-1] - rows[0] + 1 and (np.diff(rows) == 1).all():
            return self.part(int(rows[0]), int(rows[-1]) + 1)
        shape = (self._n,) if self.width == 1 else (self._n, self.width)
        return np.array(np.memmap(self.path, self._kind, "r", shape=shape)[rows])


class _FirstSeen:
    """When each version of a moderator was first seen under each policy."""

    def __init__(self, codes: _NumberFile) -> None:
        self.codes = codes
        self._code: dict[tuple[Any, ...], int] = {}
        self._names: list[str] = []

    def write(self, frame: pd.DataFrame) -> None:
        """Give each combination of some decisions a number, and write them."""
        self._names = [n for n in _VERSIONS if n in frame or n in self._names]
        plain = pd.DataFrame({n: frame.get(n) for n in _VERSIONS}, frame.index)
        group = plain.groupby(list(_VERSIONS), dropna=False, sort=False).ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        missing = plain.isna().iloc[first].to_numpy()
        rows = np.array(plain.iloc[first].astype(object), dtype=object)
        rows[missing] = None
        keys = [tuple(row) for row in rows]
        codes = [self._code.setdefault(key, len(self._code)) for key in keys]
        self.codes.write(np.array(codes, np.int32)[group])

    def table(self, event: Bools, at: _NumberFile) -> pd.DataFrame:
        """Return the combinations with the first `decided_at` of each, for `version_change_days`."""
        first = np.full(len(self._code), np.iinfo(np.int64).max)
        for start, codes in self.codes.parts():
            counts = event[start : start + len(codes)]
            np.minimum.at(first, codes[counts], at.part(start, start + len(codes))[counts])
        table = pd.DataFrame(list(self._code), columns=list(_VERSIONS))[self._names]
        times = pd.to_datetime(first, unit="us", utc=True)
        return table.assign(decided_at=times)[first < np.iinfo(np.int64).max]


@dataclass(frozen=True)
class _Log:
    """The times of a log's decisions, in files, and which of them count."""

    clock: EventClock
    tick: "_NumberFile"
    since: Mapping[int, "_NumberFile"]
    enforced: Bools
    event: Bools

    @classmethod
    def of(
        cls, at: "_NumberFile", enforced: "_NumberFile", event: Bools, windows: Sequence[int]
    ) -> "_Log":
        n = len(at)
        times = at.part(0, n)
        clock = EventClock(times if event.all() else times[event])
        del times
        tick, *others = (
            _NumberFile(at.path.with_name(f"{name}.bin"), np.int32, 1)
            for name in ("tick", *(f"since{days}" for days in windows))
        )
        since = dict(zip(windows, others, strict=True))
        for _, times in at.parts():
            tick.write(clock.ticks(times))
            for days, ticks in since.items():
                ticks.write(clock.ticks(times - days * DAY))
        for file in (tick, *others):
            file.close()
        return cls(clock, tick, since, enforced.part(0, n) & event, event)

    def totals(self) -> Codes:
        """Return decisions and enforced ones before each tick, shape (ticks + 1, 2)."""
        size = len(self.clock) + 1
        out = np.zeros((size + 1, 2), np.int32)
        for start, ticks in self.tick.parts():
            part = slice(start, start + len(ticks))
            for i, some in enumerate((self.event[part], self.enforced[part])):
                np.add.at(out[1:, i], ticks[some], 1)
        np.cumsum(out, axis=0, out=out)
        return out[:-1]

    def count(
        self, keys: Sequence["_NumberFile"], windows: Sequence[int], out: "_NumberFile"
    ) -> tuple[int, bool]:
        """Count the earlier decisions of one key into a file; return groups and whether any is shared."""
        n, width = len(self.event), 2 * max(1, len(windows))
        groups, shared = 0, False
        counted = []
        with tempfile.TemporaryDirectory(dir=out.path.parent) as folder:
            parts = self._split(keys, windows, Path(folder)) if keys else []
            for i, part in enumerate(parts):
                key, event = part.column("key"), part.column("event").astype(bool)
                counts = counts_before_each(
                    key, part.column("tick"), event, part.column("enforced").astype(bool),
                    [part.column(f"since{days}") for days in windows],
                )  # fmt: skip
                held = len(np.unique(key[event]))
                groups += held
                shared |= held < int(event.sum())
                counted.append(_NumberFile(Path(folder) / f"counts{i}", np.int32, width))
                counted[-1].write(counts)
                counted[-1].close()
            _write_in_order([part.files["row"] for part in parts], counted, n, out)
        return groups, shared

    def _split(
        self, keys: Sequence["_NumberFile"], windows: Sequence[int], folder: Path
    ) -> "list[_KeyPart]":
        """Write what has a key to files by parts of the keys, each in the log's order."""
        files = {"tick": self.tick} | {f"since{days}": self.since[days] for days in windows}
        n = max(1, -(-len(self.event) // _PART_ROWS))
        parts = [_KeyPart.of(folder, i, list(files)) for i in range(n)]
        for start, key in _key_parts(keys):
            stop = start + len(key)
            rows = np.flatnonzero(key)
            number = (key[rows] % np.uint64(n)).astype(np.int64)
            order = np.argsort(number, kind="stable")
            ends = np.cumsum(np.bincount(number, minlength=n))
            rows = rows[order]
            columns = {
                "row": start + rows, "key": key[rows],
                "event": self.event[start:stop][rows], "enforced": self.enforced[start:stop][rows],
                **{name: file.part(start, stop)[rows] for name, file in files.items()},
            }  # fmt: skip
            for part, first, last in zip(parts, np.r_[0, ends[:-1]], ends, strict=True):
                for name, values in columns.items():
                    part.files[name].write(values[first:last])
        for part in parts:
            for file in part.files.values():
                file.close()
        return parts


@dataclass(frozen=True)
class _KeyPart:
    """The decisions whose keys are in one part, in files, in the log's order."""

    files: Mapping[str, "_NumberFile"]

    @classmethod
    def of(cls, folder: Path, number: int, ticks: Sequence[str]) -> "_KeyPart":
        kinds: dict[str, type] = {"row": np.int64, "key": np.uint64}
        kinds |= {"event": np.bool_, "enforced": np.bool_} | dict.fromkeys(ticks, np.int32)
        return cls({
            name: _NumberFile(folder / f"{name}{number}", kind, 1) for name, kind in kinds.items()
        })  # fmt: skip

    def column(self, name: str) -> npt.NDArray[Any]:
        """Read a column."""
        file = self.files[name]
        return file.part(0, len(file))


def _key_parts(files: Sequence["_NumberFile"]) -> Iterable[tuple[int, Hashes]]:
    """Read a key's values, 0 where missing, with the first row's number of each part."""
    for start, values in files[0].parts():
        if len(files) == 1:
            yield start, values
            continue
        every = [values, *(file.part(start, start + len(values)) for file in files[1:])]
        key, missing = np.zeros(len(values), np.uint64), np.zeros(len(values), np.bool_)
        for one in every:
            key, missing = key * _ODD + one, missing | (one == 0)
        yield start, np.where(missing, np.uint64(0), np.maximum(mix_bits(key), np.uint64(1)))


def _write_in_order(
    rows: Sequence["_NumberFile"], counts: Sequence["_NumberFile"], n: int, out: "_NumberFile"
) -> None:
    """Write the counts of all rows, in order; those without any are 0."""
    done = [0] * len(rows)
    for start in range(0, n, _READ_ROWS):
        stop = min(start + _READ_ROWS, n)
        block = np.zeros((stop - start, out.width), np.int32)
        for i, file in enumerate(rows):
            own = file.part(done[i], min(done[i] + stop - start, len(file)))
            own = own[: np.searchsorted(own, stop)]
            block[own - start] = counts[i].part(done[i], done[i] + len(own))
            done[i] += len(own)
        out.write(block)
    out.close()


def counts_before_each(
    key: Hashes, tick: Codes, event: Bools, enforced: Bools, since: Sequence[Codes] = ()
) -> Codes:
    """Count the earlier decisions with the same key, and the enforced ones among them.

    Parameters
    ----------
    key, tick
        Shape (n,), each decision's key and moment.
    event, enforced
        Shape (n,), whether a decision counts for others, and as an enforced one.
    since
        Shape (n,) each: only decisions from this moment on count; default: all earlier ones.

    Returns
    -------
    numpy.ndarray
        int32, shape (n, 2) or (n, twice the windows).

    Examples
    --------
    >>> key, tick = np.array([5, 5, 7, 5], np.uint64), np.array([0, 1, 1, 3], np.int32)
    >>> enforced = np.array([True, False, True, False])
    >>> counts_before_each(key, tick, np.ones(4, bool), enforced).tolist()
    [[0, 0], [1, 1], [0, 0], [2, 1]]
    >>> counts_before_each(key, tick, np.ones(4, bool), enforced, [np.array([0, 0, 0, 1], np.int32)]).tolist()
    [[0, 0], [1, 1], [0, 0], [1, 0]]
    """
    order = (
        np.argsort(key, kind="stable") if (np.diff(tick) >= 0).all() else np.lexsort((tick, key))
    )
    key, tick = key[order], tick[order]
    place = np.arange(len(key))
    new = np.append(True, key[1:] != key[:-1])[: len(key)]
    later = new | np.append(True, tick[1:] != tick[:-1])[: len(key)]
    sums = np.zeros((len(key) + 1, 2), np.int32)
    np.cumsum(event[order], out=sums[1:, 0])
    np.cumsum(enforced[order], out=sums[1:, 1])
    now = sums[np.maximum.accumulate(np.where(later, place, 0))]
    out = np.empty((len(key), 2 * max(1, len(since))), np.int32)
    if not since:
        out[order] = now - sums[np.maximum.accumulate(np.where(new, place, 0))]
        return out
    group = np.cumsum(new) * (np.int64(tick.max(initial=0)) + 2)
    moments = group + tick
    for i, then in enumerate(since):
        first = np.searchsorted(moments, group + then[order])
        out[order, 2 * i : 2 * i + 2] = now - sums[first]
    return out


def _hash_column(column: pd.Series) -> Hashes:
    """Hash values to 64 bits, shape (n,): 0 where missing; no text equals a number."""
    missing = column.isna().to_numpy(np.bool_)
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        hashes = _hash_numbers(column)
    else:
        coded = to_arrow(column).dictionary_encode()
        texts = coded.dictionary.to_numpy(zero_copy_only=False).astype(object)
        known = pd.util.hash_array(texts, categorize=False)
        hashes = known[coded.indices.fill_null(0).to_numpy()] if len(known) else np.zeros(
            len(column), np.uint64)  # fmt: skip
    found: Hashes = np.where(missing, np.uint64(0), np.maximum(hashes, np.uint64(1)))
    return found


def _hash_numbers(column: pd.Series) -> Hashes:
    """Hash numbers such that equal ones of different types have equal hashes."""
    if pd.api.types.is_unsigned_integer_dtype(column.dtype):
        return mix_bits(column.to_numpy(np.uint64, na_value=0))
    if not pd.api.types.is_float_dtype(column.dtype):
        return mix_bits(column.to_numpy(np.int64, na_value=0).view(np.uint64))
    numbers = column.to_numpy(np.float64, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        exact = (np.abs(numbers) < _EXACT) & (numbers == np.trunc(numbers))
        plain = np.where(exact, numbers, 0).astype(np.int64).view(np.uint64)
    return np.where(exact, mix_bits(plain), mix_bits(numbers.view(np.uint64) ^ _ODD))
