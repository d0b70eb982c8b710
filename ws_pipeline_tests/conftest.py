"""A small pipeline on disk that the tests of the Dagster face share: two tasks, three shards, real files."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

TASKS = {"shape": 3, "parity": 2}
N_LFS = 6
N_FEATURES = 5


def pytest_configure() -> None:
    """Let SIGINT interrupt, as in a terminal; what a shell starts in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that of several processes none is left with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@dataclass
class PipelineFolder:
    """A folder with a pipeline.yaml, votes and examples."""

    root: Path

    @property
    def spec_path(self) -> Path:
        return self.root / "pipeline.yaml"

    def examples_file(self, shard: str) -> Path:
        return self.root / "examples" / f"{shard}.parquet"

    def votes_file(self, task: str, shard: str) -> Path:
        return self.root / "votes" / task / f"{shard}.parquet"

    def edit(self, file: Path, change) -> None:
        """Rewrite a Parquet file by a function of its columns."""
        table = pq.read_table(file)
        columns = table.to_pydict()
        change(columns)
        fields = [table.schema.field(name) for name in columns if name in table.column_names]
        kept = pa.table({f.name: pa.array(columns[f.name], f.type) for f in fields})
        for name in columns.keys() - set(table.column_names):
            kept = kept.append_column(name, pa.array(columns[name]))
        pq.write_table(kept, file)

    def set_label_model(self, **settings) -> None:
        """Give every task these settings of its label model."""
        spec = yaml.safe_load(self.spec_path.read_text())
        for task in spec["tasks"].values():
            task["label_model"] = settings
        self.spec_path.write_text(yaml.safe_dump(spec))

    def add_shard(self, shard: str, *, first_id: int) -> None:
        write_shard(self, shard, first_id=first_id)

    def remove_shard(self, shard: str) -> None:
        self.examples_file(shard).unlink()
        for task in TASKS:
            self.votes_file(task, shard).unlink()


def write_shard(folder: PipelineFolder, shard: str, *, first_id: int, n: int = 120, seed: int = 0) -> None:
    """Write one shard: features that tell the class, LFs of known accuracy, gold for all rows."""
    rng = np.random.default_rng([seed, first_id])
    ids = np.arange(first_id, first_id + n)
    shape = rng.integers(0, 3, n)
    gold = {"shape": shape, "parity": shape % 2}
    features = rng.normal(size=(n, N_FEATURES)) + 2.0 * np.eye(3, N_FEATURES)[shape]
    flat = pa.array(features.astype(np.float32).ravel())
    columns = {
        "example_id": ids,
        "split": rng.permutation(np.repeat(["train", "valid", "test"], [n - 50, 25, 25])),
        "features": pa.FixedSizeListArray.from_arrays(flat, N_FEATURES),
        **gold,
    }
    folder.examples_file(shard).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder.examples_file(shard))
    for task, k in TASKS.items():
        votes = {"example_id": ids}
        for lf in range(N_LFS):
            accuracy, coverage = 0.6 + 0.05 * lf, 0.9 - 0.1 * lf
            right = rng.random(n) < accuracy
            vote = np.where(right, gold[task], rng.integers(0, k, n))
            votes[f"lf_{lf}"] = pa.array(vote.astype(np.int8), mask=rng.random(n) > coverage)
        folder.votes_file(task, shard).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(votes), folder.votes_file(task, shard))


@pytest.fixture
def pipeline_folder(tmp_path: Path) -> PipelineFolder:
    folder = PipelineFolder(tmp_path / "data" / "toy")
    for number in range(3):
        write_shard(folder, f"part-{number}", first_id=1000 * number)
    spec = {
        "name": "toy",
        "tasks": {"shape": {"classes": ["round", "square", "star"]}, "parity": {"classes": ["even", "odd"]}},
        "model": {"hidden": [16]},
        "trainer": {"n_epochs": 3, "lr": 0.01},
    }
    folder.spec_path.write_text(yaml.safe_dump(spec))
    return folder


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"
