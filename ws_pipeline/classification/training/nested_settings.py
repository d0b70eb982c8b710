"""Settings of the trainer in Snorkel's nested form, brought into the flat form of ``TrainerConfig``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ws_pipeline.errors import SettingsError
from ws_pipeline.optim import as_mapping, flat_lr_scheduler_settings, flat_optimizer_settings
from ws_pipeline.settings.base import Settings, parse_settings
from ws_pipeline.settings.end_model import (
    CheckpointerConfig,
    LogManagerConfig,
    LogWriterConfig,
    TrainerConfig,
)

_PARTS: dict[str, type[Settings]] = {
    "checkpointer_config": CheckpointerConfig,
    "log_manager_config": LogManagerConfig,
    "log_writer_config": LogWriterConfig,
}
_BALANCED = "balanced"


def parse_trainer_settings(values: Mapping[str, Any]) -> TrainerConfig:
    """Validate settings of the trainer, flat or nested.

    Parameters
    ----------
    values
        Fields of :class:`~ws_pipeline.settings.end_model.TrainerConfig`; or Snorkel's
        optimizer_config, lr_scheduler_config, checkpointer_config, log_manager_config and
        log_writer_config, as mappings, named tuples or settings.  ``class_weights`` may say
        "balanced" for a task, which then goes to ``balance_classes``.  ``seed=None`` is the default.

    Raises
    ------
    SettingsError
        A setting is unknown, out of range, or given twice with different values; or model_config is
        given, which belongs to the classifier.
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
    return parse_settings(TrainerConfig, _split_class_weights(flat))


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
    twice = sorted(set(flat.get("class_weights") or ()) & set(flat.get("balance_classes") or ()))
    if twice:
        message = f"task '{twice[0]}' is in class_weights and in balance_classes; choose one"
        raise SettingsError(message)
    return flat


def _is_balanced(values: Any) -> bool:
    return isinstance(values, str) and values == _BALANCED


def _to_list(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values
