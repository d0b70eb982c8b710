"""Running a classifier over a loader: probabilities, gold labels and scores.

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.errors import DatasetError

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

RemapLabels = Mapping[str, str | None]
Arrays = dict[str, NDArray[Any]]
ScoreKey = tuple[str, str, str, str]
"""Label, dataset, split and metric."""


def predict_labels(
    model: MultitaskClassifier, dataloader: DictDataLoader, task_of: Mapping[str, str]
) -> dict[str, Arrays]:
    """Compute "probs" `[n, k]` and collect "golds", both by label name.

    Parameters
    ----------
    model
        The classifier; its modules keep their training mode.
    dataloader
        The examples, read in order.
    task_of
        Which task predicts which label.

    Raises
    ------
    DatasetError
        The loader gives no batch.
    """
    probs: dict[str, list[Tensor]] = defaultdict(list)
    golds: dict[str, list[Tensor]] = defaultdict(list)
    with torch.no_grad(), evaluation_mode(model):
        for X_batch, Y_batch in dataloader.ordered_batches():
            outputs = model(X_batch, task_of.values())
            for label, task_name in task_of.items():
                task = model.tasks[task_name]
                probs[label].append(task.output_func(outputs[task.op_sequence[-1].name]).cpu())
                if label in Y_batch:
                    golds[label].append(Y_batch[label].cpu())
    if task_of and not probs:
        message = f"{dataloader.dataset!r}: the loader gives no batch, there is nothing to predict"
        raise DatasetError(message)
    return {"golds": _join(golds), "probs": _join(probs)}


def score_loaders(
    model: MultitaskClassifier, dataloaders: Sequence[DictDataLoader], remap_labels: RemapLabels | None
) -> dict[ScoreKey, float]:
    """Score every label that at least one row of its dataset has.

    Raises
    ------
    DatasetError
        Two loaders have the same label, dataset name and split.
    MetricError
        A metric is not defined for the labels.
    """
    scores: dict[ScoreKey, float] = {}
    for dataloader in dataloaders:
        name, split = dataloader.dataset.name, dataloader.dataset.split
        for label, values in _score_one(model, dataloader, remap_labels).items():
            found = {(label, name, split, metric): value for metric, value in values.items()}
            if found.keys() & scores.keys():
                message = f"two loaders have labels '{label}' of dataset '{name}', split '{split}'"
                raise DatasetError(message + "; give one dataset another name")
            scores.update(found)
    return scores


def _score_one(
    model: MultitaskClassifier, dataloader: DictDataLoader, remap_labels: RemapLabels | None
) -> dict[str, dict[str, float]]:
    """Scores of one loader by label and metric."""
    task_of = model.labels_to_tasks(dataloader.dataset.Y_dict, remap_labels)
    results = predict_labels(model, dataloader, task_of) if task_of else {}
    scores = {}
    for label, task in task_of.items():
        golds = hard_labels(results["golds"][label])
        if (golds != -1).any():
            probs = results["probs"][label]
            try:
                scores[label] = model.tasks[task].scorer.score(golds, probs_to_preds(probs), probs)
            except Exception as error:
                error.add_note(f"when scoring '{label}' of {dataloader.dataset!r}")
                raise
    return scores


def _join(batches: Mapping[str, list[Tensor]]) -> Arrays:
    return {name: torch.cat(parts).cpu().numpy() for name, parts in batches.items()}


def hard_labels(golds: NDArray[Any]) -> NDArray[Any]:
    """Classes `[n]` of labels of either kind; -1 where there is none, or no most probable one."""
    return golds if golds.ndim == 1 else probs_to_preds(golds, tie_break_policy="abstain")


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout and the like off for the block, then give every module its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
