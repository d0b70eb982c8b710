"""The examples' own columns, joined to the votes of an import."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

VOTES = "task,worker,label\n1,a,yes\n1,b,no\n2,a,no\n3,b,yes\n"
EXAMPLES = "id,text,split,length,topic\n1,one,train,3,\n2,two,valid,3,no\n4,four,test,4,yes\n"


def give(import_it, tmp_path, examples=EXAMPLES, *options, name="examples.csv", votes=VOTES, **more):
    path = tmp_path / name
    path.write_text(examples)
    return import_it("crowd-kit", {"votes.csv": votes}, "--examples", str(path), *options, **more)


def test_columns_splits_and_gold_labels_are_those_of_the_file(import_it, tmp_path):
    found = give(import_it, tmp_path)
    assert found.status == 0, found.err
    assert found.examples["example_id"].to_pylist() == ["1", "2", "4"]
    assert found.examples["text"].to_pylist() == ["one", "two", "four"]
    assert found.examples["split"].to_pylist() == ["train", "valid", "test"]
    assert found.gold == {"2": "no", "4": "yes"}
    assert found.votes == {"1": {"a": "yes", "b": "no"}, "2": {"a": "no"}}
    assert "1 of 3 examples of the export are not in" in found.out
    assert "such as '3': left out with their 1 votes" in found.out
    assert "1 of 3 examples of" in found.out
    assert "are not in the export, such as '4'" in found.out
    assert found.examples["length"].to_pylist() == ["3", "3", "4"]  # text, as all of a CSV file
    assert found.spec.model is None


def test_columns_of_numbers_are_features(import_it, tmp_path):
    found = give(import_it, tmp_path, EXAMPLES, "--number-column", "length")
    assert found.status == 0, found.err
    assert found.examples["length"].to_pylist() == [3.0, 3.0, 4.0]
    assert found.spec.feature_columns == ["length"]
    assert found.spec.model is not None
    wrong = give(
        import_it, tmp_path, EXAMPLES.replace("3,no", "long,no"), "--number-column", "length", out="b"
    )
    assert "line 3, column 'length': found 'long', expected a number" in wrong.err
    unknown = give(import_it, tmp_path, EXAMPLES, "--number-column", "size", out="c")
    assert "no column 'size', which --number-column names" in unknown.err


def test_integers_stay_integers_where_both_have_them(import_it, tmp_path):
    votes = pa.table({"task": [1, 1, 2], "worker": ["a", "b", "a"], "label": ["yes", "no", "no"]})
    path = tmp_path / "examples.parquet"
    pq.write_table(pa.table({"example_id": [2, 1], "x": [[0.5, 1.0], [2.0, 3.0]]}), path)
    found = import_it("crowd-kit", {"votes.parquet": votes}, "--examples", str(path))
    assert found.status == 0, found.err
    assert found.examples["example_id"].to_pylist() == [2, 1]
    assert found.votes == {1: {"a": "yes", "b": "no"}, 2: {"a": "no"}}
    assert found.spec.feature_columns == ["x"]
    text = tmp_path / "examples.csv"
    text.write_text("example_id,note\n2,b\n1,a\n")
    as_text = import_it("crowd-kit", {"votes.parquet": votes}, "--examples", str(text), out="text")
    assert as_text.examples["example_id"].to_pylist() == ["2", "1"]
    assert as_text.votes == {"1": {"a": "yes", "b": "no"}, "2": {"a": "no"}}


@pytest.mark.parametrize(
    ("examples", "options", "said"),
    [
        (
            "id,text\n7,x\n8,y\n",
            [],
            "none of its 2 examples is one of the 3 of the export: the file has '7', '8'",
        ),
        ("id,task,text\n1,1,x\n", [], "several may be it: ['id', 'task']; call it 'example_id'"),
        ("name,text\n1,x\n", [], "none is it among ['name', 'text']; call it 'example_id'"),
        (
            "id,split\n1,dev\n",
            [],
            "row 1, example '1': found the split 'dev', expected one of ['train', 'valid'",
        ),
        (
            "id,topic\n1,yse\n",
            [],
            "row 1, column 'topic': found the gold label 'yse', expected one of the classes",
        ),
        ("id,text\n1,x\n1,y\n", [], "example ids must be unique, 1 are repetitions, the first: 1"),
    ],
)
def test_what_does_not_fit_is_refused(import_it, tmp_path, examples, options, said):
    found = give(import_it, tmp_path, examples, *options)
    assert found.status == 1
    assert said in found.err
    assert not found.folder.exists()


def test_number_columns_need_the_file(import_it):
    found = import_it("crowd-kit", {"votes.csv": VOTES}, "--number-column", "length")
    assert found.status == 1
    assert "--number-column is about the file that --examples names" in found.err
