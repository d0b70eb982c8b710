"""Gradient steps in numpy against torch's optimizers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ws_pipeline.labeling.models.gradient_steps import steps_on
from ws_pipeline.settings.optimizer import OptimConfig

SETTINGS = {
    "sgd": OptimConfig(),
    "sgd without momentum": OptimConfig(momentum=0),
    "adam": OptimConfig(optimizer="adam", beta1=0.8, beta2=0.95, eps=1e-6),
    "amsgrad": OptimConfig(optimizer="adam", amsgrad=True, beta2=0.9),
    "adamw": OptimConfig(optimizer="adamw"),
    "adamax": OptimConfig(optimizer="adamax", beta2=0.9),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_steps_are_those_of_torch(name):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(12, 3))
    tensor = torch.from_numpy(numbers.copy())
    own, torchs = steps_on(numbers, SETTINGS[name]), steps_on(tensor, SETTINGS[name])
    start = numbers.copy()
    for step in range(60):
        gradient = rng.normal(size=numbers.shape) * np.exp(-step / 20)
        gradient[0] = 0
        lr = 0.05 / (1 + step)
        own.take(gradient, lr)
        torchs.take(torch.from_numpy(gradient), lr)
        np.testing.assert_allclose(numbers, tensor.numpy(), rtol=1e-12, atol=1e-13)
    assert np.abs(numbers - start)[1:].min() > 1e-5


def test_the_gradient_is_left_as_it_was():
    for settings in SETTINGS.values():
        gradient = np.ones((4, 2))
        steps = steps_on(np.zeros((4, 2)), settings)
        steps.take(gradient, 0.1)
        steps.take(gradient, 0.1)
        assert (gradient == 1).all()
