"""A trainer in a file: its settings, and the state of its optimizer as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ws_pipeline.errors import FileFormatError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.trainer import TrainerConfig
from ws_pipeline.storage.files import FileFormat, PathLike
from ws_pipeline.storage.tensor_file import read_tensors, write_tensors

_OPTIMIZER = "optimizer/"
_FILE_FORMAT = FileFormat("ws_pipeline/Trainer", version=1)


def save_trainer(path: PathLike, config: TrainerConfig, optimizer: torch.optim.Optimizer | None) -> None:
    """Write settings and, if there is an optimizer, its moments, atomically."""
    tensors = {} if optimizer is None else optimizer_tensors(optimizer)
    write_tensors(path, tensors, file_format=_FILE_FORMAT, header={"config": config.model_dump()})


def load_trainer(path: PathLike) -> tuple[TrainerConfig, dict[str, Tensor]]:
    """Read what :func:`save_trainer` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    FileFormatError
        The file is damaged, holds something else, or has settings that this release does not know.
    """
    header, tensors = read_tensors(path, file_format=_FILE_FORMAT)
    config: Any = header.get("config")
    try:
        return parse_settings(TrainerConfig, config, where=str(path)), tensors
    except ValueError as unknown:
        raise FileFormatError(str(unknown)) from unknown


def check_optimizer_fits(
    where: str, tensors: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> None:
    """Refuse the moments of an optimizer of other parameters.

    Raises
    ------
    FileFormatError
        There are more parameters in ``tensors``, or a moment has another shape than its parameter.
    """
    for key, value in sorted(tensors.items()):
        number = int(key.split("/")[1])
        shape = parameters[number].shape if number < len(parameters) else None
        if value.ndim and value.shape != shape:
            expected = "no such parameter" if shape is None else f"shape {list(shape)}"
            message = (
                f"{where}: the optimizer is that of another model: '{key}' has shape {list(value.shape)}, "
                f"the model has {expected}"
            )
            raise FileFormatError(message)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and counters of an optimizer, by the number of the parameter and their own name."""
    return {
        f"{_OPTIMIZER}{number}/{name}": value
        for number, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
        if isinstance(value, Tensor)  # the rest is None: moments that there are not yet
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take over what :func:`optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part(tensors, _OPTIMIZER).items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with ``prefix``, without it, in memory of their own."""
    return {
        name.removeprefix(prefix): value.clone() for name, value in tensors.items() if name.startswith(prefix)
    }
