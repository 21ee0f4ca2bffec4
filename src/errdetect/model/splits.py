"""Parts by time: the only split that shows what a model will meet."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, sentence

__all__ = ["FIT", "TEST", "TUNE", "temporal_parts"]

FIT, TUNE, TEST = 0, 1, 2


def temporal_parts(
    decided_at: pd.Series, parts: tuple[float, float, float]
) -> npt.NDArray[np.int8]:
    """Split decisions by time into fit, tune and test.

    Parameters
    ----------
    decided_at
        Shape (n,), when each decision was taken.
    parts
        Shares of fit, tune and test, adding up to 1.

    Returns
    -------
    numpy.ndarray
        Shape (n,), values `FIT`, `TUNE` or `TEST`. Decisions of one moment share a part, so no
        part begins before the one before it has ended.

    Raises
    ------
    DataError
        Where the decisions are too few, or too much at one moment, for three parts.

    Examples
    --------
    >>> times = pd.Series(pd.date_range("2026-01-01", periods=10, tz="UTC"))
    >>> temporal_parts(times, (0.6, 0.2, 0.2)).tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 2, 2]
    """
    times = pd.DatetimeIndex(decided_at).as_unit("us").asi8
    ordered = np.sort(times)
    n = len(ordered)
    out = np.full(n, FIT, np.int8)
    for code, share in ((TUNE, parts[0]), (TEST, parts[0] + parts[1])):
        place = min(round(share * n), n - 1)
        if n:
            out[times >= ordered[place]] = code
    if n == 0 or len(np.unique(out)) < 3:
        do = "Give decisions from a longer time, or from more moments."
        got = f"{n} decisions at {len(np.unique(times))} moments"
        raise DataError(sentence("Labelled decisions", "fall into three parts by time", got, do))
    return out
