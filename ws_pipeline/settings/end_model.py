"""Settings of the end model and of its training; importing this module imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from ws_pipeline.optim import OptimConfig
from ws_pipeline.settings.base import Settings

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class ClassifierConfig(Settings):
    """Where a :class:`~ws_pipeline.classification.MultitaskClassifier` computes."""

    device: int | str = Field(
        0,
        description="Number of the GPU, -1 for the CPU (also taken when there is no GPU), or a torch device "
        "name such as 'cpu', 'cuda:1' or 'mps', which must be there.",
    )
    dataparallel: bool = Field(
        default=True, description="Split batches over all GPUs, when there are several and device is one."
    )


Width = Annotated[int, Field(ge=1)]


class HeadConfig(Settings):
    """What one task puts on top of the shared trunk; it ends in a linear layer with an output per class."""

    hidden: list[Width] = Field([], description="Widths of the head's own layers before its last.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of each of these layers' outputs that training sets to zero."
    )
    loss_weight: float = Field(
        1.0, ge=0, description="What the task's loss is multiplied by in the sum over the tasks."
    )

    @model_validator(mode="after")
    def _check_dropout(self) -> Self:
        if self.dropout and not self.hidden:
            message = (
                "dropout follows the head's hidden layers, but there are none; give hidden, or leave it out"
            )
            raise ValueError(message)
        return self


class ModelConfig(Settings):
    """A multilayer perceptron: one trunk that all tasks share, a head per task; or modules of one's own."""

    hidden: list[Width] = Field(
        [100, 64], description="Widths of the trunk's layers, in order; empty: the heads see the features."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of each trunk layer's outputs that training sets to zero."
    )
    activation: Literal["relu", "gelu", "tanh"] = Field(
        "relu", description="What follows each layer of the trunk and each hidden layer of a head."
    )
    heads: dict[str, HeadConfig] = Field(
        {}, description="Task name to its head, where that is more than one linear layer of loss weight 1."
    )
    build_tasks: str | None = Field(
        None,
        description="package.module:function that builds the tasks instead; it must be importable. See "
        "ws_pipeline.classification.network.task_builder for what it gets and returns.",
    )
    options: dict[str, JsonValue] = Field({}, description="Further keyword arguments of that function.")

    @field_validator("build_tasks")
    @classmethod
    def _check_reference(cls, reference: str | None) -> str | None:
        if reference is not None and not _REFERENCE.fullmatch(reference):
            message = "expected package.module:function"
            raise ValueError(message)
        return reference

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        """Refuse settings that would be ignored."""
        own = sorted(self.model_fields_set - {"build_tasks", "options"})
        if self.build_tasks is None and self.options:
            message = f"options {sorted(self.options)} are for build_tasks, which is not given"
            raise ValueError(message)
        if self.build_tasks is not None and own:
            message = f"build_tasks leaves no use for {', '.join(own)}; hand over numbers as options"
            raise ValueError(message)
        return self


class LogManagerConfig(Settings):
    """When the model is evaluated during training."""

    counter_unit: Literal["epochs", "batches", "points"] = Field(
        "epochs", description="What evaluation_freq and checkpoint_runway count."
    )
    evaluation_freq: float = Field(
        1.0, ge=0, description="Evaluate every this many counter_units, and at the end; 0: never."
    )


class CheckpointerConfig(Settings):
    """What is kept of a model while it is trained."""

    checkpoint_dir: str | None = Field(
        "checkpoints",
        description="Folder of the checkpoints, a path or any fsspec URL, for one running training at a "
        "time; best models of an earlier one are replaced. None: the folder of the log, which a restart "
        "finds by its run_name.",
    )
    checkpoint_factor: int = Field(
        1, ge=1, description="Write a checkpoint and look for a best model every this many evaluations."
    )
    checkpoint_metric: str = Field(
        "model/all/train/loss:min",
        description="What makes a model the best one, which is loaded after training: "
        "task/dataset/split/metric:mode, where mode is max or min.",
    )
    checkpoint_task_metrics: list[str] | None = Field(
        None, description="Further metrics to keep a best model of, in the same form."
    )
    checkpoint_runway: float = Field(
        0.0, ge=0, description="Do not look for a best model before this many counter_units."
    )
    checkpoint_clear: bool = Field(
        default=True,
        description="Remove the checkpoint when training is complete; best models stay. Otherwise keep it, "
        "and the model of every checkpoint.",
    )


class LogWriterConfig(Settings):
    """Where the log is written."""

    log_dir: str = Field("logs", description="Folder of all logs.")
    run_name: str | None = Field(None, description="Folder of this run's log below it; None: date and time.")


class TrainerConfig(OptimConfig, LogManagerConfig, CheckpointerConfig, LogWriterConfig):
    """How a :class:`~ws_pipeline.classification.Trainer` trains; steps are mini-batches."""

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
    train_split: str = Field("train", description="Split of the datasets to train on.")
    valid_split: str = Field("valid", description="Split of the datasets to evaluate on during training.")
    test_split: str = Field("test", description="Split of the datasets that training leaves alone.")
    batch_scheduler: Literal["shuffled", "sequential"] = Field(
        "shuffled", description="Order of the batches of several train datasets."
    )
    early_stopping_metric: str | None = Field(
        None,
        description="Stop when this metric, task/dataset/split/metric:mode, no longer improves; None: "
        "train all epochs.",
    )
    early_stopping_patience: int = Field(
        5, ge=1, description="Stop after this many evaluations in a row without improvement."
    )
    checkpointing: bool = Field(
        default=False, description="Write checkpoints, continue from one, and load the best model at the end."
    )
    logging: bool = Field(default=False, description="Write losses and scores to a log.")
    log_writer: Literal["tensorboard", "json"] = Field("tensorboard", description="Format of the log.")
    progress_bar: bool = Field(default=True, description="Show a progress bar on standard error.")


class EndModelConfig(TrainerConfig):
    """How the pipeline trains its end model: a trainer's settings, with defaults for soft labels."""

    n_epochs: int = Field(30, ge=1, description="Number of passes over the train split.")
    lr: float = Field(0.001, gt=0, description="Base learning rate, before the schedule.")
    batch_size: int = Field(64, ge=1, description="Examples in a mini-batch.")
    drop_last: bool = Field(
        default=False,
        description="Leave out the last mini-batch of an epoch if it is not full; which examples that are, "
        "differs from epoch to epoch. A last mini-batch of one example is always left out of a model with "
        "batch norm, which cannot train on one.",
    )
    checkpoint_metric: str = Field(
        "model/all/valid/loss:min",
        description="What makes a model the best one, which is the result of the training: "
        "task/dataset/split/metric:mode, where mode is max or min. With nothing to validate on, the default "
        "is the loss on the train split.",
    )
    progress_bar: bool = Field(default=False, description="Show a progress bar on standard error.")

    def trainer_settings(self) -> dict[str, Any]:
        """The fields of :class:`TrainerConfig`."""
        return self.model_dump(exclude={"batch_size", "drop_last"})
