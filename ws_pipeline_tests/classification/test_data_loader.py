"""DictDataLoader: order, seeds, samplers, collate functions, workers."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

from ws_pipeline.classification import DictDataLoader, DictDataset
from ws_pipeline.errors import DatasetError

N = 23
DATA = DictDataset(
    "toy",
    "train",
    {"row": torch.arange(N), "name": [f"r{i}" for i in range(N)]},
    {"task": torch.arange(N) % 2},
)


def rows_of(batches) -> list[int]:
    rows = []
    for X_batch, Y_batch in batches:
        rows += X_batch["row"].tolist()
        assert X_batch["name"] == [f"r{i}" for i in X_batch["row"].tolist()]
        assert torch.equal(Y_batch["task"], X_batch["row"] % 2)
    return rows


def test_in_order_without_shuffling():
    loader = DictDataLoader(DATA, batch_size=5)
    assert rows_of(loader) == list(range(N))
    assert [len(X["row"]) for X, _ in loader] == [5, 5, 5, 5, 3]
    assert len(loader) == 5


@pytest.mark.parametrize("kwargs", [{}, {"drop_last": True}, {"num_workers": 1}, {"collate_fn": None}])
def test_a_seed_decides_the_order(kwargs):
    loader = DictDataLoader(DATA, batch_size=5, shuffle=True, **kwargs)
    n = 20 if kwargs.get("drop_last") else N
    first = rows_of(loader.batches(seed=1))
    assert len(set(first)) == len(first) == n
    assert first == rows_of(loader.batches(seed=1))
    assert first != rows_of(loader.batches(seed=2))
    assert len(loader) == -(-n // 5)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "sampler",
    [
        lambda: WeightedRandomSampler([1.0] * N, 30),
        lambda: SubsetRandomSampler(range(3, 9)),
        lambda: [4, 2, 2],
    ],
)
def test_samplers_follow_the_seed_too(sampler, workers):
    loader = DictDataLoader(DATA, batch_size=4, sampler=sampler(), num_workers=workers)
    before = torch.get_rng_state()
    assert rows_of(loader.batches(seed=1)) == rows_of(loader.batches(seed=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_sampler():
    loader = DictDataLoader(DATA, batch_sampler=[[0, 1], [5]])
    assert [X["row"].tolist() for X, _ in loader] == [[0, 1], [5]]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_generator_leaves_the_global_state_alone(workers):
    before = torch.get_rng_state()
    orders = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(3)
        loader = DictDataLoader(DATA, batch_size=4, shuffle=True, generator=generator, num_workers=workers)
        orders.append((rows_of(loader), rows_of(loader)))
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert torch.equal(torch.get_rng_state(), before)


def test_without_seed_and_generator_it_follows_torch_manual_seed():
    loader = DictDataLoader(DATA, batch_size=4, shuffle=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = rows_of(loader)
        torch.manual_seed(5)
        assert rows_of(loader) == first


@pytest.mark.parametrize(
    "kwargs",
    [{"shuffle": True}, {"shuffle": True, "drop_last": True}, {"shuffle": True, "num_workers": 1}, {}],
)
def test_ordered_batches(kwargs):
    loader = DictDataLoader(DATA, batch_size=5, **kwargs)
    before = torch.get_rng_state()
    assert rows_of(loader.ordered_batches()) == list(range(N))
    assert torch.equal(torch.get_rng_state(), before)


def test_ordered_batches_keep_to_a_given_sampler():
    loader = DictDataLoader(DATA, batch_size=5, sampler=[4, 2, 9])
    assert rows_of(loader.ordered_batches()) == [4, 2, 9]


def first_rows(items):
    assert isinstance(items, list)
    fields, labels = items[0]
    return {"row": fields["row"][None], "name": [fields["name"]]}, {"task": labels["task"][None]}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_collate_function_gets_the_items(workers, shuffle):
    loader = DictDataLoader(DATA, first_rows, batch_size=5, num_workers=workers, shuffle=shuffle)
    rows = rows_of(loader.batches(seed=0))
    assert len(rows) == 5
    assert rows_of(loader.ordered_batches()) == [0, 5, 10, 15, 20]


def test_torchs_own_loader_can_read_the_dataset_too():
    X_batch, Y_batch = next(iter(DataLoader(DATA, batch_size=3)))
    assert X_batch["row"].tolist() == [0, 1, 2]
    assert Y_batch["task"].tolist() == [0, 1, 0]


def test_one_gather_per_field_not_one_access_per_item(monkeypatch):
    monkeypatch.setattr(DictDataset, "__getitem__", lambda *_: pytest.fail("read item by item"))
    assert len(rows_of(DictDataLoader(DATA, batch_size=7, shuffle=True).batches(seed=0))) == N


def test_what_it_refuses():
    with pytest.raises(DatasetError, match="reads a DictDataset, found TensorDataset"):
        DictDataLoader(TensorDataset(torch.ones(3)))
    with pytest.raises(DatasetError, match="batch_size must be a number, found None"):
        DictDataLoader(DATA, batch_size=None)
