"""The committed files of the small examples are those that their scripts write."""

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).parent.parent / "data"


def load(name):
    """The script of an example as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_make_data", DATA / name / "make_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", ["answers.csv", "gold.csv"])
def test_verdicts_are_those_of_the_script(tmp_path, file):
    load("judges").write_all(tmp_path)
    assert (tmp_path / file).read_bytes() == (DATA / "judges" / file).read_bytes()


@pytest.mark.parametrize("shard", range(3))
def test_messages_are_those_of_the_script(tmp_path, shard):
    load("messages").write_all(tmp_path)
    name = f"examples/part-{shard}.parquet"
    assert pq.read_table(tmp_path / name).equals(pq.read_table(DATA / "messages" / name))


def test_messages_have_gold_labels_in_valid_and_test_only():
    table = load("messages").make_examples().to_pandas()
    assert table.topic.isna().eq(table.split.eq("train")).all()
    assert table.example_id.is_unique
    assert table.split.value_counts(normalize=True).round(1).to_dict() == {
        "train": 0.7,
        "test": 0.2,
        "valid": 0.1,
    }
