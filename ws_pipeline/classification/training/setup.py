"""The parts of a trainer that its settings ask for: checkpointer, log writer, optimizer, fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.training.checkpointer import Checkpointer
from ws_pipeline.classification.training.early_stopping import EarlyStopping
from ws_pipeline.classification.training.fingerprint import describe_loaders, describe_model, fingerprint_of
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.classification.training.run_state import has_fused_update, trainable_parameters
from ws_pipeline.classification.training.state import load_optimizer_tensors, optimizer_tensors
from ws_pipeline.classification.training.trainer_file import check_optimizer_fits
from ws_pipeline.errors import SettingsError
from ws_pipeline.optim import build_optimizer
from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.end_model import (
    CheckpointerConfig,
    LogManagerConfig,
    LogWriterConfig,
    TrainerConfig,
)

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


def build_early_stopping(config: TrainerConfig) -> EarlyStopping:
    """Build what decides whether to stop.

    Raises
    ------
    SettingsError
        The metric has another form than "task/dataset/split/metric:mode", or is never measured.
    """
    if config.early_stopping_metric is not None and not config.evaluation_freq:
        message = "early_stopping_metric needs evaluations, but evaluation_freq is 0; set it above 0"
        raise SettingsError(message)
    return EarlyStopping(config.early_stopping_metric, config.early_stopping_patience)


def build_log_writer(config: TrainerConfig) -> LogWriter | None:
    """Open the log, if there is to be one, and write the settings to it."""
    if not config.logging:
        return None
    if config.log_writer == "json":
        kind = LogWriter
    else:
        from ws_pipeline.classification.training.log.tensorboard_writer import TensorBoardWriter

        kind = TensorBoardWriter
    writer = kind(**_fields(config, LogWriterConfig))
    writer.write_config(config)
    return writer


def build_checkpointer(config: TrainerConfig, log_writer: LogWriter | None = None) -> Checkpointer | None:
    """Build the checkpointer, if there is to be one.

    Raises
    ------
    SettingsError
        Its settings contradict each other.
    """
    if not config.checkpointing:
        return None
    fields = _fields(config, CheckpointerConfig)
    if config.checkpoint_dir is None and config.logging:
        fields["checkpoint_dir"] = config.log_dir if log_writer is None else str(log_writer.log_dir)
    return Checkpointer(config.counter_unit, config.evaluation_freq, **fields)


def build_log_manager(
    config: TrainerConfig,
    train: Sequence[DictDataLoader],
    log_writer: LogWriter | None,
    checkpointer: Checkpointer | None,
) -> LogManager:
    """Build what counts."""
    n_batches = sum(len(loader) for loader in train)
    return LogManager(n_batches, log_writer, checkpointer, **_fields(config, LogManagerConfig))


def check_runway(config: TrainerConfig, train: Sequence[DictDataLoader]) -> None:
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
    config: TrainerConfig, model: MultitaskClassifier, moments: Mapping[str, Tensor]
) -> torch.optim.Optimizer:
    """Build the optimizer, with the moments of an earlier one if there are any.

    Raises
    ------
    TaskGraphError
        No parameter can be trained.
    FileFormatError
        The moments are those of another model.
    """
    parameters = trainable_parameters(model)
    fused = has_fused_update(config.optimizer, model, parameters) or None
    optimizer = build_optimizer(parameters, config, weight_decay=config.l2, fused=fused)
    if fused and config.optimizer == "sgd" and config.momentum:
        # the fused kernel takes all buffers or none; one that starts at 0 gives the same first update
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    if moments:
        check_optimizer_fits("the loaded trainer", moments, parameters)
        load_optimizer_tensors(optimizer, moments)
    return optimizer


def fingerprint_training(
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


def _fields(config: TrainerConfig, part: type[Settings]) -> dict[str, Any]:
    return config.model_dump(include=set(part.model_fields))
