"""Settings in Snorkel's nested form: named tuples that the trainer and the label model take.

``ws_pipeline`` itself has flat settings; these are for code that builds the nested ones by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import nearest


class SGDOptimizerConfig(NamedTuple):
    """Details of sgd."""

    momentum: float = 0.9


class AdamOptimizerConfig(NamedTuple):
    """Details of adam."""

    amsgrad: bool = False
    betas: tuple[float, float] = (0.9, 0.999)


class AdamaxOptimizerConfig(NamedTuple):
    """Details of adamax."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


class OptimizerConfig(NamedTuple):
    """Details of the optimizers."""

    sgd_config: SGDOptimizerConfig = SGDOptimizerConfig()
    adam_config: AdamOptimizerConfig = AdamOptimizerConfig()
    adamax_config: AdamaxOptimizerConfig = AdamaxOptimizerConfig()


class ExponentialLRSchedulerConfig(NamedTuple):
    """Details of the exponential schedule."""

    gamma: float = 0.9


class StepLRSchedulerConfig(NamedTuple):
    """Details of the step schedule."""

    gamma: float = 0.9
    step_size: int = 5


class LRSchedulerConfig(NamedTuple):
    """Details of the learning-rate schedules."""

    warmup_steps: float = 0
    warmup_unit: str = "batches"
    warmup_percentage: float = 0.0
    min_lr: float = 0.0
    exponential_config: ExponentialLRSchedulerConfig = ExponentialLRSchedulerConfig()
    step_config: StepLRSchedulerConfig = StepLRSchedulerConfig()


def merge_config(config: Any, config_updates: Mapping[str, Any]) -> Any:
    """Return settings with some fields replaced; a mapping replaces fields of nested settings.

    Parameters
    ----------
    config
        A named tuple, or settings of this package.
    config_updates
        Values by field; they stay as they are.

    Raises
    ------
    SettingsError
        A field is not there; names the nearest one.

    Examples
    --------
    >>> merge_config(LRSchedulerConfig(), {"step_config": {"gamma": 0.5}}).step_config
    StepLRSchedulerConfig(gamma=0.5, step_size=5)
    """
    known = list(getattr(type(config), "model_fields", None) or config._fields)
    merged = {}
    for field, value in config_updates.items():
        if field not in known:
            message = f"{type(config).__name__} has no field '{field}', {nearest(field, known)}"
            raise SettingsError(message)
        is_nested = isinstance(value, Mapping) and not isinstance(getattr(config, field), Mapping)
        merged[field] = merge_config(getattr(config, field), value) if is_nested else value
    if hasattr(config, "_replace"):
        return config._replace(**merged)
    return type(config).model_validate({**config.model_dump(), **merged})
