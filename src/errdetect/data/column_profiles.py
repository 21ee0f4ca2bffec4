"""What stands in the columns of a table: the evidence by which `errdetect init` guesses what they are."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.types as pat

from errdetect.data.action_meanings import action_meanings
from errdetect.data.excel_sheets import sheet_names
from errdetect.data.file_opening import open_source
from errdetect.data.file_readers import read_batches
from errdetect.data.number_formats import MISSING_WORDS, infer_number_format
from errdetect.data.sources import SourceFile, Sources, find_files
from errdetect.data.type_coercion import to_number, to_text, to_time
from errdetect.errors import DataError
from errdetect.table_settings import FileSource
from errdetect.yaml_files import parse_yaml

__all__ = [
    "ColumnProfile",
    "TableProfile",
    "join_profiles",
    "lexicon",
    "match_name",
    "plain_name",
    "plain_word",
    "read_profiles",
]

_ROWS, _BATCH, _SAMPLE = 300_000, 50_000, 5_000
_SLASHED = re.compile(r"^(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})\b")
_ZONED = re.compile(r"(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})\)?$")
_JOINED = r"^([a-z]{4,}?)(ids?|name|code|type|date|time|at|by|score|version|result|ts|no|number)$"
#: A spreadsheet's day number, from 2009 to 2036.
_RECENT_DAY = re.compile(r"4\d{4}(?:[.,]\d+)?")
_IDENT = re.compile(r"^(?=.*\d)[\w:/.#@-]+$")


@dataclass(frozen=True)
class ColumnProfile:
    """One column's values in a sample of rows.

    Parameters
    ----------
    name
        The user's name.
    values
        The sample's values as text, without missing ones.
    n_rows
        Rows of the table that were read.
    n_given
        Rows with a value.
    n_distinct
        Distinct values among them.
    words
        Value, as `plain_word` writes it -> rows of the sample.
    numbers
        The sample as numbers; empty where it is none.
    percent
        Whether its numbers carry percent signs.
    decimal_comma
        Whether its numbers surely have decimal commas.
    time
        Share of the sample that is a time; dates such as 3.4.2026 count.
    dates
        `day_first`, `month_first`, `either`, `day_numbers`, or empty where dates begin with the year.
    zoned
        Whether times name their zone.
    keys
        All values, for comparing the keys of two tables.
    of_appeals
        Whether the table's name or its other columns tell that it is about appeals.
    """

    name: str
    values: tuple[str, ...]
    n_rows: int
    n_given: int
    n_distinct: int
    words: Counter[str]
    numbers: npt.NDArray[np.float64]
    percent: bool = False
    decimal_comma: bool = False
    time: float = 0.0
    dates: str = ""
    zoned: bool = True
    keys: frozenset[str] = field(default_factory=frozenset, repr=False)
    of_appeals: bool = False

    @property
    def unique(self) -> float:
        """Distinct values as a share of those given."""
        return self.n_distinct / self.n_given if self.n_given else 0.0

    @property
    def identifying(self) -> float:
        """Share of values that could be ids: no spaces, some digit, no fraction."""
        fractions = len(self.numbers) and not np.all(self.numbers == np.rint(self.numbers))
        if not self.values or fractions:
            return 0.0
        return sum(bool(_IDENT.match(value)) for value in self.values) / len(self.values)

    @property
    def length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.values)) / len(self.values) if self.values else 0.0

    def share_in(self, known: Iterable[str]) -> float:
        """Return the share of the sample whose words are among these."""
        inside = set(known)
        total = sum(self.words.values())
        return sum(n for word, n in self.words.items() if word in inside) / total if total else 0.0


@dataclass(frozen=True)
class TableProfile:
    """A file or a sheet, with its columns; or several with equal columns, `parts`, as one table."""

    source: str
    sheet: str | None
    n_rows: int
    columns: Mapping[str, ColumnProfile]
    parts: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Its name for messages."""
        return self.source if self.sheet is None else f"{self.source}, sheet {self.sheet!r}"


@cache
def lexicon() -> Mapping[str, Any]:
    """Return the words of column_words.yaml, their patterns filled in."""
    text = files("errdetect.data").joinpath("column_words.yaml").read_text(encoding="utf-8")
    raw: Any = parse_yaml(text)
    lists = {key: raw[key] for key in ("ids", "times", "accounts", "items", "machine", "harms")}
    names = {
        target: [
            (float(weight), part.removeprefix("~").format(**lists), part.startswith("~"))
            for weight, pattern in patterns
            for part in re.split(r"\|(?=~)", pattern)
        ]
        for target, patterns in raw["names"].items()
    }
    actions = {meaning: [plain_word(w) for w in words] for meaning, words in raw["actions"].items()}
    for word, meaning in action_meanings({}).items():
        actions[meaning].append(plain_word(word))
    groups = {
        key: {meaning: {plain_word(str(w)) for w in words} for meaning, words in raw[key].items()}
        for key in ("verdicts", "sources", "appeals", "appeals_named")
    }
    return {
        "names": names,
        "actions": {meaning: _inflected(words) for meaning, words in actions.items()},
        **{key: {m: _inflected(w) for m, w in group.items()} for key, group in groups.items()},
        "short": raw["short"],
        "ids": raw["ids"],
        "idle": {kind: set(words) for kind, words in raw["idle"].items()},
        "appealing": re.compile(raw["appealing"]),
        "times": raw["times"],
        "notes": re.compile(raw["notes"]),
        "later": re.compile(raw["later"].removeprefix("~")),
        "policies": re.compile(raw["policies"].removeprefix("~")),
        "countries": set(raw["countries"].split()),
        "languages": set(raw["languages"].split()),
    }


def _inflected(words: Iterable[str]) -> set[str]:
    """Add the feminine and the plural of single words, as Romance languages write them."""
    out = set(words)
    for word in [one for one in out if len(one) >= 5 and " " not in one]:
        stem = word[:-1] + "a" if word.endswith("o") else word + "e"
        out |= {stem, stem + "s", word + "s"}
    return out


#: Letters that do not decompose into a plain one and an accent.
_PLAIN = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "L", "ı": "i", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "æ": "ae"}
)


def _bare(text: str) -> str:
    text = text.translate(_PLAIN)
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def plain_name(name: str) -> str:
    """Return a column's name in lower case, its words joined by underscores, without accents.

    Examples
    --------
    >>> plain_name("PrüferName"), plain_name("Decision ID"), plain_name("QA_Result__c")
    ('prufer_name', 'decision_id', 'qa_result')
    """
    split = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", _bare(name).replace("#", "_nr")
    )
    joined = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
    return joined.removesuffix("_c") if name.endswith("__c") else joined


def plain_word(word: str) -> str:
    """Return a value in lower case, without accents, its words joined by single spaces."""
    return re.sub(r"[\s_-]+", " ", _bare(word).lower()).strip(" .!")


@cache
def match_name(name: str, target: str) -> float:
    """Return how surely a column's name means one of ours, 0 to 1.

    Examples
    --------
    >>> match_name("Entscheidungsdatum", "decided_at"), match_name("colour", "decided_at")
    (1.0, 0.0)
    """
    plain = plain_name(name)
    unqualified = plain_name(re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", name))  # Risk Score (0-1000)
    # The end of a nested object's path says most: listing.seller, event.model.version.
    inner = name.partition(".")[2]
    best = 0.95 * match_name(inner, target) if inner else 0.0
    # Umlauts written out, and words joined without a sign: pruefer, decisionid.
    joined = re.sub(_JOINED, r"\1_\2", plain)
    full = "_".join(lexicon()["short"].get(word, word) for word in plain.split("_"))
    for text in {plain, unqualified, re.sub(r"(?<=[aou])e(?=[a-z])", "", plain), joined, full}:
        for weight, pattern, anywhere in lexicon()["names"].get(target, ()):
            if re.fullmatch(pattern, text) or (anywhere and re.search(pattern, text)):
                best = max(best, weight)
            elif not anywhere and re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", text):
                best = max(best, 0.7 * weight)
    return best


def read_profiles(source: Sources) -> list[TableProfile]:
    """Read the tables of a file, a folder or a glob; each sheet of a workbook is one.

    Raises
    ------
    DataError
        If it cannot be read as a table.
    """
    tables = []
    files_found = find_files(source)
    if files_found[0].format == "excel":
        for file in files_found:
            with open_source(file) as stream:
                names = sheet_names(stream, file.shown)
            for sheet in names:
                one = replace(file, mapping=FileSource(path="", sheet=sheet))
                tables.append(_profile([one], str(source), sheet))
    else:
        tables.append(_profile(files_found, str(source), None))
    return [table for table in tables if table.n_rows and len(table.columns) > 1]


def join_profiles(tables: Sequence[TableProfile]) -> list[TableProfile]:
    """Make one table of files with the same columns, such as a log for each market.

    Parameters
    ----------
    tables
        From `read_profiles`.

    Returns
    -------
    list of TableProfile
        Each joined table stands where its first part stood.
    """
    groups: dict[tuple[str | None, frozenset[str]], list[TableProfile]] = {}
    for table in tables:
        groups.setdefault((table.sheet, frozenset(table.columns)), []).append(table)
    out = []
    for (sheet, _), parts in groups.items():
        sources = list(dict.fromkeys(part.source for part in parts))
        if len(sources) == 1:
            out += parts
            continue
        mapping = None if sheet is None else FileSource(path="", sheet=sheet)
        files_found = find_files(sources, mapping=mapping)
        joined = _profile(files_found, ", ".join(sources), sheet)
        out.append(replace(joined, parts=tuple(sources)))
    return out


def _profile(found: Sequence[SourceFile], source: str, sheet: str | None) -> TableProfile:
    parts: list[pa.Table] = []
    n_rows = 0
    for file in found:
        for batch in read_batches(file, batch_rows=_BATCH):
            parts.append(batch.table)
            n_rows += batch.table.num_rows
            if n_rows >= _ROWS:
                break
    names = dict.fromkeys(name for part in parts for name in part.column_names if name)
    appeals = _about_appeals([Path(source).stem, sheet or "", *names])
    columns = {}
    for name in names:
        held = [part[name].combine_chunks() for part in parts if name in part.column_names]
        if not any(pat.is_nested(array.type) for array in held):
            columns[name] = replace(_column(name, held, n_rows), of_appeals=appeals)
    return TableProfile(source, sheet if _several_sheets(found) else None, n_rows, columns)


def _about_appeals(names: Iterable[str]) -> bool:
    """Return whether a table is about appeals, by its name or that of an appeal's id or answer."""
    pattern = lexicon()["appealing"]
    found = [plain_name(name) for name in names]
    ids = re.compile(rf"_?({lexicon()['ids']}|ref|appeals?)$")
    return any(pattern.search(name) and ids.search(name) for name in found) or bool(
        pattern.search(found[0])
    )


def _several_sheets(found: Sequence[SourceFile]) -> bool:
    return found[0].format == "excel"


def _column(name: str, arrays: Sequence[pa.Array], n_rows: int) -> ColumnProfile:
    texts = pa.chunked_array([_texts(name, array) for array in arrays]).combine_chunks().drop_null()
    series = texts.to_pandas().str.strip()
    series = series[series != ""]
    step = max(1, len(series) // _SAMPLE)
    sample = series.iloc[::step].head(_SAMPLE)
    words = Counter(
        {plain_word(str(w)): int(n) for w, n in sample.value_counts().head(500).items()}
    )
    numbers, percent, comma = _numbers(name, sample)
    time, dates, zoned = _times(name, sample, arrays, len(numbers) > 0)
    return ColumnProfile(
        name, tuple(sample), n_rows, len(series), int(series.nunique()), words, numbers, percent, comma,
        time, dates, zoned, frozenset(series.unique()),
    )  # fmt: skip


def _texts(name: str, array: pa.Array) -> pa.Array:
    """Return values as text: whole numbers by their digits, times as ISO 8601."""
    if pat.is_timestamp(array.type):
        suffix = "" if array.type.tz is None else "Z"
        moments = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False)
        texts = moments.cast(pa.timestamp("us")).cast(pa.large_string()).to_pandas() + suffix
        return pa.array(texts, pa.large_string())
    try:
        return to_text(name, array).values
    except DataError:
        return pa.nulls(len(array), pa.large_string())


def _numbers(name: str, sample: "pd.Series[str]") -> tuple[npt.NDArray[np.float64], bool, bool]:
    nothing = np.empty(0, np.float64)
    if not len(sample):
        return nothing, False, False
    texts = pa.array(sample, pa.large_string())
    form = infer_number_format(texts)
    if form.given == 0 or form.numbers < 0.95 * form.given:
        return nothing, False, False
    read = to_number(name, texts, typed=False, form=form, percent=True).values
    values = read.drop_null().to_numpy(zero_copy_only=False)
    return values, bool(sample.str.contains("%").any()), form.decimal_sign == "comma"


def _times(
    name: str, sample: "pd.Series[str]", arrays: Sequence[pa.Array], numeric: bool
) -> tuple[float, str, bool]:
    """Return the share that is a time, the order of day and month, and whether zones are named."""
    given = sample[~sample.str.lower().isin(MISSING_WORDS)]
    if not len(given):
        return 0.0, "", True
    zoned = any(pat.is_timestamp(a.type) and a.type.tz is not None for a in arrays) or bool(
        given.head(200).str.contains(_ZONED).mean() > 0.5
    )
    matches = [_SLASHED.match(value) for value in given.head(2000)]
    slashed = [match for match in matches if match]
    if len(slashed) > 0.9 * len(matches):
        first, third = (max(int(match[place]) for match in slashed) for place in (1, 3))
        dotted = slashed[0][2] == "."
        order = "day_first" if first > 12 else "month_first" if third > 12 else "either"
        if order == "either" and dotted:
            order = "day_first"
        return (0.0 if first > 12 and third > 12 else 1.0), order, zoned
    read = to_time(name, pa.array(given.head(2000), pa.large_string()))
    share = 1 - float(np.mean(read.bad | np.asarray(read.values.is_null())))
    if numeric and share == 0 and given.str.fullmatch(_RECENT_DAY).all():
        return 1.0, "day_numbers", False
    return share, "", zoned or (numeric and share > 0)
