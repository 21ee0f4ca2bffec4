"""What a review is worth: the harm that it is expected to find."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.policies import Policy
from errdetect.schemas import MISSED_VIOLATION, WRONG_LABEL, WRONGFUL_ACTION

__all__ = ["Exposure", "error_kinds", "expected_harm"]

Floats = npt.NDArray[np.float64]
Exposure = Literal["none", "log", "linear"]


def error_kinds(enforced: pd.Series, suggested_policy_id: pd.Series | None = None) -> pd.Series:
    """Return the kind of error each decision would be, shape (n,).

    Parameters
    ----------
    enforced
        Shape (n,), bool.
    suggested_policy_id
        Shape (n,), given where the label rather than the action looks wrong; missing elsewhere.

    Examples
    --------
    >>> error_kinds(pd.Series([True, False])).tolist()
    ['wrongful_action', 'missed_violation']
    >>> error_kinds(pd.Series([True, True]), pd.Series(["spam", None])).tolist()
    ['wrong_label', 'wrongful_action']
    """
    kinds = np.where(enforced.to_numpy(bool), WRONGFUL_ACTION, MISSED_VIOLATION)
    if suggested_policy_id is not None:
        kinds = np.where(suggested_policy_id.notna().to_numpy(bool), WRONG_LABEL, kinds)
    return pd.Series(kinds, index=enforced.index, dtype="str")


def expected_harm(
    decisions: pd.DataFrame,
    p_error: Floats,
    policies: Mapping[str, Policy],
    exposure: Exposure = "log",
    p_wrong_label: Floats | None = None,
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
    p_wrong_label
        Shape (n,), the part of P(error) that is a wrong label, which harms in its own way; where
        it is unknown (NaN) or not given, the action is what would be wrong.

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
    weight = _exposure_weight(decisions, exposure)
    action = _harms(decisions["policy_id"], error_kinds(decisions["enforced"]), policies)
    if p_wrong_label is None:
        return p_error * action * weight
    label = np.where(np.isfinite(p_wrong_label), p_wrong_label, 0.0)
    relabel = pd.Series(WRONG_LABEL, index=decisions.index, dtype="str")
    harm = _harms(decisions["policy_id"], relabel, policies)
    return ((p_error - label) * action + label * harm) * weight


def _harms(policy_id: pd.Series, kinds: pd.Series, policies: Mapping[str, Policy]) -> Floats:
    codes, uniques = pd.factorize(pd.MultiIndex.from_arrays([policy_id, kinds]))
    harm = np.array(
        [policies[p].harm(k) if p in policies else 1.0 for p, k in uniques], dtype=np.float64
    )
    return harm[codes]


def _exposure_weight(decisions: pd.DataFrame, exposure: Exposure) -> Floats:
    if exposure == "none" or "exposure" not in decisions:
        return np.ones(len(decisions))
    values = decisions["exposure"].to_numpy(np.float64, na_value=np.nan)
    weight = values if exposure == "linear" else 1 + np.log1p(values)
    return np.where(np.isfinite(values), weight, 1.0)
