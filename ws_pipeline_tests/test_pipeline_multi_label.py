"""A multi-label task from files of lists to its scores as a whole."""

import re
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import f1_score
from upath import UPath

from ws_pipeline.cli import main
from ws_pipeline.defs.assets.function_votes import columns_to_vote_on
from ws_pipeline.defs.assets.ingest import examples_of_table, read_votes
from ws_pipeline.defs.assets.multi_label_text import scores_text, whole_lines
from ws_pipeline.defs.automation.shard_state import (
    examples_fingerprint,
    shard_fingerprints,
    votes_fingerprint,
)
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import ExampleIdError, LabelMatrixError
from ws_pipeline.storage.files import read_parquet

CLASSES = ["sports", "politics", "sci-fi"]
TASKS = ["topics_sports", "topics_politics", "topics_sci_fi"]
SHARDS = ["part-0", "part-1"]
TEXT = pa.list_(pa.string())


def lists_of(has, known):
    """Lists of the names of the classes ``[n]`` of a mask ``[n, k]``, None where they are not known."""
    return [
        [CLASSES[label] for label in np.flatnonzero(row)] if is_known else None
        for row, is_known in zip(has, known, strict=True)
    ]


def long_table(votes):
    rows = [
        (example, lf, label)
        for lf, column in votes.items()
        if lf != "example_id"
        for example, answer in zip(votes["example_id"].tolist(), column, strict=True)
        if answer is not None
        for label in answer or [None]
    ]
    example, source, label = map(list, zip(*rows, strict=True))
    return pa.table({"example_id": example, "worker": source, "label": pa.array(label, pa.string())})


def write_shard(folder, shard, *, first_id, n=200):
    """Features that tell the classes, five LFs of lists with mistakes, and gold lists for two of three."""
    rng = np.random.default_rng([3, first_id])
    ids = np.arange(first_id, first_id + n)
    has = rng.random((n, 3)) < [0.5, 0.4, 0.3]
    features = (rng.normal(size=(n, 6)) + 2.0 * np.tile(has, 2)).astype(np.float32)
    examples = {
        "example_id": ids,
        "split": rng.permutation(np.repeat(["train", "valid", "test"], [n - 80, 40, 40])),
        "features": pa.FixedSizeListArray.from_arrays(features.ravel(), 6),
        "topics": pa.array(lists_of(has, rng.random(n) < 0.67), TEXT),
    }
    votes = {"example_id": ids}
    for lf in range(5):
        wrong = rng.random((n, 3)) < 0.1 + 0.04 * lf
        votes[f"lf_{lf}"] = lists_of(has ^ wrong, rng.random(n) < 0.6)
    typed = {
        name: values if name == "example_id" else pa.array(values, TEXT) for name, values in votes.items()
    }
    tables = {"examples": pa.table(examples), "votes/topics": pa.table(typed), "long": long_table(votes)}
    for place, table in tables.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / place / f"{shard}.parquet")


def write_spec(folder, **of_task):
    spec = {
        "name": "news",
        "tasks": {"topics": {"classes": CLASSES, "multi_label": True, **of_task}},
        "model": {"hidden": [16]},
        "trainer": {"n_epochs": 12, "lr": 0.01},
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(spec))
    return load_spec(folder / "pipeline.yaml")


@pytest.fixture
def folder(tmp_path):
    for number, shard in enumerate(SHARDS):
        write_shard(tmp_path / "news", shard, first_id=1000 * number)
    write_spec(tmp_path / "news")
    return tmp_path / "news"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; the exit status, and what was printed."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run_it(*arguments):
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_it


def gold_of(folder):
    """Gold lists, splits and ids of all shards."""
    return pa.concat_tables(pq.read_table(folder / "examples" / f"{shard}.parquet") for shard in SHARDS)


def masks(column):
    return np.array([[name in (found or []) for name in CLASSES] for found in column])


@pytest.mark.slow
def test_lists_lead_to_an_end_model_and_to_scores_of_the_whole(folder, storage, run):
    status, said, err = run(folder / "pipeline.yaml", "--storage", storage, "--device", "cpu")
    assert status == 0, err
    sets = pq.read_table(storage / "topics/label_sets.parquet")
    assert sets.column_names == ["example_id", "split", "covered", "vote", "label_model", "end_model"]
    examples = gold_of(folder)
    assert sets["example_id"].to_pylist() == examples["example_id"].to_pylist()
    gold, splits = examples["topics"].to_pylist(), examples["split"].to_numpy()
    known = np.array([found is not None for found in gold])
    scores = pq.read_table(storage / "topics/multi_label_scores.parquet")
    of_whole = {
        (row["split"], row["model"], row["metric"]): (row["value"], row["n_examples"])
        for row in scores.to_pylist()
        if row["class"] is None and row["dataset"] == "all"
    }
    for split in ("train", "valid", "test"):
        judged = known & (splits == split)
        for model in ("vote", "label_model", "end_model"):
            predicted = masks(sets[model].to_pylist())[judged]
            expected = f1_score(masks(gold)[judged], predicted, average="micro")
            assert of_whole[split, model, "f1_micro"] == (pytest.approx(expected), judged.sum())
    assert of_whole["test", "end_model", "f1_micro"][0] > 0.75
    assert of_whole["test", "label_model", "f1_micro"][0] > 0.75
    labels = pq.read_table(storage / "topics_sci_fi/probabilistic_labels.parquet")
    covered = np.array(labels["covered"])
    assert np.array_equal(sets["covered"], covered)  # lists are complete, so that a vote is on every class
    has = masks(sets["label_model"].to_pylist())[:, 2]
    assert np.array_equal(has[covered], labels["p_1"].to_numpy()[covered] > 0.5)
    assert [found is None for found in sets["label_model"].to_pylist()] == (~covered).tolist()
    lines = whole_lines("topics", scores)
    assert len(lines) == 5
    assert "\n".join(lines) in said
    assert lines[2].split()[:4] == ["topics", f"({(known & (splits == 'test')).sum()})", "plain", "vote"]


def test_long_and_wide_votes_are_the_same_votes(folder):
    wide = load_spec(folder / "pipeline.yaml")
    of_wide = {
        task: read_votes(wide.votes_path(task, "part-0"), wide.tasks[task], tasks=()) for task in TASKS
    }
    for path in (folder / "long").iterdir():
        path.rename(folder / "votes/topics" / path.name)
    long = write_spec(folder, votes={"format": "long"})
    for task in TASKS:
        votes = read_votes(long.votes_path(task, "part-0"), long.tasks[task], tasks=())
        of_long = votes.aligned_to(of_wide[task].example_ids, where="long").votes
        assert np.array_equal(of_long, of_wide[task].votes)
        assert votes.lf_names == of_wide[task].lf_names


def test_gold_lists_become_gold_labels_of_each_class_and_no_feature(folder):
    spec = load_spec(folder / "pipeline.yaml")
    path = spec.examples_path("part-0")
    examples = examples_of_table(spec, read_parquet(path), where=str(path))
    gold = pq.read_table(path)["topics"].to_pylist()
    for task, name in zip(TASKS, CLASSES, strict=True):
        expected = [-1 if found is None else int(name in found) for found in gold]
        assert examples.gold[task].tolist() == expected
    assert list(examples.features) == ["features"]
    assert examples.left_out == ()


def fingerprints(spec):
    return [
        examples_fingerprint(spec, "part-0"),
        *(votes_fingerprint(spec, task, "part-0") for task in TASKS),
    ]


def test_a_change_of_the_shared_votes_file_makes_all_tasks_stale(folder):
    spec = load_spec(folder / "pipeline.yaml")
    before = fingerprints(spec)
    file = spec.votes_path(TASKS[0], "part-0")
    pq.write_table(pq.read_table(file).slice(1), file)
    after = fingerprints(spec)
    assert before[0] == after[0]
    assert shard_fingerprints(spec, spec.list_files(), ["part-0"]) == {"part-0": "-".join(after)}
    assert not set(before) & set(after[1:])


def test_other_lists_or_another_order_of_the_classes_are_read_again(folder):
    before = fingerprints(load_spec(folder / "pipeline.yaml"))
    partial = fingerprints(write_spec(folder, label_lists="partial"))
    assert partial[0] == before[0]
    assert not set(before) & set(partial[1:])
    turned = fingerprints(write_spec(folder, classes=CLASSES[::-1]))
    assert not set(before) & set(turned)
    respelled = write_spec(folder, classes=["sports", "politics", "sci fi"])
    assert list(respelled.tasks) == TASKS
    assert not set(before) & set(fingerprints(respelled))


def found_graph(spec):
    graph = build_definitions([spec], storage="memory://storage").resolve_asset_graph()
    return {
        node.key.to_user_string(): node for node in (graph.get(key) for key in graph.get_all_asset_keys())
    }


def test_the_whole_has_assets_beside_those_of_its_classes(folder):
    graph = found_graph(load_spec(folder / "pipeline.yaml"))
    of_whole = {key for key in graph if key.startswith("topics/")}
    assert of_whole == {"topics/label_sets", "topics/multi_label_scores"}
    reads = sorted(key.to_user_string() for key in graph["topics/label_sets"].parent_keys)
    per_task = [f"{task}/{name}" for task in TASKS for name in ("majority_vote", "probabilistic_labels")]
    assert reads == sorted(["examples", "predictions", *per_task])
    reads = sorted(key.to_user_string() for key in graph["topics/multi_label_scores"].parent_keys)
    assert reads == ["examples", "topics/label_sets"]
    assert {graph[key].group_name for key in of_whole} == {"news_topics"}
    assert graph["topics_sci_fi/label_matrix"].group_name == "news_topics_sci_fi"


@pytest.mark.slow
def test_without_an_end_model_the_labels_are_put_together(folder, storage, run):
    for shard in SHARDS:  # without gold lists too
        file = folder / "examples" / f"{shard}.parquet"
        pq.write_table(pq.read_table(file).drop_columns("topics"), file)
    spec = yaml.safe_load((folder / "pipeline.yaml").read_text())
    del spec["trainer"]
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(spec | {"model": None}))
    status, said, err = run(folder / "pipeline.yaml", "--storage", storage, "--device", "cpu")
    assert status == 0, err
    assert "as lists" not in said
    sets = pq.read_table(storage / "topics/label_sets.parquet")
    assert sets.column_names == ["example_id", "split", "covered", "vote", "label_model"]
    assert pq.read_table(storage / "topics/multi_label_scores.parquet").num_rows == 0


@pytest.mark.slow
def test_partial_lists_with_none_for_examples_without_votes(folder, storage):
    """A class that no one found in an example is no class of it, if the pipeline.yaml says so."""
    spec = write_spec(folder, label_lists="partial", no_votes="none")
    definitions = build_definitions([spec], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("news_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
    sets = pq.read_table(storage / "topics/label_sets.parquet")
    votes = pa.concat_tables(pq.read_table(folder / "votes/topics" / f"{shard}.parquet") for shard in SHARDS)
    found = [
        sorted({name for lf in range(5) for name in row[f"lf_{lf}"] or []}, key=CLASSES.index)
        for row in votes.to_pylist()
    ]
    labels = sets["label_model"].to_pylist()  # gold labels may tell it that a vote for yes means little
    assert all(set(given) <= set(names) for given, names in zip(labels, found, strict=True))
    assert sets["vote"].to_pylist() == [names or None for names in found]


LFS = """
from ws_pipeline.labeling import keyword_lf, labeling_function

@labeling_function()
def reads(x):
    return [name for name in ("sports", "politics", "sci-fi") if name in x.text] or None

sports = keyword_lf("sports_word", ["sports"], 0)
"""


def test_check_applies_functions_that_return_lists(folder, run):
    for shard in SHARDS:
        file = folder / "examples" / f"{shard}.parquet"
        table = pq.read_table(file)
        texts = [" ".join(found or ["nothing"]) for found in table["topics"].to_pylist()]
        pq.write_table(table.append_column("text", pa.array(texts)), file)
    (folder / "lfs.py").write_text(LFS)
    write_spec(folder, labeling_functions="lfs.py", label_lists={"sports_word": "partial"})
    status, said, _ = run("check", folder)
    assert status == 0, said
    for task in TASKS:
        assert f"task {task}: 2 LFs on 400 examples" in said
    line = next(line for line in said.splitlines() if line.strip().startswith("sports_word"))
    assert line.split()[-1] == "yes"
    assert next(line for line in said.splitlines() if line.strip().startswith("reads")).endswith("no, yes")
    (folder / "lfs.py").write_text(LFS.replace("or None", "or 'none'"))
    status, said, _ = run("check", folder)
    assert status == 1
    assert said.count("returned 'none', expected a list of classes, by their names or places 0 to 2") == 2


def test_check_tells_every_problem_of_the_lists_once(folder, run):
    votes = folder / "votes/topics/part-0.parquet"
    table = pq.read_table(votes)
    table = table.set_column(1, "lf_0", pa.array([["sport"]] * len(table)))
    pq.write_table(table.append_column("note", pa.array(["x"] * len(table))), votes)
    examples = folder / "examples/part-1.parquet"
    table = pq.read_table(examples)
    table = table.set_column(3, "topics", pa.array(['["sports"]'] * len(table)))
    pq.write_table(table.append_column("topics_sci_fi", pa.array([0] * len(table))), examples)
    status, said, _ = run("check", folder)
    assert status == 1
    assert said.count("LF 'lf_0' has labels that are no class: 'sport' (200)") == 1
    assert said.count("LF 'note' has type") == 1
    assert (
        said.count("by its name, column 'topics_sci_fi' holds gold labels of class 'sci-fi' of the multi-la")
        == 1
    )


def test_check_warns_of_missing_gold_once_and_names_the_column(folder, run):
    for shard in SHARDS:
        file = folder / "examples" / f"{shard}.parquet"
        pq.write_table(pq.read_table(file).drop_columns("topics"), file)
    status, said, _ = run("check", folder)
    assert status == 0, said
    assert said.count("task 'topics': no gold label in the valid split") == 1
    assert "add some in a column 'topics' of the examples files" in said
    assert "gold topics\n" in said


def test_check_says_what_to_do_about_lists_that_are_never_votes_for_no(folder, run):
    write_spec(folder, label_lists="partial")
    status, said, _ = run("check", folder)
    assert status == 0, said
    assert (
        "task 'topics_sci_fi': no vote is for no; partial lists are never votes for it; set label_li" in said
    )


def test_a_gold_column_in_the_votes_is_refused(folder):
    spec = load_spec(folder / "pipeline.yaml")
    file = spec.votes_path(TASKS[0], "part-0")
    table = pq.read_table(file)
    pq.write_table(table.append_column("topics", table["lf_0"]), file)
    with pytest.raises(
        LabelMatrixError, match="'topics' is no LF, but holds the gold labels of task 'topics'"
    ):
        read_votes(file, spec.tasks[TASKS[0]], tasks={"topics", *TASKS})


def test_labeling_functions_see_no_gold_lists(folder):
    spec = load_spec(folder / "pipeline.yaml")
    assert columns_to_vote_on(spec, ["example_id", "split", "topics", "x"]) == ["example_id", "x"]


def test_the_example_of_the_documents_is_read_as_they_say(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[1] / "data/README.md").read_text()
    section = text[text.index("### multi-label tasks") :]
    (tmp_path / "votes/topics").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1), {})  # noqa: S102
    (tmp_path / "pipeline.yaml").write_text(re.search(r"```yaml\n(.*?)```", section, re.DOTALL).group(1))
    spec = load_spec(tmp_path / "pipeline.yaml")
    votes = {
        task: read_votes(spec.votes_path(task, "monday"), of_task, tasks=()).votes.tolist()
        for task, of_task in spec.tasks.items()
    }
    assert votes == {
        "topics_sports": [[1, -1], [0, 0], [-1, 1]],
        "topics_politics": [[0, -1], [0, 1], [-1, 0]],
        "topics_tech": [[1, -1], [0, 0], [-1, 1]],
    }


def test_a_row_per_class_that_is_read_as_wide_is_told_with_the_remedy(folder):
    spec = load_spec(folder / "pipeline.yaml")
    with pytest.raises(ExampleIdError, match=r"if so, set votes: \{format: long\} for this task"):
        read_votes(UPath(folder / "long/part-0.parquet"), spec.tasks[TASKS[0]], tasks=())


def test_label_lists_of_an_lf_that_is_not_there_are_refused(folder):
    spec = write_spec(folder, label_lists={"lf_9": "partial"})
    file = spec.votes_path(TASKS[0], "part-0")
    with pytest.raises(
        LabelMatrixError, match=r"part-0.parquet: there is no LF 'lf_9', which label_lists names"
    ):
        read_votes(file, spec.tasks[TASKS[0]], tasks=())


def row(split, model, class_name, metric, value, n=4, dataset="all"):
    return {
        "split": split,
        "dataset": dataset,
        "model": model,
        "class": class_name,
        "metric": metric,
        "value": value,
        "n_examples": n,
    }


def test_scores_as_text():
    whole = {"f1_micro": 0.5, "f1_macro": None, "subset_accuracy": 0.25, "hamming_loss": 0.125}
    of_class = {"precision": 1.0, "recall": None, "f1": 0.3, "support": 0.0}
    rows = [row("test", "vote", None, *item) for item in whole.items()]
    rows += [row("test", "vote", "a|b", *item) for item in of_class.items()]
    table = pa.Table.from_pylist(rows)
    assert scores_text(table, ["a|b"]).splitlines() == [
        "### test: 4 examples",
        "",
        "|  | micro-F1 | macro-F1 | exactly right | Hamming loss |",
        "| --- | --- | --- | --- | --- |",
        "| plain vote | 0.500 | - | 0.250 | 0.125 |",
        "",
        "| class | support | plain vote: precision / recall / F1 |",
        "| --- | --- | --- |",
        "| a\\|b | 0 | 1.000 / - / 0.300 |",
    ]
    assert "no gold lists" in scores_text(table.slice(0, 0), ["a|b"])
    assert whole_lines("topics", table.slice(0, 0)) == []
