"""DawidSkene against plain loops, by its properties, and on crowds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import softmax

from ws_pipeline.errors import ConvergenceWarning, SettingsError
from ws_pipeline.labeling import synthetic_label_matrix
from ws_pipeline.labeling.models.dawid_skene import DawidSkene
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline_tests.labeling.models.naive_lift import naive_scores
from ws_pipeline_tests.real_data import load_real, needs_real_data

ACCURACIES = (0.55, 0.65, 0.75, 0.85, 0.9)


def crowd(n=500, k=3, seed=0, balance=(0.5, 0.3, 0.2)):
    matrix, gold = synthetic_label_matrix(ACCURACIES, 0.6, k, n, balance, seed=seed)
    votes = np.array(matrix.votes, dtype=int)
    kept = (votes >= 0).any(axis=1)
    return votes[kept], gold[kept]


def naive_dawid_skene(votes, k, n_rounds):
    n, m = votes.shape
    probs = softmax(np.log(3 * (k - 1)) * np.stack([(votes == s).sum(1) for s in range(k)], 1), axis=1)
    for _ in range(n_rounds):
        balance = (probs.sum(axis=0) + 10 / k) / (n + 10)
        counts = np.zeros((m, k, k))
        for row, shares in zip(votes, probs, strict=True):
            for j in np.flatnonzero(row >= 0):
                counts[j, row[j]] += shares
        mean = (sum(np.trace(table) for table in counts) + 15) / (counts.sum() + 20)
        weights = np.zeros((m, k, k))
        for j in range(m):
            accuracy = (np.trace(counts[j]) + 10 * mean) / (counts[j].sum() + 10)
            for s in range(k):
                for y in range(k):
                    assumed = accuracy if s == y else (1 - accuracy) / (k - 1)
                    weights[j, s, y] = np.log((counts[j, s, y] + 10 * assumed) / (counts[j, :, y].sum() + 10))
        scores = np.array([naive_scores(row, np.log(balance), weights) for row in votes])
        probs = softmax(scores, axis=1)
    return weights, balance, probs


def test_it_is_the_algorithm_of_the_paper_with_a_prior():
    votes, _ = crowd()
    with pytest.warns(ConvergenceWarning, match="still moved after 4 rounds"):
        model = DawidSkene(3).fit(votes, max_iter=4, tol=0, temperature=False)
    weights, balance, probs = naive_dawid_skene(votes, 3, 4)
    np.testing.assert_allclose(model.weights, weights, atol=1e-9)
    np.testing.assert_allclose(model.class_balance, balance, atol=1e-9)
    np.testing.assert_allclose(model.predict_proba(votes), probs, atol=1e-9)
    assert (model.n_iter_, model.converged_) == (4, False)


def test_it_stops_when_nothing_moves_and_a_file_keeps_it(tmp_path):
    votes, _ = crowd()
    model = DawidSkene(3).fit(votes)
    assert model.converged_
    assert 1 < model.n_iter_ < 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        further = DawidSkene(3).fit(votes, max_iter=500, tol=1e-9)
    np.testing.assert_allclose(further.predict_proba(votes), model.predict_proba(votes), atol=0.05)
    model.save(tmp_path / "model")
    other = DawidSkene.from_file(tmp_path / "model")
    assert (other.n_iter_, other.converged_) == (model.n_iter_, True)
    np.testing.assert_array_equal(other.predict_proba(votes), model.predict_proba(votes))


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_accuracies_and_balance_of_a_crowd(seed):
    votes, gold = crowd(n=6000, seed=seed)
    model = DawidSkene(3).fit(votes)
    assert model.class_balance == pytest.approx(np.bincount(gold) / len(gold), abs=0.03)
    assert model.accuracies == pytest.approx(ACCURACIES, abs=0.04)
    comparison = model.compare_with_vote(votes, gold)
    assert comparison.accuracy > comparison.vote_accuracy + 0.02


def test_gold_labels_anchor_it():
    votes, gold = crowd()
    turned = np.array([1, 2, 0])[gold]  # gold labels that call every class by another name
    anchored = DawidSkene(3).fit(votes, turned, gold_weight=1000, class_balance=[0.2, 0.5, 0.3])
    assert (
        np.mean(anchored.predict(votes) == turned)
        > 0.8
        > np.mean(DawidSkene(3).fit(votes).predict(votes) == turned)
    )
    assert anchored.class_balance.tolist() == [0.2, 0.5, 0.3]


def test_shards_give_the_same_model():
    votes, _ = crowd()
    shards = {str(i): VotePatterns.from_votes(votes[i::3], 3) for i in (2, 0, 1)}
    model = DawidSkene(3).fit(VotePatterns.total(shards))
    np.testing.assert_array_equal(model.weights, DawidSkene(3).fit(votes).weights)


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="max_iter"):
        DawidSkene(3).fit([[0, 1]], max_iter=0)


@needs_real_data
def test_a_real_crowd():
    data = load_real("crowd_rte").covered("train")
    labels = DawidSkene(2).fit(data.votes).predict_proba(data.votes).argmax(axis=1)
    assert data.score(labels) >= 92.5
