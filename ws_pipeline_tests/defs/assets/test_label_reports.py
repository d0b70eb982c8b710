"""Tables about labels: comparison of label models, families, least sure labels, what to label next."""

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import FileFormatError
from ws_pipeline.labeling import AutoLabelModel, LabelModel, synthetic_label_matrix

SHARDS = ["part-0", "part-1", "part-2"]


@pytest.fixture
def run(pipeline_folder, storage):
    """A function that runs the pipeline with settings of the task parity and gives its metadata by asset."""

    def run_all(**settings):
        spec = yaml.safe_load(pipeline_folder.spec_path.read_text())
        spec["tasks"]["parity"] |= settings
        pipeline_folder.spec_path.write_text(yaml.safe_dump(spec))
        definitions = build_definitions(
            [load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu"
        )
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("toy_shards", SHARDS)
            for shard in SHARDS:
                ingest = definitions.resolve_job_def("ingest")
                ingest.execute_in_process(instance=instance, partition_key=shard)
            result = definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
        return {
            event.asset_key.to_user_string(): {
                name: value.value for name, value in event.materialization.metadata.items()
            }
            for event in result.get_asset_materialization_events()
        }

    return run_all


def table(storage, name):
    return pq.read_table(storage / "parity" / f"{name}.parquet").to_pylist()


def hide_gold(folder, *splits):
    def hide(columns):
        columns["parity"] = [
            None if split in splits else label
            for split, label in zip(columns["split"], columns["parity"], strict=True)
        ]

    for shard in SHARDS:
        folder.edit(folder.examples_file(shard), hide)


def test_the_comparison_has_every_candidate_and_says_which_is_published(run, storage):
    metadata = run()
    rows = table(storage, "label_model_comparison")
    assert [row["kind"] for row in rows] == [
        "lift_dawid_skene",
        "dawid_skene",
        "matrix_completion",
        "majority",
    ]
    assert [row["kind"] for row in rows if row["published"]] == ["lift_dawid_skene"]
    for row in rows:
        assert row["n_gold"] == metadata["parity/label_model"]["n_gold"]
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        assert row["ece_low"] <= row["ece_high"]
        assert 0.9 < row["coverage"] <= 1
    assert {row["calibrated_ece"] for row in rows} == {None}  # too few gold labels
    assert rows[-1]["weight_spread"] == 0 < rows[0]["weight_spread"]
    shown = metadata["parity/label_model_comparison"]
    assert shown["published"] == "lift_dawid_skene"
    assert shown["reason"] == metadata["parity/label_model"]["reason"]
    candidates = metadata["parity/label_model"]["candidates"].records
    assert all(record.data["seconds"] > 0 for record in candidates)


def test_the_comparison_has_what_calibration_does(run, storage):
    run(label_model={"kind": "auto", "use_train_gold": True})
    rows = table(storage, "label_model_comparison")
    published = next(row for row in rows if row["published"])
    assert published["n_gold"] > 200
    assert published["calibrated_log_loss"] > 0
    assert published["calibrated_ece"] > 0
    assert {row["calibrated_log_loss"] for row in rows if not row["published"]} == {None}


def test_without_gold_the_comparison_has_no_scores(run, storage, pipeline_folder):
    hide_gold(pipeline_folder, "train", "valid", "test")
    run()
    for row in table(storage, "label_model_comparison"):
        assert (row["n_gold"], row["accuracy"], row["ece_high"]) == (0, None, None)
        assert row["agreement"] > 0.5


def test_one_kind_is_compared_with_the_vote_alone(run, storage):
    run(label_model={"kind": "dawid_skene"})
    assert [row["kind"] for row in table(storage, "label_model_comparison")] == ["dawid_skene", "majority"]


def test_a_label_model_of_an_older_version_is_refused_with_the_remedy(run, storage, pipeline_folder):
    run()
    matrix, _ = synthetic_label_matrix([0.7] * 6, 0.9, 2, 100, seed=0)
    LabelModel(2, verbose=False).fit(matrix, progress_bar=False).save(
        storage / "parity" / "label_model.safetensors"
    )
    definitions = build_definitions(
        [load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu"
    )
    with pytest.raises(FileFormatError, match="the stored label model is a LabelModel of an older version"):
        dg.materialize(
            definitions.resolve_asset_graph().assets_defs,
            selection=[dg.AssetKey(["parity", "label_model_comparison"])],
        )


def test_families_say_what_the_lfs_are_worth(run, storage, pipeline_folder):
    for shard in SHARDS:
        pipeline_folder.edit(
            pipeline_folder.votes_file("parity", shard), lambda columns: columns.update(lf_1=columns["lf_0"])
        )
    shown = run()["parity/lf_families"]
    rows = table(storage, "lf_families")
    assert rows[0]["family"] == rows[1]["family"] == 1
    assert rows[0]["near_copies"] == ["lf_1"]
    assert shown["n_families"] >= 1
    assert shown["effective_number"] <= 6
    assert shown["summary"].startswith("6 LFs that vote are worth ")


def test_the_hundred_least_sure_labels_are_taken_apart(run, storage):
    metadata = run()
    rows = table(storage, "least_sure")
    assert metadata["parity/least_sure"]["n_examples"] == len(rows) == 100
    labels = {row["example_id"]: row for row in table(storage, "probabilistic_labels")}
    sure = sorted(max(row["p_0"], row["p_1"]) for row in labels.values() if row["covered"])
    assert [row["confidence"] for row in rows] == sure[:100]
    for row in rows:
        parts = [row["prior"], *(row[f"log-odds of lf_{lf}"] for lf in range(6))]
        assert row["log_odds"] == pytest.approx(sum(parts))


def test_examples_without_gold_are_asked_for_and_never_those_of_the_test_split(run, storage, pipeline_folder):
    assert run()["parity/label_next"]["n_gold_not_used"] == 210  # of the train split
    assert table(storage, "label_next") == []
    hide_gold(pipeline_folder, "train", "test")
    assert run()["parity/label_next"]["n_gold_not_used"] == 0
    rows = table(storage, "label_next")
    assert rows
    assert {row["split"] for row in rows} == {"train"}
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert {"end_model_label", "disagreement"} < rows[0].keys()


def test_a_class_for_examples_without_votes_and_a_least_confidence_reach_the_training(
    run, storage, pipeline_folder
):
    def silence(columns):
        for name in columns:
            if name != "example_id":
                columns[name][:10] = [None] * 10

    for shard in SHARDS:
        pipeline_folder.edit(pipeline_folder.votes_file("parity", shard), silence)
    metadata = run(no_votes="odd", min_confidence=0.7)
    rows = table(storage, "probabilistic_labels")
    silent = [row for row in rows if not row["covered"]]
    assert len(silent) >= 30
    assert {(row["p_1"], row["prediction"], row["labelled"]) for row in silent} == {(1.0, 1, True)}
    unsure = [row for row in rows if row["covered"] and max(row["p_0"], row["p_1"]) < 0.7]
    assert unsure
    assert not any(row["labelled"] for row in unsure)
    shown = metadata["parity/probabilistic_labels"]
    assert shown["n_labelled"] == 360 - len(unsure)
    assert shown["n_without_votes"] == len(silent)


def test_the_class_balance_may_come_from_the_gold_labels(run, storage, pipeline_folder):
    run(class_balance="from_gold")
    counts = {0: 1, 1: 1}
    covered = {row["example_id"]: row["covered"] for row in table(storage, "probabilistic_labels")}
    for shard in SHARDS:
        for row in pq.read_table(pipeline_folder.examples_file(shard)).to_pylist():
            if row["split"] == "valid" and covered[row["example_id"]]:
                counts[row["parity"]] += 1
    model = AutoLabelModel.from_file(storage / "parity" / "label_model.safetensors").chosen_
    total = sum(counts.values())
    assert model.class_balance.tolist() == pytest.approx([counts[0] / total, counts[1] / total])


def test_a_class_balance_from_gold_that_is_not_there_is_estimated_with_a_warning(run, pipeline_folder):
    hide_gold(pipeline_folder, "valid")
    shown = run(class_balance="from_gold")["parity/label_model"]
    (warning,) = [text for text in shown["warnings"] if "NoGoldWarning" in text]
    assert (
        "class_balance is from_gold, but no example with votes has a gold label in the splits valid"
        in warning
    )


def test_a_known_accuracy_reaches_the_label_model(run, storage):
    run()
    before = AutoLabelModel.from_file(storage / "parity" / "label_model.safetensors").chosen_.weights
    run(label_model={"kind": "auto", "known_accuracy": {"lf_0": 0.99}})
    after = AutoLabelModel.from_file(storage / "parity" / "label_model.safetensors").chosen_.weights
    assert after[0, 1, 1] - after[0, 1, 0] > before[0, 1, 1] - before[0, 1, 0] + 1
