"""Find the device of a classifier, and move batches there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ws_pipeline.devices import available_devices
from ws_pipeline.errors import DeviceError

_PLAIN = frozenset({str, bytes, int, float, bool, type(None)})
"""What token lists and the like are made of; looking at each item in Python would cost more than a step."""


def resolve_device(device: int | str) -> torch.device:
    """Find the device that a setting means.

    Parameters
    ----------
    device
        A GPU's number: negative is the CPU, and so is any number on a machine without a GPU.  Or a
        torch device name such as "cpu", "cuda:1" or "mps".

    Raises
    ------
    DeviceError
        The name is unknown, or this machine has no such device.
    """
    if isinstance(device, int):
        if device < 0 or not torch.cuda.is_available():
            return torch.device("cpu")
        device = f"cuda:{device}"
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or not _is_there(found):
        message = f"device '{device}' is not available; this machine has: {', '.join(available_devices())}"
        raise DeviceError(message)
    return found


def first_parameter(module: nn.Module) -> nn.Parameter | None:
    """The first of ``module.parameters()``, found four times faster: every step asks for it."""
    for parameter in module._parameters.values():  # noqa: SLF001  public access goes through generators
        if parameter is not None:
            return parameter
    for child in module._modules.values():  # noqa: SLF001  as above
        found = None if child is None else first_parameter(child)
        if found is not None:
            return found
    return None


def move_to_device(value: Any, device: torch.device) -> Any:
    """Move the tensors in ``value`` (nested in dicts, lists and tuples) to ``device``.

    What is there already, and what holds no tensors, is returned as it is.
    """
    if isinstance(value, torch.Tensor):
        return value if value.device == device else value.to(device)
    if isinstance(value, dict):
        return {name: move_to_device(item, device) for name, item in value.items()}
    if isinstance(value, PackedSequence):
        return value.to(device)  # type: ignore[arg-type]  # typed for number types alone
    if isinstance(value, list | tuple) and not _PLAIN.issuperset(map(type, value)):
        moved = [move_to_device(item, device) for item in value]
        if isinstance(value, list):
            return moved
        return type(value)(*moved) if hasattr(value, "_fields") else tuple(moved)
    return value


def build_replicas(modules: Iterable[nn.Module], device: torch.device) -> list[nn.DataParallel[nn.Module]]:
    """Over several GPUs, wrap each module in what is to be called instead of it.

    The wrappers stay out of the module pool, so that no parameter is ever named after them.

    Returns
    -------
    list
        One wrapper per module that is not wrapped already; none on a machine without several GPUs.
    """
    n_gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if n_gpus < 2:
        return []
    first = device.index or 0
    gpus = [first, *(number for number in range(n_gpus) if number != first)]
    bare = [module for module in modules if not isinstance(module, nn.DataParallel)]
    return [nn.DataParallel(module, device_ids=gpus) for module in bare]


def replica_of(module: nn.Module, replicas: Sequence[nn.DataParallel[nn.Module]]) -> nn.Module:
    """Find what runs a module on several GPUs; the module itself, if it was put into the pool later."""
    return next((replica for replica in replicas if replica.module is module), module)


def _is_there(device: torch.device) -> bool:
    available = available_devices()
    kinds = {name.partition(":")[0] for name in available}
    return str(device) in available or (device.index in {None, 0} and device.type in kinds)
