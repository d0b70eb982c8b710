"""The whole chain on files: Dagster and the plain library agree, and nothing good is ever lost."""

import hashlib

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.analysis.scores_table import score_models
from ws_pipeline.classification.data.from_examples import reference_dataset, soft_dataset
from ws_pipeline.classification.end_model import task_probs, train_end_model
from ws_pipeline.cli import main
from ws_pipeline.defs import io_managers
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import DeviceError, ExampleIdError, ExamplesError, FileFormatError, LabelMatrixError
from ws_pipeline.examples import Examples
from ws_pipeline.labeling import (
    AutoLabelModel,
    LabelMatrix,
    LabelModel,
    MajorityLabelVoter,
    ProbabilisticLabels,
)
from ws_pipeline.storage import files

SHARDS = ["part-0", "part-1", "part-2"]
TASKS = ["shape", "parity"]
TABLES = [
    *("lf_summary", "majority_vote", "label_model_comparison", "lf_families"),
    *("probabilistic_labels", "least_sure", "label_next"),
]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def build(folder, storage, *, device="cpu"):
    return build_definitions([load_spec(folder.spec_path)], storage=str(storage), device=device)


def ingest(definitions, instance, *shards):
    job = definitions.resolve_job_def("ingest")
    for shard in shards:
        if not instance.has_dynamic_partition("toy_shards", shard):
            instance.add_dynamic_partitions("toy_shards", [shard])
        job.execute_in_process(instance=instance, partition_key=shard)


def retrain(definitions, instance, **options):
    return definitions.resolve_job_def("retrain").execute_in_process(instance=instance, **options)


def run_all(folder, storage, shards=SHARDS):
    definitions = build(folder, storage)
    with dg.DagsterInstance.ephemeral() as instance:
        ingest(definitions, instance, *shards)
        return retrain(definitions, instance)


def digests(storage):
    """Digest of every stored file, by its path below the storage folder."""
    return {
        str(file.relative_to(storage)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(storage.rglob("*"))
        if file.is_file()
    }


def test_every_asset_is_kept_and_no_file_is_a_pickle_or_a_leftover(pipeline_folder, storage):
    run_all(pipeline_folder, storage)
    names = set(digests(storage))
    assert names == {
        *(f"examples/{shard}.parquet" for shard in SHARDS),
        *(
            f"{task}/{name}/{s}.parquet"
            for task in TASKS
            for name in ("label_matrix", "vote_counts")
            for s in SHARDS
        ),
        *(f"{task}/{name}.parquet" for task in TASKS for name in TABLES),
        *(f"{task}/label_model.safetensors" for task in TASKS),
        *(f"{split}_dataset.safetensors" for split in ("train", "valid", "test")),
        "multitask_classifier.safetensors",
        "checkpoints/multitask_classifier/best_model_model_all_valid_loss.safetensors",
        *(f"{name}.parquet" for name in ("shards", "predictions", "scores")),
    }


def test_the_plain_library_gives_the_same_numbers(pipeline_folder, storage, tmp_path):
    run_all(pipeline_folder, storage)
    spec = load_spec(pipeline_folder.spec_path)
    examples = Examples.concatenate(
        {s: Examples.from_parquet(pipeline_folder.examples_file(s), spec.cardinalities) for s in SHARDS}
    )
    probs, covered, votes = {}, {}, {}
    for task, k in spec.cardinalities.items():
        matrix = LabelMatrix.concatenate(
            {s: LabelMatrix.from_parquet(pipeline_folder.votes_file(task, s), k) for s in SHARDS}
        )
        gold = np.where(examples.in_split("valid"), examples.gold[task], -1)
        model = AutoLabelModel(k).fit(matrix, gold)
        model.save(storage / "again.safetensors")
        stored = (storage / task / "label_model.safetensors").read_bytes()
        assert (storage / "again.safetensors").read_bytes() == stored
        probs[task], covered[task] = model.predict_proba(matrix), matrix.covered
        votes[task] = MajorityLabelVoter(k).predict_proba(matrix)
        table = pq.read_table(storage / task / "probabilistic_labels.parquet")
        assert np.array_equal(np.stack([table[f"p_{y}"].to_numpy() for y in range(k)], axis=1), probs[task])
    end_model = train_end_model(
        soft_dataset(examples, probs=probs, covered=covered),
        reference_dataset(examples, split="valid", probs=probs, covered=covered),
        cardinalities=spec.cardinalities,
        architecture=spec.model,
        settings=spec.trainer,
        checkpoint_dir=str(tmp_path / "checkpoints"),
    )
    end_model.save(storage / "again.safetensors")
    again = (storage / "again.safetensors").read_bytes()
    assert again == (storage / "multitask_classifier.safetensors").read_bytes()
    predictions = end_model.predictions(examples)
    assert predictions.equals(pq.read_table(storage / "predictions.parquet"))
    tables = [
        score_models(
            task,
            {
                "vote": votes[task],
                "label_model": probs[task],
                "end_model": task_probs(predictions, task, k),
            },
            example_ids=examples.example_ids,
            gold=examples.gold[task],
            covered=covered[task],
            splits=examples.splits,
        )
        for task, k in spec.cardinalities.items()
    ]
    assert pa.concat_tables(tables).equals(pq.read_table(storage / "scores.parquet"))


def test_running_again_changes_no_byte(pipeline_folder, storage):
    definitions = build(pipeline_folder, storage)
    with dg.DagsterInstance.ephemeral() as instance:
        ingest(definitions, instance, *SHARDS)
        retrain(definitions, instance)
        before = digests(storage)
        ingest(definitions, instance, *reversed(SHARDS))
        retrain(definitions, instance)
    assert digests(storage) == before


def test_a_shard_added_later_gives_the_models_of_both_at_once(pipeline_folder, storage, tmp_path):
    definitions = build(pipeline_folder, storage)
    with dg.DagsterInstance.ephemeral() as instance:
        ingest(definitions, instance, "part-0")
        retrain(definitions, instance)
        one_shard = digests(storage)
        ingest(definitions, instance, "part-1")
        retrain(definitions, instance)
    at_once = tmp_path / "at_once"
    run_all(pipeline_folder, at_once, ["part-0", "part-1"])
    assert digests(at_once) == digests(storage)
    name = "shape/label_model.safetensors"
    assert digests(storage)[name] != one_shard[name]


def test_scrambled_train_gold_changes_reports_but_no_model(pipeline_folder, storage, tmp_path):
    run_all(pipeline_folder, storage)

    def scramble(columns):
        train = [row for row, split in enumerate(columns["split"]) if split == "train"]
        for task, k in (("shape", 3), ("parity", 2)):
            for row in train:
                columns[task][row] = (columns[task][row] + 1) % k

    for shard in SHARDS:
        pipeline_folder.edit(pipeline_folder.examples_file(shard), scramble)
    scrambled = tmp_path / "scrambled"
    run_all(pipeline_folder, scrambled)
    before, after = digests(storage), digests(scrambled)
    changed = {name for name in before if before[name] != after[name]}
    reports = {f"{task}/lf_summary.parquet" for task in TASKS} | {"scores.parquet"}
    assert changed == reports | {f"examples/{shard}.parquet" for shard in SHARDS}


def test_the_chosen_device_and_the_history_are_in_the_metadata(pipeline_folder, storage):
    result = run_all(pipeline_folder, storage)
    for node in ("shape__label_model", "multitask_classifier", "predictions"):
        metadata = result.asset_materializations_for_node(node)[0].metadata
        assert metadata["device"].value == "cpu", node
    records = metadata_records(result, "multitask_classifier", "history")
    assert [record["epoch"] for record in records] == [1, 2, 3]
    scores = result.asset_materializations_for_node("scores")[0].metadata
    assert 0.5 < scores["shape_end_model_accuracy"].value <= 1


def metadata_records(result, node, name):
    table = result.asset_materializations_for_node(node)[0].metadata[name]
    return [record.data for record in table.records]


def test_run_config_reaches_the_models(pipeline_folder, storage, instance):
    pipeline_folder.set_label_model(kind="matrix_completion")
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    config = {
        "ops": {
            "shape__label_model": {"config": {"n_epochs": 7}},
            "multitask_classifier": {"config": {"n_epochs": 1}},
        }
    }
    result = retrain(definitions, instance, run_config=config)
    assert result.asset_materializations_for_node("shape__label_model")[0].metadata["n_epochs"].value == 7
    assert result.asset_materializations_for_node("multitask_classifier")[0].metadata["n_epochs"].value == 1


def test_a_missing_device_stops_the_run(pipeline_folder, storage, instance):
    definitions = build(pipeline_folder, storage, device="cuda:7")
    ingest(definitions, instance, *SHARDS)
    with pytest.raises(dg.DagsterError) as refused:
        retrain(definitions, instance)
    assert isinstance(refused.value.__cause__, DeviceError)
    assert "device 'cuda:7' is not available, available: cpu" in str(refused.value.__cause__)


def spoil_votes(columns):
    columns["lf_3"][2] = 9


def spoil_ids(columns):
    columns["example_id"][3] = 424242


def spoil_split(columns):
    columns["split"][4] = "dev"


BAD_SHARDS = [
    (
        "votes",
        spoil_votes,
        LabelMatrixError,
        r"votes/shape/part-1\.parquet: LF 'lf_3' votes 9 on example 1002, .* to 2",
    ),
    ("votes", spoil_ids, LabelMatrixError, r"1 vote row\(s\) are for unknown examples, the first: 424242"),
    ("votes", lambda c: c["example_id"].__setitem__(1, 1000), ExampleIdError, r"the first: 1000 \(2 times\)"),
    ("votes", lambda c: c["example_id"].__setitem__(1, None), ExampleIdError, r"null, the first in row 1"),
    ("examples", spoil_split, ExamplesError, r"example 1004 has split 'dev', expected one of"),
    (
        "examples",
        lambda c: c["features"].__setitem__(5, [float("nan")] * 5),
        ExamplesError,
        r"'features' .* 1005",
    ),
    (
        "examples",
        lambda c: c["shape"].__setitem__(6, 3),
        ExamplesError,
        r"task 'shape' is 3 for example 1006",
    ),
]


@pytest.mark.parametrize(("kind", "change", "error", "message"), BAD_SHARDS)
def test_a_bad_shard_is_refused_and_the_last_good_results_stay(
    pipeline_folder, storage, instance, kind, change, error, message
):
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    retrain(definitions, instance)
    before = digests(storage)
    file = pipeline_folder.votes_file("shape", "part-1")
    pipeline_folder.edit(pipeline_folder.examples_file("part-1") if kind == "examples" else file, change)
    with pytest.raises(error, match=message):
        ingest(definitions, instance, "part-1")
    after = digests(storage)
    assert {name for name in before if before[name] != after[name]} <= {"parity/label_matrix/part-1.parquet"}
    assert after.keys() == before.keys()


def test_a_truncated_shard_is_refused_by_name(pipeline_folder, storage, instance):
    file = pipeline_folder.votes_file("parity", "part-2")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(FileFormatError, match=r"parity/part-2\.parquet: not a complete Parquet file"):
        ingest(build(pipeline_folder, storage), instance, "part-2")


def test_an_id_in_two_shards_stops_before_any_model_is_fitted(pipeline_folder, storage, instance):
    for file in (
        pipeline_folder.examples_file("part-1"),
        *(pipeline_folder.votes_file(t, "part-1") for t in TASKS),
    ):
        pipeline_folder.edit(file, lambda columns: columns["example_id"].__setitem__(0, 5))
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    with pytest.raises(ExampleIdError, match="example 5 is in shard 'part-0' and in shard 'part-1'"):
        retrain(definitions, instance)
    assert not list(storage.rglob("label_model*"))


def test_shards_with_other_lfs_are_refused_with_what_is_missing_and_extra(pipeline_folder, storage, instance):
    pipeline_folder.edit(
        pipeline_folder.votes_file("shape", "part-1"), lambda columns: columns.update(new=columns.pop("lf_2"))
    )
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    with pytest.raises(
        LabelMatrixError, match=r"'part-1' differ .* 'part-0': missing \['lf_2'\], extra \['new'\]"
    ):
        retrain(definitions, instance)


def test_features_of_another_shape_are_refused(pipeline_folder, storage, instance):
    file = pipeline_folder.examples_file("part-2")
    table = pq.read_table(file)
    narrow = pa.array([row[:4] for row in table["features"].to_pylist()], pa.list_(pa.float32(), 4))
    pq.write_table(table.set_column(table.column_names.index("features"), "features", narrow), file)
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    with pytest.raises(
        ExamplesError, match=r"shard 'part-2' differ .* 'part-0': 'features' has 4 values instead of 5"
    ):
        retrain(definitions, instance)


def test_without_an_end_model_examples_to_train_on_are_enough(pipeline_folder, storage, capsys, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for shard in SHARDS:
        pipeline_folder.edit(
            pipeline_folder.examples_file(shard), lambda columns: columns.update(split=["train"] * 120)
        )
    text = "name: toy\ntasks: {shape: {classes: [a, b, c]}, parity: {classes: [even, odd]}}\nmodel: null\n"
    pipeline_folder.spec_path.write_text(text)
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 0
    assert "train examples with votes" in capsys.readouterr().out


def test_votes_and_gold_by_name_give_the_same_bytes_as_by_number(pipeline_folder, storage, tmp_path):
    run_all(pipeline_folder, storage)
    names = {"shape": ["round", "square", "star"], "parity": ["even", "odd"]}

    def name(columns, task, only=None):
        for column in columns.keys() - {"example_id"} if only is None else [only]:
            columns[column] = [None if label is None else names[task][label] for label in columns[column]]

    for shard in SHARDS:
        for task in TASKS:
            edit_as_text(
                pipeline_folder.votes_file(task, shard), lambda columns, task=task: name(columns, task)
            )
            edit_as_text(
                pipeline_folder.examples_file(shard),
                lambda columns, task=task: name(columns, task, only=task),
            )
    run_all(pipeline_folder, tmp_path / "named")
    assert digests(tmp_path / "named") == digests(storage)


def edit_as_text(file, change):
    table = pq.read_table(file)
    columns = table.to_pydict()
    change(columns)
    kept = {name: table[name] for name in table.column_names if columns[name] == table[name].to_pylist()}
    pq.write_table(pa.table({name: kept.get(name, columns[name]) for name in table.column_names}), file)


def as_long(file, task):
    """Rewrite a wide votes file with a row per vote, in another order."""
    table = pq.read_table(file).to_pydict()
    names = {"shape": ["round", "square", "star"], "parity": ["even", "odd"]}[task]
    rows = [
        {"item": example, "annotator": lf, "answer": names[votes[place]]}
        for lf, votes in table.items()
        for place, example in enumerate(table["example_id"])
        if lf != "example_id" and votes[place] is not None
    ]
    pq.write_table(pa.Table.from_pylist(rows[::-1]), file)


def test_long_votes_give_the_same_labels_as_wide_ones_and_sources_may_come_and_go(
    pipeline_folder, storage, tmp_path
):
    for shard, gone in zip(SHARDS, ("lf_5", "lf_0", None), strict=True):
        for task in TASKS:
            pipeline_folder.edit(
                pipeline_folder.votes_file(task, shard),
                lambda columns, gone=gone: columns.update({gone: [None] * 120} if gone else {}),
            )
    run_all(pipeline_folder, storage)
    for shard in SHARDS:
        for task in TASKS:
            as_long(pipeline_folder.votes_file(task, shard), task)
    spec = yaml.safe_load(pipeline_folder.spec_path.read_text())
    for task in TASKS:
        spec["tasks"][task]["votes"] = {"format": "long"}
    pipeline_folder.spec_path.write_text(yaml.safe_dump(spec))
    run_all(pipeline_folder, tmp_path / "long")
    one, other = digests(tmp_path / "long"), digests(storage)
    per_shard = {name for name in one if "label_matrix" in name or "vote_counts" in name}
    assert {name for name in one if one[name] != other[name]} <= per_shard
    matrix = pq.read_table(tmp_path / "long/shape/label_matrix/part-0.parquet")
    assert matrix.column_names == ["example_id", *(f"lf_{lf}" for lf in range(5))]


@pytest.mark.parametrize(
    ("id_name", "said"),
    [("item", "no column 'example_id', got"), ("example_id", "example ids must be unique, .* times\\)")],
)
def test_a_long_file_that_is_read_as_wide_is_refused_with_the_setting(
    pipeline_folder, storage, instance, id_name, said
):
    file = pipeline_folder.votes_file("shape", "part-1")
    as_long(file, "shape")
    pq.write_table(pq.read_table(file).rename_columns([id_name, "annotator", "answer"]), file)
    with pytest.raises(ExampleIdError, match=rf"shape/part-1\.parquet: {said}") as refused:
        ingest(build(pipeline_folder, storage), instance, "part-1")
    assert str(refused.value).endswith(
        f"; '{id_name}', 'annotator', 'answer' look like columns of a row per vote; if so, set votes: "
        "{format: long} for this task"
    )


def test_classes_in_another_order_are_refused_until_the_shards_are_ingested_again(
    pipeline_folder, storage, instance
):
    ingest(build(pipeline_folder, storage), instance, *SHARDS)
    text = pipeline_folder.spec_path.read_text()
    pipeline_folder.spec_path.write_text(text.replace("- even\n    - odd", "- odd\n    - even"))
    definitions = build(pipeline_folder, storage)
    with pytest.raises(ExamplesError) as refused:
        retrain(definitions, instance)
    said = "shard 'part-0' has other names or another order of the classes, votes of 'parity' that were read"
    assert said in str(refused.value)
    assert "ingest again, with the job 'ingest' for part-0, part-1, part-2" in str(refused.value)
    ingest(definitions, instance, *SHARDS)
    assert retrain(definitions, instance).success


def test_a_missing_split_is_named(pipeline_folder, storage, instance):
    for shard in SHARDS:
        pipeline_folder.edit(
            pipeline_folder.examples_file(shard),
            lambda columns: columns.update(split=["train" if s == "valid" else s for s in columns["split"]]),
        )
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    with pytest.raises(ExamplesError, match="no example has split 'valid'"):
        retrain(definitions, instance)


def test_examples_without_a_vote_row_are_counted_and_predicted(pipeline_folder, storage, instance):
    for task in TASKS:
        file = pipeline_folder.votes_file(task, "part-0")
        pq.write_table(pq.read_table(file).slice(10), file)
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    retrain(definitions, instance)
    labels = pq.read_table(storage / "shape" / "probabilistic_labels.parquet")
    assert labels.num_rows == 360
    assert labels["covered"].to_pylist()[:10] == [False] * 10
    assert labels["prediction"].to_pylist()[:10] == [-1] * 10
    assert pq.read_table(storage / "predictions.parquet").num_rows == 360


def test_a_silent_lf_is_named_in_the_metadata(pipeline_folder, storage, instance):
    pipeline_folder.set_label_model(kind="matrix_completion")
    for shard in SHARDS:
        pipeline_folder.edit(
            pipeline_folder.votes_file("shape", shard), lambda columns: columns.update(lf_4=[None] * 120)
        )
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    result = retrain(definitions, instance)
    metadata = result.asset_materializations_for_node("shape__label_model")[0].metadata
    assert metadata["silent_lfs"].value == ["lf_4"]


def always_the_first_class(model, L):
    return np.eye(model.cardinality)[np.zeros(len(L), dtype=int)]


def checks_of(result, name):
    """The evaluations of a check, by task."""
    found = [check for check in result.get_asset_check_evaluations() if check.check_name == name]
    return {check.asset_key.path[0]: check for check in found}


def test_a_label_model_that_is_worse_than_the_vote_is_replaced_and_everyone_is_told(
    pipeline_folder, storage, capsys, monkeypatch
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(LabelModel, "predict_proba", always_the_first_class)
    pipeline_folder.set_label_model(n_epochs=20)  # an old pipeline.yaml, of matrix completion
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 0
    said = capsys.readouterr()
    replaced = "the plain vote is published in place of the label model: matrix_completion is worse than"
    for task in TASKS:
        assert f"{task}: {replaced} the plain vote on examples with gold labels: " in said.out
        assert f"{task}/probabilistic_labels, not_worse_than_vote: {replaced}" in said.err
        labels, vote = (
            ProbabilisticLabels.from_table(pq.read_table(storage / task / f"{name}.parquet"))
            for name in ("probabilistic_labels", "majority_vote")
        )
        assert np.array_equal(labels.probs, vote.probs)
        assert labels.replaced.startswith("matrix_completion is worse than the plain vote")
        assert vote.replaced == ""
    assert (storage / "multitask_classifier.safetensors").exists()


def test_labels_that_are_older_than_the_gold_stop_before_training(
    pipeline_folder, storage, instance, monkeypatch
):
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    monkeypatch.setattr(AutoLabelModel, "predict_proba", always_the_first_class)
    result = retrain(definitions, instance, raise_on_error=False)
    assert not result.success
    check = checks_of(result, "not_worse_than_vote")["shape"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "the labels are older than the gold labels: materialize label_model" in check.description
    assert not (storage / "multitask_classifier.safetensors").exists()


def test_labels_of_one_class_against_the_gold_stop_before_training(pipeline_folder, storage, instance):
    def say_one(columns):
        columns |= {
            name: [None if vote is None else 1 for vote in votes]
            for name, votes in columns.items()
            if name != "example_id"
        }

    pipeline_folder.set_label_model(kind="majority")
    for shard in SHARDS:
        pipeline_folder.edit(pipeline_folder.votes_file("shape", shard), say_one)
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    result = retrain(definitions, instance, raise_on_error=False)
    assert not result.success
    assert not (storage / "multitask_classifier.safetensors").exists()
    found = checks_of(result, "usable")
    assert found["parity"].passed
    assert found["shape"].severity == dg.AssetCheckSeverity.ERROR
    assert "all labels are square, but " in found["shape"].description
    assert "; add LFs that vote for round, star, or give class_balance" in found["shape"].description
    assert pq.read_table(storage / "shape/probabilistic_labels.parquet").num_rows == 360  # they are published


def test_a_pipeline_without_an_end_model_ends_at_scored_labels(pipeline_folder, storage):
    pipeline_folder.spec_path.write_text(pipeline_folder.spec_path.read_text().replace("hidden:", "hidden_:"))
    text = "name: toy\ntasks: {shape: {classes: [a, b, c]}, parity: {classes: [even, odd]}}\nmodel: null\n"
    pipeline_folder.spec_path.write_text(text)
    run_all(pipeline_folder, storage)
    assert set(pq.read_table(storage / "scores.parquet")["model"].to_pylist()) == {"vote", "label_model"}
    assert not (storage / "multitask_classifier.safetensors").exists()


def test_two_pipelines_live_in_one_code_location_under_a_prefix(pipeline_folder, storage, tmp_path):
    other = tmp_path / "other.yaml"
    text = pipeline_folder.spec_path.read_text().replace("name: toy", "name: second\nprefix: second")
    other.write_text(f"{text}data: {pipeline_folder.root}\n")
    specs = [load_spec(pipeline_folder.spec_path), load_spec(other)]
    definitions = build_definitions(specs, storage=str(storage))
    dg.Definitions.validate_loadable(definitions)
    assert definitions.resolve_job_def("second_retrain")


def test_the_command_line_runs_a_pipeline_and_prints_the_scores(
    pipeline_folder, storage, capsys, monkeypatch
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    for text in ("plain vote", "label model", "end model", "accuracy", "macro-F1", "scores", str(storage)):
        assert text in printed
    scores = pq.read_table(storage / "scores.parquet").to_pylist()
    value = next(
        row["value"]
        for row in scores
        if (row["task"], row["model"], row["dataset"], row["split"], row["metric"])
        == ("shape", "end_model", "covered", "test", "accuracy")
    )
    assert f"{value:.3f}" in printed


def test_the_command_line_says_what_is_wrong(pipeline_folder, storage, capsys, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    pipeline_folder.edit(pipeline_folder.votes_file("shape", "part-1"), spoil_votes)
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage)]) == 1
    assert "LF 'lf_3' votes 9 on example 1002" in capsys.readouterr().err


def test_the_command_line_says_why_it_stopped_at_the_labels(pipeline_folder, storage, capsys, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(AutoLabelModel, "predict_proba", always_the_first_class)
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "retrain stopped: " in said
    assert "shape/probabilistic_labels, not_worse_than_vote: accuracy on 75 valid examples" in said
    assert "materialize label_model and its labels again" in said


def test_the_command_line_names_the_error_that_stopped_it_not_a_check_that_only_warned(
    pipeline_folder, storage, capsys, monkeypatch
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    text = pipeline_folder.spec_path.read_text()
    pipeline_folder.spec_path.write_text(
        text.replace("lr: 0.01", "lr: 0.01\n  counter_unit: batches\n  checkpoint_runway: 99")
    )
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "retrain stopped: ws_pipeline.errors.SettingsError: checkpoint_runway=99 batches is longer" in said
    (stopped,) = (line for line in said.splitlines() if line.startswith("retrain stopped: "))
    assert "not_worse_than_vote" not in stopped


def test_features_are_read_only_by_what_uses_them(pipeline_folder, storage, instance, monkeypatch):
    definitions = build(pipeline_folder, storage)
    ingest(definitions, instance, *SHARDS)
    retrain(definitions, instance)
    read, read_parquet = [], files.read_parquet

    def spy(path, columns=None):
        table = read_parquet(path, columns)
        if "examples" in str(path):
            read.append("features" in table.column_names)
        return table

    for module in (files, io_managers):
        monkeypatch.setattr(module, "read_parquet", spy)

    def reads(*assets):
        read.clear()
        retrain(definitions, instance, asset_selection=[dg.AssetKey(name.split("/")) for name in assets])
        return sum(read)

    for name in ("lf_summary", "majority_vote", "probabilistic_labels"):
        assert reads(f"shape/{name}") == 0
    assert reads("shards", "scores") == 0
    assert read
    for name in ("train_dataset", "valid_dataset", "test_dataset", "predictions"):
        assert reads(name) == len(SHARDS)
