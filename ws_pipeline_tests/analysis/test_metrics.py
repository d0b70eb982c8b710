"""Every metric against scikit-learn, and the cases where there is no answer."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from ws_pipeline.analysis import METRICS, metric_score
from ws_pipeline.errors import MetricError

RNG = np.random.default_rng(0)
GOLDS = RNG.integers(0, 2, 200)
PREDS = RNG.integers(0, 2, 200)
SCORES = RNG.random(200)
PROBS = np.column_stack([1 - SCORES, SCORES])
GOLDS3 = RNG.integers(0, 3, 200)
PREDS3 = RNG.integers(0, 3, 200)
PROBS3 = RNG.dirichlet(np.ones(3), 200)

BINARY = {
    "accuracy": sk.accuracy_score(GOLDS, PREDS),
    "coverage": 1.0,
    "precision": sk.precision_score(GOLDS, PREDS),
    "recall": sk.recall_score(GOLDS, PREDS),
    "f1": sk.f1_score(GOLDS, PREDS),
    "f1_micro": sk.f1_score(GOLDS, PREDS, average="micro"),
    "f1_macro": sk.f1_score(GOLDS, PREDS, average="macro"),
    "fbeta": sk.fbeta_score(GOLDS, PREDS, beta=1),
    "matthews_corrcoef": sk.matthews_corrcoef(GOLDS, PREDS),
    "roc_auc": sk.roc_auc_score(GOLDS, SCORES),
}


def test_every_metric_is_tested():
    assert set(BINARY) == set(METRICS)


@pytest.mark.parametrize("metric", sorted(BINARY))
def test_two_classes_as_sklearn(metric):
    assert metric_score(GOLDS, PREDS, PROBS, metric=metric) == pytest.approx(BINARY[metric], abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "kwargs", "expected"),
    [
        ("accuracy", {}, sk.accuracy_score(GOLDS3, PREDS3)),
        ("accuracy", {"normalize": False}, sk.accuracy_score(GOLDS3, PREDS3, normalize=False)),
        ("f1_micro", {}, sk.f1_score(GOLDS3, PREDS3, average="micro")),
        ("f1_macro", {}, sk.f1_score(GOLDS3, PREDS3, average="macro")),
        ("matthews_corrcoef", {}, sk.matthews_corrcoef(GOLDS3, PREDS3)),
        ("precision", {"average": "macro"}, sk.precision_score(GOLDS3, PREDS3, average="macro")),
        ("recall", {"average": "weighted"}, sk.recall_score(GOLDS3, PREDS3, average="weighted")),
        (
            "fbeta",
            {"beta": 2.0, "average": "macro"},
            sk.fbeta_score(GOLDS3, PREDS3, beta=2.0, average="macro"),
        ),
        ("roc_auc", {"multi_class": "ovr"}, sk.roc_auc_score(GOLDS3, PROBS3, multi_class="ovr")),
    ],
)
def test_three_classes_as_sklearn(metric, kwargs, expected):
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
        ({"metric": "f1", "preds": None}, "'f1' needs golds and preds, found golds, probs; pass preds"),
        (
            {"metric": "roc_auc", "probs": None},
            "'roc_auc' needs golds and probs, found golds, preds; pass probs",
        ),
        ({"metric": "accuracy", "golds": None}, "pass golds"),
        ({"metric": "f1", "golds": GOLDS3}, r"'f1' is for classes 0 and 1, found \[0, 1, 2\]; try f1_micro"),
        ({"metric": "precision", "preds": PREDS3}, r"found \[0, 1, 2\]; try average='macro'"),
        (
            {"metric": "recall", "golds": GOLDS * 0},
            r"'recall' needs gold labels of class 1, found only \[0\]",
        ),
        ({"metric": "f1", "golds": GOLDS * 0, "preds": PREDS * 0}, r"'f1' needs gold labels of class 1"),
        (
            {"metric": "roc_auc", "golds": GOLDS * 0},
            r"'roc_auc' needs gold labels of two classes, found only \[0\]",
        ),
        ({"metric": "matthews_corrcoef", "golds": GOLDS * 0 + 1}, r"two classes, found only \[1\]"),
        ({"metric": "roc_auc", "probs": PROBS3}, "for two classes, found probs with 3 columns"),
        ({"metric": "roc_auc", "golds": GOLDS3}, r"golds in 0..1, the columns of probs, found \[2\]"),
        ({"metric": "roc_auc", "probs": PROBS3, "multi_class": "ovr"}, r"of each, found none of \[2\]"),
        ({"metric": "accuracy", "preds": PREDS[:-1]}, "one length, found golds 200, preds 199, probs 200"),
        ({"metric": "accuracy", "preds": PREDS + 0.5}, r"preds as integer labels \[n\], found float64"),
        ({"metric": "accuracy", "preds": ["a"] * 200}, r"preds as integer labels \[n\], found <U1"),
        (
            {"metric": "roc_auc", "probs": SCORES},
            r"probs as finite numbers \[n, k\], found float64 .*\[200\]",
        ),
        ({"metric": "roc_auc", "probs": PROBS * np.nan}, "probs as finite numbers"),
        ({"filter_dict": {"golds": [0, 1]}}, "at least one row, but all 200 rows are filtered out"),
        ({"filter_dict": {"probs": [0]}}, "'golds' and 'preds', found 'probs'"),
    ],
)
def test_no_answer_is_a_clear_error(kwargs, message):
    with pytest.raises(MetricError, match=message):
        metric_score(**{"golds": GOLDS, "preds": PREDS, "probs": PROBS, **kwargs})


def test_no_rows():
    with pytest.raises(MetricError, match="there are no rows"):
        metric_score([], [])


def test_zero_division_gives_undefined_data_a_value():
    assert metric_score([0, 0], [0, 0], metric="f1", zero_division=1.0) == 1.0
