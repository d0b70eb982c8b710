"""What scores of votes, and votes for superclasses, add to the labels, and what they cost.

    python benchmarks/scored_votes.py [--quick]

Synthetic: judges rate each example from 0 to 9, and vote for class 1 from 5 on.  They differ in skill, bias
and scale; "correlated" ones share 40 or 80 % of the variance of their errors.  The mean of several seeds; no
gold label is seen.  ``--quick`` takes one seed and fewer rows for the times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ws_pipeline.labeling import DawidSkene, LabelMatrix, LiftDawidSkene, MajorityLabelVoter


def ratings(seed: int, *, n: int = 5000, m: int = 20, shared: float = 0.4) -> tuple[Any, Any, Any]:
    """Votes and ratings ``[n, m]`` of judges, and gold labels ``[n]``."""
    rng = np.random.default_rng(seed)
    gold = (rng.random(n) < 0.4).astype(int)
    skill, bias = rng.uniform(0.3, 1.2, m), rng.normal(0, 0.4, m)
    error = np.sqrt(1 - shared) * rng.normal(size=(n, m)) + np.sqrt(shared) * rng.normal(size=(n, 1))
    seen = (2 * gold - 1)[:, None] * skill + bias + error
    found = np.clip(np.round(4.5 + 2 * rng.uniform(0.6, 1.6, m) * seen), 0, 9)
    votes = np.where(rng.random((n, m)) < 0.1, -1, found >= 5)
    return votes.astype(int), np.where(votes < 0, np.nan, found), gold


def coarse(seed: int, *, n: int = 5000, m: int = 8) -> tuple[Any, Any]:
    """Votes ``[n, m]``, half of them for one of two superclasses (4, 5) of 4 classes, and gold labels."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(4, size=n)
    right = rng.random((n, m)) < np.linspace(0.4, 0.8, m)
    said = np.where(right, gold[:, None], rng.integers(4, size=(n, m)))
    votes = np.where(rng.random((n, m)) < 0.5, 4 + said // 2, said)
    return np.where(rng.random((n, m)) < 0.5, -1, votes), gold


def measure(probs: np.ndarray, gold: np.ndarray) -> tuple[float, float]:
    """Accuracy in percent, ties shared out, and log-loss."""
    best = probs == probs.max(axis=1, keepdims=True)
    rows = np.arange(len(gold))
    accuracy = 100 * np.mean(best[rows, gold] / best.sum(axis=1))
    return accuracy, -np.mean(np.log(np.clip(probs[rows, gold], 1e-12, 1)))


def print_means(title: str, seeds: int, models: dict[str, Callable[[int], tuple[Any, Any]]]) -> None:
    print(f"\n{title}\n{'':34}accuracy  log-loss")
    for name, label in models.items():
        found = np.mean([measure(*label(seed)) for seed in range(seeds)], axis=0)
        print(f"{name:32}{found[0]:9.1f}{found[1]:10.3f}")


def scored(n_bins: int, shared: float) -> Callable[[int], tuple[Any, Any]]:
    def label(seed: int) -> tuple[Any, Any]:
        votes, scores, gold = ratings(seed, shared=shared)
        matrix = LabelMatrix(votes, 2, scores=scores)
        return LiftDawidSkene(2).fit(matrix, n_bins=n_bins).predict_proba(matrix), gold

    return label


def by_class(model: Any, shared: float) -> Callable[[int], tuple[Any, Any]]:
    def label(seed: int) -> tuple[Any, Any]:
        votes, _, gold = ratings(seed, shared=shared)
        fitted = model(2) if model is MajorityLabelVoter else model(2).fit(votes)
        return fitted.predict_proba(votes), gold

    return label


def with_superclasses(model: Any, *, used: bool) -> Callable[[int], tuple[Any, Any]]:
    def label(seed: int) -> tuple[Any, Any]:
        votes, gold = coarse(seed)
        pairs = {"low": [0, 1], "high": [2, 3]}
        matrix = LabelMatrix(votes, 4, superclasses=pairs)
        given = matrix if used else LabelMatrix(np.where(votes > 3, -1, votes), 4)
        fitted = model(4) if model is MajorityLabelVoter else model(4).fit(given)
        return fitted.predict_proba(given), gold

    return label


def print_times(n: int) -> None:
    votes, scores, _ = ratings(0, n=n)
    print(f"\n{n:,} x 20, k 2: seconds{'':14}fit   predict")
    for name, matrix in {
        "by class": LabelMatrix(votes, 2),
        "with scores, 5 bins": LabelMatrix(votes, 2, scores=scores),
    }.items():
        begun = time.perf_counter()
        model = LiftDawidSkene(2).fit(matrix)
        fitted = time.perf_counter()
        model.predict_proba(matrix)
        print(f"{name:32}{fitted - begun:9.2f}{time.perf_counter() - fitted:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    seeds = 1 if quick else 10
    for share in (0, 40, 80):
        shared = share / 100
        models = {
            "plain vote": by_class(MajorityLabelVoter, shared),
            "DawidSkene": by_class(DawidSkene, shared),
            "LiftDawidSkene": by_class(LiftDawidSkene, shared),
        }
        models |= {f"LiftDawidSkene, {bins} bins": scored(bins, shared) for bins in (2, 5, 10)}
        print_means(f"20 judges, {share} % of their errors shared, 5,000 examples", seeds, models)
    of_sets = {
        "plain vote": with_superclasses(MajorityLabelVoter, used=False),
        "plain vote, superclasses": with_superclasses(MajorityLabelVoter, used=True),
        "LiftDawidSkene": with_superclasses(LiftDawidSkene, used=False),
        "LiftDawidSkene, superclasses": with_superclasses(LiftDawidSkene, used=True),
    }
    print_means("8 sources, half of the votes for 2 of 4 classes, 5,000 examples", seeds, of_sets)
    print_times(100_000 if quick else 1_000_000)


if __name__ == "__main__":
    main()
