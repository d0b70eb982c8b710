"""Many sources with few votes each, from the file to the labels: sparse, beside dense arrays of the votes.

    python benchmarks/many_sources.py                    2,500 sources, 200,000 examples, 3 votes on each
    python benchmarks/many_sources.py --examples 20000   fewer examples
    python benchmarks/many_sources.py --no-dense         only what the package does

The votes are simulated: four classes, sources that are right in 55 to 95 % of their votes, four shards,
each of which lacks another tenth of the sources, gold labels on 2 % of the examples.  Each column of the
table is a process of its own, in which label matrices of any number of sources are kept sparse, as they are
beyond 256, or dense.  Seconds are processor time, MB the peak of the process so far, imports included. The
last line is the whole pipeline, `python -m ws_pipeline` with `model: null`, in wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pipeline import measure

CLASSES = ["a", "b", "c", "d"]
SHARDS, VOTES, GOLD = 4, 3, 0.02
SPEC = """
tasks:
  answer: {classes: [a, b, c, d], votes: {format: long}}
model: null
"""


def write_folder(folder: Path, n: int, m: int) -> None:
    """Write a pipeline of ``n`` examples and ``m`` sources."""
    rng = np.random.default_rng(0)
    accuracies = rng.uniform(0.55, 0.95, m)
    (folder / "examples").mkdir(parents=True)
    (folder / "votes/answer").mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(SPEC)
    for shard in range(SHARDS):
        ids = np.arange(shard, n, SHARDS)
        gold = rng.integers(0, len(CLASSES), len(ids))
        known = rng.random(len(ids)) < GOLD
        examples = {
            "example_id": ids,
            "split": rng.choice(["train", "valid", "test"], len(ids), p=[0.8, 0.1, 0.1]),
            "answer": pa.array(gold, mask=~known),
        }
        present = np.flatnonzero(np.arange(m) % 10 != shard)
        sources = np.stack([rng.choice(present, VOTES, replace=False) for _ in ids])
        right = rng.random(sources.shape) < accuracies[sources]
        votes = np.where(right, gold[:, None], rng.integers(0, len(CLASSES), sources.shape))
        answers = {
            "example_id": np.repeat(ids, VOTES),
            "worker": pa.array([f"worker {source}" for source in sources.ravel()]),
            "label": pa.array(CLASSES).take(pa.array(votes.ravel())),
        }
        for place, table in (("examples", examples), ("votes/answer", answers)):
            pq.write_table(pa.table(table), folder / place / f"part-{shard}.parquet")


def child(folder: Path, form: str) -> None:  # noqa: PLR0915  one step after the other
    """Go from the files to the labels; print a line of JSON after each step."""
    import scipy.sparse  # noqa: F401  imports are not what is measured
    import torch

    from ws_pipeline.defs.assets.alignment import with_same_lfs
    from ws_pipeline.defs.assets.ingest import align_votes, read_votes
    from ws_pipeline.defs.spec.pipeline_file import load_spec
    from ws_pipeline.example_index import ExampleIndex
    from ws_pipeline.labeling import LabelMatrix, MajorityLabelVoter, VoteCounts
    from ws_pipeline.labeling.models.auto import AutoLabelModel
    from ws_pipeline.labeling.models.family_report import find_families
    from ws_pipeline.labeling.models.gold_votes import GoldRows
    from ws_pipeline.labeling.models.kinds import TrainingVotes
    from ws_pipeline.labeling.models.label_next import label_next
    from ws_pipeline.labeling.models.reasons import least_sure
    from ws_pipeline.labeling.votes import vote_storage
    from ws_pipeline.labeling.votes.lf_analysis import lf_summary
    from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
    from ws_pipeline.storage.files import read_parquet, write_parquet

    torch.set_num_threads(1)
    if form == "dense":
        vote_storage.DENSE_LFS = 10**9
    spec = load_spec(folder / "pipeline.yaml")
    task, shards = spec.tasks["answer"], [f"part-{shard}" for shard in range(SHARDS)]
    index = {
        shard: ExampleIndex.from_table(
            read_parquet(folder / f"examples/{shard}.parquet"),
            spec.cardinalities,
            where=shard,
            classes=spec.classes,
        )
        for shard in shards
    }
    gold = np.concatenate([index[shard].gold["answer"] for shard in shards])

    def step(name: str, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = call()
        print(json.dumps([name, time.process_time() - started, _peak()]), flush=True)
        return result

    def read(shard: str) -> LabelMatrix:
        votes = read_votes(spec.votes_path("answer", shard), task, tasks=spec.tasks)
        return align_votes(votes, index[shard].example_ids, where=shard)

    def store(shard: str) -> LabelMatrix:
        write_parquet(matrices[shard].to_table(), folder / f"{form}.parquet")
        return LabelMatrix.from_parquet(folder / f"{form}.parquet")

    def fit() -> AutoLabelModel:
        return AutoLabelModel(4).fit_votes(TrainingVotes(patterns, lambda: total), rows)

    step("(start)", lambda: None)
    matrices = step("read the votes files", lambda: {shard: read(shard) for shard in shards})
    matrices = step("store and read again", lambda: {shard: store(shard) for shard in shards})
    counts = step("count", lambda: {s: VoteCounts.from_label_matrix(matrices[s]) for s in shards})
    total = step("add up counts", lambda: VoteCounts.total(with_same_lfs(task, counts)))
    matrix = step("put shards together", lambda: LabelMatrix.concatenate(with_same_lfs(task, matrices)))
    patterns = step("patterns", lambda: VotePatterns.from_label_matrix(matrix))
    step("LF summary", lambda: lf_summary(total, matrix=matrix, gold=gold))
    step("plain vote", lambda: MajorityLabelVoter(4).predict_proba(matrix))
    rows = step("gold rows", lambda: GoldRows.read(matrix, gold, 4))
    model = step("fit, three candidates", fit)
    probs = step("labels", lambda: model.predict_proba(matrix))
    step("families", lambda: find_families(model, patterns))
    step("least sure", lambda: least_sure(model, matrix, probs, CLASSES))
    step("label next", lambda: label_next(matrix, probs, CLASSES, askable=gold < 0))
    step("digest", lambda: matrix.digest)
    print(json.dumps(["(sum of labels)", float((probs * np.arange(4)).sum()), _peak()]))


def _peak() -> float:
    """Largest resident size of this process so far, in MB."""
    with Path("/proc/self/status").open() as lines:
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def steps_of(folder: Path, form: str) -> dict[str, tuple[float, float]]:
    """Seconds and MB of every step, in a process of its own."""
    command = [sys.executable, __file__, "--child", str(folder), form]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(f"  {form}: {(answer.stderr.strip().splitlines() or ['killed'])[-1][:200]}")
    lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("[")]
    return {name: (seconds, peak) for name, seconds, peak in lines}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--sources", type=int, default=2_500)
    parser.add_argument("--no-dense", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "FORM"))
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), options.child[1])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder / "data", options.examples, options.sources)
        sparse = steps_of(folder / "data", "sparse")
        dense = {} if options.no_dense else steps_of(folder / "data", "dense")
        command = ["-m", "ws_pipeline", folder / "data/pipeline.yaml", "--storage", folder / "storage"]
        seconds, megabytes = measure([sys.executable, *command], folder)
    print(f"{options.examples:,} examples, {options.sources:,} sources, {VOTES} votes on each")
    print(f"{'':<24}{'sparse s':>10}{'MB':>8}{'dense s':>10}{'MB':>8}{'s ratio':>9}")
    for step, (spent, peak) in sparse.items():
        other = f"{dense[step][0]:>10.2f}{dense[step][1]:>8,.0f}" if step in dense else ""
        ratio = f"{dense[step][0] / spent:>9.1f}" if step in dense and spent > 0 else ""
        print(f"{step:<24}{spent:>10.2f}{peak:>8,.0f}{other}{ratio}")
    print(f"{'the whole pipeline':<24}{seconds:>10.1f}{megabytes:>8,.0f}")


if __name__ == "__main__":
    main()
