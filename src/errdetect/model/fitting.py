"""Fitting the members, one by one, on the same prepared decisions."""

from collections.abc import Callable, Mapping
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from errdetect.features.matrix import SEGMENT_COLUMN
from errdetect.model.additive import fit_additive
from errdetect.model.ensemble_members import Head, Member, fit_line
from errdetect.model.prepare import Prepared
from errdetect.model.trees import fit_trees

__all__ = ["MEMBERS", "fit_member", "fit_members"]

_RIDGE = 30.0
_MAX_ADDITIVE = 20_000
_EXTRA = ("extra", "extra_error")  # extremely random trees vary less, so they may grow larger
_TEXT_COLUMN = "text_logit_mean"

#: What each member learns, in the order of fitting. `segment` and `text` need no fit of their own.
MEMBERS: Mapping[str, Head] = {
    "violates": "violates",
    "extra": "violates",
    "extra_error": "error",
    "additive": "error",
    "text": "violates",
    "segment": "error",
}


def fit_member(
    name: str,
    prepared: Prepared,
    data: lgb.Dataset,
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
    rounds: int | None = None,
    held: tuple[Prepared, lgb.Dataset] | None = None,
) -> Member:
    """Fit one member; trees for so many rounds, or until later decisions say stop.

    Parameters
    ----------
    name
        One of `MEMBERS`.
    prepared, data
        What it learns from, and the same binned.
    params
        LightGBM's settings.
    seed, threads
        Seed of all randomness; processors used.
    rounds, held
        For trees, exactly one: how many rounds, or the later decisions and the same binned.
    """
    head, names = MEMBERS[name], prepared.encoding.names
    e = prepared.examples
    if name in ("segment", "text"):
        column = names.index(SEGMENT_COLUMN if name == "segment" else _TEXT_COLUMN)
        return Member(name, head, fit_line(prepared.X, column, e.weight))
    if name == "additive":
        levels = {
            i: len(prepared.encoding.categorical[names[i]]) for i in prepared.encoding.categories
        }
        rows = _some(len(e), seed)
        model = fit_additive(
            prepared.X[rows], e.target(head)[rows], e.weight[rows], categories=levels, side=names.index("enforced"),
            ridge=_RIDGE,
        )  # fmt: skip
        return Member(name, head, model)
    data.set_label(e.target(head))
    if held is not None:
        held[1].set_label(held[0].examples.target(head))
    settings = dict(params)
    if name in _EXTRA:
        settings |= {"extra_trees": True, "num_leaves": min(63, 2 * params["num_leaves"] + 1)}
    trees = fit_trees(
        data, settings, seed=seed, threads=threads, rounds=rounds, held=held[1] if held else None
    )
    return Member(name, head, trees)


def fit_members(
    prepared: Prepared,
    names: set[str],
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
    rounds: Mapping[str, int] | None = None,
    held: Prepared | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Member]:
    """Fit some members, in their order; trees for given rounds, or as long as later ones say."""
    data = prepared.data()
    later = None if held is None else (held, held.data(data))
    out = []
    for name in MEMBERS:
        if name in names:
            progress(f"fitting '{name}' on {len(prepared.examples):,} decisions")
            trees = (rounds or {}).get(name)
            how: dict[str, Any] = {"seed": seed, "threads": threads, "rounds": trees}
            out.append(fit_member(name, prepared, data, params, held=later, **how))
    return out


def _some(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose the rows that the additive model learns from: so many that more change little."""
    if n <= _MAX_ADDITIVE:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, _MAX_ADDITIVE, replace=False))
