r"""Optimizers and learning-rate schedules, one implementation for both trainers.

The label model counts a step per epoch, the end model's trainer a step per mini-batch.  The learning
rate of a step is a pure function of its number (:func:`learning_rate`), so that a resumed run
continues exactly where the first one stopped.

Legend: s = step number from 0, T = number of steps in all, W = number of warm-up steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import Settings

if TYPE_CHECKING:
    import torch


class OptimConfig(Settings):
    """How parameters are updated, and how the learning rate moves over the steps."""

    optimizer: Literal["sgd", "adam", "adamax", "adamw"] = Field(
        "sgd", description="Which optimizer takes the steps."
    )
    lr: float = Field(0.01, gt=0, description="Base learning rate, before the schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment (adam, adamax, adamw).")
    beta2: float = Field(0.999, ge=0, lt=1, description="Decay of the second moment (adam, adamax, adamw).")
    eps: float = Field(1e-8, gt=0, description="Term added to the denominator (adam, adamax, adamw).")
    amsgrad: bool = Field(default=False, description="Use the AMSGrad variant (adam, adamw).")
    lr_scheduler: Literal["constant", "linear", "exponential", "step"] = Field(
        "constant", description="Shape of the learning rate after warm-up."
    )
    warmup_steps: float = Field(0, ge=0, description="Length of the linear warm-up, in warmup_unit.")
    warmup_unit: Literal["batches", "epochs"] = Field("batches", description="Unit of warmup_steps.")
    warmup_percentage: float = Field(
        0.0, ge=0, le=1, description="Warm-up as a fraction of all steps; used when warmup_steps is 0."
    )
    min_lr: float = Field(0.0, ge=0, description="The schedule never goes below this, after warm-up.")
    gamma: float = Field(0.9, gt=0, description="Factor per decay (exponential, step).")
    step_size: int = Field(5, ge=1, description="Steps between two decays (step).")


_OPTIMIZER_DETAILS = {
    "sgd_config": ("sgd",),
    "adam_config": ("adam", "adamw"),
    "adamax_config": ("adamax",),
}
_SCHEDULE_DETAILS = {"exponential_config": ("exponential",), "step_config": ("step",)}


def flat_optimizer_settings(config: Any, optimizer: str | None = None) -> dict[str, Any]:
    """Bring details of the optimizer into the flat form of :class:`OptimConfig`.

    Parameters
    ----------
    config
        None, a mapping of fields, or Snorkel's nested form: sgd_config (momentum), adam_config
        (amsgrad, betas) and adamax_config (betas, eps), as mappings or named tuples.
    optimizer
        The optimizer in use: only its part of a nested form counts.  Default: all parts, in order.
    """
    flat: dict[str, Any] = {}
    for name, value in _choose_details(config, _OPTIMIZER_DETAILS, optimizer).items():
        flat |= dict(zip(("beta1", "beta2"), value, strict=True)) if name == "betas" else {name: value}
    return flat


def flat_lr_scheduler_settings(config: Any, lr_scheduler: str) -> dict[str, Any]:
    """Bring details of the schedule into the flat form of :class:`OptimConfig`.

    Parameters
    ----------
    config
        None, a mapping of fields, or Snorkel's nested form, in which exponential_config and
        step_config hold gamma and step_size; only that of ``lr_scheduler`` counts.
    lr_scheduler
        The schedule in use.
    """
    return _choose_details(config, _SCHEDULE_DETAILS, lr_scheduler)


def _choose_details(
    config: Any, details: Mapping[str, tuple[str, ...]], chosen: str | None
) -> dict[str, Any]:
    """Fields of ``config`` itself and of those nested parts that are for ``chosen``."""
    flat: dict[str, Any] = {}
    for name, value in as_mapping(config).items():
        if name not in details:
            flat[name] = value
        elif chosen is None or chosen in details[name]:
            flat |= as_mapping(value)
    return flat


def as_mapping(config: Any) -> Mapping[str, Any]:
    """Fields of a mapping, of a named tuple, of settings, or of None (no fields).

    Raises
    ------
    SettingsError
        It is something else.
    """
    if config is None:
        return {}
    if isinstance(config, Settings):
        return config.model_dump(exclude_unset=True)
    if hasattr(config, "_asdict"):
        return dict(config._asdict())
    if isinstance(config, Mapping):
        return config
    message = f"expected a mapping of settings, got {type(config).__name__}"
    raise SettingsError(message)


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


def count_warmup_steps(config: OptimConfig, *, n_steps: int, steps_per_epoch: int = 1) -> int:
    """Number of warm-up steps W, at most ``n_steps``.

    Raises
    ------
    SettingsError
        The warm-up is longer than the training.
    """
    if config.warmup_steps:
        unit = steps_per_epoch if config.warmup_unit == "epochs" else 1
        n_warmup = int(config.warmup_steps * unit)
    else:
        n_warmup = int(config.warmup_percentage * n_steps)
    if n_warmup > n_steps:
        message = (
            f"warmup_steps={config.warmup_steps:g} {config.warmup_unit} is {n_warmup} steps, more than the "
            f"{n_steps} steps of the whole training; lower warmup_steps or raise n_epochs"
        )
        raise SettingsError(message)
    return n_warmup


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
