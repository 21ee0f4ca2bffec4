"""The simulated platform's policy catalogue."""

import copy
import datetime as dt
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from errdetect.simulation.platform_facts import POLICIES

__all__ = ["REVIEW_MINUTES", "policy_catalogue"]


@cache
def _policy_rows() -> list[dict[str, Any]]:
    source = files("errdetect.simulation").joinpath("policies.yaml")
    rows: list[dict[str, Any]] = yaml.safe_load(source.read_text(encoding="utf-8"))["policies"]
    return rows


def policy_catalogue(changed_on: dt.date) -> list[dict[str, Any]]:
    """Return the catalogue's rows; the rule on animal products changed on the given day.

    Examples
    --------
    >>> rows = policy_catalogue(dt.date(2025, 3, 1))
    >>> len(rows), {r["effective_from"] for r in rows if r["policy_id"] == "animal_products"}
    (12, {datetime.date(2025, 3, 1)})
    """
    rows = copy.deepcopy(_policy_rows())
    for row in rows:
        row.setdefault("effective_from", changed_on)
    return rows


#: Typical minutes of a review, by policy number.
REVIEW_MINUTES = np.array(
    [{row["policy_id"]: row for row in _policy_rows()}[name]["review_minutes"] for name in POLICIES]
)
