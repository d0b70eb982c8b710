"""What is joined by position is refused where the ids differ: after half an ingest, or in part of a run."""

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.defs.assets.alignment import check_labels_and_vote, check_same_examples, check_votes_fit
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import ExampleIdError, LabelMatrixError
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.labeling import LabelMatrix
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.storage.files import ParquetSource, write_parquet

SHARDS = ["part-0", "part-1", "part-2"]
TASKS = ["shape", "parity"]


def examples(*ids):
    return ExampleIndex(np.array(ids), np.array(["train"] * len(ids), dtype=object), {}, {})


def matrix(*ids, vote=0):
    return LabelMatrix(np.full((len(ids), 3), vote), 2, ids)


TWO_SHARDS = {"a": examples(1, 2, 3), "b": examples(4, 5)}


def test_votes_on_the_examples_of_each_shard_fit():
    check_votes_fit({"a": matrix(1, 2, 3), "b": matrix(4, 5)}, TWO_SHARDS, what="x/label_matrix")


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        (matrix(5, 4), "in row 0 it has example 5, the examples have example 4"),
        (matrix(4), "in row 1 it has no more examples, the examples have example 5"),
        (matrix(4, 5, 6), "in row 2 it has example 6, the examples have no more examples"),
        (matrix("4", "5"), "in row 0 it has example 4, the examples have example 4"),
    ],
)
def test_votes_on_other_examples_name_the_shard_the_id_and_the_remedy(votes, said):
    with pytest.raises(ExampleIdError, match=f"x/label_matrix of shard 'b' .*: {said};") as refused:
        check_votes_fit({"a": matrix(1, 2, 3), "b": votes}, TWO_SHARDS, what="x/label_matrix")
    assert str(refused.value).endswith("ingest shard 'b' again, then retrain")


def test_of_shards_that_are_not_read_yet_the_ids_are_compared(tmp_path):
    files = {}
    for name, ids in {"examples": ["p", "q"], "votes": ["q", "p"]}.items():
        write_parquet(pa.table({"example_id": ids}), tmp_path / name)
        files[name] = {"a": ParquetSource(tmp_path / name)}
    check_votes_fit(files["votes"], files["votes"], what="x/label_matrix")
    with pytest.raises(ExampleIdError, match="in row 0 it has example q, the examples have example p"):
        check_votes_fit(files["votes"], files["examples"], what="x/label_matrix")


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([1, 3, 2, 4, 5], r"in row 1 it has example 3, the examples have example 2 \(shard 'a'\)"),
        ([1, 2, 3, 4, 6], r"in row 4 it has example 6, the examples have example 5 \(shard 'b'\)"),
        ([1, 2, 3, 4], r"in row 4 it has no more examples, the examples have example 5 \(shard 'b'\)"),
        ([1, 2, 3, 4, 5, 6], r"in row 5 it has example 6, the examples have no more examples \(shard 'b'\)"),
    ],
)
def test_what_was_made_of_other_examples_is_refused(ids, said):
    check_same_examples(np.arange(1, 6), TWO_SHARDS, what="predictions")
    with pytest.raises(ExampleIdError, match=f"predictions was made of other examples .*: {said}; retrain"):
        check_same_examples(np.array(ids), TWO_SHARDS, what="predictions")


def labels_of(votes, probs=(0.25, 0.75)):
    ids = votes.example_ids
    return ProbabilisticLabels(ids, np.tile(probs, (len(ids), 1)), votes.covered, votes.digest)


def test_labels_and_vote_are_compared_only_if_both_are_of_the_same_votes(pipeline_folder):
    spec, ids = load_spec(pipeline_folder.spec_path), (1, 2, 3, 4, 5)
    labels, vote = labels_of(matrix(*ids)), labels_of(matrix(*ids), probs=(1, 0))
    check_labels_and_vote(spec, "shape", labels=labels, vote=vote, examples=TWO_SHARDS)
    older = labels_of(matrix(*ids, vote=1))
    with pytest.raises(
        ExampleIdError, match=r"shape/probabilistic_labels and shape/majority_vote .* different votes"
    ):
        check_labels_and_vote(spec, "shape", labels=labels, vote=older, examples=TWO_SHARDS)


class Deliveries:
    """A pipeline that ran once on all shards, and what comes after."""

    def __init__(self, folder, storage, instance):
        self.folder, self.storage, self.instance = folder, storage, instance
        self.definitions = build_definitions(
            [load_spec(folder.spec_path)], storage=str(storage), device="cpu"
        )
        instance.add_dynamic_partitions("toy_shards", SHARDS)
        for shard in SHARDS:
            self.ingest(shard)
        self.retrain()

    def ingest(self, shard, *assets):
        self._run("ingest", assets, partition_key=shard)

    def retrain(self, *assets):
        self._run("retrain", assets)

    def _run(self, job, assets, **options):
        keys = [dg.AssetKey(name.split("/")) for name in assets] or None
        self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, asset_selection=keys, **options
        )

    def deliver_in_another_order(self, shard):
        """The same examples and votes again, from the last row to the first."""
        for file in (
            self.folder.examples_file(shard),
            *(self.folder.votes_file(task, shard) for task in TASKS),
        ):
            rows = pq.read_table(file)
            pq.write_table(rows.take(np.arange(len(rows))[::-1]), file)

    def spoil_votes(self, shard):
        for task in TASKS:
            self.folder.edit(
                self.folder.votes_file(task, shard), lambda columns: columns["lf_0"].__setitem__(0, 9)
            )


@pytest.fixture
def deliveries(pipeline_folder, storage):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Deliveries(pipeline_folder, storage, instance)


def test_a_shard_that_was_ingested_in_part_stops_the_next_retrain_and_the_last_good_results_stay(deliveries):
    results = ["shape/probabilistic_labels.parquet", "train_dataset.safetensors", "scores.parquet"]
    before = [(deliveries.storage / name).read_bytes() for name in results]
    deliveries.deliver_in_another_order("part-1")
    deliveries.spoil_votes("part-1")
    with pytest.raises(LabelMatrixError, match="votes 9 on example 1119"):
        deliveries.ingest("part-1")
    message = (
        "/label_matrix of shard 'part-1' does not fit the shard's examples: in row 0 it has example 1000, "
        "the examples have example 1119; .*: ingest shard 'part-1' again, then retrain"
    )
    for assets in ([], ["shards"], ["shape/lf_summary"]):
        with pytest.raises(ExampleIdError, match=message):
            deliveries.retrain(*assets)
    labels = ["shape/majority_vote", "shape/probabilistic_labels"]  # of the votes that are stored, as before
    for assets in (labels, ["train_dataset"], ["valid_dataset"], ["scores"]):
        with pytest.raises(ExampleIdError, match=r"(probabilistic_labels|predictions) was made of other"):
            deliveries.retrain(*assets)
    assert [(deliveries.storage / name).read_bytes() for name in results] == before


@pytest.mark.parametrize("asset", ["train_dataset", "valid_dataset", "test_dataset", "scores"])
def test_labels_of_the_examples_before_are_not_joined_with_those_of_today(deliveries, asset):
    deliveries.deliver_in_another_order("part-1")
    deliveries.ingest("part-1")
    said = r"in row 120 it has example 1000, the examples have example 1119 \(shard 'part-1'\); retrain"
    with pytest.raises(ExampleIdError, match=f"was made of other examples .*: {said}"):
        deliveries.retrain(asset)


def test_predictions_of_the_examples_before_are_not_scored(deliveries):
    deliveries.deliver_in_another_order("part-1")
    deliveries.ingest("part-1")
    labels = [f"{task}/{name}" for task in TASKS for name in ("majority_vote", "probabilistic_labels")]
    with pytest.raises(ExampleIdError, match="predictions was made of other examples"):
        deliveries.retrain(*labels, "scores")


def test_labels_are_not_compared_with_the_vote_of_older_votes(deliveries):
    file = deliveries.folder.votes_file("shape", "part-2")
    deliveries.folder.edit(file, lambda columns: columns.update(lf_0=[0] * 120))
    deliveries.ingest("part-2")
    with pytest.raises(ExampleIdError, match="shape/majority_vote were made of different votes"):
        deliveries.retrain("shape/label_model", "shape/probabilistic_labels")
    with pytest.raises(ExampleIdError, match="shape/majority_vote were made of different votes"):
        deliveries.retrain("train_dataset")


@pytest.mark.parametrize("asset", ["train_dataset", "valid_dataset", "scores"])
@pytest.mark.parametrize("change", ["left", "came"])
def test_labels_of_other_shards_are_not_joined_with_those_of_today(deliveries, asset, change):
    if change == "left":
        deliveries.instance.delete_dynamic_partition("toy_shards", "part-1")
    else:
        deliveries.folder.add_shard("part-3", first_id=6000)
        deliveries.instance.add_dynamic_partitions("toy_shards", ["part-3"])
        deliveries.ingest("part-3")
    with pytest.raises(ExampleIdError, match=r"was made of other examples .* the examples have .*; retrain"):
        deliveries.retrain(asset)
    deliveries.retrain()
    n_rows = {"left": 240, "came": 480}[change]
    for name in ("shape/majority_vote", "shape/probabilistic_labels", "predictions"):
        assert pq.read_metadata(deliveries.storage / f"{name}.parquet").num_rows == n_rows
