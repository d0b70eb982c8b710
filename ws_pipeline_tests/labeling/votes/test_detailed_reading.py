"""Votes with scores, for superclasses and with times, read from wide and from long tables."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from ws_pipeline.errors import LabelMatrixError, RepeatedVotesWarning
from ws_pipeline.labeling import LabelMatrix, VoteColumns, read_long_votes
from ws_pipeline.labeling.votes.wide_votes import read_wide_votes

CLASSES = ["cat", "dog", "bird"]
PETS = {"pet": [0, 1]}
NAN = np.nan


def long(rows, names=("item", "judge", "answer", "score"), **options):
    table = pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=list(names))
    columns = options.pop("columns", VoteColumns())
    return read_long_votes(table, 3, columns=columns, classes=CLASSES, where="file", **options)


def wide(columns, **options):
    return read_wide_votes(pa.table(columns), CLASSES, where="file", **options)


class TestLong:
    def test_each_vote_has_its_score(self):
        matrix = long(
            [("a", "x", "cat", 0.5), ("b", "z", "dog", None), ("b", "x", "bird", 2.0), ("a", "z", None, 9.0)],
            scores="vote",
        )
        assert matrix.example_ids.tolist() == ["a", "b"]
        assert_array_equal(matrix.votes, [[0, -1], [2, 1]])
        assert_array_equal(matrix.details.scores, [[0.5, NAN], [2.0, NAN]])

    def test_a_named_column_is_that_of_the_scores(self):
        rows = [("a", "x", "cat", 0.5)]
        matrix = long(rows, ("item", "judge", "answer", "rating"), columns=VoteColumns(score="rating"))
        assert matrix.details.scores.tolist() == [[0.5]]
        assert long(rows).details is None  # nothing asks for scores

    def test_the_class_with_the_highest_score_is_the_vote(self):
        matrix = long(
            [
                ("a", "x", "cat", 0.25),
                ("b", "x", "cat", 0.5),
                ("a", "x", "dog", 0.75),
                ("a", "z", "bird", 4.0),
                ("b", "x", "dog", 0.5),
                ("b", "z", "cat", None),
                ("b", "z", "dog", -1.0),
            ],
            scores="class",
        )
        assert matrix.lf_names == ("x", "z")
        # two highest scores are an abstain, and a score that nothing is compared with is none
        assert_array_equal(matrix.votes, [[1, 2], [-1, 1]])
        assert_array_equal(matrix.details.scores, [[0.5, NAN], [NAN, NAN]])

    def test_the_order_of_rows_changes_no_vote_by_class_scores(self):
        rng = np.random.default_rng(0)
        rows = [
            (f"e{i}", f"j{j}", CLASSES[c], float(rng.random()))
            for i in range(20)
            for j in range(3)
            for c in range(3)
        ]
        matrix = long(rows, scores="class")
        again = long([rows[i] for i in rng.permutation(len(rows))], scores="class")
        assert again.aligned_to(matrix.example_ids) == matrix
        best = [
            max(rows[9 * i + 3 * j : 9 * i + 3 * j + 3], key=lambda row: row[3])[2]
            for i in range(20)
            for j in range(3)
        ]
        assert_array_equal(matrix.votes.ravel(), [CLASSES.index(name) for name in best])

    def test_a_superclass_is_a_label(self):
        matrix = long([("a", "x", "pet", 0.5), ("a", "z", "bird", 1.0)], scores="vote", superclasses=PETS)
        assert_array_equal(matrix.votes, [[-1, 2]])
        assert_array_equal(matrix.details.sets, [[0, -1]])
        assert matrix.details.scores.tolist() == [[0.5, 1.0]]
        with pytest.raises(LabelMatrixError, match=r"no class: 'pet' \(1\)"):
            long([("a", "x", "pet", 0.5)])

    def test_numbers_after_the_classes_are_superclasses(self):
        matrix = long([("a", "x", 3, 0.5), ("b", "x", 0, 0.5)], superclasses=PETS)
        assert_array_equal(matrix.details.sets, [[0], [-1]])

    def test_the_latest_of_several_votes_is_taken(self):
        day = dt.datetime
        rows = [
            ("b", "x", "cat", day(2026, 3, 2)),
            ("a", "x", "dog", day(2026, 3, 2)),
            ("b", "x", "bird", day(2026, 3, 1)),
            ("a", "x", "cat", None),
        ]
        names = ("item", "judge", "answer", "at")
        with pytest.warns(
            RepeatedVotesWarning, match="2 of 4 votes are repeated, 2 of them with another.*latest"
        ):
            matrix = long(rows, names, columns=VoteColumns(time="at"))
        assert matrix.example_ids.tolist() == ["b", "a"]
        assert_array_equal(matrix.votes, [[0], [1]])
        with pytest.warns(RepeatedVotesWarning, match="its last vote"):
            assert_array_equal(long(rows, names).votes, [[2], [0]])

    def test_listed_sources_keep_their_scores(self):
        rows = [("a", "x", "cat", 0.5), ("a", "z", "dog", 0.25)]
        matrix = long(rows, scores="vote", lf_columns=["z", "w"])
        assert_array_equal(matrix.details.scores, [[0.25, NAN]])

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (
                [("a", "x", "cat", "sure")],
                "column 'score' has type string, expected numbers that say how sure",
            ),
            (
                [("a", "x", "cat", np.inf)],
                r"column 'score' is inf in row 0; expected finite numbers, or null",
            ),
        ],
    )
    def test_wrong_scores_are_refused(self, rows, said):
        with pytest.raises(LabelMatrixError, match=f"^file: {said}"):
            long(rows, scores="vote")

    def test_missing_scores_are_refused(self):
        with pytest.raises(
            LabelMatrixError, match=r"which column is the score\? none is it.*votes.columns.score"
        ):
            long([("a", "x", "cat", 1)], ("item", "judge", "answer", "rank"), scores="vote")


class TestWide:
    def test_scores_are_in_columns_beside_the_votes(self):
        matrix = wide(
            {
                "example_id": [1, 2],
                "a": ["cat", None],
                "a_score": [0.5, 0.75],
                "b": [1, 2],
                "a_score_2": [0, 1],
            },
            scores="vote",
        )
        assert matrix.lf_names == ("a", "b", "a_score_2")
        assert_array_equal(matrix.votes, [[0, 1, 0], [-1, 2, 1]])
        assert_array_equal(matrix.details.scores, [[0.5, NAN, NAN], [NAN, NAN, NAN]])

    def test_their_names_may_end_otherwise(self):
        matrix = wide({"example_id": [1], "a": [0], "a:p": [0.5]}, scores="vote", score_suffix=":p")
        assert matrix.details.scores.tolist() == [[0.5]]
        with pytest.raises(
            LabelMatrixError, match=r"end in '_score', found \['a', 'a:p'\]; set votes.score_suffix"
        ):
            wide({"example_id": [1], "a": [0], "a:p": [0.5]}, scores="vote")

    def test_listed_columns_have_scores(self):
        table = {"example_id": [1], "a": [0], "b": [1], "b_score": [0.5], "note": ["x"]}
        matrix = wide(table, scores="vote", lf_columns=["b"])
        assert matrix.lf_names == ("b",)
        assert matrix.details.scores.tolist() == [[0.5]]

    @pytest.mark.parametrize("kind", ["list", "fixed", "struct"])
    def test_a_score_for_each_class(self, kind):
        scores = [[0.125, 0.25, 0.625], None, [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
        column = pa.array(scores, pa.list_(pa.float64()))
        if kind == "fixed":
            column = pa.array(scores, pa.list_(pa.float32(), 3))
        if kind == "struct":
            turned = [
                None if row is None else {"bird": row[2], "cat": row[0], "dog": row[1]} for row in scores
            ]
            column = pa.array(turned)
        matrix = wide({"example_id": [1, 2, 3, 4], "a": column, "b": [0, 1, None, 2]}, scores="class")
        assert_array_equal(matrix.votes, [[2, 0], [-1, 1], [-1, -1], [0, 2]])
        assert_array_equal(matrix.details.scores, [[0.375, NAN], [NAN, NAN], [NAN, NAN], [1.0, NAN]])

    @pytest.mark.parametrize(
        ("column", "said"),
        [
            (
                [None, [0.5, 0.5]],
                r"column 'a' has a list of 2 in row 1, expected 3 scores, one for each class",
            ),
            (
                [[0.1, 0.2, 0.3], [0.5, None, 0.5]],
                r"no finite score for 'dog' in row 1, got nan; give a number",
            ),
            ([["x", "y", "z"], None], "has values of type string, expected a number for each class"),
            (
                [{"cat": 1.0, "dog": 0.0}, None],
                r"has the fields \['cat', 'dog'\], expected one for each class",
            ),
            ([0, 1], r"expected columns of lists of 3 numbers, a score for each class, found \['example_id"),
        ],
    )
    def test_wrong_class_scores_are_refused(self, column, said):
        with pytest.raises(LabelMatrixError, match=said):
            wide({"example_id": [1, 2], "a": pa.array(column)}, scores="class")

    def test_names_and_numbers_of_superclasses(self):
        matrix = wide({"example_id": [1, 2], "a": ["pet", "bird"], "b": [3, 0]}, superclasses=PETS)
        assert_array_equal(matrix.votes, [[-1, -1], [2, 0]])
        assert_array_equal(matrix.details.sets, [[0, 0], [-1, -1]])

    def test_without_details_it_is_the_plain_table(self):
        table = {"example_id": [1, 2], "a": ["cat", "bird"], "b": [1, 0]}
        assert wide(table) == LabelMatrix.from_table(pa.table(table), 3, classes=CLASSES)
        assert wide(table).details is None
