"""Counts of earlier decisions by key: split by time or not, they are those of counting one by one."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from errdetect.features.point_in_time import DAY
from errdetect.features.point_in_time_features import WINDOWS
from errdetect.spark.counting import CHUNK_BITS, KeyCounter, _edges, unpack_counts


def _rows(rng, n, keys, days):
    at = rng.integers(0, 24 * days, n) * (DAY // 24)  # whole hours, so that many are simultaneous
    place = np.where(at > 60 * DAY, np.arange(n), -9)
    return pa.record_batch(
        {
            "key": pa.array(rng.integers(0, keys, n), mask=rng.random(n) < 0.05),
            "at": pa.array(at),
            "acted": pa.array(rng.random(n) < 0.5),
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
        if place is None or np.isnan(key[row]):
            continue
        before = event & (key == key[row]) & (at < at[row])
        masks = [before & (at >= at[row] - w * DAY) for w in WINDOWS] if windowed else [before]
        out[place] = [int(x) for mask in masks for x in (mask.sum(), acted[mask].sum())]
    return {place: counts for place, counts in out.items() if any(counts)}


def _counter(windowed, edges, before=()):
    return KeyCounter(("key",), (windowed,), 3, edges, dict(before))


def _counted(counter, batch):
    parts = [batch.slice(0, 300), batch.slice(300)]
    placed = pa.Table.from_batches(list(counter.place(iter(parts)))).to_pandas()
    found = {}
    for _, rows in placed.groupby(["kind", "bucket", "slot"]):
        for row in counter.count(pa.Table.from_pandas(rows, preserve_index=False)).to_pylist():
            if row["chunk"] >= 0:
                held = np.frombuffer(row["counts"], "<i8").reshape(
                    -1, 7 if counter.windowed[0] else 3
                )
                assert not set(held[:, 0]) & found.keys()
                assert set(held[:, 0] >> CHUNK_BITS) == {row["chunk"]}
                found |= {int(place): counts for place, *counts in held.tolist()}
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
    counter = _counter(windowed, edges, _before(_counter(windowed, edges), batch))
    assert _counted(counter, batch) == _one_by_one(batch, windowed)


def test_one_slot_of_a_large_key_holds_little_of_it():
    """A key of 30 % of the rows costs its share once for each window, over all slots."""
    batch = _rows(np.random.default_rng(9), 4_000, 3, 200)
    at = batch["at"].to_numpy()
    first = at[batch["place"].is_valid().to_numpy(False)].min()
    edges = {(0, 1): _slots(first, at.max(), 20)}
    placed = pa.Table.from_batches(list(_counter(True, edges).place(iter([batch]))))
    large = placed.to_pandas().query("slot >= 0")
    size = large["events"].str.len() // 25
    own = int((batch["key"].to_numpy(False) == 1).sum())
    assert own < size.sum() < 4 * own
    assert size.groupby(large["slot"]).sum().max() < own / 2


def test_no_large_key_is_missed():
    """Every key with more rows than asked for is among those sent, whatever the blocks."""
    rng = np.random.default_rng(3)
    batch = _rows(rng, 6_000, 40, 100)
    key = np.where(rng.random(6_000) < 0.2, 7, batch["key"].fill_null(0).to_numpy())
    key[:1500] = 8  # in some blocks only
    batch = batch.set_column(0, "key", pa.array(key))
    split, found = 900, Counter()
    counter = _counter(False, {})
    parts = [batch.slice(i, 250) for i in range(0, 6_000, 250)]
    for part in parts:
        for sent in counter.heavy([part], split / (2 * 6_000)):
            for row in sent.to_pylist():
                found[row["key"]] += row["n"]
    large = {key for key, n in found.items() if n > split / 2}
    assert {7, 8} <= large
    assert large <= {key for key, n in Counter(key.tolist()).items() if n > split / 2}


def test_slots_hold_about_as_many_decisions():
    rng = np.random.default_rng(5)
    at = np.sort(rng.integers(0, 10**9, 5_000))
    blocks = [at[:2000], at[2000:2100], at[2100:]]
    found = [(len(times), times[:: max(1, len(times) // 200)]) for times in blocks]
    edges = _edges(found, 5_000, 1_000)
    assert edges[0] == min(times[0] for _, times in found)
    inside = np.histogram(at, edges)[0]
    assert len(edges) == 11
    assert inside.max() < 1.2 * 500


def test_counts_of_zero_are_not_sent():
    wide, narrow = unpack_counts(np.array([4, 9]), [], (True, False))
    assert wide.shape == (2, 6)
    assert narrow.shape == (2, 2)
    assert not wide.any()
    assert not narrow.any()
