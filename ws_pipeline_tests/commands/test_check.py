"""The command check: every problem of a pipeline at once, with the readers of the ingestion."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.cli import main
from ws_pipeline.storage.table_endings import ENDINGS_TEXT


def change_spec(folder, **values):
    content = yaml.safe_load(folder.spec_path.read_text())
    folder.spec_path.write_text(yaml.safe_dump(content | values))


def replace(file, name, values):
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), file)


def test_a_sound_pipeline_is_summarised(pipeline_folder, check):
    found = check()
    assert (found.status, found.problems, found.warnings) == (0, [], [])
    assert "no problem found" in found.text
    assert f"run it:  python -m ws_pipeline {pipeline_folder.spec_path}" in found.text
    lines = [line.split() for line in found.text.splitlines()]
    assert ["part-0", "120", "70", "25", "25", "70/25/25", "70/25/25"] in lines
    assert ["all", "360", "210", "75", "75", "210/75/75", "210/75/75"] in lines
    votes = pd.concat(pd.read_parquet(pipeline_folder.votes_file("parity", f"part-{i}")) for i in range(3))
    gold = pd.concat(pd.read_parquet(pipeline_folder.examples_file(f"part-{i}")) for i in range(3))["parity"]
    given = votes["lf_5"].notna()
    shown = next(line for line in lines if line[:1] == ["lf_5"])
    assert int(shown[1]) == given.sum()
    assert float(shown[2]) == pytest.approx(given.mean(), abs=0.001)
    assert float(shown[5]) == pytest.approx((votes["lf_5"] == gold)[given].mean(), abs=0.001)
    every = votes.drop(columns="example_id").to_numpy()
    assert f"even {(every == 0).sum() / np.isfinite(every).sum():.1%}" in found.text


def test_neither_torch_is_imported_nor_anything_written(pipeline_folder, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import sys; from ws_pipeline.cli import main\n"
        f"assert main(['check', {str(pipeline_folder.spec_path)!r}]) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_with_different_problems_are_both_reported(pipeline_folder, check):
    votes, examples = pipeline_folder.votes_file("parity", "part-2"), pipeline_folder.examples_file("part-0")
    votes.write_bytes(votes.read_bytes()[:-20])
    replace(examples, "split", ["train"] * 119 + ["tset"])
    found = check()
    assert found.status == 1
    assert len(found.problems) == 2
    assert found.problems[0] == (
        f"{examples}: example 119 has split 'tset', expected one of ['train', 'valid', 'test']; 1 example(s) "
        "are affected"
    )
    assert found.problems[1].startswith(f"{votes}: not a complete Parquet file")
    assert f"  - whether the votes in {pipeline_folder.votes_file('shape', 'part-0')} are on" in found.text
    assert "the votes of task 'parity' in shards that could not be read: part-0, part-2" in found.text


def test_ids_that_are_in_two_shards_are_reported_beside_differing_features(pipeline_folder, check):
    first, last = pipeline_folder.examples_file("part-0"), pipeline_folder.examples_file("part-2")
    pq.write_table(pq.read_table(first).append_column("width", pa.array([1.0] * 120)), last)
    votes = pipeline_folder.votes_file("shape", "part-1")
    pq.write_table(pq.read_table(votes).drop_columns("lf_2"), votes)
    for task in ("shape", "parity"):
        replace(pipeline_folder.votes_file(task, "part-2"), "example_id", list(range(120)))
    found = check()
    assert found.problems == [
        (
            f"{first.parent}: the features of shard 'part-2' differ from those of shard 'part-0': extra "
            "['width']; compute the same features for every shard"
        ),
        (
            f"{first.parent}: example 0 is in shard 'part-0' and in shard 'part-2' (120 such ids); every "
            "example belongs to one shard"
        ),
        (
            f"{votes.parent}: the LF columns of shard 'part-1' differ from those of shard 'part-0': missing "
            "['lf_2'], extra []; apply the same labeling functions, in the same order, to every shard, or "
            "list them as lf_columns"
        ),
    ]
    assert "task shape: 6 LFs on 240 examples" in found.text


def test_votes_on_examples_that_are_not_there_are_reported(pipeline_folder, check):
    file = pipeline_folder.votes_file("shape", "part-1")
    replace(file, "example_id", list(range(1001, 1121)))
    assert check().problems == [
        (
            f"{file}: 1 vote row(s) are for unknown examples, the first: 1120; every example with votes "
            "needs a row in the shard's examples file"
        )
    ]


def test_a_split_that_does_not_occur_is_a_problem_only_with_an_end_model(pipeline_folder, check):
    for number in range(3):
        replace(pipeline_folder.examples_file(f"part-{number}"), "split", ["train"] * 70 + ["valid"] * 50)
    found = check()
    assert found.status == 1
    assert len(found.problems) == 1
    assert found.problems[0].startswith(
        f"{pipeline_folder.root / 'examples'}: no example has split 'test', got {{'train': 210, 'valid': 150,"
    )
    change_spec(pipeline_folder, model=None, trainer={})
    found = check()
    assert (found.status, found.problems) == (0, [])
    assert [line.partition(",")[0] for line in found.warnings] == [
        "task 'parity': no gold label in the test split",
        "task 'shape': no gold label in the test split",
    ]


def test_examples_without_features_are_a_problem_only_with_an_end_model(pipeline_folder, check):
    file = pipeline_folder.examples_file("part-0")
    replace(file, "features", ["a"] * 120)
    assert check().problems[0].startswith(f"{file}: no column can feed the end model: 'features' (string):")
    change_spec(pipeline_folder, model=None, trainer={})
    assert check().status == 1  # the other shards have the feature


def test_what_a_person_should_look_at_is_a_warning(pipeline_folder, check):
    for number in range(3):
        pipeline_folder.edit(
            pipeline_folder.votes_file("parity", f"part-{number}"),
            lambda columns: columns.update(
                {f"lf_{lf}": [None] * 116 + [0] * 4 for lf in range(5)}, lf_5=[None] * 120
            ),
        )
        replace(pipeline_folder.examples_file(f"part-{number}"), "parity", [None] * 120)
    (pipeline_folder.root / "examples" / "notes.txt").touch()
    pipeline_folder.votes_file("shape", "part-2").unlink()
    found = check()
    assert (found.status, found.problems) == (0, [])
    assert found.warnings == [
        f"skipped {pipeline_folder.root / 'examples' / 'notes.txt'}: its name does not end in {ENDINGS_TEXT}",
        (
            f"skipped {pipeline_folder.examples_file('part-2')}: the shard is not complete, missing "
            "votes/shape/part-2.parquet"
        ),
        (
            "task 'parity': no gold label in the valid split, so that it is not known whether the labels are "
            "worse than the plain vote; add some in a column 'parity' of the examples files"
        ),
        (
            "task 'parity': no gold label in the test split, so that scores are agreement with the label "
            "model, no accuracy; add some in a column 'parity' of the examples files"
        ),
        "task 'parity': these never vote: lf_5; mend or remove them",
        "task 'parity': 3.3% of the examples have a vote; add LFs for the others, or lower min_coverage",
        "task 'parity': no vote is for odd; add LFs that vote for each class, or remove it from classes",
    ]


def test_no_vote_at_all_is_a_problem(pipeline_folder, check):
    for shard in ("part-0", "part-1", "part-2"):
        file = pipeline_folder.votes_file("parity", shard)
        table = pq.read_table(file)
        for name in table.column_names[1:]:
            replace(file, name, [None] * table.num_rows)
    found = check()
    assert found.status == 1
    assert [said for said in found.problems if "there is no vote on any example" in said] == found.problems


def test_a_broken_yaml_is_reported_with_its_line(pipeline_folder, check):
    pipeline_folder.spec_path.write_text("tasks:\n  spam: {classes: [ham, spam}\n")
    found = check()
    assert found.status == 1
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{pipeline_folder.spec_path}: ")
    assert "line 2" in found.problems[0]


def test_every_wrong_key_is_named(pipeline_folder, check):
    change_spec(pipeline_folder, modle=None, trainer={"n_epochs": 0})
    found = check()
    assert "unknown key 'modle', did you mean 'model'?" in found.problems[0]
    assert "trainer.n_epochs: " in found.problems[0]


def test_an_empty_folder_is_refused_with_what_to_do(tmp_path, check):
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty").problems == [
        (
            f"{tmp_path / 'empty'}: there is no pipeline.yaml in this folder; write one, or make a new "
            "folder that has one with python -m ws_pipeline new NAME"
        )
    ]
    assert "there is no such file" in check(tmp_path / "nowhere").problems[0]


def test_a_pipeline_without_shards_is_told_which_files_make_one(pipeline_folder, check):
    change_spec(pipeline_folder, data="nowhere")
    found = check()
    assert found.status == 1
    assert len(found.problems) == 1
    assert "there is no complete shard in" in found.problems[0]
    assert "a shard is the files examples/<shard>.parquet, votes/" in found.problems[0]


def corrupt_votes(folder):
    replace(folder.votes_file("parity", "part-1"), "lf_1", [7] + [None] * 119)


def corrupt_split(folder):
    replace(folder.examples_file("part-1"), "split", ["tset"] * 120)


def corrupt_gold(folder):
    replace(folder.examples_file("part-1"), "parity", ["evne"] * 120)


def corrupt_ids(folder):
    replace(folder.votes_file("shape", "part-1"), "example_id", list(range(1001, 1121)))


def drop_lf(folder):
    file = folder.votes_file("shape", "part-1")
    pq.write_table(pq.read_table(file).drop_columns("lf_2"), file)


def repeat_ids(folder):
    folder.add_shard("part-2", first_id=0)


def add_gold_to_votes(folder):
    folder.edit(folder.votes_file("shape", "part-1"), lambda columns: columns.update(label=[0] * 120))


def folder_of(problem):
    return problem.partition(": ")[0].removesuffix(".parquet")


@pytest.mark.slow
@pytest.mark.parametrize(
    "corrupt",
    [corrupt_votes, corrupt_split, corrupt_gold, corrupt_ids, drop_lf, repeat_ids, add_gold_to_votes],
)
def test_a_run_is_stopped_by_what_the_check_reports(
    pipeline_folder, storage, check, capsys, monkeypatch, corrupt
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    change_spec(pipeline_folder, model=None, trainer={})
    assert check().status == 0
    corrupt(pipeline_folder)
    problems = check().problems
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage)]) == 1
    said = capsys.readouterr().err
    assert len(problems) == 1
    # a problem between shards begins with their folder
    assert problems[0].removeprefix(f"{folder_of(problems[0])}: ") in said
