"""Quality of the label models on real label matrices with gold labels, and on votes that mislead models.

    WS_PIPELINE_REAL_DATA=folder python benchmarks/label_quality.py [--quick]

Real sets: covered examples of the train split, each set's own metric (accuracy, or F1 of class 1).  Gold
labels are seen only by the rows "auto, 50 gold" and "auto, 100 gold", which are scored on the other examples.
Without the folder only the synthetic votes are measured.  ``--quick`` leaves matrix completion at one seed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ws_pipeline.labeling import (
    AutoLabelModel,
    DawidSkene,
    LabelModel,
    LiftDawidSkene,
    MajorityLabelVoter,
    synthetic_label_matrix,
)
from ws_pipeline.labeling.models.label_quality import measure_quality


class Votes(NamedTuple):
    """One label matrix with gold labels."""

    name: str
    votes: np.ndarray
    gold: np.ndarray
    k: int
    f1: bool = False

    def score(self, probs: np.ndarray, rows: np.ndarray) -> float:
        """Accuracy, ties shared out, or F1 of class 1; in percent."""
        if not self.f1:
            return 100 * measure_quality(probs[rows], self.gold[rows]).value.accuracy
        labels, gold = probs[rows].argmax(axis=1), self.gold[rows]
        return 200 * np.sum((labels == 1) & (gold == 1)) / (np.sum(labels == 1) + np.sum(gold == 1))


def real_sets(folder: Path) -> Iterator[Votes]:
    """Covered train examples of every data set of a folder."""
    for name, about in json.loads((folder / "index.json").read_text()).items():
        read = [
            pa.concat_tables(
                [pq.read_table(path) for path in sorted((folder / name / part).glob("*.parquet"))]
            )
            for part in (f"votes/{about['task']}", "examples")
        ]
        votes, examples = (table.to_pandas().set_index("example_id") for table in read)
        matrix = votes.loc[examples.index].fillna(-1).to_numpy().astype(int)
        gold = examples[about["task"]].fillna(-1).to_numpy().astype(int)
        kept = (matrix >= 0).any(axis=1) & (gold >= 0) & (examples["split"] == "train").to_numpy()
        yield Votes(name, matrix[kept], gold[kept], about["k"], about["metric"] == "f1")


def synthetic_sets() -> Iterator[Votes]:
    """Families of votes on which label models are known to fail."""
    yield _panel("balanced", [0.6, 0.7, 0.75, 0.8, 0.85], 0.5)
    yield _panel("P(y=1) = 0.1", [0.65, 0.7, 0.75, 0.8, 0.7, 0.8], 0.5, [0.9, 0.1])
    yield _panel("below chance", [0.8, 0.8, 0.8, 0.8, 0.3], 1.0)
    yield _panel("k = 50", np.linspace(0.5, 0.9, 20), 0.3, k=50)
    rng = np.random.default_rng(0)
    copies = _panel("two near copies", [0.6, 0.8, 0.8, 0.8, 0.8], 1.0)
    weak = copies.votes[:, 0]
    copy = np.where(rng.random(len(weak)) < 0.02, 1 - weak, weak)
    yield copies._replace(votes=np.column_stack([copies.votes, copy]))
    more = [np.where(rng.random(len(weak)) < 0.02, 1 - weak, weak) for _ in range(4)]
    yield copies._replace(name="five near copies", votes=np.column_stack([copies.votes, *more]))
    judged = rng.integers(2, size=5000)
    coin = np.where(rng.random(5000) < 0.5, 1, -1)
    good = [
        np.where(rng.random(5000) < np.where(judged == label, 0.64, 0.16), label, -1)
        for label in (0, 0, 1, 1)
    ]
    votes = np.column_stack([*[coin] * 5, *good])
    kept = (votes >= 0).any(axis=1)
    yield Votes("five copies of one class", votes[kept], judged[kept], 2)
    yield _single("1 % coverage", 100, 0.02, 0.005)
    yield _single("100 one-class LFs", 100, 0.06, 0.015)
    catch_all = _single("catch-all LF", 5, 0.3, 0.05)
    everywhere = np.where(rng.random(len(catch_all.gold)) < 0.95, 0, -1)
    yield catch_all._replace(votes=np.column_stack([everywhere, catch_all.votes]))
    yield _workers("800 workers", 800)
    judged = rng.integers(2, size=5000)
    hard = rng.random(5000) < 0.3
    wrong = rng.random((5000, 20)) < np.where(hard, 0.8, 0.08)[:, None]
    yield Votes("20 correlated judges", np.where(wrong, 1 - judged[:, None], judged[:, None]), judged, 2)


def _panel(name: str, accuracies: object, coverage: float, balance: object = None, k: int = 2) -> Votes:
    matrix, gold = synthetic_label_matrix(np.asarray(accuracies), coverage, k, 5000, balance)
    votes = np.array(matrix.votes, dtype=int)
    kept = (votes >= 0).any(axis=1)
    return Votes(name, votes[kept], gold[kept], k)


def _single(name: str, m: int, right: float, wrong: float) -> Votes:
    rng = np.random.default_rng(0)
    gold = (rng.random(10_000) < 0.3).astype(int)
    votes = np.full((10_000, m), -1)
    for lf in range(m):
        votes[rng.random(10_000) < np.where(gold == lf % 2, right, wrong), lf] = lf % 2
    kept = (votes >= 0).any(axis=1)
    return Votes(name, votes[kept], gold[kept], 2)


def _workers(name: str, m: int) -> Votes:
    rng = np.random.default_rng(0)
    gold = rng.integers(3, size=4000)
    votes = np.full((4000, m), -1)
    accuracies = rng.uniform(0.5, 0.95, m)
    for row in range(4000):
        for worker in rng.choice(m, 3, replace=False):
            right = rng.random() < accuracies[worker]
            votes[row, worker] = gold[row] if right else (gold[row] + rng.integers(1, 3)) % 3
    return Votes(name, votes, gold, 3)


Fit = Callable[[Votes, np.ndarray], object]


def models(quick: bool) -> dict[str, tuple[Fit, int]]:
    """Name of a row to how it is fitted, and the number of gold labels that it sees."""
    rows: dict[str, tuple[Fit, int]] = {"plain vote": (lambda v, _: MajorityLabelVoter(v.k), 0)}
    for seed in range(1 if quick else 5):

        def complete(v: Votes, _: np.ndarray, seed: int = seed) -> object:
            return LabelModel(v.k, verbose=False).fit(v.votes, progress_bar=False, seed=seed)

        rows[f"matrix completion, seed {seed}"] = (complete, 0)
    rows["Dawid-Skene"] = (lambda v, _: DawidSkene(v.k).fit(v.votes), 0)
    rows["LiftDawidSkene"] = (lambda v, _: LiftDawidSkene(v.k).fit(v.votes), 0)
    for n in (0, 50, 100):
        rows[f"auto, {n} gold" if n else "auto"] = (lambda v, gold: AutoLabelModel(v.k).fit(v.votes, gold), n)
    return rows


def measure(v: Votes, fit: Fit, n_gold: int) -> tuple[float, float, float, float, str]:
    """Score, log-loss, ECE and seconds of a model, and what auto chose."""
    known = np.full(len(v.gold), -1)
    seen = np.random.default_rng(0).choice(len(known), min(n_gold, len(known) // 2), replace=False)
    known[seen] = v.gold[seen]
    started = time.perf_counter()
    model = fit(v, known)
    seconds = time.perf_counter() - started
    probs = model.predict_proba(v.votes)
    rows = known < 0
    quality = measure_quality(probs[rows], v.gold[rows]).value
    return v.score(probs, rows), quality.log_loss, quality.ece, seconds, getattr(model, "kind_", "")


def main() -> None:
    """Print one table for each set, then the means over the real sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    folder = os.environ.get("WS_PIPELINE_REAL_DATA")
    sets = [*(real_sets(Path(folder)) if folder else []), *synthetic_sets()]
    n_real = len(sets) - len(list(synthetic_sets()))
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for place, v in enumerate(sets):
        print(
            f"\n{v.name}: n {len(v.votes):,}, m {v.votes.shape[1]}, k {v.k}, {'F1' if v.f1 else 'accuracy'}"
        )
        print(f"  {'':28} {'score':>6} {'-vote':>6} {'log-loss':>8} {'ECE':>6} {'s':>6}")
        vote = 0.0
        for name, (fit, n_gold) in models(quick).items():
            score, log_loss, ece, seconds, kind = measure(v, fit, n_gold)
            vote = score if name == "plain vote" else vote
            line = f"  {name:28} {score:6.2f} {score - vote:+6.2f} {log_loss:8.3f} {ece:6.3f} {seconds:6.2f}"
            print(f"{line}  {kind}")
            if place < n_real:
                sums.setdefault(name, []).append((score, log_loss, ece))
    print(f"\nmean of {n_real} real sets: score, log-loss, ECE")
    for name, found in sums.items():
        print(f"  {name:28} " + " ".join(f"{value:8.3f}" for value in np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
