"""Scores of sets of classes, held against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, precision_recall_fscore_support

from ws_pipeline.analysis.multi_label_scores import SCHEMA, multi_label_table, score_sets
from ws_pipeline.errors import MetricError


def sets(seed, n=40, k=4):
    rng = np.random.default_rng(seed)
    gold = rng.random((n, k)) < 0.3
    return gold, np.where(rng.random((n, k)) < 0.7, gold, rng.random((n, k)) < 0.3)


@pytest.mark.parametrize("seed", range(20))
def test_the_scores_are_those_of_scikit_learn(seed):
    gold, predicted = sets(seed, n=3 + 2 * seed, k=2 + seed % 5)
    scores, there = score_sets(gold, predicted), gold.any(axis=0)
    expected = precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(scores.of_class[name][there], values[there], err_msg=name)
    places = np.flatnonzero(there)
    whole = {
        "f1_micro": f1_score(gold, predicted, average="micro"),
        "f1_macro": f1_score(gold, predicted, average="macro", labels=places, zero_division=0),
        "subset_accuracy": accuracy_score(gold, predicted),
        "hamming_loss": hamming_loss(gold, predicted),
    }
    assert scores.of_whole == pytest.approx(whole)


def test_by_hand():
    gold = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)
    predicted = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
    scores = score_sets(gold, predicted)
    assert scores.of_class["precision"].tolist() == [1, 1, 0]
    assert scores.of_class["recall"].tolist()[:2] == [0.5, 1]
    assert np.isnan(scores.of_class["recall"][2])
    assert scores.of_class["support"].tolist() == [2, 1, 0]
    assert scores.of_whole == pytest.approx(
        {"f1_micro": 4 / 7, "f1_macro": (2 / 3 + 1) / 2, "subset_accuracy": 1 / 3, "hamming_loss": 3 / 9}
    )


def test_a_class_that_is_never_predicted_has_a_precision_of_0_if_it_was_there_to_find():
    gold, predicted = np.array([[True, False]]), np.array([[False, False]])
    scores = score_sets(gold, predicted)
    assert scores.of_class["precision"][0] == 0
    assert np.isnan(scores.of_class["precision"][1])
    assert scores.of_whole["f1_macro"] == 0


def test_empty_sets_that_are_all_right_have_no_f1():
    empty = np.zeros((3, 2), dtype=bool)
    scores = score_sets(empty, empty).of_whole
    assert math.isnan(scores["f1_micro"])
    assert math.isnan(scores["f1_macro"])
    assert (scores["subset_accuracy"], scores["hamming_loss"]) == (1, 0)


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), (4,)])
def test_sets_of_other_shapes_are_refused(shape):
    with pytest.raises(
        MetricError, match=rf"got gold of shape \[4, 3\] and predictions of shape \{list(shape)}"
    ):
        score_sets(np.ones((4, 3), dtype=bool), np.ones(shape, dtype=bool))


def table_of(known, covered, n=6):
    gold, predicted = sets(3, n=n, k=2)
    splits = np.array(["train", "valid", "valid", "test", "test", "test"], dtype=object)
    return multi_label_table(
        {"vote": predicted, "perfect": gold},
        gold=gold,
        known=np.array(known, dtype=bool),
        covered=np.array(covered, dtype=bool),
        splits=splits,
        classes=["a", "b"],
    ).to_pylist()


def test_only_splits_with_gold_are_scored_all_of_it_and_what_has_votes():
    rows = table_of([0, 1, 0, 1, 1, 1], [1, 0, 1, 1, 1, 0])
    counts = {(row["split"], row["dataset"]): row["n_examples"] for row in rows}
    assert counts == {("valid", "all"): 1, ("test", "all"): 3, ("test", "covered"): 2}
    of_one = [
        row for row in rows if (row["split"], row["dataset"], row["model"]) == ("test", "all", "perfect")
    ]
    assert {row["class"] for row in of_one} == {None, "a", "b"}
    found = {row["metric"]: row["value"] for row in of_one if row["class"] is None}
    assert (found["subset_accuracy"], found["hamming_loss"]) == (1, 0)
    gold, predicted = sets(3, n=6, k=2)
    vote = next(row for row in rows if (row["split"], row["metric"]) == ("valid", "hamming_loss"))
    assert vote["value"] == (gold[1] != predicted[1]).mean()


def test_without_gold_the_table_is_empty_and_has_its_columns():
    gold = np.zeros((2, 2), dtype=bool)
    table = multi_label_table(
        {"vote": gold},
        gold=gold,
        known=np.zeros(2, dtype=bool),
        covered=np.ones(2, dtype=bool),
        splits=np.array(["train", "valid"], dtype=object),
        classes=["a", "b"],
    )
    assert (table.num_rows, table.schema) == (0, SCHEMA)


def test_scores_that_are_not_defined_are_null():
    gold = np.zeros((1, 1), dtype=bool)
    table = multi_label_table(
        {"vote": gold},
        gold=gold,
        known=np.ones(1, dtype=bool),
        covered=np.zeros(1, dtype=bool),
        splits=np.array(["test"], dtype=object),
        classes=["a"],
    )
    values = {(row["class"], row["metric"]): row["value"] for row in table.to_pylist()}
    assert values["a", "recall"] is None
    assert values[None, "f1_micro"] is None
    assert values["a", "support"] == 0
