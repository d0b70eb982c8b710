"""What labeling functions are worth beside gold labels, against naive loops."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.labeling import LFAnalysis

VOTES = np.array([[-1, 0, 0], [-1, -1, -1], [1, 0, -1], [-1, 0, -1], [0, 0, 0]])
GOLD = np.array([0, 1, 0, -1, 0])


def draw(k):
    """Votes of three labeling functions on 5 k examples, and classes."""
    rng = np.random.default_rng(k)
    return rng.integers(-1, k, (5 * k, 3)), rng.integers(0, k, 5 * k)


@pytest.mark.parametrize("k", [2, 3, 20, 130])
def test_accuracies_are_what_a_naive_loop_counts(k):
    votes, gold = draw(k)
    gold[::4] = -1
    expected = []
    for column in votes.T.tolist():
        judged = [
            vote == label
            for vote, label in zip(column, gold.tolist(), strict=True)
            if -1 not in {vote, label}
        ]
        expected.append(sum(judged) / len(judged))
    assert LFAnalysis(votes).lf_empirical_accuracies(gold).tolist() == expected


def test_unknown_gold_labels_count_neither_as_right_nor_as_wrong():
    analysis = LFAnalysis([[0, 1], [0, 1], [0, 1], [0, -1]])
    gold = [0, 1, -1, -1]
    assert analysis.lf_empirical_accuracies(gold).tolist() == [0.5, 0.5]
    summary = analysis.lf_summary(gold)
    judged = summary["Correct"] + summary["Incorrect"]
    assert (summary["Correct"] / judged).tolist() == summary["Emp. Acc."].tolist()
    assert analysis.lf_empirical_accuracies([-1] * 4).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float64])
def test_gold_labels_come_in_columns_and_as_floats_too(shape, dtype):
    summary = LFAnalysis(VOTES).lf_summary(GOLD.reshape(shape).astype(dtype))
    assert summary["Correct"].tolist() == [1, 3, 2]


@pytest.mark.parametrize("k", [2, 3, 20, 130])
def test_conditional_probabilities_are_what_a_naive_loop_counts(k):
    votes, gold = draw(k)
    gold[: 2 * k] = np.arange(2 * k) % k
    gold[2 * k :: 4] = -1
    table = LFAnalysis(votes).lf_empirical_probs(gold, k)
    assert table.shape == (3, k + 1, k)
    for j in range(3):
        for y in range(k):
            rows = [i for i in range(5 * k) if gold[i] == y]
            shares = [sum(votes[i, j] == vote for i in rows) / len(rows) for vote in range(-1, k)]
            assert table[j, :, y].tolist() == shares


def test_conditional_probabilities_of_a_class_without_gold_labels_are_not_known():
    table = LFAnalysis(VOTES).lf_empirical_probs([0, 0, 0, 2, 2], 3)
    assert np.isnan(table[:, :, 1]).all()
    np.testing.assert_allclose(table[:, :, [0, 2]].sum(axis=1), 1)
