"""Tables of answers: with a row per answer, and with a column per annotator."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

CROWD = "task,worker,label\n007,w1,spam\n007,w2,ham\n7,w1,ham\n8,w2,spam\n"
WIDE = ",a,b,c\nt1,0,1.0,\nt2,,1.0,1.0\nt3,0,,\n"


def test_a_row_per_answer_is_read_as_text(import_it):
    found = import_it("crowd-kit", {"answers.csv": CROWD})
    assert found.status == 0, found.err
    assert found.classes == ["ham", "spam"]
    assert found.votes == {"007": {"w1": "spam", "w2": "ham"}, "7": {"w1": "ham"}, "8": {"w2": "spam"}}
    assert found.examples["example_id"].to_pylist() == ["007", "7", "8"]
    assert set(found.examples["split"].to_pylist()) == {"train"}
    assert found.spec.model is None


def test_gold_labels_come_from_a_table_of_their_own(import_it, tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text("task,true_label\n007,spam\n8,other\n99,ham\n")
    found = import_it("crowd-kit", {"answers.csv": CROWD}, "--gold", str(gold))
    assert found.status == 0, found.err
    assert found.gold == {"007": "spam", "8": "other"}
    assert found.classes == ["ham", "other", "spam"]
    assert "1  gold label of an example that is not in the export" in found.out
    splits = dict(zip(found.examples["example_id"].to_pylist(), found.index.splits, strict=True))
    assert splits["7"] == "train"
    assert {splits["007"], splits["8"]} <= {"valid", "test"}


def test_columns_of_other_names_are_named(import_it):
    table = "post,who,says,when\nx,a,yes,2\nx,a,no,1\ny,b,no,3\nz,b,yes,4\n"
    named = ["--example-column", "post", "--source-column", "who", "--label-column", "says"]
    found = import_it("long", {"answers.csv": table}, *named)
    assert found.votes == {"x": {"a": "no"}, "y": {"b": "no"}, "z": {"b": "yes"}}
    assert "note: columns that are not read: 'when'" in found.out
    found = import_it("long", {"answers.csv": table}, *named, "--time-column", "when", out="by-time")
    assert found.votes == {"x": {"a": "yes"}, "y": {"b": "no"}, "z": {"b": "yes"}}
    assert "repeated  1 answers, 1 with another label" in found.out
    found = import_it("long", {"answers.csv": table}, out="unnamed")
    assert found.status == 1
    assert "answers.csv: which column is the example? none is it among ['post', 'who', 'says', 'when']" in (
        found.err
    )
    assert "name it with --example-column" in found.err


def test_scores_are_kept(import_it):
    table = "task,worker,label,sure\nx,a,yes,0.5\nx,b,no,\ny,b,yes,3\nx,a,no,0.25\n"
    found = import_it("long", {"answers.csv": table}, "--score-column", "sure")
    assert found.status == 0, found.err
    assert found.spec.tasks["topic"].votes.columns.score == "score"
    np.testing.assert_array_equal(found.matrix.details.scores, [[0.25, np.nan], [np.nan, 3]])
    assert "note: 2 of 3 votes have a score" in found.out
    plain = import_it("long", {"answers.csv": table}, out="plain")
    assert plain.matrix.details is None
    wrong = import_it("long", {"a.csv": table.replace("0.5", "half")}, "--score-column", "sure", out="wrong")
    assert "a.csv: row 1 has 'half' in column 'sure', expected a number, or nothing" in wrong.err


def test_parquet_and_json_lines_give_the_same_as_csv(import_it):
    rows = [
        dict(zip(("task", "worker", "label"), line.split(","), strict=True)) for line in CROWD.split()[1:]
    ]
    expected = import_it("crowd-kit", {"a.csv": CROWD}, out="csv")
    for name, content in {"a.jsonl": rows, "a.parquet": pa.Table.from_pylist(rows)}.items():
        found = import_it("crowd-kit", {name: content}, out=name)
        assert found.matrix == expected.matrix
        assert found.examples == expected.examples
    tabs = import_it("crowd-kit", {"a.tsv": CROWD.replace(",", "\t")}, out="tsv")
    assert tabs.matrix == expected.matrix


def test_a_column_per_annotator_becomes_rows(import_it):
    found = import_it("cleanlab", {"wide.csv": WIDE})
    assert found.status == 0, found.err
    assert found.classes == ["0", "1"]
    assert found.votes == {"t1": {"a": "0", "b": "1"}, "t2": {"b": "1", "c": "1"}, "t3": {"a": "0"}}
    long = "task,annotator,label\nt1,a,0\nt1,b,1\nt2,b,1\nt2,c,1\nt3,a,0\n"
    assert import_it("cleanlab", {"long.csv": long}, out="long").votes == found.votes


def test_rows_of_a_wide_table_without_ids_are_numbered(import_it):
    table = pa.table({"ann": [0.0, None, 1.0], "bob": [None, 2.0, 1.0]})
    found = import_it("cleanlab", {"wide.parquet": table})
    assert found.votes == {"0": {"ann": "0"}, "1": {"bob": "2"}, "2": {"ann": "1", "bob": "1"}}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "task,worker,label\na,w,x\n,w,y\n",
            "answers.csv: row 2 has no value in column 'task' (1 such rows)",
        ),
        ("task,worker,label\na,w,x\nb,,y\n", "answers.csv: row 2 has no value in column 'worker'"),
        (
            "task,worker,label\na,w,x\nb,w\n",
            "answers.csv: not a table of separated values (line 3 has 2 values, expected 3 as the ",
        ),
        ("task,worker,lable\na,w,x\n", "answers.csv: no column 'label', did you mean 'lable'?"),
        ("task,worker,label\na,w,x\nb,w,x\n", "a task needs two classes, found only ['x']; name all with"),
        ("task,worker,label\na,w,\n", "no vote was found; skipped were: no label (1)"),
        ("task,worker,label,label\na,w,x,y\n", "column names must be unique, repeated: ['label']"),
        ("task,worker,label\na,w,x\na ,w,y\n", "'a' and 'a ' differ only in blanks around them"),
        ("task,worker,label\na,w,x\na,w ,y\n", "the sources 'w' and 'w ' differ only in blanks"),
    ],
)
def test_what_makes_no_table_of_answers_is_refused(import_it, table, said):
    found = import_it("crowd-kit", {"answers.csv": table})
    assert found.status == 1
    assert said in found.err
    assert not found.folder.exists()


def test_labels_of_a_long_table_stay_as_they_are_written(import_it):
    found = import_it("crowd-kit", {"a.csv": "task,worker,label\na,w,1.0\na,v,01\n"})
    assert found.classes == ["01", "1.0"]


def test_gold_that_contradicts_itself_is_refused_with_its_row(import_it, tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text("task,label\n007,spam\n007,ham\n")
    found = import_it("crowd-kit", {"answers.csv": CROWD}, "--gold", str(gold))
    assert f"{gold}: row 2: example '007' has two gold labels, 'spam' and 'ham'" in found.err
    gold.write_text("x,y,z\n1,2,3\n")
    found = import_it("crowd-kit", {"answers.csv": CROWD}, "--gold", str(gold))
    assert "expected the columns 'task' and 'label' of gold labels, got ['x', 'y', 'z']" in found.err
