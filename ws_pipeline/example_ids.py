"""Example ids: the key by which votes, features and gold labels of an example find each other.

Both halves of the package read ids through this module, so that an id is valid in one exactly when
it is valid in the other: an int64 or a string, never null, unique in the whole pipeline.  Strings that
readers take for the same, because they differ only in their Unicode form or in blanks around them, are
refused, since programs differ in which of them they write.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.arrays import as_array
from ws_pipeline.errors import ExampleIdError
from ws_pipeline.storage.arrow_types import holds_nothing, holds_text, plain_values

ID_COLUMN = "example_id"
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+(\.\d+)*")
_SPELL_ALIKE = "write every id in one way: in the Unicode form NFC, without blanks around it"

Ids = npt.NDArray[Any]


def ids_from_table(table: pa.Table, *, where: str) -> Ids:
    """Read column ``example_id`` of an Arrow table as int64 or str objects ``[n]``.

    Text may be stored in any type, integers also as decimals without a fraction.  Of a table without rows
    the type does not matter.  An index ``example_id`` of pandas that is a range has no column, only a note.

    Raises
    ------
    ExampleIdError
        No such column, another type, a null, an id that is there twice, or two ids that differ only in
        their Unicode form or in blanks around them.
    """
    if ID_COLUMN not in table.column_names:
        noted = _range_of_pandas(table)
        if noted is not None:
            return np.array(noted, dtype=np.int64)
        message = (
            f"{where}: no column '{ID_COLUMN}', got {table.column_names}; add it, or give the column of the "
            "ids this name"
        )
        raise ExampleIdError(message)
    column = _id_column(table.column(ID_COLUMN), where)
    if column.null_count:
        row = pc.index(pc.is_null(column), pa.scalar(value=True)).as_py()
        message = (
            f"{where}: {column.null_count} example id(s) are null, the first in row {row}; "
            "give each example an id"
        )
        raise ExampleIdError(message)
    counts = column.value_counts()
    if len(counts) < len(column):
        first = counts.filter(pc.greater(counts.field("counts"), 1))[0]
        _refuse_repetition(first["values"].as_py(), first["counts"].as_py(), len(column) - len(counts), where)
    ids: Ids = column.to_numpy()
    if not holds_text(column.type):
        return _as_int64(ids, where)
    _refuse_two_spellings(column, where)
    return ids.astype(object)


def _id_column(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """The ids as integers or as large_string."""
    plain = plain_values(column)
    if not len(plain) and holds_nothing(plain.type):
        return plain.cast(pa.int64())
    if pa.types.is_decimal(plain.type):
        try:
            return plain.cast(pa.int64())
        except pa.ArrowInvalid as fraction:
            message = (
                f"{where}: column '{ID_COLUMN}' has type {column.type} and holds a number that is no int64; "
                "use whole numbers, or strings"
            )
            raise ExampleIdError(message) from fraction
    if not (pa.types.is_integer(plain.type) or holds_text(plain.type)):
        message = f"{where}: column '{ID_COLUMN}' has type {column.type}, expected int64 or string"
        raise ExampleIdError(message)
    return plain


def validate_ids(example_ids: Any, *, where: str = "example_ids") -> Ids:
    """Return ids given from Python as int64 or str objects ``[n]``.

    Raises
    ------
    ExampleIdError
        Not one-dimensional, neither integers nor strings, a null, an id that is there twice, or two ids
        that differ only in their Unicode form or in blanks around them.
    """
    ids = np.array(as_array(example_ids, where, error=ExampleIdError))
    if ids.ndim != 1:
        message = f"{where} must have shape [n], got {ids.shape}"
        raise ExampleIdError(message)
    if ids.dtype.kind in "iu" or ids.size == 0:
        ids = _as_int64(ids, where)
    elif ids.dtype.kind in "UT" or (ids.dtype.kind == "O" and all(isinstance(value, str) for value in ids)):
        ids = ids.astype(object)
    else:
        message = f"{where} must be integers or strings without nulls, got dtype {ids.dtype}"
        raise ExampleIdError(message)
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        often = np.flatnonzero(counts > 1)[0]
        _refuse_repetition(values[often], counts[often], len(ids) - len(values), where)
    if _is_text(ids):
        _refuse_two_spellings(pa.array(ids, pa.large_string()), where)
    return ids


def concatenate_ids(parts: Sequence[Ids]) -> Ids:
    """Join ids of several shards to ``[n]``; a shard without any may have either kind of ids."""
    filled = [ids for ids in parts if len(ids)]
    return np.concatenate(filled) if filled else np.empty(0, dtype=np.int64)


def ids_to_array(ids: Ids) -> pa.Array:
    """Encode ids as an Arrow array; strings keep their type where there are none."""
    return pa.array(ids, pa.string() if ids.dtype.kind == "O" else None)


def check_disjoint(ids_by_shard: Mapping[str, Ids]) -> None:
    """Refuse an example id that is in two shards.

    Raises
    ------
    ExampleIdError
        Names the id and both shards; or the shards mix integers and strings.  Ids that differ only in
        their Unicode form or in blanks around them count as the same.
    """
    names = list(ids_by_shard)
    arrays = [ids for ids in ids_by_shard.values() if len(ids)]
    if len({array.dtype.kind for array in arrays}) > 1:
        message = f"the shards {names} mix integer and string example ids, use one kind in all of them"
        raise ExampleIdError(message)
    if not arrays:
        return
    ids = np.concatenate(arrays)
    owner = np.repeat(np.arange(len(names)), [len(ids_by_shard[name]) for name in names])
    found = _first_repetition(ids)
    if found is not None:
        first, second, times = found
        message = (
            f"example {ids[first]} is in shard '{names[owner[first]]}' and in shard '{names[owner[second]]}' "
            f"({times} such ids); every example belongs to one shard"
        )
        raise ExampleIdError(message)
    if _is_text(ids):
        _refuse_two_spellings(
            pa.array(ids, pa.large_string()),
            "example ids of the shards",
            of=lambda row: f" of shard '{names[owner[row]]}'",
        )


def check_same_spelling(ids: Ids, known: Ids, *, where: str) -> None:
    """Refuse ids that are not among the known ones, but are when spelled otherwise.

    Parameters
    ----------
    ids
        ``[n]`` ids that have to be known, such as those of votes.
    known
        ``[n']`` ids of the examples.
    where
        Where ``ids`` are from; opens the error message.

    Raises
    ------
    ExampleIdError
        Names the first such id, how it is known, and what to do.
    """
    if not (_is_text(ids) and _is_text(known)):
        return
    given, others = pa.array(ids, pa.large_string()), pa.array(known, pa.large_string())
    unknown = given.filter(pc.invert(pc.is_in(given, value_set=others)))
    matches = pc.index_in(_usual_spelling(unknown), value_set=_usual_spelling(others))
    respelled = np.flatnonzero(matches.is_valid().to_numpy(zero_copy_only=False))
    if len(respelled):
        row = int(respelled[0])
        first, second = unknown[row].as_py(), others[matches[row].as_py()].as_py()
        message = (
            f"{where}: example {first!a} is {second!a} in the examples file; they differ only in "
            f"{_difference(first, second)} ({len(respelled)} such ids); {_SPELL_ALIKE}"
        )
        raise ExampleIdError(message)


def is_pandas_index(column_name: str) -> bool:
    """Whether a column is by its name an index that pandas wrote or read, which holds row numbers.

    ``DataFrame.to_parquet`` writes an unnamed index as ``__index_level_0__``, and ``read_csv`` reads one that
    ``to_csv`` wrote as ``Unnamed: 0``.
    """
    return _INDEX.fullmatch(column_name) is not None


def pandas_indexes(schema: pa.Schema) -> set[str]:
    """Columns of a table that are an index of pandas, by their names or by what pandas wrote of them."""
    notes = _pandas_notes(schema).get("index_columns", [])
    named = {name for name in notes if isinstance(name, str)}
    return {name for name in schema.names if name in named or is_pandas_index(name)}


def _range_of_pandas(table: pa.Table) -> range | None:
    """The index ``example_id`` of the frame that a table was made of, if it is a range of its rows."""
    for index in _pandas_notes(table.schema).get("index_columns", []):
        if isinstance(index, dict) and index.get("kind") == "range" and index.get("name") == ID_COLUMN:
            noted = range(index["start"], index["stop"], index["step"])
            return noted if len(noted) == table.num_rows else None
    return None


def _pandas_notes(schema: pa.Schema) -> dict[str, Any]:
    """Notes that pandas wrote into a table about the frame that it was made of."""
    notes: dict[str, Any] = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    return notes


def _as_int64(ids: Ids, where: str) -> Ids:
    """Refuse ids beyond int64 (hashes kept as uint64), which a cast would change into other ids."""
    if ids.dtype.kind == "u" and ids.size and ids.max() > np.iinfo(np.int64).max:
        message = f"{where}: example id {ids.max()} does not fit int64, write such ids as strings"
        raise ExampleIdError(message)
    return ids.astype(np.int64)


def _refuse_repetition(value: Any, times: int, total: int, where: str) -> None:
    message = (
        f"{where}: example ids must be unique, {total} are repetitions, the first: {value} ({times} times)"
    )
    raise ExampleIdError(message)


def _usual_spelling(ids: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.utf8_normalize(ids, form="NFC"))


def _refuse_two_spellings(ids: pa.Array, where: str, of: Callable[[int], str] = lambda _: "") -> None:
    """Refuse unique ids of which two are the same in the usual spelling.

    Parameters
    ----------
    ids
        ``[n]`` text.
    where
        Where they are from; opens the error message.
    of
        What to add to the id of a row in the message.
    """
    usual = _usual_spelling(ids)
    found = None if usual.equals(ids) else _first_repetition(usual.to_numpy(zero_copy_only=False))
    if found is None:
        return
    one, other, times = found
    first, second = ids[one].as_py(), ids[other].as_py()
    message = (
        f"{where}: {first!a}{of(one)} and {second!a}{of(other)} differ only in {_difference(first, second)} "
        f"({times} such ids); {_SPELL_ALIKE}"
    )
    raise ExampleIdError(message)


def _difference(first: str, second: str) -> str:
    """In what two ids differ that have the same usual spelling."""
    if first.strip() == second.strip():
        return "blanks around them"
    if unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second):
        return "their Unicode form"
    return "their Unicode form and blanks around them"


def _first_repetition(values: Ids) -> tuple[int, int, int] | None:
    """Two rows with the same value, and how many rows repeat one; None: all values differ."""
    order = np.argsort(values, kind="stable")
    twice = np.flatnonzero(values[order][1:] == values[order][:-1])
    if not len(twice):
        return None
    return int(order[twice[0]]), int(order[twice[0] + 1]), len(twice)


def _is_text(ids: Ids) -> bool:
    return ids.dtype.kind == "O" and len(ids) > 0
