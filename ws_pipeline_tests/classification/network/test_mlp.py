"""The architecture that settings describe."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ws_pipeline.classification import ModelConfig, MultitaskClassifier, Standardizer, build_tasks
from ws_pipeline.errors import DatasetError, TaskGraphError


def build(seed: int = 0, **settings: object) -> MultitaskClassifier:
    tasks = build_tasks(ModelConfig(**settings), n_features=5, cardinalities={"a": 3, "b": 2}, seed=seed)
    return MultitaskClassifier(tasks, device=-1)


def test_defaults_share_a_trunk_and_give_each_task_a_head():
    model = build()
    assert list(model.module_pool) == ["trunk", "a_head", "b_head"]
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert shapes == [(100, 5), (64, 100), (3, 64), (2, 64)]
    assert sum(isinstance(module, nn.ReLU) for module in model.modules()) == 2
    assert not any(isinstance(module, nn.Dropout) for module in model.modules())
    assert list(model.tasks["a"].scorer.metrics) == ["accuracy", "f1_macro"]


@pytest.mark.parametrize(("activation", "module"), [("relu", nn.ReLU), ("gelu", nn.GELU), ("tanh", nn.Tanh)])
def test_activation_and_dropout(activation, module):
    model = build(hidden=[6, 6, 6], activation=activation, dropout=0.5)
    assert sum(isinstance(part, module) for part in model.modules()) == 3
    assert [part.p for part in model.modules() if isinstance(part, nn.Dropout)] == [0.5] * 3


def test_without_a_hidden_layer_the_heads_see_the_features():
    assert [tuple(p.shape) for p in build(hidden=[]).parameters()] == [(3, 5), (3,), (2, 5), (2,)]


def test_the_seed_decides_the_weights_and_nothing_else_changes():
    before = torch.get_rng_state()
    first, again, other = build(seed=1), build(seed=1), build(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))
        assert not torch.equal(parameter, other.get_parameter(name))


def test_the_callers_random_state_does_not_matter():
    first = build(seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        again = build(seed=1)
    assert torch.equal(first.module_pool["a_head"].weight, again.module_pool["a_head"].weight)


def test_train_features_standardise_the_input():
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * 7 + 3
    features[:, 2] = 4.0
    tasks = build_tasks(
        ModelConfig(hidden=[]), n_features=5, cardinalities={"a": 2}, seed=0, train_features=features
    )
    model = MultitaskClassifier(tasks, device=-1)
    standard = model({"features": features.double()}, ["a"])["trunk"]
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        standard.std(dim=0, correction=0), torch.tensor([1.0, 1, 0, 1, 1]), atol=1e-5, rtol=0
    )
    assert "module_pool.trunk.standardizer.mean" in model.state_dict()


def test_integer_features_are_welcome():
    assert build()({"features": torch.ones(2, 5, dtype=torch.int64)}, ["a"])["a_head"].shape == (2, 3)


def test_another_feature_field():
    tasks = build_tasks(ModelConfig(), n_features=2, cardinalities={"a": 2}, feature_field="pixels", seed=0)
    assert MultitaskClassifier(tasks, device=-1)({"pixels": torch.ones(1, 2)}, ["a"])["a_head"].shape == (
        1,
        2,
    )


@pytest.mark.parametrize(("cardinalities", "found"), [({}, "no task"), ({"a": 2, "b": 1}, "1 for 'b'")])
def test_too_few_classes(cardinalities, found):
    with pytest.raises(TaskGraphError, match=f"at least two classes, got {found}"):
        build_tasks(ModelConfig(), n_features=2, cardinalities=cardinalities, seed=0)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(3, 4), r"expected features of shape \[n, 2\], got \[3, 4\]"),
        (torch.tensor([[1.0, float("nan")], [1.0, 2.0]]), r"NaN or infinity in columns \[1\]"),
    ],
)
def test_features_that_do_not_fit(features, message):
    with pytest.raises(DatasetError, match=message):
        Standardizer(2).fit(features)


@pytest.mark.parametrize(
    "settings", [{"hidden": [0]}, {"dropout": 1.0}, {"activation": "elu"}, {"widths": [3]}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ModelConfig(**settings)
