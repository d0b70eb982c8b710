"""Lists of classes: every type that they are stored in, and what is no list."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ws_pipeline.errors import ExamplesError, LabelMatrixError
from ws_pipeline.label_lists import read_label_lists, with_gold_of_each

CLASSES = ["sports", "politics", "tech"]
LISTS = [["sports", "tech"], None, [], ["politics"]]


def read(values, kind=None):
    whole = pa.array(values, kind)
    column = pa.chunked_array([whole[:2], whole[2:]])
    return read_label_lists(column, CLASSES, what="f: column 'x'", error=LabelMatrixError)


def refused(values, kind=None):
    with pytest.raises(LabelMatrixError) as error:
        read(values, kind)
    return str(error.value)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_view(pa.string()),
        pa.large_list_view(pa.string_view()),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
    ],
    ids=str,
)
def test_lists_of_names_are_read_from_any_type(kind):
    found = read(LISTS, kind)
    assert found.known.tolist() == [True, False, True, True]
    assert [found.has(label).tolist() for label in range(3)] == [
        [True, False, False, False],
        [False, False, False, True],
        [True, False, False, False],
    ]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(20, 1)], ids=str)
def test_lists_of_places_mean_the_same_as_lists_of_names(kind):
    places = [None if found is None else [CLASSES.index(name) for name in found] for found in LISTS]
    cast = pa.array(places, pa.list_(pa.int64())).cast(pa.list_(kind))
    found = read_label_lists(pa.chunked_array([cast]), CLASSES, what="x", error=LabelMatrixError)
    assert (found.rows.tolist(), found.labels.tolist()) == ([0, 0, 3], [0, 2, 1])
    assert found.known.tolist() == [True, False, True, True]


def test_lists_of_a_fixed_size_lack_no_row_behind_a_missing_one():
    found = read([[0, 1], None, [2, 0]], pa.list_(pa.int8(), 2))
    assert (found.rows.tolist(), found.labels.tolist()) == ([0, 0, 2, 2], [0, 1, 2, 0])


def test_of_a_sliced_column_only_the_rows_of_the_slice_count():
    column = pa.chunked_array([pa.array([["sports"], ["tech"], None])]).slice(1)
    found = read_label_lists(column, CLASSES, what="x", error=LabelMatrixError)
    assert (found.known.tolist(), found.rows.tolist(), found.labels.tolist()) == ([True, False], [0], [2])


def test_columns_without_any_value_or_entry_are_read():
    assert read([None, None, None]).known.tolist() == [False, False, False]
    empty = read([[], None, []])
    assert (empty.known.tolist(), empty.labels.tolist()) == ([True, False, True], [])
    assert read([]).known.tolist() == []


def test_a_name_that_is_there_twice_counts_once():
    assert read([["tech", "tech"], None]).has(2).tolist() == [True, False]


def test_names_that_are_no_class_are_told_with_their_numbers():
    said = refused([["sports", "Tech"], ["Tech"], ["war"]])
    assert said.startswith("f: column 'x' has labels that are no class: 'Tech' (2), 'war' (1)")
    assert "did you mean 'tech'?" in said


def test_numbers_that_are_no_class_are_told_with_their_numbers():
    assert "no class: 3 (2), -1 (1); expected places from 0 to 2" in refused([[0, 3], [-1], [3]])
    assert "no class: 0.5 (1)" in refused([[0.5], [1.0]])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            ['["sports"]', None],
            "has type large_string, expected lists of class names, or of their places, such",
        ),
        (['["sports"]', None], "as '[\"sports\"]'; text is not taken apart: write a column of an Arrow list"),
        (["sports", "tech"], "with one entry if there is one class"),
        ([0, 1], "has type int64, expected lists of class names, or of their places; write a list for each"),
        ([["sports"], ["tech", None]], "has a list with a null in it, the first in row 1; leave it out"),
        ([[["sports"]], None], "has entries of type list<item: string>, expected names of classes"),
        (
            [[True, False], None],
            "has entries of type bool, expected names of classes, or their places 0 to 2",
        ),
        (
            [[1], [1, 0, 0]],
            "has the place 0 twice in the list of row 1; a list has the places of the classes",
        ),
    ],
)
def test_what_is_no_list_of_classes_is_refused_with_what_to_do(values, said):
    assert said in refused(values)


def test_numbers_are_refused_where_the_classes_are_called_by_other_numbers():
    column = pa.chunked_array([pa.array([[0]])])
    with pytest.raises(LabelMatrixError, match="a number is the place of a class, so that 0 would be '1'"):
        read_label_lists(column, ["1", "0"], what="x", error=LabelMatrixError)


def gold(table, tasks=None):
    tasks = tasks or {"topics_tech": 2, "topics_sports": 0}
    return with_gold_of_each(table, "topics", tasks, CLASSES, where="file.parquet")


def test_gold_lists_become_a_column_of_zeros_and_ones_per_class():
    table = pa.table({"topics": LISTS, "x": [1.0, 2.0, 3.0, 4.0]})
    found = gold(table)
    assert found.column_names == ["x", "topics_tech", "topics_sports"]
    assert found["topics_tech"].to_pylist() == [1, None, 0, 0]
    assert found["topics_sports"].to_pylist() == [1, None, 0, 0]
    assert np.array_equal(found["x"].to_numpy(), [1, 2, 3, 4])


def test_without_gold_lists_the_table_stays_as_it_is():
    table = pa.table({"x": [1.0]})
    assert gold(table) is table


def test_gold_of_one_class_alone_is_refused():
    with pytest.raises(
        ExamplesError, match=r"^file.parquet: by its name, column 'topics_sports' holds gold "
    ):
        gold(pa.table({"topics": LISTS, "topics_sports": [0, 1, 0, 1]}))


def test_gold_that_is_no_list_names_file_and_column():
    with pytest.raises(ExamplesError, match=r"^file.parquet: gold column 'topics' has type int64, expected"):
        gold(pa.table({"topics": [0, 1]}))
