"""From examples to the datasets that the end model is trained, validated and tested on.

The train dataset carries probabilistic labels.  The others carry what a model is compared with, its
reference: the gold labels of a task where its split has any, else the label model's labels.  Which
of the two it was is part of every score's name, so that agreement with the label model is never read
as accuracy; see :func:`split_by_reference`.

Legend: n examples, f features, k classes of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ws_pipeline.classification.data.dict_dataset import DictDataset
from ws_pipeline.errors import DatasetError
from ws_pipeline.example_index import UNKNOWN
from ws_pipeline.examples import Examples

FEATURES = "features"
SOFT, GOLD, LABEL_MODEL, REFERENCE = "probabilistic", "gold", "label_model", "reference"

Fields = Mapping[str, Sequence[str]]
"""Field name to the feature columns that it holds side by side."""


def feature_fields(examples: Examples, fields: Fields | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """Arrange feature columns into fields ``[n, f]``; by default all of them into one, "features".

    Raises
    ------
    ExamplesError
        A named column is not there, or there are no features at all.
    """
    if fields is None:
        return {FEATURES: examples.feature_matrix()}
    return {name: examples.feature_matrix(columns) for name, columns in fields.items()}


def soft_dataset(
    examples: Examples,
    *,
    probs: Mapping[str, npt.NDArray[Any]],
    covered: Mapping[str, npt.NDArray[np.bool_]],
    split: str = "train",
    filter_uncovered: bool = True,
    fields: Fields | None = None,
) -> DictDataset:
    """Examples of a split with probabilistic labels.

    Parameters
    ----------
    examples
        n examples with features.
    probs
        Task name to ``[n, k]``, rows sum to 1; the class balance where an example is not covered.
    covered
        Task name to ``[n]``: which rows have a vote.
    split
        The split to take.
    filter_uncovered
        Leave out examples that no task covers, and count those that another task covers as
        unlabelled.  Otherwise all are kept, and ``probs`` is the label of every task and row.
    fields
        Feature columns of each field.  Default: all, in the field "features".

    Raises
    ------
    DatasetError
        The split is empty, none of its examples is covered, or an array has another number of rows.
    """
    _check_rows(examples, probs)
    members = _members(examples, split)
    voted = members & np.any(list(covered.values()), axis=0)
    if not voted.any():
        message = f"no example of split '{split}' has a vote on any of the tasks {list(probs)}"
        raise DatasetError(message)
    taken = voted if filter_uncovered else members
    labels = {
        task: _soft_labels(values[taken], covered[task][taken] | (not filter_uncovered))
        for task, values in probs.items()
    }
    sources = dict.fromkeys(labels, SOFT)
    return _dataset(SOFT, split, examples, fields, taken, labels, sources)


def reference_dataset(
    examples: Examples,
    *,
    split: str,
    probs: Mapping[str, npt.NDArray[Any]] | None = None,
    covered: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    fields: Fields | None = None,
) -> DictDataset:
    """Examples of a split with what a model is compared with.

    Parameters
    ----------
    examples
        n examples with features, and with gold labels where known.
    split
        The split to take.
    probs, covered
        As in :func:`soft_dataset`: a task without any gold label in the split gets these labels on
        its covered rows.  Default: such a task has no labels.
    fields
        Feature columns of each field.  Default: all, in the field "features".

    Returns
    -------
    DictDataset
        Labels of a task are gold ``[n]``, -1 where unknown, or probabilistic ``[n, k]``, rows of -1
        where not covered.  Its ``label_sources`` say which it is: "gold" or "label_model".

    Raises
    ------
    DatasetError
        The split is empty, or an array has another number of rows.
    """
    _check_rows(examples, probs or {})
    members = _members(examples, split)
    labels: dict[str, npt.NDArray[Any]] = {task: gold[members] for task, gold in examples.gold.items()}
    sources = {task: GOLD for task, gold in labels.items() if (gold != UNKNOWN).any()}
    for task, values in (probs or {}).items():
        voted = (covered or {})[task][members]
        if task not in sources and voted.any():
            labels[task], sources[task] = _soft_labels(values[members], voted), LABEL_MODEL
    return _dataset(REFERENCE, split, examples, fields, members, labels, sources)


def references(dataset: DictDataset) -> dict[str, str | None]:
    """Source of the reference labels of each task: "gold", "label_model" or None."""
    return {task: (dataset.label_sources or {}).get(task) for task in dataset.Y_dict}


def split_by_reference(dataset: DictDataset) -> list[DictDataset]:
    """Divide the tasks of a dataset among a dataset per source of their labels, with that as its name.

    They share the features.  A dataset's name is part of the name of every score, so each score says
    what it was measured against.  A task without any label is in none.  The tasks of a dataset that does not
    say where its labels are from keep the name of that dataset.
    """
    if dataset.label_sources is None:
        has_labels = any(bool((labels != UNKNOWN).any()) for labels in dataset.Y_dict.values())
        return [dataset] if has_labels else []
    tasks_of: dict[str, dict[str, torch.Tensor]] = {}
    for task, source in sorted(dataset.label_sources.items(), key=lambda item: item[1]):
        tasks_of.setdefault(source, {})[task] = dataset.Y_dict[task]
    return [
        DictDataset(
            source, dataset.split, dataset.X_dict, labels, label_sources=dict.fromkeys(labels, source)
        )
        for source, labels in tasks_of.items()
    ]


def _check_rows(examples: Examples, probs: Mapping[str, npt.NDArray[Any]]) -> None:
    for task, values in probs.items():
        if len(values) != len(examples):
            message = f"task '{task}' has labels for {len(values)} examples, but there are {len(examples)}"
            raise DatasetError(message)


def _members(examples: Examples, split: str) -> npt.NDArray[np.bool_]:
    members = examples.in_split(split)
    if not members.any():
        message = f"no example has split '{split}'"
        raise DatasetError(message)
    return members


def _soft_labels(probs: npt.NDArray[Any], labelled: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return np.where(labelled[:, None], probs, UNKNOWN).astype(np.float32)


def _dataset(
    name: str,
    split: str,
    examples: Examples,
    fields: Fields | None,
    rows: npt.NDArray[np.bool_],
    labels: Mapping[str, npt.NDArray[Any]],
    sources: Mapping[str, str],
) -> DictDataset:
    features = feature_fields(examples, fields)
    X_dict = {field: torch.from_numpy(values[rows]) for field, values in features.items()}
    Y_dict = {task: torch.from_numpy(values) for task, values in labels.items()}
    return DictDataset(name, split, X_dict, Y_dict, label_sources=sources, text_digest=examples.text_digest)
