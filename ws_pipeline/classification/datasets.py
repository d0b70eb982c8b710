"""From examples to the datasets that the end model is trained, validated and tested on.

Legend: n examples, k classes of a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ws_pipeline.classification.data import DictDataset
from ws_pipeline.classification.examples import UNKNOWN, Examples
from ws_pipeline.errors import DatasetError

FEATURES = "features"
SOFT, GOLD = "probabilistic", "gold"


def soft_dataset(
    examples: Examples,
    *,
    probs: Mapping[str, npt.NDArray[Any]],
    covered: Mapping[str, npt.NDArray[np.bool_]],
    split: str = "train",
) -> DictDataset:
    """Examples of a split with probabilistic labels; those that no task covers are left out.

    Parameters
    ----------
    examples
        n examples with features.
    probs
        Task name to ``[n, k]``, rows sum to 1.
    covered
        Task name to ``[n]``: which rows carry a label; the others count as unlabelled.
    split
        The split to take.

    Raises
    ------
    DatasetError
        No example of the split is covered, or an array has another number of rows.
    """
    for task, values in probs.items():
        if len(values) != len(examples):
            message = f"task '{task}' has labels for {len(values)} examples, but there are {len(examples)}"
            raise DatasetError(message)
    members = examples.in_split(split) & np.any(list(covered.values()), axis=0)
    if not members.any():
        message = f"no example of split '{split}' has a vote on any of the tasks {list(probs)}"
        raise DatasetError(message)
    labels = {
        task: np.where(covered[task][members, None], values[members], UNKNOWN).astype(np.float32)
        for task, values in probs.items()
    }
    return _dataset(SOFT, split, examples.feature_matrix()[members], labels)


def gold_dataset(examples: Examples, *, split: str) -> DictDataset:
    """Examples of a split with their gold labels, -1 where unknown.

    Raises
    ------
    DatasetError
        The split is empty.
    """
    members = examples.in_split(split)
    if not members.any():
        message = f"no example has split '{split}'"
        raise DatasetError(message)
    labels = {task: gold[members] for task, gold in examples.gold.items()}
    return _dataset(GOLD, split, examples.feature_matrix()[members], labels)


def _dataset(
    name: str, split: str, features: npt.NDArray[Any], labels: Mapping[str, npt.NDArray[Any]]
) -> DictDataset:
    tensors = {task: torch.from_numpy(values) for task, values in labels.items()}
    return DictDataset(name, split, {FEATURES: torch.from_numpy(features)}, tensors)
