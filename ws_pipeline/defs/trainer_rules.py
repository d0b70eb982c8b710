"""What a pipeline.yaml may say about training the end model.

The trainer refuses the same settings in the same words, but it begins when the label models are fitted;
these rules need nothing but the file.
"""

import math
from collections.abc import Iterator, Mapping

from ws_pipeline.classification.settings import EndModelConfig, ModelConfig
from ws_pipeline.classification.training.metric_modes import parse_metric_mode
from ws_pipeline.defs.config import DECIDED
from ws_pipeline.errors import SettingsError
from ws_pipeline.settings import nearest

_METRICS = ("loss", "accuracy", "f1_macro")


def check_trainer(trainer: EndModelConfig, classes: Mapping[str, int], model: ModelConfig) -> None:
    """Refuse settings that would be overruled, or that no training could use.

    Parameters
    ----------
    trainer
        The settings.
    classes
        Task name to number of classes k.
    model
        The end model; one of own modules may have metrics of its own.

    Raises
    ------
    SettingsError
        The message names the setting, what it is, and what it may be.
    """
    _check_decided(trainer)
    _check_class_weights(trainer, classes)
    for setting, text in _metrics(trainer):
        _check_metric(setting, parse_metric_mode(setting, text).name, classes, model)


def _check_decided(trainer: EndModelConfig) -> None:
    for name in sorted(trainer.model_fields_set & DECIDED.keys()):
        message = f"'{name}' is decided by the pipeline ({DECIDED[name]}); leave it out"
        raise SettingsError(message)
    if not trainer.evaluation_freq:
        message = "evaluation_freq is 0, but checkpoints are written at evaluations; set it above 0"
        raise SettingsError(message)


def _check_class_weights(trainer: EndModelConfig, classes: Mapping[str, int]) -> None:
    for setting, tasks in (
        ("class_weights", trainer.class_weights),
        ("balance_classes", trainer.balance_classes),
    ):
        for task in tasks:
            if task not in classes:
                message = f"{setting}: there is no task '{task}', {nearest(task, list(classes))}"
                raise SettingsError(message)
    for task, weights in trainer.class_weights.items():
        if task in trainer.balance_classes:
            message = f"task '{task}' is in class_weights and in balance_classes; choose one"
            raise SettingsError(message)
        if len(weights) != classes[task] or min(weights) < 0 or not 0 < sum(weights) < math.inf:
            message = (
                f"class_weights of task '{task}' must be {classes[task]} numbers at least 0, finite and not "
                f"all 0, found {weights}"
            )
            raise SettingsError(message)


def _metrics(trainer: EndModelConfig) -> Iterator[tuple[str, str]]:
    """Pairs of a setting and the metric and mode that it names."""
    yield "checkpoint_metric", trainer.checkpoint_metric
    for text in trainer.checkpoint_task_metrics or ():
        yield "checkpoint_task_metrics", text
    if trainer.early_stopping_metric is not None:
        yield "early_stopping_metric", trainer.early_stopping_metric


def possible_metrics(classes: Mapping[str, int]) -> list[str]:
    """Names of all that the training of a multilayer perceptron can give, whatever gold labels there are."""
    names = [f"model/all/{split}/loss" for split in ("train", "valid")]
    names += [f"{task}/probabilistic/train/loss" for task in classes]
    return names + [f"{place}{metric}" for place in _places(classes) for metric in _METRICS]


def _places(classes: Mapping[str, int]) -> tuple[str, ...]:
    """How the names of a task's scores on the valid split begin."""
    return tuple(f"{task}/{reference}/valid/" for task in classes for reference in ("gold", "label_model"))


def _check_metric(setting: str, name: str, classes: Mapping[str, int], model: ModelConfig) -> None:
    has_own = model.build_tasks is not None and name.startswith(_places(classes))
    known = possible_metrics(classes)
    if name not in known and not has_own:
        message = f"{setting}: there is no metric '{name}', {nearest(name, known)}"
        raise SettingsError(message)
