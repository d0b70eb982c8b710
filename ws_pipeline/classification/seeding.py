"""Random numbers that a seed decides and that leave the caller's random state as it was."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def derive_seed(seed: int, *path: int) -> int:
    """Derive an independent 64-bit seed for one part of the work, such as (epoch, loader).

    Parameters
    ----------
    seed
        The seed of the whole, at least 0.
    *path
        Numbers, at least 0, that say which part.
    """
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1, np.uint64)[0])


def seed_everything(seed: int, device: torch.device) -> None:
    """Seed the global generators of Python, numpy, and torch on the CPU and on ``device``."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  what datasets and modules of others draw from
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """States of the global generators of Python, numpy, and torch on the CPU and ``device``, by generator."""
    _, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    _, keys, *rest = numpy_state
    states = {
        "cpu": torch.default_generator.get_state(),
        # words of 32 bits are exact in double precision
        "python": torch.tensor([*words, math.nan if gauss is None else gauss], dtype=torch.float64),
        "numpy": torch.tensor([*keys.tolist(), *rest], dtype=torch.float64),
    }
    if device.type == "cuda":
        gpus = range(torch.cuda.device_count())
        states |= {f"cuda:{gpu}": torch.cuda.get_rng_state(gpu) for gpu in gpus}
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: Mapping[str, torch.Tensor]) -> None:
    """Take over what :func:`random_states` gave; generators that are not on this machine are left out."""
    for name, state in states.items():
        if name == "cpu":
            torch.default_generator.set_state(state)
        elif name == "python":
            *words, gauss = state.tolist()
            random.setstate((3, tuple(map(int, words)), None if math.isnan(gauss) else gauss))
        elif name == "numpy":
            *numbers, position, has_gauss, gauss = state.tolist()
            keys = np.array(numbers, dtype=np.uint32)
            np.random.set_state(("MT19937", keys, int(position), int(has_gauss), gauss))  # noqa: NPY002
        elif name == "mps" and torch.backends.mps.is_available():
            torch.mps.set_rng_state(state)
        elif name.startswith("cuda:") and int(name[5:]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, name)


@contextlib.contextmanager
def own_random_numbers(device: torch.device | None = None) -> Iterator[None]:
    """Let the block draw from torch's global generators; afterwards they are as they were before.

    So are those of Python and numpy, which some packages draw from when they are imported.

    Parameters
    ----------
    device
        The device whose generators are kept, besides the CPU's.
    """
    kind = "cpu" if device is None else device.type
    gpus = list(range(torch.cuda.device_count())) if kind == "cuda" else []
    before = torch.mps.get_rng_state() if kind == "mps" else None
    python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the caller's own
    try:
        with torch.random.fork_rng(devices=gpus, device_type="cuda"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        if before is not None:
            torch.mps.set_rng_state(before)
