"""The command check: every problem of a pipeline at once, with the readers of the ingestion."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.cli import main

LFS = """
from ws_pipeline.labeling import keyword_lf, labeling_function

@labeling_function()
def offers(x):
    return 1 if "free" in x.text else -1

thanks = keyword_lf("thanks", ["thanks"], 0)
"""
FAILING = """
@labeling_function()
def asks(x):
    return 1 if x.subject == "?" else -1

@labeling_function(vectorized=True)
def shouts(df):
    return df.text.str.isupper().map({True: 5, False: -1})
"""


@pytest.fixture
def check(pipeline_folder, capsys):
    """Check a pipeline; the exit status, the report, its problems, and its warnings."""

    def run(path=None):
        status = main(["check", str(path or pipeline_folder.root)])
        said = capsys.readouterr()
        assert said.err == ""
        return Report(status, said.out)

    return run


class Report:
    def __init__(self, status, text):
        self.status, self.text = status, text

    def _under(self, word):
        lines = self.text.splitlines()
        start = next((i for i, line in enumerate(lines) if re.fullmatch(rf"\d+ {word}s?", line)), None)
        if start is None:
            return []
        rest = lines[start + 1 :]
        end = next((i for i, line in enumerate(rest) if not line.startswith("  - ")), len(rest))
        assert lines[start].startswith(f"{end} ")
        return [line.removeprefix("  - ") for line in rest[:end]]

    @property
    def problems(self):
        return self._under("problem")

    @property
    def warnings(self):
        return self._under("warning")


def change_spec(folder, **values):
    content = yaml.safe_load(folder.spec_path.read_text())
    folder.spec_path.write_text(yaml.safe_dump(content | values))


def replace(file, name, values):
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), file)


@pytest.fixture
def mail(tmp_path):
    """A pipeline whose votes are made by labeling functions."""
    folder = tmp_path / "mail"
    (folder / "examples").mkdir(parents=True)
    texts = ["a free gift", "thanks", "nothing", "FREE"] * 10
    for first, shard in ((0, "monday"), (100, "tuesday")):
        frame = {
            "example_id": np.arange(first, first + 40),
            "split": ["train", "valid", "test", "train"] * 10,
            "text": texts,
            "spam": ["spam", "ham", "ham", "spam"] * 10,
        }
        pd.DataFrame(frame).to_parquet(folder / "examples" / f"{shard}.parquet", index=False)
    (folder / "lfs.py").write_text(LFS)
    write_mail_spec(folder)
    return folder


def write_mail_spec(folder, **functions):
    spam = {"classes": ["ham", "spam"], "labeling_functions": {"module": "lfs.py"} | functions}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"model": None, "tasks": {"spam": spam}}))


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


def test_every_bad_column_of_a_votes_file_is_reported(pipeline_folder, check):
    file = pipeline_folder.votes_file("parity", "part-1")
    replace(file, "lf_1", [7] + [None] * 119)
    replace(file, "lf_4", ["evne"] * 2 + ["odd"] * 118)
    found = check()
    assert found.status == 1
    assert found.problems == [
        (
            f"{file}: LF 'lf_1' votes 7 on example 1000, expected an integer from -1 (abstain) to 1 "
            "(cardinality=2)"
        ),
        (
            f"{file}: LF 'lf_4' has labels that are no class: 'evne' (2); null means no label; did you mean "
            "'even'? If it is no LF, list the LF columns with lf_columns"
        ),
    ]


def test_bad_columns_beside_repeated_ids_are_reported_by_their_rows(pipeline_folder, check):
    file = pipeline_folder.votes_file("parity", "part-1")
    replace(file, "example_id", [1000, 1000, *range(1002, 1120)])
    replace(file, "lf_1", [None, 7] + [None] * 118)
    found = check()
    assert found.problems == [
        f"{file}: example ids must be unique, 1 are repetitions, the first: 1000 (2 times)",
        (
            f"{file}: LF 'lf_1' votes 7 on example 1000 (row 1), expected an integer from -1 (abstain) to 1 "
            "(cardinality=2)"
        ),
    ]


def test_every_bad_column_of_an_examples_file_is_reported(pipeline_folder, check):
    file = pipeline_folder.examples_file("part-1")
    replace(file, "parity", ["evne"] * 120)
    replace(file, "shape", [0.5] + [0.0] * 119)
    pipeline_folder.edit(file, lambda columns: columns.update(length=[float("nan")] + [1.0] * 119))
    replace(file, "split", ["train"] * 119 + [None])
    found = check()
    assert len(found.problems) == 4
    assert found.problems[0].startswith(f"{file}: gold column 'parity' has labels that are no class: 'evne'")
    assert found.problems[1].startswith(f"{file}: example 1119 has split None, expected one of")
    assert found.problems[2].startswith(f"{file}: gold label of task 'shape' is 0.5 for example 1000")
    assert found.problems[3].startswith(
        f"{file}: feature column 'length' is NaN, null or infinite for exampl"
    )


def test_missing_columns_are_reported_in_each_file(pipeline_folder, check):
    change_spec(
        pipeline_folder,
        tasks={
            "shape": {"classes": ["round", "square", "star"]},
            "parity": {"classes": ["even", "odd"], "lf_columns": ["lf_0", "lf_7", "lf_8"]},
        },
    )
    examples = pipeline_folder.examples_file("part-2")
    pq.write_table(pq.read_table(examples).drop_columns("split"), examples)
    found = check()
    assert len(found.problems) == 7
    votes = pipeline_folder.votes_file("parity", "part-0")
    assert found.problems[0].startswith(
        f"{votes}: no column 'lf_7', which lf_columns lists, did you mean 'lf_"
    )
    assert found.problems[1].startswith(
        f"{votes}: no column 'lf_8', which lf_columns lists, did you mean 'lf_"
    )
    assert found.problems[4].startswith(f"{examples}: no column 'split', got ['example_id', 'features',")


def test_missing_ids_hide_nothing(pipeline_folder, check):
    file = pipeline_folder.examples_file("part-2")
    replace(file, "parity", [None, 2] + [None] * 118)
    pq.write_table(pq.read_table(file).drop_columns("example_id"), file)
    found = check()
    assert len(found.problems) == 2
    assert found.problems[0].startswith(f"{file}: no column 'example_id', got ['split', 'features', 'shape',")
    assert found.problems[1].startswith(
        f"{file}: gold label of task 'parity' is 2 for example (row 1), expec"
    )


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
            "the features of shard 'part-2' differ from those of shard 'part-0': extra ['width']; compute "
            "the same features for every shard"
        ),
        (
            "example 0 is in shard 'part-0' and in shard 'part-2' (120 such ids); every example belongs to "
            "one shard"
        ),
        (
            "task 'shape': the LF columns of shard 'part-1' differ from those of shard 'part-0': missing "
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
        "no example has split 'test', got {'train': 210, 'valid': 150, 'test'"
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
        f"skipped {pipeline_folder.root / 'examples' / 'notes.txt'}: its name does not end in '.parquet'",
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


def test_labeling_functions_are_applied_and_summarised(mail, check):
    found = check(mail)
    assert (found.status, found.problems, found.warnings) == (0, [], [])
    lines = [line.split() for line in found.text.splitlines()]
    assert ["offers", "20", "0.250", "0.000", "0.000", "1.000", "20", "spam"] in lines
    assert ["thanks", "20", "0.250", "0.000", "0.000", "1.000", "20", "ham"] in lines
    assert "40 votes: ham 50.0%, spam 50.0%" in found.text


def test_every_labeling_function_that_fails_is_reported_and_the_others_are_summarised(mail, check):
    (mail / "lfs.py").write_text(LFS + FAILING)
    frame = pd.read_parquet(mail / "examples" / "tuesday.parquet")
    frame.assign(subject="?", text=frame.text.str.lower()).to_parquet(mail / "examples" / "tuesday.parquet")
    found = check(mail)
    where = f"{mail / 'examples' / 'monday.parquet'}: task 'spam': "
    assert found.status == 1
    assert len(found.problems) == 2
    assert found.problems[0].startswith(f"{where}LF 'asks' failed on example 0: AttributeError: ")
    assert found.problems[1].startswith(
        f"{where}LF 'shouts' votes 5 on example 3, expected an integer from -1"
    )
    assert "task spam: 2 LFs on 80 examples" in found.text


def test_faults_that_are_tolerated_are_a_warning(mail, check):
    (mail / "lfs.py").write_text(LFS + FAILING.replace("5", "1"))
    write_mail_spec(mail, fault_tolerant=True)
    found = check(mail)
    assert (found.status, found.problems) == (0, [])
    assert [line.split(": LF ")[-1][:22] for line in found.warnings[:2]] == ["'asks' failed on examp"] * 2
    assert found.warnings[0].endswith("(fault_tolerant is on: they are abstains)")
    assert "task spam: 4 LFs on 80 examples" in found.text


def test_a_file_of_labeling_functions_that_cannot_be_imported_does_not_hide_the_examples(mail, check):
    (mail / "lfs.py").write_text("import nowhere_at_all\n")
    file = mail / "examples" / "monday.parquet"
    replace(file, "spam", ["eggs"] * 40)
    found = check(mail)
    assert len(found.problems) == 2
    assert "tasks.spam.labeling_functions: " in found.problems[0]
    assert "lfs.py, line 1: cannot be imported: ModuleNotFoundError" in found.problems[0]
    assert found.problems[1].startswith(
        f"{file}: gold column 'spam' has labels that are no class: 'eggs' (40)"
    )


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


def test_a_long_file_is_read_as_such_and_one_that_is_taken_for_wide_gets_the_advice(pipeline_folder, check):
    change_spec(pipeline_folder, tasks={"parity": {"classes": ["even", "odd"]}}, model=None, trainer={})
    for number in range(3):
        rows = {
            "task": list(range(1000 * number, 1000 * number + 100)) * 2,
            "worker": ["w1"] * 100 + [f"w{number}"] * 100,
            "label": ["even", "odd"] * 100,
        }
        pq.write_table(pa.table(rows), pipeline_folder.votes_file("parity", f"part-{number}"))
    assert len(check().problems) == 3
    for number in range(3):
        file = pipeline_folder.votes_file("parity", f"part-{number}")
        pq.write_table(pq.read_table(file).rename_columns(["example_id", "worker", "label"]), file)
    found = check()
    assert len(found.problems) == 3
    assert all("set votes: {format: long} for this task" in problem for problem in found.problems)
    change_spec(pipeline_folder, tasks={"parity": {"classes": ["even", "odd"], "votes": {"format": "long"}}})
    found = check()
    assert (found.status, found.problems) == (0, [])
    assert "task parity: 3 LFs on 360 examples" in found.text
    assert any("part-1.parquet: 100 of 200 votes are repeated" in line for line in found.warnings)
