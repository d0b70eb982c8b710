"""Sparse pair counts against dense matrices of numpy."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline import memory
from ws_pipeline.errors import TooLargeError
from ws_pipeline.labeling.votes.pair_counts import PairCounts, PairSum
from ws_pipeline.memory import Room


def symmetric(d, density=0.3, seed=0):
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.integers(1, 100, (d, d)) * (rng.random((d, d)) < density))
    return dense + np.triu(dense, 1).T


@pytest.mark.parametrize("d", [0, 1, 2, 511, 512, 1300])
@pytest.mark.parametrize("density", [0.0, 0.02, 1.0])
def test_a_dense_matrix_comes_back(d, density):
    dense = symmetric(d, density)
    pairs = PairCounts.from_dense(dense)
    assert np.array_equal(pairs.to_dense(), dense)
    assert pairs.d == d
    assert pairs.n_entries == np.count_nonzero(np.triu(dense))
    assert np.array_equal(pairs.diagonal(), np.diagonal(dense))
    assert {pairs.to_dense().dtype, pairs.upper.data.dtype} == {np.dtype(np.int64)}


def test_what_is_below_the_diagonal_is_not_looked_at():
    dense = symmetric(9)
    assert PairCounts.from_dense(np.triu(dense)) == PairCounts.from_dense(dense)


def test_entries_come_back():
    pairs = PairCounts.from_dense(symmetric(40))
    columns, counts = pairs.upper.indices, pairs.upper.data
    assert PairCounts.from_entries(40, pairs.rows, columns, counts) == pairs
    assert np.all(np.diff(pairs.rows.astype(np.int64) * 40 + columns) > 0)


def test_a_sum_is_that_of_the_dense_matrices():
    left, right = symmetric(60, 0.1, seed=1), symmetric(60, 0.1, seed=2)
    total = PairCounts.from_dense(left) + PairCounts.from_dense(right)
    assert total == PairCounts.from_dense(left + right)


@pytest.mark.parametrize("order", [1, -1])
def test_a_sum_of_many_is_the_same_in_any_order(order):
    parts = [symmetric(30, density, seed) for seed, density in enumerate(np.linspace(0, 0.5, 11))]
    total = PairSum(30)
    for part in parts[::order]:
        total.add(PairCounts.from_dense(part))
    assert total.total() == PairCounts.from_dense(np.sum(parts, axis=0))


def test_a_sum_of_nothing_is_zero():
    assert PairSum(7).total() == PairCounts.zeros(7)


def test_equality_looks_at_size_places_and_counts():
    dense = symmetric(20)
    pairs = PairCounts.from_dense(dense)
    moved, more = dense.copy(), dense.copy()
    row, column = np.argwhere(np.triu(dense, 1))[3]
    moved[row, column], more[row, column] = 0, dense[row, column] + 1
    assert pairs == PairCounts.from_dense(dense)
    assert pairs != PairCounts.from_dense(moved)
    assert pairs != PairCounts.from_dense(more)
    assert pairs != PairCounts.from_dense(np.pad(dense, (0, 1)))
    assert pairs != dense.tolist()


def test_a_dense_matrix_that_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: Room(10**9, "limit of the test"))
    with pytest.raises(TooLargeError) as caught:
        PairCounts.zeros(25_710).to_dense()
    assert str(caught.value) == (
        "the dense matrix of pair counts, 25,710 x 25,710 integers of 8 bytes, needs 5.3 GB of memory, and "
        "1.0 GB are available (limit of the test); use the 0 entries of the sparse one, VoteCounts.pairs"
    )
