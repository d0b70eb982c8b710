"""Examples as a value: ids, splits, features and gold labels, read from Parquet and validated.

Legend: n examples, f feature values per example.  Start reading at :meth:`Examples.from_table`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.arrow_types import holds_nothing, holds_numbers, holds_text, plain_values
from ws_pipeline.classification.feature_columns import (
    FeatureSet,
    Floats,
    LeftOut,
    check_same_features,
    choose_features,
    decode_left_out,
    encode_left_out,
    read_feature,
    warn_of_gold_among_features,
)
from ws_pipeline.errors import ExamplesError
from ws_pipeline.example_ids import ID_COLUMN, check_disjoint, concatenate_ids, ids_from_table, ids_to_array
from ws_pipeline.files import ParquetSource, PathLike, read_parquet

UNKNOWN = -1
SPLITS = ("train", "valid", "test")
SPLIT_COLUMN = "split"
_TASKS_KEY = b"ws_pipeline.tasks"
_LEFT_OUT_KEY = b"ws_pipeline.left_out_columns"

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of one shard, or of several.

    Parameters
    ----------
    example_ids
        ``[n]`` int64, or str objects.
    splits
        ``[n]`` str objects, each "train", "valid" or "test".
    features
        Feature column name to ``[n, width]`` float32, finite.
    gold
        Task name to ``[n]`` int64 gold labels, -1 where unknown.
    tasks
        Task name to number of classes k.
    left_out
        The columns of its file that are no features, and why.

    Raises
    ------
    ExamplesError
        An array is none, or has another shape or number of rows.
    """

    example_ids: npt.NDArray[Any]
    splits: npt.NDArray[Any]
    features: dict[str, Floats]
    gold: dict[str, Labels]
    tasks: dict[str, int]
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.example_ids)
        _check_array("splits", self.splits, n, "n")
        for name, values in self.features.items():
            _check_array(f"feature column '{name}'", values, n, "n, width")
        for task, labels in self.gold.items():
            _check_array(f"gold labels of task '{task}'", labels, n, "n")

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def feature_widths(self) -> dict[str, int]:
        """Number of values in each feature column."""
        return {name: values.shape[1] for name, values in self.features.items()}

    def in_split(self, split: str) -> npt.NDArray[np.bool_]:
        """``[n]`` mask of the examples of one split."""
        mask: npt.NDArray[np.bool_] = self.splits == split
        return mask

    def split_counts(self) -> dict[str, int]:
        """Number of examples in each split."""
        return {split: int(self.in_split(split).sum()) for split in SPLITS}

    def feature_matrix(self, columns: Sequence[str] | None = None) -> Floats:
        """All feature columns, or the named ones, side by side: ``[n, f]`` float32.

        Raises
        ------
        ExamplesError
            A named column is not there, or there are no features at all.
        """
        names = list(self.features) if columns is None else list(columns)
        missing = [name for name in names if name not in self.features]
        if missing or not names:
            wanted = f"no feature column {missing}" if missing else "there is no feature column"
            others = f"; left out: {'; '.join(map(str, self.left_out))}" if self.left_out else ""
            message = f"{wanted}; there are: {list(self.features)}{others}"
            raise ExamplesError(message)
        return np.concatenate([self.features[name] for name in names], axis=1)

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        tasks: Mapping[str, int] | None = None,
        *,
        where: str = "examples",
        feature_columns: Sequence[str] | None = None,
    ) -> Examples:
        """Decode and validate a table of the examples contract.

        Parameters
        ----------
        table
            Columns ``example_id`` (integers or strings, unique), ``split`` (train, valid or test),
            optionally one gold column per task (integers 0..k-1, null = unknown); every other
            column of numbers, or of lists of numbers whose rows have one length, is a feature, see
            :mod:`~ws_pipeline.classification.feature_columns`.  Text and integers may be stored in any
            Arrow type.
        tasks
            Task name to number of classes k.  Default: what :meth:`to_table` stored.
        where
            Name of the source; opens every error message.
        feature_columns
            Names of the feature columns to read.  Default: all.

        Raises
        ------
        ExamplesError
            The message names the column, the example, what was expected and what was found.

        Warns
        -----
        LeftOutColumnWarning
            Columns that are no features; not when ``feature_columns`` are named.
        GoldFeatureWarning
            A feature equals the gold labels of a task.
        """
        if SPLIT_COLUMN not in table.column_names:
            message = f"{where}: no column '{SPLIT_COLUMN}', found {table.column_names}"
            raise ExamplesError(message)
        repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        if repeated:
            message = f"{where}: column names must be unique, repeated: {repeated}"
            raise ExamplesError(message)
        metadata = table.schema.metadata or {}
        if tasks is None:
            tasks = json.loads(metadata.get(_TASKS_KEY, b"{}"))
        ids = ids_from_table(table, where=where)
        taken = {ID_COLUMN, SPLIT_COLUMN, *tasks}
        columns, left_out = choose_features(table, ids, taken, where=where, named=feature_columns)
        features = {name: _features(table.column(name), name, ids, where) for name in columns}
        gold = {task: _gold(table, task, k, ids, where) for task, k in tasks.items()}
        if _TASKS_KEY not in metadata:
            warn_of_gold_among_features(features, gold, where=where)
        return cls(
            example_ids=ids,
            splits=_splits(table.column(SPLIT_COLUMN), ids, where),
            features=features,
            gold=gold,
            tasks=dict(tasks),
            left_out=left_out + decode_left_out(metadata.get(_LEFT_OUT_KEY, b"[]")),
        )

    @classmethod
    def from_parquet(
        cls, path: PathLike, tasks: Mapping[str, int], *, feature_columns: Sequence[str] | None = None
    ) -> Examples:
        """Read a shard of examples from a Parquet file (local path or any fsspec URL).

        Raises
        ------
        ExamplesError
            The file's content breaks the contract of :meth:`from_table`.
        FileFormatError
            The file is truncated or not Parquet.
        """
        return cls.from_table(read_parquet(path), tasks, where=str(path), feature_columns=feature_columns)

    def to_table(self) -> pa.Table:
        """Encode as a table of the same contract, with float32 feature lists."""
        columns = {
            ID_COLUMN: ids_to_array(self.example_ids),
            SPLIT_COLUMN: pa.array(self.splits, pa.string()),
        }
        for name, values in self.features.items():
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        for task, labels in self.gold.items():
            columns[task] = pa.array(labels, mask=labels == UNKNOWN)
        metadata = {_TASKS_KEY: json.dumps(self.tasks), _LEFT_OUT_KEY: encode_left_out(self.left_out)}
        return pa.table(columns).replace_schema_metadata(metadata)

    @classmethod
    def concatenate(cls, shards: Mapping[str, Examples]) -> Examples:
        """Stack shards, in the order of the mapping; one without rows may have any feature columns.

        Raises
        ------
        ExamplesError
            No shards, or feature columns or their widths differ.
        ExampleIdError
            An id is in two shards.  Both messages name the shards.
        """
        if not shards:
            message = "no shards of examples to concatenate: ingest at least one first"
            raise ExamplesError(message)
        filled = {name: shard for name, shard in shards.items() if len(shard)}
        check_same_features(
            {name: FeatureSet(shard.feature_widths, shard.left_out) for name, shard in filled.items()}
        )
        check_disjoint({name: shard.example_ids for name, shard in shards.items()})
        parts = list(filled.values()) or list(shards.values())[:1]
        return cls(
            example_ids=concatenate_ids([part.example_ids for part in parts]),
            splits=np.concatenate([part.splits for part in parts]),
            features={n: np.concatenate([part.features[n] for part in parts]) for n in parts[0].features},
            gold={task: np.concatenate([part.gold[task] for part in parts]) for task in parts[0].gold},
            tasks=parts[0].tasks,
            left_out=tuple(dict.fromkeys(column for part in parts for column in part.left_out)),
        )


def summarise_shards(shards: Mapping[str, ParquetSource]) -> pa.Table:
    """Check shards against each other and count what is in them, without reading the features.

    Parameters
    ----------
    shards
        Shard name to a file of the table that :meth:`Examples.to_table` makes.

    Returns
    -------
    pyarrow.Table
        One row per shard: shard, n_examples, n_train, n_valid, n_test, n_gold_<task>.

    Raises
    ------
    ExamplesError
        No shard, differing features, or a split that occurs in no shard.
    ExampleIdError
        An id is in two shards.
    """
    if not shards:
        message = "there are no shards yet: ingest at least one first"
        raise ExamplesError(message)
    rows, ids, features = [], {}, {}
    for name, shard in shards.items():
        schema = shard.schema
        tasks = json.loads(schema.metadata[_TASKS_KEY])
        table = shard.read(columns=[ID_COLUMN, SPLIT_COLUMN, *tasks])
        ids[name] = ids_from_table(table, where=f"shard '{name}'")
        counts = {f"n_{split}": pc.sum(pc.equal(table[SPLIT_COLUMN], split)).as_py() or 0 for split in SPLITS}
        gold = {f"n_gold_{task}": len(table) - table[task].null_count for task in tasks}
        rows.append({"shard": name, "n_examples": len(table), **counts, **gold})
        if len(table):
            features[name] = _feature_set(schema)
    check_same_features(features)
    check_disjoint(ids)
    summary = pa.Table.from_pylist(rows)
    _check_splits({split: pc.sum(summary[f"n_{split}"]).as_py() for split in SPLITS})
    return summary


def _check_array(what: str, values: Any, n: int, shape: str) -> None:
    """Refuse what is no array of the shape, such as a list of lists of different lengths."""
    n_axes = shape.count(",") + 1
    if not isinstance(values, np.ndarray) or values.ndim != n_axes or len(values) != n:
        is_array = isinstance(values, np.ndarray)
        found = f"shape {list(values.shape)}" if is_array else f"{type(values).__name__}"
        message = (
            f"{what}: expected an array [{shape}] with n = {n} example ids, found {found}; make an array of "
            "it, in which all rows have one length"
        )
        raise ExamplesError(message)


def _check_splits(counts: Mapping[str, int]) -> None:
    """Refuse examples among which a split does not occur."""
    missing = [split for split in SPLITS if not counts[split]]
    if missing:
        message = (
            f"no example has split {', '.join(map(repr, missing))}, found {dict(counts)}; "
            "a pipeline needs examples to train, to validate and to test on; set some of the others aside, "
            "those to validate and to test on need no gold label"
        )
        raise ExamplesError(message)


def _feature_set(schema: pa.Schema) -> FeatureSet:
    """The features of a stored table."""
    widths = {field.name: field.type.list_size for field in schema if pa.types.is_fixed_size_list(field.type)}
    return FeatureSet(widths, decode_left_out(schema.metadata.get(_LEFT_OUT_KEY, b"[]")))


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


def _features(column: pa.ChunkedArray, name: str, ids: npt.NDArray[Any], where: str) -> Floats:
    """``[n, width]`` float32, refused where a value is missing or not finite."""
    values = read_feature(column)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        message = (
            f"{where}: feature column '{name}' is NaN, null or infinite for example {ids[row]} "
            f"({int((~finite).sum())} example(s) in all); impute or drop these before writing the file"
        )
        raise ExamplesError(message)
    return values


def _gold(table: pa.Table, task: str, cardinality: int, ids: npt.NDArray[Any], where: str) -> Labels:
    """Gold labels of one task, -1 where unknown; all unknown where there is no such column."""
    if task not in table.column_names:
        return np.full(table.num_rows, UNKNOWN, dtype=np.int64)
    column = table.column(task)
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
