"""Every generator that datasets and modules may draw from, seeded, kept and given back."""

from __future__ import annotations

import random

import numpy as np
import torch

from ws_pipeline.classification.seeding import (
    derive_seed,
    own_random_numbers,
    random_states,
    seed_everything,
    set_random_states,
)

CPU = torch.device("cpu")


def draw() -> list[float]:
    numpys = np.random.normal()  # noqa: NPY002  the global generator is what is tested
    pythons = [random.random(), random.gauss(0, 1)]  # noqa: S311  as above
    return [*pythons, numpys, torch.rand(()).item()]


def drawn_after(seed: int) -> list[float]:
    with own_random_numbers():
        seed_everything(seed, CPU)
        return draw()


def test_the_seed_decides_the_numbers_of_every_generator():
    assert drawn_after(3) == drawn_after(3)
    for seed in (4, 2**63 + 5, derive_seed(3, 0)):
        assert not set(drawn_after(seed)) & set(drawn_after(3))


def test_states_continue_where_they_were_kept():
    """Also between the two numbers that a normal distribution is drawn in."""
    with own_random_numbers():
        seed_everything(0, CPU)
        draw()
        states = random_states(CPU)
        expected = [draw() for _ in range(3)]
        seed_everything(1, CPU)
        set_random_states(states)
        assert [draw() for _ in range(3)] == expected


def test_the_callers_numbers_stay():
    with own_random_numbers():
        seed_everything(0, CPU)
        expected = draw()
        seed_everything(0, CPU)
        with own_random_numbers():
            seed_everything(7, CPU)
            draw()
        assert draw() == expected


def test_derived_seeds_differ():
    paths = [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]
    assert len({derive_seed(seed, *path) for seed in range(5) for path in paths}) == 30
