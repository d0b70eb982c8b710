"""Weights of classes in the loss: given, or such that all classes count the same.

Legend: n = labelled rows, k = classes of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.network.prediction import evaluation_mode
from ws_pipeline.classification.network.task_graph import output_of
from ws_pipeline.errors import DatasetError, TaskGraphError
from ws_pipeline.settings.base import nearest

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier


def build_class_weights(
    model: MultitaskClassifier,
    train: Sequence[DictDataLoader],
    *,
    given: Mapping[str, Sequence[float]],
    balanced: Sequence[str],
) -> dict[str, Tensor]:
    """Weights ``[k]`` by task name, on the model's device.

    Parameters
    ----------
    model
        The classifier; says how many classes a task has.
    train
        Loaders of the train split.
    given
        Weights by task name.
    balanced
        Tasks whose class y gets the weight ``n / (k * mass[y])``, where mass is the number of rows
        of a class, or the sum of its probabilities.  A class without mass gets 1.

    Raises
    ------
    TaskGraphError
        There is no such task, or it cannot use its weights.
    DatasetError
        A balanced task has no train labels.
    """
    weights = {task: torch.tensor(values) for task, values in given.items()}
    for task in balanced:
        if task not in model.tasks:
            message = f"balance_classes: there is no task '{task}', {nearest(task, list(model.tasks))}"
            raise TaskGraphError(message)
        mass = _class_mass(model, train, task)
        even = mass.sum() / (len(mass) * mass)
        weights[task] = torch.where(mass > 0, even, 1.0).to(torch.float32)
    model.check_class_weights(weights)
    return {task: values.to(model.device) for task, values in weights.items()}


def _class_mass(model: MultitaskClassifier, train: Sequence[DictDataLoader], task: str) -> Tensor:
    """Number of rows per class ``[k]``, in float64."""
    loaders = [loader for loader in train if task in loader.dataset.Y_dict]
    if not loaders:
        message = f"balance_classes: no train dataset has labels of task '{task}'"
        raise DatasetError(message)
    mass = torch.zeros(_n_classes(model, loaders[0], task), dtype=torch.float64)
    for loader in loaders:
        labels = loader.dataset.Y_dict[task].cpu()
        if labels.ndim == 1:
            mass += torch.bincount(labels[labels != -1].long(), minlength=len(mass))
        else:
            mass += labels[(labels != -1).any(dim=1)].to(torch.float64).sum(dim=0)
    return mass


def _n_classes(model: MultitaskClassifier, loader: DictDataLoader, task: str) -> int:
    """Width of the task's logits; hard labels do not tell, since a class may have no row."""
    labels = loader.dataset.Y_dict[task]
    if labels.ndim > 1:
        return labels.shape[1]
    fields, _ = next(iter(loader.ordered_batches()))
    with torch.no_grad(), evaluation_mode(model):
        logits = output_of(model.tasks[task], model(fields, [task]))
    return int(logits.shape[-1])
