"""Ties broken by the example's id: the answer does not depend on where the example stands."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.errors import InvalidInputError

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)


def tied_rows(n, k=4):
    """Rows with one to k tied classes."""
    scores = np.random.default_rng(n).integers(0, 2, (n, k)).astype(float)
    scores[~scores.any(axis=1)] = 1
    return scores / scores.sum(axis=1, keepdims=True)


@PROPERTY
@given(
    ids=st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5), unique_by=str, max_size=20),
    data=st.data(),
)
def test_permuting_or_splitting_the_examples_changes_no_answer(ids, data):
    keys = np.array(ids, dtype=object)
    probs = tied_rows(len(keys))
    preds = probs_to_preds(probs, keys=keys)
    order = np.array(data.draw(st.permutations(range(len(keys)))), dtype=int)
    assert probs_to_preds(probs[order], keys=keys[order]).tolist() == preds[order].tolist()
    cut = data.draw(st.integers(0, len(keys)))
    parts = [probs_to_preds(probs[rows], keys=keys[rows]) for rows in (slice(cut), slice(cut, None))]
    assert np.concatenate(parts).tolist() == preds.tolist()


@pytest.mark.parametrize(
    "keys", [[f"doc-{i}" for i in range(200)], np.arange(200) * 7, np.arange(200, dtype=np.uint8)]
)
def test_the_class_is_picked_by_the_hash_of_the_key(keys):
    probs = tied_rows(200)
    expected = []
    for key, row in zip(keys, probs, strict=True):
        classes = np.flatnonzero(row == row.max())
        number = int(hashlib.sha1(str(key).encode()).hexdigest(), 16)  # noqa: S324
        expected.append(classes[number % len(classes)])
    assert probs_to_preds(probs, keys=keys).tolist() == expected


def test_row_numbers_as_keys_are_the_default():
    probs = tied_rows(100)
    assert probs_to_preds(probs, keys=np.arange(100)).tolist() == probs_to_preds(probs).tolist()
    assert probs_to_preds(probs, keys=np.arange(1, 101)).tolist() != probs_to_preds(probs).tolist()


def test_integer_and_string_ids_that_read_alike_are_one_key():
    probs = tied_rows(50)
    assert (
        probs_to_preds(probs, keys=np.arange(50)).tolist()
        == probs_to_preds(probs, keys=list(map(str, range(50)))).tolist()
    )


def test_keys_decide_ties_only():
    probs = np.random.default_rng(0).dirichlet(np.ones(5), 100)
    assert probs_to_preds(probs, keys=["x"] * 100).tolist() == probs.argmax(axis=1).tolist()


def test_abstaining_makes_no_use_of_keys():
    assert probs_to_preds([[0.5, 0.5], [0.1, 0.9]], "abstain", keys=["a", "b"]).tolist() == [-1, 1]


@pytest.mark.parametrize("scale", [1, 3, 1e-3])
def test_a_cycle_of_three_is_an_exact_tie(scale):
    probs = np.full((60, 3), 1 / 3) * scale
    assert probs_to_preds(probs, "abstain", tol=0).tolist() == [-1] * 60
    picked = probs_to_preds(probs, keys=np.arange(60), tol=0)
    assert set(picked.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("keys", [["a"], [["a"], ["b"]], "ab"])
def test_keys_of_another_shape_are_refused(keys):
    found = str(list(np.shape(keys))).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(InvalidInputError, match=rf"keys must have shape \[2\], .* got {found}"):
        probs_to_preds([[0.5, 0.5], [0.5, 0.5]], keys=keys)
