"""Example ids: the key by which votes, features and gold labels of an example find each other.

Both halves of the package read ids through this module, so that an id is valid in one exactly when
it is valid in the other: an int64 or a string, never null, unique in the whole pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExampleIdError

ID_COLUMN = "example_id"

Ids = npt.NDArray[Any]


def ids_from_table(table: pa.Table, *, where: str) -> Ids:
    """Read column ``example_id`` of an Arrow table as int64 or str objects ``[n]``.

    Raises
    ------
    ExampleIdError
        No such column, another type, a null, or an id that is there twice.
    """
    if ID_COLUMN not in table.column_names:
        message = f"{where}: no column '{ID_COLUMN}', found {table.column_names}"
        raise ExampleIdError(message)
    column = table.column(ID_COLUMN)
    if not (pa.types.is_integer(column.type) or is_string(column.type)):
        message = f"{where}: column '{ID_COLUMN}' has type {column.type}, expected int64 or string"
        raise ExampleIdError(message)
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
    return ids.astype(object) if is_string(column.type) else _as_int64(ids, where)


def validate_ids(example_ids: Any, *, where: str = "example_ids") -> Ids:
    """Return ids given from Python as int64 or str objects ``[n]``.

    Raises
    ------
    ExampleIdError
        Not one-dimensional, neither integers nor strings, a null, or an id that is there twice.
    """
    ids = np.array(example_ids)
    if ids.ndim != 1:
        message = f"{where} must have shape [n], got {ids.shape}"
        raise ExampleIdError(message)
    if ids.dtype.kind in "iu" or ids.size == 0:
        ids = _as_int64(ids, where)
    elif ids.dtype.kind == "U" or (ids.dtype.kind == "O" and all(isinstance(value, str) for value in ids)):
        ids = ids.astype(object)
    else:
        message = f"{where} must be integers or strings without nulls, got dtype {ids.dtype}"
        raise ExampleIdError(message)
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        often = np.flatnonzero(counts > 1)[0]
        _refuse_repetition(values[often], counts[often], len(ids) - len(values), where)
    return ids


def ids_to_array(ids: Ids) -> pa.Array:
    """Encode ids as an Arrow array; strings keep their type where there are none."""
    return pa.array(ids, pa.string() if ids.dtype.kind == "O" else None)


def check_disjoint(ids_by_shard: Mapping[str, Ids]) -> None:
    """Refuse an example id that is in two shards.

    Raises
    ------
    ExampleIdError
        Names the id and both shards; or the shards mix integers and strings.
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
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        message = (
            f"example {ids[first]} is in shard '{names[owner[first]]}' and in shard '{names[owner[second]]}' "
            f"({len(twice)} such ids); every example belongs to one shard"
        )
        raise ExampleIdError(message)


def is_string(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_pandas_index(column_name: str) -> bool:
    """Whether a column is the unnamed index that ``DataFrame.to_parquet`` writes; it holds row numbers."""
    return column_name.startswith("__index_level_")


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
