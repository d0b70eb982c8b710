"""What the assets of a task say: its name where it cannot be learned, and tables for the UI."""

import logging

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import main
from ws_pipeline.defs.assets.metadata import lf_table_metadata, table_metadata
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import LabelMatrixError, TrainingError
from ws_pipeline.labeling import LabelModel

SHARDS = ["part-0", "part-1", "part-2"]


def run_all(folder, storage):
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        return definitions.resolve_job_def("retrain").execute_in_process(instance=instance)


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
        (say_once, "NoOverlapWarning", "no example has votes of two LFs"),
        (copy_the_first, "CopiedLFsWarning", "'lf_5' cast the same votes on every example"),
    ],
)
def test_votes_that_tell_nothing_of_the_lfs_are_published_as_the_plain_vote_and_the_cause_is_shown(
    pipeline_folder, storage, change, kind, said
):
    pipeline_folder.set_label_model(kind="matrix_completion")
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
    pipeline_folder.set_label_model(kind="matrix_completion")
    result = run_all(pipeline_folder, storage)
    metadata = result.asset_materializations_for_node("parity__label_model")[0].metadata
    assert metadata["warnings"].data == []
    assert metadata["loss"].value > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (silence, "its 6 LFs vote on none of the 360 examples, nothing can be learned"),
        (keep_two, r"at least 3 labeling functions, got 2 \(lf_0, lf_1\); with fewer"),
    ],
)
def test_a_task_that_cannot_be_learned_is_named_with_what_a_pipeline_can_do(
    pipeline_folder, storage, change, said, capsys
):
    pipeline_folder.set_label_model(kind="matrix_completion")
    edit_votes(pipeline_folder, change)
    with pytest.raises(LabelMatrixError, match=said) as refused:
        run_all(pipeline_folder, storage)
    other = "leave the task out" if change is silence else "set label_model: {kind: auto}"
    remedy = f"in the label model of task 'parity'; add LFs that vote, or {other} in the pipeline.yaml"
    assert refused.value.__notes__ == [remedy]
    main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"])
    assert remedy in capsys.readouterr().err


def test_a_fit_that_fails_names_its_task(pipeline_folder, storage, monkeypatch):
    def diverge(self, *_, **__):
        if self.cardinality == 2:
            message = "the loss is not finite"
            raise TrainingError(message)
        return fit_counts(self, *_, **__)

    pipeline_folder.set_label_model(kind="matrix_completion")
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


def test_of_many_lfs_the_ui_shows_those_that_vote_most():
    n_votes = np.arange(300)[::-1] % 299
    table = pa.table({"lf": [f"lf_{lf}" for lf in range(300)], "n_votes": n_votes})
    few = table.slice(0, 256)
    assert lf_table_metadata("summary", few, n_votes[:256]) == {"summary": table_metadata(few)}
    found = lf_table_metadata("summary", table, n_votes)
    assert found["summary_rows"] == "256 of 300, those with the most votes; the file has all"
    shown = [record.data["n_votes"] for record in found["summary"].records]
    assert sorted(shown) == sorted(np.sort(n_votes)[-256:])
    assert shown == [n for n in n_votes if n in set(shown)]
