"""Files of separated values (CSV, TSV), read as text: no value is taken for a number, a date or a boolean.

The empty value is null, and nothing else is: ``NA`` and ``null`` are text.  What the texts mean is said by
whoever reads them, see :mod:`ws_pipeline.storage.column_kinds`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.files import PathLike
from ws_pipeline.storage.text_files import read_text

_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}
_BLOCK = 2**20  # bytes that are read at a time, at least; a row has to fit


@dataclass(frozen=True)
class TextRows:
    """The rows of a file, and the lines that they begin in.

    Parameters
    ----------
    where
        Name of the file.
    table
        ``[n]`` rows, all columns large_string, null where the value is empty.
    text
        Content of the file.
    delimiter
        What separates two values.
    """

    where: str
    table: pa.Table
    text: str
    delimiter: str

    def line_of(self, row: int) -> int:
        """The line of the file in which a row begins, counted from 1 as an editor does."""
        for number, (line, _) in enumerate(_lines_of_rows(self.text, self.delimiter)):
            if number == row + 1:  # the header is the first
                return line
        message = f"there is no row {row}"
        raise IndexError(message)


def read_delimited(path: PathLike, delimiter: str) -> TextRows:
    """Read a file whose first row has the names of the columns; empty lines are left out.

    Parameters
    ----------
    path
        Local path or any fsspec URL, packed with gzip if its name ends in .gz.
    delimiter
        What separates two values.

    Raises
    ------
    FileAccessError
        The file cannot be read.
    FileFormatError
        The file is empty or not UTF-8, two columns have one name, a row has more or fewer values than the
        header, or another character seems to separate the values.
    """
    import pyarrow.csv

    text = read_text(path)
    header = _header(text, delimiter, path)
    content = text.encode()
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=min(max(_BLOCK, len(content) + 1), 2**30)
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as broken:
        reason = _uneven_row(text, delimiter, len(header)) or str(broken).partition("\n")[0]
        message = (
            f"{path}: not a table of separated values ({reason}); give every row as many values, and quote "
            "those that hold the separator or a line break"
        )
        raise FileFormatError(message) from broken
    return TextRows(f"{path}", table, text, delimiter)


def _header(text: str, delimiter: str, path: PathLike) -> list[str]:
    _, header = next(_lines_of_rows(text, delimiter), (0, []))
    if not header:
        message = (
            f"{path}: the file is empty, expected the names of the columns in its first line; write it again"
        )
        raise FileFormatError(message)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        message = f"{path}: column names must be unique, repeated: {repeated}; rename them"
        raise FileFormatError(message)
    other = next((sign for sign in _NAMES if sign != delimiter and sign in header[0]), None)
    if len(header) == 1 and other is not None:
        message = (
            f"{path}: the values seem to be separated by {_NAMES[other]}, expected {_NAMES[delimiter]}: the "
            f"first line is {header[0]!r}; write .csv with commas, .tsv with tabs"
        )
        raise FileFormatError(message)
    return header


def _uneven_row(text: str, delimiter: str, n_columns: int) -> str | None:
    """Describe the first row that has another number of values than the header."""
    for line, values in _lines_of_rows(text, delimiter):
        if len(values) != n_columns:
            return f"line {line} has {len(values)} values, expected {n_columns} as the header"
    return None


def _lines_of_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, after the line in which it begins."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        line = rows.line_num + 1
        try:
            values = next(rows)
        except (StopIteration, csv.Error):
            return
        if values:
            yield line, values
