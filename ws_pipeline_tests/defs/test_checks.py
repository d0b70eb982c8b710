import dagster as dg
import numpy as np
import pytest

from ws_pipeline.defs.checks import compare_with_vote
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec import load_spec
from ws_pipeline.labeling import LabelModel
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels

SHARDS = ["part-0", "part-1", "part-2"]


def labels(classes, *, covered=None):
    """Labels that are sure of a class; -1 is an even tie."""
    probs = np.array([[0.5, 0.5] if c < 0 else np.eye(2)[c] for c in classes])
    covered = np.ones(len(classes), dtype=bool) if covered is None else np.array(covered)
    return ProbabilisticLabels(np.arange(len(classes)), probs, covered)


def test_labels_as_good_as_the_vote_pass():
    result = compare_with_vote(labels([0, 1, 1]), labels([0, 1, 0]), np.array([0, 1, 1]))
    assert result.passed
    assert result.metadata["n_won"].value == 1
    assert "label model 1.000, plain vote 0.667" in result.description


def test_labels_slightly_worse_than_the_vote_warn():
    result = compare_with_vote(labels([0, 0, 1]), labels([0, 1, 1]), np.array([0, 1, 1]))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_labels_worse_than_the_vote_beyond_chance_are_an_error():
    gold = np.array([0, 1] * 10)
    result = compare_with_vote(labels(1 - gold), labels(gold), gold)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.ERROR
    assert result.metadata["n_lost"].value == 20


def test_a_tie_counts_half():
    result = compare_with_vote(labels([0]), labels([-1]), np.array([0]))
    assert "label model 1.000, plain vote 0.500" in result.description


def test_rows_without_gold_or_without_votes_are_left_out():
    gold = np.array([0, -1, 1])
    result = compare_with_vote(labels([0, 0, 0], covered=[True, True, False]), labels([0, 0, 0]), gold)
    assert result.metadata["n_gold"].value == 1


@pytest.mark.parametrize(("gold", "covered"), [([-1, -1], [True, True]), ([1, -1], [False, True])])
def test_without_any_gold_to_compare_with_the_check_warns_and_says_what_to_do(gold, covered):
    result = compare_with_vote(labels([0, 1], covered=covered), labels([1, 1]), np.array(gold))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    agreement = np.mean(np.array([False, True])[covered])
    assert result.metadata["agreement_with_vote"].value == agreement
    assert result.description == (
        "no gold label in the valid split on an example with votes, so it is not known whether the labels "
        f"are worse than the plain vote; the two agree on {agreement:.1%} of the examples with votes; "
        "add some gold to the valid split"
    )


def only_class_zero(model, matrix):
    return np.eye(model.cardinality)[np.zeros(len(matrix), dtype=int)]


@pytest.fixture
def bad_labels(pipeline_folder, storage, monkeypatch):
    """A function that runs part of a pipeline whose probabilistic labels are worse than the vote."""
    definitions = build_definitions(
        [load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu"
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        retrain = definitions.resolve_job_def("retrain")
        retrain.execute_in_process(instance=instance)
        monkeypatch.setattr(LabelModel, "predict_proba", only_class_zero)
        assert not retrain.execute_in_process(instance=instance, raise_on_error=False).success

        def run(*assets):
            keys = [dg.AssetKey(name.split("/")) for name in assets]
            return dg.materialize(
                definitions.resolve_asset_graph().assets_defs,
                selection=dg.AssetSelection.assets(*keys).without_checks(),
                instance=instance,
                raise_on_error=False,
            )

        yield run


@pytest.mark.parametrize(
    "assets",
    [
        ["train_dataset", "multitask_classifier", "predictions", "scores"],
        ["parity/probabilistic_labels", "train_dataset"],
    ],
)
def test_bad_labels_are_not_trained_on_whatever_is_selected(bad_labels, storage, assets):
    results = [storage / f"{name}.safetensors" for name in ("train_dataset", "multitask_classifier")]
    before = [file.read_bytes() for file in results]
    result = bad_labels(*assets)
    failed = [event for event in result.all_events if event.is_step_failure]
    assert [event.step_key for event in failed] == ["train_dataset"]
    data = failed[0].step_failure_data.user_failure_data
    said = "parity/probabilistic_labels, compared with parity/majority_vote: accuracy on 75 valid examples"
    assert data.description.startswith(said)
    assert "look for weak LFs in lf_summary" in data.description
    assert data.metadata["n_lost"].value > data.metadata["n_won"].value
    assert not result.get_asset_check_evaluations()
    assert [file.read_bytes() for file in results] == before
