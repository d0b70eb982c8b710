import dagster as dg
import numpy as np

from ws_pipeline.defs.checks import compare_with_vote
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels


def labels(classes, *, covered=None):
    """Labels that are sure of a class; -1 is an even tie."""
    probs = np.array([[0.5, 0.5] if c < 0 else np.eye(2)[c] for c in classes])
    covered = np.ones(len(classes), dtype=bool) if covered is None else np.array(covered)
    return ProbabilisticLabels(np.arange(len(classes)), probs, covered)


def test_labels_as_good_as_the_vote_pass():
    result = compare_with_vote(labels([0, 1, 1]), labels([0, 1, 0]), np.array([0, 1, 1]))
    assert result.passed
    assert result.metadata["n_won"].value == 1
    assert "label model 1.000, plain vote 0.667" in result.description


def test_labels_slightly_worse_than_the_vote_warn():
    result = compare_with_vote(labels([0, 0, 1]), labels([0, 1, 1]), np.array([0, 1, 1]))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_labels_worse_than_the_vote_beyond_chance_are_an_error():
    gold = np.array([0, 1] * 10)
    result = compare_with_vote(labels(1 - gold), labels(gold), gold)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.ERROR
    assert result.metadata["n_lost"].value == 20


def test_a_tie_counts_half():
    result = compare_with_vote(labels([0]), labels([-1]), np.array([0]))
    assert "label model 1.000, plain vote 0.500" in result.description


def test_rows_without_gold_or_without_votes_are_left_out():
    gold = np.array([0, -1, 1])
    result = compare_with_vote(labels([0, 0, 0], covered=[True, True, False]), labels([0, 0, 0]), gold)
    assert result.metadata["n_gold"].value == 1


def test_without_any_gold_the_check_says_so():
    result = compare_with_vote(labels([0]), labels([0]), np.array([-1]))
    assert result.passed
    assert "no gold label" in result.description
