"""Labels beside the plain vote: who is right where, and when the labels are refused."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy.stats import binom

from ws_pipeline.errors import LabelMatrixError, WorseThanVoteError
from ws_pipeline.labeling import LabelMatrix, LabelModel, MajorityLabelVoter, compare_with_vote


def sure_of(classes):
    """Labels that are sure of a class; -1 is an even tie."""
    return np.array([[0.5, 0.5] if c < 0 else np.eye(2)[c] for c in classes])


def compare(labels, vote, gold, covered=None):
    covered = np.ones(len(gold), dtype=bool) if covered is None else np.array(covered)
    return compare_with_vote(sure_of(labels), sure_of(vote), np.array(gold), covered=covered)


def test_labels_as_good_as_the_vote_are_not_worse():
    found = compare([0, 1, 1], [0, 1, 0], [0, 1, 1])
    assert (found.n_compared, found.n_won, found.n_lost) == (3, 1, 0)
    assert (found.accuracy, found.vote_accuracy) == (1, pytest.approx(2 / 3))
    assert found.agreement == pytest.approx(2 / 3)
    assert found.verdict == "not worse"
    found.require()


def test_labels_slightly_worse_than_the_vote_are_below_it_and_not_refused():
    found = compare([0, 0, 1], [0, 1, 1], [0, 1, 1])
    assert (found.verdict, found.p_value) == ("below", 0.5)
    found.require()


def test_labels_worse_than_the_vote_beyond_chance_are_refused():
    gold = np.array([0, 1] * 10)
    found = compare(1 - gold, gold, gold)
    assert (found.verdict, found.n_lost, found.p_value) == ("worse", 20, pytest.approx(2.0**-20))
    with pytest.raises(WorseThanVoteError) as refused:
        found.require()
    assert str(refused.value) == (
        "the labels are worse than those of the plain vote: accuracy 0.000 against 1.000 on 20 examples with "
        "gold, 0 won and 20 lost (p = 9.5e-07); look for weak LFs with LFAnalysis, give class_balance, or "
        "use MajorityLabelVoter"
    )
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(("n_won", "n_lost"), [(0, 4), (0, 5), (1, 7), (2, 7), (10, 20), (11, 20)])
def test_the_p_value_is_that_of_a_sign_test_and_decides(n_won, n_lost):
    labels, vote = [1] * n_won + [0] * n_lost, [0] * n_won + [1] * n_lost
    found = compare(labels, vote, [1] * (n_won + n_lost))
    assert found.p_value == pytest.approx(binom.sf(n_lost - 1, n_won + n_lost, 0.5))
    assert (found.verdict == "worse") == (found.p_value < 0.05)


def test_a_tie_is_right_by_half():
    found = compare([0], [-1], [0])
    assert (found.accuracy, found.vote_accuracy, found.n_won) == (1, 0.5, 1)


def test_examples_without_gold_or_without_votes_are_left_out():
    assert compare([0, 0, 0], [0, 0, 0], [0, -1, 1], covered=[True, True, False]).n_compared == 1


@pytest.mark.parametrize(("gold", "covered"), [([-1, -1], [True, True]), ([1, -1], [False, True])])
def test_without_gold_nothing_is_known_but_the_agreement(gold, covered):
    found = compare([0, 1], [1, 1], gold, covered)
    assert found.verdict == "unknown"
    assert math.isnan(found.accuracy)
    assert math.isnan(found.vote_accuracy)
    assert found.agreement == np.mean(np.array([False, True])[covered])
    found.require()


def test_without_any_votes_there_is_no_agreement():
    assert math.isnan(compare([0], [0], [1], covered=[False]).agreement)


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        compare([0], [0], [0]).n_won = 3


def test_arrays_that_do_not_fit_are_refused():
    message = (
        r"vote_probs of shape \(2, 2\), gold and covered of shape \(2,\), got \(2, 2\), \(3,\) and \(3,\)"
    )
    with pytest.raises(LabelMatrixError, match=message):
        compare([0, 1], [0, 1], [0, 1, 1])
    with pytest.raises(LabelMatrixError, match=r"gold label 2 in row 1, expected -1 or a class in 0\.\.1"):
        compare([0, 1], [0, 1], [0, 2])


@pytest.fixture
def votes():
    rng = np.random.default_rng(5)
    gold = rng.integers(0, 2, 400)
    right = rng.random((400, 4)) < [0.9, 0.7, 0.6, 0.6]
    votes = np.where(right, gold[:, None], 1 - gold[:, None])
    votes[rng.random(votes.shape) < 0.4] = -1
    return votes, gold


def test_a_label_model_compares_itself(votes):
    votes, gold = votes
    model = LabelModel(2, verbose=False).fit(votes, progress_bar=False)
    vote = MajorityLabelVoter(2)
    found = model.compare_with_vote(votes, gold)
    covered = (votes >= 0).any(axis=1)
    assert found == compare_with_vote(
        model.predict_proba(votes), vote.predict_proba(votes), gold, covered=covered
    )
    assert found.n_compared == covered.sum()
    assert found.accuracy > found.vote_accuracy
    same = vote.compare_with_vote(votes, gold)
    assert (same.n_won, same.n_lost, same.agreement, same.verdict) == (0, 0, 1, "not worse")


def test_gold_labels_may_be_given_by_id(votes):
    votes, gold = votes
    matrix = LabelMatrix(votes, 2, example_ids=np.arange(400) + 7)
    by_id = {int(example): int(label) for example, label in zip(matrix.example_ids, gold, strict=True)}
    voter = MajorityLabelVoter(2)
    assert voter.compare_with_vote(matrix, by_id) == voter.compare_with_vote(votes, gold)
    with pytest.raises(LabelMatrixError, match=r"Y must have shape \(400,\)"):
        voter.compare_with_vote(votes, gold[1:])
