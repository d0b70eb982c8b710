"""Labeling functions in the pipeline: what runs again, what is reused, what is refused."""

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ws_pipeline.defs.automation.shard_state import ingested_shards, stale_shards
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import ExamplesError, LabelingFunctionError, LabelMatrixError, PipelineSpecError
from ws_pipeline.labeling import LabelMatrix
from ws_pipeline.labeling.functions import lf_modules

SHARDS = ["part-0", "part-1"]
SPEC = """
name: mail
model: null
tasks:
  spam:
    classes: [ham, spam]
    labeling_functions: {functions}
"""
LFS = """
from pathlib import Path
from ws_pipeline.labeling import keyword_lf, labeling_function

WORDS = ["win", "free"]

def note(name):
    with (Path(__file__).parent / "calls.txt").open("a") as calls:
        calls.write(name + "\\n")

@labeling_function()
def has_word(x):
    note("has_word")
    return 1 if any(word in x.text for word in WORDS) else -1

@labeling_function(vectorized=True)
def is_short(df):
    note("is_short")
    return df.text.str.len().lt(12).map({True: 0, False: -1})

thanks = keyword_lf("thanks", ["thanks"], 0)
"""
TEXTS = ["win now, dear friend", "thanks", "free lunch", "see you tomorrow, thanks", "hello"] * 8


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mail" / "examples").mkdir(parents=True)
    (tmp_path / "mail" / "lfs.py").write_text(LFS)
    for first, shard in enumerate(SHARDS):
        write_examples(tmp_path / "mail", shard, first_id=first * len(TEXTS))
    return tmp_path / "mail"


def write_examples(folder, shard, *, first_id, texts=TEXTS, **columns):
    splits = np.resize(["train", "train", "valid", "test"], len(texts))
    ids = np.arange(first_id, first_id + len(texts))
    gold = ["spam" if "win" in text or "free" in text else "ham" for text in texts]
    frame = pd.DataFrame({"example_id": ids, "split": splits, "text": texts, "spam": gold, **columns})
    frame.to_parquet(folder / "examples" / f"{shard}.parquet")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def load(folder, functions="lfs.py"):
    (folder / "pipeline.yaml").write_text(SPEC.format(functions=functions))
    return load_spec(folder / "pipeline.yaml")


def ingest(folder, storage, instance, *shards, functions="lfs.py"):
    """Ingest shards; return the metadata of the label matrix of each."""
    spec = load(folder, functions)
    job = build_definitions([spec], storage=str(storage)).resolve_job_def("ingest")
    found = {}
    for shard in shards or SHARDS:
        instance.add_dynamic_partitions("mail_shards", [shard])
        result = job.execute_in_process(instance=instance, partition_key=shard)
        made = result.asset_materializations_for_node("spam__label_matrix")
        found[shard] = {name: value.value for name, value in made[0].metadata.items()}
    return found


def retrain(folder, storage, instance):
    job = build_definitions([load(folder)], storage=str(storage)).resolve_job_def("retrain")
    return job.execute_in_process(instance=instance)


def calls(folder):
    """Which functions were called since the last look, one by one."""
    file = folder / "calls.txt"
    found = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def votes(storage, shard="part-0"):
    return LabelMatrix.from_table(pq.read_table(storage / f"spam/label_matrix/{shard}.parquet"))


def columns(storage, shard="part-0"):
    table = pq.read_table(storage / f"spam/label_matrix/{shard}.parquet")
    return {name: table[name].to_pylist() for name in table.column_names}


def edit(folder, old, new):
    text = (folder / "lfs.py").read_text()
    assert text.count(old) == 1
    (folder / "lfs.py").write_text(text.replace(old, new))


def test_votes_are_those_of_the_functions(folder, storage, instance):
    metadata = ingest(folder, storage, instance)
    found = votes(storage)
    assert found.lf_names == ("has_word", "is_short", "thanks")
    assert found.votes[:5].tolist() == [[1, -1, -1], [-1, 0, 0], [1, 0, -1], [-1, -1, 0], [-1, 0, -1]]
    assert metadata["part-0"]["n_lfs_applied"] == 3
    assert metadata["part-0"]["n_without_votes"] == 0
    assert metadata["part-1"]["n_examples"] == 40
    assert retrain(folder, storage, instance).success


def test_labels_are_those_of_votes_files_with_the_same_votes(folder, storage, instance, tmp_path):
    ingest(folder, storage, instance)
    assert retrain(folder, storage, instance).success
    for shard in SHARDS:
        (folder / "votes/spam").mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pq.read_table(storage / f"spam/label_matrix/{shard}.parquet").replace_schema_metadata(),
            folder / f"votes/spam/{shard}.parquet",
        )
    text = SPEC.format(functions="x").replace("    labeling_functions: x\n", "")
    (folder / "pipeline.yaml").write_text(text)
    definitions = build_definitions([load_spec(folder / "pipeline.yaml")], storage=str(tmp_path / "files"))
    with dg.DagsterInstance.ephemeral() as other:
        for shard in SHARDS:
            other.add_dynamic_partitions("mail_shards", [shard])
            definitions.resolve_job_def("ingest").execute_in_process(instance=other, partition_key=shard)
        definitions.resolve_job_def("retrain").execute_in_process(instance=other)
    name = "spam/probabilistic_labels.parquet"
    assert (storage / name).read_bytes() == (tmp_path / "files" / name).read_bytes()


def test_only_functions_that_changed_run_again(folder, storage, instance):
    ingest(folder, storage, instance)
    assert calls(folder) == ["is_short", *["has_word"] * 40] * 2
    before = columns(storage)
    edit(folder, "lt(12)", "lt(7)")
    metadata = ingest(folder, storage, instance)
    assert calls(folder) == ["is_short"] * 2
    assert metadata["part-0"]["n_lfs_applied"] == 1
    after = columns(storage)
    assert after["is_short"][:5] == [None, 0, None, None, 0]
    assert {name: after[name] for name in ("has_word", "thanks")} == {
        name: before[name] for name in ("has_word", "thanks")
    }


def test_nothing_runs_again_when_nothing_changed_and_the_file_is_the_same(folder, storage, instance):
    ingest(folder, storage, instance)
    calls(folder)
    before = (storage / "spam/label_matrix/part-0.parquet").read_bytes()
    assert ingest(folder, storage, instance)["part-0"]["n_lfs_applied"] == 0
    assert calls(folder) == []
    assert (storage / "spam/label_matrix/part-0.parquet").read_bytes() == before


def test_a_word_in_a_list_that_a_function_reads_makes_it_run_again(folder, storage, instance):
    ingest(folder, storage, instance)
    calls(folder)
    edit(folder, '["win", "free"]', '["win"]')
    ingest(folder, storage, instance, "part-0")
    assert calls(folder) == ["has_word"] * 40
    assert votes(storage).votes[:3, 0].tolist() == [1, -1, -1]


def test_functions_come_and_go(folder, storage, instance):
    ingest(folder, storage, instance)
    calls(folder)
    edit(folder, 'thanks = keyword_lf("thanks", ["thanks"], 0)', 'hello = keyword_lf("hello", ["hello"], 0)')
    assert ingest(folder, storage, instance)["part-1"]["n_lfs_applied"] == 1
    assert calls(folder) == []
    assert votes(storage).lf_names == ("has_word", "is_short", "hello")
    assert votes(storage).votes[:5, 2].tolist() == [-1, -1, -1, -1, 0]


def test_other_examples_are_voted_on_by_all(folder, storage, instance):
    ingest(folder, storage, instance)
    calls(folder)
    write_examples(folder, "part-0", first_id=0, texts=TEXTS[::-1])
    assert ingest(folder, storage, instance, "part-0")["part-0"]["n_lfs_applied"] == 3
    assert votes(storage).votes[:2].tolist() == [[-1, 0, -1], [-1, -1, 0]]


def test_changed_functions_make_shards_stale_and_a_retrain_refuse_them(folder, storage, instance):
    ingest(folder, storage, instance)
    spec = load(folder)
    ingested = ingested_shards(spec, instance, SHARDS)
    assert stale_shards(spec, spec.list_files(), ingested) == {}
    edit(folder, "lt(12)", "lt(7)")
    assert list(stale_shards(spec, spec.list_files(), ingested)) == SHARDS
    with pytest.raises(ExamplesError, match="votes of 'spam' that were made by other labeling functions"):
        retrain(folder, storage, instance)
    ingest(folder, storage, instance)
    assert retrain(folder, storage, instance).success


def test_the_sensor_ingests_all_shards_after_an_edit(folder, storage, instance):
    definitions = build_definitions([load(folder)], storage=str(storage))

    def tick():
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        result = definitions.resolve_sensor_def("new_shards")(context)
        return [(request.job_name, request.partition_key) for request in result.run_requests or []]

    ingest(folder, storage, instance)
    assert tick() == [("retrain", None)]
    edit(folder, "lt(12)", "lt(7)")  # the code location is not loaded again
    assert tick() == [("ingest", "part-0"), ("ingest", "part-1")]
    edit(folder, "lt(7)", "lt(7")
    with pytest.raises(
        LabelingFunctionError, match=r"tasks\.spam\.labeling_functions: .*lfs\.py, line 19: .*Syntax"
    ):
        tick()


def test_functions_that_look_different_in_every_process_are_not_applied_for_ever(folder, storage, instance):
    edit(folder, 'WORDS = ["win", "free"]', "from random import random\nWORDS = [str(random())]")
    definitions = build_definitions([load(folder)], storage=str(storage))
    instance.add_dynamic_partitions("mail_shards", SHARDS)

    def tick():
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        return definitions.resolve_sensor_def("new_shards")(context)

    def execute(request):
        job, tags = definitions.resolve_job_def(request.job_name), request.tags
        seen_by_the_sensor = dict(lf_modules._loaded)
        lf_modules._loaded.clear()  # a run has a process of its own, which imports the module again
        job.execute_in_process(instance=instance, partition_key=request.partition_key, tags=tags)
        lf_modules._loaded.update(seen_by_the_sensor)

    for _ in range(3):
        requests = tick().run_requests
        assert [request.partition_key for request in requests] == SHARDS
        for request in requests:
            execute(request)
    result = tick()
    assert not result.run_requests
    said = result.skip_reason.skip_message
    assert said.startswith(
        "retraining waits for shard 'part-0', whose ingest succeeds each time, but its labeling "
    )
    assert "have none read a random number or the time" in said


def test_functions_see_no_gold_and_no_split(folder, storage, instance):
    edit(folder, "any(word in x.text for word in WORDS)", "x.spam")
    with pytest.raises(LabelingFunctionError, match="LF 'has_word' failed on example 0: AttributeError"):
        ingest(folder, storage, instance)


def test_a_failing_function_is_named_with_its_example_and_nothing_is_lost(folder, storage, instance):
    ingest(folder, storage, instance)
    before = (storage / "spam/label_matrix/part-1.parquet").read_bytes()
    edit(folder, "any(word in x.text for word in WORDS)", "1 / (x.example_id - 43)")
    with pytest.raises(ZeroDivisionError, match="LF 'has_word' failed on example 43: ZeroDivisionError"):
        ingest(folder, storage, instance, "part-1")
    assert (storage / "spam/label_matrix/part-1.parquet").read_bytes() == before


@pytest.mark.parametrize("processes", [1, 2])
def test_tolerated_faults_are_counted(folder, storage, instance, processes):
    edit(folder, "any(word in x.text for word in WORDS)", "1 / (x.example_id - 43)")
    settings = f"{{module: lfs.py, fault_tolerant: true, processes: {processes}}}"
    metadata = ingest(folder, storage, instance, functions=settings)
    assert [metadata[shard]["n_faults"] for shard in SHARDS] == [0, 1]
    assert votes(storage, "part-1").votes[2:5, 0].tolist() == [1, -1, 1]


def test_tolerated_faults_are_remembered_and_no_longer_tolerated_when_the_key_is_gone(
    folder, storage, instance
):
    edit(folder, "any(word in x.text for word in WORDS)", "1 / (x.example_id - 43)")
    tolerant = "{module: lfs.py, fault_tolerant: true}"
    ingest(folder, storage, instance, functions=tolerant)
    again = ingest(folder, storage, instance, functions=tolerant)["part-1"]
    assert (again["n_lfs_applied"], again["n_faults"]) == (0, 1)
    with pytest.raises(ZeroDivisionError, match="LF 'has_word' failed on example 43"):
        ingest(folder, storage, instance, "part-1")


def test_columns_win_over_what_a_series_has(folder, storage, instance):
    write_examples(folder, "part-0", first_id=0, size=np.arange(40), name="x")
    edit(folder, "any(word in x.text for word in WORDS)", "x.size > 37 and x.name == 'x'")
    ingest(folder, storage, instance, "part-0")
    assert votes(storage).votes[:, 0].tolist() == [-1] * 38 + [1, 1]


def test_a_column_that_becomes_the_gold_of_a_new_task_is_no_longer_read(folder, storage, instance):
    write_examples(folder, "part-0", first_id=0, other=["a", "b"] * 20)
    edit(folder, "any(word in x.text for word in WORDS)", "x.other == 'a'")
    ingest(folder, storage, instance, "part-0")
    text = (folder / "pipeline.yaml").read_text()
    (folder / "pipeline.yaml").write_text(text + "  other: {classes: [a, b], labeling_functions: lfs.py}\n")
    definitions = build_definitions([load_spec(folder / "pipeline.yaml")], storage=str(storage))
    with pytest.raises(LabelingFunctionError, match="LF 'has_word' failed on example 0"):
        definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key="part-0")


def test_a_vote_for_no_class_is_refused(folder, storage, instance):
    edit(folder, "return 1 if", "return 2 if")
    said = r"LF 'has_word' votes 2 on example 0, expected an integer from -1 \(abstain\) to 1"
    with pytest.raises(LabelMatrixError, match=said):
        ingest(folder, storage, instance)


def test_listed_functions_are_the_lfs(folder, storage, instance):
    spec = SPEC.format(functions="lfs.py") + "    lf_columns: [thanks, has_word]\n"
    (folder / "pipeline.yaml").write_text(spec)
    definitions = build_definitions([load_spec(folder / "pipeline.yaml")], storage=str(storage))
    instance.add_dynamic_partitions("mail_shards", ["part-0"])
    definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key="part-0")
    assert votes(storage).lf_names == ("thanks", "has_word")


def test_a_module_that_is_not_there_is_named_with_the_key(folder, storage, instance):
    said = r"pipeline\.yaml: tasks\.spam\.labeling_functions: .*lf\.py"
    with pytest.raises(Exception, match=said):
        ingest(folder, storage, instance, functions="lf.py")


def test_votes_files_and_functions_exclude_each_other(folder):
    with pytest.raises(
        PipelineSpecError, match="votes says how votes files are written, but labeling_functions"
    ):
        load(folder, "lfs.py\n    votes: {format: long}")
