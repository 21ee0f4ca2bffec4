"""What carries the errors of each policy, read from a bounded sample, with pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.writing import write_json
from errdetect.explain.codes import shown_numbers
from errdetect.explanations.drivers import MIN_DECISIONS, drivers
from errdetect.explanations.reason_facts import title
from errdetect.workflows.explainer import Explained, Explainer
from errdetect.policy.words import clean, slug

__all__ = ["Picture", "find_drivers", "write_pictures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST_EXPLAINED, _LEAST_EACH = (
    20_000,
    50,
)  # decisions in all; of each policy, however many there are
_MOST_POLICIES, _MOST_REASONS = 5, 3  # pictures
_CHUNK = 5_000


@dataclass(frozen=True)
class Picture:
    """A picture of the report's folder.

    Parameters
    ----------
    file
        Its file's name.
    policy_id, code
        The policy and the reason that it shows; None for all.
    title, alt
        What it shows, and the same in words for people who do not see it.
    png
        The picture.
    """

    file: str
    policy_id: str | None
    code: str | None
    title: str
    alt: str
    png: bytes


def find_drivers(
    explainer: Explainer,
    decisions: pd.DataFrame,
    p_error: Floats,
    *,
    most: int,
    threads: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, tuple[Picture, ...]]:
    """Read from a sample what is associated with errors, and draw it.

    Parameters
    ----------
    explainer
        Explains decisions.
    decisions
        Shape (n, any), with `decided_at`: decisions that the model has not learnt from.
    p_error
        Shape (n,), their chance of error.
    most
        Decisions of each policy that are looked at; at most 20,000 in all, or 50 of each policy.
    threads
        Processors used.
    rng
        Draws the sample and its resamples.

    Returns
    -------
    tuple
        The table of `errdetect.explanations.drivers.drivers`, its periods the earlier and the later
        half of the decisions; and pictures of the whole, its strongest reasons and the policies
        with most expected errors.
    """
    policies = decisions["policy_id"]
    each = min(most, max(_LEAST_EACH, _MOST_EXPLAINED // max(policies.nunique(), 1)))
    sample = _sample(policies, each, rng)
    chosen = decisions.iloc[sample].reset_index(drop=True)
    grouped, numbers = _explained(explainer, chosen, threads)
    size = policies.map(policies.value_counts()).to_numpy(np.float64)
    drawn = chosen["policy_id"].map(chosen["policy_id"].value_counts()).to_numpy(np.float64)
    stands_for = size[sample] / drawn
    middle = decisions["decided_at"].sort_values().iloc[len(decisions) // 2]
    table = drivers(
        chosen, grouped, p_error[sample], explainer.words, reference=explainer.reference, rng=rng,
        stands_for=stands_for, later=(chosen["decided_at"] >= middle).to_numpy(bool),
    )  # fmt: skip
    expected = pd.Series(p_error[sample] * stands_for).groupby(chosen["policy_id"].to_numpy()).sum()
    enough = chosen["policy_id"].value_counts()
    names = [
        str(name)
        for name in expected.sort_index().sort_values(ascending=False, kind="stable").index
        if enough[name] >= MIN_DECISIONS
    ]
    pictures = _draw(explainer, chosen, grouped, numbers, table, names[:_MOST_POLICIES], rng)
    return table, pictures


def write_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Write pictures, and `plots.json` with what each shows in words."""
    folder.mkdir()
    for picture in pictures:
        (folder / picture.file).write_bytes(picture.png)
    keys = ("file", "policy_id", "code", "title", "alt")
    write_json(folder / "plots.json", [{k: getattr(p, k) for k in keys} for p in pictures])


def _sample(policy: pd.Series, limit: int, rng: np.random.Generator) -> Ints:
    """Draw at most so many decisions of each policy, in the input's order."""
    order = rng.permutation(len(policy))
    nth = policy.iloc[order].groupby(policy.iloc[order].to_numpy()).cumcount().to_numpy()
    return np.sort(order[nth < limit])


def _explained(
    explainer: Explainer, decisions: pd.DataFrame, threads: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what each reason adds, and the number that stands for its fact."""
    categories = explainer.bundle.detector.encoding.categories

    def shown(done: Explained) -> pd.DataFrame:
        facts = done.facts
        return shown_numbers(facts.X, facts.names, list(done.grouped.columns), categories)

    parts = [
        explainer.explain(decisions.iloc[i : i + _CHUNK], threads, texts=False)
        for i in range(0, len(decisions), _CHUNK)
    ]
    grouped = pd.concat([part.grouped for part in parts], ignore_index=True)
    return grouped, pd.concat([shown(part) for part in parts], ignore_index=True)


def _draw(
    explainer: Explainer,
    decisions: pd.DataFrame,
    grouped: pd.DataFrame,
    numbers: pd.DataFrame,
    table: pd.DataFrame,
    names: Sequence[str],
    rng: np.random.Generator,
) -> tuple[Picture, ...]:
    # Loading the package takes seconds, which other commands need not spend.
    from errdetect.explanations.plots import beeswarm, dependence

    titles = {
        str(code): clean(title(str(code), explainer.words, explainer.reference), 80)
        for code in grouped.columns
    }
    every = f"{len(decisions):,} decisions of all policies"
    plot = beeswarm(grouped, numbers, titles, about=every, rng=rng)
    out = [Picture("drivers.png", None, None, plot.title, plot.alt, plot.png)]
    leading = table.loc[table["policy_id"].isna(), "code"]
    for code in [c for c in leading if numbers[c].nunique() > 2][:_MOST_REASONS]:
        plot = dependence(code, grouped, numbers, titles, about=every, rng=rng)
        file = f"{slug('dependence', code)}.png"
        out.append(Picture(file, None, code, plot.title, plot.alt, plot.png))
    for name in names:
        rows = np.flatnonzero((decisions["policy_id"] == name).to_numpy(bool))
        known = explainer.policies.get(name)
        about = f"{len(rows):,} decisions under {clean(known.name if known else name, 60)}"
        plot = beeswarm(grouped.iloc[rows], numbers.iloc[rows], titles, about=about, rng=rng)
        file = f"{slug('drivers', name)}.png"
        out.append(Picture(file, name, None, plot.title, plot.alt, plot.png))
    return tuple(out)
