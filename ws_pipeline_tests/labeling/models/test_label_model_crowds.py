"""Thousands of labeling functions that vote on few examples each: the same numbers without a dense matrix."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import coo_array

from ws_pipeline import memory
from ws_pipeline.errors import LabelMatrixError, TooLargeError
from ws_pipeline.labeling import (
    FitConfig,
    LabelMatrix,
    LabelModel,
    LFAnalysis,
    MajorityLabelVoter,
    VoteCounts,
)
from ws_pipeline.labeling.models import estimation, matrix_completion, posterior
from ws_pipeline.labeling.votes import counting, sparse_counting
from ws_pipeline.labeling.votes.counting import count_rows, count_votes
from ws_pipeline.labeling.votes.sparse_counting import count_sparse_votes
from ws_pipeline.memory import Room
from ws_pipeline.storage.files import read_parquet, write_parquet


def crowd(n=400, m=300, k=4, per_lf=12, seed=0):
    """Votes ``[n, m]`` of m workers of accuracy 0.6 to 1 on ``per_lf`` examples each, and gold ``[n]``."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, k, n)
    rows = np.concatenate([rng.choice(n, per_lf, replace=False) for _ in range(m)])
    lfs = np.repeat(np.arange(m), per_lf)
    right = rng.random(m * per_lf) < rng.uniform(0.6, 1, m)[lfs]
    votes = np.full((n, m), -1, dtype=np.int8)
    votes[rows, lfs] = np.where(right, gold[rows], rng.integers(0, k, m * per_lf))
    return votes, gold


def as_sparse(votes):
    rows, lfs = np.nonzero(votes >= 0)
    return coo_array((votes[rows, lfs], (rows, lfs)), shape=votes.shape).tocsr()


def same_rows(left, right):
    return all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in left.__dataclass_fields__
    )


def few_bytes(n_bytes):
    return lambda: Room(n_bytes, "limit of the test")


# Counting


@pytest.mark.parametrize("form", [np.asarray, as_sparse], ids=["dense", "sparse"])
@pytest.mark.parametrize("pairs_at_a_time", [1, 50, 2**21])
@pytest.mark.parametrize(("n", "m", "k", "per_lf"), [(60, 9, 2, 30), (80, 40, 7, 5), (1, 3, 2, 1)])
def test_listing_the_pairs_gives_the_integers_of_the_dense_ways(
    form, pairs_at_a_time, n, m, k, per_lf, monkeypatch
):
    monkeypatch.setattr(sparse_counting, "_PAIRS", pairs_at_a_time)
    votes, _ = crowd(n, m, k, per_lf)
    rows, pairs = count_sparse_votes(form(votes), k)
    dense_rows, dense_pairs = count_votes(votes, k, method="popcount")
    assert pairs == dense_pairs
    assert same_rows(rows, dense_rows)


def test_parts_of_a_dense_array_change_nothing(monkeypatch):
    votes, _ = crowd()
    expected = count_sparse_votes(votes, 4)
    monkeypatch.setattr(sparse_counting, "_READ_CELLS", 7 * votes.shape[1])
    rows, pairs = count_sparse_votes(votes, 4)
    assert pairs == expected[1]
    assert same_rows(rows, expected[0])


@pytest.mark.parametrize("form", [np.asarray, as_sparse], ids=["dense", "sparse"])
def test_rows_of_a_crowd_are_counted_alone_as_well(form):
    votes, _ = crowd(m=700)
    assert same_rows(count_rows(form(votes), 4), count_votes(votes, 4, method="popcount")[0])


@pytest.mark.parametrize("form", [np.asarray, as_sparse], ids=["dense", "sparse"])
def test_a_vote_out_of_range_is_named(form):
    votes, _ = crowd(m=700)
    row, lf = np.argwhere(votes >= 0)[250]
    votes[row, lf] = 9
    message = rf"LF 'lf_{lf}' votes 9 on example {row}, expected an integer from -1 \(abstain\) to 3"
    with pytest.raises(LabelMatrixError, match=message):
        count_votes(form(votes), 4)


def test_a_crowd_is_counted_without_a_dense_matrix(monkeypatch):
    votes, _ = crowd(m=700)
    monkeypatch.setattr(counting, "_count_densely", None)
    count_votes(votes, 4)


def test_full_votes_of_many_lfs_are_counted_in_a_dense_matrix(monkeypatch):
    votes = np.random.default_rng(0).integers(0, 4, (500, 520))
    monkeypatch.setattr(counting, "count_sparse_votes", None)
    count_votes(votes, 4)


def test_what_does_not_fit_as_a_dense_matrix_is_listed(monkeypatch):
    votes = np.random.default_rng(0).integers(0, 4, (20, 520))
    expected = count_votes(votes, 4, method="popcount")[1]
    monkeypatch.setattr(counting, "available_memory", few_bytes(8 * 2080**2))
    monkeypatch.setattr(counting, "_count_densely", None)
    assert count_votes(votes, 4)[1] == expected


def test_pairs_that_do_not_fit_are_refused_before_they_are_counted(monkeypatch):
    votes, _ = crowd(m=700)
    monkeypatch.setattr(sparse_counting, "_PAIRS", 1)
    monkeypatch.setattr(sparse_counting, "_count_pairs", None)
    monkeypatch.setattr(memory, "available_memory", few_bytes(100))
    n_votes = int((votes[0] >= 0).sum())
    need = n_votes * (n_votes + 1) // 2 * (32 + 24)
    with pytest.raises(TooLargeError) as caught:
        VoteCounts.from_votes(votes, 4)
    assert str(caught.value) == (
        "counting the pairs of votes of 700 LFs and 4 classes (d = 2,800; 0 different pairs in the first 0 "
        f"of 400 examples) needs {need / 1000:.1f} kB of memory, and 100 bytes are available (limit of the "
        "test); leave out LFs that vote little, merge classes, or use a machine with more memory; "
        "MajorityLabelVoter needs no pairs"
    )


def test_counts_of_shards_in_any_order_are_the_same_bytes(tmp_path):
    votes, _ = crowd(m=700)
    parts = np.split(votes, [3, 150, 151, 390])
    files = []
    for order in (parts, parts[::-1], [votes]):
        total = VoteCounts.total({str(i): VoteCounts.from_votes(part, 4) for i, part in enumerate(order)})
        write_parquet(total.to_table(), tmp_path / "counts.parquet")
        files.append((tmp_path / "counts.parquet").read_bytes())
        assert VoteCounts.from_table(read_parquet(tmp_path / "counts.parquet")) == total
    assert files[0] == files[1] == files[2]


# Fitting


def fit(votes, k=4, **settings):
    return LabelModel(k, verbose=False).fit_counts(VoteCounts.from_votes(votes, k), FitConfig(**settings))


@pytest.fixture
def fits_densely(monkeypatch):
    """A function that fits with a dense matrix of overlaps, whatever its size."""

    def fit_densely(*args, **settings):
        with monkeypatch.context() as patch:
            patch.setattr(estimation, "_SMALL", 10**9)
            patch.setattr(estimation, "SparseOverlaps", None)
            return fit(*args, **settings)

    return fit_densely


@pytest.mark.parametrize("mu_clamp", ["step", "final"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_sparse_fit_is_the_dense_one_to_rounding(mu_clamp, seed, fits_densely):
    votes, _ = crowd(seed=seed)
    sparse, dense = fit(votes, mu_clamp=mu_clamp), fits_densely(votes, mu_clamp=mu_clamp)
    assert not np.array_equal(sparse.mu, dense.mu)  # summed in another order, so that it is another way
    assert np.abs(sparse.mu - dense.mu).max() < 1e-12
    losses = [[record.loss for record in model.history_] for model in (sparse, dense)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_a_sparse_fit_of_shards_in_any_order_and_any_number_of_threads_is_the_same_bytes(monkeypatch):
    votes, _ = crowd()
    parts = [VoteCounts.from_votes(part, 4) for part in np.split(votes, [100, 101, 300])]
    found = []
    for order, threads in itertools.product((parts, parts[::-1], [VoteCounts.from_votes(votes, 4)]), (1, 4)):
        monkeypatch.setattr(matrix_completion, "n_threads", lambda threads=threads: threads)
        total = VoteCounts.total({str(i): part for i, part in enumerate(order)})
        found.append(LabelModel(4, verbose=False).fit_counts(total, FitConfig()).mu.tobytes())
    assert len(set(found)) == 1


def test_a_crowd_far_beyond_a_dense_matrix_is_fitted_in_little_memory():
    votes, gold = crowd(n=1500, m=2000, k=10, per_lf=12)
    tracemalloc.start()
    model = fit(votes, 10, n_epochs=20)
    labels = model.predict(votes)
    MajorityLabelVoter(10).predict(votes)
    LFAnalysis(votes).lf_summary(gold)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6  # one matrix [d, d] of 8 bytes would be 3,200 MB
    assert (labels == gold).mean() > 0.98


@pytest.mark.parametrize(
    ("votes", "sizes"),
    [
        (
            crowd()[0],
            r"fitting 300 LFs and 4 classes \(17,087 different pairs of votes\) needs 136\.7 kB",
        ),
        (
            np.random.default_rng(0).integers(0, 4, (300, 300)),
            r"fitting 300 LFs and 4 classes \(overlaps of 1,200 x 1,200 pairs of votes\) needs 23\.0 MB",
        ),
    ],
    ids=["sparse", "dense"],
)
def test_a_fit_that_does_not_fit_is_refused_before_it_begins(votes, sizes, monkeypatch):
    counts = VoteCounts.from_votes(votes, 4)
    monkeypatch.setattr(memory, "available_memory", few_bytes(3000))
    with pytest.raises(
        TooLargeError, match=sizes + r" of memory, and 3\.0 kB are available .*; leave out LFs"
    ):
        LabelModel(4, verbose=False).fit_counts(counts, FitConfig())


# Predicting


@pytest.mark.parametrize("form", [np.asarray, as_sparse, lambda votes: LabelMatrix(votes, 4)])
def test_votes_added_one_by_one_give_the_probabilities_of_the_tables(form, monkeypatch):
    votes, _ = crowd()
    votes[7] = -1
    model = fit(votes)
    expected = model.predict_proba(votes)
    monkeypatch.setattr(posterior, "_ALL_TABLES_BYTES", 0)
    monkeypatch.setattr(posterior, "group_tables", None)
    for scores in (posterior._SCORES, 50):
        monkeypatch.setattr(posterior, "_SCORES", scores)
        assert np.abs(model.predict_proba(form(votes)) - expected).max() < 1e-12
    assert model.predict_proba(form(votes))[7].tolist() == [0.25] * 4


def test_abstains_that_speak_are_added_as_well(monkeypatch):
    votes, _ = crowd(n=50, m=20)
    terms = np.log(np.random.default_rng(0).dirichlet(np.ones(5), (20, 4)).transpose(0, 2, 1))
    balance = np.array([0.1, 0.2, 0.3, 0.4])
    expected = posterior.class_probabilities(votes, terms, balance)
    monkeypatch.setattr(posterior, "_ALL_TABLES_BYTES", 0)
    assert np.abs(posterior.class_probabilities(votes, terms, balance) - expected).max() < 1e-12


def test_the_size_of_the_tables_is_that_of_the_tables_that_are_made():
    for m, k in ((1, 2), (20, 2), (7, 5), (10, 12)):
        tables = posterior.group_tables(np.zeros((m, k + 1, k - 1)))
        made = sum(table.nbytes for _, _, table in tables)
        assert made <= posterior.tables_bytes(m, k, k)
        assert posterior.tables_bytes(m, k, k) <= made * (k + 1) ** posterior.group_size(k)
