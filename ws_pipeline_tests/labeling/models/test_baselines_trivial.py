"""The baselines that do not look at the votes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ws_pipeline.errors import ClassBalanceError, FileFormatError, NotFittedError
from ws_pipeline.labeling import LabelMatrix, MajorityClassVoter, MajorityLabelVoter, RandomVoter

VOTES = np.array([[0, 0, 1], [2, -1, -1], [0, 1, 2], [-1, -1, -1]])


@pytest.mark.parametrize(
    ("balance", "row"),
    [
        ([0.2, 0.5, 0.3], [0, 1, 0]),
        ([0.4, 0.2, 0.4], [0.5, 0, 0.5]),
        ([1.0, 0.0, 0.0], [1, 0, 0]),
        ([1 / 3] * 3, [1 / 3] * 3),
    ],
)
def test_every_example_gets_the_most_frequent_classes(balance, row):
    voter = MajorityClassVoter(3)
    assert voter.fit(balance) is voter
    assert voter.predict_proba(VOTES).tolist() == [row] * 4
    assert voter.predict_proba(LabelMatrix(VOTES, 3)).tolist() == [row] * 4


@pytest.mark.parametrize("balance", [[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
def test_the_class_voter_is_that_of_snorkel(balance):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = pytest.importorskip("snorkel.labeling.model")
    theirs = models.MajorityClassVoter(3)
    theirs.fit(np.array(balance))
    ours = MajorityClassVoter(3).fit(np.array(balance))
    for policy in ("abstain", "random"):
        expected = theirs.predict(VOTES, tie_break_policy=policy)
        assert ours.predict(VOTES, tie_break_policy=policy).tolist() == expected.tolist()


def test_examples_without_votes_get_the_most_frequent_class_too():
    assert MajorityClassVoter(3).fit([0.2, 0.5, 0.3]).predict(VOTES).tolist() == [1] * 4


def test_examples_without_votes_get_a_random_class_too():
    assert RandomVoter(3).predict(VOTES).min() >= 0


def test_equally_frequent_classes_are_a_tie():
    assert MajorityClassVoter(3).fit([0.4, 0.2, 0.4]).predict(VOTES).tolist() == [-1] * 4


def test_later_changes_of_the_array_change_nothing():
    balance = np.array([0.2, 0.8])
    voter = MajorityClassVoter().fit(balance)
    balance[:] = [0.9, 0.1]
    assert voter.predict([[0], [1]]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ([0.5, 0.5], r"class_balance has 2 entries for 3 classes: expected shape \[3\], got \[2\]"),
        ([0.5, 0.6, 0.1], r"sum to 1, got \[0\.5, 0\.6, 0\.1\]"),
        ([1.5, -0.5, 0.0], r"at least 0 .* got \[1\.5, -0\.5, 0\.0\]"),
        ([np.nan, 0.5, 0.5], r"got \[nan, 0\.5, 0\.5\]"),
    ],
)
def test_a_balance_that_is_no_distribution_is_refused(balance, message):
    with pytest.raises(ClassBalanceError, match=message):
        MajorityClassVoter(3).fit(balance)


def test_predicting_before_fitting_is_refused():
    with pytest.raises(NotFittedError, match=r"call fit\(balance\) first"):
        MajorityClassVoter().predict_proba(VOTES)


@pytest.mark.parametrize("k", [2, 3, 200])
def test_random_probabilities_sum_to_one(k):
    probs = RandomVoter(k).predict_proba(np.full((500, 3), -1))
    assert probs.shape == (500, k)
    assert probs.min() > 0
    assert probs.sum(axis=1) == pytest.approx(np.ones(500))


def test_chance_favours_no_class():
    labels = RandomVoter(4).predict(np.full((20_000, 1), -1), tie_break_policy="random")
    assert np.bincount(labels) / 20_000 == pytest.approx([0.25] * 4, abs=0.015)


def test_the_seed_decides_and_the_global_state_does_not():
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    voter = RandomVoter(3, seed=5)
    probs = voter.predict_proba(VOTES)
    assert np.array_equal(voter.predict_proba(VOTES), probs)
    assert np.array_equal(RandomVoter(3, seed=5).predict_proba(VOTES), probs)
    assert not np.array_equal(RandomVoter(3, seed=6).predict_proba(VOTES), probs)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


@pytest.mark.parametrize("voter", [MajorityClassVoter(3).fit([0.2, 0.5, 0.3]), RandomVoter(3)])
def test_no_examples_give_no_probabilities(voter):
    assert voter.predict_proba(VOTES[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    "votes", [[[0, 1, 2]], [[1, 2, 0], [2, 0, 1]], [[2, 1, 0, -1]], [[0, 1, 2, 0, 1, 2]]]
)
def test_a_cycle_of_three_labeling_functions_ends_in_an_exact_tie(votes):
    voter = MajorityLabelVoter(3)
    probs = voter.predict_proba(votes)
    assert (probs == probs[:, :1]).all()
    assert voter.predict(votes).tolist() == [-1] * len(votes)


# Files


@pytest.mark.parametrize(
    "voter",
    [MajorityLabelVoter(4), MajorityClassVoter(4).fit([0.1, 0.2, 0.3, 0.4]), RandomVoter(4, seed=5)],
    ids=lambda voter: type(voter).__name__,
)
def test_a_voter_comes_back_from_its_file(voter, tmp_path):
    voter.save(tmp_path / "voter")
    loaded = type(voter).from_file(tmp_path / "voter")
    votes = np.random.default_rng(0).integers(-1, 4, (30, 3))
    assert np.array_equal(loaded.predict_proba(votes), voter.predict_proba(votes))
    assert loaded.load(tmp_path / "voter") is loaded


def test_a_file_of_another_voter_is_refused(tmp_path):
    RandomVoter().save(tmp_path / "voter")
    expected = "expected a ws_pipeline/MajorityLabelVoter file, got ws_pipeline/RandomVoter's"
    with pytest.raises(FileFormatError, match=expected):
        MajorityLabelVoter().load(tmp_path / "voter")


def test_a_class_voter_without_a_balance_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError, match=r"call fit\(balance\) first"):
        MajorityClassVoter().save(tmp_path / "voter")
    assert not (tmp_path / "voter").exists()
