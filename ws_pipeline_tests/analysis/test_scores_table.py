"""The scores table: what each value was measured against."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.analysis.scores_table import SCHEMA, score_models

SPLITS = np.array(["train"] * 3 + ["test"] * 4, dtype=object)
GOLD = np.array([0, 1, 0, 0, 1, 1, -1])
COVERED = np.array([1, 1, 1, 1, 1, 0, 1], dtype=bool)


def sure(classes):
    return np.eye(2)[list(classes)] * 0.8 + 0.1


MODELS = {
    "vote": sure([0, 1, 1, 0, 0, 1, 1]),
    "label_model": sure([0, 1, 0, 0, 0, 0, 1]),
    "end_model": sure([0, 1, 0, 1, 1, 1, 1]),
}


def score(gold=GOLD, models=None, **settings):
    table = score_models(
        "spam",
        models or MODELS,
        example_ids=np.arange(7),
        gold=np.asarray(gold),
        covered=COVERED,
        splits=SPLITS,
        metrics=["accuracy"],
        **settings,
    )
    assert table.schema == SCHEMA
    return {
        (row["split"], row["dataset"], row["model"]): (row["reference"], row["value"], row["n_examples"])
        for row in table.to_pylist()
    }


def test_where_there_is_gold_every_model_is_compared_with_it():
    found = score()
    assert {reference for reference, _, _ in found.values()} == {"gold"}
    assert found["test", "all", "vote"] == ("gold", pytest.approx(2 / 3), 3)
    assert found["test", "all", "end_model"] == ("gold", pytest.approx(2 / 3), 3)
    assert found["test", "covered", "vote"] == ("gold", 0.5, 2)
    assert found["train", "all", "label_model"] == ("gold", 1.0, 3)
    assert len(found) == 12


def test_a_split_without_gold_is_compared_with_the_label_model_and_says_so():
    found = score(gold=[0, 1, 0, -1, -1, -1, -1])
    assert found["train", "all", "vote"][0] == "gold"
    test = {key[1:]: value for key, value in found.items() if key[0] == "test"}
    assert test == {
        ("covered", "vote"): ("label_model", 1.0, 3),
        ("covered", "end_model"): ("label_model", pytest.approx(1 / 3), 3),
    }


def test_ties_of_the_label_model_are_no_reference():
    models = MODELS | {"label_model": np.full((7, 2), 0.5)}
    assert (
        score(gold=[0, 1, 0, -1, -1, -1, -1], models=models).keys()
        == score(gold=[0, 1, 0, -1, -1, -1, -1], models=models, stand_in="nobody").keys()
    )


def test_another_model_may_stand_in():
    found = score(gold=np.full(7, -1), stand_in="vote")
    assert {reference for reference, _, _ in found.values()} == {"vote"}
    assert found["test", "covered", "label_model"][1] == 1.0
    assert ("test", "covered", "vote") not in found


def test_without_gold_and_without_a_stand_in_there_is_nothing_to_compare_with():
    assert score(gold=np.full(7, -1), stand_in="nobody") == {}


def test_gold_only_outside_the_votes_gives_no_row_for_the_covered_examples():
    found = score(gold=[0, 1, 0, -1, -1, 1, -1])
    assert {key for key in found if key[0] == "test"} == {("test", "all", model) for model in MODELS}
