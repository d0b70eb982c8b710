"""Synthetic label matrices have the accuracies, coverages and classes that were asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.errors import ClassBalanceError, InvalidInputError, LabelMatrixError
from ws_pipeline.labeling import LFAnalysis, generate_simple_label_matrix, synthetic_label_matrix
from ws_pipeline.labeling.synthetic import _draw_votes

ACCURACIES = np.array([0.0, 0.3, 0.8, 1.0])
COVERAGES = np.array([1.0, 0.1, 0.5, 0.0])


def global_state():
    return np.random.get_state()[1].tobytes()  # noqa: NPY002


@pytest.mark.parametrize("k", [2, 3, 150])
def test_accuracies_and_coverages_are_those_asked_for(k):
    matrix, classes = synthetic_label_matrix(ACCURACIES, COVERAGES, k, 40_000)
    assert (matrix.n_examples, matrix.n_lfs, matrix.cardinality) == (40_000, 4, k)
    voted = matrix.votes != -1
    assert voted.mean(axis=0) == pytest.approx(COVERAGES, abs=0.01)
    assert voted[:, 0].all()
    assert not voted[:, 3].any()
    right = matrix.votes == classes[:, None]
    assert not right[:, 0].any()
    assert right[:, 1].sum() / voted[:, 1].sum() == pytest.approx(0.3, abs=0.03)
    assert right[:, 2].sum() / voted[:, 2].sum() == pytest.approx(0.8, abs=0.01)


def test_a_perfect_labeling_function_never_errs_in_any_class():
    matrix, classes = synthetic_label_matrix([1.0], 1.0, 30_000, 100_000)
    assert np.array_equal(matrix.votes[:, 0], classes)


def test_wrong_votes_are_spread_over_the_other_classes():
    matrix, classes = synthetic_label_matrix([0.4], 1.0, 4, 80_000)
    table = LFAnalysis(matrix).lf_empirical_probs(classes, 4)[0, 1:]
    assert table == pytest.approx(np.full((4, 4), 0.2) + 0.2 * np.eye(4), abs=0.015)


def test_labeling_functions_vote_independently_given_the_class():
    matrix, classes = synthetic_label_matrix([0.7, 0.7, 0.7], 1.0, 2, 100_000)
    errors = (matrix.votes != classes[:, None]).astype(float)
    assert np.corrcoef(errors.T)[np.triu_indices(3, 1)] == pytest.approx([0, 0, 0], abs=0.02)


@pytest.mark.parametrize("balance", [[0.1, 0.2, 0.7], [0, 0.5, 0.5]])
def test_classes_have_the_balance_asked_for(balance):
    _, classes = synthetic_label_matrix(ACCURACIES, 1.0, 3, 50_000, balance)
    assert np.bincount(classes, minlength=3) / 50_000 == pytest.approx(balance, abs=0.01)
    _, uniform = synthetic_label_matrix(ACCURACIES, 1.0, 3, 50_000)
    assert np.bincount(uniform) / 50_000 == pytest.approx([1 / 3] * 3, abs=0.01)


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("multiplier", [0.0, 1.0, 8.0])
def test_votes_follow_the_tables_that_come_with_them(k, multiplier):
    tables, classes, votes = generate_simple_label_matrix(100_000, 3, k, multiplier)
    assert tables.shape == (3, k + 1, k)
    assert tables.sum(axis=1) == pytest.approx(np.ones((3, k)))
    assert votes.shape == (100_000, 3)
    assert np.bincount(classes) / 100_000 == pytest.approx(np.full(k, 1 / k), abs=0.01)
    assert LFAnalysis(votes).lf_empirical_probs(classes, k) == pytest.approx(tables, abs=0.02)
    assert (votes == -1).any() == (multiplier > 0)


@pytest.mark.parametrize("draw", [0.0, 1 - 2**-24])
def test_a_vote_of_probability_zero_is_never_drawn(draw):
    class Extreme:
        def random(self, size, dtype):
            return np.full(size, draw, dtype)

    tables = np.zeros((2, 4, 3))
    tables[0, 1] = tables[1, 2] = 1.0  # the first LF votes 0, the second 1, whatever the class
    votes = _draw_votes(tables, np.array([0, 1, 2, 2]), Extreme())
    assert votes.tolist() == [[0, 1]] * 4


def test_right_votes_weigh_more_in_the_tables():
    tables, _, _ = generate_simple_label_matrix(0, 50, 4)
    right = tables[:, 1 + np.arange(4), np.arange(4)]
    wrong = tables[:, 1:][:, ~np.eye(4, dtype=bool)]
    assert (right.min(axis=1) > wrong.max(axis=1) * 0.8).all()
    assert right.mean() > 4 * wrong.mean()


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(0, 30), st.integers(0, 4), st.sampled_from([2, 3, 128, 129, 200])),
)
def test_any_shape_gives_votes_in_range_and_the_same_ones_again(seed, shape):
    n, m, k = shape
    _, classes, votes = generate_simple_label_matrix(n, m, k, seed=seed)
    assert votes.shape == (n, m)
    assert votes.dtype == (np.int8 if k <= 128 else np.int16)
    assert votes.min(initial=-1) >= -1
    assert max(votes.max(initial=-1), classes.max(initial=0)) < k
    again = generate_simple_label_matrix(n, m, k, seed=np.random.default_rng(seed))[2]
    assert np.array_equal(again, votes)
    matrix, _ = synthetic_label_matrix(np.full(m, 0.7), 0.5, k, n, seed=seed)
    assert matrix.votes.shape == (n, m)


@pytest.mark.parametrize(
    "make",
    [
        lambda **seed: generate_simple_label_matrix(1000, 5, 3, **seed)[2],
        lambda **seed: synthetic_label_matrix([0.7] * 5, 0.5, 3, 1000, **seed)[0].votes,
    ],
)
def test_the_seed_decides_and_the_global_state_does_not(make):
    before = global_state()
    assert np.array_equal(make(), make(seed=0))
    assert not np.array_equal(make(seed=1), make(seed=0))
    assert global_state() == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: synthetic_label_matrix([0.5, 1.2], 1.0),
            InvalidInputError,
            "accuracies .* 1.2 at position 1",
        ),
        (lambda: synthetic_label_matrix([0.5, np.nan], 1.0), InvalidInputError, "got nan at position 1"),
        (
            lambda: synthetic_label_matrix(0.5, 1.0),
            InvalidInputError,
            "accuracies must have shape [m], got []",
        ),
        (
            lambda: synthetic_label_matrix([0.5], [1, 1]),
            InvalidInputError,
            "coverages must have shape [1], got [2]",
        ),
        (lambda: synthetic_label_matrix([0.5], -0.1), InvalidInputError, "coverages .* -0.1 at position 0"),
        (lambda: synthetic_label_matrix([0.5], 1.0, 1), LabelMatrixError, "cardinality must be from 2"),
        (lambda: synthetic_label_matrix([0.5], 1.0, n=-1), InvalidInputError, "n must be at least 0, got -1"),
        (
            lambda: synthetic_label_matrix([0.5], 1.0, class_balance=[1.0]),
            ClassBalanceError,
            "class_balance has 1 entries for 2 classes",
        ),
        (
            lambda: synthetic_label_matrix([0.5], 1.0, class_balance=[0.5, 0.6]),
            ClassBalanceError,
            "got [0.5, 0.6] with sum 1.1; divide it",
        ),
        (lambda: generate_simple_label_matrix(5, -1, 2), InvalidInputError, "got -1 and 1.0"),
        (lambda: generate_simple_label_matrix(5, 1, 2, -2.0), InvalidInputError, "got 1 and -2.0"),
        (lambda: generate_simple_label_matrix(-5, 1, 2), InvalidInputError, "n must be at least 0, got -5"),
    ],
)
def test_impossible_wishes_are_refused(call, error, message):
    with pytest.raises(error, match=re.escape(message).replace(r"\.\*", ".*")):
        call()
