"""Sparse votes of many labeling functions beside the dense array of the same votes, value by value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from ws_pipeline.errors import LabelMatrixError, TooLargeError
from ws_pipeline.labeling import LabelMatrix, LFAnalysis, MajorityLabelVoter
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.label_next import label_next
from ws_pipeline.labeling.models.lift_dawid_skene import LiftDawidSkene
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.votes import vote_storage
from ws_pipeline.labeling.votes.gold_counts import count_correct, count_joint
from ws_pipeline.labeling.votes.lf_analysis import lf_summary
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.storage.files import read_parquet, write_parquet

N, M, K = 400, 300, 3


def few_votes(n=N, m=M, k=K, per_row=4, seed=0):
    """Dense votes, about ``per_row`` in a row; row 0 has none, row 1 and 2 are the same."""
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, k, (n, m)).astype(np.int8)
    votes[rng.random((n, m)) > per_row / m] = -1
    votes[0] = -1
    votes[1], votes[1, :2] = -1, [0, 1]
    votes[2] = votes[1]
    return votes


@pytest.fixture
def votes():
    return few_votes()


@pytest.fixture
def gold():
    return np.random.default_rng(1).integers(-1, K, N)


@pytest.fixture
def ids():
    return np.random.default_rng(2).permutation(10 * N)[:N]


def matrices(votes, monkeypatch, ids=None, k=K):
    """The same votes, kept sparse and, with a higher limit, dense."""
    sparse = LabelMatrix(votes, k, ids)
    monkeypatch.setattr(vote_storage, "DENSE_LFS", 10**6)
    dense = LabelMatrix(votes, k, ids)
    monkeypatch.undo()
    assert isinstance(sparse.votes, csr_array)
    assert isinstance(dense.votes, np.ndarray)
    return sparse, dense


def test_the_number_of_lfs_alone_decides():
    for m, form in ((256, np.ndarray), (257, csr_array)):
        votes = few_votes(m=m)
        matrix = LabelMatrix(votes, K)
        made = [
            LabelMatrix(csr_array(votes + 1).astype(np.int64).__class__(_stored(votes)), K),
            matrix.take(np.arange(10)),
            LabelMatrix.concatenate({"a": matrix}),
            LabelMatrix.from_table(matrix.to_table()),
            LabelMatrix.from_table(_wide(votes), K),
            matrix.aligned_to(np.arange(N)[::-1]),
        ]
        assert all(type(one.votes) is form for one in (matrix, *made))
        assert made[0] == matrix


def _stored(votes):
    """A sparse array that stores the votes and not the abstains."""
    rows, lfs = np.nonzero(votes >= 0)
    return csr_array((votes[rows, lfs], (rows, lfs)), shape=votes.shape)


def _wide(votes):
    columns = {f"lf_{lf}": pa.array(column, mask=column == -1) for lf, column in enumerate(votes.T)}
    return pa.table({"example_id": np.arange(len(votes)), **columns})


@pytest.mark.parametrize(
    "given",
    [
        lambda votes: votes,
        lambda votes: votes.astype(np.float64),
        lambda votes: votes.tolist(),
        _stored,
        lambda votes: _stored(votes)[:, ::-1][:, ::-1],  # columns out of order in each row
        _wide,
    ],
)
def test_it_is_the_same_matrix_whatever_it_is_made_of(votes, given):
    matrix = LabelMatrix(given(votes), K)
    np.testing.assert_array_equal(np.asarray(matrix), votes)
    assert matrix.votes.dtype == np.int8
    assert (matrix.votes.data >= 0).all()
    first = LabelMatrix(votes, K)
    assert matrix == first
    assert matrix.digest == first.digest
    assert matrix.to_table().equals(first.to_table(), check_metadata=True)


def test_what_is_made_of_it_equals_that_of_the_dense_array(votes, ids, monkeypatch):
    sparse, dense = matrices(votes, monkeypatch, ids)
    np.testing.assert_array_equal(sparse.covered, dense.covered)
    rows = np.array([5, 3, 399])
    np.testing.assert_array_equal(np.asarray(sparse.take(rows)), dense.votes[rows])
    np.testing.assert_array_equal(np.asarray(sparse.take(sparse.covered)), dense.votes[dense.covered])
    order = np.sort(np.append(ids, 10 * N))
    expected = np.full((N + 1, M), -1)
    expected[np.searchsorted(order, ids)] = votes
    np.testing.assert_array_equal(np.asarray(sparse.aligned_to(order)), expected)
    halves = {"a": sparse.take(np.arange(100)), "b": sparse.take(np.arange(100, N))}
    assert LabelMatrix.concatenate(halves) == sparse
    assert sparse != LabelMatrix(np.where(votes == 1, 2, votes), K, ids)


def test_lfs_come_and_go_over_the_limit(votes):
    matrix = LabelMatrix(votes, K)
    few = ["lf_7", "new", "lf_299", "lf_0"]
    expected = np.full((N, 4), -1)
    expected[:, [0, 2, 3]] = votes[:, [7, 299, 0]]
    narrow = matrix.with_lfs(few)
    assert isinstance(narrow.votes, np.ndarray)
    np.testing.assert_array_equal(narrow.votes, expected)
    many = [f"lf_{lf}" for lf in range(M + 50)][::-1]
    again = narrow.with_lfs(many)
    assert isinstance(again.votes, csr_array)
    back = np.full((N, M + 50), -1)
    back[:, [M + 49 - lf for lf in (7, 299, 0)]] = votes[:, [7, 299, 0]]
    np.testing.assert_array_equal(np.asarray(again), back)
    np.testing.assert_array_equal(np.asarray(matrix.with_lfs(many))[:, ::-1][:, :M], votes)
    assert again.votes.has_sorted_indices


def test_a_file_has_a_list_per_example(votes, ids, tmp_path):
    matrix = LabelMatrix(votes, K, ids)
    table = matrix.to_table()
    assert table.column_names == ["example_id", "votes"]
    assert table["votes"][0].as_py() == []
    row = 5
    lfs = np.flatnonzero(votes[row] >= 0)
    assert table["votes"][row].as_py() == (lfs * K + votes[row, lfs]).tolist()
    write_parquet(table, tmp_path / "votes.parquet")
    assert LabelMatrix.from_parquet(tmp_path / "votes.parquet") == matrix
    assert LabelMatrix.from_parquet(tmp_path / "votes.parquet", K) == matrix
    listed = LabelMatrix.from_parquet(tmp_path / "votes.parquet", lf_columns=["lf_9", "lf_2"])
    np.testing.assert_array_equal(listed.votes, votes[:, [9, 2]])
    assert read_parquet(tmp_path / "votes.parquet").equals(table)


def test_a_file_of_an_earlier_version_has_a_column_per_lf(votes, monkeypatch):
    sparse, dense = matrices(votes, monkeypatch)
    table = dense.to_table()
    assert table.num_columns == M + 1
    assert LabelMatrix.from_table(table) == sparse


def test_another_number_of_classes_than_in_the_file_is_refused(votes):
    with pytest.raises(LabelMatrixError, match="shard 'cardinality' has 4 classes, but shard 'x' has 3"):
        LabelMatrix.from_table(LabelMatrix(votes, K).to_table(), 4, where="x")


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([[0, 900]], "coded as 0 or 900, expected 0 to 899"),
        ([[3, 0]], "not in ascending order, or one is there twice"),
        ([[3, 4]], "not in ascending order, or one is there twice"),
    ],
)
def test_a_damaged_file_is_refused(votes, codes, said):
    table = LabelMatrix(votes[:1], K).to_table()
    table = table.set_column(1, "votes", pa.array(codes, pa.large_list(pa.int64())))
    with pytest.raises(LabelMatrixError, match=f"x: .*{said}"):
        LabelMatrix.from_table(table, where="x")


@pytest.mark.parametrize("form", [np.array, _stored, _wide])
@pytest.mark.parametrize("wrong", [3, 7])
def test_a_vote_out_of_range_is_named(votes, form, wrong):
    votes = votes.copy()
    votes[17, 288] = wrong
    with pytest.raises(
        LabelMatrixError, match=f"LF 'lf_288' votes {wrong} on example 17, expected an integer"
    ):
        LabelMatrix(form(votes), K)


def test_it_is_read_only(votes):
    matrix = LabelMatrix(votes, K)
    with pytest.raises(ValueError, match="read-only"):
        matrix.votes.data[0] = 1


def test_a_dense_array_that_does_not_fit_is_refused(votes, monkeypatch):
    monkeypatch.setattr("ws_pipeline.memory.available_memory", lambda: None)
    assert np.asarray(LabelMatrix(votes, K)).shape == (N, M)
    huge = csr_array((10**9, 10**6), dtype=np.int8)
    monkeypatch.undo()
    with pytest.raises(TooLargeError, match=r"votes of 1,000,000 LFs on 1,000,000,000 examples needs"):
        vote_storage.to_dense(huge)


def test_counts_and_summaries_equal_those_of_the_dense_array(votes, gold, monkeypatch):
    sparse, dense = matrices(votes, monkeypatch)
    counts = VoteCounts.from_label_matrix(sparse)
    assert counts == VoteCounts.from_label_matrix(dense)
    patterns = VotePatterns.from_label_matrix(sparse)
    assert patterns == VotePatterns.from_label_matrix(dense)
    assert patterns.to_table().equals(VotePatterns.from_label_matrix(dense).to_table())
    for one, other in (
        (count_correct(sparse.votes, gold), count_correct(dense.votes, gold)),
        (count_joint(sparse.votes, gold, K), count_joint(dense.votes, gold, K)),
    ):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert lf_summary(counts, matrix=sparse, gold=gold).equals(lf_summary(counts, matrix=dense, gold=gold))
    for given in (sparse, _stored(votes), votes):
        analysis = LFAnalysis(given)
        np.testing.assert_array_equal(analysis.L, votes)
        assert (
            analysis.lf_summary(gold)["Emp. Acc."].tolist()
            == LFAnalysis(dense).lf_summary(gold)["Emp. Acc."].tolist()
        )


def test_labels_equal_those_of_the_dense_array(votes, gold, monkeypatch):
    sparse, dense = matrices(votes, monkeypatch)
    np.testing.assert_array_equal(majority_probs(sparse.votes, K), majority_probs(dense.votes, K))
    np.testing.assert_array_equal(MajorityLabelVoter(K).predict(sparse), MajorityLabelVoter(K).predict(dense))
    model = LiftDawidSkene(K).fit(sparse, gold=gold)
    other = LiftDawidSkene(K).fit(dense, gold=gold)
    np.testing.assert_array_equal(model.weights, other.weights)
    np.testing.assert_array_equal(model.predict_proba(sparse), other.predict_proba(dense))
    rows = np.arange(5)
    np.testing.assert_array_equal(
        model.explain(sparse.take(rows)).logits, other.explain(dense.take(rows)).logits
    )


def test_lfs_in_another_order_give_the_same_labels(monkeypatch):
    """By a product of sparse rows, which adds in the order in which these store the votes."""
    monkeypatch.setattr("ws_pipeline.labeling.models.posterior._ALL_TABLES_BYTES", 0)
    votes = few_votes(per_row=30)
    model = LiftDawidSkene(K).fit(LabelMatrix(votes, K, lf_names=[f"s{lf}" for lf in range(M)]))
    names = [f"s{lf}" for lf in range(M)]
    probs = model.predict_proba(LabelMatrix(votes, K, lf_names=names))
    turned = LabelMatrix(votes[:, ::-1], K, lf_names=names[::-1])
    np.testing.assert_array_equal(model.predict_proba(turned), probs)


def test_gold_rows_and_what_to_label_next_equal_those_of_the_dense_array(votes, gold, monkeypatch):
    sparse, dense = matrices(votes, monkeypatch)
    rows, known = GoldRows.read(sparse, gold, K), (gold >= 0) & dense.covered
    assert isinstance(rows.votes, csr_array)
    np.testing.assert_array_equal(vote_storage.to_dense(rows.votes), votes[known])
    both = GoldRows.concatenate([rows, GoldRows.none(M), rows])
    joint, class_counts = count_joint(votes[known], gold[known], K)
    np.testing.assert_array_equal(both.count(K).joint, 2 * joint[:, 1:])
    np.testing.assert_array_equal(both.count(K).class_counts, 2 * class_counts)
    probs, everything = majority_probs(dense.votes, K), np.ones(N, dtype=bool)
    tables = [label_next(m, probs, list("abc"), askable=everything, max_rows=N) for m in (sparse, dense)]
    assert tables[0].equals(tables[1])
    assert tables[0]["n_same_votes"].to_pylist().count(2) == 1


def test_scores_and_superclasses_of_many_lfs_equal_those_of_the_dense_array(votes, gold, ids, monkeypatch):
    rng = np.random.default_rng(3)
    said = np.where((votes >= 0) & (rng.random(votes.shape) < 0.3), K, votes)
    scores = np.where(said >= 0, rng.random(votes.shape), np.nan)

    def make():
        return LabelMatrix(said, K, ids, scores=scores, superclasses={"first": [0, 1]})

    sparse = make()
    monkeypatch.setattr(vote_storage, "DENSE_LFS", 10**6)
    dense = make()
    monkeypatch.undo()
    assert isinstance(sparse.votes, csr_array)
    assert isinstance(dense.votes, np.ndarray)
    np.testing.assert_array_equal(np.asarray(sparse), dense.votes)
    np.testing.assert_array_equal(sparse.covered, dense.covered)
    assert LabelMatrix.from_table(sparse.to_table()) == sparse
    names = [f"lf_{lf}" for lf in range(10, 290)][::-1]
    np.testing.assert_array_equal(np.asarray(sparse.with_lfs(names)), votes_of(dense, names))
    np.testing.assert_array_equal(
        MajorityLabelVoter(K).predict_proba(sparse), MajorityLabelVoter(K).predict_proba(dense)
    )
    model, other = LiftDawidSkene(K).fit(sparse, gold=gold), LiftDawidSkene(K).fit(dense, gold=gold)
    np.testing.assert_array_equal(model.weights, other.weights)
    np.testing.assert_array_equal(model.predict_proba(sparse), other.predict_proba(dense))


def votes_of(matrix, names):
    places = [matrix.lf_names.index(name) for name in names]
    return matrix.votes[:, places]
