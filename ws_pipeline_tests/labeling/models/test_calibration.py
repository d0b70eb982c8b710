"""Calibration: one exponent, the best one, kept only where it helps."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.labeling import AutoLabelModel, synthetic_label_matrix
from ws_pipeline.labeling.models.calibration import MIN_GOLD, best_exponent, calibrate, raise_to
from ws_pipeline.labeling.models.gold_votes import GoldRows


def drawn(n=4000, k=3, sharpness=1.0, seed=0):
    """Probabilities, and gold labels that are drawn from their power."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(k), n)
    true = raise_to(probs, sharpness)
    return probs, np.array([rng.choice(k, p=row) for row in true])


def folds_of(gold, n=5):
    return list(GoldRows(np.zeros((len(gold), 1), dtype=np.int8), gold).folds(n))


def log_loss(probs, gold):
    return -np.log(probs[np.arange(len(gold)), gold]).mean()


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 2.5])
def test_the_exponent_is_the_one_that_gold_was_drawn_with(sharpness):
    probs, gold = drawn(sharpness=sharpness)
    assert best_exponent(probs, gold) == pytest.approx(sharpness, rel=0.15)


def test_no_other_exponent_has_a_lower_log_loss():
    probs, gold = drawn(sharpness=1.7)
    best = best_exponent(probs, gold)
    losses = [log_loss(raise_to(probs, exponent), gold) for exponent in np.geomspace(0.1, 10, 60)]
    assert log_loss(raise_to(probs, best), gold) <= min(losses) + 1e-9


def test_it_is_kept_where_it_helps_examples_that_it_has_not_seen():
    probs, gold = drawn(n=600, sharpness=3)
    found = calibrate(probs, gold, folds_of(gold))
    assert found.exponent == best_exponent(probs, gold)
    assert found.calibrated_log_loss < found.log_loss == pytest.approx(log_loss(probs, gold))
    held_out = np.empty_like(probs)
    for fold in folds_of(gold):
        held_out[fold] = raise_to(probs[fold], best_exponent(probs[~fold], gold[~fold]))
    assert found.calibrated_log_loss == pytest.approx(log_loss(held_out, gold))
    assert found.calibrated_ece < found.ece


def test_it_is_left_where_it_does_not_help():
    for seed in range(20):
        probs, gold = drawn(n=200, seed=seed)
        found = calibrate(probs, gold, folds_of(gold))
        assert (found.exponent == 1) == (found.calibrated_log_loss >= found.log_loss)
    assert any(calibrate(*(d := drawn(n=200, seed=s)), folds_of(d[1])).exponent == 1 for s in range(20))


def test_a_power_changes_no_label_and_keeps_certainty():
    probs = np.array([[0.5, 0.3, 0.2], [1, 0, 0], [1e-300, 1e-200, 1 - 1e-200], [0.4, 0.4, 0.2]])
    for exponent in (0.05, 0.7, 3, 20):
        raised = raise_to(probs, exponent)
        np.testing.assert_allclose(raised.sum(axis=1), 1)
        np.testing.assert_array_equal(raised.argmax(axis=1), probs.argmax(axis=1))
        assert raised[1].tolist() == [1, 0, 0]
        assert raised[3, 0] == raised[3, 1]


@pytest.mark.parametrize("n_gold", [MIN_GOLD - 1, MIN_GOLD + 1])
def test_the_pipeline_calibrates_from_two_hundred_gold_labels_on(n_gold, tmp_path):
    matrix, truth = synthetic_label_matrix([0.65, 0.7, 0.75, 0.8, 0.85] * 3, 0.9, 2, 2000, seed=0)
    gold = np.where(np.arange(2000) < n_gold, truth, -1)
    votes = np.array(matrix.votes)
    votes[-1] = -1
    model = AutoLabelModel(2, ["lift_dawid_skene"]).fit(votes, gold)
    plain = AutoLabelModel(2, ["lift_dawid_skene"], calibrated=False).fit(votes, gold)
    assert plain.calibration_ is None
    if n_gold < MIN_GOLD:
        assert model.calibration_ is None
        np.testing.assert_array_equal(model.predict_proba(votes), plain.predict_proba(votes))
        return
    assert model.calibration_.exponent > 1.5  # the temperature of fifteen independent LFs is far too high
    probs, before = model.predict_proba(votes), plain.predict_proba(votes)
    np.testing.assert_array_equal(probs[-1], before[-1])  # without votes: the class balance
    np.testing.assert_array_equal(probs.argmax(axis=1), before.argmax(axis=1))
    unseen = np.arange(n_gold, 1999)
    assert log_loss(probs[unseen], truth[unseen]) < log_loss(before[unseen], truth[unseen])
    explained = model.explain(votes[:50])
    np.testing.assert_allclose(
        np.exp(explained.logits - explained.logits.max(axis=1)[:, None])
        / np.exp(explained.logits - explained.logits.max(axis=1)[:, None]).sum(axis=1)[:, None],
        probs[:50],
    )
    model.save(tmp_path / "model")
    other = AutoLabelModel.from_file(tmp_path / "model")
    assert other.calibration_ == model.calibration_
    np.testing.assert_array_equal(other.predict_proba(votes), probs)
