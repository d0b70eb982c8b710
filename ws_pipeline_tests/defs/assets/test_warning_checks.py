"""Checks that warn of what a person should look at, and block nothing."""

import dagster as dg
import numpy as np
import pytest
import yaml

from ws_pipeline.defs.assets.label_metadata import class_shares
from ws_pipeline.defs.assets.warning_checks import swallowed
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.labeling import ProbabilisticLabels

SHARDS = ["part-0", "part-1", "part-2"]
WARNINGS = {
    "lf_summary": ["coverage", "lfs_above_chance", "lfs_vote", "votes_steady"],
    "lf_families": ["no_near_copies"],
    "probabilistic_labels": ["labels_steady", "no_class_swallows_all"],
}


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        ephemeral.add_dynamic_partitions("toy_shards", SHARDS)
        yield ephemeral


@pytest.fixture
def run(pipeline_folder, storage, instance):
    """A function that runs the labels of the pipeline and gives the checks of a task by name."""

    def run_labels(task="parity", **settings):
        spec = yaml.safe_load(pipeline_folder.spec_path.read_text())
        spec["model"] = None
        spec.pop("trainer", None)
        spec["tasks"][task] |= settings
        pipeline_folder.spec_path.write_text(yaml.safe_dump(spec))
        definitions = build_definitions(
            [load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu"
        )
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        result = definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
        return {
            check.check_name: check
            for check in result.get_asset_check_evaluations()
            if check.asset_key.path[0] == task
        }

    return run_labels


def edit(folder, change, task="parity"):
    for shard in SHARDS:
        folder.edit(folder.votes_file(task, shard), change)


def assert_only(checks, *failed):
    names = {name for names in WARNINGS.values() for name in names}
    assert names < checks.keys()
    assert {name for name in names if not checks[name].passed} == set(failed)
    assert {checks[name].severity for name in names} == {dg.AssetCheckSeverity.WARN}


def test_votes_without_a_fault_pass(run):
    checks = run()
    assert_only(checks)
    for asset, names in WARNINGS.items():
        assert {checks[name].asset_key.path[-1] for name in names} == {asset}
    assert checks["lfs_above_chance"].metadata["n_judged"].value == 6


def test_an_lf_that_never_votes_is_named(run, pipeline_folder):
    edit(pipeline_folder, lambda columns: columns.update(lf_4=[None] * 120))
    checks = run()
    assert_only(checks, "lfs_vote")
    assert checks["lfs_vote"].description == "these never vote: lf_4; mend or remove them"


def test_an_lf_below_chance_is_named(run, pipeline_folder, instance):
    def turn_around(columns):
        columns["lf_5"] = [None if vote is None else 1 - vote for vote in columns["lf_5"]]

    edit(pipeline_folder, turn_around)
    checks = run()
    assert_only(checks, "lfs_above_chance")
    assert "below chance on gold labels: lf_5 (0." in checks["lfs_above_chance"].description
    assert ", chance 0.4" in checks["lfs_above_chance"].description
    warned = [record.user_message for record in instance.all_logs(instance.get_runs(limit=1)[0].run_id)]
    assert any(line.startswith("parity/lf_summary, lfs_above_chance: below chance") for line in warned)


def test_near_copies_are_named(run, pipeline_folder):
    edit(pipeline_folder, lambda columns: columns.update(lf_1=columns["lf_0"]))
    checks = run()
    assert_only(checks, "no_near_copies")
    assert "these say nearly the same: lf_0 = lf_1; keep one" in checks["no_near_copies"].description


def silence_half(columns):
    for name in columns:
        if name != "example_id":
            columns[name][:60] = [None] * 60


def test_a_low_coverage_is_told(run, pipeline_folder):
    edit(pipeline_folder, silence_half)
    checks = run(min_coverage=0.6)
    assert_only(checks, "coverage")
    said = "50.0% of the examples have a vote; add LFs for the others, or lower min_coverage"
    assert checks["coverage"].description == said
    assert run(min_coverage=0.5)["coverage"].passed


def test_a_change_from_one_materialization_to_the_next_is_told(run, pipeline_folder):
    first = run()
    assert first["votes_steady"].metadata["n_compared"].value == 0
    assert run()["votes_steady"].metadata["n_compared"].value == 2

    edit(pipeline_folder, silence_half)
    checks = run()
    assert_only(checks, "votes_steady", "labels_steady")
    assert "coverage 1.000 -> 0.500, conflicts" in checks["votes_steady"].description
    assert checks["votes_steady"].metadata["coverage"].value == pytest.approx(-0.5, abs=0.02)
    assert "look at the new shards and LFs, or raise max_drift" in checks["labels_steady"].description
    assert run(max_drift=0.9)["votes_steady"].passed


@pytest.mark.parametrize(
    ("shares", "of_vote", "said"),
    [
        ([0.5, 0.5], [0.6, 0.4], ""),
        ([0.97, 0.03], [0.9, 0.1], ""),  # nearly so in the vote
        ([0.97, 0.03], [0.7, 0.3], "97.0% of the labels are ham, of those of the plain vote 70.0%"),
        ([0.94, 0.06], [0.7, 0.3], ""),
        ([1, 0], [0.98, 0.02], "no label is spam, although votes are; give class_balance"),
        ([1, 0], [1, 0], ""),
        ([0, 0], [0, 0], ""),
    ],
)
def test_a_class_that_swallows_the_others(shares, of_vote, said):
    found = swallowed(np.array(shares), np.array(of_vote), ["ham", "spam"])
    assert said in found
    assert bool(said) == bool(found)


def test_a_class_that_is_given_to_examples_without_votes_swallows_nothing():
    probs = np.array([[0.9, 0.1], [0.2, 0.8], *[[0.5, 0.5]] * 98])
    covered = np.arange(100) < 2
    labels = ProbabilisticLabels(np.arange(100), probs, covered).for_training(no_votes=0)
    assert (labels.predictions == 0).sum() == 99
    assert class_shares(labels).tolist() == [0.5, 0.5]
