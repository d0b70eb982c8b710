"""Files of separated values: everything is text, and rows know their lines."""

import gzip

import pytest
from upath import UPath

from ws_pipeline.errors import FileFormatError, MissingFileError
from ws_pipeline.storage.delimited import read_delimited


def rows_of(tmp_path, text, *, delimiter=",", name="a.csv"):
    file = tmp_path / name
    content = text.encode()
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return read_delimited(file, delimiter)


def test_nothing_is_guessed_and_only_an_empty_value_is_null(tmp_path):
    rows = rows_of(tmp_path, '\ufeffid,day,x\r\n007,2026-01-02,NA\r\n1e3,"",null\r\ntrue,,nan\r\n')
    assert {str(kind) for kind in rows.table.schema.types} == {"large_string"}
    assert rows.table.to_pydict() == {
        "id": ["007", "1e3", "true"],
        "day": ["2026-01-02", None, None],
        "x": ["NA", "null", "nan"],
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_is_that_of_an_editor_behind_breaks_in_values_and_empty_lines(tmp_path, end):
    text = end.join(["a,b", '1,"two', 'lines"', "", "2,x", '3,"three', "", 'lines"', "4,y", ""])
    rows = rows_of(tmp_path, text)
    assert rows.table["a"].to_pylist() == ["1", "2", "3", "4"]
    assert [rows.line_of(row) for row in range(4)] == [2, 5, 6, 9]


def test_packed_files_and_files_of_other_systems_are_read(tmp_path):
    assert rows_of(tmp_path, "a\tb\n1\t2\n", delimiter="\t", name="a.tsv.gz").table["b"].to_pylist() == ["2"]
    file = UPath("memory://delimited/a.csv")
    file.write_text("a,b\n1,2\n")
    assert read_delimited(file, ",").table.to_pydict() == {"a": ["1"], "b": ["2"]}


def test_a_row_may_be_long(tmp_path):
    text = "x" * 3_000_000
    assert rows_of(tmp_path, f"a,b\n1,{text}\n2,y\n").table["b"].to_pylist() == [text, "y"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty, expected the names of the columns in its first line"),
        ("a,b,a\n1,2,3\n", "column names must be unique, repeated: ['a']; rename them"),
        (
            "a,b\n1,2\n\n1\n",
            "not a table of separated values (line 4 has 1 values, expected 2 as the header)",
        ),
        (
            "a;b\n1;2\n",
            "the values seem to be separated by semicolons, expected commas: the first line is 'a;b'",
        ),
    ],
)
def test_what_is_no_table_is_refused_with_the_line(tmp_path, text, said):
    with pytest.raises(FileFormatError) as refused:
        rows_of(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'a.csv'}: {said}")


def test_a_file_that_is_not_packed_or_not_there_is_refused(tmp_path):
    (tmp_path / "a.csv.gz").write_text("a,b\n")
    with pytest.raises(FileFormatError, match=r"a.csv.gz: not a complete gzip file \(Not a gzipped file"):
        read_delimited(tmp_path / "a.csv.gz", ",")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    with pytest.raises(FileFormatError, match=r"a.csv.gz: not a complete gzip file"):
        read_delimited(tmp_path / "a.csv.gz", ",")
    with pytest.raises(MissingFileError):
        read_delimited(tmp_path / "b.csv", ",")
