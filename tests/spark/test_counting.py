"""Counts of earlier decisions by key: split by time or not, they are those of counting one by one."""

import numpy as np
import pyarrow as pa
import pytest

from errdetect.features.point_in_time import DAY
from errdetect.features.point_in_time_features import WINDOWS
from errdetect.spark.counting import KeyCounter, decode_counts


def _rows(rng, n, keys, days):
    at = rng.integers(0, 24 * days, n) * (DAY // 24)  # whole hours, so that many are simultaneous
    place = np.where(at > 60 * DAY, np.arange(n), -9)
    return pa.record_batch(
        {
            "kind": pa.array(np.zeros(n, np.int64)),
            "key": pa.array(rng.integers(0, keys, n)),
            "at": pa.array(at),
            "acted": pa.array(rng.integers(0, 2, n)),
            "place": pa.array(place, mask=place < 0),
            "event": pa.array(rng.random(n) < 0.9),
        }
    )


def _slots(first, last, n):
    return np.append(np.unique(np.linspace(first, last, n).astype(np.int64)), last + 1)


def _one_by_one(batch, windowed):
    key, at, acted, event = (batch[n].to_numpy(False) for n in ("key", "at", "acted", "event"))
    out = {}
    for row, place in enumerate(batch["place"].to_pylist()):
        if place is None:
            continue
        before = event & (key == key[row]) & (at < at[row])
        masks = [before & (at >= at[row] - w * DAY) for w in WINDOWS] if windowed else [before]
        out[place] = [int(x) for mask in masks for x in (mask.sum(), acted[mask].sum())]
    return {place: counts for place, counts in out.items() if any(counts)}


def _counted(counter, batch):
    placed = pa.Table.from_batches(list(counter.place(iter([batch])))).to_pandas()
    found = {}
    for _, rows in placed.groupby(["kind", "bucket", "slot"]):
        table = pa.Table.from_pandas(rows, preserve_index=False)
        place = pa.array(rows["place"].to_numpy(np.float64), pa.int64(), from_pandas=True)
        table = table.set_column(table.column_names.index("place"), "place", place)
        for row in counter.count(table).to_pylist():
            if row["place"] >= 0:
                assert row["place"] not in found
                found[row["place"]] = np.frombuffer(row["counts"], "<i8").tolist()
    return found


def _before(counter, batch):
    """What came before each slot, as the driver sums it up."""
    held = {}
    for totals in counter.totals(iter([batch])):
        for row in pa.Table.from_batches([totals]).to_pylist():
            pair = row["kind"], row["key"]
            slots = len(counter.edges[pair]) + 1
            own = held.setdefault(pair, np.zeros((4, slots, 2), np.int64))
            own[row["stream"], row["slot"]] += row["n"], row["acted"]
    width = 4 if counter.windowed[0] else 1
    return {
        (*pair, slot): (np.cumsum(own, axis=1) - own)[:width, slot]
        for pair, own in held.items()
        for slot in range(own.shape[1])
    }


@pytest.mark.parametrize("windowed", [True, False])
@pytest.mark.parametrize("slots", [0, 1, 5])
def test_counts_are_those_of_counting_one_by_one(windowed, slots):
    batch = _rows(np.random.default_rng(slots), 900, 4, 140)
    edges = {}
    if slots:
        at = batch["at"].to_numpy()
        first = at[batch["place"].is_valid().to_numpy(False)].min()
        edges = {(0, 2): _slots(first, at.max(), slots)}
    counter = KeyCounter((windowed,), 3, edges)
    counter = KeyCounter((windowed,), 3, edges, _before(counter, batch))
    assert _counted(counter, batch) == _one_by_one(batch, windowed)


def test_one_slot_of_a_large_key_holds_little_of_it():
    """A key of 30 % of the rows costs its share once for each window, over all slots."""
    batch = _rows(np.random.default_rng(9), 4_000, 3, 200)
    at = batch["at"].to_numpy()
    first = at[batch["place"].is_valid().to_numpy(False)].min()
    edges = {(0, 1): _slots(first, at.max(), 20)}
    placed = pa.Table.from_batches(list(KeyCounter((True,), 3, edges).place(iter([batch]))))
    large = placed.to_pandas().query("slot >= 0")
    own = int((batch["key"].to_numpy() == 1).sum())
    assert len(large) < 4 * own
    assert large.groupby("slot").size().max() < own / 2


def test_counts_of_zero_are_not_sent():
    kind = pa.list_(pa.struct({"kind": pa.int64(), "counts": pa.binary()}))
    wide, narrow = decode_counts(pa.array([None, []], kind), (True, False))
    assert wide.shape == (2, 6)
    assert narrow.shape == (2, 2)
    assert not wide.any()
    assert not narrow.any()
