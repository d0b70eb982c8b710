"""A run that is interrupted or killed while it trains, and the next run, which ends in the same bytes."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import yaml

from ws_pipeline.classification import DictDataset
from ws_pipeline.classification.data.from_examples import reference_dataset, soft_dataset
from ws_pipeline.defs.automation.dead_runs import PROCESS_TAG
from ws_pipeline.defs.automation.turns import turn_file
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.examples import Examples
from ws_pipeline.storage.file_lock import hold_lock

SHARDS = ["part-0", "part-1", "part-2"]
N_EPOCHS = 150
MODEL = "multitask_classifier.safetensors"
SECONDS = 300  # to wait at most

pytestmark = pytest.mark.slow


def build(spec_path, storage):
    return build_definitions([load_spec(spec_path)], storage=str(storage), device="cpu")


def train(spec_path, storage, **settings):
    """Materialize the classifier alone, from the stored datasets."""
    config = {"n_epochs": N_EPOCHS, **settings}
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            build(spec_path, storage)
            .resolve_job_def("retrain")
            .execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey("multitask_classifier")],
                run_config={"ops": {"multitask_classifier": {"config": config}}},
            )
        )


def metadata_of(result):
    return {
        name: entry.value
        for name, entry in result.asset_materializations_for_node("multitask_classifier")[0].metadata.items()
    }


@pytest.fixture
def datasets(pipeline_folder, storage):
    """A storage folder with what the classifier reads, and dropout in the model."""
    spec = load_spec(pipeline_folder.spec_path)
    content = yaml.safe_load(pipeline_folder.spec_path.read_text())
    content["model"]["dropout"] = 0.2
    pipeline_folder.spec_path.write_text(yaml.safe_dump(content))
    files = {shard: pipeline_folder.examples_file(shard) for shard in SHARDS}
    examples = Examples.concatenate(
        {shard: Examples.from_parquet(file, spec.cardinalities) for shard, file in files.items()}
    )
    probs = {task: np.eye(k)[examples.gold[task]] * 0.7 + 0.3 / k for task, k in spec.cardinalities.items()}
    covered = {task: np.ones(len(examples), dtype=bool) for task in probs}
    soft_dataset(examples, probs=probs, covered=covered).save(storage / "train_dataset.safetensors")
    reference_dataset(examples, split="valid").save(storage / "valid_dataset.safetensors")
    return storage


def stop_another_process(spec_path, storage, number, *, after_epoch, checkpoint_factor):
    """Train in another process, and send it a signal once it has said that an epoch is done.

    Returns its exit status and what it said on standard error.
    """
    with subprocess.Popen(
        [sys.executable, __file__, spec_path, storage, str(checkpoint_factor)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if f" epoch {after_epoch}: " in line:
                process.send_signal(number)
                break
        said += process.stderr.readlines()
        return process.wait(SECONDS), "".join(said)


# Checkpoints are written every so many evaluations.  Where that is more than there are epochs, only the
# interrupt itself can have written one.
@pytest.mark.parametrize(
    ("number", "checkpoint_factor", "status"),
    [(signal.SIGINT, 10 * N_EPOCHS, 1), (signal.SIGKILL, 7, -signal.SIGKILL)],
)
def test_the_next_run_continues_and_ends_in_the_same_bytes(
    pipeline_folder, datasets, tmp_path, number, checkpoint_factor, status
):
    whole = tmp_path / "whole"
    shutil.copytree(datasets, whole)
    uninterrupted = metadata_of(train(pipeline_folder.spec_path, whole, checkpoint_factor=checkpoint_factor))
    assert uninterrupted["resumed_from_step"] == 0
    found, said = stop_another_process(
        pipeline_folder.spec_path, datasets, number, after_epoch=20, checkpoint_factor=checkpoint_factor
    )
    assert found == status, said
    assert f" epoch {N_EPOCHS}: " not in said
    assert ("DagsterExecutionInterruptedError" in said) == (number == signal.SIGINT)
    assert not (datasets / MODEL).exists()
    assert (datasets / "checkpoints/multitask_classifier/last.safetensors").exists()
    resumed = metadata_of(train(pipeline_folder.spec_path, datasets, checkpoint_factor=checkpoint_factor))
    steps_per_epoch = 4
    assert 14 * steps_per_epoch <= resumed["resumed_from_step"] < N_EPOCHS * steps_per_epoch
    assert (datasets / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    assert resumed["history"] == uninterrupted["history"]
    assert resumed["best_epoch"] == uninterrupted["best_epoch"]
    assert not (datasets / "checkpoints/multitask_classifier/last.safetensors").exists()


def test_a_checkpoint_of_other_settings_or_data_is_not_continued(pipeline_folder, datasets):
    stop_another_process(
        pipeline_folder.spec_path, datasets, signal.SIGKILL, after_epoch=5, checkpoint_factor=1
    )
    checkpoint = datasets / "checkpoints/multitask_classifier/last.safetensors"
    interrupted = checkpoint.read_bytes()
    spec = pipeline_folder.spec_path
    resumed = metadata_of(train(spec, datasets, checkpoint_factor=1))
    assert resumed["resumed_from_step"] >= 20
    for change in ({"l2": 0.1}, {"seed": 1}, {"batch_size": 32}):
        checkpoint.write_bytes(interrupted)
        metadata = metadata_of(train(spec, datasets, **({"checkpoint_factor": 1, "n_epochs": 3} | change)))
        assert metadata["resumed_from_step"] == 0
        assert metadata["n_epochs"] == 3
    checkpoint.write_bytes(interrupted)
    path = datasets / "train_dataset.safetensors"
    dataset = DictDataset.load(path)
    dataset.Y_dict["parity"][0] = dataset.Y_dict["parity"][0].flip(0)
    dataset.save(path)
    assert metadata_of(train(spec, datasets, checkpoint_factor=1))["resumed_from_step"] == 0


LAUNCH = """
mutation Launch($selection: [AssetKeyInput!]!, $config: RunConfigData!) {
  launchPipelineExecution(executionParams: {
    selector: {
      repositoryLocationName: "ws_pipeline", repositoryName: "__repository__", pipelineName: "__ASSET_JOB",
      assetSelection: $selection, assetCheckSelection: []
    }, runConfigData: $config, mode: "default"
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
TAGS = "query Tags($run: ID!) { runOrError(runId: $run) { ... on Run { tags { key value } } } }"
TERMINATE = "mutation Stop($run: String!) { terminateRun(runId: $run) { __typename } }"
METADATA = """
query Metadata($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
  assetMaterializations(limit: 1) { runId metadataEntries { label
    ... on IntMetadataEntry { intValue } ... on PathMetadataEntry { path } } } } } }"""


KEY = {"path": ["multitask_classifier"]}


def launch(server):
    """Train in a run of the UI, long enough to be stopped; its id."""
    epochs = {"n_epochs": 400, "checkpoint_factor": 20}
    config = json.dumps({"ops": {"multitask_classifier": {"config": epochs}}})
    launched = server.query(LAUNCH, selection=[KEY], config=config)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def process_of(server, run):
    """The process that has taken up a run, if one has."""
    tags = server.query(TAGS, run=run)["runOrError"]["tags"]
    return next((tag["value"] for tag in tags if tag["key"] == PROCESS_TAG), None)


def status_of(server, run):
    return server.query(STATUS, run=run)["runOrError"]["status"]


@pytest.fixture
def end_of(wait_for):
    """Wait for the end of a run; its status."""

    def wait(server, run):
        def ended():
            status = status_of(server, run)
            return status if status in {"CANCELED", "SUCCESS", "FAILURE"} else None

        return wait_for(ended, SECONDS, "end of the run")

    return wait


def check_continued(server, run, storage):
    """The run has continued a training from a checkpoint, and stored the model."""
    found = server.query(METADATA, key=KEY)["assetOrError"]["assetMaterializations"][0]
    entries = {entry["label"]: entry for entry in found["metadataEntries"]}
    assert found["runId"] == run
    assert 80 <= entries["resumed_from_step"]["intValue"] < 1600
    assert Path(entries["checkpoint_path"]["path"]).exists()
    assert (storage / MODEL).exists()


def test_a_run_that_is_terminated_in_the_ui_is_continued_by_the_next(
    pipeline_folder, datasets, tmp_path, dagster_dev, wait_for, end_of
):
    checkpoint = datasets / "checkpoints/multitask_classifier/last.safetensors"
    with dagster_dev(pipeline_folder.spec_path, datasets, tmp_path / "home") as server:
        first = launch(server)
        wait_for(checkpoint.exists, SECONDS, "checkpoint")
        assert server.query(TERMINATE, run=first)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        assert end_of(server, first) == "CANCELED"
        assert checkpoint.exists()
        assert not (datasets / MODEL).exists()
        second = launch(server)
        assert end_of(server, second) == "SUCCESS"
        check_continued(server, second, datasets)


def test_runs_that_are_killed_with_their_server_do_not_block_the_next(
    pipeline_folder, datasets, tmp_path, dagster_dev, wait_for, end_of
):
    turn, home = turn_file(str(datasets), None), tmp_path / "home"
    with (
        hold_lock(turn, holder="the test", on_wait=pytest.fail),
        dagster_dev(pipeline_folder.spec_path, datasets, home) as server,
    ):
        killed = [launch(server), launch(server)]  # as many as may run at a time; they wait for their turn
        for run in killed:
            wait_for(lambda run=run: process_of(server, run), SECONDS, "process that executes the run")
        server.kill()
    with dagster_dev(pipeline_folder.spec_path, datasets, home) as server:
        assert end_of(server, launch(server)) == "SUCCESS"
        assert [end_of(server, run) for run in killed] == ["FAILURE", "FAILURE"]
    assert (datasets / MODEL).exists()


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), checkpoint_factor=int(sys.argv[3]))
