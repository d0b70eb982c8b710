"""Files of exports: what is read of them, and that nothing is guessed."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.errors import ExportError, FileFormatError, MissingFileError
from ws_pipeline.importing.export_files import read_all_records, read_table, text_column, text_of
from ws_pipeline.storage.json_files import read_records


def test_csv_is_text_and_only_an_empty_value_is_none(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b'\xef\xbb\xbfid,note,x\r\n007,"two\nlines, ""q""",NA\r\n1e3,,null\r\n')
    table = read_table(file)
    assert table.column_names == ["id", "note", "x"]
    assert table["id"].to_pylist() == ["007", "1e3"]
    assert text_column(table, "note", "file").to_pylist() == ['two\nlines, "q"', None]
    assert table["x"].to_pylist() == ["NA", "null"]


def test_numbers_of_parquet_become_text_without_a_fraction_where_they_have_none(tmp_path):
    table = pa.table(
        {
            "whole": pa.array([1.0, None, float("nan")]),
            "half": pa.array([0.5, 2.0, None]),
            "int": pa.array([7, None, 9], pa.int32()),
            "bool": pa.array([True, False, None]),
            "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal(3), None]),
            "day": pa.array([dt.date(2026, 1, 2), None, None]),
            "category": pa.array(["x", None, ""]).dictionary_encode(),
            "nothing": pa.nulls(3),
            "lists": pa.array([[1], [2], None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    read = read_table(tmp_path / "a.parquet")
    texts = {name: text_column(read, name, "file").to_pylist() for name in read.column_names[:-1]}
    assert texts == {
        "whole": ["1", None, None],
        "half": ["0.5", "2", None],
        "int": ["7", None, "9"],
        "bool": ["true", "false", None],
        "decimal": ["1.5", "3", None],
        "day": ["2026-01-02", None, None],
        "category": ["x", None, None],
        "nothing": [None, None, None],
    }
    with pytest.raises(
        ExportError, match=r"file: column 'lists' has type list<.*>, expected text or numbers"
    ):
        text_column(read, "lists", "file")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1"), (1.5, "1.5"), (True, "true"), (None, None), ("", ""), ([1, "é"], '[1, "é"]')],
)
def test_values_of_json_as_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    "text",
    ['[{"a": 1}, {"a": 2}]', '{"a": 1}\n\n{"a": 2}\n', '\ufeff{"a": 1}\r\n{"a": 2}'],
    ids=["list", "lines", "mark and carriage returns"],
)
def test_records_of_a_list_and_of_lines_are_the_same(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="utf-8", newline="")
    records = read_records(tmp_path / "a.json")
    assert [record.values for record in records] == [{"a": 1}, {"a": 2}]


def test_an_object_over_several_lines_is_one_record(tmp_path):
    (tmp_path / "a.json").write_text('{\n "a": 1,\n "b": [2]\n}\n')
    assert [record.values for record in read_records(tmp_path / "a.json")] == [{"a": 1, "b": [2]}]


def test_broken_files_are_named_with_the_place(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(FileFormatError, match=r"a.jsonl: line 2 is not UTF-8 text \(invalid start byte\)"):
        read_records(file)
    file.write_text('[\n{"a": 1},\n{"a": }]')
    with pytest.raises(FileFormatError, match=r"not valid JSON \(Expecting value, line 3, column 7\)"):
        read_records(file)
    with pytest.raises(MissingFileError, match=r"b.csv: there is no such file"):
        read_table(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(FileFormatError, match=r"c.csv: not a table .*line 3 has 3 values, expected 2"):
        read_table(tmp_path / "c.csv")


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    for name, text in (
        ("b.csv", "x,y\n2,b\n"),
        ("a.csv", "x,y\n1,a\n"),
        (".c.csv", "z\n"),
        ("_d.csv", "z\n"),
    ):
        (tmp_path / name).write_text(text)
    assert read_table(tmp_path).to_pydict() == {"x": ["1", "2"], "y": ["a", "b"]}
    (tmp_path / "b.csv").write_text("x,z\n2,b\n")
    with pytest.raises(FileFormatError, match=r"its files have different columns: a.csv has \['x', 'y'\]"):
        read_table(tmp_path)


def test_a_folder_of_json_lines_may_lack_keys_and_places_name_the_file(tmp_path):
    (tmp_path / "b.jsonl").write_text('{"x": 2}\n')
    (tmp_path / "a.jsonl").write_text('{"x": 1, "y": "a"}\n')
    assert read_table(tmp_path).to_pydict() == {"x": [1, 2], "y": ["a", None]}
    assert [record.where for record in read_all_records(tmp_path)] == [
        f"{tmp_path / 'a.jsonl'}: line 1",
        f"{tmp_path / 'b.jsonl'}: line 1",
    ]


def test_a_folder_of_several_formats_or_without_files_is_refused(tmp_path):
    with pytest.raises(ExportError, match="expected a folder of files of one format, found no file; move"):
        read_table(tmp_path)
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.jsonl").touch()
    with pytest.raises(ExportError, match=r"found files that end in '.csv', '.jsonl'; move the others away"):
        read_all_records(tmp_path)


def test_columns_of_whole_numbers_stay_whole_numbers(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"a": 1, "b": 1.0, "c": true, "d": "1"}\n{"a": null, "b": 2, "c": 1, "d": 2}\n'
    )
    table = read_table(tmp_path / "a.jsonl")
    assert [str(kind) for kind in table.schema.types] == ["int64", *["large_string"] * 3]
    assert table["b"].to_pylist() == ["1", "2"]
