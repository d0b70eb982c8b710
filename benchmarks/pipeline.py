"""What the whole chain costs: `python -m ws_pipeline` on many rows, beside what pyarrow needs to read them.

    python benchmarks/pipeline.py                 1,000,000 rows, 20 LFs, 32 features; takes some two minutes
    python benchmarks/pipeline.py --rows 100000   fewer rows

The data is made here: ten shards, two classes, LFs that are right in 55 to 80 % of their votes and abstain on
half of the rows, features that tell the class.  The end model is trained for one epoch.  The command runs in
a process of its own, with a new Dagster home and a new storage folder; the operating system reports its wall
clock and its peak memory.  The reader decodes every column of every file once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SHARDS, LFS, FEATURES = 10, 20, 32
SPEC = """
tasks: {spam: {classes: [ham, spam]}}
trainer: {n_epochs: 1, batch_size: 1024}
"""
READ = """
import sys, pyarrow.parquet as pq
for file in sys.argv[1:]:
    pq.read_table(file)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    n_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for shard in range(SHARDS):
            write_shard(folder / "data", shard, n_rows // SHARDS)
        (folder / "data/pipeline.yaml").write_text(SPEC)
        files = sorted(map(str, folder.rglob("*.parquet")))
        read = measure([sys.executable, "-c", READ, *files], folder)
        command = ["-m", "ws_pipeline", folder / "data/pipeline.yaml", "--storage", folder / "storage"]
        chain = measure([sys.executable, *command], folder)
    print(f"{n_rows:,} rows x {LFS} LFs x {FEATURES} features{'seconds':>20}{'peak MB':>10}{'ratio':>8}")
    for title, (seconds, megabytes) in (("pyarrow reads the files", read), ("the whole chain", chain)):
        print(f"{title:<38}{seconds:>18.1f}{megabytes:>10.0f}{seconds / read[0]:>8.0f}")


def write_shard(folder: Path, shard: int, n: int) -> None:
    """Write the examples and the votes of one shard."""
    rng = np.random.default_rng(shard)
    truth = rng.integers(0, 2, n)
    features = (rng.normal(size=(n, FEATURES)) + 0.5 * truth[:, None]).astype(np.float32)
    examples = {
        "example_id": np.arange(n) + shard * n,
        "split": rng.choice(["train", "valid", "test"], n, p=[0.8, 0.1, 0.1]),
        "features": pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), FEATURES),
        "spam": truth,
    }
    right = rng.random((n, LFS)) < np.linspace(0.55, 0.8, LFS)
    votes = np.where(right, truth[:, None], 1 - truth[:, None]).astype(np.int8)
    votes[rng.random((n, LFS)) < 0.5] = -1
    columns = {f"lf_{number}": votes[:, number] for number in range(LFS)}
    for place, table in (
        ("examples", examples),
        ("votes/spam", {"example_id": examples["example_id"], **columns}),
    ):
        (folder / place).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), folder / place / f"part-{shard}.parquet")


def measure(command: list[str | Path], folder: Path) -> tuple[float, float]:
    """Wall-clock seconds and peak memory in MB of a command."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    started = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"DAGSTER_HOME": str(home)}
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit((folder / "log").read_text())
    kilobytes = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss / 1024
    return seconds, kilobytes / 1024


if __name__ == "__main__":
    main()
