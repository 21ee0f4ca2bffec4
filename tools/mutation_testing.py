"""Mutation testing: change the source in one place, and see whether a test notices.

    python tools/mutation_testing.py src/errdetect/stats --sample 50 --seed 1

draws 50 of the possible changes with that seed, applies each to a copy of the checkout and runs the tests of the file
that was changed: its doctests and the test files of its room that name it; if they pass, all tests of the room, slow
ones too, and those of other rooms that name it. A change that no test notices survives: it is equivalent, or a test is
missing. Exit status 1 if the tests fail without any change.
"""

import argparse
import ast
import csv
import importlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = (
    60.0  # seconds of CPU time for the tests of one file; three times as long for those of a room
)

COMPARISONS = {
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"),
    ast.Eq: ("!=",), ast.NotEq: ("==",), ast.In: ("not in",), ast.NotIn: ("in",),
    ast.Is: ("is not",), ast.IsNot: ("is",),
}  # fmt: skip
ARITHMETIC = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*", ast.FloorDiv: "/",
    ast.Mod: "*", ast.BitAnd: "|", ast.BitOr: "&",
}  # fmt: skip
NAMES = {
    "minimum": "maximum", "maximum": "minimum", "min": "max", "max": "min", "any": "all", "all": "any",
    "floor": "ceil", "ceil": "floor", "cumsum": "cumprod", "sum": "mean", "mean": "sum",
    "first": "last", "last": "first", "left": "right", "right": "left",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the text between two offsets of a file, and what replaces it."""

    file: Path
    line: int
    kind: str
    start: int
    end: int
    before: str
    after: str

    def apply(self, text: str) -> str:
        """Return the file's text with the change."""
        return text[: self.start] + self.after + text[self.end :]


class Finder(ast.NodeVisitor):
    """Collects the possible changes of a file; docstrings, annotations and texts stay."""

    def __init__(self, file: Path, text: str) -> None:
        self.file, self.text = file, text
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = text.splitlines()
        self.found: list[Mutant] = []

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a position; the parser counts columns in bytes."""
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where a node begins and ends."""
        end = self.offset(node.end_lineno or 0, node.end_col_offset or 0)
        return self.offset(node.lineno, node.col_offset), end

    def add(self, node: ast.expr | ast.stmt, kind: str, span: tuple[int, int], after: str) -> None:
        """Note a change."""
        start, end = span
        self.found.append(
            Mutant(self.file, node.lineno, kind, start, end, self.text[start:end], after)
        )

    def between(self, left: ast.expr, right: ast.expr, word: str) -> tuple[int, int] | None:
        """Find an operator between its operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        at = self.text.find(word, start, end)
        return None if at < 0 else (at, at + len(word))

    def visit_Compare(self, node: ast.Compare) -> None:
        """Shift or turn round a comparison."""
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            word = _word(ast.Compare(ast.Name("a"), [operator], [ast.Name("b")]))
            span = self.between(left, right, word)
            for after in COMPARISONS[type(operator)] if span else ():
                self.add(node, "comparison", span, after)  # type: ignore[arg-type]
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Swap an arithmetic operator."""
        after = ARITHMETIC.get(type(node.op))
        word = _word(ast.BinOp(ast.Name("a"), node.op, ast.Name("b")))
        is_text = any(
            isinstance(s, ast.JoinedStr)
            or (isinstance(s, ast.Constant) and isinstance(s.value, str))
            for s in (node.left, node.right)
        )
        span = self.between(node.left, node.right, word)
        if after and span and not is_text:
            self.add(node, "arithmetic", span, after)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Swap and with or."""
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        span = self.between(node.values[0], node.values[1], words[0])
        if span and len(node.values) == 2:
            self.add(node, "logic", span, words[1])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Drop a not, ~ or minus."""
        inner = self.span(node.operand)
        self.add(node, "negation", self.span(node), f"({self.text[inner[0] : inner[1]]})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Change a number or a truth value."""
        value = node.value
        if isinstance(value, bool):
            self.add(node, "constant", self.span(node), str(not value))
        elif isinstance(value, int):
            self.add(node, "constant", self.span(node), str(value + 1))
        elif isinstance(value, float):
            self.add(node, "constant", self.span(node), repr(value * 1.5 if value else 1.0))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Swap a function for its opposite."""
        if node.attr in NAMES:
            end = self.span(node)[1]
            self.add(node, "function", (end - len(node.attr), end), NAMES[node.attr])
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Swap a built-in function for its opposite."""
        if node.id in ("min", "max", "any", "all"):
            self.add(node, "function", self.span(node), NAMES[node.id])

    def visit_Return(self, node: ast.Return) -> None:
        """Return nothing."""
        is_none = isinstance(node.value, ast.Constant) and node.value.value is None
        if node.value is not None and not is_none:
            self.add(node, "return", self.span(node.value), "None")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Look at defaults and the body, not at annotations."""
        for one in (*node.args.defaults, *node.args.kw_defaults):
            if one is not None:
                self.visit(one)
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Look at the value only."""
        if node.value is not None:
            self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Leave type aliases alone: their names begin with a capital letter."""
        base = ast.unparse(node.value).split(".")[-1]
        if not base[:1].isupper() and base not in ("tuple", "dict", "list"):
            self.generic_visit(node)


def _word(node: ast.expr) -> str:
    return ast.unparse(node)[1:-1].strip()


def mutants_of(file: Path) -> list[Mutant]:
    """Return every possible change of a file that still compiles, in order."""
    text = file.read_text(encoding="utf-8")
    finder = Finder(file, text)
    finder.visit(ast.parse(text))
    return [one for one in finder.found if _compiles(one.apply(text))]


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def source_files(places: Sequence[str]) -> Iterator[Path]:
    """List the files of files and folders, relative to the checkout."""
    for place in places:
        path = Path(place).resolve()
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file.name != "__init__.py":
                yield file.relative_to(ROOT)


def tests_of(file: Path) -> tuple[list[str], list[str]]:
    """Return the narrow tests of a file, and the wider ones to try if they notice nothing."""
    room = file.parts[2]
    module = ".".join(file.with_suffix("").parts[1:])
    near = [
        path for path in sorted((ROOT / "tests" / room).rglob("test_*.py")) if _names(path, module)
    ]
    far = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if _names(path, module)]
    apart = (room, "workflows")  # workflows' tests take minutes
    wide = [ROOT / "tests" / room, *(path for path in far if not set(apart) & set(path.parts))]
    return (
        [str(file), *(str(path.relative_to(ROOT)) for path in near)],
        [str(path.relative_to(ROOT)) for path in wide if path.exists()],
    )


def _names(path: Path, module: str) -> bool:
    parent, _, name = module.rpartition(".")
    text = path.read_text(encoding="utf-8")
    return f"{module} import" in text or f"from {parent} import {name}" in text


def passes(copy: Path, tests: Sequence[str], *, slow: bool, timeout: float) -> bool | None:
    """Run tests in the copy; None where they took more CPU time, however busy the machine is.

    A fork saves importing the libraries.
    """
    words = ["-q", "-x", "-n0", "-p", "no:cacheprovider", "-m"]
    words += ["not shared" if slow else "not shared and not slow", *tests]
    child = os.fork()
    if child == 0:
        _run_tests(copy, words, timeout)
    end = time.monotonic() + 20 * timeout
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code == -signal.SIGXCPU else code in (0, 5)  # 5: no test was found
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _run_tests(copy: Path, words: list[str], timeout: float) -> NoReturn:
    """Run pytest in this process, a child of its own group, and end it."""
    status = 1
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (round(timeout), round(timeout) + 5))
        os.chdir(copy)
        sys.path.insert(0, str(copy / "src"))
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(copy / "src"), "ERRDETECT_SHARED": str(copy / "absent")}
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        status = int(pytest.main(words))
    finally:
        os._exit(status)


def preload() -> None:
    """Import what most tests need; nothing of errdetect, which each run reads anew."""
    for name in (
        "hypothesis",
        "lightgbm",
        "pandas",
        "pyarrow.parquet",
        "scipy.stats",
        "sklearn.linear_model",
    ):
        importlib.import_module(name)


def judge(copy: Path, mutant: Mutant, *, narrow: bool) -> str:
    """Apply a change, run the tests, and put the file back."""
    place = copy / mutant.file
    text = place.read_text(encoding="utf-8")
    near, wide = tests_of(mutant.file)
    place.write_text(mutant.apply(text), encoding="utf-8")
    try:
        stages = [(near, False, TIMEOUT), *([] if narrow else [(wide, True, 3 * TIMEOUT)])]
        for tests, slow, timeout in stages:
            result = passes(copy, tests, slow=slow, timeout=timeout)
            if result is False:
                return "killed"
            if result is None and not slow:  # without the change they were quick
                return "timeout"
    finally:
        place.write_text(text, encoding="utf-8")
    return "survived"


def copy_checkout(folder: Path) -> Path:
    """Copy the tracked files, as they are now."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def main() -> int:
    """Draw changes, judge each, and print the score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("places", nargs="+", help="files or folders below src/errdetect")
    parser.add_argument("--sample", type=int, default=50, help="changes to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--narrow", action="store_true", help="run a file's own tests only")
    parser.add_argument("--out", type=Path, help="CSV for the results; rows are added")
    given = parser.parse_args()
    files = list(source_files(given.places))
    every = [one for file in files for one in mutants_of(file)]
    chosen = random.Random(given.seed).sample(every, min(given.sample, len(every)))
    chosen.sort(key=lambda one: (str(one.file), one.start))
    print(f"{len(chosen)} of {len(every):,} possible changes in {len(files)} files", flush=True)
    preload()
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        copy = copy_checkout(Path(temporary))
        for file in sorted({one.file for one in chosen}):
            if not passes(copy, tests_of(file)[0], slow=False, timeout=3 * TIMEOUT):
                print(f"the tests of {file} fail, or take too long, without any change")
                return 1
        results = [_report(copy, one, given.out, narrow=given.narrow) for one in chosen]
    noticed = sum(result != "survived" for result in results)
    print(f"{noticed} of {len(results)} noticed ({noticed / max(len(results), 1):.0%})")
    return 0


def _report(copy: Path, mutant: Mutant, out: Path | None, *, narrow: bool) -> str:
    began = time.monotonic()
    result = judge(copy, mutant, narrow=narrow)
    change = f"{mutant.before!r} -> {mutant.after!r}"
    print(f"{result:8} {mutant.file}:{mutant.line} {mutant.kind}: {change}", flush=True)
    if out is not None:
        row = (result, mutant.file, mutant.line, mutant.kind, mutant.before, mutant.after)
        with out.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([*row, f"{time.monotonic() - began:.1f}"])
    return result


if __name__ == "__main__":
    sys.exit(main())
