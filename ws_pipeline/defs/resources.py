"""Resources: which device computes, and where trainings keep their checkpoints.

What the Launchpad says about them is checked when a run is launched; whether the device is there, when the
run begins, because only the machine that the run is on can tell.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, field_validator
from upath import UPath

from ws_pipeline.defs.spec.data_folder import check_folder
from ws_pipeline.defs.spec.launch_checks import CheckedShape, Values, naming
from ws_pipeline.devices import available_devices
from ws_pipeline.errors import DeviceError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.storage.file_lock import hold_lock, machine_locks

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class CheckedResource(dg.ConfigurableResource[Any]):
    """A resource of which the fields are checked when a run is launched."""

    @property
    def _config_schema(self) -> Any:
        """Config field of the Launchpad, with the check of this project added."""
        field = super()._config_schema.as_field()
        shape = CheckedShape(field.config_type.fields, self.check_values, type(self).__name__)
        return dg.Field(
            shape, default_value=field.default_value, is_required=False, description=field.description
        )

    @classmethod
    def check_values(cls, values: Values) -> None:
        """Refuse values that are none for the fields.

        Raises
        ------
        SettingsError
            The message names the resource and the field.
        """
        parse_settings(cls, values, where=f"run config of {cls.__name__}")


class ComputeDevice(CheckedResource):
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

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Refuse a device that is not there when a run begins, not in the step that trains."""
        self.resolve()

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


class Checkpoints(CheckedResource):
    """Says where a training keeps the state that the next run continues from."""

    base_path: str = Field(
        description="Folder, or any fsspec URL, that the checkpoints are kept in, in a folder per asset."
    )

    @classmethod
    def check_values(cls, values: Values) -> None:
        """Refuse a folder that there is no file system for."""
        super().check_values(values)
        with naming(f"run config of {cls.__name__}: base_path"):
            check_folder(values["base_path"])

    def folder_of(self, asset_key: dg.AssetKey) -> str:
        """Folder of one asset's checkpoints."""
        return str(UPath(self.base_path).joinpath(*asset_key.path))
