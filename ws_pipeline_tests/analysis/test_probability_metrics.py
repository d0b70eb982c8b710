"""Metrics of probabilities: against naive loops, scikit-learn and Snorkel; classes without gold labels."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.analysis import metric_score
from ws_pipeline.errors import MetricError

PROPERTY = settings(derandomize=True, deadline=None, max_examples=50)
ECE = "expected_calibration_error"
MULTI = ["roc_auc", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted"]


@st.composite
def scored(draw, k=None, *, all_classes=False):
    """Gold labels and probabilities with ties; `all_classes`: every class has a gold label."""
    k = k or draw(st.integers(2, 5))
    n = draw(st.integers(k if all_classes else 1, 40))
    golds = draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))
    if all_classes:
        golds[:k] = range(k)
    weights = draw(st.lists(st.integers(0, 6), min_size=n * k, max_size=n * k))
    counts = np.array(weights).reshape(n, k) + np.eye(k, dtype=int)[np.arange(n) % k]
    return np.array(golds), counts / counts.sum(axis=1, keepdims=True)


def naive_auc(positives, negatives):
    pairs = list(itertools.product(positives, negatives))
    return sum((p > q) + 0.5 * (p == q) for p, q in pairs) / len(pairs)


def naive_ovr(golds, probs):
    return [naive_auc(probs[golds == c, c], probs[golds != c, c]) for c in range(probs.shape[1])]


def naive_ece(golds, probs, n_bins):
    """Equations 2 and 3 of Guo et al., row by row."""
    bins = [[] for _ in range(n_bins)]
    for gold, row in zip(golds.tolist(), probs.tolist(), strict=True):
        confidence = max(row)
        m = next(
            m for m in range(1, n_bins + 1) if (m - 1) / n_bins < confidence <= m / n_bins or m == n_bins
        )
        bins[m - 1].append((confidence, float(row.index(confidence) == gold)))
    total = 0.0
    for members in filter(None, bins):
        confidence, right = (sum(column) / len(members) for column in zip(*members, strict=True))
        total += len(members) / len(golds) * abs(right - confidence)
    return total


@PROPERTY
@given(scored(k=2, all_classes=True))
def test_the_area_of_two_classes_is_the_share_of_ordered_pairs(data):
    golds, probs = data
    expected = naive_auc(probs[golds == 1, 1], probs[golds == 0, 1])
    assert metric_score(golds, probs=probs, metric="roc_auc") == pytest.approx(expected, abs=1e-12)


@PROPERTY
@given(scored(all_classes=True))
def test_the_area_of_several_classes_is_the_mean_of_each_against_the_rest(data):
    golds, probs = data
    if probs.shape[1] == 2:
        return
    areas, sizes = naive_ovr(golds, probs), np.bincount(golds)
    assert metric_score(golds, probs=probs, metric="roc_auc") == pytest.approx(np.mean(areas), abs=1e-9)
    weighted = metric_score(golds, probs=probs, metric="roc_auc_ovr_weighted")
    assert weighted == pytest.approx(np.average(areas, weights=sizes), abs=1e-9)
    expected = sk.roc_auc_score(golds, probs, multi_class="ovo")
    assert metric_score(golds, probs=probs, metric="roc_auc_ovo") == pytest.approx(expected, abs=1e-12)


@PROPERTY
@given(scored())
def test_log_loss_and_brier_score_are_those_of_a_loop_whatever_classes_occur(data):
    golds, probs = data
    rows = list(zip(golds.tolist(), probs.tolist(), strict=True))
    eps = np.finfo(float).eps
    loss = np.mean([-math.log(min(max(row[gold], eps), 1 - eps)) for gold, row in rows])
    brier = np.mean([sum((p - (c == gold)) ** 2 for c, p in enumerate(row)) for gold, row in rows])
    assert metric_score(golds, probs=probs, metric="log_loss") == pytest.approx(loss, rel=1e-9, abs=1e-12)
    expected = brier / 2 if probs.shape[1] == 2 else brier
    assert metric_score(golds, probs=probs, metric="brier_score") == pytest.approx(expected, abs=1e-12)


@PROPERTY
@given(scored(), st.integers(1, 30))
def test_calibration_error_is_that_of_a_loop(data, n_bins):
    golds, probs = data
    value = metric_score(golds, probs=probs, metric=ECE, n_bins=n_bins)
    assert value == pytest.approx(naive_ece(golds, probs, n_bins), abs=1e-12)
    assert 0 <= value <= 1


@pytest.mark.parametrize("n_bins", [3, 7, 10, 15, 100])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_confidence_on_a_border_is_in_the_bin_below(n_bins, dtype):
    """One row is right and one is wrong: their distances add up in two bins, and cancel in one."""
    for m in range(n_bins // 2 + 1, n_bins):
        border = dtype(m / n_bins)
        above = np.nextafter(border, dtype(1))
        probs = np.array([[border, 1 - border], [above, 1 - above]])
        apart = metric_score([0, 1], probs=probs, metric=ECE, n_bins=n_bins)
        assert apart == pytest.approx(0.5, abs=1e-6), m
        below = np.array([[border, 1 - border], [np.nextafter(border, dtype(0)), 1 - border]])
        together = metric_score([0, 1], probs=below, metric=ECE, n_bins=n_bins)
        assert together == pytest.approx(abs(0.5 - m / n_bins), abs=1e-6), m


def test_calibration_error_by_hand():
    probs = [[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]
    # Ten bins: 0.9 twice, one right; 0.6, right; 0.5, of which class 0 counts, wrong.
    expected = 2 / 4 * abs(0.5 - 0.9) + 1 / 4 * abs(1 - 0.6) + 1 / 4 * abs(0 - 0.5)
    assert metric_score([0, 1, 1, 1], probs=probs, metric=ECE, n_bins=10) == pytest.approx(expected)
    assert metric_score([0, 1, 1, 1], probs=probs, metric=ECE, n_bins=1) == pytest.approx(0.725 - 0.5)


def test_fifteen_bins_are_the_default():
    """Right in 60 % of rows whatever the confidence: bins lie on both sides, so that their number matters."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 300)
    golds = (probs.argmax(axis=1) + (rng.random(300) > 0.6)) % 3
    values = {n: metric_score(golds, probs=probs, metric=ECE, n_bins=n) for n in (10, 14, 15, 16)}
    assert metric_score(golds, probs=probs, metric=ECE) == values[15]
    assert all(abs(values[n] - values[15]) > 1e-4 for n in (10, 14, 16))


def test_a_class_without_gold_labels_keeps_its_column():
    """scikit-learn alone takes the classes from the gold labels."""
    probs = np.array([[0.7, 0.1, 0.2], [0.2, 0.1, 0.7]])
    expected = -(math.log(0.7) + math.log(0.7)) / 2
    assert metric_score([0, 2], probs=probs, metric="log_loss") == pytest.approx(expected)
    with pytest.raises(ValueError, match="labels"):
        sk.log_loss([0, 2], probs)


def test_one_gold_class_has_a_log_loss_and_a_brier_score():
    probs = [[0.3, 0.7], [0.4, 0.6]]
    expected = -(math.log(0.7) + math.log(0.6)) / 2
    assert metric_score([1, 1], probs=probs, metric="log_loss") == pytest.approx(expected)
    assert metric_score([1, 1], probs=probs, metric="brier_score") == pytest.approx((0.09 + 0.16) / 2)
    assert metric_score([1, 1], probs=probs, metric=ECE) == pytest.approx(0.35)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_rounding_of_a_softmax_in_single_precision_is_no_error(dtype):
    logits = np.random.default_rng(0).normal(size=(300, 50)).astype(np.float32) * 5
    powers = np.exp(logits)
    single = (powers / powers.sum(axis=1, keepdims=True)).astype(dtype)
    golds = np.arange(300) % 50
    exact = powers.astype(np.float64) / powers.astype(np.float64).sum(axis=1, keepdims=True)
    for metric in ("roc_auc", "log_loss", "brier_score", ECE):
        value = metric_score(golds, probs=single, metric=metric)
        assert value == pytest.approx(metric_score(golds, probs=exact, metric=metric), abs=1e-5)


def test_a_certain_mistake_has_a_finite_log_loss():
    value = metric_score([1], probs=np.array([[1, 0]], dtype=np.float32), metric="log_loss")
    assert value == pytest.approx(-math.log(np.finfo(np.float64).eps))


def test_scores_of_two_classes_need_not_be_probabilities():
    assert metric_score([0, 1, 1], probs=[[0.0, -3.0], [0.0, 2.0], [0.0, 7.0]], metric="roc_auc") == 1.0


@pytest.mark.parametrize("metric", [*MULTI, "log_loss", "brier_score", ECE])
@pytest.mark.parametrize(
    ("row", "found"),
    [
        ([0.5, 0.4, 0.2], r"sum of 1.1 and a smallest value of 0.2 in row 1 \(1 rows in all\)"),
        ([0.8, 0.4, -0.2], r"sum of 1 and a smallest value of -0.2 in row 1"),
        ([0.0, 0.0, 0.0], "sum of 0 and a smallest value of 0 in row 1"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused(metric, row, found):
    probs = [[0.2, 0.3, 0.5], row, [1.0, 0.0, 0.0]]
    with pytest.raises(
        MetricError, match=f"'{metric}' needs probs that .* sum to 1 in every row, got a {found}"
    ):
        metric_score([0, 1, 2], probs=probs, metric=metric)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier_score", ECE])
@pytest.mark.parametrize(("golds", "outside"), [([0, 1, 2], "2"), ([0, 1, -1], "-1"), ([-1, 5, 1], "-1, 5")])
def test_gold_labels_without_a_column_are_refused(metric, golds, outside):
    probs = [[0.2, 0.8]] * 3
    with pytest.raises(MetricError, match=rf"'{metric}' needs golds in 0..1, .* got \[{outside}\]"):
        metric_score(golds, probs=probs, metric=metric)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier_score", ECE])
def test_one_column_is_no_distribution(metric):
    with pytest.raises(MetricError, match=f"'{metric}' needs probs of two classes or more, got 1 columns"):
        metric_score([0, 0], probs=[[1.0], [1.0]], metric=metric)


@pytest.mark.parametrize("metric", MULTI)
def test_the_area_of_a_class_without_gold_labels_is_refused_by_name(metric):
    with pytest.raises(MetricError, match=rf"'{metric}' over 3 classes .* got none of \[2\]"):
        metric_score([0, 1, 1], probs=[[0.2, 0.3, 0.5]] * 3, metric=metric)


def test_the_area_over_all_cells_needs_no_gold_label_of_each_class():
    golds, probs = np.array([0, 1, 1]), np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
    hit = np.eye(3)[golds].astype(bool)
    value = metric_score(golds, probs=probs, metric="roc_auc", average="micro")
    assert value == pytest.approx(naive_auc(probs[hit], probs[~hit]))


@pytest.mark.parametrize("n_bins", [0, -3, 2.5])
def test_a_number_of_bins_that_is_none_is_refused(n_bins):
    with pytest.raises(MetricError, match=f"n_bins as a whole number of at least 1, got {n_bins}"):
        metric_score([0, 1], probs=[[0.2, 0.8]] * 2, metric=ECE, n_bins=n_bins)


def test_what_snorkel_can_compute_is_the_same_here():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snorkel = pytest.importorskip("snorkel.analysis")
    rng = np.random.default_rng(0)
    golds, preds, probs = rng.integers(-1, 2, 80), rng.integers(-1, 2, 80), rng.dirichlet([1, 1], 80)
    filter_dict = {"golds": [-1], "preds": [-1]}
    for metric in (
        "accuracy",
        "precision",
        "recall",
        "f1",
        "f1_micro",
        "f1_macro",
        "matthews_corrcoef",
        "roc_auc",
    ):
        found = metric_score(golds, preds, probs, metric=metric, filter_dict=filter_dict)
        expected = snorkel.metric_score(golds, preds, probs, metric=metric, filter_dict=filter_dict)
        assert found == pytest.approx(expected, abs=1e-12), metric
    assert metric_score(preds=preds, metric="coverage") == snorkel.metric_score(
        preds=preds, metric="coverage"
    )
