"""The draw from totals: workers value reviews, count groups and finish rows; one process chooses among candidates.

The same for the threads of one machine and for Spark's workers: neither holds all decisions in memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.ledger.run_records import ScoringRun
from errdetect.queue.allocation import Floor, OpenReviews
from errdetect.queue.grouped_selection import (
    GroupedArms,
    GroupedReviews,
    leading_reviews,
    marked,
    select_grouped,
)
from errdetect.queue.random_arm import UNIT, ReviewGroups, random_keys, unpack_levels
from errdetect.queue.selection import Selection, interleave_arms
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import latest_scores
from errdetect.workflows.draw_tasks import (
    IN_LINE,
    DrawnReviews,
    GroupIndex,
    LineTask,
    ReviewTerms,
    finish_rows,
)
from errdetect.workflows.queueing import (
    WAITING,
    KnownPlaces,
    ReviewerCapacity,
    count_kinds,
    exclusion_notes,
    reviewer_capacity,
    selection_notes,
    value_reviews,
    waiting_reviews,
)

__all__ = ["FinishedRows", "GroupedDraw", "ScoredRows", "ValuedRows", "draw_grouped"]

Ints = npt.NDArray[np.int64]

_PLACES = ("market", "language")
_BUCKET_ROWS = 256  # reviews of each sum in the line from which marks draw
_MOST_FLOORS = 60


class FinishedRows(Protocol):
    """All decisions with their inclusion probabilities, wherever they are kept."""

    def ledger_rows(self) -> Iterator[pd.DataFrame]:
        """Return what the ledger keeps of each decision, part by part, in the input's order."""

    def write(self, folder: Path) -> None:
        """Write scores.parquet into a stage, and free what was kept."""


class ValuedRows(Protocol):
    """All decisions with the value of their reviews, wherever they are kept."""

    @property
    def part_rows(self) -> int:
        """Decisions of each part of the output."""

    def accounts(self) -> Sequence[Mapping[str, Any]]:
        """Return each part's totals, from `ValueTask`."""

    def group_sizes(self) -> pa.Table:
        """Count the open reviews by place and fine, which are ascending."""

    def leading(self, most: Ints) -> pa.Table:
        """Return the most valuable open reviews of each kind and set of floors, in the input's order.

        Parameters
        ----------
        most
            Number of reviews by kind.
        """

    def line_totals(self, line: LineTask) -> pa.Table:
        """Sum up the units of each bucket, which are ascending."""

    def line_rows(self, line: LineTask) -> pa.Table:
        """Return the rows of the buckets that `line` wants, in any order."""

    def at(self, positions: Ints) -> pa.Table:
        """Return the rows at some positions, in the input's order."""

    def finish(self, plan: DrawnReviews) -> FinishedRows:
        """Give every decision its inclusion probability, arm, pool and job."""

    def close(self) -> None:
        """Free what was kept."""


class ScoredRows(Protocol):
    """All decisions scored, wherever they are kept."""

    @property
    def names(self) -> Sequence[str]:
        """Columns of the decisions that there are."""

    @property
    def kinds(self) -> pd.DataFrame:
        """Decisions by policy_id, error_kind, and market and language where known; `count` of each."""

    @property
    def period(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The earliest and the latest decided_at."""

    def value(self, terms: ReviewTerms) -> ValuedRows:
        """Value the reviews; decisions of equal content are valued together."""

    def frame(self) -> pd.DataFrame:
        """Return all of them at once, in the input's order."""


@dataclass(frozen=True)
class GroupedDraw:
    """A run's draw, of which only the queue is in memory: see `RunDraw`.

    Parameters
    ----------
    run, staff, queue, notes, n, period, recorded
        As for `RunDraw`.
    rows
        All decisions.
    """

    run: ScoringRun
    staff: ReviewerCapacity
    queue: pd.DataFrame
    notes: tuple[str, ...]
    rows: FinishedRows
    n: int
    period: pd.DataFrame
    recorded: bool = False

    def ledger_rows(self) -> Iterator[pd.DataFrame]:
        """Return what the ledger keeps of each decision, part by part."""
        return self.rows.ledger_rows()

    def write(self, folder: Path) -> None:
        """Write the scores into a stage."""
        self.rows.write(folder)


@dataclass(frozen=True)
class _Inputs:
    """What decides the draw besides the scores."""

    config: Config
    scored: ScoredRows
    staff: ReviewerCapacity
    kinds: pd.DataFrame
    codes: pd.DataFrame

    @property
    def n(self) -> int:
        return int(self.kinds["count"].sum())

    @property
    def capacity(self) -> npt.NDArray[np.float64]:
        return self.staff.capacity

    @cached_property
    def floors(self) -> list[tuple[str, str, float]]:
        """Column, value and minutes of each minimum share."""
        total = float(self.capacity.sum())
        shares = self.config.queue.minimum_shares
        return [
            (c, name, share * total) for c, own in shares.items() for name, share in own.items()
        ]


def draw_grouped(
    config: Config,
    source: KnownPlaces,
    scored: ScoredRows,
    snapshot: Snapshot,
    make_run: Callable[[npt.NDArray[np.uint64]], ScoringRun],
    *,
    reviewed: pd.Index,
    budget: int | None,
    is_recorded: Callable[[str], bool],
) -> GroupedDraw | None:
    """Choose the reviews from totals: the same choice, to the row, as `draw_queue` makes among all decisions.

    Parameters
    ----------
    config, source, snapshot, budget
        As for `reviewer_capacity` and `value_reviews`.
    scored
        All decisions.
    make_run
        Makes the run from `row_sums` of all decisions.
    reviewed
        Decisions that are not queued, since they were reviewed.
    is_recorded
        Whether the ledger has a run's draw.

    Returns
    -------
    GroupedDraw or None
        None where totals are not enough: several pools compete for the same decisions, reviews per account are
        limited, or the ledger has the draw.
    """
    inputs, notes = _inputs(config, source, scored, snapshot, budget)
    can = inputs.staff.classes.can & (inputs.capacity > 0)
    # With a limit per account, which reviews are exchanged depends on many more than the leading ones.
    limited = config.queue.account_cap is not None
    if limited or (can.sum(axis=1) > 1).any() or len(inputs.floors) > _MOST_FLOORS:
        return None
    # No run has this id; where nothing was scored before, nothing waits.
    before = latest_scores(config, leave_out="", arms=WAITING)
    valued, account = _value(inputs, reviewed, waiting_reviews(before))
    run = make_run(account.sums)
    if is_recorded(run.run_id):
        valued.close()
        return None
    if before is not None and (before["run_id"] == run.run_id).any():
        valued.close()  # this run's own reviews are no other run's
        before = latest_scores(config, leave_out=run.run_id, arms=WAITING)
        valued, account = _value(inputs, reviewed, waiting_reviews(before))
    chosen, selection, plan = _choose(inputs, valued, account, run, waiting_reviews(before))
    queue = _queue_rows(valued, chosen, plan)
    selection = replace(selection, covers=queue["covers"].to_numpy(np.int64))
    out_of_reach = count_kinds(*_out_of_reach(inputs, can, account))
    told = selection_notes(config, inputs.staff, selection, out_of_reach)
    every = (*notes, *exclusion_notes(account.closed), *told)
    n, period = inputs.n, pd.DataFrame({"decided_at": list(scored.period)})
    return GroupedDraw(run, inputs.staff, queue, every, valued.finish(plan), n, period)


def _choose(
    inputs: "_Inputs",
    valued: ValuedRows,
    account: "_Account",
    run: ScoringRun,
    waiting: pd.Series,
) -> "tuple[_Chosen, Selection, DrawnReviews]":
    """Choose the ranked reviews among the leading ones, and draw the others."""
    seed = f"{inputs.config.queue.seed} {run.run_id}"
    groups, index = _groups(valued, inputs)
    leading, work = _leading(valued, inputs, groups, index)
    arms = select_grouped(work, inputs.capacity, inputs.config.queue.explore_share)
    ranked = leading.take(np.flatnonzero(arms.ranked.pool >= 0))
    drawn = _draw(valued, (groups, index, arms), ranked[POSITION].to_numpy(), seed)
    chosen = _Chosen.of(ranked, arms, drawn, seed)
    names = [pool.name for pool in inputs.staff.pools] if inputs.config.queue.pools else None
    plan = DrawnReviews(
        index, arms.probability, chosen.positions, chosen.explored, chosen.pool, names, run,
        waiting, "language" in inputs.scored.names, account.parts(valued.part_rows),
    )  # fmt: skip
    return chosen, chosen.selection(arms), plan


def _inputs(
    config: Config,
    source: KnownPlaces,
    scored: ScoredRows,
    snapshot: Snapshot,
    budget: int | None,
) -> tuple[_Inputs, list[str]]:
    """Work out, for each kind of decision, who can review it and what decides the review's value."""
    kinds = scored.kinds
    staff = reviewer_capacity(config, source, kinds, budget, int(kinds["count"].sum()))
    plain = kinds.assign(p_error=1.0, harm=1.0, exposure_weight=1.0, decided_at=scored.period[1])
    count = kinds["count"].to_numpy(np.int64)
    terms, notes = value_reviews(config, plain, staff, snapshot, count)
    lasts = np.ones(len(kinds)) if staff.counted else terms["minutes"].to_numpy(np.float64)
    pairs = pd.MultiIndex.from_arrays([staff.classes.of, lasts])
    codes = pairs.unique().sort_values()
    table = pd.DataFrame({"of": codes.get_level_values(0), "minutes": codes.get_level_values(1)})
    kinds = kinds.assign(
        p_overturn=terms["p_overturn"], minutes=terms["minutes"], kind=codes.get_indexer(pairs)
    )
    return _Inputs(config, scored, staff, kinds, table), notes


@dataclass(frozen=True)
class _Account:
    """Totals of all parts of the batch."""

    sums: npt.NDArray[np.uint64]
    closed: Counter[str]
    open_kinds: Counter[int]
    positions: Counter[int]

    def parts(self, rows: int) -> tuple[Ints, Ints]:
        """Return the blocks of positions, and the number of the file of each."""
        blocks = np.array(sorted(self.positions), np.int64)
        counts = np.array([self.positions[int(block)] for block in blocks], np.int64)
        return blocks, (np.cumsum(counts) - counts) // rows


def _value(inputs: _Inputs, reviewed: pd.Index, waiting: pd.Series) -> tuple[ValuedRows, _Account]:
    """Value the reviews of all parts, and add up their totals."""
    scored, queue = inputs.scored, inputs.config.queue
    keys = [n for n in ("policy_id", "error_kind", *_PLACES) if n in inputs.kinds]
    floors = np.zeros(len(inputs.kinds), np.int64)
    for i, (column, name, _) in enumerate(inputs.floors):
        floors |= (inputs.kinds[column] == name).to_numpy(np.int64) << i
    kinds = inputs.kinds[[*keys, "p_overturn", "minutes", "kind"]].assign(floors=floors)
    terms = ReviewTerms(
        kinds.reset_index(names="number"), keys, scored.period[1], queue.half_life_days,
        queue.one_job, reviewed, waiting,
    )  # fmt: skip
    valued = scored.value(terms)
    sums = np.zeros(2, np.uint64)
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("closed", "kinds", "positions")}
    for facts in valued.accounts():
        sums = sums + np.array(facts["sums"], np.uint64)
        for name, counts in totals.items():
            counts.update(facts[name])
    numbers = [Counter({int(k): v for k, v in totals[n].items()}) for n in ("kinds", "positions")]
    return valued, _Account(sums, totals["closed"], *numbers)


def _groups(valued: ValuedRows, inputs: _Inputs) -> tuple[ReviewGroups, GroupIndex]:
    table = valued.group_sizes()
    place, fine, count = (table[name].to_numpy() for name in ("place", "fine", "count"))
    codes, kind = inputs.codes, place >> 32
    of = codes["of"].to_numpy(np.int64)[kind]
    minutes = codes["minutes"].to_numpy(np.float64)[kind]
    size = (place & 0xFFFFFFFF).astype(np.float64)
    groups = ReviewGroups(of, minutes, size, *unpack_levels(fine), count)
    return groups, GroupIndex.of(place, fine)


def _leading(
    valued: ValuedRows, inputs: _Inputs, groups: ReviewGroups, index: GroupIndex
) -> tuple[pa.Table, GroupedReviews]:
    """Fetch the most valuable reviews of each kind."""
    codes = inputs.codes
    most = np.array([leading_reviews(m, inputs.capacity) for m in codes["minutes"]], np.int64)
    table = valued.leading(most)
    kind = table["place"].to_numpy() >> 32
    of, minutes = (codes[name].to_numpy()[kind] for name in ("of", "minutes"))
    reviews = OpenReviews(table["worth"].to_numpy(), minutes, of, inputs.staff.classes.can)
    bits = table["floors"].to_numpy()
    floors = [
        Floor((bits >> i & 1).astype(bool), total) for i, (*_, total) in enumerate(inputs.floors)
    ]
    code = index.find(table["place"].to_numpy(), table["fine"].to_numpy())
    return table, GroupedReviews(reviews, code, groups, tuple(floors))


def _draw(
    valued: ValuedRows,
    design: tuple[ReviewGroups, GroupIndex, GroupedArms],
    ranked: Ints,
    seed: str,
) -> pa.Table:
    """Draw the random part: sums of the line's parts to the driver, then the rows where marks fall."""
    groups, index, arms = design
    rows = np.flatnonzero(arms.probability > 0)
    if not len(rows):
        return pa.schema(IN_LINE.items()).empty_table()
    order = rows[np.lexsort((groups.minutes[rows], arms.home[rows]))]
    new = (np.diff(arms.home[order]) != 0) | (np.diff(groups.minutes[order]) != 0)
    layer = np.full(len(arms.home), -1, np.int64)
    layer[order] = np.cumsum(np.r_[0, new])
    units = (arms.probability * UNIT).astype(np.int64)
    buckets = max(1, int(groups.count.sum()) // _BUCKET_ROWS)
    bits = min(max(int(buckets).bit_length(), 1), 40)
    line = LineTask(
        index, layer, units, np.sort(ranked), f"draw {seed}", bits, np.empty(0, np.int64)
    )
    table = valued.line_totals(line)
    bucket, total = table.column(0).to_numpy(), table.column(1).to_numpy()
    hit = marked(total, seed)
    begin = (np.cumsum(total) - total)[hit]
    found = _in_line(valued.line_rows(line.within(bucket[hit])))
    own, units = found["bucket"].to_numpy(), found["units"].to_numpy()
    first = np.searchsorted(own, bucket[hit])
    until = np.cumsum(units) - units
    before = until - np.repeat(until[first] - begin, np.diff(np.r_[first, len(own)]))
    return found.filter(pa.array(marked(units, seed, before)))


def _in_line(table: pa.Table) -> pa.Table:
    keys = table["key"].to_numpy().view(np.uint64)
    order = np.lexsort((table[POSITION].to_numpy(), keys, table["bucket"].to_numpy()))
    return table.take(pa.array(order))


@dataclass(frozen=True)
class _Chosen:
    """The reviews, first to last: where they stand in the input, how and for whom they were chosen."""

    positions: Ints
    explored: npt.NDArray[np.bool_]
    pool: Ints

    @classmethod
    def of(cls, ranked: pa.Table, arms: GroupedArms, drawn: pa.Table, seed: str) -> "_Chosen":
        pools = arms.ranked.pool[arms.ranked.pool >= 0]
        best = np.argsort(-ranked["worth"].to_numpy(), kind="stable")
        keys = random_keys(drawn["identity"].to_numpy().view(np.uint64), f"order {seed}")
        mixed = np.argsort(keys, kind="stable")
        places = np.r_[ranked[POSITION].to_numpy()[best], drawn[POSITION].to_numpy()[mixed]]
        homes = np.r_[pools[best], arms.home[drawn["group"].to_numpy()[mixed]]]
        n, m = len(best), len(places)
        order, explored = interleave_arms(np.arange(n), np.arange(n, m))
        return cls(places[order].astype(np.int64), explored, homes[order].astype(np.int64))

    def selection(self, arms: GroupedArms) -> Selection:
        """Return what the notes are about; what each review covers is not known yet."""
        nothing = np.empty(0)
        return Selection(
            self.positions, self.explored, self.pool, nothing.astype(np.int64),
            np.ones(len(self.positions), np.int64), nothing,
            arms.share, arms.ratio, arms.ranked.short,
        )  # fmt: skip


def _queue_rows(valued: ValuedRows, chosen: _Chosen, plan: DrawnReviews) -> pd.DataFrame:
    """Fetch the queue."""
    frame = to_frame(valued.at(chosen.positions))
    order = np.searchsorted(frame[POSITION].to_numpy(), chosen.positions)
    frame = frame.iloc[order].reset_index(drop=True)
    return finish_rows(frame, plan).assign(
        rank=np.arange(1, len(frame) + 1),
        value=frame["worth"],
        covers=(frame["place"].to_numpy(np.int64) & 0xFFFFFFFF),
    )


def _out_of_reach(
    inputs: _Inputs, can: npt.NDArray[np.bool_], account: _Account
) -> tuple[pd.DataFrame, Ints]:
    """Return the kinds of open decisions that no pool can take, and how many there are of each."""
    none = np.logical_not(np.any(can, axis=1))[inputs.staff.classes.of]
    count = np.array([account.open_kinds[i] for i in range(len(inputs.kinds))], np.int64)
    rows = np.flatnonzero(none & (count > 0))
    return inputs.kinds.iloc[rows], count[rows]
