"""Tasks that a function of one's own builds, named as ``package.module:function``.

The function gets keyword arguments only, and returns the tasks (see :class:`TaskBuilder`)::

    def build_tasks(*, n_features, cardinalities, seed, train_features, width=32):
        trunk = nn.Sequential(nn.Linear(n_features["features"], width), nn.ReLU())
        return [
            Task(
                task,
                {"trunk": trunk, f"{task}_head": nn.Linear(width, k)},
                [Operation("trunk", [("_input_", "features")]), Operation(f"{task}_head", ["trunk"])],
                loss_func=label_cross_entropy,
            )
            for task, k in cardinalities.items()
        ]

A file of weights never decides which function that is: whoever reads it says so again.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ws_pipeline.classification.network.task import Task
from ws_pipeline.classification.seeding import own_random_numbers
from ws_pipeline.errors import SettingsError, TaskGraphError
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.end_model import ModelConfig

_KEY = "model.build_tasks"


class TaskBuilder(Protocol):
    """Signature of a function named by ``build_tasks``.

    Parameters
    ----------
    n_features
        Field name to its number of features f; a batch of the field is ``[n, f]`` float32.  There is
        one field, "features", unless ``feature_columns`` in the pipeline.yaml names others.
    cardinalities
        Task name to its number of classes k.
    seed
        The seed of the training.  Torch's global generator is seeded with it before the call and put
        back afterwards, so modules made in the usual way need not look at it.
    train_features
        Field name to the features ``[n, f]`` of the train split, to take statistics from; None when a
        trained model is read from its file, whose tensors then replace all parameters and buffers.
    **options
        The ``options`` beside ``build_tasks``.

    Returns
    -------
    sequence of Task
        One per task.  Their losses get logits and probabilistic labels ``[n, k]``, as
        :func:`~ws_pipeline.classification.label_cross_entropy` takes them; their outputs are
        probabilities ``[n, k]``.
    """

    def __call__(
        self,
        *,
        n_features: Mapping[str, int],
        cardinalities: Mapping[str, int],
        seed: int,
        train_features: Mapping[str, Tensor] | None,
        **options: Any,
    ) -> Sequence[Task]:
        """Build the tasks."""


def build_own_tasks(
    config: ModelConfig,
    *,
    n_features: Mapping[str, int],
    cardinalities: Mapping[str, int],
    seed: int,
    train_features: Mapping[str, Tensor] | None = None,
) -> list[Task]:
    """Call the function that ``config.build_tasks`` names, and check what it returns.

    Parameters
    ----------
    config
        Settings with ``build_tasks``.
    n_features, cardinalities, seed, train_features
        Handed to the function, see :class:`TaskBuilder`.

    Raises
    ------
    SettingsError
        The module or the function is not there, or does not take these arguments.
    TaskGraphError
        It did not return one task for each of ``cardinalities``.
    """
    function = _find(str(config.build_tasks))
    arguments: dict[str, Any] = {
        "n_features": dict(n_features),
        "cardinalities": dict(cardinalities),
        "seed": seed,
        "train_features": None if train_features is None else dict(train_features),
        **config.options,
    }
    _check_signature(function, arguments, config)
    with own_random_numbers():
        torch.default_generator.manual_seed(seed)
        try:
            tasks = function(**arguments)
        except Exception as error:
            error.add_note(f"in {_KEY}, '{config.build_tasks}'")
            raise
    return _checked(tasks, cardinalities, config)


def _find(reference: str) -> Any:
    module_name, _, name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{module_name}.".startswith(f"{missing.name}."):
            missing.add_note(f"in {_KEY}, '{reference}'")
            raise
        message = (
            f"{_KEY}: expected package.module:function, got '{reference}', but there is no module "
            f"'{missing.name}'; install its package, or start from the folder that it is in"
        )
        raise SettingsError(message) from missing
    function = getattr(module, name, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        message = f"{_KEY}: module '{module_name}' has no function '{name}', {nearest(name, functions)}"
        raise SettingsError(message)
    return function


def _check_signature(function: Any, arguments: Mapping[str, Any], config: ModelConfig) -> None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as wrong:
        message = (
            f"{_KEY}: '{config.build_tasks}' is called with the keywords {', '.join(arguments)}, which it "
            f"does not take: {wrong}{_renamed(function, arguments)}"
        )
        raise SettingsError(message) from None


def _renamed(function: Any, arguments: Mapping[str, Any]) -> str:
    """End of the message for a function written when ``cardinalities`` was called ``classes``."""
    there = inspect.signature(function).parameters
    is_old = "classes" in there and "classes" not in arguments and "cardinalities" not in there
    return "; rename the parameter classes to cardinalities" if is_old else ""


def _checked(tasks: Any, cardinalities: Mapping[str, int], config: ModelConfig) -> list[Task]:
    where = f"{_KEY}: '{config.build_tasks}'"
    if not isinstance(tasks, Sequence) or not all(isinstance(task, Task) for task in tasks):
        kinds = sorted({type(task).__name__ for task in tasks}) if isinstance(tasks, Sequence) else []
        found = f"{type(tasks).__name__} of {', '.join(kinds)}" if kinds else type(tasks).__name__
        message = f"{where} has to return a list of Task, got {found}"
        raise TaskGraphError(message)
    found_names = [task.name for task in tasks]
    if sorted(found_names) != sorted(cardinalities):
        message = f"{where} has to return one task for each of {sorted(cardinalities)}, got {found_names}"
        raise TaskGraphError(message)
    return list(tasks)
