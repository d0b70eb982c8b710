"""The command: its options, what it refuses before it writes, and that the pipeline runs on what it wrote."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import main
from ws_pipeline.importing.formats import FORMATS

TASK = "topic"
ANSWERS = {"answers.csv": "task,worker,label\na,w1,no\na,w2,yes\nb,w1,no\nb,w2,no\n"}


def test_the_help_of_both_commands_names_the_formats(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "ws_pipeline import FORMAT PATH --task NAME --out FOLDER" in " ".join(
        capsys.readouterr().out.split()
    )
    with pytest.raises(SystemExit) as ended:
        main(["import", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in FORMATS)


def test_the_old_call_takes_a_file_of_any_name(tmp_path, capsys):
    assert main([str(tmp_path / "import"), "--storage", str(tmp_path)]) == 1
    assert f"{tmp_path / 'import'}: there is no such file" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_not_touched(import_it):
    found = import_it("crowd-kit", ANSWERS)
    assert found.status == 0
    before = {file: file.read_bytes() for file in found.folder.rglob("*") if file.is_file()}
    again = import_it("crowd-kit", ANSWERS | {"answers.csv": "task,worker,label\nx,y,z\nx,v,w\n"})
    assert again.status == 1
    assert f"{found.folder}: the folder is not empty, and nothing is overwritten; choose another" in again.err
    assert {file: file.read_bytes() for file in found.folder.rglob("*") if file.is_file()} == before
    assert [path.name for path in found.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_an_empty_folder_is_filled_and_a_file_is_refused(import_it, tmp_path):
    (tmp_path / "empty").mkdir()
    assert import_it("crowd-kit", ANSWERS, out="empty").classes == ["no", "yes"]
    (tmp_path / "file").touch()
    assert "this is a file, expected a new folder" in import_it("crowd-kit", ANSWERS, out="file").err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--classes", "no,maybe"], "labels that are none of the classes ['no', 'maybe']: 'yes' (1 votes)"),
        (["--splits", "0.5,0.6,0.1"], "--splits: expected three shares of train, valid, test that sum to 1"),
        (["--splits", "all"], "such as 0.8,0.1,0.1, got 'all'"),
        (["--source", "x"], "--source: the format 'crowd-kit' does not use it; leave it out"),
        (
            ["--question", "x", "--level", "trace"],
            "--level, --question: the format 'crowd-kit' does not use it",
        ),
        (["--task", "split"], "--task: 'split' is not the name of a task"),
        (["--task", "my task"], "--task: 'my task' is not the name of a task; use letters, digits and under"),
        (["--out", "s3://bucket/x"], "is a URL, expected a folder on this machine"),
        (["--gold", "nowhere.csv"], "nowhere.csv: there is no such file; check the path"),
        (["--gold", "gold.xlsx"], "expected a table in a file that ends in .csv, .tsv, .json"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(import_it, options, said):
    found = import_it("crowd-kit", ANSWERS, *options)
    assert found.status == 1
    assert said in found.err
    assert not found.folder.exists()


def test_an_unknown_format_names_the_nearest(import_it):
    assert (
        "unknown format 'labelstudio', did you mean 'label-studio'?" in import_it("labelstudio", ANSWERS).err
    )


def test_classes_can_be_named_in_their_order_with_those_that_nobody_voted_for(import_it):
    found = import_it("crowd-kit", ANSWERS, "--classes", "yes,no,maybe")
    assert found.classes == ["yes", "no", "maybe"]
    assert found.votes == {"a": {"w1": "no", "w2": "yes"}, "b": {"w1": "no", "w2": "no"}}
    assert "         0  maybe" in found.out


def test_names_that_yaml_reads_as_something_else_survive(import_it):
    table = "task,worker,label\n" + "".join(
        f"{i},w,{name}\n" for i, name in enumerate(["no", "010", "1:30", "2026-01-01", "~", "a: b", "é"])
    )
    found = import_it("crowd-kit", {"a.csv": table}, out="1 of-my sets")
    assert found.status == 0, found.err
    assert set(found.classes) == {"no", "010", "1:30", "2026-01-01", "~", "a: b", "é"}
    assert {example: votes["w"] for example, votes in found.votes.items()}["1"] == "010"
    assert found.spec.name == "_1_of_my_sets"


def test_sources_with_names_of_other_columns_are_listed(import_it):
    table = "task,worker,label\na,gold,x\na,y,z\na,topic,x\n"
    found = import_it("crowd-kit", {"a.csv": table})
    assert found.spec.tasks[TASK].lf_columns == ["gold", "topic", "y"]
    assert found.votes == {"a": {"gold": "x", "topic": "x", "y": "z"}}


def crowd(n=300, seed=0):
    """Answers of five workers to n questions as CSV, gold for a third of them, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    right = rng.random((n, 5)) < [0.9, 0.85, 0.8, 0.7, 0.6]
    names = np.array(["no", "yes"])
    answers = names[np.where(right, truth[:, None], 1 - truth[:, None])]
    rows = [f"{i:03},w{j},{answers[i, j]}" for i in range(n) for j in range(5)]
    gold = [f"{i:03},{names[truth[i]]}" for i in range(0, n, 3)]
    return "\n".join(["task,worker,label", *rows]), "\n".join(["task,label", *gold]), names[truth]


@pytest.mark.slow
def test_the_pipeline_runs_on_what_was_imported(import_it, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    answers, gold, truth = crowd()
    (tmp_path / "gold.csv").write_text(gold)
    found = import_it("crowd-kit", {"answers.csv": answers}, "--gold", str(tmp_path / "gold.csv"))
    assert found.status == 0, found.err
    storage = tmp_path / "storage"
    assert main([str(found.folder / "pipeline.yaml"), "--storage", str(storage), "--device", "cpu"]) == 0
    assert capsys.readouterr().err == ""
    labels = pq.read_table(storage / TASK / "probabilistic_labels.parquet")
    assert labels["example_id"].to_pylist() == [f"{i:03}" for i in range(300)]
    predicted = np.array(found.classes)[labels["prediction"].to_numpy()]
    assert (predicted == truth).mean() > 0.9
