"""Random numbers that a seed decides and that leave the caller's random state as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

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
    """Seed torch's global generators of the CPU and of ``device``."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextlib.contextmanager
def own_random_numbers(device: torch.device | None = None) -> Iterator[None]:
    """Let the block draw from torch's global generators; afterwards they are as they were before.

    Parameters
    ----------
    device
        The device whose generators are kept, besides the CPU's.
    """
    kind = "cpu" if device is None else device.type
    gpus = list(range(torch.cuda.device_count())) if kind == "cuda" else []
    before = torch.mps.get_rng_state() if kind == "mps" else None
    try:
        with torch.random.fork_rng(devices=gpus, device_type="cuda"):
            yield
    finally:
        if before is not None:
            torch.mps.set_rng_state(before)
