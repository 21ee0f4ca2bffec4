"""Values of tables as what JSON knows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["plain_value"]


def plain_value(value: Any) -> Any:
    """Turn a table's value into what JSON holds.

    Parameters
    ----------
    value
        A scalar, a time, a list or a mapping, also nested, as pandas, numpy and Arrow give them.

    Returns
    -------
    object
        Text, numbers, booleans, None (what is missing or not finite), lists and dicts; times in
        ISO 8601.

    Examples
    --------
    >>> plain_value({"n": np.int64(3), "x": float("nan"), "at": pd.Timestamp("2026-01-01", tz="UTC")})
    {'n': 3, 'x': None, 'at': '2026-01-01T00:00:00+00:00'}
    """
    if isinstance(value, Mapping):
        return {str(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain_value(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, str | bool | int | float):
        return value
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)
