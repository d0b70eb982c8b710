"""A classifier for several tasks that share modules: predictions, scores, files.

What it computes is in :mod:`ws_pipeline.classification.network.task_network`.  Training is the trainer's work
(:mod:`ws_pipeline.classification.training.trainer`).

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.network.prediction import predict_labels, to_array
from ws_pipeline.classification.network.scoring import score_loaders
from ws_pipeline.classification.network.task_network import RemapLabels, TaskNetwork
from ws_pipeline.errors import FileFormatError
from ws_pipeline.settings.metric_names import MetricName
from ws_pipeline.storage.files import FileFormat, PathLike
from ws_pipeline.storage.tensor_file import check_names_and_shapes, read_tensors, write_tensors

if TYPE_CHECKING:
    import pandas as pd

_FILE_FORMAT = FileFormat("ws_pipeline/MultitaskClassifier", version=1)


class MultitaskClassifier(TaskNetwork):
    """A network for several tasks that share modules.

    Parameters
    ----------
    tasks
        The tasks; more can be added later (:meth:`add_task`).  They share the modules of one name:
        of two different objects the first one is used by both tasks, and a warning says so.
        Operations of one name that call different modules or read different inputs are computed for
        each task apart.
    name
        Name of the classifier.  Default: the name of the class.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.trainer.ClassifierConfig`: ``device``, which
        may also be a ``torch.device``, and ``dataparallel``.

    Attributes
    ----------
    config
        The settings.
    tasks
        The tasks by name.
    module_pool
        All modules by name.
    task_names
        Names of the tasks.
    op_sequences, loss_funcs, output_funcs, scorers
        What the tasks have, by task name; what is written there is the task's from then on.

    Raises
    ------
    TaskGraphError
        Two tasks have one name, or two modules of one name differ in their classes or shapes.
    DeviceError
        The device is not there.

    Warns
    -----
    SharedModuleWarning
        Two tasks bring two different modules of one name.
    """

    def predict(
        self,
        dataloader: DictDataLoader,
        return_preds: bool = False,
        remap_labels: RemapLabels | None = None,
    ) -> dict[str, dict[str, Tensor]]:
        """Compute probabilities, in the dataset's order even when the loader shuffles.

        Parameters
        ----------
        dataloader
            The examples.  A sampler that it was given is kept to.
        return_preds
            Also return predicted classes.
        remap_labels
            Which task predicts a label, by label name; None leaves the label out.  Default: the
            task of the label's name; labels without such a task are left out.

        Returns
        -------
        dict
            Tensors on the CPU: "probs" ``[n, k]``, "golds", the labels ``[n]`` or ``[n, k]`` as they are in
            the dataset and, when asked for, "preds", classes ``[n]``; each by label name.  For a
            dataset without labels, probabilities of all tasks by task name, and no golds.

        Raises
        ------
        UnknownNameError
            ``remap_labels`` names a task that is not there.
        DatasetError
            The loader gives no batch.
        """
        if dataloader.dataset.Y_dict:
            task_of = self.labels_to_tasks(dataloader.dataset.Y_dict, remap_labels)
        else:
            task_of = {name: name for name in self.tasks}
        results = predict_labels(self, dataloader, task_of)
        if return_preds:
            results["preds"] = {
                label: torch.from_numpy(probs_to_preds(to_array(probs)))
                for label, probs in results["probs"].items()
            }
        return results

    @overload
    def score(
        self,
        dataloaders: Sequence[DictDataLoader],
        remap_labels: RemapLabels | None = None,
        as_dataframe: Literal[False] = False,
    ) -> dict[str, float]: ...

    @overload
    def score(
        self,
        dataloaders: Sequence[DictDataLoader],
        remap_labels: RemapLabels | None = None,
        *,
        as_dataframe: Literal[True],
    ) -> pd.DataFrame: ...

    def score(
        self,
        dataloaders: Sequence[DictDataLoader],
        remap_labels: RemapLabels | None = None,
        as_dataframe: bool = False,
    ) -> dict[str, float] | pd.DataFrame:
        """Compare predictions with labels, by each task's scorer.

        Parameters
        ----------
        dataloaders
            The labelled examples.
        remap_labels
            As for :meth:`predict`.
        as_dataframe
            Return a table with the columns label, dataset, split, metric and score.

        Returns
        -------
        dict or DataFrame
            Scores by "label/dataset/split/metric".  Probabilistic labels count as their most
            probable class, rows where classes tie are left out.  A label that no row of a dataset
            has gives no score there.

        Raises
        ------
        DatasetError
            Two loaders have the same label, dataset name and split.
        MetricError
            A metric cannot be computed from what a task gives.

        Warns
        -----
        WsPipelineWarning
            The labels give a metric no value, such as f1 without a positive one; it is nan.
        UnmatchedLabelsWarning
            There is no task for some of the labels.
        """
        scores = score_loaders(self, dataloaders, remap_labels)
        if not as_dataframe:
            return {str(MetricName(*key)): value for key, value in scores.items()}
        import pandas as pd

        rows = [(*key, value) for key, value in scores.items()]
        return pd.DataFrame(rows, columns=["label", "dataset", "split", "metric", "score"])

    def save(self, model_path: PathLike) -> None:
        """Write the parameters to one safetensors file; the same parameters give the same bytes.

        Parameters
        ----------
        model_path
            A local path or any fsspec URL.  The file appears only when it is complete.
        """
        header = {"name": self.name, "tasks": list(self.tasks)}
        write_tensors(model_path, self.state_dict(), file_format=_FILE_FORMAT, header=header)

    def load(self, model_path: PathLike) -> None:
        """Take over the parameters that :meth:`save` wrote, from a classifier with the same tasks.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else, or is of a classifier with other tasks or
            modules; the parameters are then as they were.
        """
        header, tensors = read_tensors(model_path, file_format=_FILE_FORMAT)
        if set(header.get("tasks", ())) != set(self.tasks):
            found = ", ".join(header.get("tasks", ()))
            message = f"{model_path}: expected tasks {', '.join(self.tasks)}, got {found}"
            raise FileFormatError(message)
        check_names_and_shapes(model_path, tensors, expected=self.state_dict())
        self.load_state_dict(tensors)
