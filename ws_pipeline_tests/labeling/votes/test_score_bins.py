"""Bins of scores as a table that later fits keep."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from ws_pipeline.errors import FileFormatError, ScoreScaleWarning
from ws_pipeline.labeling import LabelMatrix
from ws_pipeline.labeling.votes.score_bins import ScoreBins

VOTES = [[0, 2], [1, 1], [1, -1], [0, 0], [1, 2]]
SCORES = [[1.0, 0.5], [2.0, 0.5], [3.0, np.nan], [4.0, np.nan], [np.nan, 0.25]]


def some(votes=VOTES, scores=SCORES, names=("a", "b"), first=0):
    ids = np.arange(first, first + len(votes))
    return LabelMatrix(votes, 2, ids, list(names), scores=scores, superclasses=None)


def with_sets():
    votes = [[0, 3], [1, 1], [1, -1], [0, 0], [1, 4]]
    sets = {"low": [0, 1], "high": [1, 2]}
    return LabelMatrix(votes, 3, lf_names=["a", "b"], scores=SCORES, superclasses=sets)


def test_a_row_for_each_bin_with_its_reliability():
    gold = np.array([0, 0, 1, -1, 1])
    bins = ScoreBins.of({"s": with_sets()}, 2, gold=gold)
    rows = bins.table.to_pylist()
    assert [(row["lf"], row["bin"], row["above"], row["up_to"]) for row in rows] == [
        ("a", 0, None, None),
        ("a", 1, None, 2.0),
        ("a", 2, 2.0, None),
        ("b", 0, None, None),
        ("b", 1, None, None),  # half of its three scores are the highest one
    ]
    of_a = [(row["n_votes"], row["n_judged"], row["accuracy"]) for row in rows if row["lf"] == "a"]
    assert of_a == [(1, 1, 1.0), (2, 2, 0.5), (2, 1, 1.0)]
    # votes for superclasses are right if the gold label is one of their classes
    of_b = {
        row["bin"]: (row["n_votes"], row["n_judged"], row["accuracy"]) for row in rows if row["lf"] == "b"
    }
    assert of_b[0] == (1, 0, None)
    assert sum(n for n, _, _ in of_b.values()) == 4
    assert sum(n * (accuracy or 0) for _, n, accuracy in of_b.values()) == 2  # low on 0, high on 1


def test_the_table_has_the_edges():
    bins = ScoreBins.of({"s": some([[0, 1], [1, 1], [1, 0], [0, 0], [1, 1]])}, 2)
    again = ScoreBins.from_table(bins.to_table())
    assert again.n_bins == 2
    assert again.edges.keys() == {"a", "b"}
    assert_array_equal(again.edges["a"], np.array([2.0], dtype=np.float32))
    with pytest.raises(FileFormatError, match=r"not a table of bins of scores, it has the columns \['lf'\]"):
        ScoreBins.from_table(pa.table({"lf": ["a"]}))


def test_bins_stay_and_new_lfs_get_some():
    first = ScoreBins.of({"s": some([[0, 1], [1, 1], [1, 0], [0, 0], [1, 1]])}, 2)
    later = some([[0, 1]] * 4, [[2.0, 7.0], [9.0, 8.0], [9.5, 9.0], [9.9, 9.5]], names=("a", "c"), first=10)
    bins = ScoreBins.of({"t": later}, 2, before=first)
    assert bins.edges["a"].tolist() == [2.0]
    assert bins.edges["c"].tolist() == [8.0]
    assert bins.edges["b"].tolist() == first.edges["b"].tolist()  # it may come back
    assert {row["lf"]: row["n_votes"] for row in bins.table.to_pylist() if row["bin"] == 1}["b"] == 0
    fixed_again = ScoreBins.of({"t": later}, 3, before=first)  # another number of bins
    assert fixed_again.edges["a"].tolist() == pytest.approx([9.0, 9.5])


def test_another_scale_is_told():
    votes = [[0], [1]] * 20
    first = ScoreBins.of({"s": some(votes, np.arange(40.0)[:, None], names=("a",))}, 4)
    other = some(votes, np.linspace(0, 1, 40)[:, None], names=("a",))
    with pytest.warns(
        ScoreScaleWarning, match="bins that were fixed before: 'a'; if they have another scale now"
    ):
        ScoreBins.of({"s": other}, 4, before=first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ScoreBins.of({"s": some(votes, np.arange(40.0)[:, None] / 2, names=("a",))}, 4, before=first)
