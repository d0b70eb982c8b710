"""Training: fit -> run_epoch -> train_step.

Everything random (order of batches and rows, dropout) follows from the seed and the number of the
epoch, so that the same inputs give the same parameters in every process, evaluation or not.  The
caller's global random state is left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from ws_pipeline.classification.batch_schedulers import BATCH_SCHEDULERS
from ws_pipeline.classification.data import Batch
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.seeding import derive_seed, own_random_numbers, seed_everything
from ws_pipeline.classification.settings import TrainerConfig
from ws_pipeline.errors import DatasetError, TaskGraphError, TrainingError
from ws_pipeline.optim import build_optimizer, count_warmup_steps, learning_rate, set_learning_rate
from ws_pipeline.settings import parse_settings

_BATCHES, _DROPOUT = 0, 1

HistoryRecord = dict[str, float]


@dataclass
class TrainingState:
    """All that changes from step to step."""

    model: MultitaskClassifier
    optimizer: torch.optim.Optimizer
    n_steps: int
    n_warmup: int
    epoch: int = 0
    batch: int = 0
    step: int = 0


@dataclass
class StepResult:
    """What one step measured before its update: losses and labelled rows by task name."""

    losses: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class Trainer:
    """Fits a :class:`~ws_pipeline.classification.MultitaskClassifier`.

    Parameters
    ----------
    name
        Name of the trainer.  Default: the name of the class.
    **kwargs
        Fields of :class:`~ws_pipeline.classification.settings.TrainerConfig`.

    Attributes
    ----------
    config
        The settings.
    history_
        One record per epoch, set by :meth:`fit`: "epoch" and "step" (counted from 1, both), "lr" of
        the last step, "model/all/train/loss", the losses "<task>/<dataset>/<split>/loss" (means over
        labelled rows, measured before each update) and, where the epoch was evaluated, the scores
        "<task>/<dataset>/<split>/<metric>" of the valid split.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    """

    history_: list[HistoryRecord]

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        self.name = name or type(self).__name__
        self.config = parse_settings(TrainerConfig, kwargs)

    def fit(self, model: MultitaskClassifier, dataloaders: Sequence[DictDataLoader]) -> Trainer:
        """Train ``model`` in place, and leave it in evaluation mode.

        Parameters
        ----------
        model
            The classifier.
        dataloaders
            Loaders of any splits: those of the train split are trained on, those of the valid split
            evaluated, those of the test split left alone.

        Returns
        -------
        Trainer
            Itself, with ``history_``.

        Raises
        ------
        DatasetError
            There is no loader of the train split, a split is unknown, a train loader gives no batch
            or has no labelled row of any task.
        TaskGraphError
            No parameter of the model can be trained.
        SettingsError
            The warm-up is longer than the training.
        TrainingError
            A loss or the gradient is not finite; the parameters are those before that batch.
        """
        train, valid = self._choose_loaders(model, dataloaders)
        state = self._begin(model, train)
        self.history_ = []
        progress = tqdm(total=state.n_steps, unit="batch", disable=not self.config.progress_bar)
        with own_random_numbers(model.device), progress:
            for epoch in range(1, self.config.n_epochs + 1):
                state.epoch = epoch
                record = self.run_epoch(state, train, progress)
                if self._is_evaluated(epoch):
                    record |= model.score(valid)
                self.history_.append(record)
                progress.set_postfix(epoch=epoch, loss=f"{record['model/all/train/loss']:.4f}")
        model.eval()
        return self

    def run_epoch(
        self, state: TrainingState, dataloaders: Sequence[DictDataLoader], progress: Any = None
    ) -> HistoryRecord:
        """Take a step per batch of ``dataloaders``, and return the epoch's record."""
        scheduler = BATCH_SCHEDULERS[self.config.batch_scheduler]()
        seed_everything(derive_seed(self.config.seed, state.epoch, _DROPOUT), state.model.device)
        batches = scheduler.get_batches(dataloaders, derive_seed(self.config.seed, state.epoch, _BATCHES))
        losses = _MeanLosses()
        state.model.train()
        for number, (batch, loader) in enumerate(batches, start=1):
            state.batch = number
            losses.add(self.train_step(state, batch), loader)
            if progress is not None:
                progress.update()
        lr = state.optimizer.param_groups[0]["lr"]
        return {"epoch": state.epoch, "step": state.step, "lr": lr, **losses.means()}

    def train_step(self, state: TrainingState, batch: Batch) -> StepResult:
        """Update the parameters once, at the learning rate of ``state.step``.

        A batch without a labelled row updates nothing, but counts as a step.
        """
        rate = learning_rate(self.config, state.step, n_steps=state.n_steps, n_warmup=state.n_warmup)
        set_learning_rate(state.optimizer, rate)
        state.step += 1
        losses, counts = state.model.calculate_loss(*batch)
        if not losses:
            return StepResult()
        stacked = torch.stack(list(losses.values()))
        values = dict(zip(losses, stacked.detach().tolist(), strict=True))
        for task, value in values.items():
            _require_finite(value, f"loss of task '{task}'", state)
        state.optimizer.zero_grad()
        stacked.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._clip_gradient(state)
        state.optimizer.step()
        return StepResult(values, counts)

    def _clip_gradient(self, state: TrainingState) -> None:
        if self.config.grad_clip:
            parameters = state.optimizer.param_groups[0]["params"]
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.grad_clip)
            _require_finite(norm.item(), "norm of the gradient", state)

    def _is_evaluated(self, epoch: int) -> bool:
        freq = self.config.evaluation_freq
        return freq > 0 and (epoch % freq == 0 or epoch == self.config.n_epochs)

    def _begin(self, model: MultitaskClassifier, train: Sequence[DictDataLoader]) -> TrainingState:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not parameters:
            message = f"'{model.name}' has no parameter that can be trained; set requires_grad on some"
            raise TaskGraphError(message)
        steps_per_epoch = sum(len(loader) for loader in train)
        n_steps = self.config.n_epochs * steps_per_epoch
        n_warmup = count_warmup_steps(self.config, n_steps=n_steps, steps_per_epoch=steps_per_epoch)
        optimizer = build_optimizer(parameters, self.config, weight_decay=self.config.l2)
        return TrainingState(model, optimizer, n_steps, n_warmup)

    def _choose_loaders(
        self, model: MultitaskClassifier, dataloaders: Sequence[DictDataLoader]
    ) -> tuple[list[DictDataLoader], list[DictDataLoader]]:
        """The loaders to train on and those to evaluate on, checked."""
        config = self.config
        known = (config.train_split, config.valid_split, config.test_split)
        for loader in dataloaders:
            if loader.dataset.split not in known:
                message = (
                    f"{loader.dataset!r}: unknown split '{loader.dataset.split}', expected one of {known}"
                )
                raise DatasetError(message)
        train = [loader for loader in dataloaders if loader.dataset.split == config.train_split]
        valid = [loader for loader in dataloaders if loader.dataset.split == config.valid_split]
        if not train:
            found = ", ".join(loader.dataset.split for loader in dataloaders) or "no loader"
            message = f"there is no loader of the train split '{config.train_split}', found {found}"
            raise DatasetError(message)
        for loader in train:
            _check_train_loader(model, loader)
        return train, valid


def _check_train_loader(model: MultitaskClassifier, loader: DictDataLoader) -> None:
    labels = loader.dataset.Y_dict
    task_of = model.labels_to_tasks(labels)
    if not task_of:
        message = f"{loader.dataset!r} has no labels of the tasks {', '.join(model.tasks)}"
        raise DatasetError(message)
    if not any(bool((labels[label] != -1).any()) for label in task_of):
        message = f"{loader.dataset!r} has no labelled row: all labels of {', '.join(task_of)} are -1"
        raise DatasetError(message)
    if len(loader) == 0:
        message = f"{loader.dataset!r}: the loader gives no batch; lower batch_size or leave drop_last off"
        raise DatasetError(message)


class _MeanLosses:
    """Means over the labelled rows of an epoch."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, result: StepResult, loader: DictDataLoader) -> None:
        """Take in one step on a batch of ``loader``."""
        where = f"{loader.dataset.name}/{loader.dataset.split}/loss"
        for task, loss in result.losses.items():
            self._add(f"{task}/{where}", loss, result.counts[task])
        if result.losses:
            self._add("model/all/train/loss", sum(result.losses.values()), 1)

    def means(self) -> HistoryRecord:
        """Means by name, the whole model's first; it is nan when no row was labelled."""
        total = {"model/all/train/loss": math.nan}
        return total | {name: value / self.counts[name] for name, value in self.sums.items()}

    def _add(self, name: str, loss: float, count: int) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + loss * count
        self.counts[name] = self.counts.get(name, 0) + count


def _require_finite(value: float, what: str, state: TrainingState) -> None:
    if not math.isfinite(value):
        message = (
            f"epoch {state.epoch}, batch {state.batch}: the {what} is {value}; the parameters are those "
            "before this batch; lower lr, set grad_clip, or look for extreme features"
        )
        raise TrainingError(message)
