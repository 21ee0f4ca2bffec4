"""Measure the structure of src/errdetect: files, lines, names, rooms, parameters.

Run it anywhere: `python tools/house_metrics.py [SRC]`. A name is of one word where nothing but outer
underscores parts it; dunder methods, tests and migrations do not count.
"""

import ast
import re
import sys
from collections import Counter
from pathlib import Path


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def one_word(name: str) -> bool:
    return "_" not in name.strip("_") and not re.search(r"[a-z][A-Z]", name)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    own = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len([a for a in own if a.arg not in ("self", "cls")])


def main() -> None:
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "src/errdetect")
    files = [p for p in sorted(source.rglob("*.py")) if "migrations" not in p.parts]
    lines: Counter[str] = Counter()
    found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        inside = path.relative_to(source).parts
        lines[inside[0] if len(inside) > 1 else "(top)"] += text.count("\n")
        found += functions(ast.parse(text))
    named = [f for f in found if not f.name.startswith("__")]
    stems = [p.stem for p in files if p.stem not in ("__init__", "__main__")]
    total = sum(lines.values())
    room, most = lines.most_common(1)[0]
    many = [f for f in found if parameters(f) > 6]
    short = sum(one_word(f.name) for f in named)
    print(f"files {len(files)}, lines {total:,}")
    print(f"function names of one word: {short / len(named):.1%} of {len(named):,}")
    print(f"file names of one word: {sum(map(one_word, stems)) / len(stems):.1%} of {len(stems)}")
    print(f"largest room: {room}, {most / total:.1%} of the lines")
    print(f"functions over six parameters: {len(many) / len(found):.1%} ({len(many)})")
    if "--list" in sys.argv:
        print("\n".join(sorted(f.name for f in named if one_word(f.name))))


if __name__ == "__main__":
    main()
