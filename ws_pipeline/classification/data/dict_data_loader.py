"""Loaders that read a :class:`~ws_pipeline.classification.DictDataset` in batches.

The order of an epoch is drawn before its first batch, from a seed when one is given; each batch is
then one gather.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ws_pipeline.classification.data.dict_dataset import (
    Batch,
    DictDataset,
    Item,
    Labels,
    LazyItems,
    collate_dicts,
)
from ws_pipeline.classification.seeding import own_random_numbers
from ws_pipeline.errors import DatasetError, NoDatasetError


class DictDataLoader(DataLoader[Item]):
    """Batches of a :class:`DictDataset`.

    Parameters
    ----------
    dataset
        The dataset to read.
    collate_fn
        Makes a batch from a list of ``(fields, labels)`` items.  Default: :meth:`DictDataset.take`,
        which gathers the batch in one go; for a subclass that has its own ``__getitem__``,
        :func:`~ws_pipeline.classification.data.dict_dataset.collate_dicts`.
    **kwargs
        As for ``torch.utils.data.DataLoader``: batch_size, shuffle, sampler, batch_sampler,
        drop_last, num_workers, generator, ...  With a ``generator``, shuffling neither reads nor
        changes torch's global random state.  ``pin_memory`` takes effect with workers only.

    Raises
    ------
    NoDatasetError
        ``dataset`` is no :class:`DictDataset`.
    DatasetError
        ``batch_size`` is None.
    """

    dataset: DictDataset

    def __init__(
        self, dataset: DictDataset, collate_fn: Callable[[list[Item]], Batch] | None = None, **kwargs: Any
    ) -> None:
        if not isinstance(dataset, DictDataset):
            message = f"DictDataLoader reads a DictDataset, got {type(dataset).__name__}"
            raise NoDatasetError(message)
        if collate_fn is None and _reads_items(dataset):
            collate_fn = collate_dicts
        self._item_collate = collate_fn
        self._own_order = kwargs.get("sampler") is None and kwargs.get("batch_sampler") is None
        self._shuffle = bool(kwargs.get("shuffle"))
        generator = kwargs.pop("generator", None)
        collate = _take_items if collate_fn is None else _ItemCollate(collate_fn)
        super().__init__(dataset, collate_fn=collate, **kwargs)
        if self.batch_sampler is None:
            message = "DictDataLoader makes batches: batch_size must be a number, got None"
            raise DatasetError(message)
        self.generator = generator

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch promises a private class
        return self.batches()

    def batches(self, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """Iterate over the batches of one epoch, or over the rest of it.

        Parameters
        ----------
        seed
            Decides the order, and leaves torch's global random state as it was.  Samplers that have
            a generator of their own keep to that.  Default: the loader's ``generator`` if it has
            one, else torch's global random state, as in torch's own loader.
        start
            Number of batches to leave out at the beginning.

        Raises
        ------
        DatasetError
            Fields and labels of the dataset no longer fit; see :meth:`DictDataset.check_rows`.
        """
        self.dataset.check_rows()
        if seed is None and self.generator is not None:
            seed = int(torch.empty((), dtype=torch.int64).random_(generator=self.generator).item())
        with _seeded(seed):
            if self.num_workers:  # the workers' iterator draws its order here, when it is made
                stream = cast("Iterator[Batch]", super().__iter__())
                next(itertools.islice(stream, start, start), None)
                return stream
            order = self._draw_order()
        complete = self.dataset.complete_tasks() if self._gathers_rows else frozenset()
        return (self._fetch(rows, complete) for rows in itertools.islice(order, start, None))

    def ordered_batches(self, *, with_labels: bool = True) -> Iterator[Batch]:
        """Iterate over all rows in the dataset's order, leaving torch's random state as it was.

        A sampler that the loader was given is kept to, with its random numbers: it may have chosen
        the rows.

        Parameters
        ----------
        with_labels
            False: labels may be left out; they are where that saves work.

        Raises
        ------
        DatasetError
            As for :meth:`batches`.
        """
        if not self._own_order:
            return self.batches()
        if not with_labels and self.gives_the_datasets_rows and not self.num_workers:
            self.dataset.check_rows()
            n, size = len(self.dataset), self.batch_size or 1
            return ((self.dataset.take_fields(slice(at, at + size)), {}) for at in range(0, n, size))
        if not (self._shuffle or self.drop_last):
            return self.batches(seed=0)  # there is no order to draw, but workers draw seeds
        same = DictDataLoader(
            self.dataset, self._item_collate, batch_size=self.batch_size, num_workers=self.num_workers
        )
        return same.batches(seed=0)

    @property
    def gives_the_datasets_rows(self) -> bool:
        """Whether :meth:`ordered_batches` gives the dataset's rows as they are, each once."""
        own_length = type(self.dataset).__len__ is not DictDataset.__len__
        return self._own_order and self._gathers_rows and not own_length

    @property
    def _gathers_rows(self) -> bool:
        """Whether batches are gathered from the dataset's tensors and lists, and nobody changes them."""
        return self._item_collate is None and type(self.dataset).take is DictDataset.take

    def _draw_order(self) -> Iterable[slice | Tensor]:
        """Draw the rows of every batch of an epoch."""
        n, size = len(self.dataset), self.batch_size
        if not self._own_order or size is None:
            return [torch.as_tensor(rows, dtype=torch.int64) for rows in self.batch_sampler or ()]
        starts = range(0, n - n % size if self.drop_last else n, size)
        if not self._shuffle:
            return (slice(start, min(start + size, n)) for start in starts)
        rows = torch.randperm(n).to(self._index_device())
        return (rows[start : start + size] for start in starts)

    def _index_device(self) -> torch.device:
        """Place of row numbers where they need no copy for every batch."""
        fields = [*self.dataset.X_dict.values(), *self.dataset.Y_dict.values()]
        devices = {field.device if isinstance(field, Tensor) else torch.device("cpu") for field in fields}
        return devices.pop() if len(devices) == 1 and self._item_collate is None else torch.device("cpu")

    def _fetch(self, rows: slice | Tensor, complete: frozenset[str]) -> Batch:
        if self._item_collate is None:
            fields, labels = self.dataset.take(rows)
            return fields, Labels(labels, complete)
        numbers = range(len(self.dataset))[rows] if isinstance(rows, slice) else rows.tolist()
        return self._item_collate([self.dataset[row] for row in numbers])


def _reads_items(dataset: DictDataset) -> bool:
    """Whether the dataset's class makes its items itself, for example by reading images."""
    kind = type(dataset)
    return kind.__getitem__ is not DictDataset.__getitem__ and kind.take is DictDataset.take


def _take_items(items: Sequence[Item]) -> Batch:
    if not isinstance(items, LazyItems):  # what DictDataset.__getitems__ returns
        message = f"expected the items of a DictDataset, got {type(items)}"
        raise TypeError(message)
    return items.dataset.take(items.indices)


class _ItemCollate:
    """Hands a collate function the list of items it expects; can be sent to worker processes."""

    def __init__(self, collate: Callable[[list[Item]], Batch]) -> None:
        self.collate = collate

    def __call__(self, items: Sequence[Item]) -> Batch:
        return self.collate(list(items))


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed torch's CPU generator for the block; without a seed do nothing."""
    if seed is None:
        yield
        return
    with own_random_numbers():
        torch.default_generator.manual_seed(seed)
        yield
