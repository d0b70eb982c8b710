"""Real label matrices with gold labels, where a folder of them is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FOLDER = os.environ.get("WS_PIPELINE_REAL_DATA")

needs_real_data = pytest.mark.skipif(
    FOLDER is None, reason="WS_PIPELINE_REAL_DATA names no folder of real label matrices"
)


class RealSet(NamedTuple):
    """Votes ``[n, m]``, gold labels ``[n]`` and splits ``[n]`` of one data set."""

    votes: np.ndarray
    gold: np.ndarray
    split: np.ndarray
    cardinality: int
    metric: str

    def covered(self, split: str) -> RealSet:
        """The examples of a split that have votes."""
        kept = (self.split == split) & (self.votes >= 0).any(axis=1)
        return self._replace(votes=self.votes[kept], gold=self.gold[kept], split=self.split[kept])

    def score(self, predictions: np.ndarray) -> float:
        """Accuracy, or F1 of class 1, in percent."""
        if self.metric == "acc":
            return float(100 * np.mean(predictions == self.gold))
        hits = np.sum((predictions == 1) & (self.gold == 1))
        return float(200 * hits / (np.sum(predictions == 1) + np.sum(self.gold == 1)))


def load_real(name: str) -> RealSet:
    """Read one data set, all shards one after the other."""
    folder = Path(FOLDER or "")
    about = json.loads((folder / "index.json").read_text())[name]
    votes = _read(folder / name / "votes" / about["task"], None)
    examples = _read(folder / name / "examples", ["example_id", "split", about["task"]])
    frame = votes.to_pandas().set_index("example_id").fillna(-1).astype(int)
    rows = examples.to_pandas().set_index("example_id")
    frame = frame.loc[rows.index]
    gold = rows[about["task"]].fillna(-1).to_numpy().astype(int)
    return RealSet(frame.to_numpy(), gold, rows["split"].to_numpy(), about["k"], about["metric"])


def _read(folder: Path, columns: list[str] | None) -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(path, columns=columns) for path in sorted(folder.glob("*.parquet"))]
    )
