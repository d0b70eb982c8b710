"""A last batch of one row, on which batch norm cannot train."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    ModelConfig,
    MultitaskClassifier,
    Operation,
    Task,
    Trainer,
)
from ws_pipeline.classification.end_model import train_end_model
from ws_pipeline.errors import DatasetError, SingleRowBatchWarning
from ws_pipeline.settings.end_model import EndModelConfig

MODULE = """
from torch import nn
from ws_pipeline.classification import Operation, Task, label_cross_entropy

def build_tasks(*, n_features, cardinalities, seed, train_features, norm=True):
    middle = [nn.BatchNorm1d(8)] if norm else []
    trunk = nn.Sequential(nn.Linear(n_features["features"], 8), *middle, nn.ReLU())
    return [
        Task(task, {"trunk": trunk, f"{task}_head": nn.Linear(8, k)},
             [Operation("trunk", [("_input_", "features")]), Operation(f"{task}_head", ["trunk"])],
             loss_func=label_cross_entropy)
        for task, k in cardinalities.items()
    ]
"""


@pytest.fixture(autouse=True)
def networks(tmp_path, monkeypatch):
    (tmp_path / "normed.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("normed", None)


def dataset(n):
    features = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    return DictDataset("toy", "train", {"features": features}, {"two": (features[:, 0] > 0).long()})


def normed_model():
    modules = {"trunk": nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU()), "head": nn.Linear(8, 2)}
    flow = [Operation("trunk", [("_input_", "features")]), Operation("head", ["trunk"])]
    return MultitaskClassifier([Task("two", modules, flow)], device=-1)


def fit(n, batch_size, **loading):
    loader = DictDataLoader(dataset(n), batch_size=batch_size, **loading)
    return Trainer(progress_bar=False, n_epochs=2).fit(normed_model(), [loader])


@pytest.mark.parametrize(
    ("n", "batch_size", "batch", "remedy"),
    [
        (33, 16, 3, "set drop_last, which leaves such a batch out, or choose another batch_size"),
        (5, 1, 1, "set batch_size to 2 or more"),
        (1, 16, 1, "train on more rows"),
    ],
)
def test_a_batch_of_one_row_is_refused_with_what_to_do(n, batch_size, batch, remedy):
    with pytest.raises(DatasetError) as refused:
        fit(n, batch_size)
    assert str(refused.value) == (
        f"DictDataset('toy', 'train', n={n}, X=[features], Y=[two]): epoch 1, batch {batch} has one row, on "
        f"which batch norm cannot train; {remedy} (there are {n} rows, batch_size is {batch_size})"
    )


def test_a_loader_that_drops_the_last_batch_trains():
    assert fit(33, 16, drop_last=True).history_[-1]["step"] == 4


def test_other_errors_of_a_model_pass():
    class Broken(nn.Linear):
        def forward(self, _):
            message = "out of ideas"
            raise ValueError(message)

    flow = [Operation("head", [("_input_", "features")])]
    model = MultitaskClassifier([Task("two", {"head": Broken(4, 2)}, flow)], device=-1)
    with pytest.raises(ValueError, match="out of ideas"):
        Trainer(progress_bar=False).fit(model, [DictDataLoader(dataset(8), batch_size=4)])


def train(n, *, norm=True, own=True, **settings):
    architecture = (
        ModelConfig(build_tasks="normed:build_tasks", options={"norm": norm}) if own else ModelConfig()
    )
    return train_end_model(
        dataset(n),
        cardinalities={"two": 2},
        architecture=architecture,
        settings=EndModelConfig(n_epochs=2, batch_size=16, **settings),
    )


def n_steps(model):
    return model.history[-1]["step"]


def test_the_end_model_leaves_out_a_last_batch_of_one_row_and_says_so():
    with pytest.warns(SingleRowBatchWarning) as told:
        model = train(33)
    assert n_steps(model) == 4
    assert str(told[0].message) == (
        "of 33 train examples in mini-batches of 16, one is left for the last, on which batch norm cannot "
        "train; each epoch leaves out another example, unless batch_size is changed"
    )


@pytest.mark.parametrize(
    ("n", "steps", "options"),
    [
        (34, 6, {}),
        (32, 4, {}),
        (33, 6, {"norm": False}),
        (33, 6, {"own": False}),
        (34, 4, {"drop_last": True}),
        (33, 4, {"drop_last": True}),
    ],
)
def test_other_batches_are_trained_on_as_the_settings_say(n, steps, options):
    assert n_steps(train(n, **options)) == steps


def test_a_single_example_is_refused_for_a_model_with_batch_norm():
    with pytest.raises(DatasetError, match=r"batch norm cannot train; train on more rows \(there are 1 rows"):
        train(1)


def test_no_full_batch_is_refused():
    with pytest.raises(
        DatasetError, match="the loader gives no batch; lower batch_size or leave drop_last off"
    ):
        train(15, drop_last=True)
