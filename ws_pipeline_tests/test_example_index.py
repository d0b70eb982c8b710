"""Ids, splits and gold labels, read without the features."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ws_pipeline.errors import ExampleIdError, ExamplesError
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.examples import Examples
from ws_pipeline.storage.files import ParquetSource, write_parquet


def examples(*ids, feature=1.0):
    n = len(ids)
    splits = np.array((["train", "valid", "test"] * n)[:n], dtype=object)
    gold = {"spam": np.arange(n) % 3 - 1}
    return Examples(np.array(ids), splits, gold, {"spam": 2}, {"x": np.full((n, 2), feature, np.float32)})


@pytest.fixture
def source(tmp_path):
    write_parquet(examples(7, 3, 5, 4).to_table(), tmp_path / "part")
    return ParquetSource(tmp_path / "part")


def test_of_a_stored_table_everything_but_the_features_is_read(source, monkeypatch):
    read, whole_read = [], ParquetSource.read

    def spy(self, columns=None):
        read.append(columns)
        return whole_read(self, columns)

    monkeypatch.setattr(ParquetSource, "read", spy)
    index = ExampleIndex.from_source(source)
    assert read == [["example_id", "split", "spam"]]
    whole = Examples.from_source(source)
    assert read[1:] == [None]
    assert whole.features["x"].shape == (4, 2)
    for found in (index, whole):
        assert found.example_ids.tolist() == [7, 3, 5, 4]
        assert found.splits.tolist() == ["train", "valid", "test", "train"]
        assert found.gold["spam"].tolist() == [-1, 0, 1, -1]
        assert found.cardinalities == {"spam": 2}
        assert found.in_split("train").tolist() == [True, False, False, True]
        assert found.split_counts() == {"train": 2, "valid": 1, "test": 1}


def test_the_stored_table_keeps_the_key_that_older_files_have():
    metadata = examples(7, 3).to_table().schema.metadata
    assert metadata[b"ws_pipeline.tasks"] == b'{"spam": 2}'
    table = pa.table({"example_id": [7], "split": ["train"], "spam": [1]})
    stored = table.replace_schema_metadata({b"ws_pipeline.tasks": b'{"spam": 2}'})
    assert ExampleIndex.from_table(stored).gold["spam"].tolist() == [1]


def test_shards_are_stacked_in_their_order():
    index = ExampleIndex.concatenate({"b": examples(7, 3), "a": examples(5)})
    assert type(index) is ExampleIndex
    assert (index.example_ids.tolist(), index.gold["spam"].tolist()) == ([7, 3, 5], [-1, 0, -1])
    with pytest.raises(ExampleIdError, match=r"'(a|b)'.*'(a|b)'"):
        ExampleIndex.concatenate({"b": examples(7, 3), "a": examples(3)})
    with pytest.raises(ExamplesError, match="no shards of examples"):
        ExampleIndex.concatenate({})


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("split", ["train", "dev"], "t: example 2 has split 'dev', expected one of"),
        ("split", [1, 2], "t: column 'split' has type int64, expected string"),
        (
            "spam",
            [0, 2],
            "t: gold label of task 'spam' is 2 for example 2, expected an integer from 0 to 1, or null",
        ),
        ("spam", ["a", "b"], "t: gold column 'spam' has type string, expected integers"),
        ("example_id", [1, 1], "t: example ids must be unique"),
    ],
)
def test_a_table_is_checked(column, values, message):
    columns = {"example_id": [1, 2], "split": ["train", "test"], "spam": [0, 1], column: values}
    with pytest.raises((ExamplesError, ExampleIdError), match=message):
        ExampleIndex.from_table(pa.table(columns), {"spam": 2}, where="t")


def test_arrays_of_another_length_are_refused():
    splits = np.array(["train"], dtype=object)
    with pytest.raises(ExamplesError, match=r"gold labels of task 'spam': expected an array \[n\]"):
        ExampleIndex(np.arange(1), splits, {"spam": np.zeros(2)}, {"spam": 2})
