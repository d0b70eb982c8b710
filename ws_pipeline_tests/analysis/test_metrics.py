"""Every metric against scikit-learn, and the cases where there is no answer."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from ws_pipeline.analysis import METRICS, metric_score
from ws_pipeline.errors import MetricError, UndefinedMetricError

RNG = np.random.default_rng(0)
GOLDS = RNG.integers(0, 2, 200)
PREDS = RNG.integers(0, 2, 200)
SCORES = RNG.random(200)
PROBS = np.column_stack([1 - SCORES, SCORES])
GOLDS3 = RNG.integers(0, 3, 200)
PREDS3 = RNG.integers(0, 3, 200)
PROBS3 = RNG.dirichlet(np.ones(3), 200)
ROC_AUC_KINDS = {
    "": {"multi_class": "ovr"},
    "_ovr": {"multi_class": "ovr"},
    "_ovo": {"multi_class": "ovo"},
    "_ovr_weighted": {"multi_class": "ovr", "average": "weighted"},
    "_ovo_weighted": {"multi_class": "ovo", "average": "weighted"},
}

BINARY = {
    "accuracy": sk.accuracy_score(GOLDS, PREDS),
    "coverage": 1.0,
    "precision": sk.precision_score(GOLDS, PREDS),
    "recall": sk.recall_score(GOLDS, PREDS),
    "f1": sk.f1_score(GOLDS, PREDS),
    "fbeta": sk.fbeta_score(GOLDS, PREDS, beta=1),
    "balanced_accuracy": sk.balanced_accuracy_score(GOLDS, PREDS),
    "matthews_corrcoef": sk.matthews_corrcoef(GOLDS, PREDS),
    **{f"roc_auc{kind}": sk.roc_auc_score(GOLDS, SCORES) for kind in ROC_AUC_KINDS},
    "log_loss": sk.log_loss(GOLDS, SCORES),
    "brier_score": sk.brier_score_loss(GOLDS, SCORES),
}
THREE = {
    "accuracy": sk.accuracy_score(GOLDS3, PREDS3),
    "coverage": 1.0,
    "balanced_accuracy": sk.balanced_accuracy_score(GOLDS3, PREDS3),
    "matthews_corrcoef": sk.matthews_corrcoef(GOLDS3, PREDS3),
    **{f"roc_auc{kind}": sk.roc_auc_score(GOLDS3, PROBS3, **how) for kind, how in ROC_AUC_KINDS.items()},
    "log_loss": sk.log_loss(GOLDS3, PROBS3),
    "brier_score": np.mean(((PROBS3 - np.eye(3)[GOLDS3]) ** 2).sum(axis=1)),
}
for average in ("micro", "macro", "weighted"):
    for values, labels in ((BINARY, (GOLDS, PREDS)), (THREE, (GOLDS3, PREDS3))):
        values[f"precision_{average}"] = sk.precision_score(*labels, average=average)
        values[f"recall_{average}"] = sk.recall_score(*labels, average=average)
        values[f"f1_{average}"] = sk.f1_score(*labels, average=average)
        values[f"fbeta_{average}"] = sk.fbeta_score(*labels, beta=1, average=average)


def test_every_metric_is_tested():
    own = {"expected_calibration_error"}  # against a loop, in test_probability_metrics.py
    for_two_classes = {"precision", "recall", "f1", "fbeta"}
    assert set(BINARY) == set(METRICS) - own
    assert set(THREE) == set(METRICS) - own - for_two_classes


@pytest.mark.parametrize("metric", sorted(BINARY))
def test_two_classes_as_sklearn(metric):
    assert metric_score(GOLDS, PREDS, PROBS, metric=metric) == pytest.approx(BINARY[metric], abs=1e-12)


@pytest.mark.parametrize("metric", sorted(THREE))
def test_three_classes_as_sklearn(metric):
    assert metric_score(GOLDS3, PREDS3, PROBS3, metric=metric) == pytest.approx(THREE[metric], abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "kwargs", "expected"),
    [
        ("accuracy", {"normalize": False}, sk.accuracy_score(GOLDS3, PREDS3, normalize=False)),
        (
            "balanced_accuracy",
            {"adjusted": True},
            sk.balanced_accuracy_score(GOLDS3, PREDS3, adjusted=True),
        ),
        ("f1_macro", {"labels": [0, 1]}, sk.f1_score(GOLDS3, PREDS3, labels=[0, 1], average="macro")),
        ("precision", {"average": "macro"}, sk.precision_score(GOLDS3, PREDS3, average="macro")),
        ("recall", {"average": "weighted"}, sk.recall_score(GOLDS3, PREDS3, average="weighted")),
        (
            "fbeta",
            {"beta": 2.0, "average": "macro"},
            sk.fbeta_score(GOLDS3, PREDS3, beta=2.0, average="macro"),
        ),
        ("roc_auc", {"multi_class": "ovo"}, sk.roc_auc_score(GOLDS3, PROBS3, multi_class="ovo")),
        (
            "roc_auc",
            {"average": "micro"},
            sk.roc_auc_score(GOLDS3, PROBS3, multi_class="ovr", average="micro"),
        ),
        ("log_loss", {"normalize": False}, sk.log_loss(GOLDS3, PROBS3, normalize=False)),
    ],
)
def test_settings_of_a_metric_reach_sklearn(metric, kwargs, expected):
    assert metric_score(GOLDS3, PREDS3, PROBS3, metric=metric, **kwargs) == pytest.approx(expected, abs=1e-12)


def test_fbeta_takes_beta():
    expected = sk.fbeta_score(GOLDS, PREDS, beta=0.5)
    assert metric_score(GOLDS, PREDS, metric="fbeta", beta=0.5) == pytest.approx(expected)


def test_coverage_counts_predictions_and_needs_no_golds():
    assert metric_score(preds=[0, 1, -1, -1], metric="coverage") == 0.5


def test_filter_leaves_out_rows_of_both_sets():
    filter_dict = {"golds": [-1], "preds": [-1]}
    assert metric_score([0, 1, -1, 1], [0, -1, 1, 0], filter_dict=filter_dict) == 0.5


def test_filter_on_preds_applies_to_probs_too():
    golds, preds = np.append(GOLDS, 1), np.append(PREDS, -1)
    probs = np.vstack([PROBS, [[1.0, 0.0]]])
    score = metric_score(golds, preds, probs, metric="roc_auc", filter_dict={"preds": [-1]})
    assert score == pytest.approx(BINARY["roc_auc"])


def test_column_vectors_and_whole_floats_are_labels():
    assert metric_score(GOLDS.astype(float), PREDS[:, None]) == BINARY["accuracy"]


@pytest.mark.parametrize("metric", ["precision", "recall", "f1", "fbeta"])
def test_class_one_never_predicted_is_zero(metric):
    assert metric_score([0, 1, 1], [0, 0, 0], metric=metric) == 0.0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"metric": "acuracy"}, "unknown metric 'acuracy', did you mean 'accuracy'"),
        ({"metric": "f1", "preds": None}, "'f1' needs golds and preds, got golds, probs; pass preds"),
        (
            {"metric": "roc_auc", "probs": None},
            "'roc_auc' needs golds and probs, got golds, preds; pass probs",
        ),
        ({"metric": "accuracy", "golds": None}, "pass golds"),
        (
            {"metric": "f1", "golds": GOLDS3},
            r"'f1' is for classes 0 and 1, got \[0, 1, 2\]; try f1_micro, f1_macro or f1_weighted",
        ),
        (
            {"metric": "precision", "preds": PREDS3},
            r"got \[0, 1, 2\]; try precision_micro, precision_macro",
        ),
        (
            {"metric": "recall", "probs": PROBS3},
            "'recall' is for classes 0 and 1, got probs with 3 columns; try recall_micro",
        ),
        (
            {"metric": "balanced_accuracy", "golds": GOLDS * 0, "adjusted": True},
            r"two classes, got only \[0\]",
        ),
        (
            {"metric": "recall", "golds": GOLDS * 0},
            r"'recall' needs gold labels of class 1, got only \[0\]",
        ),
        ({"metric": "f1", "golds": GOLDS * 0, "preds": PREDS * 0}, r"'f1' needs gold labels of class 1"),
        (
            {"metric": "roc_auc", "golds": GOLDS * 0},
            r"'roc_auc' needs gold labels of two classes, got only \[0\]",
        ),
        ({"metric": "matthews_corrcoef", "golds": GOLDS * 0 + 1}, r"two classes, got only \[1\]"),
        ({"metric": "roc_auc", "golds": GOLDS3}, r"golds in 0..1, the columns of probs, got \[2\]"),
        ({"metric": "roc_auc", "probs": PROBS3, "multi_class": "ovr"}, r"of each, got none of \[2\]"),
        ({"metric": "accuracy", "preds": PREDS[:-1]}, "one length, got golds 200, preds 199"),
        (
            {"metric": "accuracy", "preds": PREDS + 0.5},
            r"'accuracy': preds contains .* non-integer value: \d.5 in row 0 \(200 in all\)",
        ),
        (
            {"metric": "accuracy", "golds": np.where(GOLDS, np.inf, 0)},
            "golds contains .* non-integer value: inf",
        ),
        ({"metric": "accuracy", "preds": ["a"] * 200}, "preds must be integer labels .* got <U1"),
        ({"metric": "accuracy", "golds": PROBS}, r"golds must be integer labels .* \[200, 2\]"),
        (
            {"metric": "roc_auc", "probs": SCORES},
            r"probs as finite numbers \[n, k\], got float64 .*\[200\]",
        ),
        ({"metric": "roc_auc", "probs": PROBS * np.nan}, r"NaN or infinity in row 0 \(200 rows in all\)"),
        ({"filter_dict": {"golds": [0, 1]}}, "at least one row, but all 200 rows are filtered out"),
        ({"filter_dict": {"probs": [0]}}, "'golds' and 'preds', got 'probs'"),
    ],
)
def test_no_answer_is_a_clear_error(kwargs, message):
    with pytest.raises(MetricError, match=message):
        metric_score(**{"golds": GOLDS, "preds": PREDS, "probs": PROBS, **kwargs})


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "fbeta"])
def test_three_classes_are_an_error_even_where_two_occur(metric):
    golds, preds = GOLDS3[GOLDS3 < 2], PREDS3[GOLDS3 < 2] % 2
    with pytest.raises(MetricError, match=f"probs with 3 columns; try {metric}_micro, {metric}_macro"):
        metric_score(golds, preds, PROBS3[GOLDS3 < 2], metric=metric)
    assert metric_score(golds, preds, metric=metric) == metric_score(
        golds, preds, PROBS3[GOLDS3 < 2], metric=metric, pos_label=1
    )


def test_balanced_accuracy_is_the_mean_recall_of_the_gold_classes():
    assert metric_score([0, 0, 0, 1], [0, 0, 2, 1], metric="balanced_accuracy") == pytest.approx(5 / 6)
    assert metric_score([1, 1, 1], [1, 1, 1], metric="balanced_accuracy") == 1.0


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_no_rows_have_no_metric(metric):
    with pytest.raises(MetricError, match="there are no rows"):
        metric_score([], [], np.zeros((0, 2)), metric=metric)


def test_no_rows():
    with pytest.raises(MetricError, match="there are no rows"):
        metric_score([], [])


def test_zero_division_gives_undefined_data_a_value():
    assert metric_score([0, 0], [0, 0], metric="f1", zero_division=1.0) == 1.0


@pytest.mark.parametrize("probs", [SCORES, PROBS * np.nan, ["high"] * 200])
def test_what_a_metric_does_not_need_is_not_looked_at(probs):
    expected = metric_score(GOLDS, PREDS, metric="f1")
    assert metric_score(GOLDS, PREDS, probs, metric="f1") == expected


def test_labels_without_a_value_can_be_told_from_misuse():
    for golds, metric in ((GOLDS * 0, "f1"), (GOLDS * 0, "roc_auc"), (GOLDS * 0, "matthews_corrcoef")):
        with pytest.raises(UndefinedMetricError):
            metric_score(golds, PREDS, PROBS, metric=metric)
    with pytest.raises(MetricError) as caught:
        metric_score(GOLDS3, PREDS, PROBS3, metric="f1")
    assert not isinstance(caught.value, UndefinedMetricError)
