"""Parts of a record that must be objects, or lists of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ws_pipeline.errors import ExportError

_LONGEST = 60


def object_at(values: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """The object under a key; an empty one where there is nothing.

    Raises
    ------
    ExportError
        Something else is there.
    """
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"{where}: '{key}' is {str(value)[:_LONGEST]}, expected an object; is the format right?"
        raise ExportError(message)
    return value


def objects_at(values: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """The list of objects under a key; an empty one where there is nothing.

    Raises
    ------
    ExportError
        Something else is there.
    """
    value = values.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        message = (
            f"{where}: '{key}' is {str(value)[:_LONGEST]}, expected a list of objects; is the format right?"
        )
        raise ExportError(message)
    return value
