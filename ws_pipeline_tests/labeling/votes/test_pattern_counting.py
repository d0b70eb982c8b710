"""Counts of patterns are those of the votes."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.labeling import VoteCounts, VotePatterns


@pytest.mark.parametrize(("n", "m", "k"), [(500, 4, 2), (500, 6, 5), (300, 300, 3), (1, 1, 2), (40, 3, 40)])
@pytest.mark.parametrize("coverage", [0.0, 0.1, 0.9])
def test_counts_of_patterns_are_those_of_the_votes(n, m, k, coverage):
    rng = np.random.default_rng(0)
    votes = np.where(rng.random((n, m)) < coverage, rng.integers(0, k, (n, m)), -1)
    votes = votes[rng.integers(n, size=2 * n)]  # some occur often
    counted = VoteCounts.from_votes(votes, k)
    of_patterns = VoteCounts.from_patterns(VotePatterns.from_votes(votes, k))
    assert of_patterns == counted
    assert np.array_equal(of_patterns.pair_counts, counted.pair_counts)
    assert of_patterns.to_table().equals(counted.to_table())
