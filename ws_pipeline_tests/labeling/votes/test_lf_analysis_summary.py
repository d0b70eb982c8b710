"""The summary of labeling functions, against naive loops."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.labeling import LabelMatrix, VoteCounts
from ws_pipeline.labeling.votes.lf_analysis import lf_summary

VOTES = np.array([[0, 1, -1, -1], [0, 0, -1, 0], [2, -1, -1, -1], [-1, -1, -1, -1], [1, 1, -1, 2]])
GOLD = np.array([0, 0, -1, 1, 2])
NAMES = ["a", "b", "silent", "c"]


def summarise(votes=VOTES, gold=None, k=3):
    matrix = LabelMatrix(votes, k, None, NAMES[: votes.shape[1]])
    return lf_summary(VoteCounts.from_label_matrix(matrix), matrix=matrix, gold=gold).to_pydict()


def naive_row(votes, gold, lf):
    """What the summary says of one LF, counted example by example."""
    n = len(votes)
    voted = overlaps = conflicts = correct = incorrect = 0
    for row, label in zip(votes.tolist(), gold.tolist(), strict=True):
        others = [vote for j, vote in enumerate(row) if j != lf and vote != -1]
        if row[lf] == -1:
            continue
        voted += 1
        overlaps += bool(others)
        conflicts += any(vote != row[lf] for vote in others)
        correct += label == row[lf]
        incorrect += label not in {-1, row[lf]}
    judged = correct + incorrect
    return {
        "lf": NAMES[lf],
        "polarity": sorted(set(votes[:, lf].tolist()) - {-1}),
        "n_votes": voted,
        "coverage": voted / n,
        "overlaps": overlaps / n,
        "conflicts": conflicts / n,
        "n_correct": correct,
        "n_incorrect": incorrect,
        "accuracy": correct / judged if judged else None,
    }


@pytest.mark.parametrize("seed", range(6))
def test_every_column_is_what_a_naive_loop_counts(seed):
    rng = np.random.default_rng(seed)
    votes, gold = rng.integers(-1, 3, (50, 4)), rng.integers(-1, 3, 50)
    summary = summarise(votes, gold)
    for lf in range(4):
        assert {name: column[lf] for name, column in summary.items()} == naive_row(votes, gold, lf)


def test_a_small_summary_by_hand():
    summary = summarise(gold=GOLD)
    assert summary["lf"] == NAMES
    assert summary["polarity"] == [[0, 1, 2], [0, 1], [], [0, 2]]
    assert summary["n_votes"] == [4, 3, 0, 2]
    assert summary["coverage"] == [0.8, 0.6, 0, 0.4]
    assert summary["overlaps"] == [0.6, 0.6, 0, 0.4]
    assert summary["conflicts"] == [0.4, 0.4, 0, 0.2]
    assert summary["n_correct"] == [2, 1, 0, 2]
    assert summary["n_incorrect"] == [1, 2, 0, 0]
    assert summary["accuracy"] == pytest.approx([2 / 3, 1 / 3, None, 1])


def test_without_gold_there_is_no_accuracy():
    assert list(summarise()) == ["lf", "polarity", "n_votes", "coverage", "overlaps", "conflicts"]


def test_an_lf_that_meets_no_gold_label_has_no_accuracy():
    assert summarise(gold=np.full(5, -1))["accuracy"] == [None] * 4


def test_no_examples_give_a_summary_of_zeros():
    summary = summarise(VOTES[:0])
    assert summary["coverage"] == summary["overlaps"] == summary["conflicts"] == [0, 0, 0, 0]


def test_the_summary_of_shards_is_the_summary_of_everything():
    parts = {
        f"shard {i}": VoteCounts.from_label_matrix(LabelMatrix(VOTES[i::2], 3, None, NAMES)) for i in (0, 1)
    }
    assert lf_summary(VoteCounts.total(parts)).to_pydict() == summarise()
