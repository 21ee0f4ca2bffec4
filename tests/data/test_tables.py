"""Reading decisions and reviews: nothing lost in silence, every repair told."""

import datetime as dt
import gzip
import json
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.table_reading import iter_decisions, read_decisions, read_reviews
from errdetect.errors import ConfigError, DataError
from errdetect.schemas import REJECTS, REVIEWS

START = pd.Timestamp("2026-03-01", tz="UTC")


def _decisions(n=3, **columns):
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": START + pd.to_timedelta(np.arange(n), "h"),
            "item_id": [f"i{i}" for i in range(n)],
            "policy_id": "spam",
            "action": ["remove", "Approve", "demote"] * (n // 3) + ["keep"] * (n % 3),
        }
    )
    return frame.assign(**columns)


def _reviews(n=3, **columns):
    frame = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(n)],
            "decision_id": [f"d{i}" for i in range(n)],
            "reviewed_at": START + pd.Timedelta(days=3),
            "source": "audit",
            "verdict": "upheld",
        }
    )
    return frame.assign(**columns)


def _saved(tmp_path, frame, name="log.parquet"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        frame.to_parquet(path, index=False)
    elif ".csv" in name or ".tsv" in name:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    return path


def _read(tmp_path, frame, name="log.parquet", **kwargs):
    return read_decisions(_saved(tmp_path, frame, name), **kwargs)


def _adds_up(read):
    return read.n_rows == len(read.frame) + len(read.rejects) + read.n_duplicates


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.ndjson", "a.jsonl.gz"]
)
def test_every_format_reads_alike(tmp_path, name):
    frame = _decisions(
        score=[0.25, None, 1.0],
        market=["DE", None, "NA"],
        text=["a,\nb", 'c "d"', "=1+1"],
        flag=[True, False, True],
        count=[1, 2, 3],
        kind=["x", None, "y"],
    )
    read = _read(tmp_path, frame, name)
    expected = frame.assign(enforced=[True, False, True], count=[1.0, 2.0, 3.0])
    columns = [*frame.columns[:5], "score", "market", "text", "flag", "count", "kind", "enforced"]
    pd.testing.assert_frame_equal(
        read.frame, expected[columns].astype({"decided_at": "datetime64[us, UTC]"})
    )
    assert read.n_rows == 3
    assert list(read.rejects.columns) == REJECTS.names
    assert len(read.rejects) == 0


def test_dtypes(tmp_path):
    nulls = pa.nulls(3)
    table = pa.Table.from_pandas(_decisions(), preserve_index=False)
    for name in ("score", "market", "nothing"):
        table = table.append_column(name, nulls)
    table = table.append_column("flag", pa.array([True, None, False]))
    table = table.append_column("kind", pa.array(["a", "b", "a"]).dictionary_encode())
    table = table.append_column("tiny", pa.array([1, 2, None], pa.int8()))
    pq.write_table(table, tmp_path / "a.parquet")
    read = read_decisions(tmp_path / "a.parquet")
    dtypes = read.frame.dtypes.astype(str).to_dict()
    assert dtypes == {
        "decision_id": "str",
        "decided_at": "datetime64[us, UTC]",
        "item_id": "str",
        "policy_id": "str",
        "action": "str",
        "score": "float64",
        "market": "str",
        "nothing": "float64",
        "flag": "float64",
        "kind": "str",
        "tiny": "float64",
        "enforced": "bool",
    }
    assert "nothing: no row has a value" in read.notes


def test_features_that_no_model_takes_are_left_out_and_told(tmp_path):
    frame = _decisions(tags=[["a"], ["b"], []], seen=START, many=[np.inf, 1.0, -np.inf])
    read = _read(tmp_path, frame)
    assert "tags" not in read.frame
    assert "seen" not in read.frame
    assert "tags: left out, it is neither a number, true/false nor text" in read.notes
    assert "seen: left out, it is neither a number, true/false nor text" in read.notes
    assert read.frame["many"].isna().tolist() == [True, False, True]
    assert "many: 2 infinite values taken as missing" in read.notes


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ([7, 8, 9], ["7", "8", "9"]),
        ([7.0, 8.0, 9.0], ["7", "8", "9"]),
        (["007", "08", "9"], ["007", "08", "9"]),
    ],
)
def test_ids_from_parquet(tmp_path, ids, texts):
    assert _read(tmp_path, _decisions(decision_id=ids)).frame["decision_id"].tolist() == texts


def test_float_ids_are_told(tmp_path):
    read = _read(tmp_path, _decisions(decision_id=[7.0, 8.0, 9.0]))
    assert read.notes == ("decision_id: 3 numbers with a decimal point read as text (7.0 as '7')",)


def test_ids_from_csv_stay_as_written(tmp_path):
    read = _read(tmp_path, _decisions(decision_id=["007", "7", "7.0"]), "a.csv")
    assert read.frame["decision_id"].tolist() == ["007", "7", "7.0"]


def test_numbers_written_as_text_are_told_where_the_file_has_types(tmp_path):
    frame = _decisions(n=3, score=["0.5", "NA", "1"])
    read = _read(tmp_path, frame)
    assert read.frame["score"].tolist()[::2] == [0.5, 1.0]
    assert read.notes == (
        "score: 1 word such as NA or null read as missing",
        "score: 2 text values read as numbers",
    )
    assert _read(tmp_path, frame, "a.csv").notes == (
        "score: 1 word such as NA or null read as missing",
    )


def test_naive_and_mixed_zones_are_told(tmp_path):
    times = ["2026-03-01 12:00", "2026-03-01T12:00Z", "2026-03-01T12:00+09:00"]
    read = _read(tmp_path, _decisions(decided_at=times), "a.csv")
    assert read.frame["decided_at"].dt.hour.tolist() == [12, 12, 3]
    assert read.notes == (
        "decided_at: 1 time without a zone taken as UTC",
        "decided_at: 1 time with an offset converted to UTC",
    )


# --- actions, columns, drop --------------------------------------------------------------------


def test_actions_map_to_enforced(tmp_path):
    frame = _decisions(
        n=6, action=["approve", " KEEP", "No action", "take-down", "Label", "remove"]
    )
    assert _read(tmp_path, frame).frame["enforced"].tolist() == [False] * 3 + [True] * 3
    actions = {"No_Action": "enforce", "label": "allow"}
    read = _read(tmp_path, frame, actions=actions)
    assert read.frame["enforced"].tolist() == [False, False, True, True, False, True]
    assert read.frame["action"].tolist() == frame["action"].tolist()


@pytest.mark.parametrize(
    "strange", ["approvelink", "escalate", "pending", "1", "0.5", "\u202eremove"]
)
def test_an_action_without_a_meaning_is_rejected_never_an_enforcement(tmp_path, strange):
    read = _read(tmp_path, _decisions(n=3, action=["remove", strange, "approve"]))
    assert read.frame["enforced"].tolist() == [True, False]
    must = "action must be a known action word, or be mapped under data.actions, got"
    assert read.rejects["reason"].iloc[0].startswith(must)
    assert read.unknown_actions == {strange: 1}
    mapped = _read(tmp_path, _decisions(n=1, action=[strange]), actions={strange: "allow"})
    assert mapped.frame["enforced"].tolist() == [False]


@pytest.mark.parametrize("values", [[True, False], [1, 0], [1.5, 2.5]])
def test_flags_and_numbers_are_no_action_words(tmp_path, values):
    path = _saved(tmp_path, _decisions(n=2, action=values))
    with pytest.raises(DataError, match=r"Unknown action words: (.|\n)*ALLOW_OR_ENFORCE"):
        read_decisions(path)


def test_actions_that_are_wrong(tmp_path):
    path = _saved(tmp_path, _decisions())
    with pytest.raises(ConfigError) as caught:
        read_decisions(path, actions={"a": "alow", "B": "allow", "b": "enforce"})
    assert caught.value.faults == [
        "actions: 'a' must map to `allow` or `enforce`, got 'alow'. Choose one.",
        "actions: 'b' must have one meaning (case does not matter), got both. Keep one of them.",
    ]


def test_a_column_called_enforced_is_refused(tmp_path):
    path = _saved(tmp_path, _decisions(enforced=True))
    with pytest.raises(DataError, match=r"'enforced' must not be a column .* or drop it\."):
        read_decisions(path)
    assert read_decisions(path, drop=["enforced"]).frame["enforced"].tolist() == [True, False, True]
    renamed = read_decisions(path, columns={"enforced": "was_enforced"}).frame
    assert renamed["was_enforced"].all()


def test_columns_are_mapped(tmp_path):
    frame = _decisions(score=0.5).rename(columns={"decision_id": "id", "score": "risk"})
    columns = {"id": "decision_id", "risk": "score", "when": "reviewed_at", "r": "review_id"}
    read = _read(tmp_path, frame, columns=columns)
    assert read.frame["decision_id"].tolist() == ["d0", "d1", "d2"]
    assert read.frame["score"].tolist() == [0.5] * 3
    swap = {"item_id": "policy_id", "policy_id": "item_id"}
    assert _read(tmp_path, _decisions(), columns=swap).frame["item_id"].tolist() == ["spam"] * 3


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"scor": "score"},
            "columns: 'scor' -> 'score' must name a column of the table, got none of that name. "
            "did you mean 'score_2'?",
        ),
        (
            {"zzz": "my_feature"},
            "columns: 'zzz' -> 'my_feature' must name a column of the table, got none of that "
            "name. The columns are action, ",
        ),
        (
            {"score_1": "score", "score_2": "score"},
            "columns: 'score' must come from one column, got 'score_1' and 'score_2'.",
        ),
        (
            {"score_1": "item_id"},
            "columns: 'score_1' -> 'item_id' must map to a name that is free, got a column "
            "'item_id' of its own in ",
        ),
    ],
)
def test_mappings_that_do_not_fit(tmp_path, columns, said):
    path = _saved(tmp_path, _decisions(score_1=0.5, score_2=0.5))
    with pytest.raises(DataError) as caught:
        read_decisions(path, columns=columns)
    assert str(caught.value).startswith(said)


def test_a_mapping_to_a_name_that_is_there_anyway_is_told(tmp_path):
    read = _read(tmp_path, _decisions(), columns={"id": "decision_id"})
    assert read.notes == ("columns: there is no 'id'; decision_id is there under its own name",)


def test_drop(tmp_path):
    read = _read(tmp_path, _decisions(a=1, b=2), drop=["a", "zzz"])
    assert "a" not in read.frame
    assert "b" in read.frame
    assert read.notes == ("drop: there is no column 'zzz'",)


def test_a_saved_index_is_left_out(tmp_path):
    path = tmp_path / "a.csv"
    _decisions().to_csv(path)
    read = read_decisions(path)
    assert read.frame.columns[-2:].tolist() == ["action", "enforced"]
    assert read.notes == ("'': a saved row index, left out",)


# --- what cannot be used -----------------------------------------------------------------------


def test_unusable_rows_are_told_with_every_reason(tmp_path):
    frame = _decisions(
        n=9,
        score=[0.5, 1.5, -0.1, np.inf, np.nan, 0.5, 0.5, 0.5, 1 + 1e-8],
        exposure=[0, 1, 2, 3, 4, -1, np.inf, 7, 8],
    )
    frame.loc[0, "item_id"] = ""
    frame.loc[1, "policy_id"] = None
    read = _read(tmp_path, frame)
    assert read.rejects[["row", "id", "reason"]].to_numpy().tolist() == [
        [1, "d0", "item_id must have a value, got nothing"],
        [2, "d1", "policy_id must have a value, got nothing; score must lie in [0, 1], got 1.5"],
        [3, "d2", "score must lie in [0, 1], got -0.1"],
        [4, "d3", "score must lie in [0, 1], got inf"],
        [6, "d5", "exposure must be finite and at least 0, got -1.0"],
        [7, "d6", "exposure must be finite and at least 0, got inf"],
    ]
    assert set(read.rejects["source"]) == {str(tmp_path / "log.parquet")}
    assert read.frame["decision_id"].tolist() == ["d4", "d7", "d8"]
    assert read.frame["score"].max() == 1.0
    assert "score: 1 value beyond the limit by rounding only, set to the limit" in read.notes
    assert _adds_up(read)


def test_unreadable_values_are_told(tmp_path):
    frame = _decisions(decided_at=["01/02/2026", "", "2026-03-01"], score=["high", "0.5", "0.5"])
    read = _read(tmp_path, frame, "a.csv")
    assert read.rejects["reason"].tolist() == [
        "decided_at must begin with the year (otherwise day and month are ambiguous), "
        "got '01/02/2026'; score must be a number, got 'high'",
        "decided_at must have a value, got nothing",
    ]


def test_long_and_hostile_values_do_not_break_reasons(tmp_path):
    value = "x; y, got z\n" + "a" * 1000
    read = _read(tmp_path, _decisions(score=["0.5", "0.5", value]))
    reason = read.rejects["reason"][0]
    assert reason == "score must be a number, got 'x, y, got z\\n" + "a" * 25 + "…"


def test_ragged_rows_are_rejects(tmp_path):
    path = _saved(tmp_path, _decisions(), "a.csv")
    path.write_text(path.read_text() + "d9,2026\n")
    read = read_decisions(path)
    assert read.rejects["row"].tolist() == [4]
    assert read.rejects["reason"].tolist() == ["the row must have 5 fields, got 2"]
    assert read.rejects["id"].isna().all()
    assert _adds_up(read)


def test_review_rows(tmp_path):
    frame = _reviews(
        n=8,
        source=["audit", "Re-Review", "appeal", "apeal", "golden", "audit", "audit", "report"],
        verdict=["upheld", "UPHELD", "maybe", "upheld", "upheld", "upheld", "upheld", "relabelled"],
        inclusion_probability=[1.0, 0.5, None, None, None, 0.0, 1.5, None],
        expected=[None, None, None, None, "yes", None, None, None],
        minutes=[1.0, 0.1, None, None, None, None, None, 0.0],
        team="x",
    )
    path = _saved(tmp_path, frame)
    read = read_reviews(path)
    assert list(read.frame.columns) == [column.name for column in REVIEWS]
    assert read.frame["review_id"].tolist() == ["r0", "r1"]
    assert read.frame["source"].tolist() == ["audit", "re_review"]
    assert read.frame["verdict"].tolist() == ["upheld", "upheld"]
    choices = "audit, appeal, re_review, golden, adjudication, report"
    assert read.rejects["reason"].tolist() == [
        "verdict must be one of upheld, overturned, relabelled, got 'maybe'",
        f"source must be one of {choices}, got 'apeal'",
        "expected must be one of upheld, overturned, relabelled, got 'yes'",
        "inclusion_probability must lie in (0, 1], got 0.0",
        "inclusion_probability must lie in (0, 1], got 1.5",
        "minutes must be finite and above 0, got 0.0",
    ]
    assert read.notes[0] == "columns not used here: team"
    assert "source: 1 value matched despite different case, spaces or hyphens" in (read.notes)
    assert _adds_up(read)


def test_reviews_take_the_decisions_mapping_too(tmp_path):
    frame = _reviews().rename(columns={"review_id": "id"})
    columns = {"id": "review_id", "log_id": "decision_id", "risk": "score", "x": "my_feature"}
    read = read_reviews(_saved(tmp_path, frame), columns=columns)
    assert read.frame["review_id"].tolist() == ["r0", "r1", "r2"]


# --- repeated ids ------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_the_first_usable_row_of_an_id_is_kept(tmp_path, batch_rows):
    frame = pd.concat([_decisions(score=0.5)] * 3, ignore_index=True)
    frame.loc[0, "score"] = 7.0
    frame.loc[4, "item_id"] = "other"
    path = _saved(tmp_path, frame)
    batches = list(iter_decisions(path, batch_rows=batch_rows))
    kept = pd.concat([batch.frame for batch in batches])
    assert kept["decision_id"].tolist() == ["d1", "d2", "d0"]
    assert sum(batch.n_duplicates for batch in batches) == 4
    rejects = pd.concat([batch.rejects for batch in batches])
    assert rejects[["row", "reason"]].to_numpy().tolist() == [
        [1, "score must lie in [0, 1], got 7.0"],
        [
            5,
            "decision_id must be unique, and the first row of an id is kept, "
            "got 'd1' with other values",
        ],
    ]
    whole = read_decisions(path)
    assert whole.notes == ("4 rows left out, each equal in every value to an earlier one",)
    assert _adds_up(whole)


def test_repeated_ids_across_files_of_other_types(tmp_path):
    _saved(tmp_path, _decisions(decision_id=[1, 2, 3]), "a.parquet")
    _saved(tmp_path, _decisions(decision_id=["3", "4", "05"]), "b.csv")
    read = read_decisions(tmp_path / "*")
    assert read.frame["decision_id"].tolist() == ["1", "2", "3", "4", "05"]
    assert read.rejects["row"].tolist() == [1]
    assert read.rejects["source"].tolist() == [str(tmp_path / "b.csv")]


# --- several files -----------------------------------------------------------------------------


def test_files_with_other_columns_are_put_together(tmp_path):
    _saved(tmp_path, _decisions(score=0.5, flag=True, code=[1, 2, 3]), "a.parquet")
    second = _decisions(decision_id=["e0", "e1", "e2"], market="DE", code=["x", "y", "z"])
    _saved(tmp_path, second, "b.parquet")
    read = read_decisions([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert read.frame["score"].isna().tolist() == [False] * 3 + [True] * 3
    assert read.frame["market"].isna().tolist() == [True] * 3 + [False] * 3
    assert read.frame["flag"].dtype == np.float64
    assert read.frame["code"].tolist() == ["1", "2", "3", "x", "y", "z"]
    assert read.notes[:4] == (
        "score: missing in 1 of 2 files (b.parquet)",
        "market: missing in 1 of 2 files (a.parquet)",
        "flag: missing in 1 of 2 files (b.parquet)",
        "code: numbers or true/false in some files, text in others; read as text",
    )


def test_an_empty_file_among_others_is_told(tmp_path):
    _saved(tmp_path, _decisions(), "a.csv")
    (tmp_path / "b.csv").write_text("")
    assert read_decisions(tmp_path / "*.csv").notes == (f"{tmp_path / 'b.csv'} holds no row",)


def test_a_folder_of_parts_with_partitions(tmp_path):
    for n, market in enumerate(("DE", "FR")):
        frame = _decisions(decision_id=[f"{market}{i}" for i in range(3)])
        _saved(tmp_path, frame, f"log/market={market}/part-{n}.parquet")
    (tmp_path / "log" / "_SUCCESS").touch()
    read = read_decisions(tmp_path / "log")
    assert read.frame["market"].tolist() == ["DE"] * 3 + ["FR"] * 3


# --- tables that cannot be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.csv", ""), ("a.csv", "decision_id,x\n"), ("a.jsonl", ""), ("a.tsv", "\n")],
)
@pytest.mark.parametrize("read", [read_decisions, read_reviews])
def test_empty_files(tmp_path, name, data, read):
    (tmp_path / name).write_text(data)
    with pytest.raises(
        DataError, match=r"/a\.\w+ must hold at least one row, got none\. Check how"
    ):
        read(tmp_path / name, columns={"id": "decision_id"})


def test_an_empty_parquet_file(tmp_path):
    path = _saved(tmp_path, _decisions().head(0))
    with pytest.raises(DataError, match="must hold at least one row, got none"):
        list(iter_decisions(path))


def test_missing_columns_are_named_at_once_with_near_names(tmp_path):
    frame = _decisions().rename(columns={"decision_id": "decison_id", "decided_at": "ts"})
    path = _saved(tmp_path, frame.drop(columns="action"))
    with pytest.raises(DataError) as caught:
        read_decisions(path)
    assert str(caught.value) == (
        f"{path} must have the columns decision_id, decided_at, action, got decison_id, item_id, "
        "policy_id, ts. Near names: decision_id (did you mean 'decison_id'?). "
        "Rename them, or map them under `data.columns`."
    )


def test_no_usable_row(tmp_path):
    frame = _decisions(score=[2.0, 3.0, 0.5])
    frame.loc[2, "action"] = None
    path = _saved(tmp_path, frame)
    said = (
        f"{path} must hold at least one usable row, got none. Reasons: "
        "score must lie in [0, 1] (2 rows); action must have a value (1 row)."
    )
    with pytest.raises(DataError) as caught:
        read_decisions(path)
    assert str(caught.value) == said
    batches = iter_decisions(path, batch_rows=2)
    assert [len(next(batches).rejects) for _ in range(2)] == [2, 1]
    with pytest.raises(DataError, match="at least one usable row"):
        next(batches)


def test_rows_without_any_field_are_rejects(tmp_path):
    path = _saved(tmp_path, _decisions(), "a.jsonl")
    path.write_text("{}\n" + path.read_text())
    (tmp_path / "b.jsonl").write_text("{}\n{}\n")
    read = read_decisions(path)
    assert read.rejects["reason"][0].startswith("decision_id must have a value, got nothing; ")
    assert _adds_up(read)
    with pytest.raises(DataError, match=r"must have the columns decision_id, .*, got none"):
        read_decisions(tmp_path / "b.jsonl")


def test_nothing_but_broken_lines(tmp_path):
    (tmp_path / "a.jsonl").write_text("x\ny\n")
    with pytest.raises(DataError, match=r"Reasons: the line must be a JSON object \(2 rows\)\."):
        read_decisions(tmp_path / "a.jsonl")


def test_nested_contract_columns_are_refused(tmp_path):
    path = _saved(tmp_path, _decisions(text=[["a"]] * 3))
    with pytest.raises(DataError, match="Column text must hold text, got the type list"):
        read_decisions(path)


def test_batch_rows_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="batch_rows must be at least 1, got 0"):
        next(iter_decisions(_saved(tmp_path, _decisions()), batch_rows=0))


# --- properties --------------------------------------------------------------------------------

_ids = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=3)
_KNOWN_TIMES = ("2026-03-01", "2026-03-01T12:00Z", "1772323200")
_KNOWN_SCORES = ("0.5", "", "NA", "nan")
_times = st.sampled_from([*_KNOWN_TIMES, "1/2/2026", "", "x"])
_scores = st.sampled_from([*_KNOWN_SCORES, "1.5", "high", "inf"])
_rows = st.lists(st.tuples(_ids, _times, _scores, st.sampled_from(["1", "x", ""])), min_size=1)


@given(_rows, st.sampled_from(["csv", "jsonl", "parquet"]), st.integers(1, 5))
def test_no_row_is_lost_and_batches_read_as_the_whole(tmp_path_factory, rows, form, batch_rows):
    ids, times, scores, features = zip(*rows, strict=True)
    frame = _decisions(len(rows), decision_id=ids, decided_at=times, score=scores, f=features)
    path = _saved(tmp_path_factory.mktemp("log"), frame, f"a.{form}")
    if not any(i.strip() and t in _KNOWN_TIMES and s in _KNOWN_SCORES for i, t, s, _ in rows):
        with pytest.raises(DataError, match="at least one usable row"):
            read_decisions(path)
        return
    read = read_decisions(path)
    assert read.n_rows == len(rows)
    assert _adds_up(read)
    assert set(read.frame["decision_id"]) <= set(ids)
    assert read.frame["decision_id"].is_unique
    batches = list(iter_decisions(path, batch_rows=batch_rows))
    pieces = [batch.frame for batch in batches if len(batch.frame)]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), read.frame)
    assert sum(batch.n_rows for batch in batches) == len(rows)
    rejects = pd.concat([b.rejects for b in batches if len(b.rejects)] or [read.rejects])
    assert sorted(rejects["row"]) == read.rejects["row"].tolist()


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1), unique=True
    )
)
def test_ids_round_trip_exactly(tmp_path_factory, ids):
    ids = [text for text in ids if text.strip()]
    if not ids:
        return
    folder = tmp_path_factory.mktemp("ids")
    frame = _decisions(len(ids), decision_id=ids)
    for form in ("csv", "jsonl", "parquet"):
        read = read_decisions(_saved(folder, frame, f"a.{form}"))
        assert read.frame["decision_id"].tolist() == ids


def test_equal_input_gives_equal_output(tmp_path):
    path = _saved(tmp_path, _decisions(n=30, score=[0.5, 2, "x"] * 10), "a.csv")
    one, other = read_decisions(path), read_decisions(path)
    pd.testing.assert_frame_equal(one.frame, other.frame)
    pd.testing.assert_frame_equal(one.rejects, other.rejects)
    assert one.notes == other.notes


def test_hostile_json(tmp_path):
    row = {
        "decision_id": "\u202e<script>",
        "decided_at": 1772323200,
        "item_id": 5,
        "policy_id": "p",
        "action": "keep",
        "text": "=HYPERLINK()",
    }
    data = gzip.compress(json.dumps(row).encode())
    (tmp_path / "a.json.gz").write_bytes(data)
    read = read_decisions(tmp_path / "a.json.gz")
    assert read.frame["decision_id"][0] == "\u202e<script>"
    assert read.frame["decided_at"][0] == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert read.frame["item_id"][0] == "5"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rejected"), [("civil_comments", 0), ("wiki_edits", 0), ("multi_market", 14)]
)
def test_real_sets(shared_data, name, rejected):
    folder = shared_data / name
    read = read_decisions(folder / "decisions.parquet")
    assert len(read.rejects) == rejected
    assert set(read.rejects["reason"].str.split(", got").str[0]) <= {"score must lie in [0, 1]"}
    assert _adds_up(read)
    for reviews in ("reviews.parquet", "reviews_partial.parquet"):
        assert len(read_reviews(folder / reviews).rejects) == 0


# --- what files really hold --------------------------------------------------------------------

UUIDS = [f"6ba7b810-9dad-41d1-80b4-00c04fd430c{i}" for i in range(3)]


@pytest.mark.parametrize(
    "written",
    [
        UUIDS,
        [one.upper() for one in UUIDS],
        [f"{{{one}}}" for one in UUIDS],
        [f"urn:uuid:{one}" for one in UUIDS],
        [one.replace("-", "") for one in UUIDS],
        pa.array([bytes.fromhex(one.replace("-", "")) for one in UUIDS], pa.binary(16)),
        pa.array([bytes.fromhex(one.replace("-", "")) for one in UUIDS], pa.uuid()),
    ],
)
@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl"])
def test_uuids_join_whatever_form_a_table_has(tmp_path, written, name):
    if not isinstance(written, pa.Array):
        ids = written
        reviews = read_reviews(_saved(tmp_path, _reviews(decision_id=ids, reviewer_id=ids), name))
        decisions = _read(tmp_path, _decisions(decision_id=ids, account_id=ids), name)
    else:
        tables = [
            pa.Table.from_pandas(one, preserve_index=False) for one in (_reviews(), _decisions())
        ]
        for path, table in zip(("r.parquet", "d.parquet"), tables, strict=True):
            at = table.schema.get_field_index("decision_id")
            pq.write_table(table.set_column(at, "decision_id", written), tmp_path / path)
        reviews, decisions = (
            read_reviews(tmp_path / "r.parquet"),
            read_decisions(tmp_path / "d.parquet"),
        )
    assert reviews.frame["decision_id"].tolist() == UUIDS
    assert decisions.frame["decision_id"].tolist() == UUIDS
    if "account_id" in decisions.frame:
        assert decisions.frame["account_id"].tolist() == UUIDS
        assert reviews.frame["reviewer_id"].tolist() == UUIDS


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_ids_with_decimals_are_read_alike_in_every_batch(tmp_path, batch_rows):
    path = _saved(tmp_path, _decisions(decision_id=["1022.0000000000", "7.0", "8.00"]), "a.csv")
    batches = list(iter_decisions(path, batch_rows=batch_rows))
    assert pd.concat([b.frame for b in batches])["decision_id"].tolist() == ["1022", "7", "8"]
    path = _saved(tmp_path, _decisions(decision_id=["7.0", "8.0", "x"]), "a.csv")
    batches = list(iter_decisions(path, batch_rows=batch_rows))
    assert pd.concat([b.frame for b in batches])["decision_id"].tolist() == ["7.0", "8.0", "x"]


def test_the_same_id_in_two_forms_is_found_twice(tmp_path):
    _saved(tmp_path, _decisions(decision_id=[1.0, 2.0, 3.0]), "a.parquet")
    _saved(tmp_path, _decisions(decision_id=["1.0", "4.0", "5.0"]), "b.csv")
    read = read_decisions([tmp_path / "a.parquet", tmp_path / "b.csv"])
    assert read.frame["decision_id"].tolist() == ["1", "2", "3", "4", "5"]
    assert read.n_duplicates == 1


def test_floats_that_lost_digits_are_refused_with_their_cause(tmp_path):
    path = _saved(tmp_path, _decisions(decision_id=[2.0**60, 2.0**60 + 1e6, 2.0**61]))
    with pytest.raises(
        DataError, match=r"a float has lost those beyond 2\^53 \(export the ids as te"
    ):
        read_decisions(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_numbers_with_commas_are_read_and_told(tmp_path, name, batch_rows):
    frame = _decisions(
        score=["0,93", None, "93%"], price=["1.234", "1.234,5", "7"], zip=["01234", "1234", "5,5"]
    )
    path = _saved(tmp_path, frame, name)
    batches = list(iter_decisions(path, batch_rows=batch_rows))
    whole = pd.concat([batch.frame for batch in batches])
    assert whole["score"].tolist()[::2] == [0.93, 0.93]
    assert whole["price"].tolist() == [1234.0, 1234.5, 7.0]
    assert whole["zip"].tolist() == ["01234", "1234", "5,5"]
    notes = read_decisions(path).notes
    assert "zip: read as text: 1 of 3 values is no number, such as '01234'" in notes
    assert "score: 1 number with a decimal comma read (such as '0,93')" in notes
    assert "score: 1 number with a percent sign read (such as '93%')" in notes
    assert "price: 2 numbers with grouped digits read (such as '1.234,5')" in notes


def test_numbers_that_can_be_read_in_two_ways_are_never_guessed(tmp_path):
    frame = _decisions(exposure=["1,234", "5", "7"], price=["1,234", "5", "7"])
    read = _read(tmp_path, frame, "a.csv")
    assert read.frame["exposure"].tolist() == [5.0, 7.0]
    assert "unambiguous number" in read.rejects["reason"][0]
    assert read.frame["price"].tolist() == ["5", "7"]
    assert any(
        note.startswith("price: read as text: numbers such as '1,234'") for note in read.notes
    )


def test_a_point_is_uncertain_where_the_other_columns_have_commas(tmp_path):
    read = _read(tmp_path, _decisions(a=["0,5", "1", "2"], b=["1.234", "950", "7"]), "a.csv")
    assert read.frame["b"].tolist() == ["1.234", "950", "7"]
    assert any(note.startswith("b: read as text: numbers such as '1.234'") for note in read.notes)


def test_numbers_whose_type_is_text_are_told(tmp_path):
    read = _read(tmp_path, _decisions(code=["12", "47", "3"]))
    assert read.frame["code"].tolist() == ["12", "47", "3"]
    told = "code: read as text, its type in the file, though every value is a number (such as '12')"
    assert read.notes == (told,)


def test_an_exposure_in_percent_is_refused(tmp_path):
    read = _read(tmp_path, _decisions(exposure=["5%", "1", "2"]), "a.csv")
    assert read.rejects["reason"].tolist() == [
        "exposure must be a number without a percent sign, got '5%'"
    ]


def test_sentinels_are_named(tmp_path):
    times = ["0001-01-01", "1970-01-01T00:00Z", "9999-12-31T23:59:59Z", "2026-03-01T10:00Z"]
    read = _read(tmp_path, _decisions(n=4, decided_at=times), "a.csv")
    assert len(read.frame) == 1
    assert all("is a sentinel" in reason for reason in read.rejects["reason"])


def test_a_review_of_a_day_is_known_at_its_end(tmp_path):
    times = ["2026-03-01", "2026-03-02T10:00Z", "2026-060"]
    read = read_reviews(_saved(tmp_path, _reviews(reviewed_at=times), "a.csv"))
    end = pd.Timestamp("2026-03-01T23:59:59.999999Z")
    assert read.frame["reviewed_at"].tolist() == [end, pd.Timestamp("2026-03-02T10:00Z"), end]
    told = (
        "reviewed_at: 2 review times are only a day: each is taken as known at that day's end (UTC)"
    )
    assert told in read.notes
    assert not any("without a zone" in note for note in read.notes)
    table = pa.Table.from_pandas(_reviews().drop(columns="reviewed_at"), preserve_index=False)
    day = pa.array([dt.date(2026, 3, 1)] * 3)
    pq.write_table(table.append_column("reviewed_at", day), tmp_path / "b.parquet")
    read = read_reviews(tmp_path / "b.parquet")
    assert read.frame["reviewed_at"].tolist() == [end] * 3
    assert len(read.notes) == 1


def test_decisions_of_a_day_stay_at_its_beginning(tmp_path):
    read = _read(tmp_path, _decisions(decided_at=["2026-03-01"] * 3), "a.csv")
    assert read.frame["decided_at"].tolist() == [START] * 3


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_review_times_that_are_all_midnight_are_days(tmp_path, name):
    times = pd.to_datetime(["2026-03-01", "2026-03-02", "2026-03-04"]).tz_localize("UTC")
    read = read_reviews(_saved(tmp_path, _reviews(reviewed_at=times), name))
    ends = times + pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)
    assert read.frame["reviewed_at"].tolist() == ends.tolist()
    assert read.notes[-1].startswith("reviewed_at: 3 times are exactly midnight")
    for few in (times[:2], [*times[:2], times[2] + pd.Timedelta(seconds=1)]):
        read = read_reviews(_saved(tmp_path, _reviews(n=len(few), reviewed_at=few), name))
        assert read.frame["reviewed_at"].tolist() == list(few)
        assert not any("midnight" in note for note in read.notes)


def test_a_wide_table_takes_time_in_proportion_to_its_columns(tmp_path):
    path, n = tmp_path / "wide.csv", 20_000
    head = "decision_id,decided_at,item_id,policy_id,action," + ",".join(f"c{i}" for i in range(n))
    path.write_text(f"{head}\nd1,2026-01-31,i,spam,remove{',1' * n}\n")
    begun = time.process_time()
    found = read_decisions(path)
    assert found.frame.shape[1] > n
    assert time.process_time() - begun < 10  # 2.5 seconds; in proportion to the square, 150
