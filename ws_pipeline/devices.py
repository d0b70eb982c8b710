"""The torch devices of this machine; torch is imported when they are asked for."""

from __future__ import annotations


def available_devices() -> list[str]:
    """Names of the torch devices of this machine, the CPU first: "cpu", "cuda:0", "cuda:1", ..., "mps"."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices
