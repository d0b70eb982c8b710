import dagster as dg
import pyarrow.parquet as pq
import pytest

from ws_pipeline.defs.automation.shard_state import (
    ShardChanges,
    all_shards_fingerprint,
    examples_fingerprint,
    ingested_shards,
    register_shards,
    shard_fingerprints,
    trained_fingerprint,
    votes_fingerprint,
)
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.shard_listing import skipped_files
from ws_pipeline.errors import ExamplesError, FileFormatError

SHARDS = ["part-0", "part-1", "part-2"]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def edit(folder, old, new):
    """Replace a text in the pipeline.yaml; return what it says then."""
    text = folder.spec_path.read_text()
    assert old in text
    folder.spec_path.write_text(text.replace(old, new))
    return load_spec(folder.spec_path)


def run(spec, storage, instance, job, shard=None, **options):
    definitions = build_definitions([spec], storage=str(storage), device="cpu")
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=shard, **options
    )


def ingest_all(spec, storage, instance):
    register_shards(spec, instance)
    for shard in SHARDS:
        run(spec, storage, instance, "ingest", shard)


def fingerprint_now(spec, shard):
    return shard_fingerprints(spec, spec.list_files(), [shard])[shard]


def vote_otherwise(columns):
    columns["lf_0"] = [0] * len(columns["lf_0"])


def log_of(instance, result):
    return [entry.user_message for entry in instance.all_logs(result.run_id)]


def test_a_fingerprint_is_of_the_file_and_of_what_it_is_read_with(pipeline_folder):
    spec = load_spec(pipeline_folder.spec_path)
    examples, shape = examples_fingerprint(spec, "part-0"), votes_fingerprint(spec, "shape", "part-0")
    parity = votes_fingerprint(spec, "parity", "part-0")
    assert fingerprint_now(spec, "part-0") == f"{examples}-{parity}-{shape}"
    more = edit(pipeline_folder, "- star", "- star\n    - moon")
    assert votes_fingerprint(more, "shape", "part-0") != shape
    assert votes_fingerprint(more, "parity", "part-0") == parity
    assert examples_fingerprint(more, "part-0") != examples
    named = edit(pipeline_folder, "name: toy", "name: toy\nfeature_columns: [features]")
    assert examples_fingerprint(named, "part-0") != examples_fingerprint(more, "part-0")
    assert votes_fingerprint(named, "shape", "part-0") == votes_fingerprint(more, "shape", "part-0")
    pipeline_folder.edit(pipeline_folder.votes_file("parity", "part-0"), vote_otherwise)
    assert votes_fingerprint(named, "parity", "part-0") != parity


def test_settings_that_no_file_is_read_with_leave_the_fingerprints_alone(pipeline_folder):
    before = fingerprint_now(load_spec(pipeline_folder.spec_path), "part-0")
    assert fingerprint_now(edit(pipeline_folder, "n_epochs: 3", "n_epochs: 4"), "part-0") == before


def as_folder(file, n_files=2):
    """Write a shard's file as Spark does: a folder of files, with checksums and a mark of success."""
    table = pq.read_table(file)
    file.unlink()
    file.mkdir()
    size = -(-len(table) // n_files)
    for number in range(n_files):
        pq.write_table(table.slice(number * size, size), file / f"part-{number:05}-c000.snappy.parquet")
        (file / f".part-{number:05}-c000.snappy.parquet.crc").touch()
    (file / "_SUCCESS").touch()


def test_the_fingerprint_of_a_folder_is_of_the_files_in_it(pipeline_folder):
    spec = load_spec(pipeline_folder.spec_path)
    file = pipeline_folder.examples_file("part-0")
    as_folder(file)
    before = examples_fingerprint(spec, "part-0")
    (file / "_SUCCESS").unlink()
    assert examples_fingerprint(spec, "part-0") == before
    pipeline_folder.edit(
        file / "part-00001-c000.snappy.parquet", lambda columns: columns.update(parity=[0] * 60)
    )
    changed = examples_fingerprint(spec, "part-0")
    assert changed != before
    (file / "part-00000-c000.snappy.parquet").unlink()
    assert examples_fingerprint(spec, "part-0") not in {before, changed}


def test_a_folder_without_files_has_a_fingerprint_and_is_refused_when_it_is_read(
    pipeline_folder, storage, instance
):
    spec = load_spec(pipeline_folder.spec_path)
    file = pipeline_folder.examples_file("part-0")
    file.unlink()
    file.mkdir()
    assert examples_fingerprint(spec, "part-0")
    register_shards(spec, instance)
    with pytest.raises(
        FileFormatError, match=f"^{file}: a folder without any file of data; write the table again"
    ):
        run(spec, storage, instance, "ingest", "part-0")


def test_shards_that_are_folders_are_the_same_as_files(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    register_shards(spec, instance)
    run(spec, storage, instance, "ingest", "part-0")
    files = [
        storage / f"{name}/part-0.parquet"
        for name in ("examples", "shape/label_matrix", "parity/vote_counts")
    ]
    before = [file.read_bytes() for file in files]
    as_folder(pipeline_folder.examples_file("part-0"), n_files=3)
    as_folder(pipeline_folder.votes_file("shape", "part-0"))
    as_folder(pipeline_folder.votes_file("parity", "part-0"))
    assert register_shards(spec, instance) == ShardChanges([], {}, [])
    run(spec, storage, instance, "ingest", "part-0")
    assert [file.read_bytes() for file in files] == before


def test_a_folder_that_is_still_written_to_is_no_shard_yet(pipeline_folder, instance):
    spec = load_spec(pipeline_folder.spec_path)
    file = pipeline_folder.examples_file("part-1")
    as_folder(file)
    (file / "_temporary").mkdir()
    assert register_shards(spec, instance).new == ["part-0", "part-2"]
    assert skipped_files(spec) == {
        "votes/parity/part-1.parquet": "the shard is not complete, missing examples/part-1.parquet"
    }
    (file / "_temporary").rmdir()
    assert register_shards(spec, instance).new == ["part-1"]


def test_partitions_follow_the_files(pipeline_folder, instance):
    spec = load_spec(pipeline_folder.spec_path)
    assert register_shards(spec, instance).new == SHARDS
    pipeline_folder.remove_shard("part-1")
    pipeline_folder.votes_file("shape", "part-2").unlink()
    changes = register_shards(spec, instance)
    assert (changes.new, changes.gone) == ([], ["part-1"])
    assert changes.incomplete == {"part-2": ["votes/shape/part-2.parquet"]}
    assert instance.get_dynamic_partitions("toy_shards") == ["part-0", "part-2"]


def test_the_ui_shows_what_is_in_the_shards(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)
    run(spec, storage, instance, "retrain", asset_selection=[dg.AssetKey("shards")])
    metadata = instance.get_latest_materialization_event(dg.AssetKey("shards")).asset_materialization.metadata
    records = [record.data for record in metadata["summary"].records]
    assert [(record["shard"], record["n_examples"]) for record in records] == [(name, 120) for name in SHARDS]


def test_models_are_of_the_shards_that_they_were_trained_on(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)
    assert trained_fingerprint(spec, instance) is None
    run(spec, storage, instance, "retrain")
    trained = trained_fingerprint(spec, instance)
    assert trained == all_shards_fingerprint(ingested_shards(spec, instance, SHARDS))
    assert trained != all_shards_fingerprint(ingested_shards(spec, instance, SHARDS[:2]))
    run(spec, storage, instance, "retrain", asset_selection=[dg.AssetKey("shards")])
    assert trained_fingerprint(spec, instance) is None


def test_shards_of_another_pipeline_yaml_are_refused_before_any_model_is_fitted(
    pipeline_folder, storage, instance
):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)
    wider = edit(pipeline_folder, "- star", "- star\n    - moon")
    run(wider, storage, instance, "ingest", "part-1")
    result = run(wider, storage, instance, "retrain", raise_on_error=False)
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == ["shards"]
    with pytest.raises(ExamplesError) as refused:
        run(wider, storage, instance, "retrain")
    message = str(refused.value)
    assert (
        "shard 'part-0' has gold labels of 'parity' with 2 classes, 'shape' with 3 classes instead of "
        "'parity' with 2 classes, 'shape' with 4 classes, votes on 'parity' with 2 classes, 'shape' with 3 "
        "classes instead of" in message
    )
    assert "shard 'part-1'" not in message
    assert "ingest again, with the job 'ingest' for part-0, part-2, or by switching on the sensor" in message


def test_a_task_whose_votes_alone_were_ingested_is_refused(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    for shard in SHARDS:
        pipeline_folder.votes_file("parity", shard).rename(
            pipeline_folder.votes_file("parity", shard).with_suffix(".later")
        )
    less = spec.model_copy(update={"tasks": {"shape": spec.tasks["shape"]}})
    ingest_all(less, storage, instance)
    for file in pipeline_folder.root.rglob("*.later"):
        file.rename(file.with_suffix(".parquet"))
    parity = [dg.AssetKey(["parity", name]) for name in ("label_matrix", "vote_counts")]
    for shard in SHARDS:
        run(spec, storage, instance, "ingest", shard, asset_selection=parity)
    with pytest.raises(ExamplesError, match="has gold labels of 'shape' with 3 classes instead of 'parity'"):
        run(spec, storage, instance, "retrain")


def test_other_feature_columns_are_refused(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)
    named = edit(pipeline_folder, "name: toy", "name: toy\nfeature_columns: [length]")
    with pytest.raises(ExamplesError, match=r"feature columns \['features'\] instead of \['length'\]"):
        run(named, storage, instance, "retrain")


def test_training_on_shards_whose_files_changed_is_in_the_log(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)
    only = {"asset_selection": [dg.AssetKey("shards")]}
    quiet = run(spec, storage, instance, "retrain", **only)
    assert not [line for line in log_of(instance, quiet) if "training uses what was ingested" in line]
    pipeline_folder.remove_shard("part-0")
    pipeline_folder.examples_file("part-1").unlink()
    pipeline_folder.edit(pipeline_folder.votes_file("parity", "part-2"), vote_otherwise)
    lines = log_of(instance, run(spec, storage, instance, "retrain", **only))
    for problem in (
        f"shard 'part-0' has no file left in {pipeline_folder.root}",
        "shard 'part-1' lost examples/part-1.parquet",
        "files or settings of shard 'part-2' changed since it was ingested",
    ):
        assert f"{problem}; training uses what was ingested" in lines


def test_files_that_cannot_be_looked_at_stop_no_training(pipeline_folder, storage, instance, monkeypatch):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)

    def fail(_spec):
        message = "no such host"
        raise OSError(message)

    monkeypatch.setattr(type(spec), "list_files", fail)
    result = run(spec, storage, instance, "retrain", asset_selection=[dg.AssetKey("shards")])
    expected = f"the files in {pipeline_folder.root} cannot be looked at (no such host); training uses what"
    assert any(line.startswith(expected) for line in log_of(instance, result))


def test_lf_columns_are_part_of_what_votes_are_ingested_from(pipeline_folder):
    spec = load_spec(pipeline_folder.spec_path)
    shape, parity = (votes_fingerprint(spec, task, "part-0") for task in ("shape", "parity"))
    listed = edit(pipeline_folder, "- star", "- star\n    lf_columns: [lf_0, lf_1, lf_2]")
    assert votes_fingerprint(listed, "shape", "part-0") != shape
    assert votes_fingerprint(listed, "parity", "part-0") == parity
    assert examples_fingerprint(listed, "part-0") == examples_fingerprint(spec, "part-0")
    # a column of the votes that is called as the new task holds its gold labels from now on
    more = edit(pipeline_folder, "tasks:", "tasks:\n  lf_5: {classes: [no_way, yes_way]}")
    assert votes_fingerprint(more, "shape", "part-0") != votes_fingerprint(listed, "shape", "part-0")


def test_other_lf_columns_are_refused_until_the_votes_are_ingested_again(pipeline_folder, storage, instance):
    spec = load_spec(pipeline_folder.spec_path)
    ingest_all(spec, storage, instance)
    listed = edit(pipeline_folder, "- star", "- star\n    lf_columns: [lf_4, lf_1, lf_2]")
    with pytest.raises(ExamplesError) as refused:
        run(listed, storage, instance, "retrain")
    found = "LF columns ['lf_0', 'lf_1', 'lf_2', 'lf_3', 'lf_4', 'lf_5'] of 'shape' instead of"
    assert f"shard 'part-0' has {found} ['lf_4', 'lf_1', 'lf_2']; " in str(refused.value)
    ingest_all(listed, storage, instance)
    run(listed, storage, instance, "retrain", asset_selection=[dg.AssetKey(["shape", "label_model"])])
