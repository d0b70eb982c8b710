r"""Optimizers and learning-rate schedules, one implementation for both trainers.

The label model counts a step per epoch, the end model's trainer a step per mini-batch.  The learning
rate of a step is a pure function of its number (:func:`learning_rate`), so that a resumed run
continues exactly where the first one stopped.

Legend: s = step number from 0, T = number of steps in all, W = number of warm-up steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ws_pipeline.settings.optimizer import OptimConfig

if TYPE_CHECKING:
    import torch


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter],
    config: OptimConfig,
    *,
    weight_decay: float = 0.0,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """Build the torch optimizer that ``config`` describes, at its base learning rate.

    Parameters
    ----------
    parameters
        What it updates.
    config
        Its settings.
    weight_decay
        L2 penalty; with adamw the decay is decoupled from the gradient.
    fused
        Update all parameters in one kernel, where the optimizer has it (adamax has not): the same
        update up to rounding, in less time.  Default: torch's choice.
    """
    import torch

    common: dict[str, Any] = {"lr": config.lr, "weight_decay": weight_decay}
    moments: dict[str, Any] = {"betas": (config.beta1, config.beta2), "eps": config.eps}
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, momentum=config.momentum, fused=fused, **common)
        case "adam":
            return torch.optim.Adam(parameters, amsgrad=config.amsgrad, fused=fused, **common, **moments)
        case "adamw":
            return torch.optim.AdamW(parameters, amsgrad=config.amsgrad, fused=fused, **common, **moments)
        case "adamax":
            return torch.optim.Adamax(parameters, **common, **moments)


def learning_rate(config: OptimConfig, step: int, *, n_steps: int, n_warmup: int = 0) -> float:
    """Learning rate of one step.

    Warm-up rises linearly from lr/W to lr over steps 0..W-1.  After it, with s' = s - W:
    constant: lr; linear: lr * (T - s) / (T - W); exponential: lr * gamma^s';
    step: lr * gamma^floor(s' / step_size); all of them at least ``min_lr``.

    Parameters
    ----------
    config
        Base rate and schedule.
    step
        Step number s, from 0 to ``n_steps`` - 1.
    n_steps
        Number of steps T of the whole training.
    n_warmup
        Number of warm-up steps W, from :func:`count_warmup_steps`.
    """
    if step < n_warmup:
        return config.lr * (step + 1) / n_warmup
    after = step - n_warmup
    match config.lr_scheduler:
        case "constant":
            factor = 1.0
        case "linear":
            factor = (n_steps - step) / (n_steps - n_warmup)
        case "exponential":
            factor = config.gamma**after
        case "step":
            factor = config.gamma ** (after // config.step_size)
    return max(config.lr * factor, config.min_lr)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give all parameter groups of ``optimizer`` the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
