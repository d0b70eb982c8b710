"""Predictions against a naive loop, and against Snorkel where it is installed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

from ws_pipeline.analysis import preds_to_probs, probs_to_preds
from ws_pipeline.analysis.predictions import hard_labels
from ws_pipeline.errors import InvalidInputError


def with_ties(seed: int, n: int = 300, k: int = 5) -> np.ndarray:
    """Random rows; a third has exact ties, a third ties within the tolerance."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(k), n)
    probs[::3] = np.round(probs[::3] * 3) / 3
    best = probs[1::3].argmax(axis=1)
    other = (best + 1) % k
    rows = np.arange(1, n, 3)
    probs[rows, other] = probs[rows, best] - rng.choice([1e-6, 1e-4], len(rows))
    return probs


def naive(probs: np.ndarray, tol: float = 1e-5) -> list[list[int]]:
    """The tied classes of every row."""
    return [[y for y, p in enumerate(row) if abs(p - max(row)) < tol] for row in probs.tolist()]


@pytest.mark.parametrize("seed", range(5))
def test_against_a_loop(seed):
    probs = with_ties(seed)
    tied = naive(probs)
    assert any(len(classes) > 1 for classes in tied)
    hashes = [int(hashlib.sha1(str(row).encode()).hexdigest(), 16) for row in range(len(probs))]  # noqa: S324
    expected = [classes[h % len(classes)] for classes, h in zip(tied, hashes, strict=True)]
    assert probs_to_preds(probs).tolist() == expected
    expected = [classes[0] if len(classes) == 1 else -1 for classes in tied]
    assert probs_to_preds(probs, tie_break_policy="abstain").tolist() == expected


@pytest.mark.parametrize("policy", ["random", "abstain"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_against_snorkel(policy, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snorkel = pytest.importorskip("snorkel.utils")
    for seed in range(10):
        probs = with_ties(seed).astype(dtype)
        expected = snorkel.probs_to_preds(probs, tie_break_policy=policy)
        np.testing.assert_array_equal(probs_to_preds(probs, tie_break_policy=policy), expected)


def test_true_random_chooses_among_the_tied_and_leaves_the_global_state_alone():
    probs = np.tile([0.4, 0.2, 0.4], (200, 1))
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    preds = probs_to_preds(probs, tie_break_policy="true-random")
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
    assert set(preds.tolist()) == {0, 2}
    assert (probs_to_preds(probs, tie_break_policy="true-random") != preds).any()


def test_rows_are_independent_of_the_rest():
    probs = with_ties(3)
    np.testing.assert_array_equal(probs_to_preds(probs[:100]), probs_to_preds(probs)[:100])


def test_no_tolerance_still_ties_equal_values():
    assert probs_to_preds([[0.5, 0.5], [0.4, 0.6]], tie_break_policy="abstain", tol=0.0).tolist() == [-1, 1]


def test_no_rows():
    assert probs_to_preds(np.ones((0, 4))).shape == (0,)


@pytest.mark.parametrize(
    ("golds", "classes"),
    [
        ([0, 2, -1], [0, 2, -1]),
        ([[0], [2], [-1]], [[0], [2], [-1]]),
        ([[0, 2, 1]], [[0, 2, 1]]),
        ([[0.1, 0.9], [0.5, 0.5], [-1, -1]], [1, -1, -1]),
        ([[0.1, 0.7, 0.2]], [1]),
        ([[0, 1], [1, 0]], [1, 0]),
    ],
)
def test_hard_labels(golds, classes):
    assert hard_labels(np.array(golds)).tolist() == classes


def test_round_trip():
    preds = np.array([2, 0, 1, 1])
    probs = preds_to_probs(preds, 3)
    assert probs.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]]
    np.testing.assert_array_equal(probs_to_preds(probs), preds)
    np.testing.assert_array_equal(preds_to_probs(preds[:, None], 3), probs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probs_to_preds([[0.5, 0.5]], tie_break_policy="first"), "unknown tie_break_policy 'first'"),
        (lambda: probs_to_preds([0.5, 0.5]), r"shape \[n, k\] with a column per class, k >= 2, got \[2\]"),
        (lambda: probs_to_preds(np.ones((2, 0))), r"got \[2, 0\]$"),
        (lambda: probs_to_preds(np.ones((2, 1))), r"got \[2, 1\]; for a .* p of class 1, .* 1 - p and p"),
        (lambda: probs_to_preds([[0.1, 0.9], [np.nan, 0.5], [0, np.inf]]), "in 2 rows, first in rows 1, 2"),
        (lambda: preds_to_probs([0, -1, 3], 3), r"0..2, got -1 in row 1, 3 in row 2 \(2 rows"),
        (lambda: preds_to_probs([0.5], 3), r"got 0.5 in row 0"),
        (lambda: preds_to_probs([[0, 1]], 3), r"shape \[n\] or \[n, 1\], got \[1, 2\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_importing_the_package_is_cheap():
    heavy = {"sklearn", "pandas", "torch", "scipy"}
    code = f"import sys, ws_pipeline.analysis; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
