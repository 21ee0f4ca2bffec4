"""Checking an audit draw against its receipt and the log, and drawing it again."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.config import Config
from errdetect.data.provenance import Provenance
from errdetect.data.table_reading import read_decisions
from errdetect.errors import escape_hidden
from errdetect.ledger.ledger import find_ledger
from errdetect.workflows.audit_receipt import (
    FRAME_COLUMNS,
    RECEIPT_FILE,
    digest_columns,
    draw_again,
    draw_id_of,
)

__all__ = ["check_receipt"]

Deviations = dict[str, list[str]]
_FRAME, _AUDIT, _LEFT_OUT = "frame.parquet", "audit.parquet", "left_out.parquet"
#: What the ledger's receipt of a draw must have in common with the folder's.
_FIXED = ("frame", "left_out", "drawn", "drawn_at", "due_at", "drawn_by")
_EXAMPLES = 3


@dataclass(frozen=True)
class _Receipt:
    """What is checked of a receipt."""

    raw: Mapping[str, Any]
    draw_id: str
    drawn_at: pd.Timestamp
    due_at: pd.Timestamp | None
    seed: int
    period: tuple[pd.Timestamp, pd.Timestamp]
    digests: Mapping[str, str]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read it; ValueError, KeyError, TypeError or OSError where it is none."""
        raw = json.loads(file.read_bytes())
        frame, left_out = raw["frame"], raw["left_out"]
        digests = {_FRAME: frame["digest"], _AUDIT: raw["drawn"]["digest"],
                   "probabilities": frame["probabilities_digest"]}  # fmt: skip
        digests |= {} if left_out is None else {_LEFT_OUT: left_out["digest"]}
        return cls(
            raw,
            str(raw["draw_id"]),
            _moment(raw["drawn_at"]),
            None if raw["due_at"] is None else _moment(raw["due_at"]),
            int(raw["seed"]["value"]),
            (_moment(frame["period_from"]), _moment(frame["period_to"])),
            digests,
        )


def check_receipt(folder: Path, run: Provenance, config: Config) -> Deviations:
    """Check a plan's receipt, frame and draw; neither ledger nor model are needed.

    Parameters
    ----------
    folder
        Of `plan-audit`, with its receipt.
    run
        From the folder's `run.json`.
    config
        Names the log. If its ledger has the draw, the receipt is compared with the ledger's, too.

    Returns
    -------
    dict
        Each file that was checked -> its deviations, in sentences.

    Raises
    ------
    ErrdetectError
        If the log cannot be read.
    """
    try:
        receipt = _Receipt.read(folder / RECEIPT_FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {RECEIPT_FILE: [f"cannot be read as a receipt ({_short(error)})"]}
    names = {_FRAME: FRAME_COLUMNS, _AUDIT: ("decision_id", "inclusion_probability")}
    if _LEFT_OUT in receipt.digests:
        names[_LEFT_OUT] = ("decision_id", "decided_at", "draw_id")
    found: Deviations = {RECEIPT_FILE: list(_check_record(receipt, run, config))}
    tables = {}
    for name, columns in names.items():
        try:
            tables[name] = _read(folder / name, columns)
            found[name] = list(_check_content(name, tables[name], receipt))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            found[name] = [f"cannot be read ({_short(error)})"]
    if len(tables) == len(names):
        frame, left_out = tables[_FRAME], tables.get(_LEFT_OUT)
        found[_FRAME] += _check_log(frame, left_out, receipt, config)
        found[_AUDIT] += _check_draw(tables[_AUDIT], frame, receipt)
    return found


def _read(file: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a table whose ids are unique and whose probabilities could be drawn with."""
    frame: pd.DataFrame = pq.read_table(file).to_pandas()
    absent = [name for name in columns if name not in frame]
    if absent:
        raise ValueError(f"it lacks {', '.join(absent)}")
    if frame["decision_id"].isna().any() or frame["decision_id"].duplicated().any():
        raise ValueError("a decision_id is missing or occurs twice")
    if "inclusion_probability" in frame:
        probability = frame["inclusion_probability"].to_numpy(np.float64)
        if not ((probability > 0) & (probability <= 1)).all():
            raise ValueError("an inclusion_probability is outside of (0, 1]")
    if "stratum" in frame and not (frame["stratum"].to_numpy(np.int64) >= 0).all():
        raise ValueError("a stratum is below 0")
    return frame


def _check_record(receipt: _Receipt, run: Provenance, config: Config) -> Iterator[str]:
    """Check the receipt itself, against run.json, and against the ledger's where there is one."""
    if receipt.draw_id != draw_id_of(receipt.raw):
        yield "its draw_id is not the digest of frame, seed and drawn decisions"
    if receipt.seed != run.seed:
        yield f"its seed is {receipt.seed}, that of run.json is {run.seed}"
    if run.at is None or receipt.drawn_at != pd.Timestamp(run.at):
        yield f"it was drawn at {receipt.drawn_at}, by run.json at {run.at}"
    ledger = find_ledger(config.ledger_url())
    if ledger is None:
        return
    with ledger:
        known = ledger.audits().set_index("draw_id")["receipt"]
    if receipt.draw_id in known.index:
        held = json.loads(known[receipt.draw_id])
        other = [key for key in _FIXED if held.get(key) != receipt.raw.get(key)]
        if other:
            yield f"the ledger's receipt of this draw differs in {', '.join(other)}"


def _check_content(name: str, table: pd.DataFrame, receipt: _Receipt) -> Iterator[str]:
    """Check a table against the digests of the receipt."""
    columns = ("inclusion_probability",) if name == _AUDIT else ("decided_at",)
    if digest_columns(table, *columns) != receipt.digests[name]:
        yield f"decision_id and {columns[0]} are not those of {RECEIPT_FILE} (digest)"
    if name == _FRAME:
        digest = digest_columns(table, "inclusion_probability", "stratum")
        if digest != receipt.digests["probabilities"]:
            yield f"inclusion_probability and stratum are not those of {RECEIPT_FILE} (digest)"


def _check_log(
    frame: pd.DataFrame, left_out: pd.DataFrame | None, receipt: _Receipt, config: Config
) -> Iterator[str]:
    """Compare the frame, and what was left out of it, with the log of the period."""
    data = config.data
    read = read_decisions(
        config.data_paths(data.decisions), columns=data.columns, actions=data.actions,
        drop=data.drop, mapping=data.mapping("decisions"),
    )  # fmt: skip
    log = read.frame.set_index("decision_id")["decided_at"]
    known = pd.concat([frame, *([] if left_out is None else [left_out])])
    then = known.set_index("decision_id")["decided_at"]
    first, last = receipt.period
    inside = log[((log >= first) & (log <= last)).to_numpy(bool)]
    late = inside.index[~inside.index.isin(then.index)]
    if len(late):
        yield (
            f"the log has {len(late):,} more decisions of that time, {_named(late)}: they came in "
            "after the draw, so they had no chance of being drawn"
        )
    gone = then.index[~then.index.isin(log.index)]
    if len(gone):
        yield f"the log lacks {len(gone):,} of its decisions, {_named(gone)}"
    there = then[then.index.isin(log.index)]
    moved = there.index[_micros(log[there.index]) != _micros(there)]
    if len(moved):
        yield f"decided_at is another in the log for {len(moved):,} decisions, {_named(moved)}"


def _check_draw(audit: pd.DataFrame, frame: pd.DataFrame, receipt: _Receipt) -> Iterator[str]:
    """Draw again with seed and frame, and compare the decisions and their probabilities."""
    again = frame.iloc[draw_again(frame, receipt.seed)]
    here = audit.set_index("decision_id")["inclusion_probability"]
    expected = again.set_index("decision_id")["inclusion_probability"]
    further = here.index[~here.index.isin(expected.index)]
    missing = expected.index[~expected.index.isin(here.index)]
    if len(further):
        yield f"{len(further):,} decisions are not drawn by seed and frame, {_named(further)}"
    if len(missing):
        yield f"{len(missing):,} decisions drawn by seed and frame are missing, {_named(missing)}"
    both = expected[expected.index.isin(here.index)]
    other = both.index[here[both.index].to_numpy() != both.to_numpy()]
    if len(other):
        yield (
            f"inclusion_probability is not that of {_FRAME} for {len(other):,} decisions, "
            f"{_named(other)}: {here[other[0]]!r} here, {both[other[0]]!r} there"
        )
    for name, value in (
        ("draw_id", receipt.draw_id),
        ("drawn_at", receipt.drawn_at),
        ("due_at", receipt.due_at),
    ):
        if name not in audit:
            yield f"the column {name} is missing"
        elif not (audit[name].isna() if value is None else audit[name] == value).all():
            yield f"{name} is not that of {RECEIPT_FILE}"


def _micros(times: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    return np.asarray(times.dt.as_unit("us").astype("int64"), np.int64)


def _named(ids: pd.Index) -> str:
    """Name the first few."""
    shown = ", ".join(escape_hidden(str(one))[:60] for one in sorted(ids)[:_EXAMPLES])
    return f"such as {shown}"


def _moment(text: str) -> pd.Timestamp:
    return pd.Timestamp(datetime.fromisoformat(text)).tz_convert("UTC")


def _short(error: Exception) -> str:
    text = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return escape_hidden(text)[:120]
