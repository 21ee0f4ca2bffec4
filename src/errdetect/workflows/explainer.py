"""Explaining decisions with a bundle: one way for the queue and for the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.policies import Policy
from errdetect.explain.codes import group_contributions
from errdetect.explanations.nearest_correct import Pool, contrasts, latest_of_each, make_pool
from errdetect.explanations.contributions import served_contributions
from errdetect.explanations.reason_facts import Facts
from errdetect.explanations.reasons import reasons
from errdetect.explanations.reason_templates import Words, load_words
from errdetect.features.reference_distribution import Reference, read_reference
from errdetect.features.text_attribution import text_words
from errdetect.features.point_in_time_features import Past
from errdetect.model.bundle import Bundle
from errdetect.snapshot import Snapshot

__all__ = ["Explained", "Explainer", "make_explainer", "reason_words"]

Floats = npt.NDArray[np.float64]

_ROWS = 2_000  # explained at a time
_MOST_RIGHT = 200  # judged decisions of each policy and action that a contrast is looked for in


@dataclass(frozen=True)
class Explained:
    """Decisions with what their reasons are read from.

    Parameters
    ----------
    facts
        The n decisions.
    grouped
        Shape (n, codes), what each reason adds to the served log-odds.
    base, served
        Shape (n,), the log-odds that reasons add up from, and those that are served.
    """

    facts: Facts
    grouped: pd.DataFrame
    base: Floats
    served: Floats


@dataclass(frozen=True)
class Explainer:
    """A bundle with the words that its reasons are said in.

    Parameters
    ----------
    bundle
        What scores.
    words
        From `load_words`.
    policies
        The catalogue.
    past
        What was known before each decision.
    right
        Decisions that people had found right; None for none.
    """

    bundle: Bundle
    words: Words
    policies: Mapping[str, Policy]
    past: Past
    right: Pool | None = None

    @property
    def reference(self) -> Reference:
        """What is usual in the log's own columns."""
        return read_reference(self.bundle.about.get("reference"))

    def facts(self, decisions: pd.DataFrame, *, texts: bool = True) -> Facts:
        """Gather what reasons may speak of; `texts` says whether texts are taken apart."""
        frame = self.past.add(decisions)
        detector = self.bundle.detector
        words = text_words(detector.text, frame) if texts and detector.text is not None else None
        names = {policy_id: policy.name for policy_id, policy in self.policies.items()}
        return Facts(frame, detector.features(frame), detector.encoding.names, self.words,
                     names, self.reference, words)  # fmt: skip

    def explain(
        self, decisions: pd.DataFrame, threads: int = 1, *, texts: bool = True
    ) -> Explained:
        """Take the served log-odds of decisions apart by reason.

        Raises
        ------
        ModelError
            Where reasons do not add up to what is served.
        """
        facts = self.facts(decisions, texts=texts)
        found = served_contributions(self.bundle, facts.X, facts.decisions, threads)
        grouped = group_contributions(found.values, found.names, facts.reference.alike)
        return Explained(facts, grouped, found.base, found.served)

    def table(self, decisions: pd.DataFrame, threads: int = 1) -> pd.DataFrame:
        """Say why decisions look wrong, what speaks for them, and what was judged right beside them.

        Parameters
        ----------
        decisions
            Shape (n, any), with any index.
        threads
            Processors used.

        Returns
        -------
        pandas.DataFrame
            Shape (n, 6), with the decisions' index: reasons (towards error), against (the other
            way), base and served (log-odds), contrast_id, contrast.
        """
        parts = [
            self._rows(decisions.iloc[i : i + _ROWS], threads)
            for i in range(0, len(decisions), _ROWS)
        ]
        return pd.concat(parts) if parts else self._rows(decisions, threads)

    def _rows(self, decisions: pd.DataFrame, threads: int) -> pd.DataFrame:
        done = self.explain(decisions, threads)
        told = reasons(done.facts, done.grouped)
        none = self.words["contrast"]["none"]
        beside: Sequence[tuple[str | None, str]] = (
            [(None, none)] * len(told)
            if self.right is None
            else contrasts(done.facts, told, self.right)
        )
        index = decisions.index
        return pd.DataFrame(
            {
                "reasons": pd.Series(told, index=index, dtype=object),
                "against": pd.Series(
                    reasons(done.facts, done.grouped, towards=False), index=index, dtype=object
                ),
                "base": done.base,
                "served": done.served,
                "contrast_id": pd.Series([c[0] for c in beside], index=index, dtype="str"),
                "contrast": pd.Series([c[1] for c in beside], index=index, dtype="str"),
            },
            index=index,
        )


def reason_words(config: Config) -> Words:
    """Read the words that reasons are said in; jobs do so first, as a fault ends them.

    Raises
    ------
    ConfigError
        Where the words cannot be used.
    """
    return load_words(None if config.report.words is None else config.path(config.report.words))


def make_explainer(
    config: Config,
    bundle: Bundle,
    past: Past,
    *,
    known: Iterable[pd.DataFrame],
    snapshot: Snapshot,
    as_of: datetime,
) -> Explainer:
    """Get ready to explain decisions as of a moment.

    Parameters
    ----------
    config
        Says where the reasons' words are.
    bundle, past
        As for `Explainer`.
    known
        The decisions known, in frames, where contrasts are looked for.
    snapshot
        The reviewed decisions, their reviews and the catalogue. What came after `as_of` does not
        count.
    as_of
        When decisions are explained.

    Raises
    ------
    ConfigError
        Where the reasons' words cannot be used.
    """
    bare = Explainer(bundle, reason_words(config), snapshot.policies, past)
    if not len(snapshot.reviews):
        return bare
    ids = snapshot.before(as_of).upheld_ids
    found: list[pd.DataFrame] = []
    for frame in known:
        some = frame[frame["decision_id"].isin(ids) & (frame["decided_at"] <= pd.Timestamp(as_of))]
        if len(some):
            found = [latest_of_each(pd.concat([*found, some], ignore_index=True), _MOST_RIGHT)]
    if not found:
        return bare
    facts = bare.facts(found[0], texts=False)
    pool = make_pool(facts, bundle.detector.encoding.categories)
    return replace(bare, right=pool)
