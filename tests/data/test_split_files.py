"""Rows split over files come back, each file's in their order."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.split_files import SplitFiles


@given(parts=st.lists(st.lists(st.integers(0, 3), max_size=20), max_size=5))
def test_every_row_is_in_its_file_and_in_order(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    schema = pa.schema({"file": pa.int64(), "place": pa.int64(), "text": pa.string()})
    files = SplitFiles(folder / "a", schema, 4)
    place = 0
    for numbers in parts:
        places = np.arange(place, place + len(numbers))
        place += len(numbers)
        table = pa.table(
            [pa.array(numbers, pa.int64()), places, [f"t{i}" for i in places]], schema=schema
        )
        files.write(table, np.array(numbers, np.int64))
    files.close()
    found = [files.read(i) for i in range(len(files))]
    assert sum(map(len, found)) == place
    for number, table in enumerate(found):
        assert set(table["file"].to_pylist()) <= {number}
        assert table["place"].to_pylist() == sorted(table["place"].to_pylist())
        assert table["text"].to_pylist() == [f"t{i}" for i in table["place"].to_pylist()]
        assert files.read(number, ["text", "place"]).column_names == ["place", "text"]
    files.remove()
    assert list((folder / "a").iterdir()) == []
