"""What one call of ``Trainer.fit`` works with: loaders, clock, and whatever does not change."""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import DictDataset
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.network.scoring import check_places, warn_of_unknown_labels
from ws_pipeline.classification.training.interrupts import HeldInterrupts
from ws_pipeline.classification.training.state import SamplerStates, TrainingState
from ws_pipeline.classification.training.step import Updater
from ws_pipeline.errors import DatasetError, TaskGraphError, UnmatchedLabelsWarning
from ws_pipeline.settings.end_model import TrainerConfig


class Stopwatch:
    """Adds up the time between :meth:`start` and :meth:`stop`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Go on counting."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Stop counting."""
        self.seconds += time.perf_counter() - self._started


@dataclass
class TrainingRun:
    """One call of ``fit``.

    Parameters
    ----------
    state
        What changes from step to step, and is in a checkpoint.
    train, valid
        The loaders.
    updater
        Takes the steps of the optimizer.
    samplers
        Generators of the loaders' samplers.
    class_weights
        Weights of classes by task name, alone in a tuple; without any, the tuple is empty, because a
        classifier's own ``calculate_loss`` need not know them.
    loss_weights
        Weights of the losses by task name.
    autocast
        Context of the forward pass.
    random_states
        What the generators are set to when the first epoch starts, after a checkpoint was read.
    fingerprint
        Says which training this is; None without checkpoints.
    n_points_before
        Number of examples that were trained on before this call.
    clock
        Time spent training.
    interrupts, progress
        Of the loop.
    """

    state: TrainingState
    train: list[DictDataLoader]
    valid: list[DictDataLoader]
    updater: Updater
    samplers: SamplerStates
    class_weights: tuple[dict[str, Tensor]] | tuple[()]
    loss_weights: dict[str, float]
    autocast: contextlib.AbstractContextManager[Any]
    fingerprint: str | None = None
    random_states: dict[str, Tensor] = field(default_factory=dict)
    n_points_before: int = 0
    clock: Stopwatch = field(default_factory=Stopwatch)
    interrupts: HeldInterrupts = field(default_factory=lambda: HeldInterrupts(enabled=False))
    progress: Any = field(default_factory=lambda: tqdm(disable=True))

    @functools.cached_property
    def n_batches(self) -> int:
        """Number of batches of an epoch."""
        return sum(len(loader) for loader in self.train)


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


def has_fused_update(
    optimizer: str, model: MultitaskClassifier, parameters: Iterable[torch.nn.Parameter]
) -> bool:
    """Say whether torch has one kernel for the update of all these parameters."""
    sparse = any(getattr(module, "sparse", False) for module in model.modules())
    kinds = {(parameter.device.type, parameter.is_floating_point()) for parameter in parameters}
    return optimizer != "adamax" and not sparse and kinds in ({("cpu", True)}, {("cuda", True)})


def choose_loaders(
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
        message = f"there is no loader of the train split '{config.train_split}', found {found}"
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
