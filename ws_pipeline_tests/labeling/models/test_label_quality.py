"""Quality of labels against scikit-learn and the project's own metrics; intervals hold the value."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from ws_pipeline.analysis import metric_score
from ws_pipeline.labeling.models.label_quality import measure_quality


def labels(n=500, k=4, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(k, size=n)
    probs = rng.dirichlet(np.ones(k), size=n)
    probs[np.arange(n), gold] += 0.5
    return probs / probs.sum(axis=1, keepdims=True), gold


def test_the_metrics_are_those_of_the_libraries():
    probs, gold = labels()
    found = measure_quality(probs, gold).value
    predicted = probs.argmax(axis=1)
    assert found.accuracy == pytest.approx(np.mean(predicted == gold))
    assert found.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro"))
    assert found.log_loss == pytest.approx(metric_score(gold, None, probs, metric="log_loss"))
    ece = metric_score(gold, None, probs, metric="expected_calibration_error")
    assert found.ece == pytest.approx(ece)


def test_a_tie_is_right_by_its_share():
    found = measure_quality(np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]]), np.array([0, 0])).value
    assert found.accuracy == 0.25


def test_intervals_hold_the_value_and_shrink_with_the_examples():
    few, many = (measure_quality(*labels(n)) for n in (100, 10_000))
    for report in (few, many):
        assert report.low.accuracy < report.value.accuracy < report.high.accuracy
        assert report.low.log_loss < report.value.log_loss < report.high.log_loss
    assert many.high.accuracy - many.low.accuracy < (few.high.accuracy - few.low.accuracy) / 5
    # a share of 10,000 has a standard error of sqrt(p (1 - p) / n)
    error = np.sqrt(many.value.accuracy * (1 - many.value.accuracy) / 10_000)
    assert many.high.accuracy - many.low.accuracy == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_the_same_labels_give_the_same_intervals():
    assert measure_quality(*labels()) == measure_quality(*labels())


def test_without_gold_nothing_is_known():
    assert all(np.isnan(measure_quality(np.empty((0, 3)), np.empty(0, dtype=int)).value))
