"""Examples as a value: ids, splits, features and gold labels, read from Parquet and validated.

Legend: n examples, f feature values per example.  Start reading at :meth:`Examples.from_table`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExamplesError
from ws_pipeline.example_ids import ID_COLUMN, check_disjoint, ids_from_table, ids_to_array
from ws_pipeline.example_index import (
    CARDINALITIES_KEY,
    SPLIT_COLUMN,
    SPLITS,
    UNKNOWN,
    ExampleIndex,
    check_array,
    stored_cardinalities,
)
from ws_pipeline.example_texts import TEXTS_KEY, read_texts, stack_texts, stored_texts
from ws_pipeline.feature_columns import (
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
from ws_pipeline.storage.files import ParquetSource, PathLike, read_parquet

_LEFT_OUT_KEY = b"ws_pipeline.left_out_columns"


@dataclass(frozen=True, eq=False)
class Examples(ExampleIndex):
    """Examples of one shard, or of several: an index with features.

    Parameters
    ----------
    example_ids, splits, gold, cardinalities
        See :class:`.ExampleIndex`.
    features
        Feature column name to ``[n, width]`` float32, finite.
    left_out
        The columns of its file that are no features, and why.
    texts
        Text column name to ``[n]`` texts that features are to be made of.
    text_digest
        Digest of the models that made some of the features of text; None: none are.

    Raises
    ------
    ExamplesError
        An array is none, or has another shape or number of rows.
    """

    features: dict[str, Floats]
    left_out: tuple[LeftOut, ...] = ()
    texts: dict[str, pa.ChunkedArray] = field(default_factory=dict)
    text_digest: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, values in self.features.items():
            check_array(f"feature column '{name}'", values, len(self), "n, width")

    @property
    def feature_widths(self) -> dict[str, int]:
        """Number of values in each feature column."""
        return {name: values.shape[1] for name, values in self.features.items()}

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

    def with_text_features(self, features: Mapping[str, Floats], digest: str) -> Examples:
        """The examples with features ``[n, d]`` that were made of text, behind those that they have.

        Parameters
        ----------
        features
            Column name to features.
        digest
            Of the models that made them, see :class:`~ws_pipeline.text.text_models.TextModels`.
        """
        return replace(self, features=self.features | dict(features), text_digest=digest)

    @classmethod
    def from_source(cls, source: ParquetSource) -> Examples:
        """Read the stored table of examples, with the features, without texts; see :meth:`from_table`."""
        schema = source.schema
        texts = stored_texts(schema)
        columns = [name for name in schema.names if name not in texts] if texts else None
        return cls.from_table(source.read(columns), where=str(source.path), text_columns=())

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        cardinalities: Mapping[str, int] | None = None,
        *,
        where: str = "examples",
        feature_columns: Sequence[str] | None = None,
        text_columns: Sequence[str] | None = None,
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> Examples:
        """Decode and validate a table of the examples contract.

        Parameters
        ----------
        table
            Columns ``example_id`` (integers or strings, unique), ``split`` (train, valid or test),
            optionally one gold column per task (integers 0..k-1, null = unknown); every other
            column of numbers, or of lists of numbers whose rows have one length, is a feature, see
            :mod:`~ws_pipeline.feature_columns`.  Text and integers may be stored in any
            Arrow type.
        cardinalities
            Task name to number of classes k.  Default: what :meth:`to_table` stored.
        where
            Name of the source; opens every error message.
        feature_columns
            Names of the feature columns to read.  Default: all.
        text_columns
            Names of the columns of text to read.  Default: what :meth:`to_table` stored.
        classes
            Task name to the names of its classes, which its gold column may hold.  Default: numbers only.

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
        metadata = table.schema.metadata or {}
        index = ExampleIndex.from_table(table, cardinalities, classes=classes, where=where)
        named_texts = stored_texts(table.schema) if text_columns is None else text_columns
        texts = read_texts(table, named_texts, where=where)
        ids, taken = index.example_ids, {ID_COLUMN, SPLIT_COLUMN, *index.cardinalities, *texts}
        columns, left_out = choose_features(table, ids, taken, where=where, named=feature_columns)
        features = {name: _features(table.column(name), name, ids, where) for name in columns}
        if CARDINALITIES_KEY not in metadata:
            warn_of_gold_among_features(features, index.gold, where=where)
        left_out += decode_left_out(metadata.get(_LEFT_OUT_KEY, b"[]"))
        return cls(ids, index.splits, index.gold, index.cardinalities, features, left_out, texts)

    @classmethod
    def from_parquet(
        cls,
        path: PathLike,
        cardinalities: Mapping[str, int],
        *,
        feature_columns: Sequence[str] | None = None,
        text_columns: Sequence[str] | None = None,
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> Examples:
        """Read a shard of examples from a Parquet file (local path or any fsspec URL).

        Raises
        ------
        ExamplesError
            The file's content breaks the contract of :meth:`from_table`.
        FileFormatError
            The file is truncated or not Parquet.
        """
        return cls.from_table(
            read_parquet(path),
            cardinalities,
            where=str(path),
            feature_columns=feature_columns,
            text_columns=text_columns,
            classes=classes,
        )

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
        metadata = {
            CARDINALITIES_KEY: json.dumps(self.cardinalities),
            _LEFT_OUT_KEY: encode_left_out(self.left_out),
        }
        if self.texts:
            columns |= self.texts
            metadata[TEXTS_KEY] = json.dumps(list(self.texts))
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
        index = ExampleIndex.concatenate(shards)
        parts = list(filled.values()) or list(shards.values())[:1]
        features = {
            name: np.concatenate([part.features[name] for part in parts]) for name in parts[0].features
        }
        left_out = tuple(dict.fromkeys(column for part in parts for column in part.left_out))
        texts = _stacked_texts(filled or shards)
        return cls(
            index.example_ids, index.splits, index.gold, index.cardinalities, features, left_out, texts
        )


def summarise_shards(
    shards: Mapping[str, ParquetSource], *, needed_splits: Sequence[str] = SPLITS
) -> pa.Table:
    """Check shards against each other and count what is in them, without reading the features.

    Parameters
    ----------
    shards
        Shard name to a file of the table that :meth:`Examples.to_table` makes.
    needed_splits
        Splits that have to occur.

    Returns
    -------
    pyarrow.Table
        One row per shard: shard, n_examples, n_train, n_valid, n_test, n_gold_<task>.

    Raises
    ------
    ExamplesError
        No shard, differing features, or a needed split that occurs in no shard.
    ExampleIdError
        An id is in two shards.
    """
    if not shards:
        message = "there are no shards yet: ingest at least one first"
        raise ExamplesError(message)
    rows, ids, features = [], {}, {}
    for name, shard in shards.items():
        schema = shard.schema
        cardinalities = stored_cardinalities(schema)
        table = shard.read(columns=[ID_COLUMN, SPLIT_COLUMN, *cardinalities])
        ids[name] = ids_from_table(table, where=f"shard '{name}'")
        counts = {f"n_{split}": pc.sum(pc.equal(table[SPLIT_COLUMN], split)).as_py() or 0 for split in SPLITS}
        gold = {f"n_gold_{task}": len(table) - table[task].null_count for task in cardinalities}
        rows.append({"shard": name, "n_examples": len(table), **counts, **gold})
        if len(table):
            features[name] = _feature_set(schema)
    check_same_features(features)
    check_disjoint(ids)
    summary = pa.Table.from_pylist(rows)
    check_splits({split: pc.sum(summary[f"n_{split}"]).as_py() for split in SPLITS}, needed_splits)
    return summary


def check_splits(counts: Mapping[str, int], needed: Sequence[str]) -> None:
    """Refuse examples among which a needed split does not occur.

    Parameters
    ----------
    counts
        Split to number of examples.
    needed
        Splits that have to occur.

    Raises
    ------
    ExamplesError
        Names the splits without examples.
    """
    missing = [split for split in needed if not counts[split]]
    if missing:
        message = (
            f"no example has split {', '.join(map(repr, missing))}, got {dict(counts)}; "
            "a pipeline needs examples to train, to validate and to test on; set some of the others aside, "
            "those to validate and to test on need no gold label"
        )
        raise ExamplesError(message)


def _stacked_texts(shards: Mapping[str, Examples]) -> dict[str, pa.ChunkedArray]:
    """Text columns of all shards; refused where one has others."""
    (first_name, first), *others = shards.items()
    for name, shard in others:
        if set(shard.texts) != set(first.texts):
            message = (
                f"the text columns of shard '{name}' are {list(shard.texts)}, those of shard '{first_name}' "
                f"{list(first.texts)}; read the same text columns of every shard"
            )
            raise ExamplesError(message)
    return {name: stack_texts([shard.texts[name] for shard in shards.values()]) for name in first.texts}


def _feature_set(schema: pa.Schema) -> FeatureSet:
    """The features of a stored table."""
    widths = {field.name: field.type.list_size for field in schema if pa.types.is_fixed_size_list(field.type)}
    return FeatureSet(widths, decode_left_out(schema.metadata.get(_LEFT_OUT_KEY, b"[]")))


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
