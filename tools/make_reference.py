"""Write docs/reference from the code: `python tools/make_reference.py`; with --check, say whether it is up to date."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer.main
import yaml

from errdetect import schemas
from errdetect.changes.text_formatting import MEASURE_WORDS
from errdetect.cli import app
from errdetect.workflows.validate_advice import ISSUE_MEANINGS, advice_by_code

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/errdetect"
OUT = ROOT / "docs/reference"
MADE = "<!-- Made by `python tools/make_reference.py` from the code: do not edit. -->\n"
CHECKED = ("validation.py", "workflows/validate.py", "workflows/validate_advice.py")
WIDE = re.compile(r"\s+")


def page(title: str, lead: str, lines: list[str]) -> str:
    """Return a page."""
    return "\n".join([MADE, f"# {title}", "", lead, "", *lines]) + "\n"


def table(names: list[str], rows: list[list[object]]) -> list[str]:
    """Return a Markdown table."""
    head = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return head + [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]


def _cell(value: object) -> str:
    text = WIDE.sub(" ", str(value)).replace("|", "\\|").strip()
    return re.sub(r"<(?!br>)", "&lt;", text)


def commands() -> str:
    """Return each command with its arguments, options and example."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="errdetect")
    lines = []
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command.hidden:
            continue
        said, _, example = (command.help or "").partition("Example:")
        lines += [f"## {name}", "", " ".join(said.split()), ""]
        if found := re.search(r"`(errdetect [^`]+)`", example):
            lines += ["```sh", found[1], "```", ""]
        rows = []
        for option in command.params:
            if option.name == "help":
                continue
            names = option.metavar if option.param_type_name == "argument" else None
            shown = names or ", ".join([*option.opts, *option.secondary_opts])
            rows.append([f"`{shown}`", getattr(option, "help", "") or "", _default(option)])
        lines += [*table(["argument or option", "what it is", "default"], rows), ""]
    lead = "Exit status: 0 done; 1 a gate or check failed; 2 the input or the config is wrong."
    return page("Commands", lead, lines)


def _default(option: Any) -> str:
    if option.required:
        return "needed"
    plain = option.default is not None and not callable(option.default) and option.default != ()
    return f"`{option.default}`" if plain and option.default is not False else ""


def config() -> str:
    """Return every setting with its default and meaning, from configs/base.yaml."""
    lines: list[str] = []
    rows: list[list[object]] = []
    path: list[tuple[int, str]] = []
    section = ""
    for line in (ROOT / "configs/base.yaml").read_text(encoding="utf-8").splitlines():
        note = line.partition("#")[2].strip()
        found = re.match(r"^( *)([\w-]+):(?: +([^#]*?))?(?: +#.*)?$", line)
        if found is None:
            if note and line.startswith(" ") and rows:
                rows[-1][2] = f"{rows[-1][2]} {note}"
            continue
        depth, name, value = len(found[1]), found[2], found[3] or ""
        path = [*(one for one in path if one[0] < depth), (depth, name)]
        if depth == 0 and not value:
            lines += [*_settings(section, rows), *([""] if rows else [])]
            section, rows = name, []
        key = ".".join(one for _, one in path)
        if value or depth:
            rows.append([f"`{key}`", f"`{value}`" if value else "", note])
    lines += _settings(section, rows)
    lead = (
        "Every setting, as [configs/base.yaml](../../configs/base.yaml) lists it. A config needs only `version` and "
        "`data.decisions`; any key can be overridden with `--set KEY=VALUE`."
    )
    return page("Config", lead, lines)


def _settings(section: str, rows: list[list[object]]) -> list[str]:
    if not rows:
        return []
    head = [f"## {section}", ""] if section else []
    return [*head, *table(["setting", "default", "what it does"], rows)]


def tables() -> str:
    """Return the columns of every input and output table."""
    lines = []
    for name in ("DECISIONS", "REVIEWS", "DRAWS"):
        lines += [f"## {name.lower()} (input)", ""]
        rows = [[f"`{one.name}`", one.kind, "yes" if one.required else "", _values(one)]
                for one in getattr(schemas, name)]  # fmt: skip
        lines += [*table(["column", "type", "needed", "values"], rows), ""]
    for name in sorted(schemas.__all__):
        schema = getattr(schemas, name)
        if isinstance(schema, pa.Schema):
            lines += [f"## {name.lower()} (output)", ""]
            lines += [
                *table(["column", "type"], [[f"`{one.name}`", _type(one.type)] for one in schema]),
                "",
            ]
    lead = "Columns as `errdetect.schemas` defines them; what they mean: [tables](../tables.md)."
    return page("Tables", lead, lines)


def _type(kind: pa.DataType) -> str:
    return str(kind).replace("<", "(").replace(">", ")").replace("element: ", "")


def _values(column: schemas.ColumnSpec) -> str:
    if column.choices:
        return ", ".join(f"`{one}`" for one in column.choices)
    if column.low is None and column.high is None:
        return ""
    low = "" if column.low is None else f"{'>' if column.low_open else '≥'} {column.low:g}"
    high = "" if column.high is None else f"≤ {column.high:g}"
    return ", ".join(one for one in (low, high) if one)


def metrics() -> str:
    """Return the measures of error, and the figures of the monitor and the service."""
    lines = ["## Measures of error", ""]
    rows = [[f"`{name}`", one.name, one.question, f"{one.of} that {one.verb}"]
            for name, one in MEASURE_WORDS.items()]  # fmt: skip
    lines += table(["measure", "in the report", "the question", "share of the"], rows)
    lines += ["", "## Checks of the monitor", ""]
    lines += table(["check", "what it compares"], [[f"`{code}`", text] for code, text in checks()])
    lead = "How they are estimated: [statistics](../statistics.md). What an alarm asks for: "
    lead += "[monitoring](../monitoring.md)."
    return page("Metrics", lead, lines)


def checks() -> list[tuple[str, str]]:
    """Return each check's code and what its function says of it."""
    out: dict[str, str] = {}
    for file in sorted([*(SOURCE / "monitoring").glob("*.py"), SOURCE / "workflows/monitor.py"]):
        for function in _functions(file):
            named = {
                node.value.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and [getattr(one, "id", "") for one in node.targets] == ["name"]
            }
            for call in _calls(function, ("Check", "_delay")):
                first = call.args[0] if call.args else None
                found = {first.value} if isinstance(first, ast.Constant) else named
                for code in sorted(one for one in found if isinstance(one, str)):
                    out.setdefault(code, _summary(function))
    return sorted(out.items())


def codes() -> str:
    """Return the codes of reasons, and those of what `validate` finds, with what fixes them."""
    reasons = yaml.safe_load((SOURCE / "explanations/reasons.yaml").read_text(encoding="utf-8"))
    rows: list[list[object]] = [
        [f"`{code}`", one["title"]]
        for code, one in reasons.items()
        if isinstance(one, dict) and "title" in one
    ]
    lines = ["## Reasons", "", *table(["code", "what it tells"], rows), ""]
    lines += [
        "## Findings of validate",
        "",
        "The letter is the table: D decisions, R reviews, A draws, P policies, C config.",
        "",
    ]
    found: list[list[object]] = [
        [f"`{code}`", " / ".join(sorted(severity)), ISSUE_MEANINGS[code], advice_by_code(code)]
        for code, severity in sorted(issues().items())
    ]
    lines += table(["code", "severity", "what it finds", "what fixes it"], found)
    lead = "Codes are stable: other systems may filter by them."
    return page("Reason and check codes", lead, lines)


def issues() -> dict[str, set[str]]:
    """Return code -> severities of everything that `validate` may find."""
    out: dict[str, set[str]] = {}
    levels = {"error", "warning", "info"}
    for function in (one for name in CHECKED for one in _functions(SOURCE / name)):
        nodes = [n for n in ast.walk(function) if isinstance(n, ast.Constant)]
        words = {n.value for n in nodes if isinstance(n.value, str)}
        codes = {one for one in words if re.fullmatch(r"[DRAPC]\d{3}", one)}
        for call in _calls(function, ("of", "_issue_if_any", "_check_unknown_decisions")):
            given = {n.value for n in call.args if isinstance(n, ast.Constant)}
            parts = [ast.unparse(n) for n in call.args if isinstance(n, ast.JoinedStr)]
            numbers = [found[1] for one in parts if (found := re.search(r"letter}(\d{3})", one))]
            own = {letter + number for letter in "DRA" for number in numbers}
            for code in own or codes & given or codes:
                out.setdefault(code, set()).update(
                    levels & given or levels & words or {"error", "warning"}
                )
    return out


def _functions(file: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _calls(function: ast.FunctionDef, names: tuple[str, ...]) -> list[ast.Call]:
    found = [n for n in ast.walk(function) if isinstance(n, ast.Call) and _called(n) in names]
    return sorted(found, key=lambda call: call.lineno)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _summary(function: ast.FunctionDef) -> str:
    return WIDE.sub(" ", (ast.get_docstring(function) or "").split("\n\n")[0])


def papers() -> str:
    """Return the source of each method that names one, by module."""
    rows: list[list[object]] = []
    for file in sorted(SOURCE.rglob("*.py")):
        for function in _functions(file):
            text = ast.get_docstring(function) or ""
            found = re.search(r"^References\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)
            if found:
                module = ".".join(file.relative_to(SOURCE).with_suffix("").parts)
                rows.append([f"`{module}.{function.name}`", found[1]])
    lead = "The literature behind each method, as its function names it. Reasoning: [statistics](../statistics.md), "
    lead += "[findings](../findings.md), [labels](../labels.md)."
    return page("Papers", lead, table(["function", "source"], rows))


PAGES = {
    "papers.md": papers,
    "config.md": config,
    "tables.md": tables,
    "commands.md": commands,
    "metrics.md": metrics,
    "codes.md": codes,
}


def main(check: bool) -> int:
    """Write the pages, or return 1 where one is not what the code says."""
    stale = []
    for name, make in PAGES.items():
        text, file = make(), OUT / name
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"Not up to date: {', '.join(stale)}. Run python tools/make_reference.py.")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
