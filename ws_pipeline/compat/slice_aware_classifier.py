"""A classifier of two classes that learns slices beside the label; see :mod:`.slice_tasks`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import DictDataLoader, DictDataset, MultitaskClassifier, Operation, Task
from ws_pipeline.compat.slice_tasks import (
    BASE,
    EXPERT,
    INDICATOR,
    add_slice_labels,
    convert_to_slice_tasks,
    slice_task_name,
)
from ws_pipeline.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd


class SliceAwareClassifier(MultitaskClassifier):
    """A classifier of two classes with an indicator and an expert for each slice.

    Parameters
    ----------
    base_architecture
        Turns a field of the input into a representation ``[n, head_dim]``.
    head_dim
        Features of the representation.
    slice_names
        Names of the slices.
    input_data_key
        The field it reads.
    task_name
        Name of the label.
    scorer
        Metrics of the label.  Default: accuracy and f1.
    **multitask_kwargs
        Fields of :class:`~ws_pipeline.classification.ClassifierConfig`.

    Attributes
    ----------
    base_task
        The task without slices.
    slice_names
        See above.

    Raises
    ------
    TaskGraphError
        Two slices have one name.
    """

    def __init__(
        self,
        base_architecture: nn.Module,
        head_dim: int,
        slice_names: Sequence[str],
        input_data_key: str = "input_data",
        task_name: str = "task",
        scorer: Scorer | None = None,
        **multitask_kwargs: Any,
    ) -> None:
        base_task = Task(
            task_name,
            {"base_architecture": base_architecture, "prediction_head": nn.Linear(head_dim, 2)},
            [
                Operation("base_architecture", [("_input_", input_data_key)], "input_op"),
                Operation("prediction_head", ["input_op"], "head_op"),
            ],
            scorer if scorer is not None else Scorer(metrics=["accuracy", "f1"]),
        )
        tasks = convert_to_slice_tasks(base_task, slice_names)
        super().__init__(tasks, f"{task_name}_sliceaware_classifier", **multitask_kwargs)
        self.base_task = base_task
        self.slice_names = list(slice_names)

    def make_slice_dataloader(self, dataset: DictDataset, S: Any, **dataloader_kwargs: Any) -> DictDataLoader:
        """Make a loader with the labels of the slices.

        Parameters
        ----------
        dataset
            Examples with labels of the base task.  The dataset stays as it is; the loader's has more labels.
        S
            As for :func:`~ws_pipeline.compat.slice_tasks.add_slice_labels`.
        **dataloader_kwargs
            As for :class:`~ws_pipeline.classification.DictDataLoader`.

        Raises
        ------
        DatasetError
            The labels of the base task are missing, or ``S`` does not fit or lacks a slice.
        """
        missing = [name for name in self.slice_names if name != BASE and name not in (S.dtype.names or ())]
        if missing:
            found = ", ".join(S.dtype.names or ()) or "none"
            message = f"S has no slice '{missing[0]}', which the classifier learns; it has: {found}"
            raise DatasetError(message)
        with_slices = copy.copy(dataset)
        with_slices.Y_dict = dict(dataset.Y_dict)
        dataloader = DictDataLoader(with_slices, **dataloader_kwargs)
        add_slice_labels(dataloader, self.base_task, S)
        return dataloader

    def score_slices(
        self, dataloaders: Sequence[DictDataLoader], as_dataframe: bool = False
    ) -> dict[str, float] | pd.DataFrame:
        """Score the predictions of the base task on all examples and on each slice.

        Parameters
        ----------
        dataloaders
            Loaders of :meth:`make_slice_dataloader`.
        as_dataframe
            As for :meth:`MultitaskClassifier.score`.

        Returns
        -------
        dict or DataFrame
            As :meth:`MultitaskClassifier.score` returns them; the label "<task>_slice:<slice>_pred" stands
            for the slice.
        """
        remap: dict[str, str | None] = {}
        for name in {*self.slice_names, BASE}:
            remap[slice_task_name(self.base_task, name, EXPERT)] = self.base_task.name
            remap[slice_task_name(self.base_task, name, INDICATOR)] = None
        if as_dataframe:
            return self.score(dataloaders, remap, as_dataframe=True)
        return self.score(dataloaders, remap)
