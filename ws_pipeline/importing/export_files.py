"""Files of exports: JSON, JSON Lines, CSV and Parquet as tables of text.

What a CSV file holds is text: no value is taken for a number, a date or a missing value but the empty one, so
that the id 007 stays 007.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExportError, FileFormatError
from ws_pipeline.storage.arrow_types import holds_nothing, holds_text, plain_values, value_type
from ws_pipeline.storage.delimited import read_delimited
from ws_pipeline.storage.files import read_parquet
from ws_pipeline.storage.json_files import Record, as_record, read_records
from ws_pipeline.storage.table_endings import DELIMITERS, GZIP, PARQUET

_JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}


def read_json_or_rows(path: Path) -> list[Record]:
    """Objects of a JSON file, or the rows of a table; see :func:`read_records` and :func:`read_table`."""
    if suffix_of(path) not in {*DELIMITERS, PARQUET}:
        return rows_of(read_records(path))
    rows = read_table(path).to_pylist()
    return [Record(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]


def read_table(path: Path) -> pa.Table:
    """A table of a CSV, TSV, JSON or Parquet file; columns of all but Parquet are text.

    Raises
    ------
    FileFormatError
        The file is broken, has two columns of one name, or its name ends in none of the known ways.
    """
    suffix = suffix_of(path)
    if suffix == PARQUET:
        table = read_parquet(path)
    elif suffix in DELIMITERS:
        table = read_delimited(path, DELIMITERS[suffix]).table
    elif suffix in _JSON_SUFFIXES:
        table = table_of([record.values for record in rows_of(read_records(path))])
    else:
        known = ", ".join([*DELIMITERS, *sorted(_JSON_SUFFIXES), PARQUET])
        message = (
            f"{path}: expected a table in a file that ends in {known}, got '{suffix}'; rename or convert it"
        )
        raise FileFormatError(message)
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        message = f"{path}: column names must be unique, repeated: {repeated}; rename them"
        raise FileFormatError(message)
    return table


def suffix_of(path: Path) -> str:
    """How the name of a file ends, in lower case, without the .gz of a packed one."""
    name = path.name.casefold().removesuffix(GZIP)
    return Path(name).suffix


def rows_of(records: list[Record]) -> list[Record]:
    """The rows of an answer of a web API, which are a list under its key ``data``; else the records."""
    if len(records) == 1 and isinstance(records[0].values.get("data"), list):
        values, where = records[0]
        return [as_record(row, f"{where}, data {i}") for i, row in enumerate(values["data"], 1)]
    return records


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of text, null where a row has no value; columns in the order of their first rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([text_of(row.get(name)) for row in rows], pa.large_string()) for name in names}
    return pa.table(columns)


def text_of(value: Any) -> str | None:
    """A JSON value as text, lists and objects as JSON; None for no value; a float 1.0 is the text 1."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def text_column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    """A column as large_string, null where it is null, NaN or an empty text.

    Raises
    ------
    ExportError
        The column holds neither text nor numbers.
    """
    column = plain_values(table.column(name))
    kind = value_type(column.type)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = [text_of(None if value is None else float(value)) for value in column.to_pylist()]
        column = pa.chunked_array([pa.array(values, pa.large_string())])
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        values = [None if value is None else value.isoformat() for value in column.to_pylist()]
        column = pa.chunked_array([pa.array(values, pa.large_string())])
    elif not (
        holds_text(kind) or holds_nothing(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    ):
        message = (
            f"{where}: column '{name}' has type {table.column(name).type}, expected text or numbers; cast it"
        )
        raise ExportError(message)
    text = column.cast(pa.large_string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.large_string()), text)
