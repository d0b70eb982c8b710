"""Rules about the end model's training that need the pipeline's tasks, checked before anything is fitted.

Without them, the trainer would refuse such settings only when all label models are fitted.
"""

from collections.abc import Iterator, Mapping

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.end_model import EndModelConfig, ModelConfig
from ws_pipeline.settings.metric_names import LOSS, MetricMode, MetricName

_METRICS = (LOSS, "accuracy", "f1_macro")
_REFERENCES = ("gold", "label_model")


def check_trainer(trainer: EndModelConfig, cardinalities: Mapping[str, int], model: ModelConfig) -> None:
    """Refuse settings that would be overruled, or that no training could use.

    Parameters
    ----------
    trainer
        The settings.
    cardinalities
        Task name to number of classes k.
    model
        The end model; one of own modules may have metrics of its own.

    Raises
    ------
    SettingsError
        The message names the setting, what it is, and what it may be.
    """
    _check_class_weights(trainer, cardinalities)
    for setting, text in _metrics(trainer):
        _check_metric(setting, MetricMode.parse(text).name, cardinalities, model)


def _check_class_weights(trainer: EndModelConfig, cardinalities: Mapping[str, int]) -> None:
    for setting, tasks in (
        ("class_weights", trainer.class_weights),
        ("balance_classes", trainer.balance_classes),
    ):
        for task in tasks:
            if task not in cardinalities:
                message = f"{setting}: there is no task '{task}', {nearest(task, list(cardinalities))}"
                raise SettingsError(message)
    for task, weights in trainer.class_weights.items():
        if len(weights) != cardinalities[task]:
            message = f"class_weights of task '{task}' must be {cardinalities[task]} numbers, got {weights}"
            raise SettingsError(message)


def _metrics(trainer: EndModelConfig) -> Iterator[tuple[str, str]]:
    """Pairs of a setting and the metric and mode that it names."""
    if trainer.checkpoint_metric is not None:
        yield "checkpoint_metric", trainer.checkpoint_metric
    for text in trainer.checkpoint_task_metrics or ():
        yield "checkpoint_task_metrics", text
    if trainer.early_stopping_metric is not None:
        yield "early_stopping_metric", trainer.early_stopping_metric


def possible_metrics(cardinalities: Mapping[str, int]) -> list[str]:
    """Names of all that the training of a multilayer perceptron can give, whatever gold labels there are."""
    names = [MetricName.of_model(split) for split in ("train", "valid")]
    names += [MetricName(task, "probabilistic", "train", LOSS) for task in cardinalities]
    names += [
        MetricName(task, reference, "valid", metric)
        for task in cardinalities
        for reference in _REFERENCES
        for metric in _METRICS
    ]
    return list(map(str, names))


def _check_metric(setting: str, name: str, cardinalities: Mapping[str, int], model: ModelConfig) -> None:
    known = possible_metrics(cardinalities)
    if name not in known and not (model.build_tasks is not None and _is_score(name, cardinalities)):
        message = f"{setting}: there is no metric '{name}', {nearest(name, known)}"
        raise SettingsError(message)


def _is_score(name: str, cardinalities: Mapping[str, int]) -> bool:
    """Whether it is of a task on the valid split, where own modules may have metrics of their own."""
    found = MetricName.parse(name)
    return (
        found is not None
        and found.task in cardinalities
        and found.dataset in _REFERENCES
        and found.split == "valid"
    )
