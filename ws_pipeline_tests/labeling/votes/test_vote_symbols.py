"""Votes with scores, and for superclasses, brought to symbols and back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ws_pipeline.labeling import LabelMatrix
from ws_pipeline.labeling.votes.vote_forms import VoteForm, read_votes
from ws_pipeline.labeling.votes.vote_symbols import Alphabet, VoteSymbols, quantile_edges, symbols_of

PAIRS = {"low": [0, 1], "high": [1, 2]}


def some_matrix(n=200, m=4, seed=0):
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, 5, (n, m))
    scores = np.where((votes >= 0) & (rng.random((n, m)) < 0.8), rng.normal(size=(n, m)), np.nan)
    scores[:, 3] = np.nan  # this LF gives none
    return LabelMatrix(votes, 3, scores=scores, superclasses=PAIRS)


@pytest.mark.parametrize(
    ("scores", "n_bins", "edges"),
    [
        ([1, 2, 3, 4], 2, [2]),
        ([4, 3, 2, 1], 2, [2]),
        ([1, 2, 3, 4, 5], 5, [1, 2, 3, 4]),
        ([0, 0, 1, 1], 5, [0]),  # equal scores share a bin
        ([0, 0, 0, 0, 1], 2, [0]),
        ([0, 1, 1, 1, 1], 2, []),  # the first bin would hold all
        ([7], 5, []),
        ([1, 2, 3], 1, []),
    ],
)
def test_bins_hold_about_the_same_number_of_scores(scores, n_bins, edges):
    found = quantile_edges(np.array(scores, dtype=np.float32), n_bins)
    assert found.dtype == np.float32
    assert found.tolist() == edges


def test_a_score_is_in_the_first_bin_that_does_not_end_below_it():
    matrix = LabelMatrix([[0], [0], [1], [1], [-1]], 2, scores=[[1], [2], [3], [4], [np.nan]], lf_names=["j"])
    symbols = VoteSymbols.of({"s": matrix}, n_bins=2)
    assert symbols.alphabet.n_levels == 3
    assert symbols.encode(matrix).votes.ravel().tolist() == [1, 1, 5, 5, -1]
    # beyond what was seen, and at an end
    other = LabelMatrix([[0], [0], [0], [0]], 2, scores=[[-9], [2], [2.01], [99]], lf_names=["j"])
    assert symbols.encode(other).votes.ravel().tolist() == [1, 1, 2, 2]


def test_symbols_of_superclasses_come_after_the_classes():
    matrix = LabelMatrix([[0, 3], [2, 4], [-1, 1]], 3, superclasses=PAIRS)
    assert_array_equal(matrix.votes, [[0, -1], [2, -1], [-1, 1]])
    symbols = symbols_of(matrix, 3)
    assert symbols.alphabet.n_symbols == 5
    assert_array_equal(symbols.encode(matrix).votes, [[0, 3], [2, 4], [-1, 1]])
    assert_array_equal(symbols.alphabet.members[3:], [[True, True, False], [False, True, True]])


def test_symbols_are_votes_again():
    matrix = some_matrix()
    symbols = VoteSymbols.of({"s": matrix}, n_bins=3)
    codes = symbols.encode(matrix).votes
    decoded = symbols.decode(codes, matrix.lf_names)
    assert_array_equal(decoded.votes, matrix.votes)
    assert_array_equal(decoded.details.sets, matrix.details.sets)
    assert_array_equal(np.isnan(decoded.details.scores), np.isnan(matrix.details.scores))
    assert_array_equal(symbols.encode(decoded).votes, codes)
    assert codes.max() < symbols.alphabet.n_symbols == (3 + 2) * 4


def test_votes_without_details_are_the_symbols():
    matrix = LabelMatrix([[0, 1], [1, -1]], 2)
    assert symbols_of(matrix, 2) is None
    sets_only = VoteSymbols.of({"s": LabelMatrix([[0, 3]], 3, superclasses=PAIRS)})
    assert_array_equal(sets_only.encode(read_votes(matrix)).votes, matrix.votes)


def test_the_order_of_the_shards_changes_no_bin():
    matrix = some_matrix()
    shards = {"a": matrix.take(np.arange(50)), "b": matrix.take(np.arange(50, 200))}
    whole = VoteSymbols.of({"all": matrix})
    for order in ("ab", "ba"):
        found = VoteSymbols.of({name: shards[name] for name in order})
        assert found.edges.keys() == whole.edges.keys() == {"lf_0", "lf_1", "lf_2"}
        for name in whole.edges:
            assert_array_equal(found.edges[name], whole.edges[name])


def test_known_bins_stay_as_they_are():
    first, later = some_matrix(seed=0), some_matrix(seed=1)
    fixed = {"lf_0": VoteSymbols.of({"s": first}).edges["lf_0"]}
    found = VoteSymbols.of({"s": later}, edges=fixed)
    assert_array_equal(found.edges["lf_0"], fixed["lf_0"])
    assert not np.array_equal(found.edges["lf_1"], VoteSymbols.of({"s": first}).edges["lf_1"])


def test_a_shard_without_scores_is_among_those_with_scores():
    matrix = some_matrix()
    plain = LabelMatrix(matrix.votes[:10], 3, example_ids=np.arange(500, 510))
    both = LabelMatrix.concatenate({"a": matrix, "b": plain})
    assert np.isnan(both.details.scores[200:]).all()
    assert (both.details.sets[200:] == -1).all()
    symbols = VoteSymbols.of({"a": matrix, "b": plain})
    assert_array_equal(symbols.encode(both).votes[200:], symbols.encode(plain).votes)


def test_a_state_gives_the_same_symbols():
    matrix = some_matrix()
    symbols = VoteSymbols.of({"s": matrix}, n_bins=4)
    again = VoteSymbols.from_state(*symbols.to_state())
    assert_array_equal(again.encode(matrix).votes, symbols.encode(matrix).votes)


def test_an_alphabet_adds_up_levels_and_shares_out_superclasses():
    alphabet = Alphabet(np.array([[1, 0], [0, 1], [1, 1]], dtype=bool), n_levels=2)
    assert alphabet.by_group(np.arange(6)[None]).tolist() == [[1, 5, 9]]
    assert alphabet.shares.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1], [0.5, 0.5], [0.5, 0.5]]
    assert alphabet.groups.tolist() == [0, 0, 1, 1, 2, 2]


def test_sparse_votes_without_scores_are_levels_of_their_own():
    from scipy.sparse import csr_array

    symbols = VoteSymbols.of({"s": some_matrix()}, n_bins=3)
    form = VoteForm(csr_array(([2, 1], ([0, 1], [0, 2])), shape=(2, 4)), tuple(f"lf_{i}" for i in range(4)))
    assert symbols.encode(form).votes.tolist() == [[8, -1, -1, -1], [-1, -1, 4, -1]]
