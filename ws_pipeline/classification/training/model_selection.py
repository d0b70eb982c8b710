"""Choice of models and early stopping by metrics; checks that a training will measure them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ws_pipeline.analysis import METRICS, Scorer
from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.metric_names import LOSS, POSITION, HistoryRecord, MetricMode, MetricName
from ws_pipeline.settings.trainer import TrainerConfig


class EarlyStopping:
    """Counts evaluations without improvement.

    Parameters
    ----------
    metric
        "task/dataset/split/metric:mode"; None: never stop.
    patience
        Number of evaluations in a row without improvement after which to stop.

    Raises
    ------
    SettingsError
        ``metric`` has another form.
    """

    def __init__(self, metric: str | None, patience: int) -> None:
        self.metric = None if metric is None else MetricMode.parse(metric)
        self.patience = patience
        self.best: float | None = None
        self.n_without_improvement = 0

    def should_stop(self, metrics: Mapping[str, float]) -> bool:
        """Take in one evaluation; a metric that is nan or missing is no improvement."""
        if self.metric is None:
            return False
        value = metrics.get(self.metric.name)
        if value is not None and self.metric.is_better(value, self.best):
            self.best, self.n_without_improvement = value, 0
        else:
            self.n_without_improvement += 1
        return self.n_without_improvement >= self.patience

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, as JSON values."""
        return {"best": self.best, "n_without_improvement": self.n_without_improvement}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.best, self.n_without_improvement = state["best"], state["n_without_improvement"]


def check_before_training(
    config: TrainerConfig,
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
    wanted = [pair for pair in _wanted(config) if not pair[1].startswith(open_ended)]
    _check(wanted, known | _train_losses(model, train))


def check_at_evaluation(
    config: TrainerConfig,
    model: MultitaskClassifier,
    train: Iterable[DictDataLoader],
    record: HistoryRecord,
) -> None:
    """The same with what was measured; a train dataset may have had no batch since the record before."""
    known = record.keys() - set(POSITION) | _train_losses(model, train)
    _check(_wanted(config), known)


def _wanted(config: TrainerConfig) -> list[tuple[str, str]]:
    """Pairs of a setting and a metric that it names."""
    choices = [("early_stopping_metric", config.early_stopping_metric)]
    if config.checkpointing:
        choices.append(("checkpoint_metric", config.checkpoint_metric))
        choices += [("checkpoint_task_metrics", text) for text in config.checkpoint_task_metrics or ()]
    return [(setting, MetricMode.parse(text).name) for setting, text in choices if text is not None]


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
    names = {
        name
        for loader in train
        for label in model.labels_to_tasks(loader.dataset.Y_dict)
        for name in (_of_loader(loader, label), MetricName.of_model(loader.dataset.split))
    }
    return set(map(str, names))


def _of_loader(loader: DictDataLoader, label: str, metric: str = LOSS) -> MetricName:
    return MetricName(label, loader.dataset.name, loader.dataset.split, metric)


def _expected(
    model: MultitaskClassifier, valid: Sequence[DictDataLoader]
) -> tuple[set[str], tuple[str, ...]]:
    """Names of what evaluations will give, and how names begin that only an evaluation tells.

    The latter are those of tasks with metrics of their own, which may give any number of values, or
    all, of a classifier with a ``score`` of its own.
    """
    if type(model).score is not MultitaskClassifier.score:
        return set(), ("",)
    known = {str(MetricName.of_model(loader.dataset.split)) for loader in valid}
    open_ended = []
    for loader in valid:
        for label, task in model.labels_to_tasks(loader.dataset.Y_dict).items():
            scorer = model.tasks[task].scorer
            known |= {str(_of_loader(loader, label, metric)) for metric in (LOSS, *scorer.metrics)}
            if type(scorer) is not Scorer or not scorer.metrics.keys() <= METRICS.keys():
                open_ended.append(str(_of_loader(loader, label, "")))
    return known, tuple(open_ended)
