"""init: look at files, guess what they are, and write a commented config that validates."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config import load_config
from errdetect.data.action_meanings import action_meanings, canonical_action
from errdetect.data.atomic_writing import write_text
from errdetect.data.column_profiles import (
    ColumnProfile,
    TableProfile,
    join_profiles,
    read_profiles,
)
from errdetect.data.table_guessing import (
    ColumnGuess,
    GuessedTable,
    guess_tables,
    tells_later_facts,
)
from errdetect.data.word_meanings import guess_words
from errdetect.errors import ConfigError, ErrdetectError, error_message
from errdetect.schemas import DECISIONS, DRAWS, REVIEWS, VERDICTS
from errdetect.workflows.config_text import ConfigText, quote
from errdetect.workflows.load_data import Progress
from errdetect.workflows.validate import validate

__all__ = ["InitResult", "TakenTable", "init"]

#: Asks a question with possible answers, and returns one; the first answer is the default.
Ask = Callable[[str, Sequence[str]], str]

_SCHEMAS = {"decisions": DECISIONS, "reviews": REVIEWS, "draws": DRAWS}
_NEEDED = {
    "decisions": ("decision_id", "decided_at", "action"),
    "reviews": ("decision_id", "reviewed_at", "verdict"),
    "draws": ("decision_id", "inclusion_probability", "drawn_at"),
}
_TIMES = ("decided_at", "reviewed_at", "updated_at", "drawn_at", "due_at")
_WIDTH = 28
_YES = "yes"


@dataclass(frozen=True)
class TakenTable:
    """What a table was taken for.

    Parameters
    ----------
    name
        The file, or the file and its sheet.
    role
        `decisions`, `reviews` or `draws`; None where it is not used.
    n_rows
        Rows that were looked at.
    guesses
        What its columns were taken for, the surest first.
    """

    name: str
    role: str | None
    n_rows: int
    guesses: tuple[ColumnGuess, ...]


@dataclass(frozen=True)
class InitResult:
    """The config written, and what it takes for what.

    Parameters
    ----------
    config
        The file.
    tables
        Every table that was read, with its role and the guesses for its columns.
    open_points
        What could not be known; each is marked in the config.
    problem
        Why the config does not validate yet; empty where it does.
    """

    config: Path
    tables: tuple[TakenTable, ...]
    open_points: tuple[str, ...]
    problem: str

    def lines(self) -> list[str]:
        """Return what was taken for what, how sure, and what to do next."""
        out = []
        for found in self.tables:
            role = "not used" if found.role is None else f"taken as the {found.role}"
            out.append(f"{found.name}: {role} ({found.n_rows:,} rows)")
            for guess in sorted(found.guesses, key=lambda one: -one.confidence):
                out.append(
                    f"  {guess.column:{_WIDTH}} {guess.target:22} {_how_sure(guess)}: {guess.why}"
                )
        if self.open_points:
            out += ["", "What could not be known, each marked in the config:"]
            out += [f"- {point}" for point in self.open_points]
        out += ["", f"Written: {self.config}"]
        if self.problem:
            return [*out, f"It does not validate yet: {self.problem}"]
        return [*out, f"It validates. Next: errdetect run {self.config} --out results"]


def init(
    sources: Sequence[str],
    out: str | Path = "errdetect.yaml",
    *,
    ask: Ask | None = None,
    progress: Progress = lambda _: None,
) -> InitResult:
    """Guess the tables, columns and words of some files, and write a config for them.

    Parameters
    ----------
    sources
        Paths, folders or globs; a policy catalogue (YAML) may be among them.
    out
        The config to write; it must not exist yet.
    ask
        Asks about what could not be known; None asks nothing.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        If the config exists, or a file cannot be read as a table.
    """
    place = Path(out)
    if place.exists():
        do = "Name another with --out, or move it away."
        raise ConfigError([error_message("--out", "be a new file", f"'{place}', which exists", do)])
    policies = [one for one in sources if one.lower().endswith((".yaml", ".yml"))]
    tables: list[TableProfile] = []
    for source in sources:
        if source not in policies:
            progress(f"reading {source}")
            tables += read_profiles(source)
    if not tables:
        do = "Name your decision log, and the file with your reviews."
        raise ConfigError([error_message("init", "find a table with rows", "none", do)])
    found = guess_tables(join_profiles(tables))
    if ask is not None:
        found = [_confirmed(one, ask) for one in found]
    text, points = _write(found, policies, place, ask)
    write_text(place, text)
    progress("validating the config")
    taken = (TakenTable(one.table.shown, one.role, one.table.n_rows, one.guesses) for one in found)
    return InitResult(place, tuple(taken), tuple(points), _problem(place))


def _how_sure(guess: ColumnGuess) -> str:
    return "sure" if guess.confidence >= 0.85 else "likely" if guess.sure else "not sure"


def _confirmed(found: GuessedTable, ask: Ask) -> GuessedTable:
    """Ask about every column that is not sure."""
    guesses = []
    for guess in found.guesses:
        if not guess.sure:
            values = ", ".join(found.table.columns[guess.column].values[:3])
            question = f"{found.table.shown}: is {guess.column!r} ({values}) the {guess.target}?"
            right = ask(question, ("no", _YES)) == _YES
            guess = replace(guess, confidence=1.0 if right else 0.0, why="your answer")
        if guess.confidence:
            guesses.append(guess)
    return replace(found, guesses=tuple(guesses))


def _problem(place: Path) -> str:
    """Validate the config that was written; return its first error."""
    try:
        result = validate(load_config(place))
    except ErrdetectError as error:
        return str(error)
    errors = [one.message for one in result.findings if one.severity == "error"]
    return "" if not errors else " ".join(errors[:3])


def _write(
    found: Sequence[GuessedTable], policies: Sequence[str], place: Path, ask: Ask | None
) -> tuple[str, list[str]]:
    """Return the config's text, and what could not be known."""
    text = ConfigText()
    text.add(
        0,
        "# Written by `errdetect init`: check it, then `errdetect validate` and `errdetect run` it.",
    )
    text.add(
        0,
        "# What follows a # is not used: remove it where the line is right. All settings: configs/base.yaml.",
    )
    text.add(0, "version: 1")
    text.add(0, "data:")
    points: list[str] = []
    roles = {one.role: one for one in found if one.role is not None}
    inside = [
        guess.column for one in found if one.inside for guess in one.guesses
        if guess.sure and guess.target != "decision_id"
    ]  # fmt: skip
    for role in ("decisions", "reviews", "draws"):
        if role in roles:
            points += _write_table(text, roles[role], place, ask, inside)
    if "decisions" not in roles:
        text.add(1, "decisions: YOUR_DECISIONS  # the log of the machine's decisions was not found")
        points.append("which file holds the decisions")
    else:
        points += _write_actions(text, roles["decisions"], ask)
    if "reviews" not in roles:
        text.add(
            1, "# reviews: YOUR_REVIEWS  # without reviews nothing can be learned or estimated"
        )
        points.append("where the reviews are: without them nothing can be learned or estimated")
    for policy in policies:
        text.add(1, f"policies: {quote(_relative(policy, place))}")
    if not policies:
        text.add(
            1,
            "# policies: policies.yaml  # severity, clause and owner of each policy (docs/tables.md)",
        )
    unused = [one.table.shown for one in found if one.role is None]
    points += [f"what {one} is for: it is not used" for one in unused]
    return text.text(), points


def _relative(source: str, place: Path) -> str:
    """Write a path relative to the config's folder, where it has one."""
    if "://" in source:
        return source
    return Path(os.path.relpath(source, place.resolve().parent)).as_posix()


def _write_table(
    text: ConfigText,
    found: GuessedTable,
    place: Path,
    ask: Ask | None,
    reviewed: Sequence[str],
) -> list[str]:
    """Write a table's entry; one that lacks what it needs is written as a comment."""
    role = str(found.role)
    missing = [target for target in _NEEDED[role] if found.column(target) is None]
    text.add(1, f"# {found.table.shown}: {found.table.n_rows:,} rows")
    with text.commented(bool(missing) and role != "decisions"):
        text.add(1, f"{role}:")
        paths = [quote(_relative(part, place)) for part in found.table.parts]
        own = quote(_relative(found.table.source, place))
        text.add(2, f"path: [{', '.join(paths)}]" if paths else f"path: {own}")
        if found.table.sheet is not None:
            text.add(2, f"sheet: {quote(found.table.sheet)}")
        text.add(2, "columns:")
        for line, note in _column_lines(found):
            text.add(3, line, note)
        points = [f"which column of {found.table.shown} is the {target}" for target in missing]
        for target in missing:
            text.add(3, f"# YOUR_COLUMN: {target}", "needed")
        if found.inside:
            text.add(2, "only_with: verdict", "rows without one are decisions that nobody reviewed")
        points += _write_times(text, found, ask)
        points += _write_numbers(text, found)
        points += _write_words(text, found)
    points += [
        f"whether {one.column!r} of {found.table.shown} is the {one.target}"
        for one in found.guesses
        if not one.sure and one.target not in missing
    ]
    if role == "decisions":
        late = _later_columns(found, reviewed)
        if late:
            text.add(1, f"drop: [{', '.join(map(quote, late))}]", "known only after the decision")
    return points


def _column_lines(found: GuessedTable) -> Iterator[tuple[str, str]]:
    used = set()
    for guess in found.guesses:
        note = f"{_how_sure(guess)}: {guess.why}"
        if guess.sure:
            used.add(guess.column)
            yield f"{quote(guess.column)}: {guess.target}", note
        else:
            yield f"# {quote(guess.column)}: {guess.target}", f"{note} ({guess.confidence:.2f})"
    ours = {column.name for column in _SCHEMAS[str(found.role)]} | {"enforced"}
    for name, column in found.table.columns.items():
        if name in ours - used:
            why = f"not what errdetect calls {name}" if column.n_given else "empty in this file"
            yield f"{quote(name)}: their_{name}", why


def _write_times(text: ConfigText, found: GuessedTable, ask: Ask | None) -> list[str]:
    """Write the order of day and month, and mark the zone of times that name none."""
    columns = [c for target in _TIMES if (c := found.column(target)) is not None]
    points = []
    orders = {column.dates for column in columns if column.dates}
    if "day_numbers" in orders:
        text.add(2, "dates: day_numbers", "days as spreadsheets count them")
        if len(orders) > 1:
            points.append(f"whether dates of {found.table.shown} are day_first or month_first")
    elif orders:
        surely = orders - {"either"}
        order = next(iter(surely)) if len(surely) == 1 else _order_by_rows(columns)
        note = "" if len(surely) == 1 else "a guess: no day is above 12"
        if len(surely) != 1 and ask is not None:
            example = columns[0].values[0]
            order, note = (
                ask(f"Is {example} day first or month first?", ("day_first", "month_first")),
                "",
            )
        elif len(surely) != 1:
            points.append(f"whether dates of {found.table.shown} are day_first or month_first")
        text.add(2, f"dates: {order}", note)
    if any(not column.zoned for column in columns):
        text.add(2, "# time_zone: Europe/Berlin", "times name no zone and are taken as UTC")
        points.append(f"the time zone of {found.table.shown}: UTC is assumed")
    return points


def _order_by_rows(columns: Sequence[ColumnProfile]) -> str:
    """Prefer the order in which the rows are better sorted by time; day first where none is."""
    best = {"day_first": 0.0, "month_first": 0.0}
    for column in columns:
        for order in best:
            times = pd.to_datetime(
                pd.Series(column.values),
                dayfirst=order == "day_first",
                format="mixed",
                errors="coerce",
            )
            steps = np.diff(times.dropna().astype("int64").to_numpy())
            if len(steps):
                best[order] += float(np.mean(steps >= 0))
    return "month_first" if best["month_first"] > best["day_first"] + 0.02 else "day_first"


def _write_numbers(text: ConfigText, found: GuessedTable) -> list[str]:
    """Write the decimal sign and what scores, probabilities and durations are divided by."""
    points, scale = [], {}
    score = found.column("score")
    for target in ("score", "threshold", "inclusion_probability"):
        column = found.column(target)
        if column is not None and len(column.numbers) and column.numbers.max() > 1:
            like = score if score is not None and target == "threshold" else column
            most = max(float(column.numbers.max()), float(like.numbers.max()))
            scale[target] = 10 if most <= 10 else 100 if most <= 100 else 1000
            if most <= 10:
                points.append(f"what {column.name!r} is out of: 10 is assumed")
    minutes = found.column("minutes")
    if minutes is not None and (unit := _unit(minutes)) is not None:
        scale["minutes"] = unit
    if scale:
        text.add(2, f"scale: {{{', '.join(f'{k}: {v}' for k, v in scale.items())}}}")
    numbers = [found.table.columns[one.column] for one in found.guesses if one.sure]
    if any(column.decimal_comma for column in numbers):
        text.add(2, 'decimal: ","')
    return points


def _unit(column: ColumnProfile) -> int | None:
    """Return how many units of a duration make a minute; None where it is minutes."""
    name = column.name.lower()
    if "ms" in name or "milli" in name:
        return 60_000
    middle = float(np.median(column.numbers)) if len(column.numbers) else 0.0
    if "sec" in name or "sek" in name or "(s)" in name or ("min" not in name and middle > 45):
        return 60
    return None


def _write_words(text: ConfigText, found: GuessedTable) -> list[str]:
    """Write what verdicts and sources mean, and constants for what no column tells."""
    points, lines = [], list[tuple[str, list[tuple[str, str]]]]()
    for target in ("verdict", "expected", "source", "action"):
        column = found.column(target)
        if column is None or (target == "action" and column.n_distinct > 3):
            continue
        words = guess_words(column, target)
        rows = []
        for word, meaning in words.known.items():
            put, note = _our_word(target, meaning, found)
            own = target != "action" or canonical_action(word) in _FLAGS
            if own and canonical_action(word) != put:
                rows.append((f"{quote(word)}: {put}", note))
        if target != "action":
            for word, n in words.unknown.items():
                rows.append((f"# {quote(word)}: {'re_review' if target == 'source' else '|'.join(VERDICTS)}",
                             f"{n:,} rows: unknown, so they are rejected"))  # fmt: skip
                points.append(f"what {word!r} means as a {target} ({n:,} rows)")
        if rows:
            lines.append((target, rows))
    if lines:
        text.add(2, _head("values:", [row for _, rows in lines for row in rows]))
    for target, rows in lines:
        text.add(3, _head(f"{target}:", rows))
        for line, note in rows:
            text.add(4, line, note)
    return points + _write_constants(text, found)


def _head(key: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return a key, as a comment where all that it holds is comments."""
    return key if any(not line.startswith("#") for line, _ in rows) else f"# {key}"


def _our_word(target: str, meaning: str, found: GuessedTable) -> tuple[str, str]:
    if target == "action":
        return ("remove" if meaning == "enforce" else "approve"), ""
    if meaning == "audit" and found.column("inclusion_probability") is None:
        return "re_review", "audit needs inclusion_probability: 0.1 for a random tenth"
    return meaning, ""


def _write_constants(text: ConfigText, found: GuessedTable) -> list[str]:
    if found.role == "reviews" and found.column("source") is None:
        source, note = _likely_source(found)
        text.add(2, f"constants: {{source: {source}}}", note)
        return [f"where the reviews of {found.table.shown} come from: {source} is assumed"]
    if found.role == "decisions" and found.column("policy_id") is None:
        text.add(2, "constants: {policy_id: all}", "no column names the policy of a decision")
        return [f"which policy each decision of {found.table.shown} was taken under"]
    return []


def _likely_source(found: GuessedTable) -> tuple[str, str]:
    if found.column("inclusion_probability") is not None:
        return "audit", "a random sample, as it has an inclusion probability"
    if any(column.of_appeals for column in found.table.columns.values()):
        return "appeal", "its names are about appeals"
    note = (
        "audit: a random sample with inclusion_probability; re_review: reviews that no one sampled"
    )
    return "re_review", note


def _write_actions(text: ConfigText, found: GuessedTable, ask: Ask | None) -> list[str]:
    """Write what actions mean that are not known words."""
    column = found.column("action")
    if column is None:
        return []
    words, points = guess_words(column, "action"), []
    known = action_meanings({})
    lines = [
        (f"{quote(word)}: {meaning}", "")
        for word, meaning in words.known.items()
        if canonical_action(word) not in known and canonical_action(word) not in _FLAGS
    ]
    for word, n in words.unknown.items():
        if ask is not None:
            answer = ask(
                f"What does the action {word!r} mean ({n:,} rows)?", ("skip", "allow", "enforce")
            )
            if answer != "skip":
                lines.append((f"{quote(word)}: {answer}", "your answer"))
                continue
        lines.append((f"# {quote(word)}: allow", f"or enforce? {n:,} rows, rejected until you say"))
        points.append(f"whether the action {word!r} means allow or enforce ({n:,} rows)")
    if lines:
        text.add(1, _head("actions:", lines))
    for line, note in lines:
        text.add(2, line, note)
    return points


_FLAGS = (
    "true",
    "false",
    "yes",
    "no",
    "y",
    "n",
    "t",
    "f",
    "0",
    "1",
    "ja",
    "nein",
    "oui",
    "non",
    "si",
)


def _later_columns(found: GuessedTable, reviewed: Sequence[str]) -> list[str]:
    """Return further columns that hold the reviews, or tell what is known only after the decision."""
    used = {one.column for one in found.guesses if one.sure} | set(reviewed)
    decided = found.column("decided_at")
    late = list(reviewed)
    for name, column in found.table.columns.items():
        if name in used:
            continue
        if tells_later_facts(name) or (decided is not None and _is_later(column, decided)):
            late.append(name)
    return late


def _is_later(column: ColumnProfile, decided: ColumnProfile) -> bool:
    """Return whether a column of times is later than the decision's in most rows."""
    if column.time < 0.9 or len(column.numbers) or len(column.values) != len(decided.values):
        return False
    first = column.dates != "month_first"
    moments = [
        pd.to_datetime(
            pd.Series(one.values), dayfirst=bool(one.dates) and first, format="mixed", utc=True,
            errors="coerce",
        )
        for one in (column, decided)
    ]  # fmt: skip
    return bool((moments[0] > moments[1]).mean() > 0.5)
