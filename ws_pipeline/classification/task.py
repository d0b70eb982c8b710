"""Tasks: which modules turn which fields into the logits of one label.

A task's operations form a graph.  Each operation calls a module on fields of the input or on what
earlier operations gave; the last one's output is the task's logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.analysis import Scorer
from ws_pipeline.errors import TaskGraphError
from ws_pipeline.settings import nearest

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
            message = f"operation '{self.name}': inputs must be a list, found the string '{inputs}'"
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
        Modules by name.  Tasks share a module by having the same object under the same name.
    op_sequence
        The operations in the order they run; the last one gives the logits.
    scorer
        Computes the task's metrics.  Default: accuracy.
    loss_func
        Loss of ``(logits, labels)``, a scalar: the mean over the rows.  Default: torch's
        cross_entropy.
    output_func
        Turns logits into probabilities.  Default: softmax over the last dimension.

    Raises
    ------
    TaskGraphError
        There is no operation, two have one name, an operation names a module that is not in the
        pool, or reads what is not computed before it.
    """

    def __init__(
        self,
        name: str,
        module_pool: nn.ModuleDict | Mapping[str, nn.Module],
        op_sequence: Sequence[Operation],
        scorer: Scorer | None = None,
        loss_func: Callable[..., Tensor] | None = None,
        output_func: Callable[..., Tensor] | None = None,
    ) -> None:
        self.name = name
        self.module_pool = to_module_dict(f"task '{name}'", dict(module_pool.items()))
        self.op_sequence = list(op_sequence)
        self.scorer = scorer if scorer is not None else Scorer(metrics=["accuracy"])
        self.loss_func = loss_func if loss_func is not None else F.cross_entropy
        self.output_func = output_func if output_func is not None else _softmax
        self._check_operations()

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {self.op_sequence!r})"

    def _check_operations(self) -> None:
        where = f"task '{self.name}'"
        if not self.op_sequence:
            message = f"{where} needs at least one operation"
            raise TaskGraphError(message)
        computed = [INPUT]
        for operation in self.op_sequence:
            if operation.name in computed:
                message = f"{where}: two operations are called '{operation.name}'; give one another name"
                raise TaskGraphError(message)
            if operation.module_name not in self.module_pool:
                hint = nearest(operation.module_name, list(self.module_pool))
                message = (
                    f"{where}: operation '{operation.name}' names module '{operation.module_name}', "
                    f"which is not in the pool, {hint}"
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


def to_module_dict(where: str, modules: Mapping[str, nn.Module]) -> nn.ModuleDict:
    """Hold modules by name; torch refuses a few names, such as those with a dot."""
    pool = nn.ModuleDict()
    for name, module in modules.items():
        try:
            pool[name] = module
        except (KeyError, TypeError) as refused:
            message = f"{where}: '{name}' cannot be in a module pool: {refused.args[0]}"
            raise TaskGraphError(message) from refused
    return pool


def _softmax(logits: Tensor) -> Tensor:
    return F.softmax(logits, dim=-1)


def _check_source(operation: str, source: Any) -> Source:
    if isinstance(source, str):
        return source
    if isinstance(source, tuple | list) and len(source) == 2:
        name, field = source
        if isinstance(name, str) and isinstance(field, str | int):
            return name, field
    message = f"operation '{operation}': an input is a name or a pair (name, field), found {source!r}"
    raise TaskGraphError(message)
