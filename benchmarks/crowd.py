"""Time and memory of a crowd: thousands of labeling functions (LFs) that vote on few examples each.

    python benchmarks/crowd.py                      this package
    python benchmarks/crowd.py --beside PATH        and another checkout of it, in the same run

The votes are simulated: m workers of accuracy 0.85 to 1 vote on 200 of n examples each, among k classes.
The largest shape is that of CIFAR-10H.  Every shape is a process of its own, which may take 16 GB at most;
imports and votes are made before the clock starts.  Seconds are processor time, so that other programs on
the machine count little; MB are the peak of the whole process, imports and votes included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

VOTES_PER_LF = 200
LIMIT = 16 * 2**30  # bytes of address space per process
SHAPES = [(10_000, 500, 10), (10_000, 1_000, 10), (10_000, 2_571, 10)]


def crowd(n: int, m: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Votes ``[n, m]`` int8 and gold labels ``[n]``."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, k, n)
    votes = np.full((n, m), -1, dtype=np.int8)
    for lf, accuracy in enumerate(rng.uniform(0.85, 1, m)):
        rows = rng.choice(n, VOTES_PER_LF, replace=False)
        right = rng.random(VOTES_PER_LF) < accuracy
        votes[rows, lf] = np.where(right, gold[rows], rng.integers(0, k, VOTES_PER_LF))
    return votes, gold


def peak() -> float:
    """Largest resident size of this process so far, in MB."""
    with Path("/proc/self/status").open() as lines:
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def child(n: int, m: int, k: int) -> None:
    """Count, fit and predict one shape; print a line of JSON after each step."""
    import scipy.sparse  # noqa: F401  imports are not what is measured
    import torch

    from ws_pipeline.labeling import FitConfig, LabelModel, LFAnalysis, MajorityLabelVoter, VoteCounts

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    votes, gold = crowd(n, m, k)

    def step(name: str, call: Callable[[], object]) -> object:
        started = time.process_time()
        result = call()
        line = {"step": name, "seconds": time.process_time() - started, "peak": peak()}
        print(json.dumps(line), flush=True)
        return result

    step("(start)", lambda: None)
    counts = step("count", lambda: VoteCounts.from_votes(votes, k))
    model = step("fit", lambda: LabelModel(k, verbose=False).fit_counts(counts, FitConfig()))
    labels = step("predict", lambda: model.predict(votes))
    step("plain vote", lambda: MajorityLabelVoter(k).predict(votes))
    step("LF summary", lambda: LFAnalysis(votes).lf_summary(gold))
    print(json.dumps({"step": f"(accuracy {np.mean(labels == gold):.4f})", "seconds": 0, "peak": peak()}))


def measure(checkout: Path, shape: tuple[int, int, int]) -> dict[str, tuple[float, float]]:
    """Seconds and MB of every step that ended."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, __file__, "--child", *map(str, shape)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(f"  {checkout}: {(answer.stderr.strip().splitlines() or ['killed'])[-1][:200]}")
    lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    return {line["step"]: (line["seconds"], line["peak"]) for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beside", type=Path, help="another checkout")
    parser.add_argument("--lfs", type=int, help="only the shape with so many LFs")
    parser.add_argument("--child", nargs=3, type=int, metavar=("N", "M", "K"))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    if options.child:
        child(*options.child)
        return
    checkouts = [Path(__file__).resolve().parents[1], *([options.beside] if options.beside else [])]
    print(f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}; seconds and peak MB, one pair per checkout")
    for shape in SHAPES:
        n, m, k = shape
        if options.lfs not in (None, m):
            continue
        print(f"\nn {n:,}, {m:,} LFs with {VOTES_PER_LF} votes each, k {k}")
        found = [measure(checkout, shape) for checkout in checkouts]
        for step in found[0]:
            cells = "".join(
                f"{one[step][0]:>10.2f} s {one[step][1]:>8,.0f} MB" if step in one else f"{'-':>12} {'-':>11}"
                for one in found
            )
            print(f"  {step:<20}{cells}", flush=True)


if __name__ == "__main__":
    main()
