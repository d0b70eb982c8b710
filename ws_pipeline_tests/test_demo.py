"""The demo keeps its promises on real data, and the pipeline runs on other people's label matrices."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import run_pipeline
from ws_pipeline.defs.spec.pipeline_file import load_spec

PROJECT = Path(__file__).resolve().parent.parent
REAL_DATA = os.environ.get("WS_PIPELINE_REAL_DATA")


def scores(storage):
    return {
        (row["task"], row["model"], row["metric"]): row["value"]
        for row in pq.read_table(storage / "scores.parquet").to_pylist()
        if (row["split"], row["dataset"]) == ("test", "all")
    }


def test_on_the_digits_the_end_model_beats_the_vote_on_both_tasks(storage, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    run_pipeline(load_spec(PROJECT / "data/digits/pipeline.yaml"), storage=str(storage), device="cpu")
    found = scores(storage)
    for task in ("digit", "parity"):
        for metric in ("accuracy", "f1_macro"):
            vote = found[task, "vote", metric]
            assert found[task, "label_model", metric] >= vote
            assert found[task, "end_model", metric] > vote + 0.02


def test_on_the_messages_functions_and_words_beat_the_vote(storage, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    run_pipeline(load_spec(PROJECT / "data/messages/pipeline.yaml"), storage=str(storage), device="cpu")
    found = scores(storage)
    assert found["topic", "label_model", "accuracy"] > found["topic", "vote", "accuracy"] + 0.03
    assert found["topic", "end_model", "accuracy"] > found["topic", "label_model", "accuracy"] + 0.03


@pytest.mark.skipif(REAL_DATA is None, reason="WS_PIPELINE_REAL_DATA names no folder of real label matrices")
def test_a_pipeline_runs_on_real_comments(storage, tmp_path, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    spec = tmp_path / "pipeline.yaml"
    spec.write_text(f"name: youtube\ndata: {REAL_DATA}/youtube\ntasks: {{spam: {{classes: [ham, spam]}}}}\n")
    run_pipeline(load_spec(spec), storage=str(storage), device="cpu")
    found = scores(storage)
    assert found["spam", "label_model", "accuracy"] >= found["spam", "vote", "accuracy"]
    assert found["spam", "end_model", "accuracy"] > found["spam", "vote", "accuracy"]
