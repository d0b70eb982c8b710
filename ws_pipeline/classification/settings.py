"""Settings of the end model and of its training; importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ws_pipeline.optim import OptimConfig
from ws_pipeline.settings import Settings


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


class ModelConfig(Settings):
    """A multilayer perceptron: one trunk that all tasks share, one linear head per task."""

    hidden: list[Annotated[int, Field(ge=1)]] = Field(
        [100, 64], description="Widths of the trunk's layers, in order; empty: the heads see the features."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of each trunk layer's outputs that training sets to zero."
    )
    activation: Literal["relu", "gelu", "tanh"] = Field("relu", description="What follows each trunk layer.")


class TrainerConfig(OptimConfig):
    """How a :class:`~ws_pipeline.classification.Trainer` trains; steps are mini-batches."""

    seed: int = Field(
        0, ge=0, description="Decides the order of batches and rows, and dropout; not the initial weights."
    )
    n_epochs: int = Field(1, ge=1, description="Number of passes over the train split.")
    optimizer: Literal["sgd", "adam", "adamax"] = Field(
        "adam", description="Which optimizer takes the steps."
    )
    l2: float = Field(0.0, ge=0, description="Weight decay, handed to the optimizer.")
    grad_clip: float | None = Field(
        1.0, ge=0, description="Largest norm of the gradient over all parameters; 0 or None: no limit."
    )
    train_split: str = Field("train", description="Split of the datasets to train on.")
    valid_split: str = Field("valid", description="Split of the datasets to evaluate on during training.")
    test_split: str = Field("test", description="Split of the datasets that training leaves alone.")
    batch_scheduler: Literal["shuffled", "sequential"] = Field(
        "shuffled", description="Order of the batches of several train datasets."
    )
    evaluation_freq: int = Field(
        1, ge=0, description="Evaluate after every this many epochs, and after the last; 0: never."
    )
    progress_bar: bool = Field(default=True, description="Show a progress bar on standard error.")


class EndModelConfig(TrainerConfig):
    """How the pipeline trains its end model: a trainer's settings, with defaults for soft labels."""

    n_epochs: int = Field(30, ge=1, description="Number of passes over the train split.")
    lr: float = Field(0.001, gt=0, description="Base learning rate, before the schedule.")
    batch_size: int = Field(64, ge=1, description="Examples in a mini-batch.")
    progress_bar: bool = Field(default=False, description="Show a progress bar on standard error.")

    def trainer_settings(self) -> dict[str, Any]:
        """The fields of :class:`TrainerConfig`."""
        return self.model_dump(exclude={"batch_size"})
