"""One pool of modules for several tasks: what is shared, and what cannot be.

Modules are shared by name.  Where two tasks bring two objects under one name, both use the first one,
and a warning says so; objects that are built differently cannot stand for each other and are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

from ws_pipeline.classification.network.task import Task
from ws_pipeline.errors import SharedModuleWarning, TaskGraphError

_T = TypeVar("_T")


def join_tasks(tasks: dict[str, Task], pool: nn.ModuleDict, new: Sequence[Task]) -> None:
    """Add tasks to ``tasks`` and their modules to ``pool``.

    A task's own pool then holds the modules that are used, as do ``tasks`` and ``pool``; all of them
    stay as they were if a task is refused.

    Raises
    ------
    TaskGraphError
        One is no task, two have one name, or two modules of one name are built differently.

    Warns
    -----
    SharedModuleWarning
        A task brings another object under the name of a module that is there; it is left out.
    """
    by_name, modules = dict(tasks), dict(pool.items())
    for task in new:
        _check_task(by_name, task)
        for name, module in task.module_pool.items():
            if _unwrapped(modules.setdefault(name, module)) is not _unwrapped(module):
                owner = next((other.name for other in by_name.values() if name in other.module_pool), None)
                kept = {
                    other: part
                    for other, part in task.module_pool.items()
                    if modules.get(other, part) is part
                }
                _share(name, (owner, modules[name]), (task, module), kept)
        by_name[task.name] = task
    for name, module in modules.items():
        pool[name] = module
    for task in new:
        for name in task.module_pool:
            task.module_pool[name] = modules[name]
    tasks.update(by_name)


def _check_task(tasks: Mapping[str, Task], task: Any) -> None:
    if not isinstance(task, Task):
        message = f"expected a Task, got {type(task).__name__}"
        raise TaskGraphError(message)
    if task.name in tasks:
        message = f"two tasks are called '{task.name}'; give one another name"
        raise TaskGraphError(message)


def _share(
    name: str,
    first: tuple[str | None, nn.Module],
    second: tuple[Task, nn.Module],
    others: Mapping[str, nn.Module],
) -> None:
    """Refuse a module that the first one of its name cannot stand for; else warn that it does.

    ``others`` are the modules that the second task keeps.
    """
    (owner, kept), (task, dropped) = first, second
    where = "the classifier" if owner is None else f"task '{owner}'"
    kept, dropped = _unwrapped(kept), _unwrapped(dropped)
    difference = next(_differences_in_build(kept, dropped), None)
    if difference:
        message = (
            f"{where} and task '{task.name}' have two different modules called '{name}', which cannot be "
            f"shared: {difference}; give one another name"
        )
        raise TaskGraphError(message)
    message = (
        f"{where} and task '{task.name}' have two different modules called '{name}'; both use that of "
        f"{where}, and that of task '{task.name}' is left out"
    )
    losses = [*_differences_in_settings(kept, dropped), *_ties(task.name, others, dropped)]
    if losses:
        message += f" (note that {'; '.join(losses)})"
    message += "; put the same object into both pools, or give one another name"
    warnings.warn(message, SharedModuleWarning, stacklevel=4)


def _differences_in_build(first: nn.Module, second: nn.Module) -> Iterator[str]:
    """Say how the classes of two modules, or of what is in them, or the shapes of their tensors differ."""
    for name, kinds in _pairs(*(dict(module.named_modules()) for module in (first, second))):
        found, other = ("nothing" if kind is None else _class_name(kind) for kind in kinds)
        if found != other:
            yield f"{_part(name)} is {found} in one and {other} in the other"
    for name, tensors in _pairs(*map(_tensors, (first, second))):
        found, other = ("nothing" if tensor is None else _shape(tensor) for tensor in tensors)
        if found != other and "unknown" not in {found, other}:
            yield f"'{name}' is {found} in one and {other} in the other"


def _differences_in_settings(first: nn.Module, second: nn.Module) -> Iterator[str]:
    """Say how two modules of one build differ in what they print, or in the types of their numbers."""
    parts = zip(first.named_modules(), second.modules(), strict=False)
    for (name, one), other in parts:
        if one.extra_repr() != other.extra_repr():
            yield f"{_part(name)} is {_described(one)} in one and {_described(other)} in the other"
    tensors = _tensors(second)
    for name, tensor in _tensors(first).items():
        if tensor.dtype != tensors[name].dtype:
            yield f"'{name}' is {tensor.dtype} in one and {tensors[name].dtype} in the other"


def _ties(task: str, others: Mapping[str, nn.Module], dropped: nn.Module) -> Iterator[str]:
    """Say which modules that the task keeps have a parameter of one that is left out."""
    parameters = {id(parameter) for parameter in dropped.parameters()}
    for name, module in others.items():
        if parameters & {id(parameter) for parameter in module.parameters()}:
            yield f"'{name}' of task '{task}' was tied to it, and is not tied to the other"


def _pairs(first: Mapping[str, _T], second: Mapping[str, _T]) -> Iterator[tuple[str, list[_T | None]]]:
    """Values of one name, None where there is none, in the order of the first."""
    for name in {**first, **second}:
        yield name, [first.get(name), second.get(name)]


def _unwrapped(module: nn.Module) -> nn.Module:
    inner = module.module if isinstance(module, nn.DataParallel) else module
    return inner if isinstance(inner, nn.Module) else module


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters(remove_duplicate=False))
    return parameters | dict(module.named_buffers(remove_duplicate=False))


def _shape(tensor: Tensor) -> str:
    return "unknown" if nn.parameter.is_lazy(tensor) else f"of shape {list(tensor.shape)}"


def _class_name(module: nn.Module) -> str:
    """Name of a class with its module; a class that a function makes again at each call has one name."""
    kind = type(module)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return kind.__qualname__ if name.startswith("torch.nn.") else name


def _described(module: nn.Module) -> str:
    return f"{type(module).__name__}({module.extra_repr()})"


def _part(name: str) -> str:
    return f"'{name}'" if name else "the module"
