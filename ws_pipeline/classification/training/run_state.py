"""The parts of a running training: the state that a checkpoint holds, and everything around it.

The learning rate is not part of the state: it is a function of the number of the step.

Legend: a *record* is an entry of the history, see :data:`.HistoryRecord`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.seeding import random_states
from ws_pipeline.classification.training.interrupts import HeldInterrupts
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.classification.training.model_selection import EarlyStopping
from ws_pipeline.classification.training.position import Position
from ws_pipeline.classification.training.progress import Progress
from ws_pipeline.classification.training.step import MeanLosses, Updater
from ws_pipeline.classification.training.trainer_file import load_optimizer_tensors, optimizer_tensors, part
from ws_pipeline.settings.metric_names import HistoryRecord
from ws_pipeline.settings.trainer import TrainerConfig

if TYPE_CHECKING:
    from ws_pipeline.classification.training.checkpointer import Checkpointer
    from ws_pipeline.classification.training.log.log_writer import LogWriter

_MODEL, _RANDOM, _TRAIN, _VALID = "model/", "random/", "train/", "valid/"


@dataclass
class TrainingState:
    """All that changes from step to step.

    Parameters
    ----------
    model, optimizer
        They hold the parameters and the optimizer's moments.
    log_manager, early_stopping
        Their counters; the log manager's position is that of the training.
    losses
        Losses since the last record.
    stopped
        Whether training stopped early.
    history
        The records so far.
    """

    model: MultitaskClassifier
    optimizer: torch.optim.Optimizer
    log_manager: LogManager
    early_stopping: EarlyStopping
    losses: MeanLosses
    stopped: bool = False
    history: list[HistoryRecord] = field(default_factory=list)

    @property
    def position(self) -> Position:
        """Progress of the training."""
        return self.log_manager.position

    def values(self) -> dict[str, Any]:
        """State that is no tensor, as JSON values."""
        return {
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


class Stopwatch:
    """Adds up the time between :meth:`start` and :meth:`stop`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Start counting."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Stop counting."""
        self.seconds += time.perf_counter() - self._started


@dataclass
class TrainingRun:
    """One call of ``fit``.

    Parameters
    ----------
    config
        The settings.
    state
        What changes from step to step, and is in a checkpoint.
    n_batches, n_steps, n_warmup
        Number of batches of an epoch; length of the whole training and of its warm-up, in batches.
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
    progress
        The progress bar.
    log_writer, checkpointer
        None where there is none.
    fingerprint
        Says which training this is; None without checkpoints.
    on_record
        Called with every record, once the checkpoint that it leads to is written.
    random_states
        What the generators are set to when the first epoch starts, after a checkpoint was read.
    n_points_before
        Number of examples that were trained on before this call.
    clock
        Time spent training.
    interrupts
        Of the loop.
    """

    config: TrainerConfig
    state: TrainingState
    n_batches: int
    n_steps: int
    n_warmup: int
    train: list[DictDataLoader]
    valid: list[DictDataLoader]
    updater: Updater
    samplers: SamplerStates
    class_weights: tuple[dict[str, Tensor]] | tuple[()]
    loss_weights: dict[str, float]
    autocast: contextlib.AbstractContextManager[Any]
    progress: Progress
    log_writer: LogWriter | None
    checkpointer: Checkpointer | None
    fingerprint: str | None
    on_record: Callable[[HistoryRecord], None] | None = None
    random_states: dict[str, Tensor] = field(default_factory=dict)
    n_points_before: int = 0
    clock: Stopwatch = field(default_factory=Stopwatch)
    interrupts: HeldInterrupts = field(default_factory=lambda: HeldInterrupts(enabled=False))

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or training stopped early."""
        return self.is_last or self.state.stopped

    @property
    def is_last(self) -> bool:
        """Whether all steps are done."""
        return self.state.position.step == self.n_steps

    @property
    def best_metrics(self) -> HistoryRecord | None:
        """Record of the best model so far; None without checkpoints."""
        best = None if self.checkpointer is None else self.checkpointer.best_model
        return None if best is None else best.metrics

    @property
    def examples_per_second(self) -> float:
        """Examples trained on per second in this call."""
        n_points = self.state.position.points - self.n_points_before
        return n_points / self.clock.seconds if n_points else 0.0

    def restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over the state of a checkpoint."""
        self.state.restore(values, tensors)
        self.samplers.restore(tensors)
        self.random_states = part(tensors, _RANDOM)

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Close the log even when training fails, and leave the optimizer as others expect it."""
        try:
            yield
        except BaseException:
            if self.log_writer is not None:
                self.log_writer.cleanup()
            raise
        finally:
            self.updater.close()


def _generators(loaders: Iterable[DictDataLoader]) -> Iterator[torch.Generator]:
    for loader in loaders:
        batch_sampler = loader.batch_sampler
        for source in (loader, loader.sampler, batch_sampler, getattr(batch_sampler, "sampler", None)):
            generator = getattr(source, "generator", None)
            if isinstance(generator, torch.Generator):
                yield generator
