"""Comparing a classifier's predictions with the labels of loaders: scores and losses.

Start reading at :func:`evaluate_loaders`.

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from ws_pipeline.analysis import Scorer, probs_to_preds
from ws_pipeline.analysis.predictions import hard_labels
from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import DictDataset
from ws_pipeline.classification.network.evaluation_losses import Losses, LossKey, ScoreKey
from ws_pipeline.classification.network.prediction import predict_labels, to_array
from ws_pipeline.classification.network.task_network import RemapLabels, TaskNetwork
from ws_pipeline.errors import (
    DatasetError,
    MetricError,
    UndefinedMetricError,
    UnmatchedLabelsWarning,
    WsPipelineWarning,
)
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.metric_names import MetricName


def warn_of_unknown_labels(
    model: TaskNetwork, dataset: DictDataset, remap_labels: RemapLabels | None = None
) -> None:
    """Warn of labels that no task is for, unless ``remap_labels`` says so itself.

    Warns
    -----
    UnmatchedLabelsWarning
        The labels are left out.
    """
    unknown = dataset.Y_dict.keys() - model.tasks.keys() - (remap_labels or {}).keys()
    if unknown:
        names = [name for name in dataset.Y_dict if name in unknown]
        hint = nearest(names[0], list(model.tasks)) if model.tasks else "the classifier has no task"
        message = f"{dataset!r} has labels of no task, which are left out: {', '.join(names)}; {hint}"
        warnings.warn(message, UnmatchedLabelsWarning, stacklevel=3)


def score_loaders(
    model: TaskNetwork, dataloaders: Sequence[DictDataLoader], remap_labels: RemapLabels | None
) -> dict[ScoreKey, float]:
    """Score every label that at least one row of its dataset has.

    Raises
    ------
    DatasetError
        Two loaders have the same label, dataset name and split.
    MetricError
        A metric cannot be computed from what the task gives.

    Warns
    -----
    WsPipelineWarning
        The labels give a metric no value; it is nan.
    UnmatchedLabelsWarning
        There is no task for some of the labels.
    """
    for dataloader in dataloaders:
        warn_of_unknown_labels(model, dataloader.dataset, remap_labels)
    return _score_all(model, dataloaders, remap_labels, None)


def evaluate_loaders(
    model: TaskNetwork,
    dataloaders: Sequence[DictDataLoader],
    class_weights: Mapping[str, Tensor] | None = None,
) -> dict[str, float]:
    """Compute scores and losses of the loaders, in one pass over each.

    Parameters
    ----------
    model
        The classifier; its modules keep their training mode.
    dataloaders
        The labelled examples.
    class_weights
        Weights ``[k]`` of the classes by task name, handed to the loss functions.  Default: none.

    Returns
    -------
    dict
        Scores as :meth:`.MultitaskClassifier.score` gives them, by "label/dataset/split/metric";
        "label/dataset/split/loss", the mean over the labelled rows; and "model/all/split/loss", the
        sum over the tasks of loss weight times the mean loss over the split's labelled rows.  What
        has no labelled row is left out.

    Raises
    ------
    DatasetError
        Two loaders have the same label, dataset name and split.
    MetricError
        A metric cannot be computed from what the task gives, or is called "loss".
    TaskGraphError
        A task cannot use its class weights.

    Warns
    -----
    WsPipelineWarning
        The labels give a metric no value; it is nan.  A loss cannot be computed on these labels, as
        when a loss function takes probabilities and the labels are hard; it and the sum of its split
        are left out.
    """
    model.check_class_weights(class_weights or {})
    losses = Losses(class_weights or {})
    scores = _score_all(model, dataloaders, None, losses)
    found, totals = losses.evaluate()
    clash = min(found.keys() & scores.keys(), default=None)
    if clash:
        message = f"a metric of task '{clash[0]}' is called 'loss'; give it another name"
        raise MetricError(message)
    named = {str(MetricName(*key)): value for key, value in (found | scores).items()}
    return named | {str(MetricName.of_model(split)): value for split, value in totals.items()}


def _score_all(
    model: TaskNetwork,
    dataloaders: Sequence[DictDataLoader],
    remap_labels: RemapLabels | None,
    losses: Losses | None,
) -> dict[ScoreKey, float]:
    scores: dict[ScoreKey, float] = {}
    check_places(model, dataloaders, remap_labels)
    for dataloader in dataloaders:
        name, split = dataloader.dataset.name, dataloader.dataset.split
        task_of = model.labels_to_tasks(dataloader.dataset.Y_dict, remap_labels)
        for label, values in _score_one(model, dataloader, task_of, losses).items():
            scores.update({(label, name, split, metric): value for metric, value in values.items()})
    return scores


def check_places(
    model: TaskNetwork,
    dataloaders: Sequence[DictDataLoader],
    remap_labels: RemapLabels | None = None,
) -> None:
    """Refuse loaders whose scores would have the same name.

    Raises
    ------
    DatasetError
        Two loaders have the same label, dataset name and split.
    """
    seen: set[LossKey] = set()
    for dataset in (dataloader.dataset for dataloader in dataloaders):
        for label in model.labels_to_tasks(dataset.Y_dict, remap_labels):
            place = (label, dataset.name, dataset.split)
            if place in seen:
                message = f"two loaders have labels '{label}' of dataset '{dataset.name}', split "
                message += f"'{dataset.split}'; give one dataset another name"
                raise DatasetError(message)
            seen.add(place)


def _score_one(
    model: TaskNetwork,
    dataloader: DictDataLoader,
    task_of: Mapping[str, str],
    losses: Losses | None,
) -> dict[str, dict[str, float]]:
    """Scores of one loader by label and metric."""
    results = predict_labels(model, dataloader, task_of, losses)
    scores = {}
    for label, task in task_of.items():
        if label not in results["golds"]:
            message = f"{dataloader.dataset!r}: the loader's batches have no labels '{label}' to score with"
            raise DatasetError(message)
        golds = to_array(results["golds"][label])
        if (hard_labels(golds) != -1).any():
            where = f"'{label}' of {dataloader.dataset!r}"
            try:
                probs = to_array(results["probs"][label])
                preds = probs_to_preds(probs)
                scores[label] = _score_if_defined(where, model.tasks[task].scorer, golds, preds, probs)
            except Exception as error:
                error.add_note(f"when scoring {where}")
                raise
    return scores


def _score_if_defined(where: str, scorer: Scorer, *columns: NDArray[Any]) -> dict[str, float]:
    """Scores, nan and a warning for those that the labels give no value: training continues."""
    try:
        return scorer.score(*columns)
    except UndefinedMetricError as error:
        warnings.warn(f"{where}: {error}; such scores are nan", WsPipelineWarning, stacklevel=2)
        return scorer.score(*columns, undefined="nan")
