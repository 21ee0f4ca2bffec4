"""The receipt of an audit draw: what a third party needs to check the frame and draw again."""

import getpass
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.provenance import digest_value, to_plain_json
from errdetect.errors import DataError, error_message
from errdetect.estimation.sampling_designs import draw_sample
from errdetect.version import __version__

__all__ = [
    "FRAME_COLUMNS",
    "RECEIPT_FILE",
    "Seed",
    "digest_columns",
    "draw_again",
    "draw_id_of",
    "draw_receipt",
    "login_name",
    "sort_frame",
]

#: The receipt's file in the folder of `plan-audit`.
RECEIPT_FILE = "audit.json"
#: The columns of frame.parquet.
FRAME_COLUMNS = ("decision_id", "decided_at", "inclusion_probability", "stratum")

_FORMAT = 1
#: JSON readers keep whole numbers up to this many bits (RFC 8259, section 6).
_SEED_BITS = 53
_ROWS = 100_000


@dataclass(frozen=True)
class Seed:
    """The seed of a draw.

    Parameters
    ----------
    value
        At least 0.
    source
        `given`, or `drawn from the operating system`.
    """

    value: int
    source: str

    @classmethod
    def of(cls, given: int | None) -> Self:
        """Return the seed given, or a new one that nobody could choose.

        Raises
        ------
        DataError
            If it is below 0.

        Examples
        --------
        >>> Seed.of(7)
        Seed(value=7, source='given')
        >>> Seed.of(None) == Seed.of(None)
        False
        """
        if given is None:
            return cls(secrets.randbits(_SEED_BITS), "drawn from the operating system")
        if given < 0:
            raise DataError(error_message("seed", "be at least 0", given, "Give another."))
        return cls(given, "given")


def login_name() -> str:
    """Return the name of the person logged in, or `unknown`."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"


def sort_frame(frame: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Return the order of the draw: by decision_id, whatever the log's order.

    Examples
    --------
    >>> sort_frame(pd.DataFrame({"decision_id": ["b", "a", "B"]})).tolist()
    [2, 1, 0]
    """
    return np.argsort(frame["decision_id"].to_numpy(object), kind="stable")


def digest_columns(frame: pd.DataFrame, *columns: str) -> str:
    r"""Digest columns of a table in the order of decision_id.

    SHA-256 of one line a row: a JSON array of decision_id and the columns without spaces, in ASCII.
    Times are microseconds since 1970 (UTC), numbers have their shortest exact form.

    Parameters
    ----------
    frame
        With decision_id and the columns.
    columns
        Further columns.

    Examples
    --------
    >>> frame = pd.DataFrame({"decision_id": ["b", "a"], "inclusion_probability": [0.1, 1.0]})
    >>> lines = b'["a",1.0]\n["b",0.1]\n'
    >>> digest_columns(frame, "inclusion_probability") == hashlib.sha256(lines).hexdigest()
    True
    """
    ordered = frame.iloc[sort_frame(frame)]
    parts = [_json_texts(ordered[name]) for name in ("decision_id", *columns)]
    digest = hashlib.sha256()
    for start in range(0, len(ordered), _ROWS):
        rows = zip(*(part[start : start + _ROWS] for part in parts), strict=True)
        digest.update("".join(f"[{','.join(row)}]\n" for row in rows).encode("ascii"))
    return digest.hexdigest()


def _json_texts(values: pd.Series) -> list[str]:
    """Return a column as JSON: an encoder's call for each row would take ten times as long."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.as_unit("us").astype("int64")
    if pd.api.types.is_numeric_dtype(values.dtype):
        return [repr(one) for one in values.tolist()]
    return [encode_basestring_ascii(one) for one in values.tolist()]


def draw_again(frame: pd.DataFrame, seed: int) -> npt.NDArray[np.int64]:
    """Return which rows of a frame a seed draws, ascending by decision_id.

    Parameters
    ----------
    frame
        With the columns of `FRAME_COLUMNS`, in any order of its rows.
    seed
        From the receipt.

    Examples
    --------
    >>> frame = pd.DataFrame({"decision_id": list("badc"), "inclusion_probability": 0.5, "stratum": 0})
    >>> rows = draw_again(frame, 3)
    >>> (frame["decision_id"].iloc[rows].tolist()
    ...  == frame[::-1].iloc[draw_again(frame[::-1], 3)]["decision_id"].tolist())
    True
    """
    order = sort_frame(frame)
    probability = frame["inclusion_probability"].to_numpy(np.float64)[order]
    stratum = frame["stratum"].to_numpy(np.int64)[order]
    drawn = draw_sample(probability, np.random.default_rng(seed), segment=stratum)
    return order[drawn].astype(np.int64)


def draw_receipt(
    frame: pd.DataFrame,
    drawn: pd.DataFrame,
    seed: Seed,
    *,
    design: Mapping[str, Any],
    left_out: pd.DataFrame,
) -> dict[str, Any]:
    """Return the receipt of a draw as JSON values, without when and by whom it was drawn.

    Parameters
    ----------
    frame
        With the columns of `FRAME_COLUMNS`.
    drawn
        decision_id and inclusion_probability of the drawn decisions.
    seed
        Of the draw.
    design
        What the probabilities follow from: method, floor, minimum, budget, size measure, strata.
    left_out
        decision_id, decided_at and draw_id of the decisions that earlier draws hold and that are
        therefore not in the frame; empty where none are.
    """
    log = pd.concat([frame["decided_at"], left_out["decided_at"]])
    frame_facts = {
        "file": "frame.parquet",
        "n_decisions": len(frame),
        "digest": digest_columns(frame, "decided_at"),
        "probabilities_digest": digest_columns(frame, "inclusion_probability", "stratum"),
        "period_from": log.min(),
        "period_to": log.max(),
    }
    probabilities = digest_columns(drawn, "inclusion_probability")
    drawn_facts = {"file": "audit.parquet", "n_decisions": len(drawn), "digest": probabilities}
    left_out_facts = {
        "file": "left_out.parquet",
        "n_decisions": len(left_out),
        "digest": digest_columns(left_out, "decided_at"),
        "draws": sorted(left_out["draw_id"].unique().tolist()),
    }
    what = {
        "frame": frame_facts,
        "left_out": left_out_facts if len(left_out) else None,
        "seed": {
            "value": seed.value,
            "source": seed.source,
            "numpy": np.__version__,
            "generator": "numpy.random.default_rng",
        },
        "drawn": drawn_facts,
    }
    head = {"format": _FORMAT, "errdetect": __version__, "draw_id": draw_id_of(what)}
    found: dict[str, Any] = to_plain_json(head | what | {"design": design})
    return found


def draw_id_of(receipt: Mapping[str, Any]) -> str:
    """Return a draw's id, from its frame, seed and drawn decisions.

    The same draw has the same id, whoever makes it and whenever: recording it again is no new draw.

    Parameters
    ----------
    receipt
        With frame, left_out, seed and drawn.
    """
    what = {name: receipt[name] for name in ("frame", "left_out", "drawn")}
    return f"audit-{digest_value(what | {'seed': receipt['seed']['value']})[:16]}"
