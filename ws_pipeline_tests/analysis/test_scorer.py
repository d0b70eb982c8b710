"""Scorer: abstains, custom metrics, slices."""

from __future__ import annotations

import math
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.analysis import Scorer, metric_score
from ws_pipeline.errors import MetricError, UndefinedMetricError

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
        MetricError, match=f"5 rows and another name than 'overall', got '{next(iter(slices))}'"
    ):
        Scorer(metrics=["accuracy"]).score_slices(slices, GOLDS, PREDS, PROBS)


def test_slices_must_have_names():
    with pytest.raises(MetricError, match="record array"):
        Scorer(metrics=["accuracy"]).score_slices(np.ones((5, 2)), GOLDS, PREDS, PROBS)


def test_an_error_over_all_rows_is_not_hidden_by_slices():
    with pytest.raises(MetricError, match="pass probs"):
        Scorer(metrics=["roc_auc"]).score_slices(record_array(), GOLDS, PREDS, None)


@pytest.mark.parametrize(
    ("column", "found"), [([1, 0, 2, 0, 1], "2 in row 2"), ([0, 0, 0, -1, 1], "-1 in row 3")]
)
def test_a_slice_of_other_values_than_0_and_1_is_refused(column, found):
    message = rf"slice 'odd' must say 1 .* got {found} \(1 rows in all\)"
    with pytest.raises(MetricError, match=message):
        Scorer(metrics=["accuracy"]).score_slices({"odd": column}, GOLDS, PREDS, PROBS)


def test_several_numbers_of_a_custom_metric_are_floats_in_slices_too():
    scorer = Scorer(custom_metric_funcs={"own": lambda golds, *_: {"n": len(golds), "x": np.float32(1)}})
    scores = scorer.score_slices({"last": [0, 0, 0, 1, 1]}, GOLDS, PREDS, PROBS)
    assert scores == {"overall": {"n": 5.0, "x": 1.0}, "last": {"n": 2.0, "x": 1.0}}
    assert all(type(value) is float for values in scores.values() for value in values.values())


def test_probabilities_of_rows_without_gold_are_left_out():
    scorer = Scorer(metrics=["log_loss", "brier_score", "expected_calibration_error", "roc_auc"])
    kept = [0, 3, 4]
    assert scorer.score(GOLDS, PREDS, PROBS) == scorer.score(GOLDS[kept], PREDS[kept], PROBS[kept])
    for metric in ("log_loss", "roc_auc"):
        with pytest.raises(MetricError, match=rf"'{metric}' needs golds in 0..1, .* got \[-1\]"):
            Scorer(metrics=[metric], abstain_label=None).score(GOLDS, PREDS, PROBS)


def test_three_classes_need_metrics_of_three_classes_in_every_slice():
    """The slice alone has classes 0 and 1 only, and would get a number."""
    golds, preds = np.array([0, 1, 2]), np.array([0, 1, 0])
    probs = np.eye(3)[preds]
    with pytest.raises(MetricError, match=r"'f1' is for classes 0 and 1.*try f1_micro, f1_macro"):
        Scorer(metrics=["f1"]).score(golds[:2], preds[:2], probs[:2])
    scores = Scorer(metrics=["f1_macro"]).score_slices({"two": [1, 1, 0]}, golds, preds, probs)
    assert scores["two"] == {"f1_macro": 1.0}


@pytest.mark.parametrize("seed", range(5))
def test_scores_and_slices_are_those_of_snorkel(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snorkel = pytest.importorskip("snorkel.analysis")
    rng = np.random.default_rng(seed)
    golds, preds = rng.integers(-1, 2, 200), rng.integers(-1, 2, 200)
    probs = rng.dirichlet([1, 1], 200)
    slices = np.rec.fromarrays(rng.integers(0, 2, (3, 200)), names="short,long,rare")
    names = ["accuracy", "coverage", "precision", "recall", "f1", "f1_micro", "f1_macro", "matthews_corrcoef"]
    settings = {
        "metrics": [*names, "roc_auc"],
        "custom_metric_funcs": {"rows": lambda golds, preds, probs: {"n": len(golds), "p": probs[0, 0]}},  # noqa: ARG005
    }
    ours, theirs = Scorer(**settings), snorkel.Scorer(**settings)
    assert list(ours.metrics) == list(theirs.metrics)
    assert ours.score(golds, preds, probs) == pytest.approx(theirs.score(golds, preds, probs), abs=1e-12)
    found = ours.score_slices(slices, golds, preds, probs, as_dataframe=True)
    expected = theirs.score_slices(slices, golds, preds, probs, as_dataframe=True)
    pd.testing.assert_frame_equal(found, expected)


def test_metrics_that_the_labels_give_no_value_can_be_nan():
    scorer = Scorer(
        metrics=["accuracy", "f1", "roc_auc"], custom_metric_funcs={"n": lambda golds, *_: len(golds)}
    )
    golds = np.zeros(5, dtype=int)
    with pytest.raises(UndefinedMetricError, match="'f1' needs gold labels of class 1"):
        scorer.score(golds, PREDS, PROBS)
    scores = scorer.score(golds, PREDS, PROBS, undefined="nan")
    assert {name: value for name, value in scores.items() if not math.isnan(value)} == {
        "accuracy": 0.25,
        "n": 5,
    }
    assert list(scores) == ["accuracy", "f1", "roc_auc", "n"]
    with pytest.raises(MetricError, match="needs golds and probs"):
        scorer.score(golds, PREDS, undefined="nan")


def test_probabilistic_gold_labels():
    """Named metrics, and partial forms of them, take classes; own ones the labels as they are."""
    golds = np.array([[0.8, 0.2], [0.1, 0.9], [0.5, 0.5], [-1, -1]])
    own = {
        "brier": lambda golds, preds, probs: np.mean((golds[:2] - probs[:2]) ** 2),  # noqa: ARG005
        "f2": partial(metric_score, metric="fbeta", beta=2, filter_dict={"golds": [-1]}),
    }
    scores = Scorer(metrics=["accuracy"], custom_metric_funcs=own).score(golds, [0, 0, 1, 1], PROBS[:4])
    assert scores == {"accuracy": 0.5, "brier": pytest.approx(0.085), "f2": 0.0}


@pytest.mark.parametrize("value", [None, "high", np.ones(3), {"x": None}])
def test_a_custom_metric_that_gives_no_number_is_named(value):
    scorer = Scorer(custom_metric_funcs={"mine": lambda *_: value})
    with pytest.raises(MetricError, match="custom metric 'mine' must return a number, or numbers by name"):
        scorer.score(GOLDS, PREDS, PROBS)


def test_probabilities_of_class_one_alone_do_where_no_metric_needs_them():
    scores = Scorer(metrics=["accuracy", "f1"]).score(GOLDS, PREDS, PROBS[:, 1])
    assert scores == Scorer(metrics=["accuracy", "f1"]).score(GOLDS, PREDS)
