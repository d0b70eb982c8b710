"""Vectors as a column of features."""

from __future__ import annotations

import pytest

from ws_pipeline.importing.vectors import feature_vectors


def test_lists_of_one_length_are_features():
    column = feature_vectors([[1, 2.5], [0, -1]])
    assert column.to_pylist() == [[1, 2.5], [0, -1]]
    assert str(column.type) == "fixed_size_list<item: float>[2]"


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], [1]],
        [[1], None],
        [["a"], ["b"]],
        [[float("nan")], [1]],
        [[[1]], [[2]]],
        [1, 2],
        [[], []],
        [],
        [[1e300], [1]],
    ],
)
def test_all_else_is_none(values):
    assert feature_vectors(values) is None
