"""From raw text and votes to a scored end model, with ten lines of YAML."""

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.classification.end_model import EndModel
from ws_pipeline.defs.automation.shard_state import examples_fingerprint, ingested_shards, stale_shards
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import ExamplesError, PipelineSpecError, TextError
from ws_pipeline.text.text_models import TextModels

SHARDS = ["part-0", "part-1"]
TOPICS = ["goal team match player score", "stock market price bank profit"]
FILLER = ["the", "of", "and", "to", "in", "is", "on", "that", "it", "with", "as", "for", "was", "at"]


def write_text_shard(folder, shard, *, first_id, n=300):
    """Texts of two topics; LFs know one keyword each and are often wrong."""
    rng = np.random.default_rng([7, first_id])
    gold = rng.integers(0, 2, n)
    texts = [
        " ".join(rng.permutation([*rng.choice(TOPICS[label].split(), 2), *rng.choice(FILLER, 6)]))
        for label in gold
    ]
    ids = np.arange(first_id, first_id + n)
    splits = rng.permutation(np.repeat(["train", "valid", "test"], [n - 120, 60, 60]))
    columns = {"example_id": ids, "split": splits, "text": [None, *texts[1:]], "topic": gold}
    votes = {"example_id": ids}
    for lf in range(4):
        vote = np.where(rng.random(n) < 0.7, gold, 1 - gold)
        votes[f"lf_{lf}"] = pa.array(vote.astype(np.int8), mask=rng.random(n) > 0.6)
    for path, table in ((folder / "examples", columns), (folder / "votes/topic", votes)):
        path.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path / f"{shard}.parquet")


@pytest.fixture
def folder(tmp_path):
    for number, shard in enumerate(SHARDS):
        write_text_shard(tmp_path / "news", shard, first_id=1000 * number)
    return tmp_path / "news"


def spec_of(folder, **keys):
    content = {
        "tasks": {"topic": {"classes": ["sport", "money"]}},
        "features": {"text": {"kind": "tfidf_svd", "dims": 16}},
        "model": {"hidden": [16]},
        "trainer": {"n_epochs": 20, "lr": 0.01},
    }
    content |= keys
    (folder / "pipeline.yaml").write_text(
        yaml.safe_dump({key: value for key, value in content.items() if value != "absent"})
    )
    return load_spec(folder / "pipeline.yaml")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        ephemeral.add_dynamic_partitions("news_shards", SHARDS)
        yield ephemeral


def run(spec, storage, instance, job, shard=None, **options):
    definitions = build_definitions([spec], storage=str(storage), device="cpu")
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=shard, **options
    )


def ingest(spec, storage, instance):
    return [run(spec, storage, instance, "ingest", shard) for shard in SHARDS]


def metadata_of(result, asset):
    return result.asset_materializations_for_node(asset)[0].metadata


def only(*assets):
    return {"asset_selection": [dg.AssetKey(asset) for asset in assets]}


def test_text_and_votes_become_an_end_model_that_beats_the_plain_vote(folder, storage, instance):
    spec = spec_of(folder)
    ingested = ingest(spec, storage, instance)
    assert metadata_of(ingested[0], "examples")["n_without_text"].value == 1
    result = run(spec, storage, instance, "retrain")
    scores = {
        row["model"]: row["value"]
        for row in pq.read_table(storage / "scores.parquet").to_pylist()
        if (row["split"], row["dataset"], row["metric"]) == ("test", "all", "accuracy")
    }
    assert scores["end_model"] > scores["vote"] + 0.1
    assert metadata_of(result, "text_features_model")["text_dims"].value == 16
    assert metadata_of(result, "text_features")["text_all_zero"].value == 2  # the two null texts
    models = TextModels.load(storage / "text_features_model.safetensors")
    end_model = EndModel.load(storage / "multitask_classifier.safetensors")
    assert end_model.text_digest == models.digest
    assert end_model.n_features == {"features": 16}
    table = pq.read_table(storage / "examples/part-0.parquet", columns=["text"]).to_pydict()["text"]
    stored = np.stack(pq.read_table(storage / "text_features.parquet")["text"].to_numpy())
    again = models.transform({"text": ["" if text is None else text for text in table]})["text"]
    assert np.array_equal(stored[: len(again)], again)


def test_only_texts_of_the_train_split_are_learned_from(folder, storage, instance):
    def retrained(path):
        spec = spec_of(folder)
        ingest(spec, path, instance)
        run(spec, path, instance, "retrain", **only("shards", "text_features_model"))
        return (path / "text_features_model.safetensors").read_bytes()

    before = retrained(storage)
    file = folder / "examples/part-0.parquet"
    table = pq.read_table(file).to_pydict()
    held_out = [row for row, split in enumerate(table["split"]) if split != "train"]
    for row in held_out:
        table["text"][row] = "entirely other words"
    pq.write_table(pa.table(table), file)
    assert retrained(storage / "again") == before
    table["text"][table["split"].index("train")] = "entirely other words"
    pq.write_table(pa.table(table), file)
    assert retrained(storage / "third") != before


def test_numbers_and_text_are_side_by_side(folder, storage, instance):
    for shard in SHARDS:
        file = folder / f"examples/{shard}.parquet"
        table = pq.read_table(file)
        pq.write_table(table.append_column("size", pa.array(np.arange(len(table), dtype=np.float32))), file)
    for columns, widths in (("absent", 17), (["size"], 17), (["text"], 16)):
        spec = spec_of(folder, feature_columns=columns, trainer={"n_epochs": 1})
        ingest(spec, storage, instance)
        run(spec, storage, instance, "retrain")
        assert EndModel.load(storage / "multitask_classifier.safetensors").n_features == {"features": widths}


def test_shards_without_the_text_column_are_ingested_again(folder, storage, instance):
    for shard in SHARDS:
        file = folder / f"examples/{shard}.parquet"
        table = pq.read_table(file)
        pq.write_table(table.append_column("size", pa.array(np.arange(len(table), dtype=np.float32))), file)
    plain = spec_of(folder, features="absent")
    ingest(plain, storage, instance)
    now = plain.list_files()
    assert stale_shards(plain, now, ingested_shards(plain, instance, SHARDS)) == {}
    named = spec_of(folder)
    assert sorted(stale_shards(named, now, ingested_shards(named, instance, SHARDS))) == SHARDS
    with pytest.raises(ExamplesError, match=r"shard 'part-0' has text columns \[\] instead of \['text'\]"):
        run(named, storage, instance, "retrain")
    ingest(named, storage, instance)
    other_dims = spec_of(folder, features={"text": {"kind": "tfidf_svd", "dims": 4}})
    assert stale_shards(other_dims, now, ingested_shards(other_dims, instance, SHARDS)) == {}


def test_without_the_key_nothing_changes(folder):
    spec = spec_of(folder, features="absent")
    empty = spec_of(folder, features={})
    assert examples_fingerprint(spec, "part-0") == examples_fingerprint(empty, "part-0")
    keys = build_definitions([spec], storage="memory://storage").resolve_asset_graph().get_all_asset_keys()
    assert not [key for key in keys if "text" in key.path[-1]]


def test_features_of_another_fit_are_refused(folder, storage, instance):
    spec = spec_of(folder, trainer={"n_epochs": 1})
    ingest(spec, storage, instance)
    run(spec, storage, instance, "retrain")
    other = spec_of(
        folder, trainer={"n_epochs": 1}, features={"text": {"kind": "tfidf_svd", "dims": 16, "ngrams": 1}}
    )
    selection = only("text_features_model", "text_features", "predictions")
    with pytest.raises(ValueError, match="features that other models made of text"):
        run(other, storage, instance, "retrain", **selection)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ([1] * 300, "text column 'text' has type int64, expected text"),
        (None, "no text column 'text', which the key 'features' names; found"),
    ],
)
def test_columns_that_are_no_text_are_refused_at_ingest(folder, storage, instance, text, said):
    file = folder / "examples/part-0.parquet"
    columns = pq.read_table(file).to_pydict() | {"text": text}
    pq.write_table(pa.table({name: values for name, values in columns.items() if values is not None}), file)
    with pytest.raises(TextError, match=rf"part-0.parquet: {said}"):
        run(spec_of(folder), storage, instance, "ingest", "part-0")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"features": {"text": {"kind": "tfidf"}}},
            r"features.text.*got 'tfidf', did you mean 'tfidf_svd'\?",
        ),
        (
            {"features": {"text": {"kind": "tfidf_svd", "dim": 2}}},
            r"features.text.dim', did you mean 'dims'\?",
        ),
        ({"features": {"text": {"dims": 2}}}, "expected settings with a kind, such as {kind: tfidf_svd}"),
        (
            {"features": {"text": {"kind": "model2vec", "model": "org/name"}}},
            "absolute path .* got 'org/name'",
        ),
        ({"features": {"topic": "tfidf_svd"}}, "features: column 'topic' holds the gold labels of a task"),
        ({"features": {"split": "tfidf_svd"}}, "features: column 'split' holds the splits"),
        ({"features": {"example_id": "tfidf_svd"}}, "features: column 'example_id' holds the ids"),
        ({"model": None, "trainer": {}}, "model: features are made for the end model, but model is null"),
        (
            {"feature_columns": {"a": ["x"]}, "model": {"build_tasks": "a:b"}},
            r"features: column 'text' is in none of the fields \['a'\]",
        ),
    ],
)
def test_keys_that_cannot_be_used_are_refused_by_name(folder, keys, said):
    with pytest.raises(PipelineSpecError, match=said):
        spec_of(folder, **keys)
