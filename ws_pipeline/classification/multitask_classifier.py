"""A network with several tasks that share modules: forward, loss, predictions, scores, files.

The classifier is a plain ``torch.nn.Module``; what runs is decided by its tasks' operations
(:mod:`ws_pipeline.classification.task`).  Training is the trainer's work
(:mod:`ws_pipeline.classification.training.trainer`).

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor, nn

from ws_pipeline.analysis import Scorer, probs_to_preds
from ws_pipeline.classification.data import Labels
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.classification.devices import (
    build_replicas,
    first_parameter,
    move_to_device,
    replica_of,
    resolve_device,
)
from ws_pipeline.classification.evaluation import (
    RemapLabels,
    predict_labels,
    score_loaders,
    to_array,
)
from ws_pipeline.classification.graph import (
    Outputs,
    Plan,
    choose_tasks,
    output_of,
    plan_operations,
    run_step,
)
from ws_pipeline.classification.module_pool import join_tasks
from ws_pipeline.classification.settings import ClassifierConfig
from ws_pipeline.classification.task import INPUT, Operation, Task, check_class_weights
from ws_pipeline.classification.task_fields import OperationSequences, TaskFields
from ws_pipeline.classification.tensor_file import check_names_and_shapes, read_tensors, write_tensors
from ws_pipeline.errors import FileFormatError, UnknownNameError
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
        The tasks; more can be added later (:meth:`add_task`).  They share the modules of one name:
        of two different objects the first one is used by both tasks, and a warning says so.
        Operations of one name that call different modules or read different inputs are computed for
        each task apart.
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

    def __init__(self, tasks: Sequence[Task], name: str | None = None, **kwargs: Any) -> None:
        super().__init__()
        if isinstance(kwargs.get("device"), torch.device):
            kwargs["device"] = str(kwargs["device"])
        self.config = parse_settings(ClassifierConfig, kwargs)
        self.name = name or type(self).__name__
        self.tasks: dict[str, Task] = {}
        self.module_pool = nn.ModuleDict()
        join_tasks(self.tasks, self.module_pool, tasks)
        self._first_device = resolve_device(self.config.device)
        self.to(self._first_device)
        self._replicas = self._replicate()
        self._plans: dict[frozenset[str], Plan] = {}

    def add_task(self, task: Task) -> None:
        """Add a task, and move its modules to the classifier's device.

        Raises
        ------
        TaskGraphError
            There is a task of that name, or a module of the same name that differs in its classes or
            shapes; the classifier is then as it was.

        Warns
        -----
        SharedModuleWarning
            There is another module of the same name, which the task uses from now on.
        """
        device = self.device
        join_tasks(self.tasks, self.module_pool, [task])
        self.to(device)
        self._replicas = self._replicate()

    @property
    def task_names(self) -> frozenset[str]:
        """Names of the tasks."""
        return frozenset(self.tasks)

    @property
    def op_sequences(self) -> MutableMapping[str, list[Operation]]:
        """Operations by task name."""
        return OperationSequences(self.tasks, self.module_pool)

    @property
    def loss_funcs(self) -> MutableMapping[str, Callable[..., Tensor]]:
        """Loss functions by task name."""
        return TaskFields(self.tasks, "loss_func")

    @property
    def output_funcs(self) -> MutableMapping[str, Callable[..., Tensor]]:
        """Functions that turn logits into probabilities, by task name."""
        return TaskFields(self.tasks, "output_func")

    @property
    def scorers(self) -> MutableMapping[str, Scorer]:
        """Scorers by task name."""
        return TaskFields(self.tasks, "scorer")

    @property
    def device(self) -> torch.device:
        """Where the first parameter is; before there is any, where the settings say."""
        first = first_parameter(self)
        return self._first_device if first is None else first.device

    def _replicate(self) -> list[nn.DataParallel[nn.Module]]:
        modules = self.module_pool.values() if self.config.dataparallel else ()
        return build_replicas(modules, self._first_device)

    def forward(self, X_dict: Mapping[str, Any], task_names: Iterable[str]) -> Outputs:
        """Compute the operations that the named tasks need, equal ones once.

        Parameters
        ----------
        X_dict
            Fields by name, of n examples each.
        task_names
            The tasks to compute.

        Returns
        -------
        dict
            Outputs by operation name; "_input_" holds the fields.  Where operations of one name are
            not the same in all these tasks, their outputs are under ``(task name, operation name)``.

        Raises
        ------
        UnknownNameError
            A task or a field that is read is not there.
        OperationError
            A module fails; it is also of the type of the module's own error.
        """
        outputs = Outputs({INPUT: move_to_device(X_dict, self.device)})
        pool, replicas = self.module_pool, self._replicas
        for step in self._plan(task_names).steps:
            module = pool[step.operation.module_name]
            if replicas:
                module = replica_of(module, replicas)
            run_step(step, module, outputs)
        return outputs

    def _plan(self, task_names: Iterable[str]) -> Plan:
        """What to compute for these tasks; made again when their operations have changed."""
        wanted = frozenset(task_names)
        plan = self._plans.get(wanted)
        if plan is None or not plan.is_current(self.tasks):
            tasks = choose_tasks(self.tasks, wanted)
            plan = self._plans[wanted] = plan_operations(tasks, self.module_pool)
        return plan

    def calculate_loss(
        self,
        X_dict: Mapping[str, Any],
        Y_dict: Mapping[str, Tensor],
        class_weights: Mapping[str, Tensor] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Compute the loss of every task that has labels.

        Parameters
        ----------
        X_dict
            Fields by name, of n examples each.
        Y_dict
            Labels `[n]` or `[n, k]` by task name.  Rows of -1 (all -1) are left out; labels of
            tasks that the classifier does not have are ignored.
        class_weights
            Weights `[k]` of the classes by task name, handed to the task's loss function as
            ``weight``.  Default: none.  :meth:`check_class_weights` says beforehand whether they fit.

        Returns
        -------
        tuple
            Losses (scalars, not multiplied by the tasks' loss weights) and numbers of labelled
            rows, both by task name.  A task without a labelled row is in neither.

        Raises
        ------
        TaskGraphError
            A loss function returns something else than a scalar, or has no parameter ``weight``
            although its task has class weights.
        """
        names = [name for name in self.tasks if name in Y_dict]
        outputs = self(X_dict, names)
        losses: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for name in names:
            task = self.tasks[name]
            loss, count = task.labelled_loss(
                output_of(task, outputs),
                Y_dict[name],
                class_weights.get(name) if class_weights else None,
                complete=isinstance(Y_dict, Labels) and Y_dict.is_complete(name),
            )
            if loss is not None:
                losses[name], counts[name] = loss, count
        return losses, counts

    def check_class_weights(self, class_weights: Mapping[str, Tensor]) -> None:
        """Check that every named task is there, can use weights of its classes, and that they are numbers.

        Raises
        ------
        TaskGraphError
            See :func:`~ws_pipeline.classification.task.check_class_weights`.
        """
        check_class_weights(self.tasks, class_weights)

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
            Tensors on the CPU: "probs" `[n, k]`, "golds", the labels `[n]` or `[n, k]` as they are in
            the dataset and, when asked for, "preds", classes `[n]`; each by label name.  For a
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
            return {"/".join(key): value for key, value in scores.items()}
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
            message = f"{model_path}: expected tasks {', '.join(self.tasks)}, found {found}"
            raise FileFormatError(message)
        check_names_and_shapes(model_path, tensors, expected=self.state_dict())
        self.load_state_dict(tensors)

    def labels_to_tasks(
        self, label_names: Iterable[str], remap_labels: RemapLabels | None = None
    ) -> dict[str, str]:
        """Say which task predicts which label; see :meth:`predict`."""
        task_of: dict[str, str | None] = {label: label for label in label_names}
        for label, task in (remap_labels or {}).items():
            if task is not None and task not in self.tasks:
                message = f"remap_labels: there is no task '{task}', {nearest(task, list(self.tasks))}"
                raise UnknownNameError(message)
            if label in task_of:
                task_of[label] = task
        return {label: task for label, task in task_of.items() if task is not None and task in self.tasks}
