"""One field of all tasks of a classifier, by task name, for reading and writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from ws_pipeline.classification.network.task import Operation, Task, check_operations
from ws_pipeline.errors import TaskGraphError, UnknownNameError
from ws_pipeline.settings.base import nearest


class TaskFields(MutableMapping[str, Any]):
    """Mapping whose values belong to the tasks: writing here changes the task.

    Parameters
    ----------
    tasks
        The tasks by name.
    field
        Name of the attribute: "loss_func", "output_func" or "scorer".

    Raises
    ------
    UnknownNameError
        There is no such task.
    TaskGraphError
        The value cannot be used, or is to be removed.
    """

    def __init__(self, tasks: Mapping[str, Task], field: str) -> None:
        self._tasks = tasks
        self._field = field

    def __getitem__(self, name: str) -> Any:
        return getattr(self._find(name), self._field)

    def __setitem__(self, name: str, value: Any) -> None:
        task = self._find(name)
        setattr(task, self._field, self._checked(task, value))

    def __delitem__(self, name: str) -> None:
        task = self._find(name)
        message = f"task '{task.name}' needs its {self._field}; write another one instead of removing it"
        raise TaskGraphError(message)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __repr__(self) -> str:
        return repr(dict(self))

    def _find(self, name: str) -> Task:
        if name not in self._tasks:
            message = f"there is no task '{name}', {nearest(str(name), list(self._tasks))}"
            raise UnknownNameError(message)
        return self._tasks[name]

    def _checked(self, task: Task, value: Any) -> Any:
        expected = "an object with a method 'score'" if self._field == "scorer" else "a function"
        if not callable(getattr(value, "score", None) if self._field == "scorer" else value):
            message = f"the {self._field} of task '{task.name}' must be {expected}, got {value!r}"
            raise TaskGraphError(message)
        return value


class OperationSequences(TaskFields):
    """The operations of all tasks.

    Parameters
    ----------
    tasks
        The tasks by name.
    modules
        Names of the modules that operations may call.
    """

    def __init__(self, tasks: Mapping[str, Task], modules: Iterable[str]) -> None:
        super().__init__(tasks, "op_sequence")
        self._modules = modules

    def _checked(self, task: Task, value: Any) -> list[Operation]:
        operations = list(value)
        check_operations(task.name, operations, list(self._modules))
        return operations
