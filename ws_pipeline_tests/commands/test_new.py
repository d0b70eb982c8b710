"""The command new: from an empty folder to labels, as a newcomer goes."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.cli import main
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec

ANSWERS = "task,worker,label\na,w1,no\na,w2,yes\nb,w1,no\nb,w2,no\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command line in a folder of its own; the exit status, and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run_it(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_it


def examples(n=200):
    """Examples with a text, and the truth in words and in a feature."""
    truth = np.arange(n) % 2
    rng = np.random.default_rng(0)
    noisy = rng.random(n) < 0.1
    long = " ".join(["word"] * 30)
    texts = np.where(truth == 1, np.where(noisy, "FREE", "a free prize"), np.where(noisy, "you win", long))
    return pd.DataFrame(
        {
            "example_id": np.arange(n),
            "split": np.resize(["train", "train", "valid", "valid", "test", "test"], n),
            "text": texts,
            "label": np.array(["ham", "spam"])[truth],
            "size": truth + rng.normal(scale=0.1, size=n),
        }
    )


def test_a_new_folder_is_valid_and_says_what_is_missing(run, tmp_path):
    status, said, _ = run("new", "data/my mail")
    assert status == 0
    assert "then:     python -m ws_pipeline check 'data/my mail'" in said
    folder = tmp_path / "data" / "my mail"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "examples",
        "lfs.py",
        "pipeline.yaml",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["my mail"]
    spec = load_spec(folder / "pipeline.yaml")
    assert (spec.name, list(spec.tasks), spec.model) == ("my_mail", ["label"], None)
    assert [lf.name for lf in spec.functions_of("label")] == ["long_text", "shouts", "offers"]
    assert max(map(len, (folder / "pipeline.yaml").read_text().splitlines())) <= 110
    status, said, _ = run("check", "data/my mail")
    assert status == 1
    assert said.count("  - ") == 1
    assert f"there is no complete shard in {folder}; a shard is the files examples/<shard>.parquet" in said


def test_the_way_of_the_readme_leads_to_labels(run, tmp_path):
    assert run("new", "mail")[0] == 0
    snippet = re.search(r"```python\n(.*?)```", (tmp_path / "mail" / "README.md").read_text(), re.DOTALL)
    exec(snippet.group(1), {})  # noqa: S102
    status, said, _ = run("check", "mail")
    assert status == 0, said
    assert "task label: 3 LFs on 4 examples" in said
    commands = re.findall(
        r"^    python -m ws_pipeline (.*?)(?: +#.*)?$",
        (tmp_path / "mail" / "README.md").read_text(),
        re.MULTILINE,
    )
    assert commands == ["check mail", "mail/pipeline.yaml"]
    status, said, err = run("mail/pipeline.yaml", "--storage", "storage")
    assert status == 0, err
    labels = pq.read_table(tmp_path / "storage" / "label" / "probabilistic_labels.parquet")
    assert labels["prediction"].to_pylist() == [1, -1, 1, -1]


@pytest.mark.slow
def test_with_numbers_in_the_examples_an_end_model_is_trained(run, tmp_path):
    assert run("new", "mail", "--task", "spam")[0] == 0
    examples().rename(columns={"label": "spam"}).to_parquet("mail/examples/monday.parquet", index=False)
    file = tmp_path / "mail" / "pipeline.yaml"
    file.write_text(file.read_text().replace("model: null\n", ""))
    status, said, _ = run("check", "mail")
    assert status == 0, said
    assert "1 column is no feature: 'text'" in said
    status, said, err = run("mail/pipeline.yaml", "--storage", "storage", "--device", "cpu")
    assert status == 0, err
    scores = pq.read_table(tmp_path / "storage" / "scores.parquet").to_pylist()
    found = {
        row["model"]: row["value"]
        for row in scores
        if (row["split"], row["metric"], row["dataset"]) == ("test", "accuracy", "all")
    }
    assert found["end_model"] > 0.9


def uncommented(text):
    """The keys that are commented out, as YAML, by the number of blanks before them."""
    found = {"": {}, "    ": {}}
    for blanks, line in re.findall(r"^( *)# (\w+: .*)$", text, re.MULTILINE):
        found[blanks] |= yaml.safe_load(line)
    return found[""], found["    "]


def test_what_is_commented_out_is_valid_and_the_default(run, tmp_path):
    assert run("new", "mail")[0] == 0
    file = tmp_path / "mail" / "pipeline.yaml"
    top, of_task = uncommented(file.read_text())
    assert {"model", "trainer", "feature_columns", "filter_uncovered", "automation", "data"} <= set(top)
    assert {"label_model", "class_balance", "no_votes", "min_confidence"} <= set(of_task)
    content = yaml.safe_load(file.read_text())
    del content["model"]
    file.write_text(yaml.safe_dump(content))
    plain = load_spec(file)
    content["tasks"]["label"] |= of_task
    file.write_text(yaml.safe_dump(content | top))
    assert load_spec(file).model_dump() == plain.model_dump()
    for name in top.keys() - {"data"}:
        assert getattr(plain, name) == PipelineSpec.model_fields[name].default, name
    for name in of_task:
        assert getattr(plain.tasks["label"], name) == TaskSpec.model_fields[name].default, name


def test_names_that_yaml_reads_as_something_else_are_quoted(run, tmp_path):
    status, _, _ = run("new", "no", "--task", "on")
    assert status == 0
    spec = load_spec(tmp_path / "no/pipeline.yaml")
    assert (spec.name, list(spec.tasks)) == ("no", ["on"])


def test_a_folder_that_holds_something_is_not_touched(run, tmp_path):
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "notes.txt").touch()
    status, _, err = run("new", "mail")
    assert status == 1
    assert (
        "mail: the folder is not empty, and nothing is overwritten; choose another NAME, or empty it" in err
    )
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["notes.txt"]
    (tmp_path / "mail" / "notes.txt").unlink()
    assert run("new", "mail")[0] == 0


def test_a_folder_without_a_name_is_refused(run, tmp_path):
    status, _, err = run("new", ".")
    assert status == 1
    assert "NAME: '.' has no name, expected a new folder such as data/mail" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--splits", "0.8,0.1,0.1"], "--splits would be ignored without --from FORMAT PATH; leave it out"),
        (["--gold", "x.csv", "--classes", "a,b"], "--classes, --gold would be ignored without --from"),
        (["--task", "split"], "--task: 'split' is not the name of a task"),
        (["--from", "crowdkit", "x.csv"], "unknown format 'crowdkit', did you mean 'crowd-kit'?"),
        (["--from", "crowd-kit", "x.csv"], "x.csv: there is no such file"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(run, tmp_path, options, said):
    status, _, err = run("new", "mail", *options)
    assert status == 1
    assert said in err
    assert not (tmp_path / "mail").exists()


def test_an_export_becomes_a_folder_with_the_same_extras(run, tmp_path):
    (tmp_path / "answers.csv").write_text(ANSWERS)
    status, said, err = run("new", "crowd", "--from", "crowd-kit", "answers.csv", "--splits", "0.5,0.5,0")
    assert status == 0, err
    assert "votes     4 of 2 sources" in said
    folder = tmp_path / "crowd"
    spec = load_spec(folder / "pipeline.yaml")
    assert {task: of_task.classes for task, of_task in spec.tasks.items()} == {"label": ["no", "yes"]}
    text = (folder / "pipeline.yaml").read_text()
    assert text.startswith("# Made by: python -m ws_pipeline new crowd --from crowd-kit answers.csv --splits")
    assert "\n# min_confidence: 0.0 " in text
    assert "NO, YES = 0, 1" in (folder / "lfs.py").read_text()
    assert "`votes/label/` the votes" in (folder / "README.md").read_text()
    status, said, _ = run("check", "crowd")
    assert status == 0, said
    assert "task label: 2 LFs on 2 examples" in said
    file = folder / "pipeline.yaml"
    own = "  mine: {classes: ['no', 'yes'], labeling_functions: lfs.py}\n"
    file.write_text(text.replace("tasks:\n", f"tasks:\n{own}"))
    assert "LF 'long_text' failed on example a: AttributeError" in run("check", "crowd")[1]
