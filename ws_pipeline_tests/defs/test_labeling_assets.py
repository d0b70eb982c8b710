"""What the assets of a task say: its name where it cannot be learned, and tables for the UI."""

import logging

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec import load_spec
from ws_pipeline.defs.table_metadata import table_metadata
from ws_pipeline.errors import LabelMatrixError, TrainingError
from ws_pipeline.labeling import LabelModel

SHARDS = ["part-0", "part-1", "part-2"]


def run_all(folder, storage, **options):
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        return definitions.resolve_job_def("retrain").execute_in_process(instance=instance, **options)


def run_and_read_log(folder, storage):
    """The run, and the warnings in its log."""
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        result = definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
        records = instance.all_logs(result.run_id)
    return result, [record.user_message for record in records if record.level == logging.WARNING]


def run_and_read_log(folder, storage):
    """The run, and the warnings in its log."""
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        result = definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
        records = instance.all_logs(result.run_id)
    return result, [record.user_message for record in records if record.level == logging.WARNING]


def edit_votes(folder, change):
    for shard in SHARDS:
        folder.edit(folder.votes_file("parity", shard), change)


def silence(columns):
    columns |= {name: [None] * 120 for name in columns if name != "example_id"}


def keep_two(columns):
    for name in list(columns)[3:]:
        del columns[name]


def say_one(columns):
    columns |= {
        name: [None if vote is None else 1 for vote in votes]
        for name, votes in columns.items()
        if name != "example_id"
    }


def say_once(columns):
    names = [name for name in columns if name != "example_id"]
    for row in range(120):
        for name in names[: row % 6] + names[row % 6 + 1 :]:
            columns[name][row] = None


def copy_the_first(columns):
    columns |= {name: columns["lf_0"] for name in columns if name != "example_id"}


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (say_one, "OneClassVotesWarning", "votes are for class 1: nobody ever disagrees"),
        (say_once, "NoOverlapWarning", "no example has votes of two LFs"),
        (copy_the_first, "CopiedLFsWarning", "'lf_5' cast the same votes on every example"),
    ],
)
def test_votes_that_tell_nothing_of_the_lfs_are_published_as_the_plain_vote_and_the_cause_is_shown(
    pipeline_folder, storage, change, kind, said
):
    edit_votes(pipeline_folder, change)
    result, told = run_and_read_log(pipeline_folder, storage)
    metadata = result.asset_materializations_for_node("parity__label_model")[0].metadata
    (warning,) = metadata["warnings"].data
    assert warning.startswith(f"{kind}: ")
    assert said in warning
    assert warning in told
    assert metadata["n_epochs"].value == 0
    assert "loss" not in metadata
    labels, vote = (
        pq.read_table(next(storage.rglob(f"parity/{name}.parquet")))
        for name in ("probabilistic_labels", "majority_vote")
    )
    assert labels["prediction"] == vote["prediction"]
    assert labels["covered"].to_pylist().count(True) > 200


def test_a_fit_without_a_fault_has_no_warnings(pipeline_folder, storage):
    result = run_all(pipeline_folder, storage)
    metadata = result.asset_materializations_for_node("parity__label_model")[0].metadata
    assert metadata["warnings"].data == []
    assert metadata["loss"].value > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (silence, "the 6 LFs vote on none of the 360 examples; add LFs that vote"),
        (keep_two, r"2 LF\(s\), lf_0, lf_1, are too few .*, at least 3 are needed; add LFs that vote"),
    ],
)
def test_a_task_that_cannot_be_learned_is_named_with_what_a_pipeline_can_do(
    pipeline_folder, storage, change, said
):
    edit_votes(pipeline_folder, change)
    with pytest.raises(LabelMatrixError, match=said) as refused:
        run_all(pipeline_folder, storage)
    assert str(refused.value).endswith("or leave the task out of the pipeline.yaml")
    assert refused.value.__notes__ == ["in the label model of task 'parity'"]


def test_a_fit_that_fails_names_its_task(pipeline_folder, storage, monkeypatch):
    def diverge(self, *_, **__):
        if self.cardinality == 2:
            message = "the loss is not finite"
            raise TrainingError(message)
        return fit_counts(self, *_, **__)

    fit_counts = LabelModel.fit_counts
    monkeypatch.setattr(LabelModel, "fit_counts", diverge)
    with pytest.raises(TrainingError) as failed:
        run_all(pipeline_folder, storage)
    assert failed.value.__notes__ == ["in the label model of task 'parity'"]


def test_the_ui_shows_the_summary_of_the_lfs(pipeline_folder, storage):
    result = run_all(pipeline_folder, storage)
    summary = result.asset_materializations_for_node("shape__lf_summary")[0].metadata["summary"]
    rows = [record.data for record in summary.records]
    assert [row["lf"] for row in rows] == [f"lf_{i}" for i in range(6)]
    assert rows[0]["polarity"] == "0, 1, 2"
    assert 0.5 < rows[0]["accuracy"] < 1
    assert {column.name: column.type for column in summary.schema.columns}["n_votes"] == "int"


def test_a_table_in_the_metadata_has_rounded_numbers_and_lists_as_text():
    columns = {"name": ["a", None], "n": [1, 2], "share": [1 / 3, None], "classes": [[0, 2], []]}
    shown = table_metadata(pa.table(columns))
    assert [record.data for record in shown.records] == [
        {"name": "a", "n": 1, "share": 0.3333, "classes": "0, 2"},
        {"name": None, "n": 2, "share": None, "classes": ""},
    ]
    assert [column.type for column in shown.schema.columns] == ["string", "int", "float", "string"]


def logged_warnings(folder, storage):
    """Warnings that the ingestion and the training of a folder log, by asset."""
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        runs = [
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
            for shard in SHARDS
        ]
        retrain = definitions.resolve_job_def("retrain")
        # the labels may be refused: this is about the warnings before
        runs.append(retrain.execute_in_process(instance=instance, raise_on_error=False))
        logs = [entry for run in runs for entry in instance.all_logs(run.run_id) if entry.level == 30]
    return [(entry.step_key, entry.user_message) for entry in logs if "Warning: " in entry.user_message]


def put_gold_among_votes(folder, name):
    """Copy the gold labels of 'parity' into a column of the votes files."""
    for shard in SHARDS:
        gold = pq.read_table(folder.examples_file(shard))["parity"]
        file = folder.votes_file("parity", shard)
        pq.write_table(pq.read_table(file).append_column(name, gold), file)


@pytest.mark.parametrize("name", ["parity", "shape", "gold", "split"])
def test_a_column_that_means_something_else_is_refused_before_anything_is_learned(
    pipeline_folder, storage, name
):
    put_gold_among_votes(pipeline_folder, name)
    with pytest.raises(LabelMatrixError) as refused:
        run_all(pipeline_folder, storage)
    file = pipeline_folder.votes_file("parity", "part-0")
    assert str(refused.value).startswith(f"{file}: by its name, '{name}' is no LF, but holds ")
    assert str(refused.value).endswith("leave it out, or list the LF columns with lf_columns")


def test_gold_labels_under_another_name_are_warned_of(pipeline_folder, storage):
    put_gold_among_votes(pipeline_folder, "annotation")
    warned = logged_warnings(pipeline_folder, storage)
    expected = (
        "GoldVotesWarning: equal to gold on every example where both are known: 'annotation' (360 examples); "
        "if these are gold labels and no LFs, leave them out of the votes: they make every score perfect"
    )
    assert ("parity__lf_summary", expected) in warned
    assert [step for step, message in warned if message.startswith("GoldVotes")] == ["parity__lf_summary"]


def test_listed_lf_columns_are_all_that_is_read(pipeline_folder, storage):
    put_gold_among_votes(pipeline_folder, "parity")
    text = pipeline_folder.spec_path.read_text()
    pipeline_folder.spec_path.write_text(text.replace("- odd", "- odd\n    lf_columns: [lf_3, lf_0, lf_1]"))
    summaries = [dg.AssetKey([task, "lf_summary"]) for task in ("shape", "parity")]
    result = run_all(pipeline_folder, storage, asset_selection=summaries)
    summary = result.asset_materializations_for_node("parity__lf_summary")[0].metadata["summary"]
    assert [record.data["lf"] for record in summary.records] == ["lf_3", "lf_0", "lf_1"]
    rows = result.asset_materializations_for_node("shape__lf_summary")[0].metadata["summary"].records
    assert len(rows) == 6


def test_an_index_in_a_votes_file_is_in_the_log(pipeline_folder, storage):
    file = pipeline_folder.votes_file("shape", "part-1")
    frame = pq.read_table(file).to_pandas()
    frame.set_axis(range(5, 5 + len(frame))).sample(frac=1, random_state=0).to_parquet(file)
    warned = logged_warnings(pipeline_folder, storage)
    expected = (
        f"LeftOutColumnWarning: {file}: column(s) ['__index_level_0__'] left out: the index of a pandas frame"
    )
    assert [step for step, message in warned if message.startswith(expected)] == ["shape__label_matrix"]
