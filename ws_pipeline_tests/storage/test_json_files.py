"""JSON Lines: JSON's own types, and no column of two kinds."""

import pyarrow as pa
import pytest

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.json_files import read_json_lines


def table_of(tmp_path, *lines):
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    return read_json_lines(tmp_path / "a.jsonl")


def test_columns_have_the_types_of_json_and_missing_keys_are_null(tmp_path):
    table = table_of(
        tmp_path,
        '{"id": 7, "day": "2026-01-02", "x": 1, "yes": true, "v": [1, 2.5]}',
        "",
        '{"id": 8, "x": 0.5, "n": null, "v": [0, 1]}',
    )
    assert dict(zip(table.column_names, map(str, table.schema.types), strict=True)) == {
        "id": "int64",
        "day": "string",
        "x": "double",
        "yes": "bool",
        "v": "list<item: double>",
        "n": "null",
    }
    assert table.to_pylist()[1] == {"id": 8, "day": None, "x": 0.5, "yes": None, "v": [0.0, 1.0], "n": None}


def test_an_empty_file_has_no_columns(tmp_path):
    assert table_of(tmp_path).num_columns == 0


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ['{"a": null}', '{"a": 1}', "", '{"a": "1"}'],
            "line 4: 'a' is \"1\", text, expected a number as in the",
        ),
        (
            ['{"a": true}', '{"a": 1}'],
            "line 2: 'a' is 1, a number, expected true or false as in the lines before",
        ),
        (['{"a": [1]}', '{"a": "x"}'], "line 2: 'a' is \"x\", text, expected a list as in"),
        (['{"a": 1}', '{"a": 2'], "line 2: not valid JSON ("),
        (['{"a": 1}', "[1]"], "line 2: expected a JSON object, got list"),
        (['{"a": 1, "b": 2, "a": 3}'], "line 1: the key 'a' is there twice in one object; leave one out"),
        (['{"a": 1}', '{"a": 99999999999999999999}'], "line 2: 'a' is 99999999999999999999, expected whole"),
        (
            ['{"a": [1]}', '{"a": [1, "x"]}'],
            "line 2: 'a' is [1, \"x\"], expected whole numbers of 64 bits, or lists",
        ),
    ],
)
def test_what_makes_no_column_is_refused_with_the_line(tmp_path, lines, said):
    with pytest.raises(FileFormatError) as refused:
        table_of(tmp_path, *lines)
    assert str(refused.value).startswith(f"{tmp_path / 'a.jsonl'}: {said}")


def test_lists_of_two_kinds_in_two_lines_are_refused_with_the_second(tmp_path):
    with pytest.raises(FileFormatError, match=r"line 2: 'a' is \[\"x\"\], expected"):
        table_of(tmp_path, '{"a": [1]}', '{"a": ["x"]}', '{"a": [2]}')


def test_ids_stay_what_they_are(tmp_path):
    assert table_of(tmp_path, '{"example_id": "007"}')["example_id"].type == pa.string()
    assert table_of(tmp_path, '{"example_id": 7}')["example_id"].type == pa.int64()
