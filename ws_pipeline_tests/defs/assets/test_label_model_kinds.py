"""Every kind of label model in a pipeline: which labels it publishes, and what its metadata says."""

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import PipelineSpecError
from ws_pipeline.labeling import (
    AutoLabelModel,
    DawidSkene,
    LabelMatrix,
    LabelModel,
    LiftDawidSkene,
    MajorityLabelVoter,
)

SHARDS = ["part-0", "part-1", "part-2"]
CLASSES = {
    "majority": MajorityLabelVoter,
    "dawid_skene": DawidSkene,
    "lift_dawid_skene": LiftDawidSkene,
    "auto": AutoLabelModel,
    "matrix_completion": LabelModel,
}


def set_label_model(folder, **settings):
    spec = yaml.safe_load(folder.spec_path.read_text())
    spec["tasks"]["parity"]["label_model"] = settings
    spec["model"] = None
    spec.pop("trainer", None)
    spec.pop("feature_columns", None)
    folder.spec_path.write_text(yaml.safe_dump(spec))


def run_all(folder, storage, run_config=None):
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        return definitions.resolve_job_def("retrain").execute_in_process(
            instance=instance, run_config=run_config
        )


def metadata_of(result, asset="parity/label_model"):
    key = dg.AssetKey(asset.split("/"))
    (event,) = [
        event.materialization for event in result.get_asset_materialization_events() if event.asset_key == key
    ]
    return {name: value.value for name, value in event.metadata.items()}


def votes_and_gold(folder, splits):
    matrices = {shard: LabelMatrix.from_parquet(folder.votes_file("parity", shard), 2) for shard in SHARDS}
    matrix, gold = LabelMatrix.concatenate(matrices), {}
    for shard in SHARDS:
        for row in pq.read_table(folder.examples_file(shard)).to_pylist():
            if row["split"] in splits and row["parity"] is not None:
                gold[row["example_id"]] = row["parity"]
    return matrix, gold


def published(storage):
    table = pq.read_table(storage / "parity" / "probabilistic_labels.parquet")
    probs = np.stack([table.column(name).to_numpy() for name in ("p_0", "p_1")], axis=1)
    return dict(zip(table.column("example_id").to_pylist(), probs, strict=True))


def assert_published(storage, model, matrix):
    labels = published(storage)
    expected = model.predict_proba(matrix)
    np.testing.assert_array_equal([labels[i] for i in matrix.example_ids.tolist()], expected)


@pytest.mark.parametrize("kind", CLASSES)
def test_each_kind_publishes_the_labels_of_the_library(kind, pipeline_folder, storage):
    set_label_model(pipeline_folder, kind=kind)
    metadata = metadata_of(run_all(pipeline_folder, storage))
    matrix, gold = votes_and_gold(pipeline_folder, {"valid"})
    model = CLASSES[kind](2)
    if kind == "matrix_completion":
        model.fit(matrix, progress_bar=False)
    elif kind != "majority":
        model.fit(matrix, gold)
    assert_published(storage, model, matrix)
    stored = AutoLabelModel.from_file(storage / "parity" / "label_model.safetensors")
    assert isinstance(stored.chosen_, CLASSES[kind]) or kind == "auto"
    if kind == "auto":
        assert metadata["reason"] == model.reason_
        kinds = [record.data["kind"] for record in metadata["candidates"].records]
        assert kinds == ["lift_dawid_skene", "dawid_skene", "matrix_completion", "majority"]
        assert metadata["kind"] == model.kind_
        assert metadata["n_gold"] == model.comparison_[0].n_gold > 0
    else:
        assert metadata["kind"] == kind
        assert metadata["n_patterns"] <= metadata["n_covered"] <= metadata["n_examples"] == 360


def test_gold_of_the_train_split_is_used_only_if_it_is_wanted_and_that_of_test_never(
    pipeline_folder, storage
):
    set_label_model(pipeline_folder, kind="lift_dawid_skene", use_train_gold=True)
    n_gold = metadata_of(run_all(pipeline_folder, storage))["n_gold"]
    matrix, gold = votes_and_gold(pipeline_folder, {"train", "valid"})
    covered = set(matrix.example_ids[matrix.covered].tolist())
    assert n_gold == len(covered & gold.keys())
    assert_published(storage, LiftDawidSkene(2).fit(matrix, gold), matrix)


def test_labels_that_are_worse_than_the_vote_are_replaced_and_the_run_goes_on(
    pipeline_folder, storage, monkeypatch
):
    def turned_around(model, L):  # of parity; the other task has three classes
        probs = MajorityLabelVoter(model.cardinality).predict_proba(L)
        return 1 - probs if model.cardinality == 2 else probs

    for model in (LiftDawidSkene, DawidSkene, LabelModel):
        monkeypatch.setattr(model, "predict_proba", turned_around)
    set_label_model(pipeline_folder, kind="auto")
    definitions = run_all(pipeline_folder, storage)
    metadata = metadata_of(definitions)
    assert definitions.success
    assert metadata["kind"] == "majority"
    assert "is worse than the plain vote on examples with gold labels" in metadata["reason"]
    (check,) = (
        check
        for check in definitions.get_asset_check_evaluations()
        if (check.asset_key.path[0], check.check_name) == ("parity", "not_worse_than_vote")
    )
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == (
        f"the plain vote is published in place of the label model: {metadata['reason']}; look for weak LFs "
        "in lf_summary"
    )
    matrix, _ = votes_and_gold(pipeline_folder, {"valid"})
    assert_published(storage, MajorityLabelVoter(2), matrix)


def test_without_gold_it_runs_to_the_end(pipeline_folder, storage):
    def forget(columns):
        columns["parity"] = [None] * len(columns["parity"])

    for shard in SHARDS:
        pipeline_folder.edit(pipeline_folder.examples_file(shard), forget)
    set_label_model(pipeline_folder, kind="auto")
    metadata = metadata_of(run_all(pipeline_folder, storage))
    assert (metadata["n_gold"], metadata["kind"]) == (0, "lift_dawid_skene")
    matrix, _ = votes_and_gold(pipeline_folder, set())
    assert_published(storage, LiftDawidSkene(2).fit(matrix), matrix)


def test_running_again_changes_no_byte(pipeline_folder, storage):
    set_label_model(pipeline_folder, kind="auto")
    file = storage / "parity" / "label_model.safetensors"
    run_all(pipeline_folder, storage)
    before = file.read_bytes()
    run_all(pipeline_folder, storage)
    assert file.read_bytes() == before


def test_the_launchpad_tunes_the_kind_of_the_file(pipeline_folder, storage):
    set_label_model(pipeline_folder, kind="dawid_skene", tol=0)
    config = {"ops": {"parity__label_model": {"config": {"max_iter": 1, "temperature": False}}}}
    metadata = metadata_of(run_all(pipeline_folder, storage, config))
    assert "still moved after 1 rounds" in metadata["warnings"][0]
    with pytest.raises(dg.DagsterInvalidConfigError, match="max_iter"):
        run_all(pipeline_folder, storage, {"ops": {"parity__label_model": {"config": {"max_iter": 0}}}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "best"}, "tasks.parity.label_model.kind: expected one of auto, majority, .*, got 'best'"),
        ({"kind": "auto", "n_epochs": 3}, "unknown key 'tasks.parity.label_model.n_epochs', known are: kind"),
        (
            {"kind": "dawid_skene", "max_itr": 3},
            "'tasks.parity.label_model.max_itr', did you mean 'max_iter'",
        ),
        ({"kind": "dawid_skene", "max_iter": 0}, "tasks.parity.label_model.max_iter: .* got 0"),
        (
            {"kind": "majority", "use_train_gold": True},
            "unknown key 'tasks.parity.label_model.use_train_gold'",
        ),
        ({"n_epochs": 0}, "tasks.parity.label_model.n_epochs: .* got 0"),
    ],
)
def test_a_kind_or_setting_that_there_is_not_is_refused(pipeline_folder, settings, message):
    set_label_model(pipeline_folder, **settings)
    with pytest.raises(PipelineSpecError, match=message):
        load_spec(pipeline_folder.spec_path)


def test_settings_without_a_kind_are_those_of_matrix_completion(pipeline_folder):
    set_label_model(pipeline_folder, n_epochs=7)
    settings = load_spec(pipeline_folder.spec_path).tasks["parity"].label_model
    assert (settings.kind, settings.n_epochs) == ("matrix_completion", 7)
