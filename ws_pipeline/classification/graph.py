"""The union of several tasks' graphs: one pool of modules, each operation once.

Modules and operations are shared by name.  A name that means two different things in two tasks is
refused: silently taking the first would train the wrong head.  Operations of one name that differ in
what they read are refused only when their tasks are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ws_pipeline.classification.task import Operation, Source, Task
from ws_pipeline.errors import TaskGraphError
from ws_pipeline.settings import nearest


def merge_tasks(tasks: Sequence[Task]) -> tuple[dict[str, Task], nn.ModuleDict]:
    """Join tasks.

    Returns
    -------
    tuple
        The tasks by name, and all their modules by name.

    Raises
    ------
    TaskGraphError
        There is no task, one is something else, two have one name, or a module's name, or the module
        of an operation's name, means two different things.
    """
    by_name: dict[str, Task] = {}
    pool = nn.ModuleDict()
    for task in tasks:
        join_task(by_name, pool, task)
    if not by_name:
        message = "a classifier needs at least one task"
        raise TaskGraphError(message)
    return by_name, pool


def join_task(tasks: dict[str, Task], pool: nn.ModuleDict, task: Task) -> None:
    """Add one task to ``tasks`` and its modules to ``pool``; both stay as they were if it is refused.

    Raises
    ------
    TaskGraphError
        As :func:`merge_tasks`.
    """
    if not isinstance(task, Task):
        message = f"expected a Task, found {type(task).__name__}"
        raise TaskGraphError(message)
    if task.name in tasks:
        message = f"two tasks are called '{task.name}'; give one another name"
        raise TaskGraphError(message)
    _check_modules(tasks, pool, task)
    _check_operations([*tasks.values(), task], lambda first, second: first.module_name == second.module_name)
    tasks[task.name] = task
    pool.update(dict(task.module_pool.items()))


def _check_modules(tasks: Mapping[str, Task], pool: nn.ModuleDict, task: Task) -> None:
    for name, module in task.module_pool.items():
        if name in pool and pool[name] is not module:
            owner = next(other.name for other in tasks.values() if name in other.module_pool)
            message = (
                f"tasks '{owner}' and '{task.name}' have two different modules called '{name}'; "
                "put the same object into both pools to share it, or give one another name"
            )
            raise TaskGraphError(message)


def _check_operations(tasks: Iterable[Task], agree: Callable[[Operation, Operation], bool]) -> None:
    seen: dict[str, tuple[Operation, str]] = {}
    for task in tasks:
        for operation in task.op_sequence:
            first, owner = seen.setdefault(operation.name, (operation, task.name))
            if not agree(first, operation):
                message = (
                    f"tasks '{owner}' and '{task.name}' have two different operations called "
                    f"'{operation.name}': {first!r} and {operation!r}; give one another name"
                )
                raise TaskGraphError(message)


def plan_operations(tasks: Mapping[str, Task], task_names: Iterable[str]) -> list[Operation]:
    """List the operations that the named tasks need, each once, in an order that can be run.

    Raises
    ------
    TaskGraphError
        There is no such task, or two of them have operations of one name that read different things.
    """
    plan: dict[str, Operation] = {}
    wanted = set(task_names)
    unknown = wanted - tasks.keys()
    if unknown:
        name = min(unknown)
        message = f"there is no task '{name}', {nearest(name, list(tasks))}"
        raise TaskGraphError(message)
    chosen = [task for task in tasks.values() if task.name in wanted]
    _check_operations(chosen, lambda first, second: first.inputs == second.inputs)
    for task in chosen:
        for operation in task.op_sequence:
            plan.setdefault(operation.name, operation)
    return list(plan.values())


def run_operation(operation: Operation, module: Any, outputs: Mapping[str, Any]) -> Any:
    """Call a module on what the operation reads from ``outputs``.

    Raises
    ------
    TaskGraphError
        A field that the operation reads is not there.  Errors of the module itself pass through,
        with a note that names the operation.
    """
    arguments = [_read(operation, source, outputs) for source in operation.inputs] or [outputs]
    try:
        return module(*arguments)
    except Exception as error:
        error.add_note(f"in operation '{operation.name}', module '{operation.module_name}'")
        raise


def _read(operation: Operation, source: Source, outputs: Mapping[str, Any]) -> Any:
    if isinstance(source, str):
        return outputs[source]
    name, field = source
    output = outputs[name]
    try:
        return output[field]
    except (KeyError, IndexError, TypeError) as missing:
        found = f"fields {', '.join(map(str, output))}" if isinstance(output, Mapping) else type(output)
        message = f"operation '{operation.name}' reads field '{field}' of '{name}', which has {found}"
        raise TaskGraphError(message) from missing
