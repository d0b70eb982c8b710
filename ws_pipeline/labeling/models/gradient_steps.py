"""Gradient steps on one array: torch's optimizers in numpy, where a call of torch costs more than its sums.

The parameters of a label model are a few dozen numbers, and a step on them takes a few microseconds in numpy
and ten times that in torch.  The updates are those of torch 2, whose documentation gives them as algorithms,
in float64.  On other devices than the CPU, torch takes the steps.  Start reading at :func:`steps_on`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ws_pipeline.array_types import Floats
from ws_pipeline.optim import build_optimizer, set_learning_rate
from ws_pipeline.settings.optimizer import OptimConfig

if TYPE_CHECKING:
    import torch


class Steps(Protocol):
    """Takes steps on one array of parameters, in place."""

    def take(self, gradient: Any, lr: float) -> None:
        """Update the parameters by a gradient of their shape, at a learning rate."""


def steps_on(parameters: Any, config: OptimConfig) -> Steps:
    """The optimizer that ``config`` describes, on a numpy array or on a torch tensor."""
    if not isinstance(parameters, np.ndarray):
        return _TorchSteps(parameters, config)
    match config.optimizer:
        case "sgd":
            return _Sgd(parameters, config)
        case "adamax":
            return _Adamax(parameters, config)
        case _:
            return _Adam(parameters, config)


class _TorchSteps:
    def __init__(self, parameters: torch.Tensor, config: OptimConfig) -> None:
        import torch

        self.parameters = torch.nn.Parameter(parameters)  # shares the memory
        self.optimizer = build_optimizer([self.parameters], config)

    def take(self, gradient: torch.Tensor, lr: float) -> None:
        set_learning_rate(self.optimizer, lr)
        self.parameters.grad = gradient
        self.optimizer.step()


class _Sgd:
    """Stochastic gradient descent with momentum, without dampening."""

    def __init__(self, parameters: Floats, config: OptimConfig) -> None:
        self.parameters, self.momentum = parameters, config.momentum
        self.velocity = np.zeros_like(parameters)

    def take(self, gradient: Floats, lr: float) -> None:
        self.velocity *= self.momentum
        self.velocity += gradient
        self.parameters -= lr * self.velocity


class _Moments:
    """What Adam and Adamax share: the settings, the mean of the gradients, and the number of steps."""

    def __init__(self, parameters: Floats, config: OptimConfig) -> None:
        self.parameters, self.config = parameters, config
        self.first, self.second = np.zeros_like(parameters), np.zeros_like(parameters)
        self.n_steps = 0

    def _count(self, gradient: Floats) -> float:
        """Count a step; return what the mean of the gradients is short of by its start at zero."""
        self.n_steps += 1
        self.first += (1 - self.config.beta1) * (gradient - self.first)
        return 1 - self.config.beta1**self.n_steps


class _Adam(_Moments):
    """Adam and AdamW, which are the same where no weight decays; with AMSGrad if the settings say so."""

    def __init__(self, parameters: Floats, config: OptimConfig) -> None:
        super().__init__(parameters, config)
        self.largest = np.zeros_like(parameters)

    def take(self, gradient: Floats, lr: float) -> None:
        config = self.config
        short = self._count(gradient)
        self.second *= config.beta2
        self.second += (1 - config.beta2) * gradient * gradient
        np.maximum(self.largest, self.second, out=self.largest)
        squares = self.largest if config.amsgrad else self.second
        scale = np.sqrt(squares) / np.sqrt(1 - config.beta2**self.n_steps) + config.eps
        self.parameters -= (lr / short) * self.first / scale


class _Adamax(_Moments):
    """Adam with the largest gradient in place of the mean square."""

    def take(self, gradient: Floats, lr: float) -> None:
        config = self.config
        short = self._count(gradient)
        np.maximum(config.beta2 * self.second, np.abs(gradient) + config.eps, out=self.second)
        self.parameters -= (lr / short) * self.first / self.second
