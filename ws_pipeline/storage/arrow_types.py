"""Tell what an Arrow column holds, whatever type it is stored in.

The same text is stored as string, large_string, string_view, a dictionary (pandas categories, a polars
Enum) or run lengths, and the same number as an integer, float, decimal or boolean: it depends on the program
that wrote the file.  Readers ask here what a column holds, and do not compare types themselves.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a column: inside of dictionaries, run lengths and extension types."""
    if isinstance(kind, pa.BaseExtensionType):
        return value_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return value_type(kind.value_type)
    return kind


def holds_text(kind: pa.DataType) -> bool:
    """Whether the values of a type are text."""
    values = value_type(kind)
    return bool(
        pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)
    )


def holds_numbers(kind: pa.DataType) -> bool:
    """Whether the values of a type are numbers; booleans are the numbers 0 and 1."""
    values = value_type(kind)
    return bool(
        pa.types.is_integer(values)
        or pa.types.is_floating(values)
        or pa.types.is_decimal(values)
        or pa.types.is_boolean(values)
    )


def holds_nothing(kind: pa.DataType) -> bool:
    """Whether a type has no values but null, as of a column whose type no row could tell."""
    return bool(pa.types.is_null(value_type(kind)))


def holds_lists(kind: pa.DataType) -> bool:
    """Whether the values of a type are lists, of a fixed size or not."""
    values = value_type(kind)
    return bool(
        pa.types.is_list(values)
        or pa.types.is_large_list(values)
        or pa.types.is_fixed_size_list(values)
        or pa.types.is_list_view(values)
        or pa.types.is_large_list_view(values)
    )


def plain_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without dictionaries, run lengths or extension types; text as large_string.

    Parameters
    ----------
    column
        ``[n]`` values of any type.

    Returns
    -------
    pyarrow.ChunkedArray
        The same ``[n]`` values, null where the column is.  Its type is ``value_type(column.type)``, but
        large_string for all text.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        chunks = [chunk.storage for chunk in column.chunks]
        return plain_values(pa.chunked_array(chunks, column.type.storage_type))
    if pa.types.is_run_end_encoded(column.type):
        decoded = [pc.run_end_decode(chunk) for chunk in column.chunks]
        return plain_values(pa.chunked_array(decoded, column.type.value_type))
    if pa.types.is_dictionary(column.type):
        empty = plain_values(pa.chunked_array([], column.type.value_type))
        parts = [_decoded(chunk) for chunk in column.chunks]
        return pa.chunked_array(parts, empty.type)
    # large_string: more than 2 GiB of text fit into a chunk
    return column.cast(pa.large_string()) if holds_text(column.type) else column


def _decoded(chunk: pa.DictionaryArray) -> pa.Array:
    """The plain values of a dictionary array; decoded first, since views of text cannot be taken."""
    values = plain_values(pa.chunked_array([chunk.dictionary])).combine_chunks()
    return values.take(chunk.indices)
