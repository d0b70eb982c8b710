"""Training: fit -> run_epoch -> train_step.

Everything random (order of batches and rows, dropout) follows from the seed and the number of the
epoch, so that the same inputs give the same parameters in every process, evaluation or not.  The
caller's global random state is left as it was.  Start reading at :meth:`Trainer.fit`; what changes
from step to step is in :mod:`ws_pipeline.classification.training.state`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tqdm import tqdm
from upath import UPath

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import Batch
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.network.scoring import evaluate_loaders
from ws_pipeline.classification.seeding import (
    derive_seed,
    own_random_numbers,
    seed_everything,
    set_random_states,
)
from ws_pipeline.classification.training.batch_schedulers import BATCH_SCHEDULERS
from ws_pipeline.classification.training.class_weights import build_class_weights
from ws_pipeline.classification.training.interrupts import HeldInterrupts
from ws_pipeline.classification.training.known_metrics import check_at_evaluation, check_before_training
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.classification.training.nested_settings import parse_trainer_settings
from ws_pipeline.classification.training.precision import autocast
from ws_pipeline.classification.training.run_state import (
    TrainingRun,
    choose_loaders,
    trainable_parameters,
)
from ws_pipeline.classification.training.setup import (
    build_checkpointer,
    build_early_stopping,
    build_log_manager,
    build_log_writer,
    build_trainers_optimizer,
    check_runway,
    fingerprint_training,
)
from ws_pipeline.classification.training.single_row import refuse_single_row
from ws_pipeline.classification.training.state import (
    TRAIN_LOSS,
    SamplerStates,
    TrainingState,
    random_states_of,
)
from ws_pipeline.classification.training.step import Batchwise, DeferredUpdater, Updater
from ws_pipeline.classification.training.trainer_file import check_optimizer_fits, load_trainer, save_trainer
from ws_pipeline.errors import DatasetError
from ws_pipeline.optim import count_warmup_steps, learning_rate, set_learning_rate
from ws_pipeline.settings.history import HistoryRecord
from ws_pipeline.storage.files import PathLike

_log = logging.getLogger(__name__)
_BATCHES, _DROPOUT = 0, 1


class Trainer:
    """Fits a :class:`~ws_pipeline.classification.MultitaskClassifier`.

    With ``checkpointing`` the state of the training is written to ``checkpoint_dir`` at evaluations.
    A training that was killed continues there when :meth:`fit` is called again with the same
    settings, data, code and initial parameters, and ends in the same parameters and the same history
    as one that was never killed.  SIGINT and SIGTERM (where Python handles it) wait for the current
    step and a checkpoint; a second one does not wait.  At the end the best model is loaded.

    Parameters
    ----------
    name
        Name of the trainer.  Default: the name of the class.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.end_model.TrainerConfig`, or Snorkel's nested
        form of them (optimizer_config, lr_scheduler_config, checkpointer_config,
        log_manager_config, log_writer_config).  ``class_weights`` may say "balanced" for a task.

    Attributes
    ----------
    config
        The settings.
    history_
        One record per epoch and per evaluation within one: "epoch" and "step" (counted from 1,
        both), "lr" of the last step, "model/all/train/loss", the losses
        "<task>/<dataset>/<split>/loss" (means over the labelled rows since the record before,
        measured before each update) and, where the model was evaluated, scores
        "<task>/<dataset>/<split>/<metric>" and losses of the valid split.
    best_step_, best_metrics_
        Step and record of the best model by ``checkpoint_metric``, which was loaded; None without
        ``checkpointing``.
    stopped_early_
        Whether ``early_stopping_metric`` ended the training.
    resumed_from_step_
        Step of the checkpoint that training continued from; None if it started anew.
    examples_per_second_
        Examples trained on per second in this process, evaluations and checkpoints left out.
    checkpointer, log_manager, log_writer, optimizer
        What the last :meth:`fit` used; None where there was none.  Hooks on the optimizer's
        ``step`` are not called.

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
        self.config = parse_trainer_settings(kwargs)
        self.checkpointer = build_checkpointer(self.config)  # a setting that is wrong shows here
        build_early_stopping(self.config)
        self.log_writer: LogWriter | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self._loaded_moments: dict[str, torch.Tensor] = {}

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
            Itself, with the attributes that end in an underscore.

        Raises
        ------
        DatasetError
            There is no loader of the train split, a split is unknown, a train loader gives no batch
            or has no labelled row of any task, two valid loaders have the same labels, name and
            split, or a batch has one row and the model batch norm.
        TaskGraphError
            No parameter of the model can be trained, a task cannot use its class weights, or tasks
            that a loader has labels of cannot be computed together.
        SettingsError
            The warm-up or the runway is longer than the training, or a metric to choose a model by
            does not exist; of a metric of one's own, only the first evaluation shows that.
        DeviceError
            The device does not compute in the precision asked for.
        FileFormatError
            The checkpoint in ``checkpoint_dir`` is damaged.
        TrainingError
            A loss or the gradient is not finite; the parameters are those before that batch.
        """
        with own_random_numbers(model.device):
            run = self._begin(model, dataloaders)
            with self._closing(run):
                self._train(run)
        self._finish(run)
        return self

    def _train(self, run: TrainingRun) -> None:
        """Run the epochs that are left, and load the best model."""
        state = run.state
        self._resume(run)
        with self._progress_bar(run), HeldInterrupts(enabled=self.checkpointer is not None) as interrupts:
            run.interrupts = interrupts
            while state.epoch <= self.config.n_epochs and not state.stopped:
                self.run_epoch(run)
        self.log_manager.cleanup(state.model)

    def run_epoch(self, run: TrainingRun) -> None:
        """Take a step per batch of the epoch, or of the rest of it after a checkpoint."""
        state = run.state
        batches = self._start_epoch(run)
        run.clock.start()
        for batch, loader in batches:
            self.train_step(run, batch, loader)
            self.log_manager.update(_n_rows(batch))
            del batch  # so that the next one is gathered into the same memory
            self._show_progress(run)
            is_due = self.log_manager.trigger_evaluation()
            if is_due or state.batch == run.n_batches:
                run.updater.flush()
                run.clock.stop()
                self._take_stock(run, evaluate=is_due or (state.is_last and self.config.evaluation_freq > 0))
                run.clock.start()
            if run.interrupts.pending is not None:
                self._save_state(run)
                run.interrupts.deliver()
            if state.stopped:
                return
        state.epoch, state.batch = state.epoch + 1, 0

    def train_step(self, run: TrainingRun, batch: Batch, loader: DictDataLoader) -> None:
        """Update the parameters once, at the learning rate of ``run.state.step``.

        A batch without a labelled row updates nothing, but counts as a step.
        """
        state, dataset = run.state, loader.dataset
        rate = learning_rate(self.config, state.step, n_steps=state.n_steps, n_warmup=state.n_warmup)
        set_learning_rate(state.optimizer, rate)
        state.step += 1
        state.batch += 1
        try:
            with run.autocast:
                losses, counts = state.model.calculate_loss(*batch, *run.class_weights)
        except ValueError as error:
            refuse_single_row(error, loader, epoch=state.epoch, batch=state.batch)
            raise
        if losses:
            where = f"{dataset.name}/{dataset.split}/loss"
            weights = [run.loss_weights[task] for task in losses]
            info = Batchwise(state.epoch, state.batch, where, counts, weights)
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
            check_optimizer_fits(str(trainer_path), moments, trainable_parameters(model))
        self.config = config
        self.checkpointer = build_checkpointer(config)
        self._loaded_moments = moments if model is not None else {}
        if model is not None:
            self.optimizer = build_trainers_optimizer(config, model, moments)

    # What happens around the loop.

    def _begin(self, model: MultitaskClassifier, dataloaders: Sequence[DictDataLoader]) -> TrainingRun:
        config = self.config
        train, valid = choose_loaders(config, model, dataloaders)
        n_batches = sum(len(loader) for loader in train)
        n_steps = config.n_epochs * n_batches
        n_warmup = count_warmup_steps(config, n_steps=n_steps, steps_per_epoch=n_batches)
        cast = autocast(config.precision, model.device)
        weights = build_class_weights(
            model, train, given=config.class_weights, balanced=config.balance_classes
        )
        self.optimizer = build_trainers_optimizer(config, model, self._loaded_moments)
        check_runway(config, train)
        check_before_training(config, self.checkpointer, model, train, valid)
        self.log_writer = build_log_writer(config)
        self.checkpointer = build_checkpointer(config, self.log_writer)
        self.log_manager = build_log_manager(config, train, self.log_writer, self.checkpointer)
        state = TrainingState(
            model, self.optimizer, n_steps, n_warmup, self.log_manager, build_early_stopping(config)
        )
        fused = self.optimizer.defaults.get("fused") and model.device.type == "cuda"
        updater = DeferredUpdater if fused else Updater
        run = TrainingRun(
            state=state,
            train=train,
            valid=valid,
            updater=updater(model, self.optimizer, config.grad_clip or 0.0, state.losses),
            samplers=SamplerStates(train, valid),
            class_weights=(weights,) if weights else (),
            loss_weights={name: task.loss_weight for name, task in model.tasks.items()},
            autocast=cast,
        )
        if self.checkpointer is not None:
            run.fingerprint = fingerprint_training(config, model, self.optimizer, [*train, *valid])
        self._loaded_moments = {}
        return run

    def _resume(self, run: TrainingRun) -> None:
        """Continue from the checkpoint of this training, if there is one."""
        self.resumed_from_step_ = None
        if self.checkpointer is not None and run.fingerprint is not None:
            saved = self.checkpointer.read_state(run.fingerprint)
            if saved is not None:
                tensors, values = saved
                run.state.restore(values, tensors)
                run.samplers.restore(tensors)
                run.random_states = random_states_of(tensors)
                self.resumed_from_step_ = run.state.step
                _tell_of_resumption(self.checkpointer.last_path, run.state)
            if self.log_writer is not None:  # what came after the checkpoint is logged again
                self.log_writer.go_on(run.fingerprint, self.log_manager.point_total)
        self.history_ = run.state.history
        run.n_points_before = self.log_manager.point_total

    def _finish(self, run: TrainingRun) -> None:
        run.state.model.eval()
        self.stopped_early_ = run.state.stopped
        best = self.checkpointer.best_model if self.checkpointer is not None else None
        self.best_metrics_ = None if best is None else best.metrics
        self.best_step_ = None if best is None else int(best.metrics["step"])
        n_points = self.log_manager.point_total - run.n_points_before
        self.examples_per_second_ = n_points / run.clock.seconds if n_points else 0.0

    def _start_epoch(self, run: TrainingRun) -> Iterator[tuple[Batch, DictDataLoader]]:
        state, seed = run.state, self.config.seed
        seed_everything(derive_seed(seed, state.epoch, _DROPOUT), state.model.device)
        run.samplers.start_epoch()
        scheduler = BATCH_SCHEDULERS[self.config.batch_scheduler]()
        order = derive_seed(seed, state.epoch, _BATCHES)
        batches = scheduler.get_batches(run.train, order, start=state.batch)
        set_random_states(run.random_states)  # after a checkpoint within an epoch, else there are none
        run.random_states = {}
        state.model.train()
        return batches

    def _take_stock(self, run: TrainingRun, *, evaluate: bool) -> None:
        """Make a record, and if the model is evaluated, decide what follows from it."""
        state = run.state
        record: HistoryRecord = {
            "epoch": state.epoch,
            "step": state.step,
            "lr": state.optimizer.param_groups[0]["lr"],
            **state.losses.means(),
        }
        state.losses.reset()
        if evaluate:
            record |= self._evaluate(run)
            check_at_evaluation(self.config, self.checkpointer, state.model, run.train, record)
        state.history.append(record)
        self._log(record)
        self._show_losses(run, record)
        if evaluate:
            state.stopped = state.early_stopping.should_stop(record)
            is_due = self.log_manager.trigger_checkpointing()
            if self.checkpointer is not None and (is_due or state.stopped or state.is_last):
                self.checkpointer.checkpoint(self.log_manager.unit_total, state.model, record)
                self._save_state(run)

    def _evaluate(self, run: TrainingRun) -> HistoryRecord:
        """Scores and losses of the valid split; a classifier's own ``score`` comes on top."""
        model = run.state.model
        with own_random_numbers(model.device):
            found = evaluate_loaders(model, run.valid, *run.class_weights)
            if type(model).score is not MultitaskClassifier.score:
                found |= model.score(run.valid)
        return {name: float(value) for name, value in found.items()}

    def _save_state(self, run: TrainingRun) -> None:
        if self.checkpointer is not None and run.fingerprint is not None:
            run.updater.flush()
            tensors = run.state.tensors() | run.samplers.tensors()
            self.checkpointer.write_state(run.fingerprint, tensors, run.state.values())

    def _log(self, record: HistoryRecord) -> None:
        """Write a record to the log, at the number of examples so far."""
        if self.log_writer is not None:
            for name, value in record.items():
                if name not in {"epoch", "step"}:
                    title = "model/all/train/lr" if name == "lr" else name
                    self.log_writer.add_scalar(title, value, self.log_manager.point_total)

    @contextlib.contextmanager
    def _progress_bar(self, run: TrainingRun) -> Iterator[None]:
        state = run.state
        disable = not self.config.progress_bar
        with tqdm(total=state.n_steps, initial=state.step, unit="batch", disable=disable) as run.progress:
            yield

    def _show_progress(self, run: TrainingRun) -> None:
        if run.progress.update():  # whether the bar was drawn anew, a few times per second
            run.updater.flush()
            self._show_losses(run, run.state.losses.means())

    def _show_losses(self, run: TrainingRun, losses: HistoryRecord) -> None:
        """Write losses behind the bar: the whole model's, then the tasks'."""
        ending = f"/{self.config.train_split}/loss"
        shown = {"loss": losses[TRAIN_LOSS]} | {
            name.removesuffix(ending) if len(run.train) > 1 else name.partition("/")[0]: value
            for name, value in losses.items()
            if name != TRAIN_LOSS and name.endswith(ending)
        }
        texts = {name: f"{value:.4f}" for name, value in shown.items()}
        run.progress.set_postfix({"epoch": run.state.epoch, **texts}, refresh=False)

    @contextlib.contextmanager
    def _closing(self, run: TrainingRun) -> Iterator[None]:
        """Close the log even when training fails."""
        try:
            yield
        except BaseException:
            if self.log_writer is not None:
                self.log_writer.cleanup()
            raise
        finally:
            run.updater.close()


def _tell_of_resumption(path: UPath, state: TrainingState) -> None:
    if state.is_last or state.stopped:
        _log.warning(
            "%s: this training has ended before; its result is loaded and nothing is trained; remove the "
            "file to train anew",
            path,
        )
    else:
        _log.info("%s: training continues after step %d of %d", path, state.step, state.n_steps)


def _n_rows(batch: Batch) -> int:
    labels = next(iter(batch[1].values()), None)
    if labels is None:
        message = "a batch has no labels at all; the loader's collate function has to keep them"
        raise DatasetError(message)
    return len(labels)
