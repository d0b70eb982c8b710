"""Votes in long tables, and shards whose sources differ."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ws_pipeline.errors import LabelMatrixError, RepeatedVotesWarning
from ws_pipeline.labeling import LabelMatrix, VoteCounts
from ws_pipeline.labeling.votes.long_votes import read_long_votes
from ws_pipeline.labeling.votes.vote_tables import long_columns
from ws_pipeline.settings.votes import VoteColumns

CLASSES = ["ham", "spam"]
TABLE = pa.table(
    {
        "task": ["b", "a", "b", "c", "a"],
        "worker": [7, 7, 12, 12, 3],
        "label": ["spam", "ham", "ham", None, "spam"],
        "seconds": [1.5, 2, 3, 4, 5],
    }
)
USUAL = VoteColumns()


def read(table=TABLE, columns=USUAL, **options):
    return read_long_votes(table, 2, columns=columns, classes=CLASSES, where="file", **options)


def test_a_row_per_vote_becomes_a_label_matrix():
    matrix = read()
    assert matrix.example_ids.tolist() == ["b", "a", "c"]
    assert matrix.lf_names == ("3", "7", "12")
    assert matrix.votes.tolist() == [[-1, 1, 0], [1, 0, -1], [-1, -1, -1]]


def test_the_sources_may_be_listed():
    matrix = read(lf_columns=["12", "new", "7"])
    assert matrix.lf_names == ("12", "new", "7")
    assert matrix.votes.tolist() == [[0, -1, 1], [-1, -1, 0], [-1, -1, -1]]


def test_columns_of_other_names_are_named():
    table = TABLE.rename_columns(["post", "who", "says", "seconds"])
    assert read(table, VoteColumns(example="post", source="who", label="says")) == read()
    with pytest.raises(
        LabelMatrixError, match=r"file: which column is the example\? none is it among \['post'"
    ):
        read(table)
    with pytest.raises(
        LabelMatrixError, match=r"no column 'poster', which votes\.columns\.example names, did you"
    ):
        read(table, VoteColumns(example="poster", source="who", label="says"))
    twice = TABLE.append_column("item", TABLE["task"])
    with pytest.raises(
        LabelMatrixError, match=r"several may be it: \['task', 'item'\]; name it with votes.col"
    ):
        read(twice)
    assert read(twice, VoteColumns(example="item")) == read()


def test_the_last_of_repeated_votes_is_taken():
    again = pa.concat_tables([TABLE, TABLE.slice(0, 1).set_column(2, "label", pa.array(["ham"]))])
    with pytest.warns(
        RepeatedVotesWarning,
        match=r"file: 1 of 6 votes are repeated, 1 of them with another label: .* its last vote is taken",
    ):
        matrix = read(again)
    votes = {name: row.tolist() for name, row in zip(matrix.example_ids, matrix.votes, strict=True)}
    assert votes == {"b": [-1, 0, 0], "a": [1, 0, -1], "c": [-1, -1, -1]}


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "label",
            ["spam", "ham", "egg", None, "egg"],
            r"file: column 'label' has labels that are no class: 'egg' \(2",
        ),
        ("label", [0, 1, 2, None, 1], "file: LF '12' votes 2 on example b, expected an integer from -1"),
        (
            "worker",
            ["x", None, "x", "y", "z"],
            "file: column 'worker' is null in row 1; give every vote its ex",
        ),
        ("task", ["b", "a", None, "c", "a"], "file: column 'task' is null in row 2"),
    ],
)
def test_what_is_no_vote_is_refused(column, values, said):
    table = TABLE.set_column(TABLE.column_names.index(column), column, pa.array(values))
    with pytest.raises(LabelMatrixError, match=said):
        read(table)


def random_matrix(n=60, names=("c", "a", "b"), k=3, seed=0):
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, k, (n, len(names)))
    return LabelMatrix(votes, k, np.arange(n) + 1000 * seed, names)


def test_counts_with_further_lfs_are_those_of_the_votes_with_them():
    matrix = random_matrix()
    names = ("a", "x", "b", "c", "y")
    wider = matrix.with_lfs(names)
    assert wider.votes[:, 0].tolist() == matrix.votes[:, 1].tolist()
    assert (wider.votes[:, [1, 4]] == -1).all()
    counts = VoteCounts.from_label_matrix(matrix).with_lfs(names)
    assert counts == VoteCounts.from_label_matrix(wider)
    assert np.array_equal(counts.pair_counts, VoteCounts.from_label_matrix(wider).pair_counts)
    counts = VoteCounts.from_label_matrix(matrix)
    with pytest.raises(LabelMatrixError, match=r"LF 'c' is not among .*, and counts cannot be taken back"):
        counts.with_lfs(["a", "b"])


def test_a_listed_source_may_have_any_name():
    table = TABLE.set_column(1, "worker", pa.array(["gold", "x", "y", "y", "z"]))
    assert read(table, lf_columns=["x", "gold"]).votes.tolist() == [[-1, 1], [0, -1]]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"task": [1, 1], "Worker": [1, 2], "label": [0, 1], "seconds": [1, 2]}, ("task", "Worker", "label")),
        ({"task": [5, 5], "example_id": [1, 1], "lf": [1, 2], "vote": [0, 1]}, ("example_id", "lf", "vote")),
        ({"task": [5, 5], "example_id": [1, 2], "lf": [1, 2], "vote": [0, 1]}, None),
        ({"task": [[5], [5]], "lf": [1, 2], "vote": [0, 1]}, None),
        ({"example_id": [1, 1], "lf_0": [1, 0], "label": [0, 1]}, None),
        ({"example_id": [1, 1], "worker": [1, 0], "lf_0": [0, 1]}, None),
    ],
)
def test_a_table_looks_long_by_names_of_columns_and_repeated_examples(columns, expected):
    assert long_columns(pa.table(columns)) == expected


def test_a_table_may_look_long_though_a_name_repeats():
    table = pa.table([[1, 1], [1, 1], [3, 4], [0, 1]], names=["item", "item", "worker", "answer"])
    assert long_columns(table) == ("item", "worker", "answer")


def test_one_column_is_not_two_things():
    with pytest.raises(LabelMatrixError, match=r"which column is the label\? none is it among \['task'"):
        read(columns=VoteColumns(source="label"))
    with pytest.raises(
        LabelMatrixError, match="3 different columns are needed, got example: task, source: lab"
    ):
        read(columns=VoteColumns(source="label", label="label"))
