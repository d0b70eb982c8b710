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
from upath import UPath

from ws_pipeline.errors import ExportError, FileFormatError
from ws_pipeline.storage.arrow_types import holds_nothing, holds_text, plain_values, value_type
from ws_pipeline.storage.delimited import read_delimited
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import one_table, read_parquet, visible_paths
from ws_pipeline.storage.json_files import Record, as_record, read_records
from ws_pipeline.storage.table_endings import DELIMITERS, GZIP, PARQUET

_JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}


def read_json_or_rows(path: Path) -> list[Record]:
    """Objects of JSON files, or the rows of tables; see :func:`read_all_records` and :func:`read_table`."""
    records = []
    for file in files_of(path):
        if suffix_of(file) not in {*DELIMITERS, PARQUET}:
            records += rows_of(read_records(file))
        else:
            rows = enumerate(read_table(file).to_pylist(), 1)
            records += [Record(row, f"{file}: row {number}") for number, row in rows]
    return records


def read_all_records(path: Path) -> list[Record]:
    """Objects of a JSON file, or of all files of a folder; see :func:`.read_records`."""
    return [record for file in files_of(path) for record in read_records(file)]


def files_of(path: Path) -> list[Path]:
    """A file alone, or the files of a folder in the order of their names, without hidden ones.

    Raises
    ------
    FileAccessError
        The folder cannot be listed.
    ExportError
        The folder has no file, or files of several formats.
    """
    if not path.is_dir() or suffix_of(path) == PARQUET:  # such a folder is one table
        return [path]
    with telling_file_errors(path, "list"):
        files = [Path(file.path) for file in visible_paths(UPath(path))]
    endings = sorted({suffix_of(file) for file in files})
    if len(endings) != 1:
        found = f"files that end in {', '.join(map(repr, endings))}" if endings else "no file"
        message = f"{path}: expected a folder of files of one format, found {found}; move the others away"
        raise ExportError(message)
    return files


def read_table(path: Path) -> pa.Table:
    """A table of a CSV, TSV, JSON or Parquet file, or of the files of a folder.

    Columns of CSV are text, those of JSON too, but for whole numbers.

    Raises
    ------
    FileFormatError
        The file is broken, has two columns of one name, or its name ends in none of the known ways; or the
        files of a folder have different columns.
    """
    files = files_of(path)
    if len(files) == 1:
        return _read_one_table(files[0])
    if suffix_of(files[0]) in _JSON_SUFFIXES:
        return table_of([record.values for record in read_json_or_rows(path)])
    return one_table(path, {file: _read_one_table(file) for file in files})


def _read_one_table(path: Path) -> pa.Table:
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
    """Rows as a table of text, null where a row has no value; columns in the order of their first rows.

    A column with whole numbers only is one of integers.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _text_or_integers([row.get(name) for row in rows]) for name in names})


def _text_or_integers(values: Sequence[Any]) -> pa.Array:
    if all(value is None or is_integer(value) for value in values) and any(map(is_integer, values)):
        return pa.array(values, pa.int64())
    return pa.array([text_of(value) for value in values], pa.large_string())


def is_integer(value: Any) -> bool:
    """Whether a JSON value is a whole number of at most 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


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


def number_of(value: Any) -> float | None:
    """A JSON value, or a text, as a finite number; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def number_column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    """A column as numbers, null where it is null, NaN or an empty text.

    Raises
    ------
    ExportError
        A value is no finite number; names its row, counted from 1 without the header.
    """
    texts = text_column(table, name, where).to_pylist()
    numbers = [number_of(text) for text in texts]
    for row, (text, number) in enumerate(zip(texts, numbers, strict=True), 1):
        if text is not None and number is None:
            message = f"{where}: row {row} has {text!r} in column '{name}', expected a number, or nothing"
            raise ExportError(message)
    return pa.chunked_array([pa.array(numbers, pa.float64())])


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
