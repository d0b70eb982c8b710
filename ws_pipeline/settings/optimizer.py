"""Settings of the optimizer and of the learning rate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import Settings


class OptimConfig(Settings):
    """Settings of the optimizer and of the learning rate."""

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
