"""Resources: which device computes, and where trainings keep their checkpoints."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, field_validator
from upath import UPath

from ws_pipeline.errors import DeviceError
from ws_pipeline.file_lock import hold_lock, machine_locks

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class ComputeDevice(dg.ConfigurableResource["ComputeDevice"]):
    """Picks the device that models are trained on."""

    name: str = Field(
        default="auto",
        description="auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps.",
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _DEVICE.fullmatch(name):
            message = f"unknown device '{name}', expected auto, cpu, cuda, cuda:N or mps"
            raise ValueError(message)
        return name

    def resolve(self) -> str:
        """Name of the torch device to use.

        Raises
        ------
        DeviceError
            An explicitly named device is not on this machine; the message lists those that are.
        """
        available = available_devices()
        if self.name == "auto":
            return next((device for device in ("cuda:0", "mps") if device in available), "cpu")
        wanted = "cuda:0" if self.name == "cuda" else self.name
        if wanted not in available:
            message = (
                f"device '{self.name}' is not available, available: {', '.join(available)}; "
                "choose one of these, or 'auto'"
            )
            raise DeviceError(message)
        return wanted

    @contextmanager
    def reserve(self, *, holder: str, log: Any) -> Iterator[str]:
        """Resolve the device and keep it for the block: on a GPU, trainings run one at a time.

        Parameters
        ----------
        holder
            What others that wait for the device are told.
        log
            A logger; what is waited for is logged as a warning.

        Raises
        ------
        DeviceError
            See :meth:`resolve`.
        """
        device = self.resolve()
        if device == "cpu":
            yield device
            return

        def say(found: str) -> None:
            log.warning("waiting for %s, which trains on %s", found, device)

        file = machine_locks() / f"{device.replace(':', '-')}.lock"
        with hold_lock(file, holder=holder, on_wait=say):
            yield device


class Checkpoints(dg.ConfigurableResource["Checkpoints"]):
    """Says where a training keeps the state that the next run continues from."""

    base_path: str = Field(
        description="Folder, or any fsspec URL, that the checkpoints are kept in, in a folder per asset."
    )

    def folder_of(self, asset_key: dg.AssetKey) -> str:
        """Folder of one asset's checkpoints."""
        return str(UPath(self.base_path).joinpath(*asset_key.path))


def available_devices() -> list[str]:
    """Names of the torch devices of this machine, the CPU first."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices
