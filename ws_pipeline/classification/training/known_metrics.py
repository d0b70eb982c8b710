"""Which metrics a training will give, to refuse at its start a choice by one that does not exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ws_pipeline.analysis import METRICS, Scorer
from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.training.checkpointer import Checkpointer
from ws_pipeline.classification.training.state import TRAIN_LOSS
from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.end_model import TrainerConfig
from ws_pipeline.settings.history import POSITION, HistoryRecord


def check_before_training(
    config: TrainerConfig,
    checkpointer: Checkpointer | None,
    model: MultitaskClassifier,
    train: Iterable[DictDataLoader],
    valid: Sequence[DictDataLoader],
) -> None:
    """Refuse to choose a model by a metric that the first evaluation cannot give.

    Raises
    ------
    SettingsError
        There is no such metric; the message lists those that there are.
    """
    known, open_ended = _expected(model, valid)
    wanted = [pair for pair in _wanted(config, checkpointer) if not pair[1].startswith(open_ended)]
    _check(wanted, known | _train_losses(model, train))


def check_at_evaluation(
    config: TrainerConfig,
    checkpointer: Checkpointer | None,
    model: MultitaskClassifier,
    train: Iterable[DictDataLoader],
    record: HistoryRecord,
) -> None:
    """The same with what was measured; a train dataset may have had no batch since the record before."""
    known = record.keys() - set(POSITION) | _train_losses(model, train)
    _check(_wanted(config, checkpointer), known)


def _wanted(config: TrainerConfig, checkpointer: Checkpointer | None) -> list[tuple[str, str]]:
    """Pairs of a setting and a metric that it names."""
    early = config.early_stopping_metric
    wanted = [] if early is None else [("early_stopping_metric", early.rpartition(":")[0])]
    if checkpointer is not None:
        wanted += [("checkpoint_metric", name) for name in checkpointer.checkpoint_metric]
        wanted += [("checkpoint_task_metrics", name) for name in checkpointer.checkpoint_task_metrics]
    return wanted


def _check(wanted: Iterable[tuple[str, str]], known: Collection[str]) -> None:
    for setting, metric in wanted:
        if metric not in known:
            hint = nearest(metric, list(known))
            message = (
                f"{setting}: there is no metric '{metric}', {hint}; there are: {', '.join(sorted(known))}"
            )
            raise SettingsError(message)


def _train_losses(model: MultitaskClassifier, train: Iterable[DictDataLoader]) -> set[str]:
    """Names of the losses that training itself gives."""
    return {TRAIN_LOSS} | {
        f"{label}/{loader.dataset.name}/{loader.dataset.split}/loss"
        for loader in train
        for label in model.labels_to_tasks(loader.dataset.Y_dict)
    }


def _expected(
    model: MultitaskClassifier, valid: Sequence[DictDataLoader]
) -> tuple[set[str], tuple[str, ...]]:
    """Names of what evaluations will give, and how names begin that only an evaluation tells.

    The latter are those of tasks with metrics of their own, which may give any number of values, or
    all, of a classifier with a ``score`` of its own.
    """
    if type(model).score is not MultitaskClassifier.score:
        return set(), ("",)
    known = {f"model/all/{loader.dataset.split}/loss" for loader in valid}
    open_ended = []
    for loader in valid:
        for label, task in model.labels_to_tasks(loader.dataset.Y_dict).items():
            place = f"{label}/{loader.dataset.name}/{loader.dataset.split}/"
            scorer = model.tasks[task].scorer
            known |= {f"{place}{metric}" for metric in ("loss", *scorer.metrics)}
            if type(scorer) is not Scorer or not scorer.metrics.keys() <= METRICS.keys():
                open_ended.append(place)
    return known, tuple(open_ended)
