"""The work around the steps of a training: resuming, epochs, records, evaluations, checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator

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
from ws_pipeline.classification.training.model_selection import check_at_evaluation
from ws_pipeline.classification.training.run_state import TrainingRun
from ws_pipeline.settings.metric_names import HistoryRecord, MetricName

_BATCHES, _DROPOUT = 0, 1
_log = logging.getLogger(__name__)


def resume(run: TrainingRun) -> int | None:
    """Continue from the checkpoint of this training, if there is one, and return its step."""
    resumed_from = None
    if run.checkpointer is not None and run.fingerprint is not None:
        saved = run.checkpointer.read_state(run.fingerprint)
        if saved is not None:
            tensors, values = saved
            run.restore(values, tensors)
            resumed_from = run.state.position.step
            _tell_of_resumption(run)
        if run.log_writer is not None:  # what came after the checkpoint is logged again
            run.log_writer.resume(run.fingerprint, run.state.position.points)
    run.n_points_before = run.state.position.points
    return resumed_from


def start_epoch(run: TrainingRun) -> Iterator[tuple[Batch, DictDataLoader]]:
    """Set the random numbers of the epoch, and give its batches that are left."""
    model, position, config = run.state.model, run.state.position, run.config
    seed_everything(derive_seed(config.seed, position.epoch, _DROPOUT), model.device)
    run.samplers.start_epoch()
    scheduler = BATCH_SCHEDULERS[config.batch_scheduler]()
    order = derive_seed(config.seed, position.epoch, _BATCHES)
    batches = scheduler.get_batches(run.train, order, start=position.batch)
    set_random_states(run.random_states)  # after a checkpoint within an epoch, else there are none
    run.random_states = {}
    model.train()
    return batches


def take_stock(run: TrainingRun, *, evaluate: bool) -> None:
    """Make a record, and if the model is evaluated, decide what follows from it."""
    state, log_manager = run.state, run.state.log_manager
    record: HistoryRecord = {
        "epoch": state.position.epoch,
        "step": state.position.step,
        "lr": state.optimizer.param_groups[0]["lr"],
        **state.losses.means(),
    }
    state.losses.reset()
    if evaluate:
        record |= _evaluate(run)
        check_at_evaluation(run.config, state.model, run.train, record)
    state.history.append(record)
    run.progress.show(state.position.epoch, record)
    _write_to_log(run, record)
    if evaluate:
        state.stopped = state.early_stopping.should_stop(record)
        is_due = log_manager.trigger_checkpointing()
        if run.checkpointer is not None and (is_due or run.is_over):
            run.checkpointer.checkpoint(log_manager.unit_total, state.model, record)
            save_state(run)
    if run.on_record is not None:
        run.on_record(record)


def save_state(run: TrainingRun) -> None:
    """Write the checkpoint, if the training keeps one."""
    if run.checkpointer is not None and run.fingerprint is not None:
        run.updater.flush()
        tensors = run.state.tensors() | run.samplers.tensors()
        run.checkpointer.write_state(run.fingerprint, tensors, run.state.values())


def _evaluate(run: TrainingRun) -> HistoryRecord:
    """Scores and losses of the valid split; a classifier's own ``score`` comes on top."""
    model = run.state.model
    with own_random_numbers(model.device):
        found = evaluate_loaders(model, run.valid, *run.class_weights)
        if type(model).score is not MultitaskClassifier.score:
            found |= model.score(run.valid)
    return {name: float(value) for name, value in found.items()}


def _write_to_log(run: TrainingRun, record: HistoryRecord) -> None:
    """Write a record to the log, if there is one, at the number of examples so far."""
    if run.log_writer is not None:
        for name, value in record.items():
            if name not in {"epoch", "step"}:
                title = str(MetricName.of_model(run.config.train_split, "lr")) if name == "lr" else name
                run.log_writer.add_scalar(title, value, run.state.position.points)


def _tell_of_resumption(run: TrainingRun) -> None:
    assert run.checkpointer is not None
    path = run.checkpointer.last_path
    if run.is_over:
        _log.warning(
            "%s: this training has ended before; its result is loaded and nothing is trained; remove the "
            "file to train again",
            path,
        )
    else:
        _log.info("%s: training continues after step %d of %d", path, run.state.position.step, run.n_steps)
