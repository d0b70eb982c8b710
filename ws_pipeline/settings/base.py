"""Settings that refuse typos: a frozen pydantic base class and errors a person can act on.

The settings of each step are in a module beside this one, which holds what they share.
Start reading at :func:`parse_settings`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ws_pipeline.errors import SettingsError, SettingTypeError


class Settings(BaseModel):
    """Base of all settings: immutable, unknown fields and numbers that are not finite refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=BaseModel)


def parse_settings(
    settings_type: type[S],
    values: Mapping[str, Any],
    *,
    where: str | None = None,
    error: type[SettingsError] = SettingsError,
    words: Mapping[tuple[str | int, ...], str] | None = None,
) -> S:
    """Validate ``values`` as ``settings_type``.

    Parameters
    ----------
    settings_type
        The pydantic class to build.
    values
        Field names and values, possibly nested.
    where
        What the values come from (a file, a function); opens the error message.
        Default: the name of ``settings_type``.
    error
        The class of the error to raise.
    words
        How values that are no text are written in their source, by the path to each; told where a text
        is expected.

    Raises
    ------
    SettingsError
        (or ``error``) with one line per offending field: its path, what was expected, what was
        found and, for an unknown field, the nearest known one.  A SettingTypeError, which is a
        TypeError too, if a field is unknown or of the wrong type, unless ``error`` is another class.
    """
    try:
        return settings_type.model_validate(values)
    except ValidationError as invalid:
        lines = [_describe(problem, settings_type, words or {}) for problem in invalid.errors()]
        if error is SettingsError and any(_is_of_wrong_type(problem["type"]) for problem in invalid.errors()):
            error = SettingTypeError
        raise error(f"{where or settings_type.__name__}: " + "; ".join(lines)) from None


def nearest(name: str, known: list[str]) -> str:
    """Say which known names come nearest to ``name``, as the end of an error message."""
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(sorted(known))}"


def _is_of_wrong_type(problem_type: str) -> bool:
    """Whether a plain function would raise a TypeError for it."""
    return problem_type == "extra_forbidden" or problem_type.endswith(("_type", "_parsing", "_from_float"))


def _describe(
    problem: Any, settings_type: type[BaseModel], words: Mapping[tuple[str | int, ...], str]
) -> str:
    location, parent = _follow(settings_type, problem["loc"])
    path = ".".join(map(str, location))
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{path}', {nearest(str(location[-1]), sorted(_fields_of(parent)))}"
    if problem["type"] == "union_tag_invalid":
        expected = problem["ctx"]["expected_tags"].replace("'", "")
        return f"{path}.kind: expected one of {expected}, got {problem['ctx']['tag']!r}"
    if problem["type"] == "literal_error":
        kind = str(location[-1]).replace("_", " ")
        return f"Unrecognized {kind} option '{problem['input']}', expected {problem['ctx']['expected']}"
    return _describe_value(problem, location, words)


def _describe_value(
    problem: Any, location: list[str | int], words: Mapping[tuple[str | int, ...], str]
) -> str:
    """Say what is wrong with the value of a key that is known."""
    path = ".".join(map(str, location))
    if problem["type"] == "missing":
        return f"missing key '{path}'"
    # of a union, pydantic puts the name of the type between the keys
    keys = tuple(part for part in location if "[" not in str(part))
    if problem["type"] == "string_type" and keys in words:
        return f"{'.'.join(map(str, keys))}: expected a text, {words[keys]}; put it in quotes"
    if problem["type"] == "value_error":  # a rule of this project, which tells what it got
        rule = problem["msg"].removeprefix("Value error, ")
        return f"{path}: {rule}" if path else rule
    return f"{path}: {problem['msg']}, got {problem['input']!r}"


def _follow(settings_type: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[list[str | int], Any]:
    """Follow the location of a problem down the annotations.

    Returns
    -------
    (list, object)
        The keys that a person wrote: between them pydantic names the kind that it chose of several settings.
        And the annotation of what holds the last of them.
    """
    annotation: Any = settings_type
    parent, keys = annotation, []
    for part in loc:
        kinds = _kinds_of(annotation)
        if part in kinds:
            annotation = kinds[str(part)]
            continue
        parent = annotation
        keys.append(part)
        fields = _fields_of(annotation)
        annotation = fields[str(part)].annotation if str(part) in fields else _value_type(annotation)
        annotation = _without_none(annotation)
    return keys, parent


def _fields_of(annotation: Any) -> Mapping[str, Any]:
    return getattr(annotation, "model_fields", {})


def _kinds_of(annotation: Any) -> dict[str, Any]:
    """Settings by their kind, of a union of settings that differ by the key ``kind``."""
    members = [getattr(member, "__origin__", member) for member in getattr(annotation, "__args__", ())]
    return {member.model_fields["kind"].default: member for member in members if "kind" in _fields_of(member)}


def _without_none(annotation: Any) -> Any:
    """``X`` of an annotation ``X | None``, any other annotation as it is."""
    if not isinstance(annotation, UnionType):
        return annotation
    others = [kind for kind in annotation.__args__ if kind is not NoneType]
    return others[0] if len(others) == 1 else annotation


def _value_type(annotation: Any) -> Any:
    """The type of the values of a dict or list annotation (its last argument), without annotations."""
    arguments = getattr(annotation, "__args__", ())
    values = arguments[-1] if arguments else annotation
    return values.__origin__ if hasattr(values, "__metadata__") else values
