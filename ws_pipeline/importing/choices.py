"""The one class that an answer of a labelling tool chooses."""

from __future__ import annotations

from typing import Any

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.export_files import text_of


def one_class(value: Any, where: str, what: str) -> str | None:
    """The class that a value names, alone or as the only one of a list; None for no answer.

    Parameters
    ----------
    value
        Text, a number, a boolean, a list of one of these, or nothing.
    where
        The record; opens the message.
    what
        What the value is; for the message.

    Raises
    ------
    ExportError
        Several classes are chosen, or the value is no class, as a span of text or a ranking is none.
    """
    if (
        isinstance(value, list)
        and len(value) > 1
        and not any(isinstance(item, dict | list) for item in value)
    ):
        message = (
            f"{where}: {what} chooses several classes, {value}, expected one; a task has one class per "
            "example: import an export in which one is chosen, or ask for each class in a question of its own"
        )
        raise ExportError(message)
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict | list):
        message = (
            f"{where}: {what} is {str(value)[:60]}, expected the name of a class; is this question a choice?"
        )
        raise ExportError(message)
    return text_of(value) or None
