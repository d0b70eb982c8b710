"""Further joins of a file of examples: columns of both sides, what does not match, splits of both."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import main

ANSWERS = "task,worker,label\n1,a,x\n1,b,y\n2,a,y\n3,b,x\n4,a,x\n"
JSON_ANSWERS = [{"task": i, "worker": "a", "label": label} for i, label in enumerate("xyxx", 1)]


@pytest.fixture
def with_file(import_it, tmp_path):
    """Import answers together with a file of examples."""

    def run(name, content, *options, answers=None, kind="crowd-kit"):
        file = tmp_path / name
        if isinstance(content, str):
            file.write_text(content)
        elif name.endswith(".parquet"):
            pq.write_table(pa.table(content), file)
        else:
            file.write_text("".join(json.dumps(row) + "\n" for row in content))
        found = import_it(kind, answers or {"answers.csv": ANSWERS}, "--examples", str(file), *options)
        found.err = found.err.replace(f"{tmp_path}/", "")
        found.out = found.out.replace(f"{tmp_path}/", "")
        return found

    return run


ROWS = {
    "task": [4, 3, 2, 1, 9],
    "text": ["d", "c", "b", "a", "new"],
    "size": [4.0, 3.0, 2.0, 1.0, 9.0],
    "vector": [[4, 0], [3, 0], [2, 0], [1, 0], [9, 0]],
    "split": ["train", "train", "valid", "test", "train"],
    "topic": [None, "x", "y", None, None],
}


def test_columns_of_a_parquet_file_are_joined_by_id(with_file):
    found = with_file("e.parquet", ROWS)
    assert found.status == 0, found.err
    table = found.examples
    assert table["example_id"].to_pylist() == ["4", "3", "2", "1", "9"]  # text, as in the CSV file of answers
    assert table["text"].to_pylist() == ROWS["text"]
    assert table["size"].to_pylist() == ROWS["size"]
    assert found.index.splits.tolist() == ROWS["split"]
    assert found.gold == {"3": "x", "2": "y"}
    assert found.spec.feature_columns == ["size", "vector"]
    assert found.votes == {"1": {"a": "x", "b": "y"}, "2": {"a": "y"}, "3": {"b": "x"}, "4": {"a": "x"}}
    assert "1 of 5 examples of e.parquet are not in the export, such as '9'" in found.out
    assert "gold      2 examples" in found.out
    assert "note: splits: those of the files" in found.out
    assert "examples  5 (train 3, valid 1, test 1)" in found.out


def test_the_pipeline_checks_what_was_joined(with_file, capsys):
    found = with_file("e.parquet", ROWS)
    assert main(["check", str(found.folder)]) == 0, capsys.readouterr().out


def test_ids_are_integers_where_both_files_have_integers(with_file):
    rows = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
    found = with_file("e.jsonl", rows, answers={"answers.jsonl": JSON_ANSWERS})
    assert found.status == 0, found.err
    assert found.examples["example_id"].to_pylist() == [4, 3, 2, 1, 9]
    assert found.examples["vector"].to_pylist() == ROWS["vector"]
    assert found.votes == {1: {"a": "x"}, 2: {"a": "y"}, 3: {"a": "x"}, 4: {"a": "x"}}


def test_a_csv_file_is_text_but_for_its_columns_of_numbers(with_file):
    text = "task,size,age\n1,1.5,07\n2,2,08\n3,3,x\n4,4,\n"
    found = with_file("e.csv", text, "--number-column", "size")
    assert found.status == 0, found.err
    assert found.examples["size"].to_pylist() == [1.5, 2.0, 3.0, 4.0]
    assert found.examples["age"].to_pylist() == ["07", "08", "x", None]
    assert "feature_columns: [size]" in (found.folder / "pipeline.yaml").read_text()


def test_votes_on_examples_that_the_file_lacks_are_left_out_by_number_and_name(with_file):
    found = with_file("e.csv", "id,text\n1,one\n2,two\n")
    assert found.status == 0, found.err
    assert found.votes == {"1": {"a": "x", "b": "y"}, "2": {"a": "y"}}
    assert (
        "note: 2 of 4 examples of the export are not in e.csv, such as '3', '4': left out with their 2 votes"
    ) in found.out
    assert "votes     3 of 2 sources" in found.out


def test_columns_of_the_export_are_kept_beside_those_of_the_file(with_file):
    answers = {
        "a.jsonl": [
            {"id": 1, "text": "good", "label": ["x"], "note": "n"},
            {"id": 2, "text": "bad", "label": ["y"], "note": "m"},
        ]
    }
    rows = [{"id": 2, "text": "BAD", "size": 1}, {"id": 1, "text": "GOOD", "size": 2}, {"id": 5, "size": 3}]
    found = with_file("e.jsonl", rows, "--source", "me", answers=answers, kind="doccano")
    assert found.status == 0, found.err
    assert found.examples["example_id"].to_pylist() == [2, 1, 5]
    assert found.examples["text"].to_pylist() == ["BAD", "GOOD", None]
    assert found.examples["note"].to_pylist() == ["m", "n", None]
    assert "note: column 'text' of the export is left out: e.jsonl has one, too" in found.out


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        (
            "e.csv",
            "task\n7\n8\n",
            (),
            "e.csv: none of its 2 examples is one of the 4 of the export: the file has '7'",
        ),
        (
            "e.csv",
            "task\n1\n1\n",
            (),
            "e.csv: example ids must be unique, 1 are repetitions, the first: 1 (2 times)",
        ),
        (
            "e.csv",
            "name\n1\n",
            (),
            "e.csv: which column has the ids of the examples? none is it among ['name']",
        ),
        (
            "e.csv",
            "task,item\n1,1\n",
            (),
            "which column has the ids of the examples? several may be it: ['task', 'item']",
        ),
        (
            "e.csv",
            "task,split\n1,train\n2,dev\n",
            (),
            "e.csv: row 2, example '2': found the split 'dev', expected one of ['train', 'valid', 'test']",
        ),
        (
            "e.csv",
            "task,topic\n1,x\n2,z\n",
            (),
            "e.csv: row 2, column 'topic': found the gold label 'z', expected one of the classes ['x', 'y']",
        ),
        (
            "e.csv",
            "task,size\n1,1\n2,big\n",
            ("--number-column", "size"),
            "e.csv: line 3, column 'size': found 'big', expected a number",
        ),
        (
            "e.csv",
            "task,size\n1,1\n",
            ("--number-column", "sise"),
            "e.csv: no column 'sise', which --number-column names",
        ),
        (
            "e.parquet",
            ROWS,
            ("--number-column", "size"),
            "--number-column: e.parquet has types of its own; leave it",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(with_file, name, content, options, said):
    found = with_file(name, content, *options)
    assert found.status == 1
    assert said in found.err
    assert not found.folder.exists()


def test_columns_of_numbers_without_a_file_are_refused(import_it):
    found = import_it("crowd-kit", {"answers.csv": ANSWERS}, "--number-column", "size")
    assert "--number-column is about the file that --examples names; leave it out" in found.err


def test_two_kinds_of_splits_are_refused(with_file):
    wrench = {"label.json": {"0": "x", "1": "y"}}
    for split in ("train", "valid", "test"):
        wrench[f"{split}.json"] = {"0": {"label": 0, "weak_labels": [0, 1], "data": {"text": "t"}}}
    found = with_file("e.csv", "id,split\ntrain-0,train\n", answers=wrench, kind="wrench")
    assert "e.csv: column 'split': the export has splits of its own; leave the column out" in found.err
    found = with_file("e.csv", "id,size\ntrain-0,1\ntrain-7,2\n", answers=wrench, kind="wrench")
    assert "e.csv: examples that are not in the export have no split; leave their rows out" in found.err
