"""Tables as people have them: a mapping per table, any common dialect, workbooks, and files that attack."""

import gzip
import io
import json
import zipfile
from collections import Counter

import openpyxl
import pandas as pd
import pytest

import errdetect
from errdetect.config import load_config
from errdetect.data.action_meanings import unknown_actions_hint
from errdetect.data.table_reading import read_decisions, read_draws, read_reviews
from errdetect.errors import ConfigError, DataError, mask_secrets
from errdetect.table_settings import FileSource, TableMapping
from errdetect.workflows.load_data import read_tables

LOG = """sep=;
id;ts;rule;verdict;model_conf;land
A-1;03.04.2026 13:05;Betrug;PASS;12,5;DE
A-2;29.03.2026 02:30;Betrug;REJECT;1.000,0;DE
A-3;04.04.2026 01:05;Spam;REJECT;99,9 %;DE
A-4;05.04.2026;Spam;HMM;50;DE
"""
MAPPING = {
    "columns": {"id": "decision_id", "ts": "decided_at", "rule": "policy_id", "verdict": "action",
                "model_conf": "score", "land": "market"},
    "scale": {"score": 100}, "time_zone": "Europe/Berlin", "dates": "day_first", "decimal": ",",
}  # fmt: skip


def workbook(rows, path=None, **sheets) -> bytes:
    book = openpyxl.Workbook()
    for name, content in ({"March": rows} | sheets).items():
        sheet = book.create_sheet(name)
        for row in content:
            sheet.append(row)
    del book["Sheet"]
    out = io.BytesIO()
    book.save(out)
    if path is not None:
        path.write_bytes(out.getvalue())
    return out.getvalue()


QA = [
    ["QA results for March"],
    ["case", "qa_date", "qa_result", "agent", "vendor"],
    ["A-1", pd.Timestamp("2026-04-06 10:00").to_pydatetime(), "Correct", 17, "Porto"],
    ["A-2", pd.Timestamp("2026-04-07").to_pydatetime(), "incorrect", 18, "Porto"],
    ["A-3", pd.Timestamp("2026-04-07 09:00").to_pydatetime(), "Unsure", 18, "Porto"],
]


def test_the_issues_config_reads_a_csv_and_a_workbook(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "march.csv").write_bytes(LOG.encode("cp1252"))
    workbook(QA, tmp_path / "qa.xlsx", Notes=[])
    (tmp_path / "c.yaml").write_text(
        "version: 1\n"
        "data:\n"
        '  decisions: {path: "log/*.csv", columns: {id: decision_id, ts: decided_at, rule: policy_id,'
        " verdict: action, model_conf: score, land: market}, scale: {score: 100},"
        ' time_zone: Europe/Berlin, dates: day_first, decimal: ","}\n'
        "  reviews: {path: qa.xlsx, sheet: March, columns: {case: decision_id, qa_date: reviewed_at,"
        " qa_result: verdict, agent: reviewer_id, vendor: site},"
        " values: {verdict: {Correct: upheld, Incorrect: overturned}}, constants: {source: re_review}}\n"
        "  actions: {PASS: allow, REJECT: enforce}\n"
    )
    loaded = read_tables(load_config(tmp_path / "c.yaml"), progress=lambda _: None)
    log = loaded.decisions.frame.set_index("decision_id")
    assert log["score"].tolist() == pytest.approx([0.125, 0.999])
    # 29 March, 02:30, does not exist in Berlin; 1.000,0 of 100 is out of range: named, not guessed.
    assert log.loc["A-1", "decided_at"] == pd.Timestamp("2026-04-03 11:05Z")
    assert log["item_id"].tolist() == ["A-1", "A-3"]
    reasons = loaded.decisions.rejects.set_index("id")["reason"]
    assert "score must lie in [0, 1]" in reasons["A-2"]
    assert "clocks were changed" in reasons["A-2"]
    assert dict(loaded.decisions.unknown_actions) == {"HMM": 1}
    reviews = loaded.reviews
    assert reviews is not None
    assert reviews.frame["verdict"].tolist() == ["upheld", "overturned"]
    assert reviews.frame["reviewer_id"].tolist() == ["17", "18"]
    assert reviews.frame["reviewed_at"].iloc[1] == pd.Timestamp("2026-04-07T00:00Z")
    assert reviews.frame["review_id"].is_unique
    assert "verdict must be one of upheld" in reviews.rejects["reason"].iloc[0]
    assert reviews.rejects["row"].tolist() == [3]


@pytest.mark.parametrize(
    ("zone", "moments"),
    [
        ("America/New_York", ["2026-01-05T14:00Z", "2026-07-05T13:00Z"]),
        (
            {"DE": "Europe/Berlin", "US": "America/New_York"},
            ["2026-01-05T08:00Z", "2026-07-05T13:00Z"],
        ),
        ({"DE": "Europe/Berlin"}, ["2026-01-05T08:00Z"]),
    ],
)
def test_a_zone_holds_for_times_that_name_none(tmp_path, zone, moments):
    rows = "d1,2026-01-05 09:00:00,p,remove,DE\nd2,2026-07-05 09:00,p,remove,US\n"
    given = "d3,2026-01-05T09:00+00:00,p,remove,DE\n"
    (tmp_path / "a.csv").write_text(
        "decision_id,decided_at,policy_id,action,market\n" + rows + given
    )
    read = read_decisions(tmp_path / "a.csv", mapping=TableMapping(time_zone=zone))
    found = read.frame["decided_at"].tolist()
    assert found == [pd.Timestamp(one) for one in [*moments, "2026-01-05T09:00Z"]]
    assert len(read.frame) + len(read.rejects) == 3


def test_a_day_of_review_ends_in_its_own_zone(tmp_path):
    (tmp_path / "r.csv").write_text(
        "decision_id,reviewed_at,source,verdict\nd1,2026-03-02,re_review,upheld\n"
    )
    mapping = TableMapping(time_zone="America/New_York")
    read = read_reviews(tmp_path / "r.csv", mapping=mapping)
    assert read.frame["reviewed_at"].iloc[0] == pd.Timestamp("2026-03-03T04:59:59.999999Z")


def test_month_first_two_digit_years_and_clocks_with_halves(tmp_path):
    (tmp_path / "a.csv").write_text(
        "decision_id,decided_at,policy_id,action\nd1,3/4/26 1:05 PM,p,remove\nd2,12/31/2025,p,remove\n"
        "d3,13/1/2026,p,remove\n"
    )
    read = read_decisions(tmp_path / "a.csv", mapping=TableMapping(dates="month_first"))
    assert read.frame["decided_at"].tolist() == [
        pd.Timestamp("2026-03-04T13:05Z"), pd.Timestamp("2025-12-31T00:00Z"),
    ]  # fmt: skip
    assert read.rejects["id"].tolist() == ["d3"]


def test_without_an_order_a_slashed_date_is_still_refused(tmp_path):
    (tmp_path / "a.csv").write_text(
        "decision_id,decided_at,policy_id,action\nd1,03/04/2026,p,remove\nd2,2026-03-04,p,remove\n"
    )
    read = read_decisions(tmp_path / "a.csv")
    assert "day and month are ambiguous" in read.rejects["reason"].iloc[0]


def test_one_column_feeds_two_and_words_may_be_true_and_numbers(tmp_path):
    (tmp_path / "r.json").write_text(
        json.dumps([{"case": c, "on": "2026-03-01T09:00Z", "ok": c == "d1"} for c in ("d1", "d2")], indent=2)
    )  # fmt: skip
    mapping = TableMapping(
        columns={"case": ["decision_id", "review_id"], "on": "reviewed_at", "ok": "verdict"},
        values={"verdict": {True: "upheld", False: "overturned"}},
        constants={"source": "re_review"},
    )
    read = read_reviews(tmp_path / "r.json", mapping=mapping)
    assert read.frame[["review_id", "verdict"]].values.tolist() == [
        ["d1", "upheld"],
        ["d2", "overturned"],
    ]


def test_the_digest_of_a_review_is_its_identity(tmp_path):
    head = "decision_id,reviewed_at,source,verdict,reviewer_id\n"
    row = "d1,2026-03-02T10:00Z,re_review,{},r1\n"
    (tmp_path / "r.csv").write_text(head + row.format("upheld") * 2 + row.format("overturned"))
    read = read_reviews(tmp_path / "r.csv")
    assert (len(read.frame), read.n_duplicates) == (1, 1)
    assert "one answer at one moment" in read.rejects["reason"].iloc[0]
    short = (head + row.format("upheld")).replace("decision_id", "case")
    (tmp_path / "s.csv").write_text(short)
    assert read_reviews(tmp_path / "s.csv", columns={"case": "decision_id"}).frame[
        "review_id"
    ].tolist() == (read.frame["review_id"].tolist())


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"columns": {"ids": "decision_id"}}, "Did you mean 'id' for 'ids'?"),
        ({"columns": {"id": "decision_id", "nothing_alike": "market"}}, "name columns of"),
        ({"columns": {"id": "rule"}}, "map to a name that is free"),
        (MAPPING | {"scale": {"market": 2}}, "name number columns"),
    ],
)
def test_a_mapping_that_fits_nothing_is_refused(tmp_path, mapping, says):
    (tmp_path / "a.csv").write_text(LOG)
    with pytest.raises(DataError, match=says.replace("?", r"\?")):
        read_decisions(tmp_path / "a.csv", mapping=TableMapping(**mapping))


def test_a_batch_with_our_names_needs_no_mapping(tmp_path):
    (tmp_path / "a.csv").write_text(
        "decision_id,decided_at,policy_id,action,score\nd1,2026-03-04T10:00Z,p,remove,.93\n"
    )
    read = read_decisions(tmp_path / "a.csv", mapping=TableMapping(**MAPPING))
    assert read.frame["score"].tolist() == [0.93]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{path: a.csv, columns: {a: score, b: score}}", "must give score one column, got several"),
        ("{path: a.csv, columns: {a: source}, constants: {source: audit}}", "got both"),
        ("{path: a.csv, time_zone: Berlin}", "must name a time zone"),
        ("{path: a.csv, scale: {score: 0}}", "greater than 0"),
        ("{path: a.csv, dates: year_first}", "day_first"),
        ("{path: a.csv, values: {verdict: {Ja: upheld, ja: overturned}}}", "'ja' twice"),
        ("{path: a.csv, colums: {}}", "data.decisions.colums is not a key"),
    ],
)
def test_faults_of_a_mapping_are_told(tmp_path, text, says):
    (tmp_path / "c.yaml").write_text(f"version: 1\ndata: {{decisions: {text}}}\n")
    with pytest.raises(ConfigError, match=says):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("pack", ["plain", "zip", "gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_dialects(tmp_path, mark, encoding, pack):
    rows = [["decision_id", "decided_at", "policy_id", "action", "größe"],
            ["d1", "2026-03-04T10:00Z", "Beschädigt", "remove", "3"],
            ["d2", "2026-03-04T10:00Z", "Müll", "allow", "4"]]  # fmt: skip
    data = "\r\n".join(mark.join(row) for row in rows).encode(encoding)
    name = tmp_path / {"plain": "a.csv", "zip": "a.zip", "gz": "a.csv.gz"}[pack]
    if pack == "zip":
        with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", data)
    else:
        name.write_bytes(gzip.compress(data) if pack == "gz" else data)
    frame = read_decisions(name).frame
    assert frame["policy_id"].tolist() == ["Beschädigt", "Müll"]
    assert frame["größe"].tolist() == [3, 4]


def test_decimal_signs_as_told(tmp_path):
    (tmp_path / "a.csv").write_text(
        'decision_id,decided_at,policy_id,action,exposure\nd1,2026-03-04T10:00Z,p,remove,"1.234"\n'
    )
    sizes = {
        sign: read_decisions(tmp_path / "a.csv", mapping=TableMapping(decimal=sign)).frame[
            "exposure"
        ][0]
        for sign in (",", ".")
    }
    assert sizes == {",": 1234, ".": 1.234}


def test_a_workbook_in_a_zip_old_dates_and_long_numbers(tmp_path):
    rows = [["decision_id", "decided_at", "policy_id", "action", "score"],
            [123456789012345678, pd.Timestamp("2026-03-04").to_pydatetime(), "p", "remove", 0.5],
            ["007", pd.Timestamp("2026-03-04 10:30").to_pydatetime(), "p", "allow", 1]]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.xlsx", workbook(rows))
    read = read_decisions(tmp_path / "a.zip", mapping=FileSource(path="", decimal=","))
    assert read.frame[["decision_id", "score"]].values.tolist() == [["007", 1.0]]
    assert "digits" in read.rejects["reason"].iloc[0]  # Excel keeps 15 digits


def test_sheets_are_named_or_alone(tmp_path):
    rows = [
        ["decision_id", "decided_at", "policy_id", "action"],
        ["d1", "2026-03-04", "p", "remove"],
    ]
    workbook(rows, tmp_path / "a.xlsx", April=rows)
    with pytest.raises(DataError, match=r"hold one sheet with a table, got 2.*'March', 'April'"):
        read_decisions(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="sheet 'Mai' must be a sheet of"):
        read_decisions(tmp_path / "a.xlsx", mapping=FileSource(path="", sheet="Mai"))
    assert len(read_decisions(tmp_path / "a.xlsx", mapping=FileSource(path="", sheet=2)).frame) == 1


def _bomb(sheet: bytes) -> bytes:
    """A real workbook with another sheet in it."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook([["a"]]))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            new.writestr(
                info.filename, sheet if "worksheets/sheet" in info.filename else old.read(info)
            )
    return out.getvalue()


_CORNER = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c s="1" r="XFD1048576"><v>1</v></c></row>'
    b"</sheetData></worksheet>"
)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_bomb(_CORNER), "a sheet of 1,048,576 rows and 16,384 columns"),
        (b"PK\x03\x04 nothing", "be an Excel workbook"),
        (b"\xd0\xcf\x11\xe0 nothing", "be an Excel workbook"),
        (b"a,b\n1,2\n", "be an Excel workbook"),
        (b"", "be an Excel workbook"),
    ],
)
def test_hostile_and_broken_workbooks(tmp_path, data, says):
    (tmp_path / "a.xlsx").write_bytes(data)
    with pytest.raises(DataError, match=says):
        read_decisions(tmp_path / "a.xlsx")


def test_a_workbook_that_unpacks_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("errdetect.data.excel_sheets._UNPACKED", 1 << 20)
    (tmp_path / "a.xlsx").write_bytes(_bomb(b"<x>" + b" " * (2 << 20)))
    with pytest.raises(DataError, match="unpacks to more than 1 MB"):
        read_decisions(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    "text",
    ['[{"decision_id": "d1"', '[{"decision_id": "d1"} x]', "{\n1}", "[" * 200_000, '["a", 1]'],
)
def test_broken_json_documents(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError):
        read_decisions(tmp_path / "a.json")


def test_a_pretty_list_in_an_object_and_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("errdetect.data.json_documents._CHUNK", 50)
    rows = [{"decision_id": f"d{i}", "decided_at": "2026-03-04T10:00Z", "policy_id": "p", "action": "remove"}
            for i in range(20)]  # fmt: skip
    for name, value in (("a.json", rows), ("b.json", {"next": None, "page": {"items": rows}})):
        (tmp_path / name).write_text(json.dumps(value, indent=1))
        assert read_decisions(tmp_path / name).frame["decision_id"].tolist() == [
            r["decision_id"] for r in rows
        ]


def test_the_action_pass_is_no_password():
    hint = unknown_actions_hint(Counter({"PASS": 3, "password": 1}))
    assert mask_secrets(hint) == hint
    assert mask_secrets("pass: allowance, password: enforcer") == "pass: ***, password: ***"


def test_draws_have_a_mapping_too(tmp_path):
    (tmp_path / "d.csv").write_text("case;p;day\nd1;10 %;01.02.2026\n")
    mapping = TableMapping(
        columns={"case": "decision_id", "p": "inclusion_probability", "day": "drawn_at"},
        dates="day_first",
    )
    read = read_draws(tmp_path / "d.csv", mapping=mapping)
    assert read.frame["inclusion_probability"].tolist() == [0.1]


def test_a_dataframe_is_read_with_the_tables_mapping(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "version: 1\ndata:\n  decisions: {path: log.csv, columns: {id: decision_id, ts: decided_at,"
        " rule: policy_id, verdict: action}, dates: day_first}\n  actions: {PASS: allow, REJECT: enforce}\n"
    )
    frame = pd.DataFrame(
        {"id": ["a", "b"], "ts": "03.04.2026", "rule": "p", "verdict": ["PASS", "REJECT"]}
    )
    assert errdetect.validate(tmp_path / "c.yaml", decisions=frame).n_decisions == 2
