"""Votes that are lists: what a table of lists, or of a row per class, says of each class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ws_pipeline.errors import ExampleIdError, LabelMatrixError
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.list_votes import read_list_votes, read_long_list_votes
from ws_pipeline.settings.votes import VoteColumns

CLASSES = ["sports", "politics", "tech"]
WIDE = pa.table(
    {
        "example_id": [5, 6, 7],
        "human": [["sports", "politics"], None, []],
        "keyword": [["tech"], ["sports"], []],
    }
)


def wide(table=WIDE, label=0, *, partial=(), **options):
    return read_list_votes(
        table, label, classes=CLASSES, is_complete=lambda lf: lf not in partial, where="v.parquet", **options
    )


def long(table, label=0, *, partial=(), columns=None, **options):
    return read_long_list_votes(
        table,
        label,
        classes=CLASSES,
        is_complete=lambda lf: lf not in partial,
        columns=columns or VoteColumns(),
        where="v.parquet",
        **options,
    )


def test_a_class_that_is_not_in_a_complete_list_is_a_vote_for_no():
    assert wide(label=0).votes.tolist() == [[1, 0], [-1, 1], [0, 0]]
    assert wide(label=1).votes.tolist() == [[1, 0], [-1, 0], [0, 0]]
    assert wide(label=2).votes.tolist() == [[0, 1], [-1, 0], [0, 0]]


def test_a_class_that_is_not_in_a_partial_list_is_an_abstain():
    assert wide(label=0, partial={"keyword"}).votes.tolist() == [[1, -1], [-1, 1], [0, -1]]
    assert wide(label=1, partial={"keyword", "human"}).votes.tolist() == [[1, -1], [-1, -1], [-1, -1]]


def test_the_matrix_has_two_classes_and_the_ids_and_names_of_the_table():
    matrix = wide()
    assert (matrix.cardinality, matrix.lf_names, matrix.votes.dtype) == (2, ("human", "keyword"), np.int8)
    assert matrix.example_ids.tolist() == [5, 6, 7]
    assert wide(lf_columns=["keyword"]).lf_names == ("keyword",)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "topics",
            [["tech"]] * 3,
            "by its name, 'topics' is no LF, but holds the gold labels of task 'topics'",
        ),
        ("note", ["a", "b", "c"], "LF 'note' has type large_string, expected lists of class names"),
        ("note", ["a", "b", "c"], "; if it is no LF, list the LF columns with lf_columns"),
        ("judge", [["tec"], ["tec"], []], "LF 'judge' has labels that are no class: 'tec' (2)"),
        ("example_id", [5, 5, 6], "example ids must be unique, 1 are repetitions, the first: 5"),
    ],
)
def test_columns_that_are_no_lists_of_classes_are_refused(column, values, said):
    table = WIDE.drop_columns(column) if column in WIDE.column_names else WIDE
    with pytest.raises((LabelMatrixError, ExampleIdError)) as error:
        wide(table.append_column(column, pa.array(values)), tasks={"topics"})
    assert str(error.value).startswith("v.parquet: ")
    assert said in str(error.value)


def test_many_lfs_are_kept_as_other_label_matrices_keep_them():
    lists = {f"lf_{lf:03}": [["tech"], None] for lf in range(300)}
    matrix = wide(pa.table({"example_id": [1, 2], **lists}), 2)
    assert matrix == LabelMatrix(np.repeat([[1], [-1]], 300, axis=1), 2, [1, 2], list(lists))
    assert not isinstance(matrix.votes, np.ndarray)


def test_two_columns_of_one_name_are_refused():
    table = pa.Table.from_arrays([WIDE["example_id"], WIDE["human"], WIDE["human"]], ["example_id", "a", "a"])
    with pytest.raises(LabelMatrixError, match=r"LF names must be unique, repeated: \['a'\]"):
        wide(table)


LONG = pa.table(
    {
        "task": [7, 5, 5, 5, 6, 6],
        "worker": ["w2", "w1", "w2", "w1", "w1", "w2"],
        "label": ["tech", "sports", None, "politics", "", "sports"],
        "time": [1, 2, 3, 4, 5, 6],
    }
)


def test_the_rows_of_a_source_on_an_example_are_its_list():
    matrix = long(LONG, 0)
    assert (matrix.example_ids.tolist(), matrix.lf_names) == ([7, 5, 6], ("w1", "w2"))
    assert matrix.votes.tolist() == [[-1, 0], [1, 0], [0, 1]]
    assert long(LONG, 1).votes.tolist() == [[-1, 0], [1, 0], [0, 0]]
    assert long(LONG, 2).votes.tolist() == [[-1, 1], [0, 0], [0, 0]]
    assert long(LONG, 2, partial={"w2"}).votes.tolist() == [[-1, 1], [0, -1], [0, -1]]


def test_long_and_wide_tables_of_the_same_lists_say_the_same():
    rng = np.random.default_rng(0)
    lists = {lf: [list(np.flatnonzero(rng.random(3) < 0.4)) for _ in range(50)] for lf in ("a", "b", "c")}
    lists = {lf: [found if rng.random() < 0.7 else None for found in of_lf] for lf, of_lf in lists.items()}
    frame = pd.DataFrame({"example_id": np.arange(50), **lists})
    rows = frame.melt("example_id", var_name="source", value_name="label").dropna(subset="label")
    table = pa.Table.from_pandas(rows.explode("label").astype({"label": "float"}), preserve_index=False)
    for label in range(3):
        of_wide = wide(pa.Table.from_pandas(frame, preserve_index=False), label, partial={"b"})
        of_long = long(table, label, partial={"b"})
        assert of_long.lf_names == of_wide.lf_names
        assert np.array_equal(of_long.aligned_to(of_wide.example_ids, where="x").votes, of_wide.votes)


def test_sources_that_are_no_lfs_are_left_alone():
    matrix = long(LONG, 0, lf_columns=["w2", "w9"])
    assert (matrix.lf_names, matrix.votes.tolist()) == (("w2", "w9"), [[0, -1], [0, -1], [1, -1]])
    contradictory = pa.table({"task": [5, 5, 6], "worker": [1, 1, 2], "label": ["tech", None, "tech"]})
    assert long(contradictory, 2, lf_columns=["2"]).votes.tolist() == [[1]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": ["tec", "sports", "tec", "x", None, "sports"]}, "no class: 'tec' (2), 'x' (1)"),
        (
            {"label": [-1, 0, 1, 1, 2, 2]},
            "column 'label' has labels that are no class: -1 (1); expected places",
        ),
        (
            {"label": [["tech"]] * 6},
            "column 'label' has type list<item: string>, expected a class in each row",
        ),
        (
            {"label": [None, "sports", None, None, None, "sports"]},
            "column 'label' is null for example 5 and source 'w1', which says that none of",
        ),
        (
            {"worker": ["w1", "topics", "w1", "topics", "w1", "w1"], "label": ["tech"] * 6},
            "by its name, 'topics' is no LF, but holds the gold labels",
        ),
        (
            {"worker": ["w1", None, "w1", "w1", "w1", "w1"]},
            "column 'worker' is null in row 1; give every vote",
        ),
    ],
)
def test_rows_that_make_no_lists_are_refused(change, said):
    columns = LONG.to_pydict() | change
    with pytest.raises(LabelMatrixError) as error:
        long(pa.table(columns), tasks={"topics"})
    assert str(error.value).startswith("v.parquet")
    assert said in str(error.value)


def test_a_class_that_is_called_by_an_empty_text_can_be_voted_for():
    table = pa.table({"task": [1, 1], "worker": ["a", "b"], "label": ["", "x"]})
    matrix = read_long_list_votes(
        table, 0, classes=["", "x"], is_complete=lambda _: True, columns=VoteColumns(), where="v"
    )
    assert matrix.votes.tolist() == [[1, 0]]
