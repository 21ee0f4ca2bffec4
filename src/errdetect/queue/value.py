"""What a review is worth: the harm that it is expected to find."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.policies import Policy
from errdetect.schemas import MISSED_VIOLATION, WRONGFUL_ACTION

__all__ = ["Exposure", "error_kinds", "expected_harm"]

Floats = npt.NDArray[np.float64]
Exposure = Literal["none", "log", "linear"]


def error_kinds(enforced: pd.Series) -> pd.Series:
    """Return the kind of error each decision would be, shape (n,).

    Examples
    --------
    >>> error_kinds(pd.Series([True, False])).tolist()
    ['wrongful_action', 'missed_violation']
    """
    kinds = np.where(enforced.to_numpy(bool), WRONGFUL_ACTION, MISSED_VIOLATION)
    return pd.Series(kinds, index=enforced.index, dtype="str")


def expected_harm(
    decisions: pd.DataFrame,
    p_error: Floats,
    policies: Mapping[str, Policy],
    exposure: Exposure = "log",
) -> Floats:
    """Return P(error) x harm of that kind of error under the policy x weight of the exposure.

    Parameters
    ----------
    decisions
        Shape (n, any), with `policy_id`, `enforced` and perhaps `exposure`.
    p_error
        Shape (n,), calibrated.
    policies
        The catalogue; a policy that is not in it harms 1.
    exposure
        `none` ignores exposure, `log` weighs by 1 + ln(1 + exposure), `linear` by exposure itself.
        An unknown exposure weighs 1.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in the catalogue's unit of harm.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "b"], "enforced": [True, False]})
    >>> catalogue = {"a": Policy("a", "A", severity=3)}
    >>> expected_harm(frame, np.array([0.5, 0.5]), catalogue).tolist()
    [1.5, 0.5]
    """
    kinds = error_kinds(decisions["enforced"])
    pairs = pd.MultiIndex.from_arrays([decisions["policy_id"], kinds])
    codes, uniques = pd.factorize(pairs)
    harm = np.array(
        [policies[p].harm(k) if p in policies else 1.0 for p, k in uniques], dtype=np.float64
    )
    return p_error * harm[codes] * _exposure_weight(decisions, exposure)


def _exposure_weight(decisions: pd.DataFrame, exposure: Exposure) -> Floats:
    if exposure == "none" or "exposure" not in decisions:
        return np.ones(len(decisions))
    values = decisions["exposure"].to_numpy(np.float64, na_value=np.nan)
    weight = values if exposure == "linear" else 1 + np.log1p(values)
    return np.where(np.isfinite(values), weight, 1.0)
