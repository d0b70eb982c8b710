"""Passes over vote patterns: both ways give what plain loops give, and blocks change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from ws_pipeline.labeling.models import pattern_passes
from ws_pipeline.labeling.models.pattern_passes import passes_over
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

WAYS = {
    "tables": (12, 3, 0.8, "_TablePasses"),
    "tables of many classes": (5, 40, 1.0, "_TablePasses"),
    "sparse product": (60, 3, 0.05, "_SparsePasses"),
    "crowd": (300, 4, 0.05, "_SparsePasses"),
}


def some_patterns(m, k, coverage, n=400):
    rng = np.random.default_rng(0)
    votes = np.where(rng.random((n, m)) < coverage, rng.integers(0, k, (n, m)), -1)
    return votes[(votes >= 0).any(axis=1)]


@pytest.mark.parametrize("block", [2**16, 50])
@pytest.mark.parametrize("way", WAYS)
def test_both_ways_give_what_plain_loops_give(way, block, monkeypatch):
    m, k, coverage, name = WAYS[way]
    monkeypatch.setattr(pattern_passes, "_BLOCK", block)
    votes = some_patterns(m, k, coverage)
    patterns = VotePatterns.from_votes(np.vstack([votes, votes[:100]]), k)
    passes = passes_over(patterns)
    assert type(passes).__name__ == name
    rng = np.random.default_rng(1)
    intercept, weights = rng.normal(size=k), rng.normal(size=(m, k, k))
    joint, totals, tallies = np.zeros((m, k, k)), np.zeros(k), np.zeros(k)
    for repeat in (votes, votes[:100]):
        for row in repeat:
            voted = np.flatnonzero(row >= 0)
            probs = softmax(intercept + weights[voted, row[voted]].sum(axis=0))
            totals += probs
            joint[voted, row[voted]] += probs
            tallies += np.bincount(row[voted], minlength=k)
    expected = passes.expect(intercept, weights)
    np.testing.assert_allclose(expected.joint, joint, atol=1e-9)
    np.testing.assert_allclose(expected.class_totals, totals, atol=1e-9)
    found = sum(tally @ passes.counts[rows] for rows, tally in passes.tallies())
    np.testing.assert_allclose(found, tallies)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_patterns_give_the_same_bytes(way):
    m, k, coverage, _ = WAYS[way]
    patterns = VotePatterns.from_votes(some_patterns(m, k, coverage), k)
    weights = np.random.default_rng(1).normal(size=(m, k, k))
    one, other = (passes_over(patterns).expect(np.zeros(k), weights) for _ in range(2))
    assert one.joint.tobytes() == other.joint.tobytes()
