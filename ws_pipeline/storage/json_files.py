"""Files of JSON and JSON Lines, with the place of every object for messages.

Start reading at :func:`read_json_lines`, which makes a table of a file with an object per line.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.files import PathLike
from ws_pipeline.storage.text_files import read_text

Hook = Callable[[Sequence[tuple[str, Any]]], dict[str, Any]]
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
_LONGEST = 60
_NOT_STORED = (pa.ArrowException, OverflowError, TypeError, ValueError)


class Record(NamedTuple):
    """An object of a file, and where it is: the file and its line or number, counted from 1."""

    values: Mapping[str, Any]
    where: str


def read_json(path: PathLike) -> Any:
    """The value that a JSON file holds.

    Raises
    ------
    FileFormatError
        The file is not JSON; the message has line and column.
    """
    return _parse(read_text(path), f"{path}")


def read_records(path: PathLike) -> list[Record]:
    """Objects of a file: a JSON list, one object, or JSON Lines with one object per line.

    Raises
    ------
    FileFormatError
        The file is not JSON, or holds something else than objects.
    """
    return records_of_text(read_text(path), path)


def records_of_text(text: str, path: PathLike) -> list[Record]:
    """Objects in the text of a file; see :func:`read_records`."""
    if text.lstrip().startswith("["):
        return [as_record(value, f"{path}: record {i}") for i, value in enumerate(_parse(text, f"{path}"), 1)]
    if next((line.strip() for line in text.split("\n") if line.strip()), "") == "{":
        return [as_record(_parse(text, f"{path}"), f"{path}: record 1")]  # one object, on several lines
    return _records_of_lines(text, path)


def as_record(value: Any, where: str) -> Record:
    """A value as a record; refuse what is no object."""
    if not isinstance(value, dict):
        message = f"{where}: expected a JSON object, got {type(value).__name__}; is the format right?"
        raise FileFormatError(message)
    return Record(value, where)


def read_json_lines(path: PathLike) -> pa.Table:
    """A table of a file with a JSON object per line; columns have the types that their values have in JSON.

    Nothing is guessed: text stays text, also if it looks like a number or a date.  Whole and broken numbers
    make a column of float64.  A key that an object does not have is null there.

    Raises
    ------
    FileFormatError
        A line is no JSON object, has a key twice, or a value of another kind than those before it in its
        column; the message has the line.
    """
    return table_of_records(_records_of_lines(read_text(path), path, _each_key_once))


def table_of_records(records: Sequence[Record]) -> pa.Table:
    """A table of objects; see :func:`read_json_lines`."""
    names = list(dict.fromkeys(name for record in records for name in record.values))
    return pa.table({name: _column(records, name) for name in names})


def _records_of_lines(text: str, path: PathLike, hook: Hook | None = None) -> list[Record]:
    numbered = ((f"{path}: line {number}", line) for number, line in enumerate(text.split("\n"), 1))
    return [as_record(_parse(line, where, hook), where) for where, line in numbered if line.strip()]


class _TwiceError(ValueError):
    """A key that is in one object twice."""


def _each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return values


def _parse(text: str, where: str, hook: Hook | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=hook)
    except _TwiceError as twice:
        message = f"{where}: the key '{twice}' is there twice in one object; leave one out"
        raise FileFormatError(message) from None
    except json.JSONDecodeError as broken:
        line = f"line {broken.lineno}, " if "\n" in text.strip() else ""
        message = (
            f"{where}: not valid JSON ({broken.msg}, {line}column {broken.colno}); export the file again"
        )
        raise FileFormatError(message) from broken


def _column(records: Sequence[Record], name: str) -> pa.Array:
    """The values under a key, all of one kind."""
    values = [record.values.get(name) for record in records]
    kinds = {type(value) for value in values} - {type(None)}
    if len({_KINDS[kind] for kind in kinds}) > 1:
        raise FileFormatError(_mixed(records, name))
    try:
        return _array(values)
    except _NOT_STORED:
        raise FileFormatError(_not_stored(records, name, values)) from None


def _array(values: Sequence[Any]) -> pa.Array:
    if any(isinstance(value, float) for value in values):
        values = [None if value is None else float(value) for value in values]
    return pa.array(values)


def _mixed(records: Sequence[Record], name: str) -> str:
    """Message about the first value of another kind than those before it."""
    there = [record for record in records if record.values.get(name) is not None]
    first = _KINDS[type(there[0].values[name])]
    other = next(record for record in there if _KINDS[type(record.values[name])] != first)
    return (
        f"{other.where}: '{name}' is {_shown(other.values[name])}, {_KINDS[type(other.values[name])]}, "
        f"expected {first} as in the lines before; write all its values in one way"
    )


def _not_stored(records: Sequence[Record], name: str, values: Sequence[Any]) -> str:
    """Message about the first value that fits into no column with those before it."""

    def fails_until(stop: int) -> bool:
        try:
            _array(values[:stop])
        except _NOT_STORED:
            return True
        return False

    first = bisect.bisect_left(range(len(values)), True, key=lambda row: fails_until(row + 1))  # noqa: FBT003
    return (
        f"{records[first].where}: '{name}' is {_shown(values[first])}, expected whole numbers of 64 bits, or "
        "lists and objects whose values are of one kind as those in the lines before; write all its values "
        "in one way"
    )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
