"""Speed and memory of the label model, beside Snorkel 0.10 in the same run.

    python benchmarks/label_model.py                  all shapes; takes some ten minutes
    python benchmarks/label_model.py --quick          the first shape and small growth

Every measurement is a process of its own with the same random votes (int64, as numpy makes them) and the
same OMP_NUM_THREADS (default: all cores), imports done before the clock starts, and the best of three runs
(of one for Snorkel, which takes long enough).  Memory is the peak above the input.  The floor is the time
to read the input once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

SHAPES = [
    (1_000_000, 20, 2, 0.5),
    (1_000_000, 50, 2, 0.5),
    (1_000_000, 20, 10, 0.5),
    (100_000, 100, 5, 0.5),
    (100_000, 1_000, 2, 0.01),
]
ONLY_OURS = [(50_000, 50, 100, 0.5)]
GROWTH = [100_000, 1_000_000, 10_000_000]
SHARD = 100_000


def random_votes(n: int, m: int, k: int, coverage: float, seed: int = 0) -> np.ndarray:
    """Votes of LFs of accuracy 0.5 to 0.9, made block by block so that making them costs no memory."""
    rng = np.random.default_rng(seed)
    votes = np.empty((n, m), dtype=np.int64)
    accuracies = np.linspace(0.5, 0.9, m)
    for start in range(0, n, 50_000):
        block = votes[start : start + 50_000]
        truth = rng.integers(0, k, len(block))[:, None]
        block[:] = np.where(rng.random(block.shape) < accuracies, truth, rng.integers(0, k, block.shape))
        block[rng.random(block.shape) >= coverage] = -1
    return votes


def measure(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best wall time in seconds, and peak memory above the present in MB."""
    before = status("VmRSS")
    reset_peak()
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best, max(status("VmHWM") - before, 0.0)


def status(field: str) -> float:
    """A line of /proc/self/status, in MB."""
    with Path("/proc/self/status").open() as lines:
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def child(library: str, n: int, m: int, k: int, coverage: float) -> dict[str, float]:
    """Measure one library on one shape, in this process."""
    import scipy.sparse  # noqa: F401  imports are not what is measured
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    votes = random_votes(n, m, k, coverage)
    if library == "ours":
        from ws_pipeline.labeling import LabelModel

        model = LabelModel(k, verbose=False)
        warm = LabelModel(k, verbose=False)
    else:
        warnings.simplefilter("ignore")
        from snorkel.labeling.model import LabelModel as SnorkelModel

        model, warm = SnorkelModel(k, verbose=False), SnorkelModel(k, verbose=False)
    warm.fit(random_votes(1_000, 5, k, 0.9), progress_bar=False, seed=0)
    repeats = 3 if library == "ours" and m * k < 2_000 else 1
    floor, _ = measure(votes.max, 3)
    fit, fit_memory = measure(lambda: model.fit(votes, progress_bar=False, seed=0), repeats)
    predict, predict_memory = measure(lambda: model.predict_proba(votes), repeats)
    return {
        "floor": floor,
        "fit": fit,
        "fit_memory": fit_memory,
        "predict": predict,
        "predict_memory": predict_memory,
    }


def in_new_process(*arguments: object) -> dict[str, float] | None:
    """Run :func:`child` in a process of its own; None when it does not finish."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(answer.stdout.splitlines()[-1]) if answer.returncode == 0 else None


def processor() -> str:
    """Name of the processor, and those of its vector instructions that counting bits depends on."""
    from simsimd import get_capabilities

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "processor")
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    vectors = [flag for flag in ("avx2", "avx512f", "avx512_vpopcntdq") if flag in flags]
    used = [kind for kind, there in get_capabilities().items() if there]
    return f"{name} with {', '.join(vectors) or 'no AVX'}; SimSIMD uses {', '.join(used)}"


def compare(shapes: list[tuple[int, int, int, float]], *, with_snorkel: bool = True) -> None:
    for shape in shapes:
        ours = in_new_process("ours", *shape)
        theirs = in_new_process("snorkel", *shape) if with_snorkel else None
        n, m, k, coverage = shape
        for step in ("fit", "predict"):
            mine = ours[step], ours[f"{step}_memory"]
            cells = f"{n:>10,} {m:>6,} {k:>4} {coverage:>5} {step:>8} {mine[0]:>9.3f} {mine[1]:>8.0f}"
            if theirs:
                ratio = theirs[step] / mine[0]
                cells += f" {theirs[step]:>10.2f} {theirs[f'{step}_memory']:>9.0f} {ratio:>7.1f}x"
            else:
                cells += f" {'-':>10} {'-':>9} {'-':>8}"
            print(f"{cells} {mine[0] / ours['floor']:>7.1f}x", flush=True)


def growth(sizes: list[int], m: int = 20, k: int = 2) -> None:
    """How fitting grows with n by shards, and what one more shard costs."""
    from ws_pipeline.labeling import FitConfig, LabelModel, VoteCounts

    print(f"\ngrowth with n, shards of {SHARD:,} x {m}, k {k}")
    print(f"{'n':>12} {'count all shards':>17} {'add one shard':>14} {'sum and refit':>14}   seconds")
    shards = [random_votes(SHARD, m, k, 0.5, seed=seed) for seed in range(10)]
    LabelModel(k, verbose=False).fit(shards[0][:1000])  # imports what is imported at first use
    for n in sizes:
        started = time.perf_counter()
        counts = {
            f"part-{number}": VoteCounts.from_votes(shards[number % len(shards)], k)
            for number in range(n // SHARD)
        }
        counted = time.perf_counter() - started
        started = time.perf_counter()
        counts["new"] = VoteCounts.from_votes(shards[0], k)
        added = time.perf_counter() - started
        started = time.perf_counter()
        LabelModel(k, verbose=False).fit_counts(VoteCounts.total(counts), FitConfig())
        refitted = time.perf_counter() - started
        print(f"{n:>12,} {counted:>17.3f} {added:>14.4f} {refitted:>14.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", nargs=5, metavar=("LIBRARY", "N", "M", "K", "COVERAGE"))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    if options.child:
        library, n, m, k, coverage = options.child
        print(json.dumps(child(library, int(n), int(m), int(k), float(coverage))))
        return
    print(f"seconds and MB above the input; OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}; {processor()}")
    print(
        f"{'n':>10} {'m':>6} {'k':>4} {'cov.':>5} {'step':>8} {'ours':>9} {'MB':>8} "
        f"{'Snorkel':>10} {'MB':>9} {'ratio':>8} {'/floor':>8}"
    )
    compare(SHAPES[:1] if options.quick else SHAPES)
    if not options.quick:
        compare(ONLY_OURS, with_snorkel=False)
    growth(GROWTH[:2] if options.quick else GROWTH)


if __name__ == "__main__":
    main()
