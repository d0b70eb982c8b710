"""What the command line says where a pipeline cannot run as it stands."""

from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.cli import main
from ws_pipeline.defs.pipeline import build_definitions, build_resources
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import PipelineSpecError, SettingsError


@pytest.fixture
def run(pipeline_folder, storage, capsys, monkeypatch):
    """Run the pipeline; its exit status, and what was said on standard error."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run_it(*options):
        status = main([str(pipeline_folder.spec_path), "--storage", str(storage), *options])
        return status, capsys.readouterr().err

    return run_it


def beside_checks(said):
    """The lines that are no verdict on the labels, which of so few examples may be worse by chance."""
    return [line for line in said.splitlines() if "not_worse_than_vote" not in line]


def change_spec(folder, **values):
    content = yaml.safe_load(folder.spec_path.read_text())
    folder.spec_path.write_text(yaml.safe_dump(content | values))


def replace_column(file, name, values, kind):
    table = pq.read_table(file)
    changed = table.set_column(table.column_names.index(name), name, pa.array(values(table[name]), kind))
    pq.write_table(changed, file)


def test_files_that_are_skipped_are_named_and_the_others_run(pipeline_folder, run):
    pipeline_folder.votes_file("shape", "part-1").unlink()
    for number in range(12):
        pipeline_folder.examples_file(f"x{number:02}::").touch()
    change_spec(pipeline_folder, model=None, trainer={})
    status, said = run()
    assert status == 0
    lines = beside_checks(said)
    assert lines[0] == (
        "warning: skipped examples/part-1.parquet: the shard is not complete, missing "
        "votes/shape/part-1.parquet"
    )
    assert "examples/x00::.parquet: 'x00::' is not a shard name: use letters, digits" in lines[1]
    assert len(lines) == 11
    assert lines[10] == "warning: skipped 3 more"


def test_a_pipeline_without_any_shard_is_refused_with_its_folder(pipeline_folder, storage, run):
    change_spec(pipeline_folder, data="nowhere")
    status, said = run()
    assert status == 1
    assert said.strip() == (
        f"{pipeline_folder.spec_path}: there is no complete shard in {pipeline_folder.root / 'nowhere'}; "
        "a shard is the files examples/<shard>.parquet, votes/parity/<shard>.parquet, "
        "votes/shape/<shard>.parquet; put them there, or say with the key 'data' where they are; "
        "names may end in .parquet, .csv, .tsv, .jsonl or .ndjson (of text also with .gz)"
    )
    assert not storage.exists()


def test_a_shard_with_a_blank_and_an_umlaut_in_its_name_runs(pipeline_folder, storage, run):
    for folder in ("examples", "votes/shape", "votes/parity"):
        (pipeline_folder.root / folder / "part-1.parquet").rename(
            pipeline_folder.root / folder / "größe 1.parquet"
        )
    change_spec(pipeline_folder, model=None, trainer={})
    status, said = run()
    assert (status, beside_checks(said)) == (0, [])
    assert "größe 1" in pq.read_table(storage / "shards.parquet")["shard"].to_pylist()


def test_a_truncated_file_is_named_with_what_to_do(pipeline_folder, run):
    file = pipeline_folder.votes_file("parity", "part-2")
    file.write_bytes(file.read_bytes()[:-20])
    status, said = run()
    assert status == 1
    assert f"ingest stopped: ws_pipeline.errors.FileFormatError: {file}: not a complete Parquet file" in said
    assert "Not executing" not in said
    assert "write the file again" in said


def test_a_column_that_holds_no_numbers_is_named_with_its_file(pipeline_folder, run):
    file = pipeline_folder.examples_file("part-1")
    replace_column(file, "features", lambda rows: ["a"] * len(rows), pa.string())
    change_spec(pipeline_folder, feature_columns=["features"])
    status, said = run()
    assert status == 1
    assert f"ExamplesError: {file}: feature column 'features' has type string, expected numbers or" in said


def test_lists_of_no_fixed_size_run_when_they_are_named(pipeline_folder, run):
    for number in range(3):
        file = pipeline_folder.examples_file(f"part-{number}")
        replace_column(file, "features", pa.ChunkedArray.to_pylist, pa.list_(pa.float32()))
    change_spec(pipeline_folder, feature_columns=["features"])
    status, said = run("--device", "cpu")
    assert (status, beside_checks(said)) == (0, [])


def test_an_unknown_device_is_refused_with_those_that_are_known(run):
    status, said = run("--device", "gpu")
    assert status == 1
    assert "device: name: unknown device 'gpu', expected auto, cpu, cuda, cuda:N or mps" in said


def test_a_device_that_is_not_there_is_refused_before_any_shard_is_ingested(storage, run):
    status, said = run("--device", "cuda:77")
    assert status == 1
    assert said.strip().startswith("device 'cuda:77' is not available, available: cpu")
    assert not (storage / "examples").exists()


def test_a_resource_that_cannot_be_made_is_told_though_no_step_has_failed(run, monkeypatch):
    failing = Mock(side_effect=OSError("the disk is gone"))
    monkeypatch.setattr("ws_pipeline.defs.resources.ComputeDevice.setup_for_execution", failing)
    status, said = run()
    assert status == 1
    assert "retrain stopped: OSError: the disk is gone" in said


def test_a_history_of_runs_that_cannot_be_used_is_named(run, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "history").mkdir(parents=True)
    (home / "dagster.yaml").touch()
    (home / "history" / "runs.db").write_text("no database")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    status, said = run()
    assert status == 1
    assert f"the history of runs in DAGSTER_HOME ({home}) cannot be used: " in said
    assert "file is not a database" in said


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"run_monitoring: [", "while parsing a flow node"),
        (b"- telemetry", "dictionary"),
        (b"\xff\xfe\xfd", ""),
        (b"run_storage: {module: not_there, class: X}", "not_there"),
    ],
)
def test_settings_of_the_instance_that_cannot_be_read_are_named(run, tmp_path, monkeypatch, content, found):
    (tmp_path / "dagster.yaml").write_bytes(content)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    status, said = run()
    assert status == 1
    assert f"{tmp_path / 'dagster.yaml'} cannot be used, fix it or copy the project's: " in said
    assert found in said


def test_a_storage_that_is_a_file_is_named_with_what_to_do(run, storage):
    storage.touch()
    status, said = run()
    assert status == 1
    assert f"'{storage}' is a file, expected a folder; move the file away, or choose another path" in said


def test_a_storage_of_an_unknown_scheme_is_refused_with_the_nearest(run):
    status, said = run("--storage", "s4://bucket")
    assert status == 1
    assert said.strip() == "'s4://bucket' begins with an unknown scheme 's4', did you mean 's3'?"


def test_checkpoints_of_an_unknown_scheme_are_refused(storage):
    with pytest.raises(SettingsError, match=r"'memmory://x' begins .*, did you mean 'memory'"):
        build_resources(str(storage), checkpoints="memmory://x")


def load_two(tmp_path, first, second):
    """Specs of two files in folders of one name."""
    specs = []
    for parent, values in (("a", first), ("b", second)):
        file = tmp_path / parent / "mail" / "pipeline.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump({"tasks": {"spam": {"classes": ["ham", "spam"]}}} | values))
        specs.append(load_spec(file))
    return specs


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"prefix": "a"}, {"prefix": "b"}, "are both called 'mail', so they would share their shards"),
        ({"name": "x"}, {"name": "y"}, "both have no prefix, so their assets would have the same keys"),
        ({"name": "x", "prefix": "p"}, {"name": "y", "prefix": "p"}, "both have the prefix 'p', so their"),
    ],
)
def test_pipelines_that_would_share_shards_or_assets_are_refused(tmp_path, first, second, message):
    with pytest.raises(PipelineSpecError) as caught:
        build_definitions(load_two(tmp_path, first, second), storage=str(tmp_path))
    files = [tmp_path / parent / "mail" / "pipeline.yaml" for parent in "ab"]
    assert f"{files[0]} and {files[1]} {message}" in str(caught.value)
    assert f"with the key '{'name' if 'both called' in message else 'prefix'}'" in str(caught.value)


def test_pipelines_of_other_names_and_prefixes_live_together(tmp_path):
    specs = load_two(tmp_path, {"name": "x"}, {"name": "y", "prefix": "y"})
    assert build_definitions(specs, storage=str(tmp_path)).resolve_job_def("y_retrain")


def test_labels_that_could_not_be_compared_with_the_vote_are_a_warning(pipeline_folder, run):
    for number in range(3):
        file = pipeline_folder.examples_file(f"part-{number}")
        table = pq.read_table(file)
        gold = [
            None if split == "valid" else value
            for split, value in zip(table["split"].to_pylist(), table["parity"].to_pylist(), strict=True)
        ]
        place = table.column_names.index("parity")
        pq.write_table(table.set_column(place, "parity", pa.array(gold, table["parity"].type)), file)
    change_spec(pipeline_folder, model=None, trainer={})
    status, said = run()
    assert status == 0
    warning = "warning: parity/probabilistic_labels, not_worse_than_vote: no gold label in the valid split"
    assert any(line.startswith(warning) for line in said.splitlines())
    assert beside_checks(said) == []
