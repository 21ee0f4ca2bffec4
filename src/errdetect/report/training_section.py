"""Which site needs which training, and which policies the machine mixes up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    format_percent,
    has_rows,
    natural_frequencies,
    require_columns,
    to_records,
)
from errdetect.findings.label_mixups import MIXUP_COLUMNS
from errdetect.report.charts import Axis, IntervalStrip, choose_axis, interval_strip
from errdetect.report.heatmap import shade_of, short_span
from errdetect.report.reported_rates import IntervalEstimate
from errdetect.reviewers.training_needs import TRAINING_COLUMNS

__all__ = [
    "Mixup",
    "MixupPicture",
    "MixupSquare",
    "MixupTable",
    "SiteMistake",
    "TrainingTable",
    "read_mixups",
    "read_training",
]

_MISTAKES = {
    "missed_violation": "missed violations",
    "wrongful_call": "wrongful calls",
}
#: What one site does, and what several do.
_VERBS = {
    "missed_violation": ("misses", "miss"),
    "wrongful_call": ("calls violating", "call violating"),
}
_ITEMS = {"missed_violation": "violating items", "wrongful_call": "compliant items"}
_SHOWN_IDS, _MOST_QUESTIONS = 5, 5
#: Policies a side of the picture of mix-ups.
_MOST_POLICIES = 14


@dataclass(frozen=True)
class SiteMistake:
    """How often a site makes one kind of mistake on one policy.

    Parameters
    ----------
    site, policy, mistake
        Who, where and what, as text.
    rate
        The rate with its interval.
    others
        The other sites' rate on the policy, as text.
    strip
        The interval's place on the axis, the other sites' rate as the reference line.
    n
        Items behind it, as text.
    sentence
        The need in one sentence; empty where the excess is not beyond chance.
    cases
        Ids of decisions that show the mistake.
    """

    site: str
    policy: str
    mistake: str
    rate: IntervalEstimate
    others: str
    strip: IntervalStrip
    n: str
    sentence: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class TrainingTable:
    """Every site's mistakes by policy, the largest expected excess first.

    Parameters
    ----------
    axis
        The axis of the plots.
    needs
        Mistakes beyond the other sites' and beyond chance.
    rows
        All with a figure.
    n_silent
        Combinations with too few items for a figure.
    open_questions
        Sentences on likely needs that the next reviews would settle, the likeliest first.
    """

    axis: Axis
    needs: tuple[SiteMistake, ...]
    rows: tuple[SiteMistake, ...]
    n_silent: int
    open_questions: tuple[str, ...] = ()


def read_training(frame: pd.DataFrame | None, names: Mapping[str, str]) -> TrainingTable | None:
    """Lay out which site needs which training.

    Parameters
    ----------
    frame
        From `find_training_needs`; or None.
    names
        policy_id -> the policy's name.

    Returns
    -------
    TrainingTable or None
        None where sites cannot be compared.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_training(None, {}) is None
    True
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, TRAINING_COLUMNS, "training_needs")
    told = [row for row in to_records(frame) if not row["suppressed"]]
    axis = choose_axis([min(float(row["high"]), 0.6) for row in told] or [1.0])
    rows = tuple(_read_mistake(row, names, axis) for row in told)
    needs = tuple(row for row in rows if row.sentence)
    return TrainingTable(axis, needs, rows, len(frame) - len(rows), _open_questions(frame, names))


def _open_questions(frame: pd.DataFrame, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is likely but not settled; where there is no figure, none is given."""
    sentences = []
    for row in to_records(frame[frame["reviews_needed"].notna()])[:_MOST_QUESTIONS]:
        policy = clean_text(names.get(str(row["policy_id"]), row["policy_id"]))
        lead = f"{clean_text(row['site'])}, {policy}: likely more {_MISTAKES[str(row['measure'])]} than other sites."
        more = count_with_noun(int(row["reviews_needed"]), "more review", "more reviews")
        kind = _ITEMS[str(row["measure"])]
        what = (
            f"{float(row['n']):.1f} {kind} are too few for a figure; about {more} there would give one."
            if row["suppressed"]
            else f"About {more} there would settle it."
        )
        sentences.append(f"{lead} {what}")
    return tuple(sentences)


def _read_mistake(row: Mapping[str, Any], names: Mapping[str, str], axis: Axis) -> SiteMistake:
    measure, policy_id = str(row["measure"]), str(row["policy_id"])
    rate = IntervalEstimate(float(row["value"]), float(row["low"]), float(row["high"]))
    site, policy = clean_text(row["site"]), clean_text(names.get(policy_id, policy_id))
    others = float(row["others"])
    sentence = ""
    if row["needed"]:
        (value, low, high, other), base = natural_frequencies(
            [rate.estimate, rate.low, rate.high, others]
        )
        one, many = _VERBS[measure]
        sentence = (
            f"Of {base} {_ITEMS[measure]} under {policy}, {site} {one} {value} (between {low} and {high}); "
            f"the other sites {many} {other}."
        )
    return SiteMistake(
        site=site,
        policy=policy,
        mistake=_MISTAKES[measure],
        rate=rate,
        others=format_percent(others),
        strip=interval_strip(axis, rate, others),
        n=format_count(int(finite_or_none(row["n"]) or 0)),
        sentence=sentence,
        cases=_ids(row["cases"]),
    )


def _ids(found: Any) -> tuple[str, ...]:
    listed = list(found) if pd.api.types.is_list_like(found) else []
    return tuple(clean_text(name, 60) for name in listed[:_SHOWN_IDS])


@dataclass(frozen=True)
class Mixup:
    """One policy that is cited where another is correct.

    Parameters
    ----------
    cited, correct
        The policies' names.
    rate, strip
        The share of the cited policy's rightful enforcements, and its place on the axis.
    decisions
        About how many decisions of the log, with the interval.
    support
        The audited decisions behind it.
    both_ways
        Whether the reverse occurs, too.
    examples
        Ids of decisions.
    """

    cited: str
    correct: str
    rate: IntervalEstimate
    strip: IntervalStrip
    decisions: str
    support: str
    both_ways: bool
    examples: tuple[str, ...]


@dataclass(frozen=True)
class MixupSquare:
    """One pair of the picture: its rate with a shade, or why there is none.

    Parameters
    ----------
    rate
        The share of the cited policy's rightful enforcements; None without a figure.
    shade
        0 to 5, by the rate.
    span
        The interval in percent, short.
    state
        `same` policy, `few` audited decisions, `none` found, or `rate`.
    """

    rate: IntervalEstimate | None
    shade: int
    span: str
    state: str


@dataclass(frozen=True)
class MixupPicture:
    """Cited policies down, correct ones across, those mixed up most first; how many there are in all."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MixupSquare, ...]], ...]
    n_policies: int


@dataclass(frozen=True)
class MixupTable:
    """The pairs, most decisions first, with the axis of their plots and the pairs as a picture."""

    axis: Axis
    rows: tuple[Mixup, ...]
    n_silent: int
    picture: MixupPicture

    @property
    def collide(self) -> tuple[str, ...]:
        """Pairs that are mixed up both ways, each once."""
        pairs: dict[frozenset[str], str] = {}
        for row in self.rows:
            if row.both_ways:
                pairs.setdefault(
                    frozenset((row.cited, row.correct)), f"{row.cited} and {row.correct}"
                )
        return tuple(pairs.values())


def read_mixups(frame: pd.DataFrame | None, names: Mapping[str, str]) -> MixupTable | None:
    """Lay out which policies the machine mixes up.

    Parameters
    ----------
    frame
        From `find_label_mixups`; or None.
    names
        policy_id -> the policy's name.

    Returns
    -------
    MixupTable or None
        None where no reviewer named another policy.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_mixups(None, {}) is None
    True
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, MIXUP_COLUMNS, "label_mixups")
    told = [row for row in to_records(frame) if not row["suppressed"]]
    axis = choose_axis([min(float(row["high"]), 0.6) for row in told] or [1.0])
    return MixupTable(
        axis,
        tuple(_read_mixup(row, names, axis) for row in told),
        len(frame) - len(told),
        _picture(to_records(frame), names),
    )


def _picture(records: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> MixupPicture:
    """Lay the pairs out; a policy stands where its first pair does in the table."""
    pairs = {(str(r["policy_id"]), str(r["correct_policy_id"])): r for r in records}
    cited, correct = (list(dict.fromkeys(pair[end] for pair in pairs)) for end in (0, 1))
    told = {
        pair: IntervalEstimate(float(r["share"]), float(r["low"]), float(r["high"]))
        for pair, r in pairs.items()
        if not r["suppressed"]
    }
    down, across = cited[:_MOST_POLICIES], correct[:_MOST_POLICIES]
    most = max((rate.estimate for rate in told.values()), default=0.0)
    return MixupPicture(
        tuple(clean_text(names.get(name, name), 40) for name in across),
        tuple(
            (
                clean_text(names.get(one, one)),
                tuple(_picture_square((one, other), pairs, told, most) for other in across),
            )
            for one in down
        ),
        len({*cited, *correct}),
    )


def _picture_square(
    pair: tuple[str, str],
    pairs: Mapping[tuple[str, str], object],
    told: Mapping[tuple[str, str], IntervalEstimate],
    most: float,
) -> MixupSquare:
    rate = told.get(pair)
    if rate is not None:
        return MixupSquare(rate, shade_of(rate.estimate, most), short_span(rate), "rate")
    state = "same" if pair[0] == pair[1] else "few" if pair in pairs else "none"
    return MixupSquare(None, 0, "", state)


def _read_mixup(row: Mapping[str, Any], names: Mapping[str, str], axis: Axis) -> Mixup:
    cited, correct = str(row["policy_id"]), str(row["correct_policy_id"])
    rate = IntervalEstimate(float(row["share"]), float(row["low"]), float(row["high"]))
    about = [round(float(row[f"n_decisions{end}"])) for end in ("", "_low", "_high")]
    return Mixup(
        cited=clean_text(names.get(cited, cited)),
        correct=clean_text(names.get(correct, correct)),
        rate=rate,
        strip=interval_strip(axis, rate),
        decisions=f"{format_count(about[0])} ({format_count(about[1])} to {format_count(about[2])})",
        support=f"{format_count(int(row['n_mixed']))} of "
        f"{count_with_noun(int(row['n_reviews']), 'audited decision', 'audited decisions')}",
        both_ways=bool(row["both_ways"]),
        examples=_ids(row["examples"]),
    )
