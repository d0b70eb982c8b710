"""Refuse a run config when the run is launched, before any of its assets does work.

Dagster itself checks only names, types and choices at a launch; ranges and rules of a config class it checks
in the step that reads the config, which may be an hour into the run.  A config type may check more: its
``post_process`` runs whenever a run is planned, so also for a run that the Launchpad, a schedule or a sensor
asks for, and such a run is then not created.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import dagster as dg
from dagster._config import PostProcessingError

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import Settings

S = TypeVar("S", bound=Settings)
Values = Mapping[str, Any]


class CheckedShape(dg.Shape):
    """The fields of a run config, which a function checks together when a run is launched.

    Parameters
    ----------
    fields
        Field name to what the Launchpad shows of it.
    check
        Called with the value of every field, given or default; raises SettingsError.
    known_as
        Tells this check from others on the same fields: Dagster takes types with equal keys for one.
    """

    def __new__(cls, *_: object) -> Self:
        """Make a type of its own; ``dg.Shape`` would look for one with the same fields."""
        shape = object.__new__(cls)
        shape._initialized = False
        return shape

    def __init__(self, fields: dict[str, dg.Field], check: Callable[[Values], object], known_as: str) -> None:
        super().__init__(fields)  # type: ignore[no-untyped-call]
        self.key = f"{self.key}.{known_as}"
        self._check = check

    def post_process(self, value: Values) -> Values:
        """Return the values as they are.

        Raises
        ------
        PostProcessingError
            The check refuses them; Dagster makes it an error of the launch.
        """
        try:
            self._check(value)
        except SettingsError as refused:
            raise PostProcessingError(str(refused)) from None
        return value


@dataclass(frozen=True)
class LaunchConfig(Generic[S]):
    """The run config of an asset.

    Parameters
    ----------
    face
        Fields, defaults and descriptions, as the Launchpad shows them.
    parse
        Makes the settings of all values; raises SettingsError.
    known_as
        See :class:`CheckedShape`.
    """

    face: type[dg.Config]
    parse: Callable[[Values], S]
    known_as: str

    @property
    def schema(self) -> dg.Field:
        """Value for ``config_schema`` of the asset."""
        # of a class without fields, Dagster reads an attribute that pydantic has given up
        fields = self.face.to_fields_dict() if self.face.model_fields else {}
        shape = CheckedShape(fields, self.parse, self.known_as)
        return dg.Field(shape, description=self.face.__doc__)

    def settings(self, context: dg.AssetExecutionContext) -> S:
        """The settings of the run that the asset is in."""
        return self.parse(context.op_execution_context.op_config)


def known_as(*values: Any) -> str:
    """Short text that differs where one of the plain values does."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Open the message of a refused setting with where it comes from."""
    try:
        yield
    except SettingsError as refused:
        message = f"{where}: {refused}"
        raise SettingsError(message) from None
