import dagster as dg
import numpy as np
import pytest

from ws_pipeline.defs.assets.checks import check_result, find_fault
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.labeling import AutoLabelModel, ProbabilisticLabels, VoteComparison

SHARDS = ["part-0", "part-1", "part-2"]


def comparison(**values):
    same = {"n_compared": 20, "n_won": 0, "n_lost": 0, "accuracy": 0.5, "vote_accuracy": 0.5}
    return VoteComparison(**same | {"agreement": 1.0, "p_value": 1.0} | values)


def test_labels_as_good_as_the_vote_pass():
    result = check_result(comparison(n_compared=3, n_won=1, accuracy=1.0, vote_accuracy=2 / 3))
    assert result.passed
    assert result.metadata["n_won"].value == 1
    assert result.description == (
        "accuracy on 3 valid examples with gold: label model 1.000, plain vote 0.667"
    )


def test_labels_slightly_worse_than_the_vote_warn():
    result = check_result(comparison(n_lost=1, accuracy=0.45, p_value=0.5))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_labels_worse_than_the_vote_beyond_chance_are_an_error():
    result = check_result(comparison(n_lost=20, accuracy=0.0, p_value=2.0**-20))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.ERROR
    assert result.metadata["n_lost"].value == 20
    assert result.metadata["p_value"].value == 2.0**-20
    assert result.description.endswith(
        "; the labels are older than the gold labels: materialize label_model and its labels again"
    )


def test_labels_below_the_vote_by_chance_say_where_to_look():
    result = check_result(comparison(n_lost=1, accuracy=0.45, p_value=0.5), splits=["valid", "train"])
    assert result.description == (
        "accuracy on 20 valid and train examples with gold: label model 0.450, plain vote 0.500; look for "
        "weak LFs in lf_summary, or give class_balance in the pipeline.yaml"
    )


def test_the_plain_vote_in_place_of_a_label_model_warns_with_the_reason():
    result = check_result(comparison(), replaced="it lost")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.description == (
        "the plain vote is published in place of the label model: it lost; look for weak LFs in lf_summary"
    )


def labels_of(probs, covered=None, **fields):
    probs = np.asarray(probs, dtype=float)
    covered = np.ones(len(probs), dtype=bool) if covered is None else np.asarray(covered)
    return ProbabilisticLabels(np.arange(len(probs)), probs, covered, **fields)


SURE_OF_HAM = labels_of(np.tile([0.9, 0.1], (40, 1)))
SPEC = TaskSpec(classes=["ham", "spam"])


@pytest.mark.parametrize(
    ("labels", "gold", "said"),
    [
        (
            SURE_OF_HAM,
            [0] * 38 + [1] * 2,
            "all labels are ham, but 2 of 40 examples with gold labels are not",
        ),
        (SURE_OF_HAM, [0] * 39 + [1], ""),  # rare
        (SURE_OF_HAM, [1] * 19 + [-1] * 21, ""),  # few gold labels
        (SURE_OF_HAM, [1] * 20 + [-1] * 20, "; add LFs that vote for spam, or give class_balance"),
        (labels_of([[0.9, 0.1]] * 39 + [[0.2, 0.8]]), [1] * 40, ""),
        (labels_of([[0.5, 0.5]] * 40), [1] * 40, "every label is a tie"),
        (labels_of([[0.5, 0.5], [np.nan, np.nan]]), [1, 1], "the probabilities of example 1 are not finite"),
        (SURE_OF_HAM.for_training(min_confidence=0.95), [0] * 40, "no example has a label with a confidence"),
        (
            labels_of([[0.9, 0.1]] * 39 + [[0.3, 0.7]]).for_training(min_confidence=0.8),
            [0] * 30 + [1] * 10,
            "labels of other classes are below min_confidence, lower it in the pipeline.yaml",
        ),
        (labels_of([[0.9, 0.1]] * 40, [False] * 40), [1] * 40, "no example has a label with a confidence"),
    ],
)
def test_labels_that_nothing_can_be_learned_from_have_a_fault(labels, gold, said):
    found = find_fault(SPEC, labels, np.array(gold))
    assert said in found
    assert bool(said) == bool(found)


def test_without_any_gold_to_compare_with_the_check_warns_and_says_what_to_do():
    result = check_result(comparison(n_compared=0, agreement=0.5))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.metadata["agreement_with_vote"].value == 0.5
    assert result.description == (
        "no gold label in the valid split on an example with votes, so it is not known whether the labels "
        "are worse than the plain vote; the two agree on 50.0% of the examples with votes; "
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
        monkeypatch.setattr(AutoLabelModel, "predict_proba", only_class_zero)
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
    assert "materialize label_model and its labels again" in data.description
    assert data.metadata["n_lost"].value > data.metadata["n_won"].value
    assert not result.get_asset_check_evaluations()
    assert [file.read_bytes() for file in results] == before
