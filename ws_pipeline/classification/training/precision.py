"""Number types of the forward pass."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from ws_pipeline.errors import DeviceError


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Context in which the forward pass runs; it can be entered again and again.

    Parameters
    ----------
    precision
        "float32" changes nothing; "bf16" computes matrix products in bfloat16.
    device
        Where the model is.

    Raises
    ------
    DeviceError
        The device does not compute in bfloat16.
    """
    if precision == "float32":
        return contextlib.nullcontext()
    if not _has_bf16(device):
        message = (
            f"precision 'bf16': device '{device}' does not compute in bfloat16; set precision to 'float32'"
        )
        raise DeviceError(message)
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.amp.is_autocast_available("cpu")
