"""Training: fit -> run_epoch -> train_step.

Everything random (order of batches and rows, dropout) follows from the seed and the number of the
epoch, so that the same inputs give the same parameters in every process, evaluation or not.  The
caller's global random state is left as it was.  Start reading at :meth:`Trainer.fit`; what is built
before the first step is in :mod:`.setup`, what changes from step to step in :mod:`.run_state`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import Batch
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.seeding import own_random_numbers
from ws_pipeline.classification.training.bookkeeping import resume, save_state, start_epoch, take_stock
from ws_pipeline.classification.training.checkpointer import Checkpointer
from ws_pipeline.classification.training.interrupts import HeldInterrupts
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.classification.training.run_state import TrainingRun
from ws_pipeline.classification.training.setup import begin_run, build_trainers_optimizer
from ws_pipeline.classification.training.single_row import refuse_single_row
from ws_pipeline.classification.training.step import Batchwise, n_rows
from ws_pipeline.classification.training.trainer_file import load_trainer, save_trainer
from ws_pipeline.compat.nested_settings import flat_trainer_settings
from ws_pipeline.optim import learning_rate, set_learning_rate
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.metric_names import HistoryRecord
from ws_pipeline.settings.trainer import TrainerConfig
from ws_pipeline.storage.files import PathLike


class Trainer:
    """Fits a :class:`~ws_pipeline.classification.MultitaskClassifier`.

    With ``checkpointing`` the state of the training is written to ``checkpoint_dir`` at evaluations. A
    training that was killed continues there when :meth:`fit` is called again with the same settings, data,
    code and initial parameters, and ends in the same parameters and the same history as one that was never
    killed.  SIGINT and SIGTERM (where Python handles it) wait for the current step and a checkpoint; a
    second one does not wait.  At the end the best model is loaded.

    Parameters
    ----------
    name
        Name of the trainer.  Default: the name of the class.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.trainer.TrainerConfig`, or Snorkel's nested form of them
        (optimizer_config, lr_scheduler_config, checkpointer_config, log_manager_config, log_writer_config).
        ``class_weights`` may say "balanced" for a task.

    Attributes
    ----------
    config
        The settings.
    history_
        One record per epoch and per evaluation within one: "epoch" and "step" (counted from 1, both), "lr"
        of the last step, "model/all/train/loss", the losses "<task>/<dataset>/<split>/loss" (means over the
        labelled rows since the record before, measured before each update) and, where the model was
        evaluated, scores "<task>/<dataset>/<split>/<metric>" and losses of the valid split.
    best_step_, best_metrics_
        Step and record of the best model by ``checkpoint_metric``, which was loaded; None without
        ``checkpointing``.
    stopped_early_
        Whether ``early_stopping_metric`` ended the training.
    resumed_from_step_
        Step of the checkpoint that training continued from; None if it began at the first step.
    examples_per_second_
        Examples trained on per second in this process, evaluations and checkpoints left out.
    checkpointer, log_manager, log_writer, optimizer
        What the last :meth:`fit` used; None where there was none.  Hooks on the optimizer's ``step`` are
        not called.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    """

    history_: list[HistoryRecord]
    stopped_early_: bool
    resumed_from_step_: int | None
    best_step_: int | None
    best_metrics_: HistoryRecord | None
    examples_per_second_: float
    log_manager: LogManager

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        self.name = name or type(self).__name__
        self.config = parse_settings(TrainerConfig, flat_trainer_settings(kwargs))
        self.checkpointer: Checkpointer | None = None
        self.log_writer: LogWriter | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self._loaded_moments: dict[str, torch.Tensor] = {}

    @classmethod
    def from_config(cls, config: TrainerConfig, name: str | None = None) -> Self:
        """Make a trainer of settings that are there already."""
        trainer = cls(name)
        trainer.config = config
        return trainer

    def fit(
        self,
        model: MultitaskClassifier,
        dataloaders: Sequence[DictDataLoader],
        *,
        on_record: Callable[[HistoryRecord], None] | None = None,
    ) -> Self:
        """Train ``model`` in place, and leave it in evaluation mode.

        Parameters
        ----------
        model
            The classifier.
        dataloaders
            Loaders of any splits: those of the train split are trained on, those of the valid split
            evaluated, those of the test split left alone.
        on_record
            Called with every record of the history, once the checkpoint that it leads to is written.
            Default: nothing.

        Returns
        -------
        Trainer
            Itself, with the attributes that end in an underscore.

        Raises
        ------
        DatasetError, TaskGraphError, SettingsError, DeviceError
            What :func:`~ws_pipeline.classification.training.setup.begin_run` refuses, before the first
            step; and a batch of one row, where the model has batch norm.
        FileFormatError
            The checkpoint in ``checkpoint_dir`` is damaged.
        TrainingError
            A loss or the gradient is not finite; the parameters are those before that batch.
        """
        with own_random_numbers(model.device):
            run = begin_run(self.config, model, dataloaders, self._loaded_moments)
            run.on_record = on_record
            self._show(run)
            with run.closing():
                self.resumed_from_step_ = resume(run)
                self.history_ = run.state.history
                self._train(run)
        self._finish(run)
        return self

    def _train(self, run: TrainingRun) -> None:
        """Run the epochs that are left, and load the best model."""
        position = run.state.position
        holds = HeldInterrupts(enabled=run.checkpointer is not None)
        with run.progress.opened(run.n_steps, position.step), holds as run.interrupts:
            while position.epoch <= self.config.n_epochs and not run.state.stopped:
                self.run_epoch(run)
        self.log_manager.cleanup(run.state.model)

    def run_epoch(self, run: TrainingRun) -> None:
        """Take a step per batch of the epoch, or of the rest of it after a checkpoint."""
        position = run.state.position
        batches = start_epoch(run)
        run.clock.start()
        for batch, loader in batches:
            self.train_step(run, batch, loader)
            self.log_manager.update(n_rows(batch))
            del batch  # so that the next one is gathered into the same memory
            if run.progress.advance():
                run.updater.flush()
                run.progress.show(position.epoch, run.state.losses.means())
            is_due = self.log_manager.trigger_evaluation()
            if is_due or position.batch == run.n_batches:
                run.updater.flush()
                run.clock.stop()
                take_stock(run, evaluate=is_due or (run.is_last and self.config.evaluation_freq > 0))
                run.clock.start()
            if run.interrupts.pending is not None:
                save_state(run)
                run.interrupts.deliver()
            if run.state.stopped:
                return
        position.start_next_epoch()

    def train_step(self, run: TrainingRun, batch: Batch, loader: DictDataLoader) -> None:
        """Update the parameters once; without a labelled row nothing is updated, but it counts as a step."""
        state, position, dataset = run.state, run.state.position, loader.dataset
        rate = learning_rate(self.config, position.step, n_steps=run.n_steps, n_warmup=run.n_warmup)
        set_learning_rate(state.optimizer, rate)
        epoch, number = position.epoch, position.batch + 1
        try:
            with run.autocast:
                losses, counts = state.model.calculate_loss(*batch, *run.class_weights)
        except ValueError as error:
            refuse_single_row(error, loader, epoch=epoch, batch=number)
            raise
        if losses:
            weights = [run.loss_weights[task] for task in losses]
            info = Batchwise(epoch, number, dataset.name, dataset.split, counts, weights)
            run.updater.update(info, list(losses.values()))

    def save(self, trainer_path: PathLike) -> None:
        """Write the settings and, after :meth:`fit`, the state of the optimizer to one safetensors file.

        Parameters
        ----------
        trainer_path
            A local path or any fsspec URL.  The file appears only when it is complete.
        """
        save_trainer(trainer_path, self.config, self.optimizer)

    def load(self, trainer_path: PathLike, model: MultitaskClassifier | None = None) -> None:
        """Take over the settings that :meth:`save` wrote, and the state of the optimizer.

        Parameters
        ----------
        trainer_path
            The file.
        model
            The classifier that the optimizer belongs to; the next :meth:`fit` continues with the
            optimizer's moments, at the first step of the schedule.  Default: settings only.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else, or is of a trainer of another model.
        """
        config, moments = load_trainer(trainer_path)
        if model is not None:
            self.optimizer = build_trainers_optimizer(config, model, moments, where=str(trainer_path))
        self.config = config
        self._loaded_moments = moments if model is not None else {}

    def _show(self, run: TrainingRun) -> None:
        """Keep what this fit uses, for those who look at it during the training or afterwards."""
        self.log_manager, self.log_writer = run.state.log_manager, run.log_writer
        self.checkpointer, self.optimizer = run.checkpointer, run.state.optimizer
        self._loaded_moments = {}

    def _finish(self, run: TrainingRun) -> None:
        run.state.model.eval()
        self.stopped_early_ = run.state.stopped
        self.best_metrics_ = best = run.best_metrics
        self.best_step_ = None if best is None else int(best["step"])
        self.examples_per_second_ = run.examples_per_second
