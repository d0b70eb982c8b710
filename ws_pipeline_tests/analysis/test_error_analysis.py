"""Buckets of examples by their labels, against a naive loop and against Snorkel."""

from __future__ import annotations

import warnings
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ws_pipeline.analysis import get_label_buckets, get_label_instances
from ws_pipeline.errors import InvalidInputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        from snorkel.analysis import get_label_buckets as snorkel_buckets
        from snorkel.analysis import get_label_instances as snorkel_instances
    except ImportError:
        snorkel_buckets = None

NEEDS_SNORKEL = pytest.mark.skipif(snorkel_buckets is None, reason="Snorkel is not installed")
PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
GOLD, PREDICTED = np.array([1, 1, 1, 0]), np.array([1, 1, -1, -1])


def label_arrays(min_rows=0):
    shapes = st.tuples(st.integers(1, 4), st.integers(min_rows, 20))
    return shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(-1, 3))).map(list)


def naive_buckets(*y):
    buckets = defaultdict(list)
    for row, labels in enumerate(zip(*(column.tolist() for column in y), strict=True)):
        buckets[labels].append(row)
    return dict(buckets)


@PROPERTY
@given(y=label_arrays())
def test_buckets_are_those_of_a_naive_loop_in_the_same_order(y):
    found = {bucket: rows.tolist() for bucket, rows in get_label_buckets(*y).items()}
    expected = naive_buckets(*y)
    assert found == expected
    assert list(found) == list(expected)
    assert all(type(label) is int for bucket in found for label in bucket)


@NEEDS_SNORKEL
@PROPERTY
@given(y=label_arrays(min_rows=1))
def test_buckets_and_instances_are_those_of_snorkel(y):
    expected = snorkel_buckets(*y)
    found = get_label_buckets(*y)
    assert list(found) == list(expected)
    points = np.arange(2 * len(y[0])).reshape(-1, 2)
    for bucket, rows in expected.items():
        np.testing.assert_array_equal(found[bucket], rows)
        np.testing.assert_array_equal(
            get_label_instances(bucket, points, *y), snorkel_instances(bucket, points, *y)
        )


def test_small_buckets_by_hand():
    buckets = {bucket: rows.tolist() for bucket, rows in get_label_buckets(GOLD, PREDICTED).items()}
    assert buckets == {(1, 1): [0, 1], (1, -1): [2], (0, -1): [3]}


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32, bool])
def test_labels_come_in_columns_and_in_any_kind_of_integers(shape, dtype):
    labels = np.array([1, 0, 1, 1]).astype(dtype).reshape(shape)
    buckets = get_label_buckets(labels, GOLD)
    assert {bucket: rows.tolist() for bucket, rows in buckets.items()} == {
        (1, 1): [0, 2],
        (0, 1): [1],
        (1, 0): [3],
    }


def test_many_columns_of_large_labels_do_not_overflow():
    columns = [np.array([2**62, -(2**62), 2**62, 5]) + j for j in range(40)]
    assert [rows.tolist() for rows in get_label_buckets(*columns).values()] == [[0, 2], [1], [3]]


def test_many_columns_do_not_push_the_first_one_out():
    columns = [[0, 1, 1, 1], *[[0, 0, 1, 1]] * 70]
    assert [rows.tolist() for rows in get_label_buckets(*columns).values()] == [[0], [1], [2, 3]]


def test_no_examples_have_no_buckets():
    assert get_label_buckets(np.array([]), []) == {}
    assert get_label_buckets(np.zeros((0, 1))) == {}


@pytest.mark.parametrize(
    "points",
    [np.array([["a", "1"], ["b", "2"], ["c", "3"], ["d", "4"]], dtype=object), np.arange(12.0).reshape(4, 3)],
)
def test_instances_keep_their_shape_and_kind(points):
    for bucket, rows in (((1, 1), [0, 1]), ((1, -1), [2]), ((0, 0), [])):
        found = get_label_instances(bucket, points, GOLD, PREDICTED)
        assert found.tolist() == points[rows].tolist()
        assert (found.dtype, found.shape[1:]) == (points.dtype, points.shape[1:])


@pytest.mark.parametrize("points", [list("abcd"), pd.Series(list("abcd"), index=[3, 2, 1, 0])])
def test_instances_of_lists_and_series_go_by_position(points):
    assert get_label_instances((1, -1), points, GOLD, PREDICTED).tolist() == ["c"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_label_buckets(GOLD, [1, 2]), r"of one length: got lengths \[4, 2\]"),
        (get_label_buckets, "of one length: got lengths none"),
        (
            lambda: get_label_buckets([0.5, 1]),
            "label array 0 contains at least one non-integer value: 0.5 in row 0",
        ),
        (lambda: get_label_buckets(GOLD, [1, 1, np.nan, 1]), "label array 1 .* nan in row 2"),
        (lambda: get_label_buckets(["a"]), r"got <U1 of shape \[1\]"),
        (lambda: get_label_buckets(np.ones((2, 2))), r"got float64 of shape \[2, 2\]"),
        (lambda: get_label_instances((1,), GOLD, GOLD, GOLD), r"got bucket \(1,\) for 2 label arrays"),
        (lambda: get_label_instances((), GOLD), "got lengths none"),
        (lambda: get_label_instances((1,), [5, 6], GOLD), r"got shape \[2\] for 4 labels"),
        (lambda: get_label_instances((1,), 5, GOLD), r"got shape \[\] for 4 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
