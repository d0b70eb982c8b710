"""Which metrics a training will give, to refuse at its start a choice by one that does not exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ws_pipeline.analysis import METRICS, Scorer
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.training.state import TRAIN_LOSS
from ws_pipeline.errors import SettingsError
from ws_pipeline.settings import nearest


def train_loss_names(model: MultitaskClassifier, train: Iterable[DictDataLoader]) -> set[str]:
    """Names of the losses that training itself gives."""
    return {TRAIN_LOSS} | {
        f"{label}/{loader.dataset.name}/{loader.dataset.split}/loss"
        for loader in train
        for label in model.labels_to_tasks(loader.dataset.Y_dict)
    }


def expected_metrics(
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


def check_metrics_exist(wanted: Iterable[tuple[str, str]], known: Collection[str]) -> None:
    """Refuse metrics that an evaluation does not give.

    Parameters
    ----------
    wanted
        Pairs of a setting's name and a metric's name.
    known
        The metrics that there are.

    Raises
    ------
    SettingsError
        A metric is not among them; the message lists them.
    """
    for setting, metric in wanted:
        if metric not in known:
            hint = nearest(metric, list(known))
            message = (
                f"{setting}: there is no metric '{metric}', {hint}; there are: {', '.join(sorted(known))}"
            )
            raise SettingsError(message)
