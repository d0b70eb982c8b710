"""Scorer: abstains, custom metrics, slices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ws_pipeline.analysis import Scorer
from ws_pipeline.errors import MetricError

GOLDS = np.array([0, 1, -1, 1, 0])
PREDS = np.array([0, -1, 1, 1, 1])
PROBS = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])


def test_abstains_are_left_out_except_for_coverage():
    scores = Scorer(metrics=["accuracy", "coverage"]).score(GOLDS, PREDS, PROBS)
    assert scores == {"accuracy": pytest.approx(2 / 3), "coverage": 0.8}


def test_another_abstain_label_holds_for_coverage_too():
    scores = Scorer(metrics=["accuracy", "coverage"], abstain_label=1).score([0, 0, 2], [0, 1, 0])
    assert scores == {"accuracy": 0.5, "coverage": pytest.approx(2 / 3)}


def test_no_abstain_label():
    assert Scorer(metrics=["accuracy"], abstain_label=None).score(GOLDS, PREDS) == {"accuracy": 0.4}


def test_custom_metrics_see_all_rows_and_may_return_several():
    functions = {
        "rows": lambda golds, preds, probs: len(golds) + len(preds) + len(probs),
        "many": lambda golds, preds, probs: {"x": golds[0], "y": np.float32(probs[0, 0])},  # noqa: ARG005
    }
    scores = Scorer(metrics=["accuracy"], custom_metric_funcs=functions).score(GOLDS, PREDS, PROBS)
    assert list(scores) == ["accuracy", "rows", "x", "y"]
    assert scores["rows"] == 15
    assert all(type(value) is float for value in scores.values())


def test_no_metrics_no_scores():
    assert Scorer().metrics == {}
    assert Scorer().score(GOLDS) == {}


def test_unknown_metric_is_refused_at_once():
    with pytest.raises(MetricError, match="unknown metric 'f1_marco', did you mean 'f1_macro'"):
        Scorer(metrics=["f1_marco"])


def test_name_clashes_are_refused():
    with pytest.raises(MetricError, match="custom metric 'accuracy'"):
        Scorer(metrics=["accuracy"], custom_metric_funcs={"accuracy": lambda *_: 1.0})
    scorer = Scorer(metrics=["accuracy"], custom_metric_funcs={"own": lambda *_: {"accuracy": 1.0}})
    with pytest.raises(MetricError, match="two metrics are called 'accuracy'"):
        scorer.score(GOLDS, PREDS)


def test_nothing_to_score():
    with pytest.raises(MetricError, match="no gold labels"):
        Scorer(metrics=["accuracy"]).score([], [])


def record_array() -> np.ndarray:
    return np.rec.fromarrays([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]], names="most,none,zeros")


@pytest.mark.parametrize("as_mapping", [False, True])
def test_slices(as_mapping):
    slices = record_array()
    if as_mapping:
        slices = {name: slices[name].tolist() for name in slices.dtype.names}
    scorer = Scorer(metrics=["accuracy", "roc_auc"])
    scores = scorer.score_slices(slices, GOLDS, PREDS, PROBS)
    assert list(scores) == ["overall", "most", "none", "zeros"]
    assert scores["overall"] == scorer.score(GOLDS, PREDS, PROBS)
    most = [0, 3, 4]
    assert scores["most"] == scorer.score(GOLDS[most], PREDS[most], PROBS[most])
    assert all(math.isnan(value) for value in scores["none"].values())
    assert scores["zeros"]["accuracy"] == 0.5  # row 0 right, row 4 wrong
    assert math.isnan(scores["zeros"]["roc_auc"])  # one class only


def test_custom_metrics_are_not_asked_about_an_empty_slice():
    scorer = Scorer(custom_metric_funcs={"first": lambda golds, *_: golds[0]})
    scores = scorer.score_slices(record_array(), GOLDS, PREDS, PROBS)
    assert scores["most"] == {"first": 0.0}
    assert math.isnan(scores["none"]["first"])


def test_slices_as_dataframe():
    scorer = Scorer(metrics=["accuracy"])
    frame = scorer.score_slices(record_array(), GOLDS, PREDS, PROBS, as_dataframe=True)
    assert list(frame.index) == ["overall", "most", "none", "zeros"]
    assert list(frame.columns) == ["accuracy"]
    assert frame.loc["most", "accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("slices", [{"short": [1, 0]}, {"overall": [1] * 5}])
def test_slices_that_do_not_fit(slices):
    with pytest.raises(
        MetricError, match=f"5 rows and another name than 'overall', found '{next(iter(slices))}'"
    ):
        Scorer(metrics=["accuracy"]).score_slices(slices, GOLDS, PREDS, PROBS)


def test_slices_must_have_names():
    with pytest.raises(MetricError, match="record array"):
        Scorer(metrics=["accuracy"]).score_slices(np.ones((5, 2)), GOLDS, PREDS, PROBS)


def test_an_error_over_all_rows_is_not_hidden_by_slices():
    with pytest.raises(MetricError, match="pass probs"):
        Scorer(metrics=["roc_auc"]).score_slices(record_array(), GOLDS, PREDS, None)
