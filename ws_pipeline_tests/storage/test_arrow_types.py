"""What Arrow columns hold, in every type that programs store it in."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ws_pipeline.storage.arrow_types import (
    holds_lists,
    holds_nothing,
    holds_numbers,
    holds_text,
    plain_values,
)

TEXT = pa.array(["a", "b", "b", None])
NUMBERS = pa.array([1, 0, 0, None], pa.int8())
DECIMALS = pa.array([Decimal("1.5"), Decimal("0.5"), Decimal("0.5"), None])
TEXTS = {
    "string": TEXT,
    "large_string": TEXT.cast(pa.large_string()),
    "string_view": TEXT.cast(pa.string_view()),
    "dictionary": TEXT.dictionary_encode(),
    "dictionary of large_string": TEXT.cast(pa.large_string()).dictionary_encode(),
    "dictionary of string_view": TEXT.cast(pa.string_view()).dictionary_encode(),
    "run lengths": pc.run_end_encode(TEXT),
}
NUMERIC = {
    "int8": NUMBERS,
    "uint64": NUMBERS.cast(pa.uint64()),
    "half": NUMBERS.cast(pa.float16()),
    "double": NUMBERS.cast(pa.float64()),
    "bool": NUMBERS.cast(pa.bool_()),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), NUMBERS),
    "dictionary": NUMBERS.dictionary_encode(),
    "run lengths": pc.run_end_encode(NUMBERS),
}


@pytest.mark.parametrize("array", TEXTS.values(), ids=TEXTS)
def test_text_of_every_type(array):
    column = pa.chunked_array([array, array])
    assert holds_text(array.type)
    assert not holds_numbers(array.type)
    assert plain_values(column).type == pa.large_string()
    assert plain_values(column).to_pylist() == ["a", "b", "b", None] * 2
    assert plain_values(pa.chunked_array([], array.type)).type == pa.large_string()


@pytest.mark.parametrize("array", NUMERIC.values(), ids=NUMERIC)
def test_numbers_of_every_type(array):
    assert holds_numbers(array.type)
    assert not holds_text(array.type)
    assert plain_values(pa.chunked_array([array, array])).cast(pa.int64()).to_pylist() == [1, 0, 0, None] * 2


@pytest.mark.parametrize(
    "kind", [pa.decimal32(3, 1), pa.decimal64(5, 2), pa.decimal128(9, 3), pa.decimal256(60, 4)]
)
def test_decimals_are_numbers(kind):
    column = pa.chunked_array([DECIMALS.cast(pa.float64()).cast(kind)])
    assert holds_numbers(kind)
    assert plain_values(column).cast(pa.float64()).to_pylist() == [1.5, 0.5, 0.5, None]


LISTS = [pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_(pa.int8(), 2), pa.list_view(pa.int8())]


@pytest.mark.parametrize("kind", [*LISTS, pa.fixed_shape_tensor(pa.float32(), [2, 2])])
def test_lists_are_lists_and_no_numbers(kind):
    assert holds_lists(kind)
    assert not holds_numbers(kind)


def test_a_column_without_a_type_holds_nothing():
    assert holds_nothing(pa.null())
    assert not holds_nothing(pa.int8())


@pytest.mark.parametrize("kind", [pa.binary(), pa.date32(), pa.timestamp("s"), pa.struct({"x": pa.int8()})])
@pytest.mark.parametrize("question", [holds_text, holds_numbers, holds_lists, holds_nothing])
def test_what_is_none_of_these(kind, question):
    assert not question(kind)
