"""From examples to datasets: which rows, which labels, and what the labels are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ws_pipeline.classification.data.from_examples import (
    feature_fields,
    reference_dataset,
    references,
    soft_dataset,
    split_by_reference,
)
from ws_pipeline.errors import DatasetError, ExamplesError
from ws_pipeline.examples import Examples

N = 8
SPLITS = ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
PROBS = {
    "a": np.stack([np.linspace(0.1, 0.8, N), 1 - np.linspace(0.1, 0.8, N)], axis=1),
    "b": np.tile([0.2, 0.3, 0.5], (N, 1)),
}
COVERED = {
    "a": np.array([1, 1, 0, 0, 1, 1, 0, 0], dtype=bool),
    "b": np.array([1, 0, 1, 0, 0, 1, 0, 1], dtype=bool),
}


def examples(a=(0, 1, 0, 1, 0, 1, 0, 1), b=(0, 1, 2, 0, 1, 2, 0, 1)):
    rows = np.arange(N, dtype=np.float32)
    return Examples(
        example_ids=np.arange(N),
        splits=np.array(SPLITS, dtype=object),
        features={"x": rows[:, None], "yz": np.stack([rows, -rows], axis=1)},
        gold={"a": np.array(a, dtype=np.int64), "b": np.array(b, dtype=np.int64)},
        cardinalities={"a": 2, "b": 3},
    )


def rows_of(dataset):
    return dataset.X_dict["features"][:, 0].tolist()


def test_rows_without_a_vote_of_any_task_are_left_out_and_others_unlabelled_where_not_covered():
    dataset = soft_dataset(examples(), probs=PROBS, covered=COVERED)
    assert (dataset.name, dataset.split) == ("probabilistic", "train")
    assert rows_of(dataset) == [0, 1, 2]
    assert torch.equal(dataset.Y_dict["a"][:2], torch.tensor(PROBS["a"][:2], dtype=torch.float32))
    assert dataset.Y_dict["a"][2].tolist() == [-1, -1]
    assert dataset.Y_dict["b"][1].tolist() == [-1, -1, -1]


def test_without_filtering_every_row_has_the_label_of_every_task():
    dataset = soft_dataset(examples(), probs=PROBS, covered=COVERED, filter_uncovered=False)
    assert rows_of(dataset) == [0, 1, 2, 3]
    for task in ("a", "b"):
        assert torch.equal(dataset.Y_dict[task], torch.tensor(PROBS[task][:4], dtype=torch.float32))


@pytest.mark.parametrize("filter_uncovered", [True, False])
def test_a_split_without_any_vote_cannot_be_learnt_from(filter_uncovered):
    covered = {task: np.zeros(N, dtype=bool) for task in PROBS}
    with pytest.raises(DatasetError, match=r"split 'train' has a vote on any of the tasks \['a', 'b'\]"):
        soft_dataset(examples(), probs=PROBS, covered=covered, filter_uncovered=filter_uncovered)


@pytest.mark.parametrize("make", [soft_dataset, reference_dataset])
def test_labels_of_another_number_of_examples_are_refused(make):
    with pytest.raises(DatasetError, match="task 'b' has labels for 7 examples, but there are 8"):
        make(examples(), probs=PROBS | {"b": PROBS["b"][1:]}, covered=COVERED, split="train")


def test_an_empty_split_is_refused():
    with pytest.raises(DatasetError, match="no example has split 'dev'"):
        reference_dataset(examples(), split="dev")


def test_where_a_task_has_gold_the_label_models_labels_are_not_used():
    dataset = reference_dataset(
        examples(a=(0, 0, 0, 0, -1, 1, 0, 1)), split="valid", probs=PROBS, covered=COVERED
    )
    assert dataset.Y_dict["a"].tolist() == [-1, 1]
    assert dataset.Y_dict["b"].tolist() == [1, 2]
    assert references(dataset) == {"a": "gold", "b": "gold"}


def test_a_task_without_gold_in_the_split_gets_the_label_models_labels_on_covered_rows():
    dataset = reference_dataset(
        examples(b=(0, 1, 2, 0, -1, -1, 0, 1)), split="valid", probs=PROBS, covered=COVERED
    )
    assert rows_of(dataset) == [4, 5]
    assert dataset.Y_dict["a"].tolist() == [0, 1]
    torch.testing.assert_close(dataset.Y_dict["b"], torch.tensor([[-1.0, -1, -1], [0.2, 0.3, 0.5]]))
    assert references(dataset) == {"a": "gold", "b": "label_model"}


def test_a_split_without_any_gold_is_named_after_the_label_model():
    unknown = [-1] * N
    dataset = reference_dataset(examples(a=unknown, b=unknown), split="valid", probs=PROBS, covered=COVERED)
    assert references(dataset) == {"a": "label_model", "b": "label_model"}


def test_a_task_with_neither_gold_nor_votes_has_no_reference():
    dataset = reference_dataset(examples(a=[-1] * N), split="test", probs=PROBS, covered=COVERED)
    assert references(dataset) == {"a": None, "b": "gold"}
    assert [list(part.Y_dict) for part in split_by_reference(dataset)] == [["b"]]


def test_without_labels_of_a_label_model_gold_is_all_there_is():
    dataset = reference_dataset(examples(a=[-1] * N), split="valid")
    assert references(dataset) == {"a": None, "b": "gold"}


def test_tasks_are_divided_by_their_reference_and_share_the_features():
    dataset = reference_dataset(examples(b=[-1] * N), split="valid", probs=PROBS, covered=COVERED)
    gold, label_model = split_by_reference(dataset)
    assert (gold.name, gold.split, list(gold.Y_dict)) == ("gold", "valid", ["a"])
    assert (label_model.name, label_model.split, list(label_model.Y_dict)) == ("label_model", "valid", ["b"])
    assert gold.X_dict["features"] is label_model.X_dict["features"]


def test_fields_are_made_of_the_named_columns():
    fields = feature_fields(examples(), {"left": ["yz", "x"], "right": ["x"]})
    assert fields["left"][2].tolist() == [2, -2, 2]
    assert fields["right"][2].tolist() == [2]
    assert feature_fields(examples())["features"].shape == (N, 3)
    dataset = soft_dataset(examples(), probs=PROBS, covered=COVERED, fields={"left": ["yz"], "right": ["x"]})
    assert {name: list(values.shape) for name, values in dataset.X_dict.items()} == {
        "left": [3, 2],
        "right": [3, 1],
    }


def test_a_field_of_a_column_that_is_not_there_is_refused():
    with pytest.raises(ExamplesError, match=r"no feature column \['w'\]; there are: \['x', 'yz'\]"):
        feature_fields(examples(), {"left": ["w"]})
