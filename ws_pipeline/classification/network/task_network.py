"""The network of several tasks that share modules: what is computed, on which device, with which losses.

A plain ``torch.nn.Module``; what runs is decided by its tasks' operations
(:mod:`ws_pipeline.classification.network.task`).  :class:`.MultitaskClassifier` adds predictions, scores and
files.

Legend: n = examples, k = classes of a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification.data.dict_dataset import Labels
from ws_pipeline.classification.devices import (
    build_replicas,
    first_parameter,
    move_to_device,
    replica_of,
    resolve_device,
)
from ws_pipeline.classification.network.module_pool import join_tasks
from ws_pipeline.classification.network.task import INPUT, Operation, Task, check_class_weights
from ws_pipeline.classification.network.task_fields import OperationSequences, TaskFields
from ws_pipeline.classification.network.task_graph import (
    Outputs,
    Plan,
    choose_tasks,
    output_of,
    plan_operations,
    run_step,
)
from ws_pipeline.errors import UnknownNameError
from ws_pipeline.settings.base import nearest, parse_settings
from ws_pipeline.settings.trainer import ClassifierConfig

RemapLabels = Mapping[str, str | None]
"""Label name to the task that predicts it; None: no task."""


class TaskNetwork(nn.Module):
    """Tasks that share modules, computed together; see :class:`.MultitaskClassifier` for the parameters."""

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
        """Device of the first parameter; before there is any, that of the settings."""
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
        """Plan of the computation for these tasks; made again when their operations have changed."""
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
            Labels ``[n]`` or ``[n, k]`` by task name.  Rows of -1 (all -1) are left out; labels of
            tasks that the classifier does not have are ignored.
        class_weights
            Weights ``[k]`` of the classes by task name, handed to the task's loss function as
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
            See :func:`~ws_pipeline.classification.network.task.check_class_weights`.
        """
        check_class_weights(self.tasks, class_weights)

    def labels_to_tasks(
        self, label_names: Iterable[str], remap_labels: RemapLabels | None = None
    ) -> dict[str, str]:
        """Say which task predicts which label; see :meth:`.MultitaskClassifier.predict`."""
        task_of: dict[str, str | None] = {label: label for label in label_names}
        for label, task in (remap_labels or {}).items():
            if task is not None and task not in self.tasks:
                message = f"remap_labels: there is no task '{task}', {nearest(task, list(self.tasks))}"
                raise UnknownNameError(message)
            if label in task_of:
                task_of[label] = task
        return {label: task for label, task in task_of.items() if task is not None and task in self.tasks}
