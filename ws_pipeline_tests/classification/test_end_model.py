"""The end model as a value: trained, kept in a file, read back, and never running what a file names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ws_pipeline.classification import DictDataset, ModelConfig
from ws_pipeline.classification.end_model import EndModel, task_probs, train_end_model
from ws_pipeline.errors import DatasetError, FileFormatError
from ws_pipeline.examples import Examples
from ws_pipeline.settings.end_model import EndModelConfig
from ws_pipeline.storage.files import FileFormat
from ws_pipeline.storage.tensor_file import read_tensors

CARDINALITIES = {"three": 3, "two": 2}
MODULE = """
import torch
from torch import nn
from ws_pipeline.classification import Operation, Task, label_cross_entropy

calls = []

class Both(nn.Module):
    def __init__(self, left, right, width):
        super().__init__()
        self.left, self.right = nn.Linear(left, width), nn.Linear(right, width)

    def forward(self, left, right):
        return torch.tanh(self.left(left) * self.right(right))

def build_tasks(*, n_features, cardinalities, seed, train_features, width=4):
    calls.append("build_tasks")
    both = Both(n_features["left"], n_features["right"], width)
    reads = [("_input_", "left"), ("_input_", "right")]
    return [
        Task(task, {"both": both, f"{task}_head": nn.Linear(width, k)},
             [Operation("both", reads), Operation(f"{task}_head", ["both"])], loss_func=label_cross_entropy)
        for task, k in cardinalities.items()
    ]

def other(**arguments):
    calls.append("other")
    return build_tasks(**arguments)
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """A module of one's own on the path, not imported yet."""
    (tmp_path / "two_fields.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("two_fields", None)


def labels(features):
    positive = torch.sigmoid(3 * features[:, 3])
    return {"three": features[:, :3].argmax(dim=1), "two": torch.stack([1 - positive, positive], dim=1)}


def dataset(split="train", n=60, *, fields=False, unlabelled=()):
    features = torch.randn(n, 4, generator=torch.Generator().manual_seed(len(split)))
    inputs = {"left": features[:, :3], "right": features[:, 1:]} if fields else {"features": features}
    kept = {task: y for task, y in labels(features).items() if task not in unlabelled}
    return DictDataset("toy", split, inputs, kept)


def train(*, fields=False, valid=None, n_epochs=2, seed=0, **architecture):
    return train_end_model(
        dataset(fields=fields),
        valid,
        cardinalities=CARDINALITIES,
        architecture=ModelConfig(**architecture),
        settings=EndModelConfig(n_epochs=n_epochs, batch_size=16, lr=0.01, seed=seed),
        fields={"left": ["a", "b", "c"], "right": ["b", "c", "d"]} if fields else None,
    )


def examples(n=20):
    columns = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    return Examples(
        example_ids=np.arange(n),
        splits=np.full(n, "train", dtype=object),
        features={name: columns[:, [i]] for i, name in enumerate("abcd")},
        gold={task: np.full(n, -1) for task in CARDINALITIES},
        cardinalities=CARDINALITIES,
    )


HEADS = {"two": {"hidden": [5, 4], "dropout": 0.2, "loss_weight": 0.5}}
ARCHITECTURES = [
    {},
    {"hidden": [], "activation": "gelu"},
    {"hidden": [6], "dropout": 0.5, "heads": HEADS},
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_file_gives_back_the_same_model(tmp_path, architecture):
    model = train(valid=dataset("valid"), **architecture)
    model.save(tmp_path / "model")
    again = EndModel.load(tmp_path / "model")
    assert again.history == model.history
    assert (again.cardinalities, again.n_features, again.fields) == (CARDINALITIES, {"features": 4}, None)
    assert again.architecture == ModelConfig(**architecture)
    assert again.predictions(examples()).equals(model.predictions(examples()))
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_the_file_keeps_the_keys_that_older_files_have(tmp_path):
    train().save(tmp_path / "model")
    header, _ = read_tensors(tmp_path / "model", file_format=FileFormat("ws_pipeline/EndModel", version=2))
    assert sorted(header) == ["architecture", "classes", "fields", "history", "n_features"]
    assert dict(header["classes"]) == CARDINALITIES


def test_the_seed_decides_everything(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(seed=seed).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_head_of_its_own_has_its_layers_and_its_loss_weight():
    tasks = train(hidden=[6], heads=HEADS).classifier.tasks
    shapes = [tuple(p.shape) for p in tasks["two"].module_pool["two_head"].parameters() if p.ndim == 2]
    assert shapes == [(5, 6), (4, 5), (2, 4)]
    assert tasks["two"].loss_weight == 0.5
    assert tasks["three"].loss_weight == 1
    assert tuple(tasks["three"].module_pool["three_head"].weight.shape) == (3, 6)


def test_scores_are_named_after_the_source_of_the_valid_labels():
    valid = dataset("valid")
    assert {"three/toy/valid/accuracy", "two/toy/valid/accuracy"} <= set(train(valid=valid).history[-1])
    valid.label_sources = {"three": "gold", "two": "label_model"}
    names = set(train(valid=valid).history[-1])
    assert {"three/gold/valid/accuracy", "two/label_model/valid/accuracy"} <= names
    assert not [name for name in names if name.startswith(("three/label_model", "two/gold"))]


@pytest.mark.parametrize("valid", [None, dataset("valid", unlabelled=("two", "three"))])
def test_it_trains_without_anything_to_validate_on(valid):
    history = train(valid=valid).history
    assert [record["epoch"] for record in history] == [1, 2]
    assert not [name for name in history[-1] if "/valid/" in name]


@pytest.mark.usefixtures("networks")
def test_tasks_of_ones_own_are_trained_kept_and_read_back(tmp_path):
    own = {"build_tasks": "two_fields:build_tasks", "options": {"width": 6}}
    model = train(fields=True, **own)
    assert model.n_features == {"left": 3, "right": 3}
    assert model.n_parameters == 2 * (3 * 6 + 6) + 6 * 3 + 3 + 6 * 2 + 2
    model.save(tmp_path / "model")
    again = EndModel.load(tmp_path / "model", architecture=ModelConfig(**own))
    table = model.predictions(examples())
    assert again.predictions(examples()).equals(table)
    probs = task_probs(table, "three", 3)
    assert np.allclose(probs.sum(axis=1), 1)
    columns = examples().features
    left, right = (np.hstack([columns[c] for c in names]) for names in ("abc", "bcd"))
    assert np.allclose(again.predict_proba({"left": left, "right": right})["three"], probs, atol=1e-6)


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize(
    ("named", "message"),
    [
        (None, "the settings name no such function"),
        ({}, "the settings name no such function"),
        ({"build_tasks": "two_fields:other"}, "two_fields:other"),
        ({"build_tasks": "two_fields:build_tasks"}, "'options': {}"),
        ({"build_tasks": "two_fields:build_tasks", "options": {"width": 7}}, "'width': 7"),
    ],
)
def test_a_function_that_only_the_file_names_is_never_called(tmp_path, named, message):
    train(fields=True, build_tasks="two_fields:build_tasks", options={"width": 6}).save(tmp_path / "model")
    calls = sys.modules.pop("two_fields").calls
    assert calls == ["build_tasks"]
    with pytest.raises(FileFormatError, match=message) as caught:
        EndModel.load(tmp_path / "model", architecture=None if named is None else ModelConfig(**named))
    assert "the tasks were built by {'build_tasks': 'two_fields:build_tasks'" in str(caught.value)
    assert "two_fields" not in sys.modules


@pytest.mark.usefixtures("networks")
def test_a_function_that_has_changed_since_is_noticed(tmp_path):
    own = {"build_tasks": "two_fields:build_tasks"}
    train(fields=True, **own).save(tmp_path / "model")
    sys.modules.pop("two_fields")
    changed = MODULE.replace("width=4", "width=5")
    (tmp_path / "two_fields.py").write_text(changed + "\n")
    with pytest.raises(FileFormatError, match=r"the tensors are those of another model: 'module_pool.both"):
        EndModel.load(tmp_path / "model", architecture=ModelConfig(**own))


def test_a_multilayer_perceptron_reads_one_field():
    with pytest.raises(DatasetError, match=r"reads one field, got \['left', 'right'\]; .*build_tasks"):
        train(fields=True)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (np.ones((2, 5), dtype=np.float32), r"got \[2, 5\]"),
        ({"pixels": np.ones((2, 4), dtype=np.float32)}, r"got fields \['pixels'\]"),
    ],
)
def test_features_of_another_shape_are_refused(features, found):
    with pytest.raises(DatasetError, match=r"expects field 'features' of shape \[n, 4\], " + found):
        train().predict_proba(features)


def test_a_file_of_the_format_before_is_refused(tmp_path):
    train().save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    (tmp_path / "model").write_bytes(content.replace(b'format_version\\": 2', b'format_version\\": 1'))
    with pytest.raises(FileFormatError, match="format version 1, this release reads version 2"):
        EndModel.load(tmp_path / "model")


def test_without_a_best_model_there_is_no_path_to_one(tmp_path):
    settings = EndModelConfig(
        n_epochs=20,
        checkpoint_metric="model/all/train/loss:min",
        checkpoint_runway=19,
        early_stopping_metric="model/all/train/loss:max",
        early_stopping_patience=1,
    )
    arguments = {"cardinalities": CARDINALITIES, "architecture": ModelConfig(hidden=[8])}
    model = train_end_model(dataset(), settings=settings, checkpoint_dir=str(tmp_path), **arguments)
    assert model.training.stopped_early
    assert model.training.checkpoint_path is None
    kept = train_end_model(
        dataset(), settings=EndModelConfig(n_epochs=1), checkpoint_dir=str(tmp_path), **arguments
    )
    assert Path(kept.training.checkpoint_path).exists()


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ([[1.0, 2.0], [3.0]], "list (setting an array element with a sequence."),
        (np.array([["a"] * 4]), "ndarray (could not convert string to float: "),
        (np.zeros(4), "[4]"),
        (np.zeros((2, 3)), "[2, 3]"),
    ],
)
def test_features_that_are_no_table_of_numbers_are_refused(features, found):
    model = train(n_epochs=1)
    with pytest.raises(DatasetError) as refused:
        model.predict_proba(features)
    expected = f"the model expects field 'features' of shape [n, 4], got {found}"
    assert str(refused.value).startswith(expected)


def test_features_may_be_lists_and_frames():
    model = train(n_epochs=1)
    rows = [[1.0, 0.0, 2.0, -1.0], [0.0, 1.0, 0.0, 0.5]]
    expected = model.predict_proba(np.array(rows, dtype=np.float32))["two"]
    for features in (rows, pd.DataFrame(rows), np.array(rows)):
        assert model.predict_proba(features)["two"].tolist() == expected.tolist()
