"""Packed pieces hold what was packed, whatever its size; and workers find in them what they are asked for."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from errdetect.data.arrow_frames import POSITION
from errdetect.spark import clean_rows
from errdetect.spark.clean_rows import (
    IDENTITY,
    KEY,
    EventReader,
    identities,
    join_piece,
    pack_pieces,
    pack_table,
    piece_batch,
)
from errdetect.spark.counting import CHUNK_BITS


class Shared:
    """What Spark's broadcast is to a worker."""

    def __init__(self, value):
        self.value = value


def _rows(n, first=0):
    ids = [f"d{i}" for i in range(n)]
    return pa.table(
        {
            POSITION: np.arange(first, first + n),
            "decision_id": ids,
            "decided_at": pa.array(range(n), pa.timestamp("us", "UTC")),
            "enforced": [i % 2 == 0 for i in range(n)],
            "text": ["word " * 9] * n,
            IDENTITY: identities(pd.Index(ids)),
            KEY + "account": pa.array(range(n), mask=np.arange(n) % 3 == 0),
        }
    )


def test_pieces_are_bounded_in_bytes_and_hold_every_row(monkeypatch):
    rows = _rows(3_000, first=(1 << CHUNK_BITS) - 1_000)
    monkeypatch.setattr(clean_rows, "_PIECE_BYTES", 20_000)
    pieces = list(pack_pieces(rows))
    assert max(len(narrow) + len(wide) for _, narrow, wide in pieces) < 30_000
    together = pa.concat_tables(join_piece(narrow, wide) for _, narrow, wide in pieces)
    assert together.select(rows.column_names).equals(rows)
    for chunk, narrow, wide in pieces:
        assert set(join_piece(narrow, wide)[POSITION].to_numpy() >> CHUNK_BITS) == {chunk}


def test_a_row_larger_than_a_piece_is_a_piece(monkeypatch):
    monkeypatch.setattr(clean_rows, "_PIECE_BYTES", 10)
    assert len(list(pack_pieces(_rows(4)))) == 4


def _batch(rows):
    return piece_batch(list(pack_pieces(rows)))


@pytest.mark.parametrize("same_hash", [False, True])
def test_ids_are_compared_themselves_where_their_hashes_are_equal(same_hash, monkeypatch):
    rows = _rows(20)
    if same_hash:
        at = rows.column_names.index(IDENTITY)
        rows = rows.set_column(at, IDENTITY, pa.array(np.full(20, 7)))
        monkeypatch.setattr(clean_rows, "identities", lambda ids: np.full(len(ids), 7))
    wanted = clean_rows._Wanted.of(pd.Index(["d3", "d11", "d12", "elsewhere"]))
    task = clean_rows._PickTask(Shared(wanted), np.array([12]))
    (found,) = task.run(iter([_batch(rows)]))
    tables = [join_piece(n.as_buffer(), w.as_buffer())
              for n, w in zip(found["narrow"], found["wide"], strict=True)]  # fmt: skip
    assert pa.concat_tables(tables)["decision_id"].to_pylist() == ["d3", "d11"]
    (places,) = task.places(iter([_batch(rows)]))
    assert places[POSITION].to_pylist() == [3, 11]


def test_events_say_where_to_count_and_what_counts_for_others():
    rows = _rows(6)
    reader = EventReader(np.array([1, 4]), np.array([5]), (KEY + "account", "moderator"))
    sent = pa.table(
        {
            "of_batch": [False, True],
            "narrow": pa.array([pack_table(rows)] * 2, pa.binary()),
            "known": pa.array([None, [np.array([2], "<i8").tobytes()]], pa.list_(pa.binary())),
        }
    )
    log, batch = (pa.Table.from_batches([one]).to_pydict() for one in reader(sent.to_batches()))
    assert log["place"] == [None, 1, None, None, 4]
    assert batch["place"] == [0, 1, 2, 3, 4]
    assert log["event"] == [True] * 5
    assert batch["event"] == [True, True, False, True, True]
    assert batch["acted"] == [True, False, True, False, True]
    assert batch[KEY + "account"] == [None, 1, 2, None, 4]
    assert batch["moderator"] == [None] * 5
