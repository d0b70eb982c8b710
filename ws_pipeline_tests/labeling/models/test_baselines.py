"""The plain vote."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling import LabelMatrix, MajorityLabelVoter

VOTES = [[0, 0, 1], [2, -1, -1], [0, 1, -1], [0, 1, 2], [-1, -1, -1], [1, 1, 1]]


def naive_probabilities(votes, cardinality):
    rows = []
    for row in votes.tolist():
        tally = Counter(vote for vote in row if vote != -1)
        winners = [y for y in range(cardinality) if tally[y] == max(tally.values(), default=0)]
        rows.append([1 / len(winners) if y in winners else 0.0 for y in range(cardinality)])
    return rows


def test_a_small_vote_by_hand():
    third = 1 / 3
    assert MajorityLabelVoter(3).predict_proba(VOTES) == pytest.approx(
        np.array([[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0], [third] * 3, [third] * 3, [0, 1, 0]])
    )


@pytest.mark.parametrize("k", [2, 3, 150])
def test_probabilities_are_those_of_a_naive_loop(k):
    votes = np.random.default_rng(k).integers(-1, k, (80, 6))
    assert MajorityLabelVoter(k).predict_proba(votes).tolist() == naive_probabilities(votes, k)


def test_ties_and_examples_without_votes_get_no_label():
    assert MajorityLabelVoter(3).predict(VOTES).tolist() == [0, 2, -1, -1, -1, 1]


def test_random_ties_are_broken_among_the_winners_and_always_alike():
    voter = MajorityLabelVoter(3)
    labels = voter.predict(VOTES, tie_break_policy="random")
    assert labels[2] in {0, 1}
    assert -1 not in labels
    assert labels.tolist() == voter.predict(VOTES, tie_break_policy="random").tolist()


def test_probabilities_come_along_when_asked_for():
    voter = MajorityLabelVoter(3)
    labels, probs = voter.predict(VOTES, return_probs=True)
    assert labels.tolist() == voter.predict(VOTES).tolist()
    assert np.array_equal(probs, voter.predict_proba(VOTES))


def test_a_label_matrix_votes_like_its_array():
    voter = MajorityLabelVoter(3)
    assert np.array_equal(voter.predict_proba(LabelMatrix(VOTES, 3)), voter.predict_proba(VOTES))


def test_the_score_leaves_out_abstains_and_unknown_gold():
    scores = MajorityLabelVoter(3).score(VOTES, [0, 0, 0, 0, 0, -1], metrics=["accuracy", "coverage"])
    assert scores["accuracy"] == 0.5
    assert scores["coverage"] == pytest.approx(0.5)


def test_gold_of_another_length_is_refused():
    with pytest.raises(
        LabelMatrixError, match=r"Y must have shape \(6,\), one gold label per row of L, got \(2,\)"
    ):
        MajorityLabelVoter(3).score(VOTES, [0, 1])


def test_votes_out_of_range_are_refused():
    with pytest.raises(LabelMatrixError, match="LF 'lf_0' votes 2 on example 1, expected an integer from -1"):
        MajorityLabelVoter(2).predict(VOTES)


def test_a_label_matrix_of_more_classes_is_checked_vote_by_vote():
    with pytest.raises(LabelMatrixError, match="LF 'lf_0' votes 2 on example 1"):
        MajorityLabelVoter(2).predict(LabelMatrix(VOTES, 3))


def test_a_number_of_classes_below_two_is_refused():
    with pytest.raises(LabelMatrixError, match="cardinality must be from 2 to 32767, got 1"):
        MajorityLabelVoter(1)
