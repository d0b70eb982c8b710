"""Settings of a classifier and of its training; none of them needs torch.

:class:`TrainingConfig` is what decides how a model is trained; :class:`TrainerConfig` adds where a trainer
of the library keeps its files, and what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.metric_names import MetricChoice
from ws_pipeline.settings.optimizer import OptimConfig


class ClassifierConfig(Settings):
    """Devices of a :class:`~ws_pipeline.classification.MultitaskClassifier`."""

    device: int | str = Field(
        0,
        description="Number of the GPU, -1 for the CPU (also taken when there is no GPU), or a torch device "
        "name such as 'cpu', 'cuda:1' or 'mps', which must be there.",
    )
    dataparallel: bool = Field(
        default=True, description="Split batches over all GPUs, when there are several and device is one."
    )


class LogManagerConfig(Settings):
    """Times of evaluation during training."""

    counter_unit: Literal["epochs", "batches", "points"] = Field(
        "epochs", description="What evaluation_freq and checkpoint_runway count."
    )
    evaluation_freq: float = Field(
        1.0, ge=0, description="Evaluate every this many counter_units, and at the end; 0: never."
    )


class BestModelConfig(Settings):
    """Choice of the best model."""

    checkpoint_factor: int = Field(
        1, ge=1, description="Write a checkpoint and look for a best model every this many evaluations."
    )
    checkpoint_task_metrics: list[MetricChoice] | None = Field(
        None, description="Further metrics to keep a best model of, in the same form."
    )
    checkpoint_runway: float = Field(
        0.0, ge=0, description="Do not look for a best model before this many counter_units."
    )


class CheckpointerConfig(BestModelConfig):
    """Files that are kept of a training."""

    checkpoint_dir: str | None = Field(
        "checkpoints",
        description="Folder of the checkpoints, a path or any fsspec URL, for one running training at a "
        "time; best models of an earlier one are replaced. None: the folder of the log, which a restart "
        "finds by its run_name.",
    )
    checkpoint_metric: MetricChoice = Field(
        "model/all/train/loss:min",
        description="What makes a model the best one, which is loaded after training: "
        "task/dataset/split/metric:mode, where mode is max or min.",
    )
    checkpoint_clear: bool = Field(
        default=True,
        description="Remove the checkpoint when training is complete; best models stay. Otherwise keep it, "
        "and the model of every checkpoint.",
    )


class LogWriterConfig(Settings):
    """Place of the log."""

    log_dir: str = Field("logs", description="Folder of all logs.")
    run_name: str | None = Field(None, description="Folder of this run's log below it; None: date and time.")


class TrainingConfig(OptimConfig, LogManagerConfig, BestModelConfig):
    """Settings that decide the result of a training; steps are mini-batches."""

    seed: int = Field(
        0, ge=0, description="Decides the order of batches and rows, and dropout; not the initial weights."
    )
    n_epochs: int = Field(1, ge=1, description="Number of passes over the train split.")
    optimizer: Literal["sgd", "adam", "adamax", "adamw"] = Field(
        "adam", description="Which optimizer takes the steps."
    )
    l2: float = Field(0.0, ge=0, description="Weight decay, handed to the optimizer.")
    grad_clip: float | None = Field(
        1.0, ge=0, description="Largest norm of the gradient over all parameters; 0 or None: no limit."
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32",
        description="Arithmetic of the forward pass in training; parameters and evaluation stay float32.",
    )
    class_weights: dict[str, list[float]] = Field(
        {}, description="Task name to the weight of each class in the task's loss; other tasks: all 1."
    )
    balance_classes: list[str] = Field(
        [], description="Tasks whose classes get weights that make them count the same in the train labels."
    )
    batch_scheduler: Literal["shuffled", "sequential"] = Field(
        "shuffled", description="Order of the batches of several train datasets."
    )
    early_stopping_metric: MetricChoice | None = Field(
        None,
        description="Stop when this metric, task/dataset/split/metric:mode, no longer improves; None: "
        "train all epochs.",
    )
    early_stopping_patience: int = Field(
        5, ge=1, description="Stop after this many evaluations in a row without improvement."
    )

    @model_validator(mode="after")
    def _check_class_weights(self) -> Self:
        for task, weights in self.class_weights.items():
            if task in self.balance_classes:
                message = f"task '{task}' is in class_weights and in balance_classes; choose one"
                raise ValueError(message)
            if not are_class_weights(weights):
                message = (
                    f"class_weights of task '{task}' must be numbers at least 0, finite and not all 0, got "
                    f"{weights}"
                )
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_early_stopping(self) -> Self:
        if self.early_stopping_metric is not None and not self.evaluation_freq:
            message = "early_stopping_metric needs evaluations, but evaluation_freq is 0; set it above 0"
            raise ValueError(message)
        return self


class TrainerConfig(TrainingConfig, CheckpointerConfig, LogWriterConfig):
    """Settings of a :class:`~ws_pipeline.classification.Trainer`: the training, its files and its display."""

    train_split: str = Field("train", description="Split of the datasets to train on.")
    valid_split: str = Field("valid", description="Split of the datasets to evaluate on during training.")
    test_split: str = Field("test", description="Split of the datasets that training leaves alone.")
    checkpointing: bool = Field(
        default=False, description="Write checkpoints, continue from one, and load the best model at the end."
    )
    logging: bool = Field(default=False, description="Write losses and scores to a log.")
    log_writer: Literal["tensorboard", "json"] = Field("tensorboard", description="Format of the log.")
    progress_bar: bool = Field(default=True, description="Show a progress bar on standard error.")

    @model_validator(mode="after")
    def _check_checkpointing(self) -> Self:
        if self.checkpointing and not self.evaluation_freq:
            message = "checkpoints follow evaluations, but evaluation_freq is 0; set it above 0"
            raise ValueError(message)
        return self


def are_class_weights(weights: Sequence[float]) -> bool:
    """Whether these can be the weights of a task's classes: at least 0, finite, and not all 0."""
    return bool(weights) and min(weights) >= 0 and 0 < sum(weights) < math.inf
