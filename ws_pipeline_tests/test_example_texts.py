"""Texts of the examples: read by name, stacked over shards, null where there is none."""

import pyarrow as pa
import pytest

from ws_pipeline.errors import ExampleIdError, ExamplesError, TextError
from ws_pipeline.example_texts import ExampleTexts, read_texts, stored_texts
from ws_pipeline.examples import Examples
from ws_pipeline.storage.files import ParquetSource, write_parquet


def table(first_id, texts, splits=("train", "valid", "train"), **columns):
    ids = list(range(first_id, first_id + len(texts)))
    return pa.table(
        {"example_id": ids, "split": list(splits), "text": pa.array(texts, pa.string()), **columns}
    )


@pytest.fixture
def stored(tmp_path):
    """A function that stores examples with their texts, and gives the source of the file."""

    def store(name, columns, **options):
        examples = Examples.from_table(columns, {}, text_columns=["text"], **options)
        write_parquet(examples.to_table(), tmp_path / f"{name}.parquet")
        return ParquetSource(tmp_path / f"{name}.parquet")

    return store


def test_texts_come_back_as_they_were_stored(stored):
    source = stored("mon", table(0, ["one", None, "three"], number=[1, 2, 3]))
    assert stored_texts(source.schema) == ["text"]
    texts = ExampleTexts.from_source(source)
    assert texts.example_ids.tolist() == [0, 1, 2]
    assert texts.texts["text"].to_pylist() == ["one", None, "three"]
    assert texts.lists() == {"text": ["one", "", "three"]}
    assert texts.lists("train") == {"text": ["one", "three"]}
    assert texts.lists("test") == {"text": []}


def test_shards_are_stacked_in_the_order_of_the_mapping(stored):
    shards = {
        name: ExampleTexts.from_source(stored(name, table(first, [name, "b", "c"])))
        for name, first in (("tue", 3), ("mon", 0))
    }
    texts = ExampleTexts.concatenate(shards, ["text"])
    assert texts.lists() == {"text": ["tue", "b", "c", "mon", "b", "c"]}
    assert texts.example_ids.tolist() == [3, 4, 5, 0, 1, 2]
    assert len(texts) == 6


def test_shards_that_do_not_fit_are_refused(stored):
    shard = ExampleTexts.from_source(stored("mon", table(0, ["a", "b", "c"])))
    with pytest.raises(TextError, match=r"shard 'mon' was ingested without the text column 'title', .*again"):
        ExampleTexts.concatenate({"mon": shard}, ["title"])
    with pytest.raises(ExampleIdError, match=r"'mon'.*'tue'"):
        ExampleTexts.concatenate({"mon": shard, "tue": shard}, ["text"])
    with pytest.raises(ExamplesError, match=r"no shards of examples"):
        ExampleTexts.concatenate({}, ["text"])


def test_columns_that_are_no_text_are_refused_with_what_to_do():
    with pytest.raises(TextError, match=r"mon: no text column 'title', .* found .*'text'.*add the column"):
        read_texts(table(0, ["a", "b", "c"]), ["title"], where="mon")
    with pytest.raises(TextError, match=r"mon: text column 'number' has type int64, expected text"):
        read_texts(table(0, ["a", "b", "c"], number=[1, 2, 3]), ["number"], where="mon")


def test_a_column_without_any_value_has_null_texts():
    found = read_texts(pa.table({"text": pa.nulls(2)}), ["text"], where="mon")
    assert found["text"].to_pylist() == [None, None]
