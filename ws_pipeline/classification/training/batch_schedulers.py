"""In which order the batches of several loaders are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import Batch
from ws_pipeline.classification.seeding import derive_seed

_ORDER, _LOADER = 0, 1


class BatchScheduler(ABC):
    """Mixes the batches of several loaders; each batch of each loader comes once per epoch."""

    @abstractmethod
    def order(self, n_batches: Sequence[int], seed: int) -> Sequence[int]:
        """Say which loader gives the next batch, over one epoch.

        Parameters
        ----------
        n_batches
            Number of batches of every loader.
        seed
            Decides a random order.

        Returns
        -------
        sequence of int
            Loader numbers; number i occurs ``n_batches[i]`` times.
        """

    def get_batches(
        self, dataloaders: Sequence[DictDataLoader], seed: int | None = None, start: int = 0
    ) -> Iterator[tuple[Batch, DictDataLoader]]:
        """Iterate over the batches of one epoch, or over the rest of it.

        Parameters
        ----------
        dataloaders
            The loaders.
        seed
            Decides the order of the loaders and the order within each; torch's global random state
            stays as it was.  Default: drawn from torch's global random state.
        start
            Number of batches to leave out at the beginning.

        Yields
        ------
        tuple
            A batch ``(fields, labels)`` and the loader it comes from.
        """
        if seed is None:
            seed = int(torch.empty((), dtype=torch.int64).random_().item())
        order = self.order([len(loader) for loader in dataloaders], derive_seed(seed, _ORDER))
        done = Counter(order[:start])
        streams = [
            loader.batches(derive_seed(seed, _LOADER, number), start=done[number])
            for number, loader in enumerate(dataloaders)
        ]
        return ((next(streams[number]), dataloaders[number]) for number in order[start:])


class SequentialScheduler(BatchScheduler):
    """All batches of the first loader, then all of the second, and so on."""

    def order(self, n_batches: Sequence[int], seed: int) -> Sequence[int]:  # noqa: ARG002
        """See :meth:`BatchScheduler.order`."""
        return [loader for loader, count in enumerate(n_batches) for _ in range(count)]


class ShuffledScheduler(BatchScheduler):
    """Batches of all loaders in a random order."""

    def order(self, n_batches: Sequence[int], seed: int) -> Sequence[int]:
        """See :meth:`BatchScheduler.order`."""
        in_sequence = SequentialScheduler().order(n_batches, seed)
        shuffled = np.random.default_rng(seed).permutation(len(in_sequence))
        return [in_sequence[position] for position in shuffled]


BATCH_SCHEDULERS: dict[str, type[BatchScheduler]] = {
    "sequential": SequentialScheduler,
    "shuffled": ShuffledScheduler,
}
"""The schedulers by the name that settings use."""
