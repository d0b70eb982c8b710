"""Every way of counting gives the same integers, on any shape, with any number of row_spans."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.votes import row_spans
from ws_pipeline.labeling.votes.counting import (
    choose_method,
    count_rows,
    count_votes,
    joint_group_size,
    lf_major_chunks,
)
from ws_pipeline.labeling.votes.row_counts import RowCounts

METHODS = ["popcount", "bincount", "sparse"]
FIXED = settings(derandomize=True, deadline=None, max_examples=40)


def random_votes(n, m, k, coverage, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, m)) < coverage, rng.integers(0, k, (n, m)), -1)


def naive_pairs(votes, k):
    """Pair counts by a loop over examples and pairs of LFs."""
    m = votes.shape[1]
    pairs = np.zeros((m * k, m * k), dtype=np.int64)
    for row in votes:
        for i, y in enumerate(row):
            for j, z in enumerate(row):
                if y >= 0 and z >= 0:
                    pairs[i * k + y, j * k + z] += 1
    return pairs


def same(left: RowCounts, right: RowCounts) -> bool:
    return all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in left.__dataclass_fields__
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n", "m", "k", "coverage"),
    [
        (1, 3, 2, 1.0),
        (63, 4, 2, 0.5),
        (64, 5, 3, 0.5),
        (65, 7, 10, 0.9),
        (200, 3, 130, 0.7),
        (130, 9, 2, 0.05),
    ],
)
def test_pairs_equal_those_of_a_loop(method, n, m, k, coverage):
    votes = random_votes(n, m, k, coverage)
    assert np.array_equal(count_votes(votes, k, method=method)[1].to_dense(), naive_pairs(votes, k))


@FIXED
@given(
    n=st.integers(0, 300),
    m=st.integers(1, 12),
    k=st.integers(2, 12),
    coverage=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_all_methods_agree(n, m, k, coverage, seed):
    votes = random_votes(n, m, k, coverage, seed)
    rows, pairs = count_votes(votes, k)
    for method in METHODS:
        other_rows, other_pairs = count_votes(votes, k, method=method)
        assert pairs == other_pairs
        assert same(rows, other_rows)
    assert same(rows, count_rows(votes, k))


@pytest.mark.parametrize("method", METHODS)
def test_many_chunks_and_threads_change_nothing(method, monkeypatch):
    votes = random_votes(150_000, 5, 3, 0.4)
    monkeypatch.setattr(row_spans, "n_threads", lambda: 3)
    rows, pairs = count_votes(votes, 3, method=method)
    monkeypatch.setattr(row_spans, "n_threads", lambda: 1)
    alone_rows, alone_pairs = count_votes(votes, 3, method=method)
    assert pairs == alone_pairs
    assert same(rows, alone_rows)
    assert rows.n_examples == 150_000
    pairs = pairs.to_dense()
    assert np.array_equal(pairs, pairs.T)
    one_hot = (votes[:, :, None] == np.arange(3)).reshape(len(votes), -1).astype(np.float64)
    assert np.array_equal(pairs, one_hot.T @ one_hot)


def test_there_are_as_many_threads_as_blas_may_use():
    with threadpool_limits(limits=1, user_api="blas"):
        assert row_spans.n_threads() == 1


@pytest.mark.parametrize(("n_rows", "n_spans"), [(0, 2), (1, 4), (100_000, 3), (65_536, 2), (10**6, 7)])
def test_spans_cover_all_rows_once_and_start_at_whole_words(n_rows, n_spans):
    spans = row_spans.split_rows(n_rows, n_spans)
    assert len(spans) <= n_spans
    assert spans[0][0] == 0
    assert spans[-1][1] == n_rows
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert all(start % 64 == 0 for start, _ in spans)


def test_a_wrong_vote_is_named_by_its_row_in_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(row_spans, "n_threads", lambda: 2)
    votes = random_votes(100_000, 4, 2, 0.5)
    votes[90_000, 2] = 7
    with pytest.raises(LabelMatrixError, match=r"LF 'lf_2' votes 7 on example 90000"):
        count_votes(votes, 2)


def test_a_vote_that_would_wrap_around_is_refused():
    votes = random_votes(100, 4, 2, 0.5)
    votes[3, 1] = 256
    with pytest.raises(LabelMatrixError, match="LF 'lf_1' votes 256 on example 3"):
        count_votes(votes, 2)


@pytest.mark.parametrize(
    ("n", "m", "k", "coverage", "method"),
    [
        (4096, 20, 2, 0.5, "popcount"),
        (4096, 50, 2, 0.5, "popcount"),
        (50_000, 50, 100, 0.5, "bincount"),
        (4096, 1000, 2, 0.01, "sparse"),
    ],
)
def test_the_cheapest_method_is_chosen(n, m, k, coverage, method):
    chunk, _ = next(lf_major_chunks(random_votes(n, m, k, coverage), k))
    assert choose_method(chunk, k) == method


def test_joint_tables_stay_small():
    for k in (2, 3, 5, 10, 40, 200):
        size = joint_group_size(k)
        assert size >= 1
        assert size == 1 or (k + 1) ** (2 * size) <= 2**14


@pytest.mark.parametrize("votes", [np.empty((0, 3), dtype=int), np.empty((4, 0), dtype=int)])
def test_nothing_to_count_is_zero(votes):
    rows, pairs = count_votes(votes, 2)
    assert rows.n_examples == len(votes)
    assert pairs.upper.shape == (2 * votes.shape[1],) * 2
    assert pairs.n_entries == 0


def test_more_than_255_lfs_overlap_without_wrapping():
    votes = np.zeros((70, 300), dtype=np.int64)
    rows = count_rows(votes, 2)
    assert rows.n_covered == rows.n_overlapping == 70
    assert rows.n_conflicting == 0


def test_counting_leaves_the_number_of_threads_of_torch_alone():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        count_votes(random_votes(100, 5, 3, 0.5), 3, method="popcount")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
