"""Columns of text are what they are declared as; another value is named with its line."""

import pytest

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.column_kinds import check_known, kind_of, typed_table, whole_number
from ws_pipeline.storage.delimited import read_delimited


def column(tmp_path, kind, *values):
    (tmp_path / "a.csv").write_text("\n".join(["note,x", *(f"n,{value}" for value in values)]) + "\n")
    return typed_table(read_delimited(tmp_path / "a.csv", ","), {"x": kind_of(kind)})["x"]


@pytest.mark.parametrize(
    ("kind", "values", "found"),
    [
        ("integer", ["1", "-2", "+3", "", " 4 ", "5.0", "007"], [1, -2, 3, None, 4, 5, 7]),
        ("number", ["1", "-.5", "+3.", "", "1e-3", "2.5E2"], [1.0, -0.5, 3.0, None, 0.001, 250.0]),
        ("boolean", ["true", "False", "1", "0", ""], [True, False, True, False, None]),
        ("text", ["007", "1e3", "", "true"], ["007", "1e3", None, "true"]),
    ],
)
def test_values_of_a_kind(tmp_path, kind, values, found):
    assert column(tmp_path, kind, *values).to_pylist() == found


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (
            "integer",
            ["1", "1.5", "x"],
            "line 3, column 'x': found '1.5', expected a whole number of at most 18",
        ),
        ("integer", ["9" * 19], f"line 2, column 'x': found '{'9' * 19}', expected a whole number"),
        ("number", ["1", "nan"], "line 3, column 'x': found 'nan', expected a number such as 0.5 or 1e-3; "),
        ("number", ['"1,5"'], "line 2, column 'x': found '1,5', expected a number"),
        ("number", ["inf"], "line 2, column 'x': found 'inf', expected a number"),
        ("number", ["", "1 2"], "line 3, column 'x': found '1 2', expected a number"),
        (
            "boolean",
            ["yes", "yes", "1"],
            "line 2, column 'x': found 'yes', expected true or false (or 1 or 0) (1 m",
        ),
    ],
)
def test_another_value_is_refused_with_its_line_and_column(tmp_path, kind, values, said):
    with pytest.raises(FileFormatError) as refused:
        column(tmp_path, kind, *values)
    assert str(refused.value).startswith(f"{tmp_path / 'a.csv'}: {said}")
    assert "; correct the value, leave it empty if there is none, or declare another type" in str(
        refused.value
    )


def test_the_number_of_values_that_are_affected_is_told(tmp_path):
    with pytest.raises(
        FileFormatError, match=r"found 'a', expected .* \(2 more such value\(s\) in this column\)"
    ):
        column(tmp_path, "integer", "1", "a", "b", "2", "c")


def test_a_table_without_rows_has_the_types(tmp_path):
    assert str(column(tmp_path, "number").type) == "double"
    assert str(column(tmp_path, "boolean").type) == "bool"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("1.0", 1),
        ("-1", -1),
        (" 2 ", 2),
        ("1.5", None),
        ("", None),
        ("-", None),
        ("x", None),
        ("²", None),
    ],
)
def test_whole_numbers(text, number):
    assert whole_number(text) == number


def test_a_declared_column_that_is_not_there_is_refused():
    with pytest.raises(
        FileFormatError, match=r"f: no column 'pirce', which column_types names; .* \['price'\]"
    ):
        check_known(["pirce"], ["price"], where="f", by="column_types")
