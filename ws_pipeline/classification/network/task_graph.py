"""The graph of a forward pass: the operations of several tasks, equal ones once.

Two operations are equal if they have one name, call one module and read the same, down to the input.
Operations of one name that are not equal are computed apart, each for its own task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ws_pipeline.classification.network.task import INPUT, Operation, Source, Task, check_operations
from ws_pipeline.errors import OperationError, UnknownNameError, WsPipelineError, error_like
from ws_pipeline.settings.base import nearest

Key = str | tuple[str, str]
"""Where an output is kept: its operation's name or, where tasks differ in that, task and name."""


class Outputs(dict[Any, Any]):
    """Outputs by operation name; of operations that tasks have apart, by ``(task, operation name)``.

    Reading a name that means something else in each task is an error that names the tasks.
    """

    def __missing__(self, name: Any) -> Any:
        apart = [key for key in self if isinstance(key, tuple) and key[1] == name]
        if not apart:
            raise KeyError(name)
        message = (
            f"operation '{name}' is not the same in tasks {', '.join(task for task, _ in apart)}; read the "
            f"output of one of them, such as outputs[{apart[0]!r}]"
        )
        raise UnknownNameError(message)


class TaskOutputs(dict[str, Any]):
    """Outputs of one task so far, by operation name; for a module that reads all of them."""

    def __init__(self, outputs: Mapping[str, Any], where: str) -> None:
        super().__init__(outputs)
        self._where = where

    def __missing__(self, name: str) -> Any:
        message = (
            f"{self._where} reads '{name}', which its task does not compute before it, "
            f"{nearest(str(name), list(self))}; put that operation into the task's op_sequence"
        )
        raise UnknownNameError(message)


class Step(NamedTuple):
    """One operation of a plan.

    Parameters
    ----------
    operation
        What to call.
    reads
        Where its arguments are, each with the field to take of it; None: all of it.
    sees
        For an operation without inputs, where the outputs that it gets are, by name.
    keys
        Where its output is kept.
    """

    operation: Operation
    reads: tuple[tuple[Key, str | int | None], ...]
    sees: dict[str, Key]
    keys: tuple[Key, ...]


class Plan(NamedTuple):
    """Steps in an order that can be run, and what they were made for, as it was then."""

    steps: list[Step]
    tasks: list[tuple[Task, list[Operation]]]
    operations: list[tuple[Operation, str, str, Sequence[Source]]]

    def is_current(self, tasks: Mapping[str, Task]) -> bool:
        """Say whether tasks and operations are still what the plan was made for; asked at every step."""
        for task, op_sequence in self.tasks:
            if task.op_sequence != op_sequence or tasks.get(task.name) is not task:
                return False
        for operation, name, module_name, inputs in self.operations:
            if (
                operation.inputs is not inputs
                or operation.module_name != module_name
                or operation.name != name
            ):
                return False
        return True


def choose_tasks(tasks: Mapping[str, Task], task_names: Iterable[str]) -> list[Task]:
    """Find the named tasks, in the classifier's order.

    Raises
    ------
    UnknownNameError
        There is no such task.
    """
    wanted = set(task_names)
    unknown = wanted - tasks.keys()
    if unknown:
        name = min(unknown)
        message = f"there is no task '{name}', {nearest(name, list(tasks))}"
        raise UnknownNameError(message)
    return [task for task in tasks.values() if task.name in wanted]


def plan_operations(tasks: Sequence[Task], modules: Iterable[str]) -> Plan:
    """List the operations that tasks need, equal ones once.

    Parameters
    ----------
    tasks
        The tasks to compute.
    modules
        Names of the modules that there are.

    Raises
    ------
    TaskGraphError
        An operation names a module that is not there, or reads what is not computed before it.
    """
    numbers: dict[Any, int] = {}
    by_task: dict[str, dict[str, int]] = {}
    for task in tasks:
        check_operations(task.name, task.op_sequence, list(modules))
        by_task[task.name] = _number_operations(task.op_sequence, numbers)
    keys = _choose_keys(by_task)
    steps: dict[int, Step] = {}
    for task in tasks:
        found = by_task[task.name]
        sees: dict[str, Key] = {INPUT: INPUT}
        for operation in task.op_sequence:
            number = found[operation.name]
            reads = tuple((sees[name], field) for name, field in map(_parts, operation.inputs))
            steps.setdefault(number, Step(operation, reads, {} if reads else dict(sees), keys[number]))
            sees[operation.name] = keys[number][0]
    return Plan(
        list(steps.values()),
        [(task, list(task.op_sequence)) for task in tasks],
        [(op, op.name, op.module_name, op.inputs) for task in tasks for op in task.op_sequence],
    )


def _number_operations(
    operations: Iterable[Operation], numbers: dict[tuple[Any, ...], int]
) -> dict[str, int]:
    """Number the operations of a task by name; equal ones, also of other tasks, have one number."""
    found = {INPUT: -1}
    for operation in operations:
        reads = tuple((found[name], field) for name, field in map(_parts, operation.inputs))
        sees = () if reads else tuple(found.items())
        meaning = (operation.name, operation.module_name, reads, sees)
        found[operation.name] = numbers.setdefault(meaning, len(numbers))
    return found


def _choose_keys(by_task: Mapping[str, Mapping[str, int]]) -> dict[int, tuple[Key, ...]]:
    """Say where the output of each number is kept: by name, if no task has another one of that name."""
    numbers_of: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for task, found in by_task.items():
        for name, number in found.items():
            numbers_of[name][number].append(task)
    keys: dict[int, tuple[Key, ...]] = {}
    for name, owners in numbers_of.items():
        for number, names in owners.items():
            keys[number] = (name,) if len(owners) == 1 else tuple((task, name) for task in names)
    return keys


def run_step(step: Step, module: Any, outputs: dict[Any, Any]) -> None:
    """Call a module on what the step reads from ``outputs``, and keep what it gives there.

    Raises
    ------
    UnknownNameError
        A field that the operation reads is not there.
    OperationError
        The module fails; it is also of the type of the module's own error.
    """
    operation, reads, sees, keys = step
    arguments = [
        outputs[key] if field is None else _read_field(operation, outputs[key], key, field)
        for key, field in reads
    ]
    if not reads:
        where = f"operation '{operation.name}'"
        arguments = [TaskOutputs({name: outputs[key] for name, key in sees.items()}, where)]
    try:
        output = module(*arguments)
    except Exception as error:
        where = f"in operation '{operation.name}', module '{operation.module_name}'"
        if isinstance(error, WsPipelineError):
            error.add_note(where)
            raise
        message = f"{where}: {type(error).__name__}: {error}"
        raise error_like(OperationError, message, error) from error
    for key in keys:
        outputs[key] = output


def output_of(task: Task, outputs: Mapping[Any, Any]) -> Any:
    """Output of the last operation of a task: its logits."""
    name = task.op_sequence[-1].name
    own = (task.name, name)
    return outputs[own] if own in outputs else outputs[name]


def _parts(source: Any) -> tuple[str, str | int | None]:
    return (source, None) if isinstance(source, str) else source


def _read_field(operation: Operation, output: Any, key: Key, field: str | int) -> Any:
    try:
        return output[field]
    except (KeyError, IndexError, TypeError) as missing:
        name = key if isinstance(key, str) else key[1]
        found = f"fields {', '.join(map(str, output))}" if isinstance(output, Mapping) else type(output)
        message = f"operation '{operation.name}' reads field '{field}' of '{name}', which has {found}"
        raise UnknownNameError(message) from missing
