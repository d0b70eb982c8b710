"""Settings of the pipeline's end model: its architecture, and how a person tunes its training."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from ws_pipeline.settings.base import Settings, nearest
from ws_pipeline.settings.metric_names import MetricChoice, MetricMode, MetricName
from ws_pipeline.settings.trainer import TrainerConfig, TrainingConfig

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

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
"""Settings of a trainer that the pipeline decides itself, and why."""

Width = Annotated[int, Field(ge=1)]


class HeadConfig(Settings):
    """The layers of one task on top of the shared trunk; the last is linear, with an output per class."""

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

    def unknown_head(self, tasks: Iterable[str]) -> str | None:
        """Say which head is of no task; None if all are."""
        known = list(tasks)
        unknown = [name for name in self.heads if name not in known]
        return f"heads: there is no task '{unknown[0]}', {nearest(unknown[0], known)}" if unknown else None


class EndModelConfig(TrainingConfig):
    """Settings of the end model's training; the defaults are for soft labels."""

    n_epochs: int = Field(30, ge=1, description="Number of passes over the train split.")
    lr: float = Field(0.001, gt=0, description="Base learning rate, before the schedule.")
    evaluation_freq: float = Field(
        1.0,
        gt=0,
        description="Evaluate, and write a checkpoint, every this many counter_units, and at the end.",
    )
    batch_size: int = Field(64, ge=1, description="Examples in a mini-batch.")
    drop_last: bool = Field(
        default=False,
        description="Leave out the last mini-batch of an epoch if it is not full; which examples that are, "
        "differs from epoch to epoch. A last mini-batch of one example is always left out of a model with "
        "batch norm, which cannot train on one.",
    )
    checkpoint_metric: MetricChoice | None = Field(
        None,
        description="What makes a model the best one, which is the result of the training: "
        "task/dataset/split/metric:mode, where mode is max or min. Default: the smallest loss of the whole "
        "model on the valid split, or on the train split where there is nothing to validate on.",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_decided(cls, values: Any) -> Any:
        for name in sorted(DECIDED.keys() & values.keys()) if isinstance(values, dict) else ():
            message = f"'{name}' is decided by the pipeline ({DECIDED[name]}); leave it out"
            raise ValueError(message)
        return values

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        """Refuse what lasts longer than the training; in units other than epochs, only the data tell."""
        for setting, unit in (("warmup_steps", self.warmup_unit), ("checkpoint_runway", self.counter_unit)):
            length = getattr(self, setting)
            if unit == "epochs" and length > self.n_epochs:
                message = (
                    f"{setting} is {length:g} epochs, but the training has n_epochs = {self.n_epochs}; lower "
                    f"{setting}, or raise n_epochs"
                )
                raise ValueError(message)
        return self

    def trainer_config(self, *, has_valid: bool, checkpoint_dir: str | None) -> TrainerConfig:
        """Settings of the trainer that does this training.

        Parameters
        ----------
        has_valid
            Whether there is something to validate on.
        checkpoint_dir
            Where the state of the training is kept; None: nowhere.
        """
        split = "valid" if has_valid else "train"
        shared = {name: getattr(self, name) for name in TrainingConfig.model_fields}
        return TrainerConfig(
            **shared,
            checkpoint_metric=self.checkpoint_metric
            or str(MetricMode(str(MetricName.of_model(split)), "min")),
            checkpointing=checkpoint_dir is not None,
            checkpoint_dir=checkpoint_dir,
            progress_bar=False,
        )
