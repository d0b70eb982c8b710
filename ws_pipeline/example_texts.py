"""Texts of the examples: the columns that features are made of, kept beside ids, splits and gold labels.

Only what makes features of text reads them; everything else reads a stored table without them.

Legend: n examples.  Start reading at :meth:`ExampleTexts.from_source`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import ExamplesError, TextError
from ws_pipeline.example_ids import ID_COLUMN, Ids, check_disjoint, concatenate_ids, ids_from_table
from ws_pipeline.example_index import SPLIT_COLUMN
from ws_pipeline.storage.arrow_types import holds_nothing, holds_text, plain_values
from ws_pipeline.storage.files import ParquetSource

TEXTS_KEY = b"ws_pipeline.text_columns"


def read_texts(table: pa.Table, columns: Sequence[str], *, where: str) -> dict[str, pa.ChunkedArray]:
    """Read the text columns of an examples table: ``[n]`` large_string each, null where there is none.

    Raises
    ------
    TextError
        A column is not there, or holds something else than text.
    """
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        message = (
            f"{where}: no text column '{missing[0]}', which the key 'features' names; found "
            f"{table.column_names}; add the column, or change the key"
        )
        raise TextError(message)
    return {name: _texts(table.column(name), name, where) for name in columns}


def stored_texts(schema: pa.Schema) -> list[str]:
    """Names of the text columns, as a stored table of examples says."""
    names: list[str] = json.loads((schema.metadata or {}).get(TEXTS_KEY, b"[]"))
    return names


@dataclass(frozen=True, eq=False)
class ExampleTexts:
    """Ids, splits and texts of the examples of one shard, or of several.

    Parameters
    ----------
    example_ids
        ``[n]`` int64, or str objects.
    splits
        ``[n]`` str objects.
    texts
        Column name to ``[n]`` texts, null where there is none.
    """

    example_ids: Ids
    splits: npt.NDArray[Any]
    texts: Mapping[str, pa.ChunkedArray]

    def __len__(self) -> int:
        return len(self.example_ids)

    @classmethod
    def from_source(cls, source: ParquetSource) -> Self:
        """Read the stored table of examples, and of it neither features nor gold labels.

        Raises
        ------
        TextError
            The table does not hold what its header says.
        FileFormatError
            The file is truncated or not Parquet.
        """
        names, where = stored_texts(source.schema), str(source.path)
        table = source.read(columns=[ID_COLUMN, SPLIT_COLUMN, *names])
        splits = table.column(SPLIT_COLUMN).to_numpy().astype(object)
        return cls(ids_from_table(table, where=where), splits, read_texts(table, names, where=where))

    @classmethod
    def concatenate(cls, shards: Mapping[str, Self], columns: Sequence[str]) -> Self:
        """Stack the named text columns of shards, in the order of the mapping.

        Raises
        ------
        TextError
            A shard was stored without one of the columns.
        ExamplesError
            There are no shards.
        ExampleIdError
            An id is in two shards; the message names them.
        """
        if not shards:
            message = "no shards of examples to concatenate: ingest at least one first"
            raise ExamplesError(message)
        for name, shard in shards.items():
            missing = [column for column in columns if column not in shard.texts]
            if missing:
                message = (
                    f"shard '{name}' was ingested without the text column '{missing[0]}', which the key "
                    "'features' names now; ingest it again, then retrain"
                )
                raise TextError(message)
        check_disjoint({name: shard.example_ids for name, shard in shards.items()})
        parts = list(shards.values())
        return cls(
            concatenate_ids([part.example_ids for part in parts]),
            np.concatenate([part.splits for part in parts]),
            {column: stack_texts([part.texts[column] for part in parts]) for column in columns},
        )

    def lists(self, split: str | None = None) -> dict[str, list[str]]:
        """Column name to the texts of the examples of a split, or of all; "" where there is none."""
        rows = slice(None) if split is None else np.flatnonzero(self.splits == split)
        return {
            name: column.fill_null("").to_numpy().astype(object)[rows].tolist()
            for name, column in self.texts.items()
        }


def stack_texts(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """The same column of several shards as one."""
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.large_string())


def _texts(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    if holds_nothing(column.type) or not len(column):
        return pa.chunked_array([pa.nulls(len(column), pa.large_string())])
    if not holds_text(column.type):
        message = (
            f"{where}: text column '{name}' has type {column.type}, expected text; write it as text, or "
            "leave it out of the key 'features' (columns of numbers are features without it)"
        )
        raise TextError(message)
    return plain_values(column)
