"""Which device a classifier computes on, and moving batches there."""

from __future__ import annotations

from typing import Any

import torch

from ws_pipeline.errors import DeviceError


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
        message = f"device '{device}' is not available; this machine has: {', '.join(_available())}"
        raise DeviceError(message)
    return found


def move_to_device(value: Any, device: torch.device) -> Any:
    """Move the tensors in ``value`` (nested in dicts, lists and tuples) to ``device``."""
    if isinstance(value, torch.Tensor):
        return value if value.device == device else value.to(device)
    if isinstance(value, dict):
        return {name: move_to_device(item, device) for name, item in value.items()}
    if isinstance(value, list) or type(value) is tuple:
        return type(value)(move_to_device(item, device) for item in value)
    return value


def _is_there(device: torch.device) -> bool:
    available = _available()
    return str(device) in available or (device.index in {None, 0} and device.type in available)


def _available() -> list[str]:
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(["cuda"] if gpus else []), *gpus, *mps]
