"""A bundle's files: digests and sizes of all, each parsed and bounded before native code reads it."""

import hashlib
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from errdetect.errors import ModelError, error_message, escape_hidden

__all__ = [
    "PARTS_FILE",
    "BundleFiles",
    "checked_trees",
    "checked_weight",
    "folder_digest",
    "write_parts",
]

Arrays = dict[str, npt.NDArray[Any]]

#: Digest and size of every other file of a bundle.
PARTS_FILE: Final = "parts.json"
_MOST_BYTES = 1 << 30
_MOST_ARRAYS = 200
_MOST_TREES, _MOST_LEAVES = 20_000, 4_096
#: In place of the file's own: settings of training, of which a cut list ends the process, too.
_TAIL = "end of trees\n\nfeature_importances:\n\nparameters:\n\nend of parameters\n\npandas_categorical:null\n"
_INTEGERS = re.compile(r"-?[0-9]{1,13}( -?[0-9]{1,13})*")
_NUMBER = r"-?(?:[0-9]{1,330}(?:\.[0-9]{1,330})?(?:e[+-]?[0-9]{1,3})?|inf)"
_NUMBERS = re.compile(f"{_NUMBER}(?: {_NUMBER})*")
_WORD = re.compile(r"[\w:.\[\]+-]{1,200000}", re.ASCII)
_HEAD = {
    "version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "label_index": "0",
    "objective": "cross_entropy",
}  # fmt: skip
_ONE_LEAF = ("num_leaves", "num_cat", "leaf_value", "is_linear", "shrinkage")
_TREE = (
    "num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type", "left_child",
    "right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight",
    "internal_count", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage",
)  # fmt: skip
_LARGEST_WEIGHT = 1_000.0  # of a member, relative to the others
_LARGEST_VALUE = 1e9  # of any fitted number: log-odds, slopes, inverse frequencies
_DO = "Restore the model's folder from a copy, or train again with `errdetect train`."
#: What parsing a damaged file can raise.
_DAMAGE = (
    OSError, KeyError, TypeError, ValueError, AttributeError, IndexError, EOFError, RecursionError,
    OverflowError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,
    lgb.basic.LightGBMError,  # parts that do not fit each other
)  # fmt: skip


def write_parts(folder: Path) -> None:
    """Record the digest and size of every file of a finished bundle."""
    parts = {
        path.name: {"sha256": _digest(path.read_bytes()), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }
    text = json.dumps({"format": 1, "parts": parts}, indent=1, sort_keys=True)
    (folder / PARTS_FILE).write_text(text, encoding="utf-8")


def folder_digest(folder: Path) -> str:
    """Return SHA-256 over the names and bytes of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class BundleFiles:
    """The files of one bundle.

    Parameters
    ----------
    folder
        Where they are. A bundle from before errdetect recorded digests has none to compare.
    """

    folder: Path

    @cached_property
    def parts(self) -> Mapping[str, Any] | None:
        """Digest and size of each file; None where none were recorded."""
        if not (self.folder / PARTS_FILE).exists():
            return None
        with self.part(PARTS_FILE):
            found = _parse_json(self._read_bytes(PARTS_FILE))["parts"]
            if not all(
                isinstance(one["sha256"], str) and one["bytes"] >= 0 for one in found.values()
            ):
                raise ValueError("another form")
            return dict(found)
        raise AssertionError("unreachable")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Name the file of every fault in it.

        Raises
        ------
        ModelError
            With the file, and what is wrong with it.
        """
        try:
            yield
        except _DAMAGE as error:
            lines = str(error).strip().splitlines() or [""]
            got = "no such file" if isinstance(error, FileNotFoundError) else lines[0][:200]
            if isinstance(error, KeyError):
                got = f"no {got}"
            what = f"The model's file {self.folder / name}"
            must = "be as errdetect wrote it"
            shown = escape_hidden(got) or type(error).__name__
            raise ModelError(error_message(what, must, shown, _DO)) from error

    def check(self, required: Sequence[str] = ()) -> None:
        """Compare every file with its recorded size and digest.

        Parameters
        ----------
        required
            Files that must be there, recorded or not.
        """
        for name in sorted({*(self.parts or ()), *required}):
            with self.part(name):
                self._content(name)

    def json(self, name: str) -> Any:
        """Return a JSON file's value; numbers must be finite."""
        with self.part(name):
            return _parse_json(self._content(name))
        raise AssertionError("unreachable")

    def arrays(self, name: str) -> Arrays:
        """Return the arrays of an npz file, or the one of an npy file as `array`."""
        with self.part(name):
            content = self._content(name)
            return {"array": _read_array(content)} if name.endswith(".npy") else _read_npz(content)
        raise AssertionError("unreachable")

    def trees(self, name: str, n_features: int | None = None) -> lgb.Booster:
        """Return LightGBM's trees, checked before its native code sees them.

        Parameters
        ----------
        name
            The file.
        n_features
            Number of features that they must have; None for any.
        """
        with self.part(name):
            return checked_trees(self._content(name).decode("utf-8"), n_features)
        raise AssertionError("unreachable")

    def _content(self, name: str) -> bytes:
        content = self._read_bytes(name)
        if self.parts is None:
            return content
        known = self.parts.get(name)
        if known is None:
            raise ValueError(f"a file that {PARTS_FILE} does not list")
        if known["bytes"] != len(content):
            raise ValueError(f"{len(content):,} bytes instead of {known['bytes']:,}")
        if known["sha256"] != _digest(content):
            raise ValueError("another content than was recorded")
        return content

    def _read_bytes(self, name: str) -> bytes:
        path = self.folder / name
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ValueError(f"{size:,} bytes, more than a model's file can have")
        return path.read_bytes()


def checked_weight(value: object) -> float:
    """Return a member's weight if it is a sensible number.

    Raises
    ------
    ValueError
        If it is not finite, or absurdly large.

    Examples
    --------
    >>> checked_weight(2)
    2.0
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a weight that is no number ({str(value)[:20]})")
    if not math.isfinite(value) or abs(value) > _LARGEST_WEIGHT:
        raise ValueError(f"a member's weight of {value:g}")
    return float(value)


def _parse_json(content: bytes) -> Any:
    def refuse(word: str) -> float:
        raise ValueError(f"the number {word}")

    found = json.loads(content.decode("utf-8"), parse_constant=refuse)
    _require_finite_json(found)
    return found


def _require_finite_json(value: Any) -> None:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError("a number that is not finite")
        if isinstance(one, dict):
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def _read_npz(content: bytes) -> Arrays:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > _MOST_ARRAYS or sum(one.file_size for one in members) > _MOST_BYTES:
            raise ValueError("more or larger arrays than a model's file can have")
        return {
            one.filename.removesuffix(".npy"): _read_array(archive.read(one)) for one in members
        }


def _read_array(content: bytes) -> npt.NDArray[Any]:
    """Read an array whose header says no more than its file holds, all numbers finite."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, dtype = headers[version](stream)
    if dtype.hasobject or dtype.kind not in "biufU":
        raise ValueError(f"an array of type {dtype}")
    size = math.prod(shape) * dtype.itemsize
    if size != len(content) - stream.tell():
        raise ValueError(f"an array of {size:,} bytes in {len(content) - stream.tell():,}")
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("a number that is not finite")
    return np.asarray(array)


def checked_trees(text: str, n_features: int | None = None) -> lgb.Booster:
    """Load trees from LightGBM's text format, whose native code ends the process on bad input.

    Parameters
    ----------
    text
        The format's version 4.
    n_features
        Number of features that they must have; None for any.

    Raises
    ------
    ValueError
        If anything in it is cut, out of range or not finite.
    """
    head, *blocks = re.split(r"(?m)^Tree=", text.partition("\nend of trees")[0] + "\n")
    if "\nend of trees" not in text or not text.startswith("tree\n"):
        raise ValueError("trees that are cut off")
    facts = _facts(head)
    features = int(_INTEGERS.fullmatch(facts["max_feature_idx"])[0]) + 1  # type: ignore[index]
    if n_features is not None and features != n_features:
        raise ValueError(f"trees of {features} features instead of {n_features}")
    lists = [facts[name].split(" ") for name in ("feature_names", "feature_infos")]
    if any(facts[name] != value for name, value in _HEAD.items()) or any(
        len(one) != features or not all(map(_WORD.fullmatch, one)) for one in lists
    ):
        raise ValueError("another version of the format")
    own = [len(f"Tree={block}".encode()) for block in blocks]
    if len(blocks) > _MOST_TREES or facts["tree_sizes"].split() != list(map(str, own)):
        raise ValueError("trees that are cut off or moved")
    trees = []
    for number, block in enumerate(blocks):
        tree = _facts(block)
        if block.partition("\n")[0] != str(number):
            raise ValueError("trees out of order")
        _check_tree(tree, features)
        named = _TREE if tree["num_leaves"] != "1" else _ONE_LEAF
        lines = (f"{name}={tree[name]}" for name in named if name in tree)
        trees.append("\n".join([f"Tree={number}", *lines, "", "", ""]))
    return _load_native(facts, trees)


def _load_native(facts: Mapping[str, str], trees: Sequence[str]) -> lgb.Booster:
    """Hand on what was checked, and nothing else of the file."""
    names = ("max_feature_idx", "feature_names", "feature_infos")
    head = [f"{name}={value}" for name, value in _HEAD.items()]
    head += [f"{name}={facts[name]}" for name in names]
    head += ["tree_sizes=" + " ".join(str(len(tree)) for tree in trees)]
    try:
        return lgb.Booster(model_str="\n".join(["tree", *head, "", "".join(trees)]) + _TAIL)
    except lgb.basic.LightGBMError as error:
        raise ValueError(str(error)) from error


def _facts(block: str) -> dict[str, str]:
    lines = (line.partition("=") for line in block.splitlines() if "=" in line)
    return {name: value for name, _, value in lines}


def _check_tree(tree: Mapping[str, str], features: int) -> None:
    leaves, categories = (int(_integers(tree[name], 1)[0]) for name in ("num_leaves", "num_cat"))
    if not 1 <= leaves <= _MOST_LEAVES or tree["is_linear"] != "0":
        raise ValueError("a tree of another form")
    _numbers(tree["leaf_value"], leaves)
    _numbers(tree["shrinkage"], 1)
    if leaves == 1:
        if any(tree[name] for name in ("split_feature", "threshold", "left_child", "right_child")):
            raise ValueError("a tree of one leaf with a split")
        return
    splits = leaves - 1
    split = _integers(tree["split_feature"], splits)
    left, right = (_integers(tree[name], splits) for name in ("left_child", "right_child"))
    kind = _integers(tree["decision_type"], splits)
    threshold = _numbers(tree["threshold"], splits, math.inf)
    _numbers(tree["split_gain"], splits, math.inf)
    for name, n in (("leaf_count", leaves), ("internal_count", splits)):
        _integers(tree[name], n)
    for name, n in (
        ("leaf_weight", leaves),
        ("internal_weight", splits),
        ("internal_value", splits),
    ):
        _numbers(tree[name], n, math.inf)
    if split.min() < 0 or split.max() >= features or kind.min() < 0 or kind.max() > 15:
        raise ValueError("a split on a feature that is not there")
    _check_children(np.concatenate([left, right]), splits)
    _check_categories(tree, categories, threshold[(kind & 1) == 1])


def _check_children(children: npt.NDArray[np.int64], splits: int) -> None:
    """Require that every node and leaf has one parent, and that parents come before children."""
    parents = np.tile(np.arange(splits), 2)
    inner = children >= 0
    if sorted(children.tolist()) != [*range(-splits - 1, 0), *range(1, splits)]:
        raise ValueError("a tree whose branches do not meet")
    if (children[inner] <= parents[inner]).any():
        raise ValueError("a tree that runs in circles")


def _check_categories(
    tree: Mapping[str, str], categories: int, threshold: npt.NDArray[np.float64]
) -> None:
    if not categories:
        if len(threshold):
            raise ValueError("a split on categories that are not there")
        return
    edges = _integers(tree["cat_boundaries"], categories + 1)
    if edges[0] != 0 or (np.diff(edges) < 1).any() or edges[-1] > 1 << 20:
        raise ValueError("categories out of range")
    words = _integers(tree["cat_threshold"], int(edges[-1]))
    valid = (threshold == np.trunc(threshold)) & (threshold >= 0) & (threshold < categories)
    if not valid.all() or words.min() < 0 or words.max() > 2**32 - 1:
        raise ValueError("categories out of range")


def _integers(text: str, n: int) -> npt.NDArray[np.int64]:
    if not _INTEGERS.fullmatch(text):
        raise ValueError("something that is no whole number")
    found = [int(one) for one in text.split(" ")]
    if len(found) != n or any(abs(one) > 2**40 for one in found):
        raise ValueError(f"{len(found):,} numbers instead of {n:,}")
    return np.array(found, np.int64)


def _numbers(text: str, n: int, most: float = _LARGEST_VALUE) -> npt.NDArray[np.float64]:
    if not _NUMBERS.fullmatch(text):
        raise ValueError("something that is no number")
    found = np.array([float(one) for one in text.split(" ")])
    if len(found) != n:
        raise ValueError(f"{len(found):,} numbers instead of {n:,}")
    if np.isnan(found).any() or (np.abs(found) > most).any():  # a threshold may be infinite
        raise ValueError("a number that is not finite, or absurdly large")
    return found
