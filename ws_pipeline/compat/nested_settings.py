"""Settings in Snorkel's nested form, brought into the flat form of this project's settings.

The label model and the trainer take both forms.  This module imports nothing but the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import Settings, parse_settings
from ws_pipeline.settings.trainer import CheckpointerConfig, LogManagerConfig, LogWriterConfig, TrainerConfig

_PARTS: dict[str, type[Settings]] = {
    "checkpointer_config": CheckpointerConfig,
    "log_manager_config": LogManagerConfig,
    "log_writer_config": LogWriterConfig,
}
_BALANCED = "balanced"
_OPTIMIZER_DETAILS = {
    "sgd_config": ("sgd",),
    "adam_config": ("adam", "adamw"),
    "adamax_config": ("adamax",),
}
_SCHEDULE_DETAILS = {"exponential_config": ("exponential",), "step_config": ("step",)}


def flat_optimizer_settings(config: Any, optimizer: str | None = None) -> dict[str, Any]:
    """Bring details of the optimizer into the flat form of :class:`.OptimConfig`.

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
    """Bring details of the schedule into the flat form of :class:`.OptimConfig`.

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


def flat_trainer_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Bring settings of the trainer into the flat form of :class:`.TrainerConfig`.

    Parameters
    ----------
    values
        Fields of :class:`.TrainerConfig`; or Snorkel's optimizer_config, lr_scheduler_config,
        checkpointer_config, log_manager_config and log_writer_config, as mappings, named tuples or
        settings.  ``class_weights`` may say "balanced" for a task, which then goes to
        ``balance_classes``.  ``seed=None`` is the default.

    Raises
    ------
    SettingsError
        A nested setting is unknown, out of range, or given twice with different values; or
        model_config is given, which belongs to the classifier.
    """
    flat = dict(values)
    if flat.pop("model_config", None):
        message = (
            "model_config belongs to the classifier: give its fields to "
            "MultitaskClassifier(tasks, device=..., dataparallel=...)"
        )
        raise SettingsError(message)
    if flat.get("seed", 0) is None:
        del flat["seed"]
    defaults = TrainerConfig()
    optimizer, schedule = (
        str(flat.get(name, getattr(defaults, name))) for name in ("optimizer", "lr_scheduler")
    )
    nested = {
        "optimizer_config": flat_optimizer_settings(flat.pop("optimizer_config", None), optimizer),
        "lr_scheduler_config": flat_lr_scheduler_settings(flat.pop("lr_scheduler_config", None), schedule),
    }
    for name, part in _PARTS.items():
        given = parse_settings(part, as_mapping(flat.pop(name, None)), where=name)
        nested[name] = given.model_dump(exclude_unset=True)
    for name, fields in nested.items():
        _add(flat, fields, where=name)
    return _split_class_weights(flat)


def _add(flat: dict[str, Any], fields: Mapping[str, Any], *, where: str) -> None:
    for field, value in fields.items():
        if flat.setdefault(field, value) != value:
            message = f"{field} is given twice: {flat[field]!r}, and {value!r} in {where}"
            raise SettingsError(message)


def _split_class_weights(flat: dict[str, Any]) -> dict[str, Any]:
    """Move tasks whose weights are "balanced" to balance_classes; weights may be tensors or arrays."""
    weights = flat.get("class_weights")
    if isinstance(weights, Mapping):
        numbers = {task: values for task, values in weights.items() if not _is_balanced(values)}
        flat["class_weights"] = {task: _to_list(values) for task, values in numbers.items()}
        balanced = [*flat.get("balance_classes", ()), *(task for task in weights if task not in numbers)]
        flat["balance_classes"] = sorted(set(balanced))
    return flat


def _is_balanced(values: Any) -> bool:
    return isinstance(values, str) and values == _BALANCED


def _to_list(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values
