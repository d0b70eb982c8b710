"""What the texts of a column mean that was read as text: whole numbers, numbers, true or false, or text.

A column is what it is declared as, and a value that is something else is refused with its line; no column is
taken for something by a look at its values.  Start reading at :func:`typed_table`.

Legend: n rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.delimited import TextRows

ColumnType = Literal["text", "integer", "number", "boolean"]
Read = Callable[[pa.ChunkedArray], tuple[pa.ChunkedArray, pa.ChunkedArray]]

_WHOLE = r"^[+-]?[0-9]{1,18}(\.0*)?$"  # 1.0 too, as pandas writes integers beside missing values
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_LONGEST = 60


class ColumnKind(NamedTuple):
    """What a column may hold.

    Parameters
    ----------
    expected
        In words, for messages.
    remedy
        What to do about a value that is something else.
    read
        From ``[n]`` texts to ``[n]`` values, and a mask ``[n]`` of the texts that are none.
    """

    expected: str
    remedy: str
    read: Read


def typed_table(rows: TextRows, kinds: Mapping[str, ColumnKind]) -> pa.Table:
    """The rows with each column as it is declared; columns that are not among ``kinds`` stay text.

    Raises
    ------
    FileFormatError
        A value is not what its column is declared as; the message has file, line and column, and how many
        values of the column are affected.
    """
    table = rows.table
    for place, name in enumerate(table.column_names):
        if name in kinds:
            values, wrong = kinds[name].read(table.column(name))
            if pc.any(wrong).as_py():
                raise FileFormatError(_refusal(rows, name, kinds[name], wrong))
            table = table.set_column(place, name, values)
    return table


def mapped(
    expected: str, remedy: str, value_of: Callable[[str], tuple[Any, bool]], kind: pa.DataType
) -> ColumnKind:
    """A kind whose few different texts are mapped one by one.

    Parameters
    ----------
    expected, remedy
        See :class:`ColumnKind`.
    value_of
        From a text to its value, and whether it has one.
    kind
        Arrow type of the values.
    """

    def read(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        different = pc.drop_null(texts.unique())
        found = [value_of(text) for text in different.to_pylist()]
        place = pc.index_in(texts, value_set=different)
        values = pa.array([value for value, _ in found], kind)
        is_wrong = pa.array([not known for _, known in found], pa.bool_())
        return _taken(values, place), pc.fill_null(_taken(is_wrong, place), fill_value=False)

    return ColumnKind(expected, remedy, read)


def whole_number(text: str) -> int | None:
    """The whole number that a text is, written as 1 or 1.0; None if it is none."""
    head, _, tail = text.strip().partition(".")
    digits = head.removeprefix("-").removeprefix("+")
    return int(head) if digits.isascii() and digits.isdigit() and not tail.strip("0") else None


def kind_of(name: ColumnType) -> ColumnKind:
    """The kind that a pipeline.yaml names."""
    return _KINDS[name]


def _taken(values: pa.Array, place: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([values.take(chunk) for chunk in place.chunks], values.type)


def _matching(pattern: str, kind: pa.DataType) -> Read:
    def read(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        plain = pc.utf8_trim_whitespace(texts)
        fits = pc.fill_null(pc.match_substring_regex(plain, pattern), fill_value=True)
        plain = pc.if_else(fits, plain, pa.scalar(None, pa.large_string()))
        plain = pc.replace_substring_regex(plain, r"^\+", "")
        if pa.types.is_integer(kind):
            plain = pc.replace_substring_regex(plain, r"\.0*$", "")
        return plain.cast(kind), pc.invert(fits)

    return read


def _text(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    return texts, pc.and_(pc.is_null(texts), pc.is_valid(texts))


def _boolean(text: str) -> tuple[bool | None, bool]:
    value = _BOOLEANS.get(text.strip().casefold())
    return value, value is not None


_CORRECT = "correct the value, leave it empty if there is none, or declare another type"
_KINDS: dict[str, ColumnKind] = {
    "text": ColumnKind("text", "", _text),
    "integer": ColumnKind("a whole number of at most 18 digits", _CORRECT, _matching(_WHOLE, pa.int64())),
    "number": ColumnKind("a number such as 0.5 or 1e-3", _CORRECT, _matching(_NUMBER, pa.float64())),
    "boolean": mapped("true or false (or 1 or 0)", _CORRECT, _boolean, pa.bool_()),
}


def _refusal(rows: TextRows, name: str, kind: ColumnKind, wrong: pa.ChunkedArray) -> str:
    row = pc.index(wrong, pa.scalar(value=True)).as_py()
    found = rows.table.column(name)[row].as_py()
    shown = found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."
    others = pc.sum(wrong).as_py() - 1
    more = f" ({others} more such value(s) in this column)" if others else ""
    return (
        f"{rows.where}: line {rows.line_of(row)}, column '{name}': found {shown!r}, expected {kind.expected}"
        f"{more}; {kind.remedy}"
    )


def check_known(names: Sequence[str], there: Sequence[str], *, where: str, by: str) -> None:
    """Refuse names of columns that a table does not have.

    Raises
    ------
    FileFormatError
        The message names the first column that is missing, and those that are there.
    """
    missing = [name for name in names if name not in there]
    if missing:
        message = (
            f"{where}: no column '{missing[0]}', which {by} names; the file has {list(there)}; rename the "
            f"column, or correct {by}"
        )
        raise FileFormatError(message)
