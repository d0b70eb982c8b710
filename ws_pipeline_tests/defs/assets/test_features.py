"""Features in the Dagster face: the metadata of the examples, the log, and what is refused at ingest."""

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.defs.automation.shard_state import register_shards
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import ExampleIdError, ExamplesError

SHARDS = ["part-0", "part-1", "part-2"]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def ingest(pipeline_folder, storage, instance):
    """Ingest a shard; the metadata of its examples and what was logged."""

    def ingest_it(shard="part-0", **changes):
        content = yaml.safe_load(pipeline_folder.spec_path.read_text())
        pipeline_folder.spec_path.write_text(yaml.safe_dump(content | changes))
        spec = load_spec(pipeline_folder.spec_path)
        register_shards(spec, instance)
        definitions = build_definitions([spec], storage=str(storage), device="cpu")
        job = definitions.resolve_job_def("ingest")
        result = job.execute_in_process(instance=instance, partition_key=shard)
        (found,) = result.asset_materializations_for_node("examples")
        lines = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level >= 30]
        return found.metadata, lines

    return ingest_it


def add_columns(folder, shard="part-0", **columns):
    """Add columns to a shard's examples, or replace them."""
    file = folder.examples_file(shard)
    table = pq.read_table(file)
    for name, column in columns.items():
        values = column if isinstance(column, pa.Array) else pa.array(column)
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, values)
    pq.write_table(table, file)
    return file


def test_the_columns_that_feed_the_model_and_the_others_are_in_the_metadata(pipeline_folder, ingest):
    file = add_columns(pipeline_folder, size=range(120), x1=["1"] * 119 + ["n.a."], seen=pa.nulls(120))
    metadata, lines = ingest()
    assert metadata["feature_columns"].value == {"features": 5, "size": 1}
    assert metadata["n_features"].value == 6
    assert [record.data for record in metadata["left_out_columns"].records] == [
        {
            "column": "x1",
            "type": "string",
            "reason": "numbers written as text in 119 of 120 rows, but others hold 'n.a.'",
        },
        {"column": "seen", "type": "null", "reason": "no value in any row"},
    ]
    (line,) = lines
    assert line.startswith(
        f"LeftOutColumnWarning: {file}: 2 columns are no features: 'x1' (string): numbers written as text in "
        "119 of 120 rows, but others hold 'n.a.'; 'seen' (null): no value in any row; the features are "
        "['features', 'size']; "
    )


def test_named_columns_leave_the_others_out_without_a_warning(pipeline_folder, ingest):
    add_columns(pipeline_folder, size=range(120))
    metadata, lines = ingest(feature_columns=["features"])
    assert metadata["feature_columns"].value == {"features": 5}
    assert [record.data["column"] for record in metadata["left_out_columns"].records] == ["size"]
    assert lines == []


def test_examples_that_feed_no_model_are_refused_at_ingest(pipeline_folder, ingest):
    file = add_columns(pipeline_folder, features=["a"] * 120)
    with pytest.raises(ExamplesError) as refused:
        ingest()
    assert str(refused.value) == (
        f"{file}: no column can feed the end model: 'features' (string): text, such as 'a'; write the "
        "features as numbers, or as lists of numbers of one length, name columns of text under 'features' in "
        f"{pipeline_folder.spec_path}, or set 'model: null' there to stop at the labels"
    )


def test_examples_without_any_other_column_are_refused_at_ingest(pipeline_folder, ingest):
    file = pipeline_folder.examples_file("part-0")
    pq.write_table(pq.read_table(file).drop_columns(["features"]), file)
    expected = (
        "no column can feed the end model: there is no column beside ids, splits and gold labels; write"
    )
    with pytest.raises(ExamplesError, match=expected):
        ingest()


def test_a_pipeline_without_an_end_model_needs_no_feature(pipeline_folder, ingest):
    add_columns(pipeline_folder, features=["a"] * 120)
    metadata, _ = ingest(model=None, trainer={})
    assert metadata["feature_columns"].value == {}


def test_votes_on_an_id_of_another_spelling_are_refused_by_name(pipeline_folder, ingest):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    others = [f"id {row}" for row in range(119)]
    add_columns(pipeline_folder, example_id=[composed, *others])
    file = pipeline_folder.votes_file("shape", "part-0")
    for task, ids in (("shape", [decomposed, *others]), ("parity", [composed, *others])):
        table = pq.read_table(pipeline_folder.votes_file(task, "part-0"))
        changed = table.set_column(0, "example_id", pa.array(ids))
        pq.write_table(changed, pipeline_folder.votes_file(task, "part-0"))
    with pytest.raises(ExampleIdError) as refused:
        ingest()
    assert str(refused.value) == (
        rf"{file}: example 'cafe\u0301' is 'caf\xe9' in the examples file; they differ only in their Unicode "
        "form (1 such ids); write every id in one way: in the Unicode form NFC, without blanks around it"
    )


@pytest.mark.parametrize("named", [{}, {"feature_columns": ["features"]}])
def test_a_shard_without_rows_goes_with_the_others(named, pipeline_folder, storage, instance, ingest):
    for file in (pipeline_folder.examples_file("part-1"), pipeline_folder.votes_file("shape", "part-1")):
        table = pq.read_table(file).slice(0, 0)
        pq.write_table(pa.table({name: pa.nulls(0) for name in table.column_names}), file)
    votes = pipeline_folder.votes_file("parity", "part-1")
    pq.write_table(pq.read_table(votes).slice(0, 0), votes)
    for shard in SHARDS:
        metadata, lines = ingest(shard, **named)
        assert lines == []
        assert metadata["n_features"].value == (0 if shard == "part-1" else 5)
    definitions = build_definitions(
        [load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu"
    )
    result = definitions.resolve_job_def("retrain").execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("shards")]
    )
    assert result.success
    assert pq.read_table(storage / "shards.parquet")["n_examples"].to_pylist() == [120, 0, 120]
