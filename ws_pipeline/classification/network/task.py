"""Tasks: which modules turn which fields into the logits of one label.

A task's operations form a graph.  Each operation calls a module on fields of the input or on what
earlier operations gave; the last one's output is the task's logits.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.analysis import Scorer
from ws_pipeline.errors import TaskGraphError
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.trainer import are_class_weights

INPUT = "_input_"
"""Name by which operations refer to the fields of the input."""

Source = str | tuple[str, str | int]
"""What an operation reads: an operation's name, or a name and a field of its output."""


class Operation:
    """One call of a module.

    Parameters
    ----------
    module_name
        The module in the task's pool.
    inputs
        The arguments: names of earlier operations, or ``(name, field)`` where the output is a dict
        or a sequence.  The input's fields are ``("_input_", field)``.  Empty: the module gets one
        dict of everything computed so far, by operation name.
    name
        Name of the operation.  Default: ``module_name``.

    Raises
    ------
    TaskGraphError
        An input is neither a name nor a pair.
    """

    def __init__(self, module_name: str, inputs: Sequence[Source], name: str | None = None) -> None:
        self.module_name = module_name
        self.name = name or module_name
        if isinstance(inputs, str):
            message = f"operation '{self.name}': inputs must be a list, got the string '{inputs}'"
            raise TaskGraphError(message)
        self.inputs: tuple[Source, ...] = tuple(_check_source(self.name, source) for source in inputs)

    def __repr__(self) -> str:
        return f"Operation({self.module_name!r}, {list(self.inputs)!r}, name={self.name!r})"


class Task:
    """One label to predict: modules, the path through them, and how to score the result.

    Parameters
    ----------
    name
        Name of the task; labels of this name train it.
    module_pool
        Modules by name; a ModuleDict is kept, not copied.  Tasks of one classifier share the modules
        of one name: they put the same object into their pools; of two objects the first one is used,
        see :class:`~ws_pipeline.classification.MultitaskClassifier`.
    op_sequence
        The operations in the order they run; the last one gives the logits.
    scorer
        Computes the task's metrics.  Default: accuracy.
    loss_func
        Loss of ``(logits, labels)``, a scalar: the mean over the rows.  Default: torch's
        cross_entropy.
    output_func
        Turns logits into probabilities.  Default: softmax over the last dimension.
    loss_weight
        What the task's loss is multiplied by in the sum that training minimizes, at least 0.

    Raises
    ------
    TaskGraphError
        There is no operation, two have one name, an operation names a module that is not in the
        pool, or reads what is not computed before it; or the loss weight is below 0 or not finite.
    """

    def __init__(
        self,
        name: str,
        module_pool: nn.ModuleDict | Mapping[str, nn.Module],
        op_sequence: Sequence[Operation],
        scorer: Scorer | None = None,
        loss_func: Callable[..., Tensor] | None = None,
        output_func: Callable[..., Tensor] | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        self.name = name
        self.module_pool = to_module_dict(f"task '{name}'", module_pool)
        self.op_sequence = list(op_sequence)
        self.scorer = scorer if scorer is not None else Scorer(metrics=["accuracy"])
        self.loss_func: Callable[..., Tensor] = loss_func if loss_func is not None else F.cross_entropy
        self.output_func: Callable[..., Tensor] = output_func if output_func is not None else _softmax
        self.loss_weight = _check_loss_weight(name, loss_weight)
        check_operations(name, self.op_sequence, list(self.module_pool))

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {self.op_sequence!r})"

    def labelled_loss(
        self, logits: Any, labels: Tensor, weight: Tensor | None = None, *, complete: bool = False
    ) -> tuple[Tensor | None, int]:
        """Compute the loss over the labelled rows.

        Parameters
        ----------
        logits
            What the last operation gave for n rows.  If it is no tensor, the loss function gets it
            and the labels whole.
        labels
            Labels ``[n]`` or ``[n, k]``; rows of -1 (all -1) are left out.
        weight
            Weights of the classes ``[k]``, handed to the loss function.  Default: none.
        complete
            All rows are known to be labelled, there is no need to look.

        Returns
        -------
        tuple
            The loss, a scalar, not multiplied by :attr:`loss_weight`, and the number of labelled
            rows.  None and 0 when no row is labelled.

        Raises
        ------
        TaskGraphError
            The loss function returns something else than a scalar, or cannot use ``weight``.
        """
        count = len(labels)
        if not complete:
            logits, labels, count = _labelled_rows(logits, labels)
        if not count:
            return None, 0
        labels = labels.to(_device_of(logits) or labels.device)
        try:
            if weight is None:
                loss = self.loss_func(logits, labels)
            else:
                loss = self.loss_func(logits, labels, weight=weight.to(labels.device))
        except Exception as error:
            if weight is not None:
                check_class_weights({self.name: self}, {self.name: weight})
            error.add_note(f"in the loss of task '{self.name}'")
            raise
        if loss.ndim:
            message = f"the loss of task '{self.name}' must be a scalar, got shape {list(loss.shape)}"
            raise TaskGraphError(message)
        return loss, count

    def takes_class_weights(self) -> bool:
        """Say whether the loss function has a parameter ``weight``, for weights of the classes."""
        loss = self.loss_func.forward if isinstance(self.loss_func, nn.Module) else self.loss_func
        try:
            parameters = inspect.signature(loss).parameters.values()
        except ValueError:  # a function written in C that does not say
            return False
        return any(
            parameter.kind is parameter.VAR_KEYWORD
            or (parameter.name == "weight" and parameter.kind is not parameter.POSITIONAL_ONLY)
            for parameter in parameters
        )


def check_operations(task: str, operations: Sequence[Operation], modules: Sequence[str]) -> None:
    """Check that the operations of a task can be run in their order.

    Parameters
    ----------
    task
        Name of the task.
    operations
        The operations.
    modules
        Names of the modules that there are.

    Raises
    ------
    TaskGraphError
        There is no operation, two have one name, one names a module that is not there, or reads what
        is not computed before it.
    """
    where = f"task '{task}'"
    if not operations:
        message = f"{where} needs at least one operation"
        raise TaskGraphError(message)
    computed = [INPUT]
    for operation in operations:
        if operation.name in computed:
            message = f"{where}: two operations are called '{operation.name}'; give one another name"
            raise TaskGraphError(message)
        if operation.module_name not in modules:
            message = (
                f"{where}: operation '{operation.name}' names module '{operation.module_name}', "
                f"which is not in the pool, {nearest(operation.module_name, list(modules))}"
            )
            raise TaskGraphError(message)
        for source in operation.inputs:
            read = source if isinstance(source, str) else source[0]
            if read not in computed:
                message = (
                    f"{where}: operation '{operation.name}' reads '{read}', which is not computed before "
                    f"it, {nearest(read, computed)}"
                )
                raise TaskGraphError(message)
        computed.append(operation.name)


def to_module_dict(where: str, modules: nn.ModuleDict | Mapping[str, nn.Module]) -> nn.ModuleDict:
    """Hold modules by name, a ModuleDict as it is; torch refuses a few names, such as those with a dot."""
    if isinstance(modules, nn.ModuleDict):
        return modules
    pool = nn.ModuleDict()
    for name, module in modules.items():
        try:
            pool[name] = module
        except (KeyError, TypeError) as refused:
            message = f"{where}: '{name}' cannot be in a module pool: {refused.args[0]}"
            raise TaskGraphError(message) from refused
    return pool


def check_class_weights(tasks: Mapping[str, Task], class_weights: Mapping[str, Tensor]) -> None:
    """Check that every task named in ``class_weights`` can use its weights.

    Parameters
    ----------
    tasks
        The tasks by name.
    class_weights
        Weights ``[k]`` by task name, at least 0, not all 0.

    Raises
    ------
    TaskGraphError
        There is no such task, its loss function has no parameter ``weight``, or the weights are not
        a vector of numbers at least 0 that are finite and not all 0.
    """
    for name, weights in class_weights.items():
        if name not in tasks:
            message = f"class weights: there is no task '{name}', {nearest(name, list(tasks))}"
            raise TaskGraphError(message)
        if not tasks[name].takes_class_weights():
            message = (
                f"class weights of task '{name}': its loss function {_name_of(tasks[name].loss_func)} has no "
                "parameter 'weight'; use label_cross_entropy, or add one"
            )
            raise TaskGraphError(message)
        values = weights.tolist() if weights.ndim == 1 else None
        if values is None or not are_class_weights(values):
            found = f"shape {list(weights.shape)}" if values is None else values
            message = (
                f"class weights of task '{name}' must be a tensor [k] of numbers at least 0, finite and not "
                f"all 0, got {found}"
            )
            raise TaskGraphError(message)


def _labelled_rows(logits: Any, labels: Tensor) -> tuple[Any, Tensor, int]:
    """Leave unlabelled rows out of both, and count the others.

    With logits that are no tensor both are left whole: only the loss function can tell the rows apart.
    """
    unlabelled = labels == -1
    if not bool(unlabelled.any()):
        return logits, labels, len(labels)
    if labels.ndim > 1:
        unlabelled = unlabelled.reshape(len(labels), -1).all(dim=1)
    labelled = ~unlabelled
    count = int(labelled.sum())
    if not isinstance(logits, Tensor):
        return logits, labels, count
    return logits[labelled.to(logits.device)], labels[labelled], count


def _device_of(output: Any) -> torch.device | None:
    """Device of the first tensor in a module's output, which may be nested."""
    if isinstance(output, Tensor):
        return output.device
    parts = output.values() if isinstance(output, Mapping) else output
    found = map(_device_of, parts) if isinstance(output, Mapping | list | tuple) else iter(())
    return next((device for device in found if device is not None), None)


def _check_loss_weight(task: str, weight: Any) -> float:
    if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
        message = f"task '{task}': loss_weight must be a finite number, at least 0, got {weight!r}"
        raise TaskGraphError(message)
    return float(weight)


def _name_of(function: Any) -> str:
    return f"'{getattr(function, '__name__', type(function).__name__)}'"


def _softmax(logits: Tensor) -> Tensor:
    return F.softmax(logits, dim=-1)


def _check_source(operation: str, source: Any) -> Source:
    if isinstance(source, str):
        return source
    if isinstance(source, tuple | list) and len(source) == 2:
        name, field = source
        if isinstance(name, str) and isinstance(field, str | int):
            return name, field
    message = f"operation '{operation}': an input is a name or a pair (name, field), got {source!r}"
    raise TaskGraphError(message)
