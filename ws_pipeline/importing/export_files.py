"""Files of exports: JSON, JSON Lines, CSV and Parquet, with the place of every record for messages.

What a CSV file holds is text: no value is taken for a number, a date or a missing value but the empty one, so
that the id 007 stays 007.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExportError, FileFormatError
from ws_pipeline.storage.arrow_types import holds_nothing, holds_text, plain_values, value_type
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import read_parquet

_JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"


class Record(NamedTuple):
    """An object of an export, and where it is: the file and its number, counted from 1."""

    values: Mapping[str, Any]
    where: str


def read_text(path: Path) -> str:
    """Text of a UTF-8 file, without the byte order mark that some programs put before it.

    Raises
    ------
    FileAccessError
        The file cannot be read.
    FileFormatError
        It is not UTF-8.
    """
    with telling_file_errors(path, "read"):
        content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = content[: broken.start].count(b"\n") + 1
        message = f"{path}: line {line} is not UTF-8 text ({broken.reason}); write the file in UTF-8"
        raise FileFormatError(message) from broken


def read_json(path: Path) -> Any:
    """The value that a JSON file holds.

    Raises
    ------
    FileFormatError
        The file is not JSON; the message has line and column.
    """
    return _parse(read_text(path), f"{path}")


def read_records(path: Path) -> list[Record]:
    """Objects of a file: a JSON list, one object, or JSON Lines with one object per line.

    Raises
    ------
    FileFormatError
        The file is not JSON, or holds something else than objects.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        return [_record(value, f"{path}: record {i}") for i, value in enumerate(_parse(text, f"{path}"), 1)]
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if lines and lines[0][1].strip() == "{":  # one object, written on several lines
        return [_record(_parse(text, f"{path}"), f"{path}: record 1")]
    return [
        _record(_parse(line, f"{path}: line {number}"), f"{path}: line {number}") for number, line in lines
    ]


def read_json_or_rows(path: Path) -> list[Record]:
    """Objects of a JSON file, or the rows of a table; see :func:`read_records` and :func:`read_table`."""
    if path.suffix.casefold() not in {*_DELIMITERS, _PARQUET}:
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
    suffix = path.suffix.casefold()
    if suffix == _PARQUET:
        table = read_parquet(path)
    elif suffix in _DELIMITERS:
        table = _read_csv(path, _DELIMITERS[suffix])
    elif suffix in _JSON_SUFFIXES:
        table = table_of([record.values for record in rows_of(read_records(path))])
    else:
        known = ", ".join([*_DELIMITERS, *sorted(_JSON_SUFFIXES), _PARQUET])
        message = (
            f"{path}: expected a table in a file that ends in {known}, got '{suffix}'; rename or convert it"
        )
        raise FileFormatError(message)
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        message = f"{path}: column names must be unique, repeated: {repeated}; rename them"
        raise FileFormatError(message)
    return table


def rows_of(records: list[Record]) -> list[Record]:
    """The rows of an answer of a web API, which are a list under its key ``data``; else the records."""
    if len(records) == 1 and isinstance(records[0].values.get("data"), list):
        values, where = records[0]
        return [_record(row, f"{where}, data {i}") for i, row in enumerate(values["data"], 1)]
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


def _record(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        message = f"{where}: expected a JSON object, got {type(value).__name__}; is the format right?"
        raise FileFormatError(message)
    return Record(value, where)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as broken:
        line = f"line {broken.lineno}, " if "\n" in text.strip() else ""
        message = (
            f"{where}: not valid JSON ({broken.msg}, {line}column {broken.colno}); export the file again"
        )
        raise FileFormatError(message) from broken


def _read_csv(path: Path, delimiter: str) -> pa.Table:
    import pyarrow.csv

    text = read_text(path)
    header = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text.encode()),
            # only without threads has an error the number of its row
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as broken:
        reason = str(broken).partition("\n")[0]
        message = f"{path}: not a table of separated values ({reason}); give every row as many values"
        raise FileFormatError(message) from broken
