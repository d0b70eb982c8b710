"""The state of a training: all that changes from step to step, to and from the tensors of a checkpoint.

The learning rate is not part of it: it is a function of the number of the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.seeding import random_states
from ws_pipeline.classification.training.early_stopping import EarlyStopping
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.settings.history import HistoryRecord

_MODEL, _OPTIMIZER, _RANDOM, _TRAIN, _VALID = "model/", "optimizer/", "random/", "train/", "valid/"
TRAIN_LOSS = "model/all/train/loss"


class MeanLosses:
    """Means of the losses since the last record, over labelled rows; of their sum, over batches."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, loss: float, count: int) -> None:
        """Take in a mean over ``count`` rows."""
        self.sums[name] = self.sums.get(name, 0.0) + loss * count
        self.counts[name] = self.counts.get(name, 0) + count

    def means(self) -> HistoryRecord:
        """Means by name, the whole model's first; it is nan when no row was labelled."""
        total = {TRAIN_LOSS: math.nan}
        return total | {name: value / self.counts[name] for name, value in self.sums.items()}

    def reset(self) -> None:
        """Forget everything."""
        self.sums, self.counts = {}, {}


@dataclass
class TrainingState:
    """All that changes from step to step.

    Parameters
    ----------
    model, optimizer
        They hold the parameters and the optimizer's moments.
    n_steps, n_warmup
        Length of the whole training, and of its warm-up, in batches; they never change.
    log_manager, early_stopping
        Their counters.
    epoch
        Number of the epoch, from 1.
    batch
        Number of batches of this epoch that are done.
    step
        Number of batches that are done since the start.
    stopped
        Whether training stopped early.
    losses
        Losses since the last record.
    history
        The records so far.
    """

    model: MultitaskClassifier
    optimizer: torch.optim.Optimizer
    n_steps: int
    n_warmup: int
    log_manager: LogManager
    early_stopping: EarlyStopping
    epoch: int = 1
    batch: int = 0
    step: int = 0
    stopped: bool = False
    losses: MeanLosses = field(default_factory=MeanLosses)
    history: list[HistoryRecord] = field(default_factory=list)

    @property
    def is_last(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.n_steps

    def values(self) -> dict[str, Any]:
        """What is no tensor, as JSON values."""
        return {
            "position": [self.epoch, self.batch, self.step],
            "stopped": self.stopped,
            "history": self.history,
            "losses": [self.losses.sums, self.losses.counts],
            "log_manager": self.log_manager.state(),
            "early_stopping": self.early_stopping.state(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, moments of the optimizer, and random states, by name."""
        tensors = {f"{_MODEL}{name}": value for name, value in self.model.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        states = random_states(self.model.device)
        return tensors | {f"{_RANDOM}{name}": value for name, value in states.items()}

    def restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`values` and :meth:`tensors` gave, without the random states."""
        self.epoch, self.batch, self.step = values["position"]
        self.stopped, self.history = values["stopped"], values["history"]
        self.losses.sums, self.losses.counts = values["losses"]
        self.log_manager.restore(values["log_manager"])
        self.early_stopping.restore(values["early_stopping"])
        self.model.load_state_dict(part(tensors, _MODEL))
        load_optimizer_tensors(self.optimizer, tensors)


class SamplerStates:
    """States of the generators that users gave their samplers; the trainer's seed does not reach them.

    Parameters
    ----------
    train, valid
        The loaders.  Those of ``train`` draw at the start of an epoch, those of ``valid`` at every
        evaluation, which is why a checkpoint keeps the former as they were then.
    """

    def __init__(self, train: Iterable[DictDataLoader], valid: Iterable[DictDataLoader]) -> None:
        self._train = list(_generators(train))
        self._valid = list(_generators(valid))
        self._at_epoch_start: list[Tensor] = []
        self.start_epoch()

    def start_epoch(self) -> None:
        """Remember the generators of the train loaders, before they draw."""
        self._at_epoch_start = [generator.get_state() for generator in self._train]

    def tensors(self) -> dict[str, Tensor]:
        """States by name."""
        now = [generator.get_state() for generator in self._valid]
        named = {f"{_TRAIN}{number}": state for number, state in enumerate(self._at_epoch_start)}
        return named | {f"{_VALID}{number}": state for number, state in enumerate(now)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`tensors` gave."""
        for prefix, generators in ((_TRAIN, self._train), (_VALID, self._valid)):
            for number, generator in enumerate(generators):
                generator.set_state(tensors[f"{prefix}{number}"].clone())


def random_states_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Random states of a checkpoint by generator."""
    return part(tensors, _RANDOM)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and counters of an optimizer, by the number of the parameter and their own name."""
    return {
        f"{_OPTIMIZER}{number}/{name}": value
        for number, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
        if isinstance(value, Tensor)  # the rest is None: moments that there are not yet
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take over what :func:`optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part(tensors, _OPTIMIZER).items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with ``prefix``, without it, in memory of their own."""
    return {
        name.removeprefix(prefix): value.clone() for name, value in tensors.items() if name.startswith(prefix)
    }


def _generators(loaders: Iterable[DictDataLoader]) -> Iterator[torch.Generator]:
    for loader in loaders:
        batch_sampler = loader.batch_sampler
        for source in (loader, loader.sampler, batch_sampler, getattr(batch_sampler, "sampler", None)):
            generator = getattr(source, "generator", None)
            if isinstance(generator, torch.Generator):
                yield generator
