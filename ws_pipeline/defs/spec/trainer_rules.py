"""What a pipeline.yaml or a run config may say about fitting the label model and training the end model.

The label model and the trainer refuse the same settings in the same words, but the trainer begins when the
label models are fitted; these rules need nothing but the settings.
"""

import math
from collections.abc import Iterator, Mapping

from ws_pipeline.errors import SettingsError
from ws_pipeline.labeling.models.matrix_completion import FitConfig
from ws_pipeline.optim import count_warmup_steps
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.end_model import EndModelConfig, ModelConfig
from ws_pipeline.settings.metric_modes import parse_metric_mode

_METRICS = ("loss", "accuracy", "f1_macro")

#: Settings of the end model's training that the pipeline decides itself, and why.
DECIDED = {
    "checkpointing": "a training always keeps its state, so that an interrupted run can be continued",
    "checkpoint_dir": "the resource 'checkpoints' says where",
    "checkpoint_clear": "a complete training leaves no state behind, else the next run would not train",
    "train_split": "the splits are those of the examples",
    "valid_split": "the splits are those of the examples",
    "test_split": "the splits are those of the examples",
    "progress_bar": "the run's log has a line per epoch",
    "logging": "the history is in the asset's metadata, and the run's log has a line per epoch",
    "log_writer": "see logging",
    "log_dir": "see logging",
    "run_name": "see logging",
}


def check_label_model(settings: FitConfig) -> FitConfig:
    """Return the settings of a label model, or refuse those that no fit could use.

    How many LFs there are, only the votes tell.

    Raises
    ------
    SettingsError
        The message names the setting and what it is.
    """
    found = settings.prec_init
    precisions = found if isinstance(found, list) else [found]
    if not precisions or any(not 0 < precision <= 1 for precision in precisions):
        message = f"prec_init must be precisions in (0, 1], got {found}"
        raise SettingsError(message)
    count_warmup_steps(settings, n_steps=settings.n_epochs)
    return settings


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
    _check_lengths(trainer)
    for setting, text in _metrics(trainer):
        _check_metric(setting, parse_metric_mode(setting, text).name, classes, model)


def _check_decided(trainer: EndModelConfig) -> None:
    for name in sorted(trainer.model_fields_set & DECIDED.keys()):
        message = f"'{name}' is decided by the pipeline ({DECIDED[name]}); leave it out"
        raise SettingsError(message)
    if not trainer.evaluation_freq:
        message = "evaluation_freq is 0, but checkpoints are written at evaluations; set it above 0"
        raise SettingsError(message)


def _check_lengths(trainer: EndModelConfig) -> None:
    """Refuse what lasts longer than the training; in units other than epochs, only the data tell."""
    waits = {"warmup_steps": trainer.warmup_unit, "checkpoint_runway": trainer.counter_unit}
    for setting, unit in waits.items():
        length = getattr(trainer, setting)
        if unit == "epochs" and length > trainer.n_epochs:
            message = (
                f"{setting} is {length:g} epochs, but the training has n_epochs = {trainer.n_epochs}; lower "
                f"{setting}, or raise n_epochs"
            )
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
