"""The index of the examples: ids, splits and gold labels, without the features.

What scores, checks and reports need of examples is here, and is read without decoding a feature.

Legend: n examples.  Start reading at :meth:`ExampleIndex.from_source`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.array_types import Labels
from ws_pipeline.class_names import numbers_of_names
from ws_pipeline.errors import ExamplesError
from ws_pipeline.example_ids import ID_COLUMN, Ids, check_disjoint, concatenate_ids, ids_from_table
from ws_pipeline.storage.arrow_types import holds_nothing, holds_numbers, holds_text, plain_values
from ws_pipeline.storage.files import ParquetSource

UNKNOWN = -1
SPLITS = ("train", "valid", "test")
SPLIT_COLUMN = "split"
CARDINALITIES_KEY = b"ws_pipeline.tasks"  # stored files have this key; it stays


@dataclass(frozen=True, eq=False)
class ExampleIndex:
    """Ids, splits and gold labels of the examples of one shard, or of several.

    Parameters
    ----------
    example_ids
        ``[n]`` int64, or str objects.
    splits
        ``[n]`` str objects, each "train", "valid" or "test".
    gold
        Task name to ``[n]`` int64 gold labels, -1 where unknown.
    cardinalities
        Task name to number of classes k.

    Raises
    ------
    ExamplesError
        An array is none, or has another shape or number of rows.
    """

    example_ids: Ids
    splits: npt.NDArray[Any]
    gold: dict[str, Labels]
    cardinalities: dict[str, int]

    def __post_init__(self) -> None:
        n = len(self.example_ids)
        check_array("splits", self.splits, n, "n")
        for task, labels in self.gold.items():
            check_array(f"gold labels of task '{task}'", labels, n, "n")

    def __len__(self) -> int:
        return len(self.example_ids)

    def in_split(self, split: str) -> npt.NDArray[np.bool_]:
        """``[n]`` mask of the examples of one split."""
        mask: npt.NDArray[np.bool_] = self.splits == split
        return mask

    def split_counts(self) -> dict[str, int]:
        """Number of examples in each split."""
        return {split: int(self.in_split(split).sum()) for split in SPLITS}

    @classmethod
    def from_source(cls, source: ParquetSource) -> Self:
        """Read the stored table of examples, and of it only the columns that this class holds.

        Raises
        ------
        ExamplesError
            The file breaks the contract of :meth:`from_table`.
        FileFormatError
            The file is truncated or not Parquet.
        """
        cardinalities = stored_cardinalities(source.schema)
        table = source.read(columns=[ID_COLUMN, SPLIT_COLUMN, *cardinalities])
        return cls.from_table(table, cardinalities, where=str(source.path))

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        cardinalities: Mapping[str, int] | None = None,
        *,
        classes: Mapping[str, Sequence[str]] | None = None,
        where: str = "examples",
    ) -> Self:
        """Decode and validate the columns ``example_id`` and ``split`` and the gold labels of a table.

        Parameters
        ----------
        table
            Columns ``example_id`` (integers or strings, unique), ``split`` (train, valid or test) and
            optionally one of gold labels per task (integers 0..k-1, null = unknown); others are not looked
            at.  Text and integers may be stored in any Arrow type.
        cardinalities
            Task name to number of classes k.  Default: what is stored in the table.
        classes
            Task name to the names of its classes, which a column of text may hold.  Default: text is refused.
        where
            Name of the source; opens every error message.

        Raises
        ------
        ExamplesError
            The message names the column, the example, what was expected and what was found.
        """
        if SPLIT_COLUMN not in table.column_names:
            message = (
                f"{where}: no column '{SPLIT_COLUMN}', got {table.column_names}; add it, with one of "
                f"{list(SPLITS)} for every example"
            )
            raise ExamplesError(message)
        repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        if repeated:
            message = f"{where}: column names must be unique, repeated: {repeated}"
            raise ExamplesError(message)
        cardinalities = stored_cardinalities(table.schema) if cardinalities is None else dict(cardinalities)
        ids = ids_from_table(table, where=where)
        named = classes or {}
        gold = {task: _gold(table, task, k, ids, where, named.get(task)) for task, k in cardinalities.items()}
        return cls(ids, _splits(table.column(SPLIT_COLUMN), ids, where), gold, cardinalities)

    @classmethod
    def concatenate(cls, shards: Mapping[str, Self]) -> Self:
        """Stack shards, in the order of the mapping.

        Raises
        ------
        ExamplesError
            There are no shards.
        ExampleIdError
            An id is in two shards; the message names them.
        """
        if not shards:
            message = "no shards of examples to concatenate: ingest at least one first"
            raise ExamplesError(message)
        check_disjoint({name: shard.example_ids for name, shard in shards.items()})
        parts = list(shards.values())
        return cls(
            concatenate_ids([part.example_ids for part in parts]),
            np.concatenate([part.splits for part in parts]),
            {task: np.concatenate([part.gold[task] for part in parts]) for task in parts[0].gold},
            parts[0].cardinalities,
        )


def stored_cardinalities(schema: pa.Schema) -> dict[str, int]:
    """Task name to number of classes, as a stored table of examples says."""
    cardinalities: dict[str, int] = json.loads((schema.metadata or {}).get(CARDINALITIES_KEY, b"{}"))
    return cardinalities


def check_array(what: str, values: Any, n: int, shape: str) -> None:
    """Refuse what is no array of the shape, such as a list of lists of different lengths."""
    n_axes = shape.count(",") + 1
    if not isinstance(values, np.ndarray) or values.ndim != n_axes or len(values) != n:
        is_array = isinstance(values, np.ndarray)
        found = f"shape {list(values.shape)}" if is_array else f"{type(values).__name__}"
        message = (
            f"{what}: expected an array [{shape}] with n = {n} example ids, got {found}; make an array of "
            "it, in which all rows have one length"
        )
        raise ExamplesError(message)


def _splits(column: pa.ChunkedArray, ids: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if not len(column):
        return np.empty(0, dtype=object)
    if not holds_text(column.type):
        message = f"{where}: column '{SPLIT_COLUMN}' has type {column.type}, expected string"
        raise ExamplesError(message)
    splits: npt.NDArray[Any] = plain_values(column).to_numpy().astype(object)
    wrong = ~np.isin(np.where(splits == None, "", splits).astype(str), SPLITS)  # noqa: E711  of each value
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        message = (
            f"{where}: example {ids[row]} has split {splits[row]!r}, expected one of {list(SPLITS)}; "
            f"{int(wrong.sum())} example(s) are affected"
        )
        raise ExamplesError(message)
    return splits


def _gold(
    table: pa.Table,
    task: str,
    cardinality: int,
    ids: npt.NDArray[Any],
    where: str,
    classes: Sequence[str] | None,
) -> Labels:
    """Gold labels of one task, -1 where unknown; all unknown where there is no such column."""
    if task not in table.column_names:
        return np.full(table.num_rows, UNKNOWN, dtype=np.int64)
    column = table.column(task)
    if classes is not None:
        what = f"{where}: gold column '{task}'"
        column = numbers_of_names(column, classes, what=what, error=ExamplesError)
    if holds_nothing(column.type):
        return np.full(table.num_rows, UNKNOWN, dtype=np.int64)
    if not holds_numbers(column.type):
        message = f"{where}: gold column '{task}' has type {column.type}, expected integers (null = unknown)"
        raise ExamplesError(message)
    numbers = plain_values(column)
    values = numbers.cast(pa.float64(), safe=False).fill_null(UNKNOWN).to_numpy()
    values = np.where(np.isnan(values), UNKNOWN, values)
    wrong = (values != np.floor(values)) | (values < UNKNOWN) | (values >= cardinality)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        message = (
            f"{where}: gold label of task '{task}' is {values[row]:g} for example {ids[row]}, "
            f"expected an integer from 0 to {cardinality - 1}, or null"
        )
        raise ExamplesError(message)
    return np.asarray(values, dtype=np.int64)
