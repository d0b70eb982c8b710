"""A pipeline of more sources than a dense label matrix has, which come and go from shard to shard."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import main
from ws_pipeline.labeling.votes import vote_storage

SOURCES = {"monday": range(260), "tuesday": range(20, 120), "wednesday": range(30, 300)}
SPEC = """
tasks:
  topic: {classes: [a, b, c], votes: {format: long}}
model: null
"""
TABLES = ["probabilistic_labels", "majority_vote", "lf_summary", "lf_families", "label_next", "least_sure"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for place in ("examples", "votes/topic"):
        (tmp_path / "data" / place).mkdir(parents=True)
    for number, (shard, sources) in enumerate(SOURCES.items()):
        ids = np.arange(600) + 600 * number
        gold = rng.integers(0, 3, 600)
        splits = rng.choice(["train", "valid", "test"], 600)
        known = pa.array(gold, mask=splits == "train")
        examples = {"example_id": ids, "split": splits, "topic": known}
        voters = np.array([rng.choice(sources, 4, replace=False) for _ in ids[:-5]])
        votes = np.where(rng.random(voters.shape) < 0.8, gold[:-5, None], rng.integers(0, 3, voters.shape))
        answers = {
            "example_id": np.repeat(ids[:-5], 4),
            "worker": [f"worker {source}" for source in voters.ravel()],
            "label": [("a", "b", "c")[vote] for vote in votes.ravel()],
        }
        pq.write_table(pa.table(examples), tmp_path / f"data/examples/{shard}.parquet")
        pq.write_table(pa.table(answers), tmp_path / f"data/votes/topic/{shard}.parquet")
    (tmp_path / "data/pipeline.yaml").write_text(SPEC)
    return tmp_path


def run(folder, name):
    storage = folder / name
    assert main([str(folder / "data/pipeline.yaml"), "--storage", str(storage)]) == 0
    return storage / "topic"


@pytest.mark.slow
def test_the_whole_pipeline_is_the_same_sparse_and_dense(folder, monkeypatch, capsys):
    sparse = run(folder, "sparse")
    stored = {shard: pq.read_schema(sparse / f"label_matrix/{shard}.parquet").names for shard in SOURCES}
    assert stored["monday"] == stored["wednesday"] == ["example_id", "votes"]
    assert len(stored["tuesday"]) == 1 + 100
    said = capsys.readouterr().out
    monkeypatch.setattr(vote_storage, "DENSE_LFS", 10**6)
    dense = run(folder, "dense")
    assert len(pq.read_schema(dense / "label_matrix/monday.parquet").names) == 1 + 260
    for name in TABLES:
        one, other = (pq.read_table(storage / f"{name}.parquet") for storage in (sparse, dense))
        assert one.num_rows
        assert one.equals(other), name
    scores = [text.partition("seconds per asset")[0] for text in (said, capsys.readouterr().out)]
    assert scores[0] == scores[1]
    labels = pq.read_table(sparse / "probabilistic_labels.parquet")
    assert labels.num_rows == 1800
    assert pq.read_table(sparse / "lf_summary.parquet").num_rows == 300


def test_check_reads_them(folder, capsys):
    assert main(["check", str(folder / "data")]) == 0
    found = capsys.readouterr().out
    assert "worker 299" in found or "300" in found
