"""What callers give as arrays: ragged input is refused in plain words, values by key are put in order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.arrays import as_array, in_order
from ws_pipeline.errors import InvalidInputError, MetricError


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[0, 1], [1]],
            r"x: row 0 has 2 value\(s\), but row 1 has 1 value\(s\); give all rows the same length",
        ),
        ([[0], [1], [1, 2, 3]], r"x: row 0 has 1 value\(s\), but row 2 has 3 value\(s\);"),
        ([[0, 1], 1], r"x: row 0 has 2 value\(s\), but row 1 has one value that is no row;"),
        ([[[0], [1]], [[0]]], r"x: row 0 has shape \[2, 1\], but row 1 has shape \[1, 1\];"),
        ([[[0], [1, 2]], [[0], [1]]], r"x: row 0 has parts of different lengths; give all rows"),
    ],
)
def test_ragged_rows_are_refused_with_the_first_that_differs(rows, message):
    with pytest.raises(MetricError, match=message):
        as_array(rows, "x", error=MetricError)


def test_other_errors_of_numpy_are_its_own():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            message = "no numbers here"
            raise ValueError(message)

    with pytest.raises(ValueError, match="no numbers here"):
        as_array(Broken(), "x")


def test_an_array_is_not_copied():
    values = np.arange(3)
    assert as_array(values, "x") is values


@pytest.mark.parametrize("make", [dict, pd.Series])
def test_values_by_key_are_put_in_order(make):
    values = make({"b": 2, "a": 1})
    assert in_order(values, ["a", "b"], "x", of="LF") == [1, 2]


@pytest.mark.parametrize("values", [[1, 2], (1, 2), np.array([1, 2]), pd.Series([1, 2]), {"a": 1, "b": 2}])
def test_values_without_keys_stay_as_they_are(values):
    assert list(in_order(values, ["a", "b"], "x", of="LF")) == [1, 2]


@pytest.mark.parametrize("make", [dict, pd.Series])
def test_missing_and_unknown_keys_are_named(make):
    with pytest.raises(
        InvalidInputError, match=r"x must have a value for each LF, missing \['b'\], unknown \['c'\]"
    ):
        in_order(make({"a": 1, "c": 2}), ["a", "b"], "x", of="LF")
