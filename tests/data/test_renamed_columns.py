"""Renamed columns: every output has both names with equal values, and either is read."""

import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from errdetect import schemas
from errdetect.data.atomic_writing import write_parquet
from errdetect.data.renamed_columns import (
    add_old_columns,
    add_old_measures,
    complete_columns,
    schema_with_old_names,
    use_new_names,
)

SCHEMAS = {
    "scores": schemas.SCORES,
    "queue": schemas.QUEUE,
    "explanations": schemas.EXPLANATIONS,
    "plan": schemas.PLAN,
    "findings": schemas.FINDINGS,
    "thresholds": schemas.THRESHOLDS,
}


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_schemas_have_the_new_names_and_files_both(table, tmp_path):
    schema, pairs = SCHEMAS[table], schemas.RENAMED_COLUMNS[table]
    assert set(pairs) <= set(schema.names)
    assert not set(pairs.values()) & set(schema.names)
    full = schema_with_old_names(table, schema)
    assert full.names == [*schema.names, *pairs.values()]
    assert all(full.field(old).type == schema.field(new).type for new, old in pairs.items())
    frame = schema.empty_table().to_pandas()
    write_parquet(add_old_columns(frame, table), tmp_path / "t.parquet", full)
    written = pq.read_schema(tmp_path / "t.parquet")
    assert written.names == full.names
    marked = {
        f.name: f.metadata[b"renamed_to"].decode()
        for f in written
        if b"renamed_to" in (f.metadata or {})
    }
    assert marked == {old: new for new, old in pairs.items()}


def test_a_table_without_a_schema_is_marked_too(tmp_path):
    frame = pd.DataFrame({"predicted": [0.1, 0.3], "observed": [0.2, None], "n": [40, 41]})
    both = add_old_columns(frame, "reliability")
    schema = schema_with_old_names("reliability", None, frame)
    write_parquet(both, tmp_path / "t.parquet", schema)
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert found.columns.tolist() == ["predicted", "observed", "n", "said", "seen"]
    pd.testing.assert_series_equal(found["said"], found["predicted"], check_names=False)
    pd.testing.assert_series_equal(found["seen"], found["observed"], check_names=False)


def test_other_tables_stay_as_they_are():
    frame = pd.DataFrame({"said": [1], "load": [2]})
    assert add_old_columns(frame, "drivers").equals(frame)
    assert use_new_names(frame, "drivers").equals(frame)
    assert schema_with_old_names("drivers", None, frame) is None
    schema = pa.schema([("n", pa.int64())])
    assert schema_with_old_names("slices", schema).equals(schema)
    assert complete_columns(pa.table({"said": [1]}), "drivers").column_names == ["said"]


@pytest.mark.parametrize("table", sorted(schemas.RENAMED_COLUMNS))
def test_reading_undoes_writing_from_either_name(table):
    pairs = schemas.RENAMED_COLUMNS[table]
    new = pd.DataFrame({name: [1.5, None] for name in (*pairs, "other")})
    old = new.rename(columns=dict(pairs))
    for given in (new, old, add_old_columns(new, table)):
        assert use_new_names(given, table)[list(new)].equals(new)
    complete = complete_columns(pa.Table.from_pandas(old), table).to_pandas()
    assert complete[list(new)].equals(new)
    twice = complete_columns(pa.Table.from_pandas(complete), table).to_pandas()
    assert twice.equals(complete)


def test_old_measures_follow_with_equal_rows():
    frame = pd.DataFrame(
        {"measure": ["auroc", "calibration_gap"], "value": [0.8, 0.1], "n": [5, 6]}
    )
    both = add_old_measures(frame)
    assert both.iloc[:2].equals(frame)
    assert both.iloc[2:].values.tolist() == [["said_less_seen", 0.1, 6]]
    assert add_old_measures(frame[:0]).empty


def test_the_upgrading_page_lists_every_pair(repo):
    page = (repo / "docs/upgrading.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| [^|]+ \| (?:measure `)?(\w+)`? \| (?:measure `)?(\w+)`? \|$", page, re.M
    )
    pairs = {pair for table in schemas.RENAMED_COLUMNS.values() for pair in table.items()}
    assert set(rows) == pairs | set(schemas.RENAMED_MEASURES.items())
