"""Learning-rate schedules against closed values, and the torch optimizers the settings describe."""

from __future__ import annotations

import pytest
import torch

from ws_pipeline.errors import SettingsError
from ws_pipeline.optim import build_optimizer, learning_rate, set_learning_rate
from ws_pipeline.settings.optimizer import OptimConfig, count_warmup_steps


def rates(n_steps: int, **settings: object) -> list[float]:
    config = OptimConfig(lr=1.0, **settings)
    n_warmup = count_warmup_steps(config, n_steps=n_steps, steps_per_epoch=2)
    return [learning_rate(config, step, n_steps=n_steps, n_warmup=n_warmup) for step in range(n_steps)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 1, 1, 1]),
        ({"lr_scheduler": "linear"}, [1, 0.75, 0.5, 0.25]),
        ({"lr_scheduler": "exponential", "gamma": 0.5}, [1, 0.5, 0.25, 0.125]),
        ({"lr_scheduler": "step", "gamma": 0.5, "step_size": 2}, [1, 1, 0.5, 0.5]),
        ({"warmup_steps": 2}, [0.5, 1, 1, 1]),
        ({"warmup_steps": 1, "warmup_unit": "epochs"}, [0.5, 1, 1, 1]),
        ({"warmup_percentage": 0.5}, [0.5, 1, 1, 1]),
        ({"warmup_percentage": 1.0}, [0.25, 0.5, 0.75, 1]),
        ({"warmup_steps": 2, "lr_scheduler": "linear"}, [0.5, 1, 1, 0.5]),
        ({"warmup_steps": 2, "lr_scheduler": "exponential", "gamma": 0.5}, [0.5, 1, 1, 0.5]),
        ({"warmup_steps": 1, "lr_scheduler": "step", "gamma": 0.1, "step_size": 1}, [1, 1, 0.1, 0.01]),
        ({"lr_scheduler": "exponential", "gamma": 0.1, "min_lr": 0.05}, [1, 0.1, 0.05, 0.05]),
        ({"warmup_steps": 4, "min_lr": 0.9}, [0.25, 0.5, 0.75, 1]),
    ],
)
def test_schedules(settings, expected):
    assert rates(4, **settings) == pytest.approx(expected)


@pytest.mark.parametrize("scheduler", ["constant", "linear", "exponential", "step"])
def test_the_rate_is_never_zero(scheduler):
    assert min(rates(50, lr_scheduler=scheduler, warmup_percentage=0.2)) > 0


@pytest.mark.parametrize(
    ("unit", "found"), [("batches", "5 batches is 5 steps"), ("epochs", "5 epochs is 10 steps")]
)
def test_warmup_longer_than_training(unit, found):
    with pytest.raises(SettingsError, match=found):
        rates(4, warmup_steps=5, warmup_unit=unit)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamax", "adamw"])
def test_optimizers_take_their_settings(name):
    config = OptimConfig(
        optimizer=name,
        lr=0.25,
        momentum=0.5,
        beta1=0.7,
        beta2=0.8,
        eps=1e-3,
        amsgrad=name in {"adam", "adamw"},
    )
    optimizer = build_optimizer([torch.nn.Parameter(torch.ones(2))], config, weight_decay=0.125)
    (group,) = optimizer.param_groups
    assert type(optimizer).__name__.lower() == name
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.125)
    if name == "sgd":
        assert group["momentum"] == 0.5
    else:
        assert (group["betas"], group["eps"]) == ((0.7, 0.8), 1e-3)
    assert group.get("amsgrad", False) == (name in {"adam", "adamw"})


@pytest.mark.parametrize("fused", [None, True])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamax", "adamw"])
def test_optimizers_minimise(name, fused):
    parameter = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = build_optimizer([parameter], OptimConfig(optimizer=name, lr=0.1), fused=fused)
    assert optimizer.defaults.get("fused") == (fused if name != "adamax" else None)
    for _ in range(200):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    assert abs(parameter.item()) < 0.1


def test_only_adamw_decouples_the_decay():
    """Without a gradient it shrinks the parameter by lr * decay; adam scales the decay to a full step."""
    results = {}
    for name in ("adam", "adamw"):
        parameter = torch.nn.Parameter(torch.tensor([2.0]))
        optimizer = build_optimizer([parameter], OptimConfig(optimizer=name, lr=0.1), weight_decay=0.5)
        parameter.grad = torch.zeros(1)
        optimizer.step()
        results[name] = parameter.item()
    assert results == {"adam": pytest.approx(1.9), "adamw": pytest.approx(2.0 * (1 - 0.1 * 0.5))}


def test_set_learning_rate_reaches_all_groups():
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(1))]},
        {"params": [torch.nn.Parameter(torch.ones(1))]},
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    set_learning_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]


@pytest.mark.parametrize("settings", [{"lr": 0}, {"momentum": 1}, {"gamma": 0}, {"step_size": 0}, {"lrr": 1}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        OptimConfig(**settings)
