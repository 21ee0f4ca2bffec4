"""Values of tables and results as what JSON knows."""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["plain_value"]


def plain_value(value: Any) -> Any:
    """Turn a value into what JSON holds.

    Parameters
    ----------
    value
        A scalar, a time, a path, a list, a mapping, a table or a dataclass, also nested, as Python,
        pandas, numpy and Arrow give them.

    Returns
    -------
    object
        Text, numbers, booleans, None (what is missing or not finite), lists and dicts; tables as
        lists of rows, dataclasses as dicts; days and times in ISO 8601.

    Examples
    --------
    >>> plain_value({"n": np.int64(3), "x": float("nan"), "at": pd.Timestamp("2026-01-01", tz="UTC")})
    {'n': 3, 'x': None, 'at': '2026-01-01T00:00:00+00:00'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain_value(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return [plain_value(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain_value(one) for one in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, str | bool | int | float):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)
