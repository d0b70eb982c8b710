"""LabelModel: what it computes, its invariants, and that it recovers what made the votes."""

from __future__ import annotations

import itertools
import logging
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ws_pipeline.labeling import FitConfig, LabelMatrix, LabelModel, MajorityLabelVoter, VoteCounts
from ws_pipeline.labeling.models.matrix_completion import default_mu_eps

FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)
SMALL = np.array([[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]])


def random_votes(n=200, m=5, k=3, seed=0, coverage=0.8):
    """Votes of LFs that are right more often than not, and what they were cast on."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    votes = np.where(rng.random((n, m)) < 0.5, labels[:, None], rng.integers(0, k, (n, m)))
    votes[rng.random((n, m)) >= coverage] = -1
    return votes


def fit(votes, k=3, **options):
    return LabelModel(k, verbose=False).fit(votes, progress_bar=False, **options)


def model_of(mu, class_balance, coverage=(1.0, 1.0, 1.0)):
    """A label model with these parameters, as if it had been fitted."""
    model = LabelModel(len(class_balance), verbose=False)
    model.mu, model.class_balance = np.array(mu), np.array(class_balance)
    model.coverage = np.array(coverage)
    model.mu_eps_ = 1e-6
    model.lf_names = tuple(f"lf_{i}" for i in range(len(coverage)))
    return model


# P(votes 0 | class 0), P(votes 0 | class 1), then the same for votes of 1, per LF
BY_HAND = model_of([[0.8, 0.2], [0.1, 0.6], [0.5, 0.3], [0.4, 0.7], [0.3, 0.1], [0.2, 0.2]], [0.25, 0.75])


# Predictions


@pytest.mark.parametrize(
    ("votes", "likelihoods"),
    [
        ([0, 1, -1], (0.8 * 0.4, 0.2 * 0.7)),
        ([1, 0, 0], (0.1 * 0.5 * 0.3, 0.6 * 0.3 * 0.1)),
        ([-1, -1, 1], (0.2, 0.2)),
        ([-1, -1, -1], (1, 1)),
    ],
)
def test_probabilities_are_bayes_rule_by_hand(votes, likelihoods):
    joint = [0.25 * likelihoods[0], 0.75 * likelihoods[1]]
    assert BY_HAND.predict_proba([votes])[0] == pytest.approx([joint[0] / sum(joint), joint[1] / sum(joint)])


@pytest.mark.parametrize("k", [2, 3, 130])
def test_probabilities_are_those_of_a_naive_loop(k):
    votes = random_votes(n=max(60, 4 * k), m=4, k=k)  # enough for every class to get a vote
    model = fit(votes, k)
    for row, found in zip(votes[:20].tolist(), model.predict_proba(votes[:20]), strict=True):
        joint = list(model.class_balance)
        for (lf, vote), z in itertools.product(enumerate(row), range(k)):
            joint[z] *= model.mu[lf * k + vote, z] if vote != -1 else 1
        assert found == pytest.approx([value / math.fsum(joint) for value in joint], rel=1e-9)


@FIXED
@given(hnp.arrays(np.int64, st.tuples(st.integers(0, 20), st.just(5)), elements=st.integers(-1, 2)), SEEDS)
def test_every_row_of_probabilities_sums_to_one(votes, seed):
    probs = fit(random_votes(seed=seed), n_epochs=5).predict_proba(votes)
    assert probs.shape == (len(votes), 3)
    assert np.abs(probs.sum(axis=1) - 1).max(initial=0) < 1e-12
    assert probs.min(initial=0) >= 0


def test_an_example_without_votes_gets_the_class_balance():
    model = fit(random_votes(), class_balance=[0.5, 0.3, 0.2])
    assert model.predict_proba(np.full((1, 5), -1))[0] == pytest.approx([0.5, 0.3, 0.2])


def test_an_example_without_votes_gets_no_prediction():
    model = fit(random_votes(), class_balance=[0.5, 0.3, 0.2])
    assert model.predict(np.full((1, 5), -1)).tolist() == [-1]


def test_an_example_without_votes_gets_a_prediction_where_ties_are_broken():
    model = fit(random_votes(), class_balance=[0.5, 0.3, 0.2])
    assert model.predict(np.full((1, 5), -1), tie_break_policy="random").tolist() == [0]


def test_predictions_are_the_most_probable_classes():
    votes = random_votes()
    model = fit(votes)
    labels, probs = model.predict(votes, return_probs=True)
    covered = (votes != -1).any(axis=1)
    assert labels[covered].tolist() == probs.argmax(axis=1)[covered].tolist()
    assert np.array_equal(probs, model.predict_proba(votes))


def test_a_thousand_votes_on_one_example_do_not_underflow():
    mu = np.tile([[0.6e-3, 0.4e-3], [0.4e-3, 0.6e-3]], (1000, 1))
    model = model_of(mu, [0.5, 0.5], coverage=[1e-3] * 1000)
    votes = np.array([[0] * 1000, [1] * 1000, [0, 1] * 500])
    assert model.predict_proba(votes) == pytest.approx(np.array([[1, 0], [0, 1], [0.5, 0.5]]))


def test_more_rows_than_fit_in_one_chunk_are_predicted_row_by_row():
    votes = np.tile(random_votes(n=1000), (150, 1))
    model = fit(votes[:1000])
    assert np.array_equal(model.predict_proba(votes), np.tile(model.predict_proba(votes[:1000]), (150, 1)))


def test_the_score_is_that_of_the_predictions():
    votes = random_votes()
    model = fit(votes)
    gold = model.predict(votes)
    gold[:50] = (gold[:50] + 1) % 3
    covered = (votes != -1).any(axis=1)
    assert model.score(votes, gold)["accuracy"] == pytest.approx(covered[50:].sum() / covered.sum())


# Parameters


def test_mu_holds_one_probability_per_lf_vote_and_class():
    assert fit(random_votes(m=4)).mu.shape == (12, 3)


def test_conditional_probabilities_put_abstaining_first():
    table = BY_HAND.get_conditional_probs()
    assert table[0] == pytest.approx(np.array([[0.1, 0.2], [0.8, 0.2], [0.1, 0.6]]))
    assert table.shape == (3, 3, 2)


def test_conditional_probabilities_of_a_class_sum_to_one():
    assert fit(random_votes()).get_conditional_probs().sum(axis=1) == pytest.approx(np.ones((5, 3)))


def test_weights_are_the_chance_of_being_right_when_voting():
    model = model_of(BY_HAND.mu, [0.25, 0.75], coverage=[0.8, 1.0, 0.1])
    expected = [(0.8 * 0.25 + 0.6 * 0.75) / 0.8, 0.5 * 0.25 + 0.7 * 0.75, 1.0]
    assert model.get_weights() == pytest.approx(expected)


def test_weights_never_fall_to_zero_for_an_lf_that_votes():
    model = model_of(np.full((6, 2), 1e-9), [0.5, 0.5])
    assert model.get_weights().tolist() == [1e-6] * 3


def test_an_lf_that_never_votes_weighs_nothing():
    assert model_of(BY_HAND.mu, [0.25, 0.75], coverage=[1.0, 0.0, 1.0]).get_weights()[1] == 0


def test_the_coverage_counts_every_example():
    model = fit(np.vstack([SMALL, [[-1, -1, -1]]]), 2)
    assert model.coverage == pytest.approx([0.6, 0.8, 0.6])


@pytest.mark.parametrize("n", [30, 1000, 1001])
def test_mu_is_kept_in_its_default_bounds(n):
    votes = random_votes(n=n)
    votes[votes[:, 0] == 2, 0] = 0  # so that P(LF 0 votes 2) is estimated as 0
    mu = fit(votes).mu
    assert mu.min() == pytest.approx(default_mu_eps(n))
    assert mu.max() <= 1 - default_mu_eps(n)


@pytest.mark.parametrize("clamp", ["step", "final"])
def test_mu_is_kept_in_the_bounds_asked_for(clamp):
    mu = fit(random_votes(), mu_eps=0.15, mu_clamp=clamp).mu
    assert mu.min() == pytest.approx(0.15)
    assert mu.max() <= 0.85


def test_mu_is_clamped_at_every_step_by_default():
    votes = random_votes(n=40, m=12)
    assert np.array_equal(fit(votes).mu, fit(votes, mu_clamp="step").mu)
    assert np.abs(fit(votes).mu - fit(votes, mu_clamp="final").mu).max() > 1e-3


def test_fitting_keeps_one_record_per_epoch():
    model = fit(random_votes(), n_epochs=17)
    assert model.n_epochs_ == 17
    assert [record.epoch for record in model.history_] == list(range(17))
    assert model.history_[-1].loss < model.history_[0].loss


def test_l2_pulls_mu_to_its_start():
    votes = random_votes()
    counts = VoteCounts.from_label_matrix(LabelMatrix(votes, 3))
    start = np.zeros((15, 3))
    start[np.arange(15), np.tile(range(3), 5)] = np.minimum(counts.class_counts.ravel() / 200 * 0.7 * 3, 1)
    far, near = (np.abs(fit(votes, l2=l2).mu - start).mean() for l2 in (0, 1))
    assert near < 0.5 * far


# What must not matter


@FIXED
@given(SEEDS, st.integers(3, 6), st.integers(2, 4))
def test_permuting_rows_changes_nothing(seed, m, k):
    votes = random_votes(n=100, m=m, k=k, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(votes)
    assert np.array_equal(fit(shuffled, k, n_epochs=10).mu, fit(votes, k, n_epochs=10).mu)


@FIXED
@given(SEEDS, st.integers(3, 6), st.integers(2, 4))
def test_permuting_lfs_permutes_the_blocks_of_mu(seed, m, k):
    votes = random_votes(n=100, m=m, k=k, seed=seed)
    order = np.random.default_rng(seed).permutation(m)
    before, after = fit(votes, k, n_epochs=10), fit(votes[:, order], k, n_epochs=10)
    assert np.abs(after.mu.reshape(m, k, k) - before.mu.reshape(m, k, k)[order]).max() < 1e-10
    assert np.abs(after.predict_proba(votes[:, order]) - before.predict_proba(votes)).max() < 1e-8


@FIXED
@given(SEEDS, st.lists(st.integers(0, 100), max_size=3))
def test_sharding_changes_nothing(seed, cuts):
    votes = random_votes(n=100, seed=seed)
    parts = np.split(votes, sorted(cuts))
    shards = {
        f"shard {i}": VoteCounts.from_label_matrix(LabelMatrix(part, 3)) for i, part in enumerate(parts)
    }
    total = VoteCounts.total(dict(reversed(shards.items())))
    assert np.array_equal(fit(total, n_epochs=10).mu, fit(votes, n_epochs=10).mu)


@pytest.mark.parametrize(
    "votes",
    [
        SMALL.astype(np.int8),
        SMALL.astype(np.float32),
        np.asfortranarray(SMALL),
        np.repeat(SMALL, 2, axis=1)[:, ::2],
        SMALL.tolist(),
        torch.tensor(SMALL),
        pd.DataFrame(SMALL),
        LabelMatrix(SMALL, 2),
        VoteCounts.from_label_matrix(LabelMatrix(SMALL, 2)),
    ],
    ids=["int8", "float32", "fortran", "strided", "lists", "torch", "pandas", "LabelMatrix", "VoteCounts"],
)
def test_the_container_of_the_votes_does_not_matter(votes):
    assert np.array_equal(fit(votes, 2).mu, fit(SMALL, 2).mu)


def test_fitting_from_counts_is_fitting_from_votes():
    votes = random_votes()
    counts = VoteCounts.from_label_matrix(LabelMatrix(votes, 3))
    model = LabelModel(3, verbose=False).fit_counts(
        counts, FitConfig(seed=4, n_epochs=30), class_balance=[0.5, 0.3, 0.2]
    )
    assert np.array_equal(model.mu, fit(votes, seed=4, n_epochs=30, class_balance=[0.5, 0.3, 0.2]).mu)


def test_fitting_again_starts_anew():
    votes = random_votes()
    model = fit(random_votes(m=4, seed=9)).fit(votes, progress_bar=False)
    assert np.array_equal(model.mu, fit(votes).mu)
    assert len(model.history_) == 100


@pytest.mark.parametrize(("seed", "same"), [(5, True), (np.int64(5), True), (6, False)])
def test_the_seed_decides_where_the_optimisation_starts(seed, same):
    votes = random_votes()
    assert np.array_equal(fit(votes, seed=5).mu, fit(votes, seed=seed).mu) == same


def test_lfs_keep_their_names():
    assert fit(LabelMatrix(SMALL, 2, None, ["a", "b", "c"]), 2).lf_names == ("a", "b", "c")


# Recovery


def votes_of_known_quality(k, m, balance, seed):
    """10,000 rows of conditionally independent votes, the labels, and each LF's accuracy and coverage."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(k, 10_000, p=balance)
    accuracy, coverage = rng.uniform(0.55, 0.9, m), rng.uniform(0.4, 0.9, m)
    wrong = (labels[:, None] + rng.integers(1, k, (10_000, m))) % k
    votes = np.where(rng.random((10_000, m)) < accuracy, labels[:, None], wrong)
    votes[rng.random((10_000, m)) >= coverage] = -1
    return votes, labels, accuracy, coverage


RECOVERABLE = pytest.mark.parametrize(
    ("k", "m", "balance"),
    [(2, 10, None), (2, 10, [0.3, 0.7]), (3, 10, None), (3, 10, [0.5, 0.3, 0.2]), (5, 12, None)],
)


@RECOVERABLE
def test_known_accuracies_are_recovered(k, m, balance):
    votes, _, accuracy, coverage = votes_of_known_quality(k, m, balance, seed=0)
    model = fit(votes, k, class_balance=balance)
    right = np.diagonal(model.get_conditional_probs()[:, 1:], axis1=1, axis2=2)
    assert np.abs(right - (accuracy * coverage)[:, None]).mean() < 0.015
    assert np.abs(model.get_weights() - accuracy).mean() < 0.01


@RECOVERABLE
@pytest.mark.parametrize("seed", range(3))
def test_predictions_are_at_least_as_accurate_as_the_majority_vote(k, m, balance, seed):
    votes, labels, *_ = votes_of_known_quality(k, m, balance, seed)
    model, voter = fit(votes, k, class_balance=balance), MajorityLabelVoter(k)
    scores = [labeler.score(votes, labels, tie_break_policy="random") for labeler in (model, voter)]
    assert scores[0]["accuracy"] >= scores[1]["accuracy"]


def test_probabilities_are_calibrated():
    votes, labels, *_ = votes_of_known_quality(2, 10, None, seed=1)
    probs = fit(votes, 2).predict_proba(votes)[:, 1]
    for low in (0.1, 0.3, 0.5, 0.7):
        among = (probs >= low) & (probs < low + 0.2)
        assert labels[among].mean() == pytest.approx(probs[among].mean(), abs=0.05)


# What is shown


def logged_epochs(caplog, **options):
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="ws_pipeline.labeling.models.label_model"):
        LabelModel(2, verbose=options.pop("verbose", True)).fit(
            SMALL, progress_bar=False, n_epochs=30, **options
        )
    return [record.args[0] for record in caplog.records]


def test_the_loss_is_logged_every_so_many_epochs(caplog):
    assert logged_epochs(caplog) == [10, 20, 30]
    assert logged_epochs(caplog, log_freq=12) == [12, 24]


def test_nothing_is_logged_when_not_verbose(caplog):
    assert logged_epochs(caplog, verbose=False) == []


def test_a_progress_bar_is_shown_unless_turned_off(capsys):
    LabelModel(2).fit(SMALL, n_epochs=7)
    assert "7/7" in capsys.readouterr().err
    LabelModel(2).fit(SMALL, n_epochs=7, progress_bar=False)
    assert not capsys.readouterr().err
