"""Builds a training from its settings, a model and loaders, and refuses what can be refused before it starts.

Start reading at :func:`begin_run`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import DictDataset
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.network.scoring import check_places, warn_of_unknown_labels
from ws_pipeline.classification.training.checkpointer import Checkpointer
from ws_pipeline.classification.training.class_weights import build_class_weights
from ws_pipeline.classification.training.fingerprint import describe_loaders, describe_model, fingerprint_of
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.classification.training.model_selection import EarlyStopping, check_before_training
from ws_pipeline.classification.training.progress import Progress
from ws_pipeline.classification.training.run_state import SamplerStates, TrainingRun, TrainingState
from ws_pipeline.classification.training.step import DeferredUpdater, MeanLosses, Updater, autocast
from ws_pipeline.classification.training.trainer_file import (
    check_optimizer_fits,
    load_optimizer_tensors,
    optimizer_tensors,
)
from ws_pipeline.errors import DatasetError, SettingsError, TaskGraphError, UnmatchedLabelsWarning
from ws_pipeline.optim import build_optimizer
from ws_pipeline.settings.metric_names import MetricName
from ws_pipeline.settings.optimizer import count_warmup_steps
from ws_pipeline.settings.trainer import TrainerConfig

#: Settings that change nothing of what is trained.
_OUTWARD = {
    "checkpoint_dir",
    "checkpoint_clear",
    "log_dir",
    "run_name",
    "logging",
    "log_writer",
    "progress_bar",
}


def begin_run(
    config: TrainerConfig,
    model: MultitaskClassifier,
    dataloaders: Sequence[DictDataLoader],
    moments: Mapping[str, Tensor],
) -> TrainingRun:
    """Build all that a training works with; nothing is written before all of it was checked.

    Parameters
    ----------
    config
        The settings.
    model
        The classifier.
    dataloaders
        Loaders of any splits.
    moments
        Moments of an earlier optimizer, may be empty.

    Raises
    ------
    DatasetError
        There is no loader of the train split, a split is unknown, a train loader gives no batch
        or has no labelled row of any task, or two valid loaders have the same labels, name
        and split.
    TaskGraphError
        No parameter of the model can be trained, a task cannot use its class weights, or tasks
        that a loader has labels of cannot be computed together.
    SettingsError
        The warm-up or the runway is longer than the training, or a metric to choose a model by
        does not exist; of a metric of one's own, only the first evaluation shows that.
    DeviceError
        The device does not compute in the precision asked for.
    """
    train, valid = _choose_loaders(config, model, dataloaders)
    n_batches = sum(len(loader) for loader in train)
    n_steps = config.n_epochs * n_batches
    n_warmup = count_warmup_steps(config, n_steps=n_steps, steps_per_epoch=n_batches)
    cast = autocast(config.precision, model.device)
    weights = build_class_weights(model, train, given=config.class_weights, balanced=config.balance_classes)
    optimizer = build_trainers_optimizer(config, model, moments)
    _check_runway(config, train)
    check_before_training(config, model, train, valid)
    log_writer = _build_log_writer(config)
    checkpointer = _build_checkpointer(config, log_writer)
    losses = MeanLosses(MetricName.of_model(config.train_split))
    return TrainingRun(
        config=config,
        state=TrainingState(
            model,
            optimizer,
            LogManager(n_batches, log_writer, checkpointer, config=config),
            EarlyStopping(config.early_stopping_metric, config.early_stopping_patience),
            losses,
        ),
        n_batches=n_batches,
        n_steps=n_steps,
        n_warmup=n_warmup,
        train=train,
        valid=valid,
        updater=_updater_class(model, optimizer)(model, optimizer, config.grad_clip or 0.0, losses),
        samplers=SamplerStates(train, valid),
        class_weights=(weights,) if weights else (),
        loss_weights={name: task.loss_weight for name, task in model.tasks.items()},
        autocast=cast,
        progress=Progress(
            enabled=config.progress_bar, split=config.train_split, many_datasets=len(train) > 1
        ),
        log_writer=log_writer,
        checkpointer=checkpointer,
        fingerprint=(
            None
            if checkpointer is None
            else _fingerprint_training(config, model, optimizer, [*train, *valid])
        ),
    )


def _build_log_writer(config: TrainerConfig) -> LogWriter | None:
    """Open the log, if there is to be one, and write the settings to it."""
    if not config.logging:
        return None
    if config.log_writer == "json":
        kind = LogWriter
    else:
        from ws_pipeline.classification.training.log.tensorboard_writer import TensorBoardWriter

        kind = TensorBoardWriter
    writer = kind(config=config)
    writer.write_config(config)
    return writer


def _build_checkpointer(config: TrainerConfig, log_writer: LogWriter | None) -> Checkpointer | None:
    """Build the checkpointer, if there is to be one; without a folder of its own it has that of the log."""
    if not config.checkpointing:
        return None
    if config.checkpoint_dir is None and log_writer is not None:
        config = config.model_copy(update={"checkpoint_dir": str(log_writer.log_dir)})
    return Checkpointer(config.counter_unit, config.evaluation_freq, config=config)


def _updater_class(model: MultitaskClassifier, optimizer: torch.optim.Optimizer) -> type[Updater]:
    fused = optimizer.defaults.get("fused") and model.device.type == "cuda"
    return DeferredUpdater if fused else Updater


def _check_runway(config: TrainerConfig, train: Sequence[DictDataLoader]) -> None:
    """Refuse a runway that is longer than the training, after which no model would be the best one.

    Raises
    ------
    SettingsError
        It is.
    """
    n_batches = sum(len(loader) for loader in train)
    n_points = sum(len(loader) * (loader.batch_size or len(loader.dataset)) for loader in train)  # at most
    per_epoch = {"epochs": 1, "batches": n_batches, "points": n_points}[config.counter_unit]
    n_units = config.n_epochs * per_epoch
    if config.checkpointing and config.checkpoint_runway > n_units:
        message = (
            f"checkpoint_runway={config.checkpoint_runway:g} {config.counter_unit} is longer than the whole "
            f"training of {n_units}; lower it, or raise n_epochs"
        )
        raise SettingsError(message)


def build_trainers_optimizer(
    config: TrainerConfig,
    model: MultitaskClassifier,
    moments: Mapping[str, Tensor],
    *,
    where: str = "the loaded trainer",
) -> torch.optim.Optimizer:
    """Build the optimizer, with the moments of an earlier one if there are any; ``where`` says whence.

    Raises
    ------
    TaskGraphError
        No parameter can be trained.
    FileFormatError
        The moments are those of another model.
    """
    parameters = trainable_parameters(model)
    fused = _has_fused_update(config.optimizer, model, parameters) or None
    optimizer = build_optimizer(parameters, config, weight_decay=config.l2, fused=fused)
    if fused and config.optimizer == "sgd" and config.momentum:
        # the fused kernel takes all buffers or none; one that starts at 0 gives the same first update
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    if moments:
        check_optimizer_fits(where, moments, parameters)
        load_optimizer_tensors(optimizer, moments)
    return optimizer


def _fingerprint_training(
    config: TrainerConfig,
    model: MultitaskClassifier,
    optimizer: torch.optim.Optimizer,
    loaders: Sequence[DictDataLoader],
) -> str:
    """Fingerprint of all that decides what a training ends in."""
    return fingerprint_of(
        config.model_dump(exclude=_OUTWARD),
        describe_model(model),
        optimizer_tensors(optimizer),
        describe_loaders(loaders),
    )


def trainable_parameters(model: MultitaskClassifier) -> list[torch.nn.Parameter]:
    """Parameters that training changes.

    Raises
    ------
    TaskGraphError
        There is none.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        message = f"'{model.name}' has no parameter that can be trained; set requires_grad on some"
        raise TaskGraphError(message)
    return parameters


def _has_fused_update(
    optimizer: str, model: MultitaskClassifier, parameters: Iterable[torch.nn.Parameter]
) -> bool:
    """Say whether torch has one kernel for the update of all these parameters."""
    sparse = any(getattr(module, "sparse", False) for module in model.modules())
    kinds = {(parameter.device.type, parameter.is_floating_point()) for parameter in parameters}
    return optimizer != "adamax" and not sparse and kinds in ({("cpu", True)}, {("cuda", True)})


def _choose_loaders(
    config: TrainerConfig, model: MultitaskClassifier, dataloaders: Sequence[DictDataLoader]
) -> tuple[list[DictDataLoader], list[DictDataLoader]]:
    """The loaders to train on and those to evaluate on.

    Raises
    ------
    DatasetError
        There is no loader of the train split, a split is unknown, a train loader gives no batch, none
        has a labelled row of any task, or two valid loaders have the same labels, name and split.

    Warns
    -----
    UnmatchedLabelsWarning
        A dataset has labels of no task, a train loader has no labelled row and is left out, or no
        train loader has a labelled row of a task, which is then not trained.
    """
    known = (config.train_split, config.valid_split, config.test_split)
    for loader in dataloaders:
        if loader.dataset.split not in known:
            message = f"{loader.dataset!r}: unknown split '{loader.dataset.split}', expected one of {known}"
            raise DatasetError(message)
    train = [loader for loader in dataloaders if loader.dataset.split == config.train_split]
    valid = [loader for loader in dataloaders if loader.dataset.split == config.valid_split]
    if not train:
        found = ", ".join(loader.dataset.split for loader in dataloaders) or "no loader"
        message = f"there is no loader of the train split '{config.train_split}', got {found}"
        raise DatasetError(message)
    train = _loaders_with_labels(model, train)
    for loader in train:
        if len(loader) == 0:
            message = (
                f"{loader.dataset!r}: the loader gives no batch; lower batch_size or leave drop_last off"
            )
            raise DatasetError(message)
    check_places(model, valid)
    for loader in [*train, *valid]:
        warn_of_unknown_labels(model, loader.dataset)
    return train, valid


def _loaders_with_labels(model: MultitaskClassifier, train: Sequence[DictDataLoader]) -> list[DictDataLoader]:
    """The loaders that can train a task; warns of those that cannot, and of tasks that none can train."""
    useful, useless, trained = [], [], set()
    for loader in train:
        tasks = _labelled_tasks(model, loader.dataset)
        trained |= tasks
        if tasks:
            useful.append(loader)
        else:
            useless.append(_why_useless(model, loader.dataset))
    if not useful:
        raise DatasetError("; ".join(useless))
    for reason in useless:
        warnings.warn(f"{reason}; it is left out", UnmatchedLabelsWarning, stacklevel=2)
    untrained = [name for name in model.tasks if name not in trained]
    if untrained:
        message = (
            f"no train dataset has a labelled row of {', '.join(untrained)}, so these tasks are not trained; "
            "modules that no other task calls stay as they are"
        )
        warnings.warn(message, UnmatchedLabelsWarning, stacklevel=2)
    return useful


def _labelled_tasks(model: MultitaskClassifier, dataset: DictDataset) -> set[str]:
    """Names of the tasks that at least one row has a label of."""
    labels = dataset.Y_dict
    tasks = model.labels_to_tasks(labels)
    return {task for label, task in tasks.items() if bool((labels[label] != -1).any())}


def _why_useless(model: MultitaskClassifier, dataset: DictDataset) -> str:
    known = model.labels_to_tasks(dataset.Y_dict)
    if known:
        return f"{dataset!r} has no labelled row: all labels of {', '.join(known)} are -1"
    if model.tasks:
        return f"{dataset!r} has no labels of the tasks {', '.join(model.tasks)}"
    return f"{dataset!r} cannot train a classifier without tasks; add one with add_task"
