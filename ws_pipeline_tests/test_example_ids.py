"""Example ids: integers or strings, never null, unique in the whole pipeline."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ws_pipeline.errors import ExampleIdError
from ws_pipeline.example_ids import (
    check_disjoint,
    check_same_spelling,
    concatenate_ids,
    ids_from_table,
    is_pandas_index,
    pandas_indexes,
    validate_ids,
)


def from_column(column):
    return ids_from_table(pa.table({"example_id": column}), where="shard 'x'")


# From tables


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()])
def test_integers_of_any_width_become_int64(kind):
    ids = from_column(pa.array([3, 1, 2], kind))
    assert ids.tolist() == [3, 1, 2]
    assert ids.dtype == np.int64


TEXT = pa.array(["é", "", "10"])


@pytest.mark.parametrize(
    "column",
    [
        TEXT,
        TEXT.cast(pa.large_string()),
        TEXT.cast(pa.string_view()),
        TEXT.dictionary_encode(),
        TEXT.cast(pa.string_view()).dictionary_encode(),
        pc.run_end_encode(TEXT),
    ],
    ids=lambda column: str(column.type),
)
def test_strings_of_every_type_stay_strings(column):
    ids = from_column(column)
    assert ids.tolist() == ["é", "", "10"]
    assert ids.dtype == object


@pytest.mark.parametrize("ids", [[1, 2, 3], ["a", "b", "c"]])
def test_ids_in_several_chunks_are_read(ids):
    assert from_column(pa.chunked_array([ids[:1], ids[1:]])).tolist() == ids


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_no_ids_are_valid(kind):
    assert len(from_column(pa.array([], kind))) == 0


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal(3), Decimal(1)]),
        pa.array([Decimal("3.00"), Decimal("1.00")]),
        pa.array([3, 1]).dictionary_encode(),
        pc.run_end_encode(pa.array([3, 1])),
    ],
    ids=lambda column: str(column.type),
)
def test_whole_numbers_of_every_type_become_int64(column):
    ids = from_column(column)
    assert (ids.tolist(), ids.dtype) == ([3, 1], np.int64)


@pytest.mark.parametrize("number", ["1.5", "9223372036854775808"])
def test_decimals_that_are_no_int64_are_refused(number):
    column = pa.array([Decimal(number)])
    with pytest.raises(ExampleIdError) as refused:
        from_column(column)
    assert str(refused.value) == (
        f"shard 'x': column 'example_id' has type {column.type} and holds a number that is no int64; use "
        "whole numbers, or strings"
    )


def test_no_ids_may_have_no_type():
    ids = from_column(pa.nulls(0))
    assert (ids.tolist(), ids.dtype) == ([], np.int64)


def test_a_table_without_ids_is_refused_with_what_it_has():
    with pytest.raises(
        ExampleIdError, match=r"^shard 'x': no column 'example_id', got \['id', 'a'\]; add it, or give"
    ):
        ids_from_table(pa.table({"id": [1], "a": [2]}), where="shard 'x'")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([1.0]), "double"),
        (pa.array([True]), "bool"),
        (pa.array([b"a"]), "binary"),
        (pa.nulls(1), "null"),
    ],
)
def test_ids_of_another_type_are_refused(column, kind):
    message = f"^shard 'x': column 'example_id' has type {kind}, expected int64 or string$"
    with pytest.raises(ExampleIdError, match=message):
        from_column(column)


@pytest.mark.parametrize("values", [[4, 7, None, None], ["a", "b", None, None]])
def test_null_ids_are_refused_with_their_number_and_the_first_row(values):
    with pytest.raises(
        ExampleIdError, match=r"^shard 'x': 2 example id\(s\) are null, the first in row 2; give"
    ):
        from_column(pa.array(values))


@pytest.mark.parametrize(("values", "first"), [([5, 8, 5, 9, 8, 5], "5"), (list("qwqewq"), "q")])
def test_repeated_ids_are_refused_with_the_first_of_them(values, first):
    message = rf"^shard 'x': example ids must be unique, 3 are repetitions, the first: {first} \(3 times\)$"
    with pytest.raises(ExampleIdError, match=message):
        from_column(pa.array(values))


def test_ids_beyond_int64_are_refused():
    message = "shard 'x': example id 18446744073709551615 does not fit int64, write such ids as strings"
    with pytest.raises(ExampleIdError, match=message):
        from_column(pa.array([1, 2**64 - 1], pa.uint64()))


# Two spellings of one id

NFC, NFD = "caf\u00e9", "cafe\u0301"
SPELLINGS = pytest.mark.parametrize(
    ("first", "second", "names", "difference"),
    [
        (NFC, NFD, r"'caf\xe9' and 'cafe\u0301'", "their Unicode form"),
        ("a", " a\t", r"'a' and ' a\t'", "blanks around them"),
        (NFC, NFD + "\u00a0", r"'caf\xe9' and 'cafe\u0301\xa0'", "their Unicode form and blanks around them"),
    ],
)
REMEDY = "write every id in one way: in the Unicode form NFC, without blanks around it"


@SPELLINGS
@pytest.mark.parametrize(
    "read", [lambda ids: from_column(pa.array(ids)), lambda ids: validate_ids(ids, where="shard 'x'")]
)
def test_two_spellings_of_one_id_are_refused(read, first, second, names, difference):
    with pytest.raises(ExampleIdError) as refused:
        read(["z", first, "b", second])
    assert str(refused.value) == f"shard 'x': {names} differ only in {difference} (1 such ids); {REMEDY}"


@SPELLINGS
def test_two_spellings_of_one_id_in_two_shards_are_refused(first, second, names, difference):
    shards = {"mon": validate_ids(["x", first]), "tue": validate_ids([second])}
    one, other = names.split(" and ")
    with pytest.raises(ExampleIdError) as refused:
        check_disjoint(shards)
    assert str(refused.value) == (
        f"example ids of the shards: {one} of shard 'mon' and {other} of shard 'tue' differ only in "
        f"{difference} (1 such ids); {REMEDY}"
    )


@SPELLINGS
def test_an_id_that_is_known_in_another_spelling_is_refused(first, second, names, difference):
    known = validate_ids(["z", first, "b"])
    one, other = names.split(" and ")
    with pytest.raises(ExampleIdError) as refused:
        check_same_spelling(validate_ids(["b", second, "new"]), known, where="votes.parquet")
    assert str(refused.value) == (
        f"votes.parquet: example {other} is {one} in the examples file; they differ only in {difference} "
        f"(1 such ids); {REMEDY}"
    )


@pytest.mark.parametrize(
    ("ids", "known"), [([NFD, " a"], [NFD, " a", "b"]), ([1], [1]), ([1], ["1"]), ([], ["a"]), (["x"], [])]
)
def test_ids_that_are_known_as_they_are_or_not_at_all_pass(ids, known):
    check_same_spelling(validate_ids(ids), validate_ids(known), where="votes.parquet")


def test_an_unusual_spelling_stays_as_it_is():
    assert from_column(pa.array([NFD, " a", "b"])).tolist() == [NFD, " a", "b"]


# Indexes of pandas


@pytest.mark.parametrize("name", ["__index_level_0__", "__index_level_12__", "Unnamed: 0", "Unnamed: 0.1"])
def test_an_index_is_known_by_its_name(name):
    assert is_pandas_index(name)


@pytest.mark.parametrize(
    "name", ["index", "Unnamed", "Unnamed: x", "x__index_level_0__", "__index_level_0__x", ""]
)
def test_other_names_are_no_index(name):
    assert not is_pandas_index(name)


def test_an_index_is_known_by_what_pandas_wrote_of_it():
    frame = pd.DataFrame({"x": [1, 2], "Unnamed: 0": [0, 1]}, index=pd.Index([5, 7], name="row"))
    assert pandas_indexes(pa.Schema.from_pandas(frame)) == {"row", "Unnamed: 0"}
    assert pandas_indexes(pa.Schema.from_pandas(frame.reset_index(drop=True))) == {"Unnamed: 0"}
    assert pandas_indexes(pa.schema([("row", pa.int64())])) == set()


# From Python


@pytest.mark.parametrize(
    "given",
    [[3, 1], (3, 1), np.array([3, 1], dtype=np.uint8), pd.Series([3, 1]), np.array([3, 1], dtype=">i4")],
)
def test_integers_in_any_container_become_int64(given):
    ids = validate_ids(given)
    assert ids.tolist() == [3, 1]
    assert ids.dtype == np.int64


@pytest.mark.parametrize(
    "given", [["b", "a"], np.array(["b", "a"]), np.array(["b", "a"], dtype=object), pd.Series(["b", "a"])]
)
def test_strings_in_any_container_become_objects(given):
    ids = validate_ids(given)
    assert ids.tolist() == ["b", "a"]
    assert ids.dtype == object


def test_the_callers_ids_are_copied():
    given = np.array([1, 2])
    validate_ids(given)[0] = 9
    assert given.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1.5, 2.0], "float64"),
        ([True, False], "bool"),
        (["a", None], "object"),
        ([1, None], "object"),
        ([b"a"], r"\|S1"),
    ],
)
def test_ids_that_are_neither_integers_nor_strings_are_refused(given, dtype):
    message = f"^example_ids must be integers or strings without nulls, got dtype {dtype}$"
    with pytest.raises(ExampleIdError, match=message):
        validate_ids(given)


def test_ids_in_two_dimensions_are_refused():
    with pytest.raises(ExampleIdError, match=r"^shard 'x' must have shape \[n\], got \(2, 1\)$"):
        validate_ids([[1], [2]], where="shard 'x'")


def test_ragged_ids_are_refused_with_the_row():
    with pytest.raises(
        ExampleIdError, match=r"^example_ids: row 0 has 1 value\(s\), but row 1 has 2 value\(s\);"
    ):
        validate_ids([[1], [2, 3]])


@pytest.mark.parametrize(("given", "first"), [([5, 8, 5], "5"), (["b", "a", "b"], "b")])
def test_repeated_ids_from_python_are_refused(given, first):
    with pytest.raises(ExampleIdError, match=rf"unique, 1 are repetitions, the first: {first} \(2 times\)$"):
        validate_ids(given)


def test_ids_from_python_beyond_int64_are_refused():
    with pytest.raises(ExampleIdError, match="example id 9223372036854775808 does not fit int64"):
        validate_ids(np.array([2**63], dtype=np.uint64))


# Across shards


def test_ids_of_shards_are_joined_without_those_that_have_none():
    empty = validate_ids([])
    assert concatenate_ids([empty, validate_ids(["a"]), validate_ids(["b"])]).tolist() == ["a", "b"]
    numbers = concatenate_ids([validate_ids([2]), np.array([], dtype=object)])
    assert (numbers.tolist(), numbers.dtype) == ([2], np.int64)
    assert concatenate_ids([empty]).tolist() == []


def test_shards_without_common_ids_pass():
    check_disjoint({"mon": np.array([1, 2]), "tue": np.array([3]), "wed": np.array([], dtype=np.int64)})


@pytest.mark.parametrize("shards", [{}, {"mon": np.array([], dtype=np.int64)}])
def test_no_ids_at_all_pass(shards):
    check_disjoint(shards)


@pytest.mark.parametrize("kind", [np.int64, str])
def test_an_id_in_two_shards_is_refused_with_both_names(kind):
    numbers = {"mon": [1, 2], "tue": [3], "wed": [4, 2, 1]}
    shards = {
        name: np.array(ids).astype(kind).astype(object if kind is str else kind)
        for name, ids in numbers.items()
    }
    with pytest.raises(
        ExampleIdError, match=r"^example 1 is in shard 'mon' and in shard 'wed' \(2 such ids\); every"
    ):
        check_disjoint(shards)


def test_shards_of_integers_and_of_strings_do_not_mix():
    shards = {"mon": np.array([1]), "tue": np.array(["1"], dtype=object)}
    with pytest.raises(
        ExampleIdError, match=r"^the shards \['mon', 'tue'\] mix integer and string example ids"
    ):
        check_disjoint(shards)


def test_a_shard_without_ids_mixes_with_any():
    check_disjoint({"mon": np.array(["1"], dtype=object), "tue": np.array([], dtype=np.int64)})


@pytest.mark.parametrize(("start", "step"), [(0, 1), (1000, 1), (9, -3)])
def test_ids_that_pandas_keeps_as_a_range_are_read(start, step, tmp_path):
    index = pd.RangeIndex(start, start + 3 * step, step, name="example_id")
    pd.DataFrame({"a": [0, 1, 1]}, index=index).to_parquet(tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["a"]
    assert ids_from_table(table, where="v").tolist() == [start, start + step, start + 2 * step]


def test_a_range_of_other_rows_or_of_another_name_is_no_id():
    table = pa.Table.from_pandas(pd.DataFrame({"a": [0, 1, 1]}, index=pd.RangeIndex(3, name="example_id")))
    other = pa.Table.from_pandas(pd.DataFrame({"a": [0, 1, 1]}))
    for without in (table.slice(1), other):
        with pytest.raises(ExampleIdError, match=r"v: no column 'example_id', got \['a'\]"):
            ids_from_table(without, where="v")
