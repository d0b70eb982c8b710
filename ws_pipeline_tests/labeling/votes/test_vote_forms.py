"""Votes may come dense, sparse, or as triples; the model is the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling import LabelMatrix, LabelModel, MajorityLabelVoter, VoteCounts
from ws_pipeline.labeling.votes.vote_forms import read_votes, sparse_from_triples

IDS = [10, 20, 30, 40, 50, 60]
NAMES = ("ann", "bob", "cy", "dee")
VOTES = np.array(
    [[0, 0, -1, 2], [1, 1, 1, -1], [2, -1, 2, 2], [-1, -1, -1, -1], [0, 1, 0, 0], [2, 2, -1, 1]],
    dtype=np.int64,
)


def as_sparse(kind=sparse.csr_array):
    rows, lfs = np.nonzero(VOTES >= 0)
    return kind(sparse.coo_array((VOTES[rows, lfs], (rows, lfs)), shape=VOTES.shape))


def as_triples(order=None):
    rows = [(IDS[i], NAMES[j], VOTES[i, j]) for i in range(6) for j in range(4) if VOTES[i, j] >= 0]
    rows.append((40, "ann", -1))
    table = pd.DataFrame(rows, columns=["example_id", "lf", "vote"])
    return table if order is None else table.iloc[order].reset_index(drop=True)


def fitted(votes):
    return LabelModel(3, verbose=False).fit(votes, progress_bar=False, mu_eps=1e-4)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix])
def test_a_sparse_matrix_counts_as_its_dense_form_with_class_zero_stored(kind):
    assert VoteCounts.from_votes(as_sparse(kind), 3) == VoteCounts.from_votes(VOTES, 3)


def test_abstains_stored_in_a_sparse_matrix_are_abstains():
    rows, lfs = np.indices(VOTES.shape).reshape(2, -1)
    stored = sparse.coo_array((VOTES.ravel(), (rows, lfs)), shape=VOTES.shape)
    assert VoteCounts.from_votes(stored, 3) == VoteCounts.from_votes(VOTES, 3)


def test_fit_and_predict_take_sparse_votes():
    model = fitted(as_sparse())
    assert np.array_equal(model.mu, fitted(VOTES).mu)
    assert np.array_equal(model.predict_proba(as_sparse()), model.predict_proba(VOTES))
    assert np.array_equal(model.predict(as_sparse()), model.predict(VOTES))
    assert model.predict(as_sparse())[3] == -1
    vote = MajorityLabelVoter(3)
    assert np.array_equal(vote.predict_proba(as_sparse()), vote.predict_proba(VOTES))


def test_a_sparse_vote_out_of_range_is_named():
    votes = as_sparse()
    votes[4, 1] = 5
    with pytest.raises(LabelMatrixError, match=r"LF 'lf_1' votes 5 on example 4, expected .* to 2"):
        VoteCounts.from_votes(votes, 3)


def test_two_votes_of_one_lf_on_one_example_are_refused_not_added_up():
    twice = sparse.coo_array(([1, 1], ([2, 2], [3, 3])), shape=(4, 4))
    with pytest.raises(LabelMatrixError, match="LF 'lf_3' votes more than once on example 2"):
        VoteCounts.from_votes(twice, 3)


@pytest.mark.parametrize("make", [lambda t: t, pa.Table.from_pandas], ids=["pandas", "arrow"])
def test_triples_count_as_the_label_matrix_they_describe(make):
    matrix = LabelMatrix(VOTES, 3, IDS, NAMES)
    assert VoteCounts.from_votes(make(as_triples()), 3) == VoteCounts.from_label_matrix(matrix)


def test_the_order_of_triples_does_not_matter():
    order = np.random.default_rng(0).permutation(len(as_triples()))
    assert np.array_equal(fitted(as_triples(order)).mu, fitted(as_triples()).mu)
    assert fitted(as_triples()).lf_names == NAMES


def test_triples_know_their_examples_in_the_order_of_their_first_rows_and_their_lfs():
    table = as_triples()
    votes, ids, names = sparse_from_triples(table)
    assert votes.shape == (6, 4)
    assert ids.tolist() == table["example_id"].drop_duplicates().tolist() == [10, 20, 30, 50, 60, 40]
    assert names == NAMES


def test_two_triples_of_one_lf_and_example_are_refused_by_name():
    table = pd.concat([as_triples(), pd.DataFrame([(30, "cy", 1)], columns=["example_id", "lf", "vote"])])
    with pytest.raises(LabelMatrixError, match="LF 'cy' votes more than once on example 30"):
        VoteCounts.from_votes(table, 3)


def test_a_null_in_a_triple_is_refused_by_row():
    table = pa.table({"example_id": [1, None], "lf": ["a", "b"], "vote": [0, 1]})
    with pytest.raises(LabelMatrixError, match="column 'example_id' is null in row 1"):
        read_votes(table)


def test_class_names_in_triples_are_refused():
    table = pa.table({"example_id": [1], "lf": ["a"], "vote": ["spam"]})
    with pytest.raises(LabelMatrixError, match="column 'vote' has type string, expected integers"):
        read_votes(table)
