"""Augmentation policies: fixed ones, and those that draw from a generator of their own."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

from ws_pipeline.compat.policies import (
    ApplyAllPolicy,
    ApplyEachPolicy,
    ApplyOnePolicy,
    MeanFieldPolicy,
    Policy,
    RandomPolicy,
)
from ws_pipeline.errors import InvalidInputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.augmentation as theirs
    except ImportError:
        theirs = None


def drawn(policy, n=50):
    return [policy.generate() for _ in range(n)]


def test_sequences_of_the_fixed_policies():
    assert ApplyAllPolicy(3, 2, keep_original=False).generate_for_example() == [[0, 1, 2], [0, 1, 2]]
    assert ApplyOnePolicy(2).generate_for_example() == [[], [0], [0]]
    assert ApplyEachPolicy(3).generate_for_example() == [[], [0], [1], [2]]
    assert ApplyEachPolicy(2, keep_original=False).generate_for_example() == [[0], [1]]


def test_a_policy_of_ones_own_may_make_all_sequences_of_a_data_point_itself():
    class Both(Policy):
        def generate_for_example(self):
            return [[0], [1], [0, 1]]

    assert Both(2).generate_for_example() == [[0], [1], [0, 1]]
    with pytest.raises(NotImplementedError):
        Policy(2).generate()


def test_the_seed_decides_and_the_global_numbers_do_not():
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    first = drawn(RandomPolicy(4, 3))
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert drawn(RandomPolicy(4, 3)) == first
    assert drawn(RandomPolicy(4, 3, seed=1)) != first
    policy = RandomPolicy(4, 3)
    assert drawn(policy) == first
    assert drawn(policy) != first


def test_a_generator_is_drawn_from():
    rng = np.random.default_rng(3)
    assert drawn(RandomPolicy(4, seed=rng)) == drawn(RandomPolicy(4, seed=3))
    assert drawn(RandomPolicy(4, seed=rng)) != drawn(RandomPolicy(4, seed=3))


def test_transformation_functions_are_drawn_as_often_as_their_probability_says():
    samples = np.array(drawn(MeanFieldPolicy(3, 2, p=[0.7, 0.3, 0.0]), 5000))
    assert np.bincount(samples.ravel(), minlength=3) / samples.size == pytest.approx([0.7, 0.3, 0], abs=0.02)
    both = (samples[:, 0] == 0) & (samples[:, 1] == 0)
    assert both.mean() == pytest.approx(0.49, abs=0.02)


def test_sequences_have_their_length():
    sequences = MeanFieldPolicy(2, 4, n_per_original=3).generate_for_example()
    assert [len(sequence) for sequence in sequences] == [0, 4, 4, 4]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MeanFieldPolicy(2, p=[0.5, 0.4]), r"2 probabilities that sum to 1, .*got \[0.5, 0.4\]"),
        (lambda: MeanFieldPolicy(3, p=[0.5, 0.5]), r"p must have 3 probabilities"),
        (lambda: MeanFieldPolicy(2, p=[1.5, -0.5]), r"got \[1.5, -0.5\]"),
        (lambda: RandomPolicy(0), "at least 1 TF .* got n_tfs=0"),
        (lambda: ApplyOnePolicy(-1), "n_per_original=-1"),
        (lambda: RandomPolicy(2, -1), "sequence_length must be at least 0, got -1"),
        (lambda: ApplyEachPolicy(2).generate(), "call generate_for_example"),
    ],
)
def test_what_is_no_policy_is_refused(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()


@pytest.mark.skipif(theirs is None, reason="Snorkel is not installed")
def test_the_fixed_policies_are_those_of_snorkel():
    for name, arguments in [("ApplyAllPolicy", (3, 2)), ("ApplyOnePolicy", (2,)), ("ApplyEachPolicy", (3,))]:
        for keep in (True, False):
            own = {"ApplyAllPolicy": ApplyAllPolicy, "ApplyOnePolicy": ApplyOnePolicy}.get(
                name, ApplyEachPolicy
            )
            expected = getattr(theirs, name)(*arguments, keep_original=keep).generate_for_example()
            assert own(*arguments, keep_original=keep).generate_for_example() == expected
