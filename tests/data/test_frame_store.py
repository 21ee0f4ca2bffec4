"""Frames in a file come back as they were, in parts."""

from pathlib import Path

import pandas as pd

from errdetect.data.frame_store import FrameStore


def test_parts_in_order_are_the_table(tmp_path: Path) -> None:
    n = 23_000
    frame = pd.DataFrame(
        {
            "id": pd.Series([str(i) if i % 7 else None for i in range(n)], dtype="str"),
            "at": pd.to_datetime(range(n), unit="s", utc=True).as_unit("us"),
            "yes": [i % 2 == 0 for i in range(n)],
            "x": [float(i) if i % 3 else float("nan") for i in range(n)],
        }
    )
    store = FrameStore(tmp_path / "some.arrow")
    for start in range(0, n, 11_000):
        store.write(frame.iloc[start : start + 11_000].reset_index(drop=True))
    store.close()
    assert store.starts[0] == 0
    assert len(store) == len(store.starts) > 3
    pd.testing.assert_frame_equal(pd.concat(store, ignore_index=True), frame)
    pd.testing.assert_frame_equal(
        store.part(1), frame.iloc[store.starts[1] : store.starts[2]].reset_index(drop=True)
    )


def test_a_table_without_rows(tmp_path: Path) -> None:
    store = FrameStore(tmp_path / "some.arrow")
    store.close()
    assert (len(store), store.starts, list(store)) == (0, (), [])
