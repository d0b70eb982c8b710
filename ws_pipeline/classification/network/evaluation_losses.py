"""Mean losses of labels, datasets and splits, from the losses of batches."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ws_pipeline.classification.data.dict_dataset import DictDataset, Labels
from ws_pipeline.classification.network.task import Task
from ws_pipeline.errors import WsPipelineWarning

LossKey = tuple[str, str, str]
"""Label, dataset and split."""
ScoreKey = tuple[str, str, str, str]
"""Label, dataset, split and metric."""


class Losses:
    """Collects the losses of batches; what is on a GPU is fetched once, at the end.

    Parameters
    ----------
    class_weights
        Weights ``[k]`` of the classes by task name.
    """

    def __init__(self, class_weights: Mapping[str, Tensor]) -> None:
        self.class_weights = class_weights
        self._batches: dict[LossKey, tuple[Task, list[Tensor], list[int]]] = {}
        self._failed: set[LossKey] = set()

    def add(
        self, place: tuple[str, DictDataset], task: Task, logits: Any, Y_batch: Mapping[str, Tensor]
    ) -> None:
        """Take in a batch of a label of a dataset."""
        label, dataset = place
        key = label, dataset.name, dataset.split
        if key in self._failed:
            return
        try:
            loss, count = task.labelled_loss(
                logits,
                Y_batch[label],
                self.class_weights.get(task.name),
                complete=isinstance(Y_batch, Labels) and Y_batch.is_complete(label),
            )
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  any loss function may be the user's own
            self._failed.add(key)
            message = f"no loss of '{label}' on {dataset!r}: {type(error).__name__}: {error}"
            warnings.warn(message, WsPipelineWarning, stacklevel=2)
            return
        if loss is not None:
            _, losses, counts = self._batches.setdefault(key, (task, [], []))
            losses.append(loss.detach())
            counts.append(count)

    def evaluate(self) -> tuple[dict[ScoreKey, float], dict[str, float]]:
        """Compute means over the labelled rows.

        Returns
        -------
        tuple
            Means by label, dataset, split and "loss"; and, by split, the sum over the tasks of loss
            weight times mean, which a split with a loss that failed does not have.
        """
        means: dict[ScoreKey, float] = {}
        by_task: dict[tuple[str, str], tuple[Task, float, int]] = {}
        for (label, name, split), (task, losses, counts) in self._batches.items():
            rows = sum(counts)
            total = sum(loss * n for loss, n in zip(torch.stack(losses).tolist(), counts, strict=True))
            if (label, name, split) not in self._failed:
                means[label, name, split, "loss"] = total / rows
            _, total_before, rows_before = by_task.get((split, task.name), (task, 0.0, 0))
            by_task[split, task.name] = task, total_before + total, rows_before + rows
        broken = {split for _, _, split in self._failed}
        totals: dict[str, float] = {}
        for (split, _), (task, total, rows) in by_task.items():
            if split not in broken:
                totals[split] = totals.get(split, 0.0) + task.loss_weight * total / rows
        return means, totals
