"""The end model's assets: which rows and labels, which modules, and what the UI is told about it."""

import base64
import io
import logging
import math
import signal
import sys
from itertools import pairwise
from pathlib import Path

import dagster as dg
import matplotlib.image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from upath import UPath

from ws_pipeline.classification import DictDataset
from ws_pipeline.classification.data.from_examples import references
from ws_pipeline.classification.end_model import EndModel
from ws_pipeline.cli import main
from ws_pipeline.defs.assets import classification
from ws_pipeline.defs.assets.metadata import describe_epoch, history_table, score_metadata, thin
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import SettingsError

PROJECT = Path(__file__).resolve().parents[3]
SHARDS = ["part-0", "part-1", "part-2"]
TASKS = ["shape", "parity"]
NETWORKS = """
import torch
from torch import nn
from ws_pipeline.classification import Operation, Task, label_cross_entropy

class Joined(nn.Module):
    def __init__(self, n_features, width):
        super().__init__()
        self.layer = nn.Linear(n_features, width)

    def forward(self, left, right):
        return torch.relu(self.layer(torch.cat([left, right], dim=1)))

def build_tasks(*, n_features, cardinalities, seed, train_features, width):
    joined = Joined(sum(n_features.values()), width)
    reads = [("_input_", name) for name in n_features]
    return [
        Task(task, {"joined": joined, f"{task}_head": nn.Linear(width, k)},
             [Operation("joined", reads), Operation(f"{task}_head", ["joined"])],
             loss_func=label_cross_entropy)
        for task, k in cardinalities.items()
    ]
"""


def configure(folder, **keys):
    """Change keys of the pipeline.yaml."""
    content = yaml.safe_load(folder.spec_path.read_text()) | keys
    folder.spec_path.write_text(yaml.safe_dump(content))


def run_all(folder, storage, **options):
    definitions = build_definitions([load_spec(folder.spec_path)], storage=str(storage), device="cpu")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
        return definitions.resolve_job_def("retrain").execute_in_process(instance=instance, **options)


def metadata_of(result, node):
    return result.asset_materializations_for_node(node)[0].metadata


def forget_gold(folder, task, *splits):
    """Make the gold labels of a task unknown in some splits."""

    def change(columns):
        columns[task] = [
            None if split in splits else label
            for split, label in zip(columns["split"], columns[task], strict=True)
        ]

    for shard in SHARDS:
        folder.edit(folder.examples_file(shard), change)


def scores_of(storage, **wanted):
    rows = pq.read_table(storage / "scores.parquet").to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def forget_votes(folder, n):
    """Let the first examples of every shard have no votes."""
    for shard in SHARDS:
        for task in TASKS:
            file = folder.votes_file(task, shard)
            pq.write_table(pq.read_table(file).slice(n), file)


def test_rows_without_votes_are_left_out_of_training_or_kept_as_the_file_says(pipeline_folder, storage):
    pipeline_folder.set_label_model(kind="matrix_completion")
    forget_votes(pipeline_folder, 20)
    metadata = metadata_of(run_all(pipeline_folder, storage), "train_dataset")
    filtered = DictDataset.load(storage / "train_dataset.safetensors")
    assert 0 < metadata["n_left_out"].value <= 60
    assert len(filtered) + metadata["n_left_out"].value == 3 * 70
    configure(pipeline_folder, filter_uncovered=False)
    metadata = metadata_of(run_all(pipeline_folder, storage), "train_dataset")
    kept = DictDataset.load(storage / "train_dataset.safetensors")
    assert metadata["n_left_out"].value == 0
    assert len(kept) == 3 * 70
    uniform = (kept.Y_dict["shape"] - 1 / 3).abs().max(dim=1).values < 1e-6
    assert uniform.sum() >= len(kept) - len(filtered)
    assert (kept.Y_dict["parity"] >= 0).all()
    assert pq.read_table(storage / "predictions.parquet").num_rows == 360


def test_a_task_without_gold_is_measured_against_the_label_model_and_all_say_so(
    pipeline_folder, storage, capsys, monkeypatch
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    forget_gold(pipeline_folder, "parity", "valid", "test")
    result = run_all(pipeline_folder, storage)
    for split in ("valid", "test"):
        assert metadata_of(result, f"{split}_dataset")["reference"].value == {
            "shape": "gold",
            "parity": "label_model",
        }
    trained = metadata_of(result, "multitask_classifier")
    assert trained["valid_reference"].value == {"shape": "gold", "parity": "label_model"}
    assert "shape_gold_valid_accuracy" in trained
    assert "parity_label_model_valid_accuracy" in trained
    assert "parity_gold_valid_accuracy" not in trained
    assert {row["reference"] for row in scores_of(storage, task="shape")} == {"gold"}
    assert {row["reference"] for row in scores_of(storage, task="parity", split="train")} == {"gold"}
    assert {row["reference"] for row in scores_of(storage, task="parity", split="test")} == {"label_model"}
    scored = metadata_of(result, "scores")
    assert scored["without_gold"].value == ["parity/valid", "parity/test"]
    assert "parity_end_model_accuracy_against_label_model" in scored
    assert "parity_end_model_accuracy" not in scored
    assert "shape_end_model_accuracy" in scored
    (check,) = (
        check
        for check in result.get_asset_check_evaluations()
        if (check.asset_key.path[0], check.check_name) == ("parity", "not_worse_than_vote")
    )
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no gold label in the valid split" in check.description
    text = "parity/probabilistic_labels, not_worse_than_vote: no gold label in the valid split"
    assert len([line for line in capsys.readouterr().err.splitlines() if text in line]) == 1
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "* no gold label in the test split: agreement with the label model, not accuracy" in printed
    assert "parity (75) *" in printed or "parity (74) *" in printed
    assert " *" not in next(line for line in printed.splitlines() if "shape (" in line)


def test_a_pipeline_without_any_gold_runs_to_the_end(pipeline_folder, storage):
    for shard in SHARDS:
        file = pipeline_folder.examples_file(shard)
        pq.write_table(pq.read_table(file).drop(TASKS), file)
    result = run_all(pipeline_folder, storage)
    assert result.success
    assert {row["reference"] for row in scores_of(storage)} == {"label_model"}
    assert not scores_of(storage, model="label_model")
    end_model = scores_of(storage, model="end_model", split="test", metric="accuracy")
    assert all(row["value"] > 0.6 for row in end_model)
    dataset = DictDataset.load(storage / "test_dataset.safetensors")
    assert (dataset.name, references(dataset)) == (
        "reference",
        {"shape": "label_model", "parity": "label_model"},
    )


def test_a_split_without_gold_and_votes_is_left_out_of_validation(pipeline_folder, storage):
    def all_test(columns):
        columns["split"] = ["valid" if row < 20 else "train" for row in range(100)] + ["test"] * 20

    for shard in SHARDS:
        pipeline_folder.edit(pipeline_folder.examples_file(shard), all_test)
    for task in TASKS:
        forget_gold(pipeline_folder, task, "valid")
    forget_votes(pipeline_folder, 20)
    result = run_all(pipeline_folder, storage)
    assert metadata_of(result, "valid_dataset")["reference"].value == {"shape": None, "parity": None}
    columns = metadata_of(result, "multitask_classifier")["history"].schema.columns
    assert not [column.name for column in columns if "/valid/" in column.name]
    assert not scores_of(storage, split="valid")


def test_heads_of_their_own_come_from_the_file(pipeline_folder, storage):
    heads = {"parity": {"hidden": [7], "loss_weight": 0.25}}
    configure(pipeline_folder, model={"hidden": [16], "dropout": 0.1, "activation": "tanh", "heads": heads})
    result = run_all(pipeline_folder, storage)
    n_parameters = metadata_of(result, "multitask_classifier")["n_parameters"].value
    assert n_parameters == (5 * 16 + 16) + (16 * 3 + 3) + (16 * 7 + 7) + (7 * 2 + 2)
    assert scores_of(storage, model="end_model", task="parity")


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """A module of one's own on the path."""
    (tmp_path / "their_networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("their_networks", None)


def own_modules(folder, reference, **keys):
    """Two feature columns, two fields, and modules that read both."""
    for shard in SHARDS:
        folder.edit(
            folder.examples_file(shard),
            lambda columns: columns.update(
                extra=[float(row[0]) for row in columns["features"]], more=[0.5] * len(columns["split"])
            ),
        )
    fields = {"left": ["features", "more"], "right": ["extra"]}
    configure(
        folder, feature_columns=fields, model={"build_tasks": reference, "options": {"width": 12}}, **keys
    )


@pytest.mark.usefixtures("networks")
def test_modules_of_ones_own_are_trained_stored_and_predict(pipeline_folder, storage):
    own_modules(pipeline_folder, "their_networks:build_tasks", trainer={"n_epochs": 6, "lr": 0.02})
    result = run_all(pipeline_folder, storage)
    trained = metadata_of(result, "multitask_classifier")
    assert trained["n_parameters"].value == (7 * 12 + 12) + (12 * 3 + 3) + (12 * 2 + 2)
    dataset = DictDataset.load(storage / "train_dataset.safetensors")
    assert {name: values.shape[1] for name, values in dataset.X_dict.items()} == {"left": 6, "right": 1}
    test = scores_of(storage, model="end_model", task="shape", split="test", metric="accuracy")
    assert all(row["value"] > 0.6 for row in test)


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_networks:build_tasks", "model.build_tasks: .* there is no module 'no_such_networks'"),
        (
            "their_networks:build",
            "module 'their_networks' has no function 'build', did you mean 'build_tasks'",
        ),
    ],
)
def test_a_function_that_is_not_there_is_named_with_its_key(pipeline_folder, storage, reference, message):
    own_modules(pipeline_folder, reference)
    with pytest.raises(SettingsError, match=message):
        run_all(pipeline_folder, storage)


@pytest.mark.usefixtures("networks")
def test_a_stored_model_of_other_modules_than_the_file_says_is_not_run(pipeline_folder, storage):
    own_modules(pipeline_folder, "their_networks:build_tasks")
    run_all(pipeline_folder, storage)
    sys.modules.pop("their_networks")
    configure(pipeline_folder, model={"hidden": [4]}, feature_columns=None)
    definitions = build_definitions(
        [load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu"
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        job = definitions.resolve_job_def("retrain")
        result = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("predictions")], raise_on_error=False
        )
    assert not result.success
    error = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert "the tasks were built by {'build_tasks': 'their_networks:build_tasks'" in str(error.cause)
    assert "their_networks" not in sys.modules


def test_the_classifier_tells_how_it_was_trained(pipeline_folder, storage):
    result = run_all(pipeline_folder, storage)
    metadata = metadata_of(result, "multitask_classifier")
    assert metadata["device"].value == "cpu"
    assert metadata["n_epochs"].value == 3
    assert metadata["best_epoch"].value in {1, 2, 3}
    assert metadata["resumed_from_step"].value == 0
    assert metadata["examples_per_second"].value > 100
    assert metadata["n_parameters"].value == (5 * 16 + 16) + (16 * 3 + 3) + (16 * 2 + 2)
    folder = storage / "checkpoints" / "multitask_classifier"
    assert metadata["checkpoint_path"].value.startswith(str(folder))
    records = [record.data for record in metadata["history"].records]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    text = metadata["history_plot"].md_str
    before, _, encoded = text.removesuffix(")").partition("base64,")
    assert before == "![losses and scores over the epochs](data:image/png;"
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(encoded)))
    assert picture.shape[:2] == (272, 720)
    assert len(encoded) < 130_000
    best = records[metadata["best_epoch"].value - 1]
    assert metadata["shape_gold_valid_accuracy"].value == pytest.approx(
        best["shape/gold/valid/accuracy"], abs=1e-4
    )


def test_a_history_with_gaps_is_a_table():
    table = history_table([{"epoch": 1, "a": 0.123456789}, {"epoch": 2, "a": math.nan, "b": 1.0}])
    assert [column.name for column in table.schema.columns] == ["epoch", "a", "b"]
    assert [record.data for record in table.records] == [
        {"epoch": 1, "a": 0.12346, "b": None},
        {"epoch": 2, "a": None, "b": 1.0},
    ]


def test_a_long_history_is_thinned_to_the_first_the_best_the_last_and_others_between():
    history = [{"epoch": epoch} for epoch in range(1, 1501)]
    shown = [record["epoch"] for record in thin(history, best=777)]
    assert (shown[0], shown[-1], 778 in shown, len(shown)) == (1, 1500, True, 201)
    assert shown == sorted(set(shown))
    assert max(after - before for before, after in pairwise(shown)) <= 8
    assert thin(history[:200], best=5) == history[:200]


def test_how_much_of_a_history_is_shown_is_in_the_metadata(pipeline_folder, storage):
    configure(pipeline_folder, trainer={"n_epochs": 210, "lr": 0.01, "batch_size": 512})
    metadata = metadata_of(run_all(pipeline_folder, storage), "multitask_classifier")
    shown = [record.data["epoch"] for record in metadata["history"].records]
    assert metadata["history_records"].value.startswith(f"{len(shown)} of 210: the first, the best, the last")
    assert len(shown) in {200, 201}
    assert {1, metadata["best_epoch"].value, 210} <= set(shown)
    assert len(EndModel.load(storage / "multitask_classifier.safetensors").history) == 210


def test_every_epoch_has_a_line_in_the_runs_log_as_soon_as_it_is_done(
    pipeline_folder, storage, capsys, monkeypatch
):
    checkpoint = storage / "checkpoints" / "multitask_classifier" / "last.safetensors"
    training = []

    def describe(record):
        training.append(checkpoint.exists())
        return describe_epoch(record)

    monkeypatch.setattr(classification, "describe_epoch", describe)
    run_all(pipeline_folder, storage)
    lines = [line for line in capsys.readouterr().err.splitlines() if "multitask_classifier - epoch" in line]
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert f" epoch {number}: model/all/train/loss " in line
        assert "shape/gold/valid/accuracy 0." in line
    assert training == [True] * 3
    assert not checkpoint.exists()


def test_the_command_line_continues_an_interrupted_training(
    pipeline_folder, storage, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    command = [str(pipeline_folder.spec_path), "--device", "cpu", "--storage"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    epochs = []

    def interrupt(record):
        epochs.append(record["epoch"])
        if epochs == [1]:
            signal.raise_signal(signal.SIGINT)
        return describe_epoch(record)

    monkeypatch.setattr(classification, "describe_epoch", interrupt)
    assert main([*command, str(storage)]) == 130
    assert "the same command continues a training where it was stopped" in capsys.readouterr().err
    assert main([*command, str(storage)]) == 0
    assert epochs == [1, 2, 3]
    model = "multitask_classifier.safetensors"
    assert (storage / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()


def test_results_and_checkpoints_may_be_on_any_file_system(pipeline_folder, storage):
    run_all(pipeline_folder, storage)
    metadata = metadata_of(run_all(pipeline_folder, "memory://bucket/results"), "multitask_classifier")
    model = UPath("memory://bucket/results/multitask_classifier.safetensors")
    assert model.read_bytes() == (storage / "multitask_classifier.safetensors").read_bytes()
    assert metadata["checkpoint_path"].value.startswith(
        "memory://bucket/results/checkpoints/multitask_classifier/best_model_"
    )
    assert UPath(metadata["checkpoint_path"].value).exists()


def test_what_the_library_logs_is_in_the_runs_log():
    settings = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["python_logs"]

    @dg.asset
    def training() -> None:
        logging.getLogger("ws_pipeline.classification.training.checkpointer").warning("starts anew")

    with dg.instance_for_test(overrides={"python_logs": settings}) as instance:
        run = dg.materialize([training], instance=instance).run_id
        assert "starts anew" in [record.user_message for record in instance.all_logs(run)]


def test_scores_against_gold_keep_their_plain_names():
    row = {"task": "a", "model": "vote", "dataset": "covered", "split": "test", "metric": "accuracy"}
    table = pa.Table.from_pylist([{**row, "reference": "gold", "value": 0.5, "n_examples": 2}])
    assert score_metadata(table)["a_vote_accuracy"] == 0.5
