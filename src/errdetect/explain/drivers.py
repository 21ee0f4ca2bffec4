"""What is associated with a policy's errors: reasons added up over a bounded sample."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.explain.words import Words

__all__ = ["drivers"]

Floats = npt.NDArray[np.float64]


def drivers(
    decisions: pd.DataFrame, grouped: pd.DataFrame, p_error: Floats, words: Words
) -> pd.DataFrame:
    """Add up what each reason pushes towards error, by policy and for the whole.

    Parameters
    ----------
    decisions
        Shape (n, any), with `decision_id` and `policy_id`.
    grouped
        Shape (n, codes), from `group_contributions`.
    p_error
        Shape (n,): a decision counts by how likely it is an error.
    words
        From `load_words`.

    Returns
    -------
    pandas.DataFrame
        Columns policy_id (null for the whole), code, text, share (of all pushes towards error, in
        [0, 1]), n_decisions, example_ids (up to three); largest share first.

    Examples
    --------
    >>> from errdetect.explain.words import load_words
    >>> frame = pd.DataFrame({"decision_id": ["d1", "d2"], "policy_id": ["a", "a"]})
    >>> pushes = pd.DataFrame({"market": [1.0, 0.0], "margin": [-1.0, 1.0]})
    >>> table = drivers(frame, pushes, np.array([0.5, 0.5]), load_words())
    >>> table.loc[table["policy_id"].isna(), ["text", "share"]].to_numpy().tolist()
    [['How sure the machine was', 0.5], ['The market', 0.5]]
    """
    push = np.maximum(grouped.to_numpy(), 0) * p_error[:, None]
    ids = decisions["decision_id"].to_numpy()
    parts: list[tuple[str | None, npt.NDArray[np.int64]]] = [(None, np.arange(len(decisions)))]
    policy = decisions["policy_id"].to_numpy()
    parts += [(str(p), np.flatnonzero(policy == p)) for p in sorted(set(policy))]
    rows: list[dict[str, object]] = []
    for name, chosen in parts:
        total = push[chosen].sum(axis=0)
        if total.sum() <= 0:
            continue
        share = total / total.sum()
        for g in sorted(range(len(total)), key=lambda g: (-share[g], grouped.columns[g])):
            if share[g] <= 0:
                continue
            top = chosen[np.argsort(-push[chosen, g], kind="stable")[:3]]
            code = str(grouped.columns[g])
            title = words.get(code, words["default"])["title"].format_map({"column": code})
            rows.append(
                {
                    "policy_id": name,
                    "code": code,
                    "text": title,
                    "share": float(share[g]),
                    "n_decisions": len(chosen),
                    "example_ids": [str(ids[i]) for i in top],
                }
            )
    columns = ["policy_id", "code", "text", "share", "n_decisions", "example_ids"]
    return pd.DataFrame(rows, columns=columns)
