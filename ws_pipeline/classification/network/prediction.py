"""Running a classifier over a loader: probabilities and gold labels.

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.network.evaluation_losses import Losses
from ws_pipeline.classification.network.task_graph import output_of
from ws_pipeline.classification.network.task_network import TaskNetwork
from ws_pipeline.errors import DatasetError

Columns = dict[str, Tensor]
"""Tensors by label."""
_BYTES_WAITING, _BATCHES_WAITING = 2**24, 64


def predict_labels(
    model: TaskNetwork,
    dataloader: DictDataLoader,
    task_of: Mapping[str, str],
    losses: Losses | None = None,
) -> dict[str, Columns]:
    """Compute "probs" ``[n, k]`` and collect "golds", both by label name, in one pass over the loader.

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
