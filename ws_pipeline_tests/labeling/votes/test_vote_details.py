"""Scores of votes and votes for superclasses in a label matrix: kept by all that is done with it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling import LabelMatrix
from ws_pipeline.storage.files import read_parquet, write_parquet

NAN = np.nan
PAIRS = {"low": [1, 0], "high": [1, 2]}


def some(ids=(10, 11, 12)):
    return LabelMatrix(
        [[0, 3], [4, 1], [-1, 2]],
        3,
        example_ids=list(ids),
        lf_names=["a", "b"],
        scores=[[0.5, NAN], [0.25, 1.0], [NAN, NAN]],
        superclasses=PAIRS,
    )


def test_votes_are_split():
    matrix = some()
    assert_array_equal(matrix.votes, [[0, -1], [-1, 1], [-1, 2]])
    assert_array_equal(matrix.details.sets, [[-1, 0], [1, -1], [-1, -1]])
    assert [tuple(found) for found in matrix.details.superclasses] == [("low", (0, 1)), ("high", (1, 2))]
    assert matrix.details.scores.dtype == np.float32
    assert matrix.details.voted.tolist() == [True, True, False]


def test_rows_are_taken_with_their_details():
    taken = some().take(np.array([2, 0]))
    assert_array_equal(taken.details.sets, [[-1, -1], [-1, 0]])
    assert_array_equal(taken.details.scores, [[NAN, NAN], [0.5, NAN]])


def test_lfs_are_taken_with_their_details():
    other = some().with_lfs(["b", "new", "a"])
    assert_array_equal(other.details.sets, [[0, -1, -1], [-1, -1, 1], [-1, -1, -1]])
    assert_array_equal(other.details.scores, [[NAN, NAN, 0.5], [1.0, NAN, 0.25], [NAN, NAN, NAN]])


def test_details_are_aligned_with_the_examples():
    aligned = some().aligned_to(np.array([12, 99, 10, 11]))
    assert_array_equal(aligned.details.sets, [[-1, -1], [-1, -1], [-1, 0], [1, -1]])
    assert_array_equal(aligned.details.scores[2:], [[0.5, NAN], [0.25, 1.0]])
    assert aligned.covered.tolist() == [True, False, True, True]


def test_shards_are_stacked():
    both = LabelMatrix.concatenate({"x": some(), "y": some(ids=(20, 21, 22))})
    assert_array_equal(both.details.sets, np.tile(some().details.sets, (2, 1)))
    other = LabelMatrix([[3, -1]], 3, example_ids=[30], lf_names=["a", "b"], superclasses={"ends": [0, 2]})
    with pytest.raises(LabelMatrixError, match="different superclasses"):
        LabelMatrix.concatenate({"x": some(), "z": other})


@pytest.mark.parametrize("how", ["table", "file"])
def test_tables_keep_the_details(how, tmp_path):
    table = some().to_table()
    assert table.column_names == [
        "example_id",
        "a",
        "b",
        "score of a",
        "score of b",
        "superclass of a",
        "superclass of b",
    ]
    if how == "file":
        write_parquet(table, tmp_path / "votes.parquet")
        table = read_parquet(tmp_path / "votes.parquet")
    again = LabelMatrix.from_table(table)
    assert again == some()
    assert again.digest == some().digest
    assert LabelMatrix.from_table(table, 3).details == some().details


def test_a_table_has_columns_for_what_there_is_only():
    scored = LabelMatrix([[0, 1]], 2, lf_names=["a", "score of a"], scores=[[0.5, NAN]])
    table = scored.to_table()
    assert table.column_names == ["example_id", "a", "score of a", "score of a "]
    assert LabelMatrix.from_table(table) == scored
    assert LabelMatrix([[0, 1]], 2).to_table().column_names == ["example_id", "lf_0", "lf_1"]


def test_details_make_a_difference():
    plain = LabelMatrix([[0, -1], [-1, 1], [-1, 2]], 3, example_ids=[10, 11, 12], lf_names=["a", "b"])
    assert plain != some()
    assert plain.digest != some().digest
    assert plain.covered.tolist() == [True, True, True]


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        some().details.scores[0, 0] = 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scores": [[1.0]]}, r"scores has shape \(1, 1\), expected \(2, 2\)"),
        ({"scores": [[1, 2], [np.inf, 4]]}, r"scores\[1, 0\] is inf; expected a finite number, or NaN"),
        ({"scores": [["a", "b"], ["c", "d"]]}, "scores must be numbers, and NaN where"),
        (
            {"superclasses": {"all": [0, 1, 2]}},
            r"superclass 'all' has the classes \[0, 1, 2\], expected different",
        ),
        ({"superclasses": {"one": [1]}}, "at least two and not all"),
        (
            {"superclasses": {"out": [1, 3]}},
            r"'out' has the classes \[1, 3\], expected different ones of 0 to 2",
        ),
        ({"superclasses": {"twice": [1, 1]}}, "'twice'"),
    ],
)
def test_wrong_details_are_refused(arguments, said):
    with pytest.raises(LabelMatrixError, match=said):
        LabelMatrix([[0, 1], [1, 2]], 3, **arguments)


def test_a_vote_beyond_the_superclasses_is_out_of_range():
    with pytest.raises(LabelMatrixError, match="5"):
        LabelMatrix([[0, 5]], 3, superclasses=PAIRS)
