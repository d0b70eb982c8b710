"""Running a classifier over a loader: probabilities, gold labels and scores.

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ws_pipeline.analysis import Scorer, probs_to_preds
from ws_pipeline.analysis.predictions import hard_labels
from ws_pipeline.classification.data import DictDataset
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.classification.evaluation_losses import Losses, LossKey, ScoreKey
from ws_pipeline.classification.graph import output_of
from ws_pipeline.errors import (
    DatasetError,
    MetricError,
    UndefinedMetricError,
    UnmatchedLabelsWarning,
    WsPipelineWarning,
)
from ws_pipeline.settings import nearest

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

RemapLabels = Mapping[str, str | None]
Columns = dict[str, Tensor]
"""Tensors by label."""
_BYTES_WAITING, _BATCHES_WAITING = 2**24, 64


def predict_labels(
    model: MultitaskClassifier,
    dataloader: DictDataLoader,
    task_of: Mapping[str, str],
    losses: Losses | None = None,
) -> dict[str, Columns]:
    """Compute "probs" `[n, k]` and collect "golds", both by label name, in one pass over the loader.

    Parameters
    ----------
    model
        The classifier; its modules keep their training mode.
    dataloader
        The examples, read in order.
    task_of
        Which task predicts which label.
    losses
        Takes in the losses of every batch as well, if given.

    Raises
    ------
    DatasetError
        The loader gives no batch.
    """
    if not task_of:
        return {"golds": {}, "probs": {}}
    dataset, own_rows = dataloader.dataset, dataloader.gives_the_datasets_rows
    probs, golds = ({label: _Column(len(dataset)) for label in task_of} for _ in range(2))
    heads = [(label, model.tasks[task], probs[label], golds[label]) for label, task in task_of.items()]
    with torch.no_grad(), evaluation_mode(model):
        for X_batch, Y_batch in dataloader.ordered_batches(with_labels=losses is not None):
            outputs = model(X_batch, task_of.values())
            for label, task, prob, gold in heads:
                logits = output_of(task, outputs)
                prob.append(task.output_func(logits))
                if label in Y_batch and not own_rows:
                    gold.append(Y_batch[label])
                if label in Y_batch and losses is not None:
                    losses.add((label, dataset), task, logits, Y_batch)
    if not all(column.n_batches for column in probs.values()):
        message = f"{dataset!r}: the loader gives no batch, there is nothing to predict"
        raise DatasetError(message)
    results = {"golds": _values(golds), "probs": _values(probs)}
    if own_rows:
        labels = dataset.Y_dict
        results["golds"] = {name: labels[name].to("cpu", copy=True) for name in task_of if name in labels}
    return results


def _values(columns: Mapping[str, _Column]) -> Columns:
    return {label: column.values() for label, column in columns.items() if column.n_batches}


class _Column:
    """Rows that come batch by batch, in one tensor on the CPU; there is never a second copy of all.

    Parameters
    ----------
    n
        How many rows are expected; more are taken too.
    """

    def __init__(self, n: int) -> None:
        self._n_expected = n
        self._rows = torch.empty(0)
        self._n = 0
        self.n_batches = 0
        self._waiting: list[Tensor] = []
        self._bytes_waiting = 0

    def append(self, batch: Tensor) -> None:
        """Add rows; those on a GPU are fetched many batches at a time."""
        self.n_batches += 1
        self._waiting.append(batch)
        self._bytes_waiting += batch.nbytes
        if self._bytes_waiting >= _BYTES_WAITING or len(self._waiting) >= _BATCHES_WAITING:
            self._store()

    def values(self) -> Tensor:
        """All rows; there must have been a batch."""
        self._store()
        return self._rows if self._n == len(self._rows) else self._rows[: self._n].clone()

    def _store(self) -> None:
        if not self._waiting:
            return
        block = torch.cat(self._waiting)
        stop = self._n + len(block)
        if stop > len(self._rows):
            longer = torch.empty(
                (max(self._n_expected, 2 * self._n, stop), *block.shape[1:]), dtype=block.dtype
            )
            if self._n:
                longer[: self._n] = self._rows[: self._n]
            self._rows = longer
        self._rows[self._n : stop] = block
        self._n, self._bytes_waiting = stop, 0
        self._waiting.clear()


def warn_of_unknown_labels(
    model: MultitaskClassifier, dataset: DictDataset, remap_labels: RemapLabels | None = None
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
    model: MultitaskClassifier, dataloaders: Sequence[DictDataLoader], remap_labels: RemapLabels | None
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
    model: MultitaskClassifier,
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
        Weights `[k]` of the classes by task name, handed to the loss functions.  Default: none.

    Returns
    -------
    dict
        Scores as :meth:`MultitaskClassifier.score` gives them, by "label/dataset/split/metric";
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
    named = {"/".join(key): value for key, value in (found | scores).items()}
    return named | {f"model/all/{split}/loss": value for split, value in totals.items()}


def _score_all(
    model: MultitaskClassifier,
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
    model: MultitaskClassifier,
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
    model: MultitaskClassifier,
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
    """Scores, nan and a warning for those that the labels give no value: training goes on."""
    try:
        return scorer.score(*columns)
    except UndefinedMetricError as error:
        warnings.warn(f"{where}: {error}; such scores are nan", WsPipelineWarning, stacklevel=2)
        return scorer.score(*columns, undefined="nan")


def to_array(values: Tensor) -> NDArray[Any]:
    """As an array; numpy has no bfloat16."""
    array: NDArray[Any] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return array


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
