"""Explanations of decisions, shared by the queue and the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.changes.text_formatting import clean_text, slug
from errdetect.config import Config
from errdetect.data.atomic_writing import write_json
from errdetect.data.id_lookup import IdSet
from errdetect.data.policy_catalogue import Policy
from errdetect.explanations.contributions import log_odds_contributions
from errdetect.explanations.drivers import MIN_DECISIONS, ExplainedSample, error_drivers
from errdetect.explanations.fact_baselines import baselines_from_jsonable
from errdetect.explanations.reason_facts import ReasonFacts, reason_title
from errdetect.explanations.reason_templates import Words, load_templates
from errdetect.explanations.reasons import (
    CorrectPool,
    build_correct_pool,
    decision_reasons,
    display_values,
    find_contrasts,
    group_contributions,
    latest_per_policy,
)
from errdetect.features.feature_matrix import ReferenceDistribution, reference_from_jsonable
from errdetect.features.point_in_time_features import PastColumns
from errdetect.features.text_attribution import attribute_words
from errdetect.model.bundle import ModelBundle
from errdetect.snapshot import Snapshot

__all__ = [
    "ContributionResult",
    "Explainer",
    "Picture",
    "build_explainer",
    "contrast_candidates",
    "find_drivers",
    "load_reason_templates",
    "write_pictures",
]


Floats = npt.NDArray[np.float64]

_ROWS = 2_000  # explained at a time
_MOST_RIGHT = 200  # reviewed decisions per policy and action searched for a contrast


@dataclass(frozen=True)
class ContributionResult:
    """Decisions with the input of their reasons.

    Parameters
    ----------
    facts
        The n decisions.
    grouped
        Shape (n, codes), what each reason adds to the served log-odds.
    base, served
        Shape (n,), the base log-odds of the reasons, and the served ones.
    """

    facts: ReasonFacts
    grouped: pd.DataFrame
    base: Floats
    served: Floats


@dataclass(frozen=True)
class Explainer:
    """A model bundle with the templates of its reasons.

    Parameters
    ----------
    bundle
        The scoring model.
    words
        From `load_templates`.
    policies
        The catalogue.
    past
        What was known before each decision.
    right
        Decisions that reviewers found correct; None for none.
    """

    bundle: ModelBundle
    words: Words
    policies: Mapping[str, Policy]
    past: PastColumns
    right: CorrectPool | None = None

    @property
    def reference(self) -> ReferenceDistribution:
        """Typical values in the log's own columns."""
        return reference_from_jsonable(self.bundle.about.get("reference"))

    def facts(self, decisions: pd.DataFrame, *, texts: bool = True) -> ReasonFacts:
        """Gather the facts that reasons may use; `texts` states whether texts are analysed."""
        frame = self.past.add(decisions)
        detector = self.bundle.detector
        words = (
            attribute_words(detector.text, frame) if texts and detector.text is not None else None
        )
        names = {policy_id: policy.name for policy_id, policy in self.policies.items()}
        return ReasonFacts(frame, detector.features(frame), detector.encoding.names, self.words,
                     names, self.reference, words,
                     baselines_from_jsonable(self.bundle.about.get("fact_baselines")))  # fmt: skip

    def explain(
        self, decisions: pd.DataFrame, threads: int = 1, *, texts: bool = True
    ) -> ContributionResult:
        """Split the served log-odds of decisions by reason.

        Raises
        ------
        ModelError
            Where reasons do not add up to the served log-odds.
        """
        facts = self.facts(decisions, texts=texts)
        found = log_odds_contributions(self.bundle, facts.X, facts.decisions, threads)
        grouped = group_contributions(found.values, found.names, facts.reference.alike)
        return ContributionResult(facts, grouped, found.base, found.served)

    def table(self, decisions: pd.DataFrame, threads: int = 1) -> pd.DataFrame:
        """Return reasons for and against error, and a similar decision found correct.

        Parameters
        ----------
        decisions
            Shape (n, any), with any index.
        threads
            Processors used.

        Returns
        -------
        pandas.DataFrame
            Shape (n, 7), with the decisions' index: reasons (towards error), against (the other
            way), rest (what is not shown), base and log_odds (the served P(error)), contrast_id,
            contrast.
        """
        parts = [
            self._rows(decisions.iloc[i : i + _ROWS], threads)
            for i in range(0, len(decisions), _ROWS)
        ]
        return pd.concat(parts) if parts else self._rows(decisions, threads)

    def _rows(self, decisions: pd.DataFrame, threads: int) -> pd.DataFrame:
        done = self.explain(decisions, threads)
        told = decision_reasons(done.facts, done.grouped)
        against = decision_reasons(done.facts, done.grouped, towards=False)
        stated = np.array(
            [sum(r["contribution"] for r in (*a, *b)) for a, b in zip(told, against, strict=True)]
        )
        none = self.words["contrast"]["none"]
        beside: Sequence[tuple[str | None, str]] = (
            [(None, none)] * len(told)
            if self.right is None
            else find_contrasts(done.facts, told, self.right)
        )
        index = decisions.index
        return pd.DataFrame(
            {
                "reasons": pd.Series(told, index=index, dtype=object),
                "against": pd.Series(against, index=index, dtype=object),
                "rest": done.served - done.base - stated,
                "base": done.base,
                "log_odds": done.served,
                "contrast_id": pd.Series([c[0] for c in beside], index=index, dtype="str"),
                "contrast": pd.Series([c[1] for c in beside], index=index, dtype="str"),
            },
            index=index,
        )


def load_reason_templates(config: Config) -> Words:
    """Read the templates of reasons; workflows do so first, since an error ends them.

    Raises
    ------
    ConfigError
        Where the templates cannot be used.
    """
    return load_templates(None if config.report.words is None else config.path(config.report.words))


def contrast_candidates(reviewed: pd.DataFrame, snapshot: Snapshot, as_of: datetime) -> pd.Index:
    """Return the ids of those reviewed decisions that `build_explainer` would keep for contrasts.

    Parameters
    ----------
    reviewed
        decision_id, decided_at, policy_id, action and enforced.
    snapshot, as_of
        As for `build_explainer`.
    """
    ids = snapshot.before(as_of).upheld_ids
    known = reviewed["decided_at"] <= pd.Timestamp(as_of)
    latest = latest_per_policy(reviewed[reviewed["decision_id"].isin(ids) & known], _MOST_RIGHT)
    found: pd.Index = pd.Index(latest["decision_id"])
    return found


def build_explainer(
    config: Config,
    bundle: ModelBundle,
    past: PastColumns,
    *,
    known: Iterable[pd.DataFrame],
    snapshot: Snapshot,
    as_of: datetime,
) -> Explainer:
    """Prepare to explain decisions as of a moment.

    Parameters
    ----------
    config
        Names the file of reason templates.
    bundle, past
        As for `Explainer`.
    known
        The known decisions, in frames, searched for contrasts.
    snapshot
        The reviewed decisions, their reviews and the catalogue. What came after `as_of` does not
        count.
    as_of
        When decisions are explained.

    Raises
    ------
    ConfigError
        Where the reason templates cannot be used.
    """
    bare = Explainer(bundle, load_reason_templates(config), snapshot.policies, past)
    if not len(snapshot.reviews):
        return bare
    ids = IdSet(snapshot.before(as_of).upheld_ids)
    found: list[pd.DataFrame] = []
    for frame in known:
        some = frame[ids.among(frame["decision_id"]) & (frame["decided_at"] <= pd.Timestamp(as_of))]
        if len(some):
            found = [latest_per_policy(pd.concat([*found, some], ignore_index=True), _MOST_RIGHT)]
    if not found:
        return bare
    facts = bare.facts(found[0], texts=False)
    pool = build_correct_pool(facts, bundle.detector.encoding.categories)
    return replace(bare, right=pool)


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
        Its policy and reason; None for all.
    title, alt
        Its title, and its alternative text.
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
    """Estimate from a sample what is associated with errors, and plot it.

    Parameters
    ----------
    explainer
        Explains decisions.
    decisions
        Shape (n, any), with `decided_at`: decisions that the model was not trained on.
    p_error
        Shape (n,), their P(error).
    most
        Decisions of each policy to examine; at most 20,000 in all, or 50 of each policy.
    threads
        Processors used.
    rng
        Draws the sample and its resamples.

    Returns
    -------
    tuple
        The table of `errdetect.explanations.drivers.error_drivers`, its periods the earlier and the later
        half of the decisions; and pictures of all policies, their strongest reasons and the policies
        with most expected errors.
    """
    policies = decisions["policy_id"]
    each = min(most, max(_LEAST_EACH, _MOST_EXPLAINED // max(policies.nunique(), 1)))
    sample = _sample_per_policy(policies, each, rng)
    chosen = decisions.iloc[sample].reset_index(drop=True)
    grouped, numbers = _explain_sample(explainer, chosen, threads)
    size = policies.map(policies.value_counts()).to_numpy(np.float64)
    drawn = chosen["policy_id"].map(chosen["policy_id"].value_counts()).to_numpy(np.float64)
    stands_for = size[sample] / drawn
    middle = decisions["decided_at"].sort_values().iloc[len(decisions) // 2]
    later = (chosen["decided_at"] >= middle).to_numpy(bool)
    explained = ExplainedSample(chosen, grouped, p_error[sample], stands_for, later)
    table = error_drivers(explained, explainer.words, explainer.reference, rng)
    expected = pd.Series(p_error[sample] * stands_for).groupby(chosen["policy_id"].to_numpy()).sum()
    enough = chosen["policy_id"].value_counts()
    names = [
        str(name)
        for name in expected.sort_index().sort_values(ascending=False, kind="stable").index
        if enough[name] >= MIN_DECISIONS
    ]
    pictures = _draw_plots(explainer, explained, numbers, table, names[:_MOST_POLICIES], rng)
    return table, pictures


def write_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Write pictures, and `plots.json` with each one's alternative text."""
    folder.mkdir()
    for picture in pictures:
        (folder / picture.file).write_bytes(picture.png)
    keys = ("file", "policy_id", "code", "title", "alt")
    write_json(folder / "plots.json", [{k: getattr(p, k) for k in keys} for p in pictures])


def _sample_per_policy(policy: pd.Series, limit: int, rng: np.random.Generator) -> Ints:
    """Draw at most so many decisions of each policy, in the input's order."""
    order = rng.permutation(len(policy))
    nth = policy.iloc[order].groupby(policy.iloc[order].to_numpy()).cumcount().to_numpy()
    return np.sort(order[nth < limit])


def _explain_sample(
    explainer: Explainer, decisions: pd.DataFrame, threads: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each reason's contribution and the numeric value of its fact."""
    categories = explainer.bundle.detector.encoding.categories

    def shown(done: ContributionResult) -> pd.DataFrame:
        facts = done.facts
        return display_values(facts.X, facts.names, list(done.grouped.columns), categories)

    parts = [
        explainer.explain(decisions.iloc[i : i + _CHUNK], threads, texts=False)
        for i in range(0, len(decisions), _CHUNK)
    ]
    grouped = pd.concat([part.grouped for part in parts], ignore_index=True)
    return grouped, pd.concat([shown(part) for part in parts], ignore_index=True)


def _draw_plots(
    explainer: Explainer,
    sample: ExplainedSample,
    numbers: pd.DataFrame,
    table: pd.DataFrame,
    names: Sequence[str],
    rng: np.random.Generator,
) -> tuple[Picture, ...]:
    # Loading the package takes seconds, only where needed.
    from errdetect.explanations.contributions import beeswarm_plot, dependence_plot

    decisions, grouped = sample.decisions, sample.grouped
    titles = {
        str(code): clean_text(reason_title(str(code), explainer.words, explainer.reference), 80)
        for code in grouped.columns
    }
    every = f"{len(decisions):,} decisions of all policies"
    plot = beeswarm_plot(grouped, numbers, titles, about=every, rng=rng)
    out = [Picture("drivers.png", None, None, plot.title, plot.alt, plot.png)]
    leading = table.loc[table["policy_id"].isna(), "code"]
    for code in [c for c in leading if numbers[c].nunique() > 2][:_MOST_REASONS]:
        plot = dependence_plot(code, grouped, numbers, titles, about=every, rng=rng)
        file = f"{slug('dependence', code)}.png"
        out.append(Picture(file, None, code, plot.title, plot.alt, plot.png))
    for name in names:
        rows = np.flatnonzero((decisions["policy_id"] == name).to_numpy(bool))
        known = explainer.policies.get(name)
        about = f"{len(rows):,} decisions under {clean_text(known.name if known else name, 60)}"
        plot = beeswarm_plot(grouped.iloc[rows], numbers.iloc[rows], titles, about=about, rng=rng)
        file = f"{slug('drivers', name)}.png"
        out.append(Picture(file, name, None, plot.title, plot.alt, plot.png))
    return tuple(out)
