"""A small two-task classifier and datasets for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ws_pipeline.classification import DictDataset, ModelConfig, MultitaskClassifier, build_tasks


def _make_model(seed: int = 0, **settings: object) -> MultitaskClassifier:
    config = ModelConfig(**{"hidden": [8], "dropout": 0.25, **settings})
    tasks = build_tasks(config, n_features=4, cardinalities={"three": 3, "two": 2}, seed=seed)
    return MultitaskClassifier(tasks, device=-1)


def _make_dataset(n: int = 60, split: str = "train", name: str = "toy", seed: int = 0) -> DictDataset:
    """Labels that the features decide; "three" is hard, "two" probabilistic."""
    features = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    three = features[:, :3].argmax(dim=1)
    positive = torch.sigmoid(3 * features[:, 3])
    two = torch.stack([1 - positive, positive], dim=1)
    return DictDataset(name, split, {"features": features}, {"three": three, "two": two})


@pytest.fixture
def make_model() -> Callable[..., MultitaskClassifier]:
    return _make_model


@pytest.fixture
def make_dataset() -> Callable[..., DictDataset]:
    return _make_dataset


@pytest.fixture
def model() -> MultitaskClassifier:
    return _make_model()


@pytest.fixture
def dataset() -> DictDataset:
    return _make_dataset()
