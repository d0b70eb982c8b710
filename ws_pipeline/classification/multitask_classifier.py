"""A network with several tasks that share modules: forward, loss, predictions, scores, files.

The classifier is a plain ``torch.nn.Module``; what runs is decided by its tasks' operations
(:mod:`ws_pipeline.classification.task`).  Training is the trainer's work
(:mod:`ws_pipeline.classification.trainer`).

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor, nn

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.classification.devices import move_to_device, resolve_device
from ws_pipeline.classification.evaluation import Arrays, RemapLabels, predict_labels, score_loaders
from ws_pipeline.classification.graph import merge_tasks, plan_operations, run_operation
from ws_pipeline.classification.settings import ClassifierConfig
from ws_pipeline.classification.task import INPUT, Operation, Task
from ws_pipeline.classification.tensor_file import check_names_and_shapes, read_tensors, write_tensors
from ws_pipeline.errors import FileFormatError, TaskGraphError
from ws_pipeline.files import FileFormat, PathLike
from ws_pipeline.settings import nearest, parse_settings

if TYPE_CHECKING:
    import pandas as pd

_FILE_FORMAT = FileFormat("ws_pipeline/MultitaskClassifier", version=1)


class MultitaskClassifier(nn.Module):
    """A network for several tasks that share modules.

    Parameters
    ----------
    tasks
        The tasks.  Modules of one name must be one object, operations of one name must agree.
    name
        Name of the classifier.  Default: the name of the class.
    **kwargs
        Fields of :class:`~ws_pipeline.classification.settings.ClassifierConfig`: ``device``, which
        may also be a ``torch.device``, and ``dataparallel``.

    Attributes
    ----------
    config
        The settings.
    tasks
        The tasks by name.
    module_pool
        All modules by name.

    Raises
    ------
    TaskGraphError
        The tasks contradict each other.
    DeviceError
        The device is not there.
    """

    def __init__(self, tasks: Sequence[Task], name: str | None = None, **kwargs: Any) -> None:
        super().__init__()
        if isinstance(kwargs.get("device"), torch.device):
            kwargs["device"] = str(kwargs["device"])
        self.config = parse_settings(ClassifierConfig, kwargs)
        self.name = name or type(self).__name__
        self.tasks, self.module_pool = merge_tasks(tasks)
        self._first_device = resolve_device(self.config.device)
        self.to(self._first_device)
        self._replicas = self._build_replicas()
        self._plans: dict[frozenset[str], list[Operation]] = {}

    @property
    def device(self) -> torch.device:
        """Where the first parameter is; before there is any, where the settings say."""
        first = next(self.parameters(), None)
        return self._first_device if first is None else first.device

    def forward(self, X_dict: Mapping[str, Any], task_names: Iterable[str]) -> dict[str, Any]:
        """Compute every operation that the named tasks need, once.

        Parameters
        ----------
        X_dict
            Fields by name, of n examples each.
        task_names
            The tasks to compute.

        Returns
        -------
        dict
            Outputs by operation name; "_input_" holds the fields.

        Raises
        ------
        TaskGraphError
            A task or a field that is read is not there.
        """
        wanted = frozenset(task_names)
        plan = self._plans.get(wanted)
        if plan is None:
            plan = self._plans[wanted] = plan_operations(self.tasks, wanted)
        outputs: dict[str, Any] = {INPUT: move_to_device(X_dict, self.device)}
        for operation in plan:
            name = operation.module_name
            module = self._replicas[name] if name in self._replicas else self.module_pool[name]
            outputs[operation.name] = run_operation(operation, module, outputs)
        return outputs

    def calculate_loss(
        self, X_dict: Mapping[str, Any], Y_dict: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Compute the loss of every task that has labels.

        Parameters
        ----------
        X_dict
            Fields by name, of n examples each.
        Y_dict
            Labels `[n]` or `[n, k]` by task name.  Rows of -1 (all -1) are left out; labels of
            tasks that the classifier does not have are ignored.

        Returns
        -------
        tuple
            Losses (scalars) and numbers of labelled rows, both by task name.  A task without a
            labelled row is in neither.

        Raises
        ------
        TaskGraphError
            A loss function returns something else than a scalar.
        """
        names = [name for name in self.tasks if name in Y_dict]
        outputs = self.forward(X_dict, names)
        losses: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for name in names:
            logits = outputs[self.tasks[name].op_sequence[-1].name]
            logits, labels = _labelled_rows(logits, Y_dict[name])
            if len(labels):
                losses[name] = _task_loss(self.tasks[name], logits, move_to_device(labels, self.device))
                counts[name] = len(labels)
        return losses, counts

    def predict(
        self,
        dataloader: DictDataLoader,
        return_preds: bool = False,
        remap_labels: RemapLabels | None = None,
    ) -> dict[str, Arrays]:
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
            "probs": arrays `[n, k]`, "golds": labels `[n]` or `[n, k]` as they are in the dataset
            and, when asked for, "preds": classes `[n]`; each by label name.  For a dataset without
            labels, probabilities of all tasks by task name, and no golds.

        Raises
        ------
        TaskGraphError
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
            results["preds"] = {label: probs_to_preds(probs) for label, probs in results["probs"].items()}
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
            A metric is not defined for these labels.
        """
        scores = score_loaders(self, dataloaders, remap_labels)
        if not as_dataframe:
            return {"/".join(key): value for key, value in scores.items()}
        import pandas as pd

        rows = [(*key, value) for key, value in scores.items()]
        return pd.DataFrame(rows, columns=["label", "dataset", "split", "metric", "score"])

    def save(self, path: PathLike) -> None:
        """Write the parameters to one safetensors file; the same parameters give the same bytes.

        Parameters
        ----------
        path
            A local path or any fsspec URL.  The file appears only when it is complete.
        """
        header = {"name": self.name, "tasks": list(self.tasks)}
        write_tensors(path, self.state_dict(), file_format=_FILE_FORMAT, header=header)

    def load(self, path: PathLike) -> None:
        """Take over the parameters that :meth:`save` wrote, from a classifier with the same tasks.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else, or is of a classifier with other tasks or
            modules; the parameters are then as they were.
        """
        header, tensors = read_tensors(path, file_format=_FILE_FORMAT)
        if set(header.get("tasks", ())) != set(self.tasks):
            found = ", ".join(header.get("tasks", ()))
            message = f"{path}: expected tasks {', '.join(self.tasks)}, found {found}"
            raise FileFormatError(message)
        check_names_and_shapes(path, tensors, expected=self.state_dict())
        self.load_state_dict(tensors)

    def labels_to_tasks(
        self, label_names: Iterable[str], remap_labels: RemapLabels | None = None
    ) -> dict[str, str]:
        """Say which task predicts which label; see :meth:`predict`."""
        task_of: dict[str, str | None] = {label: label for label in label_names}
        for label, task in (remap_labels or {}).items():
            if task is not None and task not in self.tasks:
                message = f"remap_labels: there is no task '{task}', {nearest(task, list(self.tasks))}"
                raise TaskGraphError(message)
            if label in task_of:
                task_of[label] = task
        return {label: task for label, task in task_of.items() if task is not None and task in self.tasks}

    def _build_replicas(self) -> dict[str, nn.DataParallel[nn.Module]]:
        """Over several GPUs, what to call instead of each module.

        The wrappers stay out of the module pool, so that no parameter is ever named after them.
        """
        n_gpus = torch.cuda.device_count() if self._first_device.type == "cuda" else 0
        if not self.config.dataparallel or n_gpus < 2:
            return {}
        first = self._first_device.index or 0
        gpus = [first, *(number for number in range(n_gpus) if number != first)]
        return {name: nn.DataParallel(module, device_ids=gpus) for name, module in self.module_pool.items()}


def _labelled_rows(logits: Any, labels: Tensor) -> tuple[Any, Tensor]:
    """Leave unlabelled rows out of both; logits that are no tensor are left whole."""
    unlabelled = labels == -1
    if not bool(unlabelled.any()):
        return logits, labels
    if labels.ndim > 1:
        unlabelled = unlabelled.reshape(len(labels), -1).all(dim=1)
    labelled = ~unlabelled
    rows = logits[labelled.to(logits.device)] if isinstance(logits, Tensor) else logits
    return rows, labels[labelled]


def _task_loss(task: Task, logits: Any, labels: Tensor) -> Tensor:
    try:
        loss = task.loss_func(logits, labels)
    except Exception as error:
        error.add_note(f"in the loss of task '{task.name}'")
        raise
    if loss.ndim:
        message = f"the loss of task '{task.name}' must be a scalar, found shape {list(loss.shape)}"
        raise TaskGraphError(message)
    return loss
