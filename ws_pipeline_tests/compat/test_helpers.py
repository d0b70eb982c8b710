"""Small functions and settings under Snorkel's names, beside Snorkel where it is installed."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from ws_pipeline.classification import Trainer, TrainerConfig
from ws_pipeline.compat import arrays, nested_config, tensors
from ws_pipeline.errors import InvalidInputError, LabelingFunctionError, SettingsError
from ws_pipeline.labeling import LabelModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.classification.utils as their_tensors
        import snorkel.utils as their_arrays
    except ImportError:
        their_arrays = their_tensors = None

NEEDS_SNORKEL = pytest.mark.skipif(their_arrays is None, reason="Snorkel is not installed")


def test_labels_become_integers():
    assert arrays.to_int_label_array([[1], [0], [2.0]]).tolist() == [1, 0, 2]
    assert arrays.to_int_label_array([[1], [0.0]], flatten_vector=False).tolist() == [[1], [0]]
    assert arrays.to_int_label_array(np.array([[7]])).tolist() == [7]
    with pytest.raises(InvalidInputError, match=r"got the non-integer value 2.5"):
        arrays.to_int_label_array([1, 2.5])
    with pytest.raises(InvalidInputError, match=r"shape \[2, 2\] do not fit into a 1d"):
        arrays.to_int_label_array([[1, 0], [0, 1]])


def test_rows_are_left_out_of_all_label_sets():
    sets = {"golds": np.array([-1, 0, 0, 1, 0]), "preds": np.array([0, 0, 0, 1, -1]), "probs": None}
    found = arrays.filter_labels(
        {**sets, "more": np.arange(10).reshape(5, 2)}, {"golds": [-1], "preds": [-1]}
    )
    assert found["golds"].tolist() == found["preds"].tolist() == [0, 0, 1]
    assert found["probs"] is None
    assert found["more"].tolist() == [[2, 3], [4, 5], [6, 7]]


def test_the_name_that_is_there_most_often_is_named():
    arrays.check_unique_names(["a", "b"])
    arrays.check_unique_names([])
    with pytest.raises(InvalidInputError, match="got 3 operators with name c"):
        arrays.check_unique_names(["a", "a", "b", "c", "c", "c"])


def test_keys_stand_for_values():
    values = {"a": 8, "b": {"c": [9, "d"]}}
    assert arrays.get_hashable(values) == frozenset({("a", 8), ("b", frozenset({("c", (9, "d"))}))})
    assert arrays.get_hashable(pd.Series(values)) == arrays.get_hashable(values)
    with pytest.raises(LabelingFunctionError, match="a DataFrame in the data point"):
        arrays.get_hashable({"a": pd.DataFrame()})


VECTORS = [torch.tensor([1, 2]), torch.tensor([3]), torch.tensor([4, 0, 6])]


@pytest.mark.parametrize(
    "settings", [{}, {"max_len": 2}, {"left_padded": True}, {"max_len": 2, "left_padded": True}]
)
def test_vectors_are_brought_to_one_length(settings):
    padded, mask = tensors.pad_batch(VECTORS, **settings)
    expected = {
        (0, False): [[1, 2, 0], [3, 0, 0], [4, 0, 6]],
        (2, False): [[1, 2], [3, 0], [4, 0]],
        (0, True): [[0, 1, 2], [0, 0, 3], [4, 0, 6]],
        (2, True): [[1, 2], [0, 3], [0, 6]],
    }[settings.get("max_len", 0), settings.get("left_padded", False)]
    assert padded.tolist() == expected
    assert mask.tolist() == (np.array(expected) == 0).astype(int).tolist()


def test_tensors_are_joined():
    assert tensors.list_to_tensor([torch.tensor(1), torch.tensor(2)]).tolist() == [1, 2]
    assert tensors.list_to_tensor([torch.ones(2, 2)] * 3).shape == (3, 2, 2)
    assert tensors.list_to_tensor(VECTORS).tolist() == [[1, 2, 0], [3, 0, 0], [4, 0, 6]]
    with pytest.raises(InvalidInputError, match="at least one tensor"):
        tensors.pad_batch([])


def test_what_cannot_be_moved_stays():
    values = {"a": [torch.ones(1)], "b": "text"}
    assert tensors.move_to_device(values) is values
    assert tensors.move_to_device(values, -1) is values


def test_outputs_by_the_end_of_their_name():
    found = tensors.collect_flow_outputs_by_suffix({"b_head": 1, "a_head": 2, "a_body": 3}, "_head")
    assert found == [2, 1]


def test_scores_become_a_table():
    table = tensors.metrics_dict_to_dataframe({"t/d/valid/f1": 0.5})
    assert table.to_dict("records") == [
        {"label": "t", "dataset": "d", "split": "valid", "metric": "f1", "score": 0.5}
    ]


def test_nested_settings_are_merged():
    class Own(NamedTuple):
        rate: float = 0.1
        inner: nested_config.StepLRSchedulerConfig = nested_config.StepLRSchedulerConfig()

    updates = {"rate": 0.5, "inner": {"gamma": 0.2}}
    assert nested_config.merge_config(Own(), updates) == Own(0.5, nested_config.StepLRSchedulerConfig(0.2, 5))
    assert updates == {"rate": 0.5, "inner": {"gamma": 0.2}}
    assert nested_config.merge_config(TrainerConfig(), {"lr": 0.5}) == TrainerConfig(lr=0.5)
    with pytest.raises(
        SettingsError, match="StepLRSchedulerConfig has no field 'gama', did you mean 'gamma'"
    ):
        nested_config.merge_config(Own(), {"inner": {"gama": 0.2}})


def test_nested_settings_are_taken_by_trainer_and_label_model():
    sgd = nested_config.SGDOptimizerConfig(momentum=0.5)
    schedule = nested_config.LRSchedulerConfig(step_config=nested_config.StepLRSchedulerConfig(gamma=0.3))
    config = Trainer(
        optimizer="sgd", lr_scheduler="step", lr_scheduler_config=schedule,
        optimizer_config=nested_config.OptimizerConfig(sgd_config=sgd),
    ).config  # fmt: skip
    assert (config.momentum, config.gamma, config.step_size) == (0.5, 0.3, 5)
    votes = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 1]] * 5)
    histories = []
    for optimizers in (
        nested_config.OptimizerConfig(sgd_config=sgd),
        {"sgd_config": {"momentum": 0.5}},
        None,
    ):
        model = LabelModel()
        model.fit(votes, n_epochs=5, progress_bar=False, optimizer_config=optimizers)
        histories.append(model.history_)
    assert histories[0] == histories[1] != histories[2]


@NEEDS_SNORKEL
def test_the_same_values_as_snorkel():
    rng = np.random.default_rng(0)
    for _ in range(20):
        vectors = [torch.from_numpy(rng.integers(0, 5, rng.integers(1, 6))) for _ in range(4)]
        for settings in ({}, {"max_len": 3, "pad_value": 1}):
            for found, expected in zip(
                tensors.pad_batch(vectors, **settings),
                their_tensors.pad_batch(vectors, **settings),
                strict=True,
            ):
                assert torch.equal(found, expected)
        labels = {name: rng.integers(-1, 2, 30) for name in ("golds", "preds")}
        filters = {"golds": [-1], "preds": [-1, 1]}
        found, expected = arrays.filter_labels(labels, filters), their_arrays.filter_labels(labels, filters)
        assert {name: rows.tolist() for name, rows in found.items()} == {
            name: rows.tolist() for name, rows in expected.items()
        }
