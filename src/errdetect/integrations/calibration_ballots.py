"""Ballots of a calibration session, out as Excel and Label Studio, and back in."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from errdetect.data.atomic_writing import unescape_formula
from errdetect.data.excel_sheets import read_sheet
from errdetect.data.excel_writing import FormSheet, workbook_bytes
from errdetect.data.file_opening import open_bytes
from errdetect.data.policy_catalogue import Policy
from errdetect.errors import DataError, error_message, escape_hidden
from errdetect.integrations.label_studio import (
    SESSION,
    convert_label_studio,
    is_label_studio,
)
from errdetect.integrations.queue_export import (
    FACTS,
    RIGHT_POLICY,
    VERDICT,
    label_studio_tasks,
    labelling_config,
)
from errdetect.schemas import OVERTURNED, RELABELLED, UPHELD, VERDICTS

__all__ = [
    "Answers",
    "ballot_columns",
    "ballot_files",
    "policy_words",
    "read_ballots",
    "read_rulings",
]

_BALLOT, _RULINGS = "Ballot", "Rulings"
#: Words in the names of columns that hold what a machine thinks.
_OPINION = re.compile(r"score|threshold|p_error|prob|confiden|reason|rank|risk")
_HELP: Final = {
    UPHELD: "The decision is correct.",
    OVERTURNED: "The action is wrong: the opposite action was correct.",
    RELABELLED: "The action is correct, but another policy applies: name it under right_policy.",
}
_FILL_BALLOT = (VERDICT, RIGHT_POLICY, "reviewer_id", "comment")
_FILL_RULING = ("ruling", RIGHT_POLICY, "reason", "decided_by", "ruled_on")
_SHOWN = 60
#: Characters of the list that Excel offers at a place.
_LONGEST_LIST = 255


@dataclass(frozen=True)
class Answers:
    """What came back.

    Parameters
    ----------
    frame
        The usable rows.
    rejects
        The others: source, row, id (of the decision), reason.
    n_open
        Rows without an answer.
    """

    frame: pd.DataFrame
    rejects: pd.DataFrame
    n_open: int


def ballot_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that a blind ballot may show: none with what a machine thinks.

    Parameters
    ----------
    columns
        Columns of the decisions, as `export.columns` names them.

    Examples
    --------
    >>> ballot_columns(["text", "score", "threshold", "market", "image_score"])
    ['text', 'market']
    """
    return [name for name in columns if not _OPINION.search(name.casefold())]


def ballot_files(
    items: pd.DataFrame, policies: Mapping[str, Policy], *, session: str
) -> dict[str, bytes]:
    """Return the files of a session: blind ballots, and the form for the rulings.

    Parameters
    ----------
    items
        item, decision_id, policy_id (the cited one) and what reviewers need to see of each decision
        (`text`, `action`, ...); nothing else, so that no score, reason or earlier verdict can anchor
        a reviewer.
    policies
        The catalogue, for names and clauses.
    session
        The session's id.

    Returns
    -------
    dict
        File name -> content: `ballots.xlsx` (a copy for each reviewer), `tasks.json` and
        `labelling-config.xml` for Label Studio, `rulings.xlsx` for whoever decides.

    Examples
    --------
    >>> items = pd.DataFrame({"item": [1], "decision_id": ["d"], "policy_id": ["spam"], "text": ["=1"]})
    >>> sorted(ballot_files(items, {}, session="C-1"))
    ['ballots.xlsx', 'labelling-config.xml', 'rulings.xlsx', 'tasks.json']
    """
    tasks = label_studio_tasks(items.assign(**{SESSION: session}), policies)
    config = labelling_config(items["policy_id"].unique(), policies)
    shown = _shown_columns(items, policies)
    guide = pd.DataFrame({"answer": list(_HELP), "meaning": list(_HELP.values())})
    named = pd.DataFrame(
        [(str(key), rule.name) for key, rule in policies.items()], columns=[RIGHT_POLICY, "policy"]
    )
    helps = {
        "Meaning": FormSheet(guide, wide=["meaning"]),
        "Policies": FormSheet(named, wide=["policy"]),
    }
    ids = list(policies) if len(",".join(policies)) <= _LONGEST_LIST else []
    return {
        "ballots.xlsx": workbook_bytes(
            {_BALLOT: _form(shown, _FILL_BALLOT, {VERDICT: VERDICTS, RIGHT_POLICY: ids}), **helps}
        ),
        "rulings.xlsx": workbook_bytes(
            {_RULINGS: _form(shown, _FILL_RULING, {"ruling": VERDICTS, RIGHT_POLICY: ids}), **helps}
        ),
        "tasks.json": f"{json.dumps(tasks, ensure_ascii=False, indent=1, allow_nan=False)}\n".encode(),
        "labelling-config.xml": config.encode(),
    }


def _shown_columns(items: pd.DataFrame, policies: Mapping[str, Policy]) -> pd.DataFrame:
    """Return what a ballot shows: the rule, the facts, the content last."""
    rules = [policies.get(str(name)) for name in items["policy_id"]]
    shown = items.assign(
        policy=[
            str(name) if rule is None else rule.name
            for name, rule in zip(items["policy_id"], rules, strict=True)
        ],
        clause=pd.Series(
            [None if rule is None else rule.clause for rule in rules], items.index, dtype="str"
        ),
    )
    first = ["item", "decision_id", *(name for name in FACTS if name in shown)]
    rest = [name for name in shown if name not in {*first, "policy_id", "text"}]
    return shown[[*first, *rest, *(["text"] if "text" in shown else [])]]


def _form(
    shown: pd.DataFrame, fill: Sequence[str], choices: Mapping[str, Sequence[str]]
) -> FormSheet:
    rows = shown.assign(**dict.fromkeys(fill))
    wide = ["text", "clause", "reason", "comment"]
    offered = {name: words for name, words in choices.items() if words}
    return FormSheet(rows, offered, to_fill=fill, wide=wide)


def policy_words(policies: Mapping[str, Policy], ids: Iterable[str]) -> dict[str, str]:
    """Return what people may write for a policy: its id or its name, in small letters -> its id.

    A name that several policies share is none.

    Examples
    --------
    >>> policy_words({"spam": Policy("spam", "Unwanted offers", 1)}, ["scam"])
    {'unwanted offers': 'spam', 'scam': 'scam', 'spam': 'spam'}
    """
    names = [rule.name.strip().casefold() for rule in policies.values()]
    own = {
        name: str(key) for name, key in zip(names, policies, strict=True) if names.count(name) == 1
    }
    return own | {str(key).casefold(): str(key) for key in (*ids, *policies)}


def read_ballots(
    paths: Iterable[str | Path], ids: Iterable[str], known: Mapping[str, str] | None = None
) -> Answers:
    r"""Read filled-in ballots: Excel, CSV, or an export of Label Studio.

    Parameters
    ----------
    paths
        The files. A ballot without reviewer_id is that of the file's name.
    ids
        The session's decisions.
    known
        From `policy_words`: a right policy that is none of these is a reject. None: any is taken.

    Returns
    -------
    Answers
        frame: decision_id, reviewer_id, verdict, correct_policy_id, comment, source; a reviewer's
        answer on an item counts once, of a changed annotation the latest. Two different answers of
        one reviewer in forms are a reject from the second on; so are unknown words.

    Raises
    ------
    DataError
        If a file is none of these.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ana.csv"
    >>> _ = path.write_text("decision_id;verdict\nd1;Upheld\nd2;maybe\nd1;upheld\n")
    >>> answers = read_ballots([path], ["d1", "d2"])
    >>> answers.frame[["decision_id", "reviewer_id", "verdict"]].values.tolist()
    [['d1', 'ana', 'upheld']]
    >>> answers.rejects["reason"].tolist()
    ["verdict must be one of upheld, overturned, relabelled, got 'maybe'"]
    """
    rows, rejects = list[dict[str, Any]](), list[dict[str, Any]]()
    for path in map(Path, paths):
        found, faults = (
            _exported(path) if is_label_studio(path) else _filled(path, _BALLOT, VERDICT)
        )
        rows += [{"reviewer_id": path.stem, **row} for row in found]
        rejects += faults
    good, bad, n_open = _check_rows(rows, set(ids), VERDICT, known)
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for row in good:
        same = kept.setdefault((row["decision_id"], row["reviewer_id"]), row)
        differ = same["verdict"] != row["verdict"]
        if differ or same["correct_policy_id"] != row["correct_policy_id"]:
            bad.append(
                _reject(row, "the reviewer's first answer on this item is kept, got another")
            )
    names = ["decision_id", "reviewer_id", "verdict", "correct_policy_id", "comment", "source"]
    return Answers(_frame(list(kept.values()), names), _rejects([*rejects, *bad]), n_open)


def read_rulings(
    paths: Iterable[str | Path], ids: Iterable[str], known: Mapping[str, str] | None = None
) -> Answers:
    """Read the rulings of a session: the form `rulings.xlsx`, as Excel or CSV.

    Parameters
    ----------
    paths, ids, known
        As for `read_ballots`.

    Returns
    -------
    Answers
        frame: decision_id, ruling, correct_policy_id, reason, by, ruled_at (text), source. An item
        with several rulings has none: all of them are rejects.

    Raises
    ------
    DataError
        If a file is neither.
    """
    rows, rejects = list[dict[str, Any]](), list[dict[str, Any]]()
    for path in map(Path, paths):
        found, faults = _filled(path, _RULINGS, "ruling")
        rows += found
        rejects += faults
    good, bad, n_open = _check_rows(rows, set(ids), "ruling", known)
    named = pd.Series([row["decision_id"] for row in good], dtype="str")
    twice = set(named[named.duplicated()])
    bad += [_reject(r, "an item must have one ruling") for r in good if r["decision_id"] in twice]
    kept = [row for row in good if row["decision_id"] not in twice]
    names = ["decision_id", "ruling", "correct_policy_id", "reason", "by", "ruled_at", "source"]
    return Answers(_frame(kept, names), _rejects([*rejects, *bad]), n_open)


Rows = list[dict[str, Any]]


def _exported(path: Path) -> tuple[Rows, Rows]:
    """Return the latest version of each annotation, and the unusable ones."""
    read = convert_label_studio(path, ballots=True)
    latest = read.frame.sort_values("reviewed_at", kind="stable").drop_duplicates(
        ["decision_id", "reviewer_id"], keep="last"
    )
    rows = [
        {
            "decision_id": one["decision_id"],
            "verdict": one["verdict"],
            "correct_policy_id": _text(one["correct_policy_id"]),
            "comment": None,
            "source": path.name,
            "row": None,
            **({} if pd.isna(one["reviewer_id"]) else {"reviewer_id": one["reviewer_id"]}),
        }
        for one in latest.to_dict("records")
    ]
    faults = read.rejects.assign(source=path.name).to_dict("records")
    return rows, [{str(k): v for k, v in one.items()} for one in faults]


def _filled(path: Path, sheet: str, needed: str) -> tuple[Rows, Rows]:
    """Read the rows of a filled-in form."""
    names, values = _read_table(path, sheet)
    missing = [name for name in ("decision_id", needed) if name not in names]
    if missing:
        do = "Give the form that `errdetect calibrate` wrote, filled in."
        got, must = ", ".join(names[:12]) or "nothing", f"have the columns {', '.join(missing)}"
        raise DataError(error_message(path.name, must, got, do))
    rows = []
    for number, line in enumerate(values, start=1):
        given = dict(zip(names, line, strict=False))
        row = {name: _text(given.get(name)) for name in names}
        if not any(row.values()):
            continue
        found = {
            "decision_id": unescape_formula(row["decision_id"] or ""),
            needed: (row[needed] or "").lower(),
            "correct_policy_id": _unescaped(row.get(RIGHT_POLICY)),
            "comment": _unescaped(row.get("comment")),
            "reason": _unescaped(row.get("reason")),
            "by": _unescaped(row.get("decided_by")),
            "ruled_at": row.get("ruled_on"),
            "source": path.name,
            "row": number,
        }
        named = _unescaped(row.get("reviewer_id"))
        rows.append(found | ({"reviewer_id": named} if named else {}))
    return rows, []


def _read_table(path: Path, sheet: str) -> tuple[list[str], list[list[str | None]]]:
    if not path.is_file():
        do = "Name a file that exists."
        raise DataError(error_message(str(path), "be a file", "nothing there", do))
    with open_bytes(path) as stream:
        head = stream.read(4)
    if head.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        with path.open("rb") as book:
            names, rows, _ = read_sheet(book, path.name, sheet)
        return names, rows
    with open_bytes(path) as stream:
        text = stream.read().decode("utf-8-sig", errors="replace")
    first = text.partition("\n")[0]
    lines = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count)))
    return ([name.strip() for name in lines[0]], [list(one) for one in lines[1:]]) if lines else ([], [])  # fmt: skip


def _text(value: object) -> str | None:
    """Return a value as trimmed text; None where there is none."""
    if value is None or value is pd.NA or value != value:
        return None
    return str(value).strip() or None


def _unescaped(value: str | None) -> str | None:
    return None if value is None else unescape_formula(value)


def _check_rows(
    rows: Rows, ids: set[str], word: str, known: Mapping[str, str] | None
) -> tuple[Rows, Rows, int]:
    """Separate usable rows, unusable ones, and those not answered."""
    good, bad, n_open = Rows(), Rows(), 0
    for row in rows:
        if row["decision_id"] not in ids:
            bad.append(_reject(row, "decision_id must be an item of this session"))
        elif not row[word]:
            n_open += 1
        elif row[word] not in VERDICTS:
            got = escape_hidden(row[word])[:_SHOWN]
            bad.append(_reject(row, f"{word} must be one of {', '.join(VERDICTS)}, got {got!r}"))
        elif row[word] == RELABELLED and not row["correct_policy_id"]:
            bad.append(_reject(row, f"{RELABELLED} must name the {RIGHT_POLICY}"))
        elif row[word] == RELABELLED and _policy_id(row, known) is None:
            got = escape_hidden(str(row["correct_policy_id"]))[:_SHOWN]
            must = "be an id or a name of the sheet Policies"
            bad.append(_reject(row, f"{RIGHT_POLICY} must {must}, got {got!r}"))
        else:
            named = _policy_id(row, known) if row[word] == RELABELLED else None
            good.append({**row, "correct_policy_id": named})
    return good, bad, n_open


def _policy_id(row: Mapping[str, Any], known: Mapping[str, str] | None) -> str | None:
    written = str(row["correct_policy_id"])
    return written if known is None else known.get(written.strip().casefold())


def _reject(row: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {"source": row["source"], "row": row["row"], "id": row["decision_id"], "reason": reason}


def _rejects(rows: Rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["source", "row", "id", "reason"])
    return frame.astype({"source": "str", "row": "Int64", "id": "str", "reason": "str"})


def _frame(rows: Rows, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names)).astype(dict.fromkeys(names, "str"))
