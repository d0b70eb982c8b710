"""Votes with scores, and for superclasses, in a pipeline."""

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import main
from ws_pipeline.defs.automation.shard_state import votes_fingerprint
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import PipelineSpecError
from ws_pipeline.labeling import AutoLabelModel, LabelMatrix
from ws_pipeline.labeling.votes.score_bins import ScoreBins
from ws_pipeline.labeling.votes.vote_symbols import VoteSymbols
from ws_pipeline_tests.labeling.models.test_lift_symbols import judged, with_sets

SHARDS = ["a", "b"]


class Folder:
    """A pipeline without an end model, of one task whose votes have scores or are for superclasses."""

    def __init__(self, path):
        self.path = path
        self.storage = path.parent / "storage"

    def write_spec(self, of_task, classes=("no", "yes")):
        text = f"name: judges\nmodel: null\ntasks:\n  ok:\n    classes: {list(classes)}\n    {of_task}\n"
        (self.path / "pipeline.yaml").write_text(text)
        return load_spec(self.path / "pipeline.yaml")

    def write_examples(self, shard, ids, gold, **columns):
        splits = np.resize(["train", "valid", "test", "train"], len(ids))
        known = pa.array(gold, mask=splits == "train")
        table = pa.table({"example_id": ids, "split": splits, "ok": known, **columns})
        self._write(self.path / "examples" / f"{shard}.parquet", table)

    def write_votes(self, shard, columns):
        self._write(self.path / "votes" / "ok" / f"{shard}.parquet", pa.table(columns))

    def _write(self, path, table):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    def run(self, spec, run_config=None):
        definitions = build_definitions([spec], storage=str(self.storage), device="cpu")
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("judges_shards", SHARDS)
            for shard in SHARDS:
                definitions.resolve_job_def("ingest").execute_in_process(
                    instance=instance, partition_key=shard
                )
            return definitions.resolve_job_def("retrain").execute_in_process(
                instance=instance, run_config=run_config
            )

    def matrices(self):
        return {
            shard: LabelMatrix.from_parquet(self.storage / "ok" / "label_matrix" / f"{shard}.parquet")
            for shard in SHARDS
        }

    def bins(self):
        return ScoreBins.from_table(pq.read_table(self.storage / "ok" / "score_bins.parquet"))

    def label_model(self):
        return AutoLabelModel.from_file(self.storage / "ok" / "label_model.safetensors")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "judges")


def write_ratings(folder, scale=1.0):
    """Long tables of ratings, of two shards."""
    for place, shard in enumerate(SHARDS):
        votes, ratings, gold = judged(n=300, m=5, seed=place)
        ids = np.arange(300) + 1000 * place
        rows, lfs = np.nonzero(votes >= 0)
        folder.write_examples(shard, ids, gold)
        folder.write_votes(
            shard,
            {
                "item": ids[rows],
                "judge": np.char.add("judge ", lfs.astype(str)),
                "verdict": np.array(["no", "yes"])[votes[rows, lfs]],
                "rating": scale * ratings[rows, lfs],
            },
        )


def metadata_of(result, *key):
    (found,) = [
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(key)
    ]
    return {name: value.value for name, value in found.items()}


LONG = "votes: {format: long, columns: {score: rating}}"


def test_votes_count_by_the_bins_of_their_scores(folder):
    write_ratings(folder)
    result = folder.run(folder.write_spec(LONG))
    assert result.success
    bins, matrices = folder.bins(), folder.matrices()
    assert bins.n_bins == 5
    expected = VoteSymbols.of(matrices, 5)
    assert {name: ends.tolist() for name, ends in bins.edges.items()} == {
        name: ends.tolist() for name, ends in expected.edges.items()
    }
    model = folder.label_model()
    assert model.kind_ == "lift_dawid_skene"
    assert model.chosen_.symbols.n_bins == 5
    labels = pq.read_table(folder.storage / "ok" / "probabilistic_labels.parquet")
    probs = model.predict_proba(LabelMatrix.concatenate(matrices))
    np.testing.assert_array_equal(labels.column("p_1").to_numpy(), probs[:, 1])
    found = metadata_of(result, "ok", "score_bins")
    assert (found["n_bins"], found["n_lfs"], found["n_lfs_fixed_now"]) == (5, 5, 5)
    # extreme ratings are right more often than those in the middle, and the LF summary shows it
    table = [row.data for row in metadata_of(result, "ok", "lf_summary")["score_bins"].records]
    surest = [row["accuracy"] for row in table if row["lf"] == "judge 4" and row["bin"] in (1, 5)]
    middle = [row["accuracy"] for row in table if row["lf"] == "judge 4" and row["bin"] == 3]
    assert min(surest) > max(middle)


def test_bins_stay_until_they_are_to_be_fixed_again(folder):
    write_ratings(folder)
    spec = folder.write_spec(LONG)
    folder.run(spec)
    first = folder.bins()
    write_ratings(folder, scale=0.5)
    result = folder.run(spec)
    assert folder.bins().edges["judge 0"].tolist() == first.edges["judge 0"].tolist()
    assert metadata_of(result, "ok", "score_bins")["n_lfs_fixed_now"] == 0
    again = folder.run(spec, {"ops": {"ok__score_bins": {"config": {"fix_again": True}}}})
    assert folder.bins().edges["judge 0"].tolist() == (first.edges["judge 0"] / 2).tolist()
    assert metadata_of(again, "ok", "score_bins")["n_lfs_fixed_now"] == 5


def test_another_number_of_bins_needs_no_ingestion(folder):
    write_ratings(folder)
    spec = folder.write_spec(LONG)
    other = folder.write_spec("votes: {format: long, columns: {score: rating}, score_bins: 2}")
    assert votes_fingerprint(other, "ok", "a") == votes_fingerprint(spec, "ok", "a")
    folder.run(spec)
    folder.run(other)
    assert folder.bins().n_bins == 2
    assert max(map(len, folder.bins().edges.values())) == 1
    assert folder.label_model().chosen_.symbols.n_bins == 2


def test_a_task_without_scores_has_no_bins(folder):
    for place, shard in enumerate(SHARDS):
        votes, _, gold = judged(n=200, m=4, seed=place)
        ids = np.arange(200) + 1000 * place
        folder.write_examples(shard, ids, gold)
        folder.write_votes(shard, {"example_id": ids, **{f"j{lf}": votes[:, lf] for lf in range(4)}})
    result = folder.run(folder.write_spec("votes: {format: wide}"))
    assert not (folder.storage / "ok" / "score_bins.parquet").exists()
    assert "score_bins" not in metadata_of(result, "ok", "lf_summary")
    assert folder.label_model().chosen_.symbols is None


SUPERCLASSES = "superclasses: {first two: [x, y], last two: [y, z]}"


def write_sets(folder):
    names = np.array(["x", "y", "z", "first two", "last two"], dtype=object)
    for place, shard in enumerate(SHARDS):
        votes, gold = with_sets(n=300, seed=place)
        votes[:10] = -1
        votes[:10, 1] = 3
        ids = np.arange(300) + 1000 * place
        columns = {f"lf_{lf}": np.where(votes[:, lf] < 0, None, names[votes[:, lf]]) for lf in range(5)}
        folder.write_examples(shard, ids, gold)
        folder.write_votes(shard, {"example_id": ids, **columns})


def test_votes_for_superclasses_are_published(folder):
    write_sets(folder)
    result = folder.run(folder.write_spec(SUPERCLASSES, classes=["x", "y", "z"]))
    model = folder.label_model()
    assert model.kind_ == "lift_dawid_skene"
    assert [found.name for found in model.chosen_.symbols.superclasses] == ["first two", "last two"]
    labels = pq.read_table(folder.storage / "ok" / "probabilistic_labels.parquet")
    assert all(labels.column("covered").to_pylist())
    assert max(labels.column("p_2").to_numpy()[:10]) < 0.2  # only a vote for the first two
    summary = pq.read_table(folder.storage / "ok" / "lf_summary.parquet").to_pylist()
    assert summary[-1]["n_votes"] == 0
    assert summary[-1]["n_superclass_votes"] > 50
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["lfs_vote"].passed  # the last one does, for a superclass


def test_superclasses_alone_make_labels(folder, capsys):
    rng = np.random.default_rng(0)
    for place, shard in enumerate(SHARDS):
        gold = rng.integers(0, 3, 200)
        says = np.stack([gold < 2, gold > 0], axis=1) ^ (rng.random((200, 2)) < 0.1)
        ids = np.arange(200) + 1000 * place
        folder.write_examples(shard, ids, gold)
        votes = {
            f"lf_{lf}": np.where(says[:, lf], name, None) for lf, name in enumerate(["first two", "last two"])
        }
        folder.write_votes(shard, {"example_id": ids, **votes})
    spec = folder.write_spec(SUPERCLASSES, classes=["x", "y", "z"])
    assert main(["check", str(folder.path)]) == 0
    said = capsys.readouterr().out
    assert "superclasses (" in said
    assert "no problem found" in said
    result = folder.run(spec)
    assert result.success
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["coverage"].passed
    labels = pq.read_table(folder.storage / "ok" / "probabilistic_labels.parquet")
    assert sum(labels.column("covered").to_pylist()) > 350


def test_functions_vote_for_superclasses_by_the_numbers_after_the_classes(folder):
    for place, shard in enumerate(SHARDS):
        gold = np.random.default_rng(place).integers(0, 3, 200)
        texts = [["ex wye", "wye", "zed wye"][label] + f" {row}" for row, label in enumerate(gold)]
        folder.write_examples(shard, np.arange(200) + 1000 * place, gold, text=texts)
    (folder.path / "lfs.py").write_text(
        "from ws_pipeline.labeling import keyword_lf\n\n"
        "is_x = keyword_lf('is_x', ['ex'], 0)\n"
        "is_late = keyword_lf('is_late', ['zed'], 4)\n"  # the second superclass
        "is_early = keyword_lf('is_early', ['ex'], 3)\n"
    )
    spec = folder.write_spec(f"labeling_functions: lfs.py\n    {SUPERCLASSES}", classes=["x", "y", "z"])
    folder.run(spec)
    matrix = folder.matrices()["a"]
    assert (matrix.votes[:, 1:] == -1).all()
    assert set(matrix.details.sets[:, 1].tolist()) == {-1, 1}
    assert set(matrix.details.sets[:, 2].tolist()) == {-1, 0}
    result = folder.run(spec)  # unchanged functions keep their votes
    assert result.success
    assert folder.matrices()["a"] == matrix


@pytest.mark.parametrize(
    ("of_task", "said"),
    [
        ("superclasses: {a: [x, w]}", "superclasses.a: 'w' is no class"),
        (
            "superclasses: {a: [x, y, z]}",
            "superclasses.a: expected different classes, at least two and not all",
        ),
        ("superclasses: {x: [x, y]}", "superclasses.x: there is a class of this name"),
        ("multi_label: true\n    superclasses: {a: [x, y]}", "superclasses: the lists of a multi-label task"),
        ("multi_label: true\n    votes: {scores: vote}", "scores: the lists of a multi-label task have none"),
        ("votes: {score_suffix: _p}", "score_suffix is for wide tables with scores: vote"),
        ("votes: {score_bins: 3}", "score_bins is for votes with scores"),
        ("votes: {scores: votes}", "scores option 'votes', expected 'vote' or 'class'"),
        ("label_model: {kind: lift_dawid_skene, n_bins: 3}", "n_bins"),
    ],
)
def test_settings_that_mean_nothing_are_refused(folder, of_task, said):
    folder.path.mkdir()
    with pytest.raises(PipelineSpecError) as caught:
        folder.write_spec(of_task, classes=["x", "y", "z"])
    assert said in str(caught.value)


def test_what_was_ingested_before_there_were_scores_stays_valid(folder):
    """The fingerprint of a spec without scores and superclasses is that of older versions."""
    from ws_pipeline.defs.automation.shard_state import digest, fingerprint
    from ws_pipeline.storage.file_stamps import stamp_of

    write_ratings(folder)
    spec = folder.write_spec("votes: {format: long, columns: {label: verdict}}")
    columns = {"example": None, "source": None, "label": "verdict"}
    reading = digest(None, ["ok"], {"format": "long", "columns": columns})[:6] + digest(["no", "yes"])[:6]
    assert votes_fingerprint(spec, "ok", "a") == fingerprint(stamp_of(spec.votes_path("ok", "a")), reading)


def write_csv(folder, shard, columns):
    path = folder.path / "votes" / "ok" / f"{shard}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pa.csv.write_csv(pa.table(columns), path)


@pytest.mark.parametrize("form", ["wide", "long"])
def test_scores_and_superclasses_in_text_files(folder, form):
    names = ["x", "y", "z", "first two", "last two"]
    for place, shard in enumerate(SHARDS):
        votes, gold = with_sets(n=120, seed=place)
        ids = [f"e{place}-{row}" for row in range(120)]
        scores = np.where(votes < 0, np.nan, np.random.default_rng(place).integers(0, 100, votes.shape))
        folder.write_examples(shard, ids, gold)
        if form == "wide":
            columns = {"example_id": ids}
            for lf in range(5):
                columns[f"lf_{lf}"] = [names[vote] if vote >= 0 else None for vote in votes[:, lf]]
                columns[f"lf_{lf}_score"] = pa.array(scores[:, lf], from_pandas=True)
        else:
            rows, lfs = np.nonzero(votes >= 0)
            columns = {
                "item": [ids[row] for row in rows],
                "worker": [f"lf_{lf}" for lf in lfs],
                "answer": [names[votes[row, lf]] for row, lf in zip(rows, lfs, strict=True)],
                "sure": scores[rows, lfs],
            }
        write_csv(folder, shard, columns)
    how = "{scores: vote}" if form == "wide" else "{format: long, columns: {score: sure}}"
    folder.run(folder.write_spec(f"votes: {how}\n    {SUPERCLASSES}", classes=["x", "y", "z"]))
    votes, _ = with_sets(n=120, seed=1)
    matrix = folder.matrices()["b"]
    np.testing.assert_array_equal(matrix.details.sets, np.where(votes >= 3, votes - 3, -1))
    scores = np.where(votes < 0, np.nan, np.random.default_rng(1).integers(0, 100, votes.shape))
    np.testing.assert_array_equal(matrix.details.scores, scores.astype(np.float32))


def test_lists_of_scores_are_refused_in_text_files(folder):
    from ws_pipeline.defs.assets.ingest import read_votes
    from ws_pipeline.errors import FileFormatError

    write_csv(folder, "a", {"example_id": ["e"], "lf": ["0.5 0.5"]})
    spec = folder.write_spec("votes: {scores: class}")
    with pytest.raises(
        FileFormatError, match="which a file of separated values cannot hold; write Parquet or"
    ):
        read_votes(spec.votes_path("ok", "a"), spec.tasks["ok"], tasks=["ok"])
