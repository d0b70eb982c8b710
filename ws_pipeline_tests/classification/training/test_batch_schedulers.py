"""Batch schedulers over loaders of different lengths."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from ws_pipeline.classification import DictDataLoader, DictDataset, SequentialScheduler, ShuffledScheduler

SIZES = {"a": 10, "b": 3, "c": 25}


def loaders() -> list[DictDataLoader]:
    return [
        DictDataLoader(DictDataset(name, "train", {"row": torch.arange(n)}), batch_size=4, shuffle=True)
        for name, n in SIZES.items()
    ]


def run(scheduler, seed: int | None) -> list[tuple[str, list[int]]]:
    batches = scheduler.get_batches(loaders(), seed)
    return [(loader.dataset.name, batch[0]["row"].tolist()) for batch, loader in batches]


@pytest.mark.parametrize("scheduler", [SequentialScheduler(), ShuffledScheduler()])
def test_every_row_of_every_loader_once(scheduler):
    seen = Counter((name, row) for name, rows in run(scheduler, 0) for row in rows)
    assert seen == {(name, row): 1 for name, n in SIZES.items() for row in range(n)}


def test_sequential_takes_one_loader_after_the_other():
    assert [name for name, _ in run(SequentialScheduler(), 0)] == ["a"] * 3 + ["b"] + ["c"] * 7


def test_shuffled_mixes_and_follows_the_seed():
    names = [name for name, _ in run(ShuffledScheduler(), 0)]
    assert names != sorted(names)
    assert run(ShuffledScheduler(), 0) == run(ShuffledScheduler(), 0)
    assert run(ShuffledScheduler(), 0) != run(ShuffledScheduler(), 1)


def test_loaders_of_one_size_are_shuffled_differently():
    same = [
        DictDataLoader(DictDataset(name, "train", {"row": torch.arange(50)}), batch_size=50, shuffle=True)
        for name in "ab"
    ]
    (first, _), (second, _) = SequentialScheduler().get_batches(same, 0)
    assert first[0]["row"].tolist() != second[0]["row"].tolist()


def test_a_seed_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    run(ShuffledScheduler(), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_it_follows_torch_manual_seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = run(ShuffledScheduler(), None)
        assert run(ShuffledScheduler(), None) != first
        torch.manual_seed(1)
        assert run(ShuffledScheduler(), None) == first


@pytest.mark.parametrize("scheduler", [SequentialScheduler(), ShuffledScheduler()])
@pytest.mark.parametrize("start", [0, 1, 4, 10, 11])
def test_the_rest_of_an_epoch(scheduler, start):
    batches = scheduler.get_batches(loaders(), 3, start=start)
    rest = [(loader.dataset.name, batch[0]["row"].tolist()) for batch, loader in batches]
    assert rest == run(scheduler, 3)[start:]
